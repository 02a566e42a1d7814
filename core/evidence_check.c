#include "core/evidence_check.h"

#include "core/ektemplate.h"
#include "core/evidence_rules.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* In the order of the project's evidence rules. */
static const struct rule {
    const char *title;
    const char *clause;
    bool mandatory;
    void (*run)(struct evidence_case *);
} rules[EVIDENCE_CHECKS] = {
    {"the applicant holds the private key of the request", "RFC 2986, 4.2", true,
     evidence_rules_proof},
    {"the evidence is complete and strictly encoded", "X.690, 10; TPM Part 2", true,
     evidence_rules_form},
    {"the attestation begins with the TPM's magic", "TPM Part 2, 6.2", true, evidence_rules_magic},
    {"the attestation certifies an object", "TPM Part 2, 6.9", true, evidence_rules_type},
    {"the signature uses the AK's own scheme and a current hash", "TPM Part 2, 12.2.3", true,
     evidence_rules_scheme},
    {"the AK signed the attestation", "TPM Part 3, 18.2", true, evidence_rules_signature},
    {"the AK is certified, or proven by sealing", "TCG OID registry, 2.23.133.8.3", true,
     evidence_chain_ak},
    {"the AK signs only what its TPM made", "TPM Part 2, 8.3", true, evidence_attributes_ak},
    {"the AK is a child of this EK", "TPM Part 1, 16.3", true, evidence_rules_qualified_signer},
    {"the attested Name is that of the public area", "TPM Part 1, 16", true, evidence_rules_name},
    {"the attested key is the key of the request", "TPM Part 2, 12.2.3", true,
     evidence_rules_same_key},
    {"the key was made in the TPM and cannot leave it", "TPM Part 2, 8.3", true,
     evidence_attributes_key},
    {"the key is used as its level demands", "TPM Part 2, 8.3; Part 1, 19.7", true,
     evidence_attributes_authorization},
    {"the key lies below a storage key of the same TPM", "TPM Part 1, 16.3", true,
     evidence_attributes_parent},
    {"the attestation was made for this request", "TPM Part 2, 10.12.8", true,
     evidence_rules_qualifying},
    {"the nonce is the authority's, unexpired and used once", "csr-attestation-freshness", true,
     evidence_rules_nonce_state},
    {"the key was created with this nonce", "TPM Part 3, 18.3", false,
     evidence_statements_creation},
    {"the EK's certificate comes from a pinned issuer", "EK Credential Profile 2.5, 3.2", true,
     evidence_chain_ek},
    {"the firmware is on no advisory list", "TPM Part 2, 10.12.8", false,
     evidence_history_firmware},
    {"the TPM's clock moved forward", "TPM Part 2, 10.11", false, evidence_history_clock},
    {"the platform configuration is as agreed", "TPM Part 3, 18.4", false,
     evidence_statements_quote},
    {"the EK is registered for this subject", "registration", false, evidence_chain_registered},
    {"the request asks for no other name", "RFC 2986, 4.1", true, evidence_chain_subject},
    {"the issued certificate belongs to this record", "extension " OID_EXT_EVIDENCE, false,
     evidence_chain_leaf},
    {"wrong PINs are counted by the TPM", "TPM Part 3, 31.16; Part 2, 13.4", false,
     evidence_statements_pin},
    {"each use takes the approval of another TPM", "TPM Part 3, 23.3", false,
     evidence_approver_check},
};

struct evidence_profile evidence_profile_signing(bool allow_decrypt)
{
    struct evidence_profile p = {
        .required = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
                    TPMA_OBJECT_SIGN_ENCRYPT,
        .forbidden = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_ENCRYPTEDDUPLICATION |
                     TPMA_OBJECT_ADMINWITHPOLICY,
    };

    if (!allow_decrypt)
        p.forbidden |= TPMA_OBJECT_DECRYPT;
    return p;
}

/* The EK's public area, Names and id, from certificate and template. */
static void read_ek(struct evidence_case *c)
{
    struct evidence_verdict *v = c->verdict;
    struct buf wire = {0};
    struct pubkey k;
    TPMT_PUBLIC ek;

    if (c->ek_cert == NULL)
        return;
    if (pubkey_from_x509(&k, c->ek_cert, NULL) == 0 && pubkey_id(&k, v->ek_spki, NULL) != 0)
        memset(v->ek_spki, 0, sizeof(v->ek_spki));
    c->has_ek = ektemplate_from_cert(c->ek_template, c->ek_cert, &ek, NULL) == 0 &&
                tpmname_marshal_public(&ek, &wire, NULL) == 0 &&
                tpmname_object(buf_bytes(&wire), &v->ek_name, NULL) == 0;
    buf_free(&wire);
}

