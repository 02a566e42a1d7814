/* The module over a store with one token and no TPM: objects, certificates, and the operations
 * that need no TPM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/ecc.h"
#include "core/hash.h"
#include "tests/support/unit_module.h"
#include "tests/support/unit_store.h"

static CK_BBOOL yes = CK_TRUE;
static CK_OBJECT_CLASS cert_class = CKO_CERTIFICATE, data_class = CKO_DATA,
                       pub_class = CKO_PUBLIC_KEY;
static CK_CERTIFICATE_TYPE x509 = CKC_X_509;
static CK_KEY_TYPE ec = CKK_EC;

/* --- objects ------------------------------------------------------------- */

static CK_RV make_data(CK_SESSION_HANDLE h, bool token, bool private, CK_OBJECT_HANDLE *o)
{
    CK_BBOOL on = token, hide = private;
    char label[] = "note", value[] = "text";
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &data_class, sizeof(data_class)},
                        {CKA_TOKEN, &on, 1},
                        {CKA_PRIVATE, &hide, 1},
                        {CKA_LABEL, label, 4},
                        {CKA_VALUE, value, 4}};

    return C_CreateObject(h, t, 5, o);
}

static void test_who_may_make_objects(void **state)
{
    CK_SESSION_HANDLE ro = unit_module_open(false), rw = unit_module_open(true);
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(ro, true, false, &o), CKR_SESSION_READ_ONLY);
    assert_int_equal(make_data(rw, true, true, &o), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(make_data(ro, false, false, &o), CKR_OK);
    assert_int_equal(make_data(rw, true, false, &o), CKR_OK);
    assert_int_equal(unit_module_count(ro, NULL, 0), 2);
    assert_int_equal(C_DestroyObject(ro, o), CKR_SESSION_READ_ONLY);
    assert_int_equal(C_CloseSession(ro), CKR_OK);
    assert_int_equal(unit_module_count(rw, NULL, 0), 1);
    assert_int_equal(C_DestroyObject(rw, o), CKR_OK);
    assert_int_equal(C_DestroyObject(rw, o), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(unit_module_count(rw, NULL, 0), 0);
}

static void test_token_objects_outlive_the_process_and_session_objects_do_not(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(h, true, false, &o), CKR_OK);
    assert_int_equal(make_data(h, false, false, &o), CKR_OK);
    assert_int_equal(C_Finalize(NULL), CKR_OK);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    h = unit_module_open(false);
    assert_int_equal(unit_module_count(h, NULL, 0), 1);
}

