/* Check 26, and the policies that check 13 accepts: whose approval a key wants, and where that
 * approver's key lives. */
#include "core/evidence_rules.h"

#include "core/approval.h"
#include "core/evidence_check.h"
#include "core/tpmpolicy.h"

#include <string.h>

#define NOT_READ "not judged: the evidence could not be read, see check 2"

/* PolicySigned by the approver for this purpose, and the key's own authValue (tpm/key_policy). */
static int approved_policy(const struct evidence_approver *a, struct tpmpolicy *out, struct err *e)
{
    TPM2B_NAME name;
    TPM2B_NONCE ref;

    *out = (struct tpmpolicy){{0}};
    if (tpmname_object(buf_bytes(&a->public), &name, e) != 0 ||
        approval_ref(buf_bytes(&a->purpose), &ref, e) != 0 ||
        tpmpolicy_signed(out, &name, bytes_of(ref.buffer, ref.size), e) != 0)
        return -1;
    return tpmpolicy_authvalue(out, e);
}

/* The approver's own evidence, judged as that of any key is, by the same terms; nonce and name
 * are its issuer's word. */
static int judge_record(const struct evidence_case *c, const struct evidence_record *r,
                        struct evidence_verdict *out, struct err *e)
{
    struct evidence_terms t = *c->terms;
    struct evidence_case inner = {
        .terms = &t,
        .record = r,
        .ek_template = r->ek_template,
        .ek_cert = r->ek_cert,
        .ek_chain = r->ek_chain,
        .ak_public = buf_bytes(&r->ak_public),
        .ak_cert = r->ak_cert,
        .csr = r->csr,
        .nested = true,
    };

    t.nonce = (struct bytes){NULL, 0};
    t.nonce_state = EVIDENCE_NONCE_ASSERTED;
    t.subject = NULL;
    t.profile = evidence_profile_signing(false);
    t.ak_sealed = false;
    t.registration = EVIDENCE_REGISTRATION_NONE;
    t.ek_spki = NULL;
    t.ek_spki_asserted = true;
    t.leaf = NULL;
    t.reading = NULL;
    t.reading_asserted = true;
    t.pcrs = NULL;
    t.n_pcrs = 0;
    t.pcrs_asserted = true;
    return evidence_rules_judge(&inner, out, e);
}

/* The certified key of a record; false when it cannot be read. */
static bool certified_name(X509_REQ *csr, TPM2B_NAME *out)
{
    struct evidence_bundle b = {0};
    bool ok = evidence_bundle_extract(csr, &b, NULL) == 0 &&
              tpmname_object(buf_bytes(&b.certify.about), out, NULL) == 0;

    evidence_bundle_free(&b);
    return ok;
}

/* A TPM has one storage primary of a template, whichever EK it shows. */
static bool same_parent(const struct evidence_case *c, X509_REQ *csr)
{
    struct evidence_bundle b = {0};
    TPM2B_NAME name;
    bool same = evidence_bundle_extract(csr, &b, NULL) != 0 ||
                tpmname_object(buf_bytes(&b.parent), &name, NULL) != 0 ||
                tpmname_equal(&name, &c->parent_name);

    evidence_bundle_free(&b);
    return same;
}

static void judge(struct evidence_case *c, const struct evidence_record *r)
{
    struct evidence_verdict *v = c->verdict, inner;
    TPM2B_NAME want, have;
    struct err e = {0};

    if (tpmname_object(buf_bytes(&c->bundle.approver.public), &want, &e) != 0 ||
        !certified_name(r->csr, &have)) {
        evidence_rules_set(c, 26, EVIDENCE_FAIL, "the approver's evidence is of no key");
        return;
    }
    evidence_rules_compare(c, 26, "the Name of the key in the approver's evidence",
                           bytes_of(have.name, have.size), bytes_of(want.name, want.size));
    if (v->result[25].outcome != EVIDENCE_PASS)
        return;
    if (judge_record(c, r, &inner, &e) != 0 || evidence_check_verdict(&inner, &e) != 0)
        evidence_rules_set(c, 26, EVIDENCE_FAIL, "the approver's evidence: %.200s", e.msg);
    else if (bytes_equal(bytes_of(inner.ek_spki, 32), bytes_of(v->ek_spki, 32)) ||
             same_parent(c, r->csr))
        evidence_rules_set(c, 26, EVIDENCE_FAIL,
                           "the approver's key is in the same TPM as the key itself");
    else {
        v->has_approver = true;
        memcpy(v->approver_ek, inner.ek_spki, sizeof(v->approver_ek));
        evidence_rules_set(c, 26, EVIDENCE_ASSERTED,
                           "each use takes the approval of a key in a TPM, under another EK and "
                           "another storage key; that these are of two TPMs %s",
                           c->terms->approver_asserted ? "rests on who registered them"
                                                       : "is nobody's word");
    }
}

void evidence_approver_check(struct evidence_case *c)
{
    const struct evidence_approver *a = &c->bundle.approver;
    struct evidence_record r = {.ek_template = 0};
    struct tpmpolicy p;
    struct err e = {0};

    if (!c->has_key || !c->has_parent) {
        evidence_rules_set(c, 26, EVIDENCE_NA, NOT_READ);
    } else if (a->public.len == 0 || c->nested) {
        evidence_rules_set(c, 26, EVIDENCE_NA, "the evidence names no approver");
    } else if (approved_policy(a, &p, &e) != 0) {
        evidence_rules_set(c, 26, EVIDENCE_FAIL, "the approver: %.200s", e.msg);
    } else if (evidence_rules_compare(c, 26, "the key's authPolicy",
                                      bytes_of(c->key.authPolicy.buffer, c->key.authPolicy.size),
                                      bytes_of(p.d, sizeof(p.d))),
               c->verdict->result[25].outcome == EVIDENCE_PASS) {
        if (a->record.len == 0)
            evidence_rules_set(
                c, 26, EVIDENCE_FAIL,
                "where the approver's key lives is not proven: it could be software");
        else if (evidence_record_decode(buf_bytes(&a->record), &r, &e) != 0)
            evidence_rules_set(c, 26, EVIDENCE_FAIL, "the approver's evidence: %.200s", e.msg);
        else
            judge(c, &r);
    }
    evidence_record_free(&r);
}
