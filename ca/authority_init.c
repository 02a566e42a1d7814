/* Makes an authority. */
#include "ca/authority_priv.h"
#include "ca/require.h"

#include "ca/urls.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>

/* What stays the same for all certificates of a new authority. */
struct making {
    const struct authority_params *p;
    struct registry *registry;
    struct issue_issuer root;
    struct registry_urls urls;
    char root_crl[URLS_MAX];
    struct clearance may; /* what its issuing CAs may grant */
    struct err *e;
};

static struct subject subject_of(const struct making *m, unsigned community,
                                 const struct authority_key *key)
{
    return (struct subject){
        .clearance = community != 0 && m->may.classes != 0 ? &m->may : NULL,
        .key = &key->signer->pub,
        .community = community,
        .level = REGISTRY_BASIC_LEVEL, /* of rows that have one */
        .permit_nation = m->p->nation,
        .permit_domain = m->p->domain,
    };
}

/* Makes, records and returns one CA certificate; without an issuer the root's. */
static X509 *make_ca(struct making *m, enum profile_id profile, enum registry_role role,
                     unsigned community, const struct authority_key *key, const char *title)
{
    struct issue_issuer issuer = m->root;
    struct subject s = subject_of(m, community, key);
    int64_t seconds = profile_get(profile)->max_seconds;
    X509_NAME *name = NULL;
    struct buf cn = {0}, der = {0};
    X509 *cert = NULL;
    bool ok = false;

    buf_printf(&cn, "%s %s", m->p->nation, title);
    name = issue_name(m->p->nation, m->p->org,
                      community != 0 ? oid_community_name(community) : NULL,
                      buf_cstr(&cn) != NULL ? buf_cstr(&cn) : "", m->e);
    if (name == NULL)
        goto out;
    s.name = name;
    if (role == REGISTRY_ROOT)
        issuer = (struct issue_issuer){.signer = key->signer};
    if (issue_validity(issuer.cert, m->p->now, seconds, &s, m->e) != 0 ||
        issue_certificate(profile, &issuer, &s, &cert, m->e) != 0 ||
        issue_to_der(cert, &der, m->e) != 0 ||
        registry_add_ca(m->registry, role, community, &key->ref, buf_bytes(&der), m->e) != 0)
        goto out;
    ok = role == REGISTRY_ROOT ||
         authority_record(m->registry,
                          &(struct authority_entry){.issuer = REGISTRY_ROOT, .cert = cert},
                          m->e) == 0;
out:
    if (!ok) {
        X509_free(cert);
        cert = NULL;
    }
    X509_NAME_free(name);
    buf_free(&cn);
    buf_free(&der);
    return cert;
}

/* The issuing CA's second certificate, for IKE; among what was issued, not among the CAs. */
static int make_ike(struct making *m, unsigned community, const struct authority_key *key,
                    X509 *issuing)
{
    struct subject s = subject_of(m, community, key);
    struct authority_entry entry = {.issuer = REGISTRY_ROOT, .community = community};
    int rc = -1;

    s.name = X509_get_subject_name(issuing);
    s.ski = issue_ski(issuing);
    if (issue_validity(m->root.cert, m->p->now, profile_get(PROFILE_ISSUING_IKE)->max_seconds, &s,
                       m->e) != 0 ||
        issue_certificate(PROFILE_ISSUING_IKE, &m->root, &s, &entry.cert, m->e) != 0 ||
        authority_record(m->registry, &entry, m->e) != 0)
        goto out;
    rc = 0;
out:
    X509_free(entry.cert);
    return rc;
}

/* The CA of a community's levels 1 and 2. It has no certificate for IKE. */
static int make_basic(struct making *m, unsigned community, const struct authority_key *key)
{
    struct buf title = {0};
    X509 *cert = NULL;

    buf_printf(&title, "%s Basic CA", oid_community_name(community));
    if (buf_ok(&title, m->e) == 0)
        cert = make_ca(m, PROFILE_BASIC_CA, REGISTRY_BASIC, community, key, buf_cstr(&title));
    X509_free(cert);
    buf_free(&title);
    return cert != NULL ? 0 : -1;
}

/* Both certificates of a community's issuing CA. */
static int make_issuing(struct making *m, unsigned community, const struct authority_key *key)
{
    struct buf title = {0};
    X509 *cert = NULL;
    int rc = -1;

    buf_printf(&title, "%s Issuing CA", oid_community_name(community));
    if (buf_ok(&title, m->e) == 0 && (cert = make_ca(m, PROFILE_ISSUING_CA, REGISTRY_ISSUING,
                                                     community, key, buf_cstr(&title))) != NULL)
        rc = make_ike(m, community, key, cert);
    X509_free(cert);
    buf_free(&title);
    return rc;
}

static int make_sub(struct making *m, enum profile_id profile, enum registry_role role,
                    const struct authority_key *key, const char *title)
{
    X509 *cert = make_ca(m, profile, role, 0, key, title);

    X509_free(cert);
    return cert != NULL ? 0 : -1;
}

