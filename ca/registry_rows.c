#include "ca/registry_db.h"

#include <string.h>

static const char *const role_names[REGISTRY_ROLES] = {"root", "cross", "attestation", "issuing",
                                                       "basic"};

const char *registry_role_name(enum registry_role role)
{
    return (unsigned)role < REGISTRY_ROLES ? role_names[role] : NULL;
}

static int damaged(struct registry *r, const char *what, struct err *e)
{
    return err_set(e, E_CORRUPT, "the registry %s has a damaged %s; restore it from a backup",
                   r->path, what);
}

/* --- the authority ------------------------------------------------------- */

int registry_set_authority(struct registry *r, const struct registry_authority *a, struct err *e)
{
    return registry_db_run(
        r, e,
        "INSERT INTO authority (one, nation, org, domain, arc, registration) VALUES (1, ?, ?, ?, ?, ?)",
        "tttti", a->nation, a->org, a->domain, a->arc, (int64_t)a->registration);
}

int registry_authority(struct registry *r, struct registry_authority *a, struct err *e)
{
    struct registry_authority got = {0};
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (registry_db_prepare(
            r, &st, e, "SELECT nation, org, domain, arc, registration FROM authority", "") != 0)
        goto out;
    row = registry_db_step(r, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND, "the registry %s names no authority; make it with `ca init`",
                r->path);
    if (row != 1 || registry_db_text(r, st, 0, got.nation, sizeof(got.nation), e) != 0 ||
        registry_db_text(r, st, 1, got.org, sizeof(got.org), e) != 0 ||
        registry_db_text(r, st, 2, got.domain, sizeof(got.domain), e) != 0 ||
        registry_db_text(r, st, 3, got.arc, sizeof(got.arc), e) != 0)
        goto out;
    got.registration = sqlite3_column_int64(st, 4) != 0;
    *a = got;
    rc = 0;
out:
    sqlite3_finalize(st);
    return rc;
}

/* --- its clearances ------------------------------------------------------ */

int registry_set_clearances(struct registry *r, const struct clearance_system *s, struct err *e)
{
    if (registry_db_run(r, e, "INSERT INTO clearance_system VALUES (1, ?)", "t", s->policy) != 0)
        return -1;
    for (unsigned n = 0; n < FEDERATION_CLASSES; n++) {
        if (s->name[n][0] != 0 && registry_db_run(r, e, "INSERT INTO clearance_class VALUES (?, ?)",
                                                  "it", (int64_t)n, s->name[n]) != 0)
            return -1;
    }
    return 0;
}

int registry_clearances(struct registry *r, struct clearance_system *out, struct err *e)
{
    struct clearance_system s = {.policy = ""};
    sqlite3_stmt *st = NULL;
    unsigned bit = 0;
    int rc = -1, row = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT s.policy, c.bit, c.name FROM clearance_system s, "
                            "clearance_class c ORDER BY c.bit",
                            "") != 0)
        return -1;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (registry_db_text(r, st, 0, s.policy, sizeof(s.policy), e) != 0 ||
            registry_db_small(r, st, 1, FEDERATION_CLASSES - 1, &bit, e) != 0 ||
            registry_db_text(r, st, 2, s.name[bit], sizeof(s.name[bit]), e) != 0)
            goto out;
    }
    if (row == 0) {
        *out = s;
        rc = 0;
    }
out:
    sqlite3_finalize(st);
    return rc;
}

/* --- its CAs ------------------------------------------------------------- */

int registry_add_ca(struct registry *r, enum registry_role role, unsigned community,
                    const struct registry_key *key, struct bytes cert_der, struct err *e)
{
    if (registry_role_name(role) == NULL || (role >= REGISTRY_ISSUING) != (community != 0))
        return err_set(e, E_ARG, "only an issuing CA belongs to a community");
    return registry_db_run(r, e, "INSERT INTO ca VALUES (?, ?, ?, ?, ?)", "iitbb", (int64_t)role,
                           (int64_t)community, key->token, bytes_of(key->id, key->id_len),
                           cert_der);
}

