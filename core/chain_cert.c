/* One certificate of a path: its extensions, times, key and signature. RFC 5280, 4. */
#include "core/chain_priv.h"

#include "core/oid.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EXTENSION_MAX ((size_t)64 << 10)
#define EXTENSIONS_MAX 64

/* --- faults ----------------------------------------------------------------- */

bool chain_fail(struct chain_fault *f, enum chain_code code, const char *clause, const char *fmt,
                ...)
{
    va_list ap;

    if (f->code != CHAIN_OK)
        return false;
    f->code = code;
    f->clause = clause;
    va_start(ap, fmt);
    vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
    return false;
}

bool chain_no_memory(struct chain_fault *f)
{
    return chain_fail(f, CHAIN_MEMORY, "", "out of memory for path validation");
}

const char *chain_cert_name(const X509_NAME *name, char out[CHAIN_TEXT])
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1), n = 0;
    BIO *bio = BIO_new(BIO_s_mem());

    snprintf(out, CHAIN_TEXT, "(no name)");
    if (bio != NULL && (at >= 0 ? ASN1_STRING_print_ex(
                                      bio, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)),
                                      ASN1_STRFLGS_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB)
                                : X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253)) > 0)
        n = BIO_read(bio, out, CHAIN_TEXT - 1);
    if (n > 0)
        out[n] = 0;
    BIO_free(bio);
    return out;
}

/* --- extensions -------------------------------------------------------------- */

/* What is processed, and where it goes; everything else must not be critical. */
static const struct row {
    int nid;         /* or 0: */
    const char *oid; /* dotted */
    const ASN1_ITEM *(*item)(void);
    size_t at;
    bool never_critical; /* not processed as far as a critical one would want */
    const char *name, *clause;
} rows[] = {
    {NID_basic_constraints, NULL, BASIC_CONSTRAINTS_it, offsetof(struct chain_cert, basic), false,
     "basicConstraints", "RFC 5280, 4.2.1.9"},
    {NID_key_usage, NULL, ASN1_BIT_STRING_it, offsetof(struct chain_cert, usage), false, "keyUsage",
     "RFC 5280, 4.2.1.3"},
    {NID_certificate_policies, NULL, CERTIFICATEPOLICIES_it, offsetof(struct chain_cert, policies),
     false, "certificatePolicies", "RFC 5280, 4.2.1.4"},
    {NID_policy_mappings, NULL, POLICY_MAPPINGS_it, offsetof(struct chain_cert, mappings), false,
     "policyMappings", "RFC 5280, 4.2.1.5"},
    {NID_policy_constraints, NULL, POLICY_CONSTRAINTS_it, offsetof(struct chain_cert, policy_rules),
     false, "policyConstraints", "RFC 5280, 4.2.1.11"},
    {NID_inhibit_any_policy, NULL, ASN1_INTEGER_it, offsetof(struct chain_cert, inhibit_any), false,
     "inhibitAnyPolicy", "RFC 5280, 4.2.1.14"},
    {NID_name_constraints, NULL, NAME_CONSTRAINTS_it, offsetof(struct chain_cert, names), false,
     "nameConstraints", "RFC 5280, 4.2.1.10"},
    {NID_subject_alt_name, NULL, GENERAL_NAMES_it, offsetof(struct chain_cert, alt), false,
     "subjectAltName", "RFC 5280, 4.2.1.6"},
    {NID_ext_key_usage, NULL, EXTENDED_KEY_USAGE_it, offsetof(struct chain_cert, purposes), false,
     "extKeyUsage", "RFC 5280, 4.2.1.12"},
    {0, OID_EXT_CLEARANCE_CONSTRAINTS, asn1_clearances_it,
     offsetof(struct chain_cert, clearance_rules), false, "authorityClearanceConstraints",
     "RFC 5913, 3"},
    {NID_subject_directory_attributes, NULL, asn1_attributes_it,
     offsetof(struct chain_cert, directory), true, "subjectDirectoryAttributes",
     "RFC 5280, 4.2.1.8"},
};

