/* Goal: the registry remembers what an authority did, gives a nonce to one caller
 * only, and says clearly what is wrong with a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/registry_device.h"
#include "ca/registry_publish.h"
#include "tests/support/unit_ca.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW 1800000000

struct place {
    char *dir;
    char path[200];
    struct registry *r;
};

static int set_up(void **state)
{
    struct place *p = test_calloc(1, sizeof(*p));
    struct err e = {0};

    p->dir = unit_ca_dir();
    snprintf(p->path, sizeof(p->path), "%s/registry.db", p->dir);
    if (registry_open(&p->r, p->path, REGISTRY_CREATE, &e) != 0)
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

/* SHA-256 of two requests. */
static const uint8_t one[32] = {1}, other[32] = {2};

static struct bytes nonce_of(const struct registry_invitation *i)
{
    return bytes_of(i->nonce, i->nonce_len);
}

static void reopen(struct place *p, enum registry_mode mode)
{
    struct err e = {0};

    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(registry_open(&p->r, p->path, mode, &e), 0);
}

static enum err_code open_code(const char *path, enum registry_mode mode)
{
    struct registry *r = NULL;
    struct err e = {0};
    int rc = registry_open(&r, path, mode, &e);

    assert_int_equal(rc == 0, r != NULL);
    registry_close(r);
    return e.code;
}

/* --- what it remembers --------------------------------------------------- */

