#include "cli/setup/tool.h"

#include "cli/setup/nss.h"
#include "cli/setup/record.h"
#include "core/descent.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 24

extern char **environ;

/* --- running ------------------------------------------------------------------------- */

static void keep_last_line(char *text)
{
    size_t n = strlen(text);
    char *line;

    while (n > 0 && strchr("\r\n ", text[n - 1]) != NULL)
        text[--n] = 0;
    line = strrchr(text, '\n');
    if (line != NULL)
        memmove(text, line + 1, strlen(line + 1) + 1);
}

/* Waits for the process and keeps the end of what it said. */
static int wait_for(pid_t pid, int fd, char said[512])
{
    int status = -1;
    size_t n = 0;
    ssize_t got;
    char part[256];

    while ((got = read(fd, part, sizeof(part))) > 0 || (got < 0 && errno == EINTR)) {
        size_t m = got > 0 ? (size_t)got : 0;

        if (n + m > 511) {
            memmove(said, &said[n + m - 511], 511 - m);
            n = 511 - m;
        }
        memcpy(&said[n], part, m);
        n += m;
    }
    said[n] = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    keep_last_line(said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int run(const json_t *argv, const char *package, struct err *e)
{
    char *args[ARGS_MAX + 1] = {NULL}, said[512] = "";
    posix_spawn_file_actions_t act;
    int fd[2], why, rc = -1, status;
    pid_t pid = -1;
    json_t *one;
    size_t i;

    json_array_foreach (argv, i, one) {
        if (i < ARGS_MAX)
            args[i] = (char *)(uintptr_t)json_string_value(one);
    }
    if (args[0] == NULL || i > ARGS_MAX || pipe2(fd, O_CLOEXEC) != 0)
        return err_set(e, E_IO, "a program could not be run");
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_addopen(&act, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&act, fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&act, fd[1], STDERR_FILENO);
    why = posix_spawnp(&pid, args[0], &act, NULL, args, environ);
    posix_spawn_file_actions_destroy(&act);
    close(fd[1]);
    if (why == ENOENT) {
        err_set(e, E_NOT_FOUND, "%s is not installed; on Debian it is in the package %s", args[0],
                package);
    } else if (why != 0) {
        err_set(e, E_IO, "%s cannot be run: %s", args[0], strerror(why));
    } else {
        status = wait_for(pid, fd[0], said);
        rc = status == 0 ? 0 : err_set(e, E_IO, "%s ended with %d: %s", args[0], status, said);
    }
    close(fd[0]);
    return rc;
}

/* --- entries ----------------------------------------------------------------------------- */

static const char *text_of(const json_t *entry, const char *key)
{
    const char *s = json_string_value(json_object_get(entry, key));

    return s != NULL ? s : "";
}

/* The state of the file now, as its `before`; nothing is known of its `after` yet. */
static int add_file(json_t *files, struct tree *now, const char *path, struct err *e)
{
    const struct tree_state *is;
    json_t *file;

    if (tree_get(now, path, &is, e) != 0)
        return -1;
    file = record_file(path, is, is, e);
    return file != NULL && json_array_append_new(files, file) == 0 ? 0 : -1;
}

/* Databases that are there can be large and do not change: what is kept is the list of modules. */
static int add_files(json_t *files, const char *dir, struct err *e)
{
    struct tree *now = tree_new(e);
    int rc = now != NULL ? 0 : -1;

    for (size_t i = 0; rc == 0 && nss_files[i] != NULL; i++) {
        struct buf path = {0};

        buf_printf(&path, "%s/%s", dir, nss_files[i]);
        if (buf_cstr(&path) == NULL)
            rc = err_set(e, E_MEMORY, "out of memory for a path");
        else if (i == 0 || access((const char *)path.p, F_OK) != 0)
            rc = add_file(files, now, (const char *)path.p, e);
        buf_free(&path);
    }
    tree_free(now);
    return rc;
}

json_t *tool_entry(const char *dir, const char *module, struct err *e)
{
    json_t *files = json_array();
    json_t *out = json_pack("{s:s,s:s,s:s,s:O}", "kind", "tool", "dir", dir, "module", module,
                            "files", files);

    if (out == NULL || add_files(files, dir, e) != 0) {
        err_set(e, E_MEMORY, "out of memory for the record of a setup"); /* unless recorded */
        json_decref(out);
        out = NULL;
    }
    json_decref(files);
    return out;
}

bool tool_stands(const json_t *entry, const char *dir, const char *module)
{
    return strcmp(text_of(entry, "kind"), "tool") == 0 && strcmp(text_of(entry, "dir"), dir) == 0 &&
           strcmp(text_of(entry, "module"), module) == 0 && nss_has(dir, module);
}

json_t *tool_file(const json_t *entry)
{
    return json_object_get(json_array_get(json_object_get(entry, "files"), 0), "path");
}

json_t *tool_argv(const json_t *entry, bool undo)
{
    return nss_argv(text_of(entry, "dir"), text_of(entry, "module"), undo);
}

static int run_entry(const json_t *entry, bool undo, struct err *e)
{
    json_t *argv = tool_argv(entry, undo);
    int rc = run(argv, NSS_PACKAGE, e);

    json_decref(argv);
    return rc;
}

/* Calls for each file of an entry with its present state; stops at the first -1. */
static int each_file(const json_t *entry, struct tree *now,
                     int (*call)(json_t *file, struct tree *now, const struct tree_state *is,
                                 struct err *e),
                     struct err *e)
{
    const struct tree_state *is;
    json_t *file;
    size_t i;

    json_array_foreach (json_object_get(entry, "files"), i, file) {
        if (tree_get(now, text_of(file, "path"), &is, e) != 0 || call(file, now, is, e) != 0)
            return -1;
    }
    return 0;
}

static int note_after(json_t *file, struct tree *now, const struct tree_state *is, struct err *e)
{
    (void)now;
    return record_set_after(file, is, e);
}

/* modutil makes databases, but no directory. */
static int make_directory(const json_t *entry, struct err *e)
{
    struct descent at;
    int rc;

    if (descent_open(json_string_value(tool_file(entry)), false, &at, e) != 0)
        return -1;
    rc = descent_make(&at, 0700, e);
    descent_close(&at);
    return rc;
}

/* Where the same program stood with another module, that has been taken back since the plan was
 * made: what is there now is what was before. Directories that were made for it stay ours. */
static int look_again(json_t *entry, struct err *e)
{
    json_t *files = json_array(), *planned = json_object_get(entry, "files");
    int rc = -1;

    if (files != NULL && add_files(files, text_of(entry, "dir"), e) == 0 &&
        json_array_extend(json_object_get(json_array_get(files, 0), "dirs"),
                          json_object_get(json_array_get(planned, 0), "dirs")) == 0)
        rc = json_object_set(entry, "files", files);
    json_decref(files);
    return rc == 0 ? 0 : err_set(e, E_MEMORY, "out of memory for a plan"); /* unless recorded */
}

int tool_do(json_t *entry, struct err *e)
{
    struct tree *now = NULL;
    int rc = -1;

    if (nss_check(text_of(entry, "dir"), e) == 0 && look_again(entry, e) == 0 &&
        make_directory(entry, e) == 0 && run_entry(entry, false, e) == 0 &&
        (now = tree_new(e)) != NULL)
        rc = each_file(entry, now, note_after, e);
    tree_free(now);
    return rc;
}

static int is_as_left(json_t *file, struct tree *now, const struct tree_state *is, struct err *e)
{
    (void)now;
    (void)e;
    return record_is_after(file, is) ? 0 : -1;
}

static int restore(json_t *file, struct tree *now, const struct tree_state *is, struct err *e)
{
    struct tree_state before = {0};
    int rc = -1;

    if (record_before(file, is, &before, e) == 0)
        rc = tree_restore(now, text_of(file, "path"), &before, e);
    tree_state_free(&before);
    return rc;
}

int tool_undo(const json_t *entry, struct err *e)
{
    const char *dir = text_of(entry, "dir");
    struct tree *now = NULL;
    int rc = -1;

    if (nss_check(dir, e) != 0 || (now = tree_new(e)) == NULL)
        return -1;
    if (each_file(entry, now, is_as_left, NULL) == 0)
        rc = each_file(entry, now, restore, e) == 0 ? tree_commit(now, e) : -1;
    else if (nss_has(dir, text_of(entry, "module")))
        rc = run_entry(entry, true, e);
    else
        rc = 0;
    tree_free(now);
    return rc;
}

/* Quoted for a shell where it is not plain. */
static void print_word(const char *s, struct buf *out)
{
    if (*s != 0 && s[strcspn(s, " \t\n'\"\\$`*?;&|<>()#!~[]{}")] == 0) {
        buf_str(out, s);
        return;
    }
    buf_u8(out, '\'');
    for (; *s != 0; s++) {
        if (*s == '\'')
            buf_str(out, "'\\'");
        buf_u8(out, (uint8_t)*s);
    }
    buf_u8(out, '\'');
}

void tool_print(const json_t *argv, struct buf *out)
{
    json_t *one;
    size_t i;

    json_array_foreach (argv, i, one) {
        if (i != 0)
            buf_u8(out, ' ');
        print_word(json_is_string(one) ? json_string_value(one) : "", out);
    }
}