static void test_attributes_are_answered_one_by_one(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    char label[8], small[2];
    CK_BBOOL token = 7;
    CK_OBJECT_CLASS class = 0;
    CK_OBJECT_HANDLE o;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_MODULUS, label, sizeof(label)},
                        {CKA_VALUE, small, sizeof(small)},  {CKA_LABEL, label, sizeof(label)},
                        {CKA_TOKEN, &token, sizeof(token)}, {CKA_APPLICATION, NULL, 0}};

    (void)state;
    assert_int_equal(make_data(h, false, false, &o), CKR_OK);
    assert_int_equal(C_GetAttributeValue(h, o, t, 6), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_true(class == CKO_DATA && token == CK_FALSE);
    assert_true(t[1].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    assert_true(t[2].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    assert_true(t[3].ulValueLen == 4 && memcmp(label, "note", 4) == 0);
    assert_true(t[5].ulValueLen == 0);
    assert_int_equal(C_GetAttributeValue(h, o, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_GetAttributeValue(h, o + 1, t, 1), CKR_OBJECT_HANDLE_INVALID);
}

static void test_labels_can_be_changed_and_classes_cannot(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    char name[] = "renamed";
    CK_ATTRIBUTE label = {CKA_LABEL, name, 7};
    CK_ATTRIBUTE class = {CKA_CLASS, &cert_class, sizeof(cert_class)};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(h, true, false, &o), CKR_OK);
    assert_int_equal(C_SetAttributeValue(h, o, &class, 1), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(C_SetAttributeValue(h, o, &label, 1), CKR_OK);
    assert_int_equal(unit_module_count(h, &label, 1), 1);
    label.ulValueLen = 0;
    assert_int_equal(C_SetAttributeValue(h, o, &label, 1), CKR_OK);
    assert_int_equal(unit_module_count(h, &label, 1), 1);
}

static void test_searches_for_what_nobody_has_are_empty(void **state)
{
    static CK_OBJECT_CLASS classes[] = {CKO_DOMAIN_PARAMETERS, CKO_SECRET_KEY,
                                        CKO_VENDOR_DEFINED | 0x53UL, CKO_HW_FEATURE, CKO_OTP_KEY};
    CK_SESSION_HANDLE h = unit_module_open(true);
    CK_ATTRIBUTE odd = {CKA_VENDOR_DEFINED | 0xce534351UL, NULL, 0};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(h, true, false, &o), CKR_OK);
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        CK_ATTRIBUTE t = {CKA_CLASS, &classes[i], sizeof(classes[i])};

        assert_int_equal(unit_module_count(h, &t, 1), 0);
        t.ulValueLen = 3;
        assert_int_equal(unit_module_count(h, &t, 1), 0);
    }
    assert_int_equal(unit_module_count(h, &odd, 1), 0);
    assert_int_equal(C_FindObjectsInit(h, NULL, 3), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_FindObjects(h, &o, 1, NULL), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void test_objects_of_another_process_appear(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    struct store *s;

    (void)state;
    assert_int_equal(unit_module_count(h, NULL, 0), 0);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(unit_store_object(s, 1, 10, NULL), 0);
    store_close(s);
    assert_int_equal(unit_module_count(h, NULL, 0), 1);
}

/* --- certificates -------------------------------------------------------- */

static EVP_PKEY *key_pair(void)
{
    return EVP_EC_gen("P-256");
}

static unsigned char *certificate(EVP_PKEY *key, int *len)
{
    X509 *x = X509_new();
    unsigned char *der = NULL;

    assert_non_null(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 4711);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"gw.example", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    *len = i2d_X509(x, &der);
    X509_free(x);
    assert_true(*len > 0);
    return der;
}

static void test_a_certificate_brings_its_names_and_finds_its_id(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    EVP_PKEY *key = key_pair();
    int len;
    unsigned char *der = certificate(key, &len);
    unsigned char serial[] = {2, 2, 0x12, 0x67};
    CK_BYTE id[64], subject[64];
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &cert_class, sizeof(cert_class)},
                        {CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)},
                        {CKA_TOKEN, &yes, 1},
                        {CKA_VALUE, der, (CK_ULONG)len},
                        {CKA_SUBJECT, serial, sizeof(serial)}};
    CK_ATTRIBUTE by_serial = {CKA_SERIAL_NUMBER, serial, sizeof(serial)};
    CK_ATTRIBUTE ask[] = {{CKA_ID, id, sizeof(id)}, {CKA_SUBJECT, subject, sizeof(subject)}};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(C_CreateObject(h, t, 5, &o), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(C_CreateObject(h, t, 3, &o), CKR_TEMPLATE_INCOMPLETE);
    t[3].ulValueLen--;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    t[3].ulValueLen++;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_OK);
    assert_int_equal(unit_module_count(h, &by_serial, 1), 1);
    assert_int_equal(C_GetAttributeValue(h, o, ask, 2), CKR_OK);
    assert_true(ask[0].ulValueLen == 20 && subject[0] == 0x30);
    /* An ID can be given and wins. */
    t[4] = (CK_ATTRIBUTE){CKA_ID, id, 2};
    assert_int_equal(C_CreateObject(h, t, 5, &o), CKR_OK);
    ask[0].ulValueLen = sizeof(id);
    assert_int_equal(C_GetAttributeValue(h, o, ask, 1), CKR_OK);
    assert_true(ask[0].ulValueLen == 2);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

/* As Java's SunPKCS11 gives it: two's complement, without tag and length. */
static void test_a_serial_number_without_header_becomes_der(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    EVP_PKEY *key = key_pair();
    int len;
    unsigned char *der = certificate(key, &len);
    unsigned char serial[] = {2, 2, 0x12, 0x67};
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &cert_class, sizeof(cert_class)},
                        {CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)},
                        {CKA_VALUE, der, (CK_ULONG)len},
                        {CKA_SERIAL_NUMBER, serial + 2, 2}};
    CK_ATTRIBUTE by_serial = {CKA_SERIAL_NUMBER, serial, sizeof(serial)};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_OK);
    assert_int_equal(unit_module_count(h, &by_serial, 1), 1);
    t[3].ulValueLen = 1;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_TEMPLATE_INCONSISTENT);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static void test_only_the_so_may_say_trusted(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    EVP_PKEY *key = key_pair();
    int len;
    unsigned char *der = certificate(key, &len);
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &cert_class, sizeof(cert_class)},
                        {CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)},
                        {CKA_VALUE, der, (CK_ULONG)len},
                        {CKA_TRUSTED, &yes, 1}};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_READ_ONLY);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

