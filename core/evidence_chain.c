/* Checks 7, 18 and 22 to 24: certificates, and the names in them. */
#include "core/evidence_rules.h"

#include "core/ekname.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* NIST SP 800-57: 112 bits, what RSA-2048 and SHA-256 reach and SHA-1 does not. */
#define AUTH_LEVEL 2
#define MAX_DEPTH 8

/*
 * A path from `cert` to one of `trusted` (which need not be self-signed), valid at `now`. On
 * success *path holds it (free with sk_X509_pop_free), else NULL is there and `why` says why.
 */
static STACK_OF(X509) * find_path(X509 *cert, STACK_OF(X509) * trusted, STACK_OF(X509) * untrusted,
                                  STACK_OF(X509_CRL) * crls, int64_t now, const char **why)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *path = NULL;
    X509_VERIFY_PARAM *p;
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;

    *why = "an extension of it cannot be read";
    if ((X509_get_extension_flags(cert) & EXFLAG_INVALID) != 0)
        goto out;
    *why = "out of memory";
    if (ctx == NULL || X509_STORE_CTX_init(ctx, NULL, cert, untrusted) != 1)
        goto out;
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    if (crls != NULL) {
        X509_STORE_CTX_set0_crls(ctx, crls);
        flags |= X509_V_FLAG_CRL_CHECK;
    }
    p = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(p, (time_t)now);
    X509_VERIFY_PARAM_set_depth(p, MAX_DEPTH);
    X509_VERIFY_PARAM_set_auth_level(p, AUTH_LEVEL);
    if (X509_VERIFY_PARAM_set_flags(p, flags) != 1)
        goto out;
    if (X509_verify_cert(ctx) == 1)
        path = X509_STORE_CTX_get1_chain(ctx);
    else
        *why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
out:
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    return path;
}

/* Does the certificate have this extended key usage? `any` says whether it has some at all. */
static bool has_usage(X509 *cert, const char *dotted, bool *any)
{
    EXTENDED_KEY_USAGE *u = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
    bool found = false;

    /* A malformed or doubled one counts as one that does not fit. */
    *any = X509_get_ext_by_NID(cert, NID_ext_key_usage, -1) >= 0;
    for (int i = 0; u != NULL && i < sk_ASN1_OBJECT_num(u); i++)
        found = found || oid_is(sk_ASN1_OBJECT_value(u, i), dotted);
    EXTENDED_KEY_USAGE_free(u);
    return found;
}

/* RFC 5280, 4.2.1.9. A certificate whose extensions do not parse counts as one. */
static bool is_ca(X509 *cert)
{
    return (X509_get_extension_flags(cert) & (EXFLAG_CA | EXFLAG_INVALID)) != 0 ||
           X509_check_ca(cert) != 0;
}

/* --- 7: the AK -------------------------------------------------------------- */

/* Why the AK certificate itself is not one of this AK; NULL when it is. */
static const char *ak_fault(const struct evidence_case *c)
{
    struct pubkey k;
    bool any;

    if (pubkey_from_x509(&k, c->ak_cert, NULL) != 0 || !pubkey_equal(&k, &c->ak_key))
        return "the AK certificate is for another key";
    if (!has_usage(c->ak_cert, OID_TCG_KP_AK, &any))
        return "the AK certificate lacks the extended key usage " OID_TCG_KP_AK;
    if (is_ca(c->ak_cert))
        return "the AK certificate is one of a certification authority";
    /* RFC 5280, 4.2.1.3; all ones when absent. */
    if ((X509_get_key_usage(c->ak_cert) & KU_DIGITAL_SIGNATURE) == 0)
        return "the AK certificate's key usage lacks digitalSignature";
    return NULL;
}

