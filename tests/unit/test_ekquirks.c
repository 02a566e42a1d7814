/* Goal: EK certificates as firmware makers really write them are read, or refused by the check that
 * judges them, in words: names in one RDN or in three, strings of all types, odd serial numbers,
 * extensions that others forgot or added, padding behind the DER. */
#include "tests/support/unit_verdict.h"

#include "core/ekname.h"
#include "core/oid.h"
#include "tpm/attest_priv.h"

#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- subject alternative names ---------------------------------------------------------------- */

struct part {
    const char *oid;
    const char *text;
    int len; /* -1: to the NUL */
    int type;
    int rdn;  /* as X509_NAME_add_entry: 0 a new RDN, -1 into the one before */
    int name; /* number of the directoryName that it stands in */
};

static void remove_ext(X509 *x, int nid)
{
    int at = X509_get_ext_by_NID(x, nid, -1);

    assert_true(at >= 0);
    X509_EXTENSION_free(X509_delete_ext(x, at));
}

/* Replaces the SAN by directoryNames of these parts. */
static void set_san(X509 *x, const struct part *p, size_t n, int critical)
{
    GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
    X509_NAME *name[2] = {X509_NAME_new(), X509_NAME_new()};

    remove_ext(x, NID_subject_alt_name);
    for (size_t i = 0; i < n; i++) {
        ASN1_OBJECT *oid = OBJ_txt2obj(p[i].oid, 1);

        assert_int_equal(X509_NAME_add_entry_by_OBJ(name[p[i].name], oid, p[i].type,
                                                    (const unsigned char *)p[i].text, p[i].len, -1,
                                                    p[i].rdn),
                         1);
        ASN1_OBJECT_free(oid);
    }
    for (int i = 0; i < 2; i++) {
        GENERAL_NAME *g = GENERAL_NAME_new();

        if (X509_NAME_entry_count(name[i]) == 0) {
            X509_NAME_free(name[i]);
            GENERAL_NAME_free(g);
            continue;
        }
        GENERAL_NAME_set0_value(g, GEN_DIRNAME, name[i]);
        sk_GENERAL_NAME_push(san, g);
    }
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, san, critical, 0), 1);
    GENERAL_NAMES_free(san);
}

#define M OID_TCG_MANUFACTURER
#define O OID_TCG_MODEL
#define V OID_TCG_VERSION

/* Three makers, as their certificates are known in public: all three in one RDN; each in its
 * own; in old string types. */
