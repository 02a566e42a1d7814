#include "core/tpmname.h"
#include "core/tpmwire.h"
#include "tpm/authorise.h"
#include "tpm/rc.h"

#include <string.h>

/* One signature in work. */
struct job {
    const struct store_key *key;
    const struct token_sign *what;
    TPMT_PUBLIC area;
    struct pubkey pub;
    uint8_t *sig;
};

static int by_tpm(struct token *k, const struct job *j, const struct alg_hash *hash,
                  TPMI_ALG_SIG_SCHEME scheme, struct bytes digest, struct err *e)
{
    TPMT_SIG_SCHEME in = {.scheme = scheme, .details.any.hashAlg = hash->tpm};
    TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    TPM2B_DIGEST d = {.size = (UINT16)digest.len};
    TPMT_SIGNATURE out = {0};
    const struct alg_hash *got_hash;
    enum pubkey_scheme got;
    struct buf raw = {0};
    struct authorise u;
    int rc = -1;

    if (digest.len > sizeof(d.buffer))
        return err_set(e, E_DATA, "a digest of %zu bytes is too long", digest.len);
    memcpy(d.buffer, digest.p, digest.len);
    if (authorise_begin(k, j->key, true, false, &u, e) != 0 ||
        exec_sapi(Tss2_Sys_Sign_Prepare(u.sys, u.handle, &d, &in, &ticket), "signing", e) != 0 ||
        authorise_run(k, &u, "signing", e) != 0 ||
        exec_sapi(Tss2_Sys_Sign_Complete(u.sys, &out), "signing", e) != 0 ||
        tpmwire_signature_raw(&out, &j->pub, &got, &got_hash, &raw, e) != 0)
        goto out;
    memcpy(j->sig, raw.p, raw.len);
    rc = 0;
out:
    buf_free(&raw);
    authorise_end(k, &u);
    return rc;
}

static int raw_once(struct token *k, const struct store_key *key, struct bytes in, uint8_t *out,
                    struct err *e)
{
    TPM2B_PUBLIC_KEY_RSA cipher = {.size = (UINT16)in.len}, plain = {.size = sizeof(plain.buffer)};
    TPMT_RSA_DECRYPT scheme = {.scheme = TPM2_ALG_NULL};
    TPM2B_DATA label = {0};
    const char *what = "RSA private operation";
    struct authorise u;
    int rc = -1;

    if (in.len > sizeof(cipher.buffer))
        return err_set(e, E_DATA, "%zu bytes are too long for the key", in.len);
    memcpy(cipher.buffer, in.p, in.len);
    if (authorise_begin(k, key, true, true, &u, e) != 0 ||
        exec_sapi(Tss2_Sys_RSA_Decrypt_Prepare(u.sys, u.handle, &cipher, &scheme, &label), what,
                  e) != 0 ||
        authorise_run(k, &u, what, e) != 0 ||
        exec_complete(u.sys, Tss2_Sys_RSA_Decrypt_Complete(u.sys, &plain), what, e) != 0)
        goto out;
    if (plain.size > in.len) {
        err_set(e, E_TPM, "the TPM gave %u bytes for a modulus of %zu", plain.size, in.len);
        goto out;
    }
    memset(out, 0, in.len - plain.size);
    memcpy(out + in.len - plain.size, plain.buffer, plain.size);
    rc = 0;
out:
    secret_wipe(&plain, sizeof(plain));
    authorise_end(k, &u);
    return rc;
}

static bool can(const struct job *j, TPMA_OBJECT attribute)
{
    return (j->area.objectAttributes & attribute) != 0;
}

/* ECDSA takes the leftmost bits of a digest (FIPS 186-5, 6.4.1); the TPM wants
 * exactly the length of the hash it is told. */
