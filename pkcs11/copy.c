#include <stdlib.h>
#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/keyuse.h"
#include "pkcs11/secretkey.h"

/* C_CopyObject (5.7). A copy of a key in the TPM is another object over the same key. */

/* What the copy is: the template says it, else it is as the original. */
static CK_RV read_kind(const struct p11_session *s, const struct object *o,
                       const struct template *t, struct made *m)
{
    bool private = o->row.is_private;
    CK_RV rv = CKR_OK;

    m->token = o->session == 0;
    rv = template_bool(t, CKA_TOKEN, &m->token);
    if (rv == CKR_OK)
        rv = template_bool(t, CKA_PRIVATE, &private);
    if (rv != CKR_OK)
        return rv;
    /* What was hidden before login does not come to light in a copy. */
    if (!private && o->row.is_private)
        return CKR_TEMPLATE_INCONSISTENT;
    if (m->token && !s->rw)
        return CKR_SESSION_READ_ONLY;
    if (private && !p11_session_user(s))
        return CKR_USER_NOT_LOGGED_IN;
    m->row.is_private = private;
    return CKR_OK;
}

/* All attributes again: which of them are sealed depends on what the copy is. */
static CK_RV copy_attributes(const struct object *o, struct made *m)
{
    for (size_t i = 0; i < o->row.n_attr; i++) {
        const struct store_attr *a = &o->row.attr[i];
        CK_RV rv =
            template_set(&m->row, m->group, (CK_ATTRIBUTE_TYPE)a->type, buf_bytes(&a->value));

        if (rv != CKR_OK)
            return rv;
    }
    return CKR_OK;
}

static CK_RV copy_blob(const struct store_key *from, struct made *m)
{
    struct store_key *key = calloc(1, sizeof(*key));

    if (key == NULL)
        return CKR_HOST_MEMORY;
    if (store_key_copy(from, key, NULL) != 0) {
        free(key);
        return CKR_HOST_MEMORY;
    }
    m->key = key;
    return CKR_OK;
}

/* Is the key in the store already? Then a token object only refers to it. */
static bool key_is_stored(struct p11_session *s, const struct store_key *key)
{
    const struct store_seal *seal = s->slot->token != NULL ? token_seal(s->slot->token) : NULL;
    struct store_key there = {0};
    bool is = store_key_get(s->slot->site->store, s->slot->row.id, key->uuid, seal, &there, NULL) ==
              0;

    store_key_free(&there);
    return is;
}

static CK_RV copy_key(struct p11_session *s, struct object *o, struct made *m)
{
    const struct store_key *key = NULL;
    struct err e = {0};

    if (o->value != NULL)
        return secretkey_put(s, secret_bytes(o->value), SECRETKEY_DERIVED, m);
    if (!o->row.has_key)
        return CKR_OK;
    if (slot_key(s->slot, o, &key, &e) != 0)
        return fail_rv(&e, CKR_DURING_SIGN);
    m->row.has_key = true;
    memcpy(m->row.key, key->uuid, sizeof(m->row.key));
    return m->token && key_is_stored(s, key) ? CKR_OK : copy_blob(key, m);
}

static CK_RV copy(struct p11_session *s, struct object *o, const struct template *t,
                  CK_OBJECT_HANDLE *out)
{
    struct made m = {.group = o->group};
    CK_RV rv;

    m.row.class = o->row.class;
    m.row.token = s->slot->row.id;
    if ((o->group & ATTR_BUILTIN) != 0 || !object_true(o, CKA_COPYABLE))
        return CKR_ACTION_PROHIBITED;
    rv = read_kind(s, o, t, &m);
    if (rv == CKR_OK)
        rv = make_check_trusted(s, t);
    if (rv == CKR_OK)
        rv = copy_attributes(o, &m);
    if (rv == CKR_OK)
        rv = template_copy(t, o, &m.row);
    if (rv == CKR_OK)
        rv = copy_key(s, o, &m);
    return make_one(s, &m, rv, out);
}

CK_RV C_CopyObject(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *t,
                   CK_ULONG count, CK_OBJECT_HANDLE *out)
{
    struct template given;
    struct p11_session *s;
    struct object *o = NULL;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    o = slot_object(s->lib, s->slot, object);
    rv = template_of(t, count, &given);
    if (rv == CKR_OK && out == NULL)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK && o == NULL)
        rv = CKR_OBJECT_HANDLE_INVALID;
    if (rv == CKR_OK)
        rv = copy(s, o, &given, out);
    return entry_end(rv);
}
