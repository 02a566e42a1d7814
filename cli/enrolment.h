#ifndef CLI_ENROLMENT_H
#define CLI_ENROLMENT_H

#include "cli/keyring.h"
#include "core/evidence.h"
#include "tpm/attest.h"

/* A request for a certificate, with evidence, as its applicant makes it. Zero-initialise. */
struct enrolment {
    struct evidence_invitation invite; /* nonce and subject; the EK that it is bound to */
    X509 *ak_cert;                     /* the AK's from an earlier enrolment, which goes along */
    struct attest_wanted wanted;       /* the PCRs to quote; the rest is set here */
    struct evidence_request request;
    struct attest_ek *ek;
    size_t n_ek;
    struct store_key ak, key;
};
void enrolment_free(struct enrolment *p);

/* The TPM's own part, before any key is made: EK certificate and attestation key. `ek`: a
 * file with the certificate of its EK, NULL: it has one in NV. `chain`: a file of certificates
 * between the EK's and its pinned issuer, or NULL. */
int enrolment_prepare(struct token *t, const char *ek, const char *chain, struct enrolment *p,
                      struct err *e) MUST_USE;

/* Which EK the attestation key is to be under: that of the certificate in the file `ek`, NULL: of
 * the first certificate in NV. */
int enrolment_template(struct tpm *t, const char *ek, uint32_t *index, struct err *e) MUST_USE;

/* The request as PEM, appended. `made`: the key was made just now, with the nonce as
 * `outside` (cli/keyring.h). A key of mode EACH asks for the user PIN again. */
int enrolment_finish(struct cli *c, struct keyring *k, const struct keyring_object *key, bool made,
                     struct enrolment *p, struct buf *pem, struct err *e) MUST_USE;

/* The value of --pcrs (NULL: none); E_USAGE. */
int enrolment_pcrs(const char *list, struct key_pcrs *out, struct err *e) MUST_USE;

#endif