/* A CA that is there for other purposes must not vouch for an AK; NULL when none is. */
static const char *ak_path_fault(const STACK_OF(X509) * path)
{
    bool any;

    for (int i = 1; i < sk_X509_num(path); i++) {
        if (!has_usage(sk_X509_value(path, i), OID_TCG_KP_AK, &any) && any)
            return "the AK is certified by a CA for other purposes: its extended key usage "
                   "lacks " OID_TCG_KP_AK;
    }
    return NULL;
}

void evidence_chain_ak(struct evidence_case *c)
{
    const struct evidence_terms *t = c->terms;
    STACK_OF(X509) *path = NULL;
    const char *why;

    if (!c->has_ak) {
        evidence_rules_set(c, 7, EVIDENCE_NA, "not judged: the AK could not be read, see check 2");
        return;
    }
    if (c->ak_cert == NULL) {
        if (t->ak_sealed)
            evidence_rules_set(c, 7, EVIDENCE_ASSERTED,
                               "the certificate will be sealed to this EK "
                               "and AK: only the TPM that holds both can open it");
        else
            evidence_rules_set(c, 7, EVIDENCE_FAIL, "the AK has no certificate");
        return;
    }
    /* A request that brings one along is judged by it where it is one of ours. */
    why = ak_fault(c);
    if (why == NULL)
        path = find_path(c->ak_cert, t->ak_roots, t->ak_untrusted, t->ak_crls, t->now, &why);
    if (path != NULL)
        why = ak_path_fault(path);
    if ((path == NULL || why != NULL) && t->ak_sealed && c->record == NULL)
        evidence_rules_set(c, 7, EVIDENCE_ASSERTED,
                           "the AK's certificate is of no use here (%.60s); the new one will be "
                           "sealed to this EK and AK",
                           why);
    else if (path == NULL || why != NULL)
        evidence_rules_set(c, 7, EVIDENCE_FAIL, "%s", why);
    else
        evidence_rules_set(c, 7, EVIDENCE_PASS,
                           "the AK's certificate leads to a given root; "
                           "revocation %s",
                           t->ak_crls != NULL ? "checked by CRL" : "not judged");
    sk_X509_pop_free(path, X509_free);
}

/* --- 18: the EK ------------------------------------------------------------- */

/* Is a certificate above the first of the path a pinned one (`lenient`: one that is pinned as
 * leaving the EKU out)? OpenSSL would be content with the first itself. */
static bool has_pin(const struct evidence_terms *t, const STACK_OF(X509) * path, bool lenient)
{
    for (int i = 1; i < sk_X509_num(path); i++) {
        for (size_t j = 0; j < t->n_pin; j++) {
            if (t->pin[j].issuer != NULL && (!lenient || t->pin[j].eku_optional) &&
                X509_cmp(t->pin[j].issuer, sk_X509_value(path, i)) == 0)
                return true;
        }
    }
    return false;
}

static const char *ek_fault(const struct evidence_case *c, const STACK_OF(X509) * path)
{
    uint32_t usage = X509_get_key_usage(c->ek_cert);
    struct ekname name;
    struct pubkey k;
    bool any;

    if (!has_pin(c->terms, path, false))
        return "the pinned certificate is the EK certificate itself, not its issuer";
    if (pubkey_from_x509(&k, c->ek_cert, NULL) != 0)
        return "the EK certificate's key is not one in use here";
    if (!c->has_ek)
        return "the EK certificate's key does not belong to the named EK template";
    if (is_ca(c->ek_cert))
        return "the EK certificate is one of a certification authority";
    if (!has_usage(c->ek_cert, OID_TCG_KP_EK, &any) && (any || !has_pin(c->terms, path, true)))
        return "the EK certificate lacks the extended key usage " OID_TCG_KP_EK;
    /* Profile, 3.2.14: RSA keyEncipherment, ECC keyAgreement. */
    if (usage == UINT32_MAX ||
        (usage & (k.type == TPM2_ALG_RSA ? KU_KEY_ENCIPHERMENT : KU_KEY_AGREEMENT)) == 0)
        return k.type == TPM2_ALG_RSA ? "the EK certificate's key usage lacks keyEncipherment"
                                      : "the EK certificate's key usage lacks keyAgreement";
    if (ekname_read(c->ek_cert, &name, NULL) != 0)
        return "the EK certificate does not name the TPM's manufacturer, model and version";
    return NULL;
}

