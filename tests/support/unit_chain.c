#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/unit_chain.h"

#include "core/asn1.h"
#include "core/oid.h"
#include "tests/support/unit_ca.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL 3.0 leaks policyConstraints of a certificate without certificatePolicies. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable() (void)0
#define __lsan_enable() (void)0
#endif

#define POLICY_ARC "1.3.6.1.4.1.32473.9."
#define CLEARANCE_ARC "1.3.6.1.4.1.32473.8."
#define TEXT 4096

/* --- keys -------------------------------------------------------------------- */

EVP_PKEY *unit_chain_key(unsigned at)
{
    static EVP_PKEY *keys[16];

    assert_true(at < 16);
    if (keys[at] == NULL)
        keys[at] = EVP_EC_gen("P-256");
    assert_non_null(keys[at]);
    return keys[at];
}

static EVP_PKEY *odd_key(const char *kind)
{
    EVP_PKEY_CTX *ctx;
    EVP_PKEY *key = NULL;

    if (strcmp(kind, "weak") == 0)
        return EVP_RSA_gen(1024);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    assert_true(EVP_PKEY_keygen_init(ctx) == 1 &&
                EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) == 1 &&
                EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE) == 1 &&
                EVP_PKEY_keygen(ctx, &key) == 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* --- texts -------------------------------------------------------------------- */

/* P1 -> identifier, N1 -> identifier, "any" -> anyPolicy, at the beginning of words. */
static const char *expand(const char *in, char out[TEXT])
{
    size_t n = 0;

    for (const char *p = in; *p != 0;) {
        bool begins = p == in || strchr(",:;", p[-1]) != NULL;

        if (begins && (*p == 'P' || *p == 'N') && p[1] >= '1' && p[1] <= '9') {
            n += (size_t)snprintf(out + n, TEXT - n, "%s%c", *p == 'P' ? POLICY_ARC : CLEARANCE_ARC,
                                  p[1]);
            p += 2;
        } else if (begins && strncmp(p, "any", 3) == 0 && strchr(",:", p[3]) != NULL) {
            n += (size_t)snprintf(out + n, TEXT - n, "2.5.29.32.0");
            p += 3;
        } else {
            out[n++] = *p++;
        }
        assert_true(n < TEXT - 1);
    }
    out[n] = 0;
    return out;
}

STACK_OF(ASN1_OBJECT) * unit_chain_policies(const char *list)
{
    STACK_OF(ASN1_OBJECT) *out = sk_ASN1_OBJECT_new_null();
    char text[TEXT], *save = NULL;

    expand(list, text);
    for (char *w = strtok_r(text, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save))
        assert_true(sk_ASN1_OBJECT_push(out, OBJ_txt2obj(w, 1)) > 0);
    return out;
}

static X509_NAME *name_of(const char *text)
{
    X509_NAME *n = X509_NAME_new();
    char copy[512], *save = NULL;

    snprintf(copy, sizeof(copy), "%s", text);
    for (char *w = strtok_r(copy, "/", &save); w != NULL; w = strtok_r(NULL, "/", &save)) {
        char *value = strchr(w, '=');
        /* "+" before a type puts it into the RDN before it. */
        bool joined = *w == '+';

        assert_non_null(value);
        *value++ = 0;
        assert_int_equal(X509_NAME_add_entry_by_txt(n, w + (joined ? 1 : 0), MBSTRING_UTF8,
                                                    (const unsigned char *)value, -1, -1,
                                                    joined ? -1 : 0),
                         1);
    }
    return n;
}

/* --- extensions ---------------------------------------------------------------- */

static const struct {
    const char *field;
    int nid;
    bool critical;
} fields[] = {
    {"pol", NID_certificate_policies, false}, {"map", NID_policy_mappings, true},
    {"pc", NID_policy_constraints, true},     {"iap", NID_inhibit_any_policy, true},
    {"nc", NID_name_constraints, true},       {"san", NID_subject_alt_name, false},
    {"eku", NID_ext_key_usage, false},        {"ku", NID_key_usage, true},
    {"bc", NID_basic_constraints, true},
};

