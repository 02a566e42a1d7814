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

/* All of a template, where each attribute's rules say `may`. */
static CK_RV apply_all(const struct template *t, unsigned may, unsigned group,
                       struct store_object *row)
{
    CK_RV rv = CKR_OK;

    for (CK_ULONG i = 0; i < t->n && rv == CKR_OK; i++) {
        const struct attr_row *r = attr_table_row(t->a[i].type, group);

        if (r == NULL)
            rv = CKR_ATTRIBUTE_TYPE_INVALID;
        else if ((r->rules & may) == 0)
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
    bool create = use == TEMPLATE_CREATE;
    CK_RV rv = apply_all(t, create ? ATTR_CREATE : ATTR_GENERATE, group, row);

    return rv == CKR_OK ? check_complete(t, create ? ATTR_NEEDED : ATTR_GEN_NEEDED, group) : rv;
}

/* 4.4.1: COPYABLE and DESTROYABLE could only be switched off; nothing here offers
 * that, since whoever made the object had the choice. */
CK_RV template_change(const struct template *t, const struct object *o, struct store_object *row)
{
    return apply_all(t, ATTR_SET, o->group, row);
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
