#include "ca/issue.h"

#include "ca/clearance.h"
#include "ca/extend.h"
#include "core/asn1.h"
#include "core/oid.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <string.h>

/* Far above any certificate of ours (about 1.5 KiB). */
#define CERT_MAX ((size_t)16 << 10)

/* --- names --------------------------------------------------------------- */

int issue_check_nation(const char *nation, struct err *e)
{
    if (nation == NULL || strlen(nation) != 2 || nation[0] < 'A' || nation[0] > 'Z' ||
        nation[1] < 'A' || nation[1] > 'Z')
        return err_set(e, E_ARG,
                       "a nation is two upper-case letters of ISO 3166, such as US or JP");
    return 0;
}

/* One label of a host name (RFC 1123, 2.1; RFC 5890, 2.3.1). */
static bool label_ok(const char *p, size_t len)
{
    if (len < 1 || len > 63 || p[0] == '-' || p[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= '0' && p[i] <= '9') || p[i] == '-'))
            return false;
    return true;
}

int issue_check_dns(const char *dns, struct err *e)
{
    size_t len = dns != NULL ? strlen(dns) : 0, start = 0, labels = 0;
    bool digits = true;

    if (len < 1 || len > 253)
        return err_set(e, E_ARG, "a DNS name has 1 to 253 characters");
    for (size_t i = 0; i <= len; i++) {
        if (i < len && dns[i] != '.')
            continue;
        if (!label_ok(dns + start, i - start))
            return err_set(e, E_ARG,
                           "\"%.80s\" is not a DNS name of lower-case letters, digits and "
                           "hyphens; write an international name in its xn-- form",
                           dns);
        digits = strspn(dns + start, "0123456789") >= i - start;
        labels++;
        start = i + 1;
    }
    /* A last label of digits would be an address, not a name (RFC 1123, 2.1). */
    if (labels < 2 || digits)
        return err_set(e, E_ARG, "\"%.80s\" is not a full DNS name; write it as host.domain", dns);
    return 0;
}

int issue_check_mail(const char *mail, struct err *e)
{
    const char *at = mail != NULL ? strchr(mail, '@') : NULL;
    size_t n = at != NULL ? (size_t)(at - mail) : 0;

    if (n < 1 || n > 64 || strlen(mail) > 128 ||
        strspn(mail, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n ||
        strchr("._-", mail[0]) != NULL || mail[n - 1] == '.' || strstr(mail, "..") != NULL)
        return err_set(e, E_ARG,
                       "\"%.80s\" is not a mail address of lower-case letters, digits and . _ - "
                       "before the @, the first a letter or a digit",
                       mail != NULL ? mail : "");
    return issue_check_dns(at + 1, e);
}

int issue_check_subject(const char *name, struct err *e)
{
    return name != NULL && strchr(name, '@') != NULL ? issue_check_mail(name, e)
                                                     : issue_check_dns(name, e);
}

bool issue_within(const char *name, const char *domain)
{
    const char *at = strchr(name, '@'), *dns = at != NULL ? at + 1 : name;
    size_t n = strlen(dns), m = strlen(domain);

    if (n < m || strcmp(dns + (n - m), domain) != 0)
        return false;
    return n == m || dns[n - m - 1] == '.';
}

static int add_part(X509_NAME *name, const char *type, const char *value, struct err *e)
{
    /* The length limits of RFC 5280, appendix A are OpenSSL's too. */
    if (value[0] == 0 || X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8,
                                                    (const uint8_t *)value, -1, -1, 0) != 1) {
        ERR_clear_error();
        return err_set(e, E_ARG,
                       "\"%.100s\" cannot be the %s of a certificate name; it must be 1 to 64 "
                       "characters of UTF-8",
                       value, type);
    }
    return 0;
}

X509_NAME *issue_name(const char *nation, const char *org, const char *unit, const char *cn,
                      struct err *e)
{
    X509_NAME *name = NULL;

    if (issue_check_nation(nation, e) != 0)
        return NULL;
    name = X509_NAME_new();
    if (name == NULL) {
        err_set(e, E_MEMORY, "out of memory for a certificate name");
        return NULL;
    }
    if (add_part(name, "C", nation, e) != 0 || add_part(name, "O", org, e) != 0 ||
        (unit != NULL && add_part(name, "OU", unit, e) != 0) || add_part(name, "CN", cn, e) != 0) {
        X509_NAME_free(name);
        return NULL;
    }
    return name;
}

