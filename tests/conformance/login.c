/* Login and PINs (Base 5.5 and 5.6). Few wrong tries, each followed by a right one. */
#include "tests/conformance/keys.h"

static CK_UTF8CHAR wrong_pin[] = "wrong-pin-0";

static void already(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    conf_login(h, CKU_USER);
    EXPECT(f->C_Login(h, CKU_USER, conf_pin, conf_pin_len), CKR_USER_ALREADY_LOGGED_IN);
    EXPECT(f->C_Login(h, CKU_SO, conf_so_pin, conf_so_pin_len), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    OK(f->C_Logout(h));
    conf_login(h, CKU_SO);
    EXPECT(f->C_Login(h, CKU_SO, conf_so_pin, conf_so_pin_len), CKR_USER_ALREADY_LOGGED_IN);
    EXPECT(f->C_Login(h, CKU_USER, conf_pin, conf_pin_len), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
    OK(f->C_Logout(h));
}

static void so_and_read_only(const void *arg)
{
    CK_SESSION_HANDLE rw = conf_open(CKF_RW_SESSION), ro = conf_open(0);

    (void)arg;
    EXPECT(f->C_Login(rw, CKU_SO, conf_so_pin, conf_so_pin_len), CKR_SESSION_READ_ONLY_EXISTS);
    EXPECT(f->C_Login(ro, CKU_SO, conf_so_pin, conf_so_pin_len), CKR_SESSION_READ_ONLY_EXISTS,
           CKR_SESSION_READ_ONLY);
}

static void user_type(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    EXPECT(f->C_Login(h, 4711, conf_pin, conf_pin_len), CKR_USER_TYPE_INVALID);
}

static void logout_without_login(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    EXPECT(f->C_Logout(h), CKR_USER_NOT_LOGGED_IN);
}

/* CKU_CONTEXT_SPECIFIC is for a key with CKA_ALWAYS_AUTHENTICATE between Init and use. */
static void context_specific(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    conf_login(h, CKU_USER);
    EXPECT(f->C_Login(h, CKU_CONTEXT_SPECIFIC, conf_pin, conf_pin_len),
           CKR_OPERATION_NOT_INITIALIZED);
}

static void wrong_user(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_SESSION_INFO i;

    (void)arg;
    EXPECT(f->C_Login(h, CKU_USER, wrong_pin, sizeof wrong_pin - 1), CKR_PIN_INCORRECT);
    OK(f->C_GetSessionInfo(h, &i));
    MUST(i.state == CKS_RW_PUBLIC_SESSION, "state %lu after a wrong PIN", i.state);
    conf_login(h, CKU_USER);
}

static void wrong_so(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    EXPECT(f->C_Login(h, CKU_SO, wrong_pin, sizeof wrong_pin - 1), CKR_PIN_INCORRECT);
    conf_login(h, CKU_SO);
}

/* Base 5.5 C_SetPIN: read/write sessions, by the user, the SO, or in public. */
static void set_pin(const void *arg)
{
    CK_UTF8CHAR other[] = "Another-pin-77";
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    conf_login(h, CKU_USER);
    OK(f->C_SetPIN(h, conf_pin, conf_pin_len, other, sizeof other - 1));
    OK(f->C_Logout(h));
    EXPECT(f->C_Login(h, CKU_USER, conf_pin, conf_pin_len), CKR_PIN_INCORRECT);
    OK(f->C_Login(h, CKU_USER, other, sizeof other - 1));
    OK(f->C_SetPIN(h, other, sizeof other - 1, conf_pin, conf_pin_len));
    OK(f->C_Logout(h));
    conf_login(h, CKU_USER);
}

static void set_pin_public(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    OK(f->C_SetPIN(h, conf_pin, conf_pin_len, conf_pin, conf_pin_len));
    conf_login(h, CKU_USER);
}

static void set_pin_so(const void *arg)
{
    CK_UTF8CHAR other[] = "Another-so-pin-77";
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    conf_login(h, CKU_SO);
    OK(f->C_SetPIN(h, conf_so_pin, conf_so_pin_len, other, sizeof other - 1));
    OK(f->C_Logout(h));
    OK(f->C_Login(h, CKU_SO, other, sizeof other - 1));
    OK(f->C_SetPIN(h, other, sizeof other - 1, conf_so_pin, conf_so_pin_len));
    OK(f->C_Logout(h));
    conf_login(h, CKU_SO);
}

static void set_pin_wrong(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    conf_login(h, CKU_USER);
    EXPECT(f->C_SetPIN(h, wrong_pin, sizeof wrong_pin - 1, wrong_pin, sizeof wrong_pin - 1),
           CKR_PIN_INCORRECT);
    OK(f->C_SetPIN(h, conf_pin, conf_pin_len, conf_pin, conf_pin_len));
}

static void set_pin_read_only(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(0);

    (void)arg;
    EXPECT(f->C_SetPIN(h, conf_pin, conf_pin_len, conf_pin, conf_pin_len), CKR_SESSION_READ_ONLY);
    conf_login(h, CKU_USER);
    EXPECT(f->C_SetPIN(h, conf_pin, conf_pin_len, conf_pin, conf_pin_len), CKR_SESSION_READ_ONLY);
}

/* CK_TOKEN_INFO's ulMinPinLen and ulMaxPinLen hold. */
static void pin_lengths(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    static CK_UTF8CHAR pin[4096];
    CK_TOKEN_INFO t;

    (void)arg;
    OK(f->C_GetTokenInfo(slot, &t));
    conf_login(h, CKU_USER);
    memset(pin, 'p', sizeof pin);
    if (t.ulMinPinLen > 0)
        EXPECT(f->C_SetPIN(h, conf_pin, conf_pin_len, pin, t.ulMinPinLen - 1), CKR_PIN_LEN_RANGE);
    if (t.ulMaxPinLen < sizeof pin)
        EXPECT(f->C_SetPIN(h, conf_pin, conf_pin_len, pin, t.ulMaxPinLen + 1), CKR_PIN_LEN_RANGE);
    OK(f->C_Logout(h));
    conf_login(h, CKU_USER);
}

/* Base 5.5 C_InitPIN: only in state "R/W SO Functions". */
static void init_pin_not_so(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);

    (void)arg;
    EXPECT(f->C_InitPIN(h, conf_pin, conf_pin_len), CKR_USER_NOT_LOGGED_IN);
    conf_login(h, CKU_USER);
    EXPECT(f->C_InitPIN(h, conf_pin, conf_pin_len), CKR_USER_NOT_LOGGED_IN);
}

static void init_pin(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_TOKEN_INFO t;

    (void)arg;
    OK(f->C_GetTokenInfo(slot, &t));
    conf_login(h, CKU_SO);
    if (t.ulMinPinLen > 0)
        EXPECT(f->C_InitPIN(h, conf_pin, t.ulMinPinLen - 1), CKR_PIN_LEN_RANGE, CKR_PIN_INVALID);
    EXPECT(f->C_InitPIN(h, NULL, 8), CKR_ARGUMENTS_BAD, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE);
    OK(f->C_Logout(h));
    conf_login(h, CKU_USER);
}

/* Base 5.6 C_Login, state R/W SO: the SO sees public objects and makes no private ones. */
static void so_and_private(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, NO(CKA_TOKEN), YES(CKA_PRIVATE)};
    CK_OBJECT_HANDLE o;

    (void)arg;
    conf_login(h, CKU_SO);
    EXPECT(f->C_CreateObject(h, t, N(t), &o), CKR_USER_NOT_LOGGED_IN);
    t[3] = (CK_ATTRIBUTE)NO(CKA_PRIVATE);
    OK(f->C_CreateObject(h, t, N(t), &o));
}

