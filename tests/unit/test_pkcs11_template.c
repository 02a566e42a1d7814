/* Templates beyond creation: of unwrapped keys, changes and copies; templates within templates;
 * what a template asks of a key in the TPM. No TPM, no store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pkcs11/attr.h"
#include "pkcs11/builtin.h"
#include "pkcs11/keyspec.h"
#include "pkcs11/mech_table.h"
#include "tests/support/unit_module.h"

/* --- rules of the table ------------------------------------------------------- */

static void test_rules_do_not_contradict_each_other(void **state)
{
    size_t n;
    const struct attr_row *r = attr_table_all(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        unsigned rules = r[i].rules;

        if ((rules & ATTR_NEEDED) != 0)
            assert_true((rules & ATTR_CREATE) != 0);
        if ((rules & ATTR_GEN_NEEDED) != 0)
            assert_true((rules & ATTR_GENERATE) != 0);
        /* What is the key itself comes with the key. */
        if ((rules & ATTR_SECRET) != 0)
            assert_true((rules & ATTR_MATERIAL) != 0);
        if ((rules & ATTR_MATERIAL) != 0)
            assert_true((rules & (ATTR_SET | ATTR_COPY | ATTR_UNWRAP)) == 0);
        if ((rules & (ATTR_UP | ATTR_DOWN)) != 0)
            assert_true(r[i].kind == ATTR_BOOL &&
                        (rules & (ATTR_DEFAULT | ATTR_SET)) == ATTR_DEFAULT);
        assert_true((rules & (ATTR_UP | ATTR_DOWN)) != (ATTR_UP | ATTR_DOWN));
    }
}

static void test_an_attribute_has_one_form_whoever_carries_it(void **state)
{
    size_t n;
    const struct attr_row *r = attr_table_all(&n);

    (void)state;
    /* Attributes within attributes are read without knowing of what object. */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(attr_table_row(r[i].type, ATTR_ALL)->kind, r[i].kind);
}

/* --- unwrapped and derived keys -------------------------------------------------- */

static CK_RV unwraps(unsigned group, CK_ATTRIBUTE a)
{
    struct store_object row = {.is_private = true};
    struct template t = {&a, 1};
    CK_RV rv = template_apply(&t, TEMPLATE_UNWRAP, group, &row);

    store_object_free(&row);
    return rv;
}

static void test_an_unwrapped_key_brings_its_own_value(void **state)
{
    static const struct {
        unsigned group;
        CK_ATTRIBUTE_TYPE type;
    } material[] = {
        {ATTR_SEC_AES, CKA_VALUE},           {ATTR_SEC_GENERIC, CKA_VALUE},
        {ATTR_SEC_AES, CKA_CHECK_VALUE},     {ATTR_PRIV_EC, CKA_VALUE},
        {ATTR_PRIV_EC, CKA_EC_PARAMS},       {ATTR_PRIV_EC, CKA_EC_POINT},
        {ATTR_PRIV_RSA, CKA_MODULUS},        {ATTR_PRIV_RSA, CKA_PUBLIC_EXPONENT},
        {ATTR_PRIV_RSA, CKA_PRIME_1},        {ATTR_PRIV_RSA, CKA_PRIVATE_EXPONENT},
        {ATTR_PRIV_EC, CKA_PUBLIC_KEY_INFO},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(material); i++)
        assert_int_equal(unwraps(material[i].group, (CK_ATTRIBUTE)T_TEXT(material[i].type, "x")),
                         CKR_ATTRIBUTE_READ_ONLY);
}

static void test_an_unwrapped_key_takes_what_a_created_one_takes(void **state)
{
    (void)state;
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_BOOL(CKA_EXTRACTABLE, false)), CKR_OK);
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_NUM(CKA_KEY_TYPE, CKK_AES)), CKR_OK);
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_TEXT(CKA_LABEL, "x")), CKR_OK);
    /* C_CreateObject may not give it; here it says how much of the value is wanted. */
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_NUM(CKA_VALUE_LEN, 16)), CKR_OK);
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_BOOL(CKA_LOCAL, true)),
                     CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_BOOL(CKA_ALWAYS_SENSITIVE, true)),
                     CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_TEXT(CKA_FUSETSU_NAME, "x")),
                     CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(unwraps(ATTR_SEC_AES, (CK_ATTRIBUTE)T_TEXT(CKA_SUBJECT, "x")),
                     CKR_ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(unwraps(ATTR_PRIV_EC, (CK_ATTRIBUTE)T_BOOL(CKA_SENSITIVE, false)),
                     CKR_TEMPLATE_INCONSISTENT);
    /* Imported keys are not bound to PCRs. */
    assert_int_equal(unwraps(ATTR_PRIV_EC, (CK_ATTRIBUTE)T_TEXT(CKA_FUSETSU_PCRS, "sha256:0")),
                     CKR_ATTRIBUTE_READ_ONLY);
}

