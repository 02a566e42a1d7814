#include "ca/extend.h"

#include "ca/clearance.h"
#include "ca/policy.h"
#include "core/asn1.h"
#include "core/evidence.h"

#include <string.h>

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory while building a certificate");
}

/* Encodes `value` (NULL: what made it failed already) as extension `nid`. */
static int add(X509 *cert, int nid, void *value, bool critical, struct err *e)
{
    if (value == NULL)
        return no_memory(e);
    if (X509_add1_ext_i2d(cert, nid, value, critical, X509V3_ADD_DEFAULT) != 1)
        return err_openssl(e, E_CRYPTO, "cannot encode a certificate extension");
    return 0;
}

static int add_basic_constraints(X509 *cert, const struct profile *p, struct err *e)
{
    BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    int rc = -1;

    if (bc == NULL)
        return no_memory(e);
    bc->ca = p->ca ? 0xff : 0;
    if (p->pathlen != PROFILE_ABSENT && ((bc->pathlen = ASN1_INTEGER_new()) == NULL ||
                                         ASN1_INTEGER_set(bc->pathlen, p->pathlen) != 1)) {
        no_memory(e);
        goto out;
    }
    rc = add(cert, NID_basic_constraints, bc, true, e);
out:
    BASIC_CONSTRAINTS_free(bc);
    return rc;
}

/* RFC 5280, 4.2.1.3: bit 0 is the highest of the first octet, bit 8 of the second. */
static int add_key_usage(X509 *cert, uint32_t usage, struct err *e)
{
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    int rc = -1;

    if (bits == NULL)
        return no_memory(e);
    for (int n = 0; n < 9; n++) {
        uint32_t mask = n < 8 ? 0x80u >> n : 0x8000u;

        if ((usage & mask) != 0 && ASN1_BIT_STRING_set_bit(bits, n, 1) != 1) {
            no_memory(e);
            goto out;
        }
    }
    rc = add(cert, NID_key_usage, bits, true, e);
out:
    ASN1_BIT_STRING_free(bits);
    return rc;
}

/* The subject's own identifier: given, or by RFC 7093, section 2, method 1 (the left
 * 160 bits of SHA-256 over the key's bits). */
static int add_ski(X509 *cert, struct bytes given, struct err *e)
{
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int rc = -1;

    if (id == NULL)
        return no_memory(e);
    if (given.len == 0) {
        if (X509_pubkey_digest(cert, EVP_sha256(), md, &len) != 1 || len < 20) {
            err_openssl(e, E_CRYPTO, "cannot compute a key identifier");
            goto out;
        }
        given = bytes_of(md, 20);
    }
    if (asn1_set_octets(id, given, e) != 0)
        goto out;
    rc = add(cert, NID_subject_key_identifier, id, false, e);
out:
    ASN1_OCTET_STRING_free(id);
    return rc;
}

/* RFC 5280, 4.2.1.1, the key identifier alone: with issuer name and serial a
 * cross-certified CA could be reached by one path only. */
AUTHORITY_KEYID *extend_aki(struct bytes ski, struct err *e)
{
    AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();

    if (aki != NULL && (aki->keyid = ASN1_OCTET_STRING_new()) != NULL &&
        asn1_set_octets(aki->keyid, ski, e) == 0)
        return aki;
    AUTHORITY_KEYID_free(aki);
    no_memory(e);
    return NULL;
}

static int add_aki(X509 *cert, struct bytes issuer_ski, struct err *e)
{
    AUTHORITY_KEYID *aki = extend_aki(issuer_ski, e);
    int rc = aki != NULL ? add(cert, NID_authority_key_identifier, aki, false, e) : -1;

    AUTHORITY_KEYID_free(aki);
    return rc;
}

static int add_eku(X509 *cert, const struct profile *p, struct err *e)
{
    EXTENDED_KEY_USAGE *eku = NULL;
    int rc = -1;

    if (p->eku[0] == NULL)
        return 0;
    eku = EXTENDED_KEY_USAGE_new();
    if (eku == NULL)
        return no_memory(e);
    for (size_t i = 0; i < PROFILE_MAX_EKU && p->eku[i] != NULL; i++) {
        ASN1_OBJECT *o = oid_object(p->eku[i], e);

        if (o == NULL || sk_ASN1_OBJECT_push(eku, o) <= 0) {
            ASN1_OBJECT_free(o);
            no_memory(e);
            goto out;
        }
    }
    rc = add(cert, NID_ext_key_usage, eku, false, e);
out:
    EXTENDED_KEY_USAGE_free(eku);
    return rc;
}

