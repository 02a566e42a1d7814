/* Goal: the same request may come again, whatever became of its first run, and there is still one
 * certificate; any other request with that nonce is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/again.h"
#include "ca/registry_device.h"
#include "ca/registry_status.h"
#include "core/credential.h"
#include "core/hash.h"
#include "tests/support/unit_activate.h"
#include "tests/support/unit_enrol.h"

#include <pthread.h>
#include <string.h>

#define NOW UNIT_ENROL_NOW

/* What a TPM opens of it: the leaf. */
static X509 *opened(struct unit_enrol *w)
{
    struct credential_sealed sealed = {0};
    struct credential_issued got = {0};
    uint8_t secret[32];
    struct err e = {0};
    X509 *leaf;

    assert_int_equal(credential_decode(buf_bytes(&w->out.sealed), &sealed, &e), 0);
    unit_activate(w->f.ek, &sealed, secret);
    if (credential_open(&sealed, bytes_of(secret, 32), &got, &e) != 0)
        fail_msg("%s", e.msg);
    leaf = got.cert;
    got.cert = NULL;
    credential_issued_free(&got);
    credential_sealed_free(&sealed);
    return leaf;
}

/* The answer may have got lost on its way, or whoever wrote it was killed. */
static void test_the_same_request_is_given_the_same_certificate(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct registry_invitation i;
    struct buf pem = {0}, first = {0};
    struct err e = {0};
    unsigned used;
    X509 *leaf, *again;

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(evidence_request_to_pem(&w->f.request, &pem, &e), 0);
    assert_int_equal(enrol_before(w->us, buf_bytes(&pem), &i, &e), 0);
    assert_int_equal(unit_enrol_at(w, NOW), 0);
    assert_false(w->out.again);
    leaf = opened(w);
    buf_add_bytes(&first, buf_bytes(&w->out.sealed));
    used = w->keys.opened;
    /* Even when the invitation has ended; the certificate lives longer. */
    assert_int_equal(unit_enrol_at(w, NOW + 80 * 86400), 0);
    assert_true(w->out.again);
    assert_false(w->out.judged);
    assert_int_equal(X509_cmp(w->out.cert, leaf), 0);
    assert_false(bytes_equal(buf_bytes(&first), buf_bytes(&w->out.sealed)));
    again = opened(w);
    assert_int_equal(X509_cmp(again, leaf), 0);
    assert_int_equal(unit_enrol_issued(w), 2);
    assert_int_equal(w->keys.opened, used);
    assert_int_equal(enrol_before(w->us, buf_bytes(&pem), &i, &e), 1);
    assert_true(i.issued != 0);
    X509_free(again);
    X509_free(leaf);
    buf_free(&first);
    buf_free(&pem);
}

static void test_the_files_that_were_handed_out_are_known(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct registry_invitation i;
    struct buf request = {0}, first = {0}, second = {0};
    struct err e = {0};

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(evidence_request_to_pem(&w->f.request, &request, &e), 0);
    assert_int_equal(enrol_pem(w->us, buf_bytes(&request), NOW, &w->out, &first, &e), 0);
    assert_int_equal(enrol_before(w->us, buf_bytes(&request), &i, &e), 1);
    assert_true(again_is(w->us, &i, buf_bytes(&first)));
    assert_false(again_is(w->us, &i, bytes_of(first.p, first.len - 30)));
    assert_false(again_is(w->us, &i, bytes_of("", 0)));
    enrol_free(&w->out);
    assert_int_equal(enrol_pem(w->us, buf_bytes(&request), NOW, &w->out, &second, &e), 0);
    assert_int_equal(enrol_before(w->us, buf_bytes(&request), &i, &e), 1);
    assert_true(again_is(w->us, &i, buf_bytes(&second)));
    /* The first is as good: it may be in another directory. */
    assert_true(again_is(w->us, &i, buf_bytes(&first)));
    i.nonce[0] ^= 1;
    assert_false(again_is(w->us, &i, buf_bytes(&first)));
    buf_free(&request);
    buf_free(&first);
    buf_free(&second);
}

static bool last_leaf(void *ctx, const struct registry_cert *c)
{
    if (c->issuer == REGISTRY_ISSUING)
        *(int64_t *)ctx = c->id;
    return true;
}

