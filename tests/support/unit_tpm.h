#ifndef TESTS_SUPPORT_UNIT_TPM_H
#define TESTS_SUPPORT_UNIT_TPM_H

#include "core/store.h"
#include "tpm/token.h"

/*
 * What the tests of the tpm room share: a private directory with a store, and the TPM that
 * swtpm-ci/with-tpm started (FUSETSU_TCTI). Everything here fails the test by itself when it
 * cannot do its work, unless it says otherwise.
 */

#define UNIT_USER "user-pin-1"
#define UNIT_SO "so-pin-one"

struct unit_tpm {
    char dir[40];
    char tcti[300]; /* what `tpm` was opened with */
    struct tpm *tpm;
    struct store *store;
    struct token *token; /* NULL in a bare world */
    int64_t id;          /* of the token's row */
};

/* cmocka: with a token (user PIN set, lockoutAuth left alone), or without one. */
int unit_tpm_with_token(void **state);
int unit_tpm_bare(void **state);
/* Erases every token of the store, and what is left loaded in the TPM. */
int unit_tpm_remove(void **state);

#define WITH_TOKEN(f) cmocka_unit_test_setup_teardown(f, unit_tpm_with_token, unit_tpm_remove)
#define BARE(f) cmocka_unit_test_setup_teardown(f, unit_tpm_bare, unit_tpm_remove)

struct bytes unit_pin(const char *text);

/* As the end of one process and the start of another would. `tcti` NULL: as before. */
void unit_tpm_close(struct unit_tpm *w);
void unit_tpm_open(struct unit_tpm *w, const char *tcti);

/* The row of another token of the store is opened beside. */
struct token *unit_tpm_token(struct unit_tpm *w, int64_t id);

/* Provisions with the two PINs of above; the id of the row. */
int64_t unit_tpm_provision(struct unit_tpm *w, const char *label);

/* Logs in; the test fails when that fails. */
void unit_tpm_login(struct unit_tpm *w, enum token_user who, const char *pin);
/* Tries to log in: the code, E_OK when it worked. */
enum err_code unit_tpm_try(struct token *k, enum token_user who, const char *pin, struct err *e);

/* Keys. The caller frees them with store_key_free. */
void unit_tpm_ecc(struct unit_tpm *w, const char *curve, struct store_key *out);
void unit_tpm_rsa(struct unit_tpm *w, bool decrypt, struct store_key *out);
/* Signs a SHA-256 digest by ECDSA; 0 when the signature also verifies. */
int unit_tpm_sign(struct token *k, const struct store_key *key, struct err *e);

/* --- the TPM behind everyone's back, without any session ------------------- */

/* Handles from `first` on that are there, lowest first; how many (at most `max`). */
size_t unit_tpm_handles(uint32_t first, uint32_t last, uint32_t *out, size_t max);
/* Flushes all sessions and transient objects: what a resource manager does for a dead process. */
void unit_tpm_flush(void);
/* TPM-wide count of failed tries, and its reset with an empty lockoutAuth. */
unsigned unit_tpm_failures(void);
void unit_tpm_forgive(void);
/* Runs a script with swtpm-ci/lib.sh at hand; its exit code. */
int unit_tpm_script(const char *script);
/* A power cut: kill -9 of the swtpm, then power on again. */
void unit_tpm_cut(void);

/* --- the spy TCTI (tests/support/tcti_spy.c) --------------------------------- */

/* Its configuration in front of the real TCTI. Skips the test, saying why, where it was not
 * built. The log lies in w->dir and holds whole commands when `whole`. */
const char *unit_spy(struct unit_tpm *w, bool whole);
void unit_spy_clear(struct unit_tpm *w);
/* Commands in the log, or those of one name. */
size_t unit_spy_count(struct unit_tpm *w, const char *name);
/* Did these bytes cross the wire? */
bool unit_spy_saw(struct unit_tpm *w, const void *p, size_t len);

/*
 * Runs `f` in a child process with its own connection through the spy and the fault NAME=VALUE
 * (on commands of `cc` only, NULL: all), then frees what a dead child left in the TPM. The
 * world must be closed. Returns the child's result, or UNIT_KILLED.
 */
#define UNIT_KILLED (-1)
int unit_spy_child(struct unit_tpm *w, const char *fault, const char *value, const char *cc,
                   int (*f)(struct unit_tpm *w));

/* In a child, where cmocka's assertions do not reach: ends `f` with a line that says what. */
#define CHILD_MUST(x, e)                                           \
    do {                                                           \
        if (!(x))                                                  \
            return unit_child_failed(__FILE__, __LINE__, #x, (e)); \
    } while (0)
int unit_child_failed(const char *file, int line, const char *what, const struct err *e);

#endif
