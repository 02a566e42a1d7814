#include "pkcs11/derive.h"

#include "pkcs11/attr.h"
#include "pkcs11/entry.h"
#include "pkcs11/keyattr.h"
#include "pkcs11/op_call.h"
#include "pkcs11/secretkey.h"

/* C_DeriveKey (5.14). */

/* The template, with what the base key imposes on it, and without CKA_VALUE_LEN, which is
 * read here: data objects have no such attribute. */
struct wanted {
    CK_ATTRIBUTE a[TEMPLATE_MAX];
    struct template t;
    struct buf space;
    CK_ULONG len;
    CK_ULONG class, type;
};

static CK_RV read_wanted(const struct object *base, const struct mech *m,
                         const struct template *given, struct wanted *w)
{
    bool data = m->family == MECH_HKDF && m->variant == 1;
    struct bytes nested = {NULL, 0};
    CK_ULONG n = 0;
    CK_RV rv;

    w->space.secret = true;
    w->class = data ? CKO_DATA : CKO_SECRET_KEY;
    w->type = CKK_GENERIC_SECRET;
    (void)object_value(base, CKA_DERIVE_TEMPLATE, &nested);
    rv = template_impose(nested, given, w->a, &w->t, &w->space);
    if (rv == CKR_OK)
        rv = template_ulong(&w->t, CKA_CLASS, &w->class);
    if (rv == CKR_OK)
        rv = template_ulong(&w->t, CKA_KEY_TYPE, &w->type);
    if (rv == CKR_OK)
        rv = template_ulong(&w->t, CKA_VALUE_LEN, &w->len);
    if (rv != CKR_OK)
        return rv;
    if (w->class != (data ? CKO_DATA : CKO_SECRET_KEY) || w->len > OP_MAX_INPUT)
        return CKR_TEMPLATE_INCONSISTENT;
    for (CK_ULONG i = 0; i < w->t.n; i++) {
        if (w->a[i].type != CKA_VALUE_LEN)
            w->a[n++] = w->a[i];
    }
    w->t.n = n;
    return CKR_OK;
}

static CK_RV derive_value(struct p11_session *s, const struct mech *m, const struct object *base,
                          const struct mech_params *p, size_t len, struct secret **out)
{
    struct bytes params = {NULL, 0};
    struct keyuse u;
    CK_RV rv = keyuse_of(s, base->handle, NULL, &u);

    if (rv != CKR_OK)
        return rv;
    switch (m->family) {
    case MECH_ECDH:
        if (!object_value(base, CKA_EC_PARAMS, &params) || keyattr_curve(params) == NULL)
            return CKR_KEY_SIZE_RANGE;
        return derive_ecdh(&u, keyattr_curve(params), p, len, out);
    case MECH_HKDF: return derive_hkdf(s, &u, p, len, out);
    default: return derive_encrypt(&u, m, p, len, out);
    }
}

/* 4.10: only a key whose ancestors were all sensitive is always sensitive; the same for
 * those that were never to leave. */
static CK_RV inherit(const struct object *base, struct made *m)
{
    CK_RV rv =
        template_set_bool(&m->row, m->group, CKA_ALWAYS_SENSITIVE,
                          object_true(base, CKA_ALWAYS_SENSITIVE) && make_true(m, CKA_SENSITIVE));

    if (rv != CKR_OK)
        return rv;
    return template_set_bool(&m->row, m->group, CKA_NEVER_EXTRACTABLE,
                             object_true(base, CKA_NEVER_EXTRACTABLE) &&
                                 !make_true(m, CKA_EXTRACTABLE));
}

static CK_RV make(struct p11_session *s, const struct object *base, const struct wanted *w,
                  struct bytes value, struct made *m)
{
    CK_RV rv;

    if (w->class == CKO_DATA)
        return template_set(&m->row, m->group, CKA_VALUE, value);
    rv = template_set_ulong(&m->row, m->group, CKA_KEY_TYPE, w->type);
    if (rv == CKR_OK)
        rv = inherit(base, m);
    return rv == CKR_OK ? secretkey_put(s, value, SECRETKEY_DERIVED, m) : rv;
}

/* What comes out when nobody said how long it shall be. AES keys must say. */
static CK_RV check_length(const struct wanted *w, unsigned group)
{
    if (group != ATTR_SEC_AES)
        return CKR_OK;
    if (w->len == 0)
        return CKR_TEMPLATE_INCOMPLETE;
    return w->len == 16 || w->len == 24 || w->len == 32 ? CKR_OK : CKR_KEY_SIZE_RANGE;
}

/* Data derived from a private key are private, unless the template says otherwise. */
static CK_RV private_like(const struct object *base, struct wanted *w)
{
    static CK_BBOOL yes = CK_TRUE;

    if (!base->row.is_private || template_get(&w->t, CKA_PRIVATE) != NULL)
        return CKR_OK;
    if (w->t.n == TEMPLATE_MAX)
        return CKR_TEMPLATE_INCONSISTENT;
    w->a[w->t.n++] = (CK_ATTRIBUTE){CKA_PRIVATE, &yes, sizeof(yes)};
    return CKR_OK;
}

static CK_RV derive(struct p11_session *s, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                    const struct template *given, CK_OBJECT_HANDLE *out)
{
    const struct mech *m = NULL;
    struct object *base = NULL;
    struct secret *value = NULL;
    struct wanted w = {.len = 0};
    struct mech_params p;
    struct made made = {0};
    unsigned group = 0;
    CK_RV rv =
        op_call_allowed(s, mechanism, key, CKF_DERIVE, CKA_DERIVE, ATTR_PRIV | ATTR_SEC, &m, &base);

    if (rv == CKR_OK)
        rv = mech_params_read(m, mechanism, &p);
    if (rv == CKR_OK)
        rv = read_wanted(base, m, given, &w);
    if (rv == CKR_OK) {
        group = attr_table_group(w.class, w.type);
        rv = group == 0 ? CKR_TEMPLATE_INCONSISTENT : check_length(&w, group);
    }
    if (rv == CKR_OK && w.class == CKO_DATA)
        rv = private_like(base, &w);
    if (rv == CKR_OK)
        rv = make_read(s, &w.t, TEMPLATE_UNWRAP, w.class, group, &made);
    if (rv == CKR_OK)
        rv = derive_value(s, m, base, &p, (size_t)w.len, &value);
    if (rv == CKR_OK)
        rv = make(s, base, &w, secret_bytes(value), &made);
    rv = make_one(s, &made, rv, out);
    secret_free(value);
    buf_free(&w.space);
    return rv;
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                  CK_ATTRIBUTE *t, CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    struct template given;
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    rv = template_of(t, count, &given);
    if (rv == CKR_OK && key == NULL)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = derive(s, mechanism, base, &given, key);
    return entry_end(rv);
}
