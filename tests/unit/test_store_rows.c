/* Rows of the store for TPMs, tokens and keys: they read back, and altered ones are
 * refused. Objects are in test_store_object.c. */
#include "core/store_db.h"

#include "tests/support/unit_dir.h"
#include "tests/support/unit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void make_key(struct store_key *k, int64_t token, uint8_t first)
{
    *k = (struct store_key){.token = token, .mode = STORE_KEY_EACH, .parent = 7};
    memset(k->uuid, first, STORE_UUID);
    buf_str(&k->public, "public");
    buf_str(&k->private, "private");
    buf_str(&k->creation, "creation");
}

/* --- TPMs and tokens ----------------------------------------------------- */

static void test_tpm_reads_back(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_tpm t = {.primary = 0x81000001, .primary_public_len = 600, .caps_len = 512}, got;
    struct store_tpm *list = NULL;
    struct err e = {0};
    size_t n = 0;

    (void)state;
    memset(t.primary_public, 1, sizeof(t.primary_public));
    memset(t.caps, 2, sizeof(t.caps));
    memset(t.ek_name.name, 3, STORE_NAME_MAX);
    t.ek_name.len = STORE_NAME_MAX;
    assert_int_equal(store_tpm_put(s, &t, NULL), 0);
    assert_int_equal(store_tpm_get(s, t.id, &got, NULL), 0);
    assert_memory_equal(&got, &t, sizeof(t));
    t.primary = 0x81000002;
    t.ek_name.len = 0;
    assert_int_equal(store_tpm_put(s, &t, NULL), 0);
    assert_int_equal(store_tpm_list(s, &list, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].primary, 0x81000002);
    assert_int_equal(list[0].ek_name.len, 0);
    free(list);
    assert_int_equal(store_tpm_get(s, 99, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    t.id = 99;
    assert_int_equal(store_tpm_put(s, &t, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_close(s);
}

static void test_token_reads_back_with_its_indices(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_token t, got, *list = NULL;
    size_t n = 0;
    int64_t id = unit_store_token(s, UNIT_SERIAL, NULL);

    (void)state;
    assert_true(unit_store_token(s, "fedcba9876543210", NULL) > id);
    assert_int_equal(store_token_get(s, id, &t, NULL), 0);
    memcpy(t.label, "12345678901234567890123456789012", 33);
    memset(t.salt, 4, sizeof(t.salt));
    memset(t.k_public, 5, sizeof(t.k_public));
    t.flags = STORE_TOKEN_PIN_SET | STORE_TOKEN_DA_ONLY;
    t.user_fails = 2;
    t.so_limit = UINT32_MAX;
    for (uint32_t i = 0; i < STORE_NV_COUNT; i++) {
        t.nv[i].handle = 0x01800000 + i;
        t.nv[i].name.len = (uint16_t)(34 + i);
        memset(t.nv[i].name.name, (int)i + 1, 34 + i);
    }
    assert_int_equal(store_token_put(s, &t, NULL), 0);
    assert_int_equal(store_token_get(s, id, &got, NULL), 0);
    assert_memory_equal(&got, &t, sizeof(t));
    assert_int_equal(store_token_list(s, &list, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_memory_equal(&list[0], &t, sizeof(t));
    assert_string_equal(list[1].serial, "fedcba9876543210");
    assert_int_equal(list[1].nv[STORE_NV_R].handle, 0);
    free(list);
    store_close(s);
}

/* Two processes have read the row; each notes something else. */
static void test_notes_of_two_processes_do_not_undo_each_other(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    int64_t id = unit_store_token(s, UNIT_SERIAL, NULL);
    const struct store_note pin = {.set = STORE_TOKEN_PIN_SET | STORE_TOKEN_CHANGE_USER};
    const uint32_t fails = 3;
    const struct store_note tried = {.clear = STORE_TOKEN_CHANGE_USER, .so_fails = &fails};
    struct store_token one, two;

    (void)state;
    assert_int_equal(store_token_get(s, id, &one, NULL), 0);
    two = one;
    assert_int_equal(store_token_note(s, &one, &pin, NULL), 0);
    assert_int_equal(store_token_note(s, &two, &tried, NULL), 0);
    assert_int_equal(two.flags & pin.set, STORE_TOKEN_PIN_SET);
    assert_int_equal(store_token_get(s, id, &one, NULL), 0);
    assert_memory_equal(&one, &two, sizeof(one));
    assert_int_equal(one.so_fails, 3);
    store_close(s);
}

static void test_nothing_is_noted_of_a_token_that_was_made_anew(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    int64_t id = unit_store_token(s, UNIT_SERIAL, NULL);
    const struct store_note note = {.set = STORE_TOKEN_CHANGE_USER};
    struct store_token old, fresh, got;
    struct err e = {0};

    (void)state;
    assert_int_equal(store_token_get(s, id, &old, NULL), 0);
    fresh = old;
    memcpy(fresh.serial, "fedcba9876543210", 17);
    assert_int_equal(store_token_put(s, &fresh, NULL), 0);
    assert_int_equal(store_token_note(s, &old, &note, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_int_equal(old.flags & STORE_TOKEN_CHANGE_USER, 0);
    assert_int_equal(store_token_get(s, id, &got, NULL), 0);
    assert_memory_equal(&got, &fresh, sizeof(got));
    store_close(s);
}

static void test_token_with_a_taken_serial_or_no_tpm_is_refused(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_token t = {.label = "x", .serial = "fedcba9876543210", .tpm = 99};
    struct err e = {0};

    (void)state;
    assert_true(unit_store_token(s, UNIT_SERIAL, NULL) > 0);
    assert_int_equal(unit_store_token(s, UNIT_SERIAL, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    assert_int_equal(store_token_put(s, &t, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_int_equal(t.id, 0);
    err_clear(&e);
    memcpy(t.serial, "short", 6);
    assert_int_equal(store_token_put(s, &t, &e), -1);
    assert_int_equal(e.code, E_ARG);
    store_close(s);
}

static void test_erased_token_takes_everything_below_along(void **state)
{
    int64_t token = unit_store_make(2), other, left = -1;
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object o = {.token = token, .class = 3, .is_private = true, .has_key = true};
    struct store_key k;
    struct err e = {0};

    (void)state;
    other = unit_store_token(s, "fedcba9876543210", NULL);
    assert_int_equal(unit_store_object(s, other, 5, NULL), 0);
    make_key(&k, token, 9);
    assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
    memcpy(o.key, k.uuid, STORE_UUID);
    assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
    assert_int_equal(store_token_delete(s, token, NULL), 0);
    assert_int_equal(store_db_int(s,
                                  "SELECT (SELECT count(*) FROM token) + (SELECT count(*) FROM "
                                  "object) + (SELECT count(*) FROM attr) + (SELECT count(*) FROM "
                                  "key) + (SELECT count(*) FROM nv)",
                                  &left, NULL),
                     0);
    assert_int_equal(left, 1 + 1 + 1 + 0 + STORE_NV_COUNT);
    assert_int_equal(store_token_delete(s, token, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_key_free(&k);
    store_close(s);
}

static void test_misshapen_token_row_is_refused(void **state)
{
    static const char *const sql[] = {
        "UPDATE token SET salt = x'00'",
        "UPDATE token SET label = printf('%.*c', 33, 'x')",
        "UPDATE token SET flags = -1",
        "UPDATE token SET user_fails = 4294967296",
        "UPDATE nv SET role = role + 1 WHERE role = 3",
        "UPDATE nv SET name = zeroblob(67) WHERE role = 0",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        struct store_token *list = NULL;
        struct err e = {0};
        struct store *s;
        size_t n = 0;

        unit_store_make(0);
        unit_store_tamper(sql[i], 1);
        s = unit_store_open(STORE_READ);
        assert_int_equal(store_token_list(s, &list, &n, &e), -1);
        assert_int_equal(e.code, E_CORRUPT);
        store_close(s);
        assert_int_equal(remove(unit_dir_at("store.db")), 0);
    }
}

/* --- keys ---------------------------------------------------------------- */

static void test_key_reads_back(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_key k, got;
    struct err e = {0};

    (void)state;
    make_key(&k, token, 9);
    k.imported = true;
    assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
    assert_int_equal(store_key_put(s, &k, &seal, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    assert_int_equal(store_key_get(s, token, k.uuid, &seal, &got, NULL), 0);
    assert_int_equal(got.mode, STORE_KEY_EACH);
    assert_int_equal(got.use, STORE_USE_OBJECT);
    assert_true(got.imported);
    assert_int_equal(got.parent, 7);
    assert_true(bytes_equal(buf_bytes(&got.public), bytes_of("public", 6)));
    assert_true(bytes_equal(buf_bytes(&got.private), bytes_of("private", 7)));
    assert_true(bytes_equal(buf_bytes(&got.creation), bytes_of("creation", 8)));
    store_key_free(&got);
    store_key_free(NULL);
    err_clear(&e);
    assert_int_equal(store_key_get(s, token, k.uuid, NULL, &got, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    err_clear(&e);
    k.uuid[0]++;
    assert_int_equal(store_key_get(s, token, k.uuid, &seal, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_key_free(&k);
    store_close(s);
}

static void test_only_service_keys_are_read_without_login(void **state)
{
    struct store *s = unit_store_open(STORE_CREATE);
    int64_t token = unit_store_token(s, UNIT_SERIAL, NULL);
    struct store_seal seal = unit_store_seal("token secret");
    struct err e = {0};

    (void)state;
    for (uint8_t mode = STORE_KEY_SESSION; mode <= STORE_KEY_NONE; mode++) {
        struct store_key k, got = {.token = 0};

        make_key(&k, token, (uint8_t)(20 + mode));
        k.mode = (enum store_key_mode)mode;
        assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
        err_clear(&e);
        if (mode == STORE_KEY_NONE) {
            assert_int_equal(store_key_get(s, token, k.uuid, NULL, &got, &e), 0);
            assert_int_equal(got.mode, STORE_KEY_NONE);
            assert_true(bytes_equal(buf_bytes(&got.private), bytes_of("private", 7)));
            /* Which key of a use it is rests on the tag: never without. */
            assert_int_equal(store_key_find(s, token, k.use, 7, NULL, &got, &e), -1);
        } else {
            assert_int_equal(store_key_get(s, token, k.uuid, NULL, &got, &e), -1);
        }
        assert_int_equal(e.code, E_LOGIN);
        store_key_free(&got);
        store_key_free(&k);
    }
    err_clear(&e);
    assert_int_equal(store_key_get(s, token, (const uint8_t[STORE_UUID]){1}, NULL,
                                   &(struct store_key){.token = 0}, &e),
                     -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_close(s);
}

static void test_attestation_key_is_found_by_template(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_key got;
    struct err e = {0};

    (void)state;
    for (uint8_t i = 1; i <= 3; i++) {
        struct store_key k;

        make_key(&k, token, i);
        k.use = i == 1 ? STORE_USE_OBJECT : STORE_USE_AK;
        k.parent = i;
        assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
        store_key_free(&k);
    }
    assert_int_equal(store_key_find(s, token, STORE_USE_AK, 3, &seal, &got, NULL), 0);
    assert_int_equal(got.uuid[0], 3);
    store_key_free(&got);
    assert_int_equal(store_key_find(s, token, STORE_USE_AK, 1, &seal, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_close(s);
}

static void test_key_behind_an_object_is_not_deleted(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token");
    struct store_object o = {.token = token, .class = 3, .has_key = true};
    struct store_key k;
    struct err e = {0};

    (void)state;
    make_key(&k, token, 9);
    memcpy(o.key, k.uuid, STORE_UUID);
    assert_int_equal(store_object_put(s, &o, &seal, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
    assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
    assert_int_equal(store_begin(s, NULL), 0);
    assert_int_equal(store_key_delete(s, token, k.uuid, &e), -1);
    assert_int_equal(e.code, E_BUSY);
    assert_int_equal(store_commit(s, NULL), 0);
    err_clear(&e);
    assert_int_equal(store_object_delete(s, token, o.id, NULL), 0);
    assert_int_equal(store_key_delete(s, token, k.uuid, NULL), 0);
    assert_int_equal(store_key_delete(s, token, k.uuid, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    store_key_free(&k);
    store_close(s);
}

static void test_edited_key_row_is_refused(void **state)
{
    static const char *const sql[] = {
        "UPDATE key SET uuid = x'00000000000000000000000000000000'",
        "UPDATE key SET use = 1",
        "UPDATE key SET mode = 0",
        "UPDATE key SET imported = 1",
        "UPDATE key SET parent = 8",
        "UPDATE key SET public = x'00'",
        "UPDATE key SET private = x'00'",
        "UPDATE key SET creation = x''",
        /* The same bytes with the border moved. */
        "UPDATE key SET public = CAST('publicp' AS BLOB), private = CAST('rivate' AS BLOB)",
        "UPDATE key SET tag = zeroblob(32)",
        "UPDATE key SET tag = x''",
        "UPDATE key SET mode = 5",
        "UPDATE key SET parent = -1",
        "UPDATE token SET serial = 'fedcba9876543210'",
    };
    struct store_seal seal = unit_store_seal("token");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
        int64_t token = unit_store_make(0);
        struct store *s = unit_store_open(STORE_WRITE);
        struct store_key k, got;
        struct err e = {0};

        make_key(&k, token, 9);
        assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
        store_close(s);
        unit_store_tamper(sql[i], 1);
        /* Looked for under the uuid that stands in the row now. */
        if (strstr(sql[i], "SET uuid") != NULL)
            memset(k.uuid, 0, STORE_UUID);
        s = unit_store_open(STORE_READ);
        if (store_key_get(s, token, k.uuid, &seal, &got, &e) == 0)
            fail_msg("accepted after: %s", sql[i]);
        assert_int_equal(e.code, E_CORRUPT);
        store_key_free(&k);
        store_close(s);
        assert_int_equal(remove(unit_dir_at("store.db")), 0);
    }
}

static void test_key_of_another_secret_is_refused(void **state)
{
    int64_t token = unit_store_make(0);
    struct store *s = unit_store_open(STORE_WRITE);
    struct store_seal seal = unit_store_seal("token"), other = unit_store_seal("another");
    struct store_key k, got;
    struct err e = {0};

    (void)state;
    make_key(&k, token, 9);
    assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
    assert_int_equal(store_key_get(s, token, k.uuid, &other, &got, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    store_key_free(&k);
    store_close(s);
}

static void test_unsound_files_are_told(void **state)
{
    struct store *s;
    struct err e = {0};

    (void)state;
    unit_store_make(3);
    s = unit_store_open(STORE_READ);
    assert_int_equal(store_check(s, NULL), 0);
    store_close(s);
    unit_store_tamper("UPDATE object SET token = 77 WHERE id = 1", 1);
    s = unit_store_open(STORE_READ);
    assert_int_equal(store_check(s, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    assert_non_null(strstr(e.msg, "table object belongs to nothing"));
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_unsound_files_are_told),
        IN_DIR(test_tpm_reads_back),
        IN_DIR(test_token_reads_back_with_its_indices),
        IN_DIR(test_notes_of_two_processes_do_not_undo_each_other),
        IN_DIR(test_nothing_is_noted_of_a_token_that_was_made_anew),
        IN_DIR(test_token_with_a_taken_serial_or_no_tpm_is_refused),
        IN_DIR(test_erased_token_takes_everything_below_along),
        IN_DIR(test_misshapen_token_row_is_refused),
        IN_DIR(test_key_reads_back),
        IN_DIR(test_only_service_keys_are_read_without_login),
        IN_DIR(test_attestation_key_is_found_by_template),
        IN_DIR(test_key_behind_an_object_is_not_deleted),
        IN_DIR(test_edited_key_row_is_refused),
        IN_DIR(test_key_of_another_secret_is_refused),
    };

    return cmocka_run_group_tests_name("store_rows", tests, NULL, NULL);
}
