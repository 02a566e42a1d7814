/* Goal: a TPM carries a token's rows itself: what was written is read anywhere, whoever is stopped
 * in the middle leaves the old or the new whole, and what a stranger wrote is told. */
#include "tests/support/unit_tpm.h"
#include "core/hash.h"
#include "tpm/ctx.h"
#include "tpm/nv.h"
#include "tpm/stick.h"
#include "tpm/stick_nv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define ROOM ((size_t)6 << 10)
#define NAME "the stick"
#define LAST_INDEX (STICK_NV_PARTS + STICK_COPIES * STICK_PARTS_MAX - 1)
#define CLASS 1U
#define VALUE 0x11U

/* A stick that was read, with its token. */
struct carried {
    struct stick *stick;
    struct store *store;
    struct token *token;
    int64_t id;
};

static void put_down(struct carried *c)
{
    token_free(c->token);
    stick_free(c->stick);
    *c = (struct carried){0};
}

static int pick_up(struct tpm *t, struct carried *c, struct err *e)
{
    *c = (struct carried){0};
    if (stick_read(&c->stick, t, NAME, e) != 0 || stick_token(c->stick, &c->token, e) != 0) {
        put_down(c);
        return -1;
    }
    c->store = stick_store(c->stick);
    c->id = stick_id(c->stick);
    return 0;
}

static int log_in(struct carried *c, struct err *e)
{
    if (token_login(c->token, TOKEN_USER, unit_pin(UNIT_USER), e) != 0)
        return -1;
    return stick_verify(c->stick, e);
}

#define MUST(x)                      \
    do {                             \
        if ((x) != 0)                \
            fail_msg("%s", why.msg); \
    } while (0)

/* One object with `len` bytes, of which each is `fill`. */
static int add(struct carried *c, size_t len, int fill, struct err *e)
{
    struct store_object o = {.token = c->id, .class = CLASS};
    uint8_t *value = malloc(len);
    int rc = -1;

    if (value == NULL)
        return -1;
    memset(value, fill, len);
    if (store_object_set(&o, VALUE, bytes_of(value, len), false, e) == 0)
        rc = store_object_put(c->store, &o, token_seal(c->token), e);
    store_object_free(&o);
    free(value);
    return rc;
}

/* The bytes of the objects there are, one for each; 0 ends it. */
static void objects(struct carried *c, char out[16])
{
    struct store_object *list = NULL;
    struct err why = {0};
    size_t n = 0;

    MUST(store_object_list(c->store, c->id, token_seal(c->token), &list, &n, &why));
    assert_true(n < 16);
    memset(out, 0, 16);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)store_object_attr(&list[i], VALUE)->value.p[0];
    store_objects_free(list, n);
}

static int with_stick(void **state)
{
    struct unit_tpm *w;
    struct err why = {0};

    if (unit_tpm_with_token(state) != 0)
        return -1;
    w = *state;
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    MUST(stick_create(w->token, ROOM, &why));
    return 0;
}

static int without_stick(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    uint32_t h[4];

    if (w->tpm == NULL)
        unit_tpm_open(w, getenv("FUSETSU_TCTI"));
    MUST(stick_erase(w->tpm, w->token, &why));
    assert_int_equal(unit_tpm_handles(STICK_NV_FIRST, LAST_INDEX, h, ARRAY_LEN(h)), 0);
    return unit_tpm_remove(state);
}

#define WITH_STICK(f) cmocka_unit_test_setup_teardown(f, with_stick, without_stick)

/* --- there and back ------------------------------------------------------------------- */

static void test_a_token_is_carried_without_any_store(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0}, again = {0};
    struct err why = {0};
    struct carried c;
    char got[16];

    MUST(pick_up(w->tpm, &c, &why));
    assert_string_equal(token_row(c.token)->serial, token_row(w->token)->serial);
    MUST(log_in(&c, &why));
    unit_tpm_ecc(w, "P-256", &key);
    key.token = c.id;
    MUST(store_key_put(c.store, &key, token_seal(c.token), &why));
    MUST(add(&c, 700, 'a', &why));
    assert_true(stick_room(c.stick).used > 700);
    assert_in_range(stick_room(c.stick).total, ROOM, ROOM + 1024);
    put_down(&c);

    MUST(pick_up(w->tpm, &c, &why));
    MUST(log_in(&c, &why));
    objects(&c, got);
    assert_string_equal(got, "a");
    MUST(store_key_get(c.store, c.id, key.uuid, token_seal(c.token), &again, &why));
    if (unit_tpm_sign(c.token, &again, &why) != 0)
        fail_msg("%s", why.msg);
    put_down(&c);
    store_key_free(&key);
    store_key_free(&again);
}

