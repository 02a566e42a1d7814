#include "cli/commands.h"
#include "cli/init.h"

#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {INIT_OPTIONS, {0}};

/* A second token of that name could be told from the first by its serial alone. Whatever
 * else is wrong with the store, making the token says. */
static int check_label(struct cli *c, void *arg, struct err *e)
{
    const char *label = cli_option(c, "label");
    struct store_token *t = NULL;
    struct err ignored = {0};
    struct store *s = NULL;
    size_t n = 0;
    int rc = 0;

    (void)arg;
    if (place_store(c, STORE_READ, &s, &ignored) != 0 || store_token_list(s, &t, &n, &ignored) != 0)
        goto out;
    for (size_t i = 0; i < n && rc == 0; i++) {
        /* What was never finished is swept away. */
        if ((t[i].flags & STORE_TOKEN_INCOMPLETE) == 0 && strcmp(t[i].label, label) == 0)
            rc = err_set(e, E_EXISTS,
                         "the store %s holds a token \"%s\" already (serial %s); choose another "
                         "label, or erase that token first",
                         store_path(s), label, t[i].serial);
    }
out:
    free(t);
    store_close(s);
    return rc;
}

static int open_home(struct cli *c, void *arg, struct place *at, struct err *e)
{
    (void)arg;
    return place_tpm(c, &at->tpm, e) == 0 ? place_store(c, STORE_CREATE, &at->store, e) : -1;
}

static int run(struct cli *c, struct err *e)
{
    static const struct init_where home = {.check = check_label, .open = open_home};

    return init_run(c, &home, e);
}

const struct cli_command cmd_token_init = {
    .group = "token",
    .name = "init",
    .shared = CLI_USER_PIN | CLI_SO_PIN | CLI_JSON,
    .options = options,
    .summary = "make a token in the TPM",
    .about =
        "Makes a new token: PIN indices in the TPM's non-volatile memory and a row in the "
        "store. Other tokens are not touched. Where the TPM's lockout authorisation is empty "
        "a random one is set and shown once as a recovery code. The storage key to which PINs "
        "are sent is proved to be in the TPM that holds the certified endorsement key; where "
        "there is no endorsement certificate it is trusted on first use. On a machine whose TPM serves "
        "fusetsu alone --own-tpm sets the owner authorisation likewise; it is kept in the TPM "
        "under the SO PIN, shown once, and wanted from then on for making and erasing tokens.",
    .examples = "fusetsu token init --label gateway\n"
                "fusetsu token init --label gateway --so-pin-file so.pin --pin-file user.pin "
                "--recovery-file gateway.recovery\n"
                "fusetsu token init --label gateway --own-tpm --recovery-file gateway.recovery\n"
                "fusetsu token init --label second --owner-token gateway",
    .run = run,
};