static void read_subject(struct evidence_case *c)
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(c->csr), &der);

    if (len > 0)
        c->verdict->has_subject =
            pubkey_from_spki(&c->verdict->subject, bytes_of(der, (size_t)len), NULL) == 0;
    OPENSSL_free(der);
}

static void conclude(const struct evidence_terms *t, struct evidence_verdict *v)
{
    v->accepted = true;
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        enum evidence_outcome o = v->result[i].outcome;

        if (o == EVIDENCE_FAIL || (o == EVIDENCE_NA && rules[i].mandatory))
            v->accepted = false;
    }
    if (v->accepted)
        v->level = 3;
    else
        v->level = v->result[0].outcome == EVIDENCE_PASS ? 1 : 0;
    if (v->accepted && v->has_approver && t->approver_asserted)
        v->level = 4;
}

/* What others build on. */
static const unsigned earlier[] = {1, 2, 25, 26};

static bool is_earlier(unsigned number)
{
    for (size_t i = 0; i < ARRAY_LEN(earlier); i++) {
        if (earlier[i] == number)
            return true;
    }
    return false;
}

int evidence_rules_judge(struct evidence_case *c, struct evidence_verdict *out, struct err *e)
{
    struct evidence_verdict v;

    if (c->csr == NULL || c->ek_cert == NULL)
        return err_set(e, E_ARG,
                       "evidence without certification request or EK certificate cannot "
                       "be judged");
    memset(&v, 0, sizeof(v));
    c->verdict = &v;
    for (unsigned i = 0; i < EVIDENCE_CHECKS; i++) {
        v.result[i].number = i + 1;
        v.result[i].title = rules[i].title;
        v.result[i].clause = rules[i].clause;
    }
    read_ek(c);
    read_subject(c);
    /* All of them; check 2 parses what the others look at, and 13 wants to know the policies
     * that 25 and 26 vouch for. */
    for (size_t i = 0; i < ARRAY_LEN(earlier); i++)
        rules[earlier[i] - 1].run(c);
    for (unsigned i = 0; i < EVIDENCE_CHECKS; i++) {
        if (!is_earlier(i + 1))
            rules[i].run(c);
    }
    conclude(c->terms, &v);
    *out = v;
    evidence_bundle_free(&c->bundle);
    ERR_clear_error();
    return 0;
}

int evidence_check_request(const struct evidence_request *r, const struct evidence_terms *t,
                           struct evidence_verdict *out, struct err *e)
{
    struct evidence_case c = {
        .terms = t,
        .ek_template = r->ek_template,
        .ek_cert = r->ek_cert,
        .ek_chain = r->ek_chain,
        .ak_public = buf_bytes(&r->ak_public),
        .csr = r->csr,
    };

    return evidence_rules_judge(&c, out, e);
}

int evidence_check_record(const struct evidence_record *r, const struct evidence_terms *t,
                          struct evidence_verdict *out, struct err *e)
{
    struct evidence_case c = {
        .terms = t,
        .record = r,
        .ek_template = r->ek_template,
        .ek_cert = r->ek_cert,
        .ek_chain = r->ek_chain,
        .ak_public = buf_bytes(&r->ak_public),
        .ak_cert = r->ak_cert,
        .csr = r->csr,
    };

    return evidence_rules_judge(&c, out, e);
}

int evidence_check_verdict(const struct evidence_verdict *v, struct err *e)
{
    const struct evidence_result *first = NULL;
    unsigned failed = 0;

    if (v->accepted)
        return 0;
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        const struct evidence_result *r = &v->result[i];

        if (r->outcome != EVIDENCE_FAIL)
            continue;
        failed++;
        if (first == NULL)
            first = r;
    }
    if (first == NULL)
        return err_set(e, E_REJECTED, "the evidence could not be judged in full");
    if (failed == 1)
        return err_set(e, E_REJECTED, "check %u failed (%s): %s", first->number, first->clause,
                       first->reason);
    return err_set(e, E_REJECTED, "check %u failed (%s): %s; so did %u more", first->number,
                   first->clause, first->reason, failed - 1);
}

const char *evidence_outcome_name(enum evidence_outcome o)
{
    switch (o) {
    case EVIDENCE_PASS: return "pass";
    case EVIDENCE_ASSERTED: return "asserted";
    case EVIDENCE_FAIL: return "fail";
    case EVIDENCE_NA: break;
    }
    return "n/a";
}
