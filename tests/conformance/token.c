/* Random numbers, and whether the token's own words agree (Base 3.2 and 5.5). */
#include "tests/conformance/keys.h"

static void random_bytes(const void *arg)
{
    static CK_BYTE a[5000], b[5000];
    CK_TOKEN_INFO t;

    (void)arg;
    OK(f->C_GetTokenInfo(slot, &t));
    if (!(t.flags & CKF_RNG))
        conf_skip("no CKF_RNG");
    OK(f->C_GenerateRandom(ses, a, sizeof a));
    OK(f->C_GenerateRandom(ses, b, sizeof b));
    for (size_t i = 0; i + 16 <= sizeof a; i += 16) {
        MUST(memcmp(a + i, b + i, 16) != 0, "the same 16 bytes twice");
        MUST(i < 16 || memcmp(a + i, a + i - 16, 16) != 0, "the same 16 bytes in a row");
    }
}

static void random_lengths(const void *arg)
{
    static const CK_ULONG lengths[] = {1, 31, 32, 33, 64, 65, 1024};
    CK_BYTE a[1032];

    (void)arg;
    for (size_t i = 0; i < N(lengths); i++) {
        memset(a, 0, sizeof a);
        OK(f->C_GenerateRandom(ses, a, lengths[i]));
        for (size_t j = lengths[i]; j < sizeof a; j++)
            MUST(a[j] == 0, "a byte behind %lu is written", lengths[i]);
    }
}

static void seed(const void *arg)
{
    CK_BYTE s[32] = {1, 2, 3};

    (void)arg;
    EXPECT(f->C_SeedRandom(ses, s, sizeof s), CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED,
           CKR_RANDOM_NO_RNG);
    EXPECT(f->C_SeedRandom(ses, s, 1), CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED, CKR_RANDOM_NO_RNG);
}

/* Random bytes need no login. */
static void random_in_public(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(0);
    CK_BYTE a[16];

    (void)arg;
    EXPECT(f->C_GenerateRandom(h, a, sizeof a), CKR_OK, CKR_RANDOM_NO_RNG, CKR_USER_NOT_LOGGED_IN);
}

static void padded(const char *what, const CK_UTF8CHAR *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        MUST(p[i] != '\0', "%s is not padded with blanks", what);
}

static void info(const void *arg)
{
    CK_TOKEN_INFO t;

    (void)arg;
    memset(&t, 0, sizeof t);
    OK(f->C_GetTokenInfo(slot, &t));
    padded("label", t.label, sizeof t.label);
    padded("manufacturerID", t.manufacturerID, sizeof t.manufacturerID);
    padded("model", t.model, sizeof t.model);
    padded("serialNumber", t.serialNumber, sizeof t.serialNumber);
    MUST(t.flags & CKF_TOKEN_INITIALIZED, "no CKF_TOKEN_INITIALIZED");
    MUST(t.flags & CKF_USER_PIN_INITIALIZED, "no CKF_USER_PIN_INITIALIZED");
    MUST(t.flags & CKF_LOGIN_REQUIRED, "no CKF_LOGIN_REQUIRED");
    MUST(!(t.flags & (CKF_USER_PIN_LOCKED | CKF_SO_PIN_LOCKED)), "a PIN is locked");
    MUST(t.ulMinPinLen <= t.ulMaxPinLen, "PIN lengths %lu to %lu", t.ulMinPinLen, t.ulMaxPinLen);
    MUST(conf_pin_len >= t.ulMinPinLen && conf_pin_len <= t.ulMaxPinLen,
         "the PIN's length is out of range");
}

/* Base 3.2 CK_TOKEN_INFO: what of it is known, fits. */
static void memory(const void *arg)
{
    CK_TOKEN_INFO t;

    (void)arg;
    OK(f->C_GetTokenInfo(slot, &t));
    if (t.ulTotalPublicMemory != CK_UNAVAILABLE_INFORMATION &&
        t.ulFreePublicMemory != CK_UNAVAILABLE_INFORMATION)
        MUST(t.ulFreePublicMemory <= t.ulTotalPublicMemory,
             "more public memory free than there is");
    if (t.ulTotalPrivateMemory != CK_UNAVAILABLE_INFORMATION &&
        t.ulFreePrivateMemory != CK_UNAVAILABLE_INFORMATION)
        MUST(t.ulFreePrivateMemory <= t.ulTotalPrivateMemory,
             "more private memory free than there is");
}

