/* The issued certificate with its evidence, sealed to one TPM: the file and its content. */
#include "core/asn1.h"
#include "core/cipher.h"
#include "core/credential.h"
#include "core/kdf.h"

#include <openssl/rand.h>
#include <string.h>

#define VERSION 1
#define INFO "fusetsu sealed credential 1"
#define SECRET_LEN 32 /* no more than any EK's nameAlg gives (Part 3, 12.6.1) */

/* --- the content ----------------------------------------------------------- */

void credential_issued_free(struct credential_issued *c)
{
    if (c == NULL)
        return;
    X509_free(c->cert);
    sk_X509_pop_free(c->chain, X509_free);
    evidence_record_free(&c->record);
    *c = (struct credential_issued){0};
}

static int issued_encode(const struct credential_issued *c, struct buf *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_issued);
    asn1_issued *a = asn1_new(type, e);
    asn1_record *record = NULL;
    int rc = -1;

    if (a == NULL || evidence_record_to_asn1(&c->record, &record, e) != 0)
        goto out;
    asn1_free(a->evidence, ASN1_ITEM_rptr(asn1_record));
    a->evidence = record;
    if (c->cert == NULL || X509_up_ref(c->cert) != 1) {
        err_set(e, E_ARG, "the issued certificate is missing");
        goto out;
    }
    X509_free(a->certificate);
    a->certificate = c->cert;
    if (c->chain != NULL) {
        STACK_OF(X509) *chain = X509_chain_up_ref(c->chain);

        if (chain == NULL) {
            err_openssl(e, E_MEMORY, "copying a certificate chain");
            goto out;
        }
        sk_X509_pop_free(a->chain, X509_free);
        a->chain = chain;
    }
    rc = asn1_encode(a, type, out, e);
out:
    asn1_free(a, type);
    return rc;
}

static int issued_decode(struct bytes der, struct credential_issued *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_issued);
    struct credential_issued got = {0};
    asn1_issued *a = asn1_decode(type, der, CREDENTIAL_MAX, "issued credential", e);
    int rc = -1;

    if (a == NULL)
        return -1;
    if (evidence_record_from_asn1(a->evidence, &got.record, e) == 0) {
        got.cert = a->certificate;
        got.chain = a->chain;
        a->certificate = NULL;
        a->chain = NULL;
        *out = got;
        rc = 0;
    }
    asn1_free(a, type);
    return rc;
}

/* --- sealing --------------------------------------------------------------- */

static int seal_key(struct bytes secret, uint8_t key[32], struct err *e)
{
    return kdf_hkdf(secret, bytes_of(INFO, strlen(INFO)), key, 32, e);
}

static struct bytes name_bytes(const TPM2B_NAME *n)
{
    return bytes_of(n->name, n->size);
}

int credential_seal(const TPMT_PUBLIC *ek, const TPM2B_NAME *ak, const struct credential_issued *in,
                    struct credential_sealed *out, struct err *e)
{
    struct credential_sealed got = {.ak_name = *ak};
    struct secret *secret = secret_new(SECRET_LEN, e);
    struct buf plain = {0};
    uint8_t key[32], *sealed = NULL;
    int rc = -1;

    if (secret == NULL || issued_encode(in, &plain, e) != 0)
        goto out;
    sealed = OPENSSL_malloc(plain.len + GCM_TAG);
    if (sealed == NULL) {
        err_set(e, E_MEMORY, "out of memory for a sealed credential");
        goto out;
    }
    if (RAND_priv_bytes(secret_data(secret), SECRET_LEN) != 1 ||
        RAND_bytes(got.nonce, sizeof(got.nonce)) != 1) {
        err_openssl(e, E_CRYPTO, "random bytes");
        goto out;
    }
    if (credential_make(ek, ak, secret_bytes(secret), &got.blob, &got.encrypted_secret, e) != 0 ||
        seal_key(secret_bytes(secret), key, e) != 0 ||
        cipher_gcm_seal(key, got.nonce, name_bytes(ak), buf_bytes(&plain), sealed, e) != 0)
        goto out;
    buf_add(&got.sealed, sealed, plain.len + GCM_TAG);
    if (buf_ok(&got.sealed, e) != 0)
        goto out;
    *out = got;
    got = (struct credential_sealed){0};
    rc = 0;
out:
    secret_wipe(key, sizeof(key));
    secret_free(secret);
    credential_sealed_free(&got);
    OPENSSL_free(sealed);
    buf_free(&plain);
    return rc;
}

int credential_open(const struct credential_sealed *s, struct bytes secret,
                    struct credential_issued *out, struct err *e)
{
    uint8_t key[32], *plain = NULL;
    size_t len;
    int rc = -1;

