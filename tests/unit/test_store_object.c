/* Objects of the store, and what their seal refuses. The tampering goes through
 * SQLite itself, as whoever has the file would do it. */
#include "core/store_db.h"

#include "core/file.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { LABEL = 3, VALUE = 0x11, SECRET = 0x161 };

static void add_attr(struct store_object *o, uint64_t type, const char *text, bool sealed)
{
    assert_int_equal(store_object_set(o, type, bytes_of(text, strlen(text)), sealed, NULL), 0);
}

/* A private object with a label in clear and a sealed value. */
static int64_t add_private(struct store *s, int64_t token, const struct store_seal *seal,
                           const char *value)
{
    struct store_object o = {.token = token, .class = 3, .is_private = true};
    struct err e = {0};

    add_attr(&o, LABEL, "mine", false);
    add_attr(&o, SECRET, value, true);
    if (store_object_put(s, &o, seal, &e) != 0)
        fail_msg("%s", e.msg);
    store_object_free(&o);
    assert_true(o.id > 0);
    return o.id;
}

/* Reading everything fails as altered, and says which object. */
static void expect_altered(int64_t token, const struct store_seal *seal, int64_t id)
{
    struct store *s = unit_store_open(STORE_READ);
    struct store_object *o = NULL;
    struct err e = {0};
    char number[40];
    size_t n = 0;

    assert_int_equal(store_object_list(s, token, seal, &o, &n, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    snprintf(number, sizeof(number), "object %lld ", (long long)id);
    if (strstr(e.msg, number) == NULL)
        fail_msg("\"%s\" does not name %s", e.msg, number);
    store_close(s);
}

/* --- objects ------------------------------------------------------------- */

static void test_object_reads_back(void **state)
{
    static const uint8_t zero[STORE_UUID];
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object o = {.token = token, .class = UINT32_MAX, .is_private = true}, got;
    const struct store_attr *a;

    (void)state;
    add_attr(&o, INT64_MAX, "vendor", false);
    add_attr(&o, SECRET, "sealed text", true);
    add_attr(&o, LABEL, "", false);
    add_attr(&o, VALUE, "", true);
    assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
    assert_memory_not_equal(o.uuid, zero, STORE_UUID);
    assert_int_equal(store_object_get(s, token, o.id, &seal, &got, NULL), 0);
    assert_int_equal(got.id, o.id);
    assert_int_equal(got.token, token);
    assert_memory_equal(got.uuid, o.uuid, STORE_UUID);
    assert_true(got.class == UINT32_MAX);
    assert_true(got.is_private && got.verified && !got.has_key);
    assert_int_equal(got.n_attr, 4);
    a = store_object_attr(&got, SECRET);
    assert_non_null(a);
    assert_true(a->sealed && a->value.secret);
    assert_true(bytes_equal(buf_bytes(&a->value), bytes_of("sealed text", 11)));
    a = store_object_attr(&got, INT64_MAX);
    assert_true(a != NULL && !a->sealed && a->value.len == 6);
    assert_int_equal(store_object_attr(&got, LABEL)->value.len, 0);
    assert_int_equal(store_object_attr(&got, VALUE)->value.len, 0);
    assert_null(store_object_attr(&got, 1));
    store_object_free(&got);
    store_object_free(&o);
    store_object_free(NULL);
    store_objects_free(NULL, 0);
    store_close(s);
}

static void test_sealed_value_is_not_in_the_file(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct buf b = {0};

    (void)state;
    (void)add_private(s, token, &seal, "find this text if you can");
    store_close(s);
    assert_int_equal(file_read(unit_dir_at("store.db"), BUF_MAX, &b, NULL), 0);
    assert_null(memmem(b.p, b.len, "find this text", 14));
    assert_non_null(memmem(b.p, b.len, "mine", 4));
    buf_free(&b);
}

static void test_before_login_only_public_objects_show(void **state)
{
    int64_t token = unit_store_make(2), id;
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object mixed = {.token = token, .class = 2}, *list = NULL, got;
    struct err e = {0};
    size_t n = 0;

    (void)state;
    id = add_private(s, token, &seal, "hidden");
    add_attr(&mixed, LABEL, "open", false);
    add_attr(&mixed, SECRET, "closed", true);
    assert_int_equal(store_object_put(s, &mixed, &seal, NULL), 0);
    assert_int_equal(store_object_list(s, token, NULL, &list, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_true(list[0].id < list[1].id && list[1].id < list[2].id);
    assert_false(list[2].verified);
    assert_int_equal(list[2].n_attr, 1);
    store_objects_free(list, n);
    assert_int_equal(store_object_get(s, token, id, NULL, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_int_equal(store_object_list(s, token, &seal, &list, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_false(list[0].verified);
    assert_true(list[2].verified && list[3].verified);
    store_objects_free(list, n);
    store_object_free(&mixed);
    store_close(s);
}

static void test_without_login_nothing_private_is_written(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object o[] = {{.token = token, .is_private = true},
                               {.token = token, .has_key = true},
                               {.token = token},
                               {.token = token}};

    (void)state;
    add_attr(&o[2], SECRET, "x", true);
    /* Written after a login: its tag is not dropped without one. */
    assert_int_equal(store_object_put(s, &o[3], &seal, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        struct err e = {0};

        assert_int_equal(store_object_put(s, &o[i], NULL, &e), -1);
        assert_int_equal(e.code, E_LOGIN);
    }
    store_object_free(&o[2]);
    store_close(s);
}

static void test_replaced_object_keeps_id_and_identity(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object o = {.token = token, .class = 3, .is_private = true}, got;
    struct err e = {0};

    (void)state;
    add_attr(&o, LABEL, "old", false);
    add_attr(&o, VALUE, "gone soon", true);
    assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
    add_attr(&o, LABEL, "new", false);
    o.n_attr = 1;
    buf_free(&o.attr[1].value);
    assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
    assert_int_equal(store_object_get(s, token, o.id, &seal, &got, NULL), 0);
    assert_int_equal(got.n_attr, 1);
    assert_memory_equal(got.uuid, o.uuid, STORE_UUID);
    assert_true(bytes_equal(buf_bytes(&got.attr[0].value), bytes_of("new", 3)));
    store_object_free(&got);
    assert_int_equal(store_object_delete(s, token, o.id, NULL), 0);
    assert_int_equal(store_object_delete(s, token, o.id, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    assert_int_equal(store_object_put(s, &o, &seal, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    /* An id is not given out twice. */
    assert_true(add_private(s, token, &seal, "x") > o.id);
    store_object_free(&o);
    store_close(s);
}

static void test_object_of_an_unknown_token_is_refused(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_object o = {.token = 5};
    struct err e = {0};

    (void)state;
    assert_int_equal(store_object_put(s, &o, NULL, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_int_equal(o.id, 0);
    store_close(s);
}

static void test_edited_object_is_refused(void **state)
{
    static const char *const sql[] = {
        "UPDATE object SET uuid = zeroblob(16)",
        "UPDATE object SET class = 4",
        "UPDATE object SET private = 0",
        "UPDATE object SET tag = zeroblob(32)",
        "UPDATE object SET tag = x'00'",
        "UPDATE object SET tag = NULL",
        "UPDATE attr SET value = CAST('your' AS BLOB) WHERE type = 3",
        "UPDATE attr SET value = x'00' WHERE type = 353",
        "UPDATE attr SET sealed = 0 WHERE type = 353",
        "UPDATE attr SET sealed = 1 WHERE type = 3",
        "UPDATE attr SET type = 4 WHERE type = 3",
        "UPDATE attr SET type = -1 WHERE type = 3",
        "DELETE FROM attr WHERE type = 3",
        "UPDATE attr SET digest = digest + 1 WHERE type = 3",
        "INSERT INTO attr SELECT id, 5, 0, x'', NULL FROM object",
        "UPDATE token SET serial = 'fedcba9876543210'",
    };
    struct store_seal seal = unit_store_seal("token");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        int64_t token = unit_store_make(0), id;
        struct store *s = unit_store_open(STORE_WRITE);

        id = add_private(s, token, &seal, "value");
        store_close(s);
        unit_store_tamper(sql[i], 1);
        expect_altered(token, &seal, id);
        assert_int_equal(remove(unit_dir_at("store.db")), 0);
    }
}

static void test_swapped_values_are_refused(void **state)
{
    int64_t token = unit_store_make(0), a;
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");

    (void)state;
    a = add_private(s, token, &seal, "one");
    (void)add_private(s, token, &seal, "two");
    store_close(s);
    unit_store_tamper("UPDATE attr SET value = (SELECT b.value FROM attr b WHERE b.type = 353 AND"
                      " b.object <> attr.object) WHERE type = 353",
                      2);
    expect_altered(token, &seal, a);
}

static void test_object_moved_to_another_token_is_refused(void **state)
{
    int64_t token = unit_store_make(0), other, id;
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    char sql[100];

    (void)state;
    other = unit_store_token(s, "fedcba9876543210", NULL);
    id = add_private(s, token, &seal, "one");
    store_close(s);
    snprintf(sql, sizeof(sql), "UPDATE object SET token = %lld", (long long)other);
    unit_store_tamper(sql, 1);
    expect_altered(other, &seal, id);
}

static void test_sealed_value_opens_for_its_object_and_type_only(void **state)
{
    struct store_seal seal = unit_store_seal("token");
    uint8_t uuid[STORE_UUID] = {1}, other[STORE_UUID] = {2};
    struct buf sealed = {0}, again = {0}, plain = {0};

    (void)state;
    assert_int_equal(store_seal_close(&seal, uuid, 7, bytes_of("text", 4), &sealed, NULL), 0);
    assert_int_equal(store_seal_close(&seal, uuid, 7, bytes_of("text", 4), &again, NULL), 0);
    /* A fresh nonce each time. */
    assert_false(bytes_equal(buf_bytes(&sealed), buf_bytes(&again)));
    assert_int_equal(store_seal_open(&seal, uuid, 7, buf_bytes(&sealed), &plain, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&plain), bytes_of("text", 4)));
    assert_int_equal(store_seal_open(&seal, uuid, 8, buf_bytes(&sealed), &plain, NULL), -1);
    assert_int_equal(store_seal_open(&seal, other, 7, buf_bytes(&sealed), &plain, NULL), -1);
    assert_int_equal(store_seal_open(&seal, uuid, 7, bytes_of(sealed.p, 27), &plain, NULL), -1);
    buf_free(&sealed);
    buf_free(&again);
    buf_free(&plain);
}

static void test_trigger_in_a_forged_file_does_not_run(void **state)
{
    int64_t token = unit_store_make(1), n = -1;
    struct store *s;

    (void)state;
    unit_store_tamper("CREATE TRIGGER t AFTER INSERT ON object BEGIN DELETE FROM object; END", 0);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(unit_store_object(s, token, 5, NULL), 0);
    assert_int_equal(store_db_int(s, "SELECT count(*) FROM object", &n, NULL), 0);
    assert_int_equal(n, 2);
    store_close(s);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_ten_thousand_objects_are_listed(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object *list = NULL;
    double t[4];
    size_t n = 0;

    (void)state;
    t[0] = now();
    assert_int_equal(store_begin(s, NULL), 0);
    for (int i = 0; i < 10000; i++) {
        struct store_object o = {.token = token, .class = 1};
        char name[32];

        snprintf(name, sizeof(name), "object number %d", i);
        for (uint64_t type = 0; type < 12; type++)
            add_attr(&o, type, name, false);
        assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
        store_object_free(&o);
    }
    assert_int_equal(store_commit(s, NULL), 0);
    t[1] = now();
    assert_int_equal(store_object_list(s, token, NULL, &list, &n, NULL), 0);
    t[2] = now();
    assert_int_equal(n, 10000);
    store_objects_free(list, n);
    assert_int_equal(store_object_list(s, token, &seal, &list, &n, NULL), 0);
    t[3] = now();
    assert_int_equal(n, 10000);
    for (size_t i = 1; i < n; i++)
        assert_true(list[i].verified && list[i].id > list[i - 1].id);
    store_objects_free(list, n);
    print_message("10000 objects of 12 attributes: written in %.0f ms, listed in %.1f ms,"
                  " with the tags checked in %.1f ms\n",
                  t[1] - t[0], t[2] - t[1], t[3] - t[2]);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_object_reads_back),
        IN_DIR(test_sealed_value_is_not_in_the_file),
        IN_DIR(test_before_login_only_public_objects_show),
        IN_DIR(test_without_login_nothing_private_is_written),
        IN_DIR(test_replaced_object_keeps_id_and_identity),
        IN_DIR(test_object_of_an_unknown_token_is_refused),
        IN_DIR(test_edited_object_is_refused),
        IN_DIR(test_swapped_values_are_refused),
        IN_DIR(test_object_moved_to_another_token_is_refused),
        IN_DIR(test_sealed_value_opens_for_its_object_and_type_only),
        IN_DIR(test_trigger_in_a_forged_file_does_not_run),
        IN_DIR(test_ten_thousand_objects_are_listed),
    };

    return cmocka_run_group_tests_name("store_object", tests, NULL, NULL);
}
