#include "cli/codes.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/pin.h"
#include "cli/place.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"recovery-file", "FILE",
     "write the codes to this new file (mode 0600), as `token init` does, and do not print them",
     false},
    {0},
};

static void say(const struct store_token *t, const struct token_report *r)
{
    if (r->lockout_set) {
        printf("Recovery code: %s\n", r->recovery_code);
        out_para(stdout, "It is the TPM's lockout authorisation: it ends a TPM-wide lockout early, "
                         "and whoever has it can try PINs without limit on a stolen TPM. Keep it "
                         "away from this machine.");
        if ((t->flags & STORE_TOKEN_WEAK_LOCKOUT) != 0)
            out_para(stdout, "WARNING: when the token was made the TPM did not take it, as the "
                             "store has it; `fusetsu doctor` says how the TPM is now.");
    }
    if (r->owner_set) {
        printf("Owner code: %s\n", r->owner_code);
        out_para(stdout, "It is the TPM's owner authorisation, which making and erasing tokens "
                         "takes.");
    }
}

static int show(struct cli *c, const struct store_token *t, const struct token_report *r,
                struct err *e)
{
    const char *path = cli_option(c, "recovery-file");
    json_t *doc;

    if (path != NULL && codes_save(path, r, e) != 0)
        return -1;
    if (!cli_flag(c, "json")) {
        if (path == NULL)
            say(t, r);
        else
            out_para(stdout,
                     "The TPM's recovery codes that token \"%s\" keeps are in %s. Keep "
                     "that file away from this machine.",
                     t->label, path);
        return 0;
    }
    doc = json_pack("{s:s,s:b,s:b}", "serial", t->serial, "lockout_kept", r->lockout_set ? 1 : 0,
                    "owner_kept", r->owner_set ? 1 : 0);
    if (doc != NULL && path == NULL &&
        ((r->lockout_set &&
          json_object_set_new(doc, "recovery_code", json_string(r->recovery_code)) != 0) ||
         (r->owner_set &&
          json_object_set_new(doc, "owner_code", json_string(r->owner_code)) != 0))) {
        json_decref(doc);
        doc = NULL;
    }
    return cli_json(c, doc, e);
}

static int run(struct cli *c, struct err *e)
{
    const char *path = cli_option(c, "recovery-file");
    struct token_report codes = {0};
    const struct store_token *row;
    struct secret *pin = NULL;
    struct place at = {0};
    int rc = -1;

    if ((path != NULL && codes_check(path, e) != 0) || place_open(c, &at, e) != 0 ||
        pin_obtain(c, PIN_SO, "SO PIN", false, &pin, e) != 0)
        goto out;
    row = token_row(at.token);
    if (token_codes(at.token, secret_bytes(pin), &codes, e) == 0)
        rc = show(c, row, &codes, e);
    else
        pin_tries_left(e, "SO PIN", row->so_fails, row->so_limit);
out:
    secret_wipe(&codes, sizeof(codes));
    secret_free(pin);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_token_recovery_code = {
    .group = "token",
    .name = "recovery-code",
    .shared = CLI_TOKEN | CLI_SO_PIN | CLI_JSON,
    .options = options,
    .summary = "show the TPM's recovery codes with the SO PIN",
    .about = "The codes that `token init` shows once are kept in the TPM under the SO PIN of the "
             "token that set them, and so are those of a token that was made by PKCS#11, which "
             "has nobody to show them to. Ask for them in good time: while the TPM is in lockout "
             "it gives nothing out.",
    .examples = "fusetsu token recovery-code --token gateway\n"
                "fusetsu token recovery-code --token gateway --so-pin-file so.pin "
                "--recovery-file gateway.recovery",
    .run = run,
};