static void *get(const struct chain_cert *c, const struct row *r)
{
    void *v;

    memcpy(&v, (const char *)c + r->at, sizeof(v));
    return v;
}

void chain_cert_free(struct chain_cert *c)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ASN1_item_free(get(c, &rows[i]), rows[i].item());
    *c = (struct chain_cert){0};
}

static const struct row *row_of(const ASN1_OBJECT *o)
{
    int nid = OBJ_obj2nid(o);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].nid != 0 ? rows[i].nid == nid : oid_is(o, rows[i].oid))
            return &rows[i];
    }
    return NULL;
}

static bool read_extension(struct chain_cert *c, X509_EXTENSION *ext, struct chain_fault *f)
{
    const ASN1_OBJECT *o = X509_EXTENSION_get_object(ext);
    bool critical = X509_EXTENSION_get_critical(ext) != 0;
    const struct row *r = row_of(o);
    char text[OID_TEXT_MAX] = "";
    struct err e = {0};
    void *v;

    if (r == NULL || (critical && r->never_critical)) {
        OBJ_obj2txt(text, sizeof(text), o, 0);
        return !critical || chain_fail(f, CHAIN_CRITICAL, "RFC 5280, 6.1.4 (o), 6.1.5 (f)",
                                       "the critical extension %s is not processed here", text);
    }
    v = asn1_decode(r->item(), asn1_octets(X509_EXTENSION_get_data(ext)), EXTENSION_MAX, r->name,
                    &e);
    if (v == NULL)
        return chain_fail(f, CHAIN_MALFORMED, r->clause, "%.200s", e.msg);
    memcpy((char *)c + r->at, &v, sizeof(v));
    return true;
}

/* 4.2: no extension twice. */
static bool read_extensions(struct chain_cert *c, struct chain_fault *f)
{
    int n = X509_get_ext_count(c->x);

    if (n > EXTENSIONS_MAX)
        return chain_fail(f, CHAIN_LIMIT, "RFC 5280, 4.2", "more than %d extensions",
                          EXTENSIONS_MAX);
    /* 4.1.2.1; libcrypto numbers versions as the encoding does. */
    if (X509_get_version(c->x) > 2 || (n > 0 && X509_get_version(c->x) != 2))
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.1.2.1",
                          "the version does not fit: extensions are of version 3");
    for (int i = 0; i < n; i++) {
        X509_EXTENSION *ext = X509_get_ext(c->x, i);

        for (int j = 0; j < i; j++) {
            if (OBJ_cmp(X509_EXTENSION_get_object(X509_get_ext(c->x, j)),
                        X509_EXTENSION_get_object(ext)) == 0)
                return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.2",
                                  "an extension is there twice");
        }
        if (!read_extension(c, ext, f))
            return false;
    }
    return true;
}

/* A SkipCerts or pathLenConstraint; false: negative or beyond reason. */
static bool number(const ASN1_INTEGER *from, bool *has, uint32_t *out)
{
    *has = from != NULL;
    return from == NULL || asn1_u32(from, out, NULL) == 0;
}

