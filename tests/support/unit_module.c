#include "tests/support/unit_module.h"

#include "pkcs11/entry.h"
#include "pkcs11/inprocess.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"
#include "tests/support/unit_tpm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

CK_SESSION_HANDLE unit_session;
static CK_SLOT_ID slot;

/* --- without a TPM ------------------------------------------------------------- */

static int settings(void **state)
{
    if (unit_dir_make(state) != 0)
        return -1;
    setenv("FUSETSU_STORE", unit_dir_at("store.db"), 1);
    setenv("FUSETSU_LOG", "silent", 1);
    unsetenv("FUSETSU_CONF");
    setenv("HOME", unit_dir(), 1);
    setenv("XDG_CONFIG_HOME", unit_dir(), 1);
    return 0;
}

int unit_module_bare(void **state)
{
    setenv("FUSETSU_TCTI", "device:/nonexistent/tpm", 1);
    slot = 1;
    return settings(state);
}

int unit_module_without_tpm(void **state)
{
    struct store *s;

    if (unit_module_bare(state) != 0)
        return -1;
    s = unit_store_open(STORE_CREATE);
    if (unit_store_token(s, UNIT_SERIAL, NULL) != 1)
        return -1;
    store_close(s);
    return C_Initialize(NULL) == CKR_OK ? 0 : -1;
}

int unit_module_end(void **state)
{
    C_Finalize(NULL);
    return unit_dir_remove(state);
}

/* --- with a TPM --------------------------------------------------------------- */

static CK_RV log_in(CK_SESSION_HANDLE h, CK_USER_TYPE who, const char *pin)
{
    CK_UTF8CHAR copy[32];

    snprintf((char *)copy, sizeof(copy), "%s", pin);
    return C_Login(h, who, copy, (CK_ULONG)strlen(pin));
}

CK_RV unit_module_login(CK_SESSION_HANDLE h)
{
    return log_in(h, CKU_USER, UNIT_PIN);
}

CK_SESSION_HANDLE unit_module_open(bool rw)
{
    CK_SESSION_HANDLE h = 0;

    assert_int_equal(
        C_OpenSession(slot, CKF_SERIAL_SESSION | (rw ? CKF_RW_SESSION : 0), NULL, NULL, &h),
        CKR_OK);
    return h;
}

void unit_module_again(bool login)
{
    CK_ULONG n = 1;

    C_Finalize(NULL);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    unit_session = unit_module_open(true);
    if (login)
        assert_int_equal(unit_module_login(unit_session), CKR_OK);
}

int unit_module_begin(void **state)
{
    CK_UTF8CHAR label[] = "module test                     ", so_pin[] = UNIT_SO_PIN,
                pin[] = UNIT_PIN;
    CK_ULONG n = 1;

    if (settings(state) != 0)
        return -1;
    (void)p11_inprocess();
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    assert_int_equal(C_InitToken(slot, so_pin, UNIT_LEN(UNIT_SO_PIN), label), CKR_OK);
    unit_session = unit_module_open(true);
    assert_int_equal(log_in(unit_session, CKU_SO, UNIT_SO_PIN), CKR_OK);
    assert_int_equal(C_InitPIN(unit_session, pin, UNIT_LEN(UNIT_PIN)), CKR_OK);
    unit_module_again(true);
    return 0;
}

int unit_module_erase(void **state)
{
    struct token *k;

    unit_module_again(false);
    /* The TPM is used by other runs of this test: leave no NV indices behind. */
    if (log_in(unit_session, CKU_SO, UNIT_SO_PIN) == CKR_OK &&
        (k = p11_session_token(unit_session)) != NULL)
        (void)(token_erase(k, NULL) != 0);
    return unit_module_end(state);
}

void unit_module_relogin(void)
{
    assert_int_equal(C_Logout(unit_session), CKR_OK);
    assert_int_equal(unit_module_login(unit_session), CKR_OK);
}

/* --- other processes, and the spy ------------------------------------------------- */

