#include "core/federation_crls.h"

#include "core/asn1.h"

#include <stdio.h>
#include <string.h>

/* RFC 5280, 5.2.3. */
#define NUMBER_MAX 20

static void need(struct federation_crls *s, const char *what, unsigned community, X509 *by)
{
    struct federation_crl *c = &s->need[s->n++];

    c->community = community;
    c->by = by;
    snprintf(c->name, sizeof(c->name), "%s%s%s", what, community != 0 ? "-" : "",
             community != 0 ? oid_community_name(community) : "");
}

void federation_crls_of(const struct federation *f, unsigned side, struct federation_crls *out)
{
    const struct federation_side *s = &f->side[side], *ally = &f->side[1 - side];

    *out = (struct federation_crls){.spare = {ally->root, ally->cross_ca},
                                    .root = {s->root, ally->root}};
    need(out, "root", 0, s->root);
    need(out, "cross-ca", 0, s->cross_ca);
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++) {
        if (!s->community[n].open)
            continue;
        need(out, "issuing", n, s->community[n].issuing);
        need(out, "ally", n, s->community[n].cross);
    }
}

void federation_crls_free(struct federation_crls *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        X509_CRL_free(s->need[i].crl);
        s->need[i].crl = NULL;
    }
}

/* --- one CRL ------------------------------------------------------------------------------------- */

/* The number; NULL when it has none that RFC 5280 allows. */
static ASN1_INTEGER *number_of(const X509_CRL *crl)
{
    ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);

    if (n != NULL && ASN1_STRING_type(n) == V_ASN1_INTEGER && ASN1_STRING_length(n) <= NUMBER_MAX)
        return n;
    ASN1_INTEGER_free(n);
    return NULL;
}

/* Below 0: `a` is older than `b`; of both the number was read before. */
static int compare(const X509_CRL *a, const X509_CRL *b)
{
    ASN1_INTEGER *x = number_of(a), *y = number_of(b);
    int order = x != NULL && y != NULL ? ASN1_INTEGER_cmp(x, y) : -1;

    ASN1_INTEGER_free(x);
    ASN1_INTEGER_free(y);
    return order;
}

static bool same(const X509_CRL *a, const X509_CRL *b)
{
    uint8_t x[EVP_MAX_MD_SIZE], y[EVP_MAX_MD_SIZE];
    unsigned n = 0, m = 0;

    return X509_CRL_digest(a, EVP_sha256(), x, &n) == 1 &&
           X509_CRL_digest(b, EVP_sha256(), y, &m) == 1 && n == m && memcmp(x, y, n) == 0;
}

/* Whatever the time and what is there already. */
static const char *fault_of(X509_CRL *crl, X509 *by)
{
    const char *fault = chain_crl_fault(crl, by);
    ASN1_INTEGER *n = NULL;

    if (fault == NULL && (n = number_of(crl)) == NULL)
        fault = "it has no number, by which an older one would be known";
    ASN1_INTEGER_free(n);
    return fault;
}

static void name_of(const X509_NAME *name, char *out, size_t size)
{
    /* Of a name of this federation, or one that is about to be refused: for messages alone. */
    if (X509_NAME_get_text_by_NID(name, NID_commonName, out, (int)size) <= 0)
        snprintf(out, size, "a CA without a common name");
}

static int refuse(const X509_CRL *crl, const char *why, struct err *e)
{
    char name[96];

    name_of(X509_CRL_get_issuer(crl), name, sizeof(name));
    return err_set(e, E_REJECTED, "the CRL of %s is refused: %s", name, why);
}

/* May it stand where `there` is (NULL: nothing is)? */
static const char *stale(const X509_CRL *crl, const X509_CRL *there)
{
    int order = there != NULL ? compare(crl, there) : 1;

    if (order < 0)
        return "it is older than the one that is there; fetch the newest";
    if (order == 0 && !same(crl, there))
        return "another one with the same number is there; ask that CA which of the two it made";
    return NULL;
}

static bool is_by(const X509_CRL *crl, const X509 *by)
{
    return by != NULL && X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(by)) == 0;
}

static const ASN1_STRING *part_of(const X509_NAME *name, int nid)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);

    return at >= 0 && X509_NAME_get_index_by_NID(name, nid, at) < 0
               ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))
               : NULL;
}

/* Does the issuer call itself a CA of the nation of that root? */
static bool says_of(const X509_CRL *crl, const X509 *root)
{
    static const int parts[] = {NID_countryName, NID_organizationName};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const ASN1_STRING *x = part_of(X509_CRL_get_issuer(crl), parts[i]);
        const ASN1_STRING *y = root != NULL ? part_of(X509_get_subject_name(root), parts[i]) : NULL;

        if (x == NULL || y == NULL || ASN1_STRING_cmp(x, y) != 0)
            return false;
    }
    return true;
}

