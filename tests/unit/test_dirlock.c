/* Goal: one process at a time changes a directory, and nobody who may only read it can be in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/dirlock.h"
#include "tests/support/unit_ca.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct place {
    char *dir;
    char lock[200];
};

static int up(void **state)
{
    struct place *p = test_calloc(1, sizeof(*p));

    p->dir = unit_ca_dir();
    snprintf(p->lock, sizeof(p->lock), "%s/.lock", p->dir);
    *state = p;
    return 0;
}

static int down(void **state)
{
    struct place *p = *state;

    unlink(p->lock);
    unit_ca_dir_remove(p->dir);
    test_free(p);
    return 0;
}

static enum err_code take(const char *dir, unsigned seconds, int *lock)
{
    struct err e = {0};
    int rc = dirlock_take(dir, seconds, lock, &e);

    assert_int_equal(rc == 0, e.code == E_OK);
    return e.code;
}

static void test_one_at_a_time(void **state)
{
    struct place *p = *state;
    struct timespec from, to;
    struct stat st;
    int a = -1, b = -1;

    assert_int_equal(take(p->dir, 0, &a), E_OK);
    assert_int_equal(stat(p->lock, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(take(p->dir, 0, &b), E_BUSY);
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(take(p->dir, 1, &b), E_BUSY); /* and no longer */
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec > from.tv_sec);
    assert_int_equal(b, -1);
    dirlock_release(a);
    assert_int_equal(take(p->dir, 0, &b), E_OK);
    dirlock_release(b);
    dirlock_release(-1);
}

static void test_readers_lock_nothing(void **state)
{
    struct place *p = *state;
    int reader = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), a = -1;

    assert_int_equal(flock(reader, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(take(p->dir, 0, &a), E_OK);
    dirlock_release(a);
    close(reader);
}

static void test_what_others_could_lock_is_no_lock(void **state)
{
    struct place *p = *state;
    int fd = open(p->lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600), a = -1;

    assert_int_equal(fchmod(fd, 0666), 0);
    close(fd);
    assert_int_equal(take(p->dir, 0, &a), E_DENIED);
    assert_int_equal(unlink(p->lock), 0);
    assert_int_equal(symlink("/dev/null", p->lock), 0);
    assert_int_equal(take(p->dir, 0, &a), E_DENIED);
    assert_int_equal(unlink(p->lock), 0);
    assert_int_equal(take("/nowhere/at/all", 0, &a), E_DENIED);
    assert_int_equal(a, -1);
}

/* A service has its directory, and root works in it, too. */
static void test_whose_the_directory_is_may_own_the_lock(void **state)
{
    struct place *p = *state;
    int a = -1;

    if (geteuid() != 0) {
        skip();
        return;
    }
    assert_int_equal(take(p->dir, 0, &a), E_OK);
    dirlock_release(a);
    a = -1;
    assert_int_equal(chown(p->lock, 65534, 65534), 0);
    assert_int_equal(take(p->dir, 0, &a), E_DENIED);
    assert_int_equal(chown(p->dir, 65534, 65534), 0);
    assert_int_equal(take(p->dir, 0, &a), E_OK);
    dirlock_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_at_a_time, up, down),
        cmocka_unit_test_setup_teardown(test_readers_lock_nothing, up, down),
        cmocka_unit_test_setup_teardown(test_what_others_could_lock_is_no_lock, up, down),
        cmocka_unit_test_setup_teardown(test_whose_the_directory_is_may_own_the_lock, up, down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
