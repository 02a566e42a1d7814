#include "ca/answers.h"

#include "core/tpmwire.h"

#include <string.h>

struct search {
    struct evidence_tied tied;
    uint8_t extra[32];
    struct answers *out;
    bool failed;
    struct err *e;
};

static bool try_invitation(void *ctx, const struct registry_invitation *i)
{
    struct search *s = ctx;
    uint8_t want[32];

    if (evidence_tied_to(bytes_of(i->nonce, i->nonce_len), &s->tied, want, s->e) != 0) {
        s->failed = true;
        return false;
    }
    if (!bytes_equal(bytes_of(want, sizeof(want)), bytes_of(s->extra, sizeof(s->extra))))
        return true;
    s->out->invitation = *i;
    s->out->found = true;
    return false;
}

/* extraData of the Certify statement; false when there is none that could fit. */
static bool extra_data(X509_REQ *csr, uint8_t out[32])
{
    struct evidence_bundle b = {0};
    TPMS_ATTEST attest;
    bool ok = false;

    if (evidence_bundle_extract(csr, &b, NULL) == 0 &&
        tpmwire_attest(buf_bytes(&b.certify.attest), &attest, NULL) == 0 &&
        attest.extraData.size == 32) {
        memcpy(out, attest.extraData.buffer, 32);
        ok = true;
    }
    evidence_bundle_free(&b);
    return ok;
}

/* Those for the name that the request asks for first, which is nearly always the one: there may be
 * many thousands of others. */
static int among_invitations(struct registry *r, X509_REQ *csr, struct search *s)
{
    struct registry_invitation none;
    char name[sizeof(none.subject)];

    if (X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(csr), NID_commonName, name,
                                  (int)sizeof(name)) > 0 &&
        (registry_invitations_for(r, name, try_invitation, s, s->e) != 0 || s->failed))
        return -1;
    if (s->out->found)
        return 0;
    return registry_invitations(r, try_invitation, s, s->e) != 0 || s->failed ? -1 : 0;
}

int answers_find(struct registry *r, X509_REQ *csr, const uint8_t request[32], int64_t now,
                 struct answers *out, struct err *e)
{
    struct answers got = {0};
    struct search s = {.out = &got, .e = e};
    int before = registry_invitation_of(r, request, &got.invitation, e);

    if (before < 0)
        return -1;
    got.found = before == 1;
    /* What came to an end does not depend on what became of an older certificate. */
    if (got.found && !registry_goes_on(&got.invitation, request)) {
        *out = got;
        return 0;
    }
    if (extra_data(csr, s.extra)) {
        /* First, even if the nonce is known: the certificate may be bad by now. */
        if (evidence_tied(csr, &s.tied, e) != 0 ||
            renew_find(r, csr, &s.tied, s.extra, now, &got.old, &got.invitation, &got.renewing,
                       e) != 0)
            return -1;
        if (!got.found && !got.renewing && among_invitations(r, csr, &s) != 0)
            return -1;
    }
    got.found = got.found || got.renewing;
    *out = got;
    return 0;
}
