/* Transactions of the store: nested, rolled back, killed, of several processes; and
 * the migration from older versions. */
#include "core/store_db.h"

#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static char path[100];

static int setup(void **state)
{
    int rc = unit_dir_make(state);

    snprintf(path, sizeof(path), "%s", unit_dir_at("store.db"));
    return rc;
}

/* --- transactions and crashes -------------------------------------------- */

static void test_rollback_at_any_depth_undoes_all(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct err e = {0};

    (void)state;
    assert_int_equal(store_begin(s, NULL), 0);
    assert_int_equal(unit_store_object(s, token, 5, NULL), 0);
    assert_int_equal(store_begin(s, NULL), 0);
    assert_int_equal(unit_store_object(s, token, 5, NULL), 0);
    assert_int_equal(unit_store_count(s, token), 2);
    store_rollback(s);
    assert_int_equal(unit_store_count(s, token), 0);
    /* The outer level can neither write on nor commit. */
    assert_int_equal(unit_store_object(s, token, 5, &e), -1);
    assert_int_equal(store_commit(s, NULL), -1);
    store_rollback(s);
    assert_int_equal(unit_store_count(s, token), 0);
    assert_int_equal(unit_store_object(s, token, 5, NULL), 0);
    assert_int_equal(unit_store_count(s, token), 1);
    assert_int_equal(store_commit(s, &e), -1);
    store_close(s);
}

static void test_nested_commit_waits_for_the_outermost(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE), *other = unit_store_open(STORE_READ);

    (void)state;
    assert_int_equal(store_begin(s, NULL), 0);
    assert_int_equal(unit_store_object(s, token, 5, NULL), 0);
    assert_int_equal(unit_store_count(other, token), 0);
    assert_int_equal(store_commit(s, NULL), 0);
    assert_int_equal(unit_store_count(other, token), 1);
    store_close(other);
    store_close(s);
}

static void test_change_by_another_connection_is_seen(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *a = unit_store_open(STORE_WRITE), *b = unit_store_open(STORE_WRITE);

    (void)state;
    assert_true(store_changed(a));
    assert_false(store_changed(a));
    assert_int_equal(unit_store_object(a, token, 5, NULL), 0);
    assert_false(store_changed(a));
    assert_int_equal(unit_store_object(b, token, 5, NULL), 0);
    assert_true(store_changed(a));
    assert_false(store_changed(a));
    store_close(a);
    store_close(b);
}

static int child_inserts(void)
{
    struct store *s = NULL;
    struct err e = {0};

    if (store_open(&s, path, STORE_CREATE, &e) != 0)
        return 1;
    for (int i = 0; i < 150; i++) {
        if (unit_store_object(s, 1, 30, &e) != 0) {
            print_error("%s\n", e.msg);
            return 2;
        }
    }
    store_close(s);
    return 0;
}

static void test_two_writers_lose_no_insert(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s;
    pid_t pid[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        pid[i] = fork();
        if (pid[i] == 0)
            _exit(child_inserts());
    }
    for (int i = 0; i < 2; i++) {
        int status = -1;

        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
    s = unit_store_open(STORE_READ);
    assert_int_equal(unit_store_count(s, token), 300);
    store_close(s);
}

static int child_creates(void)
{
    struct store *s = NULL;

    if (store_open(&s, path, STORE_CREATE, NULL) != 0)
        return 1;
    store_close(s);
    return 0;
}

static void test_two_creators_agree(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pid_t pid = fork();
        int status = -1;

        if (pid == 0)
            _exit(child_creates());
        store_close(unit_store_open(STORE_CREATE));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(unlink(path), 0);
    }
}

static int child_commits_pairs(int report)
{
    struct store *s = NULL;

    if (store_open(&s, path, STORE_WRITE, NULL) != 0)
        return 1;
    for (;;) {
        if (store_begin(s, NULL) != 0 || unit_store_object(s, 1, 3000, NULL) != 0 ||
            unit_store_object(s, 1, 3000, NULL) != 0 || store_commit(s, NULL) != 0 ||
            write(report, "x", 1) != 1)
            return 1;
    }
}

