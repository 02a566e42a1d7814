#include "tpm/session.h"

#include "core/cipher.h"
#include "core/hash.h"
#include "core/kdf.h"
#include "core/pubkey.h"
#include "core/secret.h"
#include "tpm/ctx.h"
#include "tpm/rc.h"

#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* Part 1, 21.3: the key and the IV of AES-128-CFB come from one KDFa call. */
#define CFB_KEY 16
#define CFB_IV 16

static const struct alg_hash *sha256(void)
{
    return alg_hash_of(TPM2_ALG_SHA256);
}

int session_key(struct session *s, struct bytes salt, struct err *e)
{
    if (kdf_a(sha256(), salt, "ATH", bytes_of(s->tpm.buffer, s->tpm.size),
              bytes_of(s->caller.buffer, s->caller.size), 256, s->key, e) != 0)
        return -1;
    s->key_len = sizeof(s->key);
    return 0;
}

static void session_value(const struct session *s, struct bytes auth, struct buf *out)
{
    out->secret = true;
    buf_add(out, s->key, s->key_len);
    buf_add_bytes(out, auth);
}

int session_hmac(const struct session *s, struct bytes auth, const struct session_hmac *over,
                 uint8_t out[32], struct err *e)
{
    struct buf key = {0}, in = {0};
    int rc = -1;

    session_value(s, auth, &key);
    buf_add(&in, over->p_hash, 32);
    buf_add_bytes(&in, over->newer);
    buf_add_bytes(&in, over->older);
    buf_add_bytes(&in, over->decrypt);
    buf_add_bytes(&in, over->encrypt);
    buf_u8(&in, over->attributes);
    if (buf_ok(&key, e) != 0 || buf_ok(&in, e) != 0)
        goto out;
    rc = hash_hmac(sha256(), buf_bytes(&key), buf_bytes(&in), out, e);
out:
    buf_free(&key);
    buf_free(&in);
    return rc;
}

int session_crypt(const struct session *s, bool encrypt, struct bytes auth, struct bytes newer,
                  struct bytes older, uint8_t *data, size_t len, struct err *e)
{
    uint8_t key_iv[CFB_KEY + CFB_IV];
    struct buf key = {0};
    int rc = -1;

    session_value(s, auth, &key);
    if (buf_ok(&key, e) != 0 || kdf_a(sha256(), buf_bytes(&key), "CFB", newer, older,
                                      8 * (CFB_KEY + CFB_IV), key_iv, e) != 0)
        goto out;
    rc = cipher_cfb(encrypt, bytes_of(key_iv, CFB_KEY), key_iv + CFB_KEY, data, len, e);
out:
    buf_free(&key);
    secret_wipe(key_iv, sizeof(key_iv));
    return rc;
}

/* Part 1, C.6.1: an ephemeral ECDH exchange; the seed is KDFe(nameAlg, Z,
 * "SECRET", ephemeral.x, key.x, bits of nameAlg). */
static int salt_ecc(const struct pubkey *k, const struct alg_hash *name_alg, uint8_t *salt,
                    TPM2B_ENCRYPTED_SECRET *out, struct err *e)
{
    uint8_t z[ALG_MAX_COORD];
    size_t n = k->curve->size, off = 0;
    struct ecc_point own;
    TPMS_ECC_POINT p = {.x.size = (UINT16)n, .y.size = (UINT16)n};
    int rc = -1;

    if (ecc_exchange(k->curve, &k->point, &own, z, e) != 0)
        goto out;
    memcpy(p.x.buffer, own.x, n);
    memcpy(p.y.buffer, own.y, n);
    if (Tss2_MU_TPMS_ECC_POINT_Marshal(&p, out->secret, sizeof(out->secret), &off) !=
        TSS2_RC_SUCCESS) {
        err_set(e, E_CRYPTO, "an ephemeral point does not fit");
        goto out;
    }
    out->size = (UINT16)off;
    rc = kdf_e(name_alg, bytes_of(z, n), "SECRET", bytes_of(own.x, n), bytes_of(k->point.x, n),
               (unsigned)name_alg->size * 8, salt, e);
out:
    secret_wipe(z, sizeof(z));
    return rc;
}

/* Part 1, B.10.2: OAEP with the label "SECRET" and its NUL. */
static int salt_rsa(const struct pubkey *k, const struct alg_hash *name_alg, uint8_t *salt,
                    TPM2B_ENCRYPTED_SECRET *out, struct err *e)
{
    if (RAND_bytes(salt, (int)name_alg->size) != 1)
        return err_openssl(e, E_CRYPTO, "random salt");
    if (pubkey_oaep(k, name_alg, bytes_of("SECRET", 7), bytes_of(salt, name_alg->size), out->secret,
                    e) != 0)
        return -1;
    out->size = k->n_len;
    return 0;
}

int session_prepare(TPM2_SE type, const struct salt_key *key, struct session *s,
                    struct session_salt *salt, struct err *e)
{
    const struct alg_hash *name_alg = alg_hash_of(key->pub->nameAlg);
    struct pubkey pub;

    *s = (struct session){.type = type, .caller.size = 32, .tpm.size = sizeof(s->tpm.buffer)};
    *salt = (struct session_salt){
        .symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB}};
    if (name_alg == NULL || name_alg->size > sizeof(salt->value))
        return err_set(e, E_UNSUPPORTED, "the storage primary has an unknown name algorithm");
    salt->len = name_alg->size;
    if (pubkey_from_tpmt(&pub, key->pub, e) != 0)
        return -1;
    if (RAND_bytes(s->caller.buffer, s->caller.size) != 1)
        return err_openssl(e, E_CRYPTO, "random nonce");
    return pub.type == TPM2_ALG_ECC ? salt_ecc(&pub, name_alg, salt->value, &salt->encrypted, e)
                                    : salt_rsa(&pub, name_alg, salt->value, &salt->encrypted, e);
}

int session_finish(struct session *s, const struct session_salt *salt, struct err *e)
{
    if (s->tpm.size < 16)
        return err_set(e, E_TPM, "the TPM gave a session nonce of only %u bytes", s->tpm.size);
    return session_key(s, bytes_of(salt->value, salt->len), e);
}

int session_start(struct tpm *t, TPM2_SE type, const struct salt_key *key, struct session *out,
                  struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    struct session_salt salt;
    struct session s;
    TSS2_RC r;
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (session_prepare(type, key, &s, &salt, e) != 0)
        goto out;
    r = Tss2_Sys_StartAuthSession(sys, key->handle, TPM2_RH_NULL, NULL, &s.caller, &salt.encrypted,
                                  type, &salt.symmetric, TPM2_ALG_SHA256, &s.handle, &s.tpm, NULL);
    if (r != TSS2_RC_SUCCESS) {
        rc_fail(e, r, "opening a session with the TPM");
        goto out;
    }
    if (session_finish(&s, &salt, e) != 0)
        goto out;
    *out = s;
    rc = 0;
out:
    if (rc != 0)
        session_end(t, &s);
    secret_wipe(&salt, sizeof(salt));
    session_gone(&s);
    return rc;
}

void session_end(struct tpm *t, struct session *s)
{
    if (s->handle != 0)
        tpm_flush(t, s->handle);
    session_gone(s);
}

void session_gone(struct session *s)
{
    secret_wipe(s, sizeof(*s));
}
