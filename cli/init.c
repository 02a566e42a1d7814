#include "cli/init.h"

#include "cli/codes.h"
#include "cli/init_report.h"
#include "cli/pin.h"
#include "cli/progress.h"
#include "core/file.h"

#include <stdlib.h>
#include <string.h>

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

static int provision(struct cli *c, const struct init_where *w, struct token_params *p,
                     struct err *e)
{
    struct codes codes = {.path = cli_option(c, "recovery-file")};
    struct token_report report = {0};
    struct store_token row;
    struct progress *wait = NULL;
    struct place at = {0};
    int rc = -1;

    if (w->open(c, w->arg, &at, e) != 0 || owner_obtain(c, at.tpm, at.store, e) != 0)
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
    /* The codes are told whatever happens now. */
    if (rc == 0 && w->made != NULL)
        rc = w->made(c, w->arg, &at, p, e);
out:
    secret_wipe(&report, sizeof(report));
    place_close(&at);
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

int init_run(struct cli *c, const struct init_where *w, struct err *e)
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
    if (w->check(c, w->arg, e) != 0)
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
    rc = provision(c, w, &p, e);
out:
    buf_free(&issuers);
    secret_free(so);
    secret_free(user);
    return rc;
}
