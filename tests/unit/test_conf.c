/* Settings: which file, what overrides what, which files are not trusted. */
#include "core/conf.h"

#include "core/buf.h"
#include "core/file.h"
#include "tests/support/unit_dir.h"

#include <openssl/err.h>
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

static int setup(void **state)
{
    static const char *const names[] = {"FUSETSU_CONF",  "FUSETSU_STORE", "FUSETSU_TCTI",
                                        "FUSETSU_LOG",   "HOME",          "XDG_CONFIG_HOME",
                                        "XDG_DATA_HOME", "FUSETSU_RUN",   "XDG_RUNTIME_DIR"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    if (unit_dir_make(state) != 0)
        return -1;
    return setenv("HOME", unit_dir(), 1);
}

static void write_file(const char *path, const char *text)
{
    assert_int_equal(file_write(path, bytes_of(text, strlen(text)), 0600, NULL), 0);
}

static struct conf *load(void)
{
    struct conf *c = NULL;
    struct err e = {0};

    if (conf_load(&c, &e) != 0)
        fail_msg("%s", e.msg);
    return c;
}

static enum err_code refused(const char *mentions)
{
    struct conf *c = NULL;
    struct err e = {0};

    assert_int_equal(conf_load(&c, &e), -1);
    assert_null(c);
    if (strstr(e.msg, mentions) == NULL)
        fail_msg("\"%s\" does not mention \"%s\"", e.msg, mentions);
    return e.code;
}

static void test_no_file_is_fine(void **state)
{
    struct conf *c;

    (void)state;
    if (access("/etc/fusetsu.conf", F_OK) == 0) {
        print_message("SKIP: this machine has /etc/fusetsu.conf\n");
        skip();
    }
    c = load();
    assert_null(conf_path(c));
    assert_string_equal(conf_tcti(c), "device:/dev/tpmrm0");
    assert_string_equal(conf_log(c), "warn");
    assert_string_equal(conf_store(c), geteuid() == 0
                                           ? "/var/lib/fusetsu/store.db"
                                           : unit_dir_at(".local/share/fusetsu/store.db"));
    conf_free(c);
    conf_free(NULL);
}

static void test_named_file_is_read(void **state)
{
    struct conf *c;

    (void)state;
    write_file(unit_dir_at("my.conf"),
               "# ours\nstore = /srv/a.db\ntcti=swtpm:path=/run/x\nlog = debug\n"
               "[other]\nlog = silent\n");
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    c = load();
    assert_string_equal(conf_path(c), unit_dir_at("my.conf"));
    assert_string_equal(conf_store(c), "/srv/a.db");
    assert_string_equal(conf_tcti(c), "swtpm:path=/run/x");
    assert_string_equal(conf_log(c), "debug");
    conf_free(c);
}

static void test_environment_overrides_the_file(void **state)
{
    struct conf *c;

    (void)state;
    write_file(unit_dir_at("my.conf"), "store = /srv/a.db\ntcti = t\n");
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    setenv("FUSETSU_STORE", "/srv/b.db", 1);
    setenv("FUSETSU_LOG", "info", 1);
    setenv("FUSETSU_TCTI", "", 1);
    c = load();
    assert_string_equal(conf_store(c), "/srv/b.db");
    assert_string_equal(conf_log(c), "info");
    /* An empty variable is as good as none. */
    assert_string_equal(conf_tcti(c), "t");
    conf_free(c);
}

static void test_own_file_is_found(void **state)
{
    struct conf *c;

    (void)state;
    assert_int_equal(file_mkdirs(unit_dir_at(".config/fusetsu"), NULL), 0);
    assert_int_equal(file_mkdirs(unit_dir_at("xdg/fusetsu"), NULL), 0);
    write_file(unit_dir_at(".config/fusetsu/fusetsu.conf"), "tcti = home\n");
    write_file(unit_dir_at("xdg/fusetsu/fusetsu.conf"), "tcti = xdg\n");
    c = load();
    assert_string_equal(conf_tcti(c), "home");
    conf_free(c);
    setenv("XDG_CONFIG_HOME", unit_dir_at("xdg"), 1);
    c = load();
    assert_string_equal(conf_tcti(c), "xdg");
    conf_free(c);
    /* Relative values are ignored (XDG base directories). */
    setenv("XDG_CONFIG_HOME", "xdg", 1);
    c = load();
    assert_string_equal(conf_tcti(c), "home");
    conf_free(c);
}

static void test_empty_file_means_defaults(void **state)
{
    struct conf *c;

    (void)state;
    write_file(unit_dir_at("my.conf"), "");
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    c = load();
    assert_string_equal(conf_log(c), "warn");
    conf_free(c);
    write_file(unit_dir_at("my.conf"), "# nothing\n");
    c = load();
    assert_string_equal(conf_log(c), "warn");
    conf_free(c);
}

static void test_named_file_that_is_not_there_is_refused(void **state)
{
    (void)state;
    setenv("FUSETSU_CONF", unit_dir_at("none.conf"), 1);
    assert_int_equal(refused(unit_dir_at("none.conf")), E_NOT_FOUND);
}

static void test_line_that_does_not_parse_is_named(void **state)
{
    (void)state;
    write_file(unit_dir_at("my.conf"), "store = /srv/a.db\nthis is not a setting\n");
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    assert_int_equal(refused("line 2"), E_FORMAT);
    assert_int_equal(refused(unit_dir_at("my.conf")), E_FORMAT);
}

static void test_error_queue_of_the_application_is_left_alone(void **state)
{
    (void)state;
    write_file(unit_dir_at("my.conf"), "oops\n");
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 77);
    assert_int_equal(refused("line 1"), E_FORMAT);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), 77);
    ERR_clear_error();
    write_file(unit_dir_at("my.conf"), "log = info\n");
    conf_free(load());
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_file_that_everybody_can_write_is_refused(void **state)
{
    (void)state;
    write_file(unit_dir_at("my.conf"), "log = debug\n");
    assert_int_equal(chmod(unit_dir_at("my.conf"), 0646), 0);
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    assert_int_equal(refused("everybody"), E_DENIED);
}

