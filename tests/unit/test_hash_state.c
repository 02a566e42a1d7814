/* Goal: a running digest can be written down at any byte, read back, and copied, and goes
 * on as if nothing had been; nothing else than what was written is read. */
#include "core/hash.h"

#include "core/buf.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define INPUT 300

static const char *const names[] = {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};
static uint8_t input[INPUT];

static int fill_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < INPUT; i++)
        input[i] = (uint8_t)(i * 7 + 1);
    return 0;
}

static struct hash *begun(const struct alg_hash *h, size_t len)
{
    struct hash *c = hash_begin(h, NULL);

    assert_non_null(c);
    assert_int_equal(hash_update(c, bytes_of(input, len), NULL), 0);
    return c;
}

/* Takes in what is left of the input after `from`, and must give the digest of it all. */
static void ends_well(struct hash *c, size_t from)
{
    const struct alg_hash *h = hash_algorithm(c);
    uint8_t got[ALG_MAX_DIGEST], want[ALG_MAX_DIGEST];

    assert_int_equal(hash_update(c, bytes_of(&input[from], INPUT - from), NULL), 0);
    assert_int_equal(hash_end(c, got, NULL), 0);
    assert_int_equal(hash_digest(h, bytes_of(input, INPUT), want, NULL), 0);
    assert_memory_equal(got, want, h->size);
}

static void test_a_digest_goes_on_from_any_byte(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        for (size_t at = 0; at <= INPUT; at++) {
            struct hash *c = begun(alg_hash_named(names[n]), at), *again = NULL;
            struct buf saved = {0}, twice = {0};

            assert_int_equal(hash_save(c, &saved, NULL), 0);
            assert_true(saved.len <= HASH_STATE_MAX);
            assert_int_equal(hash_restore(buf_bytes(&saved), &again, NULL), 0);
            assert_ptr_equal(hash_algorithm(again), hash_algorithm(c));
            assert_int_equal(hash_save(again, &twice, NULL), 0);
            assert_true(bytes_equal(buf_bytes(&saved), buf_bytes(&twice)));
            ends_well(again, at);
            ends_well(c, at);
            buf_free(&saved);
            buf_free(&twice);
        }
    }
}

static void test_a_copy_goes_its_own_way(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        struct hash *c = begun(alg_hash_named(names[n]), 130), *copy = hash_copy(c, NULL);

        assert_non_null(copy);
        assert_int_equal(hash_update(c, bytes_of("other", 5), NULL), 0);
        hash_abort(c);
        ends_well(copy, 130);
    }
}

/* The form is written down: SHA-256 after "abc", as FIPS 180-4 begins it. */
static void test_the_bytes_are_the_documented_ones(void **state)
{
    static const char known[] =
        "01206a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"
        "00000000000000000000000000000018616263";
    struct hash *c = hash_begin(alg_hash_named("SHA256"), NULL);
    struct buf saved = {0}, text = {0};

    (void)state;
    assert_int_equal(hash_update(c, bytes_of("abc", 3), NULL), 0);
    assert_int_equal(hash_save(c, &saved, NULL), 0);
    buf_hex(&text, saved.p, saved.len);
    assert_string_equal(buf_cstr(&text), known);
    hash_abort(c);
    buf_free(&saved);
    buf_free(&text);
}

static enum err_code refused(struct bytes in)
{
    struct hash *c = NULL;
    struct err e = {0};

    assert_int_equal(hash_restore(in, &c, &e), -1);
    assert_null(c);
    return e.code;
}

static void test_what_was_not_saved_is_not_read(void **state)
{
    static const size_t length_at[] = {2 + 20, 2 + 32, 2 + 32, 2 + 64, 2 + 64};

    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        struct hash *c = begun(alg_hash_named(names[n]), 77);
        struct buf s = {0};

        assert_int_equal(hash_save(c, &s, NULL), 0);
        hash_abort(c);
        for (size_t cut = 0; cut < s.len; cut++)
            assert_int_equal(refused(bytes_of(s.p, cut)), E_FORMAT);
        s.p[length_at[n] + 15] ^= 1; /* a count that is no whole number of bytes */
        assert_int_equal(refused(buf_bytes(&s)), E_FORMAT);
        s.p[length_at[n] + 15] ^= 9; /* one byte more than there is */
        assert_int_equal(refused(buf_bytes(&s)), E_FORMAT);
        s.p[length_at[n] + 15] ^= 8;
        if (n < 3) {
            s.p[length_at[n] + 7] = 1; /* more than 2^64 bits */
            assert_int_equal(refused(buf_bytes(&s)), E_FORMAT);
            s.p[length_at[n] + 7] = 0;
        }
        s.p[0] = 0;
        assert_int_equal(refused(buf_bytes(&s)), E_FORMAT);
        s.p[0] = 2;
        assert_int_equal(refused(buf_bytes(&s)), E_VERSION);
        s.p[0] = 1;
        s.p[1] = 16;
        assert_int_equal(refused(buf_bytes(&s)), E_FORMAT);
        s.p[1] = n == 2 ? 64 : 32;
        if (n != 1)
            assert_int_equal(refused(buf_bytes(&s)), E_FORMAT);
        buf_free(&s);
    }
}

static void test_a_count_beyond_32_bits_comes_back(void **state)
{
    /* SHA-512 after 2^64 bits and one byte, in the form above. */
    struct buf made = {0}, saved = {0};
    struct hash *c = NULL;

    (void)state;
    buf_u8(&made, 1);
    buf_u8(&made, 64);
    for (unsigned i = 0; i < 8; i++)
        buf_u64(&made, i);
    buf_u64(&made, 1);
    buf_u64(&made, 8);
    buf_u8(&made, 'x');
    assert_int_equal(hash_restore(buf_bytes(&made), &c, NULL), 0);
    assert_int_equal(hash_save(c, &saved, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&made), buf_bytes(&saved)));
    hash_abort(c);
    buf_free(&made);
    buf_free(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_digest_goes_on_from_any_byte),
        cmocka_unit_test(test_a_copy_goes_its_own_way),
        cmocka_unit_test(test_the_bytes_are_the_documented_ones),
        cmocka_unit_test(test_what_was_not_saved_is_not_read),
        cmocka_unit_test(test_a_count_beyond_32_bits_comes_back),
    };

    return cmocka_run_group_tests_name("hash_state", tests, fill_input, NULL);
}