static struct unit_tpm spied; /* for its directory, and the spy's TCTI once it is there */
static long counted;          /* bytes of the log */

static const char *spy(void)
{
    if (spied.tcti[0] == '\0') {
        snprintf(spied.dir, sizeof(spied.dir), "%s", unit_dir());
        (void)unit_spy(&spied, false);
    }
    return spied.tcti;
}

void unit_module_spied(void)
{
    setenv("FUSETSU_TCTI", spy(), 1);
    unit_module_again(true);
    (void)unit_module_sent();
}

size_t unit_module_sent(void)
{
    FILE *f = fopen(unit_dir_at("spy.log"), "r");
    char line[256];
    size_t n = 0;

    if (f == NULL)
        return 0;
    assert_int_equal(fseek(f, counted, SEEK_SET), 0);
    while (fgets(line, sizeof(line), f) != NULL)
        n += strstr(line, " rc=0x922 ") == NULL;
    counted = ftell(f);
    fclose(f);
    return n;
}

void unit_module_in_child(const char *fault, const char *cc, int (*f)(void))
{
    char value[32];
    int status = -1;
    pid_t child;

    if (fault != NULL)
        (void)spy();
    C_Finalize(NULL);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        CK_ULONG n = 1;
        int rc = 99;

        if (fault != NULL) {
            snprintf(value, sizeof(value), "1+:%s", fault);
            setenv("SPY_FAIL", value, 1);
            setenv("SPY_FAIL_CC", cc, 1);
            setenv("FUSETSU_TCTI", spied.tcti, 1);
        }
        if (C_Initialize(NULL) == CKR_OK && C_GetSlotList(CK_TRUE, &slot, &n) == CKR_OK &&
            C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &unit_session) ==
                CKR_OK)
            rc = f();
        C_Finalize(NULL);
        _exit(rc);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    unit_module_again(true);
    assert_int_equal(status, 0);
}

/* --- objects ------------------------------------------------------------------ */

CK_ULONG unit_module_count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
    CK_OBJECT_HANDLE o[128];
    CK_ULONG found = 0;

    assert_int_equal(C_FindObjectsInit(h, t, n), CKR_OK);
    assert_int_equal(C_FindObjectsInit(h, t, n), CKR_OPERATION_ACTIVE);
    assert_int_equal(C_FindObjects(h, o, ARRAY_LEN(o), &found), CKR_OK);
    assert_int_equal(C_FindObjectsFinal(h), CKR_OK);
    return found;
}

CK_OBJECT_HANDLE unit_module_find(CK_OBJECT_CLASS class, const char *label)
{
    CK_ATTRIBUTE t[] = {T_NUM(CKA_CLASS, class), T_TEXT(CKA_LABEL, label)};
    CK_OBJECT_HANDLE o[2] = {0};
    CK_ULONG n = 0;

    assert_int_equal(C_FindObjectsInit(unit_session, t, 2), CKR_OK);
    assert_int_equal(C_FindObjects(unit_session, o, 2, &n), CKR_OK);
    assert_int_equal(C_FindObjectsFinal(unit_session), CKR_OK);
    assert_true(n == 1);
    return o[0];
}

bool unit_module_true(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL v = 7;
    CK_ATTRIBUTE a = {type, &v, 1};

    assert_int_equal(C_GetAttributeValue(unit_session, o, &a, 1), CKR_OK);
    assert_true(v == CK_TRUE || v == CK_FALSE);
    return v == CK_TRUE;
}

CK_ULONG unit_module_number(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
    CK_ULONG v = 0;
    CK_ATTRIBUTE a = {type, &v, sizeof(v)};

    assert_int_equal(C_GetAttributeValue(unit_session, o, &a, 1), CKR_OK);
    return v;
}

size_t unit_module_bytes(CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, uint8_t *out)
{
    CK_ATTRIBUTE a = {type, out, 1024};

    assert_int_equal(C_GetAttributeValue(unit_session, o, &a, 1), CKR_OK);
    return (size_t)a.ulValueLen;
}

