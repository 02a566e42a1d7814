#include "core/evidence_rules.h"

#include "core/asn1.h"
#include "core/csr.h"
#include "core/hash.h"
#include "core/tpmwire.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOT_READ "not judged: the evidence could not be read, see check 2"

void evidence_rules_set(struct evidence_case *c, unsigned number, enum evidence_outcome outcome,
                        const char *fmt, ...)
{
    struct evidence_result *r = &c->verdict->result[number - 1];
    va_list ap;

    r->outcome = outcome;
    va_start(ap, fmt);
    vsnprintf(r->reason, sizeof(r->reason), fmt, ap);
    va_end(ap);
}

/* Some bytes in hex from `from` on: enough to compare by eye. */
#define SHORT 12
static const char *short_hex(struct bytes b, size_t from, char out[2 * SHORT + 8])
{
    struct reader r = reader_of(b.p, b.len);
    char hex[2 * SHORT + 1];
    size_t n;

    if (b.len == 0)
        return "(empty)";
    if (from > b.len)
        from = b.len;
    n = b.len - from > SHORT ? SHORT : b.len - from;
    reader_take(&r, from);
    hex_encode(hex, reader_take(&r, n).p, n);
    snprintf(out, 2 * SHORT + 8, "%s%s%s", from != 0 ? "..." : "", hex,
             from + n < b.len ? "..." : "");
    return out;
}

/* Where to begin so that the first difference shows; 0 when it shows anyway. */
static size_t show_from(struct bytes a, struct bytes b)
{
    size_t i = 0;

    while (i < a.len && i < b.len && a.p[i] == b.p[i])
        i++;
    return i < SHORT ? 0 : i;
}

void evidence_rules_compare(struct evidence_case *c, unsigned number, const char *what,
                            struct bytes actual, struct bytes expected)
{
    char a[2 * SHORT + 8], b[2 * SHORT + 8];
    size_t from;

    if (bytes_equal(actual, expected)) {
        evidence_rules_set(c, number, EVIDENCE_PASS, "%s is %s, as recomputed", what,
                           short_hex(actual, 0, a));
        return;
    }
    from = show_from(actual, expected);
    evidence_rules_set(c, number, EVIDENCE_FAIL, "%s is %s (%zu bytes), expected %s (%zu)", what,
                       short_hex(actual, from, a), actual.len, short_hex(expected, from, b),
                       expected.len);
}

static struct bytes name_bytes(const TPM2B_NAME *n)
{
    return bytes_of(n->name, n->size);
}

/* --- 1: proof of possession ------------------------------------------------- */

/* The hash that the CSR's signature uses; NID_undef when unknown. */
static int csr_hash(X509_REQ *csr)
{
    const X509_ALGOR *alg = NULL;
    RSA_PSS_PARAMS *pss = NULL;
    const ASN1_OBJECT *oid = NULL;
    const void *param = NULL;
    int type, md = NID_undef, key = NID_undef;

    X509_REQ_get0_signature(csr, NULL, &alg);
    X509_ALGOR_get0(&oid, &type, &param, alg);
    if (OBJ_obj2nid(oid) != NID_rsassaPss)
        return OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, &key) == 1 ? md : NID_undef;
    if (type != V_ASN1_SEQUENCE)
        return NID_undef;
    pss = ASN1_item_unpack(param, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
    /* RFC 4055, 3.1: an absent hash means SHA-1. */
    if (pss != NULL && pss->hashAlgorithm != NULL) {
        X509_ALGOR_get0(&oid, NULL, NULL, pss->hashAlgorithm);
        md = OBJ_obj2nid(oid);
    }
    RSA_PSS_PARAMS_free(pss);
    return md;
}

void evidence_rules_proof(struct evidence_case *c)
{
    int md = csr_hash(c->csr);

    if (!c->verdict->has_subject)
        evidence_rules_set(c, 1, EVIDENCE_FAIL,
                           "the request's public key is not one in use here: "
                           "RSA of 2048 bits or more, P-256, P-384 or P-521");
    else if (md != NID_sha256 && md != NID_sha384 && md != NID_sha512)
        evidence_rules_set(c, 1, EVIDENCE_FAIL,
                           "the request is signed with %s, not with SHA-256, "
                           "SHA-384 or SHA-512",
                           md != NID_undef ? OBJ_nid2sn(md) : "an unknown hash");
    else if (csr_verify(c->csr, &c->verdict->subject, NULL) != 0)
        evidence_rules_set(c, 1, EVIDENCE_FAIL, "the request's signature does not fit its %s key",
                           pubkey_name(&c->verdict->subject));
    else
        evidence_rules_set(c, 1, EVIDENCE_PASS, "the request is signed by its own %s key",
                           pubkey_name(&c->verdict->subject));
}

