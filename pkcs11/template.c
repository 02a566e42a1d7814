#include "pkcs11/template.h"

#include "pkcs11/attr.h"

CK_RV template_of(const CK_ATTRIBUTE *a, CK_ULONG n, struct template *out)
{
    if ((a == NULL && n != 0) || n > TEMPLATE_MAX)
        return CKR_ARGUMENTS_BAD;
    out->a = a;
    out->n = n;
    return CKR_OK;
}

const CK_ATTRIBUTE *template_get(const struct template *t, CK_ATTRIBUTE_TYPE type)
{
    for (CK_ULONG i = 0; i < t->n; i++) {
        if (t->a[i].type == type)
            return &t->a[i];
    }
    return NULL;
}

/* A number or a boolean, which is read as 0 or 1. */
static CK_RV read_number(const struct template *t, CK_ATTRIBUTE_TYPE type, enum attr_kind kind,
                         CK_ULONG *v)
{
    const CK_ATTRIBUTE *a = template_get(t, type);
    struct buf b = {0};
    CK_RV rv;

    if (a == NULL)
        return CKR_OK;
    rv = attr_encode(kind, a, &b);
    if (rv == CKR_OK)
        *v = kind == ATTR_BOOL ? b.p[0] : attr_to_ulong(buf_bytes(&b));
    buf_free(&b);
    return rv;
}

CK_RV template_ulong(const struct template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG *v)
{
    return read_number(t, type, ATTR_ULONG, v);
}

CK_RV template_bool(const struct template *t, CK_ATTRIBUTE_TYPE type, bool *v)
{
    CK_ULONG n = *v;
    CK_RV rv = read_number(t, type, ATTR_BOOL, &n);

    *v = n != 0;
    return rv;
}

CK_RV template_bytes(const struct template *t, CK_ATTRIBUTE_TYPE type, struct bytes *v)
{
    const CK_ATTRIBUTE *a = template_get(t, type);

    *v = bytes_of(NULL, 0);
    if (a == NULL)
        return CKR_OK;
    if (a->ulValueLen > ATTR_MAX_VALUE || (a->pValue == NULL && a->ulValueLen != 0))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    *v = bytes_of(a->pValue, a->ulValueLen);
    return CKR_OK;
}

/* The row's own members carry these. */
static bool kept_elsewhere(CK_ATTRIBUTE_TYPE type)
{
    return type == CKA_CLASS || type == CKA_TOKEN || type == CKA_PRIVATE;
}

