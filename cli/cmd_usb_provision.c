#include "cli/commands.h"
#include "cli/init.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "cli/sticks.h"
#include "core/log.h"

#include <stdio.h>

static const struct cli_option options[] = {
    STICKS_SERIAL,
    INIT_OPTIONS,
    {"type", "TYPE", "make a key of this type, too: as for `fusetsu key generate`", false},
    {"key-label", "TEXT", "its label (default: that of the token)", false},
    {"room", "BYTES",
     "room for keys and certificates, 2048 to 32768 (default 16384, or what there is)", false},
    {0},
};

struct stick_init {
    struct hotplug_token plug;
    unsigned room;
    char serial[17]; /* of the token that was made */
};

/* What it carries already is not to be lost. */
static int check(struct cli *c, void *arg, struct err *e)
{
    struct stick_init *i = arg;
    const char *type = cli_option(c, "type");
    struct err why = {0};
    struct place at = {0};
    int rc;

    if ((type != NULL && keyring_check_type(type, e) != 0) ||
        cli_number(c, "room", 2048, 32768, 0, &i->room, e) != 0 ||
        sticks_find(c, cli_option(c, "serial"), &i->plug, e) != 0)
        return -1;
    if (type == NULL && cli_option(c, "key-label") != NULL)
        return cli_misuse(e, "--key-label goes with --type");
    rc = place_plug(c, &i->plug, &at, &why);
    if (rc == 0)
        err_set(&why, E_EXISTS,
                "USB token %s carries token \"%s\" (serial %s) already; `fusetsu usb erase` "
                "destroys that with all its keys",
                i->plug.serial, token_row(at.token)->label, token_row(at.token)->serial);
    place_close(&at);
    return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
}

static int open_stick(struct cli *c, void *arg, struct place *at, struct err *e)
{
    struct stick_init *i = arg;
    char name[STICKS_NAME];

    sticks_name(&i->plug, name);
    return sticks_tpm(c, &i->plug, &at->tpm, e) == 0 ? store_memory(&at->store, name, e) : -1;
}

/* A key, by the module, which finds the token on the stick by now. */
static int make_key(struct cli *c, const struct stick_init *i, const struct token_params *p,
                    struct err *e)
{
    struct keyring_spec spec = {.type = cli_option(c, "type"),
                                .label = cli_option(c, "key-label"),
                                .auth = CK_FUSETSU_AUTH_SESSION};
    struct secret *pin = secret_copy(p->user_pin.p, p->user_pin.len, e);
    struct keyring_object key = {0};
    struct keyring *k = NULL;
    int rc = -1;

    if (spec.label == NULL)
        spec.label = p->label;
    if (pin != NULL &&
        keyring_open_known(&k, c, i->serial, KEYRING_LOGIN | KEYRING_WRITE, pin, e) == 0)
        rc = keyring_generate(k, &spec, &key, e);
    keyring_object_free(&key);
    keyring_close(k);
    secret_free(pin);
    return rc == 0 ? 0
                   : err_prefix(e,
                                "the token is made, but its key is not (`fusetsu key generate "
                                "--token %s` makes one)",
                                i->serial);
}

static int put(struct place *at, const struct stick_init *i, const struct token_params *p,
               struct err *e)
{
    struct err why = {0};

    if (token_login(at->token, TOKEN_USER, p->user_pin, e) == 0 &&
        stick_create(at->token, i->room, e) == 0)
        return 0;
    /* Nobody could find it again. */
    if (token_erase(at->token, &why) != 0)
        log_warn("the token's indices stay in the TPM: %s", why.msg);
    return err_prefix(e, "the token cannot be carried by its TPM, and is erased again");
}

static int made(struct cli *c, void *arg, struct place *at, const struct token_params *p,
                struct err *e)
{
    struct stick_init *i = arg;

    snprintf(i->serial, sizeof(i->serial), "%s", token_row(at->token)->serial);
    if (put(at, i, p, e) != 0)
        return -1;
    place_close(at);
    if (cli_option(c, "type") != NULL && make_key(c, i, p, e) != 0)
        return -1;
    if (!cli_flag(c, "json"))
        out_para(stdout,
                 "USB token %s carries it: any machine that has the module and may use the "
                 "device can, with the PIN.",
                 i->plug.serial);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct stick_init i = {0};
    const struct init_where where = {check, open_stick, made, &i};

    return init_run(c, &where, e);
}

const struct cli_command cmd_usb_provision = {
    .group = "usb",
    .name = "provision",
    .shared = CLI_USER_PIN | CLI_SO_PIN | CLI_JSON,
    .options = options,
    .summary = "make a token that a USB token carries by itself",
    .about =
        "Makes a token in the TPM of a USB token, as `fusetsu token init` does, and keeps its "
        "keys, certificates and labels in that TPM, too: it works on machines that never saw it. "
        "No store is written. `fusetsu key`, `cert` and `request` work on it by --token or --uri "
        "while it is plugged in.",
    .examples = "fusetsu usb provision --label courier --type p256 --ek-pins makers.pem\n"
                "fusetsu usb provision --serial A-1 --label courier --recovery-file a1.recovery",
    .run = run,
};