/* --- 2: form ---------------------------------------------------------------- */

/* The CSR as it came, byte for byte: OpenSSL keeps those bytes, and reads more than DER. */
static int strict_csr(X509_REQ *csr, struct err *e)
{
    uint8_t *der = NULL;
    int len = i2d_X509_REQ(csr, &der);
    void *v = NULL;

    if (len > 0)
        v = asn1_decode(ASN1_ITEM_rptr(asn1_csr), bytes_of(der, (size_t)len), EVIDENCE_MAX,
                        "certification request", e);
    else
        err_set(e, E_FORMAT, "the certification request cannot be written again");
    asn1_free(v, ASN1_ITEM_rptr(asn1_csr));
    OPENSSL_free(der);
    return v != NULL ? 0 : -1;
}

static bool current_hash(uint16_t alg)
{
    return alg == TPM2_ALG_SHA256 || alg == TPM2_ALG_SHA384 || alg == TPM2_ALG_SHA512;
}

static bool public_area(struct buf *wire, TPMT_PUBLIC *pub, TPM2B_NAME *name, const char *which,
                        struct err *e)
{
    struct err why = {0};

    if (tpmname_unmarshal_public(buf_bytes(wire), pub, &why) == 0 &&
        tpmname_object(buf_bytes(wire), name, &why) == 0) {
        if (current_hash(pub->nameAlg))
            return true;
        err_set(&why, E_FORMAT, "its Name is made with %04x, not with SHA-256, SHA-384 or SHA-512",
                (unsigned)pub->nameAlg);
    }
    err_set(e, why.code, "%s: %s", which, why.msg);
    return false;
}

void evidence_rules_form(struct evidence_case *c)
{
    struct evidence_verdict *v = c->verdict;
    struct buf ak = {.p = NULL};
    struct err e = {0};

    (void)!strict_csr(c->csr, &e);
    buf_add_bytes(&ak, c->ak_public);
    c->has_ak = public_area(&ak, &c->ak, &v->ak_name, "AK", &e) &&
                pubkey_from_tpmt(&c->ak_key, &c->ak, &e) == 0;
    buf_free(&ak);
    if (evidence_bundle_extract(c->csr, &c->bundle, &e) == 0) {
        /* A request may bring the AK's certificate along, from an earlier enrolment. */
        if (c->ak_cert == NULL && c->bundle.certs != NULL)
            c->ak_cert = sk_X509_value(c->bundle.certs, 0);
        c->has_attest = tpmwire_attest(buf_bytes(&c->bundle.certify.attest), &c->attest, &e) == 0;
        c->has_signature =
            tpmwire_signature(buf_bytes(&c->bundle.certify.signature), &c->signature, &e) == 0;
        if (c->bundle.certify.about.len == 0)
            err_set(&e, E_FORMAT, "the Certify statement lacks tpmTPublic");
        else
            c->has_key =
                public_area(&c->bundle.certify.about, &c->key, &c->key_name, "certified key", &e);
        if (c->bundle.parent.len == 0)
            err_set(&e, E_FORMAT, "the bundle lacks the parent statement");
        else
            c->has_parent =
                public_area(&c->bundle.parent, &c->parent, &c->parent_name, "parent", &e);
    }
    if (e.code != E_OK)
        evidence_rules_set(c, 2, EVIDENCE_FAIL, "%.200s", e.msg);
    else
        evidence_rules_set(c, 2, EVIDENCE_PASS, "one bundle, DER, no byte left over anywhere");
}

/* --- 3 to 6: the attestation and its signature ------------------------------ */

void evidence_rules_magic(struct evidence_case *c)
{
    if (!c->has_attest)
        evidence_rules_set(c, 3, EVIDENCE_NA, NOT_READ);
    else if (c->attest.magic != TPM2_GENERATED_VALUE)
        evidence_rules_set(c, 3, EVIDENCE_FAIL,
                           "the magic is %08x, expected %08x: no TPM made "
                           "this structure",
                           (unsigned)c->attest.magic, TPM2_GENERATED_VALUE);
    else
        evidence_rules_set(c, 3, EVIDENCE_PASS, "the magic is %08x", TPM2_GENERATED_VALUE);
}

