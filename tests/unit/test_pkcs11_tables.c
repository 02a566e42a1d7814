/* The tables of the PKCS#11 room, and what reads them: attributes, mechanisms, return
 * values, templates, the index of objects. No TPM, no store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tss2/tss2_tpm2_types.h>

#include "core/alg.h"
#include "pkcs11/attr.h"
#include "pkcs11/ckr.h"
#include "pkcs11/index.h"
#include "pkcs11/mech_table.h"
#include "pkcs11/template.h"
#include "pkcs11/text.h"

static const unsigned groups[] = {ATTR_DATA,     ATTR_CERT,     ATTR_PUB_RSA, ATTR_PUB_EC,
                                  ATTR_PRIV_RSA, ATTR_PRIV_EC,  ATTR_SEC_AES, ATTR_SEC_GENERIC,
                                  ATTR_PROFILE,  ATTR_MECHANISM};

/* --- attr_table ---------------------------------------------------------- */

static void test_each_object_has_one_row_for_an_attribute(void **state)
{
    size_t n;
    const struct attr_row *all = attr_table_all(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++)
            assert_false(all[i].type == all[k].type && (all[i].groups & all[k].groups) != 0);
    }
}

static void test_defaults_have_the_form_of_their_kind(void **state)
{
    size_t n;
    const struct attr_row *all = attr_table_all(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        if ((all[i].rules & ATTR_DEFAULT) == 0) {
            assert_int_equal(all[i].def.len, 0);
            continue;
        }
        if (all[i].kind == ATTR_BOOL)
            assert_true(all[i].def.len == 1 && all[i].def.p[0] <= 1);
        else if (all[i].kind == ATTR_ULONG)
            assert_int_equal(all[i].def.len, 8);
        else
            assert_int_equal(all[i].def.len, 0);
    }
}

static void test_secret_parts_are_never_kept_nor_defaulted(void **state)
{
    static const CK_ATTRIBUTE_TYPE rsa[] = {CKA_PRIVATE_EXPONENT, CKA_PRIME_1,    CKA_PRIME_2,
                                            CKA_EXPONENT_1,       CKA_EXPONENT_2, CKA_COEFFICIENT};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rsa); i++)
        assert_int_equal(attr_table_row(rsa[i], ATTR_PRIV_RSA)->rules &
                             (ATTR_SECRET | ATTR_DEFAULT),
                         ATTR_SECRET);
    assert_true(attr_table_row(CKA_VALUE, ATTR_PRIV_EC)->rules & ATTR_SECRET);
    assert_null(attr_table_row(CKA_VALUE, ATTR_PRIV_RSA));
}

static void test_private_keys_are_sensitive_and_stay_unless_told(void **state)
{
    const struct attr_row *r = attr_table_row(CKA_SENSITIVE, ATTR_PRIV_EC);

    (void)state;
    assert_true((r->rules & ATTR_FIXED) != 0 && r->def.p[0] == 1);
    r = attr_table_row(CKA_EXTRACTABLE, ATTR_PRIV_RSA);
    assert_true((r->rules & (ATTR_SET | ATTR_UP)) == 0 && r->def.p[0] == 0);
    assert_null(attr_table_row(CKA_SENSITIVE, ATTR_PUB_EC));
}

static void test_classes_that_are_not_held_have_no_group(void **state)
{
    (void)state;
    assert_int_equal(attr_table_group(CKO_PRIVATE_KEY, CKK_EC), ATTR_PRIV_EC);
    assert_int_equal(attr_table_group(CKO_PUBLIC_KEY, CKK_RSA), ATTR_PUB_RSA);
    assert_int_equal(attr_table_group(CKO_CERTIFICATE, 77), ATTR_CERT);
    assert_int_equal(attr_table_group(CKO_SECRET_KEY, CKK_AES), ATTR_SEC_AES);
    assert_int_equal(attr_table_group(CKO_SECRET_KEY, CKK_SHA256_HMAC), ATTR_SEC_GENERIC);
    assert_int_equal(attr_table_group(CKO_SECRET_KEY, CKK_DES3), 0);
    assert_int_equal(attr_table_group(CKO_PUBLIC_KEY, CKK_EC_EDWARDS), 0);
    assert_int_equal(attr_table_group(CKO_DOMAIN_PARAMETERS, 0), 0);
}

