/* Templates of callers, and objects made from them, without a module around: what is taken,
 * kept, matched and given back. Bytes of the store, which others may have written, as well. */
#include "pkcs11/attr.h"
#include "pkcs11/cert.h"
#include "pkcs11/keyattr.h"
#include "pkcs11/keyspec.h"
#include "tests/fuzz/attrs.h"

#include <string.h>

static unsigned some_group(struct input *in)
{
    return 1u << input_below(in, 10);
}

static CK_OBJECT_CLASS class_of(unsigned group)
{
    static const struct {
        unsigned groups;
        CK_OBJECT_CLASS class;
    } map[] = {{ATTR_DATA, CKO_DATA},          {ATTR_CERT, CKO_CERTIFICATE},
               {ATTR_PUB, CKO_PUBLIC_KEY},     {ATTR_PRIV, CKO_PRIVATE_KEY},
               {ATTR_SEC, CKO_SECRET_KEY},     {ATTR_PROFILE, CKO_PROFILE},
               {ATTR_MECHANISM, CKO_MECHANISM}};

    for (size_t i = 0; i < ARRAY_LEN(map); i++) {
        if ((map[i].groups & group) != 0)
            return map[i].class;
    }
    return 0;
}

static CK_KEY_TYPE type_of(unsigned group)
{
    return (group & (ATTR_PUB_RSA | ATTR_PRIV_RSA)) != 0 ? CKK_RSA
           : (group & (ATTR_PUB_EC | ATTR_PRIV_EC)) != 0 ? CKK_EC
           : (group & ATTR_SEC_AES) != 0                 ? CKK_AES
                                                         : CKK_GENERIC_SECRET;
}

/* --- objects -------------------------------------------------------------- */

static void ask(struct input *in, const struct object *o)
{
    CK_ULONG n;
    CK_ATTRIBUTE *t = attrs_ask(in, o->group, &n), before;

    for (CK_ULONG i = 0; i < n; i++) {
        CK_RV rv;

        before = t[i];
        rv = object_give(o, &t[i]);
        INPUT_HOLDS(rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL ||
                    rv == CKR_ATTRIBUTE_TYPE_INVALID);
        INPUT_HOLDS(rv != CKR_OK || t[i].ulValueLen != P11_NO_LENGTH);
        attrs_look(&before, &t[i]);
    }
}

/* What an object shows, it matches; unless it has values of the store that no caller could
 * have given. */
static void ask_and_match(struct input *in, const struct object *o)
{
    CK_ATTRIBUTE a = {attrs_type(in, o->group), NULL, 0};
    CK_OBJECT_CLASS class = o->row.class;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)}, {0, NULL, 0}};
    const struct attr_row *r = attr_table_row(a.type, o->group);

    if (r == NULL || r->kind == ATTR_NESTED || !o->row.verified || object_give(o, &a) != CKR_OK)
        return;
    a.pValue = input_room(in, a.ulValueLen);
    INPUT_HOLDS(object_give(o, &a) == CKR_OK);
    t[1] = a;
    INPUT_HOLDS(object_matches(o, t, 2));
}

/* A failed change leaves no trace; a good one makes the object another. */
static void change(struct input *in, struct object *o, bool copying)
{
    struct store_object row = {0};
    struct template t;
    CK_ULONG n;
    CK_ATTRIBUTE *a = attrs_template(in, o->group, &n);
    CK_RV rv;

    INPUT_HOLDS(template_of(a, n, &t) == CKR_OK);
    INPUT_HOLDS(object_copy_row(&o->row, &row, NULL) == 0);
    rv = copying ? template_copy(&t, o, &row) : template_change(&t, o, &row);
    INPUT_HOLDS(rv != CKR_GENERAL_ERROR);
    if (rv == CKR_OK)
        object_renew(o, &row);
    store_object_free(&row);
}