/* Base 4.9 and 5.6: CKA_ALWAYS_AUTHENTICATE wants CKU_CONTEXT_SPECIFIC for each use. */
static void always_authenticate(const void *arg)
{
    CK_ATTRIBUTE pub[] = {BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len),
                          NO(CKA_TOKEN), LABEL, YES(CKA_VERIFY)};
    CK_ATTRIBUTE priv[] = {NO(CKA_TOKEN),      LABEL,         YES(CKA_PRIVATE),
                           YES(CKA_SENSITIVE), YES(CKA_SIGN), YES(CKA_ALWAYS_AUTHENTICATE)};
    CK_MECHANISM gen = MECH(CKM_EC_KEY_PAIR_GEN), m = MECH(CKM_ECDSA);
    CK_BYTE hash[32] = {1}, sig[64];
    CK_ULONG n = sizeof sig;
    CK_OBJECT_HANDLE a, b;
    CK_RV rv;

    (void)arg;
    conf_need(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
    conf_need(CKM_ECDSA, CKF_SIGN);
    rv = f->C_GenerateKeyPair(ses, &gen, pub, N(pub), priv, N(priv), &a, &b);
    if (rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_TEMPLATE_INCONSISTENT ||
        rv == CKR_ATTRIBUTE_TYPE_INVALID)
        conf_skip("no such keys: %s", conf_ckr(rv));
    OK(rv);
    MUST(keys_bool(b, CKA_ALWAYS_AUTHENTICATE), "CKA_ALWAYS_AUTHENTICATE is not kept");
    for (int i = 0; i < 2; i++) {
        OK(f->C_SignInit(ses, &m, b));
        EXPECT(f->C_Sign(ses, hash, sizeof hash, sig, &n), CKR_USER_NOT_LOGGED_IN);
        EXPECT(f->C_SignInit(ses, &m, b), CKR_OK, CKR_OPERATION_ACTIVE);
        if (i == 0)
            EXPECT(f->C_Login(ses, CKU_CONTEXT_SPECIFIC, wrong_pin, sizeof wrong_pin - 1),
                   CKR_PIN_INCORRECT);
        OK(f->C_Login(ses, CKU_CONTEXT_SPECIFIC, conf_pin, conf_pin_len));
        n = sizeof sig;
        OK(f->C_Sign(ses, hash, sizeof hash, sig, &n));
    }
}

