/*
 * How much a verifier of evidence costs beside what cannot be left out:
 *
 *   evidence [SECONDS]
 *
 * Judges the P-256 vectors of tests/vectors/evidence from their bytes on, for so long (default 2 s,
 * of CPU time); then the same signatures alone, as OpenSSL checks them with keys and messages at
 * hand; then the signatures and the reading of the certificates that are new each time (the EK's,
 * and the AK's in a record), of which OpenSSL 3.0 makes keys at a cost of two signatures each.
 * Prints the rates for one core. Ends with 1 when fewer than 2000 requests a second come out, or less
 * than half of the last rate.
 */
#include "core/evidence_check.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/pubkey.h"
#include "core/tpmwire.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VECTORS "tests/vectors/evidence/"
#define NOW 1767225600 /* of expected.json */
#define LEAST_RATE 2000.0
#define LEAST_SHARE 0.5

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "evidence: %s\n", what);
    exit(2);
}

static void read_text(const char *name, struct buf *out)
{
    struct buf path = {0};

    buf_printf(&path, VECTORS "%s", name);
    must(file_read(buf_cstr(&path), 1 << 20, out, NULL) == 0, name);
    buf_free(&path);
}

static X509 *read_cert(const char *name)
{
    struct buf text = {0};
    X509 *x;
    BIO *b;

    read_text(name, &text);
    b = BIO_new_mem_buf(text.p, (int)text.len);
    x = PEM_read_bio_X509(b, NULL, NULL, NULL);
    must(x != NULL, name);
    BIO_free(b);
    buf_free(&text);
    return x;
}

static X509_REQ *read_csr(const char *name)
{
    struct buf text = {0};
    X509_REQ *x;
    BIO *b;

    read_text(name, &text);
    b = BIO_new_mem_buf(text.p, (int)text.len);
    x = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
    must(x != NULL, name);
    BIO_free(b);
    buf_free(&text);
    return x;
}

static void read_hex(const char *name, struct buf *out)
{
    struct buf text = {0};

    read_text(name, &text);
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        char two[3] = {(char)text.p[i], (char)text.p[i + 1], 0};
        uint8_t v = 0;

        must(hex_decode(&v, 1, two) == 0, name);
        buf_u8(out, v);
    }
    buf_free(&text);
}

/* --- the whole ----------------------------------------------------------------------------------- */

static uint8_t nonce[32];

struct whole {
    struct buf der; /* of the request or of the record */
    struct evidence_terms terms;
    bool record;
};

static void judge(void *ctx)
{
    const struct whole *w = ctx;
    struct evidence_request request = {.ek_template = 0};
    struct evidence_record record = {.ek_template = 0};
    struct evidence_verdict v = {.accepted = false};

    if (w->record)
        must(evidence_record_decode(buf_bytes(&w->der), &record, NULL) == 0 &&
                 evidence_check_record(&record, &w->terms, &v, NULL) == 0,
             "the record");
    else
        must(evidence_request_decode(buf_bytes(&w->der), &request, NULL) == 0 &&
                 evidence_check_request(&request, &w->terms, &v, NULL) == 0,
             "the request");
    must(v.accepted, "the vector is refused");
    evidence_request_free(&request);
    evidence_record_free(&record);
}

/* --- the signatures alone -------------------------------------------------------------------------- */

#define MOST 8

/* A signature over a digest, and the key. */
struct bare {
    size_t n;
    struct buf cert[2]; /* new each time, in DER */
    EVP_PKEY *key[MOST];
    struct buf digest[MOST], signature[MOST];
};

static void add_bare(struct bare *b, EVP_PKEY *key, struct bytes message, struct bytes signature)
{
    uint8_t d[32];

    must(b->n < MOST && hash_sha256(message, d, NULL) == 0, "a digest");
    b->key[b->n] = key;
    buf_add(&b->digest[b->n], d, sizeof(d));
    buf_add_bytes(&b->signature[b->n], signature);
    b->n++;
}

