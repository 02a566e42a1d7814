/*
 * Every function of the 2.40 list with arguments that no caller may give: before C_Initialize, with
 * handles that are none, with NULL where a pointer belongs, and with lengths that no memory has. A
 * module answers with the code for it and does not crash.
 */
#include <stdio.h>

#include "tests/conformance/keys.h"

#define BAD 0x7f5eadUL
#define HUGE_1 ((CK_ULONG)-1)
#define HUGE_2 ((CK_ULONG)-1 / 2 + 1)

static CK_BYTE buf[1024];
static CK_ULONG n;
static CK_OBJECT_HANDLE obj = 1, obj2;
static CK_OBJECT_HANDLE key;
static CK_MECHANISM sha = MECH(CKM_SHA256), hmac = MECH(CKM_SHA256_HMAC), ecb = MECH(CKM_AES_ECB);
static CK_MECHANISM gen = MECH(CKM_AES_KEY_GEN), pair = MECH(CKM_EC_KEY_PAIR_GEN);
static CK_MECHANISM pkcs = MECH(CKM_RSA_PKCS), ecdh = MECH(CKM_ECDH1_DERIVE);
static CK_MECHANISM kw = MECH(CKM_AES_KEY_WRAP);
static CK_ATTRIBUTE label[1], null_value[1], huge_value[1], class_only[1];

/* --- each function by its session or slot handle -------------------------- */

/* clang-format off */
#define BY_SESSION(X) \
    X(InitPIN, (h, buf, 8)) \
    X(SetPIN, (h, buf, 8, buf, 8)) \
    X(CloseSession, (h)) \
    X(GetSessionInfo, (h, (CK_SESSION_INFO *)(void *)buf)) \
    X(GetOperationState, (h, buf, &n)) \
    X(SetOperationState, (h, buf, 8, 0, 0)) \
    X(Login, (h, CKU_USER, buf, 8)) \
    X(Logout, (h)) \
    X(CreateObject, (h, label, 1, &obj2)) \
    X(CopyObject, (h, obj, label, 1, &obj2)) \
    X(DestroyObject, (h, obj)) \
    X(GetObjectSize, (h, obj, &n)) \
    X(GetAttributeValue, (h, obj, label, 1)) \
    X(SetAttributeValue, (h, obj, label, 1)) \
    X(FindObjectsInit, (h, label, 1)) \
    X(FindObjects, (h, &obj2, 1, &n)) \
    X(FindObjectsFinal, (h)) \
    X(EncryptInit, (h, &ecb, obj)) \
    X(Encrypt, (h, buf, 16, buf, &n)) \
    X(EncryptUpdate, (h, buf, 16, buf, &n)) \
    X(EncryptFinal, (h, buf, &n)) \
    X(DecryptInit, (h, &ecb, obj)) \
    X(Decrypt, (h, buf, 16, buf, &n)) \
    X(DecryptUpdate, (h, buf, 16, buf, &n)) \
    X(DecryptFinal, (h, buf, &n)) \
    X(DigestInit, (h, &sha)) \
    X(Digest, (h, buf, 16, buf, &n)) \
    X(DigestUpdate, (h, buf, 16)) \
    X(DigestKey, (h, obj)) \
    X(DigestFinal, (h, buf, &n)) \
    X(SignInit, (h, &hmac, obj)) \
    X(Sign, (h, buf, 16, buf, &n)) \
    X(SignUpdate, (h, buf, 16)) \
    X(SignFinal, (h, buf, &n)) \
    X(SignRecoverInit, (h, &pkcs, obj)) \
    X(SignRecover, (h, buf, 16, buf, &n)) \
    X(VerifyInit, (h, &hmac, obj)) \
    X(Verify, (h, buf, 16, buf, 32)) \
    X(VerifyUpdate, (h, buf, 16)) \
    X(VerifyFinal, (h, buf, 32)) \
    X(VerifyRecoverInit, (h, &pkcs, obj)) \
    X(VerifyRecover, (h, buf, 16, buf, &n)) \
    X(DigestEncryptUpdate, (h, buf, 16, buf, &n)) \
    X(DecryptDigestUpdate, (h, buf, 16, buf, &n)) \
    X(SignEncryptUpdate, (h, buf, 16, buf, &n)) \
    X(DecryptVerifyUpdate, (h, buf, 16, buf, &n)) \
    X(GenerateKey, (h, &gen, label, 1, &obj2)) \
    X(GenerateKeyPair, (h, &pair, label, 1, label, 1, &obj2, &obj2)) \
    X(WrapKey, (h, &kw, obj, obj, buf, &n)) \
    X(UnwrapKey, (h, &kw, obj, buf, 24, label, 1, &obj2)) \
    X(DeriveKey, (h, &ecdh, obj, label, 1, &obj2)) \
    X(SeedRandom, (h, buf, 16)) \
    X(GenerateRandom, (h, buf, 16))