const struct object *unit_module_object(CK_OBJECT_HANDLE o)
{
    struct p11_session *s = NULL;
    const struct object *found;

    assert_int_equal(entry_session(unit_session, &s), CKR_OK);
    found = s->slot->index != NULL ? index_get(s->slot->index, o) : NULL;
    assert_int_equal(entry_end(CKR_OK), CKR_OK);
    assert_non_null(found);
    return found;
}

bool unit_module_in_tpm(CK_OBJECT_HANDLE o)
{
    const struct object *p = unit_module_object(o);

    return p->row.has_key && p->value == NULL;
}

bool unit_module_in_memory(CK_OBJECT_HANDLE o)
{
    const struct object *p = unit_module_object(o);

    return !p->row.has_key && p->key == NULL && p->value != NULL && p->session != 0;
}

void unit_module_destroy(CK_OBJECT_HANDLE o)
{
    assert_int_equal(C_DestroyObject(unit_session, o), CKR_OK);
}

/* --- keys ----------------------------------------------------------------------- */

CK_OBJECT_HANDLE unit_module_secret(CK_KEY_TYPE type, struct bytes value, unsigned kind)
{
    CK_ATTRIBUTE t[] = {
        T_NUM(CKA_CLASS, CKO_SECRET_KEY),
        T_NUM(CKA_KEY_TYPE, type),
        T_BYTES(CKA_VALUE, value.p, value.len),
        T_BOOL(CKA_TOKEN, (kind & UNIT_TOKEN) != 0),
        T_BOOL(CKA_EXTRACTABLE, (kind & UNIT_LEAVES) != 0),
        T_BOOL(CKA_SENSITIVE, (kind & UNIT_SHOWN) == 0),
        T_BOOL(CKA_SIGN, true),
        T_BOOL(CKA_VERIFY, true),
        T_BOOL(CKA_ENCRYPT, type == CKK_AES),
        T_BOOL(CKA_DECRYPT, type == CKK_AES),
        T_BOOL(CKA_DERIVE, true),
        T_BOOL(CKA_WRAP, true),
        T_BOOL(CKA_UNWRAP, true),
    };
    CK_OBJECT_HANDLE o = 0;

    assert_int_equal(C_CreateObject(unit_session, t, ARRAY_LEN(t), &o), CKR_OK);
    return o;
}

