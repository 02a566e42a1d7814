/*
 * Certificate policies: RFC 5280, 6.1, with the graph of RFC 9618 in place of the tree.
 *
 * The tree has a node for each way to a policy: m policies, each mapped to all m, make m^n nodes in
 * n certificates (CVE-2023-0464). The graph has at most one node for each policy and depth, with
 * all its parents. A depth has no more nodes than the certificate has policies (and issuer
 * policies that it maps under anyPolicy) and the expected sets above have members; an expected set
 * is the node itself or what one extension lists for it. So with at most p policies and m mappings
 * in a certificate depth i has at most i * (p + m) + 1 nodes, and each member of an expected set
 * makes one edge. CHAIN_MAX_NODES bounds them all together, beyond it is refused.
 */
#include "core/chain_priv.h"

#include "core/asn1.h"

#include <stdlib.h>

#define MAPPED_ANY "RFC 5280, 6.1.4 (a)"
#define NO_POLICY "RFC 5280, 6.1.3 (f)"
#define NOT_WANTED "RFC 5280, 6.1.5 (g)"

/* Node of one depth. Policies are borrowed from `pool`. */
struct node {
    ASN1_OBJECT *policy;
    bool any;
    bool top;                         /* a parent of it is the anyPolicy node above */
    bool deleted;                     /* by 6.1.4 (b) (2) */
    bool live;                        /* has descendants at the last depth; computed at the end */
    STACK_OF(ASN1_OBJECT) * expected; /* members borrowed */
};

struct level {
    struct node *node;
    size_t n;
};

struct chain_policy {
    struct level level[CHAIN_MAX_PATH + 1];
    unsigned depth;
    bool null; /* there is no graph any more */
    size_t nodes;
    uint32_t explicit_policy, mapping, any; /* 6.1.2 (d) to (f) */
    STACK_OF(ASN1_OBJECT) * pool;
    STACK_OF(ASN1_OBJECT) * initial; /* user-initial-policy-set; NULL: any-policy */
    struct chain_mapping *seen;
    size_t n_seen;
};

static bool is_any(const ASN1_OBJECT *o)
{
    return OBJ_obj2nid(o) == NID_any_policy;
}

static bool in_set(const STACK_OF(ASN1_OBJECT) * set, const ASN1_OBJECT *o)
{
    for (int i = 0; i < sk_ASN1_OBJECT_num(set); i++) {
        if (OBJ_cmp(sk_ASN1_OBJECT_value(set, i), o) == 0)
            return true;
    }
    return false;
}

/* A copy that lives as long as the graph; NULL: no memory. */
static ASN1_OBJECT *keep(struct chain_policy *p, const ASN1_OBJECT *o)
{
    ASN1_OBJECT *copy = OBJ_dup(o);

    if (copy != NULL && sk_ASN1_OBJECT_push(p->pool, copy) <= 0) {
        ASN1_OBJECT_free(copy);
        return NULL;
    }
    return copy;
}

static struct level *bottom(struct chain_policy *p)
{
    return &p->level[p->depth];
}

static struct node *find(const struct level *l, const ASN1_OBJECT *policy)
{
    for (size_t i = 0; i < l->n; i++) {
        if (!l->node[i].deleted && OBJ_cmp(l->node[i].policy, policy) == 0)
            return &l->node[i];
    }
    return NULL;
}

static struct node *find_any(const struct level *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (!l->node[i].deleted && l->node[i].any)
            return &l->node[i];
    }
    return NULL;
}

/* Is the policy expected by some node; by the anyPolicy node? */
static bool expected(const struct level *l, const ASN1_OBJECT *policy, bool *by_any)
{
    bool some = false;

    *by_any = false;
    for (size_t i = 0; i < l->n; i++) {
        if (l->node[i].deleted || !in_set(l->node[i].expected, policy))
            continue;
        some = true;
        *by_any = *by_any || l->node[i].any;
    }
    return some;
}

/* A new node at the bottom that expects itself; NULL with a fault. */
static struct node *add(struct chain_policy *p, const ASN1_OBJECT *policy, bool top,
                        struct chain_fault *f)
{
    struct level *l = bottom(p);
    struct node *more, *n;

    if (++p->nodes > CHAIN_MAX_NODES) {
        chain_fail(f, CHAIN_LIMIT, "RFC 9618, 3", "more than %d policies on the path",
                   CHAIN_MAX_NODES);
        return NULL;
    }
    /* Capacity is the next power of two. */
    if ((l->n & (l->n - 1)) == 0) {
        more = realloc(l->node, (l->n != 0 ? 2 * l->n : 1) * sizeof(*more));
        if (more == NULL) {
            chain_no_memory(f);
            return NULL;
        }
        l->node = more;
    }
    n = &l->node[l->n];
    *n = (struct node){.policy = keep(p, policy), .any = is_any(policy), .top = top};
    n->expected = sk_ASN1_OBJECT_new_null();
    l->n++;
    if (n->policy == NULL || n->expected == NULL ||
        sk_ASN1_OBJECT_push(n->expected, n->policy) <= 0) {
        chain_no_memory(f);
        return NULL;
    }
    return n;
}

