#include "ca/registry_clock.h"

#include "ca/registry_db.h"

#include <time.h>

#define TIME_TEXT 32

static void say(int64_t t, char out[TIME_TEXT])
{
    time_t at = (time_t)t;
    struct tm tm;

    if (gmtime_r(&at, &tm) == NULL || strftime(out, TIME_TEXT, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
        out[0] = 0;
}

/* The date that a statement finds; it gives one, none or NULL. */
static int date(struct registry *r, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e, sql, "") == 0)
        row = registry_db_step(r, st, e);
    *out = row == 1 && sqlite3_column_type(st, 0) != SQLITE_NULL ? sqlite3_column_int64(st, 0)
                                                                 : INT64_MIN;
    sqlite3_finalize(st);
    return row < 0 ? -1 : 0;
}

static int judge(int64_t now, int64_t last, const char *what, const char *remedy, struct err *e)
{
    char ours[TIME_TEXT], theirs[TIME_TEXT];

    if (now >= last)
        return 0;
    say(now, ours);
    say(last, theirs);
    return err_set(e, E_REJECTED,
                   "the clock stands at %s, before the authority's last %s (%s); set it right; if "
                   "it was ahead then, %s",
                   ours, what, theirs, remedy);
}

int registry_clock_certs(struct registry *r, int64_t now, struct err *e)
{
    int64_t last;

    /* 2 is REGISTRY_REVOKED. */
    if (date(r,
             "SELECT issued_at FROM issued i WHERE NOT EXISTS (SELECT 1 FROM status s WHERE "
             "s.issued = i.id AND s.state = 2) ORDER BY issued_at DESC LIMIT 1",
             &last, e) != 0)
        return -1;
    return judge(now, last, "certificate", "revoke what was issued (`fusetsu ca list`)", e);
}

int registry_clock(struct registry *r, int64_t now, struct err *e)
{
    int64_t last;

    if (registry_clock_certs(r, now, e) != 0 ||
        date(r,
             "SELECT max(this_update) FROM (SELECT this_update, max(number) FROM crl "
             "GROUP BY role, community)",
             &last, e) != 0)
        return -1;
    return judge(now, last, "CRL", "make the next of each CA by `fusetsu ca crl --clock-was-ahead`",
                 e);
}
