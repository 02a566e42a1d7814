#ifndef CLI_STICKS_H
#define CLI_STICKS_H

#include "cli/place.h"
#include "usb/hotplug.h"

/* USB tokens that are plugged in, for commands. */

/* The one of this serial (NULL: the only one). E_NO_DEVICE, E_USAGE when there are several. */
int sticks_find(struct cli *c, const char *serial, struct hotplug_token *out,
                struct err *e) MUST_USE;

/* Its TPM; nothing is sent to it yet. */
int sticks_tpm(struct cli *c, const struct hotplug_token *t, struct tpm **out,
               struct err *e) MUST_USE;

/* "USB token SERIAL" */
#define STICKS_NAME (DESCRIPTOR_SERIAL + 16)
void sticks_name(const struct hotplug_token *t, char out[STICKS_NAME]);

/* TPM, rows and token, with the counts of wrong PINs as the TPM has them. E_NOT_FOUND when it
 * carries no token; only the TPM is open in `out` then. */
int sticks_open(struct cli *c, const struct hotplug_token *t, struct place *out,
                struct err *e) MUST_USE;

/* The same for the one that --serial names. */
int sticks_open_named(struct cli *c, struct place *out, struct err *e) MUST_USE;

#define STICKS_SERIAL                                                                           \
    {                                                                                           \
        "serial", "SERIAL", "the USB token, where several are plugged in (`fusetsu usb list`)", \
            false                                                                               \
    }

#endif