static void test_a_tpm_without_a_token_says_so(void **state)
{
    struct unit_tpm *w = *state;
    struct stick *s = NULL;
    struct err why = {0};

    assert_int_equal(stick_read(&s, w->tpm, NAME, &why), -1);
    assert_int_equal(why.code, E_NOT_FOUND);
    assert_non_null(strstr(why.msg, "provision"));
}

static void test_nothing_is_written_without_a_login(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    struct carried c;

    MUST(pick_up(w->tpm, &c, &why));
    assert_int_equal(add(&c, 10, 'x', &why), -1);
    assert_int_equal(why.code, E_LOGIN);
    put_down(&c);
}

static void test_the_so_writes_too(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    struct carried c;
    char got[16];

    MUST(pick_up(w->tpm, &c, &why));
    MUST(token_login(c.token, TOKEN_SO, unit_pin(UNIT_SO), &why));
    MUST(add(&c, 10, 'p', &why));
    put_down(&c);
    MUST(pick_up(w->tpm, &c, &why));
    MUST(log_in(&c, &why));
    objects(&c, got);
    assert_string_equal(got, "p");
    put_down(&c);
}

static void test_a_full_stick_says_how_much_room_there_is(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    struct carried c;
    char room[24];
    char got[16];

    MUST(pick_up(w->tpm, &c, &why));
    MUST(log_in(&c, &why));
    assert_int_equal(add(&c, 2 * ROOM, 'b', &why), -1);
    assert_int_equal(why.code, E_FULL);
    snprintf(room, sizeof(room), "%zu bytes", stick_room(c.stick).total);
    assert_non_null(strstr(why.msg, room));
    objects(&c, got);
    assert_string_equal(got, "");
    put_down(&c);
}

static void test_more_room_than_there_is_is_refused_and_leaves_nothing(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    uint32_t h[4];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(stick_create(w->token, (size_t)1 << 20, &why), -1);
    assert_int_equal(why.code, E_FULL);
    assert_int_equal(unit_tpm_handles(STICK_NV_FIRST, LAST_INDEX, h, ARRAY_LEN(h)), 0);
}

/* --- counts ------------------------------------------------------------------------------ */

static void test_wrong_pins_are_counted_on_the_stick(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    struct carried c;

    for (int i = 0; i < 2; i++) {
        MUST(pick_up(w->tpm, &c, &why));
        assert_int_equal(unit_tpm_try(c.token, TOKEN_USER, "not-the-pin", NULL), E_PIN_WRONG);
        put_down(&c);
    }
    MUST(pick_up(w->tpm, &c, &why));
    assert_int_equal(token_row(c.token)->user_fails, 0);
    MUST(stick_count(c.stick, &why));
    assert_int_equal(token_row(c.token)->user_fails, 2);
    assert_int_equal(token_row(c.token)->so_fails, 0);
    MUST(log_in(&c, &why));
    put_down(&c);
    assert_int_equal(unit_tpm_failures(), 0);
}

/* --- two who write ------------------------------------------------------------------------ */

static void test_who_read_an_older_image_does_not_write_over_a_newer(void **state)
{
    struct unit_tpm *w = *state;
    struct err why = {0};
    struct carried a, b;
    char got[16];

    MUST(pick_up(w->tpm, &a, &why));
    MUST(pick_up(w->tpm, &b, &why));
    MUST(log_in(&a, &why));
    MUST(add(&a, 10, 'a', &why));
    MUST(log_in(&b, &why));
    assert_int_equal(add(&b, 10, 'b', &why), -1);
    assert_int_equal(why.code, E_BUSY);
    put_down(&a);
    put_down(&b);
    MUST(pick_up(w->tpm, &a, &why));
    MUST(log_in(&a, &why));
    objects(&a, got);
    assert_string_equal(got, "a");
    put_down(&a);
}

/* --- killed at every command ---------------------------------------------------------------- */

static int adds_one(struct unit_tpm *w)
{
    struct err why = {0};
    struct carried c;

    CHILD_MUST(pick_up(w->tpm, &c, &why) == 0, &why);
    CHILD_MUST(log_in(&c, &why) == 0, &why);
    /* Longer than a part: several commands write it. */
    CHILD_MUST(add(&c, 1500, 'n', &why) == 0, &why);
    put_down(&c);
    return 0;
}

