/* Evidence from an applicant who may write anything: requests and records as DER and PEM; and
 * statements that the TPM structures of the input make up, signed by an AK as if a TPM had made
 * them, so that what lies behind the signatures is reached. By the roots of tests/vectors/evidence. */
#include "core/evidence_check.h"
#include "core/file.h"
#include "core/tpmname.h"
#include "core/tpmwire.h"
#include "tests/fuzz/input.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define VECTORS "tests/vectors/evidence/"
#define NOW 1767225600 /* of expected.json */
#define SUBJECT "gw1.comms.example"

/* What is the same for all inputs. */
static struct world {
    bool ready;
    struct evidence_pin pin;
    STACK_OF(X509) * roots;
    X509 *ek[3]; /* the only ones that the makers certified */
    uint8_t ek_id[3][32];
    X509 *between, *ak_cert;
    EVP_PKEY *ak, *key;
    struct buf ak_public;
    TPM2B_NAME ak_qualified;
    uint8_t nonce[32];
} world;

static BIO *open_file(const char *name, struct buf *text)
{
    struct buf path = {0};

    buf_printf(&path, VECTORS "%s", name);
    INPUT_HOLDS(file_read(buf_cstr(&path), 1 << 20, text, NULL) == 0);
    buf_free(&path);
    return BIO_new_mem_buf(text->p, (int)text->len);
}

static X509 *read_cert(const char *name)
{
    struct buf text = {0};
    BIO *b = open_file(name, &text);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

    INPUT_HOLDS(x != NULL);
    BIO_free(b);
    buf_free(&text);
    return x;
}

static EVP_PKEY *read_key(const char *name)
{
    struct buf text = {0};
    BIO *b = open_file(name, &text);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

    INPUT_HOLDS(k != NULL);
    BIO_free(b);
    buf_free(&text);
    return k;
}

static void read_ak(struct world *w)
{
    struct buf hex = {0};
    BIO *b = open_file("good-p256.ak.hex", &hex);

    BIO_free(b);
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        char two[3] = {(char)hex.p[i], (char)hex.p[i + 1], 0};
        uint8_t v;

        INPUT_HOLDS(hex_decode(&v, 1, two) == 0);
        buf_u8(&w->ak_public, v);
    }
    buf_free(&hex);
}

static struct evidence_terms terms_of(const struct world *w)
{
    return (struct evidence_terms){
        .pin = &w->pin,
        .n_pin = 1,
        .now = NOW,
        .nonce = bytes_of(w->nonce, sizeof(w->nonce)),
        .nonce_state = EVIDENCE_NONCE_FRESH,
        .subject = SUBJECT,
        .profile = evidence_profile_signing(false),
        .ak_roots = w->roots,
        .ak_sealed = true,
    };
}

static void make_ready(struct world *w)
{
    static const char *const ek[] = {"good-p256.ek.pem", "good-p256-ek.ek.pem",
                                     "good-p384-ek.ek.pem"};
    struct pubkey k;

    if (w->ready)
        return;
    w->pin.issuer = read_cert("roots.pem");
    w->roots = sk_X509_new_null();
    sk_X509_push(w->roots, read_cert("ak-roots.pem"));
    for (size_t i = 0; i < ARRAY_LEN(ek); i++) {
        w->ek[i] = read_cert(ek[i]);
        INPUT_HOLDS(pubkey_from_x509(&k, w->ek[i], NULL) == 0);
        INPUT_HOLDS(pubkey_id(&k, w->ek_id[i], NULL) == 0);
    }
    w->between = read_cert("good-p256.ek-chain.pem");
    w->ak_cert = read_cert("good-p256.ak.pem");
    w->ak = read_key("keys/ak-p256.pem");
    w->key = read_key("keys/key-p256.pem");
    read_ak(w);
    memset(w->nonce, 0x5a, sizeof(w->nonce));
    w->ready = true;
}

