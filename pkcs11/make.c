#include "pkcs11/make.h"

#include <string.h>

#include "pkcs11/fail.h"

bool make_true(const struct made *m, CK_ATTRIBUTE_TYPE type)
{
    const struct store_attr *a = store_object_attr(&m->row, type);
    const struct attr_row *r = attr_table_row(type, m->group);

    if (a != NULL)
        return a->value.len == 1 && a->value.p[0] != 0;
    return r != NULL && r->def.len == 1 && r->def.p[0] != 0;
}

static CK_RV may_make(const struct p11_session *s, const struct made *m)
{
    if (m->token && !s->rw)
        return CKR_SESSION_READ_ONLY;
    if (m->row.is_private && !p11_session_user(s))
        return CKR_USER_NOT_LOGGED_IN;
    /* Who is not logged in cannot write to it. */
    if (m->token && s->slot->site->usb != NULL && slot_who(s->slot) == TOKEN_NOBODY)
        return CKR_USER_NOT_LOGGED_IN;
    return CKR_OK;
}

CK_RV make_check_trusted(const struct p11_session *s, const struct template *t)
{
    bool trusted = false;
    CK_RV rv = template_bool(t, CKA_TRUSTED, &trusted);

    if (rv == CKR_OK && trusted && slot_who(s->slot) != TOKEN_SO)
        rv = CKR_ATTRIBUTE_READ_ONLY;
    return rv;
}

/* What a template says of the class and the key type must be what is being made. */
static CK_RV check_kind(const struct template *t, CK_OBJECT_CLASS class, unsigned group)
{
    CK_ULONG given_class = class, given_type = CK_UNAVAILABLE_INFORMATION;
    CK_RV rv = template_ulong(t, CKA_CLASS, &given_class);

    if (rv == CKR_OK && (group & ATTR_KEY) != 0)
        rv = template_ulong(t, CKA_KEY_TYPE, &given_type);
    if (rv == CKR_OK && (given_class != class || (given_type != CK_UNAVAILABLE_INFORMATION &&
                                                  attr_table_group(class, given_type) != group)))
        rv = CKR_TEMPLATE_INCONSISTENT;
    return rv;
}

/*
 * Private keys and secrets are private objects unless the template says otherwise. A private
 * key may be public only when it takes no login to use it, and then it is by default.
 */
static CK_RV read_private(const struct template *t, struct made *m)
{
    CK_ULONG mode = CK_FUSETSU_AUTH_SESSION;
    CK_RV rv = CKR_OK;

    if ((m->group & ATTR_PRIV) != 0)
        rv = template_ulong(t, CKA_FUSETSU_AUTH_MODE, &mode);
    m->row.is_private = (m->group & (ATTR_PRIV | ATTR_SEC)) != 0 && mode != CK_FUSETSU_AUTH_NONE;
    if (rv == CKR_OK)
        rv = template_bool(t, CKA_PRIVATE, &m->row.is_private);
    if (rv == CKR_OK && (m->group & ATTR_PRIV) != 0 && !m->row.is_private &&
        mode != CK_FUSETSU_AUTH_NONE)
        rv = CKR_TEMPLATE_INCONSISTENT;
    return rv;
}

/*
 * A secret that wraps or derives other keys does nothing else by default: what C_WrapKey gives
 * out C_Decrypt would open, and what C_DeriveKey hides C_Sign or C_Encrypt would compute.
 */
static CK_RV part_uses(const struct template *t, struct made *m)
{
    static const CK_ATTRIBUTE_TYPE others[] = {CKA_SIGN, CKA_VERIFY, CKA_ENCRYPT, CKA_DECRYPT};
    CK_RV rv = CKR_OK;

    if (!make_true(m, CKA_DERIVE) && !make_true(m, CKA_WRAP) && !make_true(m, CKA_UNWRAP))
        return CKR_OK;
    for (size_t i = 0; i < ARRAY_LEN(others) && rv == CKR_OK; i++) {
        if (template_get(t, others[i]) == NULL)
            rv = template_set_bool(&m->row, m->group, others[i], false);
    }
    return rv;
}

CK_RV make_read(const struct p11_session *s, const struct template *t, enum template_use use,
                CK_OBJECT_CLASS class, unsigned group, struct made *m)
{
    CK_RV rv = check_kind(t, class, group);

    m->group = group;
    m->row.class = (uint32_t) class;
    m->row.token = s->slot->row.id;
    if (rv == CKR_OK)
        rv = template_bool(t, CKA_TOKEN, &m->token);
    if (rv == CKR_OK)
        rv = read_private(t, m);
    if (rv == CKR_OK)
        rv = may_make(s, m);
    if (rv == CKR_OK)
        rv = make_check_trusted(s, t);
    if (rv == CKR_OK)
        rv = template_apply(t, use, group, &m->row);
    if (rv == CKR_OK && (group & ATTR_SEC) != 0)
        rv = part_uses(t, m);
    return rv;
}

/* The SO writes public objects without a key in the TPM; the store refuses others. */
static const struct store_seal *seal_for(const struct token *k, const struct made *m)
{
    if (k == NULL)
        return NULL;
    return m->row.is_private || m->row.has_key ? token_seal(k) : token_stamp(k);
}

static int write_all(struct p11_session *s, struct made *const *m, size_t n, struct err *e)
{
    struct store *store = s->slot->site->store;

    if (store_begin(store, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const struct store_seal *seal = seal_for(s->slot->token, m[i]);

        if (!m[i]->token)
            continue;
        if ((m[i]->key != NULL && store_key_put(store, m[i]->key, seal, e) != 0) ||
            store_object_put(store, &m[i]->row, seal, e) != 0) {
            store_rollback(store);
            return -1;
        }
    }
    if (store_commit(store, e) != 0) {
        store_rollback(store);
        return -1;
    }
    return 0;
}

CK_RV make_store(struct p11_session *s, struct made *const *m, size_t n)
{
    struct err e = {0};
    struct index *x = NULL;
    struct object *o = NULL;
    bool any = false;

    if (slot_index(s->lib, s->slot, &x, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    for (size_t i = 0; i < n; i++) {
        any = any || m[i]->token;
        if (m[i]->key != NULL) {
            m[i]->key->token = s->slot->row.id;
            m[i]->row.has_key = true;
            memcpy(m[i]->row.key, m[i]->key->uuid, sizeof(m[i]->row.key));
        }
    }
    if (any && write_all(s, m, n, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    for (size_t i = 0; i < n; i++) {
        const struct object_parts parts = {&m[i]->row, &m[i]->key, &m[i]->value};

        if (index_add(x, m[i]->token ? 0 : s->handle, &parts, &s->lib->last_handle, &o, &e) != 0) {
            /* What is in the store shows up with the next search. */
            s->slot->stale = true;
            return fail_rv(&e, CKR_DURING_ANY);
        }
        m[i]->handle = o->handle;
    }
    return CKR_OK;
}

void make_free(struct made *m)
{
    store_object_free(&m->row);
    object_free_key(m->key);
    m->key = NULL;
    secret_free(m->value);
    m->value = NULL;
}

CK_RV make_one(struct p11_session *s, struct made *m, CK_RV rv, CK_OBJECT_HANDLE *out)
{
    struct made *one[] = {m};

    if (rv == CKR_OK)
        rv = make_store(s, one, 1);
    if (rv == CKR_OK)
        *out = m->handle;
    make_free(m);
    return rv;
}