#define BY_SLOT(X) \
    X(GetSlotInfo, (h, (CK_SLOT_INFO *)(void *)buf)) \
    X(GetTokenInfo, (h, (CK_TOKEN_INFO *)(void *)buf)) \
    X(GetMechanismList, (h, NULL, &n)) \
    X(GetMechanismInfo, (h, CKM_SHA256, (CK_MECHANISM_INFO *)(void *)buf)) \
    X(InitToken, (h, buf, 8, buf)) \
    X(OpenSession, (h, CKF_SERIAL_SESSION, NULL, NULL, &obj2)) \
    X(CloseAllSessions, (h))

#define BY_NOTHING(X) \
    X(GetInfo, ((CK_INFO *)(void *)buf)) \
    X(GetSlotList, (CK_FALSE, NULL, &n)) \
    X(Finalize, (NULL)) \
    X(WaitForSlotEvent, (CKF_DONT_BLOCK, &h, NULL))

/* What is wrong with the call, and the operation that must be active before it. */
#define WRONG(X) \
    X(GetInfo, null_out, NONE, (NULL)) \
    X(GetSlotList, null_count, NONE, (CK_TRUE, (CK_SLOT_ID *)(void *)buf, NULL)) \
    X(GetSlotInfo, null_out, NONE, (slot, NULL)) \
    X(GetTokenInfo, null_out, NONE, (slot, NULL)) \
    X(GetMechanismList, null_count, NONE, (slot, NULL, NULL)) \
    X(GetMechanismInfo, null_out, NONE, (slot, CKM_SHA256, NULL)) \
    X(GetMechanismInfo, unknown_mechanism, NONE, (slot, 0x7ffffff3UL, (CK_MECHANISM_INFO *)(void *)buf)) \
    X(OpenSession, null_out, NONE, (slot, CKF_SERIAL_SESSION, NULL, NULL, NULL)) \
    X(OpenSession, not_serial, NONE, (slot, CKF_RW_SESSION, NULL, NULL, &obj2)) \
    X(GetSessionInfo, null_out, NONE, (ses, NULL)) \
    X(GetOperationState, null_length, DIGEST, (ses, buf, NULL)) \
    X(SetOperationState, null_state, NONE, (ses, NULL, 64, 0, 0)) \
    X(SetOperationState, garbage, NONE, (ses, buf, 64, 0, 0)) \
    X(Login, null_pin, PUBLIC, (ses, CKU_USER, NULL, 8)) \
    X(Login, garbage_user, PUBLIC, (ses, 77, buf, 8)) \
    X(SetPIN, null_old, NONE, (ses, NULL, 8, buf, 8)) \
    X(SetPIN, null_new, NONE, (ses, conf_pin, conf_pin_len, NULL, 8)) \
    X(CreateObject, null_template, NONE, (ses, NULL, 3, &obj2)) \
    X(CreateObject, empty_template, NONE, (ses, NULL, 0, &obj2)) \
    X(CreateObject, null_out, NONE, (ses, class_only, 1, NULL)) \
    X(CreateObject, null_value, NONE, (ses, null_value, 1, &obj2)) \
    X(CreateObject, huge_value, NONE, (ses, huge_value, 1, &obj2)) \
    X(CopyObject, null_template, DATA, (ses, obj2, NULL, 3, &obj)) \
    X(CopyObject, null_out, DATA, (ses, obj2, NULL, 0, NULL)) \
    X(CopyObject, garbage_object, NONE, (ses, BAD, NULL, 0, &obj2)) \
    X(DestroyObject, garbage_object, NONE, (ses, BAD)) \
    X(DestroyObject, invalid_handle, NONE, (ses, 0)) \
    X(GetObjectSize, null_out, DATA, (ses, obj2, NULL)) \
    X(GetObjectSize, garbage_object, NONE, (ses, BAD, &n)) \
    X(GetAttributeValue, null_template, DATA, (ses, obj2, NULL, 2)) \
    X(GetAttributeValue, garbage_object, NONE, (ses, BAD, label, 1)) \
    X(SetAttributeValue, null_template, DATA, (ses, obj2, NULL, 2)) \
    X(SetAttributeValue, null_value, DATA, (ses, obj2, null_value, 1)) \
    X(SetAttributeValue, huge_value, DATA, (ses, obj2, huge_value, 1)) \
    X(SetAttributeValue, garbage_object, NONE, (ses, BAD, label, 1)) \
    X(FindObjectsInit, null_template, NONE, (ses, NULL, 2)) \
    X(FindObjects, null_out, FIND, (ses, NULL, 4, &n)) \
    X(FindObjects, null_count, FIND, (ses, &obj2, 1, NULL)) \
    X(EncryptInit, garbage_key, NONE, (ses, &ecb, BAD)) \
    X(EncryptInit, invalid_handle, NONE, (ses, &ecb, 0)) \
    X(Encrypt, null_data, ENCRYPT, (ses, NULL, 16, buf, &n)) \
    X(Encrypt, null_length, ENCRYPT, (ses, buf, 16, buf, NULL)) \
    X(Encrypt, null_and_huge, ENCRYPT, (ses, NULL, HUGE_1, buf, &n)) \
    X(Encrypt, huge, ENCRYPT, (ses, buf, HUGE_2, buf, &n)) \
    X(EncryptUpdate, null_data, ENCRYPT, (ses, NULL, 16, buf, &n)) \
    X(EncryptUpdate, null_length, ENCRYPT, (ses, buf, 16, buf, NULL)) \
    X(EncryptFinal, null_length, ENCRYPT, (ses, buf, NULL)) \
    X(DecryptInit, garbage_key, NONE, (ses, &ecb, BAD)) \
    X(DecryptInit, invalid_handle, NONE, (ses, &ecb, 0)) \
    X(Decrypt, null_data, DECRYPT, (ses, NULL, 16, buf, &n)) \
    X(Decrypt, null_length, DECRYPT, (ses, buf, 16, buf, NULL)) \
    X(Decrypt, null_and_huge, DECRYPT, (ses, NULL, HUGE_1, buf, &n)) \
    X(DecryptUpdate, null_data, DECRYPT, (ses, NULL, 16, buf, &n)) \
    X(DecryptUpdate, null_length, DECRYPT, (ses, buf, 16, buf, NULL)) \
    X(DecryptFinal, null_length, DECRYPT, (ses, buf, NULL)) \
    X(Digest, null_data, DIGEST, (ses, NULL, 16, buf, &n)) \
    X(Digest, null_length, DIGEST, (ses, buf, 16, buf, NULL)) \
    X(Digest, null_and_huge, DIGEST, (ses, NULL, HUGE_1, buf, &n)) \
    X(DigestUpdate, null_data, DIGEST, (ses, NULL, 16)) \
    X(DigestUpdate, null_and_huge, DIGEST, (ses, NULL, HUGE_2)) \
    X(DigestKey, garbage_key, DIGEST, (ses, BAD)) \
    X(DigestFinal, null_length, DIGEST, (ses, buf, NULL)) \
    X(SignInit, garbage_key, NONE, (ses, &hmac, BAD)) \
    X(SignInit, invalid_handle, NONE, (ses, &hmac, 0)) \
    X(Sign, null_data, SIGN, (ses, NULL, 16, buf, &n)) \
    X(Sign, null_length, SIGN, (ses, buf, 16, buf, NULL)) \
    X(Sign, null_and_huge, SIGN, (ses, NULL, HUGE_1, buf, &n)) \
    X(SignUpdate, null_data, SIGN, (ses, NULL, 16)) \
    X(SignUpdate, null_and_huge, SIGN, (ses, NULL, HUGE_1)) \
    X(SignFinal, null_length, SIGN, (ses, buf, NULL)) \
    X(SignRecoverInit, garbage_key, NONE, (ses, &pkcs, BAD)) \
    X(VerifyInit, garbage_key, NONE, (ses, &hmac, BAD)) \
    X(VerifyInit, invalid_handle, NONE, (ses, &hmac, 0)) \
    X(Verify, null_data, VERIFY, (ses, NULL, 16, buf, 32)) \
    X(Verify, null_signature, VERIFY, (ses, buf, 16, NULL, 32)) \
    X(Verify, huge_signature, VERIFY, (ses, buf, 16, buf, HUGE_1)) \
    X(VerifyUpdate, null_data, VERIFY, (ses, NULL, 16)) \
    X(VerifyFinal, null_signature, VERIFY, (ses, NULL, 32)) \
    X(VerifyRecoverInit, garbage_key, NONE, (ses, &pkcs, BAD)) \
    X(GenerateKey, null_mechanism, NONE, (ses, NULL, label, 1, &obj2)) \
    X(GenerateKey, null_template, NONE, (ses, &gen, NULL, 2, &obj2)) \
    X(GenerateKey, null_out, NONE, (ses, &gen, label, 1, NULL)) \
    X(GenerateKeyPair, null_mechanism, NONE, (ses, NULL, label, 1, label, 1, &obj2, &obj2)) \
    X(GenerateKeyPair, null_public_template, NONE, (ses, &pair, NULL, 2, label, 1, &obj, &obj2)) \
    X(GenerateKeyPair, null_private_template, NONE, (ses, &pair, label, 1, NULL, 2, &obj, &obj2)) \
    X(GenerateKeyPair, null_out, NONE, (ses, &pair, label, 1, label, 1, NULL, NULL)) \
    X(WrapKey, null_mechanism, WRAP, (ses, NULL, key, key, buf, &n)) \
    X(WrapKey, garbage_wrapping_key, WRAP, (ses, &kw, BAD, key, buf, &n)) \
    X(WrapKey, garbage_key, WRAP, (ses, &kw, key, BAD, buf, &n)) \
    X(WrapKey, null_length, WRAP, (ses, &kw, key, key, buf, NULL)) \
    X(UnwrapKey, null_mechanism, WRAP, (ses, NULL, key, buf, 24, label, 1, &obj2)) \
    X(UnwrapKey, garbage_key, WRAP, (ses, &kw, BAD, buf, 24, label, 1, &obj2)) \
    X(UnwrapKey, null_data, WRAP, (ses, &kw, key, NULL, 24, label, 1, &obj2)) \
    X(UnwrapKey, null_template, WRAP, (ses, &kw, key, buf, 24, NULL, 2, &obj2)) \
    X(UnwrapKey, null_out, WRAP, (ses, &kw, key, buf, 24, label, 1, NULL)) \
    X(DeriveKey, null_mechanism, NONE, (ses, NULL, BAD, label, 1, &obj2)) \
    X(DeriveKey, garbage_key, NONE, (ses, &ecdh, BAD, label, 1, &obj2)) \
    X(DeriveKey, null_template, NONE, (ses, &ecdh, BAD, NULL, 2, &obj2)) \
    X(SeedRandom, null_data, NONE, (ses, NULL, 16)) \
    X(GenerateRandom, null_out, NONE, (ses, NULL, 16)) \
    X(GenerateRandom, null_and_huge, NONE, (ses, NULL, HUGE_1)) \
    X(WaitForSlotEvent, null_out, NONE, (CKF_DONT_BLOCK, NULL, NULL)) \
    X(WaitForSlotEvent, reserved, NONE, (CKF_DONT_BLOCK, &obj2, buf))
