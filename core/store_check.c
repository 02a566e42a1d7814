/* Whether the file is sound, as SQLite judges it; rows' tags are judged at a login. */
#include "core/store_db.h"

#include <string.h>

int store_check(struct store *s, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;
    const char *first;

    if (store_db_query(s, &st, "PRAGMA quick_check(1)", NULL, 0, e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row < 0)
        goto out;
    first = row == 1 ? (const char *)sqlite3_column_text(st, 0) : NULL;
    if (first == NULL || strcmp(first, "ok") != 0) {
        err_set(e, E_CORRUPT,
                "the token store %s is damaged (%.120s); restore it from a backup or move it away",
                s->path, first != NULL ? first : "no answer");
        goto out;
    }
    sqlite3_finalize(st);
    st = NULL;
    if (store_db_query(s, &st, "PRAGMA foreign_key_check", NULL, 0, e) != 0)
        goto out;
    row = store_db_next(s, st, e);
    if (row == 1)
        err_set(e, E_CORRUPT,
                "the token store %s is damaged: a row of table %.40s belongs to nothing; restore it"
                " from a backup or move it away",
                s->path, (const char *)sqlite3_column_text(st, 0));
    rc = row == 0 ? 0 : -1;
out:
    sqlite3_finalize(st);
    return rc;
}
