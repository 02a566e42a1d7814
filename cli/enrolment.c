/* The request for a certificate, with evidence, as its applicant makes it. */
#include "cli/enrolment.h"

#include "ca/issue.h"
#include "cli/approvals.h"
#include "cli/certs.h"
#include "cli/keyring.h"
#include "pkcs11/keyspec.h"
#include "tpm/pcr.h"

#include <openssl/x509v3.h>
#include <string.h>

/* The EK certificate to prove the TPM with: the one that the invitation is bound to, or
 * the first. Returns its place in the list. */
static int choose_ek(const struct attest_ek *ek, size_t n, const struct evidence_invitation *v,
                     size_t *at, X509 **cert, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct err why = {0}; /* one that cannot be read is passed over */
        X509 *x = NULL;
        struct pubkey pub;
        uint8_t id[32];

        if (issue_from_der(buf_bytes(&ek[i].cert), &x, &why) == 0 &&
            pubkey_from_x509(&pub, x, &why) == 0 && pubkey_id(&pub, id, &why) == 0 &&
            (!v->has_ek || bytes_equal(bytes_of(id, 32), bytes_of(v->ek_spki, 32)))) {
            *at = i;
            *cert = x;
            return 0;
        }
        X509_free(x);
    }
    if (v->has_ek)
        return err_set(e, E_REJECTED,
                       "the invitation is bound to the EK of another TPM; use the machine that it "
                       "was made for, or ask for another invitation");
    return err_set(e, E_FORMAT, "none of the EK certificates in the TPM can be read");
}

/* Subject and names as the authority will derive them; it copies none of this (check 23 of
 * the evidence rules), but a request that names somebody else is refused. */
static int name_csr(X509_REQ *csr, const char *name, struct err *e)
{
    STACK_OF(X509_EXTENSION) *exts = NULL;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *gn = GENERAL_NAME_new();
    ASN1_IA5STRING *ia5 = ASN1_IA5STRING_new();
    X509_NAME *subject = X509_NAME_new();
    int rc = -1;

    if (names == NULL || gn == NULL || ia5 == NULL || subject == NULL ||
        ASN1_STRING_set(ia5, name, -1) != 1 || sk_GENERAL_NAME_push(names, gn) <= 0)
        goto out;
    GENERAL_NAME_set0_value(gn, strchr(name, '@') != NULL ? GEN_EMAIL : GEN_DNS, ia5);
    gn = NULL;
    ia5 = NULL;
    if (X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, 0) == 1 &&
        X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                   (const unsigned char *)name, -1, -1, 0) == 1 &&
        X509_REQ_set_subject_name(csr, subject) == 1 && X509_REQ_add_extensions(csr, exts) == 1)
        rc = 0;
out:
    if (rc != 0)
        err_openssl(e, E_CRYPTO, "building the certification request");
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    GENERAL_NAME_free(gn);
    GENERAL_NAMES_free(names);
    ASN1_IA5STRING_free(ia5);
    X509_NAME_free(subject);
    return rc;
}

static int add_ak_cert(const struct enrolment *p, struct evidence_bundle *b, struct err *e)
{
    if (p->ak_cert == NULL)
        return 0;
    b->certs = sk_X509_new_null();
    if (b->certs == NULL || X509_up_ref(p->ak_cert) != 1 || sk_X509_push(b->certs, p->ak_cert) <= 0)
        return err_set(e, E_MEMORY, "out of memory for a certificate");
    return 0;
}

/* The attestation bundle: what the TPM says over exactly this request. */
static int attach_evidence(struct token *t, const struct enrolment *p, X509_REQ *csr, struct err *e)
{
    struct evidence_bundle b = {0};
    uint8_t qualifying[32];
    int rc = -1;

    if (evidence_qualifying(bytes_of(p->invite.nonce, p->invite.nonce_len), csr, qualifying, e) ==
            0 &&
        attest_collect(t, &p->key, &p->ak, qualifying, &p->wanted, &b, e) == 0 &&
        add_ak_cert(p, &b, e) == 0)
        rc = evidence_bundle_attach(csr, &b, e);
    evidence_bundle_free(&b);
    return rc;
}

