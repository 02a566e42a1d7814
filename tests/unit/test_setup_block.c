/* Marked lines in files of others (cli/setup/block.h), and one value in their JSON files
 * (cli/setup/pointer.h): what goes in comes out, byte for byte. */
#include "cli/setup/block.h"
#include "cli/setup/pointer.h"
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char *const files[] = {
    "",
    "\n",
    "a",
    "a\n",
    "a\nb",
    "a\r\nb\r\n",
    "a\r\nb",
    "a\nb\r",
    "a\n\n\n",
    "[svc]\nx = 1\n[end]\n",
    "x\n  [svc]  \r\ny",
    "[svc]",
    "# fusetsu setup: begin other\nz\n# fusetsu setup: end other\n",
};

static struct buf put(const struct block *b, const char *in, const char *text)
{
    struct buf out = {0};
    struct err e = {0};

    assert_int_equal(block_put(b, bytes_of(in, strlen(in)), text, &out, &e), 0);
    return out;
}

static void comes_out(const char *name, struct bytes in, const char *want)
{
    struct buf out = {0};
    struct err e = {0};
    bool found = false;

    assert_int_equal(block_take(name, "#", in, &out, &found, &e), 0);
    assert_true(found);
    assert_int_equal(out.len, strlen(want));
    if (out.len != 0)
        assert_memory_equal(out.p, want, out.len);
    buf_free(&out);
}

static void every_file_everywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        for (int place = BLOCK_TOP; place <= BLOCK_AFTER; place++) {
            struct block b = {"me", "#", (enum block_place)place, "[svc]"};
            struct buf with;

            if (place == BLOCK_AFTER && strstr(files[i], "[svc]") == NULL)
                continue;
            with = put(&b, files[i], "one\ntwo\n");
            comes_out("me", buf_bytes(&with), files[i]);
            buf_free(&with);
        }
    }
}

static void where_it_stands(void **state)
{
    struct block b = {"me", "#", BLOCK_AFTER, "[svc]"};
    struct buf out = put(&b, "x\r\n[svc]\r\ny\r\n", "k = v\n");

    (void)state;
    assert_string_equal(buf_cstr(&out), "x\r\n[svc]\r\n# fusetsu setup: begin me\r\nk = v\r\n"
                                        "# fusetsu setup: end me\r\ny\r\n");
    buf_free(&out);
}

static void edits_around_it_stay(void **state)
{
    struct block b = {"me", "#", BLOCK_BOTTOM, NULL};
    struct buf with = put(&b, "a", "k\n"), more = {0};

    (void)state;
    buf_str(&more, "first\n");
    buf_add_bytes(&more, buf_bytes(&with));
    buf_str(&more, "last");
    comes_out("me", buf_bytes(&more), "first\na\nlast");
    buf_free(&with);
    buf_free(&more);
}

static void two_of_them(void **state)
{
    struct block one = {"me", "#", BLOCK_BOTTOM, NULL}, two = {"me.2", "#", BLOCK_TOP, NULL};
    struct buf a = put(&one, "a", "k\n"), b = put(&two, buf_cstr(&a), "l\n"), c = {0};
    struct err e = {0};
    bool found;

    (void)state;
    comes_out("me.2", buf_bytes(&b), buf_cstr(&a));
    assert_int_equal(block_take("me", "#", buf_bytes(&b), &c, &found, &e), 0);
    comes_out("me.2", buf_bytes(&c), "a");
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
}

/* The line end that the first had to add is taken away with the last of them. */
static void one_below_the_other(void **state)
{
    static const char *const ends[] = {"a", "a\n", "a\r\nb"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        for (int first = 0; first < 2; first++) {
            struct block one = {"me", "#", BLOCK_BOTTOM, NULL},
                         two = {"me.2", "#", BLOCK_BOTTOM, NULL};
            struct buf a = put(&one, ends[i], "k\n"), b = put(&two, buf_cstr(&a), "l\n"), c = {0};
            struct err e = {0};
            bool found;

            assert_int_equal(
                block_take(first == 0 ? "me" : "me.2", "#", buf_bytes(&b), &c, &found, &e), 0);
            comes_out(first == 0 ? "me.2" : "me", buf_bytes(&c), ends[i]);
            buf_free(&a);
            buf_free(&b);
            buf_free(&c);
        }
    }
}

static void refused(void **state)
{
    struct block b = {"me", "#", BLOCK_AFTER, "[svc]"};
    const char *cut = "# fusetsu setup: begin me\nk\n";
    struct buf out = {0};
    struct err e = {0};
    bool found;

    (void)state;
    assert_int_equal(block_put(&b, bytes_of("x\n", 2), "k\n", &out, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    b.place = BLOCK_TOP;
    assert_int_equal(block_put(&b, bytes_of(cut, strlen(cut)), "k\n", &out, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    assert_int_equal(block_take("me", "#", bytes_of(cut, strlen(cut)), &out, &found, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    buf_free(&out);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void one_value(const char *in, const char *pointer, const char *with, const char *without)
{
    struct buf set = {0}, unset = {0};
    json_t *value = json_string("v"), *want, *have;
    struct err e = {0};
    bool found;

    assert_int_equal(pointer_set(bytes_of(in, strlen(in)), pointer, value, &set, &e), 0);
    want = json_loads(with, 0, NULL);
    have = json_loadb((const char *)set.p, set.len, 0, NULL);
    assert_true(json_equal(want, have));
    json_decref(want);
    json_decref(have);
    assert_int_equal(pointer_unset(buf_bytes(&set), pointer, &unset, &found, &e), 0);
    assert_true(found);
    want = json_loads(without, 0, NULL);
    have = json_loadb((const char *)unset.p, unset.len, 0, NULL);
    assert_true(json_equal(want, have));
    json_decref(want);
    json_decref(have);
    json_decref(value);
    buf_free(&set);
    buf_free(&unset);
}

static void a_value_in_json(void **state)
{
    (void)state;
    one_value("", "/a/b", "{\"a\":{\"b\":\"v\"}}", "{}");
    one_value("{\"a\":{\"c\":1}}", "/a/b", "{\"a\":{\"b\":\"v\",\"c\":1}}", "{\"a\":{\"c\":1}}");
    one_value("{\"x\":[1]}", "/a~1b/~0", "{\"x\":[1],\"a/b\":{\"~\":\"v\"}}", "{\"x\":[1]}");
}

static void json_refused(void **state)
{
    static const char *const bad[] = {"{", "[]", "{\"a\":1}", "nonsense"};
    json_t *value = json_true();
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(pointer_set(bytes_of(bad[i], strlen(bad[i])), "/a/b", value, &out, &e),
                         -1);
        assert_int_equal(e.code, E_FORMAT);
        err_clear(&e);
    }
    assert_int_equal(pointer_set(bytes_of("{}", 2), "/a/b/c/d/e/f/g/h/i", value, &out, &e), -1);
    assert_int_equal(e.code, E_ARG);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_everywhere), cmocka_unit_test(where_it_stands),
        cmocka_unit_test(edits_around_it_stay),  cmocka_unit_test(two_of_them),
        cmocka_unit_test(one_below_the_other),   cmocka_unit_test(refused),
        cmocka_unit_test(a_value_in_json),       cmocka_unit_test(json_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
