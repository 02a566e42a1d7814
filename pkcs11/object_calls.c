#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pkcs11/cert.h"
#include "pkcs11/entry.h"
#include "pkcs11/import.h"
#include "pkcs11/keyattr.h"
#include "pkcs11/make.h"

/* C_* functions on objects (5.7), the search aside. */

/* An object by handle. Handles come from searches and creations, so there is
 * nothing to read from the store first. */
static struct object *object_of(const struct p11_session *s, CK_OBJECT_HANDLE handle)
{
    return s->slot->index != NULL ? index_get(s->slot->index, handle) : NULL;
}

/* May this session change or destroy that object? */
static CK_RV may_change(const struct p11_session *s, const struct object *o)
{
    if (o->session == 0 && !s->rw)
        return CKR_SESSION_READ_ONLY;
    if (o->row.is_private && !p11_session_user(s))
        return CKR_USER_NOT_LOGGED_IN;
    return CKR_OK;
}

/* --- C_CreateObject ------------------------------------------------------ */

static CK_RV complete(struct p11_session *s, const struct template *t, struct made *m)
{
    struct err e = {0};
    struct index *x = NULL;
    struct pubkey k;
    CK_RV rv;

    switch (m->group) {
    case ATTR_CERT:
        if (slot_index(s->lib, s->slot, &x, &e) != 0)
            return entry_fail(&e, CKR_DURING_ANY);
        return cert_complete(&m->row, x);
    case ATTR_PUB_RSA:
    case ATTR_PUB_EC:
        rv = keyattr_from_template(t, m->group, &k);
        return rv == CKR_OK ? keyattr_set(&m->row, m->group, &k) : rv;
    case ATTR_PRIV_RSA:
    case ATTR_PRIV_EC: return import_key(s, t, m);
    default: return CKR_OK;
    }
}

static CK_RV create(struct p11_session *s, const struct template *t, CK_OBJECT_HANDLE *out)
{
    CK_ULONG class = CK_UNAVAILABLE_INFORMATION, type = CK_UNAVAILABLE_INFORMATION;
    struct made m = {0};
    struct made *one[] = {&m};
    unsigned group;
    CK_RV rv;

    if (template_get(t, CKA_CLASS) == NULL)
        return CKR_TEMPLATE_INCOMPLETE;
    rv = template_ulong(t, CKA_CLASS, &class);
    if (rv != CKR_OK)
        return rv;
    if (class == CKO_PUBLIC_KEY || class == CKO_PRIVATE_KEY) {
        if (template_get(t, CKA_KEY_TYPE) == NULL)
            return CKR_TEMPLATE_INCOMPLETE;
        rv = template_ulong(t, CKA_KEY_TYPE, &type);
        if (rv != CKR_OK)
            return rv;
    }
    group = attr_table_group(class, type);
    if (group == 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    rv = make_read(s, t, TEMPLATE_CREATE, class, group, &m);
    if (rv == CKR_OK)
        rv = complete(s, t, &m);
    if (rv == CKR_OK)
        rv = make_store(s, one, 1);
    if (rv == CKR_OK)
        *out = m.handle;
    make_free(&m);
    return rv;
}

CK_RV C_CreateObject(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *t, CK_ULONG count,
                     CK_OBJECT_HANDLE *object)
{
    struct template given;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    rv = template_of(t, count, &given);
    if (rv == CKR_OK && object == NULL)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = create(s, &given, object);
    return entry_end(rv);
}

/* --- C_DestroyObject ----------------------------------------------------- */

/* The key goes with its last object. */
static int destroy_row(struct p11_session *s, const struct object *o, struct err *e)
{
    struct store *store = s->lib->store;
    struct err why = {0};

    if (store_begin(store, e) != 0)
        return -1;
    if (store_object_delete(store, o->row.token, o->row.id, e) != 0)
        goto fail;
    if (o->row.has_key && store_key_delete(store, o->row.token, o->row.key, &why) != 0 &&
        why.code != E_BUSY && why.code != E_NOT_FOUND) {
        err_set(e, why.code, "%s", why.msg);
        goto fail;
    }
    if (store_commit(store, e) == 0)
        return 0;
fail:
    store_rollback(store);
    return -1;
}

static CK_RV destroy(struct p11_session *s, struct object *o)
{
    struct err e = {0};
    CK_RV rv = may_change(s, o);

    if (rv == CKR_OK && !object_true(o, CKA_DESTROYABLE))
        rv = CKR_ACTION_PROHIBITED;
    if (rv != CKR_OK)
        return rv;
    if (o->session == 0 && (library_store(s->lib, false, &e) != 0 || destroy_row(s, o, &e) != 0))
        return entry_fail(&e, CKR_DURING_ANY);
    if (o->row.has_key && s->slot->token != NULL)
        token_key_forget(s->slot->token, o->row.key);
    index_remove(s->slot->index, o);
    return CKR_OK;
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object)
{
    struct p11_session *s;
    struct object *o;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    o = object_of(s, object);
    return entry_end(o != NULL ? destroy(s, o) : CKR_OBJECT_HANDLE_INVALID);
}

/* --- attributes ---------------------------------------------------------- */

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *t,
                          CK_ULONG count)
{
    struct p11_session *s;
    const struct object *o;
    CK_RV rv = entry_session(handle, &s), one;

    if (rv != CKR_OK)
        return rv;
    if (count == 0 || count > PTRDIFF_MAX / sizeof(*t) || !entry_readable(t, count))
        return entry_end(CKR_ARGUMENTS_BAD);
    o = object_of(s, object);
    if (o == NULL)
        return entry_end(CKR_OBJECT_HANDLE_INVALID);
    /* All are filled in as far as they can be; the first failure is told. */
    for (CK_ULONG i = 0; i < count; i++) {
        one = object_give(o, &t[i]);
        if (rv == CKR_OK)
            rv = one;
    }
    return entry_end(rv);
}

