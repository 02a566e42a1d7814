#include "ca/bundle.h"

#include "ca/issue.h"
#include "core/oid.h"

#include <string.h>

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

struct crosses {
    unsigned community;
    int64_t now;
    struct buf *out;
    struct err *e;
    bool failed;
};

static bool add_cross(void *ctx, const struct registry_issued *i)
{
    struct crosses *c = ctx;

    if (i->issuer != REGISTRY_CROSS || i->community != c->community || i->issued_at > c->now ||
        i->expires_at <= c->now)
        return true;
    c->failed = add_der(i->der, c->out, c->e) != 0;
    return !c->failed;
}

int bundle_pem(struct registry *r, unsigned community, bool own, time_t now, struct buf *out,
               struct err *e)
{
    struct buf made = {0};
    struct crosses c = {.community = community, .now = now, .out = &made, .e = e};
    int rc = -1;

    if (oid_community_name(community) == NULL)
        return err_set(e, E_ARG, "there is no community %u; use 1 to %d", community,
                       OID_COMMUNITIES);
    if (add_ca(r, REGISTRY_ROOT, 0, &made, e) != 0 || add_ca(r, REGISTRY_CROSS, 0, &made, e) != 0 ||
        registry_issued(r, add_cross, &c, e) != 0 || c.failed ||
        (own && add_ca(r, REGISTRY_ISSUING, community, &made, e) != 0) || buf_ok(&made, e) != 0)
        goto out;
    buf_add_bytes(out, buf_bytes(&made));
    rc = buf_ok(out, e);
out:
    buf_free(&made);
    return rc;
}
