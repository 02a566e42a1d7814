#include "core/evidence_parts.h"

#include "core/asn1.h"
#include "core/csr.h"

#include <openssl/err.h>
#include <pthread.h>

/* --- the certification request -------------------------------------------------------------- */

int evidence_parts_put_csr(X509_REQ *from, ASN1_TYPE *to, struct err *e)
{
    uint8_t *der = NULL;
    int len = from != NULL ? i2d_X509_REQ(from, &der) : 0;
    ASN1_STRING *s = NULL;
    int rc = -1;

    if (len <= 0) {
        err_openssl(e, E_ARG, "the certification request is missing or not signed yet");
        goto out;
    }
    s = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    if (s == NULL || ASN1_STRING_set(s, der, len) != 1) {
        err_set(e, E_MEMORY, "out of memory for a certification request");
        goto out;
    }
    ASN1_TYPE_set(to, V_ASN1_SEQUENCE, s);
    s = NULL;
    rc = 0;
out:
    ASN1_STRING_free(s);
    OPENSSL_free(der);
    return rc;
}

int evidence_parts_take_csr(const ASN1_TYPE *from, X509_REQ **to, struct err *e)
{
    X509_REQ *got;

    if (ASN1_TYPE_get(from) != V_ASN1_SEQUENCE)
        return err_set(e, E_FORMAT, "the certification request is not a SEQUENCE");
    got = csr_decode(asn1_octets(from->value.sequence), EVIDENCE_MAX, e);
    if (got == NULL)
        return -1;
    *to = got;
    return 0;
}

/* --- issuers ----------------------------------------------------------------------------------- */

#define KEPT 16

static struct {
    pthread_mutex_t lock;
    struct {
        struct buf der;
        X509 *cert;
    } kept[KEPT];
    size_t next;
} issuers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static X509 *find(struct bytes der)
{
    X509 *found = NULL;

    pthread_mutex_lock(&issuers.lock);
    for (size_t i = 0; i < KEPT && found == NULL; i++) {
        if (issuers.kept[i].cert != NULL && bytes_equal(buf_bytes(&issuers.kept[i].der), der) &&
            X509_up_ref(issuers.kept[i].cert) == 1)
            found = issuers.kept[i].cert;
    }
    pthread_mutex_unlock(&issuers.lock);
    return found;
}

/* It is no fault when there is no room for it. */
static void keep(struct bytes der, X509 *cert)
{
    struct buf copy = {0};

    buf_add_bytes(&copy, der);
    if (buf_ok(&copy, NULL) != 0 || X509_up_ref(cert) != 1) {
        buf_free(&copy);
        return;
    }
    pthread_mutex_lock(&issuers.lock);
    buf_free(&issuers.kept[issuers.next].der);
    X509_free(issuers.kept[issuers.next].cert);
    issuers.kept[issuers.next].der = copy;
    issuers.kept[issuers.next].cert = cert;
    issuers.next = (issuers.next + 1) % KEPT;
    pthread_mutex_unlock(&issuers.lock);
}

static X509 *read_issuer(struct bytes der, struct err *e)
{
    X509 *cert = find(der);

    if (cert != NULL)
        return cert;
    cert = asn1_decode(ASN1_ITEM_rptr(X509), der, EVIDENCE_MAX, "certificate of an EK issuer", e);
    if (cert != NULL)
        keep(der, cert);
    return cert;
}

int evidence_parts_put_chain(STACK_OF(X509) * from, STACK_OF(ASN1_TYPE) * *to, struct err *e)
{
    int n = from != NULL ? sk_X509_num(from) : 0;

    if (n <= 0)
        return 0;
    *to = sk_ASN1_TYPE_new_null();
    for (int i = 0; i < n && *to != NULL; i++) {
        ASN1_TYPE *t = ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(X509), sk_X509_value(from, i), NULL);

        if (t == NULL || sk_ASN1_TYPE_push(*to, t) <= 0) {
            ASN1_TYPE_free(t);
            break;
        }
    }
    if (*to == NULL || sk_ASN1_TYPE_num(*to) != n)
        return err_openssl(e, E_MEMORY, "copying a certificate chain");
    return 0;
}

int evidence_parts_take_chain(const STACK_OF(ASN1_TYPE) * from, STACK_OF(X509) * *to,
                              const char *what, struct err *e)
{
    STACK_OF(X509) *got = NULL;

    if (from == NULL)
        return 0;
    if (sk_ASN1_TYPE_num(from) == 0)
        return err_set(e, E_FORMAT, "the %s has an empty list of certificates", what);
    got = sk_X509_new_null();
    for (int i = 0; got != NULL && i < sk_ASN1_TYPE_num(from); i++) {
        const ASN1_TYPE *t = sk_ASN1_TYPE_value(from, i);
        X509 *cert;

        if (ASN1_TYPE_get(t) != V_ASN1_SEQUENCE) {
            err_set(e, E_FORMAT, "the %s has something else among its certificates", what);
            goto bad;
        }
        cert = read_issuer(asn1_octets(t->value.sequence), e);
        if (cert == NULL)
            goto bad;
        if (sk_X509_push(got, cert) <= 0) {
            X509_free(cert);
            err_set(e, E_MEMORY, "out of memory for certificates");
            goto bad;
        }
    }
    if (got == NULL)
        return err_set(e, E_MEMORY, "out of memory for certificates");
    *to = got;
    return 0;
bad:
    sk_X509_pop_free(got, X509_free);
    return -1;
}
