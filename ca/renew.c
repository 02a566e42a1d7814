#include "ca/renew.h"

#include "ca/issue.h"
#include "ca/policy.h"
#include "core/asn1.h"
#include "core/csr.h"
#include "core/hash.h"
#include "core/oid.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define NONCE_BYTES 32
#define NOT_OURS "it is no certificate of a name, community and level, so it cannot be renewed"

/* SHA-256("fusetsu renew 1" ‖ 00 ‖ DER of the certificate). */
static int nonce_of(struct bytes der, uint8_t out[NONCE_BYTES], struct err *e)
{
    static const char what[] = "fusetsu renew 1";
    struct buf in = {0};
    int rc = -1;

    buf_add(&in, what, sizeof(what));
    buf_add_bytes(&in, der);
    if (buf_ok(&in, e) == 0)
        rc = hash_sha256(buf_bytes(&in), out, e);
    buf_free(&in);
    return rc;
}

/* --- what a certificate says --------------------------------------------------------------- */

/* Its one DNS name or mail address. */
static int read_name(X509 *cert, char out[EVIDENCE_TEXT_MAX], struct err *e)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const GENERAL_NAME *one = sk_GENERAL_NAME_num(names) == 1 ? sk_GENERAL_NAME_value(names, 0)
                                                              : NULL;
    struct bytes name = {NULL, 0};
    int rc = -1;

    if (one != NULL && (one->type == GEN_DNS || one->type == GEN_EMAIL))
        name = asn1_octets(one->d.ia5);
    if (name.len == 0 || name.len >= EVIDENCE_TEXT_MAX) {
        err_set(e, E_FORMAT, NOT_OURS);
        goto out;
    }
    memcpy(out, name.p, name.len);
    out[name.len] = 0;
    rc = one->type == GEN_DNS ? issue_check_dns(out, e) : issue_check_mail(out, e);
out:
    GENERAL_NAMES_free(names);
    return rc;
}

int renew_invitation(X509 *old, struct evidence_invitation *out, struct err *e)
{
    struct evidence_invitation v = {.nonce_len = NONCE_BYTES};
    struct buf der = {0};
    int rc = -1;

    ERR_clear_error();
    if (X509_NAME_get_text_by_NID(X509_get_issuer_name(old), NID_organizationName, v.authority,
                                  (int)sizeof(v.authority)) < 1) {
        err_set(e, E_FORMAT, NOT_OURS);
        goto out;
    }
    if (policy_highest(old, &v.community, &v.level, NULL) != 0) {
        err_set(e, E_FORMAT, NOT_OURS);
        goto out;
    }
    if (read_name(old, v.subject, e) != 0 ||
        issue_time(X509_get0_notAfter(old), &v.not_after, e) != 0 ||
        issue_to_der(old, &der, e) != 0 || nonce_of(buf_bytes(&der), v.nonce, e) != 0)
        goto out;
    *out = v;
    rc = 0;
out:
    buf_free(&der);
    return rc;
}

/* --- which certificate does a request renew? ------------------------------------------------ */

struct search {
    const struct evidence_tied *tied;
    const uint8_t *extra;
    struct registry_cert *old;
    struct evidence_invitation v;
    bool found, failed;
    struct err *e;
};

static bool try_cert(void *ctx, const struct registry_cert *c)
{
    struct search *s = ctx;
    uint8_t nonce[NONCE_BYTES], want[32];
    X509 *cert = NULL;

    if (c->issuer < REGISTRY_ISSUING)
        return true;
    s->failed = nonce_of(c->der, nonce, s->e) != 0 ||
                evidence_tied_to(bytes_of(nonce, sizeof(nonce)), s->tied, want, s->e) != 0;
    if (s->failed || !bytes_equal(bytes_of(want, 32), bytes_of(s->extra, 32)))
        return !s->failed;
    s->failed = issue_from_der(c->der, &cert, s->e) != 0 ||
                renew_invitation(cert, &s->v, s->e) != 0;
    X509_free(cert);
    *s->old = *c;
    s->old->der = (struct bytes){NULL, 0};
    s->found = !s->failed;
    return false;
}

/* Its key, and the id of that. */
static bool read_key(X509_REQ *csr, struct pubkey *pub, uint8_t spki[32])
{
    uint8_t *der = NULL;
    int len = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(csr), &der);
    bool ok = len > 0 && pubkey_from_spki(pub, bytes_of(der, (size_t)len), NULL) == 0 &&
              pubkey_id(pub, spki, NULL) == 0;

    ERR_clear_error();
    OPENSSL_free(der);
    return ok;
}

static bool signed_by(X509_REQ *csr, const struct pubkey *pub)
{
    bool ok = csr_verify(csr, pub, NULL) == 0;

    ERR_clear_error();
    return ok;
}

/* The first request that renews a certificate makes the invitation; it is consumed as any. */
static int record(struct registry *r, const struct search *s, struct registry_invitation *out,
                  struct err *e)
{
    struct registry_invitation i = {.nonce_len = s->v.nonce_len,
                                    .community = s->v.community,
                                    .level = s->v.level,
                                    .created_at = s->old->issued_at,
                                    .expires_at = s->old->expires_at,
                                    .has_ek = s->old->has_ek,
                                    .grant = s->old->grant};
    struct err why = {0};

    memcpy(i.nonce, s->v.nonce, s->v.nonce_len);
    memcpy(i.subject, s->v.subject, strlen(s->v.subject) + 1);
    memcpy(i.ek_hash, s->old->ek_hash, sizeof(i.ek_hash));
    if (registry_invite(r, &i, &why) != 0 && why.code != E_EXISTS)
        return err_take(e, &why);
    return registry_invitation(r, bytes_of(i.nonce, i.nonce_len), out, e);
}

static int judge(const struct registry_cert *old, struct err *e)
{
    if (old->status.state == REGISTRY_GOOD)
        return 0;
    return err_set(e, E_REJECTED,
                   "the certificate of %.100s that the request would renew is %s; the authority "
                   "has to invite anew",
                   old->subject, registry_state_name(old->status.state));
}

int renew_find(struct registry *r, X509_REQ *csr, const struct evidence_tied *tied,
               const uint8_t extra[32], int64_t now, struct registry_cert *old,
               struct registry_invitation *out, bool *found, struct err *e)
{
    struct search s = {.tied = tied, .extra = extra, .old = old, .e = e};
    struct registry_wanted w = {0};
    struct pubkey pub;
    uint8_t spki[32];

    *found = false;
    if (!read_key(csr, &pub, spki))
        return 0;
    w.spki_hash = spki;
    if (registry_certs(r, &w, try_cert, &s, e) != 0 || s.failed)
        return -1;
    if (!s.found || !signed_by(csr, &pub))
        return 0;
    if (old->expires_at <= now)
        return err_set(e, E_REJECTED,
                       "the certificate of %.100s that the request would renew has ended; the "
                       "authority has to invite anew",
                       old->subject);
    if (judge(old, e) != 0 || record(r, &s, out, e) != 0)
        return -1;
    *found = true;
    return 0;
}

int renew_still(struct registry *r, const struct registry_cert *old, struct err *e)
{
    struct registry_cert now;
    int there = registry_cert(r, old->issuer, old->community, old->serial, &now, e);

    if (there == 1)
        return judge(&now, e);
    return there < 0 ? -1 : err_set(e, E_CORRUPT, "the certificate to be renewed is gone");
}
