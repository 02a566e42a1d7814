#include "cli/codes.h"
#include "cli/commands.h"
#include "cli/init_report.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/pin.h"
#include "cli/place.h"
#include "cli/progress.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    {"label", "TEXT", "name of the token, 1 to 32 bytes, that no other has", true},
    {"user-tries", "N", "wrong user PINs in a row before the PIN locks, 3 to 32 (default 10)",
     false},
    {"so-tries", "N", "the same for the SO PIN (default 10)", false},
    {"recovery-file", "FILE",
     "write the TPM's recovery codes to this new file (mode 0600) and do not print them", false},
    {"weak-lockout", NULL,
     "go on although anyone can reset the TPM's count of failures; a thief can then try many PINs",
     false},
    {"own-tpm", NULL,
     "the TPM serves fusetsu alone, from this store: set its owner authorisation, too", false},
    {"pin-guard", "KIND",
     "what guards the secret beside the user PIN's own count: da, the TPM-wide count of failures "
     "(the default), or counter, nothing, which wants --own-tpm",
     false},
    OWNER_OPTIONS,
    {"ek-pins", "FILE",
     "PEM certificates of TPM makers: refuse a TPM whose endorsement certificate none of them "
     "vouches for",
     false},
    {0},
};

#define PINS_MAX ((size_t)1 << 20)

/* On failure they are printed all the same, for they exist nowhere else outside the TPM. */
struct codes {
    const char *path; /* NULL: they are printed */
    bool saved;
    struct err unsaved;
};

static void keep_codes(void *arg, const struct token_report *r)
{
    struct codes *to = arg;

    to->unsaved = (struct err){0};
    to->saved = to->path != NULL && codes_save(to->path, r, &to->unsaved) == 0;
}

static int provision(struct cli *c, struct token_params *p, struct err *e)
{
    struct codes codes = {.path = cli_option(c, "recovery-file")};
    struct token_report report = {0};
    struct store_token row;
    struct progress *wait = NULL;
    struct place at = {0};
    int rc = -1;

    if (place_tpm(c, &at.tpm, e) != 0 || place_store(c, STORE_CREATE, &at.store, e) != 0 ||
        owner_obtain(c, at.tpm, at.store, e) != 0)
        goto out;
    p->keep = keep_codes;
    p->keep_arg = &codes;
    wait = progress_begin("making the token in the TPM");
    rc = token_provision(&at.token, at.tpm, at.store, p, &report, e);
    progress_end(wait);
    if (rc != 0)
        goto out;
    row = *token_row(at.token);
    if (report.owner_set && !report.lockout_set)
        keep_codes(&codes, &report);
    if (cli_flag(c, "json"))
        rc = init_report_json(c, &row, &report, codes.saved, e);
    else
        init_report_say(&row, &report, codes.saved);
    if (codes.unsaved.code != E_OK)
        rc = err_set(e, codes.unsaved.code,
                     "the token is made, but %s; the recovery codes are on standard output instead",
                     codes.unsaved.msg);
out:
    secret_wipe(&report, sizeof(report));
    place_close(&at);
    return rc;
}

/* A second token of that name could be told from the first by its serial alone. Whatever
 * else is wrong with the store, making the token says. */
static int check_label(struct cli *c, const char *label, struct err *e)
{
    struct store_token *t = NULL;
    struct err ignored = {0};
    struct store *s = NULL;
    size_t n = 0;
    int rc = 0;

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

static int read_guard(struct cli *c, struct token_params *p, struct err *e)
{
    const char *kind = cli_option(c, "pin-guard");

    if (kind != NULL && strcmp(kind, "counter") == 0)
        p->guard = TOKEN_GUARD_COUNTER;
    else if (kind != NULL && strcmp(kind, "da") != 0)
        return cli_misuse(e, "--pin-guard takes da or counter, not \"%.20s\"", kind);
    if (p->guard == TOKEN_GUARD_COUNTER && !p->own_tpm)
        return cli_misuse(e, "--pin-guard counter goes with --own-tpm only: whoever knows the "
                             "owner authorisation can set up the count anew and read the secret "
                             "behind it without the PIN");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct token_params p = {.label = cli_option(c, "label"),
                             .weak_lockout = cli_flag(c, "weak-lockout"),
                             .own_tpm = cli_flag(c, "own-tpm")};
    const char *recovery = cli_option(c, "recovery-file");
    const char *pins = cli_option(c, "ek-pins");
    struct secret *so = NULL, *user = NULL;
    struct buf issuers = {0};
    size_t len = strlen(p.label);
    int rc = -1;

    if (len < 1 || len > 32)
        return cli_misuse(e, "--label takes 1 to 32 bytes; this one has %zu", len);
    if (read_guard(c, &p, e) != 0 ||
        cli_number(c, "user-tries", 3, 32, 10, &p.user_tries, e) != 0 ||
        cli_number(c, "so-tries", 3, 32, 10, &p.so_tries, e) != 0)
        return -1;
    /* Asked first: the code is given once. */
    if (recovery != NULL && codes_check(recovery, e) != 0)
        return -1;
    if (check_label(c, p.label, e) != 0)
        return -1;
    if (pins != NULL && file_read(pins, PINS_MAX, &issuers, e) != 0)
        goto out;
    p.ek_issuers = buf_bytes(&issuers);
    if (pins != NULL && p.ek_issuers.len == 0) {
        err_set(e, E_FORMAT, "%s is empty; it is to hold certificates of TPM makers", pins);
        goto out;
    }
    if (pin_obtain(c, PIN_SO, "SO PIN", true, &so, e) != 0 ||
        pin_obtain(c, PIN_USER, "user PIN", true, &user, e) != 0)
        goto out;
    p.so_pin = secret_bytes(so);
    p.user_pin = secret_bytes(user);
    rc = provision(c, &p, e);
out:
    buf_free(&issuers);
    secret_free(so);
    secret_free(user);
    return rc;
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
