#include "pkcs11/session.h"

#include <stdlib.h>

/* More than any program keeps open; a leak stops here instead of eating the memory. */
#define MAX_SESSIONS 65536

struct p11_session *p11_session_find(const struct library *lib, CK_SESSION_HANDLE handle)
{
    size_t low = 0, high = lib->n_session, mid;

    while (low < high) {
        mid = low + (high - low) / 2;
        if (lib->session[mid]->handle == handle)
            return lib->session[mid];
        if (lib->session[mid]->handle < handle)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

CK_STATE p11_session_state(const struct p11_session *s)
{
    switch (slot_who(s->slot)) {
    case TOKEN_SO: return CKS_RW_SO_FUNCTIONS;
    case TOKEN_USER: return s->rw ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
    default: return s->rw ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
    }
}

bool p11_session_user(const struct p11_session *s)
{
    return slot_who(s->slot) == TOKEN_USER;
}

CK_RV p11_session_add(struct library *lib, struct slot *slot, bool rw, CK_SESSION_HANDLE *out)
{
    struct p11_session *s, **grown;
    size_t cap;

    if (lib->n_session >= MAX_SESSIONS)
        return CKR_SESSION_COUNT;
    if (lib->n_session == lib->cap_session) {
        cap = lib->cap_session == 0 ? 16 : 2 * lib->cap_session;
        grown = realloc(lib->session, cap * sizeof(struct p11_session *));
        if (grown == NULL)
            return CKR_HOST_MEMORY;
        lib->session = grown;
        lib->cap_session = cap;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return CKR_HOST_MEMORY;
    s->handle = ++lib->last_handle;
    s->lib = lib;
    s->slot = slot;
    s->rw = rw;
    slot->n_session++;
    if (rw)
        slot->n_rw++;
    lib->session[lib->n_session++] = s;
    *out = s->handle;
    return CKR_OK;
}
