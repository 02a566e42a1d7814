#include "core/kdf.h"
#include "core/tpmname.h"
#include "tpm/exec.h"
#include "tpm/key_extra.h"
#include "tpm/key_policy.h"
#include "tpm/key_secret.h"
#include "tpm/pcr.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static void template_of(const struct key_spec *spec, TPMT_PUBLIC *out)
{
    *out = (TPMT_PUBLIC){
        .type = spec->type,
        .nameAlg = TPM2_ALG_SHA256,
        .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                            TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                            TPMA_OBJECT_NODA,
    };
    if (key_secret_is(spec->type)) {
        key_secret_template(spec, out);
        return;
    }
    if (spec->sign)
        out->objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
    if (spec->decrypt)
        out->objectAttributes |= TPMA_OBJECT_DECRYPT;
    if (spec->type == TPM2_ALG_ECC) {
        out->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
        out->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.eccDetail.curveID = spec->curve->tpm;
        out->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    } else {
        out->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
        out->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.rsaDetail.keyBits = spec->bits;
    }
}

int token_key_supported(struct token *k, const struct key_spec *spec, struct err *e)
{
    struct tpm_caps c;
    bool has;

    if (key_policy_check(k, spec, e) != 0 || tpm_caps(k->tpm, &c, e) != 0)
        return -1;
    if (key_secret_is(spec->type))
        return key_secret_supported(k, spec, e);
    if (spec->type == TPM2_ALG_ECC) {
        if (spec->curve == NULL)
            return err_set(e, E_UNSUPPORTED, "unknown curve");
        has = (spec->curve->tpm == TPM2_ECC_NIST_P256 && c.p256) ||
              (spec->curve->tpm == TPM2_ECC_NIST_P384 && c.p384) ||
              (spec->curve->tpm == TPM2_ECC_NIST_P521 && c.p521);
        if (!has)
            return err_set(e, E_UNSUPPORTED, "this TPM does not have the curve %s",
                           spec->curve->name);
        return 0;
    }
    if (spec->type != TPM2_ALG_RSA)
        return err_set(e, E_UNSUPPORTED, "this kind of key is not available");
    if (spec->exponent != 0 && spec->exponent != 65537)
        return err_set(e, E_UNSUPPORTED, "TPM keys have the public exponent 65537");
    has = (spec->bits == 2048 && c.rsa2048) || (spec->bits == 3072 && c.rsa3072) ||
          (spec->bits == 4096 && c.rsa4096);
    if (!has)
        return err_set(e, E_UNSUPPORTED, "this TPM does not make RSA keys of %u bits", spec->bits);
    return 0;
}

int token_key_auth(struct token *k, const struct store_key *key, uint8_t out[32],
                   struct bytes *auth, struct err *e)
{
    struct buf info = {0};
    int rc = -1;

    *auth = (struct bytes){NULL, 0};
    if (key->mode == STORE_KEY_NONE)
        return 0;
    if (k->who != TOKEN_USER || k->secret == NULL)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    buf_str(&info, "fusetsu key");
    buf_add(&info, key->uuid, STORE_UUID);
    if (buf_ok(&info, e) != 0 ||
        kdf_hkdf(secret_bytes(k->secret), buf_bytes(&info), out, 32, e) != 0)
        goto out;
    *auth = bytes_of(out, 32);
    rc = 0;
out:
    buf_free(&info);
    return rc;
}

/* What creation evidence needs later: data, hash and ticket, each with a length. */
static int keep_creation(const TPM2B_CREATION_DATA *data, const TPM2B_DIGEST *hash,
                         const TPMT_TK_CREATION *ticket, struct buf *out, struct err *e)
{
    uint8_t wire[sizeof(*data) + sizeof(*ticket)];
    size_t n = 0;

    if (Tss2_MU_TPMS_CREATION_DATA_Marshal(&data->creationData, wire, sizeof(wire), &n) !=
        TSS2_RC_SUCCESS)
        return err_set(e, E_TPM, "the TPM's creation data do not fit");
    buf_2b(out, wire, n);
    buf_2b(out, hash->buffer, hash->size);
    n = 0;
    if (Tss2_MU_TPMT_TK_CREATION_Marshal(ticket, wire, sizeof(wire), &n) != TSS2_RC_SUCCESS)
        return err_set(e, E_TPM, "the TPM's creation ticket does not fit");
    buf_2b(out, wire, n);
    return buf_ok(out, e);
}