static void test_a_certificate_that_was_taken_back_is_not_given_again(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct registry *r = authority_registry(w->us);
    struct err e = {0};
    int64_t id = 0;

#define NOT_AGAIN(now_, why_)                         \
    do {                                              \
        assert_int_equal(unit_enrol_at(w, now_), -1); \
        assert_int_equal(w->e.code, E_REJECTED);      \
        assert_non_null(strstr(w->e.msg, why_));      \
        assert_true(w->out.refused);                  \
        assert_null(w->out.cert);                     \
        assert_int_equal(w->out.sealed.len, 0);       \
    } while (0)
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(unit_enrol_at(w, NOW), 0);
    NOT_AGAIN(NOW + 90 * 86400, "has ended");
    assert_int_equal(registry_certs(r, &(struct registry_wanted){.subject = UNIT_FORGE_SUBJECT},
                                    last_leaf, &id, &e),
                     0);
    assert_int_equal(registry_suspend(r, id, NOW, &e), 0);
    NOT_AGAIN(NOW + 1, "is suspended");
    assert_int_equal(registry_resume(r, id, NOW, &e), 0);
    assert_int_equal(unit_enrol_at(w, NOW + 1), 0);
    assert_int_equal(registry_revoke(r, id, REGISTRY_KEY_COMPROMISE, NOW, 0, &e), 0);
    NOT_AGAIN(NOW + 1, "is revoked");
    assert_int_equal(unit_enrol_issued(w), 2);
#undef NOT_AGAIN
}

static void test_nor_to_a_device_that_was_quarantined(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct registry_device d = {.state = REGISTRY_DEVICE_QUARANTINED,
                                .oper = "O",
                                .officer = "F",
                                .note = "stolen",
                                .created_at = NOW};
    struct registry *r = authority_registry(w->us);
    struct pubkey ek;
    uint8_t id[32];
    struct err e = {0};

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(unit_enrol_at(w, NOW), 0);
    unit_forge_pubkey(w->f.ek, &ek);
    assert_int_equal(pubkey_id(&ek, id, &e), 0);
    assert_int_equal(registry_device_add(r, &d, &e), 0);
    assert_int_equal(registry_device_add_ek(r, d.id, id, &e), 0);
    assert_int_equal(unit_enrol_at(w, NOW + 1), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    assert_non_null(strstr(w->e.msg, "quarantined"));
    assert_int_equal(w->out.sealed.len, 0);
}

static void test_another_request_with_that_nonce_is_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    unsigned used;

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    assert_int_equal(unit_enrol_at(w, NOW), 0);
    used = w->keys.opened;
    unit_enrol_build(w); /* the same keys; the signatures are others */
    assert_int_equal(unit_enrol_at(w, NOW + 1), -1);
    assert_int_equal(w->e.code, E_REJECTED);
    assert_non_null(strstr(w->e.msg, "used already"));
    assert_int_equal(w->out.verdict.result[15].outcome, EVIDENCE_FAIL);
    assert_true(w->out.refused);
    assert_null(w->out.cert);
    assert_int_equal(unit_enrol_issued(w), 2);
    assert_int_equal(w->keys.opened, used);
}

/* As if the process had been killed between taking the nonce and recording. */
static void take(struct unit_enrol *w)
{
    struct registry_invitation got;
    struct buf der = {0};
    uint8_t hash[32];
    struct err e = {0};

    assert_int_equal(evidence_request_encode(&w->f.request, &der, &e), 0);
    assert_int_equal(hash_sha256(buf_bytes(&der), hash, &e), 0);
    assert_int_equal(registry_consume(authority_registry(w->us),
                                      bytes_of(w->f.nonce, sizeof(w->f.nonce)), hash, NOW, &got,
                                      &e),
                     0);
    buf_free(&der);
}

static void test_a_request_that_was_interrupted_goes_on(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    take(w);
    if (unit_enrol_at(w, NOW + 1) != 0)
        fail_msg("%s", w->e.msg);
    assert_true(w->out.judged);
    assert_false(w->out.again);
    assert_int_equal(unit_enrol_issued(w), 2);
}

static void test_but_not_when_the_invitation_has_ended(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    take(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW + 86400), 16);
    assert_non_null(strstr(w->e.msg, "has expired"));
}

static void test_nor_another_in_its_place(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    take(w);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW + 1), 16);
    assert_non_null(strstr(w->e.msg, "used already"));
}

