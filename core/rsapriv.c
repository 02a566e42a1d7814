#include "core/rsapriv.h"

#include "core/asn1.h"

#include <openssl/bn.h>
#include <openssl/err.h>

/* Nine numbers of at most PUBKEY_MAX_RSA bytes, with room for their headers. */
#define RSAPRIV_MAX (5 * PUBKEY_MAX_RSA)

/* By a template of our own: OpenSSL's RSA may be an engine's. CBIGNUM is wiped. */
typedef struct rsa_private {
    ASN1_INTEGER *version;
    BIGNUM *n, *e;
    BIGNUM *d, *p, *q, *dp, *dq, *qinv;
} rsa_private;

/* clang-format off */
ASN1_SEQUENCE(rsa_private) = {
    ASN1_SIMPLE(rsa_private, version, ASN1_INTEGER),
    ASN1_SIMPLE(rsa_private, n, BIGNUM),
    ASN1_SIMPLE(rsa_private, e, BIGNUM),
    ASN1_SIMPLE(rsa_private, d, CBIGNUM),
    ASN1_SIMPLE(rsa_private, p, CBIGNUM),
    ASN1_SIMPLE(rsa_private, q, CBIGNUM),
    ASN1_SIMPLE(rsa_private, dp, CBIGNUM),
    ASN1_SIMPLE(rsa_private, dq, CBIGNUM),
    ASN1_SIMPLE(rsa_private, qinv, CBIGNUM),
} static_ASN1_SEQUENCE_END(rsa_private)
    /* clang-format on */

    static int not_one_key(struct err * e)
{
    ERR_clear_error();
    return err_set(e, E_DATA, "the numbers of the RSA private key do not belong together");
}

/* q = n / p, the division being exact. */
static int other_prime(rsa_private *r, BN_CTX *ctx, struct err *e)
{
    BIGNUM *rest = BN_secure_new();
    int rc = -1;

    BN_set_flags(r->p, BN_FLG_CONSTTIME);
    BN_set_flags(r->q, BN_FLG_CONSTTIME);
    if (rest == NULL)
        err_set(e, E_MEMORY, "out of memory for an RSA key");
    else if (BN_is_negative(r->p) || BN_is_zero(r->p) || BN_is_one(r->p) ||
             BN_div(r->q, rest, r->n, r->p, ctx) != 1 || !BN_is_zero(rest) || BN_is_one(r->q) ||
             !BN_is_odd(r->p) || !BN_is_odd(r->q))
        not_one_key(e);
    else
        rc = 0;
    BN_clear_free(rest);
    return rc;
}

/* p - 1, q - 1 and their least common multiple. */
struct totients {
    BIGNUM *p1, *q1, *l;
};

static void totients_free(struct totients *t)
{
    BN_clear_free(t->p1);
    BN_clear_free(t->q1);
    BN_clear_free(t->l);
}

static bool totients_of(struct totients *t, const rsa_private *r, BN_CTX *ctx)
{
    BIGNUM *g = BN_secure_new(), *product = BN_secure_new();
    bool ok;

    *t = (struct totients){BN_secure_new(), BN_secure_new(), BN_secure_new()};
    ok = g != NULL && product != NULL && t->p1 != NULL && t->q1 != NULL && t->l != NULL &&
         BN_sub(t->p1, r->p, BN_value_one()) == 1 && BN_sub(t->q1, r->q, BN_value_one()) == 1;
    if (ok) {
        BN_set_flags(t->p1, BN_FLG_CONSTTIME);
        BN_set_flags(t->q1, BN_FLG_CONSTTIME);
        BN_set_flags(g, BN_FLG_CONSTTIME);
        BN_set_flags(t->l, BN_FLG_CONSTTIME);
        ok = BN_gcd(g, t->p1, t->q1, ctx) == 1 && BN_mul(product, t->p1, t->q1, ctx) == 1 &&
             BN_div(t->l, NULL, product, g, ctx) == 1;
    }
    BN_clear_free(g);
    BN_clear_free(product);
    return ok;
}

/* d, dP, dQ and qInv (RFC 8017, 3.2) of n, e, p and q. */
static int other_numbers(rsa_private *r, BN_CTX *ctx, struct err *e)
{
    struct totients t;
    int rc = -1;

    if (!totients_of(&t, r, ctx)) {
        err_openssl(e, E_CRYPTO, "RSA private key");
        goto out;
    }
    if (BN_mod_inverse(r->d, r->e, t.l, ctx) == NULL ||
        BN_mod_inverse(r->qinv, r->q, r->p, ctx) == NULL) {
        not_one_key(e);
        goto out;
    }
    BN_set_flags(r->d, BN_FLG_CONSTTIME);
    if (BN_mod(r->dp, r->d, t.p1, ctx) != 1 || BN_mod(r->dq, r->d, t.q1, ctx) != 1) {
        err_openssl(e, E_CRYPTO, "RSA private key");
        goto out;
    }
    rc = 0;
out:
    totients_free(&t);
    return rc;
}

