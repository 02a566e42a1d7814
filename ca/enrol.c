#include "ca/enrol.h"

#include "ca/again.h"
#include "ca/answers.h"
#include "ca/device.h"
#include "ca/require.h"
#include "ca/seal.h"
#include "ca/tpmnames.h"
#include "ca/vouch.h"
#include "core/credential.h"
#include "core/csr.h"
#include "core/hash.h"
#include "core/oid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY ((int64_t)24 * 3600)
/* Longer than any leaf that its evidence stands behind. */
#define AK_DAYS 365

/* One run: what is looked up on the way. */
struct run {
    struct authority *a;
    const struct evidence_request *req;
    time_t now;
    struct enrol_outcome *out;
    struct err *e;
    uint8_t request[32]; /* SHA-256 of its DER */
    struct issue_issuer issuing, attestation;
    bool ours; /* it failed by the authority's own state: the same request may come again */
    enum evidence_nonce_state nonce_state;
    bool renewing; /* `old` is there: what the new certificate follows */
    struct registry_cert old;
    struct device_standing standing;  /* of the TPM that asks */
    STACK_OF(X509) * roots, *between; /* by which an approver's evidence is judged; borrowed */
    X509 *ak_cert;
    X509 *leaf;
    struct evidence_record record;
    uint8_t evidence_hash[32];
    struct buf record_der;
};

/* --- judging ------------------------------------------------------------- */

/* The terms that a request and, later, its record are judged by. */
static void terms_of(const struct run *r, struct evidence_terms *t)
{
    const struct registry_invitation *i = &r->out->invitation;

    *t = (struct evidence_terms){
        .now = r->now,
        .nonce_state = r->nonce_state,
        .profile = evidence_profile_signing(csr_is_rsa(r->req->csr)),
        .ak_sealed = true,
    };
    require_into(authority_require(r->a), t);
    t->registration = r->standing.registration;
    t->registered = r->standing.text;
    t->reading = r->standing.known && r->standing.device.has_reading ? &r->standing.device.reading
                                                                     : NULL;
    t->approver_asserted = true; /* judge() looks the approver's TPM up */
    t->ak_roots = r->roots;
    t->ak_untrusted = r->between;
    if (r->out->invited) {
        t->nonce = bytes_of(i->nonce, i->nonce_len);
        t->subject = i->subject;
        t->ek_spki = i->has_ek ? i->ek_hash : NULL;
    }
}

/* What the registry says of the TPM with that EK, and of the certificate of it where that is ours. */
static int standing(struct run *r, const uint8_t ek[32], struct device_standing *out)
{
    char why[VOUCH_WHY];

    if (device_standing(authority_registry(r->a), authority_info(r->a)->registration, ek,
                        &r->out->invitation, out, r->e) != 0 ||
        vouch_withdrawn(r->a, r->req->ek_cert, why, r->e) != 0)
        return -1;
    if (why[0] != 0) {
        out->registration = EVIDENCE_REGISTRATION_QUARANTINED;
        snprintf(out->text, sizeof(out->text), "%s", why);
    }
    return 0;
}

/* The registry is asked about the EK whose certificate came: that it is the EK of the TPM that
 * made the evidence is the other checks' matter. */
static int look_up_device(struct run *r)
{
    uint8_t ek[32];
    struct pubkey k;

    if (!r->out->invited || pubkey_from_x509(&k, r->req->ek_cert, NULL) != 0 ||
        pubkey_id(&k, ek, NULL) != 0) {
        /* A key that was not read could be that of a quarantined device. */
        r->standing.registration = r->out->invited || authority_info(r->a)->registration
                                       ? EVIDENCE_REGISTRATION_UNKNOWN
                                       : EVIDENCE_REGISTRATION_NONE;
        snprintf(r->standing.text, sizeof(r->standing.text), "the TPM's EK cannot be read");
        return 0;
    }
    return standing(r, ek, &r->standing);
}

