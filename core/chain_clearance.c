/* Clearances: RFC 5913, and RFC 5755, 4.4.6. */
#include "core/chain_priv.h"

#include "core/asn1.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define SYNTAX "RFC 5913, 2"
#define CONSTRAINTS "RFC 5913, 3"
#define WANTED "RFC 5913, 4"

void chain_clearance_free(struct chain_clearance *set, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ASN1_OBJECT_free(set[i].policy);
        sk_ASN1_TYPE_pop_free(set[i].categories, ASN1_TYPE_free);
    }
    free(set);
}

/* --- reading ------------------------------------------------------------------ */

/* ClassList: bits of at most 32; an absent one says unclassified. */
static bool classes(const ASN1_BIT_STRING *list, uint32_t *out, struct chain_fault *f)
{
    struct bytes b = asn1_octets(list);

    *out = list == NULL ? CHAIN_UNCLASSIFIED : 0;
    if (b.len > 4)
        return chain_fail(f, CHAIN_LIMIT, SYNTAX, "a clearance of more than 32 classes");
    for (int i = 0; i < 32; i++)
        *out |= list != NULL && ASN1_BIT_STRING_get_bit(list, i) != 0 ? (uint32_t)1 << i : 0;
    return true;
}

static STACK_OF(ASN1_TYPE) * copy_categories(const STACK_OF(ASN1_TYPE) * from, bool *ok)
{
    STACK_OF(ASN1_TYPE) *out = NULL;

    if (sk_ASN1_TYPE_num(from) <= 0)
        return NULL;
    out = sk_ASN1_TYPE_new_null();
    for (int i = 0; out != NULL && *ok && i < sk_ASN1_TYPE_num(from); i++) {
        ASN1_TYPE *t = sk_ASN1_TYPE_value(from, i), *copy = ASN1_TYPE_new();

        *ok = copy != NULL && ASN1_TYPE_set1(copy, t->type, t->value.ptr) == 1 &&
              sk_ASN1_TYPE_push(out, copy) > 0;
        if (!*ok)
            ASN1_TYPE_free(copy);
    }
    *ok = *ok && out != NULL;
    return out;
}

static struct chain_clearance *find(struct chain_clearance *set, size_t n,
                                    const ASN1_OBJECT *policy)
{
    for (size_t i = 0; i < n; i++) {
        if (OBJ_cmp(set[i].policy, policy) == 0)
            return &set[i];
    }
    return NULL;
}

/* Appends one; a policyId that is there already is a fault. */
static bool append(struct chain_clearance **set, size_t *n, const ASN1_OBJECT *policy,
                   const ASN1_BIT_STRING *list, const STACK_OF(ASN1_TYPE) * categories,
                   struct chain_fault *f)
{
    struct chain_clearance *more, c = {0};
    bool ok = true;

    if (find(*set, *n, policy) != NULL)
        return chain_fail(f, CHAIN_MALFORMED, SYNTAX, "two clearances under one policy identifier");
    if (*n == CHAIN_MAX_LIST)
        return chain_fail(f, CHAIN_LIMIT, SYNTAX, "more than %d clearances", CHAIN_MAX_LIST);
    if (!classes(list, &c.classes, f))
        return false;
    more = realloc(*set, (*n + 1) * sizeof(*more));
    if (more == NULL)
        return chain_no_memory(f);
    *set = more;
    c.policy = OBJ_dup(policy);
    c.categories = copy_categories(categories, &ok);
    more[(*n)++] = c;
    return (ok && c.policy != NULL) || chain_no_memory(f);
}

/* RFC 3281 had other tags; they were only ever used with its identifier. */
static bool append_value(struct chain_clearance **set, size_t *n, const ASN1_TYPE *value, bool old,
                         struct chain_fault *f)
{
    struct bytes der = value->type == V_ASN1_SEQUENCE ? asn1_octets(value->value.sequence)
                                                      : bytes_of(NULL, 0);
    asn1_clearance *c =
        asn1_decode(ASN1_ITEM_rptr(asn1_clearance), der, BUF_MAX, "clearance", NULL);
    asn1_clearance_3281 *o = NULL;
    bool ok = false;

    if (c != NULL)
        ok = append(set, n, c->policy, c->classes, c->categories, f);
    else if (old && (o = asn1_decode(ASN1_ITEM_rptr(asn1_clearance_3281), der, BUF_MAX, "clearance",
                                     NULL)) != NULL)
        ok = append(set, n, o->policy, o->classes, o->categories, f);
    else
        chain_fail(f, CHAIN_MALFORMED, SYNTAX, "a clearance is malformed");
    asn1_free(c, ASN1_ITEM_rptr(asn1_clearance));
    asn1_free(o, ASN1_ITEM_rptr(asn1_clearance_3281));
    return ok;
}

