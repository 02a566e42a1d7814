/* The module over a token with ten objects and with ten thousand: an application cannot tell
 * the difference, neither by the answers nor by the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "pkcs11/inprocess.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#define FEW 10
#define MANY 10000
/* Instrumented code is neither fast nor small. */
#ifdef __SANITIZE_ADDRESS__
#define MEASURED false
#else
#define MEASURED true
#endif

static CK_FUNCTION_LIST *f;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session; /* R/W */
static CK_BBOOL yes = CK_TRUE;
static CK_UTF8CHAR so_pin[] = "12345678", pin[] = "123456";
static CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static char few[100], many[100];

/* --- what parent and children do alike -------------------------------------- */

static CK_RV start(const char *store)
{
    CK_ULONG n = 1;
    CK_RV rv;

    setenv("FUSETSU_STORE", store, 1);
    f = p11_inprocess();
    rv = f->C_Initialize(NULL);
    if (rv == CKR_OK)
        rv = f->C_GetSlotList(CK_TRUE, &slot, &n);
    if (rv == CKR_OK)
        rv = f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    return rv;
}

static CK_RV login(void)
{
    return f->C_Login(session, CKU_USER, pin, 6);
}

/* The first object that matches; `*n` of at most four. */
static CK_RV find(CK_ATTRIBUTE *t, CK_ULONG n_t, CK_OBJECT_HANDLE *first, CK_ULONG *n)
{
    CK_OBJECT_HANDLE o[4] = {0};
    CK_RV rv = f->C_FindObjectsInit(session, t, n_t);

    if (rv != CKR_OK)
        return rv;
    rv = f->C_FindObjects(session, o, 4, n);
    *first = o[0];
    return f->C_FindObjectsFinal(session) == CKR_OK ? rv : CKR_GENERAL_ERROR;
}

/* Objects are named by a number, under CKA_LABEL or CKA_ID. */
static CK_RV find_number(CK_ATTRIBUTE_TYPE type, int number, CK_OBJECT_HANDLE *first, CK_ULONG *n)
{
    char name[20];
    CK_ATTRIBUTE t = {type, name, 0};

    t.ulValueLen = (CK_ULONG)snprintf(name, sizeof(name), "object %d", number);
    return find(&t, 1, first, n);
}

static CK_RV find_signer(CK_ATTRIBUTE_TYPE type, CK_OBJECT_HANDLE *key)
{
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)}, {type, "signer", 6}};
    CK_ULONG n = 0;
    CK_RV rv = find(t, 2, key, &n);

    return rv == CKR_OK && n != 1 ? CKR_GENERAL_ERROR : rv;
}

/* --- the children: one measurement each, then one line of numbers ------------ */

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static long peak(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* What ssh or curl do with a token. */
static CK_RV one_signature(CK_ATTRIBUTE_TYPE type, double *result)
{
    CK_MECHANISM m = {CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {1}, sig[64];
    CK_ULONG len = sizeof(sig);
    CK_OBJECT_HANDLE key = 0;
    CK_RV rv = login();

    if (rv == CKR_OK)
        rv = find_signer(type, &key);
    if (rv == CKR_OK)
        rv = f->C_SignInit(session, &m, key);
    if (rv == CKR_OK)
        rv = f->C_Sign(session, digest, sizeof(digest), sig, &len);
    result[0] = cpu();
    result[1] = (double)peak();
    return rv;
}

/* Microseconds for a search, each for another object and each for the same. */
static CK_RV searches(int objects, double *result)
{
    CK_OBJECT_HANDLE o;
    CK_ULONG n = 0;
    CK_RV rv = login();
    double from = cpu();

    for (int i = 0; rv == CKR_OK && i < FEW; i++) {
        rv = find_number(i % 2 == 0 ? CKA_ID : CKA_LABEL, i * (objects / FEW), &o, &n);
        if (rv == CKR_OK && n != 1)
            rv = CKR_GENERAL_ERROR;
    }
    result[0] = (cpu() - from) / FEW;
    from = cpu();
    for (int i = 0; rv == CKR_OK && i < 2000; i++)
        rv = find_number(i % 2 == 0 ? CKA_ID : CKA_LABEL, 0, &o, &n);
    result[1] = (cpu() - from) / 2000;
    return rv;
}

/* Microseconds to create, to change and to destroy an object. */
static CK_RV changes(double *result)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_OBJECT_HANDLE o[20];
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_TOKEN, &yes, 1},
                        {CKA_PRIVATE, &yes, 1},
                        {CKA_LABEL, "passing", 7}};
    CK_ATTRIBUTE label = {CKA_LABEL, "by", 2};
    CK_RV rv = login();
    double from = cpu();

    for (size_t i = 0; rv == CKR_OK && i < ARRAY_LEN(o); i++)
        rv = f->C_CreateObject(session, t, 4, &o[i]);
    result[0] = (cpu() - from) / (double)ARRAY_LEN(o);
    from = cpu();
    for (size_t i = 0; rv == CKR_OK && i < ARRAY_LEN(o); i++)
        rv = f->C_SetAttributeValue(session, o[i], &label, 1);
    result[1] = (cpu() - from) / (double)ARRAY_LEN(o);
    from = cpu();
    for (size_t i = 0; rv == CKR_OK && i < ARRAY_LEN(o); i++)
        rv = f->C_DestroyObject(session, o[i]);
    result[2] = (cpu() - from) / (double)ARRAY_LEN(o);
    return rv;
}

