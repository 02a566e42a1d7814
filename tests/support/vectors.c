/*
 * Writes tests/vectors/evidence: evidence good and bad, for whoever builds a verifier of attribute
 * 1.2.840.113549.1.9.16.2.59 and statement 2.23.133.20.1. Software keys play EK, AK and subject.
 *
 *   vectors DIRECTORY [SEEDS]
 *
 * SEEDS gets first inputs for tests/fuzz/fuzz_evidence and fuzz_tpmwire, in a directory for each.
 *
 * What is written is the same each time, by the same OpenSSL: its random numbers are replaced by
 * a counter. The verdict that is expected of each case stands here by hand; a case that our own
 * verifier judges otherwise is not written.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD is the one way to random numbers that repeat */
#include "core/file.h"
#include "core/hash.h"
#include "tests/support/unit_verdict.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static const char *dir, *seeds;

/* --- random numbers that are none --------------------------------------------------------------- */

static uint64_t drawn;
static char seed[64];

static int draw(unsigned char *out, int n)
{
    uint8_t block[32];
    struct buf in = {0};

    for (int i = 0; i < n; i++) {
        if (i % 32 == 0) {
            in.len = 0;
            buf_str(&in, seed);
            buf_u64(&in, drawn++);
            if (buf_ok(&in, NULL) != 0 || hash_sha256(buf_bytes(&in), block, NULL) != 0)
                return 0;
        }
        out[i] = block[i % 32];
    }
    buf_free(&in);
    return 1;
}

static void reseed(const char *what)
{
    snprintf(seed, sizeof(seed), "fusetsu vectors 1: %s", what);
    drawn = 0;
}

/* --- the cases -------------------------------------------------------------------------------------- */

static void trail(struct unit_forge *f, struct buf *wire)
{
    (void)f;
    buf_u8(wire, 0);
}
static void trail_signature(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(&b->certify.signature, 0);
}
static void trail_public(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(&b->certify.about, 0);
}
static void overrun(struct unit_forge *f, struct buf *wire)
{
    (void)f;
    wire->p[6] = 0xff;
}
static void no_public(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    b->certify.about.len = 0;
}
static void two_values(struct unit_forge *f, X509_REQ *csr)
{
    static const uint8_t empty[] = {0x30, 0x00};
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113549.1.9.16.2.59", 1);

    (void)f;
    X509_ATTRIBUTE_set1_data(X509_REQ_get_attr(csr, X509_REQ_get_attr_by_OBJ(csr, oid, -1)),
                             V_ASN1_SEQUENCE, empty, sizeof(empty));
    ASN1_OBJECT_free(oid);
}
static void magic_wire(struct unit_forge *f, struct buf *wire)
{
    (void)f;
    wire->p[3] ^= 1;
}
static void as_quote(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->type = TPM2_ST_ATTEST_QUOTE;
    memset(&a->attested, 0, sizeof(a->attested));
    a->attested.quote.pcrDigest.size = 32;
}
static void bit(struct unit_forge *f, TPMT_SIGNATURE *s)
{
    (void)f;
    s->signature.ecdsa.signatureS.buffer[31] ^= 1;
}
static void zero_r(struct unit_forge *f, TPMT_SIGNATURE *s)
{
    (void)f;
    memset(s->signature.ecdsa.signatureR.buffer, 0, 32);
}
static void zero_s(struct unit_forge *f, TPMT_SIGNATURE *s)
{
    (void)f;
    memset(s->signature.ecdsa.signatureS.buffer, 0, 32);
}
static void drop_ext(X509 *x, int nid)
{
    X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, nid, -1)));
}
static void no_eku(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_ext_key_usage);
}
static void is_ca(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_basic_constraints);
    unit_forge_ext(x, NID_basic_constraints, "critical,CA:TRUE");
}
static void no_san(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_subject_alt_name);
}
static void signs_only(struct unit_forge *f, X509 *x)
{
    (void)f;
    drop_ext(x, NID_key_usage);
    unit_forge_ext(x, NID_key_usage, "critical,digitalSignature");
}
static void other_ek(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->qualifiedSigner.name[20] ^= 1;
}
static void other_name(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->attested.certify.name.name[20] ^= 1;
}
static void other_parent(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->attested.certify.qualifiedName.name[20] ^= 1;
}
static void constant(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->extraData = (TPM2B_DATA){.size = 4, .buffer = {0x00, 0xff, 0x55, 0xaa}};
}
static void nothing(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->extraData.size = 0;
}
static void bare_nonce(struct unit_forge *f, TPMS_ATTEST *a)
{
    a->extraData.size = 32;
    memcpy(a->extraData.buffer, f->nonce, 32);
}
static void moved(struct unit_forge *f, X509_REQ *csr)
{
    (void)f;
    X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(csr), NID_organizationName, MBSTRING_UTF8,
                               (const uint8_t *)"Another", -1, -1, 0);
}
static void digest(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_QUOTE)
        a->attested.quote.pcrDigest.buffer[3] ^= 1;
}

