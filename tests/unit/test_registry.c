/* Goal: the registry remembers what an authority did, gives a nonce to one caller
 * only, and says clearly what is wrong with a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/registry_clock.h"
#include "ca/registry_device.h"
#include "ca/registry_publish.h"
#include "tests/support/unit_registry.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW UNIT_REGISTRY_NOW

/* SHA-256 of two requests. */
static const uint8_t one[32] = {1}, other[32] = {2};

/* --- what it remembers --------------------------------------------------- */

static void test_authority_is_set_once_and_read_back(void **state)
{
    struct unit_registry *p = *state;
    struct registry_authority a = {"US", "Organisation", "us.example", "2.25.1", true}, got;
    struct err e = {0};

    assert_int_equal(registry_authority(p->r, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    assert_int_equal(registry_set_authority(p->r, &a, &e), 0);
    assert_int_equal(registry_set_authority(p->r, &a, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    unit_registry_reopen(p, REGISTRY_READ);
    assert_int_equal(registry_authority(p->r, &got, &e), 0);
    assert_string_equal(got.nation, "US");
    assert_string_equal(got.org, "Organisation");
    assert_string_equal(got.domain, "us.example");
    assert_string_equal(got.arc, "2.25.1");
    assert_true(got.registration);
}

static void test_cas_are_found_by_role_and_community(void **state)
{
    struct unit_registry *p = *state;
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

static void test_serials_are_unique_per_issuer(void **state)
{
    struct unit_registry *p = *state;
    struct registry_issued i = unit_registry_issued("01");
    struct count c = {0};
    struct err e = {0};

    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    assert_int_equal(registry_add_issued(p->r, &i, &e), -1);
    assert_int_equal(e.code, E_EXISTS);
    err_clear(&e);
    i.issuer = REGISTRY_ATTESTATION;
    i.community = 0;
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    i = unit_registry_issued("02");
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
    struct unit_registry *p = *state;
    struct registry_issued i = unit_registry_issued("01");
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
    unit_registry_reopen(p, REGISTRY_WRITE);
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
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct err e = {0};

    i.has_ek = true;
    i.ek_hash[3] = 7;
    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW + 1, &got, &e), 0);
    assert_string_equal(got.subject, "gw.us.example");
    assert_int_equal(got.consumed_at, NOW + 1);
    assert_true(got.has_ek);
    assert_int_equal(got.ek_hash[3], 7);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), other, NOW + 2, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "used already"));
    err_clear(&e);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.consumed_at, NOW + 1);
    assert_true(registry_goes_on(&got, one));
    assert_false(registry_is_by(&got, other));
}

static void test_expired_nonce_is_refused_and_stays(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW + 100, &got, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    assert_non_null(strstr(e.msg, "expired"));
    err_clear(&e);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), 0);
    assert_int_equal(got.consumed_at, 0);
}

static void test_unknown_nonce_is_not_found(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    err_clear(&e);
    /* A prefix of a nonce is another nonce. */
    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_consume(p->r, bytes_of(i.nonce, 31), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
}

static void test_nonces_are_unique_and_of_a_fair_length(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1);
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
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct err e = {0};

    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(registry_begin(p->r, &e), 0);
    assert_int_equal(registry_consume(p->r, unit_registry_nonce(&i), one, NOW, &got, &e), -1);
    assert_int_equal(e.code, E_ARG);
    registry_rollback(p->r);
}

/* Each process tries all nonces; together they must get each exactly once. */
static void test_many_processes_share_the_nonces_without_overlap(void **state)
{
    enum { PROCESSES = 4, NONCES = 25 };
    struct unit_registry *p = *state;
    struct err e = {0};
    pid_t pid[PROCESSES];
    int total = 0;

    for (uint8_t n = 0; n < NONCES; n++) {
        struct registry_invitation i = unit_registry_invitation(n);

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
                struct registry_invitation i = unit_registry_invitation(n), got;
                struct err why = {0};

                if (registry_consume(r, unit_registry_nonce(&i), (const uint8_t[32]){(uint8_t)k, 9},
                                     NOW, &got, &why) == 0)
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
    struct unit_registry *p = *state;
    struct stat st;

    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_existing_file_is_not_made_again(void **state)
{
    struct unit_registry *p = *state;

    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_CREATE), E_EXISTS);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_OK);
}

static void test_missing_file_is_said_to_be_missing(void **state)
{
    struct unit_registry *p = *state;

    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_NOT_FOUND);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_NOT_FOUND);
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
    struct unit_registry *p = *state;
    sqlite3 *db = NULL;

    registry_close(p->r);
    p->r = NULL;
    write_file(p->path, "this is no database at all, but long enough to look like a header "
                        "of one hundred bytes or more than that\n");
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_FORMAT);
    /* A database of something else. */
    unlink(p->path);
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(chmod(p->path, 0600), 0);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_FORMAT);
}

