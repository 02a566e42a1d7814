#include "core/credential.h"

#include "core/cipher.h"
#include "core/hash.h"
#include "core/kdf.h"
#include "core/pubkey.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <string.h>

/* Labels of the seed's transport (Part 1, B.10.3, B.10.4, C.6.1, C.6.4) and of the keys that
 * come from it (Part 1, 22.4, 22.5). */
#define LABEL_IDENTITY "IDENTITY"
#define LABEL_DUPLICATE "DUPLICATE"
#define LABEL_STORAGE "STORAGE"
#define LABEL_INTEGRITY "INTEGRITY"

#define MAX_AES 32

/* What is read out of the public area of the key to seal to. */
struct target {
    struct pubkey key;
    const struct alg_hash *hash; /* nameAlg */
    unsigned aes_bits;
};

static int target_of(const TPMT_PUBLIC *pub, struct target *t, struct err *e)
{
    const TPMT_SYM_DEF_OBJECT *sym = &pub->parameters.asymDetail.symmetric;

    t->hash = alg_hash_of(pub->nameAlg);
    if (t->hash == NULL)
        return err_set(e, E_UNSUPPORTED,
                       "the storage key's name algorithm 0x%04x is not in use "
                       "here",
                       (unsigned)pub->nameAlg);
    if ((pub->objectAttributes & TPMA_OBJECT_RESTRICTED) == 0 ||
        (pub->objectAttributes & TPMA_OBJECT_DECRYPT) == 0)
        return err_set(e, E_ARG, "the key to seal to is not a storage key (Part 1, 23.2)");
    if (sym->algorithm != TPM2_ALG_AES || sym->mode.aes != TPM2_ALG_CFB ||
        (sym->keyBits.aes != 128 && sym->keyBits.aes != 256))
        return err_set(e, E_UNSUPPORTED,
                       "the storage key protects its children by something else "
                       "than AES-128 or AES-256 in CFB mode");
    t->aes_bits = sym->keyBits.aes;
    return pubkey_from_tpmt(&t->key, pub, e);
}

/* RSA: a random seed by OAEP, label with its NUL (Part 1, B.10.3, B.10.4). */
static int seed_rsa(const struct target *t, const char *label, uint8_t *seed, struct buf *sent,
                    struct err *e)
{
    uint8_t out[PUBKEY_MAX_RSA];

    if (RAND_priv_bytes(seed, (int)t->hash->size) != 1)
        return err_openssl(e, E_CRYPTO, "random bytes");
    if (pubkey_oaep(&t->key, t->hash, bytes_of(label, strlen(label) + 1),
                    bytes_of(seed, t->hash->size), out, e) != 0)
        return -1;
    buf_add(sent, out, t->key.n_len);
    return buf_ok(sent, e);
}

/* ECC: one-pass ECDH with an ephemeral key, whose point is sent (Part 1, C.6.1). */
static int seed_ecc(const struct target *t, const char *label, uint8_t *seed, struct buf *sent,
                    struct err *e)
{
    const struct alg_curve *c = t->key.curve;
    struct ecc_point mine;
    uint8_t z[ALG_MAX_COORD];
    int rc = -1;

    if (ecc_exchange(c, &t->key.point, &mine, z, e) == 0 &&
        kdf_e(t->hash, bytes_of(z, c->size), label, bytes_of(mine.x, c->size),
              bytes_of(t->key.point.x, c->size), (unsigned)t->hash->size * 8, seed, e) == 0) {
        buf_2b(sent, mine.x, c->size);
        buf_2b(sent, mine.y, c->size);
        rc = buf_ok(sent, e);
    }
    secret_wipe(z, sizeof(z));
    return rc;
}

/* What comes from a seed (Part 1, 22.4, 22.5). To be wiped. */
struct wrap_keys {
    uint8_t aes[MAX_AES];
    uint8_t mac[ALG_MAX_DIGEST];
};

static int keys_of(const struct alg_hash *h, unsigned aes_bits, const uint8_t *seed,
                   const TPM2B_NAME *name, struct wrap_keys *out, struct err *e)
{
    struct bytes s = bytes_of(seed, h->size), none = {NULL, 0};

    if (kdf_a(h, s, LABEL_STORAGE, bytes_of(name->name, name->size), none, aes_bits, out->aes, e) !=
        0)
        return -1;
    return kdf_a(h, s, LABEL_INTEGRITY, none, none, (unsigned)h->size * 8, out->mac, e);
}

