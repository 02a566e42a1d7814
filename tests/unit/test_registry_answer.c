/* Goal: an invitation remembers which request took it and what came of that, and gives one answer,
 * whoever is killed in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/registry.h"
#include "tests/support/unit_ca.h"

#include <stdio.h>
#include <string.h>

#define NOW 1800000000

/* SHA-256 of two requests. */
static const uint8_t one[32] = {1}, other[32] = {2};

struct place {
    char *dir;
    struct registry *r;
};

static int set_up(void **state)
{
    struct place *p = test_calloc(1, sizeof(*p));
    char path[200];
    struct err e = {0};

    p->dir = unit_ca_dir();
    snprintf(path, sizeof(path), "%s/registry.db", p->dir);
    if (registry_open(&p->r, path, REGISTRY_CREATE, &e) != 0)
        fail_msg("%s", e.msg);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    registry_close(p->r);
    unit_ca_dir_remove(p->dir);
    test_free(p);
    return 0;
}

static struct registry_invitation an_invitation(uint8_t first)
{
    struct registry_invitation i = {.nonce = {first, 2, 3},
                                    .nonce_len = 32,
                                    .subject = "gw.us.example",
                                    .community = 1,
                                    .level = 3,
                                    .created_at = NOW,
                                    .expires_at = NOW + 100};

    return i;
}

static struct bytes nonce_of(const struct registry_invitation *i)
{
    return bytes_of(i->nonce, i->nonce_len);
}

static struct registry_issued an_issued(const char *serial)
{
    struct registry_issued i = {.issuer = REGISTRY_ISSUING,
                                .community = 1,
                                .subject = "gw.us.example",
                                .spki_hash = {5},
                                .has_ek = true,
                                .ek_hash = {6},
                                .der = bytes_of("cert", 4),
                                .issued_at = NOW,
                                .expires_at = NOW + 100};

    snprintf(i.serial, sizeof(i.serial), "%s", serial);
    return i;
}

/* Its first run may have been killed. */
static void test_the_same_request_goes_on_until_the_invitation_ends(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_invitation_of(p->r, one, &got, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW + 1, &got, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW + 99, &got, &e), 0);
    assert_int_equal(got.consumed_at, NOW + 1);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW + 100, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "expired"));
    err_clear(&e);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), other, NOW + 100, &got, &e), -1);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_invitation_of(p->r, one, &got, &e), 1);
    assert_memory_equal(got.nonce, i.nonce, 32);
    assert_int_equal(registry_invitation_of(p->r, other, &got, &e), 0);
}

static void test_an_invitation_has_one_answer(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct registry_issued leaf = an_issued("0102"), second = an_issued("0103");
    struct buf der = {0}, evidence = {0};
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &leaf, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &second, &e), 0);
    /* Not before it is taken, not for another request, not by a certificate that is not there. */
    assert_int_equal(registry_answer(p->r, nonce_of(&i), one, "0102", other, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), 0);
    assert_int_equal(registry_answer(p->r, nonce_of(&i), other, "0102", other, &e), 0);
    assert_int_equal(registry_answer(p->r, nonce_of(&i), one, "0104", other, &e), 0);
    assert_int_equal(registry_resealed(p->r, nonce_of(&i), other, &e), 0);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), 0);
    assert_int_equal(got.issued, 0);
    assert_false(got.has_sealed);
    assert_int_equal(registry_answer(p->r, nonce_of(&i), one, "0102", other, &e), 1);
    assert_int_equal(registry_answer(p->r, nonce_of(&i), one, "0103", other, &e), 0);
    /* Nor is it refused any more. */
    assert_int_equal(registry_refuse(p->r, nonce_of(&i), one, NOW, &e), 0);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, 0);
    assert_true(registry_is_by(&got, one));
    assert_false(registry_goes_on(&got, one));
    assert_true(got.has_sealed);
    assert_memory_equal(got.sealed_hash, other, 32);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    err_clear(&e);
    assert_int_equal(registry_issued_of(p->r, got.issued, &der, &evidence, &e), 0);
    assert_true(bytes_equal(buf_bytes(&der), leaf.der));
    assert_true(bytes_equal(buf_bytes(&evidence), leaf.evidence));
    assert_int_equal(registry_issued_of(p->r, 1000, &der, &evidence, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    buf_free(&der);
    buf_free(&evidence);
}

static void test_what_was_refused_is_not_answered(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct registry_issued leaf = an_issued("0102");
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &leaf, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), 0);
    assert_int_equal(registry_refuse(p->r, nonce_of(&i), other, NOW, &e), 0);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, 0);
    assert_int_equal(registry_refuse(p->r, nonce_of(&i), one, NOW + 5, &e), 0);
    assert_int_equal(registry_answer(p->r, nonce_of(&i), one, "0102", other, &e), 0);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, NOW + 5);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), -1);
    assert_non_null(strstr(e.msg, "used already"));
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_the_same_request_goes_on_until_the_invitation_ends),
        EACH(test_an_invitation_has_one_answer),
        EACH(test_what_was_refused_is_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
