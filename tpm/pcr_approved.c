#include "tpm/pcr_approved.h"

#include "core/hash.h"
#include "tpm/external.h"
#include "tpm/key_extra.h"
#include "tpm/pin.h"
#include "tpm/pin_index.h"
#include "tpm/rc.h"

#include <stdlib.h>
#include <string.h>

#define REF_LABEL "fusetsu pcrs 1"

/* What the TPM said of a signature by K: true for as long as its owner hierarchy lives. */
struct pcr_approved_ticket {
    uint8_t digest[32];
    TPMT_TK_VERIFIED ticket;
};

static int ref_of(const uint8_t uuid[STORE_UUID], TPM2B_NONCE *out, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    *out = (TPM2B_NONCE){.size = 32};
    buf_str(&in, REF_LABEL);
    buf_add(&in, uuid, STORE_UUID);
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out->buffer, e);
    buf_free(&in);
    return rc;
}

int pcr_approved_policy(const struct token *k, const uint8_t uuid[STORE_UUID],
                        struct tpmpolicy *out, struct err *e)
{
    TPMT_PUBLIC pub;
    TPM2B_NAME name;
    TPM2B_NONCE ref;

    /* Not as the row has it by now: whose key that is nobody knows. */
    if (k->who != TOKEN_USER)
        return err_set(e, E_LOGIN, "log in to token '%s' first", k->row.label);
    if (pin_policy_k(k->confirmed.k_public, &pub, &name, e) != 0 || ref_of(uuid, &ref, e) != 0)
        return -1;
    return tpmpolicy_authorize(out, &name, bytes_of(ref.buffer, ref.size), e);
}

int pcr_approved_digest(const uint8_t uuid[STORE_UUID], const struct pcr_bound *b,
                        struct tpmpolicy *approved, TPM2B_NONCE *ref, uint8_t out[32],
                        struct err *e)
{
    uint8_t both[64];

    *approved = (struct tpmpolicy){{0}};
    if (tpmpolicy_pcr(approved, &b->selection, bytes_of(b->digest.buffer, b->digest.size), e) !=
            0 ||
        ref_of(uuid, ref, e) != 0)
        return -1;
    memcpy(both, approved->d, 32);
    memcpy(both + 32, ref->buffer, 32);
    return hash_sha256(bytes_of(both, sizeof(both)), out, e);
}

/* TPM2_VerifySignature (Part 3, 20.1) by K, loaded in the owner hierarchy: only there the
 * ticket says something. */
static int verify(struct token *k, const TPMT_PUBLIC *pub, const uint8_t digest[32],
                  const uint8_t rs[64], bool may_flush, TPMT_TK_VERIFIED *ticket, struct err *e)
{
    TPMT_SIGNATURE sig = {.sigAlg = TPM2_ALG_ECDSA};
    TPM2B_DIGEST d = {.size = 32};
    TPM2_HANDLE handle = 0;
    int rc;

    memcpy(d.buffer, digest, 32);
    sig.signature.ecdsa.hash = TPM2_ALG_SHA256;
    sig.signature.ecdsa.signatureR.size = 32;
    sig.signature.ecdsa.signatureS.size = 32;
    memcpy(sig.signature.ecdsa.signatureR.buffer, rs, 32);
    memcpy(sig.signature.ecdsa.signatureS.buffer, rs + 32, 32);
    if (external_load(k->tpm, pub, TPM2_RH_OWNER, may_flush, &handle, e) != 0)
        return -1;
    rc = exec_sapi(
        Tss2_Sys_VerifySignature(tpm_sys(k->tpm, NULL), handle, NULL, &d, &sig, ticket, NULL),
        "checking the SO's approval of PCR values", e);
    tpm_flush(k->tpm, handle);
    return rc;
}

/* The ticket for one approval, remembered or asked for. */
static int ticket_for(struct token *k, const TPMT_PUBLIC *pub, const uint8_t digest[32],
                      const uint8_t rs[64], bool may_flush, struct err *e)
{
    if (k->ticket != NULL && memcmp(k->ticket->digest, digest, 32) == 0)
        return 0;
    if (k->ticket == NULL)
        k->ticket = calloc(1, sizeof(*k->ticket));
    if (k->ticket == NULL)
        return err_set(e, E_MEMORY, "out of memory for a ticket");
    memset(k->ticket, 0, sizeof(*k->ticket));
    if (verify(k, pub, digest, rs, may_flush, &k->ticket->ticket, e) != 0)
        return -1;
    memcpy(k->ticket->digest, digest, 32);
    return 0;
}

/* The approved set that is the platform's now, in the session `p`: its number, or -1. */
static int find(struct token *k, const struct key_extra *x, struct pcr_bound *b, struct session *p,
                struct err *e)
{
    uint32_t last = 0;

    for (size_t i = x->n_pcrs; i-- > 0;) {
        struct err why = {0};

        memcpy(b->digest.buffer, x->pcrs[i].digest, 32);
        if (policy_pcr(k->tpm, p, &b->selection, &b->digest, &why) == 0)
            return (int)i;
        if (rc_base(why.rc) != TPM2_RC_VALUE)
            return err_take(e, &why);
        last = why.rc;
    }
    if (x->n_pcrs == 0)
        return err_set(e, E_REJECTED,
                       "no PCR values are approved for this key yet; the SO approves those of now "
                       "with `fusetsu key approve-pcrs`");
    return err_set(e, E_REJECTED,
                   "the platform's PCRs are not among those approved for this key: it was started, "
                   "or runs, other software; the SO approves it with `fusetsu key approve-pcrs` "
                   "(0x%03x)",
                   (unsigned)last);
}

int pcr_approved_satisfy(struct token *k, const struct store_key *key, const struct pcr_bound *b,
                         bool may_flush, struct session *p, struct err *e)
{
    struct pcr_bound now = *b;
    struct tpmpolicy approved;
    struct key_extra x;
    uint8_t digest[32];
    TPMT_PUBLIC pub;
    TPM2B_NAME name;
    TPM2B_NONCE ref;
    int i;

    if (b->selection.count == 0)
        return 0;
    if (key_extra_read(key, &x, e) != 0)
        return -1;
    if (!x.updatable)
        return pcr_satisfy(k->tpm, p, b, e);
    i = find(k, &x, &now, p, e);
    if (i < 0 || pcr_approved_digest(key->uuid, &now, &approved, &ref, digest, e) != 0 ||
        pin_policy_k(k->row.k_public, &pub, &name, e) != 0 ||
        ticket_for(k, &pub, digest, x.pcrs[i].signature, may_flush, e) != 0)
        return -1;
    return policy_authorize(k->tpm, p, &approved, &ref, &name, &k->ticket->ticket, e);
}
