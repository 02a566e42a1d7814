/* Objects found by a digest of what they are searched by: hits, misses, other processes, files
 * of an older version, and what whoever has the file can do to the digests. */
#include "core/store_db.h"

#include "core/file.h"
#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

enum { LABEL = 3, VALUE = 17, SERIAL = 130, SUBJECT = 257, ID = 258, KEY_INFO = 297 };

static struct bytes text(const char *s)
{
    return bytes_of(s, strlen(s));
}

/* What a search gave: how many, and the last one's id. */
struct hits {
    size_t n;
    int64_t id;
};

static int count(void *arg, struct store_object *o, struct err *e)
{
    struct hits *h = arg;

    (void)e;
    h->n++;
    h->id = o->id;
    return 0;
}

static struct hits find(struct store *s, int64_t token, const struct store_seal *seal,
                        uint64_t type, const char *value)
{
    struct hits h = {0};
    struct err e = {0};

    if (store_object_find(s, token, seal, type, text(value), count, &h, &e) != 0)
        fail_msg("%s", e.msg);
    return h;
}

/* An object with this label, and the same text as its id. */
static int64_t add(struct store *s, int64_t token, const struct store_seal *seal, bool private,
                   const char *label)
{
    struct store_object o = {.token = token, .class = 3, .is_private = private};

    assert_int_equal(store_object_set(&o, LABEL, text(label), private, NULL), 0);
    assert_int_equal(store_object_set(&o, ID, text(label), private, NULL), 0);
    assert_int_equal(store_object_set(&o, KEY_INFO, text("key"), false, NULL), 0);
    assert_int_equal(store_object_put(s, &o, seal, NULL), 0);
    store_object_free(&o);
    return o.id;
}

static void test_objects_are_found_by_what_is_searched_by(void **state)
{
    int64_t token = unit_store_make(0), a, b, other;
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token"), wrong = unit_store_seal("other");
    struct store_object o = {.token = token, .class = 1};
    struct hits h = {0};

    (void)state;
    a = add(s, token, NULL, false, "open");
    b = add(s, token, &seal, true, "hidden");
    other = unit_store_token(s, "fedcba9876543210", NULL);
    add(s, other, NULL, false, "open");
    assert_int_equal(find(s, token, NULL, LABEL, "open").id, a);
    assert_int_equal(find(s, token, &seal, LABEL, "open").n, 1);
    assert_int_equal(find(s, token, &seal, LABEL, "hidden").id, b);
    assert_int_equal(find(s, token, &seal, ID, "hidden").id, b);
    assert_int_equal(find(s, token, &seal, KEY_INFO, "key").n, 2);
    /* Before login, for another login, of another type, of part of it: nothing. */
    assert_int_equal(find(s, token, NULL, LABEL, "hidden").n, 0);
    assert_int_equal(find(s, token, NULL, KEY_INFO, "key").n, 1);
    assert_int_equal(find(s, other, &wrong, LABEL, "hidden").n, 0);
    assert_int_equal(find(s, token, &seal, SUBJECT, "hidden").n, 0);
    assert_int_equal(find(s, token, &seal, LABEL, "hidde").n, 0);
    assert_int_equal(find(s, token, &seal, SERIAL, "").n, 0);
    /* Others are for a list to find. */
    assert_int_equal(store_object_find(s, token, &seal, VALUE, text("x"), count, &h, NULL), 1);
    /* An object that changes, another that goes. */
    o.id = a;
    assert_int_equal(store_object_get(s, token, a, NULL, &o, NULL), 0);
    assert_int_equal(store_object_set(&o, LABEL, text("renamed"), false, NULL), 0);
    assert_int_equal(store_object_put(s, &o, NULL, NULL), 0);
    assert_int_equal(find(s, token, NULL, LABEL, "open").n, 0);
    assert_int_equal(find(s, token, NULL, LABEL, "renamed").id, a);
    assert_int_equal(store_object_delete(s, token, b, NULL), 0);
    assert_int_equal(find(s, token, &seal, LABEL, "hidden").n, 0);
    store_object_free(&o);
    store_close(s);
}

static void test_what_another_process_does_is_seen(void **state)
{
    int64_t token = unit_store_make(0), id;
    struct store *s = unit_store_open(STORE_WRITE), *o = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");

    (void)state;
    assert_int_equal(find(s, token, &seal, LABEL, "new").n, 0);
    id = add(o, token, &seal, true, "new");
    assert_int_equal(find(s, token, &seal, LABEL, "new").id, id);
    assert_int_equal(store_object_delete(o, token, id, NULL), 0);
    assert_int_equal(find(s, token, &seal, LABEL, "new").n, 0);
    store_close(o);
    store_close(s);
}