static int add_policies(X509 *cert, const struct profile *p, const struct subject *s, struct err *e)
{
    CERTIFICATEPOLICIES *v = NULL;
    int rc = -1;

    switch (p->policies) {
    case PROFILE_POLICIES_NONE: return 0;
    case PROFILE_POLICIES_ANY: v = policy_any(e); break;
    case PROFILE_POLICIES_COMMUNITY: v = policy_levels(s->community, OID_LEVELS, e); break;
    case PROFILE_POLICIES_LEVEL: v = policy_levels(s->community, s->level, e); break;
    }
    if (v != NULL)
        rc = add(cert, NID_certificate_policies, v, p->policies_critical, e);
    CERTIFICATEPOLICIES_free(v);
    return rc;
}

/* policyConstraints and inhibitAnyPolicy (RFC 5280, 4.2.1.11 and 4.2.1.14). */
static int add_policy_rules(X509 *cert, const struct profile *p, struct err *e)
{
    POLICY_CONSTRAINTS *pc = NULL;
    ASN1_INTEGER *inhibit = NULL;
    int rc = -1;

    if (p->require_explicit != PROFILE_ABSENT) {
        pc = POLICY_CONSTRAINTS_new();
        if (pc == NULL || (pc->requireExplicitPolicy = ASN1_INTEGER_new()) == NULL ||
            ASN1_INTEGER_set(pc->requireExplicitPolicy, p->require_explicit) != 1) {
            no_memory(e);
            goto out;
        }
        if (add(cert, NID_policy_constraints, pc, p->policy_rules_critical, e) != 0)
            goto out;
    }
    if (p->inhibit_any != PROFILE_ABSENT) {
        inhibit = ASN1_INTEGER_new();
        if (inhibit == NULL || ASN1_INTEGER_set(inhibit, p->inhibit_any) != 1) {
            no_memory(e);
            goto out;
        }
        if (add(cert, NID_inhibit_any_policy, inhibit, p->policy_rules_critical, e) != 0)
            goto out;
    }
    rc = 0;
out:
    POLICY_CONSTRAINTS_free(pc);
    ASN1_INTEGER_free(inhibit);
    return rc;
}

/* --- nameConstraints ----------------------------------------------------- */

/* Puts a general name of text or octets into a list of subtrees. */
static int push_subtree(STACK_OF(GENERAL_SUBTREE) * *to, int type, const void *p, size_t len,
                        struct err *e)
{
    GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();
    ASN1_STRING *v =
        ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

    if (*to == NULL)
        *to = sk_GENERAL_SUBTREE_new_null();
    if (*to == NULL || sub == NULL || v == NULL || ASN1_STRING_set(v, p, (int)len) != 1)
        goto memory;
    GENERAL_NAME_set0_value(sub->base, type, v);
    v = NULL;
    if (sk_GENERAL_SUBTREE_push(*to, sub) > 0)
        return 0;
memory:
    GENERAL_SUBTREE_free(sub);
    ASN1_STRING_free(v);
    return no_memory(e);
}

/* Directory names below C=<nation>. */
static int push_country(STACK_OF(GENERAL_SUBTREE) * to, const char *nation, struct err *e)
{
    GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();
    X509_NAME *name = X509_NAME_new();

    if (sub == NULL || name == NULL ||
        X509_NAME_add_entry_by_txt(name, "C", MBSTRING_ASC, (const uint8_t *)nation, -1, -1, 0) !=
            1)
        goto memory;
    GENERAL_NAME_set0_value(sub->base, GEN_DIRNAME, name);
    name = NULL;
    if (sk_GENERAL_SUBTREE_push(to, sub) > 0)
        return 0;
memory:
    GENERAL_SUBTREE_free(sub);
    X509_NAME_free(name);
    return no_memory(e);
}

/*
 * Every name form that a certificate of ours can carry is listed, because a form that
 * is not listed is not constrained (RFC 5280, 4.2.1.10). A DNS subtree covers the
 * domain and all below it; mail and URI subtrees say "below" with a leading dot and
 * the domain itself without. IP addresses: all of IPv4 and IPv6 are excluded (address
 * and mask of zeros), unless the row says otherwise.
 */