/* The same request read back from its bytes: what X509_REQ_set_pubkey() was given borrows
 * the signer, and must not outlive it inside the request. */
static int detach(X509_REQ *csr, X509_REQ **out, struct err *e)
{
    unsigned char *der = NULL;
    int len = i2d_X509_REQ(csr, &der);
    const unsigned char *p = der;
    X509_REQ *copy = len > 0 ? d2i_X509_REQ(NULL, &p, len) : NULL;

    OPENSSL_free(der);
    if (copy == NULL)
        return err_openssl(e, E_CRYPTO, "reading back the certification request");
    *out = copy;
    return 0;
}

/* The request's own signature: a key of mode EACH wants the PIN once more. */
static int sign_csr(struct cli *c, struct token *t, const struct store_key *key, X509_REQ *csr,
                    EVP_PKEY *evp, struct err *e)
{
    struct token_proof *proof = NULL;
    int rc = -1;

    if (key->mode == STORE_KEY_EACH && approvals_pin(c, t, key, &proof, e) != 0)
        return -1;
    token_present(t, proof);
    if (X509_REQ_sign(csr, evp, EVP_sha256()) > 0)
        rc = 0;
    else
        err_openssl(e, E_CRYPTO, "signing the certification request with the TPM's key");
    token_proof_free(t, proof);
    return rc;
}

static int build_csr(struct cli *c, struct token *t, const struct enrolment *p, X509_REQ **out,
                     struct err *e)
{
    X509_REQ *csr = X509_REQ_new();
    struct signer *signer = NULL;
    EVP_PKEY *evp = NULL, *pub = NULL;
    int rc = -1;

    if (csr == NULL || token_signer(t, &p->key, &signer, e) != 0 ||
        (evp = signer_evp(signer, e)) == NULL || (pub = signer_evp_public(&signer->pub, e)) == NULL)
        goto out;
    /* Version 1 is written as 0 (RFC 2986, 4.1). */
    if (X509_REQ_set_version(csr, 0) != 1 || X509_REQ_set_pubkey(csr, pub) != 1) {
        err_openssl(e, E_CRYPTO, "building the certification request");
        goto out;
    }
    if (name_csr(csr, p->invite.subject, e) != 0 || attach_evidence(t, p, csr, e) != 0 ||
        sign_csr(c, t, &p->key, csr, evp, e) != 0)
        goto out;
    rc = detach(csr, out, e);
out:
    if (rc != 0)
        err_set(e, E_MEMORY, "out of memory for a certification request");
    EVP_PKEY_free(evp);
    EVP_PKEY_free(pub);
    signer_free(signer);
    X509_REQ_free(csr);
    return rc;
}

/* --- all of it --------------------------------------------------------------------- */

void enrolment_free(struct enrolment *p)
{
    evidence_request_free(&p->request);
    X509_free(p->ak_cert);
    attest_ek_free(p->ek, p->n_ek);
    store_key_free(&p->ak);
    store_key_free(&p->key);
}

static int own_ek(struct token *t, struct enrolment *p, struct err *e)
{
    size_t at = 0;

    if (attest_ek_read(token_tpm(t), &p->ek, &p->n_ek, e) != 0 ||
        choose_ek(p->ek, p->n_ek, &p->invite, &at, &p->request.ek_cert, e) != 0)
        return -1;
    p->request.ek_template = p->ek[at].index;
    return 0;
}

/* The one certificate of a file, whose key the TPM says that it has. */
static int read_ek(struct tpm *t, const char *path, X509 **cert, uint32_t *index, struct err *e)
{
    STACK_OF(X509) *certs = NULL;
    int rc = -1;

    if (certs_read(path, &certs, e) != 0)
        return -1;
    if (sk_X509_num(certs) != 1)
        err_set(e, E_FORMAT, "%s is to hold one certificate, that of the endorsement key", path);
    else
        rc = attest_ek_match(t, sk_X509_value(certs, 0), index, e);
    if (rc == 0)
        *cert = sk_X509_shift(certs);
    certs_free(certs);
    return rc;
}