static int sign_ecdsa(struct token *k, const struct job *j, struct err *e)
{
    const struct alg_hash *hash = alg_hash_of(j->pub.curve->hash);
    uint8_t d[ALG_MAX_DIGEST] = {0};
    size_t n = j->what->digest.len, want = hash->size;

    if (n == 0)
        return err_set(e, E_DATA, "an empty digest cannot be signed");
    if (n > want)
        n = want;
    memcpy(d + want - n, j->what->digest.p, n);
    return by_tpm(k, j, hash, TPM2_ALG_ECDSA, bytes_of(d, want), e);
}

static int sign_padded(struct token *k, const struct job *j, const uint8_t *em, struct err *e)
{
    if (!can(j, TPMA_OBJECT_DECRYPT))
        return err_set(e, E_UNSUPPORTED,
                       "the TPM cannot pad this by itself and the key was made for signing only; "
                       "make the key with decryption allowed");
    return raw_once(k, j->key, bytes_of(em, j->pub.n_len), j->sig, e);
}

static int sign_pkcs1_ours(struct token *k, const struct job *j, struct bytes t, struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA];

    if (pubkey_pad_pkcs1(&j->pub, t, em, e) != 0)
        return -1;
    return sign_padded(k, j, em, e);
}

/* The (hash, digest) inside a DigestInfo, NULL when it is none that the TPM knows. */
static const struct alg_hash *digest_info(struct bytes t, struct bytes *digest)
{
    static const uint16_t known[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384, TPM2_ALG_SHA512,
                                     TPM2_ALG_SHA1};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const struct alg_hash *h = alg_hash_of(known[i]);

        if (t.len == h->info_len + h->size && memcmp(t.p, h->info, h->info_len) == 0) {
            *digest = bytes_of(t.p + h->info_len, h->size);
            return h;
        }
    }
    return NULL;
}

/* After the TPM refused to pad: by hand then, where a second command is allowed. */
static bool ours_may_do(const struct job *j, const struct err *why)
{
    return !authorise_once(j->key) &&
           (rc_base(why->rc) == TPM2_RC_HASH || rc_base(why->rc) == TPM2_RC_SCHEME);
}

static int sign_pkcs1(struct token *k, const struct job *j, struct err *e)
{
    const struct alg_hash *hash = j->what->hash;
    struct bytes digest = j->what->digest;
    struct err why = {0};
    struct buf t = {0};
    int rc;

    if (hash == NULL)
        hash = digest_info(j->what->digest, &digest);
    if (hash != NULL && digest.len != hash->size)
        return err_set(e, E_DATA, "a %s digest has %zu bytes, not %zu", hash->name, hash->size,
                       digest.len);
    if (hash == NULL)
        return sign_pkcs1_ours(k, j, digest, e);
    if (can(j, TPMA_OBJECT_SIGN_ENCRYPT) && hash->tpm != 0) {
        if (by_tpm(k, j, hash, TPM2_ALG_RSASSA, digest, &why) == 0)
            return 0;
        /* A hash that this TPM lacks: the padding is ours then, where the key allows. */
        if (!ours_may_do(j, &why))
            return err_take(e, &why);
    }
    buf_add(&t, hash->info, hash->info_len);
    buf_add_bytes(&t, digest);
    rc = buf_ok(&t, e);
    if (rc == 0)
        rc = sign_pkcs1_ours(k, j, buf_bytes(&t), e);
    buf_free(&t);
    return rc;
}

/* Whether to let the TPM pad. Where a signature is one command, it is not the one that finds
 * out how the TPM does it, as long as we can pad ourselves. */
static bool tpm_pads_pss(struct token *k, const struct job *j)
{
    const struct token_sign *w = j->what;

    if (w->hash->tpm == 0 || w->mgf != w->hash || w->salt != (int)w->hash->size ||
        !can(j, TPMA_OBJECT_SIGN_ENCRYPT) || tpm_pss(k->tpm) == TPM_PSS_OTHER)
        return false;
    if (j->key->mode == STORE_KEY_APPROVED)
        return true;
    return !authorise_once(j->key) || tpm_pss(k->tpm) == TPM_PSS_DIGEST ||
           !can(j, TPMA_OBJECT_DECRYPT);
}