static int add_constraints(X509 *cert, const struct profile *p, const struct subject *s,
                           struct err *e)
{
    static const uint8_t zeros[32];
    NAME_CONSTRAINTS *nc = NULL;
    struct buf below = {0};
    size_t len;
    int rc = -1;

    nc = NAME_CONSTRAINTS_new();
    buf_str(&below, ".");
    buf_str(&below, s->permit_domain);
    if (nc == NULL || buf_ok(&below, e) != 0) {
        no_memory(e);
        goto out;
    }
    len = strlen(s->permit_domain);
    if (push_subtree(&nc->permittedSubtrees, GEN_DNS, s->permit_domain, len, e) != 0 ||
        push_country(nc->permittedSubtrees, s->permit_nation, e) != 0 ||
        push_subtree(&nc->permittedSubtrees, GEN_EMAIL, s->permit_domain, len, e) != 0 ||
        push_subtree(&nc->permittedSubtrees, GEN_EMAIL, below.p, below.len, e) != 0 ||
        push_subtree(&nc->permittedSubtrees, GEN_URI, s->permit_domain, len, e) != 0 ||
        push_subtree(&nc->permittedSubtrees, GEN_URI, below.p, below.len, e) != 0 ||
        (!p->addresses && (push_subtree(&nc->excludedSubtrees, GEN_IPADD, zeros, 8, e) != 0 ||
                           push_subtree(&nc->excludedSubtrees, GEN_IPADD, zeros, 32, e) != 0)))
        goto out;
    rc = add(cert, NID_name_constraints, nc, true, e);
out:
    NAME_CONSTRAINTS_free(nc);
    buf_free(&below);
    return rc;
}

/* --- subjectAltName ------------------------------------------------------ */

/* One name: GEN_DNS or GEN_EMAIL. */
static int add_name(X509 *cert, int type, const char *text, struct err *e)
{
    GENERAL_NAMES *names = NULL;
    GENERAL_NAME *name = NULL;
    ASN1_IA5STRING *v = NULL;
    int rc = -1;

    names = GENERAL_NAMES_new();
    name = GENERAL_NAME_new();
    v = ASN1_IA5STRING_new();
    if (names == NULL || name == NULL || v == NULL || ASN1_STRING_set(v, text, -1) != 1) {
        no_memory(e);
        goto out;
    }
    GENERAL_NAME_set0_value(name, type, v);
    v = NULL;
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        no_memory(e);
        goto out;
    }
    name = NULL;
    rc = add(cert, NID_subject_alt_name, names, false, e);
out:
    ASN1_IA5STRING_free(v);
    GENERAL_NAME_free(name);
    GENERAL_NAMES_free(names);
    return rc;
}

static int add_tpm_names(X509 *cert, const GENERAL_NAMES *names, struct err *e)
{
    GENERAL_NAMES *copy = NULL;
    int rc;

    /* X509_add1_ext_i2d takes a value that is not const. */
    copy = sk_GENERAL_NAME_dup(names);
    rc = add(cert, NID_subject_alt_name, copy, false, e);
    sk_GENERAL_NAME_free(copy);
    return rc;
}

static int add_san(X509 *cert, const struct profile *p, const struct subject *s, struct err *e)
{
    switch (p->san) {
    case PROFILE_SAN_NONE: break;
    case PROFILE_SAN_DNS: return add_name(cert, GEN_DNS, s->dns, e);
    case PROFILE_SAN_MAIL: return add_name(cert, GEN_EMAIL, s->mail, e);
    case PROFILE_SAN_TPM: return add_tpm_names(cert, s->tpm_names, e);
    }
    return 0;
}

/* --- clearances --------------------------------------------------------------- */

static int add_clearance(X509 *cert, const struct profile *p, const struct subject *s,
                         struct err *e)
{
    switch (p->clearance) {
    case PROFILE_CLEARANCE_NONE: break;
    case PROFILE_CLEARANCE_GRANTED:
        return s->clearance != NULL ? clearance_put(cert, s->clearance, e) : 0;
    case PROFILE_CLEARANCE_BOUND: return clearance_put_bound(cert, s->clearance, e);
    }
    return 0;
}

/* --- where the status is published ----------------------------------------- */

