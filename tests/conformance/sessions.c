/* Sessions (Base 5.6): opening, closing, states, and what dies with them. */
#include "tests/conformance/keys.h"

static void expect_state(CK_SESSION_HANDLE h, CK_STATE want)
{
    CK_SESSION_INFO i;

    OK(f->C_GetSessionInfo(h, &i));
    MUST(i.state == want, "state %lu, not %lu", i.state, want);
    MUST(i.slotID == slot, "slotID %lu, not %lu", i.slotID, slot);
    MUST(i.flags & CKF_SERIAL_SESSION, "no CKF_SERIAL_SESSION");
    MUST(!(i.flags & CKF_RW_SESSION) ==
             (want == CKS_RO_PUBLIC_SESSION || want == CKS_RO_USER_FUNCTIONS),
         "flags 0x%lx in state %lu", i.flags, want);
}

/* Base 2.40, Usage Guide 2.6.5, session states: RO/RW by public/user/SO. */
static void states(const void *arg)
{
    CK_SESSION_HANDLE ro = conf_open(0), rw = conf_open(CKF_RW_SESSION);

    (void)arg;
    expect_state(ro, CKS_RO_PUBLIC_SESSION);
    expect_state(rw, CKS_RW_PUBLIC_SESSION);
    conf_login(ro, CKU_USER);
    expect_state(ro, CKS_RO_USER_FUNCTIONS);
    expect_state(rw, CKS_RW_USER_FUNCTIONS);
    OK(f->C_Logout(rw));
    expect_state(ro, CKS_RO_PUBLIC_SESSION);
    expect_state(rw, CKS_RW_PUBLIC_SESSION);
    OK(f->C_CloseSession(ro));
    conf_login(rw, CKU_SO);
    expect_state(rw, CKS_RW_SO_FUNCTIONS);
    OK(f->C_Logout(rw));
}

/* A session opened while the user is logged in is the user's at once. */
static void opened_later(const void *arg)
{
    CK_SESSION_HANDLE first = conf_open(0), later;

    (void)arg;
    conf_login(first, CKU_USER);
    later = conf_open(CKF_RW_SESSION);
    expect_state(later, CKS_RW_USER_FUNCTIONS);
    OK(f->C_CloseSession(first));
    expect_state(later, CKS_RW_USER_FUNCTIONS);
}

/* Base 5.6 C_CloseSession: with the last session the user is logged out. */
static void last_one_logs_out(const void *arg)
{
    CK_SESSION_HANDLE a = conf_open(0), b = conf_open(CKF_RW_SESSION);

    (void)arg;
    conf_login(a, CKU_USER);
    OK(f->C_CloseSession(a));
    OK(f->C_CloseSession(b));
    a = conf_open(0);
    expect_state(a, CKS_RO_PUBLIC_SESSION);
}

static void close_all(const void *arg)
{
    CK_SESSION_HANDLE a = conf_open(0), b = conf_open(CKF_RW_SESSION);
    CK_SESSION_INFO i;

    (void)arg;
    conf_login(a, CKU_USER);
    OK(f->C_CloseAllSessions(slot));
    EXPECT(f->C_GetSessionInfo(a, &i), CKR_SESSION_HANDLE_INVALID);
    EXPECT(f->C_GetSessionInfo(b, &i), CKR_SESSION_HANDLE_INVALID);
    a = conf_open(0);
    expect_state(a, CKS_RO_PUBLIC_SESSION);
    OK(f->C_CloseAllSessions(slot));
    OK(f->C_CloseAllSessions(slot));
}

