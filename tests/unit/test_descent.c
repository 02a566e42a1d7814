/* The way down to a file: links are followed, nobody else can swap what it leads through, and what
 * is swapped later changes nothing. */
#include "core/descent.h"

#include "core/file.h"
#include "tests/support/unit_dir.h"

#include <fcntl.h>
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

#define NOBODY 65534

static void put(const char *name, const char *text)
{
    assert_int_equal(file_write(unit_dir_at(name), bytes_of(text, strlen(text)), 0600, NULL), 0);
}

/* The way to `name` must be open, and the file there say `text` (NULL: be missing). */
static void leads_to(const char *name, const char *text)
{
    struct buf b = {0};
    struct descent at;
    int fd;

    assert_int_equal(descent_open(unit_dir_at(name), true, &at, NULL), 0);
    assert_int_equal(descent_read(&at, name, true, &fd, NULL), 0);
    assert_int_equal(fd >= 0, text != NULL);
    if (text != NULL) {
        assert_int_equal(file_read_fd(fd, name, 100, &b, NULL), 0);
        assert_int_equal(b.len, strlen(text));
        assert_memory_equal(b.p, text, b.len);
        close(fd);
    }
    buf_free(&b);
    descent_close(&at);
}

static void refused(const char *name, enum err_code code, const char *why)
{
    struct err e = {0};
    struct descent at;

    assert_int_equal(descent_open(unit_dir_at(name), true, &at, &e), -1);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, why));
    assert_int_equal(at.dir, -1);
    descent_close(&at);
}

static void test_links_are_followed(void **state)
{
    char target[300];

    (void)state;
    assert_int_equal(mkdir(unit_dir_at("d"), 0700), 0);
    put("d/f", "here");
    snprintf(target, sizeof(target), "%s/d", unit_dir());
    assert_int_equal(symlink(target, unit_dir_at("absolute")), 0);
    assert_int_equal(symlink("../d/./f", unit_dir_at("d/relative")), 0);
    assert_int_equal(symlink("nothing", unit_dir_at("dangling")), 0);
    leads_to("d/f", "here");
    leads_to(".//d/../d//f", "here");
    leads_to("absolute/f", "here");
    leads_to("absolute/relative", "here");
    leads_to("dangling", NULL);
    leads_to("none/none/f", NULL);
    assert_int_equal(symlink("loop", unit_dir_at("loop")), 0);
    refused("loop", E_DENIED, "too many symbolic links");
    refused("loop/f", E_DENIED, "too many symbolic links");
    refused("d/f/g", E_EXISTS, "not a directory");
}

static void test_missing_directories_are_made(void **state)
{
    struct descent at;
    struct stat st;

    (void)state;
    assert_int_equal(descent_open(unit_dir_at("a//b/f"), true, &at, NULL), 0);
    assert_false(descent_arrived(&at));
    assert_int_equal(descent_make(&at, 0750, NULL), 0);
    assert_true(descent_arrived(&at));
    assert_string_equal(at.rest, "f");
    assert_int_equal(stat(unit_dir_at("a/b"), &st), 0);
    descent_close(&at);
}

static void test_what_others_can_swap_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(unit_dir_at("d"), 0700), 0);
    put("d/f", "here");
    assert_int_equal(chmod(unit_dir_at("d"), 0702), 0);
    refused("d/f", E_DENIED, "can be written by other");
    assert_int_equal(chmod(unit_dir_at("d"), 01777), 0);
    leads_to("d/f", "here");
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(unit_dir_at("d"), 0770), 0);
    leads_to("d/f", "here"); /* root's own group */
    assert_int_equal(chown(unit_dir_at("d"), 0, NOBODY), 0);
    refused("d/f", E_DENIED, "can be written by other");
    assert_int_equal(chmod(unit_dir_at("d"), 0750), 0);
    leads_to("d/f", "here");
    assert_int_equal(chown(unit_dir_at("d"), NOBODY, 0), 0);
    refused("d/f", E_DENIED, "belongs to user 65534");
    assert_int_equal(chown(unit_dir_at("d"), 0, 0), 0);
    assert_int_equal(symlink("d", unit_dir_at("link")), 0);
    leads_to("link/f", "here");
    assert_int_equal(lchown(unit_dir_at("link"), NOBODY, 0), 0);
    refused("link/f", E_DENIED, "belongs to user 65534");
}

static void test_files_of_others_are_not_believed(void **state)
{
    struct descent at;
    struct err e = {0};
    int fd;

    (void)state;
    put("f", "here");
    assert_int_equal(chmod(unit_dir_at("f"), 0602), 0);
    assert_int_equal(descent_open(unit_dir_at("f"), true, &at, NULL), 0);
    assert_int_equal(descent_read(&at, "f", true, &fd, &e), -1);
    assert_int_equal(e.code, E_DENIED);
    assert_int_equal(fd, -1);
    assert_int_equal(descent_read(&at, "f", false, &fd, NULL), 0);
    close(fd);
    assert_int_equal(unlink(unit_dir_at("f")), 0);
    /* A pipe whose other end nobody opens. */
    alarm(10);
    assert_int_equal(mkfifo(unit_dir_at("f"), 0600), 0);
    err_clear(&e);
    assert_int_equal(descent_read(&at, "f", false, &fd, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    alarm(0);
    assert_int_equal(unlink(unit_dir_at("f")), 0);
    assert_int_equal(symlink("/etc/passwd", unit_dir_at("f")), 0);
    assert_int_equal(descent_read(&at, "f", false, &fd, NULL), -1);
    descent_close(&at);
}

/* What is written goes where the way led, not to what has its name by then. */
static void test_a_swapped_directory_changes_nothing(void **state)
{
    const struct file_owner mine = {0600, geteuid(), getegid()};
    struct descent at;
    struct stat st;

    (void)state;
    assert_int_equal(mkdir(unit_dir_at("d"), 0700), 0);
    assert_int_equal(mkdir(unit_dir_at("victim"), 0700), 0);
    put("d/f", "old");
    assert_int_equal(descent_open(unit_dir_at("d/f"), true, &at, NULL), 0);
    assert_int_equal(rename(unit_dir_at("d"), unit_dir_at("away")), 0);
    assert_int_equal(symlink("victim", unit_dir_at("d")), 0);
    assert_int_equal(file_replace(at.dir, at.rest, "d/f", bytes_of("newer", 5), &mine, NULL), 0);
    file_sweep(at.dir, at.rest);
    descent_close(&at);
    assert_int_not_equal(stat(unit_dir_at("victim/f"), &st), 0);
    assert_int_equal(stat(unit_dir_at("away/f"), &st), 0);
    assert_int_equal(st.st_size, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_links_are_followed),
        IN_DIR(test_missing_directories_are_made),
        IN_DIR(test_what_others_can_swap_is_refused),
        IN_DIR(test_files_of_others_are_not_believed),
        IN_DIR(test_a_swapped_directory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
