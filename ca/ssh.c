#include "ca/ssh.h"

#include "ca/policy.h"
#include "ca/profile.h"
#include "ca/registry_clock.h"
#include "ca/registry_device.h"
#include "ca/registry_ssh.h"
#include "ca/sshcert.h"
#include "core/evidence.h"
#include "core/sshkey.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define DAY ((int64_t)24 * 3600)
#define DAYS 7
#define DAYS_MAX 30
/* So long a revoked one stays in the list after its end: a server may be that far behind. */
#define SLACK DAY

/* --- what it stands on ----------------------------------------------------------------------- */

struct search {
    const struct ssh_request *r;
    struct registry_cert best; /* the newest good one; id 0: none */
    X509 *cert;
    unsigned level;      /* of that one */
    unsigned low;        /* of a good one that is not enough; 0: there is none */
    bool any, other_use; /* there are some; good ones, for another use */
    bool failed;
    struct err *e;
};

/* A client's or an IKE peer's certificate says nothing of a host; kinds of later versions neither. */
static bool is_for(const struct registry_cert *c)
{
    enum profile_id kind;

    if (profile_named(c->grant.profile, &kind, NULL) != 0)
        return false;
    if (strchr(c->subject, '@') != NULL)
        return kind == PROFILE_PERSON;
    return kind == PROFILE_GATEWAY || kind == PROFILE_SERVER;
}

/* Reads a good one; it is put into `s` if its level is enough. */
static int weigh(struct search *s, const struct registry_cert *c)
{
    unsigned community, level;
    X509 *cert = NULL;

    if (issue_from_der(c->der, &cert, s->e) != 0)
        return -1;
    if (policy_highest(cert, &community, &level, s->e) != 0) {
        X509_free(cert);
        return -1;
    }
    if (level <= REGISTRY_BASIC_LEVEL && !s->r->basic) {
        s->low = level;
        X509_free(cert);
        return 0;
    }
    X509_free(s->cert);
    s->cert = cert;
    s->level = level;
    s->best = *c;
    s->best.der = (struct bytes){NULL, 0};
    return 0;
}

static bool look(void *ctx, const struct registry_cert *c)
{
    struct search *s = ctx;

    if (c->issuer < REGISTRY_ISSUING || c->community != s->r->community || !c->has_evidence)
        return true;
    s->any = true;
    if (c->status.state != REGISTRY_GOOD || c->expires_at <= (int64_t)s->r->now)
        return true;
    if (!is_for(c)) {
        s->other_use = true;
        return true;
    }
    s->failed = weigh(s, c) != 0;
    return !s->failed;
}

static int find(struct authority *a, struct search *s, struct err *e)
{
    struct registry_wanted w = {.subject = s->r->name};
    const char *name = s->r->name;

    if (registry_certs(authority_registry(a), &w, look, s, e) != 0 || s->failed)
        return -1;
    if (s->best.id != 0)
        return 0;
    if (s->low != 0)
        return err_set(
            e, E_REJECTED,
            "the certificate of %.100s is of level %u, and who trusts this authority for "
            "SSH asks for no level; if that is to be enough, --basic certifies it",
            name, s->low);
    if (s->other_use)
        return err_set(e, E_REJECTED,
                       "no good certificate of %.100s is for a %s; `ca invite --profile %s` comes "
                       "first",
                       name, strchr(name, '@') != NULL ? "person" : "gateway or server",
                       strchr(name, '@') != NULL ? "person" : "server");
    return s->any ? err_set(e, E_REJECTED, "no certificate of %.100s is good any more", name)
                  : err_set(e, E_NOT_FOUND,
                            "the authority has certified no %.100s in that community; `ca invite` "
                            "comes first",
                            name);
}

