#include "tests/fuzz/attrs.h"

#include <string.h>

/* Values that do not come by chance, as members of the right type. */
#define BYTES(s)                      \
    {                                 \
        (CK_BYTE *)(s), sizeof(s) - 1 \
    }
static const struct {
    CK_ATTRIBUTE_TYPE type;
    struct {
        CK_BYTE *p;
        CK_ULONG len;
    } v;
} known[] = {
    {CKA_EC_PARAMS, BYTES("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")},
    {CKA_EC_PARAMS, BYTES("\x06\x05\x2b\x81\x04\x00\x22")},
    /* The generator of P-256. */
    {CKA_EC_POINT, BYTES("\x04\x41\x04"
                         "\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2"
                         "\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96"
                         "\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16"
                         "\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5")},
    {CKA_PUBLIC_EXPONENT, BYTES("\x01\x00\x01")},
    {CKA_START_DATE, BYTES("20250101")},
    {CKA_END_DATE, BYTES("20991231")},
    {CKA_FUSETSU_PCRS, BYTES("sha256:0,2,7")},
    {CKA_FUSETSU_OUTSIDE_INFO, BYTES("a nonce of somebody")},
};

static const CK_ULONG numbers[] = {
    CKO_DATA,
    CKO_CERTIFICATE,
    CKO_PUBLIC_KEY,
    CKO_PRIVATE_KEY,
    CKO_SECRET_KEY,
    CKO_PROFILE,
    CKK_RSA,
    CKK_EC,
    CKK_GENERIC_SECRET,
    CKK_AES,
    CKK_SHA256_HMAC,
    CKK_HKDF,
    16,
    32,
    CKM_AES_GCM,
    CKM_SHA256,
    CKM_HKDF_DERIVE,
    2048,
};

CK_ATTRIBUTE_TYPE attrs_type(struct input *in, unsigned groups)
{
    size_t n, at;
    const struct attr_row *all = attr_table_all(&n);

    if (input_one_in(in, 32))
        return input_ulong(in);
    at = input_below(in, n);
    for (size_t i = 0; i < n; i++) {
        if ((all[(at + i) % n].groups & groups) != 0)
            return all[(at + i) % n].type;
    }
    return all[at].type;
}

static void set(struct input *in, CK_ATTRIBUTE *a, const void *p, size_t len)
{
    a->pValue = input_copy(in, bytes_of(p, len));
    a->ulValueLen = (CK_ULONG)len;
}

static void set_number(struct input *in, CK_ATTRIBUTE *a)
{
    CK_ULONG v = input_one_in(in, 4) ? input_ulong(in)
                                     : numbers[input_below(in, ARRAY_LEN(numbers))];

    set(in, a, &v, sizeof(v));
}

static void set_mechs(struct input *in, CK_ATTRIBUTE *a)
{
    size_t n = input_below(in, 6);
    CK_ULONG *list = input_room(in, n * sizeof(*list));

    for (size_t i = 0; i < n; i++)
        list[i] = numbers[input_below(in, ARRAY_LEN(numbers))];
    a->pValue = list;
    a->ulValueLen = (CK_ULONG)(n * sizeof(*list));
}

static void set_nested(struct input *in, CK_ATTRIBUTE *a, int depth)
{
    size_t n = depth > 0 ? input_below(in, input_one_in(in, 16) ? 70 : 6) : 0;
    CK_ATTRIBUTE *list = input_room(in, n * sizeof(*list));

    for (size_t i = 0; i < n && !input_empty(in); i++)
        list[i] = attrs_value(in, attrs_type(in, ATTR_SEC | ATTR_PRIV), depth - 1);
    a->pValue = list;
    a->ulValueLen = (CK_ULONG)(n * sizeof(*list));
}

static void set_bytes(struct input *in, CK_ATTRIBUTE *a)
{
    size_t at = input_below(in, ARRAY_LEN(known));
    struct bytes b;

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const size_t k = (at + i) % ARRAY_LEN(known);

        if (known[k].type == a->type && !input_one_in(in, 4)) {
            set(in, a, known[k].v.p, known[k].v.len);
            return;
        }
    }
    if (a->type == CKA_MODULUS && !input_one_in(in, 4)) {
        a->ulValueLen = 128UL << input_below(in, 3);
        a->pValue = input_room(in, a->ulValueLen);
        memset(a->pValue, 0xff, a->ulValueLen);
        return;
    }
    b = input_bytes(in, 4200);
    a->pValue = (void *)(uintptr_t)b.p;
    a->ulValueLen = (CK_ULONG)b.len;
}

