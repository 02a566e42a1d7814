#include "cli/commands.h"
#include "cli/out.h"
#include "cli/owner.h"
#include "cli/pin.h"
#include "cli/place.h"
#include "cli/progress.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    OWNER_OPTIONS,
    {0},
};

/* The codes to their file; on failure they are printed all the same, for they exist
 * nowhere else outside the TPM. */
static int save_codes(const char *path, const struct token_report *r, struct err *e)
{
    struct buf line = {.secret = true};
    int rc = -1;

    if (r->lockout_set)
        buf_printf(&line, "%s\n", r->recovery_code);
    if (r->owner_set)
        buf_printf(&line, "owner %s\n", r->owner_code);
    if (buf_ok(&line, e) == 0)
        rc = file_write(path, buf_bytes(&line), 0600, e);
    buf_free(&line);
    return rc;
}

static void explain_code(const struct token_report *r, bool saved)
{
    putchar('\n');
    if (saved) {
        out_words(stdout, 0,
                  "The TPM's lockout authorisation was empty. A random one is set now; it is in "
                  "the recovery file. Keep that file away from this machine.");
        return;
    }
    printf("Recovery code: %s\n", r->recovery_code);
    out_words(stdout, 0,
              "The TPM's lockout authorisation was empty; this random one is set now. It is "
              "shown once. Write it down and keep it away from this machine: it ends a TPM-wide "
              "lockout early, and whoever has it can try PINs without limit on a stolen TPM.");
}

static void explain_owner(const struct token_report *r, bool saved)
{
    putchar('\n');
    if (!saved)
        printf("Owner code: %s\n", r->owner_code);
    out_words(stdout, 0,
              saved ? "The TPM's owner authorisation was empty. A random one is set now; it is in "
                      "the recovery file, and the token's SO PIN opens it, too."
                    : "The TPM's owner authorisation was empty; this random one is set now. It is "
                      "shown once; the token's SO PIN opens it, too. Further tokens, and erasing "
                      "this one, want the one or the other.");
}

static void explain(const struct store_token *t, const struct token_report *r, bool saved)
{
    printf("Token \"");
    out_text(stdout, t->label);
    printf("\" is made. Serial: %s\n\n", t->serial);
    out_words(stdout, 0,
              "Its keys will be made inside the TPM and cannot leave it. The user PIN and the SO "
              "PIN are checked by the TPM itself, each with its own count of wrong tries:");
    printf("  user PIN: locks after %u wrong tries in a row; the SO can reset it\n"
           "  SO PIN:   locks after %u wrong tries in a row; nobody can reset it\n",
           t->user_limit, t->so_limit);
    if (r->lockout_set)
        explain_code(r, saved);
    else if (r->lockout_foreign)
        out_words(stdout, 0,
                  "The TPM's lockout authorisation was set before by somebody else and was left "
                  "as it is: whoever knows it can reset the TPM-wide count of failures.");
    if (r->owner_set)
        explain_owner(r, saved);
    else if ((t->flags & STORE_TOKEN_OWNER) != 0)
        out_words(stdout, 0,
                  "The TPM's owner authorisation, which fusetsu set before, is kept by this token, "
                  "too.");
    if ((t->flags & STORE_TOKEN_WEAK_LOCKOUT) != 0 && !r->lockout_foreign)
        out_words(stdout, 0,
                  "WARNING: the TPM's lockout authorisation is empty and stays so, as asked for "
                  "with --weak-lockout. A thief of this machine can try PINs as fast as the TPM "
                  "answers.");
    if ((t->flags & STORE_TOKEN_DA_ONLY) != 0)
        out_words(stdout, 0,
                  "WARNING: this TPM has no PIN indices of its own. Wrong PINs count TPM-wide and "
                  "lock every user of the TPM.");
}

