#include "cli/setup/tree.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct node {
    char *path; /* as it was asked for */
    char *file; /* with links resolved */
    struct tree_state was, is;
};

struct tree {
    struct node **node;
    size_t n;
};

void tree_state_free(struct tree_state *s)
{
    buf_free(&s->content);
    *s = (struct tree_state){0};
}

int tree_state_copy(struct tree_state *out, const struct tree_state *in, struct err *e)
{
    struct tree_state copy = {.exists = in->exists, .owner = in->owner, .content.secret = true};

    buf_add_bytes(&copy.content, buf_bytes(&in->content));
    if (buf_ok(&copy.content, e) != 0) {
        buf_free(&copy.content);
        return -1;
    }
    tree_state_free(out);
    *out = copy;
    return 0;
}

bool tree_state_equal(const struct tree_state *a, const struct tree_state *b)
{
    if (!a->exists || !b->exists)
        return a->exists == b->exists;
    return a->owner.mode == b->owner.mode && a->owner.uid == b->owner.uid &&
           a->owner.gid == b->owner.gid &&
           bytes_equal(buf_bytes(&a->content), buf_bytes(&b->content));
}

struct tree *tree_new(struct err *e)
{
    struct tree *t = calloc(1, sizeof(*t));

    if (t == NULL)
        err_set(e, E_MEMORY, "out of memory for a plan");
    return t;
}

static void node_free(struct node *n)
{
    if (n == NULL)
        return;
    free(n->path);
    free(n->file);
    tree_state_free(&n->was);
    tree_state_free(&n->is);
    free(n);
}

void tree_free(struct tree *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        node_free(t->node[i]);
    free(t->node);
    free(t);
}

/* --- reading ----------------------------------------------------------------------- */

static int read_state(const char *file, struct tree_state *out, struct err *e)
{
    struct stat st;

    tree_state_free(out);
    if (stat(file, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return err_set(e, E_DENIED, "cannot look at %s: %s", file, strerror(errno));
    }
    if (!S_ISREG(st.st_mode))
        return err_set(e, E_EXISTS, "%s is not a regular file; move it away", file);
    /* Settings of others hold passwords at times. */
    out->content.secret = true;
    out->owner = (struct file_owner){st.st_mode & 07777, st.st_uid, st.st_gid};
    out->exists = true;
    return file_read(file, TREE_FILE_MAX, &out->content, e);
}

static int find(struct tree *t, const char *path, struct node **out, struct err *e)
{
    struct node *n = NULL, **room;

    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->node[i]->path, path) == 0) {
            *out = t->node[i];
            return 0;
        }
    }
    if (*path != '/')
        return err_set(e, E_ARG, "%s is not an absolute path", path);
    n = calloc(1, sizeof(*n));
    room = realloc(t->node, (t->n + 1) * sizeof(*room));
    if (room != NULL)
        t->node = room;
    if (n == NULL || room == NULL || (n->path = strdup(path)) == NULL ||
        ((n->file = realpath(path, NULL)) == NULL && (n->file = strdup(path)) == NULL)) {
        node_free(n);
        return err_set(e, E_MEMORY, "out of memory for a plan");
    }
    if (read_state(n->file, &n->was, e) != 0 || tree_state_copy(&n->is, &n->was, e) != 0) {
        node_free(n);
        return -1;
    }
    t->node[t->n++] = n;
    *out = n;
    return 0;
}

int tree_get(struct tree *t, const char *path, const struct tree_state **out, struct err *e)
{
    struct node *n;

    if (find(t, path, &n, e) != 0)
        return -1;
    *out = &n->is;
    return 0;
}

int tree_put(struct tree *t, const char *path, struct bytes content, unsigned mode, struct err *e)
{
    struct tree_state to = {.exists = true, .owner = {mode, geteuid(), getegid()}};
    struct node *n;
    int rc = -1;

    if (find(t, path, &n, e) != 0)
        return -1;
    if (n->is.exists)
        to.owner = n->is.owner;
    to.content.secret = true;
    buf_add_bytes(&to.content, content);
    if (buf_ok(&to.content, e) == 0)
        rc = tree_state_copy(&n->is, &to, e);
    tree_state_free(&to);
    return rc;
}

