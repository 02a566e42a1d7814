/* The module's functions over a store with one token and no TPM: what must work, or
 * fail properly, without sending anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/ecc.h"
#include "core/hash.h"
#include "pkcs11/p11.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#define EMPTY_SLOT 0x7fffffffUL

static CK_FUNCTION_LIST *f;
static CK_BBOOL yes = CK_TRUE;
static CK_OBJECT_CLASS cert_class = CKO_CERTIFICATE, data_class = CKO_DATA,
                       pub_class = CKO_PUBLIC_KEY;
static CK_CERTIFICATE_TYPE x509 = CKC_X_509;
static CK_KEY_TYPE ec = CKK_EC;

static int with_settings(void **state)
{
    if (unit_dir_make(state) != 0)
        return -1;
    setenv("FUSETSU_STORE", unit_dir_at("store.db"), 1);
    setenv("FUSETSU_TCTI", "device:/nonexistent/tpm", 1);
    setenv("FUSETSU_LOG", "silent", 1);
    unsetenv("FUSETSU_CONF");
    setenv("HOME", unit_dir(), 1);
    setenv("XDG_CONFIG_HOME", unit_dir(), 1);
    return C_GetFunctionList(&f) == CKR_OK ? 0 : -1;
}

static int end(void **state)
{
    f->C_Finalize(NULL);
    return unit_dir_remove(state);
}

/* The same, with a token in the store and the module initialised. */
static int with_token(void **state)
{
    struct store *s;

    if (with_settings(state) != 0)
        return -1;
    s = unit_store_open(STORE_CREATE);
    if (unit_store_token(s, UNIT_SERIAL, NULL) != 1)
        return -1;
    store_close(s);
    return f->C_Initialize(NULL) == CKR_OK ? 0 : -1;
}

static CK_SESSION_HANDLE open_session(bool rw)
{
    CK_SESSION_HANDLE h = 0;

    assert_int_equal(
        f->C_OpenSession(1, CKF_SERIAL_SESSION | (rw ? CKF_RW_SESSION : 0), NULL, NULL, &h),
        CKR_OK);
    return h;
}

/* --- C_Initialize -------------------------------------------------------- */

static int locks, unlocks;
static CK_RV make_mutex(void **m)
{
    *m = &locks;
    return CKR_OK;
}
static CK_RV end_mutex(void *m)
{
    return m == &locks ? CKR_OK : CKR_MUTEX_BAD;
}
static CK_RV lock_mutex(void *m)
{
    locks++;
    return m == &locks ? CKR_OK : CKR_MUTEX_BAD;
}
static CK_RV unlock_mutex(void *m)
{
    unlocks++;
    return m == &locks ? CKR_OK : CKR_MUTEX_BAD;
}