/* What an approver's evidence leads to: that of keys which this authority certified. */
static int look_up_roots(struct run *r)
{
    X509 *root = NULL, *attestation = NULL;

    if (authority_cert(r->a, REGISTRY_ROOT, 0, &root, r->e) != 0 ||
        authority_cert(r->a, REGISTRY_ATTESTATION, 0, &attestation, r->e) != 0)
        return -1;
    r->roots = sk_X509_new_null();
    r->between = sk_X509_new_null();
    if (r->roots == NULL || r->between == NULL || sk_X509_push(r->roots, root) <= 0 ||
        sk_X509_push(r->between, attestation) <= 0)
        return err_set(r->e, E_MEMORY, "out of memory while judging evidence");
    return 0;
}

/* What the registry of devices keeps of a run; its failure must not hide why the run ended. */
static int follow_up(struct run *r)
{
    return r->out->judged
               ? device_follow_up(authority_registry(r->a), &r->out->verdict, r->req->ek_cert,
                                  &r->standing, r->out->invited ? &r->out->invitation : NULL,
                                  r->now, r->e)
               : 0;
}

/* Whose approval the key wants: a TPM that is registered, and another one. A TPM has several EKs,
 * which are registered together. */
static int check_approver(struct run *r)
{
    struct registry_device d;
    struct err why = {0};

    if (registry_device_of_ek(authority_registry(r->a), r->out->verdict.approver_ek, &d, &why) != 0)
        return why.code != E_NOT_FOUND
                   ? err_take(r->e, &why)
                   : err_set(r->e, E_REJECTED,
                             "check 26 failed: the approver's TPM is not registered; register it "
                             "with all its EKs");
    if (d.state != REGISTRY_DEVICE_ACTIVE)
        return err_set(r->e, E_REJECTED, "check 26 failed: the approver's TPM, device %lld, is %s",
                       (long long)d.id, registry_device_state_name(d.state));
    if (!r->standing.known || d.id == r->standing.device.id)
        return err_set(r->e, E_REJECTED,
                       "check 26 failed: the approver's key and the key itself are not known to be "
                       "in two TPMs; register both with all their EKs");
    return 0;
}

static int judge(struct run *r)
{
    const struct evidence_verdict *v = &r->out->verdict;
    struct evidence_terms t;
    int rc = -1;

    terms_of(r, &t);
    if (evidence_check_request(r->req, &t, &r->out->verdict, r->e) != 0)
        goto out;
    r->out->judged = true;
    if (evidence_check_verdict(v, r->e) != 0)
        goto out;
    if (!r->out->invited || r->nonce_state != EVIDENCE_NONCE_FRESH || !v->has_subject) {
        err_set(r->e, E_REJECTED, "the request answers no open invitation");
        goto out;
    }
    if (v->has_approver && check_approver(r) != 0)
        goto out;
    if (v->level < r->out->invitation.level) {
        err_set(r->e, E_REJECTED,
                "the evidence proves level %u, the invitation is for level %u; ask for an "
                "invitation of level %u",
                v->level, r->out->invitation.level, v->level);
        goto out;
    }
    rc = 0;
out:
    return rc;
}

/* --- issuing ------------------------------------------------------------- */

static enum registry_role leaf_ca(const struct run *r)
{
    const struct registry_invitation *i = &r->out->invitation;

    return registry_leaf_ca(authority_registry(r->a), i->community, i->level);
}

static int make_ak_cert(struct run *r)
{
    const struct registry_authority *info = authority_info(r->a);
    const TPM2B_NAME *ak_name = &r->out->verdict.ak_name;
    struct subject s = {0};
    GENERAL_NAMES *names = NULL;
    X509_NAME *name = NULL;
    TPMT_PUBLIC public;
    struct pubkey key;
    char cn[3 + 2 * 20 + 1] = "AK ";
    int rc = -1;

    /* The last 20 bytes of the Name tell AKs apart for people; the Name itself is in
     * the evidence. */
    if (ak_name->size < 20)
        return err_set(r->e, E_REJECTED, "the attestation key has no Name");
    hex_encode(cn + 3, ak_name->name + ak_name->size - 20, 20);
    name = issue_name(info->nation, info->org, NULL, cn, r->e);
    names = tpmnames_of(r->req->ek_cert, r->e);
    if (name == NULL || names == NULL ||
        tpmname_unmarshal_public(buf_bytes(&r->req->ak_public), &public, r->e) != 0 ||
        pubkey_from_tpmt(&key, &public, r->e) != 0 ||
        issue_validity(r->attestation.cert, r->now, AK_DAYS * DAY, &s, r->e) != 0)
        goto out;
    s.name = name;
    s.key = &key;
    s.tpm_names = names;
    rc = issue_certificate(PROFILE_AK, &r->attestation, &s, &r->ak_cert, r->e);
out:
    X509_NAME_free(name);
    GENERAL_NAMES_free(names);
    return rc;
}