static const struct part one_rdn[] = {
    {M, "id:49465800", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "SLB 9670 TPM2.0", -1, V_ASN1_UTF8STRING, -1, 0},
    {V, "id:0710", -1, V_ASN1_UTF8STRING, -1, 0},
};
static const struct part three_rdns[] = {
    {M, "id:53544D20", -1, V_ASN1_PRINTABLESTRING, 0, 0},
    {O, "ST33HTPHAHB4", -1, V_ASN1_PRINTABLESTRING, 0, 0},
    {V, "id:00010101", -1, V_ASN1_PRINTABLESTRING, 0, 0},
};
static const struct part old_strings[] = {
    {V, "id:13", -1, V_ASN1_T61STRING, 0, 0},
    {O, "NPCT75x", -1, V_ASN1_T61STRING, 0, 0},
    {M, "id:4E544300", -1, V_ASN1_IA5STRING, 0, 0},
};
static const struct part wide_string[] = {
    {M, "id:414D4400", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "\0A\0M\0D", 6, V_ASN1_BMPSTRING, 0, 0},
    {V, "id:00030001", -1, V_ASN1_UTF8STRING, 0, 0},
};
static const struct part two_names[] = {
    {M, "id:494E5443", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "Intel", -1, V_ASN1_UTF8STRING, 0, 1},
    {V, "id:00020000", -1, V_ASN1_UTF8STRING, 0, 1},
};
static const struct part and_more[] = {
    {"2.5.4.3", "TPM EK", -1, V_ASN1_UTF8STRING, 0, 0},
    {M, "id:49465800", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "SLB9672", -1, V_ASN1_UTF8STRING, 0, 0},
    {V, "id:100B", -1, V_ASN1_UTF8STRING, 0, 0},
    {"2.5.4.5", "4711", -1, V_ASN1_PRINTABLESTRING, 0, 0},
};
static const struct part hostile[] = {
    {M, "id:49465800", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "a\033[2J\0b\xc3\xa4", 9, V_ASN1_UTF8STRING, 0, 0},
    {V, "id:1", -1, V_ASN1_UTF8STRING, 0, 0},
};
static const struct part no_model[] = {
    {M, "id:49465800", -1, V_ASN1_UTF8STRING, 0, 0},
    {V, "id:1", -1, V_ASN1_UTF8STRING, 0, 0},
};
static const struct part twice[] = {
    {M, "id:49465800", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "one", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "two", -1, V_ASN1_UTF8STRING, 0, 0},
    {V, "id:1", -1, V_ASN1_UTF8STRING, 0, 0},
};
static const struct part too_long[] = {
    {M, "id:49465800", -1, V_ASN1_UTF8STRING, 0, 0},
    {O, "0123456789012345678901234567890123456789012345678901234567890123", -1, V_ASN1_UTF8STRING,
     0, 0},
    {V, "id:1", -1, V_ASN1_UTF8STRING, 0, 0},
};
static const struct {
    const char *what;
    const struct part *part;
    size_t n;
    int critical;
    const char *manufacturer, *model, *version; /* NULL: refused */
} names[] = {
    {"one RDN of three values", one_rdn, ARRAY_LEN(one_rdn), 1, "id:49465800", "SLB 9670 TPM2.0",
     "id:0710"},
    {"three RDNs, PrintableString, not critical", three_rdns, ARRAY_LEN(three_rdns), 0,
     "id:53544D20", "ST33HTPHAHB4", "id:00010101"},
    {"T61String, IA5String, the other way round", old_strings, ARRAY_LEN(old_strings), 1,
     "id:4E544300", "NPCT75x", "id:13"},
    {"BMPString", wide_string, ARRAY_LEN(wide_string), 0, "id:414D4400", "AMD", "id:00030001"},
    {"two directoryNames", two_names, ARRAY_LEN(two_names), 1, "id:494E5443", "Intel",
     "id:00020000"},
    {"other attributes beside", and_more, ARRAY_LEN(and_more), 1, "id:49465800", "SLB9672",
     "id:100B"},
    {"what a terminal would obey", hostile, ARRAY_LEN(hostile), 1, "id:49465800", "a?[2J?b??",
     "id:1"},
    {"no model", no_model, ARRAY_LEN(no_model), 1, NULL, NULL, NULL},
    {"two models", twice, ARRAY_LEN(twice), 1, NULL, NULL, NULL},
    {"a model of 64 bytes", too_long, ARRAY_LEN(too_long), 1, NULL, NULL, NULL},
};
static size_t row;

static void this_name(struct unit_forge *f, X509 *x)
{
    (void)f;
    set_san(x, names[row].part, names[row].n, names[row].critical);
}

static void names_of_tpms(void **state)
{
    (void)state;
    for (row = 0; row < ARRAY_LEN(names); row++) {
        struct unit_forge f;
        struct ekname n;
        struct err e = {0};

        print_message("  %s\n", names[row].what);
        unit_verdict_start(&f);
        f.on_ek_cert = this_name;
        unit_forge_build(&f);
        if (names[row].manufacturer != NULL) {
            if (ekname_read(f.request.ek_cert, &n, &e) != 0)
                fail_msg("%s", e.msg);
            assert_string_equal(n.manufacturer, names[row].manufacturer);
            assert_string_equal(n.model, names[row].model);
            assert_string_equal(n.version, names[row].version);
        } else {
            assert_int_equal(ekname_read(f.request.ek_cert, &n, &e), -1);
            assert_int_equal(e.code, E_FORMAT);
        }
        unit_verdict_only_built(&f, names[row].manufacturer != NULL ? 0 : 18, true);
    }
}

/* --- everything else in the certificate ---------------------------------------------------------- */

static void no_san(struct unit_forge *f, X509 *x)
{
    (void)f;
    remove_ext(x, NID_subject_alt_name);
}
static void broken_san(struct unit_forge *f, X509 *x)
{
    ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext;

    (void)f;
    remove_ext(x, NID_subject_alt_name);
    ASN1_STRING_set(raw, "\x30\x03\xa4\x05\x30", 5);
    ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, raw);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(raw);
}
static void no_eku(struct unit_forge *f, X509 *x)
{
    (void)f;
    remove_ext(x, NID_ext_key_usage);
}
static void other_eku(struct unit_forge *f, X509 *x)
{
    no_eku(f, x);
    unit_forge_ext(x, NID_ext_key_usage, "serverAuth");
}
static void more_ekus(struct unit_forge *f, X509 *x)
{
    no_eku(f, x);
    unit_forge_ext(x, NID_ext_key_usage, "critical,1.3.6.1.4.1.311.21.36," OID_TCG_KP_EK);
}
static void any_eku(struct unit_forge *f, X509 *x)
{
    no_eku(f, x);
    unit_forge_ext(x, NID_ext_key_usage, "anyExtendedKeyUsage");
}

