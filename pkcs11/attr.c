#include "pkcs11/attr.h"

#include <string.h>

/* CK_ULONG's "not known" has all bits set in any width; so has the stored form. */
void attr_from_ulong(CK_ULONG v, uint8_t out[8])
{
    uint64_t wide = v == P11_NO_LENGTH ? UINT64_MAX : (uint64_t)v;

    for (int i = 7; i >= 0; i--) {
        out[i] = (uint8_t)wide;
        wide >>= 8;
    }
}

CK_ULONG attr_to_ulong(struct bytes value)
{
    struct reader r = reader_of(value.p, value.len);
    uint64_t wide = reader_u64(&r);

    return reader_done(&r) ? (CK_ULONG)wide : 0;
}

static CK_RV encode_mechs(const CK_ATTRIBUTE *a, struct buf *out)
{
    const uint8_t *p = a->pValue;
    CK_MECHANISM_TYPE type;
    uint8_t be[8];

    if (a->ulValueLen % sizeof(type) != 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    for (CK_ULONG i = 0; i < a->ulValueLen / sizeof(type); i++) {
        memcpy(&type, &p[i * sizeof(type)], sizeof(type));
        attr_from_ulong(type, be);
        buf_add(out, be, sizeof(be));
    }
    return CKR_OK;
}

/* More attributes within one attribute than any object has. */
#define NESTED_MAX 64

bool attr_nested_next(struct reader *r, struct attr_nested *out)
{
    if (r->left == 0 || r->bad)
        return false;
    out->type = (CK_ATTRIBUTE_TYPE)reader_u64(r);
    out->value = reader_take(r, reader_u32(r));
    return !r->bad;
}

/* No template asks other keys for a value that must not be seen, and none is kept. */
static bool is_secret(CK_ATTRIBUTE_TYPE type)
{
    const struct attr_row *r = attr_table_row(type, ATTR_PRIV | ATTR_SEC);

    return r != NULL && (r->rules & ATTR_SECRET) != 0;
}

/* One level deep: nothing in the standard has templates within templates. */
static CK_RV encode_nested(const CK_ATTRIBUTE *a, struct buf *out)
{
    const CK_ATTRIBUTE *in = a->pValue;
    CK_ULONG n = a->ulValueLen / sizeof(*in);
    struct buf value = {0};
    CK_RV rv = CKR_OK;
    uint8_t be[8];

    if (a->ulValueLen % sizeof(*in) != 0 || n > NESTED_MAX)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    for (CK_ULONG i = 0; i < n && rv == CKR_OK; i++) {
        const struct attr_row *r = attr_table_row(in[i].type, ATTR_ALL);

        if (r == NULL || r->kind == ATTR_NESTED || is_secret(in[i].type))
            return CKR_ATTRIBUTE_VALUE_INVALID;
        rv = attr_encode(r->kind, &in[i], &value);
        attr_from_ulong(in[i].type, be);
        buf_add(out, be, sizeof(be));
        buf_u32(out, (uint32_t)value.len);
        buf_add_bytes(out, buf_bytes(&value));
        buf_free(&value);
    }
    return rv;
}

static bool good_date(const CK_ATTRIBUTE *a)
{
    const uint8_t *p = a->pValue;

    if (a->ulValueLen == 0)
        return true;
    if (a->ulValueLen != sizeof(CK_DATE))
        return false;
    for (size_t i = 0; i < sizeof(CK_DATE); i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
    }
    return true;
}

CK_RV attr_encode(enum attr_kind kind, const CK_ATTRIBUTE *a, struct buf *out)
{
    CK_RV rv = CKR_OK;
    CK_ULONG v;
    uint8_t be[8];

    if (a->ulValueLen > ATTR_MAX_VALUE || (a->pValue == NULL && a->ulValueLen != 0))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    switch (kind) {
    case ATTR_BOOL:
        if (a->ulValueLen != sizeof(CK_BBOOL))
            return CKR_ATTRIBUTE_VALUE_INVALID;
        /* Any non-zero byte is true to C programs that write CK_TRUE their own way. */
        buf_u8(out, *(const CK_BBOOL *)a->pValue != 0);
        break;
    case ATTR_ULONG:
        if (a->ulValueLen != sizeof(v))
            return CKR_ATTRIBUTE_VALUE_INVALID;
        memcpy(&v, a->pValue, sizeof(v));
        attr_from_ulong(v, be);
        buf_add(out, be, sizeof(be));
        break;
    case ATTR_DATE:
        if (!good_date(a))
            return CKR_ATTRIBUTE_VALUE_INVALID;
        buf_add(out, a->pValue, a->ulValueLen);
        break;
    case ATTR_MECHS: rv = encode_mechs(a, out); break;
    case ATTR_NESTED: rv = encode_nested(a, out); break;
    case ATTR_BYTES: buf_add(out, a->pValue, a->ulValueLen); break;
    }
    return rv == CKR_OK && out->bad ? CKR_HOST_MEMORY : rv;
}

static CK_ULONG nested_length(struct bytes value)
{
    struct reader r = reader_of(value.p, value.len);
    struct attr_nested n;
    CK_ULONG count = 0;

    while (attr_nested_next(&r, &n))
        count++;
    return count * (CK_ULONG)sizeof(CK_ATTRIBUTE);
}

/* A deeper level, which only a store that somebody altered can hold, is given as the bytes that
 * it is: no caller has an array of attributes ready for it. */
static enum attr_kind nested_kind(CK_ATTRIBUTE_TYPE type)
{
    const struct attr_row *row = attr_table_row(type, ATTR_ALL);

    return row != NULL && row->kind != ATTR_NESTED ? row->kind : ATTR_BYTES;
}

static CK_RV give_nested(struct bytes value, CK_ATTRIBUTE *out)
{
    struct reader r = reader_of(value.p, value.len);
    struct attr_nested n;
    CK_RV rv = CKR_OK, one;

    for (CK_ULONG i = 0; attr_nested_next(&r, &n); i++) {
        out[i].type = n.type;
        one = attr_give(nested_kind(n.type), n.value, &out[i]);
        if (rv == CKR_OK)
            rv = one;
    }
    return rv;
}

/* The length that the caller's form of a stored value has. */
static CK_ULONG given_length(enum attr_kind kind, struct bytes value)
{
    switch (kind) {
    case ATTR_ULONG: return sizeof(CK_ULONG);
    case ATTR_MECHS: return (CK_ULONG)(value.len / 8 * sizeof(CK_ULONG));
    case ATTR_NESTED: return nested_length(value);
    default: return (CK_ULONG)value.len;
    }
}

CK_RV attr_give(enum attr_kind kind, struct bytes value, CK_ATTRIBUTE *a)
{
    CK_ULONG need = given_length(kind, value), v;
    struct reader r = reader_of(value.p, value.len);
    uint8_t *out = a->pValue;

    if (a->pValue == NULL) {
        a->ulValueLen = need;
        return CKR_OK;
    }
    if (a->ulValueLen < need) {
        a->ulValueLen = P11_NO_LENGTH;
        return CKR_BUFFER_TOO_SMALL;
    }
    a->ulValueLen = need;
    if (kind == ATTR_NESTED)
        return give_nested(value, a->pValue);
    if (kind == ATTR_ULONG || kind == ATTR_MECHS) {
        for (CK_ULONG at = 0; at < need; at += sizeof(v)) {
            v = (CK_ULONG)reader_u64(&r);
            memcpy(&out[at], &v, sizeof(v));
        }
    } else if (need != 0) {
        memcpy(out, value.p, need);
    }
    return CKR_OK;
}

bool attr_mech_allowed(struct bytes list, CK_MECHANISM_TYPE type)
{
    struct reader r = reader_of(list.p, list.len);

    if (list.len == 0)
        return true;
    while (r.left != 0 && !r.bad) {
        if ((CK_MECHANISM_TYPE)reader_u64(&r) == type && !r.bad)
            return true;
    }
    return false;
}