/* Counts of sessions follow what is open, where the token tells them. */
static void session_counts(const void *arg)
{
    CK_TOKEN_INFO a, b;
    CK_SESSION_HANDLE ro, rw;

    (void)arg;
    OK(f->C_GetTokenInfo(slot, &a));
    if (a.ulSessionCount == CK_UNAVAILABLE_INFORMATION ||
        a.ulRwSessionCount == CK_UNAVAILABLE_INFORMATION)
        conf_skip("the token does not tell");
    MUST(a.ulSessionCount == 0 && a.ulRwSessionCount == 0, "%lu sessions, %lu read/write, of none",
         a.ulSessionCount, a.ulRwSessionCount);
    ro = conf_open(0);
    rw = conf_open(CKF_RW_SESSION);
    OK(f->C_GetTokenInfo(slot, &b));
    MUST(b.ulSessionCount == 2 && b.ulRwSessionCount == 1,
         "%lu sessions, %lu read/write, of 2 and 1", b.ulSessionCount, b.ulRwSessionCount);
    MUST(b.ulMaxSessionCount == CK_UNAVAILABLE_INFORMATION ||
             b.ulMaxSessionCount == CK_EFFECTIVELY_INFINITE ||
             b.ulMaxSessionCount >= b.ulSessionCount,
         "more sessions than the most");
    OK(f->C_CloseSession(rw));
    OK(f->C_CloseSession(ro));
    OK(f->C_GetTokenInfo(slot, &b));
    MUST(b.ulSessionCount == 0 && b.ulRwSessionCount == 0, "closed sessions are counted");
}

/* Base 3.2: CKF_USER_PIN_COUNT_LOW after a wrong try, where a token has it, ends with a right one. */
static void count_low(const void *arg)
{
    CK_SESSION_HANDLE h = conf_open(0);
    CK_TOKEN_INFO t;
    CK_UTF8CHAR wrong[] = "wrong-pin-1";

    (void)arg;
    EXPECT(f->C_Login(h, CKU_USER, wrong, sizeof wrong - 1), CKR_PIN_INCORRECT);
    OK(f->C_GetTokenInfo(slot, &t));
    MUST(!(t.flags & CKF_SO_PIN_COUNT_LOW), "the SO's count is low");
    MUST(!(t.flags & CKF_USER_PIN_LOCKED), "one wrong try locks the PIN");
    conf_login(h, CKU_USER);
    OK(f->C_GetTokenInfo(slot, &t));
    MUST(!(t.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY)),
         "flags 0x%lx after a right PIN", t.flags);
}

/* Base 5.5: the list's length first, no mechanism twice, and each has its information. */
static void mechanism_list(const void *arg)
{
    CK_MECHANISM_TYPE list[512];
    CK_ULONG n = 0, few = 1;

    (void)arg;
    OK(f->C_GetMechanismList(slot, NULL, &n));
    MUST(n > 1 && n <= N(list), "%lu mechanisms", n);
    EXPECT(f->C_GetMechanismList(slot, list, &few), CKR_BUFFER_TOO_SMALL);
    MUST(few == n, "too small: it says %lu, not %lu", few, n);
    OK(f->C_GetMechanismList(slot, list, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_MECHANISM_INFO m;

        OK(f->C_GetMechanismInfo(slot, list[i], &m));
        for (CK_ULONG j = 0; j < i; j++)
            MUST(list[i] != list[j], "0x%lx is in the list twice", list[i]);
    }
}

/* All of CK_MECHANISM_INFO is the function's output: nothing of what was there before remains. */
static void mechanism_info_is_written(const void *arg)
{
    CK_MECHANISM_TYPE list[512];
    CK_ULONG n = N(list);

    (void)arg;
    OK(f->C_GetMechanismList(slot, list, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_MECHANISM_INFO a, b;

        memset(&a, 0, sizeof a);
        memset(&b, 0xff, sizeof b);
        OK(f->C_GetMechanismInfo(slot, list[i], &a));
        OK(f->C_GetMechanismInfo(slot, list[i], &b));
        MUST(a.flags == b.flags, "flags of 0x%lx depend on what was there before", list[i]);
        MUST(a.ulMinKeySize == b.ulMinKeySize && a.ulMaxKeySize == b.ulMaxKeySize,
             "sizes of 0x%lx depend on what was there before", list[i]);
    }
}

void token_checks(void)
{
    conf_add(CONF_USER, random_bytes, NULL, "random/bytes-differ");
    conf_add(CONF_USER, random_lengths, NULL, "random/lengths");
    conf_add(CONF_USER, seed, NULL, "random/seed");
    conf_add(CONF_INIT, random_in_public, NULL, "random/without-login");
    conf_add(CONF_INIT, info, NULL, "token/info");
    conf_add(CONF_INIT, memory, NULL, "token/memory");
    conf_add(CONF_INIT, session_counts, NULL, "token/session-counts");
    conf_add(CONF_INIT, count_low, NULL, "token/count-low");
    conf_add(CONF_INIT, mechanism_list, NULL, "token/mechanism-list");
    conf_add(CONF_INIT, mechanism_info_is_written, NULL, "token/mechanism-info-is-written");
}