/* Without a narrowing attribute: everything is read. */
static CK_RV listing(double *result)
{
    CK_OBJECT_HANDLE o;
    CK_ULONG n = 0;
    CK_RV rv = login();
    double from = cpu();

    if (rv == CKR_OK)
        rv = find(NULL, 0, &o, &n);
    result[0] = cpu() - from;
    result[1] = (double)peak();
    return rv;
}

static int child(const char *what, const char *store, const char *objects)
{
    double r[3] = {0};
    CK_RV rv = start(store);

    if (rv != CKR_OK)
        return 1;
    switch (what[0]) {
    case 'i': rv = one_signature(CKA_ID, r); break;
    case 'l': rv = one_signature(CKA_LABEL, r); break;
    case 's': rv = searches((int)strtol(objects, NULL, 10), r); break;
    case 'c': rv = changes(r); break;
    default: rv = listing(r); break;
    }
    if (rv == CKR_OK)
        rv = f->C_Finalize(NULL);
    printf("%.1f %.1f %.1f\n", r[0], r[1], r[2]);
    return rv == CKR_OK ? 0 : 1;
}

/* Runs this program again as a child; its numbers, each the least of five tries. */
static void measure(const char *what, bool of_many, double r[3])
{
    char line[100], objects[20], self[] = "/proc/self/exe";

    snprintf(objects, sizeof(objects), "%d", of_many ? MANY : FEW);
    for (int i = 0; i < 5; i++) {
        char *argv[] = {self, (char *)(uintptr_t)what, of_many ? many : few, objects, NULL};
        int p[2], status = 1;
        double now[3];
        FILE *in;
        pid_t pid;

        assert_int_equal(pipe(p), 0);
        pid = fork();
        if (pid == 0) {
            dup2(p[1], 1);
            execv(self, argv);
            _exit(127);
        }
        close(p[1]);
        in = fdopen(p[0], "r");
        assert_non_null(in);
        assert_non_null(fgets(line, sizeof(line), in));
        fclose(in);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(sscanf(line, "%lf %lf %lf", &now[0], &now[1], &now[2]), 3);
        for (int k = 0; k < 3; k++)
            r[k] = i == 0 || now[k] < r[k] ? now[k] : r[k];
    }
}

/* --- numbers ------------------------------------------------------------------ */

static void test_one_signature_takes_no_longer_over_many_objects(void **state)
{
    static const char *const by[] = {"id", "label"};
    double a[3], b[3];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(by); i++) {
        measure(by[i], false, a);
        measure(by[i], true, b);
        print_message("one signature, key by %s: %.1f ms, %.0f KiB; with %d objects %.1f ms,"
                      " %.0f KiB\n",
                      by[i], a[0] / 1e3, a[1], MANY, b[0] / 1e3, b[1]);
        assert_true(b[0] <= 1.2 * a[0]);
        assert_true(!MEASURED || b[1] <= 25 * 1024);
    }
}

static void test_search_takes_no_longer_over_many_objects(void **state)
{
    double a[3], b[3];

    (void)state;
    measure("search", false, a);
    measure("search", true, b);
    print_message("a search: the first time %.0f us, again %.1f us; with %d objects %.0f us,"
                  " %.1f us\n",
                  a[0], a[1], MANY, b[0], b[1]);
    assert_true(b[0] <= 4 * a[0]);
    assert_true(!MEASURED || b[1] <= 50);
}