/* Old or new, and the next one can write. Takes the new one out again. */
static bool judge(struct unit_tpm *w)
{
    struct store_object *list = NULL;
    struct err why = {0};
    struct carried c;
    size_t n = 0;
    char got[16];
    bool is_new;

    MUST(pick_up(w->tpm, &c, &why));
    MUST(log_in(&c, &why));
    objects(&c, got);
    if (strcmp(got, "o") != 0 && strcmp(got, "on") != 0)
        fail_msg("neither old nor new: %s", got);
    is_new = strcmp(got, "on") == 0;
    MUST(store_object_list(c.store, c.id, token_seal(c.token), &list, &n, &why));
    for (size_t i = 1; i < n; i++)
        MUST(store_object_delete(c.store, c.id, list[i].id, &why));
    store_objects_free(list, n);
    put_down(&c);
    return is_new;
}

static void test_a_writer_killed_at_any_command_leaves_old_or_new(void **state)
{
    static const char *const fault[] = {"SPY_KILL", "SPY_KILL_AFTER"};
    struct unit_tpm *w = *state;
    struct err why = {0};
    unsigned was_old = 0, was_new = 0;
    struct carried c;
    char nth[24];

    MUST(pick_up(w->tpm, &c, &why));
    MUST(log_in(&c, &why));
    MUST(add(&c, 1200, 'o', &why));
    put_down(&c);
    for (size_t when = 0; when < ARRAY_LEN(fault); when++) {
        int rc = UNIT_KILLED;

        for (int i = 1; rc == UNIT_KILLED && i < 100; i++) {
            unit_tpm_close(w);
            snprintf(nth, sizeof(nth), "%d", i);
            rc = unit_spy_child(w, fault[when], nth, NULL, adds_one);
            unit_tpm_open(w, getenv("FUSETSU_TCTI"));
            if (judge(w))
                was_new++;
            else
                was_old++;
        }
        assert_int_equal(rc, 0);
    }
    /* Both were seen: it was struck before and after the one command that counts. */
    assert_true(was_old > 20);
    assert_true(was_new >= 3);
}

static int fails_to_add(struct unit_tpm *w)
{
    struct err why = {0};
    struct carried c;
    char got[16];

    CHILD_MUST(pick_up(w->tpm, &c, &why) == 0, &why);
    CHILD_MUST(log_in(&c, &why) == 0, &why);
    CHILD_MUST(add(&c, 1500, 'n', &why) != 0, &why);
    unit_tpm_flush();
    put_down(&c);
    CHILD_MUST(pick_up(w->tpm, &c, &why) == 0, &why);
    CHILD_MUST(log_in(&c, &why) == 0, &why);
    objects(&c, got);
    CHILD_MUST(strcmp(got, "") == 0, &why);
    put_down(&c);
    return 0;
}

static void test_a_write_that_fails_at_any_part_leaves_the_old(void **state)
{
    struct unit_tpm *w = *state;
    char nth[24];

    for (int i = 1; i <= 4; i++) {
        unit_tpm_close(w);
        snprintf(nth, sizeof(nth), "%d", i);
        assert_int_equal(unit_spy_child(w, "SPY_FAIL", nth, "NV_Write", fails_to_add), 0);
        snprintf(nth, sizeof(nth), "%d:0x149", i);
        assert_int_equal(unit_spy_child(w, "SPY_FAIL", nth, "NV_Write", fails_to_add), 0);
    }
}

/* --- strangers -------------------------------------------------------------------------------- */

/* Another token's key signs, which follows from another secret. */
static void test_who_does_not_know_the_secret_cannot_write(void **state)
{
    static const uint8_t guess[32] = {1};
    struct unit_tpm *w = *state;
    struct stick_descriptor d;
    struct stick_key key;
    struct err why = {0};
    struct carried c;
    TPM2B_NAME name;
    TPMS_NV_PUBLIC pub;
    TSS2L_SYS_AUTH_COMMAND pw = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TPM2B_MAX_NV_BUFFER data = {.size = 1};
    TPM2B_AUTH fresh = {.size = 1};

    MUST(stick_nv_key(bytes_of(guess, sizeof(guess)), &key, &why));
    MUST(stick_nv_descriptor(w->tpm, 0, &d, &why));
    MUST(nv_public(w->tpm, STICK_NV_FIRST, &pub, &name, &why));
    /* Nor by an empty authValue, nor as the owner; nor is that authValue theirs to set. */
    assert_int_not_equal(Tss2_Sys_NV_Write(tpm_sys(w->tpm, &why), STICK_NV_FIRST, STICK_NV_FIRST,
                                           &pw, &data, 0, NULL),
                         0);
    assert_int_not_equal(Tss2_Sys_NV_Write(tpm_sys(w->tpm, &why), TPM2_RH_OWNER, STICK_NV_FIRST,
                                           &pw, &data, 0, NULL),
                         0);
    assert_int_not_equal(
        Tss2_Sys_NV_ChangeAuth(tpm_sys(w->tpm, &why), STICK_NV_FIRST, &pw, &fresh, NULL), 0);
    MUST(pick_up(w->tpm, &c, &why));
    MUST(log_in(&c, &why));
    put_down(&c);
}

