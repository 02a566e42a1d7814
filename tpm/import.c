#include "core/credential.h"
#include "core/tpmname.h"
#include "tpm/exec.h"
#include "tpm/key_policy.h"
#include "tpm/key_secret.h"

#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

/* A key to import, as the TPM takes it. The seed is for keys without a public half. */
struct outside {
    struct bytes priv, seed;
    struct secret *shaped; /* what `priv` lies in then */
    uint8_t seed_value[KEY_SECRET_SEED];
};

/* An imported key is one that others may have: no fixedTPM, no fixedParent, no
 * sensitiveDataOrigin. With an empty authPolicy, as here, nobody can duplicate it further. */
static int public_of(const struct key_spec *spec, const struct pubkey *pub,
                     const struct outside *in, TPMT_PUBLIC *out, struct err *e)
{
    *out = (TPMT_PUBLIC){
        .type = spec->type,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
    };
    if (key_secret_is(spec->type)) {
        key_secret_template(spec, out);
        return key_secret_bind(in->seed, in->priv, out, e);
    }
    if (spec->sign)
        out->objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
    if (spec->decrypt)
        out->objectAttributes |= TPMA_OBJECT_DECRYPT;
    if (pub == NULL || pub->type != spec->type)
        return err_set(e, E_ARG, "the key to import is not of the type that was asked for");
    if (spec->type == TPM2_ALG_ECC) {
        UINT16 n = (UINT16)pub->curve->size;

        out->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
        out->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.eccDetail.curveID = pub->curve->tpm;
        out->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
        out->unique.ecc.x.size = n;
        out->unique.ecc.y.size = n;
        memcpy(out->unique.ecc.x.buffer, pub->point.x, n);
        memcpy(out->unique.ecc.y.buffer, pub->point.y, n);
        return 0;
    }
    out->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
    out->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
    out->parameters.rsaDetail.keyBits = (UINT16)(pub->n_len * 8);
    out->unique.rsa.size = pub->n_len;
    memcpy(out->unique.rsa.buffer, pub->n, pub->n_len);
    return 0;
}

/* Copies into one of the TPM2B of a sensitive area; false when it does not fit. */
static bool into(UINT16 *size, BYTE *buffer, size_t room, struct bytes in)
{
    if (in.len > room)
        return false;
    *size = (UINT16)in.len;
    if (in.len != 0)
        memcpy(buffer, in.p, in.len);
    return true;
}
#define INTO(b, in) into(&(b).size, (b).buffer, sizeof((b).buffer), (in))

static bool fill(uint16_t type, const struct outside *in, struct bytes auth, TPMT_SENSITIVE *t)
{
    t->sensitiveType = type;
    if (!INTO(t->authValue, auth) || !INTO(t->seedValue, in->seed))
        return false;
    switch (type) {
    case TPM2_ALG_ECC: return INTO(t->sensitive.ecc, in->priv);
    case TPM2_ALG_SYMCIPHER: return INTO(t->sensitive.sym, in->priv);
    case TPM2_ALG_KEYEDHASH: return INTO(t->sensitive.bits, in->priv);
    default: return INTO(t->sensitive.rsa, in->priv);
    }
}

/* Part 2, 12.3.2.4 TPMT_SENSITIVE. */
static int sensitive_of(uint16_t type, const struct outside *in, struct bytes auth,
                        struct secret **out, struct err *e)
{
    struct secret *s = secret_new(sizeof(TPMT_SENSITIVE), e), *wire = NULL;
    TPMT_SENSITIVE *t;
    size_t n = 0;
    int rc = -1;

    if (s == NULL || (wire = secret_new(sizeof(TPMT_SENSITIVE), e)) == NULL)
        goto out;
    t = (TPMT_SENSITIVE *)(void *)secret_data(s);
    if (!fill(type, in, auth, t)) {
        err_set(e, E_DATA, "the private key is too long");
        goto out;
    }
    if (Tss2_MU_TPMT_SENSITIVE_Marshal(t, secret_data(wire), secret_len(wire), &n) !=
        TSS2_RC_SUCCESS) {
        err_set(e, E_DATA, "the private key does not fit");
        goto out;
    }
    secret_trim(wire, n);
    *out = wire;
    wire = NULL;
    rc = 0;
out:
    secret_free(s);
    secret_free(wire);
    return rc;
}

struct import_job {
    const TPMT_PUBLIC *area;
    const struct buf *duplicate, *seed;
    struct buf *out;
};