static void test_changes_take_no_longer_over_many_objects(void **state)
{
    double a[3], b[3];

    (void)state;
    measure("change", false, a);
    measure("change", true, b);
    print_message("create, change, destroy: %.0f, %.0f, %.0f us; with %d objects %.0f, %.0f,"
                  " %.0f us\n",
                  a[0], a[1], a[2], MANY, b[0], b[1], b[2]);
    for (int i = 0; i < 3; i++)
        assert_true(b[i] <= 4 * a[i]);
}

static void test_list_of_many_objects_fits(void **state)
{
    double b[3];

    (void)state;
    measure("everything", true, b);
    print_message("all of %d objects: %.1f ms, %.0f KiB\n", MANY, b[0] / 1e3, b[1]);
    assert_true(!MEASURED || b[1] <= 25 * 1024);
}

/* --- answers ------------------------------------------------------------------ */

static CK_OBJECT_HANDLE only(CK_ATTRIBUTE_TYPE type, int number)
{
    CK_OBJECT_HANDLE o = 0;
    CK_ULONG n = 0;

    assert_int_equal(find_number(type, number, &o, &n), CKR_OK);
    assert_true(n <= 1);
    return n == 1 ? o : 0;
}

/* What is behind a handle: the number in its label, -1 when there is no such object. */
static int number_of(CK_OBJECT_HANDLE o)
{
    char label[20] = {0};
    CK_ATTRIBUTE a = {CKA_LABEL, label, sizeof(label) - 1};
    int number = -1;

    if (f->C_GetAttributeValue(session, o, &a, 1) != CKR_OK)
        return -1;
    assert_int_equal(sscanf(label, "object %d", &number), 1);
    return number;
}