static int make_leaf(struct run *r)
{
    const struct registry_authority *info = authority_info(r->a);
    const struct registry_invitation *i = &r->out->invitation;
    const char *person = i->grant.person;
    struct clearance c = {.classes = i->grant.clearance};
    struct subject s = {
        .key = &r->out->verdict.subject,
        .community = i->community,
        .level = i->level,
        .dns = i->subject,
        .mail = i->subject,
        .clearance = c.classes != 0 ? &c : NULL,
        .evidence_hash = r->evidence_hash,
    };
    X509_NAME *name = issue_name(info->nation, info->org, oid_community_name(i->community),
                                 person[0] != 0 ? person : i->subject, r->e);
    enum profile_id id;
    int rc = -1;

    memcpy(c.policy, authority_clearances(r->a)->policy, sizeof(c.policy));
    s.name = name;
    if (name == NULL || (person[0] != 0 && issue_name_mail(name, i->subject, r->e) != 0) ||
        profile_named(i->grant.profile, &id, r->e) != 0 ||
        issue_validity(r->issuing.cert, r->now,
                       c.classes != 0 ? profile_get(id)->max_seconds_cleared
                                      : profile_get(id)->max_seconds,
                       &s, r->e) != 0)
        goto out;
    rc = issue_certificate(id, &r->issuing, &s, &r->leaf, r->e);
out:
    X509_NAME_free(name);
    return rc;
}

static int make_record(struct run *r)
{
    const struct registry_invitation *i = &r->out->invitation;

    if (evidence_record_make(r->req, bytes_of(i->nonce, i->nonce_len), r->ak_cert, r->now,
                             &r->record, r->e) != 0 ||
        evidence_record_encode(&r->record, &r->record_der, r->e) != 0 ||
        evidence_record_hash(&r->record, r->evidence_hash, r->e) != 0)
        return -1;
    return 0;
}

/* What an ally will see when it judges the leaf and its record; here first. */
static int judge_as_ally(struct run *r)
{
    struct evidence_verdict verdict;
    struct evidence_terms t;
    int rc = -1;

    terms_of(r, &t);
    t.ak_sealed = false;
    t.leaf = r->leaf;
    if (evidence_check_record(&r->record, &t, &verdict, r->e) != 0 ||
        evidence_check_verdict(&verdict, r->e) != 0)
        err_prefix(r->e, "what was made does not verify and was thrown away");
    else
        rc = 0;
    return rc;
}

/* The state of the device as it is in this transaction: an officer may have changed it while
 * the keys signed. */
static int still_registered(struct run *r)
{
    struct device_standing now;

    if (standing(r, r->out->verdict.ek_spki, &now) != 0)
        return -1;
    if (now.registration == r->standing.registration)
        return 0;
    return err_set(r->e, E_REJECTED, "check 22 failed (registration): %s", now.text);
}

