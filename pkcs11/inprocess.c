#include "pkcs11/inprocess.h"

#include "pkcs11/entry.h"

CK_FUNCTION_LIST *p11_inprocess(void)
{
    CK_FUNCTION_LIST *list = NULL;

    entry_quiet();
    return C_GetFunctionList(&list) == CKR_OK ? list : NULL;
}

struct err p11_last_error(void)
{
    return entry_last_error();
}

struct token *p11_session_token(CK_SESSION_HANDLE session)
{
    struct p11_session *s;
    struct token *k = NULL;
    struct err e = {0};

    if (entry_session(session, &s) != CKR_OK)
        return NULL;
    if (slot_token(s->slot, &k, &e) != 0) {
        fail_rv(&e, CKR_DURING_ANY);
        k = NULL;
    }
    entry_end(CKR_OK);
    return k;
}

int p11_key_of_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct store_key *out,
                      struct err *e)
{
    const struct store_key *key = NULL;
    struct p11_session *s;
    struct object *o = NULL;
    int rc = -1;

    if (entry_session(session, &s) != CKR_OK)
        return err_set(e, E_ARG, "there is no such session");
    o = slot_object(s->lib, s->slot, object);
    if (o == NULL || (o->key == NULL && !o->row.has_key))
        err_set(e, E_ARG, "that object is no private key of this token");
    else if (slot_key(s->slot, o, &key, e) == 0)
        rc = store_key_copy(key, out, e);
    entry_end(CKR_OK);
    return rc;
}