static int report_json(struct cli *c, const struct store_token *t, const struct token_report *r,
                       bool saved, struct err *e)
{
    json_t *doc = json_pack(
        "{s:o,s:s,s:i,s:i,s:b,s:b,s:b,s:b,s:b,s:b}", "label", out_json_text(t->label), "serial",
        t->serial, "user_tries", (int)t->user_limit, "so_tries", (int)t->so_limit, "lockout_set",
        (int)r->lockout_set, "lockout_foreign", (int)r->lockout_foreign, "weak_lockout",
        (t->flags & STORE_TOKEN_WEAK_LOCKOUT) != 0 ? 1 : 0, "da_only",
        (t->flags & STORE_TOKEN_DA_ONLY) != 0 ? 1 : 0, "owner_set", (int)r->owner_set, "owner_kept",
        (t->flags & STORE_TOKEN_OWNER) != 0 ? 1 : 0);
    bool failed = doc == NULL;

    if (!failed && r->lockout_set && !saved)
        failed = json_object_set_new(doc, "recovery_code", json_string(r->recovery_code)) != 0;
    if (!failed && r->owner_set && !saved)
        failed = json_object_set_new(doc, "owner_code", json_string(r->owner_code)) != 0;
    if (failed) {
        json_decref(doc);
        doc = NULL;
    }
    return cli_json(c, doc, e);
}

static int provision(struct cli *c, struct token_params *p, struct err *e)
{
    const char *recovery = cli_option(c, "recovery-file");
    struct token_report report = {0};
    struct store_token row;
    struct progress *wait = NULL;
    struct place at = {0};
    struct err unsaved = {0};
    bool saved;
    int rc = -1;

    if (place_tpm(c, &at.tpm, e) != 0 || place_store(c, STORE_CREATE, &at.store, e) != 0 ||
        owner_obtain(c, at.tpm, at.store, e) != 0)
        goto out;
    wait = progress_begin("making the token in the TPM");
    rc = token_provision(&at.token, at.tpm, at.store, p, &report, e);
    progress_end(wait);
    if (rc != 0)
        goto out;
    row = *token_row(at.token);
    saved = (report.lockout_set || report.owner_set) && recovery != NULL &&
            save_codes(recovery, &report, &unsaved) == 0;
    if (cli_flag(c, "json"))
        rc = report_json(c, &row, &report, saved, e);
    else
        explain(&row, &report, saved);
    if (unsaved.code != E_OK)
        rc = err_set(e, unsaved.code,
                     "the token is made, but %s; the recovery codes are on standard output instead",
                     unsaved.msg);
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

static int run(struct cli *c, struct err *e)
{
    struct token_params p = {.label = cli_option(c, "label"),
                             .weak_lockout = cli_flag(c, "weak-lockout"),
                             .own_tpm = cli_flag(c, "own-tpm")};
    const char *recovery = cli_option(c, "recovery-file");
    struct secret *so = NULL, *user = NULL;
    size_t len = strlen(p.label);
    int rc = -1;

    if (len < 1 || len > 32)
        return cli_misuse(e, "--label takes 1 to 32 bytes; this one has %zu", len);
    if (cli_number(c, "user-tries", 3, 32, 10, &p.user_tries, e) != 0 ||
        cli_number(c, "so-tries", 3, 32, 10, &p.so_tries, e) != 0)
        return -1;
    if (recovery != NULL && access(recovery, F_OK) == 0)
        return err_set(e, E_EXISTS,
                       "%s is there already and may hold another TPM's recovery code; name a new "
                       "file",
                       recovery);
    /* Asked first: the code is given once. */
    if (recovery != NULL && file_probe(recovery, e) != 0)
        return -1;
    if (check_label(c, p.label, e) != 0)
        return -1;
    if (pin_obtain(c, PIN_SO, "SO PIN", true, &so, e) != 0 ||
        pin_obtain(c, PIN_USER, "user PIN", true, &user, e) != 0)
        goto out;
    p.so_pin = secret_bytes(so);
    p.user_pin = secret_bytes(user);
    rc = provision(c, &p, e);
out:
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
    .about = "Makes a new token: PIN indices in the TPM's non-volatile memory and a row in the "
             "store. Other tokens are not touched. Where the TPM's lockout authorisation is empty "
             "a random one is set and shown once as a recovery code. On a machine whose TPM serves "
             "fusetsu alone --own-tpm sets the owner authorisation likewise; it is kept in the TPM "
             "under the SO PIN, shown once, and wanted from then on for making and erasing tokens.",
    .examples = "fusetsu token init --label gateway\n"
                "fusetsu token init --label gateway --so-pin-file so.pin --pin-file user.pin "
                "--recovery-file gateway.recovery\n"
                "fusetsu token init --label gateway --own-tpm --recovery-file gateway.recovery\n"
                "fusetsu token init --label second --owner-token gateway",
    .run = run,
};
