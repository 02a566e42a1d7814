#ifndef CORE_APPROVAL_H
#define CORE_APPROVAL_H

#include "core/buf.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * Approvals: one device's signature that lets another device's TPM use a key once, for one
 * command. Three files, PEM around DER: whose approval a key wants (the approver), what is
 * asked for (the request), and the signature (the answer). No TPM is needed to read them.
 *
 * What is signed is aHash = H(nonceTPM ‖ expiration ‖ cpHash ‖ policyRef) of
 * TPM2_PolicySigned (Part 3, 23.3): the nonce ties it to one session of one TPM, cpHash to
 * one command with these very parameters on this very key.
 */

#define APPROVAL_APPROVER_PEM "FUSETSU APPROVER"
#define APPROVAL_REQUEST_PEM "FUSETSU APPROVAL REQUEST"
#define APPROVAL_ANSWER_PEM "FUSETSU APPROVAL"
#define APPROVAL_MAX ((size_t)64 << 10)

/* An approval is good for this many seconds at most, from the start of its session. */
#define APPROVAL_SECONDS_MAX 604800u

#define APPROVAL_TEXT 256 /* bytes of any of the texts, with the NUL */

/* Whose approval: a signing key in a token that serves for nothing else. */
struct approval_approver {
    char serial[17]; /* of its token */
    char label[APPROVAL_TEXT];
    struct buf public;   /* TPMT_PUBLIC */
    struct buf evidence; /* where the key lives: what `fusetsu verify` reads; empty when there
                          * is none */
};
void approval_approver_free(struct approval_approver *a);
int approval_approver_encode(const struct approval_approver *a, struct buf *der,
                             struct err *e) MUST_USE;
/* E_FORMAT, also when the public area is none of a key that signs. */
int approval_approver_decode(struct bytes der, struct approval_approver *out,
                             struct err *e) MUST_USE;

/* What is asked for. Nothing in it is proved but what cpHash covers: the key, the command and
 * its parameters. `label` and `subject` are the asker's words. */
struct approval_request {
    char serial[17];             /* of the token that holds the key */
    struct buf key;              /* its TPMT_PUBLIC */
    char label[APPROVAL_TEXT];   /* what the asker calls the key */
    char subject[APPROVAL_TEXT]; /* what the asker says that it is for; may be empty */
    char purpose[APPROVAL_TEXT]; /* the key's: policyRef is made of it */
    TPM2B_NAME approver;         /* Name of the key that shall sign */
    char approver_label[APPROVAL_TEXT];
    uint32_t command;      /* TPM2_CC_Sign, TPM2_CC_RSA_Decrypt, TPM2_CC_ECDH_ZGen */
    struct buf parameters; /* of the command, in wire form, none of them encrypted */
    struct buf nonce;      /* nonceTPM of the session */
    struct buf cp_hash;
    uint32_t expiration; /* seconds */
};
void approval_request_free(struct approval_request *r);
int approval_request_encode(const struct approval_request *r, struct buf *der,
                            struct err *e) MUST_USE;
int approval_request_decode(struct bytes der, struct approval_request *out, struct err *e) MUST_USE;

struct approval_answer {
    TPM2B_NAME approver;
    struct buf nonce, cp_hash; /* of the request: which one it answers */
    uint32_t expiration;       /* what was signed, not what was asked */
    struct buf signature;      /* TPMT_SIGNATURE over aHash */
};
void approval_answer_free(struct approval_answer *a);
int approval_answer_encode(const struct approval_answer *a, struct buf *der,
                           struct err *e) MUST_USE;
int approval_answer_decode(struct bytes der, struct approval_answer *out, struct err *e) MUST_USE;

/* Does it answer that request, whatever the signature is worth? */
bool approval_answers(const struct approval_answer *a, const struct approval_request *r);

/* --- what is computed ------------------------------------------------------- */

/* policyRef of a purpose: SHA-256("fusetsu approval 1" ‖ purpose). */
int approval_ref(struct bytes purpose, TPM2B_NONCE *out, struct err *e) MUST_USE;

/* cpHash of a command on one key without any encrypted parameter (Part 1, 16.7). */
int approval_cp_hash(uint32_t command, const TPM2B_NAME *key, struct bytes parameters,
                     uint8_t out[32], struct err *e) MUST_USE;

/* aHash with SHA-256. */
int approval_digest(struct bytes nonce, uint32_t expiration, struct bytes cp_hash,
                    const TPM2B_NONCE *ref, uint8_t out[32], struct err *e) MUST_USE;

/* What a request's command does, read from its parameters. */
struct approval_command {
    const char *operation;       /* "sign a digest" ... */
    const char *scheme;          /* "ECDSA", "RSASSA-PKCS1-v1_5", ...; NULL: none */
    const struct alg_hash *hash; /* of a signature */
    struct bytes data;           /* digest, ciphertext or X coordinate; borrowed from the request */
};

/*
 * Judges a request before it is shown to anybody or signed: there is a nonce and a cpHash (no
 * blank approval), an expiration between 1 and APPROVAL_SECONDS_MAX, a command that is one of
 * the three and parses to its last byte, and cpHash is that of this command. E_REJECTED says
 * which does not hold.
 */
int approval_check(const struct approval_request *r, struct approval_command *out,
                   struct err *e) MUST_USE;

#endif