static void test_all_four_forms_of_threading_are_taken(void **state)
{
    CK_C_INITIALIZE_ARGS a = {0};
    CK_INFO info;

    (void)state;
    assert_int_equal(f->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    assert_int_equal(f->C_Finalize(&a), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    assert_int_equal(f->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    for (CK_FLAGS flags = 0; flags <= 3; flags++) {
        a.flags = flags;
        assert_int_equal(f->C_Initialize(&a), CKR_OK);
        assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    }
    a.flags = 0;
    a.LockMutex = lock_mutex;
    assert_int_equal(f->C_Initialize(&a), CKR_ARGUMENTS_BAD);
    a = (CK_C_INITIALIZE_ARGS){make_mutex, end_mutex, lock_mutex, unlock_mutex, 0, NULL};
    assert_int_equal(f->C_Initialize(&a), CKR_OK);
    assert_int_equal(f->C_GetInfo(&info), CKR_OK);
    assert_int_equal(f->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    assert_true(locks == 3 && unlocks == 3);
    a.pReserved = &a;
    assert_int_equal(f->C_Initialize(&a), CKR_ARGUMENTS_BAD);
}

static void test_without_a_store_there_is_a_place_for_the_first_token(void **state)
{
    CK_SLOT_ID id[4];
    CK_ULONG n = 4;
    CK_TOKEN_INFO t;
    CK_SESSION_HANDLE h;

    (void)state;
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
    assert_true(n == 1 && id[0] == EMPTY_SLOT);
    assert_int_equal(f->C_GetTokenInfo(id[0], &t), CKR_OK);
    assert_int_equal(t.flags & CKF_TOKEN_INITIALIZED, 0);
    assert_int_equal(f->C_OpenSession(id[0], CKF_SERIAL_SESSION, NULL, NULL, &h),
                     CKR_TOKEN_NOT_RECOGNIZED);
    /* Looking makes no file. */
    assert_int_not_equal(access(unit_dir_at("store.db"), F_OK), 0);
}

static void test_a_token_that_another_process_makes_appears(void **state)
{
    CK_SLOT_ID id[4];
    CK_ULONG n = 0;
    struct store *s;

    (void)state;
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    s = unit_store_open(STORE_CREATE);
    assert_int_equal(unit_store_token(s, UNIT_SERIAL, NULL), 1);
    store_close(s);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    n = 4;
    assert_int_equal(f->C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
    assert_true(n == 1 && id[0] == 1);
}

static void test_a_store_that_cannot_be_read_gives_a_slot_without_token(void **state)
{
    FILE *file = fopen(unit_dir_at("store.db"), "w");
    CK_SLOT_ID id[2];
    CK_ULONG n = 2;
    CK_TOKEN_INFO t;
    CK_SLOT_INFO s;

    (void)state;
    fputs("This is a text and no store at all, long enough to be looked at as a database.", file);
    fclose(file);
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
    assert_true(n == 0);
    n = 2;
    assert_int_equal(f->C_GetSlotList(CK_FALSE, id, &n), CKR_OK);
    assert_true(n == 1);
    assert_int_equal(f->C_GetSlotInfo(id[0], &s), CKR_OK);
    assert_int_equal(s.flags & CKF_TOKEN_PRESENT, 0);
    assert_memory_equal(s.slotDescription, "no token", 8);
    assert_int_equal(f->C_GetTokenInfo(id[0], &t), CKR_TOKEN_NOT_PRESENT);
}

static void test_bad_settings_do_not_keep_applications_from_starting(void **state)
{
    CK_ULONG n = 0;

    (void)state;
    setenv("FUSETSU_CONF", "/nonexistent/fusetsu.conf", 1);
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    assert_true(n == 0);
}

/* --- slots and sessions -------------------------------------------------- */

static void test_token_info_comes_from_the_store(void **state)
{
    CK_TOKEN_INFO t;

    (void)state;
    assert_int_equal(f->C_GetTokenInfo(1, &t), CKR_OK);
    assert_memory_equal(t.serialNumber, UNIT_SERIAL, 16);
    assert_memory_equal(t.manufacturerID, "fusetsu ", 8);
    assert_true((t.flags & CKF_TOKEN_INITIALIZED) != 0 && (t.flags & CKF_LOGIN_REQUIRED) != 0);
    assert_int_equal(f->C_GetTokenInfo(2, &t), CKR_SLOT_ID_INVALID);
    assert_int_equal(f->C_GetTokenInfo(1, NULL), CKR_ARGUMENTS_BAD);
}

static void test_sessions_follow_the_rules(void **state)
{
    CK_SESSION_HANDLE h = 0, h2;
    CK_SESSION_INFO i;

    (void)state;
    assert_int_equal(f->C_OpenSession(1, 0, NULL, NULL, &h), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    assert_int_equal(f->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_OpenSession(99, CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_SLOT_ID_INVALID);
    h = open_session(false);
    h2 = open_session(true);
    assert_int_equal(f->C_GetSessionInfo(h, &i), CKR_OK);
    assert_true(i.state == CKS_RO_PUBLIC_SESSION && i.slotID == 1);
    assert_int_equal(f->C_GetSessionInfo(h2, &i), CKR_OK);
    assert_true(i.state == CKS_RW_PUBLIC_SESSION);
    assert_int_equal(f->C_CloseSession(h), CKR_OK);
    assert_int_equal(f->C_CloseSession(h), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(f->C_CloseAllSessions(1), CKR_OK);
    assert_int_equal(f->C_GetSessionInfo(h2, &i), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(f->C_CloseAllSessions(77), CKR_SLOT_ID_INVALID);
}

static void test_the_so_needs_read_write_sessions_only(void **state)
{
    CK_SESSION_HANDLE h = open_session(false);
    CK_UTF8CHAR pin[] = "12345678", label[] = "a label has thirty-two bytes....";

    (void)state;
    assert_int_equal(f->C_Login(h, CKU_SO, pin, 8), CKR_SESSION_READ_ONLY_EXISTS);
    assert_int_equal(f->C_Login(h, 7, pin, 8), CKR_USER_TYPE_INVALID);
    assert_int_equal(f->C_Login(h, CKU_CONTEXT_SPECIFIC, pin, 8), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(f->C_Login(h, CKU_USER, NULL, 8), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_Logout(h), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(f->C_InitPIN(h, pin, 8), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(f->C_SetPIN(h, pin, 8, pin, 8), CKR_SESSION_READ_ONLY);
    assert_int_equal(f->C_InitToken(1, pin, 8, label), CKR_SESSION_EXISTS);
}

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

    return f->C_CreateObject(h, t, 5, o);
}

static CK_ULONG count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
    CK_OBJECT_HANDLE o[64];
    CK_ULONG found = 0;

    assert_int_equal(f->C_FindObjectsInit(h, t, n), CKR_OK);
    assert_int_equal(f->C_FindObjectsInit(h, t, n), CKR_OPERATION_ACTIVE);
    assert_int_equal(f->C_FindObjects(h, o, 64, &found), CKR_OK);
    assert_int_equal(f->C_FindObjectsFinal(h), CKR_OK);
    return found;
}

static void test_who_may_make_objects(void **state)
{
    CK_SESSION_HANDLE ro = open_session(false), rw = open_session(true);
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(ro, true, false, &o), CKR_SESSION_READ_ONLY);
    assert_int_equal(make_data(rw, true, true, &o), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(make_data(ro, false, false, &o), CKR_OK);
    assert_int_equal(make_data(rw, true, false, &o), CKR_OK);
    assert_int_equal(count(ro, NULL, 0), 2);
    assert_int_equal(f->C_DestroyObject(ro, o), CKR_SESSION_READ_ONLY);
    assert_int_equal(f->C_CloseSession(ro), CKR_OK);
    assert_int_equal(count(rw, NULL, 0), 1);
    assert_int_equal(f->C_DestroyObject(rw, o), CKR_OK);
    assert_int_equal(f->C_DestroyObject(rw, o), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(count(rw, NULL, 0), 0);
}

static void test_token_objects_outlive_the_process_and_session_objects_do_not(void **state)
{
    CK_SESSION_HANDLE h = open_session(true);
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(h, true, false, &o), CKR_OK);
    assert_int_equal(make_data(h, false, false, &o), CKR_OK);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    h = open_session(false);
    assert_int_equal(count(h, NULL, 0), 1);
}

static void test_attributes_are_answered_one_by_one(void **state)
{
    CK_SESSION_HANDLE h = open_session(false);
    char label[8], small[2];
    CK_BBOOL token = 7;
    CK_OBJECT_CLASS class = 0;
    CK_OBJECT_HANDLE o;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_MODULUS, label, sizeof(label)},
                        {CKA_VALUE, small, sizeof(small)},  {CKA_LABEL, label, sizeof(label)},
                        {CKA_TOKEN, &token, sizeof(token)}, {CKA_APPLICATION, NULL, 0}};

    (void)state;
    assert_int_equal(make_data(h, false, false, &o), CKR_OK);
    assert_int_equal(f->C_GetAttributeValue(h, o, t, 6), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_true(class == CKO_DATA && token == CK_FALSE);
    assert_true(t[1].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    assert_true(t[2].ulValueLen == CK_UNAVAILABLE_INFORMATION);
    assert_true(t[3].ulValueLen == 4 && memcmp(label, "note", 4) == 0);
    assert_true(t[5].ulValueLen == 0);
    assert_int_equal(f->C_GetAttributeValue(h, o, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_GetAttributeValue(h, o + 1, t, 1), CKR_OBJECT_HANDLE_INVALID);
}

static void test_labels_can_be_changed_and_classes_cannot(void **state)
{
    CK_SESSION_HANDLE h = open_session(true);
    char name[] = "renamed";
    CK_ATTRIBUTE label = {CKA_LABEL, name, 7};
    CK_ATTRIBUTE class = {CKA_CLASS, &cert_class, sizeof(cert_class)};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(h, true, false, &o), CKR_OK);
    assert_int_equal(f->C_SetAttributeValue(h, o, &class, 1), CKR_ATTRIBUTE_READ_ONLY);
    assert_int_equal(f->C_SetAttributeValue(h, o, &label, 1), CKR_OK);
    assert_int_equal(count(h, &label, 1), 1);
    label.ulValueLen = 0;
    assert_int_equal(f->C_SetAttributeValue(h, o, &label, 1), CKR_OK);
    assert_int_equal(count(h, &label, 1), 1);
}

static void test_searches_for_what_nobody_has_are_empty(void **state)
{
    static CK_OBJECT_CLASS classes[] = {CKO_DOMAIN_PARAMETERS, CKO_SECRET_KEY,
                                        CKO_VENDOR_DEFINED | 0x53UL, CKO_HW_FEATURE, CKO_OTP_KEY};
    CK_SESSION_HANDLE h = open_session(true);
    CK_ATTRIBUTE odd = {CKA_VENDOR_DEFINED | 0xce534351UL, NULL, 0};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(make_data(h, true, false, &o), CKR_OK);
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        CK_ATTRIBUTE t = {CKA_CLASS, &classes[i], sizeof(classes[i])};

        assert_int_equal(count(h, &t, 1), 0);
        t.ulValueLen = 3;
        assert_int_equal(count(h, &t, 1), 0);
    }
    assert_int_equal(count(h, &odd, 1), 0);
    assert_int_equal(f->C_FindObjectsInit(h, NULL, 3), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_FindObjects(h, &o, 1, NULL), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(f->C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void test_objects_of_another_process_appear(void **state)
{
    CK_SESSION_HANDLE h = open_session(false);
    struct store *s;

    (void)state;
    assert_int_equal(count(h, NULL, 0), 0);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(unit_store_object(s, 1, 10, NULL), 0);
    store_close(s);
    assert_int_equal(count(h, NULL, 0), 1);
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
    CK_SESSION_HANDLE h = open_session(true);
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
    assert_int_equal(f->C_CreateObject(h, t, 5, &o), CKR_TEMPLATE_INCONSISTENT);
    assert_int_equal(f->C_CreateObject(h, t, 3, &o), CKR_TEMPLATE_INCOMPLETE);
    t[3].ulValueLen--;
    assert_int_equal(f->C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    t[3].ulValueLen++;
    assert_int_equal(f->C_CreateObject(h, t, 4, &o), CKR_OK);
    assert_int_equal(count(h, &by_serial, 1), 1);
    assert_int_equal(f->C_GetAttributeValue(h, o, ask, 2), CKR_OK);
    assert_true(ask[0].ulValueLen == 20 && subject[0] == 0x30);
    /* An ID can be given and wins. */
    t[4] = (CK_ATTRIBUTE){CKA_ID, id, 2};
    assert_int_equal(f->C_CreateObject(h, t, 5, &o), CKR_OK);
    ask[0].ulValueLen = sizeof(id);
    assert_int_equal(f->C_GetAttributeValue(h, o, ask, 1), CKR_OK);
    assert_true(ask[0].ulValueLen == 2);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static void test_only_the_so_may_say_trusted(void **state)
{
    CK_SESSION_HANDLE h = open_session(true);
    EVP_PKEY *key = key_pair();
    int len;
    unsigned char *der = certificate(key, &len);
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &cert_class, sizeof(cert_class)},
                        {CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)},
                        {CKA_VALUE, der, (CK_ULONG)len},
                        {CKA_TRUSTED, &yes, 1}};
    CK_OBJECT_HANDLE o;

    (void)state;
    assert_int_equal(f->C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_READ_ONLY);
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
    assert_int_equal(f->C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    point[66] ^= 1;
    oid[9] = 99;
    assert_int_equal(f->C_CreateObject(h, t, 4, &o), CKR_CURVE_NOT_SUPPORTED);
    oid[9] = 7;
    assert_int_equal(f->C_CreateObject(h, t, 4, &o), CKR_OK);
    return o;
}

static void test_signatures_are_verified_without_a_tpm(void **state)
{
    const struct alg_curve *c = alg_curve_named("P-256");
    CK_SESSION_HANDLE h = open_session(false);
    CK_MECHANISM m = {CKM_ECDSA_SHA256, NULL, 0}, rsa = {CKM_SHA256_RSA_PKCS, NULL, 0};
    uint8_t d[32], digest[32], sig[64], data[] = "a text that was signed";
    CK_OBJECT_HANDLE key = public_key(h, d);

    (void)state;
    assert_int_equal(hash_sha256(bytes_of(data, sizeof(data)), digest, NULL), 0);
    assert_int_equal(ecc_sign(c, d, bytes_of(digest, 32), sig, NULL), 0);
    assert_int_equal(f->C_VerifyInit(h, &rsa, key), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(f->C_SignInit(h, &m, key), CKR_KEY_TYPE_INCONSISTENT);
    assert_int_equal(f->C_VerifyInit(h, &m, key + 100), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_OPERATION_ACTIVE);
    assert_int_equal(f->C_Verify(h, data, sizeof(data), sig, 64), CKR_OK);
    assert_int_equal(f->C_Verify(h, data, sizeof(data), sig, 64), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(f->C_VerifyUpdate(h, data, 7), CKR_OK);
    assert_int_equal(f->C_VerifyUpdate(h, data + 7, sizeof(data) - 7), CKR_OK);
    assert_int_equal(f->C_VerifyFinal(h, sig, 64), CKR_OK);
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(f->C_Verify(h, data, sizeof(data), sig, 63), CKR_SIGNATURE_LEN_RANGE);
    sig[5] ^= 1;
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_OK);
    assert_int_equal(f->C_Verify(h, data, sizeof(data), sig, 64), CKR_SIGNATURE_INVALID);
    m.mechanism = CKM_ECDSA;
    m.ulParameterLen = 3;
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_ARGUMENTS_BAD);
    m.pParameter = d;
    assert_int_equal(f->C_VerifyInit(h, &m, key), CKR_MECHANISM_PARAM_INVALID);
}

static void test_digests_come_in_one_part_and_in_many(void **state)
{
    CK_SESSION_HANDLE h = open_session(false);
    CK_MECHANISM m = {CKM_SHA256, NULL, 0}, odd = {CKM_ECDSA, NULL, 0};
    CK_BYTE abc[] = "abc", one[32], many[32], small[4];
    CK_ULONG len = sizeof(small);

    (void)state;
    assert_int_equal(f->C_DigestInit(h, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_DigestInit(h, &odd), CKR_MECHANISM_INVALID);
    assert_int_equal(f->C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(f->C_Digest(h, abc, 3, small, &len), CKR_BUFFER_TOO_SMALL);
    assert_true(len == 32);
    assert_int_equal(f->C_Digest(h, abc, 3, NULL, &len), CKR_OK);
    assert_int_equal(f->C_Digest(h, abc, 3, one, &len), CKR_OK);
    assert_true(one[0] == 0xba && one[31] == 0xad);
    assert_int_equal(f->C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(f->C_DigestUpdate(h, abc, 1), CKR_OK);
    assert_int_equal(f->C_DigestUpdate(h, abc + 1, 2), CKR_OK);
    assert_int_equal(f->C_DigestFinal(h, many, &len), CKR_OK);
    assert_memory_equal(one, many, 32);
    assert_int_equal(f->C_DigestInit(h, &m), CKR_OK);
    assert_int_equal(f->C_DigestUpdate(h, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_DigestFinal(h, many, &len), CKR_OPERATION_NOT_INITIALIZED);
}

static void test_without_a_tpm_the_call_fails_and_the_session_lives(void **state)
{
    CK_SESSION_HANDLE h = open_session(true);
    CK_BYTE random[8];
    CK_RV rv = f->C_GenerateRandom(h, random, 8);

    (void)state;
    assert_true(rv == CKR_DEVICE_REMOVED || rv == CKR_DEVICE_ERROR);
    assert_int_equal(f->C_GenerateRandom(h, NULL, 8), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_SeedRandom(h, random, 8), CKR_RANDOM_SEED_NOT_SUPPORTED);
    assert_int_equal(count(h, NULL, 0), 0);
}

static void test_the_module_shows_what_it_is_to_who_asks(void **state)
{
    CK_SESSION_HANDLE h = open_session(false);
    CK_OBJECT_CLASS class = CKO_PROFILE;
    CK_ULONG profile = CKP_EXTENDED_PROVIDER;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_PROFILE_ID, &profile, sizeof(profile)}};
    CK_ULONG mechs = 0, n;
    CK_SLOT_ID slot;
    CK_OBJECT_HANDLE o;

    (void)state;
    n = 1;
    assert_int_equal(f->C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    assert_int_equal(f->C_GetMechanismList(slot, NULL, &mechs), CKR_OK);
    assert_int_equal(count(h, t, 1), 2);
    assert_int_equal(count(h, t, 2), 1);
    assert_int_equal(count(h, &t[1], 1), 0); /* only by class */
    class = CKO_MECHANISM;
    assert_int_equal(count(h, t, 1), mechs);
    class = CKO_PROFILE;
    assert_int_equal(f->C_FindObjectsInit(h, t, 2), CKR_OK);
    assert_int_equal(f->C_FindObjects(h, &o, 1, &n), CKR_OK);
    assert_int_equal(f->C_FindObjectsFinal(h), CKR_OK);
    assert_int_equal(f->C_DestroyObject(h, o), CKR_ACTION_PROHIBITED);
    assert_int_equal(f->C_CopyObject(h, o, NULL, 0, &o), CKR_ACTION_PROHIBITED);
}

/* --- slots that come and go ------------------------------------------------ */

static void *wait_for_event(void *out)
{
    CK_SLOT_ID slot = 0;

    *(CK_RV *)out = f->C_WaitForSlotEvent(0, &slot, NULL);
    return NULL;
}

static void test_a_token_of_another_process_is_an_event(void **state)
{
    struct store_token t = {.label = "second", .serial = "00000000000000ff"};
    struct store *s = NULL;
    CK_SLOT_ID slot = 0, list[4];
    CK_ULONG n = 4;
    CK_RV waited = 1;
    pthread_t waiter;

    (void)state;
    assert_int_equal(f->C_GetSlotList(CK_FALSE, list, &n), CKR_OK);
    assert_int_equal(f->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    assert_int_equal(f->C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(f->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &n), CKR_ARGUMENTS_BAD);
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, &waited), 0);
    assert_int_equal(store_open(&s, unit_dir_at("store.db"), STORE_WRITE, NULL), 0);
    t.tpm = 1;
    assert_int_equal(store_token_put(s, &t, NULL), 0);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_int_equal(waited, CKR_OK);
    assert_int_equal(f->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    assert_int_equal(store_token_delete(s, t.id, NULL), 0);
    assert_int_equal(f->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_OK);
    assert_true(slot == (CK_SLOT_ID)t.id);
    store_close(s);
}

static void test_the_end_of_the_library_ends_the_wait(void **state)
{
    CK_RV waited = CKR_OK;
    pthread_t waiter;

    (void)state;
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, &waited), 0);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_int_equal(waited, CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
}

/* --- fork ---------------------------------------------------------------- */

static void test_the_child_of_a_fork_starts_clean(void **state)
{
    CK_SESSION_HANDLE h = open_session(true);
    CK_SESSION_INFO i;
    int status = -1;
    pid_t child;

    (void)state;
    assert_int_equal(count(h, NULL, 0), 0);
    child = fork();
    if (child == 0) {
        if (f->C_GetSessionInfo(h, &i) != CKR_CRYPTOKI_NOT_INITIALIZED)
            _exit(1);
        if (f->C_Initialize(NULL) != CKR_OK)
            _exit(2);
        if (f->C_GetSessionInfo(h, &i) != CKR_SESSION_HANDLE_INVALID)
            _exit(3);
        _exit(f->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &h) == CKR_OK ? 0 : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(f->C_GetSessionInfo(h, &i), CKR_OK);
    assert_int_equal(count(h, NULL, 0), 0);
}

#define BARE(t) cmocka_unit_test_setup_teardown(t, with_settings, end)
#define TOKEN(t) cmocka_unit_test_setup_teardown(t, with_token, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BARE(test_all_four_forms_of_threading_are_taken),
        BARE(test_without_a_store_there_is_a_place_for_the_first_token),
        BARE(test_a_token_that_another_process_makes_appears),
        BARE(test_a_store_that_cannot_be_read_gives_a_slot_without_token),
        BARE(test_bad_settings_do_not_keep_applications_from_starting),
        TOKEN(test_token_info_comes_from_the_store),
        TOKEN(test_sessions_follow_the_rules),
        TOKEN(test_the_so_needs_read_write_sessions_only),
        TOKEN(test_who_may_make_objects),
        TOKEN(test_token_objects_outlive_the_process_and_session_objects_do_not),
        TOKEN(test_attributes_are_answered_one_by_one),
        TOKEN(test_labels_can_be_changed_and_classes_cannot),
        TOKEN(test_searches_for_what_nobody_has_are_empty),
        TOKEN(test_objects_of_another_process_appear),
        TOKEN(test_a_certificate_brings_its_names_and_finds_its_id),
        TOKEN(test_only_the_so_may_say_trusted),
        TOKEN(test_signatures_are_verified_without_a_tpm),
        TOKEN(test_digests_come_in_one_part_and_in_many),
        TOKEN(test_without_a_tpm_the_call_fails_and_the_session_lives),
        TOKEN(test_the_module_shows_what_it_is_to_who_asks),
        TOKEN(test_a_token_of_another_process_is_an_event),
        TOKEN(test_the_end_of_the_library_ends_the_wait),
        TOKEN(test_the_child_of_a_fork_starts_clean),
    };

    return cmocka_run_group_tests_name("pkcs11_api", tests, NULL, NULL);
}
