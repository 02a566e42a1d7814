#ifndef CORE_ERR_H
#define CORE_ERR_H

#include "core/base.h"

/* Why something failed, in terms a caller can act on. The PKCS#11 room maps
 * these to return values in one place, the CLI maps them to exit codes. */
enum err_code {
    E_OK = 0,
    E_ARG,           /* the caller passed something unusable */
    E_MEMORY,        /* allocation failed */
    E_IO,            /* a file could not be read or written */
    E_FORMAT,        /* bytes that do not parse */
    E_NOT_FOUND,     /* no such token, key, file, record */
    E_EXISTS,        /* it is there already */
    E_DENIED,        /* permission of the system or of the TPM hierarchy */
    E_BUSY,          /* held by another process; try again */
    E_FULL,          /* no room (disk, NV memory, transient slots) */
    E_UNSUPPORTED,   /* this TPM or this build cannot do it */
    E_CRYPTO,        /* a cryptographic library call failed */
    E_CORRUPT,       /* stored data is damaged or was altered */
    E_VERSION,       /* written by a newer version */
    E_PIN_WRONG,     /* wrong PIN; the count of tries went up */
    E_PIN_LOCKED,    /* this token's PIN is locked */
    E_PIN_LENGTH,    /* PIN too short or too long */
    E_PIN_UNSET,     /* the token has no user PIN yet */
    E_PIN_INTERRUPT, /* a PIN change was interrupted half way */
    E_LOCKOUT,       /* the TPM-wide dictionary attack lockout is in force */
    E_LOGIN,         /* needs a login first */
    E_NO_DEVICE,     /* no TPM can be reached */
    E_REMOVED,       /* the TPM went away, or was reset, while in use */
    E_TPM,           /* the TPM refused or answered out of protocol */
    E_TAMPERED,      /* a response failed its HMAC, a Name did not match */
    E_DATA,          /* data of a length or form that the operation refuses */
    E_REJECTED,      /* evidence, certificate or request refused by a rule */
    E_USAGE,         /* command line misuse */
};

/* One failure: the first, most specific cause is kept. `msg` is one sentence
 * that says what happened and what to do next. `rc` is the TPM or TSS
 * response code when there was one, else 0. */
struct err {
    enum err_code code;
    uint32_t rc;
    char msg[400];
};

/*
 * Records a failure in `e` and returns -1, so that a function can end with
 * `return err_set(...)`. A cause that is already there is never overwritten.
 * `e` may be NULL.
 */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same, with a TPM or TSS response code beside it. */
int err_set_rc(struct err *e, enum err_code code, uint32_t rc, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Puts "what: " in front of the message of a failure that is there. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Passes on what `from` holds, unless `e` has a cause already. Returns -1. */
int err_take(struct err *e, const struct err *from);

/* Appends the newest reason of the OpenSSL error queue and empties the queue.
 * Returns -1. */
int err_openssl(struct err *e, enum err_code code, const char *what);

/* Forgets what was recorded. */
void err_clear(struct err *e);

/* The code's name as it appears in JSON output, e.g. "pin-wrong". */
const char *err_name(enum err_code code);

#endif
