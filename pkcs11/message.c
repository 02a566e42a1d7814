#include "pkcs11/message.h"

#include <stdlib.h>
#include <string.h>

void message_free(struct message *m)
{
    if (m == NULL)
        return;
    op_free(m->op);
    free(m->given.pParameter);
    free(m);
}

CK_RV message_new(struct message **out, const struct mech *m, const CK_MECHANISM *given,
                  CK_OBJECT_HANDLE key)
{
    struct message *msg = calloc(1, sizeof(*msg));

    if (msg == NULL)
        return CKR_HOST_MEMORY;
    msg->mech = m;
    msg->key = key;
    msg->given.mechanism = given->mechanism;
    if (given->ulParameterLen != 0) {
        msg->given.pParameter = malloc(given->ulParameterLen);
        if (msg->given.pParameter == NULL) {
            free(msg);
            return CKR_HOST_MEMORY;
        }
        memcpy(msg->given.pParameter, given->pParameter, given->ulParameterLen);
        msg->given.ulParameterLen = given->ulParameterLen;
    }
    *out = msg;
    return CKR_OK;
}

CK_RV message_start(struct p11_session *s, enum op_kind kind, struct message *m,
                    const CK_MECHANISM *given)
{
    struct object *o = NULL;

    o = slot_object(s->lib, s->slot, m->key);
    return o != NULL ? op_new(&m->op, s, kind, m->mech, given, o) : CKR_KEY_HANDLE_INVALID;
}

void message_drop(struct message *m)
{
    op_free(m->op);
    m->op = NULL;
}
