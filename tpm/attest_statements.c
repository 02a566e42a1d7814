/* What the AK says of a key beside where it lives: its creation, the platform, the PIN. */
#include "tpm/attest_priv.h"

#include "core/tpmname.h"
#include "tpm/nv.h"
#include "tpm/pcr.h"
#include "tpm/pin.h"
#include "tpm/pin_index.h"
#include "tpm/policy.h"

#include <string.h>
#include <tss2/tss2_mu.h>

static const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};

/* The AK signs by the process's HMAC session, where nothing else in the command needs it. */
static int by_ak(struct attest_key *a, struct exec *x, struct err *e)
{
    x->name[x->n_names++] = &a->name;
    x->auth[x->n_auth++] =
        (struct exec_auth){.session = token_session(a->token, e), .auth = a->auth};
    return x->auth[0].session != NULL ? 0 : -1;
}

/* --- creation --------------------------------------------------------------------------- */

/* What tpm/key.c kept of the creation: data, hash, ticket. */
static int read_creation(const struct store_key *key, struct bytes *data, TPM2B_DIGEST *hash,
                         TPMT_TK_CREATION *ticket, struct err *e)
{
    struct reader r = reader_of(key->creation.p, key->creation.len);
    struct bytes h, t;
    size_t n = 0;

    if (key->creation.len == 0)
        return err_set(e, E_UNSUPPORTED,
                       "the key was imported: its TPM says nothing of how it was made");
    *data = reader_2b(&r);
    h = reader_2b(&r);
    t = reader_2b(&r);
    memset(ticket, 0, sizeof(*ticket));
    if (r.bad || h.len > sizeof(hash->buffer) ||
        Tss2_MU_TPMT_TK_CREATION_Unmarshal(t.p, t.len, &n, ticket) != TSS2_RC_SUCCESS || n != t.len)
        return err_set(e, E_CORRUPT,
                       "the creation data of a stored key do not parse; restore the "
                       "store from a backup");
    *hash = (TPM2B_DIGEST){.size = (UINT16)h.len};
    memcpy(hash->buffer, h.p, h.len);
    return 0;
}

static int creation(struct attest_key *a, const struct store_key *key, const TPM2B_DATA *data,
                    struct evidence_signed *out, struct err *e)
{
    const char *what = "certifying how a key was made";
    const struct loaded_key *l = NULL;
    struct exec x = {.n_names = 0};
    TPMT_TK_CREATION ticket;
    TSS2_SYS_CONTEXT *sys;
    struct bytes made;
    TPM2B_DIGEST hash;

    if (read_creation(key, &made, &hash, &ticket, e) != 0 ||
        token_key_load(a->token, key, &l, e) != 0 || by_ak(a, &x, e) != 0)
        return -1;
    x.name[x.n_names++] = &l->name;
    sys = tpm_sys(a->token->tpm, e);
    if (sys == NULL || exec_sapi(Tss2_Sys_CertifyCreation_Prepare(sys, a->handle, l->handle, data,
                                                                  &hash, &scheme, &ticket),
                                 what, e) != 0)
        return -1;
    buf_add_bytes(&out->about, made);
    return attest_run(a, &x, what, Tss2_Sys_CertifyCreation_Complete, &out->attest, &out->signature,
                      e);
}

/* --- platform ------------------------------------------------------------------------------ */

/* In the order of the selection, as the quote's digest takes them. */
static void add_values(const struct pcrvalues *v, struct buf *out)
{
    const struct alg_hash *h = alg_hash_of(v->hash);

    for (unsigned i = 0; i < ARRAY_LEN(v->value); i++) {
        if ((v->there >> i & 1) != 0)
            buf_2b(out, v->value[i], h->size);
    }
}

static int quote(struct attest_key *a, const struct key_pcrs *which, const TPM2B_DATA *data,
                 struct evidence_signed *out, struct err *e)
{
    TPML_PCR_SELECTION sel = {.count = 1};
    struct session *main = token_session(a->token, e);
    const char *what = "quoting PCRs";
    struct exec x = {.n_names = 0};
    struct pcrvalues values;
    TSS2_SYS_CONTEXT *sys;

    sel.pcrSelections[0].hash = which->hash;
    sel.pcrSelections[0].sizeofSelect = sizeof(which->select);
    memcpy(sel.pcrSelections[0].pcrSelect, which->select, sizeof(which->select));
    if (main == NULL || pcr_read(a->token->tpm, main, which, &values, e) != 0 ||
        by_ak(a, &x, e) != 0)
        return -1;
    sys = tpm_sys(a->token->tpm, e);
    if (sys == NULL ||
        exec_sapi(Tss2_Sys_Quote_Prepare(sys, a->handle, data, &scheme, &sel), what, e) != 0)
        return -1;
    add_values(&values, &out->about);
    return attest_run(a, &x, what, Tss2_Sys_Quote_Complete, &out->attest, &out->signature, e);
}

/* --- PIN ------------------------------------------------------------------------------------ */