/* clang-format on */

enum active { NONE, PUBLIC, DATA, FIND, DIGEST, SIGN, VERIFY, ENCRYPT, DECRYPT, WRAP };

struct handle_call {
    const char *name;
    CK_RV (*call)(CK_ULONG h);
};
struct wrong_call {
    const char *name, *what;
    enum active active;
    CK_RV (*call)(void);
};

#define DEFINE_H(name, args)           \
    static CK_RV do_##name(CK_ULONG h) \
    {                                  \
        (void)h;                       \
        return f->C_##name args;       \
    }
#define DEFINE_W(name, what, active, args) \
    static CK_RV do_##name##_##what(void)  \
    {                                      \
        return f->C_##name args;           \
    }
#define ROW_H(name, args) {"C_" #name, do_##name},
#define ROW_W(name, what, active, args) {"C_" #name, #what, active, do_##name##_##what},

BY_SESSION(DEFINE_H)
BY_SLOT(DEFINE_H)
BY_NOTHING(DEFINE_H)
WRONG(DEFINE_W)

static const struct handle_call by_session[] = {BY_SESSION(ROW_H)}, by_slot[] = {BY_SLOT(ROW_H)},
                                by_nothing[] = {BY_NOTHING(ROW_H)};
static const struct wrong_call wrong[] = {WRONG(ROW_W)};

