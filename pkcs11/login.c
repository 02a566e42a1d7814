#include <string.h>

#include "core/log.h"
#include "core/secret.h"
#include "pkcs11/entry.h"
#include "pkcs11/op.h"
#include "pkcs11/plug.h"

/* Who may do what with a token: C_Login, C_Logout and the functions that set PINs
 * and make tokens (5.5, 5.6). */

/* PINs are borrowed from the caller and go no further than the token. */
static struct bytes pin_of(const CK_UTF8CHAR *pin, CK_ULONG len)
{
    return bytes_of(pin, (size_t)len);
}

/* There is no protected authentication path: a PIN must be given. Its length is the
 * token's to judge. */
static bool given(const CK_UTF8CHAR *pin)
{
    return pin != NULL;
}

static CK_RV log_in(struct p11_session *s, enum token_user who, struct bytes pin)
{
    enum token_user now = slot_who(s->slot);
    struct token *k = NULL;
    struct err e = {0};

    if (now == who)
        return CKR_USER_ALREADY_LOGGED_IN;
    if (now != TOKEN_NOBODY)
        return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
    /* 5.6 C_Login: the SO has no use for a read-only session. */
    if (who == TOKEN_SO && s->slot->n_session != s->slot->n_rw)
        return CKR_SESSION_READ_ONLY_EXISTS;
    if (slot_token(s->slot, &k, &e) != 0 || token_login(k, who, pin, &e) != 0)
        return fail_rv(&e, CKR_DURING_LOGIN);
    s->slot->stale = true;
    if (who == TOKEN_USER && site_verify(s->slot->site, &e) != 0) {
        if (token_logout(k, NULL) != 0)
            log_debug("logout after a refused login failed");
        return fail_rv(&e, CKR_DURING_LOGIN);
    }
    return CKR_OK;
}

/* 5.6, CKU_CONTEXT_SPECIFIC: the PIN for the one operation under way whose key wants it. */
static CK_RV prove(struct p11_session *s, struct bytes pin)
{
    static const enum op_kind kinds[] = {OP_SIGN, OP_DECRYPT, OP_SIGN_RECOVER};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct op *op = s->op[kinds[i]];

        if (op == NULL || !op_wants_pin(op))
            continue;
        if (!p11_session_user(s))
            return CKR_USER_NOT_LOGGED_IN;
        return op_prove(op, pin);
    }
    return CKR_OPERATION_NOT_INITIALIZED;
}

static CK_RV login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, const CK_UTF8CHAR *pin,
                   CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (user != CKU_USER && user != CKU_SO && user != CKU_CONTEXT_SPECIFIC)
        rv = CKR_USER_TYPE_INVALID;
    else if (!given(pin))
        rv = CKR_ARGUMENTS_BAD;
    else if (user == CKU_CONTEXT_SPECIFIC)
        rv = prove(s, pin_of(pin, len));
    else
        rv = log_in(s, user == CKU_SO ? TOKEN_SO : TOKEN_USER, pin_of(pin, len));
    return entry_end(rv);
}

CK_RV C_Login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
    return login(handle, user, pin, len);
}

/* 3.0, 5.6.9: users of a token here have no names. */
CK_RV C_LoginUser(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len,
                  CK_UTF8CHAR *name, CK_ULONG name_len)
{
    struct p11_session *s;
    CK_RV rv;

    if (name == NULL && name_len == 0)
        return login(handle, user, pin, len);
    rv = entry_session(handle, &s);
    return rv == CKR_OK ? entry_end(CKR_ARGUMENTS_BAD) : rv;
}

CK_RV C_Logout(CK_SESSION_HANDLE handle)
{
    struct p11_session *s;
    struct err e = {0};
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (slot_who(s->slot) == TOKEN_NOBODY)
        return entry_end(CKR_USER_NOT_LOGGED_IN);
    if (token_logout(s->slot->token, &e) != 0)
        rv = fail_rv(&e, CKR_DURING_ANY);
    if (s->slot->index != NULL)
        index_hide_private(s->slot->index);
    s->slot->stale = true;
    return entry_end(rv);
}

CK_RV C_InitPIN(CK_SESSION_HANDLE handle, CK_UTF8CHAR *pin, CK_ULONG len)
{
    struct p11_session *s;
    struct err e = {0};
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (!given(pin))
        rv = CKR_ARGUMENTS_BAD;
    else if (slot_who(s->slot) != TOKEN_SO)
        rv = CKR_USER_NOT_LOGGED_IN;
    else if (token_init_pin(s->slot->token, pin_of(pin, len), &e) != 0)
        rv = fail_rv(&e, CKR_DURING_ANY);
    return entry_end(rv);
}

