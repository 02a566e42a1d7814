#ifndef TESTS_SUPPORT_UNIT_MODULE_H
#define TESTS_SUPPORT_UNIT_MODULE_H

#include "core/base.h"
#include "pkcs11/object.h"
#include "pkcs11/p11.h"

/*
 * What the tests of the PKCS#11 room share: the module, linked in, over a store in a private
 * directory (unit_dir.h), without a TPM or with the one that swtpm-ci/with-tpm started.
 * Everything here fails the test by itself when it cannot do its work, unless it says
 * otherwise.
 */

#define UNIT_LEN(s) ((CK_ULONG)(sizeof(s) - 1))
#define UNIT_PIN "123456"
#define UNIT_SO_PIN "12345678"

/* --- without a TPM: one test, one store -------------------------------------- */

/* cmocka: settings only; or with a token in slot 1, and initialised. */
int unit_module_bare(void **state);
int unit_module_without_tpm(void **state);
int unit_module_end(void **state);

/* --- with a TPM: one token for a group of tests --------------------------------- */

/* cmocka, for groups: a token whose user is logged in in unit_session; and its end. */
int unit_module_begin(void **state);
int unit_module_erase(void **state);

extern CK_SESSION_HANDLE unit_session; /* R/W, the user logged in */

/* As the end of one process and the start of another: handles change. Without `login`
 * nobody is logged in. */
void unit_module_again(bool login);

/*
 * Another process: runs `f` in a child, which has called C_Initialize and has a R/W session
 * without login in unit_session, while this one has ended. f's result must be 0. With
 * `fault` its TPM is behind the spy (tests/support/tcti_spy.c), which answers all commands
 * named `cc` with that code: "0x143". Handles change.
 */
void unit_module_in_child(const char *fault, const char *cc, int (*f)(void));

/* C_Login of the user. */
CK_RV unit_module_login(CK_SESSION_HANDLE h);
/* Logs out and in: private session objects are gone, token objects have new handles. */
void unit_module_relogin(void);

CK_SESSION_HANDLE unit_module_open(bool rw);

/* Puts the spy before the TPM, as another process would begin with it, the user logged in; then
 * how many commands were sent since the last question, without those that the TPM wanted
 * again. Skips the test where the spy was not built. */
void unit_module_spied(void);
size_t unit_module_sent(void);

/* --- templates -------------------------------------------------------------- */

/* Entries of a template; values live as long as the block around. */
#define T_BOOL(type, v)               \
    {                                 \
        (type), &(CK_BBOOL){(v)}, 1u, \
    }
#define T_NUM(type, v)                                        \
    {                                                         \
        (type), &(CK_ULONG){(v)}, (CK_ULONG)sizeof(CK_ULONG), \
    }
#define T_BYTES(type, p, n)                            \
    {                                                  \
        (type), (void *)(uintptr_t)(p), (CK_ULONG)(n), \
    }
#define T_TEXT(type, s) T_BYTES(type, s, strlen(s))

/* --- objects ------------------------------------------------------------------ */

/* How many objects a template finds; the handle of the only one. */
CK_ULONG unit_module_count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n);
CK_OBJECT_HANDLE unit_module_find(CK_OBJECT_CLASS class, const char *label);

bool unit_module_true(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type);
CK_ULONG unit_module_number(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type);
/* Reads bytes, at most 1024; how many. */
size_t unit_module_bytes(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, uint8_t *out);

/* The object itself, as the module holds it; borrowed until the next C_* call. */
const struct object *unit_module_object(CK_OBJECT_HANDLE o);
/* Is its key in the TPM, and nowhere else? In this process's memory, and nowhere else? */
bool unit_module_in_tpm(CK_OBJECT_HANDLE o);
bool unit_module_in_memory(CK_OBJECT_HANDLE o);

void unit_module_destroy(CK_OBJECT_HANDLE o);

/* --- keys ------------------------------------------------------------------------ */

enum {
    UNIT_TOKEN = 1,  /* a token object */
    UNIT_LEAVES = 2, /* extractable */
    UNIT_SHOWN = 4,  /* not sensitive */
};

/* A secret key that may do everything. */
CK_OBJECT_HANDLE unit_module_secret(CK_KEY_TYPE type, struct bytes value, unsigned kind);

/* A key pair on P-256, or RSA of 2048 bits; `extra` (at most 8) is the private template, of
 * which CKA_TOKEN and CKA_LABEL hold for both. */
CK_RV unit_module_pair(CK_KEY_TYPE type, CK_ATTRIBUTE *extra, CK_ULONG n, CK_OBJECT_HANDLE *pub,
                       CK_OBJECT_HANDLE *priv);

/* --- use --------------------------------------------------------------------- */

/* A whole operation over `in`, at once or (step != 0) in parts of so many bytes. `out` has
 * room for in.len + 512 bytes. */
CK_RV unit_module_crypt(bool encrypt, CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct bytes in,
                        size_t step, uint8_t *out, size_t *len);
CK_RV unit_module_sign(CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct bytes in, size_t step,
                       uint8_t *sig, size_t *len);
CK_RV unit_module_verify(CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct bytes in, const uint8_t *sig,
                         size_t len);

/* Does the private key sign so that the public one verifies? The first failure. */
CK_RV unit_module_signs(CK_OBJECT_HANDLE priv, CK_OBJECT_HANDLE pub);

/* Bytes that look like nothing, the same each time. */
void unit_module_fill(uint8_t *p, size_t len, unsigned seed);

#endif