/* --- changes and copies ---------------------------------------------------------- */

/* A secret key object with these attributes beside its class and type. */
static struct object *secret_with(CK_KEY_TYPE type, CK_ATTRIBUTE *a, CK_ULONG n)
{
    struct store_object row = {.class = CKO_SECRET_KEY, .is_private = true};
    unsigned group = attr_table_group(CKO_SECRET_KEY, type);
    const struct object_parts parts = {.row = &row};
    struct template t = {a, n};
    struct object *o = NULL;

    assert_int_equal(template_set_ulong(&row, group, CKA_KEY_TYPE, type), CKR_OK);
    assert_int_equal(template_apply(&t, TEMPLATE_GENERATE, group, &row), CKR_OK);
    assert_int_equal(object_new(&o, &parts, NULL), 0);
    assert_int_equal(o->group, group);
    return o;
}

/* Applies one attribute as a change (or a copy, which begins with the object's own
 * attributes), and shows the object with it. */
static CK_RV apply(struct object *o, bool copy, CK_ATTRIBUTE a)
{
    struct template t = {&a, 1};
    struct store_object row = {0};
    CK_RV rv;

    assert_int_equal(object_copy_row(&o->row, &row, NULL), 0);
    rv = copy ? template_copy(&t, o, &row) : template_change(&t, o, &row);
    if (rv == CKR_OK)
        object_renew(o, &row);
    store_object_free(&row);
    return rv;
}

static CK_RV changes(struct object *o, CK_ATTRIBUTE a)
{
    return apply(o, false, a);
}

static void test_some_attributes_go_one_way_only(void **state)
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        bool up;
    } t[] = {{CKA_SENSITIVE, true},
             {CKA_WRAP_WITH_TRUSTED, true},
             {CKA_EXTRACTABLE, false},
             {CKA_COPYABLE, false}};
    CK_ATTRIBUTE open[] = {T_BOOL(CKA_SENSITIVE, false), T_BOOL(CKA_EXTRACTABLE, true)};

    (void)state;
    for (int copy = 0; copy < 2; copy++) {
        struct object *o = secret_with(CKK_AES, open, 2);

        for (size_t i = 0; i < ARRAY_LEN(t); i++) {
            CK_ATTRIBUTE same = T_BOOL(t[i].type, !t[i].up), turn = T_BOOL(t[i].type, t[i].up);
            /* A copy may be copyable again, for it is another object. */
            bool back = copy != 0 && t[i].type == CKA_COPYABLE;

            assert_int_equal(apply(o, copy != 0, same), CKR_OK);
            assert_int_equal(object_true(o, t[i].type), !t[i].up);
            assert_int_equal(apply(o, copy != 0, turn), CKR_OK);
            assert_int_equal(object_true(o, t[i].type), t[i].up);
            assert_int_equal(apply(o, copy != 0, turn), CKR_OK);
            assert_int_equal(apply(o, copy != 0, same), back ? CKR_OK : CKR_ATTRIBUTE_READ_ONLY);
            assert_int_equal(object_true(o, t[i].type), t[i].up != back);
        }
        object_free(o);
    }
}

