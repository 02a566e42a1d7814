#include "cli/commands.h"
#include "cli/inside.h"
#include "cli/out.h"
#include "cli/pin.h"
#include "cli/place.h"
#include "core/file.h"
#include "core/store_backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    {"replace", NULL, "put it in the place of the same token, which is in the store", false},
    {"yes", NULL, "with --replace: do it; without this only say what would be lost", false},
    {0},
};

/* What one restoration works with. */
struct visit {
    struct store_backup *backup;
    struct tpm *tpm;
    struct store *store;      /* where it goes to; NULL while there is none */
    bool there;               /* the token is in it ... */
    struct store_token known; /* ... so */
    struct store *scratch;
    struct token *token; /* in there, to log in to */
};

static void end_visit(struct visit *v)
{
    token_free(v->token);
    store_close(v->scratch);
    store_close(v->store);
    tpm_free(v->tpm);
    store_backup_free(v->backup);
}

static int read_backup(struct visit *v, const char *path, struct err *e)
{
    struct buf file = {0};
    int rc = -1;

    if (file_read(path, STORE_BACKUP_MAX, &file, e) == 0)
        rc = store_backup_read(&v->backup, buf_bytes(&file),
                               strcmp(path, "-") == 0 ? "from standard input" : path, e);
    buf_free(&file);
    return rc;
}

/* Before a PIN is asked for: it would be proved to that TPM. */
static int check_tpm(struct cli *c, struct visit *v, struct err *e)
{
    const struct store_token *t = store_backup_token(v->backup);
    struct inside in;

    if (place_tpm(c, &v->tpm, e) != 0 ||
        inside_look(v->tpm, store_backup_tpm(v->backup), t, &in, e) != 0)
        return -1;
    tpm_release(v->tpm);
    if (inside_whole(&in))
        return 0;
    if (in.primary == INSIDE_SAME || inside_home(&in))
        return err_set(
            e, E_NOT_FOUND,
            "token %s (serial %s) was erased or set up anew in this TPM since the backup "
            "was made, or its primary is missing: its keys are of no use here; `fusetsu "
            "doctor` says more",
            t->label, t->serial);
    return err_set(e, E_NOT_FOUND,
                   "this is a backup of token %s (serial %s) in another TPM, or in this one before "
                   "it was cleared; restore it on the machine with that TPM: no other can load its "
                   "keys",
                   t->label, t->serial);
}

static int find_known(struct visit *v, struct err *e)
{
    const struct store_token *t = store_backup_token(v->backup);
    struct store_token *list = NULL;
    size_t n = 0;

    if (store_token_list(v->store, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].serial, t->serial) == 0) {
            v->known = list[i];
            v->there = true;
        }
    }
    free(list);
    return 0;
}

/* Is the token in the store already? A store that is not there yet is fine. */
static int look_at_store(struct cli *c, struct visit *v, struct err *e)
{
    struct err why = {0};

    if (place_store(c, STORE_READ, &v->store, &why) != 0)
        return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    if (find_known(v, e) != 0)
        return -1;
    if (v->there && (v->known.flags & STORE_TOKEN_INCOMPLETE) != 0)
        return err_set(e, E_EXISTS,
                       "token %s (serial %s) is being erased, or was never completed; finish that "
                       "with `fusetsu token erase`",
                       v->known.label, v->known.serial);
    if (v->there && !cli_flag(c, "replace"))
        return err_set(e, E_EXISTS,
                       "token %s (serial %s) is in the store %s already; --replace says what would "
                       "be lost by putting the backup in its place",
                       v->known.label, v->known.serial, store_path(v->store));
    return 0;
}

static int say_what(const struct visit *v, struct err *e)
{
    struct store_backup_size old = store_backup_size(v->backup), now;

    if (store_backup_count(v->store, v->known.id, &now, e) != 0)
        return -1;
    printf("This would replace token \"");
    out_text(stdout, v->known.label);
    printf("\" (serial %s):\n", v->known.serial);
    printf("  in the store now:  %zu keys, %zu objects\n", now.keys, now.objects);
    printf("  in the backup:     %zu keys, %zu objects\n", old.keys, old.objects);
    printf("Keys and certificates that were added since the backup are then lost for good, and\n"
           "those that were deleted since come back. The PINs stay as they are now.\n"
           "Nothing was done. Add --yes to do it.\n");
    return 0;
}

