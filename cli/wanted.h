#ifndef CLI_WANTED_H
#define CLI_WANTED_H

#include "cli/cli.h"
#include "cli/uri.h"

#define KEYRING_ID_MAX 64 /* bytes of a CKA_ID */

/* How an object is named on a command line; empty members are not compared. */
struct keyring_wanted {
    const char *label;
    struct bytes id;
};

/* Which object a command line means: by label, --id, or the object and id of --uri (RFC 7512). */
struct wanted {
    struct keyring_wanted is; /* borrowed from here and from the command line */
    uint8_t room[KEYRING_ID_MAX];
    struct uri uri;
};

/* `label_option`: the option that has the label. An empty `is` when nothing is named; E_USAGE.
 * Free with wanted_free in any case. */
int wanted_read(struct wanted *out, const struct cli *c, const char *label_option,
                struct err *e) MUST_USE;
void wanted_free(struct wanted *w);

/* Hex of a command line as bytes, at most KEYRING_ID_MAX. E_USAGE. */
int wanted_parse_id(const char *hex, uint8_t id[KEYRING_ID_MAX], size_t *len,
                    struct err *e) MUST_USE;

/* Is anything named? */
bool wanted_any(const struct wanted *w);

#endif
