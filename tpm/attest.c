#include "tpm/attest_priv.h"

#include "core/ektemplate.h"
#include "core/tpmname.h"
#include "tpm/ek.h"

#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static void ak_template(TPMT_PUBLIC *out)
{
    *out = (TPMT_PUBLIC){
        .type = TPM2_ALG_ECC,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                            TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
    };
    out->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    out->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
    out->parameters.eccDetail.scheme.details.ecdsa.hashAlg = TPM2_ALG_SHA256;
    out->parameters.eccDetail.curveID = TPM2_ECC_NIST_P256;
    out->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
}

static int ak_create(struct token *k, uint32_t ek_index, struct store_key *out, struct err *e)
{
    struct store_key made = {
        .token = k->row.id, .use = STORE_USE_AK, .mode = STORE_KEY_SESSION, .parent = ek_index};
    struct key_parent parent;
    uint8_t auth_value[32];
    TPMT_PUBLIC template;
    struct key_new what = {.template = &template};
    struct ek ek = {0};
    int rc = -1;

    if (RAND_bytes(made.uuid, STORE_UUID) != 1)
        return err_openssl(e, E_CRYPTO, "random key id");
    ak_template(&template);
    if (token_key_auth(k, &made, auth_value, &what.auth, e) != 0 ||
        ek_open(k, ek_index, &ek, e) != 0 || ek_parent(k, &ek, &parent, e) != 0 ||
        key_create(k, &parent, &what, &made, e) != 0 ||
        store_key_put(k->store, &made, token_seal(k), e) != 0)
        goto out;
    *out = made;
    rc = 0;
out:
    if (rc != 0)
        store_key_free(&made);
    ek_close(k, &ek);
    secret_wipe(auth_value, sizeof(auth_value));
    return rc;
}

int attest_ak(struct token *k, uint32_t ek_index, struct store_key *ak, struct err *e)
{
    struct err why = {0};

    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (store_key_find(k->store, k->row.id, STORE_USE_AK, ek_index, token_seal(k), ak, &why) == 0)
        return 0;
    if (why.code != E_NOT_FOUND)
        return err_take(e, &why);
    return ak_create(k, ek_index, ak, e);
}

/* Loads the AK under its EK; the caller flushes it. */
static int ak_load(struct token *k, const struct store_key *ak, struct ek *ek, TPM2_HANDLE *h,
                   TPM2B_NAME *name, struct err *e)
{
    struct key_parent parent;

    if (ek_open(k, ak->parent, ek, e) != 0 || ek_parent(k, ek, &parent, e) != 0)
        return -1;
    return key_load(k->tpm, &parent, ak, h, name, e);
}

static int keep(const TPM2B_ATTEST *attest, const TPMT_SIGNATURE *sig, struct buf *a, struct buf *s,
                struct err *e)
{
    uint8_t wire[sizeof(*sig)];
    size_t n = 0;

    if (Tss2_MU_TPMT_SIGNATURE_Marshal(sig, wire, sizeof(wire), &n) != TSS2_RC_SUCCESS)
        return err_set(e, E_TPM, "the TPM's signature does not fit");
    buf_add(a, attest->attestationData, attest->size);
    buf_add(s, wire, n);
    if (buf_ok(a, e) != 0)
        return -1;
    return buf_ok(s, e);
}

int attest_key_open(struct token *k, const struct store_key *ak, struct attest_key *out,
                    struct err *e)
{
    struct ek ek = {0};
    int rc = -1;

    *out = (struct attest_key){.token = k};
    if (token_key_auth(k, ak, out->value, &out->auth, e) == 0 &&
        ak_load(k, ak, &ek, &out->handle, &out->name, e) == 0)
        rc = 0;
    /* The EK is not needed any more: its slot may be. */
    ek_close(k, &ek);
    return rc;
}

void attest_key_close(struct attest_key *a)
{
    tpm_flush(a->token->tpm, a->handle);
    secret_wipe(a->value, sizeof(a->value));
}

int attest_run(struct attest_key *a, struct exec *x, const char *what, attest_complete *complete,
               struct buf *attest, struct buf *signature, struct err *e)
{
    TPM2B_ATTEST info = {.size = sizeof(info.attestationData)};
    TSS2_SYS_CONTEXT *sys = tpm_sys(a->token->tpm, e);
    TPMT_SIGNATURE sig = {0};

    if (sys == NULL || exec_run(a->token->tpm, x, what, e) != 0 ||
        exec_sapi(complete(sys, &info, &sig), what, e) != 0)
        return -1;
    return keep(&info, &sig, attest, signature, e);
}

/* TPM2_Certify needs two authorisations, and a session may stand in a command only
 * once: the AK gets a second one. */
int attest_run_certify(struct attest_key *a, const struct store_key *key, const TPM2B_DATA *data,
                       struct buf *attest, struct buf *signature, struct err *e)
{
    static const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    struct token *k = a->token;
    const struct loaded_key *l = NULL;
    uint8_t key_value[32];
    struct bytes key_auth;
    struct session second = {0};
    struct exec x = {.n_names = 2, .n_auth = 2};
    TSS2_SYS_CONTEXT *sys;
    const char *what = "certifying a key";
    int rc = -1;

