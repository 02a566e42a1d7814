#include "ca/authority_priv.h"

#include "ca/registry_clock.h"
#include "ca/require.h"
#include "ca/urls.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

struct cached {
    X509 *cert;
    struct signer *signer;
    char crl_url[URLS_MAX];
};

struct authority {
    struct registry *registry;
    struct registry_authority info;
    struct registry_urls urls;
    struct clearance_system clearances;
    struct require require;
    authority_signer_fn signer_for;
    void *ctx;
    struct cached ca[REGISTRY_ROLES][OID_COMMUNITIES + 1]; /* by role and community */
};

int authority_path(const char *dir, const char *name, struct buf *out, struct err *e)
{
    buf_printf(out, "%s/%s", dir, name);
    return buf_cstr(out) != NULL ? 0 : buf_ok(out, e);
}

/* --- recording ----------------------------------------------------------- */

int authority_clock(struct authority *a, time_t now, struct err *e)
{
    return registry_clock(a->registry, now, e);
}

int authority_record(struct registry *r, const struct authority_entry *x, struct err *e)
{
    struct registry_issued row = {.issuer = x->issuer, .community = x->community};
    struct buf der = {0};
    struct pubkey key;
    int rc = -1;

    if (issue_to_der(x->cert, &der, e) != 0 || issue_serial(x->cert, row.serial, e) != 0 ||
        pubkey_from_x509(&key, x->cert, e) != 0 || pubkey_id(&key, row.spki_hash, e) != 0 ||
        issue_time(X509_get0_notBefore(x->cert), &row.issued_at, e) != 0 ||
        issue_time(X509_get0_notAfter(x->cert), &row.expires_at, e) != 0 ||
        registry_clock(r, row.issued_at + ISSUE_SKEW, e) != 0)
        goto out;
    if (x->dns != NULL) {
        if (strlen(x->dns) >= sizeof(row.subject)) {
            err_set(e, E_ARG, "the name is too long to be recorded");
            goto out;
        }
        memcpy(row.subject, x->dns, strlen(x->dns) + 1);
    } else {
        X509_NAME_oneline(X509_get_subject_name(x->cert), row.subject, sizeof(row.subject));
    }
    if (x->grant != NULL)
        row.grant = *x->grant;
    row.has_ek = x->ek_hash != NULL;
    if (row.has_ek)
        memcpy(row.ek_hash, x->ek_hash, sizeof(row.ek_hash));
    row.has_evidence = x->evidence_hash != NULL;
    if (row.has_evidence)
        memcpy(row.evidence_hash, x->evidence_hash, sizeof(row.evidence_hash));
    row.der = buf_bytes(&der);
    row.evidence = x->evidence;
    rc = registry_add_issued(r, &row, e);
out:
    buf_free(&der);
    return rc;
}

/* --- opening and closing ------------------------------------------------- */

int authority_open(struct authority **out, const char *dir, bool read_only,
                   authority_signer_fn signer_for, void *ctx, struct err *e)
{
    struct authority *a = calloc(1, sizeof(*a));
    struct buf path = {0};
    X509 *attestation;
    int rc = -1;

    if (a == NULL) {
        err_set(e, E_MEMORY, "out of memory for an authority");
        goto out;
    }
    a->signer_for = signer_for;
    a->ctx = ctx;
    if (authority_path(dir, "registry.db", &path, e) != 0 ||
        registry_open(&a->registry, buf_cstr(&path), read_only ? REGISTRY_READ : REGISTRY_WRITE,
                      e) != 0 ||
        registry_authority(a->registry, &a->info, e) != 0 ||
        registry_urls(a->registry, &a->urls, e) != 0 ||
        registry_clearances(a->registry, &a->clearances, e) != 0 ||
        require_load(dir, &a->require, e) != 0)
        goto out;
    if (a->require.n_pin == 0) {
        err_set(e, E_NOT_FOUND, "%s/%s is missing; put it back, with the EK issuers to trust", dir,
                REQUIRE_PINS);
        goto out;
    }
    /* It certifies EKs itself where the maker has not (ca/vouch.h). */
    if (authority_cert(a, REGISTRY_ATTESTATION, 0, &attestation, e) != 0 ||
        require_pin(&a->require, attestation, false, e) != 0)
        goto out;
    if (strcmp(a->info.arc, OID_ARC) != 0) {
        err_set(e, E_VERSION,
                "the authority in %s uses the arc %s, this program %s; use the program that made "
                "it",
                dir, a->info.arc, OID_ARC);
        goto out;
    }
    *out = a;
    a = NULL;
    rc = 0;
out:
    authority_close(a);
    buf_free(&path);
    return rc;
}

void authority_close(struct authority *a)
{
    if (a == NULL)
        return;
    for (size_t role = 0; role < ARRAY_LEN(a->ca); role++) {
        for (size_t c = 0; c < ARRAY_LEN(a->ca[role]); c++) {
            X509_free(a->ca[role][c].cert);
            signer_free(a->ca[role][c].signer);
        }
    }
    require_free(&a->require);
    registry_close(a->registry);
    free(a);
}

