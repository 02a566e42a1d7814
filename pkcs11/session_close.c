#include "pkcs11/session_close.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pkcs11/message.h"

void session_close_op(struct p11_session *s, enum op_kind kind)
{
    op_free(s->op[kind]);
    s->op[kind] = NULL;
}

void session_close_message(struct p11_session *s, enum op_kind kind)
{
    message_free(s->message[kind]);
    s->message[kind] = NULL;
}

void session_close_search(struct p11_session *s)
{
    if (s->search != NULL)
        free(s->search->found);
    free(s->search);
    s->search = NULL;
}

/* Frees a session that is out of the list already. */
static void end_session(struct p11_session *s)
{
    for (int i = 0; i < OP_KINDS; i++) {
        session_close_op(s, (enum op_kind)i);
        session_close_message(s, (enum op_kind)i);
    }
    session_close_search(s);
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

void session_close_one(struct p11_session *s)
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

void session_close_slot(struct library *lib, struct slot *slot)
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

void session_close_all(struct library *lib)
{
    for (size_t i = 0; i < lib->n_session; i++)
        end_session(lib->session[i]);
    free(lib->session);
    lib->session = NULL;
    lib->n_session = lib->cap_session = 0;
}

void session_close_erased(struct library *lib)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        if (!lib->slot[i]->present) {
            session_close_slot(lib, lib->slot[i]);
            slot_clear(lib->slot[i]);
        }
    }
}
