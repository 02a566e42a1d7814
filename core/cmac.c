#include "core/cmac.h"

#include "core/buf.h"
#include "core/secret.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK AESBLOCK_SIZE

struct cmac {
    bool failed;
    uint8_t chain[BLOCK];       /* C of 6.2, step 6 */
    uint8_t held[AESBLOCK_MAX]; /* not empty once there was input: the last block is special */
    size_t n_held;
};

struct cmac *cmac_begin(struct err *e)
{
    struct cmac *c = calloc(1, sizeof(*c));

    if (c == NULL)
        err_set(e, E_MEMORY, "out of memory for a CMAC");
    return c;
}

/* Chains what is held, whole blocks, and holds nothing then. */
static int chain(struct cmac *c, const struct aes_block *aes, struct err *e)
{
    if (c->failed)
        return err_set(e, E_ARG, "CMAC cannot go on after a failure");
    if (aes->cbc(aes->arg, c->chain, bytes_of(c->held, c->n_held), c->held, e) != 0) {
        c->failed = true;
        return -1;
    }
    c->n_held = 0;
    return 0;
}

int cmac_update(struct cmac *c, const struct aes_block *aes, struct bytes in, struct err *e)
{
    for (size_t done = 0, n; done < in.len; done += n) {
        /* Only when more follows: which block is the last is not known before. */
        if (c->n_held == sizeof(c->held) && chain(c, aes, e) != 0)
            return -1;
        n = sizeof(c->held) - c->n_held;
        n = in.len - done < n ? in.len - done : n;
        memcpy(c->held + c->n_held, in.p + done, n);
        c->n_held += n;
    }
    return 0;
}

/* Doubling in GF(2^128) (6.1, steps 2 and 3), in constant time. */
static void twice(uint8_t k[BLOCK])
{
    uint8_t carry = k[0] >> 7;

    for (size_t i = 0; i < BLOCK - 1; i++)
        k[i] = (uint8_t)(k[i] << 1 | k[i + 1] >> 7);
    k[BLOCK - 1] = (uint8_t)(k[BLOCK - 1] << 1 ^ (0x87 & -carry));
}

/* The last block under K1 when it is whole, else padded and under K2 (6.2, step 4). */
static void mark_last(struct cmac *c, uint8_t k[BLOCK])
{
    size_t start = c->n_held == 0 ? 0 : (c->n_held - 1) / BLOCK * BLOCK;

    twice(k);
    if (c->n_held - start != BLOCK) {
        twice(k);
        memset(c->held + c->n_held, 0, start + BLOCK - c->n_held);
        c->held[c->n_held] = 0x80;
    }
    c->n_held = start + BLOCK;
    for (size_t i = 0; i < BLOCK; i++)
        c->held[start + i] ^= k[i];
}

int cmac_end(struct cmac *c, const struct aes_block *aes, uint8_t mac[16], struct err *e)
{
    uint8_t k[BLOCK] = {0}, iv[BLOCK] = {0};
    int rc = -1;

    /* L = E(0): one block of CBC from an IV of zeros. */
    if (!c->failed && aes->cbc(aes->arg, iv, bytes_of(k, BLOCK), k, e) != 0)
        goto out;
    mark_last(c, k);
    if (chain(c, aes, e) != 0)
        goto out;
    memcpy(mac, c->chain, BLOCK);
    rc = 0;
out:
    secret_wipe(k, sizeof(k));
    secret_wipe(iv, sizeof(iv));
    cmac_abort(c);
    return rc;
}

void cmac_abort(struct cmac *c)
{
    if (c == NULL)
        return;
    secret_wipe(c, sizeof(*c));
    free(c);
}