static bool is_certify(const struct evidence_case *c)
{
    return c->has_attest && c->attest.type == TPM2_ST_ATTEST_CERTIFY;
}

void evidence_rules_type(struct evidence_case *c)
{
    if (!c->has_attest)
        evidence_rules_set(c, 4, EVIDENCE_NA, NOT_READ);
    else if (!is_certify(c))
        evidence_rules_set(c, 4, EVIDENCE_FAIL,
                           "the attestation is of type %04x, expected %04x "
                           "(TPM_ST_ATTEST_CERTIFY)",
                           (unsigned)c->attest.type, TPM2_ST_ATTEST_CERTIFY);
    else
        evidence_rules_set(c, 4, EVIDENCE_PASS, "the attestation is TPM_ST_ATTEST_CERTIFY");
}

void evidence_rules_scheme(struct evidence_case *c)
{
    uint16_t scheme, hash, want_scheme, want_hash;

    if (!c->has_ak || !c->has_signature) {
        evidence_rules_set(c, 5, EVIDENCE_NA, NOT_READ);
        return;
    }
    scheme = c->signature.sigAlg;
    hash = c->signature.signature.any.hashAlg;
    /* Scheme and hash lie at the same place for RSA and ECC keys, but not in the C type. */
    if (c->ak.type == TPM2_ALG_RSA) {
        want_scheme = c->ak.parameters.rsaDetail.scheme.scheme;
        want_hash = c->ak.parameters.rsaDetail.scheme.details.anySig.hashAlg;
    } else {
        want_scheme = c->ak.parameters.eccDetail.scheme.scheme;
        want_hash = c->ak.parameters.eccDetail.scheme.details.anySig.hashAlg;
    }
    if (scheme != want_scheme || hash != want_hash)
        evidence_rules_set(c, 5, EVIDENCE_FAIL,
                           "the signature is scheme %04x with hash %04x, the "
                           "AK's are %04x and %04x",
                           (unsigned)scheme, (unsigned)hash, (unsigned)want_scheme,
                           (unsigned)want_hash);
    else if (!current_hash(hash))
        evidence_rules_set(c, 5, EVIDENCE_FAIL,
                           "the signature's hash is %04x, expected SHA-256, "
                           "SHA-384 or SHA-512",
                           (unsigned)hash);
    else
        evidence_rules_set(c, 5, EVIDENCE_PASS,
                           "scheme %04x with hash %04x, as in the AK's public "
                           "area",
                           (unsigned)scheme, (unsigned)hash);
}

int evidence_rules_signed(const struct evidence_case *c, const struct buf *attest,
                          const TPMT_SIGNATURE *signature, struct err *e)
{
    uint8_t digest[ALG_MAX_DIGEST];
    const struct alg_hash *h = NULL;
    enum pubkey_scheme scheme = PUBKEY_ECDSA;
    struct buf raw = {0};
    int rc = -1;

    if (tpmwire_signature_raw(signature, &c->ak_key, &scheme, &h, &raw, e) == 0 &&
        hash_digest(h, buf_bytes(attest), digest, e) == 0)
        rc =
            pubkey_verify(&c->ak_key, scheme, h, -1, bytes_of(digest, h->size), buf_bytes(&raw), e);
    buf_free(&raw);
    return rc;
}

void evidence_rules_signature(struct evidence_case *c)
{
    struct err e = {0};

    if (!c->has_ak || !c->has_signature || !c->has_attest)
        evidence_rules_set(c, 6, EVIDENCE_NA, NOT_READ);
    else if (evidence_rules_signed(c, &c->bundle.certify.attest, &c->signature, &e) == 0)
        evidence_rules_set(c, 6, EVIDENCE_PASS, "the signature by the AK (%s) fits",
                           pubkey_name(&c->ak_key));
    else
        evidence_rules_set(c, 6, EVIDENCE_FAIL, "the attestation is not signed by the AK: %.120s",
                           e.msg);
}

/* --- 9 to 11: who, what, whose ---------------------------------------------- */

int evidence_rules_ak_qualified(const struct evidence_case *c, TPM2B_NAME *out, struct err *e)
{
    TPM2B_NAME root, ek;

    tpmname_handle(TPM2_RH_ENDORSEMENT, &root);
    if (tpmname_qualified(&root, &c->verdict->ek_name, &ek, e) != 0)
        return -1;
    return tpmname_qualified(&ek, &c->verdict->ak_name, out, e);
}

