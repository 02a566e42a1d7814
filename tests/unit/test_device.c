/* Goal: only a TPM that an officer registered for a name gets a certificate for it; a TPM that is
 * quarantined, or whose clock went back, gets none; and what an authority asks of firmware and
 * platforms is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/device.h"
#include "ca/enrol.h"
#include "ca/require.h"
#include "core/file.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"
#include "tests/support/unit_forge.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOW ((time_t)UNIT_FORGE_NOW)

struct world {
    char *dir;
    struct unit_ca_keys keys;
    struct authority *us;
    struct unit_forge f;
    struct enrol_outcome out;
    struct err e;
};

/* The AK's certificate of an earlier enrolment, which a TPM of ours brings along. */
static X509 *ak_cert;

static void start_forge(struct world *w)
{
    unit_forge_free(&w->f);
    unit_forge_init(&w->f, UNIT_RSA, UNIT_P256, UNIT_P256);
}

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct unit_forge first = {0};
    struct buf pin = {0};
    struct err e = {0};

    unit_forge_init(&first, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&first);
    assert_int_equal(issue_to_pem(first.ek_root, &pin, &e), 0);
    unit_forge_free(&first);
    w->dir = unit_ca_dir();
    unit_ca_registration = true;
    w->us = unit_ca_make(w->dir, "US", "comms.example", buf_bytes(&pin), NOW - 3600, &w->keys);
    unit_ca_registration = false;
    buf_free(&pin);
    unit_forge_init(&w->f, UNIT_RSA, UNIT_P256, UNIT_P256);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    X509_free(ak_cert);
    ak_cert = NULL;
    enrol_free(&w->out);
    unit_forge_free(&w->f);
    authority_close(w->us);
    unit_ca_keys_free(&w->keys);
    unit_ca_dir_remove(w->dir);
    test_free(w);
    return 0;
}

static struct registry *registry(struct world *w)
{
    return authority_registry(w->us);
}

static int invite_as(struct world *w, const char *dns, struct err *e)
{
    struct authority_invite p = {
        .community = OID_COMMUNICATIONS, .level = 3, .name = dns, .days = 1, .now = NOW - 60};
    struct evidence_invitation v;
    struct buf pem = {0};
    int rc = authority_invite(w->us, &p, &pem, e);

    if (rc == 0) {
        assert_int_equal(evidence_invitation_from_pem(buf_bytes(&pem), &v, e), 0);
        memcpy(w->f.nonce, v.nonce, sizeof(w->f.nonce));
    }
    buf_free(&pem);
    return rc;
}

static void invite(struct world *w)
{
    struct err e = {0};

    if (invite_as(w, UNIT_FORGE_SUBJECT, &e) != 0)
        fail_msg("%s", e.msg);
}

/* Builds the forger's request for the last invitation and sends it in. */
static int ask(struct world *w)
{
    struct buf der = {0};
    int rc;

    unit_forge_build(&w->f);
    enrol_free(&w->out);
    err_clear(&w->e);
    assert_int_equal(evidence_request_encode(&w->f.request, &der, &w->e), 0);
    rc = enrol_run(w->us, buf_bytes(&der), NOW, &w->out, &w->e);
    buf_free(&der);
    return rc;
}

static bool take_ak(void *ctx, const struct registry_issued *i)
{
    struct err e = {0};

    (void)ctx;
    if (i->issuer == REGISTRY_ATTESTATION && ak_cert == NULL)
        assert_int_equal(issue_from_der(i->der, &ak_cert, &e), 0);
    return true;
}

static void add_ak(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    b->certs = sk_X509_new_null();
    X509_up_ref(ak_cert);
    sk_X509_push(b->certs, ak_cert);
}

/* From now on the forger proves itself by what the authority gave it. */
static void prove(struct world *w)
{
    struct err e = {0};

    assert_int_equal(registry_issued(registry(w), take_ak, NULL, &e), 0);
    assert_non_null(ak_cert);
    w->f.on_bundle = add_ak;
}

