#include "cli/cakeys.h"

#include "cli/keyring.h"
#include "core/oid.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

struct cakeys {
    struct cli *c;
    struct keyring *ring;
    unsigned use; /* KEYRING_WRITE, or nothing */
};

struct cakeys *cakeys_new(struct cli *c, struct err *e)
{
    struct cakeys *k = calloc(1, sizeof(*k));

    if (k == NULL)
        err_set(e, E_MEMORY, "out of memory");
    else
        k->c = c;
    return k;
}

void cakeys_free(struct cakeys *k)
{
    if (k == NULL)
        return;
    keyring_close(k->ring);
    free(k);
}

int cakeys_seed(struct keyring *ring, struct err *e)
{
    uint8_t drawn[32];
    struct token *t = NULL;
    int rc = -1;

    if (keyring_token(ring, &t, e) != 0)
        return -1;
    if (tpm_random(token_tpm(t), drawn, sizeof(drawn), e) == 0) {
        RAND_add(drawn, sizeof(drawn), sizeof(drawn));
        rc = 0;
    } else {
        err_prefix(e, "the TPM gave no random bytes for serial numbers, so nothing is signed");
    }
    OPENSSL_cleanse(drawn, sizeof(drawn));
    return rc;
}

static int open_ring(struct cakeys *k, const char *token, struct err *e)
{
    const struct store_token *row;

    if (k->ring == NULL) {
        if (keyring_open_named(&k->ring, k->c, token, KEYRING_LOGIN | k->use, e) != 0)
            return -1;
        if (cakeys_seed(k->ring, e) == 0)
            return 0;
        keyring_close(k->ring);
        k->ring = NULL;
        return -1;
    }
    row = keyring_row(k->ring);
    if (strcmp(row->serial, token) == 0 || strcmp(row->label, token) == 0)
        return 0;
    return err_set(e, E_UNSUPPORTED,
                   "this needs CA keys of two tokens, %s and %s, and one run can open one; keep "
                   "the keys that work together in one token",
                   row->serial, token);
}

int cakeys_ring(struct cakeys *k, const char *token, struct keyring **out, struct err *e)
{
    if (k->ring == NULL)
        k->use = KEYRING_WRITE;
    if (open_ring(k, token, e) != 0)
        return -1;
    *out = k->ring;
    return 0;
}

int cakeys_open(struct cakeys *k, const struct registry_key *key, struct signer **out,
                struct err *e)
{
    struct keyring_wanted w = {.id = {key->id, key->id_len}};
    struct keyring_object object = {0};
    struct store_key blob = {0};
    struct token *t = NULL;
    int rc = -1;

    if (open_ring(k, key->token, e) == 0 &&
        keyring_find(k->ring, CKO_PRIVATE_KEY, &w, &object, e) == 0 &&
        keyring_blob(k->ring, &object, &blob, e) == 0 && keyring_token(k->ring, &t, e) == 0)
        rc = token_signer(t, &blob, out, e);
    store_key_free(&blob);
    keyring_object_free(&object);
    return rc;
}

int cakeys_signer(void *ctx, enum registry_role role, unsigned community,
                  const struct registry_key *key, struct signer **out, struct err *e)
{
    int rc = cakeys_open(ctx, key, out, e);

    if (rc != 0)
        err_prefix(e, "the %s CA's key%s%s", registry_role_name(role),
                   community != 0 ? " for " : "",
                   community != 0 ? oid_community_name(community) : "");
    return rc;
}
