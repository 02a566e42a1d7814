#include "ca/registry_ssh.h"

#include "ca/registry_db.h"
#include "core/oid.h"

int registry_set_ssh_ca(struct registry *r, unsigned community, const struct registry_key *key,
                        struct bytes spki, struct err *e)
{
    return registry_db_run(r, e, "INSERT INTO ssh_ca VALUES (?, ?, ?, ?)", "itbb",
                           (int64_t)community, key->token, bytes_of(key->id, key->id_len), spki);
}

int registry_ssh_ca(struct registry *r, unsigned community, struct registry_key *key,
                    struct buf *spki, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (registry_db_prepare(r, &st, e, "SELECT token, key_id, spki FROM ssh_ca WHERE community = ?",
                            "i", (int64_t)community) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND,
                "the authority has no key that certifies for SSH in %s; `fusetsu ca ssh-authority` "
                "makes one",
                oid_community_name(community) != NULL ? oid_community_name(community) : "it");
    if (row == 1)
        rc = registry_db_key(r, st, 0, key, spki, e);
    sqlite3_finalize(st);
    return rc;
}

int registry_ssh_key_taken(struct registry *r, unsigned community, const struct registry_key *key,
                           struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1;

    /* By the id alone: a token has two names, its label and its serial number. */
    if (registry_db_prepare(
            r, &st, e,
            "SELECT 1 FROM (SELECT key_id FROM ca UNION SELECT key_id FROM responder UNION SELECT "
            "key_id FROM ssh_ca WHERE community <> ?) WHERE key_id = ? LIMIT 1",
            "ib", (int64_t)community, bytes_of(key->id, key->id_len)) == 0)
        rc = registry_db_step(r, st, e);
    sqlite3_finalize(st);
    return rc;
}

int registry_add_ssh(struct registry *r, unsigned community, uint64_t serial, int64_t issued,
                     int64_t expires_at, struct err *e)
{
    return registry_db_run(r, e, "INSERT INTO ssh_cert VALUES (?, ?, ?, ?)", "iiii",
                           (int64_t)serial, (int64_t)community, issued, expires_at);
}

int registry_ssh_on(struct registry *r, int64_t issued, int64_t now, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT 1 FROM ssh_cert WHERE issued = ? AND expires_at >= ? LIMIT 1",
                            "ii", issued, now) == 0)
        rc = registry_db_step(r, st, e);
    sqlite3_finalize(st);
    return rc;
}

int registry_ssh_bad(struct registry *r, unsigned community, int64_t now,
                     bool (*each)(void *ctx, uint64_t serial), void *ctx, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT c.serial FROM ssh_cert c JOIN status s ON s.issued = c.issued "
                            "WHERE c.community = ? AND c.expires_at >= ? AND s.state <> 0 "
                            "ORDER BY c.serial",
                            "ii", (int64_t)community, now) != 0)
        goto out;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (!each(ctx, (uint64_t)sqlite3_column_int64(st, 0)))
            break;
    }
    rc = row < 0 ? -1 : 0;
out:
    sqlite3_finalize(st);
    return rc;
}