/* Base 5.6: CKF_SERIAL_SESSION must always be set. */
static void serial(const void *arg)
{
    CK_SESSION_HANDLE h;

    (void)arg;
    EXPECT(f->C_OpenSession(slot, 0, NULL, NULL, &h), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    EXPECT(f->C_OpenSession(slot, CKF_RW_SESSION, NULL, NULL, &h),
           CKR_SESSION_PARALLEL_NOT_SUPPORTED);
}

static void close_twice(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(0);

    (void)arg;
    OK(f->C_CloseSession(h));
    EXPECT(f->C_CloseSession(h), CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED);
}

/* Handles of open sessions differ, and none is CK_INVALID_HANDLE. */
static void handles(const void *arg)
{
    CK_SESSION_HANDLE h[24];

    (void)arg;
    for (size_t i = 0; i < N(h); i++) {
        h[i] = conf_open(i % 2 ? CKF_RW_SESSION : 0);
        MUST(h[i] != CK_INVALID_HANDLE, "the handle is CK_INVALID_HANDLE");
        for (size_t j = 0; j < i; j++)
            MUST(h[i] != h[j], "two sessions with one handle");
    }
}

/* Base 5.6 C_OpenSession: no read-only session beside the SO's. */
static void no_ro_beside_so(const void *arg)
{
    CK_SESSION_HANDLE rw = conf_open(CKF_RW_SESSION), h;

    (void)arg;
    conf_login(rw, CKU_SO);
    EXPECT(f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h),
           CKR_SESSION_READ_WRITE_SO_EXISTS);
    h = conf_open(CKF_RW_SESSION);
    expect_state(h, CKS_RW_SO_FUNCTIONS);
}

/* Base 5.5 C_InitToken: not while a session is open. (The PIN here is wrong: nothing can happen.) */
static void no_init_token(const void *arg)
{
    CK_UTF8CHAR label[32], pin[] = "surely-not-this-pin";

    (void)arg;
    memset(label, ' ', sizeof label);
    memcpy(label, "conformance", 11);
    (void)conf_open(0);
    EXPECT(f->C_InitToken(slot, pin, sizeof pin - 1, label), CKR_SESSION_EXISTS);
}

static CK_OBJECT_HANDLE data(CK_SESSION_HANDLE h, bool token, bool private)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, BOOL(CKA_TOKEN, token),
                        BOOL(CKA_PRIVATE, private), TEXT(CKA_VALUE, "x")};
    CK_OBJECT_HANDLE o = 0;

    OK(f->C_CreateObject(h, t, N(t), &o));
    return o;
}

/* Base 5.6 C_CloseSession: "all session objects created by the session are destroyed". */
static void objects_die(const void *arg)
{
    CK_SESSION_HANDLE a = conf_open(CKF_RW_SESSION), b = conf_open(CKF_RW_SESSION);
    CK_OBJECT_HANDLE o = data(a, false, false), p = data(b, false, false);
    CK_ULONG n;

    (void)arg;
    OK(f->C_CloseSession(a));
    EXPECT(f->C_GetObjectSize(b, o, &n), CKR_OBJECT_HANDLE_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(f->C_DestroyObject(b, o), CKR_OBJECT_HANDLE_INVALID);
    OK(f->C_DestroyObject(b, p));
}

/* Usage Guide 2.6.3: a session object is seen by all sessions of the application. */
static void objects_shared(const void *arg)
{
    CK_SESSION_HANDLE b = conf_open(0);
    CK_OBJECT_HANDLE o = data(ses, false, false);
    CK_BYTE v[8];
    CK_ATTRIBUTE a = {CKA_VALUE, v, sizeof v};

    (void)arg;
    OK(f->C_GetAttributeValue(b, o, &a, 1));
    conf_same("CKA_VALUE", v, a.ulValueLen, "x", 1);
    OK(f->C_CloseSession(b));
    OK(f->C_DestroyObject(ses, o));
}

/* Base 5.6: a read-only session makes session objects and no token objects. */
static void read_only(const void *arg)
{
    CK_SESSION_HANDLE ro = conf_open(0);
    CK_OBJECT_HANDLE token = data(ses, true, false), o, none;
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, YES(CKA_TOKEN), NO(CKA_PRIVATE)};
    CK_ATTRIBUTE copy[] = {YES(CKA_TOKEN)};

    (void)arg;
    EXPECT(f->C_CreateObject(ro, t, N(t), &o), CKR_SESSION_READ_ONLY);
    EXPECT(f->C_DestroyObject(ro, token), CKR_SESSION_READ_ONLY);
    EXPECT(f->C_SetAttributeValue(ro, token, t + 1, 1), CKR_SESSION_READ_ONLY);
    o = data(ro, false, false);
    EXPECT(f->C_CopyObject(ro, o, copy, 1, &none), CKR_SESSION_READ_ONLY,
           CKR_FUNCTION_NOT_SUPPORTED);
    OK(f->C_DestroyObject(ro, o));
    OK(f->C_DestroyObject(ses, token));
    OK(f->C_CloseSession(ro));
}