/* The forger's TPM by its EK certificate: of the same key, whatever the certificate. */
static int64_t enter(struct world *w, const char *dns)
{
    struct registry_device d = {.state = REGISTRY_DEVICE_ACTIVE,
                                .oper = "Example Telecom",
                                .officer = "R. Officer",
                                .created_at = NOW - 600};
    STACK_OF(X509) *eks = sk_X509_new_null();
    struct unit_forge once = {0};
    struct err e = {0};

    unit_forge_init(&once, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&once);
    sk_X509_push(eks, once.request.ek_cert);
    if (device_register(registry(w), eks, &d, dns, OID_COMMUNICATIONS, &e) != 0)
        fail_msg("%s", e.msg);
    sk_X509_free(eks);
    unit_forge_free(&once);
    return d.id;
}

static void set_state(struct world *w, int64_t id, enum registry_device_state s, const char *note)
{
    struct registry_device d;
    struct err e = {0};

    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    d.state = s;
    d.changed_at = NOW;
    snprintf(d.note, sizeof(d.note), "%s", note);
    snprintf(d.oper, sizeof(d.oper), "Example Telecom");
    snprintf(d.officer, sizeof(d.officer), "R. Officer");
    assert_int_equal(registry_device_set(registry(w), &d, &e), 0);
}

