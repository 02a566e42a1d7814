#include "core/federation_cms.h"

#include "core/asn1.h"
#include "core/hash.h"
#include "core/pubkey.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#define LABEL "CMS"
#define SIGNED_MAX (FEDERATION_MAX + 65536)
#define SIGNERS_MAX 2
#define BEGIN "-----BEGIN "

bool federation_is_signed(struct bytes in)
{
    return in.len > sizeof(BEGIN) && memcmp(in.p, BEGIN, sizeof(BEGIN) - 1) == 0;
}

/* Strict DER, of SignedData with the text inside, by two at most, with no certificates and CRLs. */
static CMS_ContentInfo *read_cms(struct bytes in, struct buf *text, struct err *e)
{
    CMS_ContentInfo *cms = NULL;
    ASN1_OCTET_STRING **content;
    STACK_OF(X509) *certs = NULL;
    STACK_OF(X509_CRL) *crls = NULL;
    struct buf der = {0};

    if (asn1_pem_read(LABEL, in, SIGNED_MAX, &der, e) != 0 ||
        (cms = asn1_decode(ASN1_ITEM_rptr(CMS_ContentInfo), buf_bytes(&der), SIGNED_MAX,
                           "signed federation", e)) == NULL)
        goto out;
    content = OBJ_obj2nid(CMS_get0_type(cms)) == NID_pkcs7_signed ? CMS_get0_content(cms) : NULL;
    certs = content != NULL ? CMS_get1_certs(cms) : NULL;
    crls = content != NULL ? CMS_get1_crls(cms) : NULL;
    if (content == NULL || *content == NULL ||
        OBJ_obj2nid(CMS_get0_eContentType(cms)) != NID_pkcs7_data || sk_X509_num(certs) > 0 ||
        sk_X509_CRL_num(crls) > 0 || sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)) < 1 ||
        sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms)) > SIGNERS_MAX) {
        err_set(e, E_FORMAT,
                "it is no signed federation: the text and one or two signatures, nothing else");
        CMS_ContentInfo_free(cms);
        cms = NULL;
        goto out;
    }
    buf_add_bytes(text, asn1_octets(*content));
out:
    ERR_clear_error();
    sk_X509_pop_free(certs, X509_free);
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    buf_free(&der);
    return cms;
}

int federation_text(struct bytes in, struct buf *out, int *signers, struct err *e)
{
    CMS_ContentInfo *cms;

    *signers = 0;
    if (!federation_is_signed(in)) {
        buf_add_bytes(out, in);
        return buf_ok(out, e);
    }
    cms = read_cms(in, out, e);
    if (cms == NULL)
        return -1;
    *signers = sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(cms));
    CMS_ContentInfo_free(cms);
    return buf_ok(out, e);
}

/* --- signing ----------------------------------------------------------------------------------- */

static int side_with_root(const struct federation *f, X509 *root)
{
    for (size_t i = 0; i < f->n_side; i++) {
        if (X509_cmp(f->side[i].root, root) == 0)
            return (int)i;
    }
    return -1;
}

static int may_sign(struct bytes text, X509 *cert, int64_t now, struct err *e)
{
    struct federation f = {.n_side = 0};
    int rc = -1;

    if (federation_parse(text, &f, e) != 0)
        return -1;
    if (!f.whole)
        err_set(e, E_REJECTED, "it is a part, of one authority; put both together first");
    else if (side_with_root(&f, cert) < 0)
        err_set(e, E_REJECTED, "it names another root for this authority, or not this authority");
    else
        rc = federation_check(&f, now, e);
    federation_free(&f);
    return rc;
}

/* A new SignedData around the text, which nobody has signed: CMS_final() makes none of those. */
static CMS_ContentInfo *begin(struct bytes text, struct err *e)
{
    CMS_ContentInfo *cms =
        CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY | CMS_NOCERTS | CMS_NOSMIMECAP);
    ASN1_OCTET_STRING **content = cms != NULL ? CMS_get0_content(cms) : NULL;

    if (content != NULL && *content == NULL)
        *content = ASN1_OCTET_STRING_new();
    if (content == NULL || *content == NULL || asn1_set_octets(*content, text, NULL) != 0) {
        CMS_ContentInfo_free(cms);
        err_openssl(e, E_CRYPTO, "beginning a signed federation");
        return NULL;
    }
    /* Not to come by streaming. */
    (*content)->flags &= ~ASN1_STRING_FLAG_CONT;
    return cms;
}

