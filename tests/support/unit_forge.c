#include "tests/support/unit_forge.h"

#include "core/ektemplate.h"
#include "core/hash.h"
#include "core/oid.h"
#include "core/tpmwire.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <tss2/tss2_mu.h>

#define YEAR (365 * 86400)
#define KEY_ATTRIBUTES                                                                  \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
     TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_SIGN_ENCRYPT)
#define PARENT_ATTRIBUTES                                                               \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | \
     TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)

EVP_PKEY *unit_forge_key(enum unit_key kind, unsigned n)
{
    static EVP_PKEY *pool[3][12];
    EVP_PKEY **slot = &pool[kind][n];

    assert_true(n < ARRAY_LEN(pool[0]));
    if (*slot == NULL) {
        if (kind == UNIT_RSA)
            *slot = EVP_RSA_gen(2048);
        else
            *slot = EVP_EC_gen(kind == UNIT_P256 ? "P-256" : "P-384");
    }
    assert_non_null(*slot);
    return *slot;
}

void unit_forge_pubkey(EVP_PKEY *key, struct pubkey *out)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    struct err e = {0};

    assert_true(len > 0);
    if (pubkey_from_spki(out, bytes_of(der, (size_t)len), &e) != 0)
        fail_msg("%s", e.msg);
    OPENSSL_free(der);
}

void unit_forge_public(EVP_PKEY *key, uint32_t attributes, TPMT_PUBLIC *out)
{
    struct pubkey k;

    unit_forge_pubkey(key, &k);
    memset(out, 0, sizeof(*out));
    out->type = k.type;
    out->nameAlg = TPM2_ALG_SHA256;
    out->objectAttributes = attributes;
    if (k.type == TPM2_ALG_RSA) {
        out->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
        out->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
        out->parameters.rsaDetail.keyBits = 2048;
        out->unique.rsa.size = k.n_len;
        memcpy(out->unique.rsa.buffer, k.n, k.n_len);
        return;
    }
    out->parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    out->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    out->parameters.eccDetail.kdf.scheme = TPM2_ALG_NULL;
    out->parameters.eccDetail.curveID = k.curve->tpm;
    out->unique.ecc.x.size = out->unique.ecc.y.size = (UINT16)k.curve->size;
    memcpy(out->unique.ecc.x.buffer, k.point.x, k.curve->size);
    memcpy(out->unique.ecc.y.buffer, k.point.y, k.curve->size);
}

void unit_forge_scheme(TPMT_PUBLIC *p, uint16_t rsa_scheme)
{
    if (p->type == TPM2_ALG_RSA) {
        p->parameters.rsaDetail.scheme.scheme = rsa_scheme;
        p->parameters.rsaDetail.scheme.details.anySig.hashAlg = TPM2_ALG_SHA256;
    } else {
        p->parameters.eccDetail.scheme.scheme = TPM2_ALG_ECDSA;
        p->parameters.eccDetail.scheme.details.anySig.hashAlg = TPM2_ALG_SHA256;
    }
}

void unit_forge_parent(struct unit_forge *f)
{
    TPMT_SYM_DEF_OBJECT aes = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

    unit_forge_public(f->parent, PARENT_ATTRIBUTES, &f->parent_pub);
    f->parent_pub.parameters.eccDetail.symmetric = aes;
}