static X509_EXTENSION *extension(const char *oid, bool critical, struct bytes der)
{
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
    X509_EXTENSION *ext;

    assert_true(o != NULL && ASN1_OCTET_STRING_set(data, der.p, (int)der.len) == 1);
    ext = X509_EXTENSION_create_by_OBJ(NULL, o, critical, data);
    assert_non_null(ext);
    ASN1_OBJECT_free(o);
    ASN1_OCTET_STRING_free(data);
    return ext;
}

X509_EXTENSION *unit_chain_extension(const char *oid, bool critical, const char *hex)
{
    uint8_t der[512];
    size_t n = strlen(hex) / 2;

    assert_true(n < sizeof(der) && hex_decode(der, n, hex) == 0);
    return extension(oid, critical, bytes_of(der, n));
}

static void add_extension(X509 *x, X509_EXTENSION *ext)
{
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static void add_der(X509 *x, const char *oid, bool critical, struct bytes der)
{
    add_extension(x, extension(oid, critical, der));
}

static void set_extension(X509 *x, const char *field, const char *value)
{
    char text[TEXT], with[TEXT + 16];

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].field, field) != 0)
            continue;
        snprintf(with, sizeof(with), "%s%s", fields[i].critical ? "critical," : "",
                 expand(value, text));
        unit_ca_set_ext(x, fields[i].nid,
                        strcmp(value, "-") == 0                   ? NULL
                        : strncmp(value, "noncritical,", 12) == 0 ? expand(value + 12, text)
                                                                  : with);
        return;
    }
    fail_msg("no such field: %s", field);
}

/* OID:c:HEX */
static void set_der(X509 *x, const char *value)
{
    const char *hex = strrchr(value, ':') + 1;
    char oid[64];

    snprintf(oid, sizeof(oid), "%.*s", (int)(strchr(value, ':') - value), value);
    add_extension(x, unit_chain_extension(oid, hex[-2] == 'c', hex));
}

/* One Clearance from "OID:bits" or "OID:bits:category,": DER appended. */
static void clearance(const char *word, bool tags, struct buf *der)
{
    asn1_clearance *c = asn1_new(ASN1_ITEM_rptr(asn1_clearance), NULL);
    asn1_clearance_3281 *o = asn1_new(ASN1_ITEM_rptr(asn1_clearance_3281), NULL);
    char oid[128];
    const char *colon = strchr(word, ':'), *cat = strchr(colon + 1, ':');
    unsigned long bits = strtoul(colon + 1, NULL, 10);
    struct err e = {0};

    snprintf(oid, sizeof(oid), "%.*s", (int)(colon - word), word);
    c->policy = OBJ_txt2obj(oid, 1);
    if (bits != CHAIN_UNCLASSIFIED) {
        c->classes = ASN1_BIT_STRING_new();
        for (int i = 0; i < 32; i++) {
            if ((bits >> i & 1) != 0)
                ASN1_BIT_STRING_set_bit(c->classes, i, 1);
        }
    }
    if (cat != NULL) {
        ASN1_INTEGER *n = ASN1_INTEGER_new();
        ASN1_TYPE *t = ASN1_TYPE_new();

        ASN1_INTEGER_set(n, atol(cat + 1));
        ASN1_TYPE_set(t, V_ASN1_INTEGER, n);
        c->categories = sk_ASN1_TYPE_new_null();
        sk_ASN1_TYPE_push(c->categories, t);
    }
    o->policy = c->policy;
    o->classes = c->classes;
    assert_int_equal(tags ? asn1_encode(o, ASN1_ITEM_rptr(asn1_clearance_3281), der, &e)
                          : asn1_encode(c, ASN1_ITEM_rptr(asn1_clearance), der, &e),
                     0);
    o->policy = NULL;
    o->classes = NULL;
    asn1_free(c, ASN1_ITEM_rptr(asn1_clearance));
    asn1_free(o, ASN1_ITEM_rptr(asn1_clearance_3281));
}

