#include "cli/setup/nss.h"

#include <sys/stat.h>

/* What the module is called there. */
#define NAME "fusetsu"

static int add(struct setup *s, const char *dir, const char *module, const struct tool *what,
               struct err *e)
{
    struct buf db = {0};
    struct tool t = *what;
    int rc = -1;

    buf_printf(&db, "sql:%s", dir);
    if (buf_cstr(&db) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a plan");
    } else {
        const char *const run[] = {"modutil",  "-dbdir", (const char *)db.p,
                                   "-force",   "-add",   NAME,
                                   "-libfile", module,   NULL};
        const char *const undo[] = {"modutil", "-dbdir", (const char *)db.p, "-force", "-delete",
                                    NAME,      NULL};

        t.run = run;
        t.undo = undo;
        t.package = "libnss3-tools";
        rc = setup_tool(s, &t, e);
    }
    buf_free(&db);
    return rc;
}

/* modutil makes databases, but no directory. Taken away again it is by the frame, when it is empty. */
static int make_dir(struct setup *s, const char *dir, const struct tool *what, struct err *e)
{
    static const char *const none[] = {NULL}, *const undo[] = {"true", NULL};
    const char *const run[] = {"mkdir", "-p", "-m", "700", dir, NULL};
    struct tool t = *what;

    t.run = run;
    t.undo = undo;
    t.files = none;
    t.package = "coreutils";
    return setup_tool(s, &t, e);
}

int nss_module(struct setup *s, const char *dir, struct err *e)
{
    static const char *const names[] = {"pkcs11.txt", "cert9.db", "key4.db"};
    const char *module = setup_module(s, e), *files[ARRAY_LEN(names) + 1] = {NULL};
    struct buf path[ARRAY_LEN(names)] = {{0}}, holds = {0};
    struct tool what = {.files = files};
    struct stat st;
    int rc = -1;

    if (module == NULL)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        buf_printf(&path[i], "%s/%s", dir, names[i]);
        files[i] = buf_cstr(&path[i]);
        if (files[i] == NULL)
            goto out;
    }
    buf_printf(&holds, "library=%s\nname=%s\n", module, NAME);
    what.proof = files[0];
    what.holds = buf_cstr(&holds);
    if (what.holds != NULL && (stat(dir, &st) == 0 || make_dir(s, dir, &what, e) == 0))
        rc = add(s, dir, module, &what, e);
out:
    if (rc != 0)
        err_set(e, E_MEMORY, "out of memory for a plan"); /* unless recorded already */
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        buf_free(&path[i]);
    buf_free(&holds);
    return rc;
}