void unit_forge_init(struct unit_forge *f, enum unit_key ek, enum unit_key ak,
                     enum unit_key subject)
{
    memset(f, 0, sizeof(*f));
    f->ek = unit_forge_key(ek, 0);
    f->ak = unit_forge_key(ak, 1);
    f->subject = unit_forge_key(subject, 2);
    f->other = unit_forge_key(subject, 3);
    f->parent = unit_forge_key(UNIT_P256, 4);
    f->ek_root_key = unit_forge_key(UNIT_P256, 5);
    f->ek_ca_key = unit_forge_key(UNIT_P256, 6);
    f->ca_key = unit_forge_key(UNIT_P256, 7);
    f->attest_signer = f->ak;
    f->csr_signer = f->csr_key = f->subject;
    f->csr_md = EVP_sha256();
    f->sig_hash = TPM2_ALG_SHA256;
    f->ek_template = ek == UNIT_RSA ? 0x01C00002 : ek == UNIT_P256 ? 0x01C0000A : 0x01C00016;
    f->parent_hierarchy = TPM2_RH_OWNER;
    f->now = UNIT_FORGE_NOW;
    f->ek_not_after = f->now + YEAR;
    f->cn = f->san = UNIT_FORGE_SUBJECT;
    memset(f->nonce, 0x5a, sizeof(f->nonce));
    unit_forge_public(f->ak,
                      TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                          TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                          TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
                      &f->ak_pub);
    unit_forge_scheme(&f->ak_pub, TPM2_ALG_RSASSA);
    unit_forge_public(f->subject, KEY_ATTRIBUTES, &f->key_pub);
    unit_forge_parent(f);
    unit_forge_defaults(f);
}

/* --- certificates ---------------------------------------------------------- */

void unit_forge_ext(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(x);
    assert_int_equal(X509_add_ext(cert, x, -1), 1);
    X509_EXTENSION_free(x);
}

static void set_cn(X509_NAME *n, const char *cn)
{
    assert_int_equal(X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8,
                                                (const unsigned char *)cn, -1, -1, 0),
                     1);
}

/* Without signature and extensions. `issuer` NULL: self-signed. */
static X509 *bare_cert(struct unit_forge *f, const char *cn, EVP_PKEY *key, X509 *issuer,
                       int64_t not_after)
{
    X509 *x = X509_new();

    assert_non_null(x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++f->serial);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(f->now - YEAR));
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)not_after);
    set_cn(X509_get_subject_name(x), cn);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != NULL ? issuer : x));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    return x;
}

static X509 *make_ca(struct unit_forge *f, const char *cn, EVP_PKEY *key, X509 *issuer,
                     EVP_PKEY *issuer_key)
{
    X509 *x = bare_cert(f, cn, key, issuer, f->now + YEAR);

    unit_forge_ext(x, NID_basic_constraints, "critical,CA:TRUE");
    unit_forge_ext(x, NID_key_usage, "critical,keyCertSign,cRLSign");
    assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

/* SAN with a directoryName of manufacturer, model, version. */
static void add_tpm_names(X509 *x)
{
    static const char *const part[][2] = {{OID_TCG_MANUFACTURER, "id:00001014"},
                                          {OID_TCG_MODEL, "forge"},
                                          {OID_TCG_VERSION, "id:20191023"}};
    GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *g = GENERAL_NAME_new();
    X509_NAME *n = X509_NAME_new();

    for (size_t i = 0; i < ARRAY_LEN(part); i++)
        assert_int_equal(X509_NAME_add_entry_by_txt(n, part[i][0], MBSTRING_UTF8,
                                                    (const unsigned char *)part[i][1], -1, -1, 0),
                         1);
    GENERAL_NAME_set0_value(g, GEN_DIRNAME, n);
    sk_GENERAL_NAME_push(san, g);
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, san, 1, 0), 1);
    GENERAL_NAMES_free(san);
}

static X509 *make_ek_cert(struct unit_forge *f)
{
    X509 *x = bare_cert(f, "forged tpm", f->ek, f->ek_ca, f->ek_not_after);

    unit_forge_ext(x, NID_basic_constraints, "critical,CA:FALSE");
    unit_forge_ext(x, NID_ext_key_usage, OID_TCG_KP_EK);
    unit_forge_ext(x, NID_key_usage,
                   EVP_PKEY_get_base_id(f->ek) == EVP_PKEY_RSA ? "critical,keyEncipherment"
                                                               : "critical,keyAgreement");
    add_tpm_names(x);
    if (f->on_ek_cert != NULL)
        f->on_ek_cert(f, x);
    assert_true(X509_sign(x, f->ek_ca_key, EVP_sha256()) > 0);
    return x;
}