static void test_what_a_change_may_say_and_a_copy_beside(void **state)
{
    static const CK_ATTRIBUTE_TYPE open[] = {CKA_ENCRYPT, CKA_WRAP, CKA_DERIVE};
    static const CK_ATTRIBUTE_TYPE copies[] = {CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE,
                                               CKA_DESTROYABLE};
    static const CK_ATTRIBUTE_TYPE never[] = {CKA_LOCAL, CKA_ALWAYS_SENSITIVE,
                                              CKA_NEVER_EXTRACTABLE};
    struct object *o = secret_with(CKK_AES, NULL, 0);

    (void)state;
    for (int copy = 0; copy < 2; copy++) {
        for (size_t i = 0; i < ARRAY_LEN(open); i++)
            assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_BOOL(open[i], true)), CKR_OK);
        for (size_t i = 0; i < ARRAY_LEN(copies); i++)
            assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_BOOL(copies[i], true)),
                             copy != 0 ? CKR_OK : CKR_ATTRIBUTE_READ_ONLY);
        for (size_t i = 0; i < ARRAY_LEN(never); i++)
            assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_BOOL(never[i], false)),
                             CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_NUM(CKA_CLASS, CKO_SECRET_KEY)),
                         CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_NUM(CKA_VALUE_LEN, 16)),
                         CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_TEXT(CKA_VALUE, "sixteen bytes...")),
                         CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_BYTES(CKA_WRAP_TEMPLATE, NULL, 0)),
                         CKR_ATTRIBUTE_READ_ONLY);
        assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_TEXT(CKA_MODULUS, "x")),
                         CKR_ATTRIBUTE_TYPE_INVALID);
        assert_int_equal(apply(o, copy != 0, (CK_ATTRIBUTE)T_BYTES(CKA_ENCRYPT, "xx", 2)),
                         CKR_ATTRIBUTE_VALUE_INVALID);
    }
    object_free(o);
}

static void test_a_change_back_to_the_default_is_a_change(void **state)
{
    struct object *o = secret_with(CKK_AES, NULL, 0);
    struct bytes v;

    (void)state;
    assert_int_equal(changes(o, (CK_ATTRIBUTE)T_TEXT(CKA_LABEL, "name")), CKR_OK);
    assert_int_equal(changes(o, (CK_ATTRIBUTE)T_BOOL(CKA_ENCRYPT, false)), CKR_OK);
    assert_false(object_true(o, CKA_ENCRYPT));
    assert_int_equal(changes(o, (CK_ATTRIBUTE)T_BOOL(CKA_ENCRYPT, true)), CKR_OK);
    assert_true(object_true(o, CKA_ENCRYPT));
    assert_int_equal(changes(o, (CK_ATTRIBUTE)T_BYTES(CKA_LABEL, NULL, 0)), CKR_OK);
    assert_true(object_value(o, CKA_LABEL, &v) && v.len == 0);
    object_free(o);
}

static void test_a_template_that_fails_in_the_middle_changes_nothing_kept(void **state)
{
    CK_ATTRIBUTE a[] = {T_TEXT(CKA_LABEL, "new"), T_BOOL(CKA_LOCAL, true)};
    CK_ATTRIBUTE twice[] = {T_TEXT(CKA_LABEL, "new"), T_TEXT(CKA_LABEL, "new")};
    struct object *o = secret_with(CKK_GENERIC_SECRET, NULL, 0);
    struct store_object row = {0};
    struct template t = {a, 2};
    struct bytes v;

    (void)state;
    o->row.is_private = false;
    assert_int_equal(template_change(&t, o, &row), CKR_ATTRIBUTE_READ_ONLY);
    assert_true(object_value(o, CKA_LABEL, &v) && v.len == 0);
    store_object_free(&row);
    row = (struct store_object){0};
    t.a = twice;
    assert_int_equal(template_change(&t, o, &row), CKR_TEMPLATE_INCONSISTENT);
    store_object_free(&row);
    object_free(o);
}

/* --- templates within templates ------------------------------------------------------ */

static CK_RV encodes(const CK_ATTRIBUTE *inner, size_t len, struct buf *out)
{
    CK_ATTRIBUTE a = T_BYTES(CKA_WRAP_TEMPLATE, inner, len);

    return attr_encode(ATTR_NESTED, &a, out);
}

static void test_the_stored_form_is_type_length_value(void **state)
{
    CK_ATTRIBUTE in[] = {T_BOOL(CKA_ENCRYPT, true), T_BYTES(CKA_ID, "ab", 2),
                         T_NUM(CKA_VALUE_LEN, 32)};
    static const uint8_t want[] = {0, 0, 0, 0, 0, 0, 1, 4,    0, 0, 0, 1, 1,        /* */
                                   0, 0, 0, 0, 0, 0, 1, 2,    0, 0, 0, 2, 'a', 'b', /* */
                                   0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 0, 8,           /* */
                                   0, 0, 0, 0, 0, 0, 0, 32};
    struct buf b = {0};

    (void)state;
    assert_int_equal(encodes(in, sizeof(in), &b), CKR_OK);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of(want, sizeof(want))));
    buf_free(&b);
    assert_int_equal(encodes(NULL, 0, &b), CKR_OK);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static CK_RV one(CK_ATTRIBUTE a)
{
    struct buf b = {0};
    CK_RV rv = encodes(&a, sizeof(a), &b);

    buf_free(&b);
    return rv;
}

