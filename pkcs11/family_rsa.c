#include "pkcs11/op_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "pkcs11/fail.h"
#include "tpm/crypt.h"

/*
 * RSA encryption and decryption, and signatures that carry their data (2.40 mechanisms,
 * 2.1.6 to 2.1.9): one part each. Public operations in software, private ones by the TPM.
 */

struct rsa {
    const struct alg_hash *hash, *mgf; /* OAEP */
    struct buf label;
    uint8_t in[PUBKEY_MAX_RSA];
    size_t len;
};

static void end(struct op *op)
{
    struct rsa *r = op->state;

    if (r == NULL)
        return;
    buf_free(&r->label);
    secret_wipe(r, sizeof(*r));
    free(r);
    op->state = NULL;
}

static CK_RV begin(struct op *op, const struct mech_params *p)
{
    struct rsa *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return CKR_HOST_MEMORY;
    op->state = r;
    op->single = true;
    r->hash = p->hash;
    r->mgf = p->mgf;
    buf_add_bytes(&r->label, p->label);
    if (r->label.bad)
        return CKR_HOST_MEMORY;
    /* RFC 8017, 7.1.1 step 1b: something must fit between the hashes. */
    if (op->mech->family == MECH_OAEP && 2 * p->hash->size + 2 > op->pub.n_len)
        return CKR_MECHANISM_PARAM_INVALID;
    return CKR_OK;
}

/* The longest message that the padding leaves room for. */
static size_t most(const struct op *op)
{
    const struct rsa *r = op->state;

    switch (op->mech->family) {
    case MECH_OAEP: return op->pub.n_len - 2 * r->hash->size - 2;
    case MECH_X509: return op->pub.n_len;
    default: return op->pub.n_len > 11 ? (size_t)op->pub.n_len - 11 : 0;
    }
}

static CK_RV take(struct rsa *r, struct bytes in, size_t max, CK_RV too_long)
{
    if (in.len > max || r->len > max - in.len)
        return too_long;
    if (in.len != 0)
        memcpy(&r->in[r->len], in.p, in.len);
    r->len += in.len;
    return CKR_OK;
}

static CK_RV feed_plain(struct op *op, struct bytes in, struct buf *out)
{
    (void)out;
    return take(op->state, in, most(op), CKR_DATA_LEN_RANGE);
}

static CK_RV feed_cipher(struct op *op, struct bytes in, struct buf *out)
{
    (void)out;
    return take(op->state, in, op->pub.n_len, CKR_ENCRYPTED_DATA_LEN_RANGE);
}

static CK_RV feed_signature(struct op *op, struct bytes in, struct buf *out)
{
    (void)out;
    return take(op->state, in, op->pub.n_len, CKR_SIGNATURE_LEN_RANGE);
}

/* 2.1.8: a number shorter than the modulus is padded with zeros in front, and must be
 * below it. */
static bool as_number(const struct op *op, struct rsa *r)
{
    size_t n = op->pub.n_len, gap = n - r->len;

    memmove(&r->in[gap], r->in, r->len);
    memset(r->in, 0, gap);
    r->len = n;
    return memcmp(r->in, op->pub.n, n) < 0;
}

static CK_RV encrypt(struct op *op, struct buf *out)
{
    struct rsa *r = op->state;
    uint8_t block[PUBKEY_MAX_RSA];
    struct err e = {0};
    int bad;

    if (op->mech->family == MECH_X509 && !as_number(op, r))
        return CKR_DATA_INVALID;
    switch (op->mech->family) {
    case MECH_X509: bad = pubkey_rsa_raw(&op->pub, bytes_of(r->in, r->len), block, &e); break;
    case MECH_OAEP:
        bad = pubkey_encrypt_oaep(&op->pub, r->hash, r->mgf, buf_bytes(&r->label),
                                  bytes_of(r->in, r->len), block, &e);
        break;
    default: bad = pubkey_encrypt_pkcs1(&op->pub, bytes_of(r->in, r->len), block, &e); break;
    }
    if (bad != 0)
        return fail_rv(&e, CKR_DURING_ENCRYPT);
    buf_add(out, block, op->pub.n_len);
    return CKR_OK;
}

