/* The loop: RFC 5280, 6.1.2 to 6.1.5. */
#include "core/chain_priv.h"

#include "core/oid.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE "RFC 5280, 4.2.1.12"

/* keyUsage bits of 4.2.1.3. */
#define BIT_CERT_SIGN 5
#define BIT_CRL_SIGN 6

/* The state of 6.1.2, but for what the parts hold themselves. */
struct state {
    const struct chain_terms *t;
    struct chain_cert anchor, cert[CHAIN_MAX_PATH]; /* [0] is the one below the anchor */
    unsigned n;
    struct chain_policy *policy;
    struct chain_names names;
    struct chain_permitted permitted;
    uint32_t max_path;
    const X509_NAME *issuer; /* working_issuer_name */
    EVP_PKEY *key;           /* working_public_key */
    bool crl_sign;           /* the issuer may sign CRLs */
};

/* Beyond the standard, to which an anchor is a name and a key: one that came as a certificate is
 * held to what it says of itself. */
static bool fit_as_anchor(const struct state *s, struct chain_fault *f)
{
    const struct chain_cert *c = &s->anchor;

    if (!chain_cert_current(c->x, s->t->now, f))
        return false;
    if (c->basic != NULL && c->basic->ca == 0)
        return chain_fail(f, CHAIN_NOT_CA, "RFC 5280, 4.2.1.9",
                          "the trust anchor is not of a certification authority");
    return chain_cert_may(c, BIT_CERT_SIGN) ||
           chain_fail(f, CHAIN_KEY_USAGE, "RFC 5280, 4.2.1.3",
                      "the key usage of the trust anchor lacks keyCertSign");
}

/* 6.1.2, with the anchor's own constraints (RFC 5937, 3.2). */
static bool initialize(struct state *s, const struct chain_anchor *a, struct chain_fault *f)
{
    if (!chain_cert_read_anchor(&s->anchor, a->cert, f) || !fit_as_anchor(s, f))
        return false;
    s->policy = chain_policy_new(s->t, a, &s->anchor, s->n, f);
    if (s->policy == NULL)
        return false;
    if (s->anchor.names != NULL && !chain_names_add(&s->names, s->anchor.names, f))
        return false;
    if (a->names != NULL && !chain_names_add(&s->names, a->names, f))
        return false;
    if (!chain_clearance_limit(&s->permitted, &s->anchor, f))
        return false;
    s->max_path = s->n;
    if (s->anchor.has_max_path && s->anchor.max_path < s->max_path)
        s->max_path = s->anchor.max_path;
    if (a->has_max_path && a->max_path < s->max_path)
        s->max_path = a->max_path;
    s->issuer = X509_get_subject_name(a->cert);
    s->key = chain_cert_key(a->cert, f);
    s->crl_sign = chain_cert_may(&s->anchor, BIT_CRL_SIGN);
    return s->key != NULL;
}

/* 6.1.3 */
static bool process(struct state *s, const struct chain_cert *c, bool last, struct chain_fault *f)
{
    if (X509_NAME_cmp(X509_get_issuer_name(c->x), s->issuer) != 0)
        return chain_fail(f, CHAIN_ISSUER, "RFC 5280, 6.1.3 (a) (4)",
                          "the issuer is not the subject of the certificate above");
    if (!chain_cert_signed(c->x, s->key, f) || !chain_cert_current(c->x, s->t->now, f) ||
        !chain_crl_check(s->t, c, s->key, s->crl_sign, f))
        return false;
    if ((last || !c->self_issued) && !chain_names_check(&s->names, c, last, f))
        return false;
    return chain_policy_enter(s->policy, c, last, f);
}

/* An extended key usage that a CA has limits what it may issue for: not of RFC 5280, but what
 * every verifier does. */
static bool may_issue_for(const struct chain_cert *c, const char *usage)
{
    for (int i = 0; i < sk_ASN1_OBJECT_num(c->purposes); i++) {
        const ASN1_OBJECT *o = sk_ASN1_OBJECT_value(c->purposes, i);

        if (oid_is(o, usage) || OBJ_obj2nid(o) == NID_anyExtendedKeyUsage)
            return true;
    }
    return c->purposes == NULL;
}

