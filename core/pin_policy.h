#ifndef CORE_PIN_POLICY_H
#define CORE_PIN_POLICY_H

#include "core/tpmpolicy.h"

/*
 * The policies of the four PIN indices: each is a PolicyOR over these branches, in
 * this order. O lacks the two branches of K; R lacks K's. They end with a mark instead, a branch
 * that no policy session can reach, made of K's Name: by it they are told from those of other
 * tokens. (In tokens of the first versions they have none.)
 *
 * Two other kinds of S: one behind U alone, which has no authValue (only where nobody can
 * define U anew: PolicySecret(U), or the first write); and S and R of a TPM without PIN
 * indices, which lack PolicySecret.
 */

enum pin_counter_branch {
    COUNTER_CHANGE,  /* PolicyAuthValue + CC(NV_ChangeAuth): one's own change */
    COUNTER_READ,    /* CC(NV_Read): anybody may see the count */
    COUNTER_CERTIFY, /* CC(NV_Certify): and have it certified */
    COUNTER_FIRST,   /* PolicyNvWritten(NO) + CC(NV_Write): once, at provisioning */
    COUNTER_CLEAR,   /* PolicySigned(K) + CC(NV_Write): the SO clears the count */
    COUNTER_RESET,   /* PolicySigned(K) + CC(NV_ChangeAuth): the SO sets a new PIN */
};

enum pin_guard_branch {
    GUARD_READ,   /* PolicySecret(counter) + PolicyAuthValue: login */
    GUARD_CHANGE, /* the same + CC(NV_ChangeAuth): one's own change */
    GUARD_FIRST,  /* PolicyNvWritten(NO) + CC(NV_Write): once, at provisioning */
    GUARD_RESET,  /* PolicySigned(K) + CC(NV_ChangeAuth): the SO sets a new PIN */
};

struct pin_policy {
    struct tpmpolicy branch[6];
    size_t n;
    struct tpmpolicy all; /* the PolicyOR: the index's authPolicy */
};

/* `k` is K's Name, NULL for the SO's side. */
int pin_policy_counter(const TPM2B_NAME *k, struct pin_policy *out, struct err *e) MUST_USE;
/* `counter` NULL: there is none. */
int pin_policy_guard(const TPM2B_NAME *counter, const TPM2B_NAME *k, struct pin_policy *out,
                     struct err *e) MUST_USE;
/* Adds the mark of K to a policy. */
int pin_policy_mark(const TPM2B_NAME *k, struct pin_policy *p, struct err *e) MUST_USE;
int pin_policy_counted(const TPM2B_NAME *counter, struct pin_policy *out, struct err *e) MUST_USE;

/* K's public area, from the coordinates of its point, and its Name, by which PolicySigned binds
 * it (Part 1, 16). */
int pin_policy_k(const uint8_t k_public[64], TPMT_PUBLIC *pub, TPM2B_NAME *name,
                 struct err *e) MUST_USE;

#endif
