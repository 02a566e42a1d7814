/* Goal: a registry that an older program wrote is brought up to date, whole or not at all, and what it says
 * of the past stays true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/registry_clock.h"
#include "ca/registry_device.h"
#include "ca/registry_publish.h"
#include "tests/support/unit_registry.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define NOW UNIT_REGISTRY_NOW

/* SHA-256 of a request. */
static const uint8_t one[32] = {1};

/* What version 8 brought: why a request was refused, and what was handed out before the last. */
#define WITHOUT_REASONS "DROP TABLE sealed; ALTER TABLE invitation DROP COLUMN refusal;"

/* What version 7 brought: the last date is found at once. */
#define WITHOUT_DATES WITHOUT_REASONS "DROP INDEX issued_date;"

/* What version 6 brought: certificates for SSH. */
#define WITHOUT_SSH WITHOUT_DATES "DROP TABLE ssh_cert; DROP TABLE ssh_ca;"

/* What version 5 brought: what is granted beside name, community and level. */
#define WITHOUT_GRANTS                              \
    WITHOUT_SSH                                     \
    "ALTER TABLE invitation DROP COLUMN profile;"   \
    "ALTER TABLE invitation DROP COLUMN clearance;" \
    "ALTER TABLE invitation DROP COLUMN person;"    \
    "ALTER TABLE issued DROP COLUMN profile;"       \
    "ALTER TABLE issued DROP COLUMN clearance;"     \
    "ALTER TABLE issued DROP COLUMN person;"        \
    "DROP TABLE clearance_system; DROP TABLE clearance_class;"

/* What version 4 brought: what became of invitations. */
#define WITHOUT_ANSWERS                                             \
    WITHOUT_GRANTS                                                  \
    "DROP INDEX invitation_request; DROP INDEX invitation_subject;" \
    "ALTER TABLE invitation DROP COLUMN request_hash;"              \
    "ALTER TABLE invitation DROP COLUMN issued;"                    \
    "ALTER TABLE invitation DROP COLUMN refused_at;"                \
    "ALTER TABLE invitation DROP COLUMN sealed_hash;"

/* What version 3 brought: the status of certificates, and what is published of it. */
#define WITHOUT_STATUS                                                           \
    WITHOUT_ANSWERS                                                              \
    "DROP TABLE status; DROP TABLE crl; DROP TABLE publication;"                 \
    "DROP TABLE responder; DROP INDEX issued_serial; DROP INDEX issued_subject;" \
    "DROP INDEX issued_spki;"

/* What version 2 brought: devices, and whether an authority asks for them. */
#define WITHOUT_DEVICES                                                \
    "DROP TABLE device_name; DROP TABLE device_ek; DROP TABLE device;" \
    "ALTER TABLE authority DROP COLUMN registration;"

static void change(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void test_version_1_is_brought_up_to_date(void **state)
{
    struct unit_registry *p = *state;
    struct registry_authority a = {"US", "Organisation", "us.example", "2.25.1", true}, got;
    struct err e = {0};

    assert_int_equal(registry_set_authority(p->r, &a, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_STATUS WITHOUT_DEVICES "PRAGMA user_version=1");
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_READ, &e), -1);
    assert_int_equal(e.code, E_VERSION);
    err_clear(&e);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_authority(p->r, &got, &e), 0);
    assert_string_equal(got.nation, "US");
    assert_false(got.registration);
    assert_int_equal(registry_device_for_name(p->r, "a.us.example", 1, &e), 0);
    unit_registry_reopen(p, REGISTRY_READ);
}

static void test_version_2_is_brought_up_to_date(void **state)
{
    struct unit_registry *p = *state;
    struct registry_issued i = unit_registry_issued("0102");
    struct registry_cert got;
    struct registry_urls urls;
    struct err e = {0};

    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_STATUS "PRAGMA user_version=2");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_cert(p->r, REGISTRY_ISSUING, 1, "0102", &got, &e), 1);
    assert_int_equal(got.status.state, REGISTRY_GOOD);
    assert_int_equal(registry_revoke(p->r, got.id, REGISTRY_KEY_COMPROMISE, NOW, 0, &e), 0);
    assert_int_equal(registry_urls(p->r, &urls, &e), 0);
    assert_int_equal(urls.crl[0], 0);
    unit_registry_reopen(p, REGISTRY_READ);
}

/* What was taken before stays used: nobody knows by which request. */
static void test_version_3_is_brought_up_to_date(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), open = unit_registry_invitation(2),
                               got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_invite(p->r, &open, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_ANSWERS "PRAGMA user_version=3");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&open), one, NOW, &got, &e), 0);
}

