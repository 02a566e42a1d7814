#include "pkcs11/op_priv.h"

#include <stdlib.h>

#include "core/cmac.h"
#include "core/hmac.h"
#include "core/secret.h"
#include "pkcs11/fail.h"

/*
 * HMAC (2.40 mechanisms, 2.14 and on) and AES-CMAC (2.12): signing and verifying are the
 * same. The TPM sees all of the data where the key is in it.
 *
 * A TPM's HMAC takes its message at once, or in a sequence that would occupy a slot of the
 * chip between C_* calls: so the parts are gathered here. CMAC goes by blocks of CBC.
 */

struct mac {
    const struct alg_hash *hash;
    size_t len;         /* of the MAC as the caller wants it */
    struct hmac *soft;  /* HMAC by a key in memory */
    struct buf message; /* HMAC by a key in the TPM */
    struct cmac *cmac;
};

static void end(struct op *op)
{
    struct mac *m = op->state;

    if (m == NULL)
        return;
    hmac_abort(m->soft);
    cmac_abort(m->cmac);
    buf_free(&m->message);
    free(m);
    op->state = NULL;
}

static struct mac *new_mac(struct op *op, const struct mech_params *p, size_t whole)
{
    struct mac *m = calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    op->state = m;
    m->hash = p->hash;
    m->len = p->mac_len != 0 ? p->mac_len : whole;
    m->message.secret = true;
    return m;
}

static enum ckr_during during(const struct op *op)
{
    return op->kind == OP_SIGN ? CKR_DURING_SIGN : CKR_DURING_ANY;
}

static size_t length(const struct op *op, size_t in, bool last)
{
    const struct mac *m = op->state;

    (void)in;
    return last ? m->len : 0;
}

/* --- HMAC ---------------------------------------------------------------- */

static CK_RV begin_hmac(struct op *op, const struct mech_params *p)
{
    struct mac *m = new_mac(op, p, p->hash->size);
    struct keyuse u;
    CK_RV rv;

    if (m == NULL)
        return CKR_HOST_MEMORY;
    rv = op_use(op, &u);
    if (rv != CKR_OK || u.key != NULL)
        return rv;
    m->soft = hmac_begin(p->hash, u.value, NULL);
    return m->soft != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV feed_hmac(struct op *op, struct bytes in, struct buf *out)
{
    struct mac *m = op->state;

    (void)out;
    if (m->soft != NULL)
        return hmac_update(m->soft, in, NULL) == 0 ? CKR_OK : CKR_FUNCTION_FAILED;
    if (m->message.len + in.len > OP_MAX_INPUT)
        return CKR_DATA_LEN_RANGE;
    buf_add_bytes(&m->message, in);
    return m->message.bad ? CKR_HOST_MEMORY : CKR_OK;
}

static CK_RV make_hmac(struct op *op, uint8_t mac[ALG_MAX_DIGEST])
{
    struct mac *m = op->state;
    struct hmac *soft = m->soft;
    struct bytes message = buf_bytes(&m->message);
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = op_use(op, &u);

    if (rv != CKR_OK)
        return rv;
    m->soft = NULL;
    if ((soft != NULL ? hmac_end(soft, mac, &e) : keyuse_hmac(&u, m->hash, &message, 1, mac, &e)) !=
        0)
        return fail_rv(&e, during(op));
    return CKR_OK;
}

/* --- CMAC ---------------------------------------------------------------- */

static CK_RV begin_cmac(struct op *op, const struct mech_params *p)
{
    struct mac *m = new_mac(op, p, TOKEN_BLOCK);

    if (m == NULL)
        return CKR_HOST_MEMORY;
    m->cmac = cmac_begin(NULL);
    return m->cmac != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV feed_cmac(struct op *op, struct bytes in, struct buf *out)
{
    struct mac *m = op->state;
    struct aes_block aes;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = op_use(op, &u);

    (void)out;
    if (rv != CKR_OK)
        return rv;
    aes = keyuse_block(&u);
    return cmac_update(m->cmac, &aes, in, &e) == 0 ? CKR_OK : fail_rv(&e, during(op));
}

static CK_RV make_cmac(struct op *op, uint8_t mac[ALG_MAX_DIGEST])
{
    struct mac *m = op->state;
    struct cmac *c = m->cmac;
    struct aes_block aes;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = op_use(op, &u);

    if (rv != CKR_OK)
        return rv;
    aes = keyuse_block(&u);
    m->cmac = NULL;
    return cmac_end(c, &aes, mac, &e) == 0 ? CKR_OK : fail_rv(&e, during(op));
}

/* --- both ---------------------------------------------------------------- */

static CK_RV make(struct op *op, uint8_t mac[ALG_MAX_DIGEST])
{
    return op->mech->family == MECH_HMAC ? make_hmac(op, mac) : make_cmac(op, mac);
}

static CK_RV finish(struct op *op, struct buf *out)
{
    const struct mac *m = op->state;
    uint8_t mac[ALG_MAX_DIGEST];
    CK_RV rv = make(op, mac);

    if (rv == CKR_OK)
        buf_add(out, mac, m->len);
    return rv;
}

static CK_RV check(struct op *op, struct bytes sig)
{
    const struct mac *m = op->state;
    uint8_t mac[ALG_MAX_DIGEST];
    CK_RV rv = make(op, mac);

    if (rv == CKR_OK && sig.len != m->len)
        rv = CKR_SIGNATURE_LEN_RANGE;
    if (rv == CKR_OK && !bytes_equal(bytes_of(mac, m->len), sig))
        rv = CKR_SIGNATURE_INVALID;
    secret_wipe(mac, sizeof(mac));
    return rv;
}

const struct family family_hmac = {.begin = begin_hmac,
                                   .feed = feed_hmac,
                                   .finish = finish,
                                   .check = check,
                                   .length = length,
                                   .end = end};
const struct family family_cmac = {.begin = begin_cmac,
                                   .feed = feed_cmac,
                                   .finish = finish,
                                   .check = check,
                                   .length = length,
                                   .end = end};
