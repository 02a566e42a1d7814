#ifndef PKCS11_MESSAGE_H
#define PKCS11_MESSAGE_H

#include "pkcs11/op.h"

/*
 * What a session keeps between C_MessageXInit and C_MessageXFinal (3.0, 5.9 and on):
 * mechanism and key. Each message is an operation of its own (op.h) that begins and ends
 * within.
 */
struct message {
    const struct mech *mech;
    CK_OBJECT_HANDLE key;
    CK_MECHANISM given; /* with a copy of its parameter */
    struct op *op;      /* of the message that was begun in parts */
    CK_ULONG tag_bits;  /* GCM: of that message, from its beginning to its end */
};

void message_free(struct message *m); /* NULL is fine */

/* A copy of the mechanism with its parameter, which holds no pointers. CKR_HOST_MEMORY. */
CK_RV message_new(struct message **out, const struct mech *m, const CK_MECHANISM *given,
                  CK_OBJECT_HANDLE key) MUST_USE;

/* Begins a message; CKR_KEY_HANDLE_INVALID when its key has gone. */
CK_RV message_start(struct p11_session *s, enum op_kind kind, struct message *m,
                    const CK_MECHANISM *given) MUST_USE;

/* Ends the message that was begun, if any. */
void message_drop(struct message *m);

#endif