static void test_authority_is_set_once_and_read_back(void **state)
{
    struct place *p = *state;
    struct registry_authority a = {"US", "Organisation", "us.example", "2.25.1", true}, got;
    struct err e = {0};

    assert_int_equal(registry_authority(p->r, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    assert_int_equal(registry_set_authority(p->r, &a, &e), 0);
    assert_int_equal(registry_set_authority(p->r, &a, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    reopen(p, REGISTRY_READ);
    assert_int_equal(registry_authority(p->r, &got, &e), 0);
    assert_string_equal(got.nation, "US");
    assert_string_equal(got.org, "Organisation");
    assert_string_equal(got.domain, "us.example");
    assert_string_equal(got.arc, "2.25.1");
    assert_true(got.registration);
}

static void test_cas_are_found_by_role_and_community(void **state)
{
    struct place *p = *state;
    struct registry_key key = {.token = "tok", .id = {1, 2}, .id_len = 2}, got;
    struct buf der = {0};
    struct err e = {0};

    assert_int_equal(registry_add_ca(p->r, REGISTRY_ROOT, 0, &key, bytes_of("root", 4), &e), 0);
    assert_int_equal(registry_add_ca(p->r, REGISTRY_ISSUING, 2, &key, bytes_of("two", 3), &e), 0);
    assert_int_equal(registry_add_ca(p->r, REGISTRY_ROOT, 0, &key, bytes_of("x", 1), &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    assert_int_equal(registry_add_ca(p->r, REGISTRY_ROOT, 1, &key, bytes_of("x", 1), &e), -1);
    assert_int_equal(e.code, E_ARG);
    err_clear(&e);
    assert_int_equal(registry_ca(p->r, REGISTRY_ISSUING, 2, &got, &der, &e), 0);
    assert_string_equal(got.token, "tok");
    assert_int_equal(got.id_len, 2);
    assert_memory_equal(got.id, "\1\2", 2);
    assert_true(bytes_equal(buf_bytes(&der), bytes_of("two", 3)));
    assert_int_equal(registry_ca(p->r, REGISTRY_ISSUING, 1, &got, &der, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_true(registry_has_issuing(p->r, 2));
    assert_false(registry_has_issuing(p->r, 1));
    buf_free(&der);
}

struct count {
    unsigned n;
    struct registry_issued last;
    uint8_t der[8];
};

static bool count_issued(void *ctx, const struct registry_issued *i)
{
    struct count *c = ctx;

    c->n++;
    c->last = *i;
    memcpy(c->der, i->der.p, i->der.len < sizeof(c->der) ? i->der.len : sizeof(c->der));
    return true;
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

static void test_serials_are_unique_per_issuer(void **state)
{
    struct place *p = *state;
    struct registry_issued i = an_issued("01");
    struct count c = {0};
    struct err e = {0};

    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &i, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    i.issuer = REGISTRY_ATTESTATION;
    i.community = 0;
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    i = an_issued("02");
    i.has_ek = false;
    i.has_evidence = true;
    i.evidence_hash[0] = 9;
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    assert_int_equal(registry_issued(p->r, count_issued, &c, &e), 0);
    assert_int_equal(c.n, 3);
    assert_string_equal(c.last.serial, "02");
    assert_false(c.last.has_ek);
    assert_true(c.last.has_evidence);
    assert_int_equal(c.last.evidence_hash[0], 9);
    assert_int_equal(c.last.expires_at, NOW + 100);
    assert_memory_equal(c.der, "cert", 4);
}

static void test_rolled_back_entries_are_gone(void **state)
{
    struct place *p = *state;
    struct registry_issued i = an_issued("01");
    struct count c = {0};
    struct err e = {0};

    assert_int_equal(registry_begin(p->r, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    registry_rollback(p->r);
    assert_int_equal(registry_issued(p->r, count_issued, &c, &e), 0);
    assert_int_equal(c.n, 0);
    /* Closing inside a transaction undoes it too. */
    assert_int_equal(registry_begin(p->r, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    reopen(p, REGISTRY_WRITE);
    assert_int_equal(registry_issued(p->r, count_issued, &c, &e), 0);
    assert_int_equal(c.n, 0);
    assert_int_equal(registry_begin(p->r, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    assert_int_equal(registry_commit(p->r, &e), 0);
    assert_int_equal(registry_commit(p->r, &e), -1);
    assert_int_equal(registry_issued(p->r, count_issued, &c, &e), 0);
    assert_int_equal(c.n, 1);
}

/* --- nonces -------------------------------------------------------------- */

static void test_nonce_is_consumed_once(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct err e = {0};

    i.has_ek = true;
    i.ek_hash[3] = 7;
    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW + 1, &got, &e), 0);
    assert_string_equal(got.subject, "gw.us.example");
    assert_int_equal(got.consumed_at, NOW + 1);
    assert_true(got.has_ek);
    assert_int_equal(got.ek_hash[3], 7);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), other, NOW + 2, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), 0);
    assert_int_equal(got.consumed_at, NOW + 1);
    assert_true(registry_goes_on(&got, one));
    assert_false(registry_is_by(&got, other));
}

static void test_expired_nonce_is_refused_and_stays(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW + 100, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "expired"));
    err_clear(&e);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), 0);
    assert_int_equal(got.consumed_at, 0);
}

static void test_unknown_nonce_is_not_found(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    /* A prefix of a nonce is another nonce. */
    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, bytes_of(i.nonce, 31), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

static void test_nonces_are_unique_and_of_a_fair_length(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1);
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_invite(p->r, &i, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    i.nonce_len = 7;
    assert_int_equal(registry_invite(p->r, &i, &e), -1);
    assert_int_equal(e.code, E_ARG);
}

static void test_nonce_is_not_consumed_inside_a_transaction(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_begin(p->r, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_ARG);
    registry_rollback(p->r);
}

/* Each process tries all nonces; together they must get each exactly once. */
static void test_many_processes_share_the_nonces_without_overlap(void **state)
{
    enum { PROCESSES = 4, NONCES = 25 };
    struct place *p = *state;
    struct err e = {0};
    pid_t pid[PROCESSES];
    int total = 0;

    for (uint8_t n = 0; n < NONCES; n++) {
        struct registry_invitation i = an_invitation(n);

        assert_int_equal(registry_invite(p->r, &i, &e), 0);
    }
    registry_close(p->r);
    p->r = NULL;
    for (int k = 0; k < PROCESSES; k++) {
        pid[k] = fork();
        assert_true(pid[k] >= 0);
        if (pid[k] == 0) {
            struct registry *r = NULL;
            int won = 0;

            if (registry_open(&r, p->path, REGISTRY_WRITE, NULL) != 0)
                _exit(200);
            for (uint8_t n = 0; n < NONCES; n++) {
                struct registry_invitation i = an_invitation(n), got;
                struct err why = {0};

                if (registry_consume(r, nonce_of(&i), (const uint8_t[32]){(uint8_t)k, 9}, NOW, &got,
                                     &why) == 0)
                    won++;
                else if (why.code != E_REJECTED)
                    _exit(201);
            }
            registry_close(r);
            _exit(won);
        }
    }
    for (int k = 0; k < PROCESSES; k++) {
        int status = 0;

        assert_int_equal(waitpid(pid[k], &status, 0), pid[k]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= NONCES);
        total += WEXITSTATUS(status);
    }
    assert_int_equal(total, NONCES);
}

/* --- files --------------------------------------------------------------- */

static void test_file_is_private(void **state)
{
    struct place *p = *state;
    struct stat st;

    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_existing_file_is_not_made_again(void **state)
{
    struct place *p = *state;

    assert_int_equal(open_code(p->path, REGISTRY_CREATE), E_EXISTS);
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_OK);
}

static void test_missing_file_is_said_to_be_missing(void **state)
{
    struct place *p = *state;

    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(open_code(p->path, REGISTRY_READ), E_NOT_FOUND);
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_NOT_FOUND);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
}

static void test_wrong_files_are_refused(void **state)
{
    struct place *p = *state;
    sqlite3 *db = NULL;

    registry_close(p->r);
    p->r = NULL;
    write_file(p->path, "this is no database at all, but long enough to look like a header "
                        "of one hundred bytes or more than that\n");
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_FORMAT);
    /* A database of something else. */
    unlink(p->path);
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(chmod(p->path, 0600), 0);
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_FORMAT);
}

/* What version 4 brought: what became of invitations. */
#define WITHOUT_ANSWERS                                             \
    "DROP INDEX invitation_request; DROP INDEX invitation_subject;" \
    "ALTER TABLE invitation DROP COLUMN request_hash;"              \
    "ALTER TABLE invitation DROP COLUMN issued;"                    \
    "ALTER TABLE invitation DROP COLUMN refused_at;"                \
    "ALTER TABLE invitation DROP COLUMN sealed_hash;"

/* What version 3 brought: the status of certificates, and what is published of it. */
#define WITHOUT_STATUS                                                           \
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
    struct place *p = *state;
    struct registry_authority a = {"US", "Organisation", "us.example", "2.25.1", true}, got;
    struct err e = {0};

    assert_int_equal(registry_set_authority(p->r, &a, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_ANSWERS WITHOUT_STATUS WITHOUT_DEVICES "PRAGMA user_version=1");
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_READ, &e), -1);
    assert_int_equal(e.code, E_VERSION);
    err_clear(&e);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_authority(p->r, &got, &e), 0);
    assert_string_equal(got.nation, "US");
    assert_false(got.registration);
    assert_int_equal(registry_device_for_name(p->r, "a.us.example", 1, &e), 0);
    reopen(p, REGISTRY_READ);
}

static void test_version_2_is_brought_up_to_date(void **state)
{
    struct place *p = *state;
    struct registry_issued i = an_issued("0102");
    struct registry_cert got;
    struct registry_urls urls;
    struct err e = {0};

    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_ANSWERS WITHOUT_STATUS "PRAGMA user_version=2");
    assert_int_equal(open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_cert(p->r, REGISTRY_ISSUING, 1, "0102", &got, &e), 1);
    assert_int_equal(got.status.state, REGISTRY_GOOD);
    assert_int_equal(registry_revoke(p->r, got.id, REGISTRY_KEY_COMPROMISE, NOW, 0, &e), 0);
    assert_int_equal(registry_urls(p->r, &urls, &e), 0);
    assert_int_equal(urls.crl[0], 0);
    reopen(p, REGISTRY_READ);
}

