#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/plug.h"
#include "pkcs11/session_close.h"

/* C_* functions on sessions (5.6), logins aside. */

static CK_RV open_session(struct library *lib, CK_SLOT_ID id, bool rw, CK_SESSION_HANDLE *out)
{
    struct slot *slot = plug_slot(lib, id);
    struct err e = {0};

    if (slot == NULL)
        return CKR_SLOT_ID_INVALID;
    if (!slot->present)
        return CKR_TOKEN_NOT_PRESENT;
    if (plug_ready(slot, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    if (slot->row.id == 0)
        return CKR_TOKEN_NOT_RECOGNIZED;
    if (rw && slot->site->read_only)
        return fail_rv(&slot->site->store_err, CKR_DURING_READ_ONLY);
    if (!rw && slot_who(slot) == TOKEN_SO)
        return CKR_SESSION_READ_WRITE_SO_EXISTS;
    return p11_session_add(lib, slot, rw, out);
}

CK_RV C_OpenSession(CK_SLOT_ID id, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                    CK_SESSION_HANDLE *session)
{
    struct library *lib;
    CK_RV rv;

    (void)application; /* nothing here calls back */
    (void)notify;
    rv = entry_begin(&lib);
    if (rv != CKR_OK)
        return rv;
    if (session == NULL)
        rv = CKR_ARGUMENTS_BAD;
    else if ((flags & CKF_SERIAL_SESSION) == 0)
        rv = CKR_SESSION_PARALLEL_NOT_SUPPORTED;
    else
        rv = open_session(lib, id, (flags & CKF_RW_SESSION) != 0, session);
    return entry_end(rv);
}

CK_RV C_CloseSession(CK_SESSION_HANDLE handle)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    session_close_one(s);
    return entry_end(CKR_OK);
}

CK_RV C_CloseAllSessions(CK_SLOT_ID id)
{
    struct library *lib;
    struct slot *slot;
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    slot = plug_slot(lib, id);
    if (slot == NULL)
        return entry_end(CKR_SLOT_ID_INVALID);
    session_close_slot(lib, slot);
    return entry_end(slot->present ? CKR_OK : CKR_TOKEN_NOT_PRESENT);
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE handle, CK_SESSION_INFO *info)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (info == NULL)
        return entry_end(CKR_ARGUMENTS_BAD);
    memset(info, 0, sizeof(*info));
    info->slotID = s->slot->id;
    info->state = p11_session_state(s);
    info->flags = CKF_SERIAL_SESSION | (s->rw ? CKF_RW_SESSION : 0);
    return entry_end(CKR_OK);
}

/* 3.0, 5.6.10: which of the flags of mechanisms stands for which operation. */
CK_RV C_SessionCancel(CK_SESSION_HANDLE handle, CK_FLAGS flags)
{
    static const struct {
        CK_FLAGS flag;
        enum op_kind kind;
        bool message;
    } map[] = {
        {CKF_SIGN, OP_SIGN, false},
        {CKF_VERIFY, OP_VERIFY, false},
        {CKF_DIGEST, OP_DIGEST, false},
        {CKF_ENCRYPT, OP_ENCRYPT, false},
        {CKF_DECRYPT, OP_DECRYPT, false},
        {CKF_SIGN_RECOVER, OP_SIGN_RECOVER, false},
        {CKF_VERIFY_RECOVER, OP_VERIFY_RECOVER, false},
        {CKF_MESSAGE_SIGN, OP_SIGN, true},
        {CKF_MESSAGE_VERIFY, OP_VERIFY, true},
        {CKF_MESSAGE_ENCRYPT, OP_ENCRYPT, true},
        {CKF_MESSAGE_DECRYPT, OP_DECRYPT, true},
    };
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    for (size_t i = 0; i < ARRAY_LEN(map); i++) {
        if ((flags & map[i].flag) == 0)
            continue;
        if (map[i].message)
            session_close_message(s, map[i].kind);
        else
            session_close_op(s, map[i].kind);
    }
    if ((flags & CKF_FIND_OBJECTS) != 0)
        session_close_search(s);
    return entry_end(CKR_OK);
}
