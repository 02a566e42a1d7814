#include "tests/fuzz/calls.h"

#include <string.h>

CK_RV calls_rv(CK_RV rv)
{
    INPUT_HOLDS(rv != CKR_GENERAL_ERROR && rv != CKR_CRYPTOKI_NOT_INITIALIZED);
    return rv;
}

CK_SESSION_HANDLE calls_session(struct calls *w)
{
    size_t which = input_below(&w->in, 32);

    return which == 31 ? input_ulong(&w->in) : which > 27 ? w->ro : w->rw;
}

/* --- objects -------------------------------------------------------------- */

struct preset {
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE type;
    CK_ULONG len;
};

static const struct preset presets[CALLS_PRESETS] = {
    [CALLS_AES16] = {CKO_SECRET_KEY, CKK_AES, 16},
    [CALLS_AES32] = {CKO_SECRET_KEY, CKK_AES, 32},
    [CALLS_SECRET] = {CKO_SECRET_KEY, CKK_GENERIC_SECRET, 20},
    [CALLS_HKDF] = {CKO_SECRET_KEY, CKK_HKDF, 32},
    [CALLS_MAC] = {CKO_SECRET_KEY, CKK_SHA256_HMAC, 32},
    [CALLS_RSA] = {CKO_PUBLIC_KEY, CKK_RSA, 256},
    [CALLS_EC] = {CKO_PUBLIC_KEY, CKK_EC, 0},
    [CALLS_DATA] = {CKO_DATA, 0, 5},
    [CALLS_CERT] = {CKO_CERTIFICATE, CKC_X_509, 9},
};

/* The generator of P-256 in an OCTET STRING, and the curve's name. */
static const uint8_t point[] = "\x04\x41\x04"
                               "\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2"
                               "\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96"
                               "\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16"
                               "\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";
static const uint8_t curve[] = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

struct list {
    CK_ATTRIBUTE a[24];
    CK_ULONG n;
};

static void add(struct list *t, CK_ATTRIBUTE_TYPE type, const void *p, size_t len)
{
    t->a[t->n++] = (CK_ATTRIBUTE){type, (void *)(uintptr_t)p, (CK_ULONG)len};
}

