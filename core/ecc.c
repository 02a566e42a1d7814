/* ECDSA_do_sign by EC_KEY is the one path that never meets an application's
 * engine; OpenSSL 3.0 marks it deprecated. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/ecc.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>
#include <stdatomic.h>

static EC_POINT *point_in(const EC_GROUP *g, const struct alg_curve *c, const struct ecc_point *p,
                          BN_CTX *ctx)
{
    BIGNUM *x = BN_bin2bn(p->x, (int)c->size, NULL);
    BIGNUM *y = BN_bin2bn(p->y, (int)c->size, NULL);
    EC_POINT *q = EC_POINT_new(g);

    /* EC_POINT_set_affine_coordinates checks the curve equation. */
    if (x == NULL || y == NULL || q == NULL ||
        EC_POINT_set_affine_coordinates(g, q, x, y, ctx) != 1) {
        EC_POINT_free(q);
        q = NULL;
    }
    BN_free(x);
    BN_free(y);
    return q;
}

static bool point_out(const EC_GROUP *g, const struct alg_curve *c, const EC_POINT *q, uint8_t *x,
                      uint8_t *y, BN_CTX *ctx)
{
    BIGNUM *bx = BN_secure_new(), *by = BN_secure_new();
    bool ok = bx != NULL && by != NULL && EC_POINT_get_affine_coordinates(g, q, bx, by, ctx) == 1 &&
              BN_bn2binpad(bx, x, (int)c->size) >= 0 &&
              (y == NULL || BN_bn2binpad(by, y, (int)c->size) >= 0);

    BN_clear_free(bx);
    BN_clear_free(by);
    return ok;
}

const EC_GROUP *ecc_group(const struct alg_curve *c)
{
    /* By OpenSSL's numbers of the curves; of two threads at once the second throws its own away. */
    static struct {
        int nid;
        _Atomic(EC_GROUP *) group;
    } kept[] = {{.nid = NID_X9_62_prime256v1}, {.nid = NID_secp384r1}, {.nid = NID_secp521r1}};

    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        EC_GROUP *g = atomic_load(&kept[i].group), *made, *none = NULL;

        if (kept[i].nid != c->nid)
            continue;
        if (g != NULL)
            return g;
        made = EC_GROUP_new_by_curve_name(c->nid);
        if (made == NULL || atomic_compare_exchange_strong(&kept[i].group, &none, made))
            return made;
        EC_GROUP_free(made);
        return none;
    }
    return NULL;
}

bool ecc_on_curve(const struct alg_curve *c, const struct ecc_point *p)
{
    const EC_GROUP *g = ecc_group(c);
    BN_CTX *ctx = BN_CTX_new();
    EC_POINT *q = NULL;
    bool ok;

    if (g != NULL && ctx != NULL)
        q = point_in(g, c, p, ctx);
    ok = q != NULL && !EC_POINT_is_at_infinity(g, q);
    EC_POINT_free(q);
    BN_CTX_free(ctx);
    return ok;
}

int ecc_exchange(const struct alg_curve *c, const struct ecc_point *peer,
                 struct ecc_point *ephemeral, uint8_t *z, struct err *e)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(c->nid);
    BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *d = BN_secure_new();
    EC_POINT *p = NULL, *q = NULL, *s = NULL;
    int rc = -1;

    if (g == NULL || ctx == NULL || d == NULL || (q = EC_POINT_new(g)) == NULL ||
        (s = EC_POINT_new(g)) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a key exchange");
        goto out;
    }
    p = point_in(g, c, peer, ctx);
    if (p == NULL) {
        err_set(e, E_DATA, "the peer's public point is not on %s", c->name);
        goto out;
    }
    do {
        if (BN_priv_rand_range(d, EC_GROUP_get0_order(g)) != 1)
            goto crypto;
    } while (BN_is_zero(d));
    BN_set_flags(d, BN_FLG_CONSTTIME);
    if (EC_POINT_mul(g, q, d, NULL, NULL, ctx) != 1 || EC_POINT_mul(g, s, NULL, p, d, ctx) != 1 ||
        EC_POINT_is_at_infinity(g, s) || !point_out(g, c, q, ephemeral->x, ephemeral->y, ctx) ||
        !point_out(g, c, s, z, NULL, ctx))
        goto crypto;
    rc = 0;
    goto out;