static X509 *make_ak_cert(struct unit_forge *f)
{
    X509 *x = bare_cert(f, "forged ak", f->ak, f->ca, f->now + YEAR);

    unit_forge_ext(x, NID_basic_constraints, "critical,CA:FALSE");
    unit_forge_ext(x, NID_ext_key_usage, OID_TCG_KP_AK);
    unit_forge_ext(x, NID_key_usage, "critical,digitalSignature");
    if (f->on_ak_cert != NULL)
        f->on_ak_cert(f, x);
    assert_true(X509_sign(x, f->ca_key, EVP_sha256()) > 0);
    return x;
}

X509_CRL *unit_forge_crl(struct unit_forge *f, X509 *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *t = ASN1_TIME_set(NULL, UNIT_FORGE_NOW - 3600);

    assert_non_null(crl);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(f->ca));
    X509_CRL_set1_lastUpdate(crl, t);
    if (revoked != NULL) {
        X509_REVOKED *r = X509_REVOKED_new();

        X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked));
        X509_REVOKED_set_revocationDate(r, t);
        X509_CRL_add0_revoked(crl, r);
    }
    ASN1_TIME_set(t, UNIT_FORGE_NOW + 3600);
    X509_CRL_set1_nextUpdate(crl, t);
    X509_CRL_sort(crl);
    assert_true(X509_CRL_sign(crl, f->ca_key, EVP_sha256()) > 0);
    ASN1_TIME_free(t);
    return crl;
}

/* --- the TPM's part --------------------------------------------------------- */

static void ok(int rc, const struct err *e)
{
    if (rc != 0)
        fail_msg("%s", e->msg);
}

static void wire_of(const TPMT_PUBLIC *pub, struct buf *out, TPM2B_NAME *name)
{
    struct err e = {0};

    ok(tpmname_marshal_public(pub, out, &e), &e);
    ok(tpmname_object(buf_bytes(out), name, &e), &e);
}

static void qualified(uint32_t hierarchy, const TPM2B_NAME *parent, const TPM2B_NAME *child,
                      TPM2B_NAME *out)
{
    TPM2B_NAME root, mid;

    tpmname_handle(hierarchy, &root);
    ok(tpmname_qualified(&root, parent, &mid, NULL), &(struct err){0});
    ok(tpmname_qualified(&mid, child, out, NULL), &(struct err){0});
}

void unit_forge_sign(struct unit_forge *f, struct bytes wire, TPMT_SIGNATURE *s)
{
    const struct alg_hash *h = alg_hash_of(f->sig_hash);
    bool rsa = EVP_PKEY_get_base_id(f->attest_signer) == EVP_PKEY_RSA;
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pc = NULL;
    uint8_t sig[1024];
    size_t len = sizeof(sig);

    memset(s, 0, sizeof(*s));
    assert_int_equal(EVP_DigestSignInit_ex(m, &pc, h->name, NULL, NULL, f->attest_signer, NULL), 1);
    if (rsa && f->sig_pss) {
        EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, RSA_PSS_SALTLEN_DIGEST);
    }
    assert_int_equal(EVP_DigestSign(m, sig, &len, wire.p, wire.len), 1);
    EVP_MD_CTX_free(m);
    s->signature.any.hashAlg = f->sig_hash;
    if (rsa) {
        s->sigAlg = f->sig_pss ? TPM2_ALG_RSAPSS : TPM2_ALG_RSASSA;
        s->signature.rsassa.sig.size = (UINT16)len;
        memcpy(s->signature.rsassa.sig.buffer, sig, len);
    } else {
        struct pubkey k;
        struct buf raw = {0};
        struct err e = {0};
        size_t n;

        unit_forge_pubkey(f->attest_signer, &k);
        n = k.curve->size;
        ok(pubkey_sig_from_der(&k, bytes_of(sig, len), &raw, &e), &e);
        s->sigAlg = TPM2_ALG_ECDSA;
        s->signature.ecdsa.signatureR.size = s->signature.ecdsa.signatureS.size = (UINT16)n;
        memcpy(s->signature.ecdsa.signatureR.buffer, raw.p, n);
        memcpy(s->signature.ecdsa.signatureS.buffer, raw.p + n, n);
        buf_free(&raw);
    }
}