/* The TPM's own PSS has salt = digest length from revision 1.38 in FIPS manner, the
 * longest possible before; the first signature tells which. */
static int sign_pss(struct token *k, const struct job *j, struct err *e)
{
    const struct token_sign *w = j->what;
    uint8_t em[PUBKEY_MAX_RSA];

    if (w->digest.len != w->hash->size)
        return err_set(e, E_DATA, "a %s digest has %zu bytes, not %zu", w->hash->name,
                       w->hash->size, w->digest.len);
    if (tpm_pads_pss(k, j)) {
        struct err why = {0};

        if (by_tpm(k, j, w->hash, TPM2_ALG_RSAPSS, w->digest, &why) == 0) {
            if (tpm_pss(k->tpm) == TPM_PSS_DIGEST)
                return 0;
            if (pubkey_verify(&j->pub, PUBKEY_RSAPSS, w->hash, w->salt, w->digest,
                              bytes_of(j->sig, j->pub.n_len), NULL) == 0) {
                tpm_set_pss(k->tpm, TPM_PSS_DIGEST);
                return 0;
            }
            tpm_set_pss(k->tpm, TPM_PSS_OTHER);
        } else if (!ours_may_do(j, &why)) {
            return err_take(e, &why);
        }
    }
    /* Our padding draws a salt: what was approved could not be made again. */
    if (j->key->mode == STORE_KEY_APPROVED)
        return err_set(e, E_UNSUPPORTED,
                       "a key that is used with approvals makes PSS signatures only as the TPM "
                       "itself pads them");
    if (pubkey_pad_pss(&j->pub, w->hash, w->mgf, w->salt, w->digest, em, e) != 0)
        return -1;
    return sign_padded(k, j, em, e);
}

static int sign_once(struct token *k, void *arg, struct err *e)
{
    const struct job *j = arg;

    switch (j->what->scheme) {
    case PUBKEY_ECDSA: return sign_ecdsa(k, j, e);
    case PUBKEY_RSASSA: return sign_pkcs1(k, j, e);
    default: return sign_pss(k, j, e);
    }
}

int token_sign(struct token *k, const struct store_key *key, const struct token_sign *what,
               uint8_t *sig, struct err *e)
{
    struct job j = {.key = key, .what = what, .sig = sig};
    bool ecc;

    if (tpmname_unmarshal_public(buf_bytes(&key->public), &j.area, e) != 0 ||
        pubkey_from_tpmt(&j.pub, &j.area, e) != 0)
        return -1;
    ecc = j.pub.type == TPM2_ALG_ECC;
    if (ecc != (what->scheme == PUBKEY_ECDSA) ||
        (what->scheme == PUBKEY_RSAPSS && (what->hash == NULL || what->mgf == NULL)))
        return err_set(e, E_ARG, "this signature scheme does not go with a key of type %s",
                       pubkey_name(&j.pub));
    return authorise_retry(k, key, sign_once, &j, e);
}

struct raw_job {
    const struct store_key *key;
    struct bytes in;
    uint8_t *out;
};

static int raw_op(struct token *k, void *arg, struct err *e)
{
    const struct raw_job *j = arg;

    return raw_once(k, j->key, j->in, j->out, e);
}

int token_rsa_raw(struct token *k, const struct store_key *key, struct bytes in, uint8_t *out,
                  struct err *e)
{
    struct raw_job j = {.key = key, .in = in, .out = out};
    struct pubkey pub;

    if (token_key_public(key, &pub, e) != 0)
        return -1;
    if (pub.type != TPM2_ALG_RSA || in.len != pub.n_len)
        return err_set(e, E_DATA, "a raw RSA operation takes exactly the length of the modulus");
    return authorise_retry(k, key, raw_op, &j, e);
}