/* The contents of what was read: emptiness, numbers, repetitions, bounds. */
static bool look(struct chain_cert *c, struct chain_fault *f)
{
    const POLICY_CONSTRAINTS *pc = c->policy_rules;
    bool has;

    if ((c->basic != NULL && !number(c->basic->pathlen, &c->has_max_path, &c->max_path)) ||
        (pc != NULL &&
         (!number(pc->requireExplicitPolicy, &c->has_require_explicit, &c->require_explicit) ||
          !number(pc->inhibitPolicyMapping, &c->has_inhibit_mapping, &c->inhibit_mapping))) ||
        !number(c->inhibit_any, &has, &c->inhibit_any_after))
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.2.1",
                          "a number in a constraint is negative or too large");
    if (c->has_max_path && c->basic->ca == 0)
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.2.1.9",
                          "a path length in a certificate that is not of a CA");
    if ((c->policies != NULL && sk_POLICYINFO_num(c->policies) == 0) ||
        (c->mappings != NULL && sk_POLICY_MAPPING_num(c->mappings) == 0) ||
        (c->alt != NULL && sk_GENERAL_NAME_num(c->alt) == 0) ||
        (c->purposes != NULL && sk_ASN1_OBJECT_num(c->purposes) == 0) ||
        (c->usage != NULL && asn1_octets(c->usage).len == 0) ||
        (c->clearance_rules != NULL && sk_asn1_clearance_num(c->clearance_rules) == 0) ||
        (pc != NULL && !c->has_require_explicit && !c->has_inhibit_mapping))
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.2.1", "an extension is empty");
    if (sk_POLICYINFO_num(c->policies) > CHAIN_MAX_LIST ||
        sk_POLICY_MAPPING_num(c->mappings) > CHAIN_MAX_LIST ||
        sk_GENERAL_NAME_num(c->alt) > CHAIN_MAX_LIST ||
        sk_ASN1_OBJECT_num(c->purposes) > CHAIN_MAX_LIST ||
        sk_asn1_clearance_num(c->clearance_rules) > CHAIN_MAX_LIST ||
        X509_NAME_entry_count(X509_get_subject_name(c->x)) > CHAIN_MAX_LIST)
        return chain_fail(f, CHAIN_LIMIT, "RFC 5280, 4.2.1", "more than %d entries in an extension",
                          CHAIN_MAX_LIST);
    for (int i = 0; i < sk_POLICYINFO_num(c->policies); i++) {
        for (int j = 0; j < i; j++) {
            if (OBJ_cmp(sk_POLICYINFO_value(c->policies, i)->policyid,
                        sk_POLICYINFO_value(c->policies, j)->policyid) == 0)
                return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.2.1.4",
                                  "a policy is there twice");
        }
    }
    return true;
}

/* 4.2.1.4: critical policies are refused with qualifiers that nobody here knows; those of RFC 5280
 * ask for nothing but to be shown. */
static bool look_at_qualifiers(const struct chain_cert *c, struct chain_fault *f)
{
    int at = X509_get_ext_by_NID(c->x, NID_certificate_policies, -1);

    if (at < 0 || X509_EXTENSION_get_critical(X509_get_ext(c->x, at)) == 0)
        return true;
    for (int i = 0; i < sk_POLICYINFO_num(c->policies); i++) {
        const STACK_OF(POLICYQUALINFO) *q = sk_POLICYINFO_value(c->policies, i)->qualifiers;

        for (int j = 0; j < sk_POLICYQUALINFO_num(q); j++) {
            int nid = OBJ_obj2nid(sk_POLICYQUALINFO_value(q, j)->pqualid);

            if (nid != NID_id_qt_cps && nid != NID_id_qt_unotice)
                return chain_fail(f, CHAIN_CRITICAL, "RFC 5280, 4.2.1.4",
                                  "critical policies with an unknown qualifier");
        }
    }
    return true;
}

bool chain_cert_read_anchor(struct chain_cert *c, X509 *x, struct chain_fault *f)
{
    *c = (struct chain_cert){.x = x};
    c->self_issued = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
    return read_extensions(c, f) && look(c, f) && look_at_qualifiers(c, f);
}

bool chain_cert_read(struct chain_cert *c, X509 *x, bool leaf, struct chain_fault *f)
{
    int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);

    if (!chain_cert_read_anchor(c, x, f))
        return false;
    if (X509_NAME_entry_count(X509_get_issuer_name(x)) == 0)
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.1.2.4", "the issuer has no name");
    if (X509_NAME_entry_count(X509_get_subject_name(x)) == 0 &&
        (!leaf || at < 0 || X509_EXTENSION_get_critical(X509_get_ext(x, at)) == 0))
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.1.2.6",
                          "the subject is empty without a critical subjectAltName");
    if (c->usage != NULL && chain_cert_may(c, 5) && (c->basic == NULL || c->basic->ca == 0))
        return chain_fail(f, CHAIN_NOT_CA, "RFC 5280, 4.2.1.9",
                          "keyCertSign in a certificate that is not of a CA");
    return true;
}