/* --- operations ---------------------------------------------------------- */

static const uint8_t p256_oid[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};

/* A software key as a public session object; its scalar in `d`. */
static CK_OBJECT_HANDLE public_key(CK_SESSION_HANDLE h, uint8_t d[32])
{
    const struct alg_curve *c = alg_curve_named("P-256");
    uint8_t point[67] = {4, 65, 4}, oid[sizeof(p256_oid)], seed[40] = {1, 2, 3};
    struct ecc_point p;
    CK_OBJECT_HANDLE o = 0;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &pub_class, sizeof(pub_class)},
                        {CKA_KEY_TYPE, &ec, sizeof(ec)},
                        {CKA_EC_PARAMS, oid, sizeof(oid)},
                        {CKA_EC_POINT, point, sizeof(point)}};

    assert_int_equal(ecc_from_seed(c, bytes_of(seed, sizeof(seed)), d, &p, NULL), 0);
    memcpy(oid, p256_oid, sizeof(oid));
    memcpy(point + 3, p.x, 32);
    memcpy(point + 35, p.y, 32);
    point[66] ^= 1;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    point[66] ^= 1;
    oid[9] = 99;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_CURVE_NOT_SUPPORTED);
    oid[9] = 7;
    assert_int_equal(C_CreateObject(h, t, 4, &o), CKR_OK);
    return o;
}

static void test_signatures_are_verified_without_a_tpm(void **state)
{
    const struct alg_curve *c = alg_curve_named("P-256");
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0}, rsa = {CKM_SHA256_RSA_PKCS, NULL, 0};
    uint8_t d[32], digest[32], sig[64], data[] = "a text that was signed";
    CK_OBJECT_HANDLE key = public_key(h, d);

    (void)state;
    assert_int_equal(hash_sha256(bytes_of(data, sizeof(data)), digest, NULL), 0);
    assert_int_equal(ecc_sign(c, d, bytes_of(digest, 32), sig, NULL), 0);
    assert_int_equal(C_VerifyInit(h, &rsa, key), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(C_SignInit(h, &m, key), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(C_VerifyInit(h, &m, key + 100), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_OPERATION_ACTIVE);
    assert_int_equal(C_Verify(h, data, sizeof(data), sig, 64), CKR_OK);
    assert_int_equal(C_Verify(h, data, sizeof(data), sig, 64), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(C_VerifyUpdate(h, data, 7), CKR_OK);
    assert_int_equal(C_VerifyUpdate(h, data + 7, sizeof(data) - 7), CKR_OK);
    assert_int_equal(C_VerifyFinal(h, sig, 64), CKR_OK);
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(C_Verify(h, data, sizeof(data), sig, 63), CKR_SIGNATURE_LEN_RANGE);
    sig[5] ^= 1;
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(C_Verify(h, data, sizeof(data), sig, 64), CKR_SIGNATURE_INVALID);
    m.mechanism = CKM_ECDSA;
    m.ulParameterLen = 3;
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_ARGUMENTS_BAD);
    m.pParameter = d;
    assert_int_equal(C_VerifyInit(h, &m, key), CKR_MECHANISM_PARAM_INVALID);
}

static void test_digests_come_in_one_part_and_in_many(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_MECHANISM m = {CKM_SHA256, NULL, 0}, odd = {CKM_ECDSA, NULL, 0};
    CK_BYTE abc[] = "abc", one[32], many[32], small[4];
    CK_ULONG len = sizeof(small);

    (void)state;
    assert_int_equal(C_DigestInit(h, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_DigestInit(h, &odd), CKR_MECHANISM_INVALID);
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_Digest(h, abc, 3, small, &len), CKR_BUFFER_TOO_SMALL);
    assert_true(len == 32);
    assert_int_equal(C_Digest(h, abc, 3, NULL, &len), CKR_OK);
    assert_int_equal(C_Digest(h, abc, 3, one, &len), CKR_OK);
    assert_true(one[0] == 0xba && one[31] == 0xad);
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_DigestUpdate(h, abc, 1), CKR_OK);
    assert_int_equal(C_DigestUpdate(h, abc + 1, 2), CKR_OK);
    assert_int_equal(C_DigestFinal(h, many, &len), CKR_OK);
    assert_memory_equal(one, many, 32);
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_DigestUpdate(h, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_DigestFinal(h, many, &len), CKR_OPERATION_NOT_INITIALIZED);
}

