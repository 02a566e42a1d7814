#include "cli/setup/tree.h"

#include "core/descent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct node {
    char *path;
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

static int read_state(const struct descent *at, const char *path, struct tree_state *out,
                      struct err *e)
{
    struct stat st;
    int fd, rc = -1;

    tree_state_free(out);
    if (descent_read(at, path, false, &fd, e) != 0)
        return -1;
    if (fd < 0)
        return 0;
    /* Settings of others hold passwords at times. */
    out->content.secret = true;
    out->exists = true;
    if (fstat(fd, &st) != 0)
        err_set(e, E_IO, "cannot look at %s: %s", path, strerror(errno));
    else
        rc = file_read_fd(fd, path, TREE_FILE_MAX, &out->content, e);
    out->owner = (struct file_owner){st.st_mode & 07777, st.st_uid, st.st_gid};
    close(fd);
    return rc;
}

static int find(struct tree *t, const char *path, struct node **out, struct err *e)
{
    struct node *n = NULL, **room;
    struct descent at;
    int rc = -1;

    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->node[i]->path, path) == 0) {
            *out = t->node[i];
            return 0;
        }
    }
    if (descent_open(path, false, &at, e) != 0)
        return -1;
    n = calloc(1, sizeof(*n));
    room = realloc(t->node, (t->n + 1) * sizeof(*room));
    if (room != NULL)
        t->node = room;
    if (n == NULL || room == NULL || (n->path = strdup(path)) == NULL)
        err_set(e, E_MEMORY, "out of memory for a plan");
    else if (read_state(&at, path, &n->was, e) == 0)
        rc = tree_state_copy(&n->is, &n->was, e);
    if (rc == 0)
        *out = t->node[t->n++] = n;
    else
        node_free(n);
    descent_close(&at);
    return rc;
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

static int unchanged_on_disk(const struct node *n, const struct descent *at, struct err *e)
{
    struct tree_state now = {0};
    int rc = read_state(at, n->path, &now, e);

    if (rc == 0 && !tree_state_equal(&now, &n->was))
        rc = err_set(e, E_BUSY, "%s was changed by somebody else just now; try again", n->path);
    tree_state_free(&now);
    return rc;
}

/* The innermost directory that is there must let us make what is missing. */
static int probe(const struct node *n, struct err *e)
{
    struct descent at;
    int rc = -1;

    if (descent_open(n->path, false, &at, e) != 0)
        return -1;
    if (unchanged_on_disk(n, &at, e) == 0)
        rc = faccessat(at.dir, ".", W_OK | X_OK, AT_EACCESS) == 0
                 ? 0
                 : err_set(e, E_DENIED, "cannot write %s: %s; become the user whose file it is",
                           n->path, strerror(errno));
    descent_close(&at);
    return rc;
}

int tree_probe(const struct tree *t, struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        if (changed(t->node[i]) && probe(t->node[i], e) != 0)
            return -1;
    }
    return 0;
}

/* What is compared and what is replaced is in one directory, which stays open meanwhile. */
static int commit(struct node *n, struct err *e)
{
    struct descent at;
    int rc = -1;

    if (descent_open(n->path, false, &at, e) != 0)
        return -1;
    if (unchanged_on_disk(n, &at, e) != 0)
        goto out;
    if (!n->is.exists) {
        if (descent_arrived(&at) && unlinkat(at.dir, at.rest, 0) != 0 && errno != ENOENT) {
            err_set(e, E_DENIED, "cannot remove %s: %s", n->path, strerror(errno));
            goto out;
        }
    } else if (descent_make(&at, 0755, e) != 0 ||
               file_replace(at.dir, at.rest, n->path, buf_bytes(&n->is.content), &n->is.owner, e) !=
                   0) {
        goto out;
    }
    rc = tree_state_copy(&n->was, &n->is, e);
out:
    descent_close(&at);
    return rc;
}

int tree_commit(struct tree *t, struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        if (changed(t->node[i]) && commit(t->node[i], e) != 0)
            return -1;
    }
    return 0;
}

void tree_sweep(const char *path)
{
    struct descent at;

    if (descent_open(path, false, &at, NULL) != 0)
        return;
    if (descent_arrived(&at))
        file_sweep(at.dir, at.rest);
    descent_close(&at);
}

void tree_rmdir(const char *path)
{
    struct descent at;

    if (descent_open(path, false, &at, NULL) != 0)
        return;
    if (descent_arrived(&at))
        (void)unlinkat(at.dir, at.rest, AT_REMOVEDIR);
    descent_close(&at);
}