static bool has_signed(CMS_ContentInfo *cms, X509 *cert)
{
    STACK_OF(CMS_SignerInfo) *list = CMS_get0_SignerInfos(cms);

    for (int i = 0; i < sk_CMS_SignerInfo_num(list); i++) {
        if (CMS_SignerInfo_cert_cmp(sk_CMS_SignerInfo_value(list, i), cert) == 0)
            return true;
    }
    return false;
}

/* One signature more. CMS_final would go over those that are there, so this one is finished alone:
 * its message digest is set before. */
static int add_signature(CMS_ContentInfo *cms, struct bytes text, X509 *cert, EVP_PKEY *key,
                         const EVP_MD *md, struct err *e)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    CMS_SignerInfo *si = CMS_add1_signer(cms, cert, key, md,
                                         CMS_PARTIAL | CMS_NOCERTS | CMS_NOSMIMECAP | CMS_BINARY);

    if (si == NULL || EVP_Digest(text.p, text.len, digest, &n, md, NULL) != 1 ||
        CMS_signed_add1_attr_by_NID(si, NID_pkcs9_contentType, V_ASN1_OBJECT,
                                    OBJ_nid2obj(NID_pkcs7_data), -1) != 1 ||
        CMS_signed_add1_attr_by_NID(si, NID_pkcs9_messageDigest, V_ASN1_OCTET_STRING, digest,
                                    (int)n) != 1 ||
        CMS_SignerInfo_sign(si) != 1)
        return err_openssl(e, E_CRYPTO, "signing the federation");
    return 0;
}

int federation_sign(struct bytes in, X509 *cert, EVP_PKEY *key, const EVP_MD *md, int64_t now,
                    struct buf *out, struct err *e)
{
    struct buf text = {0}, der = {0};
    CMS_ContentInfo *cms = NULL;
    int rc = -1;

    if (federation_is_signed(in)) {
        cms = read_cms(in, &text, e);
        if (cms == NULL)
            goto out;
    } else {
        buf_add_bytes(&text, in);
    }
    if (buf_ok(&text, e) != 0 || may_sign(buf_bytes(&text), cert, now, e) != 0)
        goto out;
    if (cms == NULL && (cms = begin(buf_bytes(&text), e)) == NULL)
        goto out;
    if (has_signed(cms, cert)) {
        err_set(e, E_REJECTED, "this authority has signed it already");
        goto out;
    }
    if (add_signature(cms, buf_bytes(&text), cert, key, md, e) == 0 &&
        asn1_encode(cms, ASN1_ITEM_rptr(CMS_ContentInfo), &der, e) == 0)
        rc = asn1_pem_write(LABEL, buf_bytes(&der), out, e);
out:
    CMS_ContentInfo_free(cms);
    buf_free(&text);
    buf_free(&der);
    return rc;
}

/* --- verifying -------------------------------------------------------------------------------------- */

/* SHA-256 and better, over signed attributes; plain signatures over the text are not made. */
static bool current(CMS_SignerInfo *si)
{
    X509_ALGOR *digest = NULL, *signature = NULL;
    const ASN1_OBJECT *which = NULL;
    int nid;

    CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest, &signature);
    X509_ALGOR_get0(&which, NULL, NULL, digest);
    nid = OBJ_obj2nid(which);
    return (nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512) &&
           CMS_signed_get_attr_count(si) > 0;
}

/* Is this signature by that root, and good? */
static bool signed_by(CMS_SignerInfo *si, X509 *root)
{
    if (CMS_SignerInfo_cert_cmp(si, root) != 0 || !current(si))
        return false;
    CMS_SignerInfo_set1_signer_cert(si, root);
    return CMS_SignerInfo_verify(si) == 1;
}

/* The digest in the signed attributes is that of the text. */
static bool about(CMS_SignerInfo *si, struct bytes text)
{
    X509_ALGOR *digest = NULL;
    const ASN1_OBJECT *which = NULL;
    const ASN1_OCTET_STRING *said = CMS_signed_get0_data_by_OBJ(
        si, OBJ_nid2obj(NID_pkcs9_messageDigest), -3, V_ASN1_OCTET_STRING);
    const ASN1_OBJECT *type =
        CMS_signed_get0_data_by_OBJ(si, OBJ_nid2obj(NID_pkcs9_contentType), -3, V_ASN1_OBJECT);
    uint8_t actual[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest, NULL);
    X509_ALGOR_get0(&which, NULL, NULL, digest);
    return said != NULL && type != NULL && OBJ_obj2nid(type) == NID_pkcs7_data &&
           EVP_Digest(text.p, text.len, actual, &n, EVP_get_digestbyobj(which), NULL) == 1 &&
           bytes_equal(asn1_octets(said), bytes_of(actual, n));
}

