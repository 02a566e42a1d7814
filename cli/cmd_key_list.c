#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"

#include <stdio.h>

struct lists {
    struct keyring_object *key, *cert;
    size_t n_key, n_cert;
};

static bool has_cert(const struct lists *l, const struct keyring_object *key)
{
    for (size_t i = 0; i < l->n_cert; i++) {
        if (key->id_len != 0 &&
            bytes_equal(bytes_of(key->id, key->id_len), bytes_of(l->cert[i].id, l->cert[i].id_len)))
            return true;
    }
    return false;
}

static const char *type_of(const struct keyring_object *key, struct pubkey *pub)
{
    struct err ignored = {0}; /* a key of a kind that we do not know is listed all the same */

    if (key->value.len == 0 || pubkey_from_spki(pub, buf_bytes(&key->value), &ignored) != 0)
        return "unknown";
    return pubkey_name(pub);
}

static int list_json(struct cli *c, const struct lists *l, struct err *e)
{
    json_t *all = json_array();
    struct pubkey pub;

    for (size_t i = 0; all != NULL && i < l->n_key; i++) {
        const struct keyring_object *key = &l->key[i];
        json_t *row = json_pack("{s:o,s:o,s:s,s:b}", "label", out_json_text(key->label), "id",
                                out_json_hex(bytes_of(key->id, key->id_len)), "type",
                                type_of(key, &pub), "certificate", has_cert(l, key) ? 1 : 0);

        if (json_array_append_new(all, row) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return cli_json(c, all, e);
}

static int list_words(const struct lists *l, struct err *e)
{
    static const char *const heads[] = {"LABEL", "TYPE", "CERTIFICATE", "ID"};
    struct out_table *table;
    struct pubkey pub;
    int rc = -1;

    if (l->n_key == 0) {
        printf("The token holds no key; make one with `fusetsu key generate`.\n");
        return 0;
    }
    table = out_table_new(heads, ARRAY_LEN(heads), e);
    if (table == NULL)
        return -1;
    for (size_t i = 0; i < l->n_key; i++) {
        const struct keyring_object *key = &l->key[i];
        char id[2 * KEYRING_ID_MAX + 1];

        hex_encode(id, key->id, key->id_len);
        if (out_table_row(table,
                          (const char *[]){key->label, type_of(key, &pub),
                                           has_cert(l, key) ? "yes" : "no", id},
                          e) != 0)
            goto out;
    }
    out_table_print(table, stdout);
    rc = 0;
out:
    out_table_free(table);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct keyring *k = NULL;
    struct lists l = {0};
    int rc = -1;

    if (keyring_open(&k, c, KEYRING_LOOK, e) == 0 &&
        keyring_list(k, CKO_PUBLIC_KEY, &l.key, &l.n_key, e) == 0 &&
        keyring_list(k, CKO_CERTIFICATE, &l.cert, &l.n_cert, e) == 0)
        rc = cli_flag(c, "json") ? list_json(c, &l, e) : list_words(&l, e);
    keyring_objects_free(l.key, l.n_key);
    keyring_objects_free(l.cert, l.n_cert);
    keyring_close(k);
    return rc;
}

const struct cli_command cmd_key_list = {
    .group = "key",
    .name = "list",
    .shared = CLI_TOKEN | CLI_JSON,
    .summary = "list the keys of a token",
    .about = "Lists the key pairs of a token by their public halves. Needs no PIN and sends "
             "nothing to the TPM; a pair whose public half was made private is not shown.",
    .examples = "fusetsu key list --token gateway\nfusetsu key list --json",
    .run = run,
};