static void test_killed_writer_leaves_whole_transactions(void **state)
{
    int64_t token = unit_store_make(0);
    size_t committed = 0;

    (void)state;
    for (int round = 1; round <= 12; round++) {
        int p[2];
        char byte;
        size_t n;
        pid_t pid;
        struct store *s;

        assert_int_equal(pipe(p), 0);
        pid = fork();
        if (pid == 0)
            _exit(child_commits_pairs(p[1]));
        close(p[1]);
        for (int i = 0; i < round % 4 + 1; i++, committed++)
            assert_int_equal(read(p[0], &byte, 1), 1);
        for (volatile int spin = 0; spin < round * 100000; spin++)
            ;
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        while (read(p[0], &byte, 1) == 1)
            committed++;
        close(p[0]);
        s = unit_store_open(STORE_READ);
        n = unit_store_count(s, token);
        store_close(s);
        assert_int_equal(n % 2, 0);
        /* The last one may have been committed and not reported. */
        assert_in_range(n / 2, committed, committed + 1);
        committed = n / 2;
    }
}

/* Dies with half of a transaction written to the file itself. */
static int child_dies_in_the_middle(void)
{
    struct store *s = NULL;

    if (store_open(&s, path, STORE_WRITE, NULL) != 0 ||
        store_db_exec(s, "PRAGMA cache_size=5; PRAGMA cache_spill=5", NULL) != 0 ||
        store_begin(s, NULL) != 0 || store_db_do(s, "DELETE FROM attr", NULL, 0, NULL) != 0)
        return 1;
    for (int i = 0; i < 200; i++) {
        if (unit_store_object(s, 1, 3000, NULL) != 0)
            return 1;
    }
    return raise(SIGKILL);
}