/* Opens the store for writing, made if need be, and keeps erasures out from here on. */
static int open_store(struct cli *c, struct visit *v, struct err *e)
{
    store_close(v->store);
    v->store = NULL;
    v->there = false;
    if (place_store(c, STORE_CREATE, &v->store, e) != 0 || store_hold(v->store, e) != 0)
        return -1;
    return find_known(v, e);
}

/* The token's own store learns what became of the PIN, too. */
static void note_login(struct visit *v)
{
    const struct store_token *row = token_row(v->token);
    const struct store_note note = {.set = row->flags & ~v->known.flags,
                                    .clear = v->known.flags & ~row->flags,
                                    .user_fails = &row->user_fails};

    /* In vain: the TPM counts all the same. */
    if (v->there && store_token_note(v->store, &v->known, &note, NULL) != 0)
        v->there = false;
}

static int login(struct visit *v, struct bytes pin, struct err *e)
{
    int64_t id = 0;

    if (store_backup_scratch(v->backup, v->there ? &v->known : NULL, &v->scratch, &id, e) != 0 ||
        token_open(&v->token, v->tpm, v->scratch, id, e) != 0)
        return -1;
    if (token_login(v->token, TOKEN_USER, pin, e) != 0) {
        note_login(v);
        if (v->there)
            pin_tries_left(e, "user PIN", token_row(v->token)->user_fails,
                           token_row(v->token)->user_limit);
        return -1;
    }
    note_login(v);
    return store_backup_verify(v->backup, v->scratch, id, token_seal(v->token), e);
}

static void say_done(const struct visit *v)
{
    struct store_backup_size n = store_backup_size(v->backup);

    printf("Token \"");
    out_text(stdout, token_row(v->token)->label);
    printf("\" (serial %s) is in ", token_row(v->token)->serial);
    out_text(stdout, store_path(v->store));
    printf(": %zu keys and %zu objects, all verified.\n", n.keys, n.objects);
    out_para(stdout, "Keys that were deleted after the backup are there again: delete them again. "
                     "The PINs are those of now, not of then.");
}

static int run(struct cli *c, struct err *e)
{
    struct secret *pin = NULL;
    struct visit v = {0};
    int rc = -1;

    if (cli_flag(c, "yes") && !cli_flag(c, "replace"))
        return cli_misuse(e, "--yes belongs to --replace; a token that is not in the store is "
                             "restored without it");
    if (read_backup(&v, cli_arg(c, 0), e) != 0 || check_tpm(c, &v, e) != 0 ||
        look_at_store(c, &v, e) != 0)
        goto out;
    if (v.there && !cli_flag(c, "yes")) {
        rc = say_what(&v, e);
        goto out;
    }
    if (pin_obtain(c, PIN_USER, "user PIN", false, &pin, e) != 0 || open_store(c, &v, e) != 0 ||
        login(&v, secret_bytes(pin), e) != 0 ||
        store_backup_install(v.backup, v.store, token_row(v.token), cli_flag(c, "replace"), e) != 0)
        goto out;
    say_done(&v);
    rc = 0;
out:
    secret_free(pin);
    end_visit(&v);
    return rc;
}

const struct cli_command cmd_token_restore = {
    .group = "token",
    .name = "restore",
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .shared = CLI_USER_PIN,
    .options = options,
    .summary = "bring a token back from its backup",
    .about = "Puts the token of a backup into the store again, on the machine with the TPM that it "
             "was made in; any other TPM is refused. Asks the user PIN, as it is now, and verifies "
             "every row by it before anything is written. Keys that were deleted after the backup "
             "come back; an old PIN does not, for PINs live in the TPM.",
    .examples = "fusetsu token restore gateway.backup\n"
                "fusetsu token restore gateway.backup --replace\n"
                "fusetsu token restore gateway.backup --replace --yes",
    .run = run,
};
