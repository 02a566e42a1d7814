/*
 * Path building: a bounded search from the leaf upwards, depth first. Every edge is a name and a
 * signature that fit; every path to an anchor is validated whole, until one is accepted. Key
 * identifiers order the search and decide nothing (RFC 4158, 3.5.12).
 */
#include "core/chain_priv.h"

#include <openssl/err.h>

struct search {
    const struct chain_terms *t;
    struct chain_verdict *v;
    X509 *path[CHAIN_MAX_PATH]; /* leaf first */
    unsigned n;
    unsigned tries, checks;
    bool out_of_bounds, out_of_memory; /* end the search */
    bool too_deep;                     /* ends a branch of it */
    /* The failure that came furthest; a dead end is worse than any complete path. */
    bool complete;
    unsigned done;
    struct chain_fault *f;
    X509 **at;
};

static bool same_key(const X509 *a, const X509 *b)
{
    return X509_PUBKEY_eq(X509_get_X509_PUBKEY(a), X509_get_X509_PUBKEY(b)) == 1;
}

static bool same_entity(const X509 *a, const X509 *b)
{
    return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0 && same_key(a, b);
}

/* Is the entity on the path already? Going round would add nothing but length. */
static bool on_path(const struct search *s, const X509 *cert)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (same_entity(s->path[i], cert))
            return true;
    }
    return false;
}

static bool is_anchor(const struct search *s, const X509 *cert)
{
    for (size_t i = 0; i < s->t->n_anchor; i++) {
        if (same_entity(s->t->anchor[i].cert, cert))
            return true;
    }
    return false;
}

/* Do the key identifiers differ, where both are there? */
static bool other_id(X509 *cert, X509 *issuer)
{
    const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(cert);
    const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(issuer);

    return aki != NULL && ski != NULL && ASN1_OCTET_STRING_cmp(aki, ski) != 0;
}

/* Keeps the fault of the path that came furthest. */
static void remember(struct search *s, const struct chain_fault *f, X509 *at, bool complete,
                     unsigned done)
{
    if (f->code == CHAIN_MEMORY)
        s->out_of_memory = true;
    else if (s->f->code != CHAIN_OK && (s->complete != complete ? s->complete : s->done >= done))
        return;
    *s->f = *f;
    *s->at = at;
    s->complete = complete;
    s->done = done;
}

/* Names first: they cost nothing. */
static bool issued(struct search *s, X509 *cert, X509 *issuer)
{
    struct chain_fault f = {0};
    EVP_PKEY *key;

    if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0)
        return false;
    key = X509_get0_pubkey(issuer);
    if (key == NULL)
        return false;
    if (s->checks == CHAIN_MAX_CHECKS) {
        s->out_of_bounds = true;
        return false;
    }
    s->checks++;
    if (chain_cert_signed(cert, key, &f))
        return true;
    remember(s, &f, cert, false, s->n);
    return false;
}

static bool accept(struct search *s, const struct chain_anchor *a)
{
    STACK_OF(X509) *path = sk_X509_new_null();

    for (unsigned i = 0; path != NULL && i <= s->n; i++) {
        X509 *x = i < s->n ? s->path[i] : a->cert;

        if (X509_up_ref(x) != 1)
            goto bad;
        if (sk_X509_push(path, x) <= 0) {
            X509_free(x);
            goto bad;
        }
    }
    s->v->path = path;
    if (path != NULL)
        return true;
bad:
    sk_X509_pop_free(path, X509_free);
    s->out_of_memory = true;
    *s->f = (struct chain_fault){0};
    return chain_no_memory(s->f);
}

/* Validates the path as it stands under one anchor. */
static bool attempt(struct search *s, const struct chain_anchor *a)
{
    struct chain_verdict v = {0};
    struct chain_fault f = {0};
    unsigned done = 0;
    X509 *at = NULL;

    if (s->tries == CHAIN_MAX_TRIES) {
        s->out_of_bounds = true;
        return false;
    }
    s->tries++;
    if (chain_path(s->path, s->n, a, s->t, &v, &f, &at, &done)) {
        *s->v = v;
        return accept(s, a);
    }
    chain_free(&v);
    remember(s, &f, at, true, done);
    return false;
}

static bool stop(const struct search *s)
{
    return s->out_of_bounds || s->out_of_memory;
}

