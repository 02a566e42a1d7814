#include "core/gate_priv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Is it by the side's root itself? That it signed is seen on the way. */
static bool by_root(const struct federation_side *s, X509 *x)
{
    return X509_check_issued(s->root, x) == X509_V_OK;
}

/*
 * What leads from the side's root to both nations' leaves of the community. Of what came along, only
 * what the root itself has issued, such as the CA of the lower levels: whom else the side lets in the
 * federation alone says, and a cross-certificate of the past, or of a third nation, is none of it.
 */
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
        ok = !by_root(s, sk_X509_value(sent, i)) || sk_X509_push(out, sk_X509_value(sent, i)) > 0;
    if (ok)
        return out;
    sk_X509_free(out);
    err_set(e, E_MEMORY, "out of memory for the gate");
    return NULL;
}

/* Is there an alternative name, and are all DNS names, of a device, or all mail addresses, of a person?
 * Name constraints of other kinds are not enforced by every verifier. */
static bool plain_names(const GENERAL_NAMES *names)
{
    bool plain = sk_GENERAL_NAME_num(names) > 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);

        plain = plain && (gn->type == GEN_DNS || gn->type == GEN_EMAIL) &&
                gn->type == sk_GENERAL_NAME_value(names, 0)->type &&
                ASN1_STRING_length(gn->d.ia5) > 0 &&
                memchr(ASN1_STRING_get0_data(gn->d.ia5), 0,
                       (size_t)ASN1_STRING_length(gn->d.ia5)) == NULL;
    }
    return plain;
}

bool gate_name(X509 *leaf, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, 0);
    bool ok = plain_names(names) && (size_t)ASN1_STRING_length(gn->d.ia5) < size;

    if (ok)
        snprintf(out, size, "%.*s", ASN1_STRING_length(gn->d.ia5),
                 (const char *)ASN1_STRING_get0_data(gn->d.ia5));
    GENERAL_NAMES_free(names);
    return ok;
}

/* Is it one of the names of that type in the certificate's subjectAltName? */
static bool has_name(X509 *leaf, int type, struct bytes want)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *gn = sk_GENERAL_NAME_value(names, i);

        found = found || (gn->type == type && ASN1_STRING_length(gn->d.ia5) == (int)want.len &&
                          strncasecmp((const char *)ASN1_STRING_get0_data(gn->d.ia5),
                                      (const char *)want.p, want.len) == 0);
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* Is an attribute of the subject that looks like a name none of the alternative names? Name
 * constraints do not reach it beside a subjectAltName, and programs match it all the same. */
static bool foreign(X509 *leaf, int nid)
{
    const X509_NAME *name = X509_get_subject_name(leaf);
    bool yes = false;

    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        struct bytes text = bytes_of(utf8, n > 0 ? (size_t)n : 0);
        /* A common name may be a person's, which looks like neither. */
        bool free_text = nid == NID_commonName && n > 0 && memchr(utf8, '.', text.len) == NULL &&
                         memchr(utf8, '@', text.len) == NULL;

        yes = yes || n <= 0 || memchr(utf8, 0, text.len) != NULL ||
              (!free_text && !has_name(leaf, GEN_DNS, text) && !has_name(leaf, GEN_EMAIL, text));
        OPENSSL_free(utf8);
    }
    return yes;
}

const char *gate_leaf_fault(X509 *leaf)
{
    char name[256];

    if (!gate_name(leaf, name, sizeof(name)))
        return "the certificate must name DNS names, or mail addresses, and nothing else in its "
               "subjectAltName: name constraints of other kinds are not enforced by every verifier";
    if (foreign(leaf, NID_commonName))
        return "the common name of the certificate looks like a DNS name or a mail address and is "
               "not among its alternative names: name constraints do not reach it";
    if (foreign(leaf, NID_userId) || foreign(leaf, NID_pkcs9_emailAddress))
        return "the userId or emailAddress in the certificate's subject is not among its "
               "alternative names: name constraints do not reach it";
    if (X509_check_ca(leaf) != 0)
        return "the certificate is one of a certification authority, not of a device or a person";
    return NULL;
}

static void refuse(struct chain_verdict *out, enum chain_code code, const char *clause,
                   const char *why)
{
    out->accepted = false;
    out->code = code;
    out->clause = clause;
    snprintf(out->reason, sizeof(out->reason), "%s", why);
}

/* Does the path lead over anything but one CA that our root has issued? */
static bool by_ally(const struct federation_side *s, const struct chain_verdict *v)
{
    return sk_X509_num(v->path) != 3 || !by_root(s, sk_X509_value(v->path, 1));
}

/* A cross-certificate's own bound forbids it; one that has none shall not let it pass. */
static bool claims_ours(const struct federation_side *s, const struct chain_verdict *v)
{
    for (size_t i = 0; i < v->n_clearance; i++) {
        if (oid_is(v->clearance[i].policy, s->clearance))
            return true;
    }
    return false;
}

static bool is_person(X509 *leaf)
{
    char name[256];

    return gate_name(leaf, name, sizeof(name)) && strchr(name, '@') != NULL;
}

/* Not judged by any path. */
static int closed(struct chain_verdict *out, const char *why)
{
    *out = (struct chain_verdict){.code = CHAIN_NO_PATH, .clause = "the federation"};
    snprintf(out->reason, sizeof(out->reason), "%s", why);
    return 0;
}

/* Why the clearance is not enough; what the path leaves to the leaf comes out where none is wanted. */
static int explain(X509 *leaf, const struct gate_terms *t, const struct chain_terms *terms,
                   struct chain_verdict *out, struct err *e)
{
    struct chain_terms any = *terms;
    struct chain_verdict v;

    any.clearance = NULL;
    if (chain_check(leaf, &any, &v, e) != 0) {
        chain_free(out);
        return -1;
    }
    gate_clearance_words(t, &v, out->reason, sizeof(out->reason));
    chain_free(&v);
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
                                .usage = t->usage,
                                .table = table,
                                .n_table = federation_table(t->f, t->side, table)};
    unsigned level = t->level != 0 ? t->level : s->community[t->community].accepts;
    char oid[OID_TEXT_MAX];
    ASN1_OBJECT *policy = NULL;
    int rc = -1;

    if (t->name != NULL)
        *(strchr(t->name, '@') != NULL ? &terms.email : &terms.dns) = t->name;
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
    if (rc == 0 && !out->accepted && out->code == CHAIN_CLEARANCE)
        rc = explain(leaf, t, &terms, out, e);
    if (rc == 0 && out->accepted && t->clearance >= 0 && by_ally(s, out) && claims_ours(s, out))
        refuse(out, CHAIN_CLEARANCE, "RFC 5913, 4",
               "an ally's certificate claims a clearance of our own system");
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
    if (rc == 0 && out->accepted && !t->persons && is_person(leaf) &&
        (t->name == NULL || strchr(t->name, '@') == NULL))
        refuse(out, CHAIN_WANTED_NAME, "the gate",
               "the certificate is a person's, and only devices are asked for (--persons)");
    if (rc == 0 && out->accepted && (fault = gate_leaf_fault(leaf)) != NULL)
        refuse(out, CHAIN_STRICT_NAME, "RFC 6125, 6.4.4", fault);
    return rc;
}