static CK_RV put(struct store_object *row, const struct attr_row *r, struct bytes value)
{
    bool sealed = row->is_private && (r->rules & ATTR_SEALED) != 0;

    /* A default is not kept, unless a former value has to make way for it. */
    if ((r->rules & ATTR_DEFAULT) != 0 && bytes_equal(value, r->def) &&
        store_object_attr(row, r->type) == NULL)
        return CKR_OK;
    return store_object_set(row, r->type, value, sealed, NULL) == 0 ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV apply_one(const CK_ATTRIBUTE *a, const struct attr_row *r, struct store_object *row)
{
    struct buf value = {.secret = (r->rules & ATTR_SECRET) != 0};
    CK_RV rv = attr_encode(r->kind, a, &value);

    if (rv != CKR_OK)
        goto out;
    if ((r->rules & ATTR_FIXED) != 0 && !bytes_equal(buf_bytes(&value), r->def))
        rv = CKR_TEMPLATE_INCONSISTENT;
    else if ((r->rules & ATTR_SECRET) == 0 && !kept_elsewhere(r->type))
        rv = put(row, r, buf_bytes(&value));
out:
    buf_free(&value);
    return rv;
}

static CK_RV check_complete(const struct template *t, unsigned needed, unsigned group)
{
    size_t n;
    const struct attr_row *all = attr_table_all(&n);

    for (size_t i = 0; i < n; i++) {
        if ((all[i].groups & group) != 0 && (all[i].rules & needed) != 0 &&
            template_get(t, all[i].type) == NULL)
            return CKR_TEMPLATE_INCOMPLETE;
    }
    return CKR_OK;
}

/* A boolean that goes one way only, against what the object says now. Saying the same
 * again is no change. */
static bool may_turn(const struct attr_row *r, const CK_ATTRIBUTE *a, const struct object *o)
{
    struct buf value = {0};
    struct bytes now;
    bool ok = false;

    if (attr_encode(r->kind, a, &value) == CKR_OK && object_value(o, r->type, &now) &&
        value.len == 1)
        ok = bytes_equal(now, buf_bytes(&value)) ||
             (r->rules & (value.p[0] != 0 ? ATTR_UP : ATTR_DOWN)) != 0;
    buf_free(&value);
    return ok;
}

/* May the attribute stand in a template, by its rules? With `o`, the template is for a
 * change or a copy of that object. */
static bool may_stand(const struct attr_row *r, unsigned may, unsigned never, const CK_ATTRIBUTE *a,
                      const struct object *o)
{
    if ((r->rules & never) != 0)
        return false;
    if ((r->rules & may) != 0)
        return true;
    return o != NULL && (r->rules & (ATTR_UP | ATTR_DOWN)) != 0 && may_turn(r, a, o);
}

/* All of a template, where each attribute's rules say `may` and not `never`. */
static CK_RV apply_all(const struct template *t, unsigned may, unsigned never, unsigned group,
                       const struct object *o, struct store_object *row)
{
    CK_RV rv = CKR_OK;

    for (CK_ULONG i = 0; i < t->n && rv == CKR_OK; i++) {
        const struct attr_row *r = attr_table_row(t->a[i].type, group);

        if (r == NULL)
            rv = CKR_ATTRIBUTE_TYPE_INVALID;
        else if (!may_stand(r, may, never, &t->a[i], o))
            rv = CKR_ATTRIBUTE_READ_ONLY;
        else if (template_get(t, t->a[i].type) != &t->a[i])
            rv = CKR_TEMPLATE_INCONSISTENT;
        else
            rv = apply_one(&t->a[i], r, row);
    }
    return rv;
}

CK_RV template_apply(const struct template *t, enum template_use use, unsigned group,
                     struct store_object *row)
{
    static const struct {
        unsigned may, never, needed;
    } rules[] = {
        [TEMPLATE_CREATE] = {ATTR_CREATE, 0, ATTR_NEEDED},
        [TEMPLATE_GENERATE] = {ATTR_GENERATE, 0, ATTR_GEN_NEEDED},
        [TEMPLATE_UNWRAP] = {ATTR_CREATE | ATTR_UNWRAP, ATTR_MATERIAL, 0},
    };
    CK_RV rv = apply_all(t, rules[use].may, rules[use].never, group, NULL, row);

    return rv == CKR_OK ? check_complete(t, rules[use].needed, group) : rv;
}

CK_RV template_change(const struct template *t, const struct object *o, struct store_object *row)
{
    return apply_all(t, ATTR_SET, 0, o->group, o, row);
}

CK_RV template_copy(const struct template *t, const struct object *o, struct store_object *row)
{
    return apply_all(t, ATTR_SET | ATTR_COPY, 0, o->group, o, row);
}

bool template_fits(struct bytes nested, const struct object *o)
{
    struct reader r = reader_of(nested.p, nested.len);
    struct attr_nested n;
    struct bytes have;

    while (attr_nested_next(&r, &n)) {
        if (!object_value(o, n.type, &have) || !bytes_equal(have, n.value))
            return false;
    }
    return !r.bad;
}

/* The caller's form of a stored value, appended to `space`; `at` says where. */
static bool append_value(const struct attr_nested *n, struct buf *space, size_t *at)
{
    const struct attr_row *row = attr_table_row(n->type, ATTR_ALL);
    CK_ATTRIBUTE a = {.type = n->type};
    uint8_t raw[2048];

    *at = space->len;
    if (row == NULL || row->kind == ATTR_BYTES || row->kind == ATTR_DATE) {
        buf_add_bytes(space, n->value);
        return !space->bad;
    }
    a.pValue = raw;
    a.ulValueLen = sizeof(raw);
    if (attr_give(row->kind, n->value, &a) != CKR_OK)
        return false;
    buf_add(space, raw, a.ulValueLen);
    return !space->bad;
}

CK_RV template_impose(struct bytes nested, const struct template *t, CK_ATTRIBUTE *out,
                      struct template *merged, struct buf *space)
{
    struct reader r = reader_of(nested.p, nested.len);
    size_t at[TEMPLATE_MAX] = {0};
    struct attr_nested n;
    CK_ULONG total = t->n;

    for (CK_ULONG i = 0; i < t->n; i++)
        out[i] = t->a[i];
    while (attr_nested_next(&r, &n)) {
        const CK_ATTRIBUTE *given = template_get(t, n.type);
        const struct attr_row *row = attr_table_row(n.type, ATTR_ALL);
        struct buf value = {0};
        bool same;

        if (given != NULL) {
            same = row != NULL && attr_encode(row->kind, given, &value) == CKR_OK &&
                   bytes_equal(buf_bytes(&value), n.value);
            buf_free(&value);
            if (!same)
                return CKR_TEMPLATE_INCONSISTENT;
            continue;
        }
        /* attr_encode lets no deeper level in: the store was altered. */
        if (total == TEMPLATE_MAX || (row != NULL && row->kind == ATTR_NESTED))
            return CKR_TEMPLATE_INCONSISTENT;
        if (!append_value(&n, space, &at[total]))
            return CKR_HOST_MEMORY;
        out[total].type = n.type;
        out[total].ulValueLen = (CK_ULONG)(space->len - at[total]);
        total++;
    }
    /* Only now does `space` stay where it is. */
    for (CK_ULONG i = t->n; i < total; i++)
        out[i].pValue = out[i].ulValueLen != 0 ? space->p + at[i] : NULL;
    *merged = (struct template){out, total};
    return CKR_OK;
}

CK_RV template_set(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type,
                   struct bytes value)
{
    const struct attr_row *r = attr_table_row(type, group);

    return r == NULL ? CKR_GENERAL_ERROR : put(row, r, value);
}

CK_RV template_set_bool(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type, bool v)
{
    uint8_t one = v;

    return template_set(row, group, type, bytes_of(&one, 1));
}

CK_RV template_set_ulong(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type,
                         CK_ULONG v)
{
    uint8_t be[8];

    attr_from_ulong(v, be);
    return template_set(row, group, type, bytes_of(be, sizeof(be)));
}
