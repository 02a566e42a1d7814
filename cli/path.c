#include "cli/path.h"

#include "core/chain.h"
#include "core/gate.h"
#include "core/oid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool path_self_signed(X509 *cert)
{
    /* Names and key identifiers must agree and the signature must be its own. */
    return X509_self_signed(cert, 1) == 1;
}

bool path_claim(X509 *leaf, unsigned *community, unsigned *level)
{
    CERTIFICATEPOLICIES *p = X509_get_ext_d2i(leaf, NID_certificate_policies, NULL, NULL);
    unsigned c = 0, l = 0, found_c, found_l;
    bool ok = p != NULL;

    for (int i = 0; i < sk_POLICYINFO_num(p); i++) {
        if (!oid_policy_of(sk_POLICYINFO_value(p, i)->policyid, &found_c, &found_l))
            continue;
        if (c != 0 && found_c != c)
            ok = false;
        c = found_c;
        if (found_l > l)
            l = found_l;
    }
    CERTIFICATEPOLICIES_free(p);
    if (!ok || c == 0)
        return false;
    *community = c;
    *level = l;
    return true;
}

/* --- validation ---------------------------------------------------------- */

/* Sorts what --roots holds: the trust anchors, and the rest among the intermediates. */
static int sort_roots(const struct path_terms *t, struct chain_anchor *anchors, size_t *n,
                      STACK_OF(X509) * others, struct err *e)
{
    STACK_OF(X509) *const lists[] = {t->roots, t->untrusted};

    *n = 0;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (int i = 0; i < sk_X509_num(lists[l]); i++) {
            X509 *cert = sk_X509_value(lists[l], i);

            if (l == 0 && path_self_signed(cert))
                anchors[(*n)++].cert = cert;
            else if (sk_X509_push(others, cert) <= 0)
                return err_set(e, E_MEMORY, "out of memory for certificates");
        }
    }
    if (*n == 0)
        return err_set(e, E_FORMAT,
                       "--roots holds no self-signed root; export one with `fusetsu "
                       "ca export root` or `bundle:COMMUNITY`");
    return 0;
}

static void explain(const struct chain_verdict *c, const struct path_terms *t,
                    struct path_verdict *v)
{
    if (c->code == CHAIN_POLICY)
        snprintf(
            v->reason, sizeof(v->reason),
            "no path leads to it that is certified for %s level %u all the way (%s: no explicit "
            "policy)",
            oid_community_name(t->community), t->level, c->clause);
    else
        snprintf(v->reason, sizeof(v->reason), "%.230s (%s)", c->reason, c->clause);
}

static int validate(X509 *leaf, const struct path_terms *t, struct chain_terms *terms,
                    struct path_verdict *v, struct err *e)
{
    struct chain_verdict c = {0};
    char oid[OID_TEXT_MAX];
    ASN1_OBJECT *policy;
    const char *why;
    int rc = -1;

    /* user-initial-policy-set of one, initial-explicit-policy (RFC 5280, 6.1.1 (c), (e)). */
    if (oid_policy(t->community, t->level, oid, e) != 0 || (policy = oid_object(oid, e)) == NULL)
        return -1;
    terms->policies = sk_ASN1_OBJECT_new_null();
    if (terms->policies == NULL || sk_ASN1_OBJECT_push(terms->policies, policy) <= 0) {
        ASN1_OBJECT_free(policy);
        err_set(e, E_MEMORY, "out of memory for path validation");
        goto out;
    }
    if (chain_check(leaf, terms, &c, e) != 0)
        goto out;
    why = c.accepted ? gate_leaf_fault(leaf) : NULL;
    v->accepted = c.accepted && why == NULL;
    v->via = c.path;
    c.path = NULL;
    if (why != NULL)
        snprintf(v->reason, sizeof(v->reason), "%s", why);
    else if (!c.accepted)
        explain(&c, t, v);
    rc = 0;
out:
    sk_ASN1_OBJECT_pop_free(terms->policies, ASN1_OBJECT_free);
    chain_free(&c);
    return rc;
}

int path_check(X509 *leaf, const struct path_terms *t, struct path_verdict *out, struct err *e)
{
    size_t room = sk_X509_num(t->roots) > 0 ? (size_t)sk_X509_num(t->roots) : 1;
    struct chain_anchor *anchors = calloc(room, sizeof(*anchors));
    struct chain_terms terms = {.anchor = anchors,
                                .untrusted = sk_X509_new_null(),
                                .now = (int64_t)time(NULL),
                                .explicit_policy = true,
                                .strict_names = true,
                                .usage = t->usage};
    struct path_verdict v = {0};
    int rc = -1;

    if (t->name != NULL)
        *(strchr(t->name, '@') != NULL ? &terms.email : &terms.dns) = t->name;

    if (anchors == NULL || terms.untrusted == NULL) {
        err_set(e, E_MEMORY, "out of memory for path validation");
        goto out;
    }
    if (sort_roots(t, anchors, &terms.n_anchor, terms.untrusted, e) != 0 ||
        validate(leaf, t, &terms, &v, e) != 0)
        goto out;
    *out = v;
    rc = 0;
out:
    sk_X509_free(terms.untrusted);
    free(anchors);
    return rc;
}

void path_free(struct path_verdict *v)
{
    sk_X509_pop_free(v->via, X509_free);
    *v = (struct path_verdict){0};
}