/* 1, 0 when another process answered the invitation meanwhile (then nothing was recorded), -1. */
static int record_both(struct run *r, struct bytes sealed)
{
    struct registry *reg = authority_registry(r->a);
    const uint8_t *ek = r->out->verdict.ek_spki;
    const struct registry_invitation *i = &r->out->invitation;
    char serial[ISSUE_SERIAL_TEXT];
    uint8_t hash[32];
    int answered = -1;

    if (issue_serial(r->leaf, serial, r->e) != 0 || hash_sha256(sealed, hash, r->e) != 0 ||
        registry_begin(reg, r->e) != 0)
        return -1;
    if (still_registered(r) == 0 && (!r->renewing || renew_still(reg, &r->old, r->e) == 0) &&
        authority_record(reg,
                         &(struct authority_entry){
                             .issuer = REGISTRY_ATTESTATION, .cert = r->ak_cert, .ek_hash = ek},
                         r->e) == 0 &&
        authority_record(reg,
                         &(struct authority_entry){.issuer = leaf_ca(r),
                                                   .community = i->community,
                                                   .cert = r->leaf,
                                                   .dns = i->subject,
                                                   .grant = &i->grant,
                                                   .ek_hash = ek,
                                                   .evidence_hash = r->evidence_hash,
                                                   .evidence = buf_bytes(&r->record_der)},
                         r->e) == 0 &&
        (!r->standing.known || !device_is_proven(&r->out->verdict) ||
         registry_device_read(reg, r->standing.device.id, &r->out->verdict.reading, r->now, r->e) ==
             0))
        answered =
            registry_answer(reg, bytes_of(i->nonce, i->nonce_len), r->request, serial, hash, r->e);
    if (answered == 1 && registry_commit(reg, r->e) != 0)
        answered = -1;
    if (answered != 1)
        registry_rollback(reg);
    return answered;
}

/* --- the same request again ------------------------------------------------ */

static bool answered(const struct run *r)
{
    const struct registry_invitation *i = &r->out->invitation;

    return r->out->invited && registry_is_by(i, r->request) && i->issued != 0;
}

/* Was it ended in the middle? */
static bool unended(const struct run *r)
{
    return registry_goes_on(&r->out->invitation, r->request);
}

/* As the state of the invitation is now. */
static int look_again(struct run *r)
{
    struct registry_invitation *i = &r->out->invitation, now;

    if (registry_invitation(authority_registry(r->a), bytes_of(i->nonce, i->nonce_len), &now,
                            r->e) != 0)
        return -1;
    *i = now;
    return 0;
}

/* Everything was judged when it was issued; but for what officers decided since. */
static int hand_out_again(struct run *r)
{
    enum evidence_registration s = r->standing.registration;

    if (s != EVIDENCE_REGISTRATION_NONE && s != EVIDENCE_REGISTRATION_ACTIVE)
        return err_set(r->e, E_REJECTED, "check 22 failed (registration): %s", r->standing.text);
    if (again_issued(r->a, &r->out->invitation, r->now, &r->out->cert, &r->out->sealed, r->e) != 0)
        return -1;
    r->out->again = true;
    return 0;
}

/* What was decided by the first run, which may have been killed before it said so. */
static int refuse_again(struct run *r)
{
    const struct registry_invitation *i = &r->out->invitation;
    struct buf why = {0};
    int rc =
        registry_refusal(authority_registry(r->a), bytes_of(i->nonce, i->nonce_len), &why, r->e);

    r->out->refused_before = true;
    if (rc == 0 && buf_cstr(&why) != NULL && why.len > 0)
        rc = err_set(r->e, E_REJECTED,
                     "the invitation for %.100s was used already, by this request, which was "
                     "refused (%.220s); ask the authority for a new one",
                     i->subject, buf_cstr(&why));
    buf_free(&why);
    return rc;
}

/* Says first what the applicant can do about a nonce that is not good any more. */
static int refuse_stale(struct run *r)
{
    const struct registry_invitation *i = &r->out->invitation;
    struct err other = {0};
    struct err *e = r->e;
    int judged;

    r->e = &other;
    judged = judge(r);
    r->e = e;
    if (judged != 0 && other.code != E_REJECTED)
        return err_set(e, other.code, "%s", other.msg);
    if (registry_is_by(i, r->request) && i->refused_at != 0 && refuse_again(r) != 0)
        return -1;
    if (!r->out->invited)
        return err_set(e, E_REJECTED,
                       "the evidence answers no invitation of this authority; make the request "
                       "anew from the invitation file");
    return err_set(
        e, E_REJECTED, "the invitation for %s %s; ask the authority for a new one", i->subject,
        i->expires_at <= r->now && (i->consumed_at == 0 || unended(r)) ? "has expired"
                                                                       : "was used already");
}