static void test_grants_are_kept(void **state)
{
    struct unit_registry *p = *state;
    struct registry_issued i = unit_registry_issued("0102");
    struct registry_invitation v = {.nonce_len = 8, .subject = "a@us.example", .community = 1};
    struct clearance_system s, got;
    struct registry_invitation back;
    struct registry_cert cert;
    struct err e = {0};

    i.grant = (struct registry_grant){.profile = "person", .clearance = 24, .person = "Alice"};
    v.grant = i.grant;
    assert_int_equal(registry_add_issued(p->r, &i, &e), 0);
    assert_int_equal(registry_invite(p->r, &v, &e), 0);
    assert_int_equal(clearance_system_parse("1.2.3.4", "secret=極秘,restricted=R", &s, &e), 0);
    assert_int_equal(registry_set_clearances(p->r, &s, &e), 0);
    assert_int_equal(registry_set_clearances(p->r, &s, &e), -1);
    err_clear(&e);
    unit_registry_reopen(p, REGISTRY_READ);
    assert_int_equal(registry_clearances(p->r, &got, &e), 0);
    assert_memory_equal(&got, &s, sizeof(s));
    assert_int_equal(registry_cert(p->r, REGISTRY_ISSUING, 1, "0102", &cert, &e), 1);
    assert_memory_equal(&cert.grant, &i.grant, sizeof(i.grant));
    assert_int_equal(registry_invitation(p->r, bytes_of(v.nonce, 8), &back, &e), 0);
    assert_memory_equal(&back.grant, &i.grant, sizeof(i.grant));
}

static void test_newer_version_is_refused(void **state)
{
    struct unit_registry *p = *state;
    sqlite3 *db = NULL;

    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_VERSION);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_READ), E_VERSION);
}

static void test_links_and_open_modes_are_refused(void **state)
{
    struct unit_registry *p = *state;
    char link[250];

    snprintf(link, sizeof(link), "%s/link.db", p->dir);
    assert_int_equal(symlink(p->path, link), 0);
    assert_int_equal(unit_registry_open_code(link, REGISTRY_WRITE), E_DENIED);
    assert_int_equal(unit_registry_open_code(link, REGISTRY_CREATE), E_EXISTS);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(chmod(p->path, 0666), 0);
    assert_int_equal(unit_registry_open_code(p->path, REGISTRY_WRITE), E_DENIED);
}

static void test_damaged_rows_are_refused(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1), got;
    struct err e = {0};
    sqlite3 *db = NULL;

    i.has_ek = true;
    assert_int_equal(registry_invite(p->r, &i, &e), 0);
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE invitation SET ek_hash = x'00'", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    err_clear(&e);
    assert_int_equal(sqlite3_exec(db,
                                  "UPDATE invitation SET ek_hash = NULL, "
                                  "subject = printf('%300d', 1)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(registry_invitation(p->r, unit_registry_nonce(&i), &got, &e), -1);
    assert_int_equal(e.code, E_CORRUPT);
    sqlite3_close(db);
}

static void test_reading_only_refuses_to_write(void **state)
{
    struct unit_registry *p = *state;
    struct registry_invitation i = unit_registry_invitation(1);
    struct err e = {0};

    unit_registry_reopen(p, REGISTRY_READ);
    assert_int_equal(registry_invite(p->r, &i, &e), -1);
    assert_int_equal(e.code, E_DENIED);
}

/* Killed in a transaction that is in the file already: its journal has what was there before. */
static void kill_a_writer(const char *path)
{
    static const char sql[] =
        "PRAGMA cache_size=2; BEGIN IMMEDIATE; DELETE FROM authority; CREATE TABLE t (x);"
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
        " SELECT zeroblob(4000) FROM n";
    char journal[220];
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        sqlite3 *db = NULL;

        if (sqlite3_open(path, &db) != SQLITE_OK ||
            sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    snprintf(journal, sizeof(journal), "%s-journal", path);
    assert_int_equal(access(journal, F_OK), 0);
}

static void test_readers_undo_what_a_killed_writer_left(void **state)
{
    struct unit_registry *p = *state;
    struct registry_authority a = {"US", "Organisation", "us.example", "2.25.1", true}, got;
    struct registry *before = NULL;
    struct err e = {0};

    assert_int_equal(registry_set_authority(p->r, &a, &e), 0);
    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(registry_open(&before, p->path, REGISTRY_READ, &e), 0);
    kill_a_writer(p->path);
    /* Who had opened it before is told what to do. */
    assert_int_equal(registry_authority(before, &got, &e), -1);
    assert_int_equal(e.code, E_BUSY);
    assert_non_null(strstr(e.msg, "was killed"));
    unit_registry_reopen(p, REGISTRY_READ);
    err_clear(&e);
    assert_int_equal(registry_authority(p->r, &got, &e), 0);
    assert_string_equal(got.nation, "US");
    assert_int_equal(registry_authority(before, &got, &e), 0);
    registry_close(before);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, unit_registry_up, unit_registry_down)

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
        EACH(test_grants_are_kept),
        EACH(test_newer_version_is_refused),
        EACH(test_links_and_open_modes_are_refused),
        EACH(test_damaged_rows_are_refused),
        EACH(test_reading_only_refuses_to_write),
        EACH(test_readers_undo_what_a_killed_writer_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