/* What a careless caller does to an attribute. */
static void spoil(struct input *in, CK_ATTRIBUTE *a, bool nested)
{
    switch (input_below(in, 5)) {
    case 0: a->pValue = NULL; break;
    case 1: a->ulValueLen = 0; break;
    case 2:
        a->pValue = NULL;
        a->ulValueLen = 0;
        break;
    case 3: a->ulValueLen = input_huge(in); break;
    default:
        /* Bytes are no attributes: only some that are too few to be one. */
        a->ulValueLen = input_below(in, nested ? sizeof(CK_ATTRIBUTE) : 64);
        a->pValue = input_room(in, a->ulValueLen);
        break;
    }
}

CK_ATTRIBUTE attrs_value(struct input *in, CK_ATTRIBUTE_TYPE type, int depth)
{
    const struct attr_row *r = attr_table_row(type, ATTR_ALL);
    CK_ATTRIBUTE a = {type, NULL, 0};
    CK_BBOOL on;

    switch (r != NULL ? r->kind : ATTR_BYTES) {
    case ATTR_BOOL:
        on = input_u8(in) & 1;
        set(in, &a, &on, sizeof(on));
        break;
    case ATTR_ULONG: set_number(in, &a); break;
    case ATTR_MECHS: set_mechs(in, &a); break;
    case ATTR_NESTED: set_nested(in, &a, depth); break;
    case ATTR_BYTES:
    case ATTR_DATE: set_bytes(in, &a); break;
    }
    if (input_one_in(in, 24))
        spoil(in, &a, r != NULL && r->kind == ATTR_NESTED);
    return a;
}

CK_ATTRIBUTE *attrs_template(struct input *in, unsigned groups, CK_ULONG *n)
{
    size_t count = input_below(in, 14);
    CK_ATTRIBUTE *t = input_room(in, count * sizeof(*t));

    for (size_t i = 0; i < count && !input_empty(in); i++)
        t[i] = attrs_value(in, attrs_type(in, groups), 2);
    *n = (CK_ULONG)count;
    return t;
}

/* A buffer as callers leave it: whoever takes what is in it for an address will fall. */
static void *litter(struct input *in, size_t len)
{
    void *p = input_room(in, len);

    memset(p, 0xa5, len);
    return p;
}

static void *ask_nested(struct input *in, size_t n)
{
    CK_ATTRIBUTE *list = input_room(in, n * sizeof(*list));

    for (size_t i = 0; i < n && !input_empty(in); i++) {
        if (input_one_in(in, 3))
            continue;
        list[i].ulValueLen = input_below(in, 40);
        list[i].pValue = litter(in, list[i].ulValueLen);
    }
    return list;
}

CK_ATTRIBUTE *attrs_ask(struct input *in, unsigned groups, CK_ULONG *n)
{
    size_t count = 1 + input_below(in, 6), len;
    CK_ATTRIBUTE *t = input_room(in, count * sizeof(*t));

    for (size_t i = 0; i < count; i++) {
        const struct attr_row *r;

        t[i].type = attrs_type(in, groups);
        r = attr_table_row(t[i].type, ATTR_ALL);
        if (input_one_in(in, 4)) {
            t[i].ulValueLen = input_ulong(in);
        } else if (r != NULL && r->kind == ATTR_NESTED) {
            len = input_below(in, 8);
            t[i].pValue = ask_nested(in, len);
            t[i].ulValueLen = (CK_ULONG)(len * sizeof(CK_ATTRIBUTE));
        } else {
            len = input_one_in(in, 3) ? input_below(in, 4000) : input_below(in, 40);
            t[i].pValue = litter(in, len);
            t[i].ulValueLen = (CK_ULONG)len;
        }
    }
    *n = (CK_ULONG)count;
    return t;
}

void attrs_look(const CK_ATTRIBUTE *room, const CK_ATTRIBUTE *a)
{
    INPUT_HOLDS(a->type == room->type && a->pValue == room->pValue);
    if (a->ulValueLen == P11_NO_LENGTH || a->pValue == NULL)
        return;
    INPUT_HOLDS(a->ulValueLen <= room->ulValueLen);
    input_look(bytes_of(a->pValue, a->ulValueLen));
}