/* --- attr ---------------------------------------------------------------- */

static void test_numbers_survive_the_store(void **state)
{
    static const CK_ULONG values[] = {0, 1, 0x40001234, CK_UNAVAILABLE_INFORMATION};
    uint8_t be[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        attr_from_ulong(values[i], be);
        assert_true(attr_to_ulong(bytes_of(be, 8)) == values[i]);
    }
    assert_true(attr_to_ulong(bytes_of(be, 7)) == 0);
}

static CK_RV encodes(enum attr_kind kind, void *p, CK_ULONG len)
{
    CK_ATTRIBUTE a = {CKA_LABEL, p, len};
    struct buf b = {0};
    CK_RV rv = attr_encode(kind, &a, &b);

    buf_free(&b);
    return rv;
}

static void test_values_of_the_wrong_form_are_refused(void **state)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ULONG n = 5;
    char date[] = "2026O101";

    (void)state;
    assert_int_equal(encodes(ATTR_BOOL, &yes, 1), CKR_OK);
    assert_int_equal(encodes(ATTR_BOOL, &yes, 0), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(ATTR_BOOL, NULL, 1), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(ATTR_ULONG, &n, sizeof(n)), CKR_OK);
    assert_int_equal(encodes(ATTR_ULONG, &n, 4), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(ATTR_DATE, date, 8), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(ATTR_DATE, NULL, 0), CKR_OK);
    assert_int_equal(encodes(ATTR_MECHS, &n, sizeof(n) - 1), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(encodes(ATTR_BYTES, NULL, CK_UNAVAILABLE_INFORMATION),
                     CKR_ATTRIBUTE_VALUE_INVALID);
}

static void test_short_buffers_are_told_and_left_alone(void **state)
{
    uint8_t room[4] = {9, 9, 9, 9};
    CK_ATTRIBUTE a = {CKA_ID, room, 2};
    struct bytes v = {(const uint8_t *)"abc", 3};

    (void)state;
    assert_int_equal(attr_give(ATTR_BYTES, v, &a), CKR_BUFFER_TOO_SMALL);
    assert_true(a.ulValueLen == CK_UNAVAILABLE_INFORMATION && room[0] == 9);
    a.ulValueLen = sizeof(room);
    assert_int_equal(attr_give(ATTR_BYTES, v, &a), CKR_OK);
    assert_true(a.ulValueLen == 3 && memcmp(room, "abc\x09", 4) == 0);
    a.pValue = NULL;
    assert_int_equal(attr_give(ATTR_ULONG, v, &a), CKR_OK);
    assert_true(a.ulValueLen == sizeof(CK_ULONG));
}

/* A template within a template of an object: `type` and a value. */
static void add_nested(struct buf *out, CK_ATTRIBUTE_TYPE type, struct bytes value)
{
    buf_u64(out, type);
    buf_u32(out, (uint32_t)value.len);
    buf_add_bytes(out, value);
}

/* No caller's template can say this (attr_encode); a store that was altered can. */
static void test_templates_three_deep_are_never_followed(void **state)
{
    struct buf deep = {0}, deeper = {0}, deepest = {0}, space = {0};
    CK_ATTRIBUTE out[TEMPLATE_MAX], inner = {0}, a = {CKA_UNWRAP_TEMPLATE, &inner, sizeof(inner)};
    struct template none = {NULL, 0}, merged;
    uint8_t litter[sizeof(CK_ATTRIBUTE)];

    (void)state;
    add_nested(&deepest, CKA_LABEL, bytes_of((const uint8_t *)"x", 1));
    add_nested(&deeper, CKA_UNWRAP_TEMPLATE, buf_bytes(&deepest));
    add_nested(&deep, CKA_UNWRAP_TEMPLATE, buf_bytes(&deeper));
    assert_int_equal(template_impose(buf_bytes(&deep), &none, out, &merged, &space),
                     CKR_TEMPLATE_INCONSISTENT);
    /* What the caller left in its buffer is no address. */
    memset(litter, 0xa5, sizeof(litter));
    inner = (CK_ATTRIBUTE){0, litter, sizeof(litter)};
    assert_int_equal(attr_give(ATTR_NESTED, buf_bytes(&deeper), &a), CKR_OK);
    assert_true(inner.type == CKA_UNWRAP_TEMPLATE && inner.ulValueLen == deepest.len);
    assert_memory_equal(litter, deepest.p, deepest.len);
    buf_free(&deep);
    buf_free(&deeper);
    buf_free(&deepest);
    buf_free(&space);
}

