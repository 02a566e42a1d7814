#include "tpm/token_priv.h"

#include <stdlib.h>
#include <string.h>

/* core/signer.h over a key of a token. */
struct token_signer {
    struct signer base; /* first */
    struct token *token;
    struct store_key key;
};

static int sign(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                struct bytes digest, uint8_t *sig, struct err *e)
{
    struct token_signer *ts = (struct token_signer *)(void *)s;
    struct token_sign what = {.scheme = scheme,
                              .hash = hash,
                              .mgf = hash,
                              .digest = digest,
                              .salt = hash != NULL ? (int)hash->size : 0};

    return token_sign(ts->token, &ts->key, &what, sig, e);
}

static void done(struct signer *s)
{
    struct token_signer *ts = (struct token_signer *)(void *)s;

    store_key_free(&ts->key);
    free(ts);
}

int token_signer(struct token *k, const struct store_key *key, struct signer **out, struct err *e)
{
    struct token_signer *ts = calloc(1, sizeof(*ts));

    if (ts == NULL)
        return err_set(e, E_MEMORY, "out of memory for a signer");
    ts->base.sign = sign;
    ts->base.free = done;
    ts->token = k;
    ts->key = *key;
    ts->key.public = (struct buf){0};
    ts->key.private = (struct buf){0};
    ts->key.creation = (struct buf){0};
    buf_add_bytes(&ts->key.public, buf_bytes(&key->public));
    buf_add_bytes(&ts->key.private, buf_bytes(&key->private));
    buf_add_bytes(&ts->key.creation, buf_bytes(&key->creation));
    if (buf_ok(&ts->key.public, e) != 0 || buf_ok(&ts->key.private, e) != 0 ||
        buf_ok(&ts->key.creation, e) != 0 || token_key_public(key, &ts->base.pub, e) != 0) {
        done(&ts->base);
        return -1;
    }
    *out = &ts->base;
    return 0;
}