/* ... nor token keys. */
static void read_only_keys(const void *arg)
{
    CK_SESSION_HANDLE ro = conf_open(0);
    CK_MECHANISM m = MECH(CKM_AES_KEY_GEN), ec = MECH(CKM_EC_KEY_PAIR_GEN);
    CK_ATTRIBUTE t[] = {UL(CKA_VALUE_LEN, 16), LABEL, YES(CKA_TOKEN)};
    CK_ATTRIBUTE pub[] = {BYTES(CKA_EC_PARAMS, keys_curves[0].oid, keys_curves[0].oid_len), LABEL,
                          YES(CKA_TOKEN)};
    CK_OBJECT_HANDLE o, p;

    (void)arg;
    if (conf_has(CKM_AES_KEY_GEN, CKF_GENERATE))
        EXPECT(f->C_GenerateKey(ro, &m, t, N(t), &o), CKR_SESSION_READ_ONLY);
    if (conf_has(CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR))
        EXPECT(f->C_GenerateKeyPair(ro, &ec, pub, N(pub), pub + 1, 2, &o, &p),
               CKR_SESSION_READ_ONLY);
    OK(f->C_CloseSession(ro));
}

/* Base 5.7 and Usage Guide 2.6.6: a public session neither sees nor makes private objects. */
static void public_session(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_OBJECT_HANDLE token, found[8];
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, NO(CKA_TOKEN), YES(CKA_PRIVATE)};
    CK_ATTRIBUTE label = LABEL;
    CK_ULONG n = 9;

    (void)arg;
    conf_login(h, CKU_USER);
    token = data(h, true, true);
    OK(f->C_Logout(h));
    OK(f->C_FindObjectsInit(h, &label, 1));
    OK(f->C_FindObjects(h, found, N(found), &n));
    OK(f->C_FindObjectsFinal(h));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_BBOOL b = CK_FALSE;
        CK_ATTRIBUTE a = {CKA_PRIVATE, &b, 1};

        OK(f->C_GetAttributeValue(h, found[i], &a, 1));
        MUST(b == CK_FALSE, "a private object is found");
    }
    EXPECT(f->C_CreateObject(h, t, N(t), &token), CKR_USER_NOT_LOGGED_IN);
    t[3] = (CK_ATTRIBUTE)NO(CKA_PRIVATE);
    OK(f->C_CreateObject(h, t, N(t), &token));
    conf_login(h, CKU_USER);
    ses = h;
    conf_sweep();
}

/* Base 5.6 C_Logout: private objects' handles become invalid, private session objects are
 * destroyed; new handles after the next login. */