static size_t length_cipher(const struct op *op, size_t in, bool last)
{
    (void)in;
    return last ? op->pub.n_len : 0;
}

const struct family family_rsa_encrypt = {
    .begin = begin, .feed = feed_plain, .finish = encrypt, .length = length_cipher, .end = end};

/* --- decryption ---------------------------------------------------------- */

static CK_RV begin_decrypt(struct op *op, const struct mech_params *p)
{
    /* How long the message is shows only afterwards. */
    op->guess = op->mech->family != MECH_X509;
    return begin(op, p);
}

static CK_RV decrypt(struct op *op, struct buf *out)
{
    struct rsa *r = op->state;
    struct token_rsa how = {.hash = r->hash, .mgf = r->mgf, .label = buf_bytes(&r->label)};
    struct bytes in = bytes_of(r->in, r->len);
    uint8_t plain[PUBKEY_MAX_RSA];
    size_t len = op->pub.n_len;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv;
    int bad;

    if (r->len != op->pub.n_len)
        return CKR_ENCRYPTED_DATA_LEN_RANGE;
    if (memcmp(r->in, op->pub.n, r->len) >= 0)
        return CKR_ENCRYPTED_DATA_INVALID;
    rv = op_use(op, &u);
    if (rv != CKR_OK)
        return rv;
    bad = op->mech->family == MECH_X509
              ? token_rsa_raw(u.token, u.key, in, plain, &e)
              : token_rsa_decrypt(u.token, u.key, &how, in, plain, &len, &e);
    if (bad == 0)
        buf_add(out, plain, len);
    secret_wipe(plain, sizeof(plain));
    return bad == 0 ? CKR_OK : fail_rv(&e, CKR_DURING_DECRYPT);
}

static size_t length_plain(const struct op *op, size_t in, bool last)
{
    (void)in;
    return last ? most(op) : 0;
}

const struct family family_rsa_decrypt = {.begin = begin_decrypt,
                                          .feed = feed_cipher,
                                          .finish = decrypt,
                                          .length = length_plain,
                                          .end = end};

/* --- signatures that carry their data (5.11 C_SignRecover, 5.12 C_VerifyRecover) ------ */

static CK_RV sign(struct op *op, struct buf *out)
{
    struct rsa *r = op->state;
    struct token_sign what = {.scheme = PUBKEY_RSASSA};
    uint8_t sig[PUBKEY_MAX_RSA];
    struct err e = {0};
    struct keyuse u;
    CK_RV rv;

    if (op->mech->family == MECH_X509 && !as_number(op, r))
        return CKR_DATA_INVALID;
    what.digest = bytes_of(r->in, r->len);
    rv = op_use(op, &u);
    if (rv != CKR_OK)
        return rv;
    if ((op->mech->family == MECH_X509 ? token_rsa_raw(u.token, u.key, what.digest, sig, &e)
                                       : token_sign(u.token, u.key, &what, sig, &e)) != 0)
        return fail_rv(&e, CKR_DURING_SIGN);
    buf_add(out, sig, op->pub.n_len);
    return CKR_OK;
}

const struct family family_recover_sign = {
    .begin = begin, .feed = feed_plain, .finish = sign, .length = length_cipher, .end = end};

static CK_RV recover(struct op *op, struct buf *out)
{
    struct rsa *r = op->state;
    struct bytes sig = bytes_of(r->in, r->len);
    uint8_t data[PUBKEY_MAX_RSA];
    size_t len = op->pub.n_len;
    struct err e = {0};

    if (r->len != op->pub.n_len)
        return CKR_SIGNATURE_LEN_RANGE;
    if ((op->mech->family == MECH_X509 ? pubkey_rsa_raw(&op->pub, sig, data, &e)
                                       : pubkey_recover_pkcs1(&op->pub, sig, data, &len, &e)) != 0)
        return ckr_of(&e, CKR_DURING_VERIFY);
    buf_add(out, data, len);
    return CKR_OK;
}

const struct family family_recover_verify = {.begin = begin_decrypt,
                                             .feed = feed_signature,
                                             .finish = recover,
                                             .length = length_plain,
                                             .end = end};
