#include "core/hmac.h"

#include "core/buf.h"
#include "core/hash.h"
#include "core/secret.h"

#include <stdlib.h>
#include <string.h>

/* RFC 2104, 2. */
#define IPAD 0x36
#define OPAD 0x5c

/* Both digests have taken in their padded key already. */
struct hmac {
    struct hash *inner, *outer;
};

static struct hash *padded(const struct alg_hash *h, const uint8_t *key, uint8_t pad, struct err *e)
{
    struct hash *c = hash_begin(h, e);
    uint8_t block[ALG_MAX_BLOCK];

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    if (c != NULL && hash_update(c, bytes_of(block, alg_hash_block(h)), e) != 0) {
        hash_abort(c);
        c = NULL;
    }
    secret_wipe(block, sizeof(block));
    return c;
}

struct hmac *hmac_begin(const struct alg_hash *h, struct bytes key, struct err *e)
{
    struct hmac *c = calloc(1, sizeof(*c));
    uint8_t block[ALG_MAX_BLOCK] = {0};

    if (c == NULL) {
        err_set(e, E_MEMORY, "out of memory for an HMAC");
        return NULL;
    }
    /* A key that is longer than a block is hashed first. */
    if (key.len > alg_hash_block(h)) {
        if (hash_digest(h, key, block, e) != 0)
            goto fail;
    } else if (key.len != 0) {
        memcpy(block, key.p, key.len);
    }
    c->inner = padded(h, block, IPAD, e);
    c->outer = padded(h, block, OPAD, e);
    if (c->inner == NULL || c->outer == NULL)
        goto fail;
    secret_wipe(block, sizeof(block));
    return c;
fail:
    secret_wipe(block, sizeof(block));
    hmac_abort(c);
    return NULL;
}

int hmac_update(struct hmac *c, struct bytes in, struct err *e)
{
    return hash_update(c->inner, in, e);
}

int hmac_end(struct hmac *c, uint8_t *out, struct err *e)
{
    size_t size = hash_algorithm(c->inner)->size;
    uint8_t digest[ALG_MAX_DIGEST];
    int rc = hash_end(c->inner, digest, e);

    c->inner = NULL;
    if (rc == 0 && (rc = hash_update(c->outer, bytes_of(digest, size), e)) == 0) {
        rc = hash_end(c->outer, out, e);
        c->outer = NULL;
    }
    secret_wipe(digest, sizeof(digest));
    hmac_abort(c);
    return rc;
}

void hmac_abort(struct hmac *c)
{
    if (c == NULL)
        return;
    hash_abort(c->inner);
    hash_abort(c->outer);
    free(c);
}