/* --- the inputs --------------------------------------------------------------- */

static void set_initial(struct chain_policy *p, const STACK_OF(ASN1_OBJECT) * set, bool *ok)
{
    STACK_OF(ASN1_OBJECT) * out;

    if (set == NULL)
        return;
    for (int i = 0; i < sk_ASN1_OBJECT_num(set); i++) {
        if (is_any(sk_ASN1_OBJECT_value(set, i)))
            return;
    }
    out = sk_ASN1_OBJECT_new_null();
    for (int i = 0; out != NULL && i < sk_ASN1_OBJECT_num(set); i++) {
        ASN1_OBJECT *o = sk_ASN1_OBJECT_value(set, i);

        if (p->initial != NULL && !in_set(p->initial, o))
            continue;
        o = keep(p, o);
        *ok = *ok && o != NULL && sk_ASN1_OBJECT_push(out, o) > 0;
    }
    *ok = *ok && out != NULL;
    sk_ASN1_OBJECT_free(p->initial);
    p->initial = out;
}

/* RFC 5937, 3.2: the policies of an anchor narrow the user's. */
static bool set_anchor(struct chain_policy *p, const struct chain_cert *anchor)
{
    STACK_OF(ASN1_OBJECT) * set;
    bool ok = true;

    if (anchor->policies == NULL)
        return true;
    set = sk_ASN1_OBJECT_new_null();
    for (int i = 0; set != NULL && i < sk_POLICYINFO_num(anchor->policies); i++)
        ok = sk_ASN1_OBJECT_push(set, sk_POLICYINFO_value(anchor->policies, i)->policyid) > 0 && ok;
    ok = ok && set != NULL;
    set_initial(p, set, &ok);
    sk_ASN1_OBJECT_free(set);
    return ok;
}

static void lower(uint32_t *counter, bool given, uint32_t to)
{
    if (given && to < *counter)
        *counter = to;
}

/* policyConstraints and inhibitAnyPolicy: 6.1.4 (i), (j). */
static void take_rules(struct chain_policy *p, const struct chain_cert *c)
{
    lower(&p->explicit_policy, c->has_require_explicit, c->require_explicit);
    lower(&p->mapping, c->has_inhibit_mapping, c->inhibit_mapping);
    lower(&p->any, c->inhibit_any != NULL, c->inhibit_any_after);
}

struct chain_policy *chain_policy_new(const struct chain_terms *t, const struct chain_anchor *a,
                                      const struct chain_cert *anchor, unsigned n,
                                      struct chain_fault *f)
{
    struct chain_policy *p = calloc(1, sizeof(*p));
    bool ok = true;

    if (p == NULL || (p->pool = sk_ASN1_OBJECT_new_null()) == NULL)
        goto bad;
    p->explicit_policy = t->explicit_policy ? 0 : n + 1;
    p->mapping = t->inhibit_mapping ? 0 : n + 1;
    p->any = t->inhibit_any ? 0 : n + 1;
    take_rules(p, anchor);
    set_initial(p, t->policies, &ok);
    set_initial(p, a->policies, &ok);
    if (!ok || !set_anchor(p, anchor) || add(p, OBJ_nid2obj(NID_any_policy), true, f) == NULL)
        goto bad;
    return p;
bad:
    chain_no_memory(f);
    chain_policy_free(p);
    return NULL;
}

void chain_policy_free(struct chain_policy *p)
{
    if (p == NULL)
        return;
    for (size_t d = 0; d < ARRAY_LEN(p->level); d++) {
        for (size_t i = 0; i < p->level[d].n; i++)
            sk_ASN1_OBJECT_free(p->level[d].node[i].expected);
        free(p->level[d].node);
    }
    for (size_t i = 0; i < p->n_seen; i++) {
        ASN1_OBJECT_free(p->seen[i].issuer);
        ASN1_OBJECT_free(p->seen[i].subject);
    }
    free(p->seen);
    sk_ASN1_OBJECT_free(p->initial);
    sk_ASN1_OBJECT_pop_free(p->pool, ASN1_OBJECT_free);
    free(p);
}

/* --- 6.1.3 (d) to (f) ------------------------------------------------------------ */