#define KEY(set, clear) \
    f->key_pub.objectAttributes = (f->key_pub.objectAttributes | (set)) & ~(TPMA_OBJECT)(clear)
#define AK(set, clear) \
    f->ak_pub.objectAttributes = (f->ak_pub.objectAttributes | (set)) & ~(TPMA_OBJECT)(clear)

static void prepare(struct unit_forge *f, int n)
{
    switch (n) {
    case 1: f->with_creation = f->with_quote = f->with_pin = true; break;
    case 2: unit_forge_policy_each(f); break;
    case 3: f->csr_signer = f->other; break;
    case 4: f->csr_md = EVP_sha1(); break;
    case 5: f->attest_signer = f->other; break;
    case 6: f->csr_key = f->csr_signer = f->other; break;
    case 7: AK(0, TPMA_OBJECT_RESTRICTED); break;
    case 8: AK(0, TPMA_OBJECT_FIXEDTPM); break;
    case 9: AK(TPMA_OBJECT_DECRYPT, 0); break;
    case 10: AK(0, TPMA_OBJECT_SENSITIVEDATAORIGIN); break;
    case 11: KEY(0, TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT); break;
    case 12: KEY(0, TPMA_OBJECT_SENSITIVEDATAORIGIN); break;
    case 13: KEY(TPMA_OBJECT_ENCRYPTEDDUPLICATION, 0); break;
    case 14: KEY(TPMA_OBJECT_RESTRICTED, 0); break;
    case 15: KEY(TPMA_OBJECT_DECRYPT, 0); break;
    case 16: KEY(0, TPMA_OBJECT_NODA); break;
    case 17: KEY(0, TPMA_OBJECT_USERWITHAUTH); break;
    case 18: f->key_pub.authPolicy.size = 32; break;
    case 19: f->parent_pub.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_RESTRICTED; break;
    case 20: f->parent_hierarchy = TPM2_RH_NULL; break;
    case 21: f->ek_not_after = UNIT_FORGE_NOW - 60; break;
    case 22: f->cn = "gw2.comms.example"; break;
    case 23: f->san = "gw2.comms.example"; break;
    case 24: f->with_creation = true, f->created.outsideInfo.buffer[0] ^= 1; break;
    case 25: f->with_quote = true, f->on_statement = digest; break;
    case 26: f->with_pin = true, f->pin_pub.attributes |= TPMA_NV_OWNERWRITE; break;
    case 27: f->clock.safe = TPM2_NO; break;
    case 28: f->key_pub.nameAlg = TPM2_ALG_SHA1; break;
    case 29: f->ek_root_key = f->other; break;
    case 30: f->sig_pss = true, unit_forge_scheme(&f->ak_pub, TPM2_ALG_RSAPSS); break;
    case 31: f->sig_hash = TPM2_ALG_SHA384; break;
    default: break;
    }
}

