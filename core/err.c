#include "core/err.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [E_OK] = "ok",
    [E_ARG] = "bad-argument",
    [E_MEMORY] = "out-of-memory",
    [E_IO] = "io",
    [E_FORMAT] = "malformed",
    [E_NOT_FOUND] = "not-found",
    [E_EXISTS] = "exists",
    [E_DENIED] = "denied",
    [E_BUSY] = "busy",
    [E_FULL] = "full",
    [E_UNSUPPORTED] = "unsupported",
    [E_CRYPTO] = "crypto",
    [E_CORRUPT] = "corrupt",
    [E_VERSION] = "newer-version",
    [E_PIN_WRONG] = "pin-wrong",
    [E_PIN_LOCKED] = "pin-locked",
    [E_PIN_LENGTH] = "pin-length",
    [E_PIN_UNSET] = "pin-unset",
    [E_PIN_INTERRUPT] = "pin-change-interrupted",
    [E_LOCKOUT] = "tpm-lockout",
    [E_LOGIN] = "login-required",
    [E_NO_DEVICE] = "no-tpm",
    [E_REMOVED] = "tpm-removed",
    [E_TPM] = "tpm",
    [E_TAMPERED] = "tampered",
    [E_DATA] = "bad-data",
    [E_REJECTED] = "rejected",
    [E_USAGE] = "usage",
};

static int record(struct err *e, enum err_code code, uint32_t rc, const char *fmt, va_list ap)
{
    if (e == NULL || e->code != E_OK)
        return -1;
    e->code = code;
    e->rc = rc;
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    return -1;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record(e, code, 0, fmt, ap);
    va_end(ap);
    return -1;
}

int err_set_rc(struct err *e, enum err_code code, uint32_t rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    record(e, code, rc, fmt, ap);
    va_end(ap);
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char was[sizeof(e->msg)];
    va_list ap;
    size_t n;

    if (e == NULL || e->code == E_OK)
        return -1;
    snprintf(was, sizeof(was), "%s", e->msg);
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    snprintf(e->msg + n, sizeof(e->msg) - n, ": %s", was);
    return -1;
}

int err_take(struct err *e, const struct err *from)
{
    if (e != NULL && e->code == E_OK)
        *e = *from;
    return -1;
}

int err_openssl(struct err *e, enum err_code code, const char *what)
{
    unsigned long q = ERR_peek_last_error();
    const char *why = q != 0 ? ERR_reason_error_string(q) : NULL;

    ERR_clear_error();
    return err_set(e, code, "%s: %s", what, why != NULL ? why : "OpenSSL gave no reason");
}

void err_clear(struct err *e)
{
    if (e != NULL)
        memset(e, 0, sizeof(*e));
}

const char *err_name(enum err_code code)
{
    if ((size_t)code >= ARRAY_LEN(names) || names[code] == NULL)
        return "unknown";
    return names[code];
}