static int given_ek(struct token *t, const char *path, struct enrolment *p, struct err *e)
{
    struct pubkey pub;
    uint8_t id[32];

    if (read_ek(token_tpm(t), path, &p->request.ek_cert, &p->request.ek_template, e) != 0 ||
        pubkey_from_x509(&pub, p->request.ek_cert, e) != 0 || pubkey_id(&pub, id, e) != 0)
        return -1;
    if (p->invite.has_ek && !bytes_equal(bytes_of(id, 32), bytes_of(p->invite.ek_spki, 32)))
        return err_set(e, E_REJECTED,
                       "the invitation is bound to another endorsement key than that of %s", path);
    return 0;
}

int enrolment_template(struct tpm *t, const char *ek, uint32_t *index, struct err *e)
{
    struct attest_ek first = {0};
    X509 *cert = NULL;
    int rc = ek != NULL ? read_ek(t, ek, &cert, index, e) : attest_ek_first(t, &first, e);

    if (rc == 0 && ek == NULL)
        *index = first.index;
    buf_free(&first.cert);
    X509_free(cert);
    return rc;
}

/* The TPM's own part, before any key is made: EK certificate and attestation key. */
int enrolment_prepare(struct token *t, const char *ek, const char *chain, struct enrolment *p,
                      struct err *e)
{
    if ((ek != NULL ? given_ek(t, ek, p, e) : own_ek(t, p, e)) != 0)
        return -1;
    if (chain != NULL && certs_read(chain, &p->request.ek_chain, e) != 0)
        return -1;
    if (attest_ak(t, p->request.ek_template, &p->ak, e) != 0)
        return -1;
    buf_add_bytes(&p->request.ak_public, buf_bytes(&p->ak.public));
    return buf_ok(&p->request.ak_public, e);
}

/* The AK's certificate that an earlier enrolment left on the token; of several the last. By it an
 * authority knows at once that it is this TPM which speaks. */
static int find_ak_cert(struct keyring *k, struct enrolment *p, struct err *e)
{
    struct keyring_object *list = NULL;
    struct pubkey ak, has;
    size_t n = 0;

    if (token_key_public(&p->ak, &ak, e) != 0 ||
        keyring_list(k, CKO_CERTIFICATE, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        struct err ignored = {0}; /* one that cannot be read is not the AK's */
        X509 *cert = NULL;

        if (issue_from_der(buf_bytes(&list[i].value), &cert, &ignored) == 0 &&
            pubkey_from_x509(&has, cert, &ignored) == 0 && pubkey_equal(&has, &ak)) {
            X509_free(p->ak_cert);
            p->ak_cert = cert;
            cert = NULL;
        }
        X509_free(cert);
    }
    keyring_objects_free(list, n);
    return 0;
}

int enrolment_finish(struct cli *c, struct keyring *k, const struct keyring_object *key, bool made,
                     struct enrolment *p, struct buf *pem, struct err *e)
{
    struct token *t = NULL;

    if (keyring_token(k, &t, e) != 0)
        return -1;
    /* A key that was there before was made for something else. */
    p->wanted.creation = made;
    p->wanted.pin = token_row(t)->nv[STORE_NV_U].name.len != 0;
    if (find_ak_cert(k, p, e) != 0)
        return -1;
    if (keyring_blob(k, key, &p->key, e) != 0 || build_csr(c, t, p, &p->request.csr, e) != 0)
        return -1;
    return evidence_request_to_pem(&p->request, pem, e);
}

int enrolment_pcrs(const char *list, struct key_pcrs *out, struct err *e)
{
    if (list == NULL || (keyspec_pcrs(bytes_of(list, strlen(list)), out) && pcr_check(out, e) == 0))
        return 0;
    return cli_misuse(e, "--pcrs is a bank and numbers from 0 to 23, like sha256:0,2,4,7");
}