CK_RV unit_module_pair(CK_KEY_TYPE type, CK_ATTRIBUTE *extra, CK_ULONG n, CK_OBJECT_HANDLE *pub,
                       CK_OBJECT_HANDLE *priv)
{
    static const uint8_t p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    bool rsa = type == CKK_RSA;
    CK_MECHANISM m = {rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE bits = T_NUM(CKA_MODULUS_BITS, 2048);
    CK_ATTRIBUTE curve = T_BYTES(CKA_EC_PARAMS, p256, sizeof(p256));
    CK_ATTRIBUTE pub_t[5] = {rsa ? bits : curve, T_BOOL(CKA_VERIFY_RECOVER, rsa),
                             T_BOOL(CKA_WRAP, rsa)};
    CK_ATTRIBUTE priv_t[8] = {{0}};
    CK_ULONG n_pub = 3;

    assert_true(n <= ARRAY_LEN(priv_t));
    for (CK_ULONG i = 0; i < n; i++) {
        priv_t[i] = extra[i];
        if (extra[i].type == CKA_TOKEN || extra[i].type == CKA_LABEL)
            pub_t[n_pub++] = extra[i];
    }
    return C_GenerateKeyPair(unit_session, &m, pub_t, n_pub, priv_t, n, pub, priv);
}

/* --- use ------------------------------------------------------------------------- */

static CK_RV part(bool encrypt, const uint8_t *p, size_t n, uint8_t *out, CK_ULONG *len)
{
    CK_BYTE *in = (CK_BYTE *)(uintptr_t)p;

    return encrypt ? C_EncryptUpdate(unit_session, in, (CK_ULONG)n, out, len)
                   : C_DecryptUpdate(unit_session, in, (CK_ULONG)n, out, len);
}

static CK_RV in_parts(bool encrypt, struct bytes in, size_t step, uint8_t *out, size_t *len)
{
    size_t room = in.len + 512, used = 0;
    CK_ULONG n;
    CK_RV rv;

    for (size_t at = 0; at < in.len; at += step) {
        n = (CK_ULONG)(room - used);
        rv = part(encrypt, in.p + at, in.len - at < step ? in.len - at : step, out + used, &n);
        if (rv != CKR_OK)
            return rv;
        used += n;
    }
    n = (CK_ULONG)(room - used);
    rv = encrypt ? C_EncryptFinal(unit_session, out + used, &n)
                 : C_DecryptFinal(unit_session, out + used, &n);
    *len = used + (size_t)n;
    return rv;
}

CK_RV unit_module_crypt(bool encrypt, CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct bytes in,
                        size_t step, uint8_t *out, size_t *len)
{
    CK_BYTE *p = (CK_BYTE *)(uintptr_t)in.p;
    CK_ULONG n = (CK_ULONG)in.len + 512;
    CK_RV rv = encrypt ? C_EncryptInit(unit_session, m, key) : C_DecryptInit(unit_session, m, key);

    if (rv != CKR_OK)
        return rv;
    if (step != 0)
        return in_parts(encrypt, in, step, out, len);
    rv = encrypt ? C_Encrypt(unit_session, p, (CK_ULONG)in.len, out, &n)
                 : C_Decrypt(unit_session, p, (CK_ULONG)in.len, out, &n);
    *len = (size_t)n;
    return rv;
}

CK_RV unit_module_sign(CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct bytes in, size_t step,
                       uint8_t *sig, size_t *len)
{
    CK_BYTE *p = (CK_BYTE *)(uintptr_t)in.p;
    CK_ULONG n = 512;
    CK_RV rv = C_SignInit(unit_session, m, key);

    if (rv == CKR_OK && step == 0) {
        rv = C_Sign(unit_session, p, (CK_ULONG)in.len, sig, &n);
    } else if (rv == CKR_OK) {
        for (size_t at = 0; at < in.len && rv == CKR_OK; at += step)
            rv = C_SignUpdate(unit_session, p + at,
                              (CK_ULONG)(in.len - at < step ? in.len - at : step));
        if (rv == CKR_OK)
            rv = C_SignFinal(unit_session, sig, &n);
    }
    *len = (size_t)n;
    return rv;
}

CK_RV unit_module_verify(CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct bytes in, const uint8_t *sig,
                         size_t len)
{
    CK_RV rv = C_VerifyInit(unit_session, m, key);

    return rv != CKR_OK ? rv
                        : C_Verify(unit_session, (CK_BYTE *)(uintptr_t)in.p, (CK_ULONG)in.len,
                                   (CK_BYTE *)(uintptr_t)sig, (CK_ULONG)len);
}

CK_RV unit_module_signs(CK_OBJECT_HANDLE priv, CK_OBJECT_HANDLE pub)
{
    bool rsa = unit_module_number(pub, CKA_KEY_TYPE) == CKK_RSA;
    CK_MECHANISM m = {rsa ? CKM_SHA256_RSA_PKCS : CKM_ECDSA_SHA256, NULL, 0};
    struct bytes text = bytes_of("some text", 9);
    uint8_t sig[512];
    size_t len = 0;
    CK_RV rv = unit_module_sign(&m, priv, text, 0, sig, &len);

    return rv == CKR_OK ? unit_module_verify(&m, pub, text, sig, len) : rv;
}

void unit_module_fill(uint8_t *p, size_t len, unsigned seed)
{
    uint64_t x = seed + 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(x >> 56);
    }
}
