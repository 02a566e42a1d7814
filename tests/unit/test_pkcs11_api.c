/* The module's functions over a store with one token and no TPM: its start and end, slots,
 * sessions, and what it tells of itself. What must work, or fail properly, without sending
 * anything. */
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

#include "tests/support/unit_dir.h"
#include "tests/support/unit_module.h"
#include "tests/support/unit_store.h"

#define EMPTY_SLOT 0x7fffffffUL

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
    assert_int_equal(C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    assert_int_equal(C_Finalize(&a), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_Finalize(NULL), CKR_OK);
    assert_int_equal(C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    for (CK_FLAGS flags = 0; flags <= 3; flags++) {
        a.flags = flags;
        assert_int_equal(C_Initialize(&a), CKR_OK);
        assert_int_equal(C_Finalize(NULL), CKR_OK);
    }
    a.flags = 0;
    a.LockMutex = lock_mutex;
    assert_int_equal(C_Initialize(&a), CKR_ARGUMENTS_BAD);
    a = (CK_C_INITIALIZE_ARGS){make_mutex, end_mutex, lock_mutex, unlock_mutex, 0, NULL};
    assert_int_equal(C_Initialize(&a), CKR_OK);
    assert_int_equal(C_GetInfo(&info), CKR_OK);
    assert_int_equal(C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_Finalize(NULL), CKR_OK);
    assert_true(locks == 3 && unlocks == 3);
    a.pReserved = &a;
    assert_int_equal(C_Initialize(&a), CKR_ARGUMENTS_BAD);
}

static void test_without_a_store_there_is_a_place_for_the_first_token(void **state)
{
    CK_SLOT_ID id[4];
    CK_ULONG n = 4;
    CK_TOKEN_INFO t;
    CK_SESSION_HANDLE h;

    (void)state;
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
    assert_true(n == 1 && id[0] == EMPTY_SLOT);
    assert_int_equal(C_GetTokenInfo(id[0], &t), CKR_OK);
    assert_int_equal(t.flags & CKF_TOKEN_INITIALIZED, 0);
    assert_int_equal(C_OpenSession(id[0], CKF_SERIAL_SESSION, NULL, NULL, &h),
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
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    s = unit_store_open(STORE_CREATE);
    assert_int_equal(unit_store_token(s, UNIT_SERIAL, NULL), 1);
    store_close(s);
    assert_int_equal(C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    n = 4;
    assert_int_equal(C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
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
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_GetSlotList(CK_TRUE, id, &n), CKR_OK);
    assert_true(n == 0);
    n = 2;
    assert_int_equal(C_GetSlotList(CK_FALSE, id, &n), CKR_OK);
    assert_true(n == 1);
    assert_int_equal(C_GetSlotInfo(id[0], &s), CKR_OK);
    assert_int_equal(s.flags & CKF_TOKEN_PRESENT, 0);
    assert_memory_equal(s.slotDescription, "no token", 8);
    assert_int_equal(C_GetTokenInfo(id[0], &t), CKR_TOKEN_NOT_PRESENT);
}

static void test_bad_settings_do_not_keep_applications_from_starting(void **state)
{
    CK_ULONG n = 0;

    (void)state;
    setenv("FUSETSU_CONF", "/nonexistent/fusetsu.conf", 1);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
    assert_int_equal(C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    assert_true(n == 0);
}

/* --- slots and sessions -------------------------------------------------- */

static void test_token_info_comes_from_the_store(void **state)
{
    CK_TOKEN_INFO t;

    (void)state;
    assert_int_equal(C_GetTokenInfo(1, &t), CKR_OK);
    assert_memory_equal(t.serialNumber, UNIT_SERIAL, 16);
    assert_memory_equal(t.manufacturerID, "fusetsu ", 8);
    assert_true((t.flags & CKF_TOKEN_INITIALIZED) != 0 && (t.flags & CKF_LOGIN_REQUIRED) != 0);
    assert_int_equal(C_GetTokenInfo(2, &t), CKR_SLOT_ID_INVALID);
    assert_int_equal(C_GetTokenInfo(1, NULL), CKR_ARGUMENTS_BAD);
}

static void test_sessions_follow_the_rules(void **state)
{
    CK_SESSION_HANDLE h = 0, h2;
    CK_SESSION_INFO i;

    (void)state;
    assert_int_equal(C_OpenSession(1, 0, NULL, NULL, &h), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    assert_int_equal(C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_OpenSession(99, CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_SLOT_ID_INVALID);
    h = unit_module_open(false);
    h2 = unit_module_open(true);
    assert_int_equal(C_GetSessionInfo(h, &i), CKR_OK);
    assert_true(i.state == CKS_RO_PUBLIC_SESSION && i.slotID == 1);
    assert_int_equal(C_GetSessionInfo(h2, &i), CKR_OK);
    assert_true(i.state == CKS_RW_PUBLIC_SESSION);
    assert_int_equal(C_CloseSession(h), CKR_OK);
    assert_int_equal(C_CloseSession(h), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_CloseAllSessions(1), CKR_OK);
    assert_int_equal(C_GetSessionInfo(h2, &i), CKR_SESSION_HANDLE_INVALID);
    assert_int_equal(C_CloseAllSessions(77), CKR_SLOT_ID_INVALID);
}

static void test_the_so_needs_read_write_sessions_only(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_UTF8CHAR pin[] = "12345678", label[] = "a label has thirty-two bytes....";

    (void)state;
    assert_int_equal(C_Login(h, CKU_SO, pin, 8), CKR_SESSION_READ_ONLY_EXISTS);
    assert_int_equal(C_Login(h, 7, pin, 8), CKR_USER_TYPE_INVALID);
    assert_int_equal(C_Login(h, CKU_CONTEXT_SPECIFIC, pin, 8), CKR_OPERATION_NOT_INITIALIZED);
    assert_int_equal(C_Login(h, CKU_USER, NULL, 8), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_Logout(h), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(C_InitPIN(h, pin, 8), CKR_USER_NOT_LOGGED_IN);
    assert_int_equal(C_SetPIN(h, pin, 8, pin, 8), CKR_SESSION_READ_ONLY);
    assert_int_equal(C_InitToken(1, pin, 8, label), CKR_SESSION_EXISTS);
}

static void test_the_module_shows_what_it_is_to_who_asks(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(false);
    CK_OBJECT_CLASS class = CKO_PROFILE;
    CK_ULONG profile = CKP_EXTENDED_PROVIDER;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_PROFILE_ID, &profile, sizeof(profile)}};
    CK_ULONG mechs = 0, n;
    CK_SLOT_ID slot;
    CK_OBJECT_HANDLE o;

    (void)state;
    n = 1;
    assert_int_equal(C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    assert_int_equal(C_GetMechanismList(slot, NULL, &mechs), CKR_OK);
    assert_int_equal(unit_module_count(h, t, 1), 2);
    assert_int_equal(unit_module_count(h, t, 2), 1);
    assert_int_equal(unit_module_count(h, &t[1], 1), 0); /* only by class */
    class = CKO_MECHANISM;
    assert_int_equal(unit_module_count(h, t, 1), mechs);
    class = CKO_PROFILE;
    assert_int_equal(C_FindObjectsInit(h, t, 2), CKR_OK);
    assert_int_equal(C_FindObjects(h, &o, 1, &n), CKR_OK);
    assert_int_equal(C_FindObjectsFinal(h), CKR_OK);
    assert_int_equal(C_DestroyObject(h, o), CKR_ACTION_PROHIBITED);
    assert_int_equal(C_CopyObject(h, o, NULL, 0, &o), CKR_ACTION_PROHIBITED);
}

/* --- slots that come and go ------------------------------------------------ */

static void *wait_for_event(void *out)
{
    CK_SLOT_ID slot = 0;

    *(CK_RV *)out = C_WaitForSlotEvent(0, &slot, NULL);
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
    assert_int_equal(C_GetSlotList(CK_FALSE, list, &n), CKR_OK);
    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL), CKR_ARGUMENTS_BAD);
    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &n), CKR_ARGUMENTS_BAD);
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, &waited), 0);
    assert_int_equal(store_open(&s, unit_dir_at("store.db"), STORE_WRITE, NULL), 0);
    t.tpm = 1;
    assert_int_equal(store_token_put(s, &t, NULL), 0);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_int_equal(waited, CKR_OK);
    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
    assert_int_equal(store_token_delete(s, t.id, NULL), 0);
    assert_int_equal(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_OK);
    assert_true(slot == (CK_SLOT_ID)t.id);
    store_close(s);
}

