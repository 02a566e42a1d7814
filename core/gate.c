#include "core/gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What leads from the side's root to both nations' leaves of the community, and what came along. */
static STACK_OF(X509) * between(const struct gate_terms *t, STACK_OF(X509) * sent, struct err *e)
{
    const struct federation_side *s = &t->f->side[t->side];
    const struct federation_community *c = &s->community[t->community];
    X509 *own[] = {s->cross_ca, c->cross, c->cross_ike, c->issuing, c->issuing_ike};
    STACK_OF(X509) *out = sk_X509_new_null();
    bool ok = out != NULL;

    for (size_t i = 0; ok && i < ARRAY_LEN(own); i++)
        ok = own[i] == NULL || sk_X509_push(out, own[i]) > 0;
    for (int i = 0; ok && i < sk_X509_num(sent); i++)
        ok = sk_X509_push(out, sk_X509_value(sent, i)) > 0;
    if (ok)
        return out;
    sk_X509_free(out);
    err_set(e, E_MEMORY, "out of memory for the gate");
    return NULL;
}

bool gate_dns(X509 *leaf, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false, clean = names != NULL;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);
        struct bytes s;

        if (gn->type != GEN_DNS) {
            clean = false;
            continue;
        }
        s = bytes_of(ASN1_STRING_get0_data(gn->d.dNSName),
                     (size_t)ASN1_STRING_length(gn->d.dNSName));
        if (s.len == 0 || s.len >= size || memchr(s.p, 0, s.len) != NULL)
            clean = false;
        else if (!found)
            snprintf(out, size, "%.*s", (int)s.len, (const char *)s.p), found = true;
    }
    GENERAL_NAMES_free(names);
    return found && clean;
}

/* Is this DNS name one of the certificate's subjectAltName? */
static bool has_dns(X509 *leaf, struct bytes want)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);

        found = found ||
                (gn->type == GEN_DNS && ASN1_STRING_length(gn->d.dNSName) == (int)want.len &&
                 strncasecmp((const char *)ASN1_STRING_get0_data(gn->d.dNSName),
                             (const char *)want.p, want.len) == 0);
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* Has it a common name that looks like a DNS name and is none of its own? Name constraints
 * do not reach a common name beside a subjectAltName, and programs match it all the same. */
static bool foreign_cn(X509 *leaf)
{
    const X509_NAME *name = X509_get_subject_name(leaf);
    bool foreign = false;

    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, NID_commonName, i)) >= 0;) {
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));

        foreign =
            foreign || n <= 0 || memchr(utf8, 0, (size_t)n) != NULL ||
            (memchr(utf8, '.', (size_t)n) != NULL && !has_dns(leaf, bytes_of(utf8, (size_t)n)));
        OPENSSL_free(utf8);
    }
    return foreign;
}

const char *gate_leaf_fault(X509 *leaf)
{
    char dns[256];

    if (!gate_dns(leaf, dns, sizeof(dns)))
        return "the certificate must name DNS names and nothing else in its subjectAltName: "
               "name constraints of other kinds are not enforced by every verifier";
    if (foreign_cn(leaf))
        return "the common name of the certificate looks like a DNS name and is not among its "
               "DNS names: name constraints do not reach it";
    if (X509_check_ca(leaf) != 0)
        return "the certificate is one of a certification authority, not of a device";
    return NULL;
}

/* Not judged by any path. */
static int closed(struct chain_verdict *out, const char *why)
{
    *out = (struct chain_verdict){.code = CHAIN_NO_PATH, .clause = "the federation"};
    snprintf(out->reason, sizeof(out->reason), "%s", why);
    return 0;
}

static int check(X509 *leaf, STACK_OF(X509) * all, const struct gate_terms *t,
                 struct chain_verdict *out, struct err *e)
{
    const struct federation_side *s = &t->f->side[t->side];
    struct chain_equivalence table[FEDERATION_ROWS];
    struct chain_anchor anchor = {.cert = s->root};
    struct chain_terms terms = {.anchor = &anchor,
                                .n_anchor = 1,
                                .untrusted = all,
                                .crls = t->crls,
                                .now = t->now,
                                .explicit_policy = true,
                                .strict_names = true,
                                .dns = t->dns,
                                .usage = t->usage,
                                .table = table,
                                .n_table = federation_table(t->f, t->side, table)};
    unsigned level = t->level != 0 ? t->level : s->community[t->community].accepts;
    char oid[OID_TEXT_MAX];
    ASN1_OBJECT *policy = NULL;
    int rc = -1;

    if (t->clearance >= 0) {
        terms.clearance = s->clearance;
        terms.classes = 1u << t->clearance;
    }
    terms.policies = sk_ASN1_OBJECT_new_null();
    if (oid_policy(t->community, level, oid, e) != 0 || (policy = oid_object(oid, e)) == NULL)
        goto out;
    if (terms.policies == NULL || sk_ASN1_OBJECT_push(terms.policies, policy) <= 0) {
        err_set(e, E_MEMORY, "out of memory for the gate");
        goto out;
    }
    rc = chain_check(leaf, &terms, out, e);
out:
    ASN1_OBJECT_free(policy);
    sk_ASN1_OBJECT_free(terms.policies);
    return rc;
}

int gate_check(X509 *leaf, STACK_OF(X509) * sent, const struct gate_terms *t,
               struct chain_verdict *out, struct err *e)
{
    const struct federation_side *s = &t->f->side[t->side];
    STACK_OF(X509) * all;
    const char *fault;
    int rc;

    if (!t->f->whole || t->side > 1 || t->community < 1 || t->community > OID_COMMUNITIES)
        return err_set(e, E_ARG, "a gate is of a whole federation and one of its communities");
    if (t->now < t->f->from || t->now >= t->f->until)
        return closed(out, "the federation is not in force now");
    if (!s->community[t->community].open)
        return closed(out, "the community is not open in the federation");
    if (t->clearance >= 0 && (s->clearance[0] == 0 || t->clearance >= FEDERATION_CLASSES ||
                              s->class_name[t->clearance][0] == 0))
        return err_set(e, E_ARG, "%s has no such class of clearances in this federation",
                       s->nation);
    all = between(t, sent, e);
    if (all == NULL)
        return -1;
    rc = check(leaf, all, t, out, e);
    sk_X509_free(all);
    if (rc == 0 && out->accepted && (fault = gate_leaf_fault(leaf)) != NULL) {
        out->accepted = false;
        out->code = CHAIN_STRICT_NAME;
        out->clause = "RFC 6125, 6.4.4";
        snprintf(out->reason, sizeof(out->reason), "%s", fault);
    }
    return rc;
}