static const struct vector {
    const char *name, *why;
    unsigned fails; /* the check; 0: accepted */
    int prepare;
    enum unit_key ek, ak, subject;
    void (*attest)(struct unit_forge *, TPMS_ATTEST *);
    void (*wire)(struct unit_forge *, struct buf *);
    void (*signature)(struct unit_forge *, TPMT_SIGNATURE *);
    void (*bundle)(struct unit_forge *, struct evidence_bundle *);
    void (*csr)(struct unit_forge *, X509_REQ *);
    void (*ek_cert)(struct unit_forge *, X509 *);
    void (*ak_cert)(struct unit_forge *, X509 *);
    const char *nonce; /* what the verifier believes it drew, in hex; NULL: what was used */
} cases[] = {
#define C(name, why, fails, ...)                                                             \
    {                                                                                        \
        name, why, fails, .ek = UNIT_RSA, .ak = UNIT_P256, .subject = UNIT_P256, __VA_ARGS__ \
    }
    {"good-p256", "a P-256 key and AK below an RSA-2048 EK of template L-1", 0, 0, UNIT_RSA,
     UNIT_P256, UNIT_P256, .nonce = NULL},
    {"good-p384-ek", "an EK of template H-3", 0, 0, UNIT_P384, UNIT_P256, UNIT_P256, .nonce = NULL},
    {"good-p256-ek", "an EK of template L-2", 0, 0, UNIT_P256, UNIT_P256, UNIT_P256, .nonce = NULL},
    {"good-p384", "a P-384 key and AK", 0, 0, UNIT_RSA, UNIT_P384, UNIT_P384, .nonce = NULL},
    {"good-rsa", "an RSA-2048 key", 0, 0, UNIT_RSA, UNIT_P256, UNIT_RSA, .nonce = NULL},
    {"good-rsa-ak", "an AK that signs by RSASSA", 0, 0, UNIT_RSA, UNIT_RSA, UNIT_P256,
     .nonce = NULL},
    {"good-rsa-ak-pss", "an AK that signs by RSAPSS", 0, 30, UNIT_RSA, UNIT_RSA, UNIT_P256,
     .nonce = NULL},
    C("good-all-statements", "statements on creation, PCRs and PIN counter beside", 0,
      .prepare = 1),
    C("good-pin-each-use",
      "userWithAuth is clear: a policy asks for the PIN of the counter that is shown", 0,
      .prepare = 2),
    C("csr-signed-by-another-key", "no proof of possession", 1, .prepare = 3),
    C("csr-sha1", "the request is signed with SHA-1", 1, .prepare = 4),
    C("attest-trailing-byte", "a byte follows TPMS_ATTEST, and is signed", 2, .wire = trail),
    C("attest-overrun", "the size of qualifiedSigner goes beyond the end", 2, .wire = overrun),
    C("signature-trailing-byte", "a byte follows TPMT_SIGNATURE", 2, .bundle = trail_signature),
    C("public-trailing-byte", "a byte follows TPMT_PUBLIC", 2, .bundle = trail_public),
    C("public-missing", "tpmTPublic is left out", 2, .bundle = no_public),
    C("two-values", "attribute .59 has two values", 2, .csr = two_values),
    C("name-sha1", "nameAlg of the key is SHA-1", 2, .prepare = 28),
    C("magic", "the magic is FF544346: a TPM signs such bytes when it is given them", 3,
      .wire = magic_wire),
    C("quote-for-certify", "TPM_ST_ATTEST_QUOTE in the place of TPM_ST_ATTEST_CERTIFY", 4,
      .attest = as_quote),
    C("scheme-hash", "the signature names SHA-384, the AK SHA-256", 5, .prepare = 31),
    C("signature-bit", "one bit of the AK's signature", 6, .signature = bit),
    C("signature-r-zero", "r is 0", 6, .signature = zero_r),
    C("signature-s-zero", "s is 0", 6, .signature = zero_s),
    C("signature-other-key", "signed by another key than the AK", 6, .prepare = 5),
    C("ak-cert-no-eku", "the AK's certificate lacks 2.23.133.8.3", 7, .ak_cert = no_eku),
    C("ak-cert-ca", "the AK's certificate is one of a CA", 7, .ak_cert = is_ca),
    C("ak-unrestricted", "the AK signs what it is given: it may have signed a forgery", 8,
      .prepare = 7),
    C("ak-not-fixed-tpm", "fixedTPM of the AK is clear", 8, .prepare = 8),
    C("ak-decrypts", "the AK decrypts as well", 8, .prepare = 9),
    C("ak-imported", "sensitiveDataOrigin of the AK is clear", 8, .prepare = 10),
    C("ak-other-ek", "qualifiedSigner is not that of a child of this EK", 9, .attest = other_ek),
    C("attested-name", "the attested Name is not that of the public area", 10,
      .attest = other_name),
    C("csr-other-key", "the request is for another key, and signed by it", 11, .prepare = 6),
    C("key-duplicable", "fixedTPM and fixedParent are clear", 12, .prepare = 11),
    C("key-imported", "sensitiveDataOrigin is clear", 12, .prepare = 12),
    C("key-encrypted-duplication", "encryptedDuplication is set", 12, .prepare = 13),
    C("key-restricted", "restricted is set", 12, .prepare = 14),
    C("key-decrypts", "an ECC key that decrypts as well", 12, .prepare = 15),
    C("key-da", "noDA is clear", 13, .prepare = 16),
    C("key-no-user-auth", "userWithAuth is clear, and there is no policy", 13, .prepare = 17),
    C("key-unknown-policy", "an authPolicy that nothing in the evidence explains", 13,
      .prepare = 18),
    C("parent-unrestricted", "the parent is no storage key", 14, .prepare = 19),
    C("parent-other", "qualifiedName is not that of a child of the parent shown", 14,
      .attest = other_parent),
    C("extra-data-constant", "extraData is 00FF55AA, the constant of tpm2_certify", 15,
      .attest = constant),
    C("extra-data-empty", "extraData is empty", 15, .attest = nothing),
    C("extra-data-bare-nonce", "extraData is the nonce itself: tied to no request", 15,
      .attest = bare_nonce),
    C("moved-to-another-request", "evidence in a request of another subject", 15, .csr = moved),
    C("nonce-other", "a replay: the nonce of another session", 15,
      .nonce = "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"),
    C("creation-stale", "outsideInfo of the creation is not the nonce", 17, .prepare = 24),
    C("ek-cert-expired", "the EK's certificate has expired", 18, .prepare = 21),
    C("ek-cert-no-eku", "the EK's certificate lacks 2.23.133.8.1", 18, .ek_cert = no_eku),
    C("ek-cert-ca", "the EK's certificate is one of a CA", 18, .ek_cert = is_ca),
    C("ek-cert-no-names", "the EK's certificate does not name its TPM", 18, .ek_cert = no_san),
    C("ek-cert-usage", "the key usage of an RSA EK lacks keyEncipherment", 18,
      .ek_cert = signs_only),
    C("ek-cert-unknown-issuer", "the EK's certificate leads to no given root", 18, .prepare = 29),
    C("clock-unsafe", "the TPM's clock is not safe", 20, .prepare = 27),
    C("quote-digest", "pcrDigest is not that of the values shown", 21, .prepare = 25),
    C("common-name", "the request's common name is another one", 23, .prepare = 22),
    C("alternative-name", "the request's subjectAltName is another one", 23, .prepare = 23),
    C("pin-index-writable", "the owner may write the PIN index, and so set the count back", 25,
      .prepare = 26),
#undef C
};