/* A finder with owner authorisation defines the indices anew, and writes what he likes. */
static void forge(struct unit_tpm *w, uint32_t index, struct bytes content)
{
    TSS2L_SYS_AUTH_COMMAND pw = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TSS2_SYS_CONTEXT *sys = tpm_sys(w->tpm, NULL);
    TPM2B_NV_PUBLIC info = {
        .nvPublic = {.nvIndex = index,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA,
                     .dataSize = (UINT16)content.len}};
    TPM2B_MAX_NV_BUFFER data = {.size = (UINT16)content.len};
    TPM2B_AUTH none = {0};

    memcpy(data.buffer, content.p, content.len);
    assert_int_equal(Tss2_Sys_NV_UndefineSpace(sys, TPM2_RH_OWNER, index, &pw, NULL), 0);
    assert_int_equal(Tss2_Sys_NV_DefineSpace(sys, TPM2_RH_OWNER, &pw, &none, &info, NULL), 0);
    assert_int_equal(Tss2_Sys_NV_Write(sys, index, index, &pw, &data, 0, NULL), 0);
}

static void clear_forged(uint32_t index)
{
    char script[80];

    snprintf(script, sizeof(script), "tpm2_nvundefine -Q -C o 0x%08x", index);
    assert_int_equal(unit_tpm_script(script), 0);
}

static void test_what_a_finder_wrote_is_told_after_the_login(void **state)
{
    struct unit_tpm *w = *state;
    struct stick_descriptor d;
    struct err why = {0};
    struct buf image = {0}, mark = {0};
    struct carried c;
    uint8_t digest[32], *label;

    MUST(stick_nv_descriptor(w->tpm, 0, &d, &why));
    MUST(stick_nv_image(w->tpm, 0, &d, &image, &why));
    assert_true(image.len < 1024);
    /* Another label, with checksums that fit it; the tag stays as it was. */
    label =
        memmem(image.p, image.len, token_row(w->token)->label, strlen(token_row(w->token)->label));
    assert_non_null(label);
    *label ^= 1;
    assert_int_equal(hash_sha256(bytes_of(image.p, image.len - 64), &image.p[image.len - 64], NULL),
                     0);
    MUST(hash_sha256(buf_bytes(&image), d.digest, &why));
    buf_str(&mark, "FuSeStik");
    buf_u16(&mark, 1);
    buf_u16(&mark, d.part);
    buf_u16(&mark, d.parts);
    buf_u16(&mark, 0);
    buf_u64(&mark, d.generation);
    buf_u32(&mark, d.length);
    buf_add(&mark, d.digest, 32);
    MUST(hash_sha256(buf_bytes(&mark), digest, &why));
    buf_add(&mark, digest, 32);
    forge(w, STICK_NV_FIRST, buf_bytes(&mark));
    forge(w, STICK_NV_PARTS, buf_bytes(&image));

    MUST(pick_up(w->tpm, &c, &why));
    assert_int_equal(log_in(&c, &why), -1);
    assert_int_equal(why.code, E_CORRUPT);
    /* And what is not as it was made is not written to. */
    err_clear(&why);
    MUST(add(&c, 10, 'a', &why));
    assert_int_equal(add(&c, 10, 'b', &why), -1);
    assert_int_equal(why.code, E_TAMPERED);
    put_down(&c);
    clear_forged(STICK_NV_FIRST);
    clear_forged(STICK_NV_PARTS);
    buf_free(&image);
    buf_free(&mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STICK(test_a_token_is_carried_without_any_store),
        WITH_TOKEN(test_a_tpm_without_a_token_says_so),
        WITH_STICK(test_nothing_is_written_without_a_login),
        WITH_STICK(test_the_so_writes_too),
        WITH_STICK(test_a_full_stick_says_how_much_room_there_is),
        WITH_TOKEN(test_more_room_than_there_is_is_refused_and_leaves_nothing),
        WITH_STICK(test_wrong_pins_are_counted_on_the_stick),
        WITH_STICK(test_who_read_an_older_image_does_not_write_over_a_newer),
        WITH_STICK(test_a_writer_killed_at_any_command_leaves_old_or_new),
        WITH_STICK(test_a_write_that_fails_at_any_part_leaves_the_old),
        WITH_STICK(test_who_does_not_know_the_secret_cannot_write),
        WITH_STICK(test_what_a_finder_wrote_is_told_after_the_login),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