static void test_an_imposed_value_may_be_empty(void **state)
{
    struct buf nested = {0}, space = {0};
    struct template none = {NULL, 0}, merged;
    CK_ATTRIBUTE out[TEMPLATE_MAX];

    (void)state;
    add_nested(&nested, CKA_LABEL, bytes_of(NULL, 0));
    assert_int_equal(template_impose(buf_bytes(&nested), &none, out, &merged, &space), CKR_OK);
    assert_true(merged.n == 1 && out[0].type == CKA_LABEL);
    assert_true(out[0].pValue == NULL && out[0].ulValueLen == 0);
    buf_free(&nested);
    buf_free(&space);
}

static void test_an_empty_list_allows_every_mechanism(void **state)
{
    uint8_t list[16];

    (void)state;
    attr_from_ulong(CKM_ECDSA, list);
    attr_from_ulong(CKM_ECDSA_SHA256, list + 8);
    assert_true(attr_mech_allowed(bytes_of(NULL, 0), CKM_RSA_PKCS));
    assert_true(attr_mech_allowed(bytes_of(list, 16), CKM_ECDSA_SHA256));
    assert_false(attr_mech_allowed(bytes_of(list, 16), CKM_ECDSA_SHA384));
    assert_false(attr_mech_allowed(bytes_of(list, 15), CKM_ECDSA_SHA384));
}

/* --- mech_table ---------------------------------------------------------- */

static void test_mechanisms_are_listed_once_and_make_sense(void **state)
{
    static const struct {
        CK_FLAGS one, other;
    } pairs[] = {
        {CKF_SIGN, CKF_VERIFY},
        {CKF_ENCRYPT, CKF_DECRYPT},
        {CKF_WRAP, CKF_UNWRAP},
        {CKF_SIGN_RECOVER, CKF_VERIFY_RECOVER},
        {CKF_MESSAGE_SIGN, CKF_MESSAGE_VERIFY},
        {CKF_MESSAGE_ENCRYPT, CKF_MESSAGE_DECRYPT},
    };
    size_t n;
    const struct mech *m = mech_table_all(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(mech_table_row(m[i].type), &m[i]);
        if (m[i].hash != 0)
            assert_non_null(alg_hash_nid(m[i].hash));
        for (size_t k = 0; k < ARRAY_LEN(pairs); k++)
            assert_int_equal((m[i].flags & pairs[k].one) != 0, (m[i].flags & pairs[k].other) != 0);
        assert_int_equal((m[i].flags & CKF_GENERATE_KEY_PAIR) != 0, m[i].family == MECH_KEY_PAIR);
        assert_int_equal((m[i].flags & CKF_GENERATE) != 0, m[i].family == MECH_SECRET_KEY);
    }
    assert_null(mech_table_row(CKM_DES3_CBC));
}

static void test_key_sizes_follow_the_chip(void **state)
{
    struct tpm_caps small = {.p256 = true, .rsa2048 = true};
    struct tpm_caps large = {.p256 = true, .p384 = true, .p521 = true, .rsa4096 = true};
    CK_MECHANISM_INFO i;

    (void)state;
    mech_table_info(mech_table_row(CKM_ECDSA), &small, false, &i);
    assert_true(i.ulMinKeySize == 256 && i.ulMaxKeySize == 256);
    mech_table_info(mech_table_row(CKM_ECDSA), &large, false, &i);
    assert_true(i.ulMaxKeySize == 521);
    mech_table_info(mech_table_row(CKM_RSA_PKCS), &large, false, &i);
    assert_true(i.ulMinKeySize == 2048 && i.ulMaxKeySize == 4096);
    mech_table_info(mech_table_row(CKM_SHA256), NULL, false, &i);
    assert_true(i.ulMinKeySize == 0 && i.ulMaxKeySize == 0 && i.flags == CKF_DIGEST);
    mech_table_info(mech_table_row(CKM_AES_GCM), NULL, false, &i);
    assert_true(i.ulMinKeySize == 16 && i.ulMaxKeySize == 32);
}