/* --- files -------------------------------------------------------------------------------------------- */

/* Files with the same content are one: its first name. */
static struct {
    char name[80];
    struct buf content;
} written[400];
static size_t n_written;

static const char *put(const char *stem, const char *ext, struct bytes content)
{
    char path[400];
    struct err e = {0};

    for (size_t i = 0; i < n_written; i++) {
        size_t n = strlen(written[i].name), m = strlen(ext);

        if (bytes_equal(buf_bytes(&written[i].content), content) && n > m &&
            strcmp(written[i].name + n - m, ext) == 0)
            return written[i].name;
    }
    assert_true(n_written < ARRAY_LEN(written));
    snprintf(written[n_written].name, sizeof(written[0].name), "%s.%s", stem, ext);
    snprintf(path, sizeof(path), "%s/%s", dir, written[n_written].name);
    buf_add_bytes(&written[n_written].content, content);
    if (file_write(path, content, 0644, &e) != 0)
        fail_msg("%s", e.msg);
    return written[n_written++].name;
}

static struct bytes of_bio(BIO *b)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b, &p);

    assert_true(n > 0);
    return bytes_of(p, (size_t)n);
}

static const char *put_cert(const char *stem, const char *ext, X509 *x)
{
    BIO *b = BIO_new(BIO_s_mem());
    const char *name;

    assert_int_equal(PEM_write_bio_X509(b, x), 1);
    name = put(stem, ext, of_bio(b));
    BIO_free(b);
    return name;
}

static const char *put_csr(const char *stem, X509_REQ *csr)
{
    BIO *b = BIO_new(BIO_s_mem());
    const char *name;

    assert_int_equal(PEM_write_bio_X509_REQ(b, csr), 1);
    name = put(stem, "csr.pem", of_bio(b));
    BIO_free(b);
    return name;
}

static void put_key(const char *stem, EVP_PKEY *key)
{
    BIO *b = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL), 1);
    put(stem, "pem", of_bio(b));
    BIO_free(b);
}

