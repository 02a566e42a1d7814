#include "ca/again.h"

#include "ca/registry_status.h"
#include "ca/seal.h"
#include "core/credential.h"
#include "core/hash.h"

/* Is it good now? A certificate is its serial number to the registry. */
static int still_good(struct registry *r, const struct registry_invitation *i, X509 *leaf,
                      int64_t now, struct err *e)
{
    char serial[ISSUE_SERIAL_TEXT];
    struct registry_cert c;
    int there;

    if (issue_serial(leaf, serial, e) != 0)
        return -1;
    there =
        registry_cert(r, registry_leaf_ca(r, i->community, i->level), i->community, serial, &c, e);
    if (there < 0)
        return -1;
    if (there == 0)
        return err_set(e, E_CORRUPT, "the certificate that was issued for %.100s is gone",
                       i->subject);
    if (c.status.state == REGISTRY_GOOD && c.expires_at > now)
        return 0;
    return err_set(e, E_REJECTED,
                   "the certificate that this request was given for %.100s %s; ask the authority "
                   "for a new invitation",
                   i->subject,
                   c.status.state == REGISTRY_REVOKED     ? "is revoked"
                   : c.status.state == REGISTRY_SUSPENDED ? "is suspended"
                                                          : "has ended");
}

/* The leaf itself says which evidence it stands on. */
static int belong(X509 *leaf, const struct evidence_record *record, struct err *e)
{
    uint8_t says[32], is[32];

    if (evidence_hash_get(leaf, says, e) != 0 || evidence_record_hash(record, is, e) != 0)
        return -1;
    return bytes_equal(bytes_of(says, 32), bytes_of(is, 32))
               ? 0
               : err_set(e, E_CORRUPT,
                         "the evidence of a certificate in the registry is not its own; restore "
                         "the registry from a backup");
}

int again_issued(struct authority *a, const struct registry_invitation *i, int64_t now, X509 **leaf,
                 struct buf *der, struct err *e)
{
    struct registry *r = authority_registry(a);
    struct buf cert_der = {0}, record_der = {0}, sealed = {0};
    struct evidence_record record = {0};
    X509 *cert = NULL;
    uint8_t hash[32];
    int rc = -1;

    if (registry_issued_of(r, i->issued, &cert_der, &record_der, e) != 0 ||
        issue_from_der(buf_bytes(&cert_der), &cert, e) != 0 ||
        still_good(r, i, cert, now, e) != 0 ||
        evidence_record_decode(buf_bytes(&record_der), &record, e) != 0 ||
        belong(cert, &record, e) != 0 ||
        seal_leaf(a, i->community, i->level, cert, &record, &sealed, e) != 0 ||
        hash_sha256(buf_bytes(&sealed), hash, e) != 0 ||
        registry_resealed(r, bytes_of(i->nonce, i->nonce_len), hash, e) != 0)
        goto out;
    buf_add_bytes(der, buf_bytes(&sealed));
    if (buf_ok(der, e) != 0)
        goto out;
    *leaf = cert;
    cert = NULL;
    rc = 0;
out:
    X509_free(cert);
    evidence_record_free(&record);
    buf_free(&cert_der);
    buf_free(&record_der);
    buf_free(&sealed);
    return rc;
}

bool again_is(struct authority *a, const struct registry_invitation *i, struct bytes sealed_pem)
{
    struct credential_sealed s = {0};
    struct buf der = {0};
    uint8_t hash[32];
    bool is;

    /* Read and written anew: what stands around the PEM block makes no other file of it. */
    is = i->issued != 0 && credential_from_pem(sealed_pem, &s, NULL) == 0 &&
         credential_encode(&s, &der, NULL) == 0 && hash_sha256(buf_bytes(&der), hash, NULL) == 0 &&
         registry_was_sealed(authority_registry(a), bytes_of(i->nonce, i->nonce_len), hash, NULL) ==
             1;
    credential_sealed_free(&s);
    buf_free(&der);
    return is;
}
