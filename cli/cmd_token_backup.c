#include "cli/commands.h"
#include "cli/out.h"
#include "cli/pin.h"
#include "cli/place.h"
#include "core/file.h"
#include "core/store_backup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct cli_option options[] = {
    {"out", "FILE", "where to write the backup (mode 0600); - is standard output", true},
    {0},
};

/* What lies there is another's, unless it is an older backup. */
static int check_target(const char *path, struct err *e)
{
    struct buf head = {0};
    struct stat st;
    int rc = 0;

    if (strcmp(path, "-") == 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return file_probe(path, e);
    if (file_read(path, STORE_BACKUP_MAX, &head, NULL) != 0 || !store_backup_is(buf_bytes(&head)))
        rc = err_set(e, E_EXISTS, "%s is there and is no backup; choose another name", path);
    buf_free(&head);
    return rc == 0 ? file_probe(path, e) : -1;
}

/* A store that can only be read, from a dying disk say, is the more worth a backup; the
 * count of a wrong PIN is then not noted in it. */
static int open_place(struct cli *c, struct place *at, struct err *e)
{
    struct store_token row;
    struct err why = {0};

    if (place_store(c, STORE_WRITE, &at->store, &why) != 0 &&
        (why.code != E_DENIED || place_store(c, STORE_READ, &at->store, e) != 0 ||
         store_guarded(at->store, e) != 0))
        return err_take(e, &why);
    if (place_row(c, at->store, &row, e) != 0 || place_tpm(c, &at->tpm, e) != 0)
        return -1;
    return token_open(&at->token, at->tpm, at->store, row.id, e);
}

static void say(const struct store_token *t, const struct store_backup_size *n, const char *path)
{
    printf("Token \"");
    out_text(stdout, t->label);
    printf("\" (serial %s), %zu keys and %zu objects, is in ", t->serial, n->keys, n->objects);
    out_text(stdout, path);
    printf(".\n");
    out_para(stdout,
             "It is of use with this TPM only: `fusetsu token restore` brings it back when the "
             "store is lost and the TPM is not. It holds no PIN. Keys that are deleted from now on "
             "come back with it, for whoever has the PIN of that day; an old PIN does not come "
             "back. Keys that are made from now on are not in it.");
}

static int run(struct cli *c, struct err *e)
{
    const char *path = cli_option(c, "out");
    struct store_backup_size n = {0};
    struct secret *pin = NULL;
    struct place at = {0};
    struct buf file = {0};
    int rc = -1;

    if (open_place(c, &at, e) != 0 || check_target(path, e) != 0 ||
        pin_obtain(c, PIN_USER, "user PIN", false, &pin, e) != 0)
        goto out;
    if (token_login(at.token, TOKEN_USER, secret_bytes(pin), e) != 0) {
        pin_tries_left(e, "user PIN", token_row(at.token)->user_fails,
                       token_row(at.token)->user_limit);
        goto out;
    }
    if (store_backup_write(at.store, token_row(at.token)->id, token_seal(at.token), true, &file, &n,
                           e) != 0 ||
        file_write(path, buf_bytes(&file), 0600, e) != 0)
        goto out;
    if (strcmp(path, "-") != 0)
        say(token_row(at.token), &n, path);
    rc = 0;
out:
    secret_free(pin);
    buf_free(&file);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_token_backup = {
    .group = "token",
    .name = "backup",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "write what the store has of a token to a file",
    .about =
        "Writes the token's keys, wrapped as they are for this TPM, its certificates and other "
        "objects to one file, for the day when the disk dies and the TPM lives. Asks the user "
        "PIN, so that every row is verified first and the file is authenticated. A file of "
        "the same name is replaced when it is a backup.",
    .examples = "fusetsu token backup --token gateway --out gateway.backup\n"
                "fusetsu token backup --token gateway --pin-file user.pin --out gateway.backup",
    .run = run,
};