bool chain_cert_may(const struct chain_cert *c, int bit)
{
    return c->usage == NULL || ASN1_BIT_STRING_get_bit(c->usage, bit) != 0;
}

/* --- time ---------------------------------------------------------------------- */

bool chain_cert_time(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;
    bool utc = ASN1_STRING_type(t) == V_ASN1_UTCTIME;

    /* 4.1.2.5: with seconds, Zulu; through 2049 as UTCTime, from 2050 as GeneralizedTime. */
    if (ASN1_STRING_length(t) != (utc ? 13 : 15) ||
        ASN1_STRING_get0_data(t)[utc ? 12 : 14] != 'Z' || ASN1_TIME_to_tm(t, &tm) != 1) {
        ERR_clear_error();
        return false;
    }
    *out = (int64_t)timegm(&tm);
    return utc || tm.tm_year >= 150;
}

bool chain_cert_current(X509 *x, int64_t now, struct chain_fault *f)
{
    int64_t from, to;

    if (!chain_cert_time(X509_get0_notBefore(x), &from) ||
        !chain_cert_time(X509_get0_notAfter(x), &to))
        return chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.1.2.5",
                          "a time is not in the form that its year prescribes");
    if (now < from)
        return chain_fail(f, CHAIN_TIME, "RFC 5280, 6.1.3 (a) (2)",
                          "the certificate is not yet valid");
    if (now > to)
        return chain_fail(f, CHAIN_TIME, "RFC 5280, 6.1.3 (a) (2)", "the certificate has expired");
    return true;
}

/* --- keys and signatures ---------------------------------------------------------- */

EVP_PKEY *chain_cert_key(X509 *x, struct chain_fault *f)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    int explicit_curve = 0;

    if (key == NULL) {
        ERR_clear_error();
        chain_fail(f, CHAIN_MALFORMED, "RFC 5280, 4.1.2.7", "the public key cannot be read");
        return NULL;
    }
    if (EVP_PKEY_get_security_bits(key) < CHAIN_MIN_BITS) {
        chain_fail(f, CHAIN_WEAK, "NIST SP 800-57, 5.6", "the public key is too weak");
        return NULL;
    }
    /* RFC 5480, 2.1.1: a named curve; other parameters forge (CVE-2020-0601). */
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
        (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                &explicit_curve) != 1 ||
         explicit_curve != 0)) {
        ERR_clear_error();
        chain_fail(f, CHAIN_MALFORMED, "RFC 5480, 2.1.1",
                   "the curve of the public key is not named");
        return NULL;
    }
    return key;
}

bool chain_cert_signed(X509 *x, EVP_PKEY *key, struct chain_fault *f)
{
    const X509_ALGOR *outer;
    int bits = 0, rc;

    X509_get0_signature(NULL, &outer, x);
    if (X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(x)) != 0)
        return chain_fail(f, CHAIN_SIGNATURE, "RFC 5280, 4.1.1.2",
                          "the two signature algorithms of the certificate differ");
    rc = X509_get_signature_info(x, NULL, NULL, &bits, NULL);
    if (rc == 1 && bits < CHAIN_MIN_BITS)
        return chain_fail(f, CHAIN_WEAK, "NIST SP 800-57, 5.6",
                          "the signature's digest algorithm is too weak");
    if (rc != 1 || X509_verify(x, key) != 1) {
        ERR_clear_error();
        return chain_fail(f, CHAIN_SIGNATURE, "RFC 5280, 6.1.3 (a) (1)",
                          "the signature is not by the issuer's key");
    }
    return true;
}