/* outerHMAC: over what is encrypted, and the Name. */
static int outer_hmac(const struct alg_hash *h, const struct wrap_keys *k, struct bytes encrypted,
                      const TPM2B_NAME *name, uint8_t tag[ALG_MAX_DIGEST], struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    buf_add_bytes(&in, encrypted);
    buf_add(&in, name->name, name->size);
    if (buf_ok(&in, e) == 0)
        rc = hash_hmac(h, bytes_of(k->mac, h->size), buf_bytes(&in), tag, e);
    buf_free(&in);
    return rc;
}

static const uint8_t zero_iv[16];

/* The outer wrapper, Part 1, 22.4 and 22.5: encrypt, then HMAC with the Name.
 * `data` is encrypted in place. */
static int protect(const struct target *t, const uint8_t *seed, const TPM2B_NAME *name,
                   struct buf *data, struct buf *out, struct err *e)
{
    const struct alg_hash *h = t->hash;
    uint8_t tag[ALG_MAX_DIGEST];
    struct wrap_keys k;
    int rc = -1;

    if (keys_of(h, t->aes_bits, seed, name, &k, e) != 0 ||
        cipher_cfb(true, bytes_of(k.aes, t->aes_bits / 8), zero_iv, data->p, data->len, e) != 0 ||
        outer_hmac(h, &k, buf_bytes(data), name, tag, e) != 0)
        goto out;
    buf_2b(out, tag, h->size);
    buf_add_bytes(out, buf_bytes(data));
    rc = buf_ok(out, e);
out:
    secret_wipe(&k, sizeof(k));
    return rc;
}

/* `inner`, as a TPM2B, under a fresh seed that only the target can read. */
static int wrap(const TPMT_PUBLIC *pub, const char *label, const TPM2B_NAME *name,
                struct bytes inner, struct buf *wrapped, struct buf *sent_seed, struct err *e)
{
    struct buf data = {.secret = true}, out = {0}, sent = {0};
    struct target t;
    struct secret *seed = NULL;
    int rc = -1;

    if (target_of(pub, &t, e) != 0)
        return -1;
    seed = secret_new(t.hash->size, e);
    if (seed == NULL || (t.key.type == TPM2_ALG_RSA ? seed_rsa : seed_ecc)(
                            &t, label, secret_data(seed), &sent, e) != 0)
        goto out;
    buf_2b(&data, inner.p, inner.len);
    if (buf_ok(&data, e) != 0 || protect(&t, secret_peek(seed), name, &data, &out, e) != 0)
        goto out;
    buf_add_bytes(wrapped, buf_bytes(&out));
    buf_add_bytes(sent_seed, buf_bytes(&sent));
    rc = buf_ok(wrapped, e) == 0 ? buf_ok(sent_seed, e) : -1;
out:
    secret_free(seed);
    buf_free(&data);
    buf_free(&out);
    buf_free(&sent);
    return rc;
}

static int check_name(const TPM2B_NAME *n, struct err *e)
{
    /* An object's Name: algorithm and digest. A handle's (4 bytes) would bind to nothing. */
    if (n->size < 2 + 20 || n->size > sizeof(n->name))
        return err_set(e, E_ARG, "a Name of %u bytes is not one of an object", (unsigned)n->size);
    return 0;
}

int credential_make(const TPMT_PUBLIC *ek, const TPM2B_NAME *ak, struct bytes secret,
                    struct buf *blob, struct buf *encrypted_secret, struct err *e)
{
    const struct alg_hash *h = alg_hash_of(ek->nameAlg);

    /* Part 3, 12.6.1: the credential is no longer than a digest of the EK's nameAlg. */
    if (secret.len == 0 || (h != NULL && secret.len > h->size))
        return err_set(e, E_ARG, "a credential's content of %zu bytes does not fit", secret.len);
    if (check_name(ak, e) != 0)
        return -1;
    return wrap(ek, LABEL_IDENTITY, ak, secret, blob, encrypted_secret, e);
}

