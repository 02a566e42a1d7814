#include <stdlib.h>

#include "pkcs11/entry.h"
#include "pkcs11/session_close.h"
#include "pkcs11/template.h"

/* C_FindObjects* (5.7): all from memory. */

static CK_RV begin(struct p11_session *s, const struct template *t)
{
    struct err e = {0};
    struct index *x = NULL;
    struct search *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return CKR_HOST_MEMORY;
    if (slot_index(s->lib, s->slot, &x, &e) != 0 ||
        index_find(x, t->a, t->n, &f->found, &f->n, &e) != 0) {
        free(f);
        return fail_rv(&e, CKR_DURING_ANY);
    }
    s->search = f;
    return CKR_OK;
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *t, CK_ULONG count)
{
    struct p11_session *s;
    struct template wanted;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->search != NULL)
        return entry_end(CKR_OPERATION_ACTIVE);
    rv = template_of(t, count, &wanted);
    if (rv == CKR_OK)
        rv = begin(s, &wanted);
    return entry_end(rv);
}

CK_RV C_FindObjects(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE *object, CK_ULONG max,
                    CK_ULONG *count)
{
    struct p11_session *s;
    CK_ULONG n = 0;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->search == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (count == NULL || (object == NULL && max != 0))
        return entry_end(CKR_ARGUMENTS_BAD);
    while (n < max && s->search->given < s->search->n)
        object[n++] = s->search->found[s->search->given++];
    *count = n;
    return entry_end(CKR_OK);
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE handle)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->search == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    session_close_search(s);
    return entry_end(CKR_OK);
}
