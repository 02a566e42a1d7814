/* The store as a file: what is opened, what is refused and stays untouched, and
 * places that cannot be written. Crashes are in test_store_crash.c, rows and seals
 * in test_store_object.c. */
#include "core/store_db.h"

#include "core/file.h"

#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void read_all(struct buf *b)
{
    assert_int_equal(file_read(path, BUF_MAX, b, NULL), 0);
}

/* --- opening ------------------------------------------------------------- */

static void test_store_is_made_private_with_its_directories(void **state)
{
    struct stat st;
    struct store *s = NULL;
    int64_t v = 0;

    (void)state;
    snprintf(path, sizeof(path), "%s/a/b/store.db", unit_dir());
    assert_int_equal(store_open(&s, path, STORE_CREATE, NULL), 0);
    assert_string_equal(store_path(s), path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(store_db_int(s, "PRAGMA foreign_keys", &v, NULL), 0);
    assert_int_equal(v, 1);
    assert_int_equal(store_db_int(s, "PRAGMA synchronous", &v, NULL), 0);
    assert_int_equal(v, 2);
    assert_int_equal(store_db_int(s, "PRAGMA application_id", &v, NULL), 0);
    assert_int_equal(v, STORE_APPLICATION);
    assert_int_equal(store_db_int(s, "PRAGMA user_version", &v, NULL), 0);
    assert_int_equal(v, 2);
    store_close(s);
    store_close(NULL);
    *strrchr(path, '/') = 0;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void test_missing_store_is_made_only_when_asked(void **state)
{
    (void)state;
    unit_store_refused(path, STORE_READ, E_NOT_FOUND, "no token store");
    unit_store_refused(path, STORE_WRITE, E_NOT_FOUND, "no token store");
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof(path), "%s/none/store.db", unit_dir());
    unit_store_refused(path, STORE_READ, E_NOT_FOUND, "directory");
    snprintf(path, sizeof(path), "%s/", unit_dir());
    unit_store_refused(path, STORE_CREATE, E_ARG, "file name");
}

static void test_empty_file_is_not_yet_a_store(void **state)
{
    (void)state;
    assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
    unit_store_refused(path, STORE_READ, E_NOT_FOUND, "empty");
    unit_store_refused(path, STORE_WRITE, E_NOT_FOUND, "empty");
    store_close(unit_store_open(STORE_CREATE));
    store_close(unit_store_open(STORE_READ));
}

static void refused_untouched(const void *content, size_t len, enum err_code code,
                              const char *mentions)
{
    struct buf b = {0};

    assert_int_equal(file_write(path, bytes_of(content, len), 0600, NULL), 0);
    for (int mode = STORE_READ; mode <= STORE_CREATE; mode++)
        unit_store_refused(path, (enum store_mode)mode, code, mentions);
    read_all(&b);
    assert_true(bytes_equal(buf_bytes(&b), bytes_of(content, len)));
    buf_free(&b);
}

static void test_file_that_is_no_database_is_refused(void **state)
{
    uint8_t big[8192];

    (void)state;
    refused_untouched("hello", 5, E_CORRUPT, "move it away");
    memset(big, 'x', sizeof(big));
    refused_untouched(big, sizeof(big), E_CORRUPT, "restore it from a backup");
}

static void test_database_of_another_program_is_left_alone(void **state)
{
    struct buf b = {0};
    sqlite3 *db = NULL;

    (void)state;
    /* In WAL mode, where even a reader would write beside it. */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(x);", 0, 0, 0),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(chmod(path, 0600), 0);
    read_all(&b);
    refused_untouched(b.p, b.len, E_FORMAT, "another program");
    buf_free(&b);
}

static void test_newer_version_is_left_alone(void **state)
{
    struct buf b = {0};

    (void)state;
    unit_store_make(1);
    read_all(&b);
    b.p[63] = 3; /* user_version: big-endian at offset 60 */
    refused_untouched(b.p, b.len, E_VERSION, "version 3");
    buf_free(&b);
}

static void test_damaged_pages_are_noticed(void **state)
{
    struct store_object *o = NULL;
    struct err e = {0};
    struct store *s = NULL;
    struct buf b = {0};
    size_t n = 0;
    int64_t token = unit_store_make(500);

    (void)state;
    read_all(&b);
    memset(&b.p[4096], 0xa5, b.len - 4096);
    assert_int_equal(file_write(path, buf_bytes(&b), 0600, NULL), 0);
    buf_free(&b);
    if (store_open(&s, path, STORE_WRITE, &e) == 0)
        assert_int_equal(store_object_list(s, token, NULL, &o, &n, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    assert_non_null(strstr(e.msg, "restore it from a backup"));
    store_close(s);
}

static void test_cut_off_file_is_noticed(void **state)
{
    struct store_object *o = NULL;
    struct err e = {0};
    struct store *s = NULL;
    size_t n = 0;
    int64_t token = unit_store_make(500);

    (void)state;
    assert_int_equal(truncate(path, 4096 + 100), 0);
    if (store_open(&s, path, STORE_READ, &e) == 0)
        assert_int_equal(store_object_list(s, token, NULL, &o, &n, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    store_close(s);
}

static void test_lost_table_is_noticed(void **state)
{
    struct store_token *t = NULL;
    struct err e = {0};
    sqlite3 *db = NULL;
    struct store *s;
    size_t n = 0;

    (void)state;
    unit_store_make(1);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE nv", 0, 0, 0), SQLITE_OK);
    sqlite3_close(db);
    s = unit_store_open(STORE_READ);
    assert_int_equal(store_token_list(s, &t, &n, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    store_close(s);
}

static void test_symbolic_link_is_refused(void **state)
{
    char real[120];

    (void)state;
    unit_store_make(0);
    snprintf(real, sizeof(real), "%s/real.db", unit_dir());
    assert_int_equal(rename(path, real), 0);
    assert_int_equal(symlink("real.db", path), 0);
    for (int mode = STORE_READ; mode <= STORE_CREATE; mode++)
        unit_store_refused(path, (enum store_mode)mode, E_DENIED, "symbolic link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("dangling", path), 0);
    unit_store_refused(path, STORE_CREATE, E_DENIED, "symbolic link");
    snprintf(real, sizeof(real), "%s/dangling", unit_dir());
    assert_int_equal(access(real, F_OK), -1);
}

static void test_link_among_the_directories_is_fine(void **state)
{
    struct store *s = NULL;
    char way[120];

    (void)state;
    unit_store_make(0);
    snprintf(way, sizeof(way), "%s/way", unit_dir());
    assert_int_equal(symlink(".", way), 0);
    snprintf(path, sizeof(path), "%s/way/store.db", unit_dir());
    assert_int_equal(store_open(&s, path, STORE_WRITE, NULL), 0);
    store_close(s);
}

static void test_directory_or_pipe_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    unit_store_refused(path, STORE_READ, E_FORMAT, "regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    unit_store_refused(path, STORE_CREATE, E_FORMAT, "regular file");
}

static void test_file_that_others_can_write_is_refused(void **state)
{
    (void)state;
    unit_store_make(0);
    assert_int_equal(chmod(path, 0620), 0);
    unit_store_refused(path, STORE_WRITE, E_DENIED, "other users");
    store_close(unit_store_open(STORE_READ));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(unit_dir(), 0777), 0);
    unit_store_refused(path, STORE_WRITE, E_DENIED, "everybody");
}

static void test_file_of_another_user_is_refused(void **state)
{
    (void)state;
    unit_store_make(0);
    if (geteuid() != 0 || chown(path, 65534, 65534) != 0) {
        print_message("SKIP: only root can give files away\n");
        skip();
    }
    unit_store_refused(path, STORE_WRITE, E_DENIED, "65534");
    unit_store_refused(path, STORE_CREATE, E_DENIED, "65534");
    store_close(unit_store_open(STORE_READ));
}

/* --- places that cannot be written --------------------------------------- */

static int become_nobody(void)
{
    return setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0 ? 0 : -1;
}

static int child_without_permission(void)
{
    struct store *s = NULL;
    struct err e = {0};
    char other[120];

    if (geteuid() != 0)
        return 99;
    if (chmod(unit_dir(), 0755) != 0 || chmod(path, 0600) != 0 || become_nobody() != 0)
        return 1;
    snprintf(other, sizeof(other), "%s/new.db", unit_dir());
    if (store_open(&s, other, STORE_CREATE, &e) == 0 || e.code != E_DENIED)
        return 2;
    err_clear(&e);
    if (store_open(&s, path, STORE_READ, &e) == 0 || e.code != E_DENIED)
        return 3;
    return strstr(e.msg, "owner and mode") != NULL ? 0 : 4;
}

static void test_without_permission_it_says_so(void **state)
{
    (void)state;
    unit_store_make(1);
    unit_store_in_child(child_without_permission);
}

static int child_in_unwritable_directory(void)
{
    struct store *s = NULL;
    struct err e = {0};

    if (geteuid() != 0)
        return 99;
    /* The file is theirs, the directory is not: a journal cannot be made. */
    if (chmod(unit_dir(), 0755) != 0 || chown(path, 65534, 65534) != 0 || become_nobody() != 0)
        return 1;
    if (store_open(&s, path, STORE_WRITE, &e) == 0 || e.code != E_DENIED ||
        strstr(e.msg, "directory") == NULL)
        return 2;
    err_clear(&e);
    if (store_open(&s, path, STORE_READ, &e) != 0 || unit_store_count(s, 1) != 3)
        return 3;
    store_close(s);
    /* A file that is theirs but read-only. */
    return chmod(path, 0400) == 0 && store_open(&s, path, STORE_WRITE, &e) != 0 &&
                   e.code == E_DENIED
               ? 0
               : 4;
}

static void test_unwritable_directory_is_readable(void **state)
{
    (void)state;
    unit_store_make(3);
    unit_store_in_child(child_in_unwritable_directory);
}

static int child_on_read_only_file_system(void)
{
    struct store *s = NULL;
    struct err e = {0};
    int rc = unit_store_mount(NULL);

    if (rc != 0)
        return rc;
    if (store_open(&s, path, STORE_WRITE, &e) == 0 || e.code != E_DENIED ||
        strstr(e.msg, "Read-only file system") == NULL)
        return 1;
    err_clear(&e);
    if (store_open(&s, path, STORE_READ, &e) != 0 || unit_store_count(s, 1) != 3)
        return 2;
    if (unit_store_object(s, 1, 5, &e) == 0 || e.code != E_DENIED)
        return 3;
    store_close(s);
    return 0;
}

static void test_read_only_file_system_is_readable(void **state)
{
    (void)state;
    unit_store_make(3);
    unit_store_in_child(child_on_read_only_file_system);
}

static int child_on_full_disk(void)
{
    struct store *s = NULL;
    struct err e = {0};
    int64_t token;
    int rc = unit_store_mount("size=300k,mode=0700");

    if (rc != 0)
        return rc;
    if (store_open(&s, path, STORE_CREATE, &e) != 0 ||
        (token = unit_store_token(s, UNIT_SERIAL, &e)) < 0 ||
        unit_store_object(s, token, 1000, &e) != 0)
        return 1;
    if (unit_store_object(s, token, 400000, &e) == 0 || e.code != E_FULL ||
        strstr(e.msg, "make room") == NULL)
        return 2;
    /* Within a transaction it may show only at the commit; all of it is undone. */
    err_clear(&e);
    if (store_begin(s, &e) != 0 || unit_store_object(s, token, 10, &e) != 0)
        return 3;
    (void)!unit_store_object(s, token, 400000, &e);
    (void)!unit_store_object(s, token, 10, &e);
    if (store_commit(s, &e) == 0 || e.code != E_FULL)
        return 3;
    store_rollback(s);
    if (unit_store_count(s, token) != 1)
        return 4;
    err_clear(&e);
    if (unit_store_object(s, token, 1000, &e) != 0 || unit_store_count(s, token) != 2)
        return 5;
    store_close(s);
    return 0;
}

static void test_full_disk_loses_nothing(void **state)
{
    (void)state;
    unit_store_in_child(child_on_full_disk);
}

int main(void)
{
#define IN_STORE(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_STORE(test_store_is_made_private_with_its_directories),
        IN_STORE(test_missing_store_is_made_only_when_asked),
        IN_STORE(test_empty_file_is_not_yet_a_store),
        IN_STORE(test_file_that_is_no_database_is_refused),
        IN_STORE(test_database_of_another_program_is_left_alone),
        IN_STORE(test_newer_version_is_left_alone),
        IN_STORE(test_damaged_pages_are_noticed),
        IN_STORE(test_cut_off_file_is_noticed),
        IN_STORE(test_lost_table_is_noticed),
        IN_STORE(test_symbolic_link_is_refused),
        IN_STORE(test_link_among_the_directories_is_fine),
        IN_STORE(test_directory_or_pipe_is_refused),
        IN_STORE(test_file_that_others_can_write_is_refused),
        IN_STORE(test_file_of_another_user_is_refused),
        IN_STORE(test_without_permission_it_says_so),
        IN_STORE(test_unwritable_directory_is_readable),
        IN_STORE(test_read_only_file_system_is_readable),
        IN_STORE(test_full_disk_loses_nothing),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