static void test_what_was_refused_stays_refused(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();

    p.level = 4;
    unit_enrol_invite(w, &p);
    unit_enrol_build(w);
    unit_enrol_refused(w, unit_enrol_at(w, NOW), 0);
    assert_true(w->out.refused);
    assert_false(w->out.refused_before);
    unit_enrol_refused(w, unit_enrol_at(w, NOW + 1), 16);
    assert_non_null(strstr(w->e.msg, "used already"));
    /* Why, says the registry: the first run may have been killed before it could. */
    assert_non_null(strstr(w->e.msg, "invitation is for level 4"));
    assert_true(w->out.refused);
    assert_true(w->out.refused_before);
}

/* --- two at once --------------------------------------------------------- */

struct contender {
    const char *dir;
    struct unit_ca_keys *keys;
    struct bytes der;
    pthread_barrier_t *start;
    int rc;
    enum err_code code;
    bool bytes_out;
};

static void *contend(void *ctx)
{
    struct contender *c = ctx;
    struct authority *a = NULL;
    struct enrol_outcome out = {0};
    struct err e = {0};

    c->rc = authority_open(&a, c->dir, false, unit_ca_signer_for, c->keys, &e);
    pthread_barrier_wait(c->start);
    if (c->rc == 0)
        c->rc = enrol_run(a, c->der, NOW, &out, &e);
    c->code = e.code;
    c->bytes_out = out.sealed.len != 0;
    enrol_free(&out);
    authority_close(a);
    return NULL;
}

/* Both sent in at the same moment; how many were given a certificate. */
static int contend_with(struct unit_enrol *w, struct bytes first, struct bytes second)
{
    struct contender c[2];
    struct unit_ca_keys keys[2] = {w->keys, w->keys};
    pthread_barrier_t start;
    pthread_t thread[2];

    assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
    for (size_t i = 0; i < 2; i++) {
        c[i] = (struct contender){
            .dir = w->dir, .keys = &keys[i], .der = i == 0 ? first : second, .start = &start};
        assert_int_equal(pthread_create(&thread[i], NULL, contend, &c[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pthread_barrier_destroy(&start);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(c[i].rc == 0, c[i].bytes_out);
        if (c[i].rc != 0)
            assert_int_equal(c[i].code, E_REJECTED);
    }
    return (c[0].rc == 0) + (c[1].rc == 0);
}

static void new_request(struct unit_enrol *w, struct buf *der)
{
    struct err e = {0};

    unit_enrol_build(w);
    buf_free(der);
    assert_int_equal(evidence_request_encode(&w->f.request, der, &e), 0);
}

static void test_of_two_requests_with_one_nonce_exactly_one_wins(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct buf first = {0}, second = {0};

    for (unsigned round = 1; round <= 5; round++) {
        unit_forge_free(&w->f);
        unit_forge_init(&w->f, UNIT_P256, UNIT_P256, UNIT_P256);
        unit_enrol_invite(w, &p);
        new_request(w, &first);
        new_request(w, &second);
        assert_int_equal(contend_with(w, buf_bytes(&first), buf_bytes(&second)), 1);
        assert_int_equal(unit_enrol_issued(w), 2 * round);
    }
    buf_free(&first);
    buf_free(&second);
}

static void test_of_one_request_sent_twice_at_once_one_certificate_comes(void **state)
{
    struct unit_enrol *w = *state;
    struct authority_invite p = unit_enrol_terms();
    struct buf der = {0};

    for (unsigned round = 1; round <= 5; round++) {
        unit_forge_free(&w->f);
        unit_forge_init(&w->f, UNIT_P256, UNIT_P256, UNIT_P256);
        unit_enrol_invite(w, &p);
        new_request(w, &der);
        assert_int_equal(contend_with(w, buf_bytes(&der), buf_bytes(&der)), 2);
        assert_int_equal(unit_enrol_issued(w), 2 * round);
    }
    buf_free(&der);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_enrol_up, unit_enrol_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_the_same_request_is_given_the_same_certificate),
        EACH(test_the_files_that_were_handed_out_are_known),
        EACH(test_a_certificate_that_was_taken_back_is_not_given_again),
        EACH(test_nor_to_a_device_that_was_quarantined),
        EACH(test_another_request_with_that_nonce_is_refused),
        EACH(test_a_request_that_was_interrupted_goes_on),
        EACH(test_but_not_when_the_invitation_has_ended),
        EACH(test_nor_another_in_its_place),
        EACH(test_what_was_refused_stays_refused),
        EACH(test_of_two_requests_with_one_nonce_exactly_one_wins),
        EACH(test_of_one_request_sent_twice_at_once_one_certificate_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
