#include "ca/seal.h"

#include "core/credential.h"
#include "core/ektemplate.h"
#include "core/tpmname.h"

int seal_leaf(struct authority *a, unsigned community, unsigned level, X509 *leaf,
              const struct evidence_record *record, struct buf *der, struct err *e)
{
    struct credential_issued in = {.cert = leaf, .record = *record};
    struct credential_sealed sealed = {0};
    X509 *issuing = NULL, *attestation = NULL;
    TPM2B_NAME ak;
    TPMT_PUBLIC ek;
    int rc = -1;

    if (authority_cert(a, registry_leaf_ca(authority_registry(a), community, level), community,
                       &issuing, e) != 0 ||
        authority_cert(a, REGISTRY_ATTESTATION, 0, &attestation, e) != 0)
        return -1;
    in.chain = sk_X509_new_null();
    if (in.chain == NULL || sk_X509_push(in.chain, issuing) <= 0 ||
        sk_X509_push(in.chain, attestation) <= 0) {
        err_set(e, E_MEMORY, "out of memory while sealing a credential");
        goto out;
    }
    if (tpmname_object(buf_bytes(&record->ak_public), &ak, e) == 0 &&
        ektemplate_from_cert(record->ek_template, record->ek_cert, &ek, e) == 0 &&
        credential_seal(&ek, &ak, &in, &sealed, e) == 0)
        rc = credential_encode(&sealed, der, e);
out:
    /* Everything else in `in` is borrowed. */
    sk_X509_free(in.chain);
    credential_sealed_free(&sealed);
    return rc;
}