    if (token_key_auth(k, key, key_value, &key_auth, e) != 0 ||
        token_key_load(k, key, &l, e) != 0 ||
        session_start(k->tpm, TPM2_SE_HMAC, &k->salt, &second, e) != 0)
        goto out;
    x.name[0] = &l->name;
    x.name[1] = &a->name;
    x.auth[0] = (struct exec_auth){.session = token_session(k, e), .auth = key_auth};
    x.auth[1] = (struct exec_auth){.session = &second, .auth = a->auth, .last = true};
    sys = tpm_sys(k->tpm, e);
    if (sys == NULL || x.auth[0].session == NULL ||
        exec_sapi(Tss2_Sys_Certify_Prepare(sys, l->handle, a->handle, data, &scheme), what, e) != 0)
        goto out;
    rc = attest_run(a, &x, what, Tss2_Sys_Certify_Complete, attest, signature, e);
out:
    session_end(k->tpm, &second);
    secret_wipe(key_value, sizeof(key_value));
    return rc;
}

int attest_certify(struct token *k, const struct store_key *key, const struct store_key *ak,
                   const uint8_t qualifying[32], struct buf *attest, struct buf *signature,
                   struct err *e)
{
    TPM2B_DATA data = {.size = 32};
    struct attest_key a;
    int rc = -1;

    memcpy(data.buffer, qualifying, 32);
    if (attest_key_open(k, ak, &a, e) == 0)
        rc = attest_run_certify(&a, key, &data, attest, signature, e);
    attest_key_close(&a);
    return rc;
}

int attest_parent(struct token *k, struct buf *tpmt_public, struct err *e)
{
    buf_add(tpmt_public, k->hw.primary_public, k->hw.primary_public_len);
    return buf_ok(tpmt_public, e);
}

static int activate(struct token *k, const struct store_key *ak, TPM2_HANDLE ak_handle,
                    const TPM2B_NAME *ak_name, const struct ek *ek, const struct key_parent *parent,
                    const TPM2B_ID_OBJECT *blob, const TPM2B_ENCRYPTED_SECRET *enc,
                    struct secret **out, struct err *e)
{
    TPM2B_DIGEST got = {.size = sizeof(got.buffer)};
    uint8_t ak_value[32];
    struct bytes ak_auth;
    struct session second = {0};
    struct exec x = {.name = {ak_name, parent->name}, .n_names = 2, .n_auth = 2};
    TSS2_SYS_CONTEXT *sys;
    const char *what = "opening a sealed credential";
    struct err why = {0};
    int rc = -1;

    if (token_key_auth(k, ak, ak_value, &ak_auth, e) != 0 ||
        session_start(k->tpm, TPM2_SE_HMAC, &k->salt, &second, e) != 0)
        goto out;
    x.auth[0] =
        (struct exec_auth){.session = &second, .auth = ak_auth, .encrypt = true, .last = true};
    x.auth[1] = (struct exec_auth){.session = parent->session};
    sys = tpm_sys(k->tpm, e);
    if (sys == NULL)
        goto out;
    if (exec_sapi(Tss2_Sys_ActivateCredential_Prepare(sys, ak_handle, ek->handle, blob, enc), what,
                  e) != 0)
        goto out;
    if (exec_run(k->tpm, &x, what, &why) != 0) {
        if (why.code == E_TPM)
            err_set_rc(e, E_REJECTED, why.rc,
                       "the credential was sealed for another attestation key or another TPM "
                       "(0x%03x)",
                       why.rc);
        err_take(e, &why);
        goto out;
    }
    if (exec_complete(sys, Tss2_Sys_ActivateCredential_Complete(sys, &got), what, e) != 0)
        goto out;
    *out = secret_copy(got.buffer, got.size, e);
    rc = *out != NULL ? 0 : -1;
out:
    session_end(k->tpm, &second);
    secret_wipe(&got, sizeof(got));
    secret_wipe(ak_value, sizeof(ak_value));
    return rc;
}

int attest_activate(struct token *k, const struct store_key *ak, struct bytes blob,
                    struct bytes encrypted_secret, struct secret **out, struct err *e)
{
    TPM2B_ID_OBJECT id = {.size = (UINT16)blob.len};
    TPM2B_ENCRYPTED_SECRET enc = {.size = (UINT16)encrypted_secret.len};
    struct key_parent parent;
    TPM2_HANDLE h = 0;
    TPM2B_NAME name;
    struct ek ek = {0};
    int rc = -1;

    if (blob.len > sizeof(id.credential) || encrypted_secret.len > sizeof(enc.secret))
        return err_set(e, E_FORMAT, "the sealed credential does not fit a TPM");
    memcpy(id.credential, blob.p, blob.len);
    memcpy(enc.secret, encrypted_secret.p, encrypted_secret.len);
    if (ak_load(k, ak, &ek, &h, &name, e) == 0 && ek_parent(k, &ek, &parent, e) == 0)
        rc = activate(k, ak, h, &name, &ek, &parent, &id, &enc, out, e);
    tpm_flush(k->tpm, h);
    ek_close(k, &ek);
    return rc;
}