/* What leaves were issued before were for gateways, without a clearance; all else is for nothing. */
static void test_version_4_is_brought_up_to_date(void **state)
{
    struct unit_registry *p = *state;
    struct registry_issued i = unit_registry_issued("0102"), ak = i, responder = i;
    struct clearance_system s;
    struct registry_cert got, other;
    struct err e = {0};

    memcpy(ak.serial, "0103", 5);
    ak.issuer = REGISTRY_ATTESTATION;
    memcpy(responder.serial, "0104", 5);
    i.has_evidence = ak.has_evidence = true;
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &ak, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &responder, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_GRANTS "PRAGMA user_version=4");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_cert(p->r, REGISTRY_ISSUING, 1, "0102", &got, &e), 1);
    assert_string_equal(got.grant.profile, "gateway");
    assert_int_equal(got.grant.clearance, 0);
    assert_int_equal(registry_cert(p->r, REGISTRY_ATTESTATION, 0, "0103", &other, &e), 1);
    assert_string_equal(other.grant.profile, "");
    assert_int_equal(registry_cert(p->r, REGISTRY_ISSUING, 1, "0104", &other, &e), 1);
    assert_string_equal(other.grant.profile, "");
    assert_string_equal(got.grant.person, "");
    assert_int_equal(registry_clearances(p->r, &s, &e), 0);
    assert_string_equal(s.policy, "");
}

static void test_version_6_is_brought_up_to_date(void **state)
{
    struct unit_registry *p = *state;
    struct registry_issued i = unit_registry_issued("0102");
    struct err e = {0};

    i.issued_at = NOW;
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_DATES "PRAGMA user_version=6");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_clock(p->r, NOW, &e), 0);
    assert_int_equal(registry_clock(p->r, NOW - 1, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
}

/* Of what was refused before nobody knows why. */
static void test_version_7_is_brought_up_to_date(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct buf why = {0};
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), 0);
    assert_int_equal(registry_refuse(p->r, unit_registry_nonce(&i), one, NOW, "x", &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_REASONS "PRAGMA user_version=7");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.refused_at, NOW);
    assert_int_equal(registry_refusal(p->r, unit_registry_nonce(&i), &why, &e), 0);
    assert_int_equal(why.len, 0);
}

/* Of what was handed out before only the last is known. */
static void test_what_was_handed_out_stays_known(void **state)
{
    static const uint8_t sealed[4][32] = {{1}, {2}, {3}, {4}};
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct registry_issued leaf = unit_registry_issued("0102");
    struct bytes nonce = unit_registry_nonce(&i);
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce, one, NOW, &got, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &leaf, &e), 0);
    assert_int_equal(registry_answer(p->r, nonce, one, "0102", sealed[0], &e), 1);
    assert_int_equal(registry_resealed(p->r, nonce, sealed[1], &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_REASONS "PRAGMA user_version=7");
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_resealed(p->r, nonce, sealed[2], &e), 0);
    assert_int_equal(registry_resealed(p->r, nonce, sealed[2], &e), 0);
    assert_int_equal(registry_resealed(p->r, nonce, sealed[1], &e), 0);
    assert_int_equal(registry_was_sealed(p->r, nonce, sealed[0], &e), 0);
    assert_int_equal(registry_was_sealed(p->r, nonce, sealed[1], &e), 1);
    assert_int_equal(registry_was_sealed(p->r, nonce, sealed[2], &e), 1);
    assert_int_equal(registry_was_sealed(p->r, nonce, sealed[3], &e), 0);
}

/* A step that fails leaves the version that was there, whole. */
static void test_failed_migration_changes_nothing(void **state)
{
    struct unit_registry *p = *state;

    registry_close(p->r);
    p->r = NULL;
    change(p->path,
           WITHOUT_STATUS WITHOUT_DEVICES "CREATE TABLE responder (x); PRAGMA user_version=1");
    assert_int_not_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_OK);
    change(p->path, "DROP TABLE responder");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_OK);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_OK);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_registry_up, unit_registry_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_version_1_is_brought_up_to_date), EACH(test_version_2_is_brought_up_to_date),
        EACH(test_version_3_is_brought_up_to_date), EACH(test_version_4_is_brought_up_to_date),
        EACH(test_version_6_is_brought_up_to_date), EACH(test_version_7_is_brought_up_to_date),
        EACH(test_what_was_handed_out_stays_known), EACH(test_failed_migration_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