void evidence_chain_ek(struct evidence_case *c)
{
    const struct evidence_terms *t = c->terms;
    STACK_OF(X509) *pins = sk_X509_new_null(), *path = NULL;
    const char *why = "no issuer of EK certificates is pinned";
    char issuer[80];

    for (size_t i = 0; pins != NULL && i < t->n_pin; i++) {
        if (t->pin[i].issuer != NULL && sk_X509_push(pins, t->pin[i].issuer) <= 0) {
            sk_X509_free(pins);
            pins = NULL;
        }
    }
    if (pins == NULL)
        why = "out of memory";
    else if (sk_X509_num(pins) > 0)
        path = find_path(c->ek_cert, pins, c->ek_chain, t->ek_crls, t->now, &why);
    X509_NAME_oneline(X509_get_issuer_name(c->ek_cert), issuer, sizeof(issuer));
    if (path == NULL) {
        evidence_rules_set(c, 18, EVIDENCE_FAIL,
                           "no pinned issuer vouches for the EK "
                           "certificate (issuer %s): %s",
                           issuer, why);
    } else if ((why = ek_fault(c, path)) != NULL) {
        evidence_rules_set(c, 18, EVIDENCE_FAIL, "%s", why);
    } else {
        evidence_rules_set(c, 18, EVIDENCE_PASS,
                           "the EK certificate (issuer %s) leads to a pinned "
                           "issuer; revocation %s",
                           issuer, t->ek_crls != NULL ? "checked by CRL" : "not judged");
    }
    sk_X509_free(pins);
    sk_X509_pop_free(path, X509_free);
}

/* --- 22: registration ------------------------------------------------------- */

void evidence_chain_registered(struct evidence_case *c)
{
    const struct evidence_terms *t = c->terms;
    bool bound = t->ek_spki == NULL ||
                 bytes_equal(bytes_of(c->verdict->ek_spki, 32), bytes_of(t->ek_spki, 32));

    if (t->registration != EVIDENCE_REGISTRATION_NONE && bound)
        evidence_rules_set(
            c, 22, t->registration == EVIDENCE_REGISTRATION_ACTIVE ? EVIDENCE_PASS : EVIDENCE_FAIL,
            "%.200s", t->registered);
    else if (t->ek_spki != NULL)
        evidence_rules_compare(c, 22, "the hash of the EK", bytes_of(c->verdict->ek_spki, 32),
                               bytes_of(t->ek_spki, 32));
    else if (t->ek_spki_asserted)
        evidence_rules_set(c, 22, EVIDENCE_ASSERTED,
                           "which TPM may ask rests on the issuer's word");
    else
        evidence_rules_set(c, 22, EVIDENCE_NA, "no registration was given");
}

/* --- 23: names that the request asks for ------------------------------------ */

static bool same_name(const ASN1_STRING *s, const char *want)
{
    size_t n = strlen(want);

    return ASN1_STRING_length(s) == (int)n &&
           strncasecmp((const char *)ASN1_STRING_get0_data(s), want, n) == 0;
}

/* The first common name that looks like a DNS name and is not the wanted one. */
static const ASN1_STRING *other_cn(X509_REQ *csr, const char *want)
{
    const X509_NAME *name = X509_REQ_get_subject_name(csr);

    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, NID_commonName, i)) >= 0;) {
        const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));

        if (memchr(ASN1_STRING_get0_data(s), '.', (size_t)ASN1_STRING_length(s)) != NULL &&
            !same_name(s, want))
            return s;
    }
    return NULL;
}