static void add_cert(struct bare *b, X509 *cert, X509 *issuer)
{
    const ASN1_BIT_STRING *sig = NULL;
    uint8_t *tbs = NULL;
    int n = i2d_re_X509_tbs(cert, &tbs);

    must(n > 0, "a certificate");
    X509_get0_signature(&sig, NULL, cert);
    add_bare(b, X509_get0_pubkey(issuer), bytes_of(tbs, (size_t)n),
             bytes_of(sig->data, (size_t)sig->length));
    OPENSSL_free(tbs);
}

static void add_csr(struct bare *b, X509_REQ *csr)
{
    const ASN1_BIT_STRING *sig = NULL;
    uint8_t *tbs = NULL;
    int n = i2d_re_X509_REQ_tbs(csr, &tbs);

    must(n > 0, "the request");
    X509_REQ_get0_signature(csr, &sig, NULL);
    add_bare(b, X509_REQ_get0_pubkey(csr), bytes_of(tbs, (size_t)n),
             bytes_of(sig->data, (size_t)sig->length));
    OPENSSL_free(tbs);
}

/* The AK's over one statement. */
static void add_signed(struct bare *b, X509 *ak, const struct evidence_signed *s)
{
    const struct alg_hash *h = NULL;
    enum pubkey_scheme scheme;
    struct buf raw = {0}, der = {0};
    struct pubkey k;
    TPMT_SIGNATURE sig;

    if (s->attest.len == 0)
        return;
    must(tpmwire_signature(buf_bytes(&s->signature), &sig, NULL) == 0 &&
             pubkey_from_x509(&k, ak, NULL) == 0 &&
             tpmwire_signature_raw(&sig, &k, &scheme, &h, &raw, NULL) == 0 &&
             pubkey_sig_to_der(&k, buf_bytes(&raw), &der, NULL) == 0,
         "a statement");
    add_bare(b, X509_get0_pubkey(ak), buf_bytes(&s->attest), buf_bytes(&der));
    buf_free(&raw);
    buf_free(&der);
}

static void verify(void *ctx)
{
    struct bare *b = ctx;

    for (size_t i = 0; i < b->n; i++) {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, b->key[i], NULL);

        must(c != NULL && EVP_PKEY_verify_init(c) == 1 &&
                 EVP_PKEY_verify(c, b->signature[i].p, b->signature[i].len, b->digest[i].p,
                                 b->digest[i].len) == 1,
             "a signature does not verify");
        EVP_PKEY_CTX_free(c);
    }
}

static void verify_and_read(void *ctx)
{
    const struct bare *b = ctx;

    for (size_t i = 0; i < ARRAY_LEN(b->cert); i++) {
        const uint8_t *p = b->cert[i].p;
        X509 *x = b->cert[i].len != 0 ? d2i_X509(NULL, &p, (long)b->cert[i].len) : NULL;

        must(b->cert[i].len == 0 || x != NULL, "a certificate");
        X509_free(x);
    }
    verify(ctx);
}

static void add_der(X509 *x, struct buf *out)
{
    uint8_t *der = NULL;
    int n = i2d_X509(x, &der);

    must(n > 0, "a certificate");
    buf_add(out, der, (size_t)n);
    OPENSSL_free(der);
}

/* --- how often -------------------------------------------------------------------------------------- */

static double cpu(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "the clock");
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Times a second of CPU time. */
static double rate(void (*work)(void *), void *ctx, double seconds)
{
    unsigned long n = 0;
    double began, used;

    for (int i = 0; i < 10; i++)
        work(ctx);
    began = cpu();
    do {
        for (int i = 0; i < 16; i++)
            work(ctx);
        n += 16;
        used = cpu() - began;
    } while (used < seconds);
    return (double)n / used;
}

struct files {
    X509 *root, *ak_root, *ek, *between, *ak;
};