/* A certificate is not taken back at once when its device is put into quarantine. */
static int check_device(struct authority *a, const struct registry_cert *c, struct err *e)
{
    struct registry_device d;
    struct err why = {0};

    if (!c->has_ek)
        return 0;
    if (registry_device_of_ek(authority_registry(a), c->ek_hash, &d, &why) != 0)
        return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    return d.state == REGISTRY_DEVICE_ACTIVE
               ? 0
               : err_set(e, E_REJECTED, "the device of %.100s, number %lld, is %s", c->subject,
                         (long long)d.id, registry_device_state_name(d.state));
}

/* --- its key -------------------------------------------------------------------------------------- */

static int read_key(struct authority *a, unsigned community, struct buf *spki, struct pubkey *out,
                    struct err *e)
{
    struct registry_key where;

    return registry_ssh_ca(authority_registry(a), community, &where, spki, e) == 0
               ? pubkey_from_spki(out, buf_bytes(spki), e)
               : -1;
}

static int check_key(struct authority *a, unsigned community, const struct signer *ca,
                     struct err *e)
{
    struct buf spki = {0};
    struct pubkey recorded;
    int rc = read_key(a, community, &spki, &recorded, e);

    if (rc == 0 && !pubkey_equal(&recorded, &ca->pub))
        rc = err_set(e, E_REJECTED,
                     "the key in the token is not the one that is recorded as certifying for SSH; "
                     "insert the right token");
    buf_free(&spki);
    return rc;
}

/* --- certifying ------------------------------------------------------------------------------ */

/* 63 random bits: SQLite's numbers have a sign. */
static int draw_serial(uint64_t *out, struct err *e)
{
    uint8_t raw[8];

    if (RAND_bytes(raw, sizeof(raw)) != 1)
        return err_openssl(e, E_CRYPTO, "no random serial number");
    raw[0] &= 0x7f;
    *out = 0;
    for (size_t i = 0; i < sizeof(raw); i++)
        *out = *out << 8 | raw[i];
    return 0;
}

static int certify(struct authority *a, const struct search *s, struct signer *ca, struct buf *line,
                   struct ssh_made *m, struct err *e)
{
    const struct registry_authority *info = authority_info(a);
    struct buf id = {0}, ext = {0};
    char hex[65] = "";
    uint8_t hash[32];
    struct pubkey key;
    struct sshcert c = {.key = &key,
                        .serial = m->serial,
                        .host = strchr(s->best.subject, '@') == NULL,
                        .principal = s->best.subject,
                        .after = (uint64_t)(s->r->now - ISSUE_SKEW),
                        .before = (uint64_t)m->expires_at};
    int rc = -1;

    if (pubkey_from_x509(&key, s->cert, e) != 0 || evidence_hash_get(s->cert, hash, e) != 0)
        return -1;
    hex_encode(hex, hash, sizeof(hash));
    buf_printf(&id, "%s %s %s, level %u, certificate %s", info->nation,
               oid_community_name(s->r->community), s->best.subject, s->level, s->best.serial);
    buf_printf(&ext, "evidence-sha256@%s", info->domain);
    c.id = buf_cstr(&id);
    c.extension = buf_cstr(&ext);
    c.value = hex;
    if (buf_ok(&id, e) == 0 && buf_ok(&ext, e) == 0)
        rc = sshcert_make(&c, ca, line, e);
    buf_free(&id);
    buf_free(&ext);
    return rc;
}

/* All that may have changed while the key signed once more, in the transaction that records. */
static int record(struct authority *a, const struct search *s, const struct ssh_made *m,
                  struct err *e)
{
    struct registry *r = authority_registry(a);
    struct registry_cert now;
    int there;