/* Base 3.0 5.6 C_LoginUser; a token without named users may refuse a name. */
static void login_user(const void *arg)
{
    CK_SESSION_HANDLE h;
    CK_RV rv;

    (void)arg;
    conf_need_3_0();
    h = conf_open(CKF_RW_SESSION);
    rv = f3->C_LoginUser(h, CKU_USER, conf_pin, conf_pin_len, NULL, 0);
    if (rv == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
    EXPECT(f3->C_LoginUser(h, CKU_USER, conf_pin, conf_pin_len, NULL, 0),
           CKR_USER_ALREADY_LOGGED_IN);
}

void login_checks(void)
{
    conf_add(CONF_INIT, already, NULL, "login/already-logged-in");
    conf_add(CONF_INIT, so_and_read_only, NULL, "login/so-beside-read-only");
    conf_add(CONF_INIT, user_type, NULL, "login/user-type");
    conf_add(CONF_INIT, logout_without_login, NULL, "login/logout-without-login");
    conf_add(CONF_INIT, context_specific, NULL, "login/context-specific-without-operation");
    conf_add(CONF_INIT, wrong_user, NULL, "login/wrong-user-pin");
    conf_add(CONF_INIT, wrong_so, NULL, "login/wrong-so-pin");
    conf_add(CONF_INIT, set_pin, NULL, "login/set-pin");
    conf_add(CONF_INIT, set_pin_public, NULL, "login/set-pin-in-public");
    conf_add(CONF_INIT, set_pin_so, NULL, "login/set-pin-of-so");
    conf_add(CONF_INIT, set_pin_wrong, NULL, "login/set-pin-with-wrong-old-pin");
    conf_add(CONF_INIT, set_pin_read_only, NULL, "login/set-pin-read-only");
    conf_add(CONF_INIT, pin_lengths, NULL, "login/pin-lengths");
    conf_add(CONF_INIT, init_pin_not_so, NULL, "login/init-pin-without-so");
    conf_add(CONF_INIT, init_pin, NULL, "login/init-pin-refusals");
    conf_add(CONF_INIT, so_and_private, NULL, "login/so-makes-no-private-objects");
    conf_add(CONF_USER, always_authenticate, NULL, "login/always-authenticate");
    conf_add(CONF_INIT, login_user, NULL, "login/login-user");
}