static void test_what_no_template_within_can_be(void **state)
{
    CK_ATTRIBUTE many[65];
    struct buf b = {0};

    (void)state;
    assert_int_equal(one((CK_ATTRIBUTE)T_BOOL(CKA_ENCRYPT, true)), CKR_OK);
    assert_int_equal(one((CK_ATTRIBUTE)T_BYTES(CKA_ENCRYPT, "xx", 2)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(one((CK_ATTRIBUTE)T_BYTES(CKA_ENCRYPT, NULL, 1)), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(one((CK_ATTRIBUTE)T_BYTES(CKA_WRAP_TEMPLATE, NULL, 0)),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(one((CK_ATTRIBUTE)T_BOOL(CKA_VENDOR_DEFINED | 7, true)),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (CK_ATTRIBUTE){CKA_LABEL, NULL, 0};
    assert_int_equal(encodes(many, 64 * sizeof(many[0]), &b), CKR_OK);
    buf_free(&b);
    assert_int_equal(encodes(many, 65 * sizeof(many[0]), &b), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(many, sizeof(many[0]) - 1, &b), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(NULL, sizeof(many[0]), &b), CKR_ATTRIBUTE_VALUE_INVALID);
    buf_free(&b);
}

/* 2.40, 5.7 C_GetAttributeValue: an array of attributes is asked for three times. */
static void test_nested_templates_are_given_back_in_three_steps(void **state)
{
    CK_MECHANISM_TYPE mechs[] = {CKM_AES_GCM, CKM_AES_CTR}, got_mechs[2] = {0};
    CK_ATTRIBUTE in[] = {T_BOOL(CKA_TOKEN, true), T_TEXT(CKA_LABEL, "inner"),
                         T_BYTES(CKA_ALLOWED_MECHANISMS, mechs, sizeof(mechs)),
                         T_NUM(CKA_KEY_TYPE, CKK_AES), T_BYTES(CKA_ID, NULL, 0)};
    CK_ATTRIBUTE out[5] = {{0}}, ask = {CKA_UNWRAP_TEMPLATE, NULL, 0};
    CK_BBOOL token = 7;
    CK_ULONG type = 0;
    char label[8], id[4];
    struct buf b = {0};

    (void)state;
    assert_int_equal(encodes(in, sizeof(in), &b), CKR_OK);
    assert_int_equal(attr_give(ATTR_NESTED, buf_bytes(&b), &ask), CKR_OK);
    assert_int_equal(ask.ulValueLen, sizeof(out));
    ask.pValue = out;
    ask.ulValueLen = sizeof(out) - 1;
    assert_int_equal(attr_give(ATTR_NESTED, buf_bytes(&b), &ask), CKR_BUFFER_TOO_SMALL);
    assert_true(ask.ulValueLen == CK_UNAVAILABLE_INFORMATION && out[0].type == 0);
    ask.ulValueLen = sizeof(out);
    assert_int_equal(attr_give(ATTR_NESTED, buf_bytes(&b), &ask), CKR_OK);
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        assert_true(out[i].type == in[i].type && out[i].ulValueLen == in[i].ulValueLen);
    out[0].pValue = &token;
    out[1].pValue = label;
    out[1].ulValueLen = 4; /* too small: told, and the others filled all the same */
    out[2].pValue = got_mechs;
    out[3].pValue = &type;
    out[4].pValue = id;
    out[4].ulValueLen = sizeof(id);
    assert_int_equal(attr_give(ATTR_NESTED, buf_bytes(&b), &ask), CKR_BUFFER_TOO_SMALL);
    assert_true(out[1].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    assert_true(token == CK_TRUE && type == CKK_AES && out[4].ulValueLen == 0);
    assert_memory_equal(got_mechs, mechs, sizeof(mechs));
    out[1].ulValueLen = sizeof(label);
    assert_int_equal(attr_give(ATTR_NESTED, buf_bytes(&b), &ask), CKR_OK);
    assert_true(out[1].ulValueLen == 5 && memcmp(label, "inner", 5) == 0);
    buf_free(&b);
}

static void test_a_broken_stored_form_is_read_up_to_the_break(void **state)
{
    CK_ATTRIBUTE in[] = {T_BOOL(CKA_ENCRYPT, true), T_TEXT(CKA_LABEL, "inner")};
    struct object *o = secret_with(CKK_AES, &in[1], 1);
    struct buf b = {0};

    (void)state;
    assert_int_equal(encodes(in, sizeof(in), &b), CKR_OK);
    assert_true(template_fits(buf_bytes(&b), o));
    for (size_t len = 1; len < b.len; len++) {
        struct reader r = reader_of(b.p, len);
        struct attr_nested n;
        size_t found = 0;

        while (attr_nested_next(&r, &n))
            found++;
        assert_true(found <= 1);
        assert_int_equal(template_fits(bytes_of(b.p, len), o), len == 13);
    }
    buf_free(&b);
    object_free(o);
}

static void test_a_key_fits_when_it_has_all_of_it(void **state)
{
    CK_ATTRIBUTE label[] = {T_TEXT(CKA_LABEL, "key")};
    CK_ATTRIBUTE fits[] = {T_NUM(CKA_CLASS, CKO_SECRET_KEY), T_NUM(CKA_KEY_TYPE, CKK_AES),
                           T_BOOL(CKA_ENCRYPT, true) /* a default */, T_TEXT(CKA_LABEL, "key")};
    CK_ATTRIBUTE others[] = {T_BOOL(CKA_SIGN, true), T_TEXT(CKA_LABEL, "ke"),
                             T_NUM(CKA_KEY_TYPE, CKK_HKDF), T_TEXT(CKA_SUBJECT, "absent"),
                             T_BYTES(CKA_CHECK_VALUE, NULL, 0)};
    struct object *o = secret_with(CKK_AES, label, 1);
    struct buf b = {0};

    (void)state;
    assert_true(template_fits(bytes_of(NULL, 0), o));
    assert_int_equal(encodes(fits, sizeof(fits), &b), CKR_OK);
    assert_true(template_fits(buf_bytes(&b), o));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        buf_free(&b);
        fits[3] = others[i];
        assert_int_equal(encodes(fits, sizeof(fits), &b), CKR_OK);
        assert_false(template_fits(buf_bytes(&b), o));
    }
    buf_free(&b);
    object_free(o);
}

static void test_what_is_imposed_joins_what_was_given(void **state)
{
    CK_ATTRIBUTE inner[] = {T_BOOL(CKA_SENSITIVE, true), T_TEXT(CKA_LABEL, "imposed"),
                            T_NUM(CKA_KEY_TYPE, CKK_AES), T_BOOL(CKA_TOKEN, false)};
    /* CK_TRUE written another way is true all the same. */
    CK_BBOOL odd = 9;
    CK_ATTRIBUTE given[] = {{CKA_SENSITIVE, &odd, 1}, T_TEXT(CKA_ID, "mine")};
    CK_ATTRIBUTE merged_a[TEMPLATE_MAX];
    struct template t = {given, 2}, merged = {NULL, 0};
    struct buf nested = {0}, space = {0};
    CK_ULONG type = 0;
    bool token = true;
    struct bytes v;

    (void)state;
    assert_int_equal(encodes(inner, sizeof(inner), &nested), CKR_OK);
    assert_int_equal(template_impose(buf_bytes(&nested), &t, merged_a, &merged, &space), CKR_OK);
    assert_int_equal(merged.n, 5);
    assert_ptr_equal(template_get(&merged, CKA_ID)->pValue, given[1].pValue);
    assert_int_equal(template_ulong(&merged, CKA_KEY_TYPE, &type), CKR_OK);
    assert_int_equal(template_bool(&merged, CKA_TOKEN, &token), CKR_OK);
    assert_int_equal(template_bytes(&merged, CKA_LABEL, &v), CKR_OK);
    assert_true(type == CKK_AES && !token && bytes_equal(v, bytes_of("imposed", 7)));
    buf_free(&space);
    buf_free(&nested);
}

static CK_RV imposed_on(CK_ATTRIBUTE inner, CK_ATTRIBUTE given)
{
    CK_ATTRIBUTE out[TEMPLATE_MAX];
    struct template t = {&given, 1}, merged;
    struct buf nested = {0}, space = {0};
    CK_RV rv = encodes(&inner, sizeof(inner), &nested);

    if (rv == CKR_OK)
        rv = template_impose(buf_bytes(&nested), &t, out, &merged, &space);
    buf_free(&space);
    buf_free(&nested);
    return rv;
}

static void test_a_template_must_not_contradict_what_is_imposed(void **state)
{
    CK_ATTRIBUTE yes = T_BOOL(CKA_SENSITIVE, true), no = T_BOOL(CKA_SENSITIVE, false);
    CK_ATTRIBUTE crooked = T_BYTES(CKA_SENSITIVE, "\1\1", 2);
    CK_ATTRIBUTE many[TEMPLATE_MAX], out[TEMPLATE_MAX];
    struct template t = {many, TEMPLATE_MAX}, merged;
    struct buf nested = {0}, space = {0};

    (void)state;
    assert_int_equal(imposed_on(yes, yes), CKR_OK);
    assert_int_equal(imposed_on(yes, no), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(imposed_on(no, yes), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(imposed_on(yes, crooked), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(
        imposed_on((CK_ATTRIBUTE)T_TEXT(CKA_LABEL, "a"), (CK_ATTRIBUTE)T_TEXT(CKA_LABEL, "b")),
        CKR_TEMPLATE_INCONSISTENT);
    /* No room. */
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (CK_ATTRIBUTE){CKA_LABEL, NULL, 0};
    assert_int_equal(encodes(&yes, sizeof(yes), &nested), CKR_OK);
    assert_int_equal(template_impose(buf_bytes(&nested), &t, out, &merged, &space),
                     CKR_TEMPLATE_INCONSISTENT);
    t.n--;
    assert_int_equal(template_impose(buf_bytes(&nested), &t, out, &merged, &space), CKR_OK);
    assert_int_equal(merged.n, TEMPLATE_MAX);
    buf_free(&space);
    buf_free(&nested);
}

/* --- keys in the TPM ------------------------------------------------------------------- */

static bool pcrs(const char *text, struct key_pcrs *out)
{
    return keyspec_pcrs(bytes_of(text, strlen(text)), out);
}

static void test_pcrs_are_a_hash_and_numbers(void **state)
{
    static const char *const bad[] = {
        "sha256",       "sha256:",     ":1",         "sha256:24",  "sha256:1,",
        "sha256:,1",    "sha256:1,,2", "sha256:1 2", "sha256: 1",  "sha256:-1",
        "sha256:1,2,x", "sha256:100",  "sha256:1:2", "md5:1",      "sha224:1",
        "sha256,1",     " sha256:1",   "sha256:1\n", "sha256:0x1", "a-very-long-name-of-a-hash:1",
    };
    struct key_pcrs p;

    (void)state;
    assert_true(pcrs("", &p) && p.hash == 0);
    assert_true(pcrs("sha256:0", &p));
    assert_true(p.hash == TPM2_ALG_SHA256 && p.select[0] == 1 && p.select[1] == 0);
    assert_true(pcrs("sha1:23,0,8", &p));
    assert_true(p.hash == TPM2_ALG_SHA1 && p.select[0] == 1 && p.select[1] == 1 &&
                p.select[2] == 0x80);
    assert_true(pcrs("sha384:07", &p) && p.select[0] == 0x80);
    assert_true(pcrs("sha256:7,7", &p) && p.select[0] == 0x80);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (pcrs(bad[i], &p))
            fail_msg("'%s' is taken", bad[i]);
        assert_true(p.hash == 0 && p.select[0] == 0);
    }
    assert_false(keyspec_pcrs(bytes_of("sha256\0:1", 9), &p));
}

static CK_RV spec_of(unsigned group, CK_ATTRIBUTE *a, CK_ULONG n, struct key_spec *spec)
{
    struct made m = {.group = group, .row.is_private = true};
    struct template t = {a, n};
    CK_RV rv = template_apply(&t, TEMPLATE_GENERATE, group, &m.row);

    *spec = (struct key_spec){0};
    if (rv == CKR_OK)
        rv = keyspec_of(&m, spec);
    if (rv == CKR_OK && (group & ATTR_PRIV) != 0) {
        struct made again = m;
        struct key_spec same = {0};

        /* What it made of the row says the same again. */
        assert_int_equal(keyspec_of(&again, &same), CKR_OK);
        assert_int_equal(same.mode, spec->mode);
        assert_int_equal(make_true(&m, CKA_ALWAYS_AUTHENTICATE), spec->mode == STORE_KEY_EACH);
        m = again;
    }
    make_free(&m);
    return rv;
}

static CK_RV spec1(CK_ATTRIBUTE a, struct key_spec *spec)
{
    return spec_of(ATTR_PRIV_EC, &a, 1, spec);
}

static CK_RV spec2(CK_ATTRIBUTE a, CK_ATTRIBUTE b)
{
    struct key_spec spec;

    return spec_of(ATTR_PRIV_RSA, (CK_ATTRIBUTE[]){a, b}, 2, &spec);
}

#define MODE(m) ((CK_ATTRIBUTE)T_NUM(CKA_FUSETSU_AUTH_MODE, (m)))
#define FLAG(type, v) ((CK_ATTRIBUTE)T_BOOL((type), (v)))
#define PCRS(text) ((CK_ATTRIBUTE)T_TEXT(CKA_FUSETSU_PCRS, (text)))

static void test_what_a_key_may_do_becomes_what_the_tpm_lets_it_do(void **state)
{
    struct key_spec s;

    (void)state;
    assert_int_equal(spec_of(ATTR_PRIV_EC, NULL, 0, &s), CKR_OK);
    assert_true(s.sign && !s.decrypt && s.mode == STORE_KEY_SESSION && !s.extractable);
    assert_int_equal(spec_of(ATTR_PRIV_RSA, NULL, 0, &s), CKR_OK);
    assert_true(s.sign && s.decrypt);
    assert_int_equal(spec1(FLAG(CKA_DERIVE, true), &s), CKR_OK);
    assert_true(s.sign && s.decrypt);
    assert_int_equal(spec1(FLAG(CKA_EXTRACTABLE, true), &s), CKR_OK);
    assert_true(s.extractable);
    assert_int_equal(spec1(FLAG(CKA_SIGN, false), &s), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec2(FLAG(CKA_SIGN, false), FLAG(CKA_DECRYPT, false)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec2(FLAG(CKA_SIGN, false), FLAG(CKA_SIGN_RECOVER, true)), CKR_OK);
    assert_int_equal(spec2(FLAG(CKA_UNWRAP, true), FLAG(CKA_DECRYPT, false)), CKR_OK);
}

static void test_modes_agree_with_the_words_of_the_standard(void **state)
{
    struct key_spec s;

    (void)state;
    assert_int_equal(spec1(FLAG(CKA_ALWAYS_AUTHENTICATE, true), &s), CKR_OK);
    assert_int_equal(s.mode, STORE_KEY_EACH);
    assert_int_equal(spec1(MODE(CK_FUSETSU_AUTH_EACH), &s), CKR_OK);
    assert_int_equal(s.mode, STORE_KEY_EACH);
    assert_int_equal(spec1(MODE(CK_FUSETSU_AUTH_NONE), &s), CKR_OK);
    assert_int_equal(s.mode, STORE_KEY_NONE);
    assert_int_equal(spec1(MODE(CK_FUSETSU_AUTH_APPROVED), &s), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(
        spec2(MODE(CK_FUSETSU_AUTH_APPROVED), (CK_ATTRIBUTE)T_TEXT(CKA_FUSETSU_APPROVER, "no DER")),
        CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(spec1((CK_ATTRIBUTE)T_TEXT(CKA_FUSETSU_APPROVER, "x"), &s),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec1(FLAG(CKA_FUSETSU_PCRS_UPDATABLE, true), &s), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec2(FLAG(CKA_FUSETSU_PCRS_UPDATABLE, true), PCRS("sha256:1")), CKR_OK);
    assert_int_equal(spec1(MODE(4), &s), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(spec1(MODE((CK_ULONG)-1), &s), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(spec2(MODE(CK_FUSETSU_AUTH_EACH), FLAG(CKA_ALWAYS_AUTHENTICATE, true)),
                     CKR_OK);
    assert_int_equal(spec2(MODE(CK_FUSETSU_AUTH_NONE), FLAG(CKA_ALWAYS_AUTHENTICATE, true)),
                     CKR_TEMPLATE_INCONSISTENT);
}

static void test_modes_exclude_what_they_cannot_guard(void **state)
{
    static const CK_ULONG guarded[] = {CK_FUSETSU_AUTH_EACH, CK_FUSETSU_AUTH_NONE};
    struct key_spec s;

    (void)state;
    assert_int_equal(spec2(MODE(CK_FUSETSU_AUTH_EACH), FLAG(CKA_DERIVE, true)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec2(MODE(CK_FUSETSU_AUTH_EACH), FLAG(CKA_UNWRAP, true)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec2(MODE(CK_FUSETSU_AUTH_NONE), FLAG(CKA_DERIVE, true)), CKR_OK);
    for (size_t i = 0; i < ARRAY_LEN(guarded); i++) {
        assert_int_equal(spec2(MODE(guarded[i]), FLAG(CKA_EXTRACTABLE, true)),
                         CKR_TEMPLATE_INCONSISTENT);
        assert_int_equal(spec2(MODE(guarded[i]), PCRS("sha256:1")), CKR_OK);
    }
    assert_int_equal(spec2(PCRS("sha256:1"), FLAG(CKA_EXTRACTABLE, true)),
                     CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(spec2(PCRS(""), FLAG(CKA_EXTRACTABLE, true)), CKR_OK);
    assert_int_equal(spec1(PCRS("sha256:0,2,7"), &s), CKR_OK);
    assert_true(s.pcrs.hash == TPM2_ALG_SHA256 && s.pcrs.select[0] == 0x85);
    assert_int_equal(spec1(PCRS("sha256:99"), &s), CKR_ATTRIBUTE_VALUE_INVALID);
}

/* --- objects of the module's own ------------------------------------------------------- */

static void test_builtin_objects_are_the_same_in_every_process(void **state)
{
    struct index *x[2] = {NULL, NULL};
    CK_OBJECT_HANDLE *h[2] = {NULL, NULL};
    CK_ATTRIBUTE class = T_NUM(CKA_CLASS, CKO_MECHANISM);
    CK_ULONG last = 0;
    size_t n[2], mechs;

    (void)state;
    (void)mech_table_all(&mechs);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(index_new(&x[i], NULL), 0);
        assert_int_equal(builtin_add(x[i], &last, NULL), 0);
        assert_int_equal(index_find(x[i], &class, 1, &h[i], &n[i], NULL), 0);
        assert_int_equal(n[i], mechs);
    }
    for (size_t i = 0; i < mechs; i++) {
        struct object *a = index_get(x[0], h[0][i]), *b = index_get(x[1], h[1][i]);
        CK_ATTRIBUTE type = T_NUM(CKA_MECHANISM_TYPE, object_ulong(a, CKA_MECHANISM_TYPE));

        assert_non_null(mech_table_row(object_ulong(a, CKA_MECHANISM_TYPE)));
        assert_string_equal(a->unique, b->unique);
        assert_true(i == 0 || strcmp(a->unique, index_get(x[0], h[0][i - 1])->unique) != 0);
        assert_true(object_true(a, CKA_TOKEN) && !object_true(a, CKA_PRIVATE));
        assert_false(object_true(a, CKA_MODIFIABLE) || object_true(a, CKA_COPYABLE) ||
                     object_true(a, CKA_DESTROYABLE));
        /* Who does not ask for the class does not find them. */
        assert_false(object_matches(a, NULL, 0) || object_matches(a, &type, 1));
    }
    for (int i = 0; i < 2; i++) {
        free(h[i]);
        index_hide_private(x[i]);
        assert_int_equal(index_find(x[i], &class, 1, &h[i], &n[i], NULL), 0);
        assert_int_equal(n[i], mechs);
        free(h[i]);
        index_free(x[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_do_not_contradict_each_other),
        cmocka_unit_test(test_an_attribute_has_one_form_whoever_carries_it),
        cmocka_unit_test(test_an_unwrapped_key_brings_its_own_value),
        cmocka_unit_test(test_an_unwrapped_key_takes_what_a_created_one_takes),
        cmocka_unit_test(test_some_attributes_go_one_way_only),
        cmocka_unit_test(test_what_a_change_may_say_and_a_copy_beside),
        cmocka_unit_test(test_a_change_back_to_the_default_is_a_change),
        cmocka_unit_test(test_a_template_that_fails_in_the_middle_changes_nothing_kept),
        cmocka_unit_test(test_the_stored_form_is_type_length_value),
        cmocka_unit_test(test_what_no_template_within_can_be),
        cmocka_unit_test(test_nested_templates_are_given_back_in_three_steps),
        cmocka_unit_test(test_a_broken_stored_form_is_read_up_to_the_break),
        cmocka_unit_test(test_a_key_fits_when_it_has_all_of_it),
        cmocka_unit_test(test_what_is_imposed_joins_what_was_given),
        cmocka_unit_test(test_a_template_must_not_contradict_what_is_imposed),
        cmocka_unit_test(test_pcrs_are_a_hash_and_numbers),
        cmocka_unit_test(test_what_a_key_may_do_becomes_what_the_tpm_lets_it_do),
        cmocka_unit_test(test_modes_agree_with_the_words_of_the_standard),
        cmocka_unit_test(test_modes_exclude_what_they_cannot_guard),
        cmocka_unit_test(test_builtin_objects_are_the_same_in_every_process),
    };

    return cmocka_run_group_tests_name("pkcs11_template", tests, NULL, NULL);
}
