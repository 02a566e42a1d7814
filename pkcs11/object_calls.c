#include "pkcs11/attr.h"
#include "pkcs11/entry.h"
#include "pkcs11/keyuse.h"
#include "pkcs11/make.h"

/* C_* functions on objects that are there (5.7), the search aside. */

static struct object *object_of(const struct p11_session *s, CK_OBJECT_HANDLE handle)
{
    return slot_object(s->lib, s->slot, handle);
}

/* Objects of the module's own belong to nobody. */
static bool is_builtin(const struct object *o)
{
    return (o->group & ATTR_BUILTIN) != 0;
}

/* May this session change or destroy that object? */
static CK_RV may_change(const struct p11_session *s, const struct object *o)
{
    if (is_builtin(o))
        return CKR_ACTION_PROHIBITED;
    if (o->session == 0 && !s->rw)
        return CKR_SESSION_READ_ONLY;
    /* As store_object_put has it: keys are made and changed by the user alone, seen or not. */
    if ((o->row.is_private || o->row.has_key) && !p11_session_user(s))
        return CKR_USER_NOT_LOGGED_IN;
    if (o->session == 0 && s->slot->site->usb != NULL && slot_who(s->slot) == TOKEN_NOBODY)
        return CKR_USER_NOT_LOGGED_IN;
    return CKR_OK;
}

/* --- C_DestroyObject ----------------------------------------------------- */

/* The key goes with its last object. */
static int destroy_row(struct p11_session *s, const struct object *o, struct err *e)
{
    struct store *store = s->slot->site->store;
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
    if (o->session == 0 &&
        (site_store(s->slot->site, false, &e) != 0 || destroy_row(s, o, &e) != 0))
        return fail_rv(&e, CKR_DURING_ANY);
    if (o->row.has_key && s->slot->token != NULL)
        token_key_forget(s->slot->token, o->row.key);
    index_remove(s->slot->index, o);
    return CKR_OK;
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object)
{
    struct p11_session *s;
    struct object *o;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    o = object_of(s, object);
    return entry_end(o != NULL ? destroy(s, o) : CKR_OBJECT_HANDLE_INVALID);
}

/* --- attributes ---------------------------------------------------------- */

/*
 * The value of a secret key that lies in the TPM and is neither sensitive nor bound to stay:
 * taken out for this one answer. Only C_GetAttributeValue asks; a search does not match it.
 */
static CK_RV give_from_tpm(struct p11_session *s, const struct object *o, CK_ATTRIBUTE *a)
{
    struct secret *value = NULL;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = keyuse_of(s, o->handle, NULL, &u);

    if (rv == CKR_OK && keyuse_value(&u, &value, &e) != 0)
        rv = fail_rv(&e, CKR_DURING_ANY);
    if (rv == CKR_OK)
        rv = attr_give(ATTR_BYTES, secret_bytes(value), a);
    else
        a->ulValueLen = P11_NO_LENGTH;
    secret_free(value);
    return rv;
}

static CK_RV give(struct p11_session *s, const struct object *o, CK_ATTRIBUTE *a)
{
    if (a->type == CKA_VALUE && (o->group & ATTR_SEC) != 0 && o->value == NULL &&
        object_true(o, CKA_EXTRACTABLE) && !object_true(o, CKA_SENSITIVE))
        return give_from_tpm(s, o, a);
    return object_give(o, a);
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *t,
                          CK_ULONG count)
{
    struct p11_session *s;
    const struct object *o;
    CK_RV rv = entry_objects(handle, &s), one;

    if (rv != CKR_OK)
        return rv;
    if (count == 0 || count > PTRDIFF_MAX / sizeof(*t) || !entry_readable(t, count))
        return entry_end(CKR_ARGUMENTS_BAD);
    o = object_of(s, object);
    if (o == NULL)
        return entry_end(CKR_OBJECT_HANDLE_INVALID);
    /* All are filled in as far as they can be; the first failure is told. */
    for (CK_ULONG i = 0; i < count; i++) {
        one = give(s, o, &t[i]);
        if (rv == CKR_OK)
            rv = one;
    }
    return entry_end(rv);
}

/* The template over the row as it is in the store now, not as it was read once: another
 * process may have closed what this one would open again. */
static CK_RV change_stored(struct p11_session *s, struct object *o, const struct template *t,
                           struct store_object *row)
{
    const struct store_seal *seal = s->slot->token != NULL ? token_stamp(s->slot->token) : NULL;
    struct store *store = s->slot->site->store;
    struct object now = *o;
    struct err e = {0};
    CK_RV rv;

    if (store_begin(store, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    if (store_object_get(store, o->row.token, o->row.id, seal, row, &e) != 0) {
        store_rollback(store);
        return fail_rv(&e, CKR_DURING_ANY);
    }
    now.row = *row;
    rv = template_change(t, &now, row);
    if (rv == CKR_OK &&
        (store_object_put(store, row, seal, &e) != 0 || store_commit(store, &e) != 0))
        rv = fail_rv(&e, CKR_DURING_ANY);
    if (rv != CKR_OK)
        store_rollback(store);
    return rv;
}

static CK_RV change(struct p11_session *s, struct object *o, const struct template *t)
{
    struct store_object row = {0};
    struct err e = {0};
    CK_RV rv = may_change(s, o);

    if (rv == CKR_OK && !object_true(o, CKA_MODIFIABLE))
        rv = CKR_ACTION_PROHIBITED;
    if (rv == CKR_OK)
        rv = make_check_trusted(s, t);
    if (rv == CKR_OK && object_trusted(o) && slot_who(s->slot) != TOKEN_SO)
        rv = CKR_ATTRIBUTE_READ_ONLY; /* it is trusted for what it may do now */
    if (rv != CKR_OK)
        return rv;
    if (o->session == 0) {
        rv = site_store(s->slot->site, false, &e) == 0 ? change_stored(s, o, t, &row)
                                                       : fail_rv(&e, CKR_DURING_ANY);
    } else {
        rv = object_copy_row(&o->row, &row, &e) == 0 ? template_change(t, o, &row)
                                                     : CKR_HOST_MEMORY;
    }
    if (rv == CKR_OK)
        index_renew(s->slot->index, o, &row);
    store_object_free(&row);
    return rv;
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *t,
                          CK_ULONG count)
{
    struct template given;
    struct p11_session *s;
    struct object *o;
    CK_RV rv = entry_objects(handle, &s);

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
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    o = object_of(s, object);
    if (o == NULL || size == NULL)
        return entry_end(o == NULL ? CKR_OBJECT_HANDLE_INVALID : CKR_ARGUMENTS_BAD);
    for (size_t i = 0; i < o->row.n_attr; i++)
        total += (CK_ULONG)o->row.attr[i].value.len;
    total += (CK_ULONG)secret_len(o->value);
    *size = total;
    return entry_end(CKR_OK);
}