const struct registry_authority *authority_info(const struct authority *a)
{
    return &a->info;
}

const struct registry_urls *authority_urls(const struct authority *a)
{
    return &a->urls;
}

const struct clearance_system *authority_clearances(const struct authority *a)
{
    return &a->clearances;
}

struct registry *authority_registry(struct authority *a)
{
    return a->registry;
}

const struct require *authority_require(const struct authority *a)
{
    return &a->require;
}

/* --- its CAs ------------------------------------------------------------- */

/* Reads certificate and key reference of one CA; keeps the certificate. */
static struct cached *load(struct authority *a, enum registry_role role, unsigned community,
                           struct registry_key *key, struct err *e)
{
    struct cached *c = NULL;
    struct buf der = {0};

    if ((unsigned)role >= REGISTRY_ROLES || community > OID_COMMUNITIES) {
        err_set(e, E_ARG, "there is no such CA; communities have the numbers 1 to %d",
                OID_COMMUNITIES);
        return NULL;
    }
    if (registry_ca(a->registry, role, community, key, &der, e) != 0)
        goto out;
    if (a->ca[role][community].cert == NULL &&
        issue_from_der(buf_bytes(&der), &a->ca[role][community].cert, e) != 0) {
        err_prefix(e, "the %s CA's certificate in the registry", registry_role_name(role));
        goto out;
    }
    c = &a->ca[role][community];
    urls_crl(&a->urls, role, community, false, c->crl_url);
out:
    buf_free(&der);
    return c;
}

int authority_cert(struct authority *a, enum registry_role role, unsigned community, X509 **out,
                   struct err *e)
{
    const struct cached *c = load(a, role, community, NULL, e);

    if (c == NULL)
        return -1;
    *out = c->cert;
    return 0;
}

int authority_issuer(struct authority *a, enum registry_role role, unsigned community,
                     struct issue_issuer *out, struct err *e)
{
    struct signer *signer = NULL;
    struct registry_key key;
    struct cached *c = load(a, role, community, &key, e);
    struct pubkey held;

    if (c == NULL)
        return -1;
    if (c->signer == NULL) {
        if (a->signer_for == NULL)
            return err_set(e, E_ARG, "this authority was opened without access to its keys");
        if (a->signer_for(a->ctx, role, community, &key, &signer, e) != 0)
            return err_prefix(e, "the key of the %s CA (token %s)", registry_role_name(role),
                              key.token);
        if (pubkey_from_x509(&held, c->cert, e) != 0 || !pubkey_equal(&held, &signer->pub)) {
            signer_free(signer);
            return err_set(e, E_REJECTED,
                           "the key in token %s is not the one in the %s CA's certificate; insert "
                           "the right token",
                           key.token, registry_role_name(role));
        }
        c->signer = signer;
    }
    *out = (struct issue_issuer){
        .cert = c->cert, .signer = c->signer, .crl_url = c->crl_url, .ocsp_url = a->urls.ocsp};
    return 0;
}

int authority_can_issue(struct authority *a, unsigned community, unsigned level,
                        const struct registry_grant *g, time_t now, struct err *e)
{
    struct clearance c = {.classes = g->clearance};
    X509 *leaf_ca, *attestation;
    enum profile_id id;

    memcpy(c.policy, a->clearances.policy, sizeof(c.policy));
    if (profile_named(g->profile, &id, e) != 0 ||
        authority_cert(a, registry_leaf_ca(a->registry, community, level), community, &leaf_ca,
                       e) != 0 ||
        authority_cert(a, REGISTRY_ATTESTATION, 0, &attestation, e) != 0 ||
        issue_may(id, leaf_ca, c.classes != 0 ? &c : NULL, now, e) != 0)
        return -1;
    return issue_may(PROFILE_AK, attestation, NULL, now, e);
}

/* --- cross-certificates --------------------------------------------------- */

int authority_cross(struct authority *a, const struct cross_request *r, struct buf *pem,
                    struct err *e)
{
    struct authority_entry entry = {.issuer = REGISTRY_CROSS, .community = r->community};
    struct issue_issuer cross_ca;
    struct buf text = {0};
    int rc = -1;

    if (r->clearance != NULL && strcmp(r->clearance->policy, a->clearances.policy) == 0)
        return err_set(
            e, E_ARG,
            "%.60s is our own system of clearances: an ally grants its own, and a row of "
            "the federation says as what of ours that counts",
            r->clearance->policy);
    /* First what needs no key, so that nobody is asked for a PIN in vain. */
    if (cross_judge(r, e) != 0 || authority_clock(a, r->now, e) != 0 ||
        authority_issuer(a, REGISTRY_CROSS, 0, &cross_ca, e) != 0 ||
        cross_issue(&cross_ca, a->info.nation, a->info.domain, r, &entry.cert, e) != 0 ||
        issue_to_pem(entry.cert, &text, e) != 0 || authority_record(a->registry, &entry, e) != 0)
        goto out;
    buf_add_bytes(pem, buf_bytes(&text));
    rc = buf_ok(pem, e);
out:
    X509_free(entry.cert);
    buf_free(&text);
    return rc;
}
