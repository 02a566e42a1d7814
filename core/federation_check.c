/* Whether a federation holds together. */
#include "core/federation.h"

#include "core/pubkey.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

struct check {
    const struct federation *f;
    int64_t now;
    struct err *e;
};

static int wrong(struct check *c, const struct federation_side *s, const char *what)
{
    return err_set(c->e, E_REJECTED, "%s: %s", s->nation, what);
}

static bool same_key(X509 *a, X509 *b)
{
    struct pubkey x, y;

    return pubkey_from_x509(&x, a, NULL) == 0 && pubkey_from_x509(&y, b, NULL) == 0 &&
           pubkey_equal(&x, &y);
}

/* --- certificates ---------------------------------------------------------------------------- */

static int check_root(struct check *c, const struct federation_side *s)
{
    bool fine = X509_NAME_cmp(X509_get_subject_name(s->root), X509_get_issuer_name(s->root)) == 0 &&
                X509_verify(s->root, X509_get0_pubkey(s->root)) == 1 && X509_check_ca(s->root) == 1;

    ERR_clear_error();
    return fine ? 0 : wrong(c, s, "its root is no CA that signed itself");
}

/* Valid below the nation's root, with its Cross CA to lead there. */
static int below_root(struct check *c, const struct federation_side *s, X509 *cert,
                      const char *what)
{
    struct chain_anchor anchor = {.cert = s->root};
    struct chain_terms t = {.anchor = &anchor, .n_anchor = 1, .now = c->now};
    struct chain_verdict v;
    STACK_OF(X509) *between = sk_X509_new_null();
    int rc = -1;

    if (between == NULL || sk_X509_push(between, s->cross_ca) <= 0) {
        err_set(c->e, E_MEMORY, "out of memory for a federation");
        goto out;
    }
    t.untrusted = between;
    if (chain_check(cert, &t, &v, c->e) != 0)
        goto out;
    rc = v.accepted && X509_check_ca(cert) == 1
             ? 0
             : err_set(c->e, E_REJECTED, "%s: %s is not valid under its root: %s", s->nation, what,
                       v.accepted ? "it is no CA" : v.reason);
    chain_free(&v);
out:
    sk_X509_free(between);
    return rc;
}

/* Does it say of names what the other side's domain allows, and nothing wider? */
static bool permits_only(X509 *cert, const char *domain)
{
    NAME_CONSTRAINTS *nc = X509_get_ext_d2i(cert, NID_name_constraints, NULL, NULL);
    int dns = 0;
    bool fine = nc != NULL;

    for (int i = 0; fine && i < sk_GENERAL_SUBTREE_num(nc->permittedSubtrees); i++) {
        const GENERAL_NAME *g = sk_GENERAL_SUBTREE_value(nc->permittedSubtrees, i)->base;

        if (g->type != GEN_DNS)
            continue;
        dns++;
        fine = ASN1_STRING_length(g->d.dNSName) == (int)strlen(domain) &&
               memcmp(ASN1_STRING_get0_data(g->d.dNSName), domain, strlen(domain)) == 0;
    }
    NAME_CONSTRAINTS_free(nc);
    return fine && dns == 1;
}

static bool has_policy(X509 *cert, unsigned community, unsigned level)
{
    CERTIFICATEPOLICIES *list = X509_get_ext_d2i(cert, NID_certificate_policies, NULL, NULL);
    char oid[OID_TEXT_MAX];
    bool found = false;

    if (oid_policy(community, level, oid, NULL) == 0) {
        for (int i = 0; list != NULL && i < sk_POLICYINFO_num(list); i++)
            found = found || oid_is(sk_POLICYINFO_value(list, i)->policyid, oid);
    }
    CERTIFICATEPOLICIES_free(list);
    return found;
}