int issue_name_mail(X509_NAME *name, const char *mail, struct err *e)
{
    return add_part(name, "UID", mail, e);
}

/* --- encodings ----------------------------------------------------------- */

int issue_to_der(X509 *cert, struct buf *out, struct err *e)
{
    return asn1_encode(cert, ASN1_ITEM_rptr(X509), out, e);
}

int issue_from_der(struct bytes der, X509 **out, struct err *e)
{
    X509 *cert = asn1_decode(ASN1_ITEM_rptr(X509), der, CERT_MAX, "certificate", e);

    if (cert == NULL)
        return -1;
    *out = cert;
    return 0;
}

int issue_to_pem(X509 *cert, struct buf *out, struct err *e)
{
    struct buf der = {0};
    int rc = -1;

    if (issue_to_der(cert, &der, e) == 0)
        rc = asn1_pem_write("CERTIFICATE", buf_bytes(&der), out, e);
    buf_free(&der);
    return rc;
}

struct bytes issue_ski(X509 *cert)
{
    return asn1_octets(X509_get0_subject_key_id(cert));
}

int issue_serial(X509 *cert, char out[ISSUE_SERIAL_TEXT], struct err *e)
{
    const ASN1_INTEGER *n = X509_get0_serialNumber(cert);
    struct bytes b = asn1_octets(n);

    /* RFC 5280, 4.1.2.2: positive, at most 20 octets. */
    if (ASN1_STRING_type(n) != V_ASN1_INTEGER || b.len < 1 || b.len > 20)
        return err_set(e, E_FORMAT, "the certificate's serial number is not 1 to 20 octets");
    hex_encode(out, b.p, b.len);
    return 0;
}

int issue_time(const ASN1_TIME *t, int64_t *out, struct err *e)
{
    /* RFC 5280, 4.1.2.5: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, nothing else. */
    bool utc = ASN1_STRING_type(t) == V_ASN1_UTCTIME;
    struct tm tm;

    if (ASN1_STRING_length(t) != (utc ? 13 : 15) || ASN1_TIME_to_tm(t, &tm) != 1 ||
        (!utc && tm.tm_year < 150)) {
        ERR_clear_error();
        return err_set(e, E_FORMAT, "the certificate has a malformed validity");
    }
    *out = (int64_t)timegm(&tm);
    return 0;
}

int issue_validity(X509 *issuer, time_t now, int64_t seconds, struct subject *s, struct err *e)
{
    int64_t begin = now - ISSUE_SKEW, first = INT64_MIN, last = INT64_MAX;

    if (issuer != NULL && (issue_time(X509_get0_notBefore(issuer), &first, e) != 0 ||
                           issue_time(X509_get0_notAfter(issuer), &last, e) != 0))
        return -1;
    /* An issuer that is not valid yet issues nothing: issue_certificate refuses that. */
    if (begin < first && first <= (int64_t)now)
        begin = first;
    s->not_before = (time_t)begin;
    s->not_after = (time_t)(last < begin + seconds ? last : begin + seconds);
    return 0;
}

/* --- building ------------------------------------------------------------ */

/* Is everything there that the row puts into a certificate, and well formed? */
static int complete(const struct profile *p, const struct subject *s, struct err *e)
{
    if (p->keep_ski && s->ski.len == 0)
        return err_set(e, E_REJECTED, "it needs the subject's own key identifier");
    if (p->evidence_hash && s->evidence_hash == NULL)
        return err_set(e, E_REJECTED, "it needs the hash of its evidence");
    if (p->constraints && (s->permit_nation == NULL || s->permit_domain == NULL))
        return err_set(e, E_REJECTED, "it needs a nation and a domain to be bound to");
    if (p->san == PROFILE_SAN_DNS && s->dns == NULL)
        return err_set(e, E_REJECTED, "it needs a DNS name");
    if (p->san == PROFILE_SAN_MAIL && s->mail == NULL)
        return err_set(e, E_REJECTED, "it needs a mail address");
    if (p->san == PROFILE_SAN_TPM && sk_GENERAL_NAME_num(s->tpm_names) < 1)
        return err_set(e, E_REJECTED, "it needs the names of its TPM");
    if (p->constraints &&
        (issue_check_nation(s->permit_nation, e) != 0 || issue_check_dns(s->permit_domain, e) != 0))
        return -1;
    if (p->san == PROFILE_SAN_DNS && issue_check_dns(s->dns, e) != 0)
        return -1;
    if (p->san == PROFILE_SAN_MAIL && issue_check_mail(s->mail, e) != 0)
        return -1;
    return 0;
}