int credential_wrap_import(const TPMT_PUBLIC *parent, const TPM2B_NAME *name,
                           struct bytes sensitive, struct buf *duplicate, struct buf *sym_seed,
                           struct err *e)
{
    if (check_name(name, e) != 0)
        return -1;
    return wrap(parent, LABEL_DUPLICATE, name, sensitive, duplicate, sym_seed, e);
}

/* --- a parent in software ---------------------------------------------------------- */

#define PARENT_CURVE TPM2_ECC_NIST_P256
#define PARENT_HASH TPM2_ALG_SHA256
#define PARENT_AES 128
#define PARENT_SIZE 32

int credential_parent_make(struct credential_parent *out, struct err *e)
{
    uint8_t seed[PARENT_SIZE + 8];
    struct credential_parent p = {.pub = {.type = TPM2_ALG_ECC,
                                          .nameAlg = PARENT_HASH,
                                          .objectAttributes = TPMA_OBJECT_RESTRICTED |
                                                              TPMA_OBJECT_DECRYPT |
                                                              TPMA_OBJECT_USERWITHAUTH}};
    TPMS_ECC_PARMS *ecc = &p.pub.parameters.eccDetail;
    TPMS_ECC_POINT *unique = &p.pub.unique.ecc;
    struct ecc_point point;
    int rc = -1;

    ecc->symmetric.algorithm = TPM2_ALG_AES;
    ecc->symmetric.keyBits.aes = PARENT_AES;
    ecc->symmetric.mode.aes = TPM2_ALG_CFB;
    ecc->scheme.scheme = TPM2_ALG_NULL;
    ecc->curveID = PARENT_CURVE;
    ecc->kdf.scheme = TPM2_ALG_NULL;
    if (RAND_priv_bytes(seed, sizeof(seed)) != 1) {
        err_openssl(e, E_CRYPTO, "random bytes");
        goto out;
    }
    if (ecc_from_seed(alg_curve_of(PARENT_CURVE), bytes_of(seed, sizeof(seed)), p.d, &point, e) !=
        0)
        goto out;
    unique->x.size = unique->y.size = PARENT_SIZE;
    memcpy(unique->x.buffer, point.x, PARENT_SIZE);
    memcpy(unique->y.buffer, point.y, PARENT_SIZE);
    *out = p;
    rc = 0;
out:
    secret_wipe(seed, sizeof(seed));
    secret_wipe(&p, sizeof(p));
    return rc;
}

/* X of d·peer; the caller knows that `peer` is on the curve. */
static int shared_x(const struct credential_parent *parent, const struct ecc_point *peer,
                    uint8_t z[PARENT_SIZE], struct err *e)
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(alg_curve_of(PARENT_CURVE)->nid);
    BN_CTX *ctx = BN_CTX_secure_new();
    BIGNUM *x = BN_bin2bn(peer->x, PARENT_SIZE, NULL), *y = BN_bin2bn(peer->y, PARENT_SIZE, NULL);
    BIGNUM *d = BN_secure_new(), *got = BN_secure_new();
    EC_POINT *p = g != NULL ? EC_POINT_new(g) : NULL, *s = g != NULL ? EC_POINT_new(g) : NULL;
    int rc = -1;

    if (ctx == NULL || x == NULL || y == NULL || d == NULL || got == NULL || p == NULL ||
        s == NULL || BN_bin2bn(parent->d, PARENT_SIZE, d) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a key exchange");
        goto out;
    }
    BN_set_flags(d, BN_FLG_CONSTTIME);
    if (EC_POINT_set_affine_coordinates(g, p, x, y, ctx) != 1 ||
        EC_POINT_mul(g, s, NULL, p, d, ctx) != 1 ||
        EC_POINT_get_affine_coordinates(g, s, got, NULL, ctx) != 1 ||
        BN_bn2binpad(got, z, PARENT_SIZE) != PARENT_SIZE)
        err_openssl(e, E_CRYPTO, "elliptic curve exchange");
    else
        rc = 0;
out:
    BN_free(x);
    BN_free(y);
    BN_clear_free(d);
    BN_clear_free(got);
    EC_POINT_free(p);
    EC_POINT_clear_free(s);
    BN_CTX_free(ctx);
    EC_GROUP_free(g);
    return rc;
}