static void logout_hides(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_OBJECT_HANDLE token, private, public;
    CK_BYTE v[8];
    CK_ATTRIBUTE a = {CKA_VALUE, v, sizeof v};

    (void)arg;
    ses = h;
    conf_login(h, CKU_USER);
    conf_sweep();
    token = data(h, true, true);
    private = data(h, false, true);
    public = data(h, false, false);
    OK(f->C_Logout(h));
    EXPECT(f->C_GetAttributeValue(h, token, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    EXPECT(f->C_GetAttributeValue(h, private, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    a.ulValueLen = sizeof v;
    OK(f->C_GetAttributeValue(h, public, &a, 1));
    conf_login(h, CKU_USER);
    EXPECT(f->C_GetAttributeValue(h, private, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    MUST(conf_sweep() == 1, "the private token object is not found again");
}

/* The handle of a private token object does not come alive again (Base 5.6 C_Logout). */
static void logout_ends_handles(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_OBJECT_HANDLE token;
    CK_ULONG n;

    (void)arg;
    ses = h;
    conf_login(h, CKU_USER);
    conf_sweep();
    token = data(h, true, true);
    OK(f->C_Logout(h));
    conf_login(h, CKU_USER);
    (void)f->C_GetObjectSize(h, token, &n); /* either answer, no crash */
    MUST(conf_sweep() == 1, "the private token object is not found again");
}

/* Base 5.6 C_Logout: active operations on private objects are at an end. */
static void logout_ends_search(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(CKF_RW_SESSION);
    CK_OBJECT_HANDLE o[4];
    CK_ULONG n;

    (void)arg;
    conf_login(h, CKU_USER);
    OK(f->C_FindObjectsInit(h, NULL, 0));
    OK(f->C_Logout(h));
    (void)f->C_FindObjects(h, o, N(o), &n);
    (void)f->C_FindObjectsFinal(h);
    OK(f->C_FindObjectsInit(h, NULL, 0));
    OK(f->C_FindObjectsFinal(h));
}

/* Base 3.0 5.6 C_SessionCancel: what is active ends; what is not active is no error. */
static void cancel(const void *arg)
{
    CK_MECHANISM sha = MECH(CKM_SHA256);
    CK_RV rv;

    (void)arg;
    conf_need_3_0();
    conf_need(CKM_SHA256, CKF_DIGEST);
    OK(f->C_DigestInit(ses, &sha));
    OK(f->C_FindObjectsInit(ses, NULL, 0));
    rv = f3->C_SessionCancel(ses, CKF_DIGEST);
    if (rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_OPERATION_CANCEL_FAILED)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
    EXPECT(f->C_DigestUpdate(ses, (CK_BYTE *)"x", 1), CKR_OPERATION_NOT_INITIALIZED);
    OK(f3->C_SessionCancel(ses, CKF_DIGEST | CKF_SIGN | CKF_ENCRYPT));
    OK(f3->C_SessionCancel(ses, CKF_FIND_OBJECTS));
    EXPECT(f->C_FindObjectsFinal(ses), CKR_OPERATION_NOT_INITIALIZED);
}

void sessions_checks(void)
{
    conf_add(CONF_INIT, states, NULL, "sessions/states");
    conf_add(CONF_INIT, opened_later, NULL, "sessions/opened-after-login");
    conf_add(CONF_INIT, last_one_logs_out, NULL, "sessions/last-close-logs-out");
    conf_add(CONF_INIT, close_all, NULL, "sessions/close-all");
    conf_add(CONF_INIT, serial, NULL, "sessions/serial-flag");
    conf_add(CONF_INIT, close_twice, NULL, "sessions/close-twice");
    conf_add(CONF_INIT, handles, NULL, "sessions/handles-differ");
    conf_add(CONF_INIT, no_ro_beside_so, NULL, "sessions/no-read-only-beside-so");
    conf_add(CONF_INIT, no_init_token, NULL, "sessions/no-init-token-while-open");
    conf_add(CONF_INIT, objects_die, NULL, "sessions/objects-die-with-their-session");
    conf_add(CONF_USER, objects_shared, NULL, "sessions/objects-are-shared");
    conf_add(CONF_USER, read_only, NULL, "sessions/read-only-and-objects");
    conf_add(CONF_USER, read_only_keys, NULL, "sessions/read-only-and-keys");
    conf_add(CONF_INIT, public_session, NULL, "sessions/public-and-private-objects");
    conf_add(CONF_INIT, logout_hides, NULL, "sessions/logout-hides-private-objects");
    conf_add(CONF_INIT, logout_ends_handles, NULL, "sessions/logout-and-handles");
    conf_add(CONF_INIT, logout_ends_search, NULL, "sessions/logout-and-search");
    conf_add(CONF_USER, cancel, NULL, "sessions/cancel");
}