static void unknown_ext(X509 *x, int critical)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.4128.2100.1", 1);
    ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext;

    ASN1_STRING_set(raw, "\x05\x00", 2);
    ext = X509_EXTENSION_create_by_OBJ(NULL, oid, critical, raw);
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(raw);
    ASN1_OBJECT_free(oid);
}
static void unknown_critical(struct unit_forge *f, X509 *x)
{
    (void)f;
    unknown_ext(x, 1);
}
static void unknown_plain(struct unit_forge *f, X509 *x)
{
    (void)f;
    unknown_ext(x, 0);
}

static void serial(X509 *x, const char *hex)
{
    BIGNUM *n = NULL;

    assert_true(BN_hex2bn(&n, hex) > 0);
    assert_non_null(BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)));
    BN_free(n);
}
static void negative(struct unit_forge *f, X509 *x)
{
    (void)f;
    serial(x, "-7F3A");
}
static void zero(struct unit_forge *f, X509 *x)
{
    (void)f;
    serial(x, "0");
}
static void long_serial(struct unit_forge *f, X509 *x)
{
    (void)f;
    serial(x, "F00102030405060708090A0B0C0D0E0F1011121314");
}

static void no_subject(struct unit_forge *f, X509 *x)
{
    X509_NAME *empty = X509_NAME_new();

    (void)f;
    assert_int_equal(X509_set_subject_name(x, empty), 1);
    X509_NAME_free(empty);
}
static void no_constraints(struct unit_forge *f, X509 *x)
{
    (void)f;
    remove_ext(x, NID_basic_constraints);
}
static void no_usage(struct unit_forge *f, X509 *x)
{
    (void)f;
    remove_ext(x, NID_key_usage);
}
static void signs_only(struct unit_forge *f, X509 *x)
{
    no_usage(f, x);
    unit_forge_ext(x, NID_key_usage, "digitalSignature");
}
static void signs_certificates(struct unit_forge *f, X509 *x)
{
    no_usage(f, x);
    unit_forge_ext(x, NID_key_usage, "keyEncipherment,keyCertSign");
}
static void forever(struct unit_forge *f, X509 *x)
{
    (void)f;
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(x), "99991231235959Z"), 1);
}
static void version_1(struct unit_forge *f, X509 *x)
{
    (void)f;
    while (X509_get_ext_count(x) > 0)
        X509_EXTENSION_free(X509_delete_ext(x, 0));
    assert_int_equal(X509_set_version(x, X509_VERSION_1), 1);
}
static void other_issuer_key(struct unit_forge *f, X509 *x)
{
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();

    (void)f;
    id->serial = ASN1_INTEGER_new();
    ASN1_INTEGER_set(id->serial, 424242);
    assert_int_equal(X509_add1_ext_i2d(x, NID_authority_key_identifier, id, 0, 0), 1);
    AUTHORITY_KEYID_free(id);
}

/* TPM 1.2 makers named the key's only use in its algorithm: id-RSAES-OAEP (RFC 4055, 4.1). */
static void oaep_key(struct unit_forge *f, X509 *x)
{
    uint8_t *der = NULL;
    int len = i2d_PublicKey(f->ek, &der);

    assert_true(len > 0);
    assert_int_equal(X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x), OBJ_nid2obj(NID_rsaesOaep),
                                            V_ASN1_NULL, NULL, der, len),
                     1);
}
static void other_exponent(struct unit_forge *f, X509 *x)
{
    static EVP_PKEY *key;
    BIGNUM *three = BN_new();
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);

    (void)f;
    BN_set_word(three, 3);
    assert_int_equal(EVP_PKEY_keygen_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(c, 2048), 1);
    assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(c, three), 1);
    assert_int_equal(EVP_PKEY_keygen(c, &key), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    EVP_PKEY_free(key);
    key = NULL;
    EVP_PKEY_CTX_free(c);
    BN_free(three);
}