/* What is the object's own besides class and type. */
static void add_material(struct list *t, const struct preset *p, const uint8_t *bytes)
{
    static const uint8_t exponent[] = {1, 0, 1};
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static const CK_ATTRIBUTE_TYPE uses[] = {CKA_ENCRYPT, CKA_DECRYPT, CKA_SIGN,  CKA_VERIFY,
                                             CKA_WRAP,    CKA_UNWRAP,  CKA_DERIVE};

    if (p->class == CKO_PUBLIC_KEY && p->type == CKK_RSA) {
        add(t, CKA_MODULUS, bytes, p->len);
        add(t, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
    } else if (p->class == CKO_PUBLIC_KEY) {
        add(t, CKA_EC_PARAMS, curve, sizeof(curve) - 1);
        add(t, CKA_EC_POINT, point, sizeof(point) - 1);
    } else {
        add(t, CKA_VALUE, bytes, p->len);
    }
    if (p->class == CKO_CERTIFICATE)
        add(t, CKA_SUBJECT, "0", 1);
    if (p->class == CKO_PUBLIC_KEY) {
        add(t, CKA_VERIFY_RECOVER, &yes, 1);
        add(t, CKA_WRAP, &yes, 1);
    }
    if (p->class != CKO_SECRET_KEY)
        return;
    for (size_t i = 0; i < ARRAY_LEN(uses); i++)
        add(t, uses[i], &yes, 1);
    add(t, CKA_SENSITIVE, &no, 1);
    add(t, CKA_EXTRACTABLE, &yes, 1);
}

CK_OBJECT_HANDLE calls_preset(struct calls *w, size_t which)
{
    const struct preset *p = &presets[which];
    static const CK_BBOOL no = CK_FALSE;
    uint8_t bytes[256];
    struct list t = {.n = 0};

    if (w->preset[which] != 0)
        return w->preset[which];
    memset(bytes, 0xe1 + (int)which, sizeof(bytes));
    bytes[sizeof(bytes) - 1] = 1; /* of a modulus, which is odd */
    add(&t, CKA_CLASS, &p->class, sizeof(p->class));
    add(&t, CKA_PRIVATE, &no, sizeof(no));
    if (p->class != CKO_DATA)
        add(&t, p->class == CKO_CERTIFICATE ? CKA_CERTIFICATE_TYPE : CKA_KEY_TYPE, &p->type,
            sizeof(p->type));
    add_material(&t, p, bytes);
    INPUT_HOLDS(w->f->v2.C_CreateObject(w->rw, t.a, t.n, &w->preset[which]) == CKR_OK);
    return w->preset[which];
}

CK_OBJECT_HANDLE calls_object(struct calls *w)
{
    size_t which = input_below(&w->in, CALLS_PRESETS + CALLS_MADE + 1);

    if (which < CALLS_PRESETS)
        return calls_preset(w, which);
    which -= CALLS_PRESETS;
    return which < CALLS_MADE ? w->made[which] : input_ulong(&w->in);
}

CK_OBJECT_HANDLE calls_key(struct calls *w, const struct mech *m)
{
    if (input_one_in(&w->in, 6))
        return calls_object(w);
    switch (m->key) {
    case MECH_KEY_RSA: return calls_preset(w, CALLS_RSA);
    case MECH_KEY_EC: return calls_preset(w, CALLS_EC);
    case MECH_KEY_AES: return calls_preset(w, input_u8(&w->in) & 1 ? CALLS_AES16 : CALLS_AES32);
    case MECH_KEY_MAC: return calls_preset(w, input_u8(&w->in) & 1 ? CALLS_SECRET : CALLS_MAC);
    case MECH_KEY_KDF: return calls_preset(w, CALLS_HKDF);
    case MECH_KEY_NONE: break;
    }
    return 0;
}

void calls_keep(struct calls *w, CK_RV rv, CK_OBJECT_HANDLE o)
{
    if (rv == CKR_OK)
        w->made[w->n_made++ % CALLS_MADE] = o;
}

/* --- templates -------------------------------------------------------------- */

void calls_no_token(CK_ATTRIBUTE *t, CK_ULONG n)
{
    for (CK_ULONG i = 0; i < n; i++) {
        if (t[i].type == CKA_TOKEN && t[i].pValue != NULL && t[i].ulValueLen == sizeof(CK_BBOOL))
            *(CK_BBOOL *)t[i].pValue = CK_FALSE;
    }
}

CK_ATTRIBUTE *calls_template(struct calls *w, CK_OBJECT_CLASS class, CK_KEY_TYPE type, CK_ULONG *n)
{
    unsigned group = attr_table_group(class, type);
    CK_BBOOL no = CK_FALSE;
    struct list head = {.n = 0};
    CK_ULONG rest;
    CK_ATTRIBUTE *more = attrs_template(&w->in, group, &rest), *t;

    if (!input_one_in(&w->in, 16))
        add(&head, CKA_CLASS, &class, sizeof(class));
    if (class != CKO_DATA && !input_one_in(&w->in, 16))
        add(&head, class == CKO_CERTIFICATE ? CKA_CERTIFICATE_TYPE : CKA_KEY_TYPE, &type,
            sizeof(type));
    if (!input_one_in(&w->in, 16))
        add(&head, CKA_PRIVATE, &no, sizeof(no));
    for (CK_ULONG i = 0; i < head.n; i++)
        head.a[i].pValue = input_copy(&w->in, bytes_of(head.a[i].pValue, head.a[i].ulValueLen));
    t = input_room(&w->in, (head.n + rest) * sizeof(*t));
    if (head.n != 0)
        memcpy(t, head.a, head.n * sizeof(*t));
    if (rest != 0)
        memcpy(t + head.n, more, rest * sizeof(*t));
    *n = head.n + rest;
    calls_no_token(t, *n);
    return t;
}

/* --- data in and out -------------------------------------------------------- */

struct calls_data calls_data(struct calls *w)
{
    struct calls_data d;

    input_string(&w->in, 4200, &d.p, &d.len);
    return d;
}

/* With a buffer of just this length. */
static CK_RV into_room(struct calls *w, calls_give give, void *arg, CK_ULONG *len,
                       struct bytes *made)
{
    CK_ULONG told = *len;
    uint8_t *room = input_room(&w->in, told);
    CK_RV rv = calls_rv(give(w, arg, room, len));

    if (rv == CKR_OK) {
        INPUT_HOLDS(*len <= told);
        *made = bytes_of(room, *len);
    }
    INPUT_HOLDS(rv != CKR_BUFFER_TOO_SMALL || *len > told);
    return rv;
}

CK_RV calls_take(struct calls *w, calls_give give, void *arg, struct bytes *made)
{
    CK_ULONG len = 0;
    CK_RV rv = calls_rv(give(w, arg, NULL, &len));

    *made = bytes_of(NULL, 0);
    if (rv != CKR_OK)
        return rv;
    /* An answer to a length that no input has. */
    if (len > 2 * OP_MAX_INPUT)
        return CKR_DATA_LEN_RANGE;
    /* Less may do where the answer was a guess. */
    if (len != 0 && input_one_in(&w->in, 3)) {
        len = (CK_ULONG)input_below(&w->in, len);
        rv = into_room(w, give, arg, &len, made);
        if (rv != CKR_BUFFER_TOO_SMALL)
            return rv;
    }
    rv = into_room(w, give, arg, &len, made);
    INPUT_HOLDS(rv != CKR_BUFFER_TOO_SMALL && rv != CKR_OPERATION_NOT_INITIALIZED);
    return rv;
}

CK_RV calls_output(struct calls *w, calls_give give, void *arg, struct bytes *made)
{
    struct bytes ignored;
    CK_ULONG len;
    CK_RV rv;

    if (made == NULL)
        made = &ignored;
    *made = bytes_of(NULL, 0);
    switch (input_below(&w->in, 8)) {
    case 0:
        len = input_ulong(&w->in);
        return calls_rv(give(w, arg, NULL, &len)); /* asks and leaves it at that */
    case 1: return calls_rv(give(w, arg, input_room(&w->in, 1), NULL));
    case 2:
    case 3: break;
    default: return calls_take(w, give, arg, made);
    }
    len = (CK_ULONG)input_below(&w->in, 600);
    rv = into_room(w, give, arg, &len, made);
    if (rv != CKR_BUFFER_TOO_SMALL)
        return rv;
    return input_one_in(&w->in, 4) ? rv : calls_take(w, give, arg, made);
}
