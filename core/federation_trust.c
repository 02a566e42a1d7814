#include "core/federation_trust.h"

#include "core/asn1.h"

#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <string.h>

/* By which Java knows a certificate in a PKCS#12 file that is to be trusted; its value is what for,
 * anyExtendedKeyUsage. */
#define OID_JAVA_TRUSTED "2.16.840.1.113894.746875.1.1"
#define OID_ANY_USAGE "2.5.29.37.0"
#define MAC_ITERATIONS 10000

static void add(struct federation_trust *t, const char *name, X509 *cert)
{
    t->name[t->n] = name;
    t->cert[t->n++] = cert;
}

int federation_trust(const struct federation *f, unsigned side, unsigned community, bool ike,
                     struct federation_trust *out, struct err *e)
{
    const struct federation_side *s = &f->side[side];
    const struct federation_community *c;
    struct federation_trust t = {.n = 0};

    if (community < 1 || community > OID_COMMUNITIES || !s->community[community].open)
        return err_set(e, E_NOT_FOUND, "that community is not open in this federation");
    c = &s->community[community];
    if (ike && (c->issuing_ike == NULL || c->cross_ike == NULL))
        return err_set(e, E_NOT_FOUND, "there are no certificates for IKE of %s",
                       oid_community_name(community));
    add(&t, "root", s->root);
    add(&t, "cross-ca", s->cross_ca);
    add(&t, "cross", ike ? c->cross_ike : c->cross);
    add(&t, "issuing", ike ? c->issuing_ike : c->issuing);
    *out = t;
    return 0;
}

void federation_trust_anchors(const struct federation_trust *t, const struct federation_crls *crls,
                              struct federation_trust *out)
{
    bool cut = false;

    *out = (struct federation_trust){.n = 0};
    for (size_t i = 0; i < t->n; i++) {
        bool revoked = federation_crls_revoked(crls, t->cert[i]);

        if (strcmp(t->name[i], "cross-ca") == 0)
            cut = revoked;
        else if (strcmp(t->name[i], "cross") == 0 ? !cut && !revoked
                                                  : strcmp(t->name[i], "issuing") == 0 && !revoked)
            add(out, t->name[i], t->cert[i]);
    }
}

int federation_trust_pem(const struct federation_trust *t, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        struct buf der = {0};
        int rc = asn1_encode(t->cert[i], ASN1_ITEM_rptr(X509), &der, e);

        if (rc == 0)
            rc = asn1_pem_write("CERTIFICATE", buf_bytes(&der), out, e);
        buf_free(&der);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static bool add_bag(STACK_OF(PKCS12_SAFEBAG) * *bags, X509 *cert, const char *name)
{
    ASN1_OBJECT *usage = OBJ_txt2obj(OID_ANY_USAGE, 1);
    PKCS12_SAFEBAG *bag = usage != NULL ? PKCS12_add_cert(bags, cert) : NULL;
    bool ok = bag != NULL && PKCS12_add_friendlyname_utf8(bag, name, -1) == 1 &&
              PKCS12_add1_attr_by_txt(bag, OID_JAVA_TRUSTED, V_ASN1_OBJECT,
                                      (const unsigned char *)usage, -1) == 1;

    ASN1_OBJECT_free(usage);
    return ok;
}

int federation_trust_p12(const struct federation_trust *t, struct buf *out, struct err *e)
{
    STACK_OF(PKCS12_SAFEBAG) *bags = NULL;
    STACK_OF(PKCS7) *safes = NULL;
    PKCS12 *p12 = NULL;
    bool ok = true;
    int rc = -1;

    for (size_t i = 0; ok && i < t->n; i++)
        ok = add_bag(&bags, t->cert[i], t->name[i]);
    /* Not encrypted: certificates are public. */
    if (ok && PKCS12_add_safe(&safes, bags, -1, 0, NULL) == 1 &&
        (p12 = PKCS12_add_safes(safes, 0)) != NULL &&
        PKCS12_set_mac(p12, FEDERATION_P12_PASSWORD, -1, NULL, 0, MAC_ITERATIONS, EVP_sha256()) ==
            1)
        rc = asn1_encode(p12, ASN1_ITEM_rptr(PKCS12), out, e);
    else
        err_openssl(e, E_CRYPTO, "making a trust store for Java");
    sk_PKCS12_SAFEBAG_pop_free(bags, PKCS12_SAFEBAG_free);
    sk_PKCS7_pop_free(safes, PKCS7_free);
    PKCS12_free(p12);
    return rc;
}
