/* Goal: a certificate for SSH stands on a certificate that is for that use and of a level that is enough, on no device
 * in quarantine, and is signed by the recorded key and a clock that is right. What OpenSSH makes of it is story 71's
 * matter, its bytes test_sshcert's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/registry_device.h"
#include "ca/registry_ssh.h"
#include "ca/ssh.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"

#include <string.h>

#define NOW (UNIT_CA_NOW + 3600)

static const uint8_t ek[32] = {9}, evidence[32] = {1, 2, 3};

struct world {
    struct unit_ca_world *ca;
    struct registry *r;
    struct signer *key;
};

static int up(void **state)
{
    static const struct registry_key where = {.token = "t", .id = {1}, .id_len = 1};
    struct world *w = test_calloc(1, sizeof(*w));
    struct buf spki = {0};
    struct err e = {0};

    unit_ca_world_up((void **)&w->ca);
    w->r = authority_registry(w->ca->us);
    w->key = unit_ca_signer("P-256");
    assert_int_equal(pubkey_to_spki(&w->key->pub, &spki, &e), 0);
    assert_int_equal(registry_set_ssh_ca(w->r, OID_COMMUNICATIONS, &where, buf_bytes(&spki), &e),
                     0);
    buf_free(&spki);
    *state = w;
    return 0;
}

static int down(void **state)
{
    struct world *w = *state;

    signer_free(w->key);
    unit_ca_world_down((void **)&w->ca);
    test_free(w);
    return 0;
}

/* Records a certificate of that kind as if it had been issued then; its number. */
static int64_t issued(struct world *w, const char *name, const char *kind, unsigned level,
                      time_t now)
{
    X509 *cert = unit_ca_leaf(w->ca->us, OID_COMMUNICATIONS, level, "gw.us.example", NULL, now);
    struct registry_grant grant = {.clearance = 0};
    struct authority_entry x = {.issuer = REGISTRY_ISSUING,
                                .community = OID_COMMUNICATIONS,
                                .cert = cert,
                                .dns = name,
                                .grant = &grant,
                                .ek_hash = ek,
                                .evidence_hash = evidence};
    char serial[ISSUE_SERIAL_TEXT];
    struct registry_cert row;
    struct err e = {0};

    memcpy(grant.profile, kind, strlen(kind) + 1);
    if (authority_record(w->r, &x, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(issue_serial(cert, serial, &e), 0);
    assert_int_equal(registry_cert(w->r, REGISTRY_ISSUING, OID_COMMUNICATIONS, serial, &row, &e),
                     1);
    X509_free(cert);
    return row.id;
}

/* `want` NULL: certified, and `made` says on what. Else refused with these words, and nothing is recorded. */
static void certify(struct world *w, const struct ssh_request *r, struct signer *key,
                    const char *want, struct ssh_made *made)
{
    struct ssh_made unused;
    struct buf line = {0};
    struct err e = {0};
    int rc = ssh_certify(w->ca->us, r, key, &line, made != NULL ? made : &unused, &e);

    if (want == NULL && rc != 0)
        fail_msg("%s", e.msg);
    if (want != NULL) {
        assert_int_equal(rc, -1);
        assert_int_equal(e.code, E_REJECTED);
        if (strstr(e.msg, want) == NULL)
            fail_msg("'%s'", e.msg);
        assert_int_equal(line.len, 0);
    }
    buf_free(&line);
}

static struct ssh_request for_name(const char *name)
{
    return (struct ssh_request){.community = OID_COMMUNICATIONS, .name = name, .now = NOW};
}

/* --- what it stands on -------------------------------------------------------------------------------------- */

static void test_a_certificate_for_another_use_is_passed_over(void **state)
{
    static const char *const others[] = {"client", "ike", "person", "of the future", ""};
    struct world *w = *state;
    struct ssh_request host = for_name("gw.us.example"), user = for_name("a@us.example");
    struct ssh_made made;
    int64_t id;

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        issued(w, "gw.us.example", others[i], 3, UNIT_CA_NOW);
        certify(w, &host, w->key, "is for a gateway or server", NULL);
    }
    id = issued(w, "gw.us.example", "server", 3, UNIT_CA_NOW);
    issued(w, "gw.us.example", "client", 3, UNIT_CA_NOW);
    certify(w, &host, w->key, NULL, &made);
    assert_int_equal(made.on.id, id);
    id = issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    certify(w, &host, w->key, NULL, &made);
    assert_int_equal(made.on.id, id);

    issued(w, "a@us.example", "gateway", 3, UNIT_CA_NOW);
    certify(w, &user, w->key, "is for a person", NULL);
    id = issued(w, "a@us.example", "person", 3, UNIT_CA_NOW);
    certify(w, &user, w->key, NULL, &made);
    assert_int_equal(made.on.id, id);
}

static void test_a_low_level_is_enough_only_where_it_is_said(void **state)
{
    struct world *w = *state;
    struct ssh_request r = for_name("gw.us.example");
    struct ssh_made made;
    int64_t high, low;

    issued(w, "gw.us.example", "gateway", 1, UNIT_CA_NOW);
    certify(w, &r, w->key, "of level 1", NULL);
    issued(w, "gw.us.example", "gateway", 2, UNIT_CA_NOW);
    certify(w, &r, w->key, "--basic", NULL);
    high = issued(w, "gw.us.example", "gateway", 4, UNIT_CA_NOW);
    low = issued(w, "gw.us.example", "gateway", 2, UNIT_CA_NOW);
    certify(w, &r, w->key, NULL, &made);
    assert_int_equal(made.on.id, high);
    assert_int_equal(made.level, 4);
    r.basic = true;
    certify(w, &r, w->key, NULL, &made);
    assert_int_equal(made.on.id, low);
    assert_int_equal(made.level, 2);
}

static void test_no_other_key_certifies(void **state)
{
    struct world *w = *state;
    struct signer *other = unit_ca_signer("P-256");
    struct ssh_request r = for_name("gw.us.example");

    issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    certify(w, &r, other, "not the one that is recorded", NULL);
    signer_free(other);
}

static void test_whose_key_it_is(void **state)
{
    static const struct registry_key own = {.token = "t", .id = {1}, .id_len = 1},
                                     free_one = {.token = "t", .id = {77}, .id_len = 1};
    struct world *w = *state;
    struct registry_key taken;
    struct buf der = {0};
    struct err e = {0};

    assert_int_equal(registry_ssh_key_taken(w->r, OID_COMMUNICATIONS, &free_one, &e), 0);
    assert_int_equal(registry_ca(w->r, REGISTRY_CROSS, 0, &taken, &der, &e), 0);
    memcpy(taken.token, "other", 6);
    assert_int_equal(registry_ssh_key_taken(w->r, OID_COMMUNICATIONS, &taken, &e), 1);
    assert_int_equal(registry_ssh_key_taken(w->r, OID_ELECTRICITY, &own, &e), 1);
    buf_free(&der);
}

/* --- the moment ---------------------------------------------------------------------------------------------- */

static void test_a_clock_that_went_back_certifies_nothing(void **state)
{
    struct world *w = *state;
    struct ssh_request r = for_name("gw.us.example");
    struct ssh_made made;

    issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    issued(w, "other.us.example", "gateway", 3, NOW + 1);
    certify(w, &r, w->key, "the clock stands at", NULL);
    r.now = NOW + 1;
    certify(w, &r, w->key, NULL, &made);
}

/* A key; while it signs something else happens. */
struct slow {
    struct signer signer;
    struct world *w;
    void (*meanwhile)(struct world *w);
};

static int sign_slowly(struct signer *s, enum pubkey_scheme scheme, const struct alg_hash *hash,
                       struct bytes digest, uint8_t *sig, struct err *e)
{
    struct slow *slow = (struct slow *)s;

    slow->meanwhile(slow->w);
    return slow->w->key->sign(slow->w->key, scheme, hash, digest, sig, e);
}

static void slowly(struct world *w, void (*meanwhile)(struct world *w), const char *want)
{
    struct slow slow = {
        .signer = {.pub = w->key->pub, .sign = sign_slowly}, .w = w, .meanwhile = meanwhile};
    struct ssh_request r = for_name("gw.us.example");

    certify(w, &r, &slow.signer, want, NULL);
}

static void dated_later(struct world *w)
{
    issued(w, "other.us.example", "gateway", 3, NOW + 1);
}

static void test_nor_when_it_is_known_late(void **state)
{
    struct world *w = *state;

    issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    slowly(w, dated_later, "the clock stands at");
}

static void quarantined(struct world *w)
{
    struct registry_device d;
    struct err e = {0};

    assert_int_equal(registry_device_of_ek(w->r, ek, &d, &e), 0);
    assert_int_equal(registry_device_quarantine(w->r, d.id, "F", "lost", NOW, &e), 0);
}

static void test_no_device_in_quarantine_is_certified(void **state)
{
    struct world *w = *state;
    struct registry_device d = {.oper = "O", .officer = "F", .state = REGISTRY_DEVICE_ACTIVE};
    struct ssh_request r = for_name("gw.us.example");
    struct ssh_made made;
    struct err e = {0};

    issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    assert_int_equal(registry_device_add(w->r, &d, &e), 0);
    assert_int_equal(registry_device_add_ek(w->r, d.id, ek, &e), 0);
    certify(w, &r, w->key, NULL, &made);
    slowly(w, quarantined, "is quarantined");
    certify(w, &r, w->key, "is quarantined", NULL);
}

static int64_t the_one;

static void revoked(struct world *w)
{
    struct err e = {0};

    assert_int_equal(registry_revoke(w->r, the_one, REGISTRY_SUPERSEDED, NOW, 0, &e), 0);
}

static void test_nor_what_is_revoked_meanwhile(void **state)
{
    struct world *w = *state;

    the_one = issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    slowly(w, revoked, "is revoked");
}

/* --- the list ------------------------------------------------------------------------------------------------ */

static size_t in_list(struct world *w, int64_t now)
{
    struct buf krl = {0};
    struct err e = {0};
    size_t n = 0;

    assert_int_equal(ssh_revoked(w->ca->us, OID_COMMUNICATIONS, (time_t)now, &krl, &n, &e), 0);
    buf_free(&krl);
    return n;
}

static void test_the_list_has_it_a_day_longer_than_it_is_good(void **state)
{
    struct world *w = *state;
    struct ssh_request r = for_name("gw.us.example");
    struct ssh_made made;
    struct err e = {0};

    the_one = issued(w, "gw.us.example", "gateway", 3, UNIT_CA_NOW);
    assert_int_equal(registry_ssh_on(w->r, the_one, NOW, &e), 0);
    certify(w, &r, w->key, NULL, &made);
    assert_int_equal(registry_ssh_on(w->r, the_one, made.expires_at, &e), 1);
    assert_int_equal(registry_ssh_on(w->r, the_one, made.expires_at + 1, &e), 0);
    assert_int_equal(registry_ssh_on(w->r, the_one + 1, NOW, &e), 0);
    assert_int_equal(in_list(w, NOW), 0);
    revoked(w);
    assert_int_equal(in_list(w, NOW), 1);
    assert_int_equal(in_list(w, made.expires_at + 86400), 1);
    assert_int_equal(in_list(w, made.expires_at + 86401), 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_a_certificate_for_another_use_is_passed_over),
        EACH(test_a_low_level_is_enough_only_where_it_is_said),
        EACH(test_no_other_key_certifies),
        EACH(test_whose_key_it_is),
        EACH(test_a_clock_that_went_back_certifies_nothing),
        EACH(test_nor_when_it_is_known_late),
        EACH(test_no_device_in_quarantine_is_certified),
        EACH(test_nor_what_is_revoked_meanwhile),
        EACH(test_the_list_has_it_a_day_longer_than_it_is_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