static void test_the_end_of_the_library_ends_the_wait(void **state)
{
    CK_RV waited = CKR_OK;
    pthread_t waiter;

    (void)state;
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_event, &waited), 0);
    assert_int_equal(C_Finalize(NULL), CKR_OK);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_int_equal(waited, CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_int_equal(C_Initialize(NULL), CKR_OK);
}

/* --- fork ---------------------------------------------------------------- */

static void test_the_child_of_a_fork_starts_clean(void **state)
{
    CK_SESSION_HANDLE h = unit_module_open(true);
    CK_SESSION_INFO i;
    int status = -1;
    pid_t child;

    (void)state;
    assert_int_equal(unit_module_count(h, NULL, 0), 0);
    child = fork();
    if (child == 0) {
        if (C_GetSessionInfo(h, &i) != CKR_CRYPTOKI_NOT_INITIALIZED)
            _exit(1);
        if (C_Initialize(NULL) != CKR_OK)
            _exit(2);
        if (C_GetSessionInfo(h, &i) != CKR_SESSION_HANDLE_INVALID)
            _exit(3);
        _exit(C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &h) == CKR_OK ? 0 : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(C_GetSessionInfo(h, &i), CKR_OK);
    assert_int_equal(unit_module_count(h, NULL, 0), 0);
}

#define BARE(t) cmocka_unit_test_setup_teardown(t, unit_module_bare, unit_module_end)
#define TOKEN(t) cmocka_unit_test_setup_teardown(t, unit_module_without_tpm, unit_module_end)

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
        TOKEN(test_the_module_shows_what_it_is_to_who_asks),
        TOKEN(test_a_token_of_another_process_is_an_event),
        TOKEN(test_the_end_of_the_library_ends_the_wait),
        TOKEN(test_the_child_of_a_fork_starts_clean),
    };

    return cmocka_run_group_tests_name("pkcs11_api", tests, NULL, NULL);
}
