#include "ca/registry_status.h"

#include "ca/registry_db.h"

#include <stdlib.h>
#include <string.h>

static const char *const states[REGISTRY_STATES] = {"good", "suspended", "revoked"};

const char *registry_state_name(enum registry_state s)
{
    return (unsigned)s < REGISTRY_STATES ? states[s] : NULL;
}

static const char *const reasons[REGISTRY_REASON_MAX + 1] = {
    [REGISTRY_UNSPECIFIED] = "unspecified",
    [REGISTRY_KEY_COMPROMISE] = "keyCompromise",
    [REGISTRY_CA_COMPROMISE] = "cACompromise",
    [REGISTRY_AFFILIATION_CHANGED] = "affiliationChanged",
    [REGISTRY_SUPERSEDED] = "superseded",
    [REGISTRY_CESSATION] = "cessationOfOperation",
    [REGISTRY_HOLD] = "certificateHold",
    [REGISTRY_REMOVED] = "removeFromCRL",
    [REGISTRY_PRIVILEGE_WITHDRAWN] = "privilegeWithdrawn",
};

const char *registry_reason_name(unsigned reason)
{
    return reason <= REGISTRY_REASON_MAX ? reasons[reason] : NULL;
}

/* Is it one to revoke for? */
static bool final(unsigned reason)
{
    return registry_reason_name(reason) != NULL && reason != REGISTRY_HOLD &&
           reason != REGISTRY_REMOVED;
}