/* --- issuing, once ----------------------------------------------------------- */

static int issue(struct run *r)
{
    struct buf der = {0};
    int rc = -1, recorded;

    if (make_ak_cert(r) != 0 || make_record(r) != 0 || make_leaf(r) != 0 || judge_as_ally(r) != 0 ||
        seal_leaf(r->a, r->out->invitation.community, r->out->invitation.level, r->leaf, &r->record,
                  &der, r->e) != 0)
        goto out;
    recorded = record_both(r, buf_bytes(&der));
    if (recorded < 0)
        goto out;
    if (recorded == 0) {
        /* Two processes had the same request. What this one made is thrown away. */
        if (look_again(r) == 0)
            rc = answered(r) ? hand_out_again(r) : refuse_stale(r);
        goto out;
    }
    r->out->sealed = der;
    der = (struct buf){0};
    r->out->cert = r->leaf;
    r->leaf = NULL;
    rc = 0;
out:
    buf_free(&der);
    return rc;
}

/* --- the run ------------------------------------------------------------- */

/* Is the authority able to issue what was granted: by its clock, and by its CAs' certificates? */
static int able(struct run *r, struct err *e)
{
    const struct registry_invitation *i = &r->out->invitation;

    if (authority_clock(r->a, r->now, e) != 0)
        return -1;
    return authority_can_issue(r->a, i->community, i->level, &i->grant, r->now, e);
}

static int open_keys(struct run *r)
{
    unsigned community = r->out->invitation.community;

    if (able(r, r->e) == 0 &&
        authority_issuer(r->a, leaf_ca(r), community, &r->issuing, r->e) == 0 &&
        authority_issuer(r->a, REGISTRY_ATTESTATION, 0, &r->attestation, r->e) == 0)
        return 0;
    r->ours = true;
    return -1;
}

/*
 * Looks at the authority itself and opens the keys, then takes the nonce: a CA that has ended, a
 * missing token or a wrong PIN shall not cost the applicant the invitation. A nonce that is used
 * or expired does not end the run: the verdict says so beside all other checks.
 */
static int take_nonce(struct run *r)
{
    struct registry_invitation *i = &r->out->invitation;
    struct err why = {0};

    if (!r->out->invited || (i->consumed_at != 0 && !unended(r)) || i->expires_at <= r->now)
        return 0;
    if (open_keys(r) != 0)
        return -1;
    if (registry_consume(authority_registry(r->a), bytes_of(i->nonce, i->nonce_len), r->request,
                         r->now, i, &why) == 0)
        r->nonce_state = EVIDENCE_NONCE_FRESH;
    else if (why.code != E_REJECTED)
        return err_take(r->e, &why);
    else
        return look_again(r); /* another process was faster */
    return 0;
}

static int find(struct run *r)
{
    struct answers found = {0};
    struct buf der = {0};
    int rc = -1;

    if (evidence_request_encode(r->req, &der, r->e) == 0 &&
        hash_sha256(buf_bytes(&der), r->request, r->e) == 0 &&
        answers_find(authority_registry(r->a), r->req->csr, r->request, r->now, &found, r->e) ==
            0) {
        r->out->invited = found.found;
        r->out->invitation = found.invitation;
        r->renewing = found.renewing;
        r->old = found.old;
        rc = 0;
    }
    buf_free(&der);
    return rc;
}

/* The nonce was taken, and what it was taken for is not to be. */
static void use_up(struct run *r)
{
    const struct registry_invitation *i = &r->out->invitation;
    struct err ignored = {0}; /* then the same request is refused once more */

    if (registry_refuse(authority_registry(r->a), bytes_of(i->nonce, i->nonce_len), r->request,
                        r->now, r->e->msg, &ignored) != 0)
        return;
}

/* Issuing failed. The authority was able to when the nonce was taken; where it is not any more - its
 * clock, or another process that recorded something of a later date - the request is not to blame. */
