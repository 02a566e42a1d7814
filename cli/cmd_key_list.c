#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/listing.h"
#include "cli/out.h"

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

static int add(struct listing *l, const struct lists *all, const struct keyring_object *key,
               struct err *e)
{
    bool cert = has_cert(all, key);
    char id[2 * KEYRING_ID_MAX + 1];
    struct pubkey pub;
    const char *type = type_of(key, &pub);

    hex_encode(id, key->id, key->id_len);
    return listing_row(l, (const char *[]){key->label, type, cert ? "yes" : "no", id},
                       json_pack("{s:o,s:s,s:s,s:b}", "label", out_json_text(key->label), "id", id,
                                 "type", type, "certificate", cert ? 1 : 0),
                       e);
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"LABEL", "TYPE", "CERTIFICATE", "ID"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    struct keyring *k = NULL;
    struct lists all = {0};
    int rc = -1;

    if (l != NULL && keyring_open(&k, c, KEYRING_LOOK, e) == 0 &&
        keyring_list(k, CKO_PUBLIC_KEY, &all.key, &all.n_key, e) == 0)
        rc = keyring_list(k, CKO_CERTIFICATE, &all.cert, &all.n_cert, e);
    for (size_t i = 0; rc == 0 && i < all.n_key; i++)
        rc = add(l, &all, &all.key[i], e);
    if (rc == 0)
        rc = listing_print(l, "The token holds no key; make one with `fusetsu key generate`.", e);
    keyring_objects_free(all.key, all.n_key);
    keyring_objects_free(all.cert, all.n_cert);
    keyring_close(k);
    listing_free(l);
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