static X509_REQ *make_csr(struct unit_forge *f)
{
    X509_REQ *csr = X509_REQ_new();

    X509_REQ_set_version(csr, 0);
    if (f->cn != NULL)
        set_cn(X509_REQ_get_subject_name(csr), f->cn);
    assert_int_equal(X509_REQ_set_pubkey(csr, f->csr_key), 1);
    if (f->san != NULL) {
        STACK_OF(X509_EXTENSION) *x = sk_X509_EXTENSION_new_null();
        char text[200];

        snprintf(text, sizeof(text), "%s%s", strchr(f->san, ':') != NULL ? "" : "DNS:", f->san);
        sk_X509_EXTENSION_push(x, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text));
        assert_int_equal(X509_REQ_add_extensions(csr, x), 1);
        sk_X509_EXTENSION_pop_free(x, X509_EXTENSION_free);
    }
    if (f->on_bare_csr != NULL)
        f->on_bare_csr(f, csr);
    return csr;
}

void unit_forge_attest(struct unit_forge *f, X509_REQ *csr, uint16_t type, TPMS_ATTEST *a)
{
    struct err e = {0};

    memset(a, 0, sizeof(*a));
    a->magic = TPM2_GENERATED_VALUE;
    a->type = type;
    a->clockInfo = f->clock;
    a->firmwareVersion = f->firmware;
    qualified(TPM2_RH_ENDORSEMENT, &f->ek_name, &f->ak_name, &a->qualifiedSigner);
    ok(evidence_qualifying(bytes_of(f->nonce, sizeof(f->nonce)), csr, a->extraData.buffer, &e), &e);
    a->extraData.size = 32;
}

static void make_attest(struct unit_forge *f, X509_REQ *csr, const TPM2B_NAME *key,
                        const TPM2B_NAME *parent, struct buf *out)
{
    uint8_t wire[sizeof(TPMS_ATTEST)];
    TPMS_ATTEST a;
    size_t n = 0;

    unit_forge_attest(f, csr, TPM2_ST_ATTEST_CERTIFY, &a);
    a.attested.certify.name = *key;
    qualified(f->parent_hierarchy, parent, key, &a.attested.certify.qualifiedName);
    if (f->on_attest != NULL)
        f->on_attest(f, &a);
    assert_int_equal(Tss2_MU_TPMS_ATTEST_Marshal(&a, wire, sizeof(wire), &n), 0);
    buf_add(out, wire, n);
    if (f->on_attest_wire != NULL)
        f->on_attest_wire(f, out);
}

static X509_REQ *make_evidence(struct unit_forge *f)
{
    X509_REQ *csr = make_csr(f);
    struct evidence_bundle b = {0};
    TPM2B_NAME key, parent;
    struct err e = {0};
    TPMT_SIGNATURE sig;

    wire_of(&f->key_pub, &b.certify.about, &key);
    wire_of(&f->parent_pub, &b.parent, &parent);
    make_attest(f, csr, &key, &parent, &b.certify.attest);
    unit_forge_sign(f, buf_bytes(&b.certify.attest), &sig);
    if (f->on_signature != NULL)
        f->on_signature(f, &sig);
    ok(tpmwire_marshal_signature(&sig, &b.certify.signature, &e), &e);
    unit_forge_statements(f, csr, &b);
    if (f->on_bundle != NULL)
        f->on_bundle(f, &b);
    ok(evidence_bundle_attach(csr, &b, &e), &e);
    if (f->on_csr != NULL)
        f->on_csr(f, csr);
    assert_true(X509_REQ_sign(csr, f->csr_signer, f->csr_md) > 0);
    evidence_bundle_free(&b);
    return csr;
}

