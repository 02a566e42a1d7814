/*
 * Target: core/chain. An input is a few certificates, signed for real so that all of validation is
 * reached, whose names, versions and extensions are the input's; or certificates in DER as they
 * come. Whatever is in them, nothing breaks, an answer comes soon, and a question that asks for
 * less is never refused where one that asks for more is accepted.
 */
#include "core/chain.h"
#include "core/oid.h"
#include "tests/fuzz/input.h"

#include <openssl/err.h>

#define MAX_CERTS 5
#define NOW 1800000000

static const char *const extensions[] = {
    "2.5.29.19",          /* basicConstraints */
    "2.5.29.15",          /* keyUsage */
    "2.5.29.32",          /* certificatePolicies */
    "2.5.29.33",          /* policyMappings */
    "2.5.29.36",          /* policyConstraints */
    "2.5.29.54",          /* inhibitAnyPolicy */
    "2.5.29.30",          /* nameConstraints */
    "2.5.29.17",          /* subjectAltName */
    "2.5.29.37",          /* extKeyUsage */
    "2.5.29.9",           /* subjectDirectoryAttributes */
    "1.3.6.1.5.5.7.1.21", /* authorityClearanceConstraints */
    "2.5.29.35",          /* authorityKeyIdentifier */
    "2.5.29.14",          /* subjectKeyIdentifier */
    "1.2.3.4",
};

static EVP_PKEY *key_of(size_t which)
{
    static EVP_PKEY *keys[MAX_CERTS];
    uint8_t seed[32] = {(uint8_t)(which + 1)};

    if (keys[which] == NULL)
        keys[which] = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    INPUT_HOLDS(keys[which] != NULL);
    return keys[which];
}

static void set_name(X509_NAME *n, struct input *in, size_t at)
{
    struct bytes cn;
    uint8_t own = (uint8_t)('a' + at);

    if (!input_one_in(in, 4)) {
        X509_NAME_add_entry_by_NID(n, NID_commonName, V_ASN1_UTF8STRING, &own, 1, -1, 0);
        return;
    }
    cn = input_bytes(in, 40);
    X509_NAME_add_entry_by_NID(n, input_one_in(in, 4) ? NID_pkcs9_emailAddress : NID_commonName,
                               V_ASN1_UTF8STRING, cn.p, (int)cn.len, -1, 0);
}

static void add_extension(X509 *x, const char *oid, bool critical, struct bytes der)
{
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *o = oid_object(oid, NULL);
    X509_EXTENSION *ext = NULL;

    if (ASN1_OCTET_STRING_set(data, der.p, (int)der.len) == 1)
        ext = X509_EXTENSION_create_by_OBJ(NULL, o, critical, data);
    if (ext != NULL)
        X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    ASN1_OBJECT_free(o);
    ASN1_OCTET_STRING_free(data);
}

/* Mostly a CA that a path can go through. */
static void add_extensions(X509 *x, struct input *in)
{
    static const uint8_t ca[] = {0x30, 0x03, 0x01, 0x01, 0xff};
    uint8_t flags = input_u8(in);

    if ((flags & 0x80) == 0)
        add_extension(x, extensions[0], true, bytes_of(ca, sizeof(ca)));
    for (unsigned i = 0; i < (flags & 7); i++) {
        const char *oid = extensions[input_below(in, ARRAY_LEN(extensions))];
        bool critical = input_one_in(in, 2);

        add_extension(x, oid, critical, input_bytes(in, 300));
    }
    X509_set_version(x, (flags & 0x70) == 0x70 ? 0 : 2);
}