int registry_ca(struct registry *r, enum registry_role role, unsigned community,
                struct registry_key *key, struct buf *cert_der, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (registry_db_prepare(r, &st, e,
                            "SELECT token, key_id, cert FROM ca WHERE role = ? AND community = ?",
                            "ii", (int64_t)role, (int64_t)community) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND, "the authority in %s has no %s CA%s", r->path,
                registry_role_name(role) != NULL ? registry_role_name(role) : "such",
                role >= REGISTRY_ISSUING ? " for that community" : "");
    if (row == 1)
        rc = registry_db_key(r, st, 0, key, cert_der, e);
    sqlite3_finalize(st);
    return rc;
}

static bool has_ca(struct registry *r, enum registry_role role, unsigned community)
{
    sqlite3_stmt *st = NULL;
    bool there = registry_db_prepare(r, &st, NULL,
                                     "SELECT 1 FROM ca WHERE role = ? AND community = ?", "ii",
                                     (int64_t)role, (int64_t)community) == 0 &&
                 registry_db_step(r, st, NULL) == 1;

    sqlite3_finalize(st);
    return there;
}

bool registry_has_issuing(struct registry *r, unsigned community)
{
    return has_ca(r, REGISTRY_ISSUING, community);
}

enum registry_role registry_leaf_ca(struct registry *r, unsigned community, unsigned level)
{
    return level <= REGISTRY_BASIC_LEVEL && has_ca(r, REGISTRY_BASIC, community) ? REGISTRY_BASIC
                                                                                 : REGISTRY_ISSUING;
}

/* --- invitations --------------------------------------------------------- */

#define INVITATION_COLUMNS                                                                    \
    "SELECT nonce, subject, community, level, ek_hash, created_at, expires_at, consumed_at, " \
    "request_hash, issued, refused_at, sealed_hash, profile, clearance, person "              \
    "FROM invitation "

int registry_invite(struct registry *r, const struct registry_invitation *i, struct err *e)
{
    if (i->nonce_len < REGISTRY_NONCE_MIN || i->nonce_len > REGISTRY_NONCE_MAX)
        return err_set(e, E_ARG, "a nonce has %d to %d bytes", REGISTRY_NONCE_MIN,
                       REGISTRY_NONCE_MAX);
    return registry_db_run(r, e,
                           "INSERT INTO invitation (nonce, subject, community, level, created_at, "
                           "expires_at, ek_hash, profile, clearance, person) "
                           "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           "btiiiiotit", bytes_of(i->nonce, i->nonce_len), i->subject,
                           (int64_t)i->community, (int64_t)i->level, i->created_at, i->expires_at,
                           bytes_of(i->ek_hash, i->has_ek ? sizeof(i->ek_hash) : 0),
                           i->grant.profile, (int64_t)i->grant.clearance, i->grant.person);
}

static int read_invitation(struct registry *r, sqlite3_stmt *st, struct registry_invitation *out,
                           struct err *e)
{
    struct registry_invitation i = {0};
    struct bytes nonce = registry_db_blob(st, 0);

    if (nonce.len < REGISTRY_NONCE_MIN || nonce.len > REGISTRY_NONCE_MAX)
        return damaged(r, "nonce", e);
    memcpy(i.nonce, nonce.p, nonce.len);
    i.nonce_len = nonce.len;
    i.has_ek = sqlite3_column_type(st, 4) != SQLITE_NULL;
    if (registry_db_text(r, st, 1, i.subject, sizeof(i.subject), e) != 0 ||
        registry_db_small(r, st, 2, UINT16_MAX, &i.community, e) != 0 ||
        registry_db_small(r, st, 3, UINT16_MAX, &i.level, e) != 0 ||
        (i.has_ek && registry_db_fixed(r, st, 4, i.ek_hash, sizeof(i.ek_hash), e) != 0) ||
        registry_db_grant(r, st, 12, &i.grant, e) != 0)
        return -1;
    i.created_at = sqlite3_column_int64(st, 5);
    i.expires_at = sqlite3_column_int64(st, 6);
    i.consumed_at = sqlite3_column_int64(st, 7);
    i.has_request = sqlite3_column_type(st, 8) != SQLITE_NULL;
    i.issued = sqlite3_column_int64(st, 9);
    i.refused_at = sqlite3_column_int64(st, 10);
    i.has_sealed = sqlite3_column_type(st, 11) != SQLITE_NULL;
    if ((i.has_request && registry_db_fixed(r, st, 8, i.request_hash, 32, e) != 0) ||
        (i.has_sealed && registry_db_fixed(r, st, 11, i.sealed_hash, 32, e) != 0))
        return -1;
    *out = i;
    return 0;
}

