#include "tests/support/unit_store.h"

#include "tests/support/unit_dir.h"

#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct store *unit_store_open(enum store_mode mode)
{
    struct store *s = NULL;
    struct err e = {0};

    if (store_open(&s, unit_dir_at("store.db"), mode, &e) != 0)
        fail_msg("%s", e.msg);
    return s;
}

void unit_store_refused(const char *path, enum store_mode mode, enum err_code code,
                        const char *mentions)
{
    struct store *s = NULL;
    struct err e = {0};

    assert_int_equal(store_open(&s, path, mode, &e), -1);
    assert_null(s);
    if (e.code != code || strstr(e.msg, mentions) == NULL || strstr(e.msg, path) == NULL)
        fail_msg("%s: %s", err_name(e.code), e.msg);
}

int64_t unit_store_token(struct store *s, const char *serial, struct err *e)
{
    struct store_tpm tpm = {.primary = 0x81000001};
    struct store_token t = {.label = "gateway"};

    snprintf(t.serial, sizeof(t.serial), "%s", serial);
    if (store_tpm_put(s, &tpm, e) != 0)
        return -1;
    t.tpm = tpm.id;
    return store_token_put(s, &t, e) == 0 ? t.id : -1;
}

int unit_store_object(struct store *s, int64_t token, size_t len, struct err *e)
{
    struct store_object o = {.token = token, .class = 1};
    uint8_t *value = calloc(1, len + 1);
    int rc = -1;

    if (value != NULL && store_object_set(&o, 0x11, bytes_of(value, len), false, e) == 0)
        rc = store_object_put(s, &o, NULL, e);
    store_object_free(&o);
    free(value);
    return rc;
}

size_t unit_store_count(struct store *s, int64_t token)
{
    struct store_object *o = NULL;
    size_t n = 0;

    if (store_object_list(s, token, NULL, &o, &n, NULL) != 0)
        return SIZE_MAX;
    store_objects_free(o, n);
    return n;
}

int64_t unit_store_make(size_t n)
{
    struct store *s = unit_store_open(STORE_CREATE);
    int64_t token = unit_store_token(s, UNIT_SERIAL, NULL);

    assert_true(token > 0);
    assert_int_equal(store_begin(s, NULL), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(unit_store_object(s, token, 20, NULL), 0);
    assert_int_equal(store_commit(s, NULL), 0);
    store_close(s);
    return token;
}

struct store_seal unit_store_seal(const char *secret)
{
    struct store_seal seal;

    assert_int_equal(store_seal_derive(bytes_of(secret, strlen(secret)), &seal, NULL), 0);
    return seal;
}

void unit_store_tamper(const char *sql, int n)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(unit_dir_at("store.db"), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    assert_int_equal(sqlite3_changes(db), n);
    sqlite3_close(db);
}

void unit_store_in_child(int (*f)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(f());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 99) {
        print_message("SKIP: this needs root and mount namespaces\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int unit_store_mount(const char *options)
{
    const char *dir = unit_dir();

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return 99;
    if (options != NULL)
        return mount("none", dir, "tmpfs", 0, options) == 0 ? 0 : 99;
    return mount(dir, dir, NULL, MS_BIND, NULL) == 0 &&
                   mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0
               ? 0
               : 99;
}