bool registry_reason_named(const char *name, unsigned *out)
{
    for (unsigned i = 0; i <= REGISTRY_REASON_MAX; i++) {
        if (final(i) && strcmp(name, reasons[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* --- reading ------------------------------------------------------------------------------- */

#define COLUMNS                                                                                                              \
    "SELECT i.id, i.role, i.community, i.serial, i.subject, i.spki_hash, i.ek_hash, "                                        \
    "i.issued_at, i.expires_at, coalesce(s.state, 0), coalesce(s.reason, 0), "                                               \
    "coalesce(s.since, 0), coalesce(s.invalid_at, 0), i.der, i.evidence_hash IS NOT NULL, i.profile, i.clearance, i.person " \
    "FROM issued i LEFT JOIN status s "                                                                                      \
    "ON s.issued = i.id "
/* 3 is REGISTRY_ISSUING: of those before there is one each. */
#define OF_CA "i.role = ?1 AND (i.role < 3 OR i.community = ?2)"

static int read_row(struct registry *r, sqlite3_stmt *st, struct registry_cert *out, struct err *e)
{
    struct registry_cert c = {.id = sqlite3_column_int64(st, 0)};
    unsigned role = 0, state = 0;

    c.has_ek = sqlite3_column_type(st, 6) != SQLITE_NULL;
    c.has_evidence = sqlite3_column_int64(st, 14) != 0;
    if (registry_db_small(r, st, 1, REGISTRY_ROLES - 1, &role, e) != 0 ||
        registry_db_small(r, st, 2, UINT16_MAX, &c.community, e) != 0 ||
        registry_db_text(r, st, 3, c.serial, sizeof(c.serial), e) != 0 ||
        registry_db_text(r, st, 4, c.subject, sizeof(c.subject), e) != 0 ||
        registry_db_fixed(r, st, 5, c.spki_hash, 32, e) != 0 ||
        (c.has_ek && registry_db_fixed(r, st, 6, c.ek_hash, 32, e) != 0) ||
        registry_db_small(r, st, 9, REGISTRY_STATES - 1, &state, e) != 0 ||
        registry_db_small(r, st, 10, REGISTRY_REASON_MAX, &c.status.reason, e) != 0 ||
        registry_db_grant(r, st, 15, &c.grant, e) != 0)
        return -1;
    c.issuer = (enum registry_role)role;
    c.issued_at = sqlite3_column_int64(st, 7);
    c.expires_at = sqlite3_column_int64(st, 8);
    c.status.state = (enum registry_state)state;
    c.status.since = sqlite3_column_int64(st, 11);
    c.status.invalid_at = sqlite3_column_int64(st, 12);
    c.der = registry_db_blob(st, 13);
    *out = c;
    return 0;
}

static bool fits(const struct registry_wanted *w, const struct registry_cert *c)
{
    if (w->serial != NULL && strcmp(w->serial, c->serial) != 0)
        return false;
    if (w->subject != NULL && sqlite3_stricmp(w->subject, c->subject) != 0)
        return false;
    if (w->spki_hash != NULL && memcmp(w->spki_hash, c->spki_hash, 32) != 0)
        return false;
    return !w->of_ca || (c->issuer == w->issuer &&
                         (c->issuer < REGISTRY_ISSUING || c->community == w->community));
}

/* By the member that has an index; the others are compared row by row. */
static int prepare(struct registry *r, const struct registry_wanted *w, sqlite3_stmt **st,
                   struct err *e)
{
    if (w->serial != NULL)
        return registry_db_prepare(r, st, e, COLUMNS "WHERE i.serial = ? ORDER BY i.id", "t",
                                   w->serial);
    if (w->spki_hash != NULL)
        return registry_db_prepare(r, st, e, COLUMNS "WHERE i.spki_hash = ? ORDER BY i.id", "b",
                                   bytes_of(w->spki_hash, 32));
    if (w->subject != NULL)
        return registry_db_prepare(
            r, st, e, COLUMNS "WHERE i.subject = ? COLLATE NOCASE ORDER BY i.id", "t", w->subject);
    if (w->of_ca)
        return registry_db_prepare(r, st, e, COLUMNS "WHERE " OF_CA " ORDER BY i.id", "ii",
                                   (int64_t)w->issuer, (int64_t)w->community);
    return registry_db_prepare(r, st, e, COLUMNS "ORDER BY i.id", "");
}

int registry_certs(struct registry *r, const struct registry_wanted *w,
                   bool (*each)(void *ctx, const struct registry_cert *c), void *ctx, struct err *e)
{
    struct registry_cert c;
    sqlite3_stmt *st = NULL;
    int rc = -1, row = -1;

    if (prepare(r, w, &st, e) != 0)
        return -1;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (read_row(r, st, &c, e) != 0)
            goto out;
        if (fits(w, &c) && !each(ctx, &c))
            break;
    }
    rc = row < 0 ? -1 : 0;
out:
    sqlite3_finalize(st);
    return rc;
}

int registry_cert(struct registry *r, enum registry_role issuer, unsigned community,
                  const char *serial, struct registry_cert *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e, COLUMNS "WHERE " OF_CA " AND i.serial = ?3", "iit",
                            (int64_t)issuer, (int64_t)community, serial) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 1 && read_row(r, st, out, e) != 0)
        row = -1;
    if (row == 1)
        out->der = (struct bytes){NULL, 0};
    sqlite3_finalize(st);
    return row;
}

/* --- asking often --------------------------------------------------------------------------- */

struct registry_asking {
    struct registry *r;
    sqlite3_stmt *st;
};

int registry_ask(struct registry *r, enum registry_role issuer, unsigned community,
                 struct registry_asking **out, struct err *e)
{
    struct registry_asking *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return err_set(e, E_MEMORY, "out of memory for a question to the registry");
    a->r = r;
    if (registry_db_prepare(r, &a->st, e,
                            "SELECT coalesce(s.state, 0), coalesce(s.reason, 0), "
                            "coalesce(s.since, 0), coalesce(s.invalid_at, 0) FROM issued i LEFT "
                            "JOIN status s ON s.issued = i.id WHERE " OF_CA " AND i.serial = ?3",
                            "iit", (int64_t)issuer, (int64_t)community, "") != 0) {
        free(a);
        return -1;
    }
    *out = a;
    return 0;
}

int registry_asked(struct registry_asking *a, const char *serial, struct registry_status *out,
                   struct err *e)
{
    struct registry_status s = {0};
    unsigned state = 0;
    int row;

    row = sqlite3_bind_text(a->st, 3, serial, -1, SQLITE_STATIC);
    if (row != SQLITE_OK)
        return registry_db_fail(a->r, row, e);
    row = registry_db_step(a->r, a->st, e);
    if (row == 1 && (registry_db_small(a->r, a->st, 0, REGISTRY_STATES - 1, &state, e) != 0 ||
                     registry_db_small(a->r, a->st, 1, REGISTRY_REASON_MAX, &s.reason, e) != 0))
        row = -1;
    s.state = (enum registry_state)state;
    s.since = sqlite3_column_int64(a->st, 2);
    s.invalid_at = sqlite3_column_int64(a->st, 3);
    if (row == 1)
        *out = s;
    sqlite3_reset(a->st); /* no lock is kept */
    return row;
}

void registry_ask_end(struct registry_asking *a)
{
    if (a == NULL)
        return;
    sqlite3_finalize(a->st);
    free(a);
}

/* --- changing ------------------------------------------------------------------------------ */

#define NEXT "(SELECT coalesce(max(change), 0) + 1 FROM status)"

/* Why a change did nothing. */
static int refuse(struct registry *r, int64_t id, const char *what, struct err *e)
{
    struct registry_cert c;
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e, COLUMNS "WHERE i.id = ?", "i", id) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 1 && read_row(r, st, &c, e) == 0)
        err_set(e, E_REJECTED, "the certificate %s of %.100s is %s, so it cannot be %s", c.serial,
                c.subject, registry_state_name(c.status.state), what);
    else if (row == 0)
        err_set(e, E_NOT_FOUND, "there is no such certificate; `fusetsu ca list` shows them");
    sqlite3_finalize(st);
    return -1;
}