int tree_restore(struct tree *t, const char *path, const struct tree_state *to, struct err *e)
{
    struct node *n;

    return find(t, path, &n, e) == 0 ? tree_state_copy(&n->is, to, e) : -1;
}

/* --- writing ----------------------------------------------------------------------- */

static bool changed(const struct node *n)
{
    return !tree_state_equal(&n->was, &n->is);
}

bool tree_changed(const struct tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (changed(t->node[i]))
            return true;
    }
    return false;
}

void tree_visit(const struct tree *t, tree_each *call, void *arg)
{
    for (size_t i = 0; i < t->n; i++) {
        if (changed(t->node[i]))
            call(arg, t->node[i]->path, &t->node[i]->was, &t->node[i]->is);
    }
}

/* Calls `act` for each directory above the file that is missing, outermost first. */
static int missing_dirs(const char *file, int (*act)(const char *dir, struct err *e), struct err *e)
{
    char dir[PATH_MAX];
    struct stat st;

    if (strlen(file) >= sizeof(dir))
        return err_set(e, E_ARG, "the path %.60s... is too long", file);
    for (size_t i = 1; file[i] != 0; i++) {
        if (file[i] != '/')
            continue;
        snprintf(dir, sizeof(dir), "%.*s", (int)i, file);
        if (stat(dir, &st) != 0 && act(dir, e) != 0)
            return -1;
    }
    return 0;
}

static int make_dir(const char *dir, struct err *e)
{
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return err_set(e, E_DENIED, "cannot create the directory %s: %s", dir, strerror(errno));
    return 0;
}

/* The innermost directory that is there must let us make what is missing. */
static int probe_dir(const char *file, struct err *e)
{
    char dir[PATH_MAX];
    size_t n = strlen(file);

    if (n >= sizeof(dir))
        return err_set(e, E_ARG, "the path %.60s... is too long", file);
    snprintf(dir, sizeof(dir), "%s", file);
    do {
        while (n > 1 && dir[n - 1] != '/')
            n--;
        dir[n > 1 ? n - 1 : n] = 0;
        n = strlen(dir);
    } while (access(dir, F_OK) != 0 && n > 1);
    if (access(dir, W_OK | X_OK) != 0)
        return err_set(e, E_DENIED, "cannot write %s: %s; become the user whose file it is", file,
                       strerror(errno));
    return 0;
}

static int unchanged_on_disk(const struct node *n, struct err *e)
{
    struct tree_state now = {0};
    int rc = read_state(n->file, &now, e);

    if (rc == 0 && !tree_state_equal(&now, &n->was))
        rc = err_set(e, E_BUSY, "%s was changed by somebody else just now; try again", n->path);
    tree_state_free(&now);
    return rc;
}

int tree_probe(const struct tree *t, struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        if (changed(t->node[i]) &&
            (unchanged_on_disk(t->node[i], e) != 0 || probe_dir(t->node[i]->file, e) != 0))
            return -1;
    }
    return 0;
}

static int commit(struct node *n, struct err *e)
{
    if (unchanged_on_disk(n, e) != 0)
        return -1;
    if (!n->is.exists) {
        if (unlink(n->file) != 0 && errno != ENOENT)
            return err_set(e, E_DENIED, "cannot remove %s: %s", n->path, strerror(errno));
    } else if (missing_dirs(n->file, make_dir, e) != 0 ||
               file_replace(n->file, buf_bytes(&n->is.content), &n->is.owner, e) != 0) {
        return -1;
    }
    return tree_state_copy(&n->was, &n->is, e);
}

int tree_commit(struct tree *t, struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        if (changed(t->node[i]) && commit(t->node[i], e) != 0)
            return -1;
    }
    return 0;
}