static int64_t row_of(struct store *s, int number)
{
    struct store_object *o = NULL;
    const struct store_seal *seal = token_seal(p11_session_token(session));
    char name[20];
    int64_t id = 0;
    size_t n = 0;

    snprintf(name, sizeof(name), "object %d", number);
    assert_int_equal(store_object_list(s, (int64_t)slot, seal, &o, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        const struct store_attr *a = store_object_attr(&o[i], CKA_LABEL);

        if (a != NULL && bytes_equal(buf_bytes(&a->value), bytes_of(name, strlen(name))))
            id = o[i].id;
    }
    store_objects_free(o, n);
    assert_true(id > 0);
    return id;
}

/* A number is a private object when it is odd. */
static void put_object(struct store *s, const struct store_seal *seal, int64_t id, int number)
{
    static uint8_t value[600];
    struct store_object o = {.token = (int64_t)slot, .class = CKO_CERTIFICATE};
    bool private = number % 2 != 0;
    uint8_t x509[8] = {0};
    char name[20];

    snprintf(name, sizeof(name), "object %d", number);
    if (id != 0)
        assert_int_equal(store_object_get(s, o.token, id, seal, &o, NULL), 0);
    o.is_private = private;
    for (int i = 0; i < 2; i++)
        assert_int_equal(store_object_set(&o, i == 0 ? CKA_LABEL : CKA_ID,
                                          bytes_of(name, strlen(name)), private, NULL),
                         0);
    assert_int_equal(store_object_set(&o, CKA_CERTIFICATE_TYPE, bytes_of(x509, 8), false, NULL), 0);
    assert_int_equal(store_object_set(&o, CKA_SUBJECT, bytes_of("all the same", 12), private, NULL),
                     0);
    assert_int_equal(store_object_set(&o, CKA_VALUE, bytes_of(value, sizeof(value)), private, NULL),
                     0);
    assert_int_equal(store_object_put(s, &o, seal, NULL), 0);
    store_object_free(&o);
}

static void test_handles_stay_when_more_is_read(void **state)
{
    CK_OBJECT_HANDLE o = only(CKA_LABEL, 3), p = only(CKA_ID, 4), all[100];
    CK_ULONG n = 0, seen = 0;

    (void)state;
    assert_true(o != 0 && p != 0 && o != p);
    assert_int_equal(only(CKA_ID, 3), o);
    assert_int_equal(f->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    assert_int_equal(f->C_FindObjects(session, all, 100, &n), CKR_OK);
    assert_int_equal(f->C_FindObjectsFinal(session), CKR_OK);
    assert_int_equal(n, FEW + 2);
    for (CK_ULONG i = 0; i < n; i++) {
        seen += all[i] == o || all[i] == p;
        assert_true(i == 0 || all[i] > all[i - 1]);
    }
    assert_int_equal(seen, 2);
    assert_int_equal(only(CKA_LABEL, 3), o);
}

static void test_changes_of_another_process_are_seen(void **state)
{
    const struct store_seal *seal = token_seal(p11_session_token(session));
    CK_OBJECT_HANDLE o = only(CKA_LABEL, 5), p = only(CKA_LABEL, 6), q;
    struct store *s = unit_store_open(STORE_WRITE);
    int64_t id;

    (void)state;
    put_object(s, seal, row_of(s, 5), 77);
    assert_int_equal(only(CKA_LABEL, 77), o);
    assert_int_equal(number_of(o), 77);
    assert_int_equal(only(CKA_ID, 5), 0);
    /* Another search notices the change, and then the handle shows it, too. */
    put_object(s, seal, row_of(s, 77), 5);
    assert_int_equal(only(CKA_ID, 6), p);
    assert_int_equal(number_of(o), 5);
    put_object(s, seal, 0, 78);
    q = only(CKA_ID, 78);
    assert_true(q > p);
    id = row_of(s, 78);
    assert_int_equal(store_object_delete(s, (int64_t)slot, id, NULL), 0);
    assert_int_equal(only(CKA_ID, 6), p);
    assert_int_equal(number_of(q), -1);
    assert_int_equal(only(CKA_ID, 78), 0);
    store_close(s);
}

static void test_login_shows_and_logout_hides(void **state)
{
    CK_OBJECT_HANDLE public = only(CKA_LABEL, 2), private = only(CKA_LABEL, 1);

    (void)state;
    assert_true(public != 0 && private != 0);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    assert_int_equal(number_of(private), -1);
    assert_int_equal(number_of(public), 2);
    assert_int_equal(only(CKA_LABEL, 1), 0);
    assert_int_equal(only(CKA_ID, 1), 0);
    assert_int_equal(only(CKA_ID, 2), public);
    assert_int_equal(login(), CKR_OK);
    assert_int_equal(only(CKA_ID, 2), public);
    assert_true(only(CKA_ID, 1) != 0);
    assert_int_equal(number_of(only(CKA_ID, 1)), 1);
}

static void tamper(const char *change, int64_t id)
{
    char sql[200];

    snprintf(sql, sizeof(sql), "UPDATE attr SET %s WHERE type = 3 AND object = %lld", change,
             (long long)id);
    unit_store_tamper(sql, 1);
}

/* A wrong digest keeps the store from finding it: then all is read, and that does not pass. */
static void test_object_hidden_by_its_digest_is_missed_aloud(void **state)
{
    struct store *s = unit_store_open(STORE_READ);
    int64_t id = row_of(s, 3);
    CK_OBJECT_HANDLE o = 0;
    CK_ULONG n = 0;

    (void)state;
    store_close(s);
    tamper("digest = digest + 1", id);
    assert_int_not_equal(find_number(CKA_LABEL, 3, &o, &n), CKR_OK);
    assert_int_equal(p11_last_error().code, E_CORRUPT);
    tamper("digest = digest - 1", id);
    assert_true(only(CKA_LABEL, 3) != 0);
}

/* Before login nobody can tell that a row was edited; after it nothing of it is shown. */
static void test_edited_object_is_not_shown_once_logged_in(void **state)
{
    struct store *s = unit_store_open(STORE_READ);
    int64_t id = row_of(s, 2);
    CK_OBJECT_HANDLE o;
    CK_ULONG n = 0;

    (void)state;
    store_close(s);
    assert_int_equal(f->C_Logout(session), CKR_OK);
    tamper("value = CAST('object 9999' AS BLOB)", id);
    o = only(CKA_ID, 2);
    assert_int_equal(number_of(o), 9999);
    assert_int_equal(login(), CKR_OK);
    assert_int_equal(number_of(o), -1);
    assert_int_not_equal(find_number(CKA_ID, 2, &o, &n), CKR_OK);
    tamper("value = CAST('object 2' AS BLOB)", id);
    assert_int_equal(number_of(only(CKA_ID, 2)), 2);
}

/* --- the tokens --------------------------------------------------------------- */

static void populate(int from, int to)
{
    const struct store_seal *seal = token_seal(p11_session_token(session));
    struct store *s = NULL;

    assert_int_equal(store_open(&s, getenv("FUSETSU_STORE"), STORE_WRITE, NULL), 0);
    assert_int_equal(store_begin(s, NULL), 0);
    for (int i = from; i < to; i++)
        put_object(s, seal, 0, i);
    assert_int_equal(store_commit(s, NULL), 0);
    store_close(s);
}

static int make_tokens(void **state)
{
    CK_UTF8CHAR label[] = "many objects                    ";
    CK_MECHANISM m = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE pub[] = {
        {CKA_EC_PARAMS, p256, sizeof(p256)}, {CKA_TOKEN, &yes, 1}, {CKA_ID, "signer", 6}};
    CK_ATTRIBUTE priv[] = {{CKA_TOKEN, &yes, 1}, {CKA_ID, "signer", 6}, {CKA_LABEL, "signer", 6}};
    CK_OBJECT_HANDLE a, b;
    struct buf copy = {0};
    CK_ULONG n = 1;

    if (unit_dir_make(state) != 0)
        return -1;
    setenv("FUSETSU_LOG", "silent", 1);
    setenv("HOME", unit_dir(), 1);
    snprintf(few, sizeof(few), "%s", unit_dir_at("store.db"));
    snprintf(many, sizeof(many), "%s", unit_dir_at("many.db"));
    setenv("FUSETSU_STORE", few, 1);
    f = p11_inprocess();
    assert_int_equal(f->C_Initialize(NULL), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    assert_int_equal(f->C_InitToken(slot, so_pin, 8, label), CKR_OK);
    assert_int_equal(f->C_GetSlotList(CK_TRUE, &slot, &n), CKR_OK);
    assert_int_equal(
        f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session), CKR_OK);
    assert_int_equal(f->C_Login(session, CKU_SO, so_pin, 8), CKR_OK);
    assert_int_equal(f->C_InitPIN(session, pin, 6), CKR_OK);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    assert_int_equal(start(few), CKR_OK);
    assert_int_equal(login(), CKR_OK);
    assert_int_equal(f->C_GenerateKeyPair(session, &m, pub, 3, priv, 3, &a, &b), CKR_OK);
    populate(0, FEW);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    /* The same token in another file. */
    assert_int_equal(file_read(few, BUF_MAX, &copy, NULL), 0);
    assert_int_equal(file_write(many, buf_bytes(&copy), 0600, NULL), 0);
    buf_free(&copy);
    assert_int_equal(start(many), CKR_OK);
    assert_int_equal(login(), CKR_OK);
    populate(FEW, MANY);
    assert_int_equal(f->C_Finalize(NULL), CKR_OK);
    assert_int_equal(start(few), CKR_OK);
    return login() == CKR_OK ? 0 : -1;
}

static int remove_tokens(void **state)
{
    struct token *k = p11_session_token(session);

    /* The TPM is used by other runs of this test: leave no NV indices behind. */
    if (k != NULL && f->C_Logout(session) == CKR_OK &&
        f->C_Login(session, CKU_SO, so_pin, 8) == CKR_OK)
        (void)(token_erase(k, NULL) != 0);
    f->C_Finalize(NULL);
    return unit_dir_remove(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_signature_takes_no_longer_over_many_objects),
        cmocka_unit_test(test_search_takes_no_longer_over_many_objects),
        cmocka_unit_test(test_changes_take_no_longer_over_many_objects),
        cmocka_unit_test(test_list_of_many_objects_fits),
        cmocka_unit_test(test_handles_stay_when_more_is_read),
        cmocka_unit_test(test_changes_of_another_process_are_seen),
        cmocka_unit_test(test_login_shows_and_logout_hides),
        cmocka_unit_test(test_object_hidden_by_its_digest_is_missed_aloud),
        cmocka_unit_test(test_edited_object_is_not_shown_once_logged_in),
    };

    if (argc == 4)
        return child(argv[1], argv[2], argv[3]);
    return cmocka_run_group_tests_name("module_lookup", tests, make_tokens, remove_tokens);
}