int registry_revoke(struct registry *r, int64_t id, unsigned reason, int64_t now,
                    int64_t invalid_at, struct err *e)
{
    if (!final(reason))
        return err_set(e, E_ARG, "reason %u is none to revoke a certificate for", reason);
    if (registry_db_run(r, e,
                        "INSERT INTO status (issued, state, reason, since, invalid_at, change) "
                        "SELECT id, 2, ?2, ?3, ?4, " NEXT " FROM issued WHERE id = ?1 "
                        "ON CONFLICT (issued) DO UPDATE SET state = 2, reason = excluded.reason, "
                        "since = CASE WHEN state = 1 THEN since ELSE excluded.since END, "
                        "invalid_at = excluded.invalid_at, change = excluded.change "
                        "WHERE state <> 2",
                        "iiii", id, (int64_t)reason, now, invalid_at) != 0)
        return -1;
    return sqlite3_changes(r->db) == 1 ? 0 : refuse(r, id, "revoked", e);
}

int registry_suspend(struct registry *r, int64_t id, int64_t now, struct err *e)
{
    if (registry_db_run(r, e,
                        "INSERT INTO status (issued, state, reason, since, change) "
                        "SELECT id, 1, ?2, ?3, " NEXT " FROM issued WHERE id = ?1 "
                        "ON CONFLICT (issued) DO UPDATE SET state = 1, reason = excluded.reason, "
                        "since = excluded.since, change = excluded.change WHERE state = 0",
                        "iii", id, (int64_t)REGISTRY_HOLD, now) != 0)
        return -1;
    return sqlite3_changes(r->db) == 1 ? 0 : refuse(r, id, "suspended", e);
}

int registry_resume(struct registry *r, int64_t id, int64_t now, struct err *e)
{
    if (registry_db_run(r, e,
                        "UPDATE status SET state = 0, reason = ?2, since = ?3, change = " NEXT
                        " WHERE issued = ?1 AND state = 1",
                        "iii", id, (int64_t)REGISTRY_REMOVED, now) != 0)
        return -1;
    return sqlite3_changes(r->db) == 1 ? 0 : refuse(r, id, "resumed", e);
}
