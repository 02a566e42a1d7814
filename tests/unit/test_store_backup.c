/* Goal: a backup gives back every row of a token as it was, and of a file that is not exactly
 * what was written it gives back nothing. */
#include "core/store_backup.h"
#include "core/store_backup_priv.h"

#include "core/hash.h"
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

#define SECRET "the token's secret"

/* A token with two keys, an object with one of them and a sealed value, and one without tag. */
static int64_t fill(struct store *s)
{
    struct store_seal seal = unit_store_seal(SECRET);
    struct store_tpm tpm = {.primary = 0x81000001, .primary_public_len = 3, .caps_len = 2};
    struct store_token t = {.label = "gateway", .serial = UNIT_SERIAL, .user_limit = 10};
    struct store_object o = {.class = 3, .is_private = true, .has_key = true};
    struct store_key k = {.mode = STORE_KEY_EACH, .parent = 7};

    memset(tpm.primary_public, 9, sizeof(tpm.primary_public));
    assert_int_equal(store_tpm_put(s, &tpm, NULL), 0);
    t.tpm = tpm.id;
    for (size_t i = 0; i < STORE_NV_COUNT; i++)
        t.nv[i] = (struct store_index){0x01800000 + (uint32_t)i, {34, {0, 11, (uint8_t)i}}};
    assert_int_equal(store_token_put(s, &t, NULL), 0);
    k.token = o.token = t.id;
    buf_str(&k.public, "public");
    buf_str(&k.private, "private");
    for (uint8_t i = 1; i <= 2; i++) {
        memset(k.uuid, i, STORE_UUID);
        assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
    }
    store_key_free(&k);
    memset(o.key, 2, STORE_UUID);
    assert_int_equal(store_object_set(&o, 0x11, bytes_of("hidden", 6), true, NULL), 0);
    assert_int_equal(store_object_set(&o, 0x3, bytes_of("label", 5), false, NULL), 0);
    assert_int_equal(store_object_put(s, &o, &seal, NULL), 0);
    store_object_free(&o);
    assert_int_equal(unit_store_object(s, t.id, 20, NULL), 0);
    return t.id;
}