crypto:
    err_openssl(e, E_CRYPTO, "elliptic curve exchange");
out:
    BN_clear_free(d);
    EC_POINT_free(p);
    EC_POINT_free(q);
    EC_POINT_clear_free(s);
    BN_CTX_free(ctx);
    EC_GROUP_free(g);
    return rc;
}

int ecc_from_seed(const struct alg_curve *c, struct bytes seed, uint8_t *d, struct ecc_point *pub,
                  struct err *e)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(c->nid);
    BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *s = BN_secure_new(), *k = BN_secure_new(), *m = BN_new();
    EC_POINT *q = NULL;
    int rc = -1;

    if (g == NULL || ctx == NULL || s == NULL || k == NULL || m == NULL ||
        (q = EC_POINT_new(g)) == NULL || BN_bin2bn(seed.p, (int)seed.len, s) == NULL ||
        BN_copy(m, EC_GROUP_get0_order(g)) == NULL || BN_sub_word(m, 1) != 1 ||
        BN_mod(k, s, m, ctx) != 1 || BN_add_word(k, 1) != 1 ||
        EC_POINT_mul(g, q, k, NULL, NULL, ctx) != 1 || !point_out(g, c, q, pub->x, pub->y, ctx) ||
        BN_bn2binpad(k, d, (int)c->size) < 0) {
        err_openssl(e, E_CRYPTO, "key from seed");
        goto out;
    }
    rc = 0;
out:
    BN_clear_free(s);
    BN_clear_free(k);
    BN_free(m);
    EC_POINT_free(q);
    BN_CTX_free(ctx);
    EC_GROUP_free(g);
    return rc;
}

int ecc_public(const struct alg_curve *c, const uint8_t *d, struct ecc_point *pub, struct err *e)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(c->nid);
    BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *k = BN_secure_new();
    EC_POINT *q = NULL;
    int rc = -1;

    if (g == NULL || ctx == NULL || k == NULL || (q = EC_POINT_new(g)) == NULL ||
        BN_bin2bn(d, (int)c->size, k) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a public key");
        goto out;
    }
    BN_set_flags(k, BN_FLG_CONSTTIME);
    if (BN_is_zero(k) || BN_cmp(k, EC_GROUP_get0_order(g)) >= 0) {
        err_set(e, E_DATA, "the private key is not one of %s", c->name);
        goto out;
    }
    if (EC_POINT_mul(g, q, k, NULL, NULL, ctx) != 1 || !point_out(g, c, q, pub->x, pub->y, ctx)) {
        err_openssl(e, E_CRYPTO, "public key of a private one");
        goto out;
    }
    rc = 0;
out:
    BN_clear_free(k);
    EC_POINT_free(q);
    BN_CTX_free(ctx);
    EC_GROUP_free(g);
    return rc;
}

int ecc_sign(const struct alg_curve *c, const uint8_t *d, struct bytes digest, uint8_t *sig,
             struct err *e)
{
    EC_KEY *key = EC_KEY_new();
    EC_GROUP *g = EC_GROUP_new_by_curve_name(c->nid);
    BIGNUM *k = BN_secure_new();
    ECDSA_SIG *s = NULL;
    int rc = -1;

    if (key == NULL || g == NULL || k == NULL || EC_KEY_set_method(key, EC_KEY_OpenSSL()) != 1 ||
        EC_KEY_set_group(key, g) != 1 || BN_bin2bn(d, (int)c->size, k) == NULL ||
        EC_KEY_set_private_key(key, k) != 1 ||
        (s = ECDSA_do_sign(digest.p, (int)digest.len, key)) == NULL ||
        BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, (int)c->size) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + c->size, (int)c->size) < 0) {
        err_openssl(e, E_CRYPTO, "ECDSA");
        goto out;
    }
    rc = 0;
out:
    ECDSA_SIG_free(s);
    BN_clear_free(k);
    EC_GROUP_free(g);
    EC_KEY_free(key);
    return rc;
}