/* The clearance attributes of subjectDirectoryAttributes, under either identifier. */
static bool of_leaf(const struct chain_cert *c, struct chain_clearance **set, size_t *n,
                    struct chain_fault *f)
{
    for (int i = 0; i < sk_X509_ATTRIBUTE_num(c->directory); i++) {
        X509_ATTRIBUTE *a = sk_X509_ATTRIBUTE_value(c->directory, i);
        const ASN1_OBJECT *type = X509_ATTRIBUTE_get0_object(a);
        bool old = oid_is(type, OID_CLEARANCE_OLD);

        if (!old && !oid_is(type, OID_CLEARANCE))
            continue;
        if (X509_ATTRIBUTE_count(a) == 0)
            return chain_fail(f, CHAIN_MALFORMED, SYNTAX, "a clearance attribute without a value");
        for (int j = 0; j < X509_ATTRIBUTE_count(a); j++) {
            if (!append_value(set, n, X509_ATTRIBUTE_get0_type(a, j), old, f))
                return false;
        }
    }
    return true;
}

/* --- intersection -------------------------------------------------------------- */

static bool has_category(const STACK_OF(ASN1_TYPE) * set, const ASN1_TYPE *t)
{
    for (int i = 0; i < sk_ASN1_TYPE_num(set); i++) {
        if (ASN1_TYPE_cmp(sk_ASN1_TYPE_value(set, i), t) == 0)
            return true;
    }
    return false;
}

/* What both say of one policy: classes bit by bit; categories that both have, octet for octet, as
 * what they mean is their policy's own. */
static void narrow(struct chain_clearance *c, const struct chain_clearance *by)
{
    c->classes &= by->classes;
    for (int i = sk_ASN1_TYPE_num(c->categories); i-- > 0;) {
        if (!has_category(by->categories, sk_ASN1_TYPE_value(c->categories, i)))
            ASN1_TYPE_free(sk_ASN1_TYPE_delete(c->categories, i));
    }
}

/* Policies that are not in both go, and those of which no class is left. */
static void intersect(struct chain_clearance *set, size_t *n, struct chain_clearance *by,
                      size_t n_by)
{
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++) {
        const struct chain_clearance *other = find(by, n_by, set[i].policy);
        struct chain_clearance c = set[i];

        if (other != NULL)
            narrow(&c, other);
        if (other != NULL && c.classes != 0) {
            set[kept++] = c;
            continue;
        }
        ASN1_OBJECT_free(c.policy);
        sk_ASN1_TYPE_pop_free(c.categories, ASN1_TYPE_free);
    }
    *n = kept;
}

bool chain_clearance_limit(struct chain_permitted *p, const struct chain_cert *c,
                           struct chain_fault *f)
{
    struct chain_clearance *set = NULL;
    size_t n = 0;
    bool ok = true;

    if (c->clearance_rules == NULL)
        return true;
    for (int i = 0; ok && i < sk_asn1_clearance_num(c->clearance_rules); i++) {
        const asn1_clearance *r = sk_asn1_clearance_value(c->clearance_rules, i);

        ok = append(&set, &n, r->policy, r->classes, r->categories, f);
    }
    if (ok && p->limited) {
        intersect(p->set, &p->n, set, n);
    } else if (ok) {
        *p = (struct chain_permitted){.limited = true, .set = set, .n = n};
        return true;
    }
    chain_clearance_free(set, n);
    return ok;
}

/* --- the outcome ---------------------------------------------------------------- */

/* After the table: what the leaf holds under the wanted policy. */
static uint32_t held(const struct chain_clearance *set, size_t n, const struct chain_terms *t)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < n; i++) {
        if (oid_is(set[i].policy, t->clearance))
            bits |= set[i].classes;
        for (size_t r = 0; r < t->n_table; r++) {
            const struct chain_equivalence *row = &t->table[r];

            if (strcmp(row->as_policy, t->clearance) == 0 && oid_is(set[i].policy, row->policy) &&
                (set[i].classes & row->bits) != 0)
                bits |= row->as_bits;
        }
    }
    return bits;
}

bool chain_clearance_finish(const struct chain_permitted *p, const struct chain_cert *c,
                            const struct chain_terms *t, struct chain_verdict *v,
                            struct chain_fault *f)
{
    if (!of_leaf(c, &v->clearance, &v->n_clearance, f))
        return false;
    if (p->limited)
        intersect(v->clearance, &v->n_clearance, p->set, p->n);
    if (t->clearance != NULL && (held(v->clearance, v->n_clearance, t) & t->classes) == 0)
        return chain_fail(f, CHAIN_CLEARANCE, WANTED,
                          "the path leaves no clearance to the certificate that is the wanted one "
                          "or equivalent to it");
    return true;
}