/* Merging what a key says of others with what a caller wants of one. */
static void impose(struct input *in, struct bytes nested, const struct object *o)
{
    CK_ATTRIBUTE *all = input_room(in, TEMPLATE_MAX * sizeof(*all)), *a;
    struct template t, merged = {NULL, 0};
    struct buf space = {0};
    CK_ULONG n;

    (void)!template_fits(nested, o);
    a = attrs_template(in, ATTR_SEC, &n);
    INPUT_HOLDS(template_of(a, n, &t) == CKR_OK);
    if (template_impose(nested, &t, all, &merged, &space) == CKR_OK) {
        struct store_object row = {0};

        INPUT_HOLDS(merged.n >= n && merged.n <= TEMPLATE_MAX);
        for (CK_ULONG i = n; i < merged.n; i++)
            input_look(bytes_of(merged.a[i].pValue, merged.a[i].ulValueLen));
        (void)!template_apply(&merged, TEMPLATE_UNWRAP, ATTR_SEC_AES, &row);
        store_object_free(&row);
    }
    buf_free(&space);
}

static void impose_own(struct input *in, const struct object *o)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE,
                                              CKA_DERIVE_TEMPLATE};
    struct bytes nested;

    if (object_value(o, types[input_below(in, ARRAY_LEN(types))], &nested))
        impose(in, nested, o);
}

static void match(struct input *in, const struct object *o)
{
    CK_ULONG n;
    CK_ATTRIBUTE *t = attrs_template(in, o->group, &n);

    (void)!object_matches(o, t, n);
}

static void use_object(struct input *in, struct object *o)
{
    do {
        switch (input_below(in, 8)) {
        case 0: ask_and_match(in, o); break;
        case 1: change(in, o, false); break;
        case 2: change(in, o, true); break;
        case 3: impose_own(in, o); break;
        case 4: match(in, o); break;
        default: ask(in, o); break;
        }
    } while (!input_empty(in));
}

/* Takes the row. */
static void make_object(struct input *in, struct store_object *row)
{
    struct secret *value = input_one_in(in, 2) ? secret_copy("0123456789abcdef", 16, NULL) : NULL;
    const struct object_parts parts = {.row = row, .value = &value};
    struct object *o = NULL;

    INPUT_HOLDS(object_new(&o, &parts, NULL) == 0);
    o->session = input_u8(in) & 1;
    use_object(in, o);
    object_free(o);
    secret_free(value);
}

/* --- what begins from a template ------------------------------------------- */

static void try_apply(struct input *in)
{
    unsigned group = some_group(in);
    enum template_use use = (enum template_use)input_below(in, 3);
    struct store_object row = {
        .class = (uint32_t)class_of(group), .is_private = input_u8(in) & 1, .verified = true};
    struct template t;
    CK_ULONG n;
    CK_ATTRIBUTE *a = attrs_template(in, group, &n);
    CK_RV rv;

    INPUT_HOLDS(template_of(a, n, &t) == CKR_OK);
    rv = template_apply(&t, use, group, &row);
    INPUT_HOLDS(rv != CKR_GENERAL_ERROR);
    /* What was taken before something was wrong serves, too; the key type says the group. */
    if ((group & ATTR_KEY) != 0)
        INPUT_HOLDS(template_set_ulong(&row, group, CKA_KEY_TYPE, type_of(group)) == CKR_OK);
    make_object(in, &row);
    store_object_free(&row);
}

static void try_key(struct input *in)
{
    static const unsigned groups[] = {ATTR_PUB_RSA, ATTR_PUB_EC, ATTR_PRIV_RSA, ATTR_PRIV_EC};
    unsigned group = groups[input_below(in, ARRAY_LEN(groups))];
    bool rsa = (group & (ATTR_PUB_RSA | ATTR_PRIV_RSA)) != 0;
    struct store_object row = {.class = (uint32_t)class_of(group), .verified = true};
    CK_ATTRIBUTE *a = input_room(in, 3 * sizeof(*a));
    struct template t = {a, 3};
    struct pubkey k;
    CK_RV rv;

    a[0] = attrs_value(in, rsa ? CKA_MODULUS : CKA_EC_PARAMS, 0);
    a[1] = attrs_value(in, rsa ? CKA_PUBLIC_EXPONENT : CKA_EC_POINT, 0);
    a[2] = attrs_value(in, attrs_type(in, group), 0);
    rv = keyattr_from_template(&t, group, &k);
    INPUT_HOLDS(rv != CKR_GENERAL_ERROR);
    if (rv != CKR_OK)
        return;
    (void)!template_apply(&t, TEMPLATE_CREATE, group, &row);
    /* A private key that does not say its point is completed elsewhere. */
    if (keyattr_set(&row, group, &k) == CKR_OK)
        make_object(in, &row);
    store_object_free(&row);
}

