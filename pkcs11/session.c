#include "pkcs11/session.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pkcs11/op.h"

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

void p11_session_end_op(struct p11_session *s, enum op_kind kind)
{
    op_free(s->op[kind]);
    s->op[kind] = NULL;
}

void p11_session_end_search(struct p11_session *s)
{
    if (s->search != NULL)
        free(s->search->found);
    free(s->search);
    s->search = NULL;
}

/* Frees a session that is out of the list already. */
static void end_session(struct p11_session *s)
{
    for (int i = 0; i < OP_KINDS; i++)
        p11_session_end_op(s, (enum op_kind)i);
    p11_session_end_search(s);
    if (s->slot->index != NULL)
        index_drop_session(s->slot->index, s->handle);
    s->slot->n_session--;
    if (s->rw)
        s->slot->n_rw--;
    free(s);
}

/* 5.6 C_CloseSession: with its last session the application is logged out. */
static void log_out_if_last(struct slot *slot)
{
    struct err e = {0};

    if (slot->n_session != 0 || slot_who(slot) == TOKEN_NOBODY)
        return;
    if (token_logout(slot->token, &e) != 0)
        log_info("%s", e.msg);
    if (slot->index != NULL)
        index_hide_private(slot->index);
    slot->stale = true;
}

void p11_session_close(struct p11_session *s)
{
    struct library *lib = s->lib;
    struct slot *slot = s->slot;
    size_t at = 0;

    while (lib->session[at] != s)
        at++;
    memmove(&lib->session[at], &lib->session[at + 1],
            (lib->n_session - at - 1) * sizeof(struct p11_session *));
    lib->n_session--;
    end_session(s);
    log_out_if_last(slot);
}

void p11_session_close_slot(struct library *lib, struct slot *slot)
{
    size_t left = 0;

    for (size_t i = 0; i < lib->n_session; i++) {
        if (lib->session[i]->slot == slot)
            end_session(lib->session[i]);
        else
            lib->session[left++] = lib->session[i];
    }
    lib->n_session = left;
    log_out_if_last(slot);
}

void p11_session_free_all(struct library *lib)
{
    for (size_t i = 0; i < lib->n_session; i++)
        end_session(lib->session[i]);
    free(lib->session);
    lib->session = NULL;
    lib->n_session = lib->cap_session = 0;
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
