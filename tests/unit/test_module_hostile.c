/* The module with a TPM (swtpm-ci/with-tpm starts one) and a caller that does everything
 * wrong: no mistake of it may crash, hang or look like a fault of ours. The random part
 * repeats itself with FUSETSU_SEED=number. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/inprocess.h"
#include "tests/support/unit_dir.h"

#define ROUNDS 6000
#define HUGE_LEN ((CK_ULONG)-1)
#define BUFFER 8192

static CK_FUNCTION_LIST *f;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session; /* R/W, the user logged in */
static CK_OBJECT_HANDLE pub, priv;
static CK_BBOOL yes = CK_TRUE;
static CK_UTF8CHAR so_pin[] = "12345678", pin[] = "123456";
static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static CK_MECHANISM ecdsa = {CKM_ECDSA_SHA256, NULL, 0};
static int failures;

static void check_at(int line, bool good, const char *what)
{
    if (!good) {
        printf("# line %d: %s\n", line, what);
        failures++;
    }
}
#define CHECK(x) check_at(__LINE__, (x), #x)
#define IS(call, want) check_rv(__LINE__, (call), (want), #call)

static void check_rv(int line, CK_RV got, CK_RV want, const char *what)
{
    if (got != want)
        printf("# line %d: %s gives 0x%lx, not 0x%lx\n", line, what, got, want);
    failures += got != want;
}

/* --- the token ----------------------------------------------------------- */

static CK_SESSION_HANDLE open_session(bool rw)
{
    CK_SESSION_HANDLE h = 0;

    IS(f->C_OpenSession(slot, CKF_SERIAL_SESSION | (rw ? CKF_RW_SESSION : 0), NULL, NULL, &h),
       CKR_OK);
    return h;
}

static CK_RV generate(CK_SESSION_HANDLE h, CK_BBOOL token, CK_OBJECT_HANDLE *a, CK_OBJECT_HANDLE *b)
{
    CK_MECHANISM m = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE t[] = {{CKA_TOKEN, &token, 1}, {CKA_EC_PARAMS, p256, sizeof(p256)}};

    return f->C_GenerateKeyPair(h, &m, t, 2, t, 1, a, b);
}

static void find(CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *o)
{
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_TOKEN, &yes, 1}};
    CK_ULONG n = 0;

    IS(f->C_FindObjectsInit(session, t, 2), CKR_OK);
    IS(f->C_FindObjects(session, o, 1, &n), CKR_OK);
    IS(f->C_FindObjectsFinal(session), CKR_OK);
    CHECK(n == 1);
}

