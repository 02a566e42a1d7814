#include "ca/cross.h"

#include "ca/policy.h"
#include "core/asn1.h"

#include <openssl/x509_vfy.h>
#include <string.h>

#define DAY ((int64_t)24 * 3600)
#define DAYS_MAX 365

/* RFC 5280, 4.1.2.2 sets no bound on a key identifier; 8 to 64 octets covers what is
 * in use and keeps an ally from giving one that any certificate could match. */
#define SKI_MIN 8
#define SKI_MAX 64

/* SHA-1 and weaker give less than 112 bits (SP 800-131A). */
#define SIGNATURE_BITS_MIN 112

static int refuse(struct err *e, const char *why)
{
    return err_set(e, E_REJECTED, "the ally's certificate cannot be cross-certified: %s", why);
}

/* Is it a CA below a root, at all? (RFC 5280, 4.2.1.9 and 4.2.1.3) */
static int judge_ca(X509 *ally, struct err *e)
{
    uint32_t flags = X509_get_extension_flags(ally);

    if ((flags & EXFLAG_INVALID) != 0)
        return refuse(e, "its extensions are malformed");
    if ((flags & EXFLAG_CRITICAL) != 0)
        return refuse(e, "it has a critical extension that is not understood here");
    if (X509_check_ca(ally) != 1)
        return refuse(e, "it is not a CA certificate (basicConstraints); ask the ally for the "
                         "certificate of its issuing CA");
    if ((flags & EXFLAG_KUSAGE) == 0 || (X509_get_key_usage(ally) & KU_KEY_CERT_SIGN) == 0)
        return refuse(e, "its keyUsage does not allow it to sign certificates");
    if ((flags & EXFLAG_SI) != 0)
        return refuse(e, "it is a self-signed root; a cross-certificate goes to one issuing CA, "
                         "so that the ally's other communities stay out");
    return 0;
}

static int judge_strength(X509 *ally, struct err *e)
{
    struct bytes ski = issue_ski(ally);
    const struct profile *p = profile_get(PROFILE_CROSS_COMPAT);
    struct pubkey key;
    int bits = 0;

    if (X509_get_signature_info(ally, NULL, NULL, &bits, NULL) != 1 || bits < SIGNATURE_BITS_MIN)
        return refuse(e, "it is signed with a weak hash");
    if (pubkey_from_x509(&key, ally, e) != 0)
        return err_prefix(e, "the ally's certificate cannot be cross-certified");
    if (pubkey_bits(&key) < (key.type == TPM2_ALG_ECC ? p->min_ecc_bits : p->min_rsa_bits))
        return err_set(e, E_REJECTED,
                       "the ally's certificate cannot be cross-certified: its key (%s) is too "
                       "weak; at least P-256 or RSA-%u",
                       pubkey_name(&key), p->min_rsa_bits);
    if (ski.len < SKI_MIN || ski.len > SKI_MAX)
        return refuse(e, "it has no usable subject key identifier");
    return 0;
}

static int judge_time(X509 *ally, time_t now, struct err *e)
{
    int64_t from, to;

    if (issue_time(X509_get0_notBefore(ally), &from, e) != 0 ||
        issue_time(X509_get0_notAfter(ally), &to, e) != 0)
        return -1;
    if (now < from)
        return refuse(e, "it is not valid yet; check both clocks");
    if (now >= to)
        return refuse(e, "it has expired; ask the ally for its current one");
    return 0;
}