static void test_signing_over_sha_1_takes_a_decision(void **state)
{
    static const CK_MECHANISM_TYPE weak[] = {CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS,
                                             CKM_ECDSA_SHA1};
    CK_MECHANISM_INFO i;

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(weak); k++) {
        assert_true(mech_table_weak(mech_table_row(weak[k])));
        mech_table_info(mech_table_row(weak[k]), NULL, false, &i);
        assert_true((i.flags & CKF_SIGN) == 0 && (i.flags & CKF_VERIFY) != 0);
        mech_table_info(mech_table_row(weak[k]), NULL, true, &i);
        assert_true((i.flags & CKF_SIGN) != 0);
    }
    assert_false(mech_table_weak(mech_table_row(CKM_SHA_1_HMAC)));
    assert_false(mech_table_weak(mech_table_row(CKM_SHA_1)));
}

static void test_only_hashes_are_hashes(void **state)
{
    (void)state;
    assert_int_equal(mech_table_hash(CKM_SHA384)->tpm, TPM2_ALG_SHA384);
    assert_null(mech_table_hash(CKM_SHA384_RSA_PKCS));
    assert_int_equal(mech_table_mgf(CKG_MGF1_SHA512)->size, 64);
    assert_int_equal(mech_table_mgf(CKG_MGF1_SHA224)->size, 28);
    assert_null(mech_table_mgf(99));
    assert_int_equal(mech_table_kdf(CKD_SHA256_KDF)->size, 32);
    assert_null(mech_table_kdf(CKD_NULL));
}

static void test_keys_go_with_mechanisms_by_type(void **state)
{
    (void)state;
    assert_true(mech_table_takes(mech_table_row(CKM_SHA256_HMAC), CKK_GENERIC_SECRET));
    assert_true(mech_table_takes(mech_table_row(CKM_SHA256_HMAC), CKK_SHA256_HMAC));
    assert_false(mech_table_takes(mech_table_row(CKM_SHA256_HMAC), CKK_SHA384_HMAC));
    assert_false(mech_table_takes(mech_table_row(CKM_SHA256_HMAC), CKK_AES));
    assert_true(mech_table_takes(mech_table_row(CKM_HKDF_DERIVE), CKK_HKDF));
    assert_false(mech_table_takes(mech_table_row(CKM_SHA256), CKK_AES));
}

/* --- ckr ----------------------------------------------------------------- */

static void test_every_failure_has_a_return_value(void **state)
{
    (void)state;
    for (int code = E_OK; code <= E_USAGE; code++) {
        for (int d = CKR_DURING_ANY; d <= CKR_DURING_INIT; d++) {
            struct err e = {.code = (enum err_code)code};
            CK_RV rv = ckr_of(&e, (enum ckr_during)d);

            assert_true((rv == CKR_OK) == (code == E_OK));
            assert_int_not_equal(rv, CKR_GENERAL_ERROR);
        }
    }
}

static void test_a_lockout_of_the_tpm_is_no_locked_pin(void **state)
{
    struct err e = {.code = E_LOCKOUT};

    (void)state;
    assert_int_equal(ckr_of(&e, CKR_DURING_LOGIN), CKR_DEVICE_ERROR);
    e.code = E_PIN_LOCKED;
    assert_int_equal(ckr_of(&e, CKR_DURING_LOGIN), CKR_PIN_LOCKED);
    e.code = E_PIN_LENGTH;
    assert_int_equal(ckr_of(&e, CKR_DURING_LOGIN), CKR_PIN_INCORRECT);
    assert_int_equal(ckr_of(&e, CKR_DURING_ANY), CKR_PIN_LEN_RANGE);
}

/* --- template ------------------------------------------------------------ */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static CK_RV applies(unsigned group, enum template_use use, CK_ATTRIBUTE *a, CK_ULONG n)
{
    struct store_object row = {.is_private = (group & ATTR_PRIV) != 0};
    struct template t;
    CK_RV rv = template_of(a, n, &t);

    if (rv == CKR_OK)
        rv = template_apply(&t, use, group, &row);
    store_object_free(&row);
    return rv;
}