/* Everything goes out and comes in as DER once, as it would in life. */
static void through_the_wire(struct unit_forge *f, struct evidence_request *r, X509 *ak_cert)
{
    struct evidence_record record;
    struct buf der = {0};
    struct err e = {0};

    ok(evidence_request_encode(r, &der, &e), &e);
    ok(evidence_request_decode(buf_bytes(&der), &f->request, &e), &e);
    buf_free(&der);
    ok(evidence_record_make(&f->request, bytes_of(f->nonce, sizeof(f->nonce)), ak_cert,
                            UNIT_FORGE_NOW, &record, &e),
       &e);
    ok(evidence_record_encode(&record, &der, &e), &e);
    ok(evidence_record_decode(buf_bytes(&der), &f->record, &e), &e);
    buf_free(&der);
    evidence_record_free(&record);
}

static void make_leaf(struct unit_forge *f)
{
    uint8_t hash[32];
    struct err e = {0};

    ok(evidence_record_hash(&f->record, hash, &e), &e);
    f->leaf = bare_cert(f, UNIT_FORGE_SUBJECT, f->csr_key, f->ca, f->now + YEAR);
    ok(evidence_hash_put(f->leaf, hash, &e), &e);
    assert_true(X509_sign(f->leaf, f->ca_key, EVP_sha256()) > 0);
}

void unit_forge_free(struct unit_forge *f)
{
    X509_free(f->ek_root);
    X509_free(f->ek_ca);
    X509_free(f->ca);
    X509_free(f->leaf);
    sk_X509_free(f->roots);
    f->ek_root = f->ek_ca = f->ca = f->leaf = NULL;
    f->roots = NULL;
    evidence_request_free(&f->request);
    evidence_record_free(&f->record);
    f->request = (struct evidence_request){.ek_template = 0};
    f->record = (struct evidence_record){.ek_template = 0};
}

/* Those of the approver where there is one: one world judges both. */
static void make_authorities(struct unit_forge *f)
{
    if (f->approver != NULL) {
        f->ek_root = X509_dup(f->approver->ek_root);
        f->ek_ca = X509_dup(f->approver->ek_ca);
        f->ca = X509_dup(f->approver->ca);
        return;
    }
    f->ek_root = make_ca(f, "forged EK root", f->ek_root_key, NULL, f->ek_root_key);
    f->ek_ca = make_ca(f, "forged EK CA", f->ek_ca_key, f->ek_root, f->ek_root_key);
    f->ca = make_ca(f, "test CA", f->ca_key, NULL, f->ca_key);
}

void unit_forge_build(struct unit_forge *f)
{
    struct evidence_request r = {.ek_template = f->ek_template};
    struct buf wire = {0};
    struct err e = {0};
    X509 *ak_cert;

    /* What an earlier build made. */
    unit_forge_free(f);
    make_authorities(f);
    r.ek_cert = f->genuine_ek != NULL ? X509_dup(f->genuine_ek) : make_ek_cert(f);
    assert_non_null(r.ek_cert);
    r.ek_chain = sk_X509_new_null();
    assert_int_equal(X509_up_ref(f->ek_ca), 1);
    sk_X509_push(r.ek_chain, f->ek_ca);
    if (ektemplate_from_cert(f->ek_template, r.ek_cert, &f->ek_pub, &e) == 0)
        wire_of(&f->ek_pub, &wire, &f->ek_name);
    else
        f->ek_name = (TPM2B_NAME){.size = 34, .name = {0, TPM2_ALG_SHA256}};
    buf_free(&wire);
    wire_of(&f->ak_pub, &r.ak_public, &f->ak_name);
    r.csr = make_evidence(f);
    ak_cert = make_ak_cert(f);
    through_the_wire(f, &r, ak_cert);
    make_leaf(f);
    f->roots = sk_X509_new_null();
    sk_X509_push(f->roots, f->ca);
    f->pin = (struct evidence_pin){.issuer = f->ek_root};
    f->terms = (struct evidence_terms){
        .pin = &f->pin,
        .n_pin = 1,
        .now = UNIT_FORGE_NOW,
        .nonce = bytes_of(f->nonce, sizeof(f->nonce)),
        .nonce_state = EVIDENCE_NONCE_FRESH,
        .subject = UNIT_FORGE_SUBJECT,
        .profile = evidence_profile_signing(false),
        .ak_sealed = true,
        .ak_roots = f->roots,
    };
    X509_free(ak_cert);
    evidence_request_free(&r);
}
