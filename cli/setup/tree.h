#ifndef CLI_SETUP_TREE_H
#define CLI_SETUP_TREE_H

#include "core/buf.h"
#include "core/file.h"

/*
 * Files as they shall become. A plan reads and writes here; nothing reaches the disk before
 * tree_commit, which writes each changed file atomically, with the owner and mode that it had.
 */
struct tree;

/* A file larger than this is none that we edit. */
#define TREE_FILE_MAX ((size_t)4 << 20)

/* One state of a file. */
struct tree_state {
    bool exists;
    struct buf content;
    struct file_owner owner;
};
void tree_state_free(struct tree_state *s);
int tree_state_copy(struct tree_state *out, const struct tree_state *in, struct err *e) MUST_USE;
bool tree_state_equal(const struct tree_state *a, const struct tree_state *b);

struct tree *tree_new(struct err *e) MUST_USE;
void tree_free(struct tree *t); /* NULL is fine */

/* The file as it would be now. The first time it is read from the disk; a symbolic link stands
 * for the file that it names. The pointer holds until the file's next change. E_EXISTS when it
 * is no regular file, else as descent_open and file_read: root touches nothing whose directory
 * somebody else could swap. */
int tree_get(struct tree *t, const char *path, const struct tree_state **out,
             struct err *e) MUST_USE;

/* Gives it new content; a new file is this process's, with `mode`. */
int tree_put(struct tree *t, const char *path, struct bytes content, unsigned mode,
             struct err *e) MUST_USE;

/* Gives it a state that it had before; one that does not exist takes it away. */
int tree_restore(struct tree *t, const char *path, const struct tree_state *to,
                 struct err *e) MUST_USE;

/* Is there anything to commit? */
bool tree_changed(const struct tree *t);

/* Calls for each file that will change, in the order in which they were first asked for. */
typedef void tree_each(void *arg, const char *path, const struct tree_state *from,
                       const struct tree_state *to);
void tree_visit(const struct tree *t, tree_each *call, void *arg);

/* Would the commit be allowed? Leaves nothing behind. E_BUSY when a file was changed by
 * somebody else since it was read. */
int tree_probe(const struct tree *t, struct err *e) MUST_USE;

/* Makes directories that are missing (mode 0755) and writes what changed. */
int tree_commit(struct tree *t, struct err *e) MUST_USE;

/* What a commit that was killed left beside the file goes. */
void tree_sweep(const char *path);

/* A directory goes when it is empty. */
void tree_rmdir(const char *path);

#endif