/* What `s` issued to the other side's CA. */
static int check_cross(struct check *c, const struct federation_side *s,
                       const struct federation_side *other, unsigned community, X509 *cross,
                       X509 *to)
{
    char what[64];

    snprintf(what, sizeof(what), "its cross-certificate for %s", oid_community_name(community));
    if (to == NULL || !same_key(cross, to) ||
        X509_NAME_cmp(X509_get_subject_name(cross), X509_get_subject_name(to)) != 0)
        return err_set(c->e, E_REJECTED, "%s: %s is not for the issuing CA of %s", s->nation, what,
                       other->nation);
    if (X509_NAME_cmp(X509_get_issuer_name(cross), X509_get_subject_name(s->cross_ca)) != 0)
        return err_set(c->e, E_REJECTED, "%s: %s is not by its Cross CA", s->nation, what);
    if (!permits_only(cross, other->domain))
        return err_set(c->e, E_REJECTED, "%s: %s does not bind %s to %.100s", s->nation, what,
                       other->nation, other->domain);
    if (!has_policy(cross, community, s->community[community].accepts))
        return err_set(c->e, E_REJECTED, "%s: %s does not open level %u", s->nation, what,
                       (unsigned)s->community[community].accepts);
    return below_root(c, s, cross, what);
}

static int check_community(struct check *c, unsigned side, unsigned n)
{
    const struct federation_side *s = &c->f->side[side], *other = &c->f->side[1 - side];
    const struct federation_community *own = &s->community[n], *theirs = &other->community[n];

    if (!own->open)
        return 0;
    if (own->accepts < 1 || own->accepts > OID_LEVELS)
        return wrong(c, s, "it accepts a level that is none; there are 1 to 4");
    if (below_root(c, s, own->issuing, "its issuing CA") != 0 ||
        (own->issuing_ike != NULL &&
         (!same_key(own->issuing, own->issuing_ike)
              ? wrong(c, s, "its issuing CA has another key for IKE")
              : below_root(c, s, own->issuing_ike, "its issuing CA for IKE")) != 0))
        return -1;
    if (!c->f->whole)
        return 0;
    if (!theirs->open)
        return err_set(c->e, E_REJECTED, "%s is open on the side of %s alone",
                       oid_community_name(n), s->nation);
    if (own->cross == NULL)
        return err_set(c->e, E_REJECTED, "%s has no cross-certificate for %s of %s", s->nation,
                       oid_community_name(n), other->nation);
    if (check_cross(c, s, other, n, own->cross, theirs->issuing) != 0)
        return -1;
    return own->cross_ike != NULL ? check_cross(c, s, other, n, own->cross_ike, theirs->issuing)
                                  : 0;
}

/* --- the rest ----------------------------------------------------------------------------------- */

static int check_rows(struct check *c)
{
    for (size_t i = 0; i < c->f->n_row; i++) {
        const struct federation_row *r = &c->f->row[i];
        const struct federation_side *s = &c->f->side[r->from], *other = &c->f->side[1 - r->from];

        if (s->clearance[0] == 0 || other->clearance[0] == 0)
            return err_set(c->e, E_REJECTED,
                           "there is an equivalence, and a side without a system of clearances");
        for (unsigned n = 0; n < FEDERATION_CLASSES; n++) {
            if ((r->class == 1u << n && s->class_name[n][0] == 0) ||
                (r->as == 1u << n && other->class_name[n][0] == 0))
                return err_set(c->e, E_REJECTED, "an equivalence is of %s, which is not named",
                               federation_class(n));
        }
    }
    return 0;
}

static int check_side(struct check *c, unsigned side)
{
    const struct federation_side *s = &c->f->side[side];

    if (check_root(c, s) != 0 || below_root(c, s, s->cross_ca, "its Cross CA") != 0)
        return -1;
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++) {
        if (check_community(c, side, n) != 0)
            return -1;
    }
    return 0;
}

int federation_check(const struct federation *f, int64_t now, struct err *e)
{
    struct check c = {.f = f, .now = now, .e = e};
    bool any = !f->whole;

    if (f->whole && f->from >= f->until)
        return err_set(e, E_REJECTED, "it ends before it begins");
    for (unsigned i = 0; i < f->n_side; i++) {
        if (check_side(&c, i) != 0)
            return -1;
    }
    if (f->whole && same_key(f->side[0].root, f->side[1].root))
        return err_set(e, E_REJECTED, "both authorities have the same root key");
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++)
        any = any || f->side[0].community[n].open;
    if (!any)
        return err_set(e, E_REJECTED, "no community is open");
    return check_rows(&c);
}