static void try_keyspec(struct input *in)
{
    struct key_pcrs pcrs;
    struct bytes text = input_rest(in);

    if (keyspec_pcrs(text, &pcrs))
        INPUT_HOLDS(text.len == 0 || text.len > 2);
}

/* A certificate: the DER is the rest of the input. */
static void try_cert(struct input *in)
{
    struct store_object row = {.class = CKO_CERTIFICATE};
    static const uint8_t x509[8] = {0};
    struct bytes der = input_rest(in);
    struct index *x = NULL;
    struct object *o = NULL;
    const struct object_parts parts = {.row = &row};
    CK_RV rv;

    INPUT_HOLDS(index_new(&x, NULL) == 0);
    INPUT_HOLDS(store_object_set(&row, CKA_CERTIFICATE_TYPE, bytes_of(x509, 8), false, NULL) == 0);
    INPUT_HOLDS(store_object_set(&row, CKA_VALUE, der, false, NULL) == 0);
    rv = cert_complete(&row, x);
    INPUT_HOLDS(rv == CKR_OK || rv == CKR_ATTRIBUTE_VALUE_INVALID);
    /* Completed once more, all agrees. */
    INPUT_HOLDS(rv != CKR_OK || cert_complete(&row, x) == CKR_OK);
    INPUT_HOLDS(object_new(&o, &parts, NULL) == 0);
    ask(in, o);
    object_free(o);
    index_free(x);
}

/* --- what the store may hold ------------------------------------------------ */

/* Attributes within an attribute in their stored form, with lengths and types of all kinds. */
static void stored_nested(struct input *in, struct buf *out, int depth)
{
    for (size_t n = input_below(in, 5); n > 0 && !input_empty(in); n--) {
        CK_ATTRIBUTE_TYPE type = attrs_type(in, ATTR_ALL);
        const struct attr_row *r = attr_table_row(type, ATTR_ALL);
        struct buf value = {0};

        if (r != NULL && r->kind == ATTR_NESTED && depth > 0)
            stored_nested(in, &value, depth - 1);
        else
            buf_add_bytes(&value, input_bytes(in, 300));
        buf_u64(out, type);
        buf_u32(out, input_one_in(in, 16) ? (uint32_t)input_ulong(in) : (uint32_t)value.len);
        buf_add_bytes(out, buf_bytes(&value));
        buf_free(&value);
    }
}

static struct bytes stored_value(struct input *in)
{
    struct bytes v = {NULL, 0};
    struct buf b = {0};

    if (input_one_in(in, 4))
        return input_bytes(in, 4200);
    stored_nested(in, &b, 2);
    v = bytes_of(input_copy(in, buf_bytes(&b)), b.len);
    buf_free(&b);
    return v;
}

static void try_stored(struct input *in)
{
    CK_ATTRIBUTE_TYPE type = attrs_type(in, ATTR_ALL);
    const struct attr_row *row = attr_table_row(type, ATTR_ALL);
    struct store_object stored = {.class = (uint32_t)class_of(some_group(in))};
    struct bytes raw = stored_value(in);
    struct reader r = reader_of(raw.p, raw.len);
    struct attr_nested n;
    struct object o = {.group = ATTR_SEC_AES};

    while (attr_nested_next(&r, &n))
        input_look(n.value);
    (void)!attr_mech_allowed(raw, CKM_AES_GCM);
    (void)!attr_to_ulong(raw);
    impose(in, raw, &o);
    if (row == NULL)
        return;
    INPUT_HOLDS(store_object_set(&stored, type, raw, false, NULL) == 0);
    INPUT_HOLDS(store_object_set(&stored, CKA_UNWRAP_TEMPLATE, raw, false, NULL) == 0);
    make_object(in, &stored);
    store_object_free(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct input *) = {try_apply, try_key,   try_stored,
                                                    try_cert,  try_apply, try_keyspec};
    struct input in = input_of(data, size);

    tries[input_below(&in, ARRAY_LEN(tries))](&in);
    input_end(&in);
    return 0;
}