static CK_RV change(struct p11_session *s, struct object *o, const struct template *t)
{
    const struct store_seal *seal = s->slot->token != NULL ? token_seal(s->slot->token) : NULL;
    struct store_object row = {0};
    struct err e = {0};
    CK_RV rv = may_change(s, o);

    if (rv == CKR_OK && !object_true(o, CKA_MODIFIABLE))
        rv = CKR_ACTION_PROHIBITED;
    if (rv != CKR_OK)
        return rv;
    if (object_copy_row(&o->row, &row, &e) != 0)
        return CKR_HOST_MEMORY;
    rv = template_change(t, o, &row);
    if (rv != CKR_OK)
        goto out;
    if (o->session == 0 && (library_store(s->lib, false, &e) != 0 ||
                            store_object_put(s->lib->store, &row, seal, &e) != 0)) {
        rv = entry_fail(&e, CKR_DURING_ANY);
        goto out;
    }
    object_renew(o, &row);
    index_touch(s->slot->index);
out:
    store_object_free(&row);
    return rv;
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *t,
                          CK_ULONG count)
{
    struct template given;
    struct p11_session *s;
    struct object *o;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    rv = template_of(t, count, &given);
    o = object_of(s, object);
    if (rv == CKR_OK && o == NULL)
        rv = CKR_OBJECT_HANDLE_INVALID;
    if (rv == CKR_OK && count == 0)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = change(s, o, &given);
    return entry_end(rv);
}

/* "Some measure of how much memory the object takes up" (5.7): its values. */
CK_RV C_GetObjectSize(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ULONG *size)
{
    struct p11_session *s;
    const struct object *o;
    CK_ULONG total = 0;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    o = object_of(s, object);
    if (o == NULL || size == NULL)
        return entry_end(o == NULL ? CKR_OBJECT_HANDLE_INVALID : CKR_ARGUMENTS_BAD);
    for (size_t i = 0; i < o->row.n_attr; i++)
        total += (CK_ULONG)o->row.attr[i].value.len;
    *size = total;
    return entry_end(CKR_OK);
}
