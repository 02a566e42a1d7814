#include "ca/crl.h"

#include "ca/extend.h"
#include "ca/registry_clock.h"
#include "ca/urls.h"
#include "core/asn1.h"

#include <string.h>

#define HOUR ((int64_t)3600)
#define DAY (24 * HOUR)

/*
 * CertificateList (RFC 5280, 5.1). The entries are one SEQUENCE in DER, made one by one: an
 * X509_CRL would hold each of them as a tree of objects, ten times as large.
 */
typedef struct crl_info {
    ASN1_INTEGER *version;
    X509_ALGOR *algorithm;
    X509_NAME *issuer;
    ASN1_TIME *this_update;
    ASN1_TIME *next_update;
    ASN1_STRING *revoked;
    STACK_OF(X509_EXTENSION) * extensions;
} crl_info;

typedef struct crl_list {
    crl_info *info;
    X509_ALGOR *algorithm;
    ASN1_BIT_STRING *signature;
} crl_list;

/* clang-format takes these macros for what they are not. */
/* clang-format off */
DECLARE_ASN1_ITEM(crl_info)
DECLARE_ASN1_ITEM(crl_list)

ASN1_SEQUENCE(crl_info) = {
    ASN1_SIMPLE(crl_info, version, ASN1_INTEGER),
    ASN1_SIMPLE(crl_info, algorithm, X509_ALGOR),
    ASN1_SIMPLE(crl_info, issuer, X509_NAME),
    ASN1_SIMPLE(crl_info, this_update, ASN1_TIME),
    ASN1_SIMPLE(crl_info, next_update, ASN1_TIME),
    ASN1_OPT(crl_info, revoked, ASN1_SEQUENCE),
    ASN1_EXP_SEQUENCE_OF(crl_info, extensions, X509_EXTENSION, 0),
} ASN1_SEQUENCE_END(crl_info)

ASN1_SEQUENCE(crl_list) = {
    ASN1_SIMPLE(crl_list, info, crl_info),
    ASN1_SIMPLE(crl_list, algorithm, X509_ALGOR),
    ASN1_SIMPLE(crl_list, signature, ASN1_BIT_STRING),
} ASN1_SEQUENCE_END(crl_list)
    /* clang-format on */

    int64_t crl_seconds(enum registry_role issuer, bool delta)
{
    /* The root and the attestation CA revoke almost never and sign by ceremony; the Cross CA
     * is what cuts an ally off. */
    static const int64_t full[REGISTRY_ROLES] = {[REGISTRY_ROOT] = 30 * DAY,
                                                 [REGISTRY_CROSS] = DAY,
                                                 [REGISTRY_ATTESTATION] = 30 * DAY,
                                                 [REGISTRY_ISSUING] = 7 * DAY,
                                                 [REGISTRY_BASIC] = 7 * DAY};

    if ((unsigned)issuer >= REGISTRY_ROLES)
        return 0;
    return delta && full[issuer] > DAY ? DAY : full[issuer];
}

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory while building a CRL");
}

/* --- entries ------------------------------------------------------------------------------- */

struct entries {
    bool delta;
    struct buf der;
    size_t n;
    struct err *e;
    bool failed;
};

static int set_serial(X509_REVOKED *to, const char *hex, struct err *e)
{
    ASN1_INTEGER *n = NULL;
    size_t len = strlen(hex) / 2;
    BIGNUM *value = NULL;
    uint8_t raw[20];
    int rc = -1;

    if (len < 1 || len > sizeof(raw) || hex_decode(raw, len, hex) != 0)
        return err_set(e, E_CORRUPT, "a serial number in the registry is damaged: %.44s", hex);
    value = BN_bin2bn(raw, (int)len, NULL);
    n = value != NULL ? BN_to_ASN1_INTEGER(value, NULL) : NULL;
    if (n != NULL && X509_REVOKED_set_serialNumber(to, n) == 1)
        rc = 0;
    else
        no_memory(e);
    ASN1_INTEGER_free(n);
    BN_free(value);
    return rc;
}

/* RFC 5280, 5.3.1: "unspecified" is said by saying nothing. */
static int set_reason(X509_REVOKED *to, unsigned reason, struct err *e)
{
    ASN1_ENUMERATED *v;
    int ok;

    if (reason == REGISTRY_UNSPECIFIED)
        return 0;
    v = ASN1_ENUMERATED_new();
    ok = v != NULL && ASN1_ENUMERATED_set(v, (long)reason) == 1 &&
         X509_REVOKED_add1_ext_i2d(to, NID_crl_reason, v, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_ENUMERATED_free(v);
    return ok ? 0 : no_memory(e);
}

/* RFC 5280, 5.3.2. */
static int set_invalidity(X509_REVOKED *to, int64_t at, struct err *e)
{
    ASN1_GENERALIZEDTIME *v;
    int ok;

    if (at == 0)
        return 0;
    v = ASN1_GENERALIZEDTIME_set(NULL, (time_t)at);
    ok = v != NULL &&
         X509_REVOKED_add1_ext_i2d(to, NID_invalidity_date, v, 0, X509V3_ADD_DEFAULT) == 1;
    ASN1_GENERALIZEDTIME_free(v);
    return ok ? 0 : no_memory(e);
}

static int add_entry(struct entries *s, const char *serial, const struct registry_status *status)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *at = ASN1_TIME_set(NULL, (time_t)status->since);
    int rc = -1;

    if (entry == NULL || at == NULL || X509_REVOKED_set_revocationDate(entry, at) != 1)
        no_memory(s->e);
    else if (set_serial(entry, serial, s->e) == 0 && set_reason(entry, status->reason, s->e) == 0 &&
             set_invalidity(entry, status->invalid_at, s->e) == 0)
        rc = asn1_encode(entry, ASN1_ITEM_rptr(X509_REVOKED), &s->der, s->e);
    ASN1_TIME_free(at);
    X509_REVOKED_free(entry);
    return rc;
}

