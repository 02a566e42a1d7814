/* Records of setups (cli/setup/record.h): one that is not whole, or that somebody else could have
 * written, is none; what it says is carried out as code has it, not as the record says. */
#include "cli/setup/record.h"
#include "cli/setup/record_check.h"
#include "cli/setup/tool.h"
#include "tests/support/unit_dir.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* One of each kind. */
static const char whole[] =
    "{'version': 2, 'app': 'x', 'system': false, 'entries': ["
    "{'kind': 'whole', 'files': [{'path': '/a/b', 'before': null, 'after': ['00'], 'dirs': ['/a']}]},"
    "{'kind': 'block', 'name': 'n', 'comment': '#', 'files': [{'path': '/a/c', 'before':"
    " {'content': 'YQ==', 'mode': 384, 'uid': 0, 'gid': 0}, 'after': [null], 'dirs': []}]},"
    "{'kind': 'pointer', 'pointer': '/p', 'files':"
    " [{'path': '/a/d', 'before': null, 'after': [], 'dirs': []}]},"
    "{'kind': 'tool', 'dir': '/d', 'module': '/m.so', 'files':"
    " [{'path': '/d/pkcs11.txt', 'before': null, 'after': [], 'dirs': []}]}]}";

static json_t *record(void)
{
    char text[sizeof(whole)];
    json_t *r;

    memcpy(text, whole, sizeof(whole));
    for (char *p = text; *p != 0; p++)
        *p = *p == '\'' ? '"' : *p;
    r = json_loads(text, 0, NULL);
    assert_non_null(r);
    return r;
}

/* A record with one member damaged, at any depth, must be no record. Which one is the n-th member
 * that is come across; it is taken away, or becomes a number. False: there are not that many. */
static bool damage(json_t *in, size_t *n, bool take)
{
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach(in, key, value)
    {
        if ((*n)-- == 0) {
            if (take)
                assert_int_equal(json_object_del(in, key), 0);
            else
                assert_int_equal(json_object_set_new(in, key, json_real(0.5)), 0);
            return true;
        }
        if (damage(value, n, take))
            return true;
    }
    json_array_foreach (in, i, value) {
        if (damage(value, n, take))
            return true;
    }
    return false;
}

static void test_damaged_members_are_found(void **state)
{
    json_t *r = record();
    size_t n = 0;
    bool more = true;

    (void)state;
    assert_true(record_check(r, "x", false));
    assert_true(record_check(r, NULL, false));
    assert_false(record_check(r, "y", false));
    assert_false(record_check(r, "x", true));
    assert_false(record_check(NULL, NULL, false));
    json_decref(r);
    for (; more; n++) {
        for (int take = 0; take <= 1; take++) {
            size_t left = n;

            r = record();
            more = damage(r, &left, take != 0);
            assert_int_equal(record_check(r, "x", false), !more);
            json_decref(r);
        }
    }
    assert_true(n > 30);
}

static void test_paths_are_checked(void **state)
{
    static const char *const bad[] = {"", "a", "/x/../etc", "/d"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *r = record(), *entry = json_array_get(record_entries(r), 3);
        json_t *file = json_array_get(json_object_get(entry, "files"), 0);

        assert_int_equal(json_object_set_new(file, "path", json_string(bad[i])), 0);
        assert_false(record_check(r, "x", false));
        json_decref(r);
        r = record();
        entry = json_array_get(record_entries(r), 0);
        file = json_array_get(json_object_get(entry, "files"), 0);
        assert_int_equal(json_object_set_new(file, "dirs", json_pack("[s]", bad[i])), 0);
        assert_false(record_check(r, "x", false));
        json_decref(r);
    }
}

static enum err_code loads(const char *name)
{
    struct err e = {0};
    json_t *r = NULL;
    int rc = record_load(unit_dir_at(name), "x", false, &r, &e);

    assert_int_equal(rc == 0, e.code == E_OK);
    json_decref(r);
    return e.code;
}

static void test_who_could_have_written_it_counts(void **state)
{
    json_t *r = record();

    (void)state;
    assert_int_equal(mkdir(unit_dir_at("d"), 0700), 0);
    assert_int_equal(record_save(unit_dir_at("d/r"), r, NULL), 0);
    json_decref(r);
    assert_int_equal(loads("d/r"), E_OK);
    assert_int_equal(loads("d/none"), E_OK);
    assert_int_equal(chmod(unit_dir_at("d/r"), 0602), 0);
    assert_int_equal(loads("d/r"), E_DENIED);
    assert_int_equal(chmod(unit_dir_at("d/r"), 0600), 0);
    assert_int_equal(chmod(unit_dir_at("d"), 0703), 0);
    assert_int_equal(loads("d/r"), E_DENIED);
    assert_int_equal(chmod(unit_dir_at("d"), 0700), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(unit_dir_at("d/r"), 65534, 0), 0);
    assert_int_equal(loads("d/r"), E_DENIED);
    assert_int_equal(chown(unit_dir_at("d/r"), 0, 0), 0);
    assert_int_equal(chown(unit_dir_at("d"), 65534, 0), 0);
    assert_int_equal(loads("d/r"), E_DENIED);
}

static void test_a_mode_that_was_changed_stays(void **state)
{
    struct tree_state now = {.exists = true, .owner = {0600, 7, 8}}, before = {0};
    json_t *r = record(), *entry = json_array_get(record_entries(r), 1);
    json_t *file = json_array_get(json_object_get(entry, "files"), 0);

    (void)state;
    assert_int_equal(record_before(file, &now, &before, NULL), 0);
    assert_true(before.exists);
    assert_int_equal(before.content.len, 1);
    assert_int_equal(before.owner.mode, 0600);
    assert_int_equal(before.owner.uid, 7);
    assert_int_equal(before.owner.gid, 8);
    tree_state_free(&before);
    json_decref(r);
}

/* What a record says of command lines does not matter. */
static void test_programs_are_named_by_code(void **state)
{
    json_t *r = record(), *entry = json_array_get(record_entries(r), 3), *argv;
    struct buf line = {0};

    (void)state;
    assert_int_equal(json_object_set_new(entry, "undo", json_pack("[s]", "evil")), 0);
    assert_int_equal(json_object_set_new(entry, "dir", json_string("/it's $d")), 0);
    argv = tool_argv(entry, true);
    tool_print(argv, &line);
    assert_string_equal(buf_cstr(&line),
                        "modutil -dbdir 'sql:/it'\\''s $d' -force -delete fusetsu");
    json_decref(argv);
    buf_free(&line);
    argv = tool_argv(entry, false);
    assert_int_equal(json_array_size(argv), 8);
    json_decref(argv);
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_members_are_found),
        cmocka_unit_test(test_paths_are_checked),
        IN_DIR(test_who_could_have_written_it_counts),
        cmocka_unit_test(test_a_mode_that_was_changed_stays),
        cmocka_unit_test(test_programs_are_named_by_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