/* Some TPMs leave out zeros in front. */
static void pad_left(struct bytes in, uint8_t out[PARENT_SIZE])
{
    memset(out, 0, PARENT_SIZE);
    if (in.len != 0)
        memcpy(out + PARENT_SIZE - in.len, in.p, in.len);
}

/* The seed of an ECC parent (Part 1, C.6.1), from the point that came in its place. */
static int seed_back(const struct credential_parent *parent, struct bytes sent,
                     uint8_t seed[PARENT_SIZE], struct err *e)
{
    const TPM2B_ECC_PARAMETER *mine = &parent->pub.unique.ecc.x;
    struct reader r = reader_of(sent.p, sent.len);
    struct bytes x = reader_2b(&r), y = reader_2b(&r);
    uint8_t z[PARENT_SIZE];
    struct ecc_point peer;
    int rc = -1;

    if (!reader_done(&r) || x.len > PARENT_SIZE || y.len > PARENT_SIZE || mine->size != PARENT_SIZE)
        return err_set(e, E_FORMAT,
                       "the seed of a duplicated key is no point of its parent's curve");
    pad_left(x, peer.x);
    pad_left(y, peer.y);
    if (!ecc_on_curve(alg_curve_of(PARENT_CURVE), &peer))
        return err_set(e, E_DATA, "the seed of a duplicated key is not on its parent's curve");
    /* The sender's own X goes in as it was sent. */
    if (shared_x(parent, &peer, z, e) == 0)
        rc = kdf_e(alg_hash_of(PARENT_HASH), bytes_of(z, sizeof(z)), LABEL_DUPLICATE, x,
                   bytes_of(mine->buffer, PARENT_SIZE), 8 * PARENT_SIZE, seed, e);
    secret_wipe(z, sizeof(z));
    return rc;
}

/* The TPM2B inside the wrapper. */
static int inner_of(struct bytes plain, struct secret **out, struct err *e)
{
    struct reader r = reader_of(plain.p, plain.len);
    struct bytes inner = reader_2b(&r);

    if (!reader_done(&r) || inner.len == 0)
        return err_set(e, E_FORMAT, "a duplicated key has no sensitive area (Part 2, 12.3.2.5)");
    *out = secret_copy(inner.p, inner.len, e);
    return *out != NULL ? 0 : -1;
}

int credential_unwrap_duplicate(const struct credential_parent *parent, const TPM2B_NAME *name,
                                struct bytes duplicate, struct bytes sym_seed,
                                struct secret **sensitive, struct err *e)
{
    const struct alg_hash *h = alg_hash_of(PARENT_HASH);
    struct reader r = reader_of(duplicate.p, duplicate.len);
    struct bytes tag = reader_2b(&r), body = reader_take(&r, r.left);
    uint8_t seed[PARENT_SIZE], want[ALG_MAX_DIGEST];
    struct buf plain = {.secret = true};
    struct wrap_keys k;
    int rc = -1;

    if (r.bad || tag.len != h->size || body.len < 2)
        return err_set(e, E_FORMAT, "a duplicated key of %zu bytes is none (Part 1, 23.3.2.3)",
                       duplicate.len);
    if (check_name(name, e) != 0 || seed_back(parent, sym_seed, seed, e) != 0)
        return -1;
    if (keys_of(h, PARENT_AES, seed, name, &k, e) != 0 ||
        outer_hmac(h, &k, body, name, want, e) != 0)
        goto out;
    if (!bytes_equal(bytes_of(want, h->size), tag)) {
        err_set(e, E_TAMPERED, "a duplicated key was altered, or is another object's");
        goto out;
    }
    buf_add_bytes(&plain, body);
    if (buf_ok(&plain, e) != 0 ||
        cipher_cfb(false, bytes_of(k.aes, PARENT_AES / 8), zero_iv, plain.p, plain.len, e) != 0)
        goto out;
    rc = inner_of(buf_bytes(&plain), sensitive, e);
out:
    secret_wipe(seed, sizeof(seed));
    secret_wipe(&k, sizeof(k));
    buf_free(&plain);
    return rc;
}