/* (d) (1): the policies that the certificate lists. */
static bool enter_listed(struct chain_policy *p, const struct chain_cert *c,
                         const struct level *above, struct chain_fault *f)
{
    for (int i = 0; i < sk_POLICYINFO_num(c->policies); i++) {
        const ASN1_OBJECT *o = sk_POLICYINFO_value(c->policies, i)->policyid;
        bool by_any;

        if (is_any(o))
            continue;
        /* (i) those above that expect it, else (ii) the anyPolicy node. */
        if (!expected(above, o, &by_any)) {
            if (find_any(above) == NULL)
                continue;
            by_any = true;
        }
        if (add(p, o, by_any, f) == NULL)
            return false;
    }
    return true;
}

/* (d) (2): anyPolicy stands for all that is expected and not listed. */
static bool enter_any(struct chain_policy *p, const struct level *above, struct chain_fault *f)
{
    for (size_t i = 0; i < above->n; i++) {
        const struct node *n = &above->node[i];

        for (int j = 0; !n->deleted && j < sk_ASN1_OBJECT_num(n->expected); j++) {
            const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(n->expected, j);
            bool by_any;

            if (find(bottom(p), o) != NULL)
                continue;
            expected(above, o, &by_any);
            if (add(p, o, by_any, f) == NULL)
                return false;
        }
    }
    return true;
}

static bool lists_any(const struct chain_cert *c)
{
    for (int i = 0; i < sk_POLICYINFO_num(c->policies); i++) {
        if (is_any(sk_POLICYINFO_value(c->policies, i)->policyid))
            return true;
    }
    return false;
}

/* Nodes without children need no deleting (6.1.3 (d) (3)): the graph is gone when the bottom is
 * empty, and who has descendants is computed at the end. */
static void look_whether_null(struct chain_policy *p)
{
    bool some = false;

    for (size_t i = 0; i < bottom(p)->n; i++)
        some = some || !bottom(p)->node[i].deleted;
    p->null = p->null || !some;
}

bool chain_policy_enter(struct chain_policy *p, const struct chain_cert *c, bool last,
                        struct chain_fault *f)
{
    const struct level *above = bottom(p);

    if (p->depth == CHAIN_MAX_PATH)
        return chain_fail(f, CHAIN_LIMIT, "RFC 5280, 6.1", "the path is too long");
    p->depth++;
    if (c->policies == NULL)
        p->null = true;
    if (!p->null) {
        if (!enter_listed(p, c, above, f))
            return false;
        if (lists_any(c) && (p->any > 0 || (!last && c->self_issued)) && !enter_any(p, above, f))
            return false;
        look_whether_null(p);
    }
    if (p->explicit_policy == 0 && p->null)
        return chain_fail(f, CHAIN_POLICY, NO_POLICY,
                          "no policy is valid for the path up to here, and one is required");
    return true;
}

/* --- 6.1.4 ------------------------------------------------------------------------- */

static bool note(struct chain_policy *p, const POLICY_MAPPING *m, struct chain_fault *f)
{
    struct chain_mapping *more = realloc(p->seen, (p->n_seen + 1) * sizeof(*more));

    if (more == NULL)
        return chain_no_memory(f);
    p->seen = more;
    p->seen[p->n_seen] = (struct chain_mapping){.issuer = OBJ_dup(m->issuerDomainPolicy),
                                                .subject = OBJ_dup(m->subjectDomainPolicy),
                                                .depth = p->depth};
    p->n_seen++;
    if (more[p->n_seen - 1].issuer == NULL || more[p->n_seen - 1].subject == NULL)
        return chain_no_memory(f);
    return true;
}

/* The first mapping of an issuer policy takes all of them: (b) (1) and (2). */
static bool map_one(struct chain_policy *p, const POLICY_MAPPINGS *all, int first,
                    struct chain_fault *f)
{
    const ASN1_OBJECT *from = sk_POLICY_MAPPING_value(all, first)->issuerDomainPolicy;
    struct node *n = find(bottom(p), from);

    for (int i = 0; i < first; i++) {
        if (OBJ_cmp(sk_POLICY_MAPPING_value(all, i)->issuerDomainPolicy, from) == 0)
            return true;
    }
    if (p->mapping == 0) {
        if (n != NULL)
            n->deleted = true;
        return true;
    }
    if (n == NULL && find_any(bottom(p)) == NULL)
        return true;
    if (n == NULL && (n = add(p, from, true, f)) == NULL)
        return false;
    sk_ASN1_OBJECT_zero(n->expected);
    for (int i = first; i < sk_POLICY_MAPPING_num(all); i++) {
        const POLICY_MAPPING *m = sk_POLICY_MAPPING_value(all, i);
        ASN1_OBJECT *to;

        if (OBJ_cmp(m->issuerDomainPolicy, from) != 0 ||
            in_set(n->expected, m->subjectDomainPolicy))
            continue;
        to = keep(p, m->subjectDomainPolicy);
        if (to == NULL || sk_ASN1_OBJECT_push(n->expected, to) <= 0)
            return chain_no_memory(f);
    }
    return true;
}

