#include "tpm/primary_prove.h"

#include "core/ektemplate.h"
#include "core/tpmname.h"
#include "tpm/attest.h"
#include "tpm/ek.h"
#include "tpm/policy.h"
#include "tpm/rc.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* NIST SP 800-57: 112 bits, what RSA-2048 and SHA-256 reach and SHA-1 does not. */
#define AUTH_LEVEL 2
#define MAX_DEPTH 8

static STACK_OF(X509) * read_issuers(struct bytes pem)
{
    STACK_OF(X509) *list = sk_X509_new_null();
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.len);
    X509 *x;

    while (list != NULL && in != NULL && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_push(list, x) <= 0)
            X509_free(x);
    }
    BIO_free(in);
    ERR_clear_error();
    return list;
}

/* A path from the certificate to one of the issuers, which need not be self-signed. */
static int check_issuer(X509 *cert, struct bytes issuers, struct err *e)
{
    STACK_OF(X509) *trusted = read_issuers(issuers);
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    const char *why = "out of memory";
    X509_VERIFY_PARAM *p;
    int rc = -1;

    if (trusted == NULL || ctx == NULL || X509_STORE_CTX_init(ctx, NULL, cert, NULL) != 1)
        goto out;
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    p = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_depth(p, MAX_DEPTH);
    X509_VERIFY_PARAM_set_auth_level(p, AUTH_LEVEL);
    if (X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN) != 1)
        goto out;
    if (X509_verify_cert(ctx) == 1)
        rc = 0;
    else
        why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
out:
    if (rc != 0)
        err_set(e, E_REJECTED,
                "none of the issuers that were given vouches for the TPM's endorsement "
                "certificate: %s",
                why);
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    sk_X509_pop_free(trusted, X509_free);
    return rc;
}

/* The EK as its certificate has it. */
static int certified(const struct attest_ek *found, struct bytes issuers, TPMT_PUBLIC *pub,
                     TPM2B_NAME *name, struct err *e)
{
    const unsigned char *p = found->cert.p;
    X509 *cert = d2i_X509(NULL, &p, (long)found->cert.len);
    struct buf wire = {0};
    int rc = -1;

    if (cert == NULL) {
        err_openssl(e, E_FORMAT, "the EK certificate in NV");
        goto out;
    }
    if ((issuers.len == 0 || check_issuer(cert, issuers, e) == 0) &&
        ektemplate_from_cert(found->index, cert, pub, e) == 0 &&
        tpmname_marshal_public(pub, &wire, e) == 0 &&
        tpmname_object(buf_bytes(&wire), name, e) == 0)
        rc = 0;
out:
    X509_free(cert);
    buf_free(&wire);
    return rc;
}

/* The proof itself, on the EK that is loaded. */
static int prove(struct tpm *t, const struct salt_key *ek, const struct salt_key *primary,
                 struct err *e)
{
    struct session under = {0}, inner = {0};
    struct err why = {0};
    TSS2_RC base;
    int rc = -1;

    if (session_start(t, TPM2_SE_HMAC, ek, &under, e) != 0)
        return -1;
    rc = policy_start(t, primary, &under, &inner, &why);
    session_end(t, &inner);
    session_end(t, &under);
    if (rc == 0)
        return 0;
    base = rc_base(why.rc);
    if (why.code == E_TAMPERED || base == TPM2_RC_BAD_AUTH || base == TPM2_RC_AUTH_FAIL ||
        base == TPM2_RC_HANDLE || base == TPM2_RC_KEY || base == TPM2_RC_ATTRIBUTES)
        return err_set_rc(e, E_TAMPERED, why.rc,
                          "the storage primary at 0x%08x is not in the TPM that holds the "
                          "certified endorsement key: something between this program and the TPM "
                          "put another key in its place",
                          primary->handle);
    return err_take(e, &why);
}

static int with_ek(struct tpm *t, const struct attest_ek *found, const struct salt_key *primary,
                   struct bytes issuers, struct primary_proof *out, struct err *e)
{
    TPMT_PUBLIC pub;
    TPM2B_NAME name;
    struct ek ek;
    int rc = -1;

    if (certified(found, issuers, &pub, &name, e) != 0)
        return -1;
    if (ek_find(t, found->index, &ek, &out->why) != 0) {
        /* The endorsement hierarchy is closed to us: nothing is proved either way. */
        ek_leave(t, &ek);
        return issuers.len == 0 ? 0 : err_take(e, &out->why);
    }
    if (!tpmname_equal(&ek.name, &name))
        err_set(e, E_TAMPERED,
                "the TPM's endorsement key is not the one in its certificate at NV index 0x%08x",
                found->index);
    else
        rc = prove(t, &(struct salt_key){ek.handle, &pub}, primary, e);
    ek_leave(t, &ek);
    if (rc == 0) {
        out->ek = name;
        out->issuer = issuers.len != 0;
    }
    return rc;
}

int primary_prove(struct tpm *t, uint32_t handle, struct bytes wire, struct bytes issuers,
                  struct primary_proof *out, struct err *e)
{
    struct primary_proof p = {0};
    struct attest_ek found = {0};
    TPMT_PUBLIC primary;
    int rc = -1;

    if (tpmname_unmarshal_public(wire, &primary, e) != 0)
        return -1;
    if (attest_ek_first(t, &found, &p.why) == 0)
        rc = with_ek(t, &found, &(struct salt_key){handle, &primary}, issuers, &p, e);
    else if (p.why.code == E_NOT_FOUND && issuers.len == 0)
        rc = 0;
    else
        err_take(e, &p.why);
    buf_free(&found.cert);
    if (rc == 0)
        *out = p;
    return rc;
}
