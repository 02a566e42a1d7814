#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"label", "TEXT", "the key's label", false},
    {"id", "HEX", "the key's id", false},
    {"yes", NULL, "do it; without this only say what would be destroyed", false},
    {0},
};

static void say(const char *before, const struct keyring_object *key, const char *after)
{
    printf("%s\"", before);
    out_text(stdout, key->label);
    printf("\" (id ");
    for (size_t i = 0; i < key->id_len; i++)
        printf("%02x", key->id[i]);
    printf(")%s\n", after);
}

/* A pair; or the public half that a deletion left which was cut short. */
static int choose(struct cli *c, struct keyring *k, struct keyring_object *key, struct err *e)
{
    struct err why = {0}, ignored = {0};

    if (keyring_choose(k, c, CKO_PRIVATE_KEY, "label", key, &why) == 0 ||
        (why.code == E_NOT_FOUND &&
         keyring_choose(k, c, CKO_PUBLIC_KEY, "label", key, &ignored) == 0))
        return 0;
    err_take(e, &why);
    return -1;
}

static int run(struct cli *c, struct err *e)
{
    struct keyring_object key = {0};
    struct keyring *k = NULL;
    int rc = -1;

    /* Said before a PIN is asked for. */
    if (cli_option(c, "label") == NULL && cli_option(c, "id") == NULL &&
        cli_option(c, "uri") == NULL)
        return cli_misuse(e, "which key? name it with --label LABEL or --id HEX or in --uri");
    if (keyring_open(&k, c, KEYRING_LOGIN | KEYRING_WRITE, e) != 0 || choose(c, k, &key, e) != 0)
        goto out;
    if (!cli_flag(c, "yes")) {
        say("This would destroy key ", &key, " for good. Nothing was done. Add --yes to do it.");
        rc = 0;
        goto out;
    }
    if (keyring_destroy_pair(k, &key, e) != 0)
        goto out;
    say("Key ", &key, " is deleted. Certificates for it stay.");
    rc = 0;
out:
    keyring_object_free(&key);
    keyring_close(k);
    return rc;
}

const struct cli_command cmd_key_delete = {
    .group = "key",
    .name = "delete",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "destroy a key pair",
    .about = "Destroys a key pair. Without --yes it only says which, asking for the user PIN all "
             "the same. An old copy of the store "
             "together with the present PIN could still use the key; erase the token to rule that "
             "out.",
    .examples = "fusetsu key delete --token gateway --label tls\n"
                "fusetsu key delete --token gateway --label tls --yes",
    .run = run,
};