static void refused_by(struct world *w, unsigned number, const char *word)
{
    assert_int_equal(w->e.code, E_REJECTED);
    assert_true(w->out.judged);
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        const struct evidence_result *r = &w->out.verdict.result[i];

        if ((r->outcome == EVIDENCE_FAIL) != (r->number == number))
            fail_msg("check %u: %s: %s (expected %u to fail)", r->number,
                     evidence_outcome_name(r->outcome), r->reason, number);
    }
    if (strstr(w->e.msg, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", w->e.msg, word);
    print_message("  %s\n", w->e.msg);
    assert_null(w->out.cert);
}

static void no_device_no_nonce(void **state)
{
    struct world *w = *state;
    struct err e = {0};

    assert_int_equal(invite_as(w, UNIT_FORGE_SUBJECT, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_non_null(strstr(e.msg, "device register"));
    enter(w, "gw2.comms.example");
    err_clear(&e);
    assert_int_equal(invite_as(w, UNIT_FORGE_SUBJECT, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

static void registered_is_issued(void **state)
{
    struct world *w = *state;
    int64_t id = enter(w, UNIT_FORGE_SUBJECT);
    struct registry_device d;
    struct err e = {0};

    invite(w);
    if (ask(w) != 0)
        fail_msg("%s", w->e.msg);
    assert_non_null(w->out.cert);
    assert_int_equal(w->out.verdict.result[21].outcome, EVIDENCE_PASS);
    /* Whoever shows an EK certificate has not proved yet that he has the EK. */
    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    assert_false(d.has_reading);
    start_forge(w);
    prove(w);
    invite(w);
    if (ask(w) != 0)
        fail_msg("%s", w->e.msg);
    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    assert_true(d.has_reading);
    assert_int_equal(d.reading.resets, 7);
    assert_string_equal(d.manufacturer, "id:00001014");
}

static void unknown_waits_for_an_officer(void **state)
{
    struct world *w = *state;
    struct registry_device d;
    struct err e = {0};

    /* Another TPM is registered for the name, so that there is an invitation. */
    w->f.ek = unit_forge_key(UNIT_RSA, 8);
    enter(w, UNIT_FORGE_SUBJECT);
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 22, "registered");
    assert_int_equal(registry_device_of_ek(registry(w), w->out.verdict.ek_spki, &d, &e), 0);
    assert_int_equal(d.state, REGISTRY_DEVICE_PENDING);
    /* Asking again makes no second one, and does not help. */
    start_forge(w);
    w->f.ek = unit_forge_key(UNIT_RSA, 8);
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 22, "approved");
    set_state(w, d.id, REGISTRY_DEVICE_ACTIVE, "procurement 17");
    start_forge(w);
    w->f.ek = unit_forge_key(UNIT_RSA, 8);
    invite(w);
    if (ask(w) != 0)
        fail_msg("%s", w->e.msg);
}

/* Evidence that fails for something else leaves no trace. */
static void unit_flip(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->magic ^= 1;
}
static void a_forger_becomes_no_pending_device(void **state)
{
    struct world *w = *state;
    struct registry_device d;
    struct err e = {0};

    w->f.ek = unit_forge_key(UNIT_RSA, 8);
    w->f.on_attest = unit_flip;
    enter(w, UNIT_FORGE_SUBJECT);
    invite(w);
    assert_int_equal(ask(w), -1);
    assert_int_equal(registry_device_of_ek(registry(w), w->out.verdict.ek_spki, &d, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

static void quarantined_gets_nothing(void **state)
{
    struct world *w = *state;
    int64_t id = enter(w, UNIT_FORGE_SUBJECT);

    invite(w);
    set_state(w, id, REGISTRY_DEVICE_QUARANTINED, "reported stolen");
    assert_int_equal(ask(w), -1);
    refused_by(w, 22, "reported stolen");
}

static void another_name(void **state)
{
    struct world *w = *state;
    int64_t other;

    other = enter(w, "gw2.comms.example");
    /* Somebody else's TPM is registered for the name. */
    w->f.ek = unit_forge_key(UNIT_RSA, 8);
    {
        struct registry_device d = {.state = REGISTRY_DEVICE_ACTIVE,
                                    .oper = "Other",
                                    .officer = "R. Officer",
                                    .created_at = NOW};
        struct err e = {0};

        assert_int_equal(registry_device_add(registry(w), &d, &e), 0);
        assert_int_equal(
            registry_device_add_name(registry(w), d.id, UNIT_FORGE_SUBJECT, OID_COMMUNICATIONS, &e),
            0);
    }
    start_forge(w);
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 22, "not registered for");
    assert_true(other > 0);
}

static void a_clock_that_went_back(void **state)
{
    struct world *w = *state;
    int64_t id = enter(w, UNIT_FORGE_SUBJECT);
    struct registry_device d;
    struct err e = {0};

    invite(w);
    assert_int_equal(ask(w), 0);
    start_forge(w);
    prove(w);
    invite(w);
    assert_int_equal(ask(w), 0);
    start_forge(w);
    prove(w);
    w->f.clock.resetCount = 6;
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 20, "went back");
    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    assert_int_equal(d.state, REGISTRY_DEVICE_QUARANTINED);
    /* The genuine one is shut out as well, until somebody has looked. */
    start_forge(w);
    prove(w);
    w->f.clock.resetCount = 9;
    assert_int_equal(invite_as(w, UNIT_FORGE_SUBJECT, &e), -1);
    set_state(w, id, REGISTRY_DEVICE_ACTIVE, "mainboard was replaced and put back");
    invite(w);
    assert_int_equal(ask(w), 0);
}

/* An AK that nobody certified says what it likes of clocks: it poisons nothing. */
static void a_stranger_shuts_nobody_out(void **state)
{
    struct world *w = *state;
    int64_t id = enter(w, UNIT_FORGE_SUBJECT);
    struct registry_device d;
    struct err e = {0};

    w->f.clock.resetCount = UINT32_MAX - 1;
    invite(w);
    assert_int_equal(ask(w), 0); /* sealed: only the TPM of that EK and AK opens it */
    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    assert_false(d.has_reading);
    start_forge(w);
    prove(w);
    invite(w);
    if (ask(w) != 0)
        fail_msg("%s", w->e.msg);
    start_forge(w);
    w->f.clock.resetCount = 1;
    invite(w);
    assert_int_equal(ask(w), -1);
    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    assert_int_equal(d.state, REGISTRY_DEVICE_ACTIVE);
}

/* Shown under a name that is bound to another EK, an EK is not put on record; and one that is on
 * record as pending is registered all the same. */
static void showing_an_ek_squats_nothing(void **state)
{
    struct world *w = *state;
    struct registry_device d;
    struct err e = {0};

    w->f.ek = unit_forge_key(UNIT_RSA, 8);
    enter(w, "gw2.comms.example");
    start_forge(w);
    {
        struct registry_device other = {.state = REGISTRY_DEVICE_ACTIVE,
                                        .oper = "Other",
                                        .officer = "R. Officer",
                                        .created_at = NOW};

        assert_int_equal(registry_device_add(registry(w), &other, &e), 0);
        assert_int_equal(registry_device_add_name(registry(w), other.id, UNIT_FORGE_SUBJECT,
                                                  OID_COMMUNICATIONS, &e),
                         0);
    }
    w->f.ek = unit_forge_key(UNIT_RSA, 9);
    invite(w);
    assert_int_equal(ask(w), -1);
    assert_int_equal(registry_device_of_ek(registry(w), w->out.verdict.ek_spki, &d, &e), 0);
    assert_int_equal(d.state, REGISTRY_DEVICE_PENDING);
    {
        STACK_OF(X509) *eks = sk_X509_new_null();
        struct registry_device mine = {.state = REGISTRY_DEVICE_ACTIVE,
                                       .oper = "Owner",
                                       .officer = "R. Officer",
                                       .created_at = NOW};

        sk_X509_push(eks, w->f.request.ek_cert);
        if (device_register(registry(w), eks, &mine, "gw3.comms.example", OID_COMMUNICATIONS, &e) !=
            0)
            fail_msg("%s", e.msg);
        sk_X509_free(eks);
    }
    assert_int_equal(registry_device_of_ek(registry(w), w->out.verdict.ek_spki, &d, &e), 0);
    assert_int_equal(d.state, REGISTRY_DEVICE_ACTIVE);
    assert_string_equal(d.oper, "Owner");
}

static void an_unsafe_clock_quarantines_nobody(void **state)
{
    struct world *w = *state;
    int64_t id = enter(w, UNIT_FORGE_SUBJECT);
    struct registry_device d;
    struct err e = {0};

    w->f.clock.safe = TPM2_NO;
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 20, "not safe");
    assert_int_equal(registry_device_get(registry(w), id, &d, &e), 0);
    assert_int_equal(d.state, REGISTRY_DEVICE_ACTIVE);
}

static void one_tpm_one_device(void **state)
{
    struct world *w = *state;
    struct registry_device d = {.state = REGISTRY_DEVICE_ACTIVE,
                                .oper = "Other",
                                .officer = "R. Officer",
                                .created_at = NOW};
    STACK_OF(X509) *eks = sk_X509_new_null();
    struct err e = {0};

    enter(w, UNIT_FORGE_SUBJECT);
    unit_forge_build(&w->f);
    sk_X509_push(eks, w->f.request.ek_cert);
    assert_int_equal(
        device_register(registry(w), eks, &d, "gw9.comms.example", OID_COMMUNICATIONS, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    /* Nothing of it stays. */
    assert_int_equal(
        registry_device_for_name(registry(w), "gw9.comms.example", OID_COMMUNICATIONS, &e), 0);
    d.oper[0] = 0;
    assert_int_equal(registry_device_add(registry(w), &d, &e), -1);
    assert_int_equal(e.code, E_ARG);
    sk_X509_free(eks);
}

/* --- what is asked of firmware and platforms ------------------------------------------------- */

static void reopen_with(struct world *w, const char *name, const char *text)
{
    struct buf path = {0};
    struct err e = {0};

    buf_printf(&path, "%s/%s", w->dir, name);
    assert_int_equal(file_write(buf_cstr(&path), bytes_of(text, strlen(text)), 0600, &e), 0);
    authority_close(w->us);
    w->us = NULL;
    if (authority_open(&w->us, w->dir, false, unit_ca_signer_for, &w->keys, &e) != 0)
        fail_msg("%s", e.msg);
    buf_free(&path);
}

static void firmware_of_an_advisory(void **state)
{
    struct world *w = *state;

    enter(w, UNIT_FORGE_SUBJECT);
    reopen_with(w, REQUIRE_ADVISORIES,
                "# weak keys\r\n\nid:00001014 forge 2019102300000000 "
                "2019102300163636 CVE-0000-0001: weak keys\n");
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 19, "weak keys");
}

static void platforms_that_are_agreed_on(void **state)
{
    struct world *w = *state;
    struct buf text = {0};

    enter(w, UNIT_FORGE_SUBJECT);
    buf_str(&text, "# two of them\nplatform old\nsha256:\n  0 : 0x");
    for (int i = 0; i < 32; i++)
        buf_str(&text, "aa");
    buf_str(&text, "\nplatform new\nsha256:\n  0 : 0x");
    for (int i = 0; i < 32; i++)
        buf_str(&text, "00");
    buf_str(&text, "\n  7 : 0x");
    for (int i = 0; i < 32; i++)
        buf_str(&text, "07");
    buf_str(&text, "\n");
    reopen_with(w, REQUIRE_PLATFORMS, buf_cstr(&text));
    buf_free(&text);
    invite(w);
    assert_int_equal(ask(w), -1);
    refused_by(w, 21, "no quote");
    start_forge(w);
    w->f.with_quote = true;
    invite(w);
    if (ask(w) != 0)
        fail_msg("%s", w->e.msg);
}

static void files_that_do_not_parse(void **state)
{
    static const char *const advisories[] = {
        "id:1 *\n",          "1 * 0 1 why\n", "id:1 * 2 1 why\n",
        "id:1 * 0 x why\n",  "id:1 * 0 1\n",  "id:1 * 0 12345678901234567 why\n",
        "id:1 * -1 1 why\n",
    };
    static const char *const platforms[] = {
        "sha256:\n",
        "platform x\n",
        "platform x\nsha1:\n 0 : 0x00\n",
        "platform x\nsha256:\n 0 : 0x00\n",
        "platform x\nsha256:\n 99 : 0x00\n",
    };
    struct require r = {.n_pcrs = 0};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(advisories); i++) {
        err_clear(&e);
        assert_int_equal(require_advisories(bytes_of(advisories[i], strlen(advisories[i])), &r, &e),
                         -1);
        assert_int_equal(e.code, E_FORMAT);
    }
    for (size_t i = 0; i < ARRAY_LEN(platforms); i++) {
        err_clear(&e);
        assert_int_equal(require_platforms(bytes_of(platforms[i], strlen(platforms[i])), &r, &e),
                         -1);
        assert_int_equal(e.code, E_FORMAT);
    }
    assert_int_equal(require_advisories(bytes_of("a\0b\n", 4), &r, &e), -1);
    assert_int_equal(require_platforms(bytes_of("", 0), &r, &e), 0);
    assert_int_equal(r.n_advisory + r.n_pcrs, 0);
    require_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_device_no_nonce, set_up, tear_down),
        cmocka_unit_test_setup_teardown(registered_is_issued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_waits_for_an_officer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forger_becomes_no_pending_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quarantined_gets_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clock_that_went_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stranger_shuts_nobody_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(showing_an_ek_squats_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unsafe_clock_quarantines_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_tpm_one_device, set_up, tear_down),
        cmocka_unit_test_setup_teardown(firmware_of_an_advisory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(platforms_that_are_agreed_on, set_up, tear_down),
        cmocka_unit_test(files_that_do_not_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