static bool each_entry(void *ctx, const char *serial, const struct registry_status *status)
{
    struct entries *s = ctx;

    /* What is good again is of interest to who has a CRL that says otherwise. */
    if (status->state == REGISTRY_GOOD && !s->delta)
        return true;
    s->failed = add_entry(s, serial, status) != 0;
    s->n++;
    return !s->failed;
}

/* All of them as one SEQUENCE; NULL when there are none, for then it is left out (5.1.2.6). */
static int wrap_entries(const struct entries *s, ASN1_STRING **out, struct err *e)
{
    int whole = ASN1_object_size(1, (int)s->der.len, V_ASN1_SEQUENCE);
    ASN1_STRING *v = NULL;
    uint8_t *p;

    if (s->n == 0)
        return 0;
    v = ASN1_STRING_type_new(V_ASN1_SEQUENCE);
    if (v == NULL || whole < 0 || ASN1_STRING_set(v, NULL, whole) != 1) {
        ASN1_STRING_free(v);
        return no_memory(e);
    }
    p = (uint8_t *)(uintptr_t)ASN1_STRING_get0_data(v);
    ASN1_put_object(&p, 1, (int)s->der.len, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
    memcpy(p, s->der.p, s->der.len);
    *out = v;
    return 0;
}

/* --- extensions ---------------------------------------------------------------------------- */

static int add(STACK_OF(X509_EXTENSION) * *to, int nid, void *value, bool critical, struct err *e)
{
    if (value == NULL || X509V3_add1_i2d(to, nid, value, critical, X509V3_ADD_DEFAULT) != 1)
        return no_memory(e);
    return 0;
}

static int add_number(STACK_OF(X509_EXTENSION) * *to, int nid, int64_t number, bool critical,
                      struct err *e)
{
    ASN1_INTEGER *v = ASN1_INTEGER_new();
    int rc = -1;

    if (v != NULL && ASN1_INTEGER_set_int64(v, number) == 1)
        rc = add(to, nid, v, critical, e);
    else
        no_memory(e);
    ASN1_INTEGER_free(v);
    return rc;
}

static int add_extensions(crl_info *info, const struct issue_issuer *by, const char *delta_url,
                          const struct registry_crl *row, struct err *e)
{
    AUTHORITY_KEYID *aki = extend_aki(issue_ski(by->cert), e);
    CRL_DIST_POINTS *points = NULL;
    int rc = -1;

    if (aki == NULL || add(&info->extensions, NID_authority_key_identifier, aki, false, e) != 0 ||
        add_number(&info->extensions, NID_crl_number, row->number, false, e) != 0)
        goto out;
    if (row->base != 0) {
        rc = add_number(&info->extensions, NID_delta_crl, row->base, true, e);
        goto out;
    }
    if (delta_url[0] != 0 && ((points = extend_points(delta_url, e)) == NULL ||
                              add(&info->extensions, NID_freshest_crl, points, false, e) != 0))
        goto out;
    rc = 0;
out:
    AUTHORITY_KEYID_free(aki);
    CRL_DIST_POINTS_free(points);
    return rc;
}

/* --- one CRL ------------------------------------------------------------------------------- */

/* Signs, and reads back what was made. */
static int sign(crl_list *list, const struct issue_issuer *by, struct buf *out, struct err *e)
{
    struct buf der = {0};
    const EVP_MD *md = NULL;
    EVP_PKEY *key = NULL;
    crl_list *back = NULL;
    int rc = -1;

    if (issue_signing(by->signer, &key, &md, e) != 0)
        goto out;
    if (ASN1_item_sign(ASN1_ITEM_rptr(crl_info), list->info->algorithm, list->algorithm,
                       list->signature, list->info, key, md) <= 0) {
        err_openssl(e, E_CRYPTO, "the CA key did not sign the CRL");
        goto out;
    }
    if (asn1_encode(list, ASN1_ITEM_rptr(crl_list), &der, e) != 0 ||
        (back = asn1_decode(ASN1_ITEM_rptr(crl_list), buf_bytes(&der), BUF_MAX, "CRL", e)) == NULL)
        goto out;
    if (ASN1_item_verify(ASN1_ITEM_rptr(crl_info), back->algorithm, back->signature, back->info,
                         X509_get0_pubkey(by->cert)) != 1) {
        err_openssl(e, E_CRYPTO, "the new CRL has a wrong signature and was thrown away");
        goto out;
    }
    buf_add_bytes(out, buf_bytes(&der));
    rc = buf_ok(out, e);
out:
    asn1_free(back, ASN1_ITEM_rptr(crl_list));
    EVP_PKEY_free(key);
    buf_free(&der);
    return rc;
}

static int build(const struct issue_issuer *by, const char *delta_url,
                 const struct registry_crl *row, struct entries *entries, struct buf *out,
                 struct err *e)
{
    crl_list *list = asn1_new(ASN1_ITEM_rptr(crl_list), e);
    crl_info *info = list != NULL ? list->info : NULL;
    int rc = -1;

    if (list == NULL)
        return -1;
    /* Version 2 is written as 1 (5.1.2.1). */
    if (ASN1_INTEGER_set(info->version, 1) != 1 ||
        X509_NAME_set(&info->issuer, X509_get_subject_name(by->cert)) != 1 ||
        ASN1_TIME_set(info->this_update, (time_t)row->this_update) == NULL ||
        ASN1_TIME_set(info->next_update, (time_t)row->next_update) == NULL)
        no_memory(e);
    else if (wrap_entries(entries, &info->revoked, e) == 0 &&
             add_extensions(info, by, delta_url, row, e) == 0)
        rc = sign(list, by, out, e);
    asn1_free(list, ASN1_ITEM_rptr(crl_list));
    return rc;
}

static int check_clock(struct registry *reg, const struct crl_request *r, struct err *e)
{
    return r->clock_was_ahead ? registry_clock_certs(reg, r->now, e)
                              : registry_clock(reg, r->now, e);
}

/* Number, base and times of the next one, and from which count of changes on it lists what. */
static int plan(struct registry *reg, const struct crl_request *r, struct registry_crl *next,
                int64_t *alive, int64_t *change, struct err *e)
{
    struct registry_crl last = {0}, full = {0};
    int there = registry_crl_last(reg, r->issuer, r->community, false, &last, e);
    int base = registry_crl_last(reg, r->issuer, r->community, true, &full, e);

    if (there < 0 || base < 0 || registry_changes(reg, &next->change, e) != 0)
        return -1;
    if (check_clock(reg, r, e) != 0)
        return -1;
    if (r->delta && (base == 0 || full.next_update <= (int64_t)r->now))
        return err_set(e, E_REJECTED,
                       "a delta CRL needs a full one that is still good; make that first, without "
                       "--delta");
    next->number = last.number + 1;
    next->base = r->delta ? full.number : 0;
    /* Never before the last one: of two, the later is the one that counts. */
    next->this_update = r->now - ISSUE_SKEW;
    if (there == 1 && next->this_update < last.this_update && !r->clock_was_ahead)
        next->this_update = last.this_update;
    next->next_update = r->now + crl_seconds(r->issuer, r->delta);
    *alive = full.this_update < next->this_update ? full.this_update : next->this_update;
    if (r->delta)
        *alive = INT64_MAX;
    *change = full.change;
    return 0;
}

/* In one transaction: of two at once, one gets the number. */
static int make(struct authority *a, const struct crl_request *r, const struct issue_issuer *by,
                struct buf *der, struct crl_made *out, struct err *e)
{
    struct registry *reg = authority_registry(a);
    struct crl_made made = {0};
    struct entries entries = {.delta = r->delta, .e = e};
    char delta_url[URLS_MAX];
    int64_t alive = 0, change = 0;
    int rc = -1;

    urls_crl(authority_urls(a), r->issuer, r->community, true, delta_url);
    if (r->delta && delta_url[0] == 0)
        return err_set(e, E_REJECTED,
                       "nobody would find delta CRLs of this authority: it was made without "
                       "--crl-url; make full ones");
    if (registry_begin(reg, e) != 0)
        return -1;
    if (plan(reg, r, &made.row, &alive, &change, e) != 0 ||
        registry_changed(reg, r->issuer, r->community, alive, change, each_entry, &entries, e) !=
            0 ||
        entries.failed)
        goto out;
    made.entries = entries.n;
    if (build(by, delta_url, &made.row, &entries, der, e) != 0 ||
        registry_crl_add(reg, r->issuer, r->community, &made.row, e) != 0 ||
        registry_commit(reg, e) != 0)
        goto out;
    *out = made;
    rc = 0;
out:
    registry_rollback(reg);
    buf_free(&entries.der);
    return rc;
}

int crl_make(struct authority *a, const struct crl_request *r, struct buf *der,
             struct crl_made *out, struct err *e)
{
    struct issue_issuer by;
    struct buf made = {0};
    int rc = -1;

    /* The key first: no lock is held while a PIN is asked for. */
    if (check_clock(authority_registry(a), r, e) == 0 &&
        authority_issuer(a, r->issuer, r->community, &by, e) == 0 &&
        make(a, r, &by, &made, out, e) == 0) {
        buf_add_bytes(der, buf_bytes(&made));
        rc = buf_ok(der, e);
    }
    buf_free(&made);
    return rc;
}