static const struct {
    const char *what;
    void (*change)(struct unit_forge *f, X509 *x);
    bool lenient;        /* the pin says that this maker leaves the EKU out */
    const char *refused; /* what check 18 says; NULL: accepted */
} oddities[] = {
    {"no subjectAltName", no_san, false, "does not name the TPM"},
    {"a subjectAltName that does not parse", broken_san, false, "extension"},
    {"no EKU", no_eku, false, OID_TCG_KP_EK},
    {"no EKU, and its maker is known for that", no_eku, true, NULL},
    {"another EKU", other_eku, false, OID_TCG_KP_EK},
    {"another EKU, which is not the same as none", other_eku, true, OID_TCG_KP_EK},
    {"any EKU, which is not this one", any_eku, false, OID_TCG_KP_EK},
    {"two EKUs, critical", more_ekus, false, NULL},
    {"an unknown extension", unknown_plain, false, NULL},
    {"an unknown critical extension", unknown_critical, false, "critical extension"},
    {"a negative serial number", negative, false, NULL},
    {"serial number zero", zero, false, NULL},
    {"a serial number of 21 bytes, 22 in DER", long_serial, false, NULL},
    {"an empty subject", no_subject, false, NULL},
    {"no basic constraints", no_constraints, false, NULL},
    {"no key usage", no_usage, false, "keyEncipherment"},
    {"key usage digitalSignature", signs_only, false, "keyEncipherment"},
    {"key usage keyCertSign beside, and no CA all the same", signs_certificates, false, NULL},
    {"the end of all time", forever, false, NULL},
    {"version 1", version_1, false, OID_TCG_KP_EK},
    {"an authority key identifier of another issuer", other_issuer_key, false, "issuer"},
    {"a key named id-RSAES-OAEP", oaep_key, false, "key"},
    {"an exponent that is not the template's", other_exponent, false, "template"},
};

static void oddities_of_makers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(oddities); i++) {
        struct evidence_verdict v;
        struct unit_forge f;

        print_message("  %s\n", oddities[i].what);
        unit_verdict_start(&f);
        f.on_ek_cert = oddities[i].change;
        unit_forge_build(&f);
        f.pin.eku_optional = oddities[i].lenient;
        for (int record = 0; record < 2; record++) {
            unit_verdict_judge(&f, record == 1, &v);
            unit_verdict_expect(&v, oddities[i].refused != NULL ? 18 : 0);
            if (oddities[i].refused != NULL &&
                strstr(v.result[17].reason, oddities[i].refused) == NULL)
                fail_msg("\"%s\" does not say \"%s\"", v.result[17].reason, oddities[i].refused);
        }
        unit_forge_free(&f);
    }
}

/* --- what lies in NV ------------------------------------------------------------------------------- */

static void a_certificate(struct buf *out)
{
    struct unit_forge f;
    uint8_t *der = NULL;
    int len;

    unit_verdict_start(&f);
    unit_forge_build(&f);
    len = i2d_X509(f.request.ek_cert, &der);
    assert_true(len > 0);
    buf_add(out, der, (size_t)len);
    OPENSSL_free(der);
    unit_forge_free(&f);
}

static void padding_is_cut_off(void **state)
{
    static const struct {
        uint8_t byte;
        size_t n;
    } padding[] = {{0, 0}, {0, 1}, {0, 700}, {0xff, 64}, {0x30, 3}, {0xa5, 2048}};
    struct buf der = {0};

    (void)state;
    a_certificate(&der);
    for (size_t i = 0; i < ARRAY_LEN(padding); i++) {
        struct buf nv = {0};
        struct err e = {0};

        buf_add_bytes(&nv, buf_bytes(&der));
        for (size_t k = 0; k < padding[i].n; k++)
            buf_u8(&nv, padding[i].byte);
        assert_int_equal(attest_ek_trim(&nv, &e), 0);
        assert_true(bytes_equal(buf_bytes(&nv), buf_bytes(&der)));
        buf_free(&nv);
    }
    buf_free(&der);
}

static void what_is_no_certificate(void **state)
{
    struct buf der = {0};

    (void)state;
    a_certificate(&der);
    for (int i = 0; i < 8; i++) {
        struct buf nv = {0};
        struct err e = {0};

        /* The header that TPM 1.2 put before it stays a stranger: TCG_PCCLIENT_STORED_CERT. */
        if (i == 0)
            buf_add(&nv, "\x10\x01\x00\x03\x20", 5);
        if (i < 2)
            buf_add_bytes(&nv, buf_bytes(&der));
        switch (i) {
        case 1: nv.len--; break;
        case 2: break; /* nothing */
        case 3: buf_u8(&nv, 0x30); break;
        case 4: buf_add(&nv, "\x30\x80\x00\x00", 4); break;
        case 5: buf_add(&nv, "\x30\x84\xff\xff\xff\xff", 6); break;
        case 6: /* erased NV */
        case 7:
            for (int k = 0; k < 1000; k++)
                buf_u8(&nv, i == 6 ? 0xff : 0);
            break;
        default: break;
        }
        assert_int_equal(attest_ek_trim(&nv, &e), -1);
        assert_int_equal(e.code, E_FORMAT);
        buf_free(&nv);
    }
    buf_free(&der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_tpms),
        cmocka_unit_test(oddities_of_makers),
        cmocka_unit_test(padding_is_cut_off),
        cmocka_unit_test(what_is_no_certificate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
