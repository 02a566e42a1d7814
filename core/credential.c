#include "core/credential.h"

#include "core/cipher.h"
#include "core/hash.h"
#include "core/kdf.h"
#include "core/pubkey.h"

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

/* The outer wrapper, Part 1, 22.4 and 22.5: encrypt, then HMAC with the Name.
 * `data` is encrypted in place. */
static int protect(const struct target *t, const uint8_t *seed, const TPM2B_NAME *name,
                   struct buf *data, struct buf *out, struct err *e)
{
    static const uint8_t iv[16];
    const struct alg_hash *h = t->hash;
    uint8_t key[MAX_AES], hmac_key[ALG_MAX_DIGEST], tag[ALG_MAX_DIGEST];
    struct bytes s = bytes_of(seed, h->size), none = {NULL, 0};
    struct buf in = {0};
    int rc = -1;

    if (kdf_a(h, s, LABEL_STORAGE, bytes_of(name->name, name->size), none, t->aes_bits, key, e) !=
            0 ||
        kdf_a(h, s, LABEL_INTEGRITY, none, none, (unsigned)h->size * 8, hmac_key, e) != 0 ||
        cipher_cfb(true, bytes_of(key, t->aes_bits / 8), iv, data->p, data->len, e) != 0)
        goto out;
    buf_add_bytes(&in, buf_bytes(data));
    buf_add(&in, name->name, name->size);
    if (buf_ok(&in, e) != 0 ||
        hash_hmac(h, bytes_of(hmac_key, h->size), buf_bytes(&in), tag, e) != 0)
        goto out;
    buf_2b(out, tag, h->size);
    buf_add_bytes(out, buf_bytes(data));
    rc = buf_ok(out, e);
out:
    secret_wipe(key, sizeof(key));
    secret_wipe(hmac_key, sizeof(hmac_key));
    buf_free(&in);
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