static int create_once(struct token *k, const struct key_parent *parent, const struct key_new *want,
                       struct store_key *out, struct err *e)
{
    struct bytes auth = want->auth, outside_info = want->outside_info;
    TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.userAuth.size = (UINT16)auth.len};
    TPM2B_PUBLIC in = {.publicArea = *want->template}, pub = {0};
    TPM2B_PRIVATE priv = {.size = sizeof(priv.buffer)};
    TPM2B_DATA outside = {.size = (UINT16)outside_info.len};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {.size = sizeof(hash.buffer)};
    TPMT_TK_CREATION ticket = {0};
    struct exec x = {.name = {parent->name}, .n_names = 1, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys = tpm_sys(k->tpm, e);
    const char *what = "creating a key";
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (auth.len > 32 || outside_info.len > KEY_OUTSIDE_INFO)
        return err_set(e, E_ARG, "a value is too long for a new key");
    if (auth.len != 0)
        memcpy(sensitive.sensitive.userAuth.buffer, auth.p, auth.len);
    if (outside_info.len != 0)
        memcpy(outside.buffer, outside_info.p, outside_info.len);
    x.auth[0] = (struct exec_auth){.session = parent->session, .decrypt = parent->helper == NULL};
    if (parent->helper != NULL)
        x.auth[x.n_auth++] = (struct exec_auth){.session = parent->helper, .decrypt = true};
    if (exec_sapi(
            Tss2_Sys_Create_Prepare(sys, parent->handle, &sensitive, &in, &outside, &want->pcrs),
            what, e) != 0 ||
        exec_run(k->tpm, &x, what, e) != 0 ||
        exec_sapi(Tss2_Sys_Create_Complete(sys, &priv, &pub, &data, &hash, &ticket), what, e) != 0)
        goto out;
    buf_add(&out->private, priv.buffer, priv.size);
    if (tpmname_marshal_public(&pub.publicArea, &out->public, e) != 0 ||
        keep_creation(&data, &hash, &ticket, &out->creation, e) != 0 ||
        buf_ok(&out->private, e) != 0)
        goto out;
    rc = 0;
out:
    secret_wipe(&sensitive, sizeof(sensitive));
    return rc;
}

int key_create(struct token *k, const struct key_parent *parent, const struct key_new *what,
               struct store_key *out, struct err *e)
{
    int tries = 0;

    held_make_room(k->tpm);
    for (;;) {
        struct err why = {0};

        if (create_once(k, parent, what, out, &why) == 0)
            return 0;
        if (!held_try_again(k->tpm, why.rc, &tries))
            return err_take(e, &why);
    }
}

struct create_job {
    const struct key_spec *spec;
    struct store_key *out;
};

/* The TPM says for which values it made the key, in a response that the session covers. What
 * was read before is not covered. */
static int as_bound(const struct store_key *made, const struct pcr_bound *b, struct err *e)
{
    struct pcr_bound got;

    if (pcr_of_key(made, &got, e) != 0)
        return -1;
    return pcr_equal(&got, b)
               ? 0
               : err_set(e, E_TAMPERED,
                         "the PCRs had other values when the key was made than just before: they "
                         "moved, or something between this program and the TPM altered them; try "
                         "again");
}

/* What its uses take and the TPM does not keep. */
static int keep_extra(const struct key_spec *spec, struct store_key *made, struct err *e)
{
    struct key_extra x = {.label = {NULL, 0}};

    if (spec->mode != STORE_KEY_APPROVED && !spec->pcrs_updatable)
        return 0;
    if (spec->mode == STORE_KEY_APPROVED) {
        x.approver = spec->approver;
        x.purpose = spec->purpose;
    }
    x.updatable = spec->pcrs_updatable;
    return key_extra_write(made, &x, e);
}

