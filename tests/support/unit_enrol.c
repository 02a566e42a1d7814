#include "tests/support/unit_enrol.h"

#include "core/oid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int unit_enrol_up(void **state)
{
    struct unit_enrol *w = test_calloc(1, sizeof(*w));
    struct unit_forge first = {0};
    struct buf pin = {0};
    struct err e = {0};

    unit_forge_init(&first, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&first);
    assert_int_equal(issue_to_pem(first.ek_root, &pin, &e), 0);
    unit_forge_free(&first);
    w->dir = unit_ca_dir();
    w->us = unit_ca_make(w->dir, "US", "comms.example", buf_bytes(&pin), UNIT_ENROL_NOW - 3600,
                         &w->keys);
    buf_free(&pin);
    unit_forge_init(&w->f, UNIT_RSA, UNIT_P256, UNIT_P256);
    *state = w;
    return 0;
}

int unit_enrol_down(void **state)
{
    struct unit_enrol *w = *state;

    enrol_free(&w->out);
    unit_forge_free(&w->f);
    authority_close(w->us);
    unit_ca_keys_free(&w->keys);
    unit_ca_dir_remove(w->dir);
    test_free(w);
    return 0;
}

struct authority_invite unit_enrol_terms(void)
{
    return (struct authority_invite){.community = OID_COMMUNICATIONS,
                                     .level = 3,
                                     .dns = UNIT_FORGE_SUBJECT,
                                     .days = 1,
                                     .now = UNIT_ENROL_NOW - 60};
}

void unit_enrol_invite(struct unit_enrol *w, const struct authority_invite *p)
{
    struct evidence_invitation v;
    struct buf pem = {0};
    struct err e = {0};

    if (authority_invite(w->us, p, &pem, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(evidence_invitation_from_pem(buf_bytes(&pem), &v, &e), 0);
    assert_int_equal(v.nonce_len, sizeof(w->f.nonce));
    memcpy(w->f.nonce, v.nonce, sizeof(w->f.nonce));
    buf_free(&pem);
}

int unit_enrol_at(struct unit_enrol *w, time_t now)
{
    struct buf der = {0};
    int rc;

    enrol_free(&w->out);
    err_clear(&w->e);
    assert_int_equal(evidence_request_encode(&w->f.request, &der, &w->e), 0);
    rc = enrol_run(w->us, buf_bytes(&der), now, &w->out, &w->e);
    buf_free(&der);
    return rc;
}

void unit_enrol_build(struct unit_enrol *w)
{
    unit_forge_build(&w->f);
}

static bool count(void *ctx, const struct registry_issued *i)
{
    if (i->issuer == REGISTRY_ISSUING || i->issuer == REGISTRY_ATTESTATION)
        ++*(unsigned *)ctx;
    return true;
}

unsigned unit_enrol_issued(struct unit_enrol *w)
{
    unsigned n = 0;
    struct err e = {0};

    assert_int_equal(registry_issued(authority_registry(w->us), count, &n, &e), 0);
    return n;
}

bool unit_enrol_consumed(struct unit_enrol *w)
{
    struct registry_invitation i;
    struct err e = {0};

    assert_int_equal(registry_invitation(authority_registry(w->us),
                                         bytes_of(w->f.nonce, sizeof(w->f.nonce)), &i, &e),
                     0);
    return i.consumed_at != 0;
}

void unit_enrol_refused(struct unit_enrol *w, int rc, unsigned check)
{
    assert_int_equal(rc, -1);
    if (w->e.code != E_REJECTED)
        fail_msg("%s: %s", err_name(w->e.code), w->e.msg);
    assert_true(w->out.judged);
    assert_null(w->out.cert);
    assert_int_equal(w->out.sealed.len, 0);
    assert_int_equal(unit_enrol_issued(w), 0);
    if (check != 0) {
        assert_false(w->out.verdict.accepted);
        assert_int_equal(w->out.verdict.result[check - 1].outcome, EVIDENCE_FAIL);
    }
}