static void test_templates_are_judged_attribute_by_attribute(void **state)
{
    CK_ATTRIBUTE local = {CKA_LOCAL, &yes, 1}, sign = {CKA_SIGN, &yes, 1};
    CK_ATTRIBUTE twice[] = {{CKA_SIGN, &yes, 1}, {CKA_SIGN, &yes, 1}};
    CK_ATTRIBUTE bare = {CKA_SENSITIVE, &no, 1}, out = {CKA_EXTRACTABLE, &yes, 1};
    CK_ATTRIBUTE colour = {CKA_COLOR, &yes, 1}, crooked = {CKA_SIGN, &yes, 3};

    (void)state;
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, &sign, 1), CKR_OK);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, NULL, 0), CKR_OK);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, &local, 1), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, twice, 2), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, &bare, 1), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, &out, 1), CKR_OK);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, &colour, 1),
                     CKR_ATTRIBUTE_TYPE_INVALID);
    assert_int_equal(applies(ATTR_PRIV_EC, TEMPLATE_GENERATE, &crooked, 1),
                     CKR_ATTRIBUTE_VALUE_INVALID);
    assert_int_equal(applies(ATTR_PUB_EC, TEMPLATE_GENERATE, NULL, 0), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(applies(ATTR_CERT, TEMPLATE_CREATE, NULL, 0), CKR_TEMPLATE_INCOMPLETE);
    assert_int_equal(applies(ATTR_DATA, TEMPLATE_CREATE, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(applies(ATTR_DATA, TEMPLATE_CREATE, &sign, TEMPLATE_MAX + 1),
                     CKR_ARGUMENTS_BAD);
}

static void test_private_values_are_sealed_and_secrets_not_kept(void **state)
{
    CK_ULONG class = CKO_PRIVATE_KEY, type = CKK_EC;
    char id[] = "id", params[] = "p", d[] = "d";
    CK_ATTRIBUTE a[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_KEY_TYPE, &type, sizeof(type)},
                        {CKA_ID, id, 2},
                        {CKA_EC_PARAMS, params, 1},
                        {CKA_VALUE, d, 1},
                        {CKA_SIGN, &yes, 1}};
    struct store_object row = {.is_private = true};
    struct template t = {a, ARRAY_LEN(a)};

    (void)state;
    assert_int_equal(template_apply(&t, TEMPLATE_CREATE, ATTR_PRIV_EC, &row), CKR_OK);
    assert_true(store_object_attr(&row, CKA_ID)->sealed);
    assert_false(store_object_attr(&row, CKA_KEY_TYPE)->sealed);
    assert_null(store_object_attr(&row, CKA_VALUE)); /* secret */
    assert_null(store_object_attr(&row, CKA_SIGN));  /* its default */
    assert_null(store_object_attr(&row, CKA_CLASS)); /* a member of the row */
    store_object_free(&row);
}

/* --- index --------------------------------------------------------------- */

static struct object *add(struct index *x, CK_SESSION_HANDLE session, const char *id, bool private,
                          CK_ULONG *last)
{
    struct store_object row = {.id = session == 0, .class = CKO_DATA, .is_private = private};
    const struct object_parts parts = {.row = &row};
    struct object *o = NULL;

    assert_int_equal(store_object_set(&row, CKA_LABEL, bytes_of(id, strlen(id)), false, NULL), 0);
    assert_int_equal(index_add(x, session, &parts, last, &o, NULL), 0);
    return o;
}

static size_t hits(struct index *x, const char *label)
{
    CK_ATTRIBUTE a = {CKA_LABEL, (void *)(uintptr_t)label, label != NULL ? strlen(label) : 0};
    CK_OBJECT_HANDLE *h = NULL;
    size_t n = 0;

    assert_int_equal(index_find(x, &a, label != NULL ? 1 : 0, &h, &n, NULL), 0);
    free(h);
    return n;
}

static void test_objects_are_found_by_label_and_by_handle(void **state)
{
    struct index *x = NULL;
    struct object *o[600];
    CK_ULONG last = 0;
    char name[16];

    (void)state;
    assert_int_equal(index_new(&x, NULL), 0);
    assert_int_equal(hits(x, "7"), 0);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "%d", i / 2);
        o[i] = add(x, 9, name, false, &last);
        assert_ptr_equal(index_get(x, o[i]->handle), o[i]);
        assert_int_equal(hits(x, name), 1 + i % 2);
    }
    assert_int_equal(hits(x, NULL), 600);
    index_remove(x, o[14]);
    assert_int_equal(hits(x, "7"), 1);
    assert_int_equal(hits(x, "300"), 0);
    assert_null(index_get(x, last + 1));
    assert_null(index_get(x, 0));
    index_free(x);
}

