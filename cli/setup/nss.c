#include "cli/setup/nss.h"

#include "core/buf.h"
#include "core/descent.h"
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the module is called there. */
#define NAME "fusetsu"
#define LIST_MAX ((size_t)4 << 20)

const char *const nss_files[] = {"pkcs11.txt", "cert9.db", "key4.db", NULL};

static int open_way(const char *dir, const char *name, struct descent *at, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    *at = (struct descent){.dir = -1};
    buf_printf(&path, "%s/%s", dir, name);
    if (buf_cstr(&path) != NULL)
        rc = descent_open((const char *)path.p, false, at, e);
    else
        err_set(e, E_MEMORY, "out of memory for a path");
    buf_free(&path);
    return rc;
}

static int check_own(const struct stat *st, const char *dir, const char *name, struct err *e)
{
    if (st->st_uid == geteuid() && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)))
        return 0;
    return err_set(e, E_DENIED,
                   "%s/%s is not yours (it belongs to user %u): modutil would run the modules that "
                   "are named there; do it as that user",
                   dir, name, (unsigned)st->st_uid);
}

int nss_check(const char *dir, struct err *e)
{
    int rc = 0;

    for (const char *const *name = nss_files; rc == 0 && *name != NULL; name++) {
        struct descent at;
        struct stat st;

        rc = open_way(dir, *name, &at, e);
        if (rc == 0 && descent_arrived(&at)) {
            if (fstat(at.dir, &st) != 0)
                rc = err_set(e, E_IO, "cannot look at %s: %s", dir, strerror(errno));
            else
                rc = check_own(&st, dir, "", e);
            if (rc == 0 && fstatat(at.dir, at.rest, &st, AT_SYMLINK_NOFOLLOW) == 0)
                rc = check_own(&st, dir, *name, e);
        }
        descent_close(&at);
    }
    return rc;
}

bool nss_has(const char *dir, const char *module)
{
    struct buf text = {0}, want = {0};
    struct descent at;
    bool found = false;
    int fd = -1;

    buf_printf(&want, "library=%s\nname=" NAME "\n", module);
    if (open_way(dir, nss_files[0], &at, NULL) == 0 &&
        descent_read(&at, dir, false, &fd, NULL) == 0 && fd >= 0 &&
        file_read_fd(fd, dir, LIST_MAX, &text, NULL) == 0 && buf_cstr(&text) != NULL &&
        buf_cstr(&want) != NULL)
        found = strstr((const char *)text.p, (const char *)want.p) != NULL;
    if (fd >= 0)
        close(fd);
    descent_close(&at);
    buf_free(&text);
    buf_free(&want);
    return found;
}

json_t *nss_argv(const char *dir, const char *module, bool undo)
{
    if (undo)
        return json_pack("[s,s,s+,s,s,s]", "modutil", "-dbdir", "sql:", dir, "-force", "-delete",
                         NAME);
    return json_pack("[s,s,s+,s,s,s,s,s]", "modutil", "-dbdir", "sql:", dir, "-force", "-add", NAME,
                     "-libfile", module);
}
