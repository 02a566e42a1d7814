#include "ca/bundle.h"

#include "ca/issue.h"
#include "ca/registry_status.h"
#include "core/oid.h"

#include <openssl/x509v3.h>

static int add_der(struct bytes der, struct buf *out, struct err *e)
{
    X509 *cert = NULL;
    int rc;

    if (issue_from_der(der, &cert, e) != 0)
        return err_prefix(e, "a certificate in the registry does not parse");
    rc = issue_to_pem(cert, out, e);
    X509_free(cert);
    return rc;
}

static int add_ca(struct registry *r, enum registry_role role, unsigned community, struct buf *out,
                  struct err *e)
{
    struct buf der = {0};
    int rc = -1;

    if (registry_ca(r, role, community, NULL, &der, e) == 0)
        rc = add_der(buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

bool bundle_for_ike(X509 *cert)
{
    const char *ike = profile_get(PROFILE_CROSS_IKE)->eku[0];
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    bool yes = eku != NULL && sk_ASN1_OBJECT_num(eku) == 1 &&
               oid_is(sk_ASN1_OBJECT_value(eku, 0), ike);

    EXTENDED_KEY_USAGE_free(eku);
    return yes;
}

static bool for_ike(struct bytes der)
{
    X509 *cert = NULL;
    bool yes = issue_from_der(der, &cert, NULL) == 0 && bundle_for_ike(cert);

    X509_free(cert);
    return yes;
}

/* The search in what was issued by one of our CAs for a community. */
struct search {
    const struct bundle *b;
    enum registry_role issuer;
    struct buf *out;
    struct err *e;
    size_t found;
    bool failed;
};

static bool add_found(void *ctx, const struct registry_cert *i)
{
    struct search *s = ctx;

    if (i->issuer != s->issuer || i->community != s->b->community ||
        i->status.state != REGISTRY_GOOD || i->issued_at > s->b->now ||
        i->expires_at <= s->b->now || for_ike(i->der) != s->b->ike)
        return true;
    s->found++;
    s->failed = add_der(i->der, s->out, s->e) != 0;
    return !s->failed;
}

static int add_issued(struct registry *r, struct search *s)
{
    struct registry_wanted of = {.of_ca = true, .issuer = s->issuer};

    return registry_certs(r, &of, add_found, s, s->e) != 0 || s->failed ? -1 : 0;
}

static int add_own(struct registry *r, const struct bundle *b, struct buf *out, struct err *e)
{
    struct search ike = {.b = b, .issuer = REGISTRY_ROOT, .out = out, .e = e};

    if (!b->ike)
        return add_ca(r, REGISTRY_ISSUING, b->community, out, e);
    if (add_issued(r, &ike) != 0)
        return -1;
    if (ike.found == 0)
        return err_set(e, E_NOT_FOUND,
                       "there is no certificate for IKE of the issuing CA for %s; `ca init` makes "
                       "one for each community that it is given",
                       oid_community_name(b->community));
    return 0;
}

int bundle_pem(struct registry *r, const struct bundle *b, struct buf *out, struct err *e)
{
    struct buf made = {0};
    struct search crosses = {.b = b, .issuer = REGISTRY_CROSS, .out = &made, .e = e};
    int rc = -1;

    if (oid_community_name(b->community) == NULL)
        return err_set(e, E_ARG, "there is no community %u; use 1 to %d", b->community,
                       OID_COMMUNITIES);
    if (add_ca(r, REGISTRY_ROOT, 0, &made, e) != 0 || add_ca(r, REGISTRY_CROSS, 0, &made, e) != 0 ||
        add_issued(r, &crosses) != 0 || (b->own && add_own(r, b, &made, e) != 0) ||
        buf_ok(&made, e) != 0)
        goto out;
    buf_add_bytes(out, buf_bytes(&made));
    rc = buf_ok(out, e);
out:
    buf_free(&made);
    return rc;
}