static void set_clearance(X509 *x, const char *field, const char *value)
{
    bool rules = strcmp(field, "clc") == 0, tags = strcmp(field, "cl3281") == 0;
    char text[TEXT], *save = NULL;
    asn1_attributes *set = sk_X509_ATTRIBUTE_new_null();
    struct buf all = {0}, ext = {0};
    struct err e = {0};

    expand(value, text);
    for (char *w = strtok_r(text, ",", &save); w != NULL; w = strtok_r(NULL, ",", &save)) {
        struct buf one = {0};
        X509_ATTRIBUTE *a;

        clearance(w, tags, &one);
        buf_add_bytes(&all, buf_bytes(&one));
        a = X509_ATTRIBUTE_create_by_txt(
            NULL, strcmp(field, "cl") == 0 ? OID_CLEARANCE : OID_CLEARANCE_OLD, V_ASN1_SEQUENCE,
            one.p, (int)one.len);
        assert_true(a != NULL && sk_X509_ATTRIBUTE_push(set, a) > 0);
        buf_free(&one);
    }
    if (rules) {
        assert_true(all.len < 128);
        buf_u8(&ext, 0x30);
        buf_u8(&ext, (uint8_t)all.len);
        buf_add_bytes(&ext, buf_bytes(&all));
        add_der(x, OID_EXT_CLEARANCE_CONSTRAINTS, false, buf_bytes(&ext));
    } else {
        assert_int_equal(asn1_encode(set, ASN1_ITEM_rptr(asn1_attributes), &ext, &e), 0);
        add_der(x, "2.5.29.9", false, buf_bytes(&ext));
    }
    sk_X509_ATTRIBUTE_pop_free(set, X509_ATTRIBUTE_free);
    buf_free(&all);
    buf_free(&ext);
}

/* A constraint on directory names, which the configuration syntax has in sections only. */
static void set_dn_constraint(X509 *x, const X509_NAME *dn, bool excluded)
{
    NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
    GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();
    STACK_OF(GENERAL_SUBTREE) *list = sk_GENERAL_SUBTREE_new_null();

    GENERAL_NAME_set0_value(sub->base, GEN_DIRNAME, X509_NAME_dup(dn));
    assert_true(sk_GENERAL_SUBTREE_push(list, sub) > 0);
    *(excluded ? &nc->excludedSubtrees : &nc->permittedSubtrees) = list;
    assert_int_equal(X509_add1_ext_i2d(x, NID_name_constraints, nc, 1, X509V3_ADD_DEFAULT), 1);
    NAME_CONSTRAINTS_free(nc);
}

/* --- certificates ---------------------------------------------------------------- */

struct made {
    X509 *x;
    EVP_PKEY *by;
    const EVP_MD *md;
    bool noids, badsig, mismatch;
};

/* Key identifiers: without them OpenSSL takes what is self-issued for self-signed. */
static void add_ids(X509 *x, uint8_t own, uint8_t issuer)
{
    const uint8_t ski[] = {0x04, 0x01, own}, aki[] = {0x30, 0x03, 0x80, 0x01, issuer};

    add_der(x, "2.5.29.14", false, bytes_of(ski, sizeof(ski)));
    add_der(x, "2.5.29.35", false, bytes_of(aki, sizeof(aki)));
}

static void set_time(X509 *x, bool from, const char *value)
{
    ASN1_TIME *t = ASN1_STRING_type_new(*value == 'U' ? V_ASN1_UTCTIME : V_ASN1_GENERALIZEDTIME);

    assert_int_equal(ASN1_STRING_set(t, value + 1, -1), 1);
    assert_int_equal(from ? X509_set1_notBefore(x, t) : X509_set1_notAfter(x, t), 1);
    ASN1_STRING_free(t);
}