static void die_in_the_middle(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(child_dies_in_the_middle());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void test_reader_undoes_what_a_killed_writer_left(void **state)
{
    int64_t token = unit_store_make(100);
    char journal[120];
    struct stat before, after;
    struct store *s;

    (void)state;
    snprintf(journal, sizeof(journal), "%s-journal", path);
    assert_int_equal(stat(path, &before), 0);
    die_in_the_middle();
    assert_int_equal(access(journal, F_OK), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size > before.st_size);
    s = unit_store_open(STORE_READ);
    assert_int_equal(unit_store_count(s, token), 100);
    store_close(s);
    assert_int_equal(access(journal, F_OK), -1);
}

static int child_reads_hot_journal(void)
{
    struct store *s = NULL;
    struct err e = {0};
    int rc = unit_store_mount(NULL);

    if (rc != 0)
        return rc;
    if (store_open(&s, path, STORE_READ, &e) == 0 || e.code != E_DENIED ||
        strstr(e.msg, "cut short") == NULL)
        return 1;
    return 0;
}

static void test_cut_short_write_on_read_only_file_system_is_explained(void **state)
{
    (void)state;
    unit_store_make(100);
    die_in_the_middle();
    unit_store_in_child(child_reads_hot_journal);
    store_close(unit_store_open(STORE_WRITE));
}

static void test_locked_store_is_busy(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *a = unit_store_open(STORE_WRITE), *b = unit_store_open(STORE_WRITE);
    struct err e = {0};

    (void)state;
    sqlite3_busy_timeout(b->db, 50);
    assert_int_equal(store_begin(a, NULL), 0);
    assert_int_equal(unit_store_object(b, token, 5, &e), -1);
    assert_int_equal(e.code, E_BUSY);
    assert_int_equal(store_commit(a, NULL), 0);
    assert_int_equal(unit_store_object(b, token, 5, NULL), 0);
    store_close(a);
    store_close(b);
}

static struct store *inherited;

static int child_uses_inherited(void)
{
    struct err e = {0};

    if (unit_store_object(inherited, 1, 5, &e) == 0 || e.code != E_ARG)
        return 1;
    /* Neither rolls the parent's transaction back, nor drops its locks. */
    store_rollback(inherited);
    store_close(inherited);
    return 0;
}

static void test_child_leaves_the_parents_connection_alone(void **state)
{
    int64_t token = unit_store_make(0);

    (void)state;
    inherited = unit_store_open(STORE_WRITE);
    assert_int_equal(store_begin(inherited, NULL), 0);
    assert_int_equal(unit_store_object(inherited, token, 5, NULL), 0);
    unit_store_in_child(child_uses_inherited);
    assert_int_equal(store_commit(inherited, NULL), 0);
    assert_int_equal(unit_store_count(inherited, token), 1);
    store_close(inherited);
}

/* --- versions ------------------------------------------------------------ */

static void test_older_version_is_migrated_and_keeps_its_rows(void **state)
{
    static const char *const table[] = {
        "", "", "ALTER TABLE token ADD COLUMN note TEXT NOT NULL DEFAULT 'old'",
        "CREATE TABLE extra (x INTEGER) STRICT; INSERT INTO extra VALUES (42)"};
    int64_t token = unit_store_make(3), v = 0;
    struct store *s = unit_store_open(STORE_READ);
    struct err e = {0};

    (void)state;
    /* Reading changes nothing. */
    if (store_schema_bring(s, table, ARRAY_LEN(table), &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(store_db_int(s, "PRAGMA user_version", &v, NULL), 0);
    assert_int_equal(v, 2);
    assert_int_equal(unit_store_count(s, token), 3);
    store_close(s);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(store_schema_bring(s, table, ARRAY_LEN(table), NULL), 0);
    assert_int_equal(store_schema_bring(s, table, ARRAY_LEN(table), NULL), 0);
    assert_int_equal(store_db_int(s, "PRAGMA user_version", &v, NULL), 0);
    assert_int_equal(v, 4);
    assert_int_equal(store_db_int(s, "SELECT sum(x) FROM extra", &v, NULL), 0);
    assert_int_equal(v, 42);
    assert_int_equal(store_db_int(s, "SELECT count(*) FROM token WHERE note = 'old'", &v, NULL), 0);
    assert_int_equal(v, 1);
    assert_int_equal(unit_store_count(s, token), 3);
    store_close(s);
    unit_store_refused(path, STORE_WRITE, E_VERSION, "version 4");
}

static void test_failed_migration_changes_nothing(void **state)
{
    static const char *const table[] = {"", "", "CREATE TABLE extra (x INTEGER) STRICT",
                                        "INSERT INTO nowhere VALUES (1)"};
    int64_t token = unit_store_make(3), v = 0;
    struct store *s = unit_store_open(STORE_WRITE);
    struct err e = {0};

    (void)state;
    assert_int_equal(store_schema_bring(s, table, ARRAY_LEN(table), &e), -1);
    assert_non_null(strstr(e.msg, "from version 3 to 4"));
    assert_int_equal(store_db_int(s, "PRAGMA user_version", &v, NULL), 0);
    assert_int_equal(v, 2);
    assert_int_equal(
        store_db_int(s, "SELECT count(*) FROM sqlite_schema WHERE name = 'extra'", &v, NULL), 0);
    assert_int_equal(v, 0);
    assert_int_equal(unit_store_count(s, token), 3);
    assert_int_equal(unit_store_object(s, token, 5, NULL), 0);
    store_close(s);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_rollback_at_any_depth_undoes_all),
        IN_STORE(test_nested_commit_waits_for_the_outermost),
        IN_STORE(test_change_by_another_connection_is_seen),
        IN_STORE(test_two_writers_lose_no_insert),
        IN_STORE(test_two_creators_agree),
        IN_STORE(test_killed_writer_leaves_whole_transactions),
        IN_STORE(test_reader_undoes_what_a_killed_writer_left),
        IN_STORE(test_cut_short_write_on_read_only_file_system_is_explained),
        IN_STORE(test_locked_store_is_busy),
        IN_STORE(test_child_leaves_the_parents_connection_alone),
        IN_STORE(test_older_version_is_migrated_and_keeps_its_rows),
        IN_STORE(test_failed_migration_changes_nothing),
    };

    return cmocka_run_group_tests_name("store_crash", tests, NULL, NULL);
}
