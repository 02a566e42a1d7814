/* The file by which processes share a bare TPM: what stands in it is believed only as far as it
 * can do no harm, and no file of others is touched. */
#include "core/file.h"
#include "tests/support/unit_share.h"
#include "tpm/share_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct unit_share_three *begin(struct unit_tpm *w)
{
    static struct unit_share_three t;

    unit_share_begin(&t, w, NULL);
    return &t;
}

static void write_image(struct unit_tpm *w, const struct share_image *i)
{
    FILE *f = fopen(unit_share_path(w), "r+e");

    assert_non_null(f);
    assert_int_equal(fwrite(i, sizeof(*i), 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static void read_image(struct unit_tpm *w, struct share_image *i)
{
    FILE *f = fopen(unit_share_path(w), "re");

    assert_non_null(f);
    assert_int_equal(fread(i, sizeof(*i), 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

/* Forged records of dead processes: what they claim is flushed only where processes can
 * have loaded something, and never what is known to be another's. */
static void test_forged_records_do_no_harm(void **state)
{
    static const uint32_t claims[SHARE_HANDLES] = {0x81FFFFF1, 0x40000001, 0x01500001, 0x80FFFFF5,
                                                   0x90FFFFF2, 0x00FFFFF3, 0x02FFFFF9, 0xFFFFFFFF};
    static const uint8_t wire[][4] = {{0x81, 0xFF, 0xFF, 0xF1},
                                      {0x90, 0xFF, 0xFF, 0xF2},
                                      {0x00, 0xFF, 0xFF, 0xF3},
                                      {0xFF, 0xFF, 0xFF, 0xFF}};
    struct unit_tpm *w = *state, p;
    struct share_image i;
    struct store_key key = {0};

    unit_share_join(w, &p, unit_spy(w, true));
    unit_tpm_ecc(&p, "P-256", &key);
    assert_int_equal(unit_share_sign(&p, &key), 0);
    read_image(w, &i);
    i.record[40] = (struct share_record){.state = SHARE_USED};
    memcpy(i.record[40].handle, claims, sizeof(claims));
    i.record[41] = i.record[0];
    i.record[42] = (struct share_record){.state = 0xFFFF, .handle = {0x80000000}};
    write_image(w, &i);
    unit_spy_clear(w);
    assert_int_equal(unit_share_sign(&p, &key), 0);
    assert_int_equal(unit_spy_count(w, "FlushContext"), 2);
    assert_int_equal(unit_spy_count(w, NULL), 3);
    for (size_t k = 0; k < ARRAY_LEN(wire); k++)
        assert_false(unit_spy_saw(w, wire[k], 4));
    read_image(w, &i);
    for (size_t k = 1; k < SHARE_RECORDS; k++)
        assert_int_equal(i.record[k].state, 0);
    store_key_free(&key);
    unit_tpm_close(&p);
    unit_share_nothing_left();
}

static void works_without(struct unit_tpm *w)
{
    struct store_key key = {0};
    struct unit_tpm p;

    unit_share_join(w, &p, w->tcti);
    unit_tpm_ecc(&p, "P-256", &key);
    assert_int_equal(unit_share_sign(&p, &key), 0);
    store_key_free(&key);
    unit_tpm_close(&p);
    unit_share_nothing_left();
}

static void test_a_file_that_is_not_ours_is_left_alone(void **state)
{
    struct unit_tpm *w = *state;
    char victim[80];
    struct stat st;

    snprintf(victim, sizeof(victim), "%s/victim", w->dir);
    assert_int_equal(file_write(victim, bytes_of("precious", 8), 0600, NULL), 0);
    assert_int_equal(symlink(victim, unit_share_path(w)), 0);
    works_without(w);
    assert_int_equal(unlink(unit_share_path(w)), 0);
    assert_int_equal(link(victim, unit_share_path(w)), 0);
    works_without(w);
    assert_int_equal(unlink(unit_share_path(w)), 0);
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 8);
    assert_int_equal(chmod(victim, 0666), 0);
    assert_int_equal(rename(victim, unit_share_path(w)), 0);
    works_without(w);
    assert_int_equal(stat(unit_share_path(w), &st), 0);
    assert_int_equal(st.st_size, 8);
    assert_int_equal(unlink(unit_share_path(w)), 0);
    assert_int_equal(mkdir(unit_share_path(w), 0700), 0);
    works_without(w);
    assert_int_equal(rmdir(unit_share_path(w)), 0);
    assert_int_equal(mkfifo(unit_share_path(w), 0600), 0);
    works_without(w);
}

static void test_a_stranger_s_file_is_left_alone(void **state)
{
    struct unit_tpm *w = *state;
    struct stat st;

    if (geteuid() != 0) {
        print_message("SKIP: only root can give files away\n");
        skip();
    }
    assert_int_equal(file_write(unit_share_path(w), bytes_of("x", 1), 0600, NULL), 0);
    assert_int_equal(chown(unit_share_path(w), 12345, 12345), 0);
    works_without(w);
    assert_int_equal(stat(unit_share_path(w), &st), 0);
    assert_int_equal(st.st_size, 1);
}

static void test_a_file_that_vanishes_is_made_again(void **state)
{
    struct unit_share_three *t = begin(*state);
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(t->p); i++) {
        assert_int_equal(unlink(unit_share_path(t->w)), 0);
        for (size_t k = 0; k < ARRAY_LEN(t->p); k++)
            assert_int_equal(unit_share_sign(&t->p[(i + k) % 3], &t->key[(i + k) % 3]), 0);
        assert_int_equal(stat(unit_share_path(t->w), &st), 0);
        assert_int_equal(st.st_size, sizeof(struct share_image));
    }
    unit_share_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(test_forged_records_do_no_harm),
        SHARED(test_a_file_that_is_not_ours_is_left_alone),
        SHARED(test_a_stranger_s_file_is_left_alone),
        SHARED(test_a_file_that_vanishes_is_made_again),
    };

    return cmocka_run_group_tests_name("tpm/share_file", tests, NULL, NULL);
}