/* What was taken before stays used: nobody knows by which request. */
static void test_version_3_is_brought_up_to_date(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), open = an_invitation(2), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_invite(p->r, &open, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_ANSWERS "PRAGMA user_version=3");
    assert_int_equal(open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(registry_open(&p->r, p->path, REGISTRY_WRITE, &e), 0);
    assert_int_equal(registry_consume(p->r, nonce_of(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_consume(p->r, nonce_of(&open), one, NOW, &got, &e), 0);
}

/* A step that fails leaves the version that was there, whole. */
static void test_failed_migration_changes_nothing(void **state)
{
    struct place *p = *state;

    registry_close(p->r);
    p->r = NULL;
    change(p->path, WITHOUT_ANSWERS WITHOUT_STATUS WITHOUT_DEVICES
           "CREATE TABLE responder (x); PRAGMA user_version=1");
    assert_int_not_equal(open_code(p->path, REGISTRY_WRITE), E_OK);
    change(p->path, "DROP TABLE responder");
    assert_int_equal(open_code(p->path, REGISTRY_READ), E_VERSION);
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_OK);
    assert_int_equal(open_code(p->path, REGISTRY_READ), E_OK);
}

static void test_newer_version_is_refused(void **state)
{
    struct place *p = *state;
    sqlite3 *db = NULL;

    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_VERSION);
    assert_int_equal(open_code(p->path, REGISTRY_READ), E_VERSION);
}

