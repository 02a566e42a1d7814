/* Revocation by complete CRLs of the certificate's own issuer and key: RFC 5280, 5 and 6.3. */
#include "core/chain_priv.h"

#include <openssl/err.h>

#define CLAUSE "RFC 5280, 6.3.3"

/* No number of libcrypto's; NID_undef is that of all that are unknown. */
#define NONE (-1)

/* Critical extensions of a CRL or an entry; all that are processed are in `nid`. */
static bool unknown_critical(const STACK_OF(X509_EXTENSION) * list, int nid)
{
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        X509_EXTENSION *ext = sk_X509_EXTENSION_value(list, i);

        if (X509_EXTENSION_get_critical(ext) != 0 &&
            OBJ_obj2nid(X509_EXTENSION_get_object(ext)) != nid)
            return true;
    }
    return false;
}

/* 5.2.5: does it speak of all reasons for this kind of certificate? Distribution points, indirect
 * CRLs and those for some reasons are not taken. */
static bool covers(X509_CRL *crl, bool ca)
{
    int crit = -1;
    ISSUING_DIST_POINT *idp =
        X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &crit, NULL);
    bool ok = idp == NULL && crit == -1;

    if (idp != NULL)
        ok = idp->distpoint == NULL && idp->onlysomereasons == NULL && idp->indirectCRL <= 0 &&
             idp->onlyattr <= 0 && !(ca && idp->onlyuser > 0) && !(!ca && idp->onlyCA > 0);
    ISSUING_DIST_POINT_free(idp);
    return ok;
}

bool chain_crl_times(const X509_CRL *crl, int64_t *from, int64_t *until)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    int64_t first, last;

    if (next == NULL || !chain_cert_time(X509_CRL_get0_lastUpdate(crl), &first) ||
        !chain_cert_time(next, &last))
        return false;
    *from = first;
    *until = last;
    return true;
}

bool chain_crl_current(const X509_CRL *crl, int64_t now)
{
    int64_t from, until;

    return chain_crl_times(crl, &from, &until) && from <= now && now <= until;
}

static bool is_signed(X509_CRL *crl, EVP_PKEY *key)
{
    const X509_ALGOR *outer;
    int md = NID_undef, bits = 0;

    X509_CRL_get0_signature(crl, NULL, &outer);
    /* X509_CRL_verify compares the two algorithms. */
    if (OBJ_find_sigid_algs(OBJ_obj2nid(outer->algorithm), &md, NULL) != 1)
        return false;
    if (md != NID_undef && (EVP_get_digestbynid(md) == NULL ||
                            (bits = EVP_MD_get_size(EVP_get_digestbynid(md)) * 4) < CHAIN_MIN_BITS))
        return false;
    /* RSASSA-PSS names its digest in parameters: not taken for CRLs; EdDSA has none. */
    return (md != NID_undef || EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ||
            EVP_PKEY_get_base_id(key) == EVP_PKEY_ED448) &&
           X509_CRL_verify(crl, key) == 1;
}

/* May this CRL be believed about the certificate at all? A delta CRL is never complete, but what
 * it revokes is revoked. */
static bool usable(X509_CRL *crl, const struct chain_cert *c, EVP_PKEY *issuer, int64_t now)
{
    bool ca = c->basic != NULL && c->basic->ca != 0;
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);

    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(c->x)) != 0 ||
        !chain_crl_current(crl, now) || !covers(crl, ca) || !is_signed(crl, issuer))
        return false;
    for (int i = 0; i < sk_X509_REVOKED_num(all); i++) {
        if (unknown_critical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(all, i)), NONE))
            return false;
    }
    return true;
}

const char *chain_crl_fault(X509_CRL *crl, X509 *issuer)
{
    STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    const char *fault = NULL;

    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0)
        fault = "it is of another CA";
    else if (key == NULL || (X509_get_key_usage(issuer) & KU_CRL_SIGN) == 0 || !is_signed(crl, key))
        fault = "it is not signed by that CA's key";
    else if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
        fault = "it is a delta, which says only what changed; the full one is wanted";
    else if (!covers(crl, true) || !covers(crl, false))
        fault = "it speaks of some certificates of that CA only; a full one is wanted";
    else if (unknown_critical(X509_CRL_get0_extensions(crl), NID_issuing_distribution_point))
        fault = "it has a critical extension that is not known here";
    for (int i = 0; fault == NULL && i < sk_X509_REVOKED_num(all); i++) {
        if (unknown_critical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(all, i)), NONE))
            fault = "an entry of it has a critical extension that is not known here";
    }
    ERR_clear_error();
    return fault;
}

bool chain_crl_check(const struct chain_terms *t, const struct chain_cert *c, EVP_PKEY *issuer,
                     bool may_sign, struct chain_fault *f)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(c->x);
    bool complete = false;

    if (t->crls == NULL)
        return true;
    for (int i = 0; may_sign && i < sk_X509_CRL_num(t->crls); i++) {
        X509_CRL *crl = sk_X509_CRL_value(t->crls, i);
        const STACK_OF(X509_EXTENSION) *ext = X509_CRL_get0_extensions(crl);
        bool delta = X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0;
        STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);

        if (unknown_critical(ext, delta ? NID_delta_crl : NID_issuing_distribution_point) ||
            !usable(crl, c, issuer, t->now))
            continue;
        for (int j = 0; j < sk_X509_REVOKED_num(all); j++) {
            if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(all, j)),
                                 serial) == 0)
                return chain_fail(f, CHAIN_REVOKED, "RFC 5280, 6.1.3 (a) (3)",
                                  "the certificate is revoked");
        }
        complete = complete || !delta;
    }
    ERR_clear_error();
    return complete || chain_fail(f, CHAIN_NO_CRL, CLAUSE,
                                  "no current and complete CRL by the issuer's key was given, and "
                                  "revocation is to be judged");
}