/* --- the file in other hands ----------------------------------------------- */

static enum err_code listed(int64_t token, const struct store_seal *seal)
{
    struct store *s = unit_store_open(STORE_READ);
    struct store_object *o = NULL;
    struct err e = {0};
    size_t n = 0;

    if (store_object_list(s, token, seal, &o, &n, &e) == 0)
        store_objects_free(o, n);
    store_close(s);
    return e.code;
}

static void test_edited_digest_finds_nothing_false_and_is_refused(void **state)
{
    static const char *const sql[] = {
        "UPDATE attr SET digest = 7 WHERE type = 3 AND object = 2",
        "UPDATE attr SET digest = (SELECT digest FROM attr WHERE type = 3 AND object = 1)"
        " WHERE type = 3 AND object = 2",
    };
    struct store_seal seal = unit_store_seal("token");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        int64_t token = unit_store_make(0);
        struct store *s = unit_store_open(STORE_WRITE);
        struct hits h = {0};
        struct err e = {0};
        int rc;

        assert_int_equal(add(s, token, &seal, true, "one"), 1);
        assert_int_equal(add(s, token, &seal, true, "two"), 2);
        store_close(s);
        unit_store_tamper(sql[i], 1);
        s = unit_store_open(STORE_WRITE);
        /* Hidden from this search, but every list says so. */
        assert_int_equal(find(s, token, &seal, LABEL, "two").n, 0);
        assert_int_equal(listed(token, &seal), E_CORRUPT);
        /* By its other attributes, and where its digest was led astray, it is refused. */
        assert_int_equal(store_object_find(s, token, &seal, ID, text("two"), count, &h, &e), -1);
        assert_int_equal(e.code, E_CORRUPT);
        err_clear(&e);
        rc = store_object_find(s, token, &seal, LABEL, text("one"), count, &h, &e);
        assert_int_equal(rc, i == 0 ? 0 : -1);
        assert_int_equal(e.code, i == 0 ? E_OK : E_CORRUPT);
        store_close(s);
        assert_int_equal(remove(unit_dir_at("store.db")), 0);
    }
}

static void test_missing_digests_hide_nothing(void **state)
{
    int64_t token = unit_store_make(0), v = 1;
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct hits h = {0};

    (void)state;
    add(s, token, &seal, true, "one");
    add(s, token, NULL, false, "two");
    store_close(s);
    unit_store_tamper("UPDATE attr SET digest = NULL", 6);
    s = unit_store_open(STORE_READ);
    assert_int_equal(store_object_find(s, token, &seal, LABEL, text("one"), count, &h, NULL), 1);
    assert_int_equal(store_object_find(s, token, NULL, LABEL, text("two"), count, &h, NULL), 1);
    store_close(s);
    /* Where it can be written they are filled in: before login those of plain values. */
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(find(s, token, NULL, LABEL, "two").n, 1);
    assert_int_equal(
        store_db_int(s, "SELECT count(*) FROM attr WHERE digest IS NULL AND sealed = 0", &v, NULL),
        0);
    assert_int_equal(v, 0);
    assert_int_equal(
        store_db_int(s, "SELECT count(*) FROM attr WHERE digest IS NULL AND sealed = 1", &v, NULL),
        0);
    assert_int_equal(v, 2);
    assert_int_equal(find(s, token, &seal, LABEL, "one").n, 1);
    store_close(s);
    assert_int_equal(listed(token, &seal), E_OK);
}

static void test_sealed_value_that_does_not_open_is_left_to_the_list(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct hits h = {0};

    (void)state;
    add(s, token, &seal, true, "one");
    store_close(s);
    unit_store_tamper("UPDATE attr SET digest = NULL, value = zeroblob(40) WHERE type = 3", 1);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(store_object_find(s, token, &seal, LABEL, text("one"), count, &h, NULL), 1);
    store_close(s);
    assert_int_equal(listed(token, &seal), E_CORRUPT);
}

/* Two private objects of one label show by their digests that they have the same; a public
 * one and another token do not tell. */
static void test_digests_tell_no_more_than_what_is_equal(void **state)
{
    struct store_seal seal = unit_store_seal("token"), other = unit_store_seal("other");
    int64_t a = 0, b = 0;

    (void)state;
    assert_int_equal(store_lookup_digest(LABEL, text("x"), &seal, &a, NULL), 0);
    assert_int_equal(store_lookup_digest(LABEL, text("x"), &seal, &b, NULL), 0);
    assert_true(a == b);
    assert_int_equal(store_lookup_digest(LABEL, text("x"), &other, &b, NULL), 0);
    assert_false(a == b);
    assert_int_equal(store_lookup_digest(LABEL, text("x"), NULL, &b, NULL), 0);
    assert_false(a == b);
    assert_int_equal(store_lookup_digest(ID, text("x"), &seal, &b, NULL), 0);
    assert_false(a == b);
}