void evidence_rules_qualified_signer(struct evidence_case *c)
{
    TPM2B_NAME ak;

    if (!c->has_attest || c->verdict->ak_name.size == 0)
        evidence_rules_set(c, 9, EVIDENCE_NA, NOT_READ);
    else if (!c->has_ek)
        evidence_rules_set(c, 9, EVIDENCE_NA, "not judged: the EK has no Name, see check 18");
    else if (evidence_rules_ak_qualified(c, &ak, NULL) != 0)
        evidence_rules_set(c, 9, EVIDENCE_FAIL, "the qualified name of the AK cannot be computed");
    else
        evidence_rules_compare(c, 9, "the qualified name of the signer",
                               name_bytes(&c->attest.qualifiedSigner), name_bytes(&ak));
}

void evidence_rules_name(struct evidence_case *c)
{
    if (!c->has_key || !c->has_attest)
        evidence_rules_set(c, 10, EVIDENCE_NA, NOT_READ);
    else if (!is_certify(c))
        evidence_rules_set(c, 10, EVIDENCE_NA, "not judged: no object is certified, see check 4");
    else
        evidence_rules_compare(c, 10, "the attested Name",
                               name_bytes(&c->attest.attested.certify.name),
                               name_bytes(&c->key_name));
}

void evidence_rules_same_key(struct evidence_case *c)
{
    struct err e = {0};
    uint8_t actual[32], expected[32];
    struct pubkey k;

    if (!c->has_key || !c->verdict->has_subject)
        evidence_rules_set(c, 11, EVIDENCE_NA, NOT_READ);
    else if (pubkey_from_tpmt(&k, &c->key, &e) != 0 || pubkey_id(&k, expected, &e) != 0 ||
             pubkey_id(&c->verdict->subject, actual, &e) != 0)
        evidence_rules_set(c, 11, EVIDENCE_FAIL, "the certified key is unusable: %.160s", e.msg);
    else
        evidence_rules_compare(c, 11, "the hash of the request's key", bytes_of(actual, 32),
                               bytes_of(expected, 32));
}

/* --- 15, 16: freshness ------------------------------------------------------ */

struct bytes evidence_rules_nonce(const struct evidence_case *c)
{
    if (c->terms->nonce.len == 0 && c->record != NULL)
        return buf_bytes(&c->record->nonce);
    return c->terms->nonce;
}

void evidence_rules_qualifying(struct evidence_case *c)
{
    struct bytes nonce = evidence_rules_nonce(c);
    uint8_t want[32];
    struct err e = {0};

    if (!c->has_attest)
        evidence_rules_set(c, 15, EVIDENCE_NA, NOT_READ);
    else if (nonce.len == 0)
        evidence_rules_set(c, 15, EVIDENCE_NA, "not judged: no nonce is known, see check 16");
    else if (evidence_qualifying(nonce, c->csr, want, &e) != 0)
        evidence_rules_set(c, 15, EVIDENCE_FAIL, "the expected value cannot be computed: %.160s",
                           e.msg);
    else
        evidence_rules_compare(c, 15, "extraData",
                               bytes_of(c->attest.extraData.buffer, c->attest.extraData.size),
                               bytes_of(want, sizeof(want)));
}

void evidence_rules_nonce_state(struct evidence_case *c)
{
    struct bytes expected = c->terms->nonce, nonce = evidence_rules_nonce(c);

    if (nonce.len < EVIDENCE_NONCE_MIN || nonce.len > EVIDENCE_NONCE_MAX) {
        evidence_rules_set(c, 16, EVIDENCE_FAIL,
                           "a nonce of %zu bytes proves no freshness: %d to "
                           "%d are asked for",
                           nonce.len, EVIDENCE_NONCE_MIN, EVIDENCE_NONCE_MAX);
        return;
    }
    if (c->record != NULL && expected.len != 0 &&
        !bytes_equal(expected, buf_bytes(&c->record->nonce))) {
        evidence_rules_compare(c, 16, "the record's nonce", buf_bytes(&c->record->nonce), expected);
        return;
    }
    if (c->terms->nonce_state == EVIDENCE_NONCE_STALE)
        evidence_rules_set(c, 16, EVIDENCE_FAIL,
                           "the nonce has expired or was used before; ask "
                           "for a new invitation");
    else if (c->terms->nonce_state == EVIDENCE_NONCE_ASSERTED || expected.len == 0)
        evidence_rules_set(c, 16, EVIDENCE_ASSERTED,
                           "the issuer says that it gave out this nonce "
                           "and took it once");
    else
        evidence_rules_set(c, 16, EVIDENCE_PASS, "the nonce is ours, unexpired, and now used");
}
