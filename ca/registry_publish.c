#include "ca/registry_publish.h"

#include "ca/registry_db.h"

#include <string.h>

/* --- where --------------------------------------------------------------------------------- */

int registry_set_urls(struct registry *r, const struct registry_urls *u, struct err *e)
{
    return registry_db_run(
        r, e, "INSERT OR REPLACE INTO publication (one, crl_url, ocsp_url) VALUES (1, ?, ?)", "tt",
        u->crl, u->ocsp);
}

int registry_urls(struct registry *r, struct registry_urls *u, struct err *e)
{
    struct registry_urls got = {0};
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e, "SELECT crl_url, ocsp_url FROM publication", "") != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 1 && (registry_db_text(r, st, 0, got.crl, sizeof(got.crl), e) != 0 ||
                     registry_db_text(r, st, 1, got.ocsp, sizeof(got.ocsp), e) != 0))
        row = -1;
    sqlite3_finalize(st);
    if (row < 0)
        return -1;
    *u = got;
    return 0;
}

/* --- CRLs ---------------------------------------------------------------------------------- */

int registry_crl_last(struct registry *r, enum registry_role issuer, unsigned community, bool full,
                      struct registry_crl *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT number, base, change, this_update, next_update FROM crl WHERE "
                            "role = ? AND community = ? AND (base = 0 OR ? = 0) "
                            "ORDER BY number DESC LIMIT 1",
                            "iii", (int64_t)issuer, (int64_t)community, (int64_t)full) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 1)
        *out = (struct registry_crl){.number = sqlite3_column_int64(st, 0),
                                     .base = sqlite3_column_int64(st, 1),
                                     .change = sqlite3_column_int64(st, 2),
                                     .this_update = sqlite3_column_int64(st, 3),
                                     .next_update = sqlite3_column_int64(st, 4)};
    sqlite3_finalize(st);
    return row;
}

int registry_crl_add(struct registry *r, enum registry_role issuer, unsigned community,
                     const struct registry_crl *c, struct err *e)
{
    return registry_db_run(r, e,
                           "INSERT INTO crl (role, community, number, base, change, this_update, "
                           "next_update) VALUES (?, ?, ?, ?, ?, ?, ?)",
                           "iiiiiii", (int64_t)issuer, (int64_t)community, c->number, c->base,
                           c->change, c->this_update, c->next_update);
}

int registry_changes(struct registry *r, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e, "SELECT coalesce(max(change), 0) FROM status", "") != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 1)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return row == 1 ? 0 : -1;
}

int registry_changed(struct registry *r, enum registry_role issuer, unsigned community,
                     int64_t alive, int64_t change,
                     bool (*each)(void *ctx, const char *serial, const struct registry_status *s),
                     void *ctx, struct err *e)
{
    struct registry_status s = {0};
    sqlite3_stmt *st = NULL;
    unsigned state = 0;
    char serial[43];
    int rc = -1, row = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT i.serial, s.state, s.reason, s.since, s.invalid_at FROM status "
                            "s JOIN issued i ON i.id = s.issued WHERE i.role = ? AND (i.role < 3 "
                            "OR i.community = ?) AND ((s.state <> 0 AND i.expires_at >= ?) OR "
                            "s.change > ?) ORDER BY s.issued",
                            "iiii", (int64_t)issuer, (int64_t)community, alive, change) != 0)
        return -1;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (registry_db_text(r, st, 0, serial, sizeof(serial), e) != 0 ||
            registry_db_small(r, st, 1, REGISTRY_STATES - 1, &state, e) != 0 ||
            registry_db_small(r, st, 2, REGISTRY_REASON_MAX, &s.reason, e) != 0)
            goto out;
        s.state = (enum registry_state)state;
        s.since = sqlite3_column_int64(st, 3);
        s.invalid_at = sqlite3_column_int64(st, 4);
        if (!each(ctx, serial, &s))
            break;
    }
    rc = row < 0 ? -1 : 0;
out:
    sqlite3_finalize(st);
    return rc;
}

/* --- OCSP responders ----------------------------------------------------------------------- */

int registry_set_responder(struct registry *r, enum registry_role issuer, unsigned community,
                           const struct registry_key *key, struct bytes cert_der, struct err *e)
{
    return registry_db_run(r, e, "INSERT OR REPLACE INTO responder VALUES (?, ?, ?, ?, ?)", "iitbb",
                           (int64_t)issuer, (int64_t)community, key->token,
                           bytes_of(key->id, key->id_len), cert_der);
}

int registry_responder(struct registry *r, enum registry_role issuer, unsigned community,
                       struct registry_key *key, struct buf *cert_der, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (registry_db_prepare(
            r, &st, e, "SELECT token, key_id, cert FROM responder WHERE role = ? AND community = ?",
            "ii", (int64_t)issuer, (int64_t)community) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND,
                "the %s CA has no OCSP responder; make it with `fusetsu ca ocsp-responder`",
                registry_role_name(issuer));
    if (row == 1)
        rc = registry_db_key(r, st, 0, key, cert_der, e);
    sqlite3_finalize(st);
    return rc;
}