static void find_fault(struct run *r)
{
    struct err why = {0};

    r->ours = r->e->code == E_REJECTED && able(r, &why) != 0;
}

/* Codes by which a request itself is to blame, unless `ours` says otherwise. */
static bool own_fault(enum err_code code)
{
    return code == E_REJECTED || code == E_FORMAT || code == E_VERSION || code == E_DATA ||
           code == E_ARG || code == E_UNSUPPORTED;
}

static int enrol(struct authority *a, const struct evidence_request *req, time_t now,
                 struct enrol_outcome *out, struct err *e)
{
    struct run r = {
        .a = a, .req = req, .now = now, .out = out, .e = e, .nonce_state = EVIDENCE_NONCE_STALE};
    int rc = -1;

    if (find(&r) != 0 || (!answered(&r) && take_nonce(&r) != 0) || look_up_device(&r) != 0 ||
        look_up_roots(&r) != 0)
        goto out;
    if (answered(&r))
        rc = hand_out_again(&r);
    else if (r.nonce_state != EVIDENCE_NONCE_FRESH)
        rc = refuse_stale(&r);
    else if (judge(&r) == 0 && (rc = issue(&r)) != 0)
        find_fault(&r);
    if (r.nonce_state == EVIDENCE_NONCE_FRESH && rc != 0 && e->code == E_REJECTED && !r.ours)
        use_up(&r);
    /* A nonce that is not good any more proves nothing of the TPM. */
    if (r.nonce_state == EVIDENCE_NONCE_FRESH && follow_up(&r) != 0)
        rc = -1;
out:
    out->refused = rc != 0 && !r.ours && own_fault(e->code);
    if (r.ours && e->code == E_REJECTED)
        err_prefix(e, "not the request's fault, and it may come again");
    sk_X509_free(r.roots);
    sk_X509_free(r.between);
    X509_free(r.ak_cert);
    X509_free(r.leaf);
    evidence_record_free(&r.record);
    buf_free(&r.record_der);
    return rc;
}

int enrol_run(struct authority *a, struct bytes request_der, time_t now, struct enrol_outcome *out,
              struct err *e)
{
    struct evidence_request req = {0};
    int rc = -1;

    *out = (struct enrol_outcome){0};
    if (evidence_request_decode(request_der, &req, e) == 0)
        rc = enrol(a, &req, now, out, e);
    else
        out->refused = own_fault(e->code);
    evidence_request_free(&req);
    return rc;
}

int enrol_pem(struct authority *a, struct bytes request_pem, time_t now, struct enrol_outcome *out,
              struct buf *sealed_pem, struct err *e)
{
    struct evidence_request req = {0};
    struct credential_sealed sealed = {0};
    int rc = -1;

    *out = (struct enrol_outcome){0};
    if (evidence_request_from_pem(request_pem, &req, e) != 0) {
        out->refused = own_fault(e->code);
        goto out;
    }
    if (enrol(a, &req, now, out, e) != 0 ||
        credential_decode(buf_bytes(&out->sealed), &sealed, e) != 0)
        goto out;
    rc = credential_to_pem(&sealed, sealed_pem, e);
out:
    credential_sealed_free(&sealed);
    evidence_request_free(&req);
    return rc;
}

int enrol_before(struct authority *a, struct bytes request_pem, struct registry_invitation *out,
                 struct err *e)
{
    struct evidence_request req = {0};
    struct buf der = {0};
    uint8_t hash[32];
    int rc = -1;

    if (evidence_request_from_pem(request_pem, &req, e) == 0 &&
        evidence_request_encode(&req, &der, e) == 0 && hash_sha256(buf_bytes(&der), hash, e) == 0)
        rc = registry_invitation_of(authority_registry(a), hash, out, e);
    buf_free(&der);
    evidence_request_free(&req);
    return rc;
}

void enrol_free(struct enrol_outcome *out)
{
    if (out == NULL)
        return;
    X509_free(out->cert);
    buf_free(&out->sealed);
    *out = (struct enrol_outcome){0};
}