static bool climb(struct search *s);

/* Anchors that issued the last certificate of the path; `odd`: with other key identifiers. */
static bool try_anchors(struct search *s, bool odd, bool *some)
{
    X509 *top = s->path[s->n - 1];

    for (size_t i = 0; i < s->t->n_anchor && !stop(s); i++) {
        const struct chain_anchor *a = &s->t->anchor[i];

        if (other_id(top, a->cert) != odd || !issued(s, top, a->cert))
            continue;
        *some = true;
        if (attempt(s, a))
            return true;
    }
    return false;
}

/* Does an anchor's name stand as its issuer? Those come first: a mesh has no end. */
static bool is_near(const struct search *s, const X509 *cert)
{
    for (size_t i = 0; i < s->t->n_anchor; i++) {
        if (X509_NAME_cmp(X509_get_issuer_name(cert),
                          X509_get_subject_name(s->t->anchor[i].cert)) == 0)
            return true;
    }
    return false;
}

static bool try_others(struct search *s, bool odd, bool near, bool *some)
{
    X509 *top = s->path[s->n - 1];

    for (int i = 0; i < sk_X509_num(s->t->untrusted) && !stop(s); i++) {
        X509 *x = sk_X509_value(s->t->untrusted, i);

        /* The way on from an anchor's name and key begins at the anchor. */
        if (other_id(top, x) != odd || is_near(s, x) != near || on_path(s, x) || is_anchor(s, x) ||
            !issued(s, top, x))
            continue;
        *some = true;
        if (s->n == CHAIN_MAX_PATH) {
            s->too_deep = true;
            continue;
        }
        s->path[s->n++] = x;
        if (climb(s))
            return true;
        s->n--;
    }
    return false;
}

static void dead_end(struct search *s)
{
    X509 *top = s->path[s->n - 1];
    struct chain_fault f = {0};
    char name[CHAIN_TEXT];
    bool own = X509_self_signed(top, 1) == 1;

    /* Its own signature says more than that another of its name did not sign it. */
    if (own)
        chain_fail(&f, CHAIN_NO_PATH, "RFC 5280, 6.1",
                   "the path ends at a self-signed certificate that is not trusted");
    else
        chain_fail(&f, CHAIN_NO_PATH, "RFC 5280, 6.1",
                   "no trust anchor or certificate that was given leads to the issuer %s",
                   chain_cert_name(X509_get_issuer_name(top), name));
    remember(s, &f, top, false, s->n + (own ? 1 : 0));
}

static bool climb(struct search *s)
{
    bool some = false;

    for (int odd = 0; odd < 2; odd++) {
        if (try_anchors(s, odd != 0, &some) || try_others(s, odd != 0, true, &some) ||
            try_others(s, odd != 0, false, &some))
            return true;
    }
    if (!some && !stop(s))
        dead_end(s);
    return false;
}

static bool too_many(const struct chain_terms *t)
{
    return sk_X509_num(t->untrusted) > CHAIN_MAX_GIVEN ||
           sk_X509_CRL_num(t->crls) > CHAIN_MAX_GIVEN || t->n_anchor > CHAIN_MAX_GIVEN;
}

bool chain_build(X509 *leaf, const struct chain_terms *t, struct chain_verdict *v,
                 struct chain_fault *f, X509 **at)
{
    struct search s = {.t = t, .v = v, .f = f, .at = at, .path = {leaf}, .n = 1};

    if (too_many(t))
        return chain_fail(f, CHAIN_LIMIT, "RFC 4158", "more than %d certificates or CRLs",
                          CHAIN_MAX_GIVEN);
    if (is_anchor(&s, leaf)) {
        *at = leaf;
        return chain_fail(f, CHAIN_NO_PATH, "RFC 5280, 6.1",
                          "the certificate is itself a trust anchor: nothing vouches for it");
    }
    if (climb(&s))
        return true;
    ERR_clear_error();
    /* A dead end says nothing when the search was not finished. */
    if ((s.out_of_bounds || s.too_deep) && !s.complete) {
        *f = (struct chain_fault){0};
        *at = NULL;
        return chain_fail(f, CHAIN_LIMIT, "RFC 4158, 5.1",
                          "the certificates that were given lead too far in search of a path");
    }
    return false;
}
