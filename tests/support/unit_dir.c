#include "tests/support/unit_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

int unit_dir_make(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/fusetsu-unit.XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

int unit_dir_remove(void **state)
{
    (void)state;
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *unit_dir(void)
{
    return dir;
}

const char *unit_dir_at(const char *name)
{
    static char path[4][300];
    static unsigned turn;
    char *p = path[turn++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
    return p;
}