static void test_a_saved_digest_has_a_length(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_MECHANISM m = {CKM_SHA256, NULL, 0};
    CK_BYTE saved[300], one[1] = {1};
    CK_ULONG len = sizeof(saved);

    (void)state;
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_GetOperationState(h, saved, &len), CKR_OK);
    assert_int_equal(C_SetOperationState(h, saved, len, 0, 0), CKR_OK);
    assert_int_equal(C_SetOperationState(h, saved, len + 1, 0, 0), CKR_SAVED_STATE_INVALID);
    /* Longer than any: nothing of it is read. */
    assert_int_equal(C_SetOperationState(h, one, PTRDIFF_MAX, 0, 0), CKR_SAVED_STATE_INVALID);
}

static void test_input_longer_than_any_is_not_read(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_MECHANISM m = {CKM_SHA256, NULL, 0};
    CK_BYTE one[1] = {1}, digest[32];
    CK_ULONG len = sizeof(digest);

    (void)state;
    assert_int_equal(C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(C_Digest(h, one, PTRDIFF_MAX, digest, &len), CKR_DATA_LEN_RANGE);
}

static CK_OBJECT_HANDLE aes_key(CK_SESSION_HANDLE h)
{
    static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    static CK_KEY_TYPE type = CKK_AES;
    static CK_BBOOL no = CK_FALSE;
    CK_BYTE value[16] = {1};
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_KEY_TYPE, &type, sizeof(type)},
                        {CKA_PRIVATE, &no, sizeof(no)},
                        {CKA_VALUE, value, sizeof(value)}};
    CK_OBJECT_HANDLE o = 0;

    assert_int_equal(C_CreateObject(h, t, ARRAY_LEN(t), &o), CKR_OK);
    return o;
}

/* A message in parts has one tag: its length is that of C_EncryptMessageBegin. */
static void test_the_length_of_a_tag_stays_while_a_message_lasts(void **state)
{
    static const CK_ULONG lengths[][2] = {{128, 32}, {32, 128}};
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_MECHANISM m = {CKM_AES_GCM, NULL, 0};
    CK_BYTE iv[12] = {0}, tag[16], data[4] = {0};
    CK_GCM_MESSAGE_PARAMS p = {iv, sizeof(iv), 0, CKG_NO_GENERATE, tag, 128};
    CK_OBJECT_HANDLE key = aes_key(h);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CK_BYTE *out = malloc(sizeof(data));
        CK_ULONG len = sizeof(data);

        assert_non_null(out);
        p.ulTagBits = lengths[i][0];
        assert_int_equal(C_MessageEncryptInit(h, &m, key), CKR_OK);
        assert_int_equal(C_EncryptMessageBegin(h, &p, sizeof(p), NULL, 0), CKR_OK);
        p.ulTagBits = lengths[i][1];
        assert_int_equal(C_EncryptMessageNext(h, &p, sizeof(p), data, sizeof(data), out, &len,
                                              CKF_END_OF_MESSAGE),
                         CKR_MECHANISM_PARAM_INVALID);
        p.ulTagBits = lengths[i][0];
        assert_int_equal(C_EncryptMessageNext(h, &p, sizeof(p), data, sizeof(data), out, &len,
                                              CKF_END_OF_MESSAGE),
                         CKR_OK);
        assert_int_equal(C_MessageEncryptFinal(h), CKR_OK);
        free(out);
    }
}