static void test_links_and_open_modes_are_refused(void **state)
{
    struct place *p = *state;
    char link[250];

    snprintf(link, sizeof(link), "%s/link.db", p->dir);
    assert_int_equal(symlink(p->path, link), 0);
    assert_int_equal(open_code(link, REGISTRY_WRITE), E_DENIED);
    assert_int_equal(open_code(link, REGISTRY_CREATE), E_EXISTS);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(chmod(p->path, 0666), 0);
    assert_int_equal(open_code(p->path, REGISTRY_WRITE), E_DENIED);
}

static void test_damaged_rows_are_refused(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1), got;
    struct err e = {0};
    sqlite3 *db = NULL;

    i.has_ek = true;
    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE invitation SET ek_hash = x'00'", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    err_clear(&e);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE invitation SET ek_hash = NULL, "
                                  "subject = printf('%300d', 1)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(registry_invitation(p->r, nonce_of(&i), &got, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    sqlite3_close(db);
}

static void test_reading_only_refuses_to_write(void **state)
{
    struct place *p = *state;
    struct registry_invitation i = an_invitation(1);
    struct err e = {0};

    reopen(p, REGISTRY_READ);
    assert_int_equal(registry_invite(p->r, &i, &e), -1);
    assert_int_equal(e.code, E_DENIED);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_authority_is_set_once_and_read_back),
        EACH(test_cas_are_found_by_role_and_community),
        EACH(test_serials_are_unique_per_issuer),
        EACH(test_rolled_back_entries_are_gone),
        EACH(test_nonce_is_consumed_once),
        EACH(test_expired_nonce_is_refused_and_stays),
        EACH(test_unknown_nonce_is_not_found),
        EACH(test_nonces_are_unique_and_of_a_fair_length),
        EACH(test_nonce_is_not_consumed_inside_a_transaction),
        EACH(test_many_processes_share_the_nonces_without_overlap),
        EACH(test_file_is_private),
        EACH(test_existing_file_is_not_made_again),
        EACH(test_missing_file_is_said_to_be_missing),
        EACH(test_wrong_files_are_refused),
        EACH(test_version_1_is_brought_up_to_date),
        EACH(test_version_2_is_brought_up_to_date),
        EACH(test_version_3_is_brought_up_to_date),
        EACH(test_failed_migration_changes_nothing),
        EACH(test_newer_version_is_refused),
        EACH(test_links_and_open_modes_are_refused),
        EACH(test_damaged_rows_are_refused),
        EACH(test_reading_only_refuses_to_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