static json_t *describe(const struct vector *v, struct unit_forge *f)
{
    char nonce[65], template[11];
    struct buf ak = {0};
    json_t *out;

    hex_encode(nonce, f->nonce, sizeof(f->nonce));
    snprintf(template, sizeof(template), "0x%08X", (unsigned)f->ek_template);
    buf_hex(&ak, f->record.ak_public.p, f->record.ak_public.len);
    buf_str(&ak, "\n");
    out = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:i}", "name", v->name, "why", v->why, "csr",
        put_csr(v->name, f->record.csr), "ek", put_cert(v->name, "ek.pem", f->record.ek_cert),
        "ek_chain", put_cert(v->name, "ek-chain.pem", sk_X509_value(f->record.ek_chain, 0)),
        "ek_template", template, "ak_public", put(v->name, "ak.hex", buf_bytes(&ak)), "ak_cert",
        put_cert(v->name, "ak.pem", f->record.ak_cert), "nonce",
        v->nonce != NULL ? v->nonce : nonce, "accepted", v->fails == 0, "fails", (int)v->fails);
    buf_free(&ak);
    assert_non_null(out);
    return out;
}

/* --- first inputs for fuzzers ------------------------------------------------------------------ */

/* `first`: the bytes by which a target chooses what to do. */
static void seed_file(const char *target, const char *name, const char *first, size_t n_first,
                      struct bytes content)
{
    struct buf path = {0}, all = {0};
    struct err e = {0};

    buf_printf(&path, "%s/%s", seeds, target);
    (void)mkdir(buf_cstr(&path), 0755);
    buf_printf(&path, "/%s", name);
    buf_add(&all, first, n_first);
    buf_add_bytes(&all, content);
    if (file_write(buf_cstr(&path), buf_bytes(&all), 0644, &e) != 0)
        fail_msg("%s", e.msg);
    buf_free(&path);
    buf_free(&all);
}

/* As input_bytes() of the fuzzers takes it. */
static void piece(struct buf *out, const struct buf *b)
{
    assert_true(b->len < 200);
    buf_u8(out, (uint8_t)b->len);
    buf_add_bytes(out, buf_bytes(b));
}

static void seed_wire(const char *name, const struct evidence_signed *s, const char *about)
{
    char file[80];

    if (s->attest.len == 0)
        return;
    snprintf(file, sizeof(file), "attest-%s", name);
    seed_file("fuzz_tpmwire", file, "\0", 1, buf_bytes(&s->attest));
    snprintf(file, sizeof(file), "signature-%s", name);
    seed_file("fuzz_tpmwire", file, "\3", 1, buf_bytes(&s->signature));
    snprintf(file, sizeof(file), "about-%s", name);
    if (about != NULL)
        seed_file("fuzz_tpmwire", file, about, 1, buf_bytes(&s->about));
}

static void seed_all(const struct vector *v, struct unit_forge *f)
{
    const struct evidence_signed *all[3];
    struct evidence_bundle b = {.parent = {0}};
    struct buf der = {0}, pieces = {0};
    struct err e = {0};
    char file[80];

    assert_int_equal(evidence_request_encode(&f->request, &der, &e), 0);
    snprintf(file, sizeof(file), "request-%s", v->name);
    seed_file("fuzz_evidence", file, "\0", 1, buf_bytes(&der));
    der.len = 0;
    assert_int_equal(evidence_record_encode(&f->record, &der, &e), 0);
    snprintf(file, sizeof(file), "record-%s", v->name);
    seed_file("fuzz_evidence", file, "\1", 1, buf_bytes(&der));
    buf_free(&der);
    if (v->fails != 0 || evidence_bundle_extract(f->request.csr, &b, &e) != 0)
        return;
    seed_wire(v->name, &b.certify, "\4");
    seed_wire("creation", &b.creation, "\1");
    seed_wire("quote", &b.quote, NULL);
    seed_wire("pin", &b.pin, "\2");
    all[0] = &b.creation;
    all[1] = &b.quote;
    all[2] = &b.pin;
    if (v->subject == UNIT_P256 && v->ak == UNIT_P256 && v->ek == UNIT_RSA) {
        piece(&pieces, &b.certify.attest);
        piece(&pieces, &b.certify.about);
        piece(&pieces, &b.parent);
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            piece(&pieces, &all[i]->attest);
            piece(&pieces, &all[i]->about);
        }
        snprintf(file, sizeof(file), "statements-%s", v->name);
        seed_file("fuzz_evidence", file, "\3\0", 2, buf_bytes(&pieces));
    }
    buf_free(&pieces);
    evidence_bundle_free(&b);
}

