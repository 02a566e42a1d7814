/* Transactions of the store: nested by counting, ended by the outermost. */
#include "core/store_db.h"

#include <unistd.h>

/* After some failures (disk full, no memory) SQLite rolls back by itself; what
 * followed would then be written one by one. */
static bool lost(struct store *s)
{
    if (s->depth != 0 && sqlite3_get_autocommit(s->db) != 0)
        s->doomed = true;
    return s->doomed;
}

int store_begin(struct store *s, struct err *e)
{
    if (lost(s))
        return err_set(e, E_IO,
                       "the transaction on the token store %s was rolled back already; end"
                       " it and start again",
                       s->path);
    /* IMMEDIATE: a transaction that began by reading could not always go on to
     * write, and waiting would not help it. */
    if (s->depth == 0 &&
        store_db_do(s, s->mode == STORE_READ ? "BEGIN" : "BEGIN IMMEDIATE", NULL, 0, e) != 0)
        return -1;
    s->depth++;
    return 0;
}

int store_commit(struct store *s, struct err *e)
{
    if (s->depth == 0)
        return err_set(e, E_ARG, "no transaction is open on the token store %s", s->path);
    if (!lost(s)) {
        if (s->depth > 1 || ((s->keep == NULL || s->keep(s->keep_arg, e) == 0) &&
                             store_db_do(s, "COMMIT", NULL, 0, e) == 0)) {
            s->depth--;
            return 0;
        }
    } else {
        err_set(e, E_IO,
                "the transaction on the token store %s was rolled back by a part of it;"
                " nothing was written; try again",
                s->path);
    }
    /* An inner level stays open for the rollback that its caller does next. */
    if (s->depth == 1)
        store_rollback(s);
    return -1;
}

void store_keeper(struct store *s, store_keeper_fn *keep, void *arg)
{
    s->keep = keep;
    s->keep_arg = arg;
}

void store_rollback(struct store *s)
{
    if (s->depth == 0)
        return;
    if (!s->doomed && s->pid == getpid() && sqlite3_get_autocommit(s->db) == 0)
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->depth--;
    s->doomed = s->depth != 0;
}