/* A GeneralName of a URL; NULL when there is no memory. */
static GENERAL_NAME *name_url(const char *url)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *v = ASN1_IA5STRING_new();

    if (name != NULL && v != NULL && ASN1_STRING_set(v, url, -1) == 1) {
        GENERAL_NAME_set0_value(name, GEN_URI, v);
        return name;
    }
    GENERAL_NAME_free(name);
    ASN1_IA5STRING_free(v);
    return NULL;
}

CRL_DIST_POINTS *extend_points(const char *url, struct err *e)
{
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    DIST_POINT *point = DIST_POINT_new();
    GENERAL_NAME *name = name_url(url);

    if (points == NULL || point == NULL || name == NULL ||
        (point->distpoint = DIST_POINT_NAME_new()) == NULL ||
        (point->distpoint->name.fullname = GENERAL_NAMES_new()) == NULL)
        goto memory;
    point->distpoint->type = 0; /* fullName (RFC 5280, 4.2.1.13) */
    if (sk_GENERAL_NAME_push(point->distpoint->name.fullname, name) <= 0)
        goto memory;
    name = NULL;
    if (sk_DIST_POINT_push(points, point) > 0)
        return points;
memory:
    GENERAL_NAME_free(name);
    DIST_POINT_free(point);
    CRL_DIST_POINTS_free(points);
    no_memory(e);
    return NULL;
}

/* RFC 5280, 4.2.1.13 and 4.2.2.1. */
static int add_pointers(X509 *cert, const struct extend_issuer *issuer, struct err *e)
{
    CRL_DIST_POINTS *points = NULL;
    AUTHORITY_INFO_ACCESS *access = NULL;
    ACCESS_DESCRIPTION *d = NULL;
    int rc = -1;

    if (issuer->crl_url != NULL && issuer->crl_url[0] != 0 &&
        ((points = extend_points(issuer->crl_url, e)) == NULL ||
         add(cert, NID_crl_distribution_points, points, false, e) != 0))
        goto out;
    if (issuer->ocsp_url != NULL && issuer->ocsp_url[0] != 0) {
        access = AUTHORITY_INFO_ACCESS_new();
        d = ACCESS_DESCRIPTION_new();
        if (access == NULL || d == NULL || sk_ACCESS_DESCRIPTION_push(access, d) <= 0) {
            ACCESS_DESCRIPTION_free(d);
            no_memory(e);
            goto out;
        }
        ASN1_OBJECT_free(d->method);
        d->method = OBJ_nid2obj(NID_ad_OCSP);
        GENERAL_NAME_free(d->location);
        d->location = name_url(issuer->ocsp_url);
        if (d->location == NULL) {
            no_memory(e);
            goto out;
        }
        if (add(cert, NID_info_access, access, false, e) != 0)
            goto out;
    }
    rc = 0;
out:
    CRL_DIST_POINTS_free(points);
    AUTHORITY_INFO_ACCESS_free(access);
    return rc;
}

/* RFC 6960, 4.2.2.2.1: nobody asks for the status of who answers such questions; its
 * certificate is short-lived instead. */
static int add_nocheck(X509 *cert, struct err *e)
{
    ASN1_NULL *null = ASN1_NULL_new();
    int rc = add(cert, NID_id_pkix_OCSP_noCheck, null, false, e);

    ASN1_NULL_free(null);
    return rc;
}

int extend_all(X509 *cert, const struct extend_issuer *issuer, const struct profile *p,
               const struct subject *subject, struct err *e)
{
    uint32_t usage = p->key_usage;

    if (subject->key->type == TPM2_ALG_RSA)
        usage |= p->key_usage_rsa;
    if (add_basic_constraints(cert, p, e) != 0 || add_key_usage(cert, usage, e) != 0 ||
        add_ski(cert, p->keep_ski ? subject->ski : (struct bytes){NULL, 0}, e) != 0 ||
        (issuer->ski.len != 0 && add_aki(cert, issuer->ski, e) != 0) || add_eku(cert, p, e) != 0 ||
        add_policies(cert, p, subject, e) != 0 || add_policy_rules(cert, p, e) != 0 ||
        (p->constraints && add_constraints(cert, p, subject, e) != 0) ||
        add_san(cert, p, subject, e) != 0 || add_clearance(cert, p, subject, e) != 0 ||
        (p->evidence_hash && evidence_hash_put(cert, subject->evidence_hash, e) != 0))
        return -1;
    return p->ocsp_nocheck ? add_nocheck(cert, e) : add_pointers(cert, issuer, e);
}