    if (s->sealed.len <= GCM_TAG)
        return err_set(e, E_CORRUPT, "the sealed credential is empty; ask for it again");
    len = s->sealed.len - GCM_TAG;
    plain = OPENSSL_malloc(len);
    if (plain == NULL)
        return err_set(e, E_MEMORY, "out of memory for a sealed credential");
    if (seal_key(secret, key, e) != 0)
        goto out;
    if (cipher_gcm_open(key, s->nonce, name_bytes(&s->ak_name), buf_bytes(&s->sealed), plain,
                        NULL) != 0) {
        err_set(e, E_CORRUPT,
                "the sealed credential does not open: it was altered, or made for "
                "another TPM; ask the authority to issue it again");
        goto out;
    }
    rc = issued_decode(bytes_of(plain, len), out, e);
out:
    secret_wipe(key, sizeof(key));
    OPENSSL_free(plain);
    return rc;
}

/* --- the file -------------------------------------------------------------- */

void credential_sealed_free(struct credential_sealed *s)
{
    if (s == NULL)
        return;
    buf_free(&s->blob);
    buf_free(&s->encrypted_secret);
    buf_free(&s->sealed);
    *s = (struct credential_sealed){0};
}

int credential_encode(const struct credential_sealed *s, struct buf *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_sealed);
    asn1_sealed *a = asn1_new(type, e);
    int rc = -1;

    if (a == NULL || asn1_set_u32(a->version, VERSION, e) != 0 ||
        asn1_set_octets(a->ak_name, name_bytes(&s->ak_name), e) != 0 ||
        asn1_set_octets(a->blob, buf_bytes(&s->blob), e) != 0 ||
        asn1_set_octets(a->encrypted_secret, buf_bytes(&s->encrypted_secret), e) != 0 ||
        asn1_set_octets(a->nonce, bytes_of(s->nonce, sizeof(s->nonce)), e) != 0 ||
        asn1_set_octets(a->sealed, buf_bytes(&s->sealed), e) != 0)
        goto out;
    rc = asn1_encode(a, type, out, e);
out:
    asn1_free(a, type);
    return rc;
}

static int take_sealed(const asn1_sealed *a, struct credential_sealed *s, struct err *e)
{
    struct bytes name = asn1_octets(a->ak_name), nonce = asn1_octets(a->nonce);
    uint32_t version;

    if (asn1_u32(a->version, &version, e) != 0)
        return -1;
    if (version != VERSION)
        return err_set(e, version > VERSION ? E_VERSION : E_FORMAT,
                       "the sealed credential is of version %u, this program reads version %d",
                       (unsigned)version, VERSION);
    /* TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET are the bounds (Part 2, 12.4.3, 11.4.33). */
    if (name.len < 2 || name.len > sizeof(s->ak_name.name) || nonce.len != sizeof(s->nonce) ||
        asn1_octets(a->blob).len > sizeof(TPMS_ID_OBJECT) ||
        asn1_octets(a->encrypted_secret).len > sizeof(TPMU_ENCRYPTED_SECRET))
        return err_set(e, E_FORMAT,
                       "a part of the sealed credential has a length that no TPM "
                       "takes; ask the authority for a new one");
    memcpy(s->ak_name.name, name.p, name.len);
    s->ak_name.size = (UINT16)name.len;
    memcpy(s->nonce, nonce.p, nonce.len);
    buf_add_bytes(&s->blob, asn1_octets(a->blob));
    buf_add_bytes(&s->encrypted_secret, asn1_octets(a->encrypted_secret));
    buf_add_bytes(&s->sealed, asn1_octets(a->sealed));
    if (buf_ok(&s->blob, e) != 0 || buf_ok(&s->encrypted_secret, e) != 0)
        return -1;
    return buf_ok(&s->sealed, e);
}

int credential_decode(struct bytes der, struct credential_sealed *out, struct err *e)
{
    const ASN1_ITEM *type = ASN1_ITEM_rptr(asn1_sealed);
    struct credential_sealed got = {0};
    asn1_sealed *a = asn1_decode(type, der, CREDENTIAL_MAX, "sealed credential", e);
    int rc;

    if (a == NULL)
        return -1;
    rc = take_sealed(a, &got, e);
    if (rc == 0)
        *out = got;
    else
        credential_sealed_free(&got);
    asn1_free(a, type);
    return rc;
}

int credential_to_pem(const struct credential_sealed *s, struct buf *out, struct err *e)
{
    struct buf der = {0};
    int rc = credential_encode(s, &der, e);

    if (rc == 0)
        rc = asn1_pem_write(CREDENTIAL_PEM, buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

int credential_from_pem(struct bytes text, struct credential_sealed *out, struct err *e)
{
    struct buf der = {0};
    int rc = asn1_pem_read(CREDENTIAL_PEM, text, 2 * CREDENTIAL_MAX, &der, e);

    if (rc == 0)
        rc = credential_decode(buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}
