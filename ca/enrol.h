#ifndef CA_ENROL_H
#define CA_ENROL_H

#include "ca/authority.h"
#include "core/evidence_check.h"

/*
 * Enrolment: a request with TPM evidence in, a certificate that only that TPM can
 * open out, or the reasons why not.
 */
struct enrol_outcome {
    bool judged;                     /* `verdict` is there */
    struct evidence_verdict verdict; /* every check and its reason */
    bool invited;                    /* `invitation` is there: the request answers it */
    struct registry_invitation invitation;
    bool again;          /* it was issued in an earlier run: the same, sealed once more */
    bool refused_before; /* it was refused in an earlier run, which had the reasons */
    bool refused;        /* failed by the request's own fault: others can go on */
    X509 *cert;          /* the issued certificate; NULL when refused */
    struct buf sealed;   /* DER of the SealedCredential; empty when refused */
};

/*
 * Judges the DER of an EnrolmentRequest and issues. The invitation is the one whose
 * nonce the evidence was made over, or the certificate that is renewed (ca/renew.h). Order: the
 * authority's clock and its CAs' certificates are looked at, the CA keys are opened; the nonce
 * is taken for this request, once and for all; every check runs; the attestation key's
 * certificate, the leaf and the evidence record are made, judged once more as an ally would, and
 * sealed to the EK; both certificates are recorded as the invitation's answer in one
 * transaction; then `out` gets the bytes. All that the certificate says was decided by the
 * authority; of the request only the public key enters it.
 *
 * The same request, byte by byte, may come again, so that a run that was killed at any moment can
 * be repeated. If nothing was recorded it goes on as if the nonce were fresh, until the invitation
 * ends; if it was, nothing is signed: the same certificate is sealed once more (ca/again.h); if it
 * was refused, it stays refused. Of several runs at once one issues, and all give out the same
 * certificate. Whoever has seen a request and sends it gets what only its own TPM can open. Any
 * other request with that nonce is refused.
 *
 * 0: issued. -1 with `out->refused`: nothing was issued and nothing used up but, with E_REJECTED,
 * the nonce. -1 without: the authority's own fault (its clock, a CA that has ended or may not, a
 * key, a full disk); the same request may come again. Errors: E_REJECTED, E_FORMAT (not a
 * request), failures of the registry or of a key. `out` is written in any case and freed with
 * enrol_free.
 */
int enrol_run(struct authority *a, struct bytes request_der, time_t now, struct enrol_outcome *out,
              struct err *e) MUST_USE;

/* The same with files: the request as PEM text in, the sealed credential appended to
 * `sealed_pem`. */
int enrol_pem(struct authority *a, struct bytes request_pem, time_t now, struct enrol_outcome *out,
              struct buf *sealed_pem, struct err *e) MUST_USE;

/* Which invitation did this request (PEM) take in an earlier run? 1, 0 when none, -1. */
int enrol_before(struct authority *a, struct bytes request_pem, struct registry_invitation *out,
                 struct err *e) MUST_USE;

void enrol_free(struct enrol_outcome *out);

#endif
