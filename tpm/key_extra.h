#ifndef TPM_KEY_EXTRA_H
#define TPM_KEY_EXTRA_H

#include "core/store.h"

#define KEY_EXTRA_PCRS 16

/*
 * What is kept with a key beside what the TPM gave when it made it: records behind the
 * creation data in store_key.creation, so that the tag of the key's row covers them. Rows
 * without any are those of before; records of a later version are passed over.
 */
struct key_extra {
    struct bytes approver; /* DER of core/approval.h: whose approval each use takes */
    struct bytes purpose;  /* text: its policyRef is made of it */
    struct bytes label;    /* text: of a key that no object shows */
    bool updatable;        /* PCR values are approved, not fixed: tpm/pcr_approved.h */
    struct key_extra_pcrs {
        uint8_t digest[32];    /* over the values, as in struct pcr_bound */
        uint8_t signature[64]; /* r and s, by the SO's key K */
    } pcrs[KEY_EXTRA_PCRS];    /* oldest first */
    size_t n_pcrs;
};

/* All of it borrowed from `key`. E_CORRUPT when it does not parse. */
int key_extra_read(const struct store_key *key, struct key_extra *out, struct err *e) MUST_USE;

/* Replaces it; `x` may borrow from `key`. E_ARG for an imported key. */
int key_extra_write(struct store_key *key, const struct key_extra *x, struct err *e) MUST_USE;

#endif