/* 6.1.4 */
static bool prepare(struct state *s, const struct chain_cert *c, struct chain_fault *f)
{
    if (!chain_policy_prepare(s->policy, c, f))
        return false;
    s->issuer = X509_get_subject_name(c->x);
    s->key = chain_cert_key(c->x, f);
    if (s->key == NULL)
        return false;
    if (c->names != NULL && !chain_names_add(&s->names, c->names, f))
        return false;
    if (c->basic == NULL || c->basic->ca == 0)
        return chain_fail(f, CHAIN_NOT_CA, "RFC 5280, 6.1.4 (k)",
                          "the certificate is not of a certification authority");
    if (!c->self_issued) {
        if (s->max_path == 0)
            return chain_fail(f, CHAIN_PATHLEN, "RFC 5280, 6.1.4 (l)",
                              "the path is longer than a CA above allows");
        s->max_path--;
    }
    if (c->has_max_path && c->max_path < s->max_path)
        s->max_path = c->max_path;
    if (!chain_cert_may(c, BIT_CERT_SIGN))
        return chain_fail(f, CHAIN_KEY_USAGE, "RFC 5280, 6.1.4 (n)",
                          "the key usage of a CA lacks keyCertSign");
    if (s->t->usage != NULL && !may_issue_for(c, s->t->usage))
        return chain_fail(f, CHAIN_USAGE, USAGE,
                          "the extended key usage of a CA does not cover the wanted one");
    s->crl_sign = chain_cert_may(c, BIT_CRL_SIGN);
    return chain_clearance_limit(&s->permitted, c, f);
}

static bool says(const struct chain_cert *c, const char *usage)
{
    for (int i = 0; i < sk_ASN1_OBJECT_num(c->purposes); i++) {
        if (oid_is(sk_ASN1_OBJECT_value(c->purposes, i), usage))
            return true;
    }
    return false;
}

/* 6.1.5, and what the relying party wants. */
static bool wrap_up(struct state *s, struct chain_verdict *v, struct chain_fault *f)
{
    const struct chain_cert *leaf = &s->cert[s->n - 1];

    if (!chain_policy_finish(s->policy, leaf, v, f) || chain_cert_key(leaf->x, f) == NULL)
        return false;
    if (s->t->usage != NULL && !says(leaf, s->t->usage))
        return chain_fail(f, CHAIN_USAGE, USAGE,
                          "the certificate does not say the wanted extended key usage");
    if (s->t->strict_names && !chain_names_strict(&s->names, leaf, f))
        return false;
    return chain_names_wanted(s->t, leaf, f) &&
           chain_clearance_finish(&s->permitted, leaf, s->t, v, f);
}

static bool run(struct state *s, X509 *const *path, const struct chain_anchor *a,
                struct chain_verdict *v, struct chain_fault *f, X509 **at, unsigned *done)
{
    *at = a->cert;
    if (!initialize(s, a, f))
        return false;
    for (unsigned i = 0; i < s->n; i++) {
        bool last = i + 1 == s->n;
        struct chain_cert *c = &s->cert[i];

        *at = path[s->n - 1 - i];
        if (!chain_cert_read(c, *at, last, f) || !process(s, c, last, f) ||
            (!last && !prepare(s, c, f)))
            return false;
        ++*done;
    }
    return wrap_up(s, v, f);
}

bool chain_path(X509 *const *path, unsigned n, const struct chain_anchor *a,
                const struct chain_terms *t, struct chain_verdict *v, struct chain_fault *f,
                X509 **at, unsigned *done)
{
    struct state *s = calloc(1, sizeof(*s));
    bool ok;

    *done = 0;
    if (s == NULL)
        return chain_no_memory(f);
    s->t = t;
    s->n = n;
    ok = run(s, path, a, v, f, at, done);
    chain_policy_free(s->policy);
    chain_clearance_free(s->permitted.set, s->permitted.n);
    chain_cert_free(&s->anchor);
    for (unsigned i = 0; i < n; i++)
        chain_cert_free(&s->cert[i]);
    free(s);
    return ok;
}