static int create_op(struct token *k, void *arg, struct err *e)
{
    const struct create_job *j = arg;
    const struct key_spec *spec = j->spec;
    struct store_key made = {.token = k->row.id, .use = STORE_USE_OBJECT, .mode = spec->mode};
    struct key_parent parent = {.handle = k->hw.primary, .name = &k->primary_name};
    TPMT_PUBLIC template;
    struct key_new want = {.template = &template, .outside_info = spec->outside_info};
    struct pcr_bound b = {.digest.size = 0};
    uint8_t auth_value[32];
    int rc = -1;

    if (RAND_bytes(made.uuid, STORE_UUID) != 1)
        return err_openssl(e, E_CRYPTO, "random key id");
    parent.session = token_session(k, e);
    template_of(spec, &template);
    if (parent.session == NULL || token_key_auth(k, &made, auth_value, &want.auth, e) != 0 ||
        (spec->pcrs.hash != 0 && pcr_now(k->tpm, parent.session, &spec->pcrs, &b, e) != 0) ||
        key_policy_set(k, spec, made.uuid, &b, &template, e) != 0)
        goto out;
    want.pcrs = b.selection;
    if (key_create(k, &parent, &want, &made, e) != 0 || as_bound(&made, &b, e) != 0 ||
        keep_extra(spec, &made, e) != 0)
        goto out;
    *j->out = made;
    rc = 0;
out:
    if (rc != 0)
        store_key_free(&made);
    secret_wipe(auth_value, sizeof(auth_value));
    return rc;
}

int token_key_create(struct token *k, const struct key_spec *spec, struct store_key *out,
                     struct err *e)
{
    struct create_job j = {.spec = spec, .out = out};

    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (token_key_supported(k, spec, e) != 0)
        return -1;
    /* Nothing of a first try stays in the TPM: twice does no harm. */
    return token_retry(k, create_op, &j, e);
}

int key_load(struct tpm *t, const struct key_parent *parent, const struct store_key *key,
             TPM2_HANDLE *handle, TPM2B_NAME *name, struct err *e)
{
    TPM2B_PRIVATE priv = {.size = (UINT16)key->private.len};
    TPM2B_PUBLIC pub = {0};
    TPM2B_NAME want, got = {.size = sizeof(got.name)};
    struct exec x = {.name = {parent->name}, .n_names = 1, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    const char *what = "loading a key";

    if (sys == NULL)
        return -1;
    if (key->private.len > sizeof(priv.buffer))
        return err_set(e, E_CORRUPT, "a stored key is too long; restore the store from a backup");
    memcpy(priv.buffer, key->private.p, key->private.len);
    if (tpmname_unmarshal_public(buf_bytes(&key->public), &pub.publicArea, e) != 0 ||
        tpmname_object(buf_bytes(&key->public), &want, e) != 0)
        return -1;
    x.auth[0] = (struct exec_auth){.session = parent->session};
    if (exec_sapi(Tss2_Sys_Load_Prepare(sys, parent->handle, &priv, &pub), what, e) != 0 ||
        exec_run(t, &x, what, e) != 0 ||
        exec_sapi(Tss2_Sys_Load_Complete(sys, handle, &got), what, e) != 0)
        return -1;
    if (!tpmname_equal(&want, &got)) {
        tpm_flush(t, *handle);
        return err_set(e, E_TAMPERED, "the TPM loaded another key than the one that was stored");
    }
    *name = want;
    return 0;
}

int token_key_load(struct token *k, const struct store_key *key, const struct loaded_key **out,
                   struct err *e)
{
    struct key_parent parent = {.handle = k->hw.primary, .name = &k->primary_name};
    const struct loaded_key *l = held_find(k->tpm, key->uuid);
    TPM2_HANDLE h = 0;
    TPM2B_NAME name;
    int tries = 0;

    if (l != NULL) {
        *out = l;
        return 0;
    }
    held_make_room(k->tpm);
    for (;;) {
        struct err why = {0};

        parent.session = token_session(k, e);
        if (parent.session == NULL)
            return -1;
        if (key_load(k->tpm, &parent, key, &h, &name, &why) == 0)
            break;
        if (!held_try_again(k->tpm, why.rc, &tries))
            return err_take(e, &why);
    }
    *out = held_add(k->tpm, key->uuid, h, &name);
    if (*out != NULL)
        return 0;
    tpm_flush(k->tpm, h);
    return err_set(e, E_BUSY, "another process took the TPM while a key was loaded; try again");
}

int token_key_public(const struct store_key *key, struct pubkey *out, struct err *e)
{
    TPMT_PUBLIC pub;

    if (tpmname_unmarshal_public(buf_bytes(&key->public), &pub, e) != 0)
        return -1;
    return pubkey_from_tpmt(out, &pub, e);
}

void token_key_forget(struct token *k, const uint8_t uuid[STORE_UUID])
{
    held_flush(k->tpm, uuid);
}