/* Is the certificate good under its issuer for all that it is for (the extended key usages of CAs
 * bound what is below them, for most verifiers), and for its clearance? */
static int admit_uses(const struct profile *p, X509 *issuer, const struct clearance *c,
                      struct err *e)
{
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(issuer, NID_ext_key_usage, NULL, NULL);
    bool all = true;

    /* Not of a responder's: who asks for OCSP does not look at its issuer's. */
    for (size_t i = 0; p->kind != NULL && eku != NULL && i < PROFILE_MAX_EKU && p->eku[i] != NULL;
         i++) {
        bool has = false;

        for (int j = 0; j < sk_ASN1_OBJECT_num(eku); j++)
            has = has || oid_is(sk_ASN1_OBJECT_value(eku, j), p->eku[i]);
        all = all && has;
    }
    EXTENDED_KEY_USAGE_free(eku);
    if (!all)
        return err_set(e, E_REJECTED,
                       "its issuer is not certified for what a %s is for (extended key usage); an "
                       "authority that was made by an older fusetsu cannot issue it",
                       p->name);
    return p->clearance == PROFILE_CLEARANCE_GRANTED && c != NULL ? clearance_within(issuer, c, e)
                                                                  : 0;
}

int issue_may(enum profile_id id, X509 *issuer, const struct clearance *c, time_t now,
              struct err *e)
{
    const struct profile *p = profile_get(id);
    int64_t from, to;

    if (p == NULL)
        return err_set(e, E_ARG, "there is no such kind of certificate");
    if (issue_time(X509_get0_notBefore(issuer), &from, e) != 0 ||
        issue_time(X509_get0_notAfter(issuer), &to, e) != 0)
        return -1;
    if ((int64_t)now < from || (int64_t)now >= to)
        return err_set(e, E_REJECTED,
                       "the CA that issues a %s %s; look at the clock, and at the authority's own "
                       "certificates",
                       p->name, (int64_t)now < from ? "is not valid yet" : "has ended");
    return admit_uses(p, issuer, c, e);
}

/* Is the subject one that the row admits, under this issuer? */
static int admit(const struct profile *p, const struct issue_issuer *issuer,
                 const struct subject *s, struct err *e)
{
    unsigned bits = pubkey_bits(s->key);
    unsigned least = s->key->type == TPM2_ALG_ECC ? p->min_ecc_bits : p->min_rsa_bits;
    int64_t most = p->clearance == PROFILE_CLEARANCE_GRANTED && s->clearance != NULL
                       ? p->max_seconds_cleared
                       : p->max_seconds;
    struct pubkey held;
    int64_t from, to;

    if (least == 0 || bits < least)
        return err_set(e, E_REJECTED, "a key of kind %s is too weak for a %s; make a stronger one",
                       pubkey_name(s->key), p->name);
    if (s->not_after <= s->not_before)
        return err_set(e, E_REJECTED,
                       "a %s would end before it begins; its issuer may have ended itself",
                       p->name);
    if ((int64_t)s->not_after - s->not_before > most)
        return err_set(e, E_REJECTED, "a %s%s is valid for at most %lld days", p->name,
                       most < p->max_seconds ? " with a clearance" : "", (long long)(most / 86400));
    if (issuer->cert == NULL)
        return 0;
    if (issue_ski(issuer->cert).len == 0)
        return err_set(e, E_REJECTED, "the issuer's certificate has no subject key identifier");
    if (pubkey_from_x509(&held, issuer->cert, e) != 0)
        return -1;
    if (!pubkey_equal(&held, &issuer->signer->pub))
        return err_set(e, E_REJECTED,
                       "the signing key is not the one in the issuer's certificate; "
                       "check which token and key id the authority uses");
    if (issue_time(X509_get0_notBefore(issuer->cert), &from, e) != 0 ||
        issue_time(X509_get0_notAfter(issuer->cert), &to, e) != 0)
        return -1;
    if (s->not_before < from || s->not_after > to)
        return err_set(e, E_REJECTED,
                       "a %s would be valid outside its issuer's own validity; "
                       "ask for fewer days or renew the issuer",
                       p->name);
    return admit_uses(p, issuer->cert, s->clearance, e);
}