    if (registry_begin(r, e) != 0)
        return -1;
    there = registry_cert(r, s->best.issuer, s->best.community, s->best.serial, &now, e);
    if (there == 1 && now.status.state != REGISTRY_GOOD)
        there = err_set(e, E_REJECTED, "the certificate of %.100s is %s", now.subject,
                        registry_state_name(now.status.state));
    if (there == 1 && check_device(a, &now, e) == 0 &&
        registry_clock(r, (int64_t)s->r->now, e) == 0 &&
        registry_add_ssh(r, s->r->community, m->serial, s->best.id, m->expires_at, e) == 0 &&
        registry_commit(r, e) == 0)
        return 0;
    registry_rollback(r);
    return there == 0 ? err_set(e, E_CORRUPT, "the certificate is gone") : -1;
}

int ssh_certify(struct authority *a, const struct ssh_request *r, struct signer *ca,
                struct buf *line, struct ssh_made *out, struct err *e)
{
    struct search s = {.r = r, .e = e};
    struct ssh_made m = {.serial = 0};
    struct buf text = {0};
    int rc = -1;

    if (r->days < 0 || r->days > DAYS_MAX)
        return err_set(e, E_ARG, "a certificate for SSH is good for 1 to %d days, not %d", DAYS_MAX,
                       r->days);
    if (check_key(a, r->community, ca, e) != 0 || find(a, &s, e) != 0 ||
        check_device(a, &s.best, e) != 0 || draw_serial(&m.serial, e) != 0)
        goto out;
    m.on = s.best;
    m.level = s.level;
    m.expires_at = (int64_t)r->now + (r->days > 0 ? r->days : DAYS) * DAY;
    if (m.expires_at > s.best.expires_at)
        m.expires_at = s.best.expires_at;
    if (certify(a, &s, ca, &text, &m, e) != 0 || record(a, &s, &m, e) != 0)
        goto out;
    buf_add_bytes(line, buf_bytes(&text));
    buf_u8(line, '\n');
    rc = buf_ok(line, e);
    if (rc == 0)
        *out = m;
out:
    X509_free(s.cert);
    buf_free(&text);
    return rc;
}

/* --- what is published ------------------------------------------------------------------------ */

struct gathered {
    uint64_t *serial;
    size_t n, room;
    bool failed;
};

static bool gather(void *ctx, uint64_t serial)
{
    struct gathered *g = ctx;

    if (g->n == g->room) {
        size_t room = g->room > 0 ? 2 * g->room : 64;
        uint64_t *more = reallocarray(g->serial, room, sizeof(*more));

        g->failed = more == NULL;
        if (g->failed)
            return false;
        g->serial = more;
        g->room = room;
    }
    g->serial[g->n++] = serial;
    return true;
}

int ssh_revoked(struct authority *a, unsigned community, time_t now, struct buf *krl, size_t *n,
                struct err *e)
{
    struct gathered g = {.n = 0};
    struct buf spki = {0};
    struct pubkey key;
    int64_t version;
    int rc = -1;

    if (read_key(a, community, &spki, &key, e) != 0 ||
        registry_changes(authority_registry(a), &version, e) != 0 ||
        registry_ssh_bad(authority_registry(a), community, (int64_t)now - SLACK, gather, &g, e) !=
            0)
        goto out;
    if (g.failed) {
        err_set(e, E_MEMORY, "out of memory for a revocation list");
        goto out;
    }
    rc = sshcert_krl(&key, g.serial, g.n, (uint64_t)version, (uint64_t)now, krl, e);
    *n = g.n;
out:
    free(g.serial);
    buf_free(&spki);
    return rc;
}

int ssh_authority_line(struct authority *a, unsigned community, struct buf *line, struct err *e)
{
    const struct registry_authority *info = authority_info(a);
    struct buf spki = {0}, comment = {0};
    struct pubkey key;
    int rc = -1;

    buf_printf(&comment, "%s %s SSH CA", info->nation, oid_community_name(community));
    if (buf_ok(&comment, e) == 0 && read_key(a, community, &spki, &key, e) == 0)
        rc = sshkey_line(buf_bytes(&spki), buf_cstr(&comment), line, e);
    buf_free(&spki);
    buf_free(&comment);
    return rc;
}
