#ifndef TESTS_SUPPORT_UNIT_SHARE_H
#define TESTS_SUPPORT_UNIT_SHARE_H

#include "tests/support/unit_tpm.h"

/*
 * What the tests of sharing a TPM have in common: "processes", which are connections of one
 * process that know nothing of each other. They share by a file in the world's directory.
 */

/* cmocka: with a token, and nothing of this process in the TPM. */
int unit_share_setup(void **state);
#define SHARED(f) cmocka_unit_test_setup_teardown(f, unit_share_setup, unit_tpm_remove)

/* The file of the world's TPM. */
const char *unit_share_path(const struct unit_tpm *w);

/* Another process, logged in; unit_tpm_close() ends it. */
void unit_share_join(struct unit_tpm *w, struct unit_tpm *other, const char *tcti);

/* A call of its own: 0 when the signature is valid. */
int unit_share_sign(struct unit_tpm *w, const struct store_key *key);

/* How many sessions and objects are loaded; fails unless none is, and no try is counted. */
size_t unit_share_sessions(void);
size_t unit_share_objects(void);
void unit_share_nothing_left(void);

/* Three processes that have signed, each with a key of its own; and their end. */
struct unit_share_three {
    struct unit_tpm *w, p[3];
    struct store_key key[3];
};
void unit_share_begin(struct unit_share_three *t, struct unit_tpm *w, const char *tcti_of_first);
void unit_share_end(struct unit_share_three *t);

#endif