/* The index as it is now, checked against the Name in the store: that of the counter that the
 * PIN was proved to. */
static int pin_public(struct attest_key *a, TPM2B_NAME *name, struct buf *out, struct err *e)
{
    const struct store_index *u = &a->token->row.nv[STORE_NV_U];
    uint8_t wire[sizeof(TPMS_NV_PUBLIC)];
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME got;
    size_t n = 0;

    if (u->name.len == 0)
        return err_set(e, E_UNSUPPORTED, "this TPM has no index that counts PINs");
    pin_index_name(u, name);
    if (nv_public(a->token->tpm, u->handle, &pub, NULL, e) != 0 || tpmname_nv(&pub, &got, e) != 0)
        return -1;
    if (!tpmname_equal(&got, name))
        return err_set(e, E_TAMPERED, "the TPM's PIN counter is not the one of this token");
    if (Tss2_MU_TPMS_NV_PUBLIC_Marshal(&pub, wire, sizeof(wire), &n) != TSS2_RC_SUCCESS)
        return err_set(e, E_TPM, "the public area of an NV index does not fit");
    buf_2b(out, wire, n);
    buf_2b(out, a->token->row.k_public, sizeof(a->token->row.k_public));
    return buf_ok(out, e);
}

/* A policy session that lets the index be certified: anybody may. */
static int open_counter(struct attest_key *a, struct session *p, struct err *e)
{
    struct token *k = a->token;
    struct pin_link link = {.tpm = k->tpm, .salt = &k->salt, .main = token_session(k, e)};
    struct pin_policy policy;

    if (link.main == NULL || pin_index_policy(&k->row, STORE_NV_U, &policy, e) != 0 ||
        pin_session(&link, p, e) != 0 || policy_command(k->tpm, p, TPM2_CC_NV_Certify, e) != 0)
        return -1;
    return policy_or(k->tpm, p, policy.branch, policy.n, e);
}

static int pin(struct attest_key *a, const TPM2B_DATA *data, struct evidence_signed *out,
               struct err *e)
{
    uint32_t index = a->token->row.nv[STORE_NV_U].handle;
    const char *what = "certifying the counter of PINs";
    struct session p = {0};
    struct exec x = {.n_names = 0};
    TSS2_SYS_CONTEXT *sys;
    TPM2B_NAME name;
    int rc = -1;

    if (pin_public(a, &name, &out->about, e) != 0 || open_counter(a, &p, e) != 0 ||
        by_ak(a, &x, e) != 0)
        goto out;
    /* The index authorises itself. */
    x.name[x.n_names++] = &name;
    x.name[x.n_names++] = &name;
    x.auth[x.n_auth++] = (struct exec_auth){.session = &p, .last = true};
    sys = tpm_sys(a->token->tpm, e);
    if (sys == NULL || exec_sapi(Tss2_Sys_NV_Certify_Prepare(sys, a->handle, index, index, data,
                                                             &scheme, PIN_COUNT, 0),
                                 what, e) != 0)
        goto out;
    rc = attest_run(a, &x, what, Tss2_Sys_NV_Certify_Complete, &out->attest, &out->signature, e);
out:
    session_end(a->token->tpm, &p);
    return rc;
}

/* --- all of it --------------------------------------------------------------------------------- */

int attest_collect(struct token *k, const struct store_key *key, const struct store_key *ak,
                   const uint8_t qualifying[32], const struct attest_wanted *w,
                   struct evidence_bundle *out, struct err *e)
{
    TPM2B_DATA data = {.size = 32};
    struct attest_key a;
    int rc = -1;

    memcpy(data.buffer, qualifying, 32);
    buf_add_bytes(&out->certify.about, buf_bytes(&key->public));
    if (attest_key_open(k, ak, &a, e) != 0 || buf_ok(&out->certify.about, e) != 0 ||
        attest_parent(k, &out->parent, e) != 0)
        goto out;
    if (attest_run_certify(&a, key, &data, &out->certify.attest, &out->certify.signature, e) == 0 &&
        (!w->creation || creation(&a, key, &data, &out->creation, e) == 0) &&
        (!w->pin || pin(&a, &data, &out->pin, e) == 0) &&
        (w->quote.hash == 0 || quote(&a, &w->quote, &data, &out->quote, e) == 0))
        rc = 0;
out:
    attest_key_close(&a);
    return rc;
}

int attest_quote(struct token *k, const struct store_key *ak, struct bytes qualifying,
                 const struct key_pcrs *which, struct evidence_signed *out, struct err *e)
{
    TPM2B_DATA data = {.size = (UINT16)qualifying.len};
    struct attest_key a;
    int rc = -1;

    if (qualifying.len > sizeof(data.buffer))
        return err_set(e, E_ARG, "a nonce has up to %zu bytes", sizeof(data.buffer));
    memcpy(data.buffer, qualifying.p, qualifying.len);
    if (attest_key_open(k, ak, &a, e) == 0)
        rc = quote(&a, which, &data, out, e);
    attest_key_close(&a);
    return rc;
}