static void make(struct buf *out)
{
    struct store_seal seal = unit_store_seal(SECRET);
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_backup_size n = {0};
    struct err e = {0};

    if (store_backup_write(s, fill(s), &seal, true, out, &n, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(n.keys, 2);
    assert_int_equal(n.objects, 2);
    store_close(s);
}

/* As somebody who logs in to it would: 0, or -1 with the failure of whichever step. */
static int judge(struct bytes file, const char *secret, struct err *e)
{
    struct store_seal seal = unit_store_seal(secret);
    struct store_backup *b = NULL;
    struct store *s = NULL;
    int64_t id = 0;
    int rc = -1;

    if (store_backup_read(&b, file, "the file", e) == 0 &&
        store_backup_scratch(b, NULL, &s, &id, e) == 0)
        rc = store_backup_verify(b, s, id, &seal, e);
    store_close(s);
    store_backup_free(b);
    return rc;
}

static void test_every_row_comes_back(void **state)
{
    struct store_seal seal = unit_store_seal(SECRET);
    struct store_object *list = NULL;
    struct store_backup *b = NULL;
    struct store_token *row = NULL;
    struct buf file = {0}, again = {0};
    struct store_backup_size size;
    struct err e = {0};
    struct store *s;
    size_t n = 0;

    (void)state;
    make(&file);
    assert_true(store_backup_is(buf_bytes(&file)));
    assert_int_equal(judge(buf_bytes(&file), SECRET, &e), 0);
    assert_int_equal(remove(unit_dir_at("store.db")), 0);
    s = unit_store_open(STORE_CREATE);
    assert_int_equal(store_backup_read(&b, buf_bytes(&file), "the file", NULL), 0);
    assert_string_equal(store_backup_token(b)->label, "gateway");
    assert_int_equal(store_backup_tpm(b)->primary, 0x81000001);
    assert_int_equal(store_backup_install(b, s, store_backup_token(b), false, &e), 0);
    assert_int_equal(store_token_list(s, &row, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(row->nv[3].handle, 0x01800003);
    assert_int_equal(store_object_list(s, row->id, &seal, &list, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_memory_equal(store_object_attr(&list[0], 0x11)->value.p, "hidden", 6);
    assert_true(list[0].verified && !list[1].verified);
    store_objects_free(list, n);
    /* What is written from it is the same, byte for byte. */
    assert_int_equal(store_backup_write(s, row->id, &seal, true, &again, &size, &e), 0);
    assert_true(bytes_equal(buf_bytes(&file), buf_bytes(&again)));
    free(row);
    store_close(s);
    store_backup_free(b);
    buf_free(&file);
    buf_free(&again);
}

/* Nobody can tell beforehand which keys a lost store had. */
static void test_keys_of_every_use_and_mode_come_back(void **state)
{
    struct store_seal seal = unit_store_seal(SECRET);
    struct store_key k = {.imported = true}, got;
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_backup_size n = {0};
    struct store_backup *b = NULL;
    struct buf file = {0};
    struct err e = {0};
    int64_t token = fill(s);

    (void)state;
    k.token = token;
    buf_str(&k.public, "public");
    for (int use = 0; use <= STORE_USE_LAST; use++) {
        for (int mode = 0; mode <= STORE_KEY_MODE_LAST; mode++) {
            k.use = (enum store_key_use)use;
            k.mode = (enum store_key_mode)mode;
            memset(k.uuid, 16 * (use + 1) + mode, STORE_UUID);
            assert_int_equal(store_key_put(s, &k, &seal, NULL), 0);
        }
    }
    assert_int_equal(store_backup_write(s, token, &seal, true, &file, &n, NULL), 0);
    if (judge(buf_bytes(&file), SECRET, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(store_backup_read(&b, buf_bytes(&file), "the file", NULL), 0);
    assert_int_equal(store_backup_install(b, s, store_backup_token(b), true, NULL), 0);
    for (int use = 0; use <= STORE_USE_LAST; use++) {
        memset(k.uuid, 16 * (use + 1) + STORE_KEY_MODE_LAST, STORE_UUID);
        assert_int_equal(store_key_get(s, token, k.uuid, &seal, &got, NULL), 0);
        assert_true(got.use == (enum store_key_use)use && got.mode == STORE_KEY_MODE_LAST);
        store_key_free(&got);
    }
    store_key_free(&k);
    store_backup_free(b);
    store_close(s);
    buf_free(&file);
}

static void test_one_that_is_there_is_replaced_when_told(void **state)
{
    struct store_backup_size size;
    struct store_backup *b = NULL;
    struct store_token *row = NULL;
    struct buf file = {0};
    struct err e = {0};
    struct store *s;
    size_t n = 0;

    (void)state;
    make(&file);
    assert_int_equal(store_backup_read(&b, buf_bytes(&file), "the file", NULL), 0);
    s = unit_store_open(STORE_WRITE);
    assert_int_equal(store_token_list(s, &row, &n, NULL), 0);
    assert_int_equal(unit_store_object(s, row->id, 5, NULL), 0);
    assert_int_equal(store_backup_install(b, s, store_backup_token(b), false, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    assert_int_equal(store_backup_count(s, row->id, &size, NULL), 0);
    assert_int_equal(size.objects, 3);
    assert_int_equal(store_backup_install(b, s, store_backup_token(b), true, NULL), 0);
    assert_int_equal(store_backup_count(s, row->id, &size, NULL), 0);
    assert_int_equal(size.objects, 2);
    assert_int_equal(size.keys, 2);
    free(row);
    store_close(s);
    store_backup_free(b);
    buf_free(&file);
}

static void test_counts_of_today_go_to_the_login(void **state)
{
    struct store_token known = {.user_fails = 3, .user_limit = 5, .flags = STORE_TOKEN_PIN_SET},
                       got;
    struct store_backup *b = NULL;
    struct store *s = NULL;
    struct buf file = {0};
    int64_t id = 0;

    (void)state;
    make(&file);
    assert_int_equal(store_backup_read(&b, buf_bytes(&file), "the file", NULL), 0);
    assert_int_equal(store_backup_scratch(b, &known, &s, &id, NULL), 0);
    assert_int_equal(store_token_get(s, id, &got, NULL), 0);
    assert_int_equal(got.user_fails, 3);
    assert_int_equal(got.user_limit, 5);
    assert_int_equal(got.flags, STORE_TOKEN_PIN_SET);
    assert_string_equal(got.serial, UNIT_SERIAL);
    store_close(s);
    store_backup_free(b);
    buf_free(&file);
}

static void test_no_other_length_is_read(void **state)
{
    struct buf file = {0};
    struct err e = {0};

    (void)state;
    make(&file);
    for (size_t n = 0; n < file.len; n++) {
        err_clear(&e);
        assert_int_equal(judge(bytes_of(file.p, n), SECRET, &e), -1);
        assert_int_equal(e.code, n < STORE_BACKUP_MAGIC_LEN ? E_FORMAT : E_CORRUPT);
    }
    buf_u8(&file, 0);
    err_clear(&e);
    assert_int_equal(judge(buf_bytes(&file), SECRET, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    buf_free(&file);
}

static void test_no_byte_may_change(void **state)
{
    struct buf file = {0};
    struct err e = {0};

    (void)state;
    make(&file);
    for (size_t i = 0; i < file.len; i++) {
        err_clear(&e);
        file.p[i] ^= 0x01;
        assert_int_equal(judge(buf_bytes(&file), SECRET, &e), -1);
        assert_true(e.code == E_CORRUPT || (e.code == E_FORMAT && i < STORE_BACKUP_MAGIC_LEN) ||
                    (e.code == E_VERSION && i < STORE_BACKUP_MAGIC_LEN + 2));
        file.p[i] ^= 0x01;
    }
    assert_int_equal(judge(buf_bytes(&file), SECRET, NULL), 0);
    buf_free(&file);
}

/* Nor by somebody who knows the format: the checksum fits again, the tags do not. */
static void test_no_byte_may_be_forged(void **state)
{
    struct buf file = {0};
    size_t body;

    (void)state;
    make(&file);
    body = file.len - 2 * STORE_BACKUP_DIGEST;
    for (size_t i = STORE_BACKUP_MAGIC_LEN + 2; i < body; i++) {
        struct err e = {0};

        for (int bit = 0; bit < 8; bit += 7) {
            file.p[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(hash_sha256(bytes_of(file.p, body), &file.p[body], NULL), 0);
            assert_int_equal(judge(buf_bytes(&file), SECRET, &e), -1);
            file.p[i] ^= (uint8_t)(1 << bit);
        }
    }
    assert_int_equal(hash_sha256(bytes_of(file.p, body), &file.p[body], NULL), 0);
    assert_int_equal(judge(buf_bytes(&file), SECRET, NULL), 0);
    assert_int_equal(judge(buf_bytes(&file), "another secret", NULL), -1);
    buf_free(&file);
}

static void test_altered_rows_are_not_backed_up(void **state)
{
    struct store_seal seal = unit_store_seal(SECRET);
    struct store_token *row = NULL;
    struct store_backup_size size;
    struct buf file = {0};
    struct err e = {0};
    struct store *s;
    size_t n = 0;

    (void)state;
    make(&file);
    buf_free(&file);
    unit_store_tamper("UPDATE attr SET value = x'01' WHERE type = 3", 1);
    s = unit_store_open(STORE_READ);
    assert_int_equal(store_token_list(s, &row, &n, NULL), 0);
    assert_int_equal(store_backup_write(s, row->id, &seal, true, &file, &size, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    assert_int_equal(file.len, 0);
    free(row);
    store_close(s);
}

/* 20 MiB of objects: refused with a word, not with "out of memory". */
static void test_what_is_too_long_is_refused(void **state)
{
    struct store_seal seal = unit_store_seal(SECRET);
    struct store *s = unit_store_open(STORE_CREATE);
    struct store_backup_size size;
    int64_t token = fill(s);
    struct buf file = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(store_begin(s, NULL), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(unit_store_object(s, token, (size_t)1 << 20, NULL), 0);
    assert_int_equal(store_commit(s, NULL), 0);
    assert_int_equal(store_backup_write(s, token, &seal, true, &file, &size, &e), -1);
    assert_int_equal(e.code, E_FULL);
    assert_int_equal(file.len, 0);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_every_row_comes_back),
        IN_DIR(test_keys_of_every_use_and_mode_come_back),
        IN_DIR(test_one_that_is_there_is_replaced_when_told),
        IN_DIR(test_counts_of_today_go_to_the_login),
        IN_DIR(test_no_other_length_is_read),
        IN_DIR(test_no_byte_may_change),
        IN_DIR(test_no_byte_may_be_forged),
        IN_DIR(test_altered_rows_are_not_backed_up),
        IN_DIR(test_what_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