static void test_file_of_another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIP: only root can give files away\n");
        skip();
    }
    write_file(unit_dir_at("my.conf"), "log = debug\n");
    assert_int_equal(chown(unit_dir_at("my.conf"), 65534, 65534), 0);
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    assert_int_equal(refused("65534"), E_DENIED);
}

static void test_pipe_or_huge_file_is_refused(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_int_equal(mkfifo(unit_dir_at("pipe"), 0600), 0);
    setenv("FUSETSU_CONF", unit_dir_at("pipe"), 1);
    assert_int_equal(refused("regular file"), E_FORMAT);
    for (int i = 0; i < 70000; i++)
        buf_u8(&b, '\n');
    assert_int_equal(file_write(unit_dir_at("my.conf"), buf_bytes(&b), 0600, NULL), 0);
    buf_free(&b);
    setenv("FUSETSU_CONF", unit_dir_at("my.conf"), 1);
    assert_int_equal(refused("longer"), E_FORMAT);
}

static void check_run(const char *want)
{
    struct conf *c = load();

    if (want == NULL)
        assert_null(conf_run(c));
    else
        assert_string_equal(conf_run(c), want);
    conf_free(c);
}

static void test_the_directory_that_processes_share(void **state)
{
    (void)state;
    setenv("XDG_RUNTIME_DIR", unit_dir(), 1);
    check_run(access("/run/lock", W_OK | X_OK) == 0 ? "/run/lock" : unit_dir());
    setenv("FUSETSU_CONF", unit_dir_at("run.conf"), 1);
    write_file(unit_dir_at("run.conf"), "run = /run/tpm\n");
    check_run("/run/tpm");
    setenv("FUSETSU_RUN", "/run/other", 1);
    check_run("/run/other");
    setenv("FUSETSU_RUN", "none", 1);
    check_run(NULL);
}

int main(void)
{
#define IN_HOME(f) cmocka_unit_test_setup_teardown(f, setup, unit_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_HOME(test_no_file_is_fine),
        IN_HOME(test_named_file_is_read),
        IN_HOME(test_environment_overrides_the_file),
        IN_HOME(test_own_file_is_found),
        IN_HOME(test_empty_file_means_defaults),
        IN_HOME(test_named_file_that_is_not_there_is_refused),
        IN_HOME(test_line_that_does_not_parse_is_named),
        IN_HOME(test_error_queue_of_the_application_is_left_alone),
        IN_HOME(test_file_that_everybody_can_write_is_refused),
        IN_HOME(test_file_of_another_user_is_refused),
        IN_HOME(test_pipe_or_huge_file_is_refused),
        IN_HOME(test_the_directory_that_processes_share),
    };

    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