static void test_logout_hides_what_is_private_and_closing_drops_what_was_the_sessions(void **state)
{
    struct index *x = NULL;
    CK_ULONG last = 0;

    (void)state;
    assert_int_equal(index_new(&x, NULL), 0);
    add(x, 1, "a", true, &last);
    add(x, 1, "b", false, &last);
    add(x, 2, "c", false, &last);
    index_hide_private(x);
    assert_int_equal(hits(x, "a"), 0);
    assert_int_equal(hits(x, NULL), 2);
    index_drop_session(x, 1);
    assert_int_equal(hits(x, "b"), 0);
    assert_int_equal(hits(x, "c"), 1);
    index_free(x);
}

static void test_texts_are_padded_and_cut_between_characters(void **state)
{
    unsigned char f[4];

    (void)state;
    text_pad(f, sizeof(f), "ab");
    assert_memory_equal(f, "ab  ", 4);
    text_pad(f, sizeof(f), "abc\xc3\xa9");
    assert_memory_equal(f, "abc ", 4);
    text_pad(f, sizeof(f), "abcdef");
    assert_memory_equal(f, "abcd", 4);
}

static void test_all_groups_have_the_common_attributes(void **state)
{
    static const CK_ATTRIBUTE_TYPE common[] = {CKA_CLASS,      CKA_TOKEN,      CKA_PRIVATE,
                                               CKA_LABEL,      CKA_MODIFIABLE, CKA_COPYABLE,
                                               CKA_DESTROYABLE};

    (void)state;
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        for (size_t i = 0; i < ARRAY_LEN(common); i++)
            assert_non_null(attr_table_row(common[i], groups[g]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_object_has_one_row_for_an_attribute),
        cmocka_unit_test(test_defaults_have_the_form_of_their_kind),
        cmocka_unit_test(test_secret_parts_are_never_kept_nor_defaulted),
        cmocka_unit_test(test_private_keys_are_sensitive_and_stay_unless_told),
        cmocka_unit_test(test_classes_that_are_not_held_have_no_group),
        cmocka_unit_test(test_all_groups_have_the_common_attributes),
        cmocka_unit_test(test_numbers_survive_the_store),
        cmocka_unit_test(test_values_of_the_wrong_form_are_refused),
        cmocka_unit_test(test_short_buffers_are_told_and_left_alone),
        cmocka_unit_test(test_templates_three_deep_are_never_followed),
        cmocka_unit_test(test_an_imposed_value_may_be_empty),
        cmocka_unit_test(test_an_empty_list_allows_every_mechanism),
        cmocka_unit_test(test_mechanisms_are_listed_once_and_make_sense),
        cmocka_unit_test(test_key_sizes_follow_the_chip),
        cmocka_unit_test(test_only_hashes_are_hashes),
        cmocka_unit_test(test_signing_over_sha_1_takes_a_decision),
        cmocka_unit_test(test_keys_go_with_mechanisms_by_type),
        cmocka_unit_test(test_every_failure_has_a_return_value),
        cmocka_unit_test(test_a_lockout_of_the_tpm_is_no_locked_pin),
        cmocka_unit_test(test_templates_are_judged_attribute_by_attribute),
        cmocka_unit_test(test_private_values_are_sealed_and_secrets_not_kept),
        cmocka_unit_test(test_objects_are_found_by_label_and_by_handle),
        cmocka_unit_test(test_logout_hides_what_is_private_and_closing_drops_what_was_the_sessions),
        cmocka_unit_test(test_texts_are_padded_and_cut_between_characters),
    };

    return cmocka_run_group_tests_name("pkcs11_tables", tests, NULL, NULL);
}