/* --- all of them --------------------------------------------------------------------------------- */

static int take_spare(struct federation_crls *s, X509_CRL *crl, enum federation_crls_taken *how,
                      struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(s->spare); i++) {
        const char *fault;

        if (!is_by(crl, s->spare[i]))
            continue;
        fault = fault_of(crl, s->spare[i]);
        if (fault != NULL)
            return refuse(crl, fault, e);
        *how = FEDERATION_CRLS_SPARE;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(s->root); i++) {
        if (says_of(crl, s->root[i])) {
            *how = FEDERATION_CRLS_SPARE;
            return 0;
        }
    }
    return refuse(crl, "no CA of this federation has that name", e);
}

/* A CA of two communities has two places, and both take it or none. */
static int judge(const struct federation_crls *s, X509_CRL *crl, int64_t now, size_t *places,
                 enum federation_crls_taken *how, struct err *e)
{
    *places = 0;
    *how = FEDERATION_CRLS_SAME;
    for (size_t i = 0; i < s->n; i++) {
        const struct federation_crl *c = &s->need[i];
        const char *fault;

        if (!is_by(crl, c->by))
            continue;
        ++*places;
        fault = fault_of(crl, c->by);
        if (fault == NULL && !chain_crl_current(crl, now))
            fault = "it is not of now: its time has ended or has not begun; fetch the newest, and "
                    "look at the clock";
        if (fault == NULL)
            fault = stale(crl, c->crl);
        if (fault != NULL)
            return refuse(crl, fault, e);
        if (c->crl == NULL || !same(crl, c->crl))
            *how = FEDERATION_CRLS_NEW;
    }
    return 0;
}

static void put(struct federation_crl *place, X509_CRL *crl)
{
    X509_CRL_up_ref(crl);
    X509_CRL_free(place->crl);
    place->crl = crl;
}

int federation_crls_take(struct federation_crls *s, X509_CRL *crl, int64_t now,
                         enum federation_crls_taken *how, struct err *e)
{
    enum federation_crls_taken found;
    size_t places;

    if (judge(s, crl, now, &places, &found, e) != 0)
        return -1;
    if (places == 0)
        return take_spare(s, crl, how, e);
    for (size_t i = 0; i < s->n; i++) {
        if (is_by(crl, s->need[i].by))
            put(&s->need[i], crl);
    }
    *how = found;
    return 0;
}

int federation_crls_restore(struct federation_crl *place, X509_CRL *crl, struct err *e)
{
    const char *fault = fault_of(crl, place->by);

    if (fault != NULL)
        return refuse(crl, fault, e);
    put(place, crl);
    return 0;
}

static bool concerns(const struct federation_crl *c, unsigned community)
{
    return c->community == 0 || c->community == community;
}

const struct federation_crl *federation_crls_lacking(const struct federation_crls *s,
                                                     unsigned community, int64_t now)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct federation_crl *c = &s->need[i];

        if (concerns(c, community) && (c->crl == NULL || !chain_crl_current(c->crl, now)))
            return c;
    }
    return NULL;
}

bool federation_crls_due(const struct federation_crl *c, int64_t now)
{
    int64_t from, until;

    if (c->crl == NULL || !chain_crl_times(c->crl, &from, &until))
        return true;
    return until - now < (until - from) / 4;
}

bool federation_crls_revoked(const struct federation_crls *s, X509 *cert)
{
    X509_REVOKED *entry;

    for (size_t i = 0; i < s->n; i++) {
        const struct federation_crl *c = &s->need[i];

        if (c->crl != NULL &&
            X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(c->by)) == 0 &&
            X509_CRL_get0_by_cert(c->crl, &entry, cert) != 0)
            return true;
    }
    return false;
}

int federation_crls_pem(const struct federation_crls *s, unsigned community, struct buf *out,
                        struct err *e)
{
    struct buf pem = {0};
    int rc = -1;

    for (size_t i = 0; i < s->n; i++) {
        const struct federation_crl *c = &s->need[i];
        struct buf der = {0};
        bool done;

        if (!concerns(c, community))
            continue;
        if (c->crl == NULL) {
            err_set(e, E_NOT_FOUND, "the CRL \"%s\" is missing", c->name);
            goto out;
        }
        done = asn1_encode(c->crl, ASN1_ITEM_rptr(X509_CRL), &der, e) == 0 &&
               asn1_pem_write("X509 CRL", buf_bytes(&der), &pem, e) == 0;
        buf_free(&der);
        if (!done)
            goto out;
    }
    buf_add_bytes(out, buf_bytes(&pem));
    rc = buf_ok(out, e);
out:
    buf_free(&pem);
    return rc;
}
