#ifndef TESTS_CONFORMANCE_CONF_H
#define TESTS_CONFORMANCE_CONF_H

/*
 * The frame of the conformance program: a check is a small named function about one demand of
 * the standard. Checks run one after the other in a worker process that has loaded the module;
 * when a check kills the worker, that check has failed and another worker goes on behind it.
 *
 * "Base" is the OASIS PKCS #11 Cryptographic Token Interface Base Specification 2.40, "Base 3.0"
 * the next version of it, and "Mech" the Current Mechanisms Specification 2.40 or 3.0.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/p11.h"

#define N(array) (sizeof(array) / sizeof *(array))

/* What a check finds when it begins. */
enum conf_level {
    CONF_RAW,  /* the module is loaded and not initialised */
    CONF_INIT, /* initialised; no session is open, nobody is logged in */
    CONF_USER  /* `ses` is a read/write session of its own; the user is logged in */
};

/* How the running check ended. */
struct conf_end {
    enum {
        CONF_STARTED,
        CONF_PASSED,
        CONF_SKIPPED,
        CONF_FAILED,
        CONF_NO_TOKEN /* failed, and so would all others: no token, or the PIN is wrong */
    } verdict;
    char why[512];
};
extern struct conf_end conf_end;

extern CK_FUNCTION_LIST *f;
extern CK_FUNCTION_LIST_3_0 *f3; /* NULL when the module has no such interface */
extern void *conf_dl;            /* of dlopen */
extern CK_SLOT_ID slot;          /* where the token under test is */
extern CK_SESSION_HANDLE ses;    /* of this check */
extern CK_SESSION_HANDLE base;   /* lives as long as the login: session keys for many checks */
extern unsigned conf_epoch;      /* counts the lives of `base` */
extern CK_BYTE conf_pin[256], conf_so_pin[256];
extern CK_ULONG conf_pin_len, conf_so_pin_len;

/* The label of each object that a check makes; what has it is destroyed at the end. */
#define CONF_LABEL "conformance check"

/* conf_add: the name is GROUP/WHAT, made from the format. The argument is the check's own. */
typedef void conf_run(const void *arg);
void conf_add(enum conf_level level, conf_run *run, const void *arg, const char *name, ...)
    __attribute__((format(printf, 4, 5)));

/* How a check ends early. Neither returns. */
void conf_fail(const char *why, ...) __attribute__((format(printf, 1, 2), noreturn));
void conf_skip(const char *why, ...) __attribute__((format(printf, 1, 2), noreturn));

/* EXPECT(call, CKR_...): the call answers one of these; OK(call): it answers CKR_OK. */
#define EXPECT(call, ...)                                              \
    conf_expect(#call, __LINE__, (call), (const CK_RV[]){__VA_ARGS__}, \
                sizeof((const CK_RV[]){__VA_ARGS__}) / sizeof(CK_RV))
#define OK(call) EXPECT(call, CKR_OK)
/* REFUSED(call): any error but the general ones, which are no answer to a caller's mistake. */
#define REFUSED(call) conf_refused(#call, __LINE__, (call))
#define MUST(condition, ...)        \
    do {                            \
        if (!(condition))           \
            conf_fail(__VA_ARGS__); \
    } while (0)
CK_RV conf_expect(const char *call, int line, CK_RV rv, const CK_RV *want, size_t n);
void conf_refused(const char *call, int line, CK_RV rv);
void conf_same(const char *what, const void *got, size_t got_len, const void *want, size_t len);

/* The name of a return value; static, valid for a few calls. */
const char *conf_ckr(CK_RV rv);

/* Logs in anew, for checks that log out. */
void conf_login(CK_SESSION_HANDLE h, CK_USER_TYPE user);
CK_SESSION_HANDLE conf_open(CK_FLAGS more); /* CKF_RW_SESSION or 0 */
/* The module's token is not able to do that: the check is skipped. */
void conf_need(CK_MECHANISM_TYPE m, CK_FLAGS flags);
bool conf_has(CK_MECHANISM_TYPE m, CK_FLAGS flags);
void conf_need_3_0(void);
/* A function may be missing altogether: the check is skipped. */
CK_RV conf_supported(CK_RV rv);

/* Destroys token objects with CONF_LABEL or CONF_LABEL ", changed"; -1, or how many had the first. */
int conf_sweep(void);
/* How many token objects the user sees. */
CK_ULONG conf_token_objects(void);

/* Where groups add their checks; each in the file of its name. */
void args_checks(void);
void args_v3_checks(void);
void init_checks(void);
void sessions_checks(void);
void login_checks(void);
void objects_checks(void);
void keyattrs_checks(void);
void lookup_checks(void);
void buffers_checks(void);
void keygen_checks(void);
void digest_checks(void);
void mac_checks(void);
void cipher_checks(void);
void gcm_checks(void);
void sign_checks(void);
void rsacrypt_checks(void);
void derive_checks(void);
void wrap_checks(void);
void multi_checks(void);
void message_checks(void);
void mechinfo_checks(void);
void token_checks(void);

#endif
