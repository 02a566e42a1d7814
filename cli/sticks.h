#ifndef CLI_STICKS_H
#define CLI_STICKS_H

#include "cli/cli.h"
#include "tpm/tpm.h"
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

#define STICKS_SERIAL                                                                           \
    {                                                                                           \
        "serial", "SERIAL", "the USB token, where several are plugged in (`fusetsu usb list`)", \
            false                                                                               \
    }

#endif