int rsapriv_encode(const struct pubkey *pub, struct bytes prime, struct buf *out, struct err *e)
{
    BN_CTX *ctx = BN_CTX_secure_new();
    rsa_private *r = NULL;
    int rc = -1;

    if (pub->type != TPM2_ALG_RSA || prime.len > pub->n_len) {
        err_set(e, E_ARG, "an RSA private key is made of an RSA key and its prime");
        goto out;
    }
    r = asn1_new(ASN1_ITEM_rptr(rsa_private), e);
    if (r == NULL || ctx == NULL || asn1_set_u32(r->version, 0, e) != 0 ||
        BN_bin2bn(pub->n, pub->n_len, r->n) == NULL || BN_set_word(r->e, pub->exponent) != 1 ||
        BN_bin2bn(prime.p, (int)prime.len, r->p) == NULL) {
        err_set(e, E_MEMORY, "out of memory for an RSA key");
        goto out;
    }
    if (other_prime(r, ctx, e) != 0)
        goto out;
    if (BN_cmp(r->p, r->q) < 0)
        BN_swap(r->p, r->q);
    out->secret = true;
    if (other_numbers(r, ctx, e) == 0)
        rc = asn1_encode(r, ASN1_ITEM_rptr(rsa_private), out, e);
out:
    asn1_free(r, ASN1_ITEM_rptr(rsa_private));
    BN_CTX_free(ctx);
    return rc;
}

/* --- reading --------------------------------------------------------------- */

static int public_of(const rsa_private *r, struct pubkey *pub, struct err *e)
{
    uint8_t n[PUBKEY_MAX_RSA];
    int len = BN_num_bytes(r->n);

    if (len > PUBKEY_MAX_RSA || BN_num_bits(r->e) > 32)
        return err_set(e, E_UNSUPPORTED,
                       "an RSA key of %d bits with an exponent of %d bits is longer than this "
                       "program uses",
                       len * 8, BN_num_bits(r->e));
    BN_bn2bin(r->n, n);
    return pubkey_from_rsa(pub, bytes_of(n, (size_t)len), (uint32_t)BN_get_word(r->e), e);
}

/* d is good when it is so modulo p - 1 and q - 1: some write it modulo their product. */
static bool same_exponent(const BIGNUM *d, const rsa_private *right, BN_CTX *ctx)
{
    BIGNUM *m = BN_secure_new(), *one = BN_secure_new();
    bool ok = m != NULL && one != NULL && BN_cmp(d, right->n) < 0 &&
              BN_sub(one, right->p, BN_value_one()) == 1 && BN_mod(m, d, one, ctx) == 1 &&
              BN_cmp(m, right->dp) == 0 && BN_sub(one, right->q, BN_value_one()) == 1 &&
              BN_mod(m, d, one, ctx) == 1 && BN_cmp(m, right->dq) == 0;

    BN_clear_free(m);
    BN_clear_free(one);
    return ok;
}

/* The key is made again of n, e and p, and must be the one that came. */
static int check(const rsa_private *r, struct bytes der, struct err *e)
{
    struct buf again = {.secret = true};
    BN_CTX *ctx = BN_CTX_secure_new();
    rsa_private *right = asn1_new(ASN1_ITEM_rptr(rsa_private), e);
    int rc = -1;

    if (ctx == NULL || right == NULL || asn1_set_u32(right->version, 0, e) != 0 ||
        BN_copy(right->n, r->n) == NULL || BN_copy(right->e, r->e) == NULL ||
        BN_copy(right->p, r->p) == NULL) {
        err_set(e, E_MEMORY, "out of memory for an RSA key");
        goto out;
    }
    if (other_prime(right, ctx, e) != 0 || other_numbers(right, ctx, e) != 0)
        goto out;
    if (!same_exponent(r->d, right, ctx) || BN_copy(right->d, r->d) == NULL) {
        not_one_key(e);
        goto out;
    }
    if (asn1_encode(right, ASN1_ITEM_rptr(rsa_private), &again, e) == 0)
        rc = bytes_equal(buf_bytes(&again), der) ? 0 : not_one_key(e);
out:
    buf_free(&again);
    asn1_free(right, ASN1_ITEM_rptr(rsa_private));
    BN_CTX_free(ctx);
    return rc;
}

int rsapriv_decode(struct bytes der, struct pubkey *pub, struct secret **prime, struct err *e)
{
    rsa_private *r =
        asn1_decode(ASN1_ITEM_rptr(rsa_private), der, RSAPRIV_MAX, "RSA private key", e);
    struct secret *p = NULL;
    struct pubkey got;
    int rc = -1, half;

    if (r == NULL)
        return -1;
    if (public_of(r, &got, e) != 0 || check(r, der, e) != 0)
        goto out;
    half = got.n_len / 2;
    if (got.n_len % 2 != 0 || BN_num_bytes(r->p) != half || BN_num_bytes(r->q) != half) {
        err_set(e, E_UNSUPPORTED, "the primes of the RSA key are not half as long as its modulus");
        goto out;
    }
    p = secret_new((size_t)half, e);
    if (p == NULL)
        goto out;
    BN_bn2binpad(r->p, secret_data(p), half);
    *pub = got;
    *prime = p;
    rc = 0;
out:
    asn1_free(r, ASN1_ITEM_rptr(rsa_private));
    return rc;
}
