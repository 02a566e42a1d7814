/* The padding checks of RSA are deprecated in OpenSSL 3.0; they take constant time, and never
 * meet an application's engine or provider. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tpm/crypt_priv.h"
#include "tpm/rc.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

struct rsa_job {
    const struct store_key *key;
    TPMT_RSA_DECRYPT scheme;
    TPM2B_DATA label;
    struct bytes in;
    TPM2B_PUBLIC_KEY_RSA plain;
};

/* The one answer to every kind of wrong padding: who may send ciphertexts learns nothing
 * from which it was (Bleichenbacher, Manger). */
static int no_fit(struct err *e)
{
    return err_set(e, E_DATA,
                   "the data do not decrypt; they were encrypted for another key or in another "
                   "way, or were altered");
}

static int rsa_op(struct token *k, void *arg, struct err *e)
{
    struct rsa_job *j = arg;
    TPM2B_PUBLIC_KEY_RSA cipher = {.size = (UINT16)j->in.len};
    const char *what = "RSA decryption";
    struct authorise u;
    int rc = -1;

    memcpy(cipher.buffer, j->in.p, j->in.len);
    j->plain.size = sizeof(j->plain.buffer);
    if (authorise_begin(k, j->key, true, true, &u, e) == 0 &&
        exec_sapi(Tss2_Sys_RSA_Decrypt_Prepare(u.sys, u.handle, &cipher, &j->scheme, &j->label),
                  what, e) == 0 &&
        authorise_run(k, &u, what, e) == 0 &&
        exec_complete(u.sys, Tss2_Sys_RSA_Decrypt_Complete(u.sys, &j->plain), what, e) == 0)
        rc = 0;
    authorise_end(k, &u);
    return rc;
}

/* TPM2_RSA_Decrypt (Part 3, 14.3) with the TPM's own unpadding. A padding that is wrong gives
 * TPM_RC_VALUE, with libtpms TPM_RC_FAILURE. */
static int by_tpm(struct token *k, const struct store_key *key, const struct token_rsa *how,
                  struct bytes in, uint8_t *out, size_t *out_len, struct err *e)
{
    struct rsa_job j = {.key = key, .in = in};
    struct err why = {0};
    int rc = -1;

    j.scheme.scheme = how->hash != NULL ? TPM2_ALG_OAEP : TPM2_ALG_RSAES;
    if (how->hash != NULL) {
        j.scheme.details.oaep.hashAlg = how->hash->tpm;
        j.label.size = (UINT16)how->label.len;
        if (how->label.len != 0)
            memcpy(j.label.buffer, how->label.p, how->label.len);
    }
    if (authorise_retry(k, key, rsa_op, &j, &why) != 0) {
        rc = rc_base(why.rc) == TPM2_RC_VALUE ? no_fit(e) : err_take(e, &why);
    } else if (j.plain.size > in.len) {
        err_set(e, E_TPM, "the TPM gave %u bytes for a modulus of %zu", (unsigned)j.plain.size,
                in.len);
    } else {
        memcpy(out, j.plain.buffer, j.plain.size);
        *out_len = j.plain.size;
        rc = 0;
    }
    secret_wipe(&j.plain, sizeof(j.plain));
    return rc;
}

static const EVP_MD *md_of(const struct alg_hash *h)
{
    return EVP_get_digestbynid(h->nid);
}

/* The raw operation, then RFC 8017, 7.1.2 or 7.2.2 in constant time. */
static int by_hand(struct token *k, const struct store_key *key, const struct token_rsa *how,
                   struct bytes in, uint8_t *out, size_t *out_len, struct err *e)
{
    uint8_t em[PUBKEY_MAX_RSA], plain[PUBKEY_MAX_RSA];
    int size = (int)in.len, len = -1, rc = -1;