static void fresh(void)
{
    n = sizeof buf;
    memset(buf, 'x', sizeof buf);
    label[0] = (CK_ATTRIBUTE){CKA_LABEL, buf, 8};
    null_value[0] = (CK_ATTRIBUTE){CKA_LABEL, NULL, 8};
    huge_value[0] = (CK_ATTRIBUTE){CKA_LABEL, NULL, HUGE_1};
    class_only[0] = (CK_ATTRIBUTE)UL(CKA_CLASS, CKO_DATA);
}

/* Base 5.1.1: CKR_CRYPTOKI_NOT_INITIALIZED is the answer of all functions but three. */
static void uninitialised(const void *arg)
{
    const struct handle_call *c = arg;

    fresh();
    EXPECT(c->call(0), CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
}

/* Base 5.1.2: it has the highest priority of the codes of functions with a session. */
static void bad_session(const void *arg)
{
    const struct handle_call *c = arg;

    fresh();
    EXPECT(c->call(BAD), CKR_SESSION_HANDLE_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(c->call(CK_INVALID_HANDLE), CKR_SESSION_HANDLE_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
}

/* Base 5.1.2 as well: the session may be gone because it was closed. */
static void closed_session(const void *arg)
{
    const struct handle_call *c = arg;
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    fresh();
    OK(f->C_CloseSession(h));
    EXPECT(c->call(h), CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_FUNCTION_NOT_SUPPORTED);
}

static void bad_slot(const void *arg)
{
    const struct handle_call *c = arg;

    fresh();
    EXPECT(c->call(BAD), CKR_SLOT_ID_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(c->call(HUGE_1), CKR_SLOT_ID_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
}

static void activate(enum active active)
{
    CK_ATTRIBUTE data[] = {UL(CKA_CLASS, CKO_DATA), LABEL, NO(CKA_PRIVATE)};

    switch (active) {
    case NONE: break;
    case PUBLIC: OK(f->C_Logout(ses)); break;
    case DATA: obj2 = keys_create(data, N(data)); break;
    case FIND: OK(f->C_FindObjectsInit(ses, NULL, 0)); break;
    case DIGEST:
        conf_need(CKM_SHA256, CKF_DIGEST);
        OK(f->C_DigestInit(ses, &sha));
        break;
    case SIGN:
    case VERIFY:
        conf_need(CKM_SHA256_HMAC, CKF_SIGN | CKF_VERIFY);
        key = keys_import(CKK_GENERIC_SECRET, buf, 32, USE_SIGN);
        OK(active == SIGN ? f->C_SignInit(ses, &hmac, key) : f->C_VerifyInit(ses, &hmac, key));
        break;
    case ENCRYPT:
    case DECRYPT:
        conf_need(CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT);
        key = keys_aes(16, USE_ENC);
        OK(active == ENCRYPT ? f->C_EncryptInit(ses, &ecb, key) : f->C_DecryptInit(ses, &ecb, key));
        break;
    case WRAP:
        conf_need(CKM_AES_KEY_WRAP, CKF_WRAP | CKF_UNWRAP);
        key = keys_aes(16, USE_WRAP);
        break;
    }
}

/* Base 5.1.6: CKR_ARGUMENTS_BAD, or a code that says more. */
static void wrong_argument(const void *arg)
{
    const struct wrong_call *c = arg;
    CK_SESSION_INFO i;

    fresh();
    activate(c->active);
    REFUSED(c->call());
    OK(f->C_GetSessionInfo(ses, &i));
}

void args_checks(void)
{
    for (size_t i = 0; i < N(by_session); i++)
        conf_add(CONF_RAW, uninitialised, &by_session[i], "args/%s/not-initialised",
                 by_session[i].name);
    for (size_t i = 0; i < N(by_slot); i++)
        conf_add(CONF_RAW, uninitialised, &by_slot[i], "args/%s/not-initialised", by_slot[i].name);
    for (size_t i = 0; i < N(by_nothing); i++)
        conf_add(CONF_RAW, uninitialised, &by_nothing[i], "args/%s/not-initialised",
                 by_nothing[i].name);
    for (size_t i = 0; i < N(by_session); i++) {
        conf_add(CONF_USER, bad_session, &by_session[i], "args/%s/invalid-session",
                 by_session[i].name);
        conf_add(CONF_USER, closed_session, &by_session[i], "args/%s/closed-session",
                 by_session[i].name);
    }
    for (size_t i = 0; i < N(by_slot); i++)
        conf_add(CONF_USER, bad_slot, &by_slot[i], "args/%s/invalid-slot", by_slot[i].name);
    for (size_t i = 0; i < N(wrong); i++) {
        char what[64];

        snprintf(what, sizeof what, "%s", wrong[i].what);
        for (char *p = what; *p != '\0'; p++)
            *p = *p == '_' ? '-' : *p;
        conf_add(CONF_USER, wrong_argument, &wrong[i], "args/%s/%s", wrong[i].name, what);
    }
}
