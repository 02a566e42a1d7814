#ifndef CORE_EVIDENCE_RULES_H
#define CORE_EVIDENCE_RULES_H

#include "core/evidence_verdict.h"

/*
 * The inside of core/evidence_check: one function per check. Each sets exactly one result of
 * the verdict and looks only at what was parsed before (evidence_rules_form comes first).
 */
struct evidence_case {
    const struct evidence_terms *terms;
    const struct evidence_record *record; /* NULL when a request is judged */
    uint32_t ek_template;
    X509 *ek_cert;
    STACK_OF(X509) * ek_chain;
    struct bytes ak_public;
    X509 *ak_cert;
    X509_REQ *csr;

    struct evidence_bundle bundle;
    bool has_attest, has_signature, has_ak, has_key, has_parent, has_ek;
    TPMS_ATTEST attest;
    TPMT_SIGNATURE signature;
    TPMT_PUBLIC ak, key, parent;
    struct pubkey ak_key;
    TPM2B_NAME key_name, parent_name;
    TPM2B_NAME pin_name; /* of the PIN counter, where check 25 passed; else size 0 */
    bool nested;         /* it is the record of an approver: it has none itself */

    struct evidence_verdict *verdict;
};

/* Sets the outcome of check `number` and its reason. */
void evidence_rules_set(struct evidence_case *c, unsigned number, enum evidence_outcome outcome,
                        const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Sets PASS when both are equal, else FAIL with both in hex: `what` is the grammatical subject. */
void evidence_rules_compare(struct evidence_case *c, unsigned number, const char *what,
                            struct bytes actual, struct bytes expected);

/* The nonce that the evidence must be bound to: the terms', else the record's. */
struct bytes evidence_rules_nonce(const struct evidence_case *c);

/* Checks on the structures: evidence_rules.c. */
void evidence_rules_proof(struct evidence_case *c);            /* 1 */
void evidence_rules_form(struct evidence_case *c);             /* 2; parses */
void evidence_rules_magic(struct evidence_case *c);            /* 3 */
void evidence_rules_type(struct evidence_case *c);             /* 4 */
void evidence_rules_scheme(struct evidence_case *c);           /* 5 */
void evidence_rules_signature(struct evidence_case *c);        /* 6 */
void evidence_rules_qualified_signer(struct evidence_case *c); /* 9 */
void evidence_rules_name(struct evidence_case *c);             /* 10 */
void evidence_rules_same_key(struct evidence_case *c);         /* 11 */
void evidence_rules_qualifying(struct evidence_case *c);       /* 15 */
void evidence_rules_nonce_state(struct evidence_case *c);      /* 16 */

/* Checks on attributes: evidence_attributes.c. 13 looks at what 25 and 26 found. */
void evidence_attributes_ak(struct evidence_case *c);            /* 8 */
void evidence_attributes_key(struct evidence_case *c);           /* 12 */
void evidence_attributes_authorization(struct evidence_case *c); /* 13 */
void evidence_attributes_parent(struct evidence_case *c);        /* 14 */

/* Checks on what else the AK signed: evidence_statements.c. */
void evidence_statements_creation(struct evidence_case *c); /* 17 */
void evidence_statements_quote(struct evidence_case *c);    /* 21 */
void evidence_statements_pin(struct evidence_case *c);      /* 25 */

/* Checks on what is known of this TPM: evidence_history.c. */
void evidence_history_firmware(struct evidence_case *c); /* 19 */
void evidence_history_clock(struct evidence_case *c);    /* 20 */

/* Check on another TPM's evidence: evidence_approver.c. */
void evidence_approver_check(struct evidence_case *c); /* 26 */

/* Judges one case: evidence_check.c. */
int evidence_rules_judge(struct evidence_case *c, struct evidence_verdict *out,
                         struct err *e) MUST_USE;

/* Does this signature by the AK over `attest` hold? As check 6; the reason in `e`. */
int evidence_rules_signed(const struct evidence_case *c, const struct buf *attest,
                          const TPMT_SIGNATURE *signature, struct err *e) MUST_USE;

/* The qualified name that the AK must have: it is the EK's child (Part 1, 16.3). */
int evidence_rules_ak_qualified(const struct evidence_case *c, TPM2B_NAME *out,
                                struct err *e) MUST_USE;

/* Checks on certificates and names: evidence_chain.c. */
void evidence_chain_ak(struct evidence_case *c);         /* 7 */
void evidence_chain_ek(struct evidence_case *c);         /* 18 */
void evidence_chain_registered(struct evidence_case *c); /* 22 */
void evidence_chain_subject(struct evidence_case *c);    /* 23 */
void evidence_chain_leaf(struct evidence_case *c);       /* 24 */

#endif