    if (token_rsa_raw(k, key, in, em, e) != 0)
        goto out;
    if (how->hash != NULL)
        len = RSA_padding_check_PKCS1_OAEP_mgf1(plain, size, em, size, size, how->label.p,
                                                (int)how->label.len, md_of(how->hash),
                                                md_of(how->mgf != NULL ? how->mgf : how->hash));
    else
        len = RSA_padding_check_PKCS1_type_2(plain, size, em, size, size);
    ERR_clear_error();
    if (len < 0) {
        no_fit(e);
        goto out;
    }
    memcpy(out, plain, (size_t)len);
    *out_len = (size_t)len;
    rc = 0;
out:
    secret_wipe(em, sizeof(em));
    secret_wipe(plain, sizeof(plain));
    return rc;
}

/* The form that the TPM takes: a hash that it has, the mask by the same hash, and a label that is empty or
 * ends in its only NUL (Part 1, B.4). */
static bool tpm_has_form(const struct token_rsa *how)
{
    struct bytes l = how->label;

    if (how->hash->tpm == 0 || (how->mgf != NULL && how->mgf != how->hash))
        return false;
    return l.len == 0 || (l.len <= sizeof(((TPM2B_DATA *)NULL)->buffer) &&
                          memchr(l.p, 0, l.len) == l.p + l.len - 1);
}

/* The TPM does not do it this way, whatever the data are. */
static bool refused(const struct err *why)
{
    return rc_base(why->rc) == TPM2_RC_SCHEME || rc_base(why->rc) == TPM2_RC_HASH;
}

/* Wrong padding, or a TPM that is broken: it has to be seen which. */
static bool failed(const struct err *why)
{
    return why->rc == TPM2_RC_FAILURE;
}

/* OAEP in the form that the TPM takes. */
static int oaep(struct token *k, const struct store_key *key, const struct token_rsa *how,
                struct bytes in, uint8_t *out, size_t *out_len, struct err *e)
{
    struct err first = {0}, second = {0};

    if (by_tpm(k, key, how, in, out, out_len, &first) == 0)
        return 0;
    if (!refused(&first) && !failed(&first))
        return err_take(e, &first);
    if (by_hand(k, key, how, in, out, out_len, &second) == 0)
        return 0;
    /* The TPM answers that it does not do this: so it is well, and the padding was wrong. */
    return failed(&first) && refused(&second) ? no_fit(e) : err_take(e, &second);
}

static int pkcs1(struct token *k, const struct store_key *key, const struct token_rsa *how,
                 struct bytes in, uint8_t *out, size_t *out_len, struct err *e)
{
    struct err first = {0}, second = {0};

    if (by_hand(k, key, how, in, out, out_len, &first) == 0)
        return 0;
    if (!refused(&first))
        return err_take(e, &first);
    if (by_tpm(k, key, how, in, out, out_len, &second) == 0)
        return 0;
    return failed(&second) ? no_fit(e) : err_take(e, &second);
}

int token_rsa_decrypt(struct token *k, const struct store_key *key, const struct token_rsa *how,
                      struct bytes in, uint8_t *out, size_t *out_len, struct err *e)
{
    TPMT_PUBLIC area;
    size_t n;

    if (crypt_area(key, TPM2_ALG_RSA, TPMA_OBJECT_DECRYPT, "decrypt", &area, e) != 0)
        return -1;
    n = area.unique.rsa.size;
    /* A number from the modulus on is no ciphertext, and the TPM would say so in its way. */
    if (n > PUBKEY_MAX_RSA || in.len != n || memcmp(in.p, area.unique.rsa.buffer, n) >= 0)
        return no_fit(e);
    if (how->label.len > BUF_MAX)
        return err_set(e, E_ARG, "an OAEP label of %zu bytes is too long", how->label.len);
    /* One command: the way in which nothing is left to try. */
    if (authorise_once(key))
        return by_hand(k, key, how, in, out, out_len, e);
    if (how->hash == NULL)
        return pkcs1(k, key, how, in, out, out_len, e);
    return tpm_has_form(how) ? oaep(k, key, how, in, out, out_len, e)
                             : by_hand(k, key, how, in, out, out_len, e);
}
