/* Bounded reading and building of byte strings. */
#include "core/buf.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_integers_are_big_endian(void **state)
{
    static const uint8_t wire[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct reader r = reader_of(wire, sizeof(wire));

    (void)state;
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_u32(&r), 0x04050607);
    assert_false(reader_done(&r));
    assert_true(reader_u64(&r) == 0x08090a0b0c0d0e0fULL);
    assert_true(reader_done(&r));
}

static void test_reading_past_the_end_is_remembered(void **state)
{
    static const uint8_t wire[] = {0xff, 0xff, 0xff};
    struct reader r = reader_of(wire, sizeof(wire));

    (void)state;
    assert_int_equal(reader_u32(&r), 0);
    assert_true(r.bad);
    /* The three bytes are there, but after a failure nothing is read any more. */
    assert_int_equal(reader_u8(&r), 0);
    assert_null(reader_take(&r, 1).p);
    assert_false(reader_done(&r));
}

static void test_length_beyond_the_end_is_refused(void **state)
{
    static const uint8_t good[] = {0, 2, 'a', 'b'}, bad[] = {0, 3, 'a', 'b'};
    struct reader r = reader_of(good, sizeof(good));
    struct bytes s = reader_2b(&r);

    (void)state;
    assert_int_equal(s.len, 2);
    assert_memory_equal(s.p, "ab", 2);
    assert_true(reader_done(&r));
    r = reader_of(bad, sizeof(bad));
    s = reader_2b(&r);
    assert_int_equal(s.len, 0);
    assert_null(s.p);
    assert_false(reader_done(&r));
    r = reader_of(NULL, 0);
    assert_true(reader_done(&r));
    assert_int_equal(reader_take(&r, SIZE_MAX).len, 0);
    assert_true(r.bad);
}

static void test_what_is_built_reads_back(void **state)
{
    static const uint8_t expected[] = {1, 0, 2, 0, 0, 0,   3,   0,   0,   0,   0, 0,
                                       0, 0, 4, 0, 2, 'x', 'y', 'h', 'i', '7', 0};
    struct buf b = {0};

    (void)state;
    buf_u8(&b, 1);
    buf_u16(&b, 2);
    buf_u32(&b, 3);
    buf_u64(&b, 4);
    buf_2b(&b, "xy", 2);
    buf_str(&b, "hi");
    buf_printf(&b, "%d", 7);
    buf_add(&b, NULL, 0);
    assert_int_equal(buf_ok(&b, NULL), 0);
    assert_int_equal(b.len, sizeof(expected) - 1);
    assert_string_equal(buf_cstr(&b) + 19, "hi7");
    assert_memory_equal(b.p, expected, sizeof(expected));
    buf_free(&b);
    assert_null(b.p);
}

static void test_long_content_survives_growth(void **state)
{
    struct buf b = {.secret = true};

    (void)state;
    for (uint32_t i = 0; i < 10000; i++)
        buf_u32(&b, i);
    assert_int_equal(b.len, 40000);
    for (uint32_t i = 0; i < 10000; i++) {
        struct reader r = reader_of(&b.p[4 * i], 4);

        assert_int_equal(reader_u32(&r), i);
    }
    buf_free(&b);
    assert_true(b.secret);
}

static void test_limit_is_an_error_that_stays(void **state)
{
    struct buf b = {0}, longest = {0};
    struct err e = {0};
    uint8_t byte = 0;

    (void)state;
    buf_add(&b, &byte, BUF_MAX + 1);
    assert_true(b.bad);
    buf_u8(&b, 1);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_ok(&b, &e), -1);
    assert_int_equal(e.code, E_MEMORY);
    assert_null(buf_cstr(&b));
    buf_free(&b);
    buf_2b(&longest, &byte, UINT16_MAX + 1);
    assert_true(longest.bad);
    buf_free(&longest);
}

static void test_hex_goes_both_ways(void **state)
{
    static const uint8_t raw[] = {0x00, 0x7f, 0xAB, 0xff};
    char text[9];
    uint8_t back[4];
    struct buf b = {0};

    (void)state;
    hex_encode(text, raw, sizeof(raw));
    assert_string_equal(text, "007fabff");
    assert_int_equal(hex_decode(back, 4, "007FabFF"), 0);
    assert_memory_equal(back, raw, 4);
    buf_str(&b, "0x");
    buf_hex(&b, raw, sizeof(raw));
    assert_string_equal(buf_cstr(&b), "0x007fabff");
    buf_free(&b);
}

static void test_hex_of_wrong_length_or_letters_is_refused(void **state)
{
    static const char *const bad[] = {"", "0", "000", "00000", "0g00", " 000", "00-1", "0x00"};
    uint8_t out[2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(hex_decode(out, 2, bad[i]), -1);
}

static void test_comparison_sees_length_and_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of("abc", 3), bytes_of("abc", 3)));
    assert_false(bytes_equal(bytes_of("abc", 3), bytes_of("abd", 3)));
    assert_false(bytes_equal(bytes_of("abc", 3), bytes_of("abc", 2)));
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of("x", 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_big_endian),
        cmocka_unit_test(test_reading_past_the_end_is_remembered),
        cmocka_unit_test(test_length_beyond_the_end_is_refused),
        cmocka_unit_test(test_what_is_built_reads_back),
        cmocka_unit_test(test_long_content_survives_growth),
        cmocka_unit_test(test_limit_is_an_error_that_stays),
        cmocka_unit_test(test_hex_goes_both_ways),
        cmocka_unit_test(test_hex_of_wrong_length_or_letters_is_refused),
        cmocka_unit_test(test_comparison_sees_length_and_content),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