/* --- version 1 --------------------------------------------------------------- */

/* The file as a program of version 1 left it: token 0123456789abcdef, secret "token"; objects
 * 1 "open" without a tag, 2 "tagged" with one, 3 "mine" and 4 "other" private. */
static void take_version_1(void)
{
    struct buf b = {0};

    assert_int_equal(file_read("tests/vectors/store/version-1.db", BUF_MAX, &b, NULL), 0);
    assert_int_equal(file_write(unit_dir_at("store.db"), buf_bytes(&b), 0600, NULL), 0);
    buf_free(&b);
}

static int64_t version(void)
{
    struct store *s = unit_store_open(STORE_READ);
    int64_t v = 0;

    assert_int_equal(store_db_int(s, "PRAGMA user_version", &v, NULL), 0);
    store_close(s);
    return v;
}

static void test_version_1_is_read_where_it_cannot_be_written(void **state)
{
    struct store_seal seal = unit_store_seal("token");
    struct store_object *o = NULL;
    struct hits h = {0};
    struct store *s;
    size_t n = 0;

    (void)state;
    take_version_1();
    s = unit_store_open(STORE_READ);
    assert_int_equal(s->version, 1);
    assert_int_equal(store_object_find(s, 1, &seal, LABEL, text("mine"), count, &h, NULL), 1);
    assert_int_equal(store_object_list(s, 1, &seal, &o, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_true(bytes_equal(buf_bytes(&store_object_attr(&o[2], LABEL)->value), text("mine")));
    store_objects_free(o, n);
    store_close(s);
    assert_int_equal(version(), 1);
}

static void test_version_1_is_migrated(void **state)
{
    struct store_seal seal = unit_store_seal("token");
    struct store *s;

    (void)state;
    take_version_1();
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(s->version, 2);
    /* Before the first login what is public, then everything. */
    assert_int_equal(find(s, 1, NULL, LABEL, "open").id, 1);
    assert_int_equal(find(s, 1, NULL, ID, "2").id, 2);
    assert_int_equal(find(s, 1, NULL, LABEL, "mine").n, 0);
    assert_int_equal(find(s, 1, &seal, LABEL, "mine").id, 3);
    assert_int_equal(find(s, 1, &seal, ID, "2").n, 2);
    assert_int_equal(find(s, 1, &seal, SUBJECT, "subject").id, 4);
    assert_int_equal(find(s, 1, &seal, KEY_INFO, "public key").n, 2);
    add(s, 1, &seal, true, "new");
    store_close(s);
    assert_int_equal(version(), 2);
    assert_int_equal(listed(1, &seal), E_OK);
    s = unit_store_open(STORE_READ);
    assert_int_equal(find(s, 1, &seal, LABEL, "mine").id, 3);
    assert_int_equal(find(s, 1, &seal, LABEL, "new").id, 5);
    store_close(s);
}

/* A program of version 1 that has the file open while another migrates it writes on. */
static void test_rows_of_an_older_program_are_found(void **state)
{
    struct store_seal seal = unit_store_seal("token");
    struct store *s;

    (void)state;
    take_version_1();
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(find(s, 1, &seal, LABEL, "late").n, 0);
    unit_store_tamper("INSERT INTO object (token, uuid, class, private) VALUES (1, x'00112233"
                      "445566778899aabbccddeeff', 1, 0); INSERT INTO attr (object, type, sealed,"
                      " value) VALUES (last_insert_rowid(), 3, 0, CAST('late' AS BLOB))",
                      1);
    assert_int_equal(find(s, 1, &seal, LABEL, "late").id, 5);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_objects_are_found_by_what_is_searched_by),
        IN_DIR(test_what_another_process_does_is_seen),
        IN_DIR(test_edited_digest_finds_nothing_false_and_is_refused),
        IN_DIR(test_missing_digests_hide_nothing),
        IN_DIR(test_sealed_value_that_does_not_open_is_left_to_the_list),
        cmocka_unit_test(test_digests_tell_no_more_than_what_is_equal),
        IN_DIR(test_version_1_is_read_where_it_cannot_be_written),
        IN_DIR(test_version_1_is_migrated),
        IN_DIR(test_rows_of_an_older_program_are_found),
    };

    return cmocka_run_group_tests_name("store_lookup", tests, NULL, NULL);
}
