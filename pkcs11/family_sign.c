#include "pkcs11/op_priv.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "pkcs11/fail.h"

/* Signatures by RSA and EC keys (2.40 mechanisms, 2.1 and 2.3): made by the TPM, verified
 * in software. The input is hashed, or gathered where the caller hashed it. */

/* The most that mechanisms which do not hash here take: an RSA modulus of 4096 bits, and
 * for CKM_ECDSA any digest. */
#define MAX_RAW 512

struct signing {
    const struct alg_hash *hash, *mgf; /* of the data, or of PSS; NULL when there is none */
    int salt;                          /* PSS */
    struct hash *running;              /* mechanisms that hash here */
    uint8_t data[MAX_RAW];             /* the others: the input; then what is to be signed */
    size_t len;
};

static void end(struct op *op)
{
    struct signing *s = op->state;

    if (s == NULL)
        return;
    hash_abort(s->running);
    secret_wipe(s, sizeof(*s));
    free(s);
    op->state = NULL;
}

static CK_RV begin(struct op *op, const struct mech_params *p)
{
    struct signing *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return CKR_HOST_MEMORY;
    op->state = s;
    s->hash = p->hash;
    s->mgf = p->mgf;
    if (op->mech->family == MECH_PSS) {
        /* RFC 8017, 9.1.1 step 3, for a modulus whose top bit is set. */
        if (p->hash->size + p->salt_len + 2 > op->pub.n_len)
            return CKR_MECHANISM_PARAM_INVALID;
        s->salt = (int)p->salt_len;
    }
    if (op->mech->hash != 0) {
        s->running = hash_begin(s->hash, NULL);
        if (s->running == NULL)
            return CKR_HOST_MEMORY;
    }
    return CKR_OK;
}

/* How much a mechanism that does not hash here takes. */
static size_t most_raw(const struct op *op)
{
    const struct signing *s = op->state;

    switch (op->mech->family) {
    case MECH_PKCS1: return op->pub.n_len > 11 ? (size_t)op->pub.n_len - 11 : 0; /* RFC 8017, 9.2 */
    case MECH_PSS: return s->hash->size;
    case MECH_X509: return op->pub.n_len;
    default: return sizeof(s->data);
    }
}

static CK_RV feed(struct op *op, struct bytes in, struct buf *out)
{
    struct signing *s = op->state;

    (void)out;
    if (s->running != NULL)
        return hash_update(s->running, in, NULL) == 0 ? CKR_OK : CKR_FUNCTION_FAILED;
    if (in.len > most_raw(op) || s->len > most_raw(op) - in.len)
        return CKR_DATA_LEN_RANGE;
    if (in.len != 0)
        memcpy(&s->data[s->len], in.p, in.len);
    s->len += in.len;
    return CKR_OK;
}

static CK_RV finish_raw(const struct op *op, struct signing *s)
{
    size_t gap;

    switch (op->mech->family) {
    case MECH_ECDSA: return s->len != 0 ? CKR_OK : CKR_DATA_LEN_RANGE;
    case MECH_PSS: return s->len == s->hash->size ? CKR_OK : CKR_DATA_LEN_RANGE;
    case MECH_X509:
        /* 2.1.8: shorter input is padded with zeros in front; it is a number below
         * the modulus. */
        gap = op->pub.n_len - s->len;
        memmove(&s->data[gap], s->data, s->len);
        memset(s->data, 0, gap);
        s->len = op->pub.n_len;
        return memcmp(s->data, op->pub.n, s->len) < 0 ? CKR_OK : CKR_DATA_INVALID;
    default: return CKR_OK;
    }
}

/* Ends the input: what is to be signed, by the rules of the mechanism; its bytes are
 * borrowed. For raw RSA it is the block, padded to the modulus. */
static CK_RV gather(struct op *op, struct token_sign *what)
{
    struct signing *s = op->state;
    CK_RV rv = CKR_OK;

    if (s->running != NULL) {
        struct hash *h = s->running;

        s->running = NULL;
        if (hash_end(h, s->data, NULL) != 0)
            return CKR_FUNCTION_FAILED;
        s->len = s->hash->size;
    } else {
        rv = finish_raw(op, s);
    }
    *what = (struct token_sign){.hash = s->hash,
                                .mgf = s->mgf != NULL ? s->mgf : s->hash,
                                .salt = s->salt,
                                .digest = bytes_of(s->data, s->len)};
    switch (op->mech->family) {
    case MECH_ECDSA: what->scheme = PUBKEY_ECDSA; break;
    case MECH_PSS: what->scheme = PUBKEY_RSAPSS; break;
    default: what->scheme = PUBKEY_RSASSA; break;
    }
    return rv;
}

static CK_RV finish(struct op *op, struct buf *out)
{
    uint8_t sig[PUBKEY_MAX_RSA];
    struct token_sign what;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = gather(op, &what);

    if (rv == CKR_OK)
        rv = op_use(op, &u);
    if (rv != CKR_OK)
        return rv;
    if ((op->mech->family == MECH_X509 ? token_rsa_raw(u.token, u.key, what.digest, sig, &e)
                                       : token_sign(u.token, u.key, &what, sig, &e)) != 0)
        return fail_rv(&e, CKR_DURING_SIGN);
    buf_add(out, sig, pubkey_sig_len(&op->pub));
    return CKR_OK;
}

/* Raw RSA: the public operation must give back the padded data (2.1.8). */
static int verify_raw(const struct pubkey *k, struct bytes block, struct bytes sig, struct err *e)
{
    uint8_t got[PUBKEY_MAX_RSA];

    if (pubkey_rsa_raw(k, sig, got, e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(got, k->n_len), block))
        return err_set(e, E_DATA, "the signature is not one over this data");
    return 0;
}

static CK_RV check(struct op *op, struct bytes sig)
{
    struct token_sign what;
    struct err e = {0};
    CK_RV rv = gather(op, &what);
    int bad;

    if (rv != CKR_OK)
        return rv;
    if (sig.len != pubkey_sig_len(&op->pub))
        return CKR_SIGNATURE_LEN_RANGE;
    if (op->mech->family == MECH_X509)
        bad = verify_raw(&op->pub, what.digest, sig, &e);
    else if (op->mech->family == MECH_PSS)
        bad = pubkey_verify_pss(&op->pub, what.hash, what.mgf, what.salt, what.digest, sig, &e);
    else
        bad = pubkey_verify(&op->pub, what.scheme, what.hash, what.salt, what.digest, sig, &e);
    return bad != 0 ? ckr_of(&e, CKR_DURING_VERIFY) : CKR_OK;
}

static size_t length(const struct op *op, size_t in, bool last)
{
    (void)in;
    return last ? pubkey_sig_len(&op->pub) : 0;
}

const struct family family_sign = {
    .begin = begin, .feed = feed, .finish = finish, .length = length, .end = end};
const struct family family_verify = {
    .begin = begin, .feed = feed, .check = check, .length = length, .end = end};