/* --- the interface ---------------------------------------------------------------- */

static const char *const names[] = {
    [CHAIN_OK] = "ok",
    [CHAIN_NO_PATH] = "no-path",
    [CHAIN_MALFORMED] = "malformed",
    [CHAIN_CRITICAL] = "critical-extension",
    [CHAIN_SIGNATURE] = "signature",
    [CHAIN_WEAK] = "weak",
    [CHAIN_TIME] = "time",
    [CHAIN_REVOKED] = "revoked",
    [CHAIN_NO_CRL] = "no-crl",
    [CHAIN_ISSUER] = "issuer",
    [CHAIN_NAME] = "name-constraints",
    [CHAIN_POLICY] = "policy",
    [CHAIN_MAPPING] = "policy-mapping",
    [CHAIN_NOT_CA] = "not-a-ca",
    [CHAIN_PATHLEN] = "path-length",
    [CHAIN_KEY_USAGE] = "key-usage",
    [CHAIN_USAGE] = "extended-key-usage",
    [CHAIN_WANTED_NAME] = "wanted-name",
    [CHAIN_STRICT_NAME] = "unbounded-name",
    [CHAIN_CLEARANCE] = "clearance",
    [CHAIN_LIMIT] = "limit",
    [CHAIN_MEMORY] = "memory",
};

const char *chain_code_name(enum chain_code code)
{
    return (size_t)code < ARRAY_LEN(names) ? names[code] : "unknown";
}

static int look(X509 *leaf, const struct chain_terms *t, struct err *e)
{
    if (leaf == NULL || t->n_anchor == 0)
        return err_set(e, E_ARG, "path validation needs a certificate and a trust anchor");
    if (t->ip.len != 0 && t->ip.len != 4 && t->ip.len != 16)
        return err_set(e, E_ARG, "an IP address has 4 or 16 bytes, not %zu", t->ip.len);
    for (size_t i = 0; i < t->n_anchor; i++) {
        if (t->anchor[i].cert == NULL)
            return err_set(e, E_ARG, "a trust anchor without a certificate");
    }
    return 0;
}

static void explain(struct chain_verdict *v, const struct chain_fault *f, X509 *at)
{
    char name[CHAIN_TEXT];

    v->code = f->code;
    v->clause = f->clause;
    snprintf(v->reason, sizeof(v->reason), "%s", f->text);
    if (at == NULL || X509_up_ref(at) != 1)
        return;
    v->at = at;
    snprintf(v->reason, sizeof(v->reason), "%.*s (at %s)",
             (int)(sizeof(v->reason) - CHAIN_TEXT - 8), f->text,
             chain_cert_name(X509_get_subject_name(at), name));
}

int chain_check(X509 *leaf, const struct chain_terms *t, struct chain_verdict *out, struct err *e)
{
    struct chain_verdict v = {0};
    struct chain_fault f = {0};
    X509 *at = NULL;

    if (look(leaf, t, e) != 0)
        return -1;
    v.accepted = chain_build(leaf, t, &v, &f, &at);
    ERR_clear_error();
    if (!v.accepted) {
        chain_free(&v);
        if (f.code == CHAIN_MEMORY)
            return err_set(e, E_MEMORY, "%s", f.text);
        explain(&v, &f, at);
    }
    *out = v;
    return 0;
}

void chain_free(struct chain_verdict *v)
{
    X509_free(v->at);
    sk_X509_pop_free(v->path, X509_free);
    sk_ASN1_OBJECT_pop_free(v->authority, ASN1_OBJECT_free);
    sk_ASN1_OBJECT_pop_free(v->user, ASN1_OBJECT_free);
    for (size_t i = 0; i < v->n_mapping; i++) {
        ASN1_OBJECT_free(v->mapping[i].issuer);
        ASN1_OBJECT_free(v->mapping[i].subject);
    }
    free(v->mapping);
    chain_clearance_free(v->clearance, v->n_clearance);
    *v = (struct chain_verdict){0};
}