static CK_RV set_pin(struct p11_session *s, struct bytes old, struct bytes pin)
{
    enum token_user who = slot_who(s->slot) == TOKEN_SO ? TOKEN_SO : TOKEN_USER;
    struct token *k = NULL;
    struct err e = {0};

    if (!s->rw)
        return CKR_SESSION_READ_ONLY;
    if (old.len < TOKEN_PIN_MIN || old.len > TOKEN_PIN_MAX)
        return CKR_PIN_INCORRECT;
    if (slot_token(s->slot, &k, &e) != 0 || token_set_pin(k, who, old, pin, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    return CKR_OK;
}

CK_RV C_SetPIN(CK_SESSION_HANDLE handle, CK_UTF8CHAR *old, CK_ULONG old_len, CK_UTF8CHAR *pin,
               CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (!given(old) || !given(pin))
        rv = CKR_ARGUMENTS_BAD;
    else
        rv = set_pin(s, pin_of(old, old_len), pin_of(pin, len));
    return entry_end(rv);
}

/* --- C_InitToken --------------------------------------------------------- */

/* The first token, in the place that was shown for it. */
static CK_RV provision(struct slot *slot, struct bytes so_pin, const char *label)
{
    struct token_params p = {.label = label, .so_pin = so_pin};
    struct token_report report;
    struct token *k = NULL;
    struct tpm *tpm = NULL;
    struct err e = {0};
    CK_RV rv = CKR_OK;

    memset(&report, 0, sizeof(report));
    if (site_store(slot->site, true, &e) != 0 || site_tpm(slot->site, &tpm, &e) != 0 ||
        token_provision(&k, tpm, slot->site->store, &p, &report, &e) != 0) {
        rv = fail_rv(&e, CKR_DURING_INIT);
        goto out;
    }
    /* PKCS#11 has nobody to show the recovery code to; the SO can have it from the
     * token later. */
    if (report.lockout_set)
        log_info("the TPM's lockout authorisation was set; the SO reads it from token '%s' with "
                 "`fusetsu token recovery-code`",
                 label);
    if (report.lockout_foreign)
        log_info("the TPM's lockout authorisation was set before and is left as it is");
    slot->token = k;
    slot->row = *token_row(k);
    slot->stale = true;
out:
    secret_wipe(&report, sizeof(report));
    return rv;
}

static CK_RV reset(struct slot *slot, struct bytes so_pin, const char *label)
{
    struct token *k = NULL;
    struct err e = {0};

    if (slot_token(slot, &k, &e) != 0 || token_reset(k, so_pin, label, &e) != 0)
        return fail_rv(&e, CKR_DURING_LOGIN);
    slot->row = *token_row(k);
    index_free(slot->index);
    slot->index = NULL;
    return CKR_OK;
}

/* 5.5: 32 bytes, padded with blanks, no NUL. */
static bool read_label(const CK_UTF8CHAR *in, char out[33])
{
    size_t len = 32;

    memcpy(out, in, len);
    while (len > 0 && (out[len - 1] == ' ' || out[len - 1] == '\0'))
        len--;
    out[len] = '\0';
    return len > 0 && strlen(out) == len;
}

/* It would have no user PIN and so nobody who can write; and the EK is not judged here. */
static CK_RV refuse_usb(void)
{
    struct err e = {0};

    err_set(&e, E_REJECTED, "USB tokens are made by `fusetsu usb provision`");
    return fail_rv(&e, CKR_DURING_INIT);
}

CK_RV C_InitToken(CK_SLOT_ID id, CK_UTF8CHAR *pin, CK_ULONG len, CK_UTF8CHAR *label)
{
    struct library *lib;
    struct slot *slot;
    char name[33];
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    slot = plug_slot(lib, id);
    if (slot == NULL)
        rv = CKR_SLOT_ID_INVALID;
    else if (!given(pin) || label == NULL || !read_label(label, name))
        rv = CKR_ARGUMENTS_BAD;
    else if (!slot->present)
        rv = CKR_TOKEN_NOT_PRESENT;
    else if (slot->site->usb != NULL)
        rv = refuse_usb();
    else if (slot->n_session != 0)
        rv = CKR_SESSION_EXISTS;
    else if (slot->site->read_only)
        rv = fail_rv(&slot->site->store_err, CKR_DURING_READ_ONLY);
    else if (slot->row.id == 0)
        rv = provision(slot, pin_of(pin, len), name);
    else
        rv = reset(slot, pin_of(pin, len), name);
    return entry_end(rv);
}
