/* Invitations: what will be certified is decided here, before anybody asks. */
#include "ca/authority_priv.h"
#include "ca/plain.h"
#include "ca/registry_device.h"
#include "core/evidence.h"
#include "core/oid.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define DAY ((int64_t)24 * 3600)
#define NONCE_BYTES 32
#define DAYS 7
#define DAYS_MAX 90

/* Before any nonce is given there is a TPM that may answer it. */
static int check_registered(struct authority *a, const struct authority_invite *p, struct err *e)
{
    int there = authority_info(a)->registration
                    ? registry_device_for_name(authority_registry(a), p->name, p->community, e)
                    : 1;

    if (there != 0)
        return there < 0 ? -1 : 0;
    return err_set(e, E_NOT_FOUND,
                   "no TPM is registered for %.100s in %s; a registration officer binds it with "
                   "`fusetsu device register`",
                   p->name, oid_community_name(p->community));
}

/* The kind of certificate, which has to be one for that sort of name. */
static int grant_profile(const struct authority_invite *p, struct registry_grant *g, struct err *e)
{
    bool mail = strchr(p->name, '@') != NULL;
    const char *kind = p->profile != NULL ? p->profile : mail ? "person" : "gateway";
    enum profile_id id;

    if (profile_named(kind, &id, e) != 0)
        return -1;
    if ((profile_get(id)->san == PROFILE_SAN_MAIL) != mail)
        return err_set(e, E_ARG,
                       mail ? "a %s certificate is for a DNS name, not for a mail address"
                            : "a %s certificate is for a mail address, such as "
                              "name@example.org",
                       kind);
    snprintf(g->profile, sizeof(g->profile), "%s", kind);
    return 0;
}

/* A person's common name. With a full stop it could be taken for a host's (the gate refuses it),
 * with an @ for another person's address. */
static int grant_person(const struct authority_invite *p, struct registry_grant *g, struct err *e)
{
    const char *at = strchr(p->name, '@');
    size_t n = p->person != NULL ? strlen(p->person) : 0;

    if (at == NULL)
        return p->person == NULL
                   ? 0
                   : err_set(e, E_ARG, "a person's name goes with a mail address, not a DNS name");
    if (p->person == NULL) {
        for (const char *s = p->name; s < at; s++)
            g->person[s - p->name] = *s == '.' ? ' ' : *s;
        return 0;
    }
    if (n >= sizeof(g->person) || !plain_is(bytes_of(p->person, n)) ||
        plain_like_address(bytes_of(p->person, n)))
        return err_set(e, E_ARG,
                       "a person's name is one line of 1 to %zu bytes of UTF-8, without marks that "
                       "are not seen, and with neither a full stop nor an @, by which it could be "
                       "taken for another name",
                       sizeof(g->person) - 1);
    memcpy(g->person, p->person, n);
    return 0;
}

static int grant_clearance(struct authority *a, const struct authority_invite *p,
                           struct registry_grant *g, struct err *e)
{
    struct clearance c;

    if (p->clearance == NULL)
        return 0;
    if (clearance_grant(authority_clearances(a), p->clearance, &c, e) != 0)
        return -1;
    g->clearance = c.classes;
    return 0;
}

static int check(struct authority *a, const struct authority_invite *p, struct registry_grant *g,
                 struct err *e)
{
    const struct registry_authority *info = authority_info(a);
    X509_NAME *name = NULL;

    if (oid_community_name(p->community) == NULL ||
        !registry_has_issuing(authority_registry(a), p->community))
        return err_set(e, E_NOT_FOUND,
                       "this authority has no issuing CA for that community; `ca list` shows which "
                       "it has");
    if (p->level < 1 || p->level > OID_LEVELS)
        return err_set(e, E_ARG, "a level is 1 to %d, not %u", OID_LEVELS, p->level);
    if (p->days < 0 || p->days > DAYS_MAX)
        return err_set(e, E_ARG, "an invitation is valid for 1 to %d days, not %d", DAYS_MAX,
                       p->days);
    if (issue_check_subject(p->name, e) != 0)
        return -1;
    if (!issue_within(p->name, info->domain))
        return err_set(e, E_ARG,
                       "%.100s is not within %.100s, the authority's domain; name a host or a "
                       "mail address there",
                       p->name, info->domain);
    if (grant_profile(p, g, e) != 0 || grant_person(p, g, e) != 0 ||
        grant_clearance(a, p, g, e) != 0 ||
        authority_can_issue(a, p->community, p->level, g, p->now, e) != 0)
        return -1;
    /* What will be the subject must be one (a commonName has at most 64 characters). */
    name = issue_name(info->nation, info->org, oid_community_name(p->community),
                      g->person[0] != 0 ? g->person : p->name, e);
    X509_NAME_free(name);
    return name != NULL ? check_registered(a, p, e) : -1;
}

int authority_may_invite(struct authority *a, const struct authority_invite *p,
                         struct registry_grant *out, struct err *e)
{
    struct registry_grant g = {.clearance = 0};

    if (check(a, p, &g, e) != 0)
        return -1;
    if (out != NULL)
        *out = g;
    return 0;
}

int authority_invite(struct authority *a, const struct authority_invite *p, struct buf *pem,
                     struct err *e)
{
    struct registry_invitation row = {.nonce_len = NONCE_BYTES};
    struct evidence_invitation file = {.nonce_len = NONCE_BYTES};
    const struct registry_authority *info = authority_info(a);
    struct buf text = {0};
    int rc = -1;

    if (check(a, p, &row.grant, e) != 0 || authority_clock(a, p->now, e) != 0)
        return -1;
    if (RAND_bytes(row.nonce, NONCE_BYTES) != 1)
        return err_openssl(e, E_CRYPTO, "no random nonce");
    row.community = file.community = p->community;
    row.level = file.level = p->level;
    row.created_at = p->now;
    row.expires_at = file.not_after = p->now + (p->days > 0 ? p->days : DAYS) * DAY;
    row.has_ek = file.has_ek = p->ek_hash != NULL;
    if (p->ek_hash != NULL) {
        memcpy(row.ek_hash, p->ek_hash, sizeof(row.ek_hash));
        memcpy(file.ek_spki, p->ek_hash, sizeof(file.ek_spki));
    }
    memcpy(file.nonce, row.nonce, NONCE_BYTES);
    /* check bounded the name, check_params the organisation. */
    memcpy(row.subject, p->name, strlen(p->name) + 1);
    memcpy(file.subject, p->name, strlen(p->name) + 1);
    memcpy(file.authority, info->org, strlen(info->org) + 1);
    if (evidence_invitation_to_pem(&file, &text, e) != 0 ||
        registry_invite(authority_registry(a), &row, e) != 0)
        goto out;
    buf_add_bytes(pem, buf_bytes(&text));
    rc = buf_ok(pem, e);
out:
    buf_free(&text);
    return rc;
}