/* The one row of a statement, which is ended: 1, 0 when there is none, -1. */
static int one_invitation(struct registry *r, sqlite3_stmt *st, struct registry_invitation *i,
                          struct err *e)
{
    int row = registry_db_step(r, st, e);

    if (row == 1 && read_invitation(r, st, i, e) != 0)
        row = -1;
    sqlite3_finalize(st);
    return row;
}

int registry_invitation(struct registry *r, struct bytes nonce, struct registry_invitation *i,
                        struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row;

    if (registry_db_prepare(r, &st, e, INVITATION_COLUMNS "WHERE nonce = ?", "b", nonce) != 0)
        return -1;
    row = one_invitation(r, st, i, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND, "no invitation of this authority has that nonce; ask it for one");
    return row == 1 ? 0 : -1;
}

int registry_invitation_of(struct registry *r, const uint8_t request[32],
                           struct registry_invitation *i, struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(r, &st, e, INVITATION_COLUMNS "WHERE request_hash = ?", "b",
                               bytes_of(request, 32)) == 0
               ? one_invitation(r, st, i, e)
               : -1;
}

bool registry_is_by(const struct registry_invitation *i, const uint8_t request[32])
{
    return i->consumed_at != 0 && i->has_request &&
           bytes_equal(bytes_of(i->request_hash, 32), bytes_of(request, 32));
}

bool registry_goes_on(const struct registry_invitation *i, const uint8_t request[32])
{
    return registry_is_by(i, request) && i->issued == 0 && i->refused_at == 0;
}

enum registry_outcome registry_outcome(const struct registry_invitation *i, int64_t now)
{
    if (i->issued != 0)
        return REGISTRY_ANSWERED;
    if (i->refused_at != 0)
        return REGISTRY_REFUSED;
    if (i->consumed_at != 0 && !i->has_request)
        return REGISTRY_USED;
    if (i->expires_at <= now)
        return REGISTRY_EXPIRED;
    return i->consumed_at != 0 ? REGISTRY_TAKEN : REGISTRY_OPEN;
}

const char *registry_outcome_name(enum registry_outcome o)
{
    static const char *const names[] = {"open", "expired", "taken", "issued", "refused", "used"};

    return (unsigned)o < ARRAY_LEN(names) ? names[o] : NULL;
}

int registry_consume(struct registry *r, struct bytes nonce, const uint8_t request[32], int64_t now,
                     struct registry_invitation *i, struct err *e)
{
    struct registry_invitation got;
    int changed;

    /* Inside a transaction a rollback would hand the nonce back. */
    if (r->open_tx)
        return err_set(e, E_ARG, "a nonce is not consumed inside another transaction");
    if (registry_db_run(r, e,
                        "UPDATE invitation SET consumed_at = ?, request_hash = ? WHERE nonce = ? "
                        "AND consumed_at = 0 AND expires_at > ?",
                        "ibbi", now, bytes_of(request, 32), nonce, now) != 0)
        return -1;
    changed = sqlite3_changes(r->db);
    if (registry_invitation(r, nonce, &got, e) != 0)
        return -1;
    if (changed != 1 && (got.expires_at <= now || !registry_goes_on(&got, request)))
        return err_set(e, E_REJECTED,
                       got.consumed_at != 0 && !registry_goes_on(&got, request)
                           ? "the invitation for %s was used already; ask for a new one"
                           : "the invitation for %s has expired; ask for a new one",
                       got.subject);
    *i = got;
    return 0;
}