static int import_op(struct token *k, void *arg, struct err *e)
{
    const struct import_job *j = arg;
    TPM2B_PUBLIC pub = {.publicArea = *j->area};
    TPM2B_PRIVATE dup = {.size = (UINT16)j->duplicate->len}, priv = {.size = sizeof(priv.buffer)};
    TPM2B_ENCRYPTED_SECRET sym_seed = {.size = (UINT16)j->seed->len};
    TPMT_SYM_DEF_OBJECT sym = {.algorithm = TPM2_ALG_NULL};
    TPM2B_DATA encryption_key = {0};
    struct exec x = {.name = {&k->primary_name}, .n_names = 1, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys = tpm_sys(k->tpm, e);
    const char *what = "importing a key";

    if (sys == NULL)
        return -1;
    if (j->duplicate->len > sizeof(dup.buffer) || j->seed->len > sizeof(sym_seed.secret))
        return err_set(e, E_DATA, "the private key is too long");
    memcpy(dup.buffer, j->duplicate->p, j->duplicate->len);
    memcpy(sym_seed.secret, j->seed->p, j->seed->len);
    x.auth[0].session = token_session(k, e);
    if (x.auth[0].session == NULL ||
        exec_sapi(Tss2_Sys_Import_Prepare(sys, k->hw.primary, &encryption_key, &pub, &dup,
                                          &sym_seed, &sym),
                  what, e) != 0 ||
        exec_run(k->tpm, &x, what, e) != 0 ||
        exec_sapi(Tss2_Sys_Import_Complete(sys, &priv), what, e) != 0)
        return -1;
    buf_add(j->out, priv.buffer, priv.size);
    return buf_ok(j->out, e);
}

/* Keys without a public half get a seed, and bytes of a length that the TPM takes. */
static int shape(const struct key_spec *spec, struct bytes priv, struct outside *out, struct err *e)
{
    out->priv = priv;
    if (!key_secret_is(spec->type))
        return 0;
    if (key_secret_bytes(spec, priv, &out->shaped, e) != 0)
        return -1;
    if (RAND_priv_bytes(out->seed_value, sizeof(out->seed_value)) != 1)
        return err_openssl(e, E_CRYPTO, "random seed of a key");
    out->priv = secret_bytes(out->shaped);
    out->seed = bytes_of(out->seed_value, sizeof(out->seed_value));
    return 0;
}

int token_key_import(struct token *k, const struct key_spec *spec, const struct pubkey *pub,
                     struct bytes priv, struct store_key *out, struct err *e)
{
    struct store_key made = {
        .token = k->row.id, .use = STORE_USE_OBJECT, .mode = spec->mode, .imported = true};
    struct buf duplicate = {.secret = true}, seed = {0};
    struct secret *sensitive = NULL;
    struct outside in = {.shaped = NULL};
    TPMT_PUBLIC area;
    struct import_job j = {&area, &duplicate, &seed, &made.private};
    uint8_t auth_value[32];
    struct bytes auth;
    TPM2B_NAME name;
    int rc = -1;

    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (spec->pcrs.hash != 0)
        return err_set(e, E_UNSUPPORTED, "a key that is imported cannot be bound to PCRs");
    if (spec->mode == STORE_KEY_APPROVED)
        return err_set(e, E_UNSUPPORTED,
                       "a key that is imported was outside already: no approvals guard it");
    if (token_key_supported(k, spec, e) != 0)
        return -1;
    held_flush_all(k->tpm);
    if (RAND_bytes(made.uuid, STORE_UUID) != 1)
        return err_openssl(e, E_CRYPTO, "random key id");
    if (token_key_auth(k, &made, auth_value, &auth, e) != 0 || shape(spec, priv, &in, e) != 0 ||
        public_of(spec, pub, &in, &area, e) != 0 ||
        key_policy_set(k, spec, made.uuid, NULL, &area, e) != 0 ||
        tpmname_marshal_public(&area, &made.public, e) != 0 ||
        tpmname_object(buf_bytes(&made.public), &name, e) != 0 ||
        sensitive_of(spec->type, &in, auth, &sensitive, e) != 0 ||
        credential_wrap_import(&k->primary, &name, secret_bytes(sensitive), &duplicate, &seed, e) !=
            0 ||
        token_retry(k, import_op, &j, e) != 0)
        goto out;
    *out = made;
    rc = 0;
out:
    if (rc != 0)
        store_key_free(&made);
    secret_free(sensitive);
    secret_free(in.shaped);
    buf_free(&duplicate);
    buf_free(&seed);
    secret_wipe(&in, sizeof(in));
    secret_wipe(auth_value, sizeof(auth_value));
    return rc;
}