/* Nobody can make evidence for a TPM that no maker certified. */
static void judge_verdict(const struct world *w, const struct evidence_verdict *v)
{
    bool known = false;

    for (size_t i = 0; i < ARRAY_LEN(w->ek); i++)
        known = known || memcmp(v->ek_spki, w->ek_id[i], 32) == 0;
    INPUT_HOLDS(!v->accepted || (known && v->has_subject && v->ak_name.size != 0));
    INPUT_HOLDS(v->accepted == (v->level >= 3));
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        INPUT_HOLDS(v->result[i].number == i + 1);
        INPUT_HOLDS(memchr(v->result[i].reason, 0, sizeof(v->result[i].reason)) != NULL);
        INPUT_HOLDS(!v->accepted || v->result[i].outcome != EVIDENCE_FAIL);
    }
}

static void judge_request(const struct world *w, const struct evidence_request *r,
                          struct evidence_verdict *v)
{
    struct evidence_terms t = terms_of(w);

    INPUT_HOLDS(evidence_check_request(r, &t, v, NULL) == 0);
    judge_verdict(w, v);
}

static void try_request(const struct world *w, struct bytes in, bool pem)
{
    struct evidence_request r = {.ek_template = 0};
    struct evidence_verdict v;
    struct buf again = {0};

    if ((pem ? evidence_request_from_pem(in, &r, NULL) : evidence_request_decode(in, &r, NULL)) !=
        0)
        return;
    INPUT_HOLDS(evidence_request_encode(&r, &again, NULL) == 0);
    INPUT_HOLDS(pem || bytes_equal(buf_bytes(&again), in));
    judge_request(w, &r, &v);
    evidence_request_free(&r);
    buf_free(&again);
}

static void try_record(const struct world *w, struct bytes in)
{
    struct evidence_record r = {.ek_template = 0};
    struct evidence_terms t = terms_of(w);
    struct evidence_verdict v;
    struct buf again = {0};

    if (evidence_record_decode(in, &r, NULL) != 0)
        return;
    INPUT_HOLDS(evidence_record_encode(&r, &again, NULL) == 0);
    INPUT_HOLDS(bytes_equal(buf_bytes(&again), in));
    t.ak_sealed = false;
    INPUT_HOLDS(evidence_check_record(&r, &t, &v, NULL) == 0);
    judge_verdict(w, &v);
    evidence_record_free(&r);
    buf_free(&again);
}

/* --- signed as if by a TPM ------------------------------------------------------------------------ */

static X509_REQ *bare_csr(const struct world *w)
{
    X509_REQ *csr = X509_REQ_new();

    INPUT_HOLDS(X509_REQ_set_version(csr, 0) == 1 && X509_REQ_set_pubkey(csr, w->key) == 1);
    INPUT_HOLDS(X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(csr), NID_commonName,
                                           MBSTRING_UTF8, (const uint8_t *)SUBJECT, -1, -1,
                                           0) == 1);
    return csr;
}

/* A TPM's signature over what may be no structure at all. */
static void sign(const struct world *w, struct bytes wire, struct buf *out)
{
    TPMT_SIGNATURE s = {.sigAlg = TPM2_ALG_ECDSA, .signature.ecdsa.hash = TPM2_ALG_SHA256};
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    struct pubkey k = {.type = TPM2_ALG_ECC, .curve = alg_curve_of(TPM2_ECC_NIST_P256)};
    struct buf raw = {0};
    uint8_t sig[80];
    size_t n = sizeof(sig);

    INPUT_HOLDS(EVP_DigestSignInit(m, NULL, EVP_sha256(), NULL, w->ak) == 1);
    INPUT_HOLDS(EVP_DigestSign(m, sig, &n, wire.p, wire.len) == 1);
    INPUT_HOLDS(pubkey_sig_from_der(&k, bytes_of(sig, n), &raw, NULL) == 0);
    s.signature.ecdsa.signatureR.size = s.signature.ecdsa.signatureS.size = 32;
    memcpy(s.signature.ecdsa.signatureR.buffer, raw.p, 32);
    memcpy(s.signature.ecdsa.signatureS.buffer, raw.p + 32, 32);
    INPUT_HOLDS(tpmwire_marshal_signature(&s, out, NULL) == 0);
    EVP_MD_CTX_free(m);
    buf_free(&raw);
}