int issue_draw_serial(uint8_t out[ISSUE_SERIAL_BYTES], struct err *e)
{
    if (RAND_bytes(out, ISSUE_SERIAL_BYTES) != 1)
        return err_openssl(e, E_CRYPTO, "no random serial number");
    /* The top two bits 01: positive, and always of that length. */
    out[0] = (uint8_t)((out[0] & 0x3f) | 0x40);
    return 0;
}

static int set_serial(X509 *cert, struct err *e)
{
    uint8_t raw[ISSUE_SERIAL_BYTES];
    BIGNUM *n = NULL;
    int rc = -1;

    if (issue_draw_serial(raw, e) != 0)
        return -1;
    n = BN_bin2bn(raw, sizeof(raw), NULL);
    if (n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL)
        rc = 0;
    else
        err_set(e, E_MEMORY, "out of memory for a serial number");
    BN_free(n);
    return rc;
}

static int set_key(X509 *cert, const struct pubkey *key, struct err *e)
{
    struct buf spki = {0};
    EVP_PKEY *pkey = NULL;
    const uint8_t *p;
    int rc = -1;

    if (pubkey_to_spki(key, &spki, e) != 0)
        goto out;
    p = spki.p;
    pkey = d2i_PUBKEY(NULL, &p, (long)spki.len);
    if (pkey == NULL || X509_set_pubkey(cert, pkey) != 1) {
        err_openssl(e, E_CRYPTO, "cannot put the public key into a certificate");
        goto out;
    }
    rc = 0;
out:
    EVP_PKEY_free(pkey);
    buf_free(&spki);
    return rc;
}

static X509 *build(const struct profile *p, const struct issue_issuer *issuer,
                   const struct subject *s, struct err *e)
{
    X509 *cert = X509_new();
    struct extend_issuer from = {.ski = issuer->cert != NULL ? issue_ski(issuer->cert)
                                                             : (struct bytes){NULL, 0},
                                 .crl_url = issuer->cert != NULL ? issuer->crl_url : NULL,
                                 .ocsp_url = issuer->cert != NULL ? issuer->ocsp_url : NULL};
    const X509_NAME *by = issuer->cert != NULL ? X509_get_subject_name(issuer->cert) : s->name;

    if (cert == NULL) {
        err_set(e, E_MEMORY, "out of memory for a certificate");
        return NULL;
    }
    if (X509_set_version(cert, X509_VERSION_3) != 1 || X509_set_subject_name(cert, s->name) != 1 ||
        X509_set_issuer_name(cert, by) != 1 ||
        ASN1_TIME_set(X509_getm_notBefore(cert), s->not_before) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(cert), s->not_after) == NULL) {
        err_openssl(e, E_CRYPTO, "cannot fill a certificate");
        goto bad;
    }
    if (set_serial(cert, e) != 0 || set_key(cert, s->key, e) != 0 ||
        extend_all(cert, &from, p, s, e) != 0)
        goto bad;
    return cert;
bad:
    X509_free(cert);
    return NULL;
}

int issue_hash(const struct signer *signer, const struct alg_hash **out, struct err *e)
{
    const struct alg_hash *hash;

    if (signer->pub.type != TPM2_ALG_ECC)
        return err_set(e, E_UNSUPPORTED, "a CA key must be on P-256, P-384 or P-521, not %s",
                       pubkey_name(&signer->pub));
    hash = alg_hash_of(signer->pub.curve->hash);
    if (hash == NULL)
        return err_set(e, E_UNSUPPORTED, "no hash goes with %s", pubkey_name(&signer->pub));
    *out = hash;
    return 0;
}

int issue_signing(struct signer *signer, EVP_PKEY **key, const EVP_MD **md, struct err *e)
{
    const struct alg_hash *hash;

    if (issue_hash(signer, &hash, e) != 0)
        return -1;
    *md = EVP_get_digestbynid(hash->nid);
    *key = signer_evp(signer, e);
    return *key != NULL ? 0 : -1;
}

static int sign(X509 *cert, struct signer *signer, struct err *e)
{
    const EVP_MD *md = NULL;
    EVP_PKEY *pkey = NULL;
    int rc = -1;

    if (issue_signing(signer, &pkey, &md, e) != 0)
        return -1;
    if (X509_sign(cert, pkey, md) <= 0)
        err_openssl(e, E_CRYPTO, "the CA key did not sign");
    else
        rc = 0;
    EVP_PKEY_free(pkey);
    return rc;
}

/* --- reading back -------------------------------------------------------- */