/* How many lists of wanted extensions the request has: OpenSSL reads the first alone. */
static unsigned extension_lists(X509_REQ *csr)
{
    static const int nids[] = {NID_ext_req, NID_ms_ext_req};
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_LEN(nids); i++) {
        for (int at = -1; (at = X509_REQ_get_attr_by_NID(csr, nids[i], at)) >= 0;)
            n++;
    }
    return n;
}

/* Does the requested subjectAltName hold anything but the wanted DNS name or mail address? What
 * cannot be read might. */
static bool other_san(X509_REQ *csr, const char *want)
{
    unsigned lists = extension_lists(csr);
    STACK_OF(X509_EXTENSION) *ext = lists == 1 ? X509_REQ_get_extensions(csr) : NULL;
    GENERAL_NAMES *san = NULL;
    bool other = false;
    int crit = -1;

    if (ext == NULL)
        return lists != 0;
    san = X509V3_get_d2i(ext, NID_subject_alt_name, &crit, NULL);
    /* -1: there is none; -2: two of them; else one, which san NULL says does not parse. */
    other = san == NULL && crit != -1;
    for (int i = 0; san != NULL && i < sk_GENERAL_NAME_num(san); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);

        other = other || g->type != (strchr(want, '@') != NULL ? GEN_EMAIL : GEN_DNS) ||
                !same_name(g->d.ia5, want);
    }
    GENERAL_NAMES_free(san);
    sk_X509_EXTENSION_pop_free(ext, X509_EXTENSION_free);
    return other;
}

/* A name as its sender wrote it, cut and made harmless. */
static const char *plain(const ASN1_STRING *s, char out[64])
{
    struct bytes b = {ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
    size_t n = b.len < 63 ? b.len : 63;

    for (size_t i = 0; i < n; i++)
        out[i] = b.p[i] > 0x20 && b.p[i] < 0x7f ? (char)b.p[i] : '?';
    out[n] = 0;
    return out;
}

void evidence_chain_subject(struct evidence_case *c)
{
    const char *want = c->terms->subject;
    const ASN1_STRING *cn;
    char text[64];

    if (want == NULL) {
        evidence_rules_set(c, 23, EVIDENCE_ASSERTED,
                           "no name was given to compare with; the "
                           "issuer chose the certificate's");
        return;
    }
    cn = other_cn(c->csr, want);
    if (cn != NULL)
        evidence_rules_set(c, 23, EVIDENCE_FAIL, "the request's common name is %s, expected %.100s",
                           plain(cn, text), want);
    else if (other_san(c->csr, want))
        evidence_rules_set(c, 23, EVIDENCE_FAIL,
                           "the request asks for another alternative name "
                           "than %.100s",
                           want);
    else
        evidence_rules_set(c, 23, EVIDENCE_PASS,
                           "the request asks for no other name than %.100s; "
                           "nothing of it is copied",
                           want);
}

/* --- 24: the certificate that came of it ------------------------------------ */

void evidence_chain_leaf(struct evidence_case *c)
{
    uint8_t actual[32], expected[32];
    struct err e = {0};
    struct pubkey k;

    if (c->record == NULL || c->terms->leaf == NULL)
        evidence_rules_set(c, 24, EVIDENCE_NA, "no issued certificate was given");
    else if (pubkey_from_x509(&k, c->terms->leaf, &e) != 0 ||
             evidence_hash_get(c->terms->leaf, actual, &e) != 0 ||
             evidence_record_hash(c->record, expected, &e) != 0)
        evidence_rules_set(c, 24, EVIDENCE_FAIL, "%.200s", e.msg);
    else if (!c->verdict->has_subject || !pubkey_equal(&k, &c->verdict->subject))
        evidence_rules_set(c, 24, EVIDENCE_FAIL, "the certificate's key (%s) is not the request's",
                           pubkey_name(&k));
    else
        evidence_rules_compare(c, 24, "the certificate's evidence hash", bytes_of(actual, 32),
                               bytes_of(expected, 32));
}