/* The attestation of the input, tied to this request where `mend` says so. */
static void statement(const struct world *w, struct input *in, const uint8_t qualifying[32],
                      bool mend, struct evidence_signed *out)
{
    struct bytes attest = input_bytes(in, 600), about = input_bytes(in, 600);
    uint8_t wire[sizeof(TPMS_ATTEST)];
    TPMS_ATTEST a;
    size_t n = 0;

    if (attest.len == 0)
        return;
    if (mend && tpmwire_attest(attest, &a, NULL) == 0) {
        a.extraData.size = 32;
        memcpy(a.extraData.buffer, qualifying, 32);
        INPUT_HOLDS(Tss2_MU_TPMS_ATTEST_Marshal(&a, wire, sizeof(wire), &n) == TSS2_RC_SUCCESS);
        attest = bytes_of(wire, n);
    }
    buf_add_bytes(&out->attest, attest);
    buf_add_bytes(&out->about, about);
    sign(w, attest, &out->signature);
}

/* What acceptance means, read from the bytes once more. */
static void accepted_means(const struct evidence_bundle *b)
{
    const uint32_t need = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                          TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_SIGN_ENCRYPT,
                   no = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT |
                        TPMA_OBJECT_ENCRYPTEDDUPLICATION | TPMA_OBJECT_ADMINWITHPOLICY;
    TPMS_ATTEST a;
    TPMT_PUBLIC p;
    TPM2B_NAME name;

    INPUT_HOLDS(tpmwire_attest(buf_bytes(&b->certify.attest), &a, NULL) == 0);
    INPUT_HOLDS(a.magic == TPM2_GENERATED_VALUE && a.type == TPM2_ST_ATTEST_CERTIFY);
    INPUT_HOLDS(a.clockInfo.safe == TPM2_YES);
    INPUT_HOLDS(tpmname_unmarshal_public(buf_bytes(&b->certify.about), &p, NULL) == 0);
    INPUT_HOLDS((p.objectAttributes & need) == need && (p.objectAttributes & no) == 0);
    INPUT_HOLDS(tpmname_object(buf_bytes(&b->certify.about), &name, NULL) == 0);
    INPUT_HOLDS(tpmname_equal(&name, &a.attested.certify.name));
}

static void try_statements(const struct world *w, struct input *in)
{
    struct evidence_request r = {.ek_template = 0x01C00002, .ek_cert = w->ek[0]};
    struct evidence_bundle b = {.parent = {0}};
    uint8_t mend = input_u8(in), qualifying[32];
    struct evidence_verdict v;

    r.csr = bare_csr(w);
    r.ek_chain = sk_X509_new_null();
    sk_X509_push(r.ek_chain, w->between);
    buf_add_bytes(&r.ak_public, buf_bytes(&w->ak_public));
    INPUT_HOLDS(evidence_qualifying(bytes_of(w->nonce, 32), r.csr, qualifying, NULL) == 0);
    statement(w, in, qualifying, (mend & 1) == 0, &b.certify);
    buf_add_bytes(&b.parent, input_bytes(in, 600));
    statement(w, in, qualifying, (mend & 2) == 0, &b.creation);
    statement(w, in, qualifying, (mend & 4) == 0, &b.quote);
    statement(w, in, qualifying, (mend & 8) == 0, &b.pin);
    if (evidence_bundle_attach(r.csr, &b, NULL) == 0 &&
        X509_REQ_sign(r.csr, w->key, EVP_sha256()) > 0) {
        judge_request(w, &r, &v);
        if (v.accepted)
            accepted_means(&b);
    }
    evidence_bundle_free(&b);
    buf_free(&r.ak_public);
    sk_X509_free(r.ek_chain);
    X509_REQ_free(r.csr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input_of(data, size);
    size_t which = input_below(&in, 4);

    make_ready(&world);
    switch (which) {
    case 0: try_request(&world, input_rest(&in), false); break;
    case 1: try_record(&world, input_rest(&in)); break;
    case 2: try_request(&world, input_rest(&in), true); break;
    default: try_statements(&world, &in); break;
    }
    input_end(&in);
    return 0;
}