int registry_answer(struct registry *r, struct bytes nonce, const uint8_t request[32],
                    const char *serial, const uint8_t sealed[32], struct err *e)
{
    if (registry_db_run(r, e,
                        "UPDATE invitation SET issued = c.id, sealed_hash = ? FROM issued c "
                        "WHERE c.role >= ? AND c.serial = ? AND nonce = ? AND request_hash = ? "
                        "AND invitation.issued IS NULL AND refused_at = 0",
                        "bitbb", bytes_of(sealed, 32), (int64_t)REGISTRY_ISSUING, serial, nonce,
                        bytes_of(request, 32)) != 0)
        return -1;
    return sqlite3_changes(r->db) == 1;
}

int registry_resealed(struct registry *r, struct bytes nonce, const uint8_t sealed[32],
                      struct err *e)
{
    /* Killed between the two, it is known twice. */
    if (registry_db_run(r, e,
                        "INSERT OR IGNORE INTO sealed SELECT id, sealed_hash FROM invitation WHERE "
                        "nonce = ? AND issued IS NOT NULL AND sealed_hash IS NOT NULL",
                        "b", nonce) != 0)
        return -1;
    return registry_db_run(
        r, e,
        "UPDATE invitation SET sealed_hash = ? WHERE nonce = ? AND issued IS NOT "
        "NULL",
        "bb", bytes_of(sealed, 32), nonce);
}

int registry_was_sealed(struct registry *r, struct bytes nonce, const uint8_t sealed[32],
                        struct err *e)
{
    sqlite3_stmt *st = NULL;
    int row;

    if (registry_db_prepare(
            r, &st, e,
            "SELECT 1 FROM invitation i WHERE nonce = ?1 AND issued IS NOT NULL AND "
            "(sealed_hash = ?2 OR EXISTS (SELECT 1 FROM sealed s WHERE "
            "s.invitation = i.id AND s.hash = ?2))",
            "bb", nonce, bytes_of(sealed, 32)) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    sqlite3_finalize(st);
    return row;
}

int registry_refuse(struct registry *r, struct bytes nonce, const uint8_t request[32], int64_t now,
                    const char *why, struct err *e)
{
    return registry_db_run(r, e,
                           "UPDATE invitation SET refused_at = ?, refusal = ? WHERE nonce = ? AND "
                           "request_hash = ? AND issued IS NULL AND refused_at = 0",
                           "itbb", now, why, nonce, bytes_of(request, 32));
}

int registry_refusal(struct registry *r, struct bytes nonce, struct buf *why, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (registry_db_prepare(r, &st, e, "SELECT refusal FROM invitation WHERE nonce = ?", "b",
                            nonce) != 0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 0)
        err_set(e, E_NOT_FOUND, "no invitation of this authority has that nonce");
    if (row == 1) {
        buf_add_bytes(why, registry_db_blob(st, 0));
        rc = buf_ok(why, e);
    }
    sqlite3_finalize(st);
    return rc;
}

/* Each row of a statement, which is ended. */
static int each_invitation(struct registry *r, sqlite3_stmt *st,
                           bool (*each)(void *ctx, const struct registry_invitation *i), void *ctx,
                           struct err *e)
{
    struct registry_invitation i;
    int rc = -1, row = -1;