/* Each pinned root has signed, and nobody else. */
static int check_signers(CMS_ContentInfo *cms, X509 *const pin[2], struct bytes text, struct err *e)
{
    STACK_OF(CMS_SignerInfo) *list = CMS_get0_SignerInfos(cms);
    bool by[2] = {false, false};
    struct pubkey a, b;

    if (pubkey_from_x509(&a, pin[0], e) != 0 || pubkey_from_x509(&b, pin[1], e) != 0)
        return -1;
    if (pubkey_equal(&a, &b))
        return err_set(e, E_ARG, "the two pinned roots are one");
    for (int i = 0; i < sk_CMS_SignerInfo_num(list); i++) {
        CMS_SignerInfo *si = sk_CMS_SignerInfo_value(list, i);
        int who = signed_by(si, pin[0]) ? 0 : signed_by(si, pin[1]) ? 1 : -1;

        ERR_clear_error();
        if (who < 0 || !about(si, text))
            return err_set(e, E_REJECTED,
                           "a signature of it is bad, or by somebody who is not pinned");
        if (by[who])
            return err_set(e, E_REJECTED, "one authority has signed it twice, the other has not");
        by[who] = true;
    }
    return by[0] && by[1] ? 0 : err_set(e, E_REJECTED, "only one authority has signed it");
}

static int check_content(struct bytes text, X509 *const pin[2], int64_t now, struct federation *f,
                         struct err *e)
{
    if (federation_parse(text, f, e) != 0)
        return -1;
    if (!f->whole)
        return err_set(e, E_REJECTED, "it is a part, of one authority");
    if (side_with_root(f, pin[0]) < 0 || side_with_root(f, pin[1]) < 0)
        return err_set(e, E_REJECTED, "the roots in it are not the pinned ones");
    if (now < f->from || now >= f->until)
        return err_set(e, E_REJECTED, now < f->from ? "it is not yet in force" : "it has expired");
    return federation_check(f, now, e);
}

int federation_open(struct bytes in, X509 *const pin[2], int64_t now, struct federation *out,
                    struct buf *text, struct err *e)
{
    struct federation f = {.n_side = 0};
    struct buf inner = {0};
    CMS_ContentInfo *cms = NULL;
    int rc = -1;

    if (!federation_is_signed(in)) {
        err_set(e, E_REJECTED, "nobody has signed it");
        return -1;
    }
    cms = read_cms(in, &inner, e);
    if (cms == NULL || buf_ok(&inner, e) != 0 ||
        check_signers(cms, pin, buf_bytes(&inner), e) != 0 ||
        check_content(buf_bytes(&inner), pin, now, &f, e) != 0)
        goto out;
    buf_add_bytes(text, buf_bytes(&inner));
    if (buf_ok(text, e) != 0)
        goto out;
    if (out != NULL) {
        *out = f;
        f = (struct federation){.n_side = 0};
    }
    rc = 0;
out:
    CMS_ContentInfo_free(cms);
    federation_free(&f);
    buf_free(&inner);
    return rc;
}

int federation_follows(struct bytes text, struct bytes old, struct err *e)
{
    struct federation was = {.n_side = 0}, is = {.n_side = 0};
    uint8_t hash[32];
    int rc = -1;

    if (old.len == 0 || bytes_equal(text, old))
        return 0;
    if (federation_parse(old, &was, e) != 0) {
        err_prefix(e, "what is in force");
        goto out;
    }
    if (federation_parse(text, &is, e) != 0 || hash_sha256(old, hash, e) != 0)
        goto out;
    if (is.sequence <= was.sequence)
        err_set(e, E_REJECTED, "its number is %u, and number %u is in force: it is an older one",
                (unsigned)is.sequence, (unsigned)was.sequence);
    else if (!is.has_previous || memcmp(is.previous, hash, sizeof(hash)) != 0)
        err_set(e, E_REJECTED, "it does not follow what is in force (previous is another)");
    else
        rc = 0;
out:
    federation_free(&was);
    federation_free(&is);
    return rc;
}
