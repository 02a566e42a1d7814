/*
 * Target: what is handed in as CRLs of a federation. An input is a few CRLs in DER, each behind its length,
 * which are signed for real after the first byte says so, so that all rules are reached. Whatever is in
 * them, nothing breaks, only what is current and by the CA's key is taken, and no older one comes back.
 */
#include "core/asn1.h"
#include "core/federation_crls.h"
#include "tests/fuzz/input.h"

#include <openssl/err.h>

#define NOW 1800000000
#define MAX_CRLS 4

static X509 *ca_by(EVP_PKEY *key)
{
    static X509 *ca;
    const uint8_t name = 'a', bits[] = {0x03, 0x02, 0x01, 0x06}; /* keyCertSign, cRLSign */
    ASN1_OCTET_STRING *usage;
    X509_EXTENSION *ext;

    if (ca != NULL)
        return ca;
    ca = X509_new();
    usage = ASN1_OCTET_STRING_new();
    INPUT_HOLDS(ca != NULL && usage != NULL && ASN1_STRING_set(usage, bits, sizeof(bits)) == 1);
    ext = X509_EXTENSION_create_by_NID(NULL, NID_key_usage, 1, usage);
    INPUT_HOLDS(ext != NULL && X509_set_version(ca, X509_VERSION_3) == 1 &&
                X509_NAME_add_entry_by_NID(X509_get_subject_name(ca), NID_commonName,
                                           V_ASN1_UTF8STRING, &name, 1, -1, 0) == 1 &&
                X509_set_pubkey(ca, key) == 1 && X509_add_ext(ca, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(usage);
    return ca;
}

static EVP_PKEY *key_of_ca(void)
{
    static EVP_PKEY *key;
    const uint8_t seed[32] = {1};

    if (key == NULL)
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    INPUT_HOLDS(key != NULL);
    return key;
}

/* The same content with that CA's name and signature, as it would come out of a file; NULL: it cannot be
 * encoded. */
static X509_CRL *signed_again(X509_CRL *crl, X509 *ca)
{
    struct buf der = {0};
    X509_CRL *out = NULL;

    if (X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
        X509_CRL_sign(crl, key_of_ca(), NULL) > 0 &&
        asn1_encode(crl, ASN1_ITEM_rptr(X509_CRL), &der, NULL) == 0)
        out = asn1_decode(ASN1_ITEM_rptr(X509_CRL), buf_bytes(&der), BUF_MAX, "CRL", NULL);
    buf_free(&der);
    return out;
}

static void try_one(struct federation_crls *s, X509_CRL *crl, bool ours)
{
    X509_CRL *before = s->need[0].crl;
    enum federation_crls_taken how = FEDERATION_CRLS_SPARE;
    struct buf pem = {0};
    struct err e = {0};

    if (federation_crls_take(s, crl, NOW, &how, &e) != 0) {
        INPUT_HOLDS(e.code == E_REJECTED && s->need[0].crl == before);
        return;
    }
    INPUT_HOLDS(ours && how != FEDERATION_CRLS_SPARE && s->need[0].crl == crl);
    INPUT_HOLDS(chain_crl_current(crl, NOW) && chain_crl_fault(crl, s->need[0].by) == NULL);
    INPUT_HOLDS(federation_crls_take(s, crl, NOW, &how, NULL) == 0 && how == FEDERATION_CRLS_SAME);
    INPUT_HOLDS(federation_crls_lacking(s, OID_DEFENSE, NOW) == NULL);
    INPUT_HOLDS(federation_crls_pem(s, OID_DEFENSE, &pem, NULL) == 0 && pem.len != 0);
    (void)federation_crls_revoked(s, s->need[0].by);
    (void)federation_crls_due(&s->need[0], NOW);
    buf_free(&pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    bool ours = reader_u8(&r) != 0;
    X509 *ca = ca_by(key_of_ca());
    struct federation_crls s = {.need = {{.name = "root", .by = ca}}, .n = 1};

    for (int i = 0; i < MAX_CRLS && r.left != 0; i++) {
        struct bytes der = reader_2b(&r);
        X509_CRL *crl = asn1_decode(ASN1_ITEM_rptr(X509_CRL), der, BUF_MAX, "CRL", NULL),
                 *again = crl != NULL && ours ? signed_again(crl, ca) : NULL;

        if (crl != NULL && !ours)
            try_one(&s, crl, false);
        else if (again != NULL)
            try_one(&s, again, true);
        X509_CRL_free(again);
        X509_CRL_free(crl);
    }
    federation_crls_free(&s);
    ERR_clear_error();
    return 0;
}