/* The CA's own name must lie in the nation that it will be bound to: one C, that one. */
static int judge_nation(X509 *ally, const char *nation, struct err *e)
{
    const X509_NAME *name = X509_get_subject_name(ally);
    int at = X509_NAME_get_index_by_NID(name, NID_countryName, -1);
    struct bytes c = {NULL, 0};

    if (at >= 0 && X509_NAME_get_index_by_NID(name, NID_countryName, at) < 0)
        c = asn1_octets(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (c.len != 2 || memcmp(c.p, nation, 2) != 0)
        return err_set(e, E_REJECTED,
                       "the ally's certificate cannot be cross-certified: its name is not one of "
                       "nation %s (C=%s); check the nation that was given",
                       nation, nation);
    return 0;
}

int cross_judge(const struct cross_request *r, struct err *e)
{
    if (r->ally == NULL)
        return err_set(e, E_ARG, "a cross-certificate needs the ally's certificate");
    if (issue_check_nation(r->nation, e) != 0 || issue_check_dns(r->domain, e) != 0)
        return -1;
    if (r->days < 0 || r->days > DAYS_MAX)
        return err_set(e, E_ARG, "a cross-certificate is valid for 1 to %d days, not %d", DAYS_MAX,
                       r->days);
    if (r->strict && r->ike)
        return err_set(e, E_ARG, "a cross-certificate for IKE has no strict form");
    if (judge_ca(r->ally, e) != 0 || judge_strength(r->ally, e) != 0 ||
        judge_time(r->ally, r->now, e) != 0 || judge_nation(r->ally, r->nation, e) != 0)
        return -1;
    if (policy_only(r->ally, r->community, e) != 0 ||
        (r->clearance != NULL && clearance_bounded(r->ally) &&
         clearance_within(r->ally, r->clearance, e) != 0))
        return err_prefix(e, "the ally's certificate cannot be cross-certified");
    return 0;
}

/* The ally must not come to speak for us, nor we for it. */
static int judge_apart(const struct issue_issuer *cross_ca, const char *own_nation,
                       const char *own_domain, const struct cross_request *r, struct err *e)
{
    struct pubkey theirs;

    if (strcmp(own_nation, r->nation) == 0)
        return err_set(e, E_REJECTED, "the ally's nation (%s) is our own", r->nation);
    if (issue_within(r->domain, own_domain) || issue_within(own_domain, r->domain))
        return err_set(e, E_REJECTED,
                       "the ally's domain %.80s and our own %.80s overlap; name the domain that "
                       "is the ally's alone",
                       r->domain, own_domain);
    if (pubkey_from_x509(&theirs, r->ally, e) != 0)
        return -1;
    if (pubkey_equal(&theirs, &cross_ca->signer->pub))
        return refuse(e, "its key is that of our own Cross CA");
    return 0;
}

/* Until the asked day, the ally's own end or our Cross CA's, whichever comes first. */
static int lifetime(const struct issue_issuer *cross_ca, const struct cross_request *r,
                    struct subject *s, struct err *e)
{
    int64_t seconds = (r->days > 0 ? r->days : DAYS_MAX) * DAY, theirs;

    if (issue_time(X509_get0_notAfter(r->ally), &theirs, e) != 0 ||
        issue_validity(cross_ca->cert, r->now, seconds, s, e) != 0)
        return -1;
    if (theirs < s->not_after)
        s->not_after = (time_t)theirs;
    return 0;
}

static enum profile_id profile_of(const struct cross_request *r)
{
    if (r->ike)
        return PROFILE_CROSS_IKE;
    return r->strict ? PROFILE_CROSS_STRICT : PROFILE_CROSS_COMPAT;
}

int cross_issue(const struct issue_issuer *cross_ca, const char *own_nation, const char *own_domain,
                const struct cross_request *r, X509 **out, struct err *e)
{
    struct subject s = {0};
    struct pubkey key;

    if (cross_judge(r, e) != 0 || judge_apart(cross_ca, own_nation, own_domain, r, e) != 0 ||
        pubkey_from_x509(&key, r->ally, e) != 0 || lifetime(cross_ca, r, &s, e) != 0)
        return -1;
    s.name = X509_get_subject_name(r->ally);
    s.key = &key;
    s.community = r->community;
    s.permit_nation = r->nation;
    s.permit_domain = r->domain;
    s.ski = issue_ski(r->ally);
    s.clearance = r->clearance;
    return issue_certificate(profile_of(r), cross_ca, &s, out, e);
}