static json_t *one(const struct vector *v)
{
    static X509 *root, *ak_root;
    uint8_t believed[32];
    struct unit_forge f;
    struct evidence_verdict verdict;
    json_t *out;

    unit_forge_init(&f, v->ek, v->ak, v->subject);
    prepare(&f, v->prepare);
    f.on_attest = v->attest;
    f.on_attest_wire = v->wire;
    f.on_signature = v->signature;
    f.on_bundle = v->bundle;
    f.on_csr = v->csr;
    f.on_ek_cert = v->ek_cert;
    f.on_ak_cert = v->ak_cert;
    reseed("build");
    unit_forge_build(&f);
    f.terms.nonce = (struct bytes){NULL, 0};
    if (v->nonce != NULL) {
        assert_int_equal(hex_decode(believed, sizeof(believed), v->nonce), 0);
        f.record.nonce.len = 0;
        buf_add(&f.record.nonce, believed, sizeof(believed));
    }
    if (root == NULL) {
        root = X509_dup(f.ek_root);
        ak_root = X509_dup(f.ca);
        put_cert("roots", "pem", root);
        put_cert("ak-roots", "pem", ak_root);
    }
    /* All cases have the same roots, as whoever reads the files does. */
    f.pin.issuer = root;
    sk_X509_set(f.roots, 0, ak_root);
    unit_verdict_judge(&f, true, &verdict);
    unit_verdict_expect(&verdict, v->fails);
    out = describe(v, &f);
    if (seeds != NULL)
        seed_all(v, &f);
    unit_forge_free(&f);
    return out;
}

/* All pool keys, in an order that does not depend on the cases. */
static void keys(void)
{
    static const struct {
        enum unit_key kind;
        unsigned n;
        const char *name;
    } all[] = {
        {UNIT_RSA, 0, "ek-rsa2048"},    {UNIT_P256, 0, "ek-p256"},    {UNIT_P384, 0, "ek-p384"},
        {UNIT_RSA, 1, "ak-rsa2048"},    {UNIT_P256, 1, "ak-p256"},    {UNIT_P384, 1, "ak-p384"},
        {UNIT_RSA, 2, "key-rsa2048"},   {UNIT_P256, 2, "key-p256"},   {UNIT_P384, 2, "key-p384"},
        {UNIT_RSA, 3, "other-rsa2048"}, {UNIT_P256, 3, "other-p256"}, {UNIT_P384, 3, "other-p384"},
        {UNIT_P256, 4, "parent"},       {UNIT_P256, 5, "ek-root"},    {UNIT_P256, 6, "ek-issuer"},
        {UNIT_P256, 7, "ak-root"},
    };
    char path[300];

    snprintf(path, sizeof(path), "%s/keys", dir);
    (void)mkdir(path, 0755);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char stem[40];

        reseed(all[i].name);
        snprintf(stem, sizeof(stem), "keys/%s", all[i].name);
        put_key(stem, unit_forge_key(all[i].kind, all[i].n));
    }
}

static void write_all(void **state)
{
    static const RAND_METHOD method = {.bytes = draw, .pseudorand = draw};
    json_t *list = json_array(), *doc;
    char *text, path[300];
    struct err e = {0};

    (void)state;
    assert_int_equal(RAND_set_rand_method(&method), 1);
    keys();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i].name);
        assert_int_equal(json_array_append_new(list, one(&cases[i])), 0);
    }
    doc = json_pack("{s:i,s:s,s:s,s:s,s:s,s:o}", "version", 1, "now", "2026-01-01T00:00:00Z",
                    "subject", UNIT_FORGE_SUBJECT, "ek_roots", "roots.pem", "ak_roots",
                    "ak-roots.pem", "cases", list);
    text = json_dumps(doc, JSON_INDENT(2));
    assert_non_null(text);
    snprintf(path, sizeof(path), "%s/expected.json", dir);
    if (file_write(path, bytes_of(text, strlen(text)), 0644, &e) != 0)
        fail_msg("%s", e.msg);
    free(text);
    json_decref(doc);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(write_all)};

    if (argc < 2 || argc > 3)
        return 2;
    dir = argv[1];
    seeds = argc == 3 ? argv[2] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