static void set_flag(struct made *m, const char *flag, const X509 *issuer)
{
    if (strcmp(flag, "ca") == 0) {
        unit_ca_set_ext(m->x, NID_basic_constraints, "critical,CA:TRUE");
        unit_ca_set_ext(m->x, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else if (strcmp(flag, "self") == 0) {
        X509_set_subject_name(m->x, X509_get_subject_name(issuer));
    } else if (strcmp(flag, "weak") == 0 || strcmp(flag, "explicit") == 0) {
        EVP_PKEY *k = odd_key(flag);

        assert_int_equal(X509_set_pubkey(m->x, k), 1);
        EVP_PKEY_free(k);
    } else if (strcmp(flag, "sha1") == 0) {
        m->md = EVP_sha1();
    } else if (strcmp(flag, "v1") == 0) {
        X509_set_version(m->x, 0);
    } else if (strcmp(flag, "noids") == 0) {
        m->noids = true;
    } else if (strcmp(flag, "badsig") == 0) {
        m->badsig = true;
    } else if (strcmp(flag, "mismatch") == 0) {
        m->mismatch = true;
    } else {
        fail_msg("no such field: %s", flag);
    }
}

static void set_field(struct made *m, char *word, const X509 *issuer)
{
    char *value = strchr(word, '=');
    X509_NAME *n;
    char text[64];

    if (value == NULL) {
        set_flag(m, word, issuer);
        return;
    }
    *value++ = 0;
    if (strcmp(word, "len") == 0) {
        snprintf(text, sizeof(text), "critical,CA:TRUE,pathlen:%s", value);
        unit_ca_set_ext(m->x, NID_basic_constraints, text);
        unit_ca_set_ext(m->x, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else if (strcmp(word, "subj") == 0 || strcmp(word, "issuer") == 0) {
        n = name_of(value);
        assert_int_equal(
            *word == 's' ? X509_set_subject_name(m->x, n) : X509_set_issuer_name(m->x, n), 1);
        X509_NAME_free(n);
    } else if (strcmp(word, "ncdn") == 0 || strcmp(word, "ncdnx") == 0) {
        n = name_of(value);
        set_dn_constraint(m->x, n, word[4] == 'x');
        X509_NAME_free(n);
    } else if (strcmp(word, "from") == 0 || strcmp(word, "to") == 0) {
        set_time(m->x, *word == 'f', value);
    } else if (strcmp(word, "der") == 0) {
        set_der(m->x, value);
    } else if (strstr(word, "cl") != NULL) {
        set_clearance(m->x, word, value);
    } else {
        set_extension(m->x, word, value);
    }
}

/* Signs, spoils what is to be spoilt, and reads anew. */
static X509 *finish(struct made *m)
{
    uint8_t *der = NULL;
    const uint8_t *p;
    X509 *out;
    int len;

    assert_true(X509_sign(m->x, m->by, m->md) > 0);
    len = i2d_X509(m->x, &der);
    assert_true(len > 64);
    if (m->badsig)
        der[len - 1] ^= 1;
    if (m->mismatch) {
        /* ecdsa-with-SHA256 outside becomes ecdsa-with-SHA384. */
        static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
        int last = -1;

        for (int i = 0; i + (int)sizeof(oid) <= len; i++)
            last = memcmp(der + i, oid, sizeof(oid)) == 0 ? i : last;
        assert_true(last >= 0);
        der[last + 7] = 3;
    }
    p = der;
    out = d2i_X509(NULL, &p, len);
    assert_non_null(out);
    OPENSSL_free(der);
    X509_free(m->x);
    return out;
}

X509 *unit_chain_cert(const char *spec, unsigned at, unsigned by, const X509 *issuer)
{
    struct made m = {.x = X509_new(), .by = unit_chain_key(by), .md = EVP_sha256()};
    char copy[TEXT], name[16], *save = NULL;
    X509_NAME *n;

    assert_non_null(m.x);
    X509_set_version(m.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m.x), 100 + (long)at);
    set_time(m.x, true, "U200101000000Z");
    set_time(m.x, false, "U400101000000Z");
    snprintf(name, sizeof(name), "/CN=%u", at);
    n = name_of(name);
    X509_set_subject_name(m.x, n);
    X509_set_issuer_name(m.x, issuer != NULL ? X509_get_subject_name(issuer) : n);
    X509_NAME_free(n);
    assert_int_equal(X509_set_pubkey(m.x, unit_chain_key(at)), 1);
    assert_true(strlen(spec) < sizeof(copy));
    snprintf(copy, sizeof(copy), "%s", spec);
    for (char *w = strtok_r(copy, "|", &save); w != NULL; w = strtok_r(NULL, "|", &save))
        set_field(&m, w, issuer);
    if (issuer == NULL)
        X509_set_issuer_name(m.x, X509_get_subject_name(m.x));
    if (X509_get_version(m.x) == 2 && !m.noids)
        add_ids(m.x, (uint8_t)at, (uint8_t)by);
    return finish(&m);
}

/* --- verdicts ---------------------------------------------------------------------- */

static bool same_set(const STACK_OF(ASN1_OBJECT) * is, const char *want)
{
    STACK_OF(ASN1_OBJECT) *w = unit_chain_policies(want);
    bool same = sk_ASN1_OBJECT_num(is) == sk_ASN1_OBJECT_num(w);

    for (int i = 0; same && i < sk_ASN1_OBJECT_num(w); i++) {
        bool in = false;

        for (int j = 0; j < sk_ASN1_OBJECT_num(is); j++)
            in = in || OBJ_cmp(sk_ASN1_OBJECT_value(is, j), sk_ASN1_OBJECT_value(w, i)) == 0;
        same = in;
    }
    sk_ASN1_OBJECT_pop_free(w, ASN1_OBJECT_free);
    return same;
}

static void check_held(const struct chain_verdict *v, const char *want)
{
    char text[TEXT], is[TEXT] = "", oid[128];
    size_t n = 0;

    for (size_t i = 0; i < v->n_clearance; i++) {
        OBJ_obj2txt(oid, sizeof(oid), v->clearance[i].policy, 1);
        n += (size_t)snprintf(is + n, sizeof(is) - n, "%s%s:%u", n != 0 ? "," : "", oid,
                              v->clearance[i].classes);
        for (int j = 0; j < sk_ASN1_TYPE_num(v->clearance[i].categories); j++)
            n += (size_t)snprintf(
                is + n, sizeof(is) - n, ":%ld",
                ASN1_INTEGER_get(sk_ASN1_TYPE_value(v->clearance[i].categories, j)->value.integer));
    }
    assert_string_equal(is, expand(want, text));
}

/* Whether OpenSSL accepts the same with the same inputs. */
static bool openssl_accepts(const struct unit_chain_case *c, X509 *const *cert, unsigned n)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    X509_VERIFY_PARAM *p;
    unsigned long flags = X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_PARTIAL_CHAIN;
    bool ok;

    assert_int_equal(X509_STORE_add_cert(store, cert[0]), 1);
    for (unsigned i = 1; i + 1 < n; i++)
        assert_true(sk_X509_push(between, cert[i]) > 0);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, cert[n - 1], between), 1);
    p = X509_STORE_CTX_get0_param(ctx);
    flags |= c->explicit_policy ? X509_V_FLAG_EXPLICIT_POLICY : 0;
    flags |= c->inhibit_mapping ? X509_V_FLAG_INHIBIT_MAP : 0;
    flags |= c->inhibit_any ? X509_V_FLAG_INHIBIT_ANY : 0;
    X509_VERIFY_PARAM_set_flags(p, flags);
    X509_VERIFY_PARAM_set_time(p, c->now != 0 ? c->now : UNIT_CHAIN_NOW);
    X509_VERIFY_PARAM_set_auth_level(p, 2);
    if (c->policies != NULL) {
        STACK_OF(ASN1_OBJECT) *set = unit_chain_policies(c->policies);

        X509_VERIFY_PARAM_set1_policies(p, set);
        sk_ASN1_OBJECT_pop_free(set, ASN1_OBJECT_free);
    } else {
        /* OpenSSL 3.0 wants anyPolicy said. */
        X509_VERIFY_PARAM_add0_policy(p, OBJ_txt2obj("2.5.29.32.0", 1));
    }
    if (c->dns != NULL)
        X509_VERIFY_PARAM_set1_host(p, c->dns, 0);
    if (c->email != NULL)
        X509_VERIFY_PARAM_set1_email(p, c->email, 0);
    if (c->ip.len != 0)
        X509_VERIFY_PARAM_set1_ip(p, c->ip.p, c->ip.len);
    if (c->usage != NULL)
        X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
    __lsan_disable();
    ok = X509_verify_cert(ctx) == 1;
    __lsan_enable();
    if (getenv("UNIT_CHAIN_TELL") != NULL)
        printf("#   OpenSSL: %s\n", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_free(between);
    ERR_clear_error();
    return ok;
}

static void judge(const struct unit_chain_case *c, X509 *const *cert, unsigned n,
                  struct chain_verdict *v)
{
    struct chain_anchor anchor = {.cert = cert[0]};
    struct chain_terms t = {
        .anchor = &anchor,
        .n_anchor = 1,
        .untrusted = sk_X509_new_null(),
        .now = c->now != 0 ? c->now : UNIT_CHAIN_NOW,
        .policies = c->policies != NULL ? unit_chain_policies(c->policies) : NULL,
        .explicit_policy = c->explicit_policy,
        .inhibit_mapping = c->inhibit_mapping,
        .inhibit_any = c->inhibit_any,
        .strict_names = c->strict,
        .dns = c->dns,
        .email = c->email,
        .ip = c->ip,
        .usage = c->usage,
        .table = c->table,
        .n_table = c->n_table,
    };
    char clearance[TEXT];
    struct err e = {0};

    if (c->clearance != NULL) {
        expand(c->clearance, clearance);
        t.classes = (uint32_t)strtoul(strchr(clearance, ':') + 1, NULL, 10);
        *strchr(clearance, ':') = 0;
        t.clearance = clearance;
    }
    /* Against the order of the path: building does not lean on it. */
    for (unsigned i = 1; i + 1 < n; i++)
        assert_true(sk_X509_push(t.untrusted, cert[i]) > 0);
    if (chain_check(cert[n - 1], &t, v, &e) != 0)
        fail_msg("%s", e.msg);
    sk_X509_free(t.untrusted);
    sk_ASN1_OBJECT_pop_free(t.policies, ASN1_OBJECT_free);
}

void unit_chain_run(const struct unit_chain_case *c)
{
    X509 *cert[UNIT_CHAIN_MAX];
    struct chain_verdict v = {0};
    unsigned n = 0;

    for (; n < UNIT_CHAIN_MAX && c->cert[n] != NULL; n++)
        cert[n] = unit_chain_cert(c->cert[n], n, n != 0 ? n - 1 : 0, n != 0 ? cert[n - 1] : NULL);
    judge(c, cert, n, &v);
    if (v.code != c->want)
        fail_msg("%s: %s where %s was expected: %s", c->name, chain_code_name(v.code),
                 chain_code_name(c->want), v.reason);
    assert_int_equal(v.accepted, c->want == CHAIN_OK);
    assert_true(v.accepted ? v.clause == NULL && v.reason[0] == 0 && sk_X509_num(v.path) == (int)n
                           : v.clause != NULL && v.reason[0] != 0 && v.path == NULL);
    if (c->authority != NULL && !same_set(v.authority, c->authority))
        fail_msg("%s: the authority-constrained-policy-set is not %s", c->name, c->authority);
    if (c->user != NULL && !same_set(v.user, c->user))
        fail_msg("%s: the user-constrained-policy-set is not %s", c->name, c->user);
    if (c->held != NULL)
        check_held(&v, c->held);
    if (c->differs == NULL || strcmp(c->differs, "-") != 0) {
        bool theirs = openssl_accepts(c, cert, n);

        if ((theirs == v.accepted) != (c->differs == NULL))
            fail_msg("%s: OpenSSL %s it (%s)", c->name, theirs ? "accepts" : "rejects",
                     c->differs != NULL ? c->differs : "a difference that is not on record");
    }
    for (unsigned i = 0; i < n; i++)
        X509_free(cert[i]);
    chain_free(&v);
}

void unit_chain_test(void **state)
{
    unit_chain_run(*state);
}
