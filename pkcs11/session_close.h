#ifndef PKCS11_SESSION_CLOSE_H
#define PKCS11_SESSION_CLOSE_H

#include "pkcs11/session.h"

/* The ends of sessions, and of what is active in them. */

/* Ends an operation of a session, if it is active; the same for the message functions, and
 * for a search. */
void session_close_op(struct p11_session *s, enum op_kind kind);
void session_close_message(struct p11_session *s, enum op_kind kind);
void session_close_search(struct p11_session *s);

/* Closes one session; the last of a slot logs out (5.6). */
void session_close_one(struct p11_session *s);

/* Closes all sessions of a slot, logging out; all sessions of the process. */
void session_close_slot(struct library *lib, struct slot *slot);
void session_close_all(struct library *lib);

/* After slot_refresh: what erased tokens leave; their sessions are closed (6.6). */
void session_close_erased(struct library *lib);

#endif