/* Number `at`, signed by number `by`, and read again from its DER as a stranger's would be. */
static X509 *make(struct input *in, size_t at, size_t by, const X509 *issuer)
{
    X509 *x = X509_new(), *out;
    X509_NAME *n = X509_NAME_new();
    const uint8_t *p;
    uint8_t *der = NULL;
    int len;

    INPUT_HOLDS(x != NULL && n != NULL);
    if (issuer != NULL && input_one_in(in, 8))
        X509_set_subject_name(x, X509_get_subject_name(issuer));
    else
        set_name(n, in, at);
    if (X509_NAME_entry_count(n) != 0)
        X509_set_subject_name(x, n);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
    ASN1_TIME_set(X509_getm_notBefore(x), NOW - 86400);
    ASN1_TIME_set(X509_getm_notAfter(x), NOW + 86400);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_set_pubkey(x, key_of(at));
    add_extensions(x, in);
    X509_NAME_free(n);
    INPUT_HOLDS(X509_sign(x, key_of(by), NULL) > 0);
    len = i2d_X509(x, &der);
    p = der;
    out = len > 0 ? d2i_X509(NULL, &p, len) : NULL;
    OPENSSL_free(der);
    X509_free(x);
    return out;
}

static size_t signed_certs(struct input *in, X509 *cert[MAX_CERTS])
{
    size_t n = 2 + input_below(in, MAX_CERTS - 1);

    for (size_t i = 0; i < n; i++) {
        size_t by = i == 0 ? 0 : i - 1;

        cert[i] = make(in, i, by, i == 0 ? NULL : cert[by]);
        if (cert[i] == NULL)
            return i;
    }
    return n;
}

static size_t given_certs(struct input *in, X509 *cert[MAX_CERTS])
{
    struct bytes der = input_rest(in);
    const uint8_t *p = der.p;
    size_t n = 0;

    while (n < MAX_CERTS && p < der.p + der.len &&
           (cert[n] = d2i_X509(NULL, &p, der.p + der.len - p)) != NULL)
        n++;
    return n;
}

static bool ask(X509 *leaf, const struct chain_terms *t)
{
    struct chain_verdict v;
    struct err e = {0};
    bool accepted;

    INPUT_HOLDS(chain_check(leaf, t, &v, &e) == 0);
    INPUT_HOLDS(v.accepted == (v.code == CHAIN_OK) && v.code != CHAIN_MEMORY);
    INPUT_HOLDS(v.accepted == (v.path != NULL) && v.accepted == (v.clause == NULL));
    INPUT_HOLDS(!v.accepted || (v.authority != NULL && v.user != NULL));
    INPUT_HOLDS(!v.accepted || !t->explicit_policy || sk_ASN1_OBJECT_num(v.user) > 0);
    accepted = v.accepted;
    chain_free(&v);
    return accepted;
}

static void judge(X509 *const *cert, size_t n, uint8_t how)
{
    struct chain_anchor anchor = {.cert = cert[0]};
    struct chain_terms t = {.anchor = &anchor,
                            .n_anchor = 1,
                            .untrusted = sk_X509_new_null(),
                            .now = NOW,
                            .explicit_policy = (how & 1) != 0,
                            .inhibit_mapping = (how & 2) != 0,
                            .inhibit_any = (how & 4) != 0,
                            .strict_names = (how & 8) != 0,
                            .dns = (how & 16) != 0 ? "a.example" : NULL,
                            .clearance = (how & 32) != 0 ? "1.2.3" : NULL,
                            .classes = CHAIN_SECRET};
    bool accepted;

    for (size_t i = 1; i + 1 < n; i++)
        INPUT_HOLDS(sk_X509_push(t.untrusted, cert[i]) > 0);
    accepted = ask(cert[n - 1], &t);
    t.inhibit_any = t.explicit_policy = t.strict_names = false;
    t.dns = t.clearance = NULL;
    INPUT_HOLDS(!accepted || ask(cert[n - 1], &t));
    sk_X509_free(t.untrusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input_of(data, size);
    uint8_t how = input_u8(&in);
    X509 *cert[MAX_CERTS] = {NULL};
    size_t n = (how & 0x80) != 0 ? given_certs(&in, cert) : signed_certs(&in, cert);

    if (n >= 2)
        judge(cert, n, how);
    for (size_t i = 0; i < n; i++)
        X509_free(cert[i]);
    ERR_clear_error();
    input_end(&in);
    return 0;
}