/* Does what was read back say what was asked? Names the part that does not. */
static const char *differs(X509 *cert, const struct profile *p, const struct issue_issuer *issuer,
                           const struct subject *s)
{
    X509 *by = issuer->cert != NULL ? issuer->cert : cert;
    uint32_t usage = p->key_usage | (s->key->type == TPM2_ALG_RSA ? p->key_usage_rsa : 0);
    struct pubkey key;
    int64_t t;

    if (X509_verify(cert, X509_get0_pubkey(by)) != 1)
        return "signature";
    if ((X509_get_extension_flags(cert) & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0)
        return "extensions";
    if (X509_check_issued(by, cert) != X509_V_OK)
        return "issuer";
    if ((X509_check_ca(cert) == 1) != p->ca || X509_get_pathlen(cert) != p->pathlen)
        return "basicConstraints";
    if (X509_get_key_usage(cert) != usage)
        return "keyUsage";
    if (X509_NAME_cmp(X509_get_subject_name(cert), s->name) != 0)
        return "subject";
    if (pubkey_from_x509(&key, cert, NULL) != 0 || !pubkey_equal(&key, s->key))
        return "public key";
    if (issue_time(X509_get0_notBefore(cert), &t, NULL) != 0 || t != s->not_before ||
        issue_time(X509_get0_notAfter(cert), &t, NULL) != 0 || t != s->not_after)
        return "validity";
    if (p->keep_ski && !bytes_equal(issue_ski(cert), s->ski))
        return "subject key identifier";
    if (p->san == PROFILE_SAN_DNS &&
        X509_check_host(cert, s->dns, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) != 1)
        return "DNS name";
    if (p->san == PROFILE_SAN_MAIL && X509_check_email(cert, s->mail, 0, 0) != 1)
        return "mail address";
    return NULL;
}

/* The issuer's own name constraints hold for what it issues (RFC 5280, 6.1.3 (b), (c)). */
static int within_constraints(X509 *cert, X509 *issuer, struct err *e)
{
    NAME_CONSTRAINTS *nc = NULL;
    int rc = 0;

    if (issuer == NULL)
        return 0;
    nc = X509_get_ext_d2i(issuer, NID_name_constraints, NULL, NULL);
    if (nc != NULL && NAME_CONSTRAINTS_check(cert, nc) != X509_V_OK)
        rc = err_set(e, E_REJECTED,
                     "the name to be certified is outside what the issuing CA may "
                     "certify; it must lie within the authority's own domain");
    NAME_CONSTRAINTS_free(nc);
    return rc;
}

static int read_back(X509 *made, const struct profile *p, const struct issue_issuer *issuer,
                     const struct subject *s, X509 **out, struct err *e)
{
    struct buf der = {0};
    X509 *cert = NULL;
    const char *what;
    int rc = -1;

    if (issue_to_der(made, &der, e) != 0 || issue_from_der(buf_bytes(&der), &cert, e) != 0)
        goto out;
    what = differs(cert, p, issuer, s);
    if (what != NULL) {
        err_set(e, E_CRYPTO, "the new %s has a wrong %s and was thrown away", p->name, what);
        goto out;
    }
    if (within_constraints(cert, issuer->cert, e) != 0)
        goto out;
    *out = cert;
    cert = NULL;
    rc = 0;
out:
    X509_free(cert);
    buf_free(&der);
    return rc;
}

int issue_certificate(enum profile_id id, const struct issue_issuer *issuer,
                      const struct subject *subject, X509 **out, struct err *e)
{
    const struct profile *p = profile_get(id);
    X509 *cert = NULL;
    int rc = -1;

    if (p == NULL || issuer->signer == NULL || subject->name == NULL || subject->key == NULL)
        return err_set(e, E_ARG, "a certificate needs a profile, a signer, a name and a key");
    if (issuer->cert == NULL && !pubkey_equal(subject->key, &issuer->signer->pub))
        return err_set(e, E_ARG, "a self-signed certificate holds the signer's own key");
    if (complete(p, subject, e) != 0 || admit(p, issuer, subject, e) != 0)
        goto out;
    cert = build(p, issuer, subject, e);
    if (cert == NULL || sign(cert, issuer->signer, e) != 0)
        goto out;
    rc = read_back(cert, p, issuer, subject, out, e);
out:
    X509_free(cert);
    if (rc != 0)
        err_prefix(e, "%s not issued", p->name);
    return rc;
}
