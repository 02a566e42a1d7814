#ifndef TPM_PCR_H
#define TPM_PCR_H

#include "core/pcrvalues.h"
#include "core/store.h"
#include "tpm/session.h"
#include "tpm/token.h"

/* What a key that is bound to PCRs is bound to. selection.count is 0 when it is not. */
struct pcr_bound {
    TPML_PCR_SELECTION selection;
    TPM2B_DIGEST digest; /* SHA-256 over the PCRs' values, lowest first (Part 2, 10.9.6) */
};

/* Is this a selection that a key can be bound to, or none? 0, or E_ARG. */
int pcr_check(const struct key_pcrs *which, struct err *e) MUST_USE;

/*
 * Reads the values of now with TPM2_PCR_Read (Part 3, 22.4): one command for eight PCRs. The
 * session audits them, so that E_TAMPERED says when something between us and the TPM changed
 * the answer. E_UNSUPPORTED when the TPM does not have such PCRs.
 */
int pcr_read(struct tpm *t, struct session *main, const struct key_pcrs *which,
             struct pcrvalues *out, struct err *e) MUST_USE;

/* What binds to such values. E_ARG when one is missing, or they are of another hash. */
int pcr_bind(const struct pcrvalues *v, const struct key_pcrs *which, struct pcr_bound *out,
             struct err *e) MUST_USE;

/* Both. */
int pcr_now(struct tpm *t, struct session *main, const struct key_pcrs *which,
            struct pcr_bound *out, struct err *e) MUST_USE;

/* As the creation data of a key have it (Part 2, 15.1); nothing for an imported key.
 * E_CORRUPT when they do not parse. */
int pcr_of_key(const struct store_key *key, struct pcr_bound *out, struct err *e) MUST_USE;

bool pcr_equal(const struct pcr_bound *a, const struct pcr_bound *b);

/* PolicyPCR in the session `p`; nothing when the key is bound to none. E_REJECTED when the
 * values of now are others. */
int pcr_satisfy(struct tpm *t, struct session *p, const struct pcr_bound *b,
                struct err *e) MUST_USE;

/* E_REJECTED in words, after a policy failed for its PCRs with `rc`. */
int pcr_refused(uint32_t rc, struct err *e);

#endif
