#ifndef TESTS_SUPPORT_UNIT_APPROVAL_H
#define TESTS_SUPPORT_UNIT_APPROVAL_H

#include "tests/support/unit_tpm.h"
#include "tpm/approval.h"

/* What the tests of approvals share. Failures end the test. */

/* The user's token is in the first TPM, the officer's in the second, where there is one. */
struct unit_approval {
    struct unit_tpm *user, *officer;
    char *tcti;
    struct store_key key, approver_key;
    struct approval_approver approver;
    struct buf der; /* the approver's file */
};

int unit_approval_set_up(void **state);
int unit_approval_tear_down(void **state);

/* A world in another TPM (NULL: the first one), and its end. */
struct unit_tpm *unit_approval_world(const char *tcti);
void unit_approval_unworld(struct unit_tpm *w, const char *tcti);

/* Logs in, and makes an approver there. */
void unit_approval_approver(struct unit_tpm *w, struct store_key *key, struct approval_approver *a,
                            struct buf *der);

/* Keys that the officer approves the use of. */
struct key_spec unit_approval_spec(const struct unit_approval *p);
void unit_approval_key(struct unit_approval *p, const struct key_spec *spec, struct store_key *out);

struct token_proof *unit_approval_ask(struct unit_approval *p, const struct approval_use *use,
                                      uint32_t seconds, struct approval_request *r);
struct token_proof *unit_approval_ask_sign(struct unit_approval *p, const uint8_t digest[32],
                                           struct approval_request *r);

/* What an approver says to it. The second must approve. */
enum err_code unit_approval_by(struct unit_tpm *w, const struct store_key *key, const char *pin,
                               const struct approval_request *r, struct approval_answer *out);
void unit_approval_approve(struct unit_approval *p, const struct approval_request *r,
                           struct approval_answer *out);

/* The code, and what the TPM said (may be NULL). */
enum err_code unit_approval_finish(struct unit_approval *p, struct token_proof *proof,
                                   const struct approval_answer *a, uint32_t *rc);
/* Presents (NULL: nothing), signs and verifies. */
enum err_code unit_approval_use(struct unit_approval *p, struct token_proof *proof,
                                const uint8_t digest[32], uint32_t *rc);

void unit_approval_done(struct unit_approval *p, struct token_proof *proof,
                        struct approval_request *r, struct approval_answer *a);

#endif
