#include "cli/path.h"

#include "cli/certs.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* NIST SP 800-57: 112 bits, what RSA-2048 and SHA-256 reach and SHA-1 does not. OpenSSL's
 * own choice would be to take everything. */
#define AUTH_LEVEL 2

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

bool path_dns(X509 *leaf, char *out, size_t size)
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

/* --- validation ---------------------------------------------------------- */

/* Sorts what --roots holds: anchors into the store, the rest among the intermediates. */
static int sort_roots(const struct path_terms *t, X509_STORE *store, STACK_OF(X509) * others,
                      struct err *e)
{
    int anchors = 0;

    for (int i = 0; i < sk_X509_num(t->roots); i++) {
        X509 *cert = sk_X509_value(t->roots, i);
        bool anchor = path_self_signed(cert);

        if (anchor ? X509_STORE_add_cert(store, cert) != 1 : sk_X509_push(others, cert) <= 0)
            return err_openssl(e, E_CRYPTO, "sorting the trusted certificates");
        anchors += anchor ? 1 : 0;
    }
    for (int i = 0; i < sk_X509_num(t->untrusted); i++) {
        if (sk_X509_push(others, sk_X509_value(t->untrusted, i)) <= 0)
            return err_set(e, E_MEMORY, "out of memory for certificates");
    }
    if (anchors == 0)
        return err_set(e, E_FORMAT,
                       "--roots holds no self-signed root; export one with `fusetsu "
                       "ca export root` or `bundle:COMMUNITY`");
    return 0;
}

static int set_rules(X509_STORE_CTX *ctx, const struct path_terms *t, struct err *e)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    ASN1_OBJECT *policy;
    char oid[OID_TEXT_MAX];

    if (oid_policy(t->community, t->level, oid, e) != 0 || (policy = oid_object(oid, e)) == NULL)
        return -1;
    /* user-initial-policy-set of one, initial-explicit-policy (RFC 5280, 6.1.1 (c), (e)). */
    if (X509_VERIFY_PARAM_add0_policy(param, policy) != 1) {
        ASN1_OBJECT_free(policy);
        return err_openssl(e, E_CRYPTO, "setting the policy");
    }
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_EXPLICIT_POLICY |
                                           X509_V_FLAG_TRUSTED_FIRST);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    if (t->dns != NULL) {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                                   X509_CHECK_FLAG_NO_WILDCARDS);
        if (X509_VERIFY_PARAM_set1_host(param, t->dns, 0) != 1)
            return err_openssl(e, E_CRYPTO, "setting the name");
    }
    return 0;
}

static void explain(X509_STORE_CTX *ctx, const struct path_terms *t, struct path_verdict *v)
{
    int error = X509_STORE_CTX_get_error(ctx);
    X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    char name[CERTS_TEXT] = "";

    if (error == X509_V_ERR_NO_EXPLICIT_POLICY) {
        snprintf(v->reason, sizeof(v->reason),
                 "no path leads to it that is certified for %s level %u all the way (RFC 5280, "
                 "6.1.5: no explicit policy)",
                 oid_community_name(t->community), t->level);
        return;
    }
    if (at != NULL)
        certs_name(X509_get_subject_name(at), name);
    if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY) {
        snprintf(v->reason, sizeof(v->reason),
                 "no root or cross-certificate that was given leads to the issuer of %.200s", name);
        return;
    }
    snprintf(v->reason, sizeof(v->reason), "%s%s%s%s", X509_verify_cert_error_string(error),
             name[0] != 0 ? " (at " : "", name, name[0] != 0 ? ")" : "");
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

/* What OpenSSL lets pass in the certificate itself; NULL: nothing. */
static const char *leaf_fault(X509 *leaf)
{
    char dns[256];

    if (!path_dns(leaf, dns, sizeof(dns)))
        return "the certificate must name DNS names and nothing else in its subjectAltName: "
               "name constraints of other kinds are not enforced by every verifier";
    if (foreign_cn(leaf))
        return "the common name of the certificate looks like a DNS name and is not among its "
               "DNS names: name constraints do not reach it";
    if (X509_check_ca(leaf) != 0)
        return "the certificate is one of a certification authority, not of a device";
    return NULL;
}

static int validate(X509 *leaf, const struct path_terms *t, X509_STORE *store,
                    STACK_OF(X509) * others, struct path_verdict *v, struct err *e)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    const char *why;
    int rc = -1;

    if (ctx == NULL || X509_STORE_CTX_init(ctx, store, leaf, others) != 1) {
        err_openssl(e, E_CRYPTO, "path validation");
        goto out;
    }
    if (set_rules(ctx, t, e) != 0)
        goto out;
    if (X509_verify_cert(ctx) == 1) {
        v->accepted = true;
        v->via = X509_STORE_CTX_get1_chain(ctx);
    } else {
        explain(ctx, t, v);
    }
    why = v->accepted ? leaf_fault(leaf) : NULL;
    if (why != NULL) {
        v->accepted = false;
        snprintf(v->reason, sizeof(v->reason), "%s", why);
    }
    rc = 0;
out:
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    return rc;
}

int path_check(X509 *leaf, const struct path_terms *t, struct path_verdict *out, struct err *e)
{
    STACK_OF(X509) *others = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    struct path_verdict v = {0};
    int rc = -1;

    if (others == NULL || store == NULL) {
        err_set(e, E_MEMORY, "out of memory for path validation");
        goto out;
    }
    if (sort_roots(t, store, others, e) != 0 || validate(leaf, t, store, others, &v, e) != 0)
        goto out;
    *out = v;
    rc = 0;
out:
    if (rc != 0)
        path_free(&v);
    sk_X509_free(others);
    X509_STORE_free(store);
    return rc;
}

void path_free(struct path_verdict *v)
{
    sk_X509_pop_free(v->via, X509_free);
    *v = (struct path_verdict){0};
}