/* From nothing to a login with both key handles. */
static void enter(void)
{
    CK_ULONG n = 1;

    IS(f->C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    session = open_session(true);
    IS(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    find(CKO_PUBLIC_KEY, &pub);
    find(CKO_PRIVATE_KEY, &priv);
}

static void make_token(void)
{
    CK_UTF8CHAR label[] = "hostile test                    ";
    CK_ULONG n = 1;

    IS(f->C_Initialize(NULL), CKR_OK);
    IS(f->C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    IS(f->C_InitToken(slot, so_pin, 8, label), CKR_OK);
    session = open_session(true);
    IS(f->C_Login(session, CKU_SO, so_pin, 8), CKR_OK);
    IS(f->C_InitPIN(session, pin, 6), CKR_OK);
    IS(f->C_Logout(session), CKR_OK);
    IS(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    IS(generate(session, CK_TRUE, &pub, &priv), CKR_OK);
}

/* The TPM is used by other runs of this test: leave no NV indices behind. */
static void remove_token(void)
{
    struct token *k = p11_session_token(session);

    if (k != NULL && f->C_Logout(session) == CKR_OK &&
        f->C_Login(session, CKU_SO, so_pin, 8) == CKR_OK)
        (void)(token_erase(k, NULL) != 0);
    f->C_Finalize(NULL);
}

static CK_RV sign(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    CK_BYTE sig[64];
    CK_ULONG len = sizeof(sig);
    CK_RV rv = f->C_SignInit(h, &ecdsa, key);

    return rv == CKR_OK ? f->C_Sign(h, p256, sizeof(p256), sig, &len) : rv;
}

/* --- arguments at random ------------------------------------------------- */

static uint64_t seed;

static unsigned draw(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* Memory for whatever the module is given; no value of these tests is longer. */
static union {
    CK_BYTE bytes[BUFFER];
    CK_ULONG words[BUFFER / sizeof(CK_ULONG)];
    CK_INFO info;
    CK_TOKEN_INFO token;
} room;

static CK_SESSION_HANDLE ro, rw, closed; /* valid but for `closed` */

static CK_SESSION_HANDLE any_session(void)
{
    const CK_ULONG of[] = {session, session, rw, ro, closed, 0, HUGE_LEN, pub, slot};

    return of[draw(ARRAY_LEN(of))];
}

static CK_OBJECT_HANDLE any_object(void)
{
    const CK_ULONG of[] = {pub, priv, pub, priv, session, 0, HUGE_LEN, draw(1000)};

    return of[draw(ARRAY_LEN(of))];
}

static void *any_room(void)
{
    return draw(4) == 0 ? NULL : room.bytes;
}

/* Either true of `room`, or more than any memory. */
static CK_ULONG any_len(void)
{
    const CK_ULONG of[] = {0,           1, 8, 32, 64, 65, 256, 1000, HUGE_LEN, HUGE_LEN / 2 + 1,
                           HUGE_LEN - 7};

    return of[draw(ARRAY_LEN(of))];
}

static CK_ULONG *any_count(void)
{
    static CK_ULONG count;

    count = any_len();
    return draw(5) == 0 ? NULL : &count;
}

static CK_MECHANISM *any_mechanism(void)
{
    static CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, 32};
    static CK_MECHANISM m;
    const CK_ULONG of[] = {CKM_ECDSA,        CKM_ECDSA_SHA256, CKM_SHA256, CKM_RSA_PKCS,
                           CKM_RSA_PKCS_PSS, CKM_RSA_X_509,    HUGE_LEN,   CKM_EC_KEY_PAIR_GEN};
    const CK_ULONG lens[] = {0, 0, 0, 1, sizeof(pss), HUGE_LEN};

    m.mechanism = of[draw(ARRAY_LEN(of))];
    m.pParameter = draw(2) == 0 ? NULL : &pss;
    m.ulParameterLen = lens[draw(ARRAY_LEN(lens))];
    return draw(8) == 0 ? NULL : &m;
}

/* Attributes that contradict each other, repeat, lack values or claim impossible ones. */
static CK_ATTRIBUTE *any_template(CK_ULONG *n)
{
    static CK_ATTRIBUTE t[12];
    static CK_ULONG value;
    const CK_ULONG types[] = {
        CKA_CLASS,           CKA_TOKEN, CKA_KEY_TYPE, CKA_ID,         CKA_LABEL,
        CKA_VALUE,           CKA_SIGN,  CKA_PRIVATE,  CKA_EC_PARAMS,  CKA_EC_POINT,
        CKA_SENSITIVE,       HUGE_LEN,  CKA_MODULUS,  CKA_START_DATE, CKA_ALLOWED_MECHANISMS,
        CKA_CERTIFICATE_TYPE};
    const CK_ULONG lens[] = {0, 1, 8, sizeof(value), HUGE_LEN, HUGE_LEN - 1, HUGE_LEN / 2 + 1};

    value = draw(5);
    *n = draw(ARRAY_LEN(t) + 1);
    for (CK_ULONG i = 0; i < *n; i++)
        t[i] = (CK_ATTRIBUTE){types[draw(ARRAY_LEN(types))], draw(4) == 0 ? NULL : &value,
                              lens[draw(ARRAY_LEN(lens))]};
    if (draw(20) == 0)
        *n = HUGE_LEN;
    return draw(10) == 0 ? NULL : t;
}

/* Values must have room where the module writes them. */
static CK_ATTRIBUTE *any_query(CK_ULONG *n)
{
    CK_ATTRIBUTE *t = any_template(n);

    for (CK_ULONG i = 0; t != NULL && i < *n && *n != HUGE_LEN; i++) {
        if (t[i].pValue != NULL)
            t[i].pValue = room.bytes;
    }
    return t;
}

static CK_RV call_general(unsigned which)
{
    CK_SLOT_ID id = draw(3) != 0 ? slot : draw(2) != 0 ? HUGE_LEN : 0;

    switch (which) {
    case 0: return f->C_GetInfo(any_room());
    case 1: return f->C_GetSlotInfo(id, any_room());
    case 2: return f->C_GetTokenInfo(id, any_room());
    case 3: return f->C_GetMechanismInfo(id, draw(20), any_room());
    case 4: return f->C_WaitForSlotEvent(CKF_DONT_BLOCK | draw(3), any_room(), any_room());
    case 5: return f->C_GetFunctionList(NULL);
    case 6: return f->C_Finalize(&room);
    case 7: return f->C_InitToken(HUGE_LEN, any_room(), any_len(), room.bytes);
    case 8: return f->C_OpenSession(id, draw(2), NULL, NULL, any_room());
    case 9: return f->C_GetFunctionStatus(any_session());
    case 10: return f->C_CancelFunction(any_session());
    case 11: return f->C_GetSessionInfo(any_session(), any_room());
    case 12: return f->C_Login(any_session(), 3 + draw(3), any_room(), any_len());
    case 13: return f->C_Login(any_session(), draw(3), any_room(), draw(2) ? 1 : HUGE_LEN);
    case 14: return f->C_InitPIN(any_session(), any_room(), any_len());
    case 15: return f->C_SetPIN(any_session(), NULL, any_len(), any_room(), any_len());
    case 16: return f->C_SetPIN(any_session(), any_room(), HUGE_LEN, any_room(), any_len());
    case 17: return f->C_SeedRandom(any_session(), any_room(), any_len());
    case 18: return f->C_GenerateRandom(any_session(), any_room(), any_len());
    default: return f->C_GetSlotList((CK_BBOOL)draw(2), NULL, any_count());
    }
}

static CK_RV call_object(unsigned which)
{
    CK_ULONG n, n_other;
    CK_ATTRIBUTE *t = any_template(&n);
    CK_OBJECT_HANDLE out;

    switch (which) {
    case 0: return f->C_FindObjectsInit(any_session(), t, n);
    case 1: return f->C_FindObjects(any_session(), any_room(), any_len() % 512, any_count());
    case 2: return f->C_FindObjectsFinal(any_session());
    case 3: t = any_query(&n); return f->C_GetAttributeValue(any_session(), any_object(), t, n);
    case 4: return f->C_SetAttributeValue(any_session(), any_object(), t, n);
    case 5: return f->C_GetObjectSize(any_session(), any_object(), any_count());
    case 6: return f->C_CreateObject(rw, t, n, draw(4) == 0 ? NULL : &out);
    case 7: return f->C_DestroyObject(draw(2) ? closed : ro, any_object());
    case 8: return f->C_CopyObject(any_session(), any_object(), t, n, &out);
    case 9: return f->C_DeriveKey(any_session(), any_mechanism(), any_object(), t, n, &out);
    case 10: return f->C_DigestKey(any_session(), any_object());
    default:
        n_other = draw(2) ? HUGE_LEN : 0;
        return f->C_GenerateKeyPair(any_session(), any_mechanism(), t, n, NULL, n_other, &out,
                                    draw(2) ? NULL : &out);
    }
}

static CK_RV call_operation(unsigned which)
{
    CK_SESSION_HANDLE h = any_session();
    void *in = any_room();
    CK_ULONG len = any_len();

    switch (which) {
    case 0: return f->C_DigestInit(h, any_mechanism());
    case 1: return f->C_Digest(h, in, len, any_room(), any_count());
    case 2: return f->C_DigestUpdate(h, in, len);
    case 3: return f->C_DigestFinal(h, any_room(), any_count());
    case 4: return f->C_SignInit(h, any_mechanism(), any_object());
    case 5: return f->C_Sign(h, in, len, any_room(), any_count());
    case 6: return f->C_SignUpdate(h, in, len);
    case 7: return f->C_SignFinal(h, any_room(), any_count());
    case 8: return f->C_VerifyInit(h, any_mechanism(), any_object());
    case 9: return f->C_Verify(h, in, len, any_room(), any_len());
    case 10: return f->C_VerifyUpdate(h, in, len);
    case 11: return f->C_VerifyFinal(h, any_room(), any_len());
    case 12: return f->C_EncryptInit(h, any_mechanism(), any_object());
    case 13: return f->C_Decrypt(h, in, len, any_room(), any_count());
    default: return f->C_GetOperationState(h, in, any_count());
    }
}

static void test_arguments_at_random(void)
{
    rw = open_session(true);
    ro = open_session(false);
    closed = open_session(false);
    IS(f->C_CloseSession(closed), CKR_OK);
    for (int i = 0; i < ROUNDS; i++) {
        unsigned kind = draw(3), which = draw(kind == 0 ? 20 : kind == 1 ? 12 : 15);
        CK_RV rv = kind == 0   ? call_general(which)
                   : kind == 1 ? call_object(which)
                               : call_operation(which);

        if (rv == CKR_GENERAL_ERROR || rv == CKR_DEVICE_ERROR || rv == CKR_FUNCTION_FAILED ||
            rv == CKR_HOST_MEMORY || rv == CKR_TOKEN_NOT_RECOGNIZED) {
            printf("# round %d: call %u of kind %u gives 0x%lx\n", i, which, kind, rv);
            failures++;
        }
        if (i % 100 == 99) { /* with all that is under way in it */
            IS(f->C_CloseSession(rw), CKR_OK);
            rw = open_session(true);
        }
    }
    IS(f->C_CloseAllSessions(slot), CKR_OK);
    IS(f->C_GetSessionInfo(session, NULL), CKR_SESSION_HANDLE_INVALID);
    enter();
    IS(sign(session, priv), CKR_OK);
}

/* --- by name ------------------------------------------------------------- */

static void test_long_and_repeating_templates(void)
{
    static CK_ATTRIBUTE many[10000];
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_OBJECT_HANDLE o;

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (CK_ATTRIBUTE){CKA_LABEL, NULL, 0};
    IS(f->C_GetAttributeValue(session, pub, many, ARRAY_LEN(many)), CKR_OK);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i].ulValueLen = 0; /* now the length of what the random part left there */
    IS(f->C_FindObjectsInit(session, many, ARRAY_LEN(many)), CKR_ARGUMENTS_BAD);
    IS(f->C_SetAttributeValue(session, pub, many, ARRAY_LEN(many)), CKR_ARGUMENTS_BAD);
    IS(f->C_SetAttributeValue(session, pub, many, 2), CKR_TEMPLATE_INCONSISTENT);
    many[0] = (CK_ATTRIBUTE){CKA_CLASS, &class, sizeof(class)};
    IS(f->C_CreateObject(session, many, ARRAY_LEN(many), &o), CKR_ARGUMENTS_BAD);
    IS(f->C_CreateObject(session, many, 3, &o), CKR_TEMPLATE_INCONSISTENT);
    many[1] = (CK_ATTRIBUTE){CKA_LABEL, p256, HUGE_LEN};
    IS(f->C_CreateObject(session, many, 2, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    many[1] = (CK_ATTRIBUTE){CKA_LABEL, NULL, 1};
    IS(f->C_CreateObject(session, many, 2, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    IS(f->C_GetAttributeValue(session, pub, many, HUGE_LEN), CKR_ARGUMENTS_BAD);
}

static void test_operations_whose_session_key_or_login_goes(void)
{
    CK_SESSION_HANDLE h = open_session(true);
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0};
    CK_OBJECT_HANDLE a, b;
    CK_BYTE sig[64];
    CK_ULONG len = sizeof(sig);

    IS(generate(h, CK_FALSE, &a, &b), CKR_OK);
    IS(f->C_SignInit(h, &ecdsa, b), CKR_OK);
    IS(f->C_SignUpdate(h, p256, 3), CKR_OK);
    IS(f->C_DigestInit(h, &sha), CKR_OK);
    IS(f->C_VerifyInit(h, &ecdsa, a), CKR_OK);
    IS(f->C_FindObjectsInit(h, NULL, 0), CKR_OK);
    IS(f->C_SignInit(session, &ecdsa, b), CKR_OK);
    IS(f->C_CloseSession(h), CKR_OK);
    IS(f->C_SignFinal(h, sig, &len), CKR_SESSION_HANDLE_INVALID);
    IS(f->C_Sign(session, p256, 3, sig, &len), CKR_KEY_HANDLE_INVALID);
    IS(f->C_SignInit(session, &ecdsa, priv), CKR_OK);
    IS(f->C_Logout(session), CKR_OK);
    IS(f->C_Sign(session, p256, 3, sig, &len), CKR_USER_NOT_LOGGED_IN);
    IS(f->C_SignInit(session, &ecdsa, priv), CKR_KEY_HANDLE_INVALID);
    IS(f->C_Login(session, CKU_USER, pin, 6), CKR_OK);
    find(CKO_PRIVATE_KEY, &priv);
    IS(sign(session, priv), CKR_OK);
}

static void test_finalize_and_initialize_in_the_wrong_order(void)
{
    IS(f->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    IS(f->C_SignInit(session, &ecdsa, priv), CKR_OK);
    IS(f->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    IS(f->C_Finalize(NULL), CKR_OK);
    IS(f->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    IS(sign(session, priv), CKR_CRYPTOKI_NOT_INITIALIZED);
    IS(f->C_Initialize(NULL), CKR_OK);
    IS(sign(session, priv), CKR_SESSION_HANDLE_INVALID);
    enter();
}

/* --- threads, mutexes, processes ----------------------------------------- */

static void in_threads(void *(*run)(void *), void *arg, size_t n)
{
    pthread_t thread[8];

    for (size_t i = 0; i < n; i++)
        CHECK(pthread_create(&thread[i], NULL, run, arg) == 0);
    for (size_t i = 0; i < n; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
}

static int initialised, bad_signatures, signatures;

/* Until other threads made `n` more signatures, the next one being under way. */
static void wait_for(int n)
{
    int until = __atomic_load_n(&signatures, __ATOMIC_SEQ_CST) + n;

    while (__atomic_load_n(&signatures, __ATOMIC_SEQ_CST) < until)
        sched_yield();
}

static void *initialise(void *arg)
{
    CK_RV rv = f->C_Initialize(arg);

    if (rv == CKR_OK)
        __atomic_add_fetch(&initialised, 1, __ATOMIC_SEQ_CST);
    else if (rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        __atomic_add_fetch(&initialised, 100, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *sign_often(void *arg)
{
    CK_SESSION_HANDLE h = 0;

    (void)arg;
    if (f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
        __atomic_add_fetch(&bad_signatures, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 50; i++) {
        if (sign(h, priv) != CKR_OK)
            __atomic_add_fetch(&bad_signatures, 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&signatures, 1, __ATOMIC_SEQ_CST);
    }
    f->C_CloseSession(h);
    return NULL;
}

static bool stop;

static void *sign_until_stopped(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        if (sign(session, priv) != CKR_OK)
            __atomic_add_fetch(&bad_signatures, 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&signatures, 1, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static void test_threads_that_sign_while_the_process_forks(void)
{
    pthread_t busy;
    int status = -1;
    pid_t child;

    in_threads(sign_often, NULL, 4);
    CHECK(pthread_create(&busy, NULL, sign_until_stopped, NULL) == 0);
    for (int i = 0; i < 5; i++) {
        wait_for(2);
        child = fork();
        if (child == 0) {
            if (sign(session, priv) != CKR_CRYPTOKI_NOT_INITIALIZED ||
                f->C_Initialize(NULL) != CKR_OK ||
                sign(session, priv) != CKR_SESSION_HANDLE_INVALID)
                _exit(1);
            enter();
            _exit(sign(session, priv) == CKR_OK && f->C_Finalize(NULL) == CKR_OK ? 0 : 2);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(busy, NULL) == 0);
    stop = false;
    CHECK(bad_signatures == 0);
}

static pthread_mutex_t app_mutex = PTHREAD_MUTEX_INITIALIZER;
static int made, held, misused;
static CK_RV lock_answer = CKR_OK;

static CK_RV app_create(void **out)
{
    made++;
    *out = &app_mutex;
    return CKR_OK;
}

static CK_RV app_destroy(void *m)
{
    made--;
    misused += m != &app_mutex || held != 0;
    return CKR_OK;
}

static CK_RV app_lock(void *m)
{
    if (lock_answer != CKR_OK)
        return lock_answer;
    pthread_mutex_lock(m);
    misused += held++ != 0;
    return CKR_OK;
}

static CK_RV app_unlock(void *m)
{
    misused += --held != 0;
    pthread_mutex_unlock(m);
    return CKR_OK;
}

static void test_mutexes_of_the_application(void)
{
    CK_C_INITIALIZE_ARGS args = {.CreateMutex = app_create, .DestroyMutex = app_destroy};

    IS(f->C_Finalize(NULL), CKR_OK);
    IS(f->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    args.LockMutex = app_lock;
    args.UnlockMutex = app_unlock;
    args.pReserved = &args;
    IS(f->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    args.pReserved = NULL;
    initialised = 0;
    in_threads(initialise, &args, 8);
    CHECK(initialised == 1 && made == 1);
    enter();
    in_threads(sign_often, NULL, 4);
    CHECK(bad_signatures == 0);
    lock_answer = CKR_MUTEX_BAD;
    CHECK(sign(session, priv) != CKR_OK);
    lock_answer = CKR_OK;
    IS(sign(session, priv), CKR_OK);
    IS(f->C_Finalize(NULL), CKR_OK);
    CHECK(made == 0 && held == 0 && misused == 0);
    initialised = 0;
    in_threads(initialise, NULL, 8);
    CHECK(initialised == 1);
    enter();
}

/* Neither a crash nor a wait for ever. */
static void test_a_process_that_exits_while_a_thread_signs(void)
{
    /* What a child inherits it may not end, so that a search for leaks would find it. */
    IS(f->C_Finalize(NULL), CKR_OK);
    for (int i = 0; i < 10; i++) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            pthread_t busy;

            alarm(30);
            if (f->C_Initialize(NULL) != CKR_OK)
                _exit(1);
            enter();
            if (pthread_create(&busy, NULL, sign_until_stopped, NULL) != 0)
                _exit(2);
            wait_for(1 + i);
            exit(failures == 0 ? 0 : 3);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    IS(f->C_Initialize(NULL), CKR_OK);
    enter();
}

static void run(void (*test)(void), const char *what)
{
    int before = failures;

    test();
    printf("%s - %s\n", failures == before ? "ok" : "not ok", what);
}
#define RUN(name) run(test_##name, #name)

int main(void)
{
    const char *given = getenv("FUSETSU_SEED");
    void *state = NULL;

    seed = (uint64_t)(given != NULL ? strtol(given, NULL, 10) : (long)getpid());
    if (unit_dir_make(&state) != 0)
        return 1;
    setenv("FUSETSU_STORE", unit_dir_at("store.db"), 1);
    setenv("FUSETSU_LOG", "silent", 1);
    setenv("HOME", unit_dir(), 1);
    setvbuf(stdout, NULL, _IOLBF, 0); /* nothing is left for children to print again */
    printf("# FUSETSU_SEED=%llu\n", (unsigned long long)seed);
    f = p11_inprocess();
    make_token();
    RUN(arguments_at_random);
    RUN(long_and_repeating_templates);
    RUN(operations_whose_session_key_or_login_goes);
    RUN(finalize_and_initialize_in_the_wrong_order);
    RUN(threads_that_sign_while_the_process_forks);
    RUN(mutexes_of_the_application);
    RUN(a_process_that_exits_while_a_thread_signs);
    remove_token();
    (void)(unit_dir_remove(&state) != 0);
    return failures == 0 ? 0 : 1;
}
