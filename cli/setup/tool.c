#include "cli/setup/tool.h"

#include "cli/setup/record.h"

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

static bool holds(const char *path, const char *text)
{
    struct buf content = {.secret = true};
    const char *have = NULL;
    bool found = false;

    if (file_read(path, TREE_FILE_MAX, &content, NULL) == 0)
        have = buf_cstr(&content);
    if (have != NULL)
        found = strstr(have, text) != NULL;
    buf_free(&content);
    return found;
}

bool tool_done(const struct tool *t)
{
    return holds(t->proof, t->holds);
}

static json_t *strings(const char *const *list)
{
    json_t *out = json_array();

    for (; out != NULL && *list != NULL; list++) {
        if (json_array_append_new(out, json_string(*list)) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* The state of each file now, as its `before`; nothing is known of its `after` yet. */
static json_t *files_now(const char *const *paths, struct err *e)
{
    struct tree *now = tree_new(e);
    json_t *out = json_array();

    for (; now != NULL && out != NULL && *paths != NULL; paths++) {
        const struct tree_state *is;
        json_t *file = NULL;

        if (tree_get(now, *paths, &is, e) == 0)
            file = record_file(*paths, is, is, e);
        if (file == NULL || json_array_append_new(out, file) != 0) {
            json_decref(out);
            out = NULL;
        }
    }
    tree_free(now);
    return out;
}

json_t *tool_entry(const struct tool *t, struct err *e)
{
    json_t *out = json_pack("{s:s,s:o,s:o,s:s,s:s,s:s,s:o}", "kind", "tool", "run", strings(t->run),
                            "undo", strings(t->undo), "proof", t->proof, "holds", t->holds,
                            "package", t->package, "files", files_now(t->files, e));

    if (out == NULL)
        err_set(e, E_MEMORY, "out of memory for the record of a setup");
    return out;
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *s = json_string_value(json_object_get(entry, key));

    return s != NULL ? s : "";
}

bool tool_stands(const json_t *entry, const struct tool *t)
{
    json_t *argv = strings(t->run);
    bool same = strcmp(text_of(entry, "kind"), "tool") == 0 &&
                json_equal(json_object_get(entry, "run"), argv);

    json_decref(argv);
    return same && tool_done(t);
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

int tool_do(json_t *entry, struct err *e)
{
    struct tree *now = NULL;
    int rc = -1;

    if (run(json_object_get(entry, "run"), text_of(entry, "package"), e) == 0 &&
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

    (void)is;
    if (record_before(file, &before, e) == 0)
        rc = tree_restore(now, text_of(file, "path"), &before, e);
    tree_state_free(&before);
    return rc;
}

int tool_undo(const json_t *entry, struct err *e)
{
    struct tree *now = tree_new(e);
    int rc = -1;

    if (now == NULL)
        return -1;
    if (each_file(entry, now, is_as_left, NULL) == 0)
        rc = each_file(entry, now, restore, e) == 0 ? tree_commit(now, e) : -1;
    else if (holds(text_of(entry, "proof"), text_of(entry, "holds")))
        rc = run(json_object_get(entry, "undo"), text_of(entry, "package"), e);
    else
        rc = 0;
    tree_free(now);
    return rc;
}

void tool_print(const json_t *argv, struct buf *out)
{
    json_t *one;
    size_t i;

    json_array_foreach (argv, i, one) {
        const char *s = json_string_value(one);
        bool plain = s != NULL && *s != 0 && s[strcspn(s, " \t\n'\"\\$`*?;&|<>()")] == 0;

        buf_printf(out, "%s%s%s%s", i != 0 ? " " : "", plain ? "" : "'", s != NULL ? s : "",
                   plain ? "" : "'");
    }
}