/* A part of a message that gives nothing back yet: who asks how much that is has not fed it. */
static void test_a_question_for_a_length_feeds_nothing(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_MECHANISM m = {CKM_AES_GCM, NULL, 0};
    CK_BYTE iv[12] = {0}, tag[16], data[5] = "text", sealed[5], out[5];
    CK_GCM_MESSAGE_PARAMS p = {iv, sizeof(iv), 0, CKG_NO_GENERATE, tag, 128};
    CK_OBJECT_HANDLE key = aes_key(h);
    CK_ULONG len = sizeof(sealed);

    (void)state;
    assert_int_equal(C_MessageEncryptInit(h, &m, key), CKR_OK);
    assert_int_equal(C_EncryptMessage(h, &p, sizeof(p), NULL, 0, data, 5, sealed, &len), CKR_OK);
    assert_int_equal(C_MessageDecryptInit(h, &m, key), CKR_OK);
    assert_int_equal(C_DecryptMessageBegin(h, &p, sizeof(p), NULL, 0), CKR_OK);
    assert_int_equal(C_DecryptMessageNext(h, &p, sizeof(p), sealed, 3, NULL, &len, 0), CKR_OK);
    assert_int_equal(len, 0);
    assert_int_equal(C_DecryptMessageNext(h, &p, sizeof(p), sealed, 3, out, &len, 0), CKR_OK);
    len = sizeof(out);
    assert_int_equal(
        C_DecryptMessageNext(h, &p, sizeof(p), sealed + 3, 2, out, &len, CKF_END_OF_MESSAGE),
        CKR_OK);
    assert_true(len == 5 && memcmp(out, data, 5) == 0);
}

/* Init of GCM has no use for a parameter, and copies none. */
static void test_a_parameter_without_use_is_not_kept(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_BYTE one[1] = {0};
    CK_MECHANISM m = {CKM_AES_GCM, one, (CK_ULONG)PTRDIFF_MAX / 8};

    (void)state;
    assert_int_equal(C_MessageEncryptInit(h, &m, aes_key(h)), CKR_OK);
    assert_int_equal(C_MessageEncryptFinal(h), CKR_OK);
}

static void test_without_a_tpm_the_call_fails_and_the_session_lives(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    CK_BYTE random[8];
    CK_RV rv = C_GenerateRandom(h, random, 8);

    (void)state;
    assert_true(rv == CKR_DEVICE_REMOVED || rv == CKR_DEVICE_ERROR);
    assert_int_equal(C_GenerateRandom(h, NULL, 8), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_SeedRandom(h, random, 8), CKR_RANDOM_SEED_NOT_SUPPORTED);
    assert_int_equal(unit_module_count(h, NULL, 0), 0);
}

#define TOKEN(t) cmocka_unit_test_setup_teardown(t, unit_module_without_tpm, unit_module_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOKEN(test_who_may_make_objects),
        TOKEN(test_token_objects_outlive_the_process_and_session_objects_do_not),
        TOKEN(test_attributes_are_answered_one_by_one),
        TOKEN(test_labels_can_be_changed_and_classes_cannot),
        TOKEN(test_searches_for_what_nobody_has_are_empty),
        TOKEN(test_objects_of_another_process_appear),
        TOKEN(test_a_certificate_brings_its_names_and_finds_its_id),
        TOKEN(test_a_serial_number_without_header_becomes_der),
        TOKEN(test_only_the_so_may_say_trusted),
        TOKEN(test_signatures_are_verified_without_a_tpm),
        TOKEN(test_digests_come_in_one_part_and_in_many),
        TOKEN(test_a_saved_digest_has_a_length),
        TOKEN(test_the_length_of_a_tag_stays_while_a_message_lasts),
        TOKEN(test_input_longer_than_any_is_not_read),
        TOKEN(test_a_question_for_a_length_feeds_nothing),
        TOKEN(test_a_parameter_without_use_is_not_kept),
        TOKEN(test_without_a_tpm_the_call_fails_and_the_session_lives),
    };

    return cmocka_run_group_tests_name("pkcs11_objects", tests, NULL, NULL);
}