static int make_all(struct making *m)
{
    const struct authority_params *p = m->p;
    struct registry_authority info = {0};
    int rc = -1;

    /* The lengths were checked by check_params. */
    memcpy(info.nation, p->nation, strlen(p->nation));
    memcpy(info.org, p->org, strlen(p->org));
    memcpy(info.domain, p->domain, strlen(p->domain));
    memcpy(info.arc, OID_ARC, sizeof(OID_ARC));
    info.registration = !p->any_tpm;
    if (registry_set_authority(m->registry, &info, m->e) != 0 ||
        registry_set_urls(m->registry, &m->urls, m->e) != 0 ||
        (p->clearances != NULL && registry_set_clearances(m->registry, p->clearances, m->e) != 0))
        return -1;
    if (p->clearances != NULL) {
        m->may.classes = clearance_system_classes(p->clearances);
        memcpy(m->may.policy, p->clearances->policy, sizeof(m->may.policy));
    }
    m->root.signer = p->root.signer;
    m->root.crl_url = m->root_crl;
    m->root.ocsp_url = m->urls.ocsp;
    m->root.cert = make_ca(m, PROFILE_ROOT, REGISTRY_ROOT, 0, &p->root, "Root CA");
    if (m->root.cert == NULL ||
        make_sub(m, PROFILE_CROSS_CA, REGISTRY_CROSS, &p->cross, "Cross CA") != 0 ||
        make_sub(m, PROFILE_ATTESTATION_CA, REGISTRY_ATTESTATION, &p->attestation,
                 "Attestation CA") != 0)
        goto out;
    for (size_t i = 0; i < p->n_communities; i++)
        if (make_issuing(m, p->communities[i], &p->issuing[i]) != 0 ||
            (p->basic != NULL && make_basic(m, p->communities[i], &p->basic[i]) != 0))
            goto out;
    rc = 0;
out:
    X509_free(m->root.cert);
    m->root.cert = NULL;
    return rc;
}

/* The i-th key of all: root, cross, attestation, then the issuing and the basic ones. */
static const struct authority_key *key_at(const struct authority_params *p, size_t i)
{
    switch (i) {
    case 0: return &p->root;
    case 1: return &p->cross;
    case 2: return &p->attestation;
    default:
        return i - 3 < p->n_communities ? &p->issuing[i - 3] : &p->basic[i - 3 - p->n_communities];
    }
}

static int check_params(const struct authority_params *p, struct err *e)
{
    size_t org = p->org != NULL ? strlen(p->org) : 0;

    if (issue_check_nation(p->nation, e) != 0 || issue_check_dns(p->domain, e) != 0)
        return -1;
    if (org < 1 || org > 64)
        return err_set(e, E_ARG, "the organisation's name has 1 to 64 bytes, not %zu", org);
    if (p->n_communities < 1 || p->n_communities > OID_COMMUNITIES)
        return err_set(e, E_ARG, "an authority serves 1 to %d communities", OID_COMMUNITIES);
    for (size_t i = 0; i < p->n_communities; i++) {
        if (oid_community_name(p->communities[i]) == NULL)
            return err_set(e, E_ARG, "there is no community %u; use 1 to %d", p->communities[i],
                           OID_COMMUNITIES);
        for (size_t j = 0; j < i; j++)
            if (p->communities[i] == p->communities[j])
                return err_set(e, E_ARG, "the community %s is named twice",
                               oid_community_name(p->communities[i]));
    }
    /* A key with two roles would undo the separation of the two. */
    for (size_t i = 0; i < 3 + p->n_communities * (p->basic != NULL ? 2 : 1); i++) {
        if (key_at(p, i)->signer == NULL)
            return err_set(e, E_ARG, "an authority needs a key for each of its CAs");
        for (size_t j = 0; j < i; j++)
            if (pubkey_equal(&key_at(p, i)->signer->pub, &key_at(p, j)->signer->pub))
                return err_set(e, E_REJECTED,
                               "one key was given for two CAs; make a key for each CA");
    }
    return 0;
}

static int set_urls(struct making *m)
{
    const struct authority_params *p = m->p;

    if ((p->crl_url != NULL && urls_check("the URL of the CRLs", p->crl_url, m->e) != 0) ||
        (p->ocsp_url != NULL && urls_check("the URL for OCSP", p->ocsp_url, m->e) != 0))
        return -1;
    /* Their lengths are checked by that. */
    snprintf(m->urls.crl, sizeof(m->urls.crl), "%s", p->crl_url != NULL ? p->crl_url : "");
    snprintf(m->urls.ocsp, sizeof(m->urls.ocsp), "%s", p->ocsp_url != NULL ? p->ocsp_url : "");
    urls_crl(&m->urls, REGISTRY_ROOT, 0, false, m->root_crl);
    return 0;
}

int authority_init(const char *dir, const struct authority_params *p, struct err *e)
{
    struct making m = {.p = p, .e = e};
    struct buf path = {0}, pins_path = {0};
    struct require pins = {.n_pin = 0};
    bool made = false;
    int rc = -1;

    if (check_params(p, e) != 0 || set_urls(&m) != 0 ||
        require_pins(p->ek_pins_pem, &pins, e) != 0 ||
        authority_path(dir, "registry.db", &path, e) != 0 ||
        authority_path(dir, REQUIRE_PINS, &pins_path, e) != 0 || file_mkdirs(dir, e) != 0 ||
        registry_open(&m.registry, buf_cstr(&path), REGISTRY_CREATE, e) != 0)
        goto out;
    made = true;
    if (registry_begin(m.registry, e) != 0 || make_all(&m) != 0 ||
        file_write(buf_cstr(&pins_path), p->ek_pins_pem, 0600, e) != 0 ||
        registry_commit(m.registry, e) != 0)
        goto out;
    rc = 0;
out:
    registry_close(m.registry);
    if (rc != 0 && made)
        remove(buf_cstr(&path));
    require_free(&pins);
    buf_free(&path);
    buf_free(&pins_path);
    return rc;
}