static bool map_all(struct chain_policy *p, const POLICY_MAPPINGS *all, struct chain_fault *f)
{
    for (int i = 0; i < sk_POLICY_MAPPING_num(all); i++) {
        const POLICY_MAPPING *m = sk_POLICY_MAPPING_value(all, i);

        if (is_any(m->issuerDomainPolicy) || is_any(m->subjectDomainPolicy))
            return chain_fail(f, CHAIN_MAPPING, MAPPED_ANY, "anyPolicy is mapped");
        if (!note(p, m, f))
            return false;
    }
    for (int i = 0; !p->null && i < sk_POLICY_MAPPING_num(all); i++) {
        if (!map_one(p, all, i, f))
            return false;
    }
    if (!p->null)
        look_whether_null(p);
    return true;
}

bool chain_policy_prepare(struct chain_policy *p, const struct chain_cert *c, struct chain_fault *f)
{
    if (c->mappings != NULL && !map_all(p, c->mappings, f))
        return false;
    if (!c->self_issued) {
        p->explicit_policy -= p->explicit_policy != 0 ? 1 : 0;
        p->mapping -= p->mapping != 0 ? 1 : 0;
        p->any -= p->any != 0 ? 1 : 0;
    }
    take_rules(p, c);
    return true;
}

/* --- 6.1.5 (g), RFC 9618, 5.5 --------------------------------------------------------- */

/* Marks what leads to the last depth: a node with a live child does. */
static void mark_live(struct chain_policy *p)
{
    for (size_t i = 0; i < bottom(p)->n; i++)
        bottom(p)->node[i].live = !bottom(p)->node[i].deleted;
    for (unsigned d = p->depth; d-- > 0;) {
        struct level *up = &p->level[d];
        const struct level *down = &p->level[d + 1];

        for (size_t i = 0; i < up->n; i++) {
            struct node *n = &up->node[i];

            for (size_t j = 0; j < down->n && !n->deleted && !n->live; j++)
                n->live = down->node[j].live && (in_set(n->expected, down->node[j].policy) ||
                                                 (n->any && down->node[j].top));
        }
    }
}

static bool put(STACK_OF(ASN1_OBJECT) * set, const ASN1_OBJECT *o, struct chain_fault *f)
{
    ASN1_OBJECT *copy;

    if (in_set(set, o))
        return true;
    copy = OBJ_dup(o);
    if (copy == NULL || sk_ASN1_OBJECT_push(set, copy) <= 0) {
        ASN1_OBJECT_free(copy);
        return chain_no_memory(f);
    }
    return true;
}

/* The policies in the words of the anchor: nodes right below an anyPolicy node, and the
 * anyPolicy node of the last depth. */
static bool collect(const struct chain_policy *p, STACK_OF(ASN1_OBJECT) * set,
                    struct chain_fault *f)
{
    for (unsigned d = 1; d <= p->depth; d++) {
        for (size_t i = 0; i < p->level[d].n; i++) {
            const struct node *n = &p->level[d].node[i];

            if (n->live && n->top && (!n->any || d == p->depth) && !put(set, n->policy, f))
                return false;
        }
    }
    return true;
}

/* Those of the user's own choice among them. */
static bool choose(const struct chain_policy *p, const STACK_OF(ASN1_OBJECT) * authority,
                   STACK_OF(ASN1_OBJECT) * user, struct chain_fault *f)
{
    const STACK_OF(ASN1_OBJECT) *from = p->initial != NULL ? p->initial : authority;
    bool all = p->initial == NULL || in_set(authority, OBJ_nid2obj(NID_any_policy));

    for (int i = 0; i < sk_ASN1_OBJECT_num(from); i++) {
        const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(from, i);

        if ((all || in_set(authority, o)) && !put(user, o, f))
            return false;
    }
    return true;
}

bool chain_policy_finish(struct chain_policy *p, const struct chain_cert *c,
                         struct chain_verdict *v, struct chain_fault *f)
{
    p->explicit_policy -= p->explicit_policy != 0 ? 1 : 0;
    if (c->has_require_explicit && c->require_explicit == 0)
        p->explicit_policy = 0;
    v->authority = sk_ASN1_OBJECT_new_null();
    v->user = sk_ASN1_OBJECT_new_null();
    if (v->authority == NULL || v->user == NULL)
        return chain_no_memory(f);
    if (!p->null) {
        mark_live(p);
        if (!collect(p, v->authority, f) || !choose(p, v->authority, v->user, f))
            return false;
    }
    v->mapping = p->seen;
    v->n_mapping = p->n_seen;
    p->seen = NULL;
    p->n_seen = 0;
    if (p->explicit_policy == 0 && sk_ASN1_OBJECT_num(v->user) == 0)
        return chain_fail(f, CHAIN_POLICY, NOT_WANTED,
                          "the path is valid for none of the policies that are asked for");
    return true;
}