static bool compare(const char *what, const struct files *f, const char *csr_name, bool record,
                    double seconds)
{
    struct evidence_pin pin = {.issuer = f->root};
    STACK_OF(X509) *roots = sk_X509_new_null();
    struct evidence_request r = {.ek_template = 0x01C0000A, .ek_cert = f->ek};
    struct evidence_bundle bundle = {.parent = {0}};
    struct evidence_record kept = {.ek_template = 0};
    struct whole w = {.record = record};
    struct bare b = {.n = 0};
    double whole, bare, read;

    sk_X509_push(roots, f->ak_root);
    r.ek_chain = sk_X509_new_null();
    sk_X509_push(r.ek_chain, f->between);
    read_hex("good-p256.ak.hex", &r.ak_public);
    r.csr = read_csr(csr_name);
    must(evidence_record_make(&r, bytes_of(nonce, sizeof(nonce)), f->ak, NOW, &kept, NULL) == 0 &&
             (record ? evidence_record_encode(&kept, &w.der, NULL)
                     : evidence_request_encode(&r, &w.der, NULL)) == 0 &&
             evidence_bundle_extract(r.csr, &bundle, NULL) == 0,
         csr_name);
    w.terms = (struct evidence_terms){
        .pin = &pin,
        .n_pin = 1,
        .now = NOW,
        .nonce = bytes_of(nonce, sizeof(nonce)),
        .nonce_state = EVIDENCE_NONCE_FRESH,
        .subject = "gw1.comms.example",
        .profile = evidence_profile_signing(false),
        .ak_roots = roots,
        .ak_sealed = !record,
    };
    add_csr(&b, r.csr);
    add_signed(&b, f->ak, &bundle.certify);
    add_signed(&b, f->ak, &bundle.creation);
    add_signed(&b, f->ak, &bundle.quote);
    add_signed(&b, f->ak, &bundle.pin);
    add_cert(&b, f->ek, f->between);
    add_cert(&b, f->between, f->root);
    add_der(f->ek, &b.cert[0]);
    if (record) {
        add_cert(&b, f->ak, f->ak_root);
        add_der(f->ak, &b.cert[1]);
    }
    whole = rate(judge, &w, seconds);
    bare = rate(verify, &b, seconds);
    read = rate(verify_and_read, &b, seconds);
    printf("%-36s %5.0f /s; its %zu signatures %5.0f /s (share %.2f); with certificates %5.0f /s "
           "(%.2f)\n",
           what, whole, b.n, bare, whole / bare, read, whole / read);
    sk_X509_free(roots);
    sk_X509_free(r.ek_chain);
    buf_free(&r.ak_public);
    X509_REQ_free(r.csr);
    evidence_record_free(&kept);
    evidence_bundle_free(&bundle);
    buf_free(&w.der);
    for (size_t i = 0; i < b.n; i++) {
        buf_free(&b.digest[i]);
        buf_free(&b.signature[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(b.cert); i++)
        buf_free(&b.cert[i]);
    return (record || whole >= LEAST_RATE) && whole >= LEAST_SHARE * read;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    struct files f = {.root = read_cert("roots.pem"),
                      .ak_root = read_cert("ak-roots.pem"),
                      .ek = read_cert("good-p256-ek.ek.pem"),
                      .between = read_cert("good-p256.ek-chain.pem"),
                      .ak = read_cert("good-p256.ak.pem")};
    bool enough;

    memset(nonce, 0x5a, sizeof(nonce));
    enough = compare("a request (TPM2_Certify)", &f, "good-p256-ek.csr.pem", false, seconds);
    enough =
        compare("a record, with the AK's certificate", &f, "good-p256-ek.csr.pem", true, seconds) &&
        enough;
    X509_free(f.root);
    X509_free(f.ak_root);
    X509_free(f.ek);
    X509_free(f.between);
    X509_free(f.ak);
    return enough ? 0 : 1;
}
