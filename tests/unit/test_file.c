/* Files: whole, bounded, replaced at once, never through a symbolic link. */
#include "core/file.h"

#include "core/secret.h"
#include "tests/support/unit_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static size_t entries(void)
{
    DIR *d = opendir(unit_dir());
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void test_what_is_written_is_read(void **state)
{
    struct buf b = {0};
    struct stat st;

    (void)state;
    assert_int_equal(file_write(unit_dir_at("a"), bytes_of("hello", 5), 0600, NULL), 0);
    assert_int_equal(file_read(unit_dir_at("a"), 5, &b, NULL), 0);
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.p, "hello", 5);
    buf_free(&b);
    assert_int_equal(stat(unit_dir_at("a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_write(unit_dir_at("a"), bytes_of(NULL, 0), 0600, NULL), 0);
    assert_int_equal(file_read(unit_dir_at("a"), 5, &b, NULL), 0);
    assert_int_equal(b.len, 0);
    buf_free(&b);
    assert_int_equal(entries(), 1);
}

static void test_longer_than_allowed_is_refused(void **state)
{
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(file_write(unit_dir_at("a"), bytes_of("hello", 5), 0600, NULL), 0);
    assert_int_equal(file_read(unit_dir_at("a"), 4, &b, &e), -1);
    assert_int_equal(e.code, E_FULL);
    assert_non_null(strstr(e.msg, unit_dir_at("a")));
    assert_int_equal(b.len, 0);
}

static void test_missing_file_is_named(void **state)
{
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(file_read(unit_dir_at("none"), 10, &b, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_non_null(strstr(e.msg, unit_dir_at("none")));
    err_clear(&e);
    assert_int_equal(file_write(unit_dir_at("none/x"), bytes_of("", 0), 0600, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

static void test_directory_is_not_a_file(void **state)
{
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(file_read(unit_dir(), 10, &b, &e), -1);
    assert_int_equal(e.code, E_IO);
    err_clear(&e);
    assert_int_equal(mkdir(unit_dir_at("sub"), 0700), 0);
    assert_int_equal(file_write(unit_dir_at("sub"), bytes_of("x", 1), 0600, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    assert_int_equal(file_write(unit_dir_at("sub/"), bytes_of("x", 1), 0600, &e), -1);
    assert_int_equal(e.code, E_ARG);
}

static void test_symbolic_link_is_not_followed(void **state)
{
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(file_write(unit_dir_at("target"), bytes_of("old", 3), 0600, NULL), 0);
    assert_int_equal(symlink("target", unit_dir_at("link")), 0);
    assert_int_equal(file_write(unit_dir_at("link"), bytes_of("new", 3), 0600, &e), -1);
    assert_int_equal(e.code, E_DENIED);
    assert_int_equal(file_read(unit_dir_at("target"), 10, &b, NULL), 0);
    assert_memory_equal(b.p, "old", 3);
    buf_free(&b);
    assert_int_equal(entries(), 2);
}

static void test_replacing_leaves_the_old_inode_alone(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(file_write(unit_dir_at("a"), bytes_of("old", 3), 0600, NULL), 0);
    assert_int_equal(link(unit_dir_at("a"), unit_dir_at("hard")), 0);
    assert_int_equal(file_write(unit_dir_at("a"), bytes_of("newer", 5), 0640, NULL), 0);
    assert_int_equal(stat(unit_dir_at("hard"), &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(stat(unit_dir_at("a"), &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(entries(), 2);
}

static void test_device_is_written_not_replaced(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(file_write("/dev/null", bytes_of("x", 1), 0600, NULL), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

static void test_full_device_is_said(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(file_write("/dev/full", bytes_of("x", 1), 0600, &e), -1);
    assert_int_equal(e.code, E_FULL);
}

/* Runs as user 65534, in a directory of root's. */
static int unwritable_child(void)
{
    struct err e = {0};
    struct buf b = {0};

    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
        return 10;
    if (file_write(unit_dir_at("new"), bytes_of("x", 1), 0600, &e) == 0 || e.code != E_DENIED)
        return 1;
    err_clear(&e);
    if (file_read(unit_dir_at("a"), 10, &b, &e) == 0 || e.code != E_DENIED)
        return 2;
    err_clear(&e);
    return file_mkdirs(unit_dir_at("x/y"), &e) == 0 || e.code != E_DENIED ? 3 : 0;
}

static void test_without_permission_it_says_so(void **state)
{
    int status = 0;
    pid_t pid;

    (void)state;
    if (geteuid() != 0) {
        print_message("SKIP: only root can become another user\n");
        skip();
    }
    assert_int_equal(file_write(unit_dir_at("a"), bytes_of("x", 1), 0600, NULL), 0);
    assert_int_equal(chmod(unit_dir(), 0755), 0);
    pid = fork();
    if (pid == 0)
        _exit(unwritable_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_probing_leaves_nothing_and_tells(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(file_probe("-", &e), 0);
    assert_int_equal(file_probe(unit_dir_at("probed"), &e), 0);
    assert_int_equal(entries(), 0);
    assert_int_equal(file_probe(unit_dir_at("none/probed"), &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    assert_int_equal(symlink("elsewhere", unit_dir_at("link")), 0);
    assert_int_equal(file_probe(unit_dir_at("link"), &e), -1);
    assert_int_not_equal(e.code, E_OK);
}

static void test_directories_are_made_private(void **state)
{
    struct err e = {0};
    struct stat st;

    (void)state;
    assert_int_equal(file_mkdirs(unit_dir_at("x//y/z/"), NULL), 0);
    assert_int_equal(stat(unit_dir_at("x/y/z"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(file_mkdirs(unit_dir_at("x/y/z"), NULL), 0);
    assert_int_equal(file_mkdirs("/", NULL), 0);
    assert_int_equal(file_write(unit_dir_at("f"), bytes_of("x", 1), 0600, NULL), 0);
    assert_int_equal(file_mkdirs(unit_dir_at("f"), &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    assert_int_equal(file_mkdirs(unit_dir_at("f/g"), &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

/* A pipe that holds `text` and is closed for writing. */
static int pipe_with(const char *text)
{
    int p[2];

    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], text, strlen(text)), (ssize_t)strlen(text));
    close(p[1]);
    return p[0];
}

static void expect_line(int fd, const char *text)
{
    struct secret *s = NULL;

    assert_int_equal(file_read_line_fd(fd, 8, &s, NULL), 0);
    assert_int_equal(secret_len(s), strlen(text));
    assert_memory_equal(secret_peek(s), text, strlen(text));
    secret_free(s);
}

static void test_lines_come_one_by_one(void **state)
{
    int fd = pipe_with("12345678\n\nabc\r\n12345678\r\nlast");

    (void)state;
    expect_line(fd, "12345678");
    expect_line(fd, "");
    expect_line(fd, "abc");
    expect_line(fd, "12345678");
    expect_line(fd, "last");
    close(fd);
}

static void test_line_that_is_too_long_or_absent_is_refused(void **state)
{
    static const char *const bad[] = {"123456789\n", "123456789", "12345678\r9\n", ""};
    struct secret *s = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        int fd = pipe_with(bad[i]);

        assert_int_equal(file_read_line_fd(fd, 8, &s, &e), -1);
        assert_int_equal(e.code, E_DATA);
        assert_null(s);
        close(fd);
    }
}

static void test_closed_descriptor_is_refused(void **state)
{
    struct secret *s = NULL;
    struct err e = {0};
    int fd = pipe_with("");

    (void)state;
    close(fd);
    assert_int_equal(file_read_line_fd(fd, 8, &s, &e), -1);
    assert_int_equal(e.code, E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_what_is_written_is_read),
        IN_DIR(test_longer_than_allowed_is_refused),
        IN_DIR(test_missing_file_is_named),
        IN_DIR(test_directory_is_not_a_file),
        IN_DIR(test_symbolic_link_is_not_followed),
        IN_DIR(test_replacing_leaves_the_old_inode_alone),
        IN_DIR(test_device_is_written_not_replaced),
        IN_DIR(test_full_device_is_said),
        IN_DIR(test_without_permission_it_says_so),
        IN_DIR(test_probing_leaves_nothing_and_tells),
        IN_DIR(test_directories_are_made_private),
        IN_DIR(test_lines_come_one_by_one),
        IN_DIR(test_line_that_is_too_long_or_absent_is_refused),
        IN_DIR(test_closed_descriptor_is_refused),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