    while ((row = registry_db_step(r, st, e)) == 1) {
        if (read_invitation(r, st, &i, e) != 0)
            goto out;
        if (!each(ctx, &i))
            break;
    }
    rc = row < 0 ? -1 : 0;
out:
    sqlite3_finalize(st);
    return rc;
}

int registry_invitations(struct registry *r,
                         bool (*each)(void *ctx, const struct registry_invitation *i), void *ctx,
                         struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(r, &st, e, INVITATION_COLUMNS "ORDER BY id", "") == 0
               ? each_invitation(r, st, each, ctx, e)
               : -1;
}

int registry_invitations_for(struct registry *r, const char *subject,
                             bool (*each)(void *ctx, const struct registry_invitation *i),
                             void *ctx, struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(r, &st, e, INVITATION_COLUMNS "WHERE subject = ? ORDER BY id", "t",
                               subject) == 0
               ? each_invitation(r, st, each, ctx, e)
               : -1;
}

/* --- what was issued ----------------------------------------------------- */

/* An optional digest as a parameter: its bytes, or none. */
static struct bytes digest_if(bool there, const uint8_t digest[32])
{
    return bytes_of(digest, there ? 32 : 0);
}

int registry_add_issued(struct registry *r, const struct registry_issued *i, struct err *e)
{
    return registry_db_run(
        r, e,
        "INSERT INTO issued (role, community, serial, subject, spki_hash, ek_hash, evidence_hash, "
        "issued_at, expires_at, der, evidence, profile, clearance, person) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iittbooiibotit", (int64_t)i->issuer, (int64_t)i->community, i->serial, i->subject,
        bytes_of(i->spki_hash, 32), digest_if(i->has_ek, i->ek_hash),
        digest_if(i->has_evidence, i->evidence_hash), i->issued_at, i->expires_at, i->der,
        i->evidence, i->grant.profile, (int64_t)i->grant.clearance, i->grant.person);
}

static int read_issued(struct registry *r, sqlite3_stmt *st, struct registry_issued *out,
                       struct err *e)
{
    struct registry_issued i = {0};
    unsigned role = 0;

    i.has_ek = sqlite3_column_type(st, 5) != SQLITE_NULL;
    i.has_evidence = sqlite3_column_type(st, 6) != SQLITE_NULL;
    if (registry_db_small(r, st, 0, REGISTRY_ROLES - 1, &role, e) != 0 ||
        registry_db_small(r, st, 1, UINT16_MAX, &i.community, e) != 0 ||
        registry_db_text(r, st, 2, i.serial, sizeof(i.serial), e) != 0 ||
        registry_db_text(r, st, 3, i.subject, sizeof(i.subject), e) != 0 ||
        registry_db_fixed(r, st, 4, i.spki_hash, 32, e) != 0 ||
        (i.has_ek && registry_db_fixed(r, st, 5, i.ek_hash, 32, e) != 0) ||
        (i.has_evidence && registry_db_fixed(r, st, 6, i.evidence_hash, 32, e) != 0) ||
        registry_db_grant(r, st, 11, &i.grant, e) != 0)
        return -1;
    i.issuer = (enum registry_role)role;
    i.issued_at = sqlite3_column_int64(st, 7);
    i.expires_at = sqlite3_column_int64(st, 8);
    i.der = registry_db_blob(st, 9);
    i.evidence = registry_db_blob(st, 10);
    *out = i;
    return 0;
}

int registry_issued(struct registry *r, bool (*each)(void *ctx, const struct registry_issued *i),
                    void *ctx, struct err *e)
{
    struct registry_issued i;
    sqlite3_stmt *st = NULL;
    int rc = -1, row = -1;

    if (registry_db_prepare(
            r, &st, e,
            "SELECT role, community, serial, subject, spki_hash, ek_hash, "
            "evidence_hash, issued_at, expires_at, der, evidence, profile, clearance, "
            "person FROM issued "
            "ORDER BY id",
            "") != 0)
        goto out;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (read_issued(r, st, &i, e) != 0)
            goto out;
        if (!each(ctx, &i))
            break;
    }
    rc = row < 0 ? -1 : 0;
out:
    sqlite3_finalize(st);
    return rc;
}

int registry_issued_of(struct registry *r, int64_t id, struct buf *der, struct buf *evidence,
                       struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = -1, row;

    if (registry_db_prepare(r, &st, e, "SELECT der, evidence FROM issued WHERE id = ?", "i", id) !=
        0)
        return -1;
    row = registry_db_step(r, st, e);
    if (row == 0)
        damaged(r, "answer to an invitation", e);
    if (row == 1) {
        buf_add_bytes(der, registry_db_blob(st, 0));
        buf_add_bytes(evidence, registry_db_blob(st, 1));
        if (buf_ok(der, e) == 0 && buf_ok(evidence, e) == 0)
            rc = 0;
    }
    sqlite3_finalize(st);
    return rc;
}
