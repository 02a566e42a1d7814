#include "ca/ocsp.h"

#include "ca/ocsp_priv.h"
#include "core/asn1.h"
#include "core/oid.h"

#include <stdlib.h>
#include <string.h>

#define DAY ((int64_t)24 * 3600)
#define DAYS_MAX 30

/* --- the responder ------------------------------------------------------------------------- */

static X509_NAME *name_of(struct authority *a, enum registry_role issuer, unsigned community,
                          struct err *e)
{
    const struct registry_authority *info = authority_info(a);
    struct buf cn = {0};
    X509_NAME *name = NULL;

    buf_printf(&cn, "%s %s OCSP responder", info->nation,
               community != 0 ? oid_community_name(community) : registry_role_name(issuer));
    if (buf_cstr(&cn) != NULL)
        name = issue_name(info->nation, info->org,
                          community != 0 ? oid_community_name(community) : NULL, buf_cstr(&cn), e);
    buf_free(&cn);
    return name;
}

static int record(struct authority *a, const struct authority_entry *x,
                  const struct registry_key *where, struct err *e)
{
    struct registry *r = authority_registry(a);
    struct buf der = {0};
    int rc = -1;

    if (issue_to_der(x->cert, &der, e) != 0 || registry_begin(r, e) != 0)
        goto out;
    if (authority_record(r, x, e) == 0 &&
        registry_set_responder(r, x->issuer, x->community, where, buf_bytes(&der), e) == 0)
        rc = registry_commit(r, e);
    else
        registry_rollback(r);
out:
    buf_free(&der);
    return rc;
}

int ocsp_certify(struct authority *a, enum registry_role issuer, unsigned community,
                 const struct registry_key *where, const struct pubkey *key, int days, time_t now,
                 X509 **out, struct err *e)
{
    struct subject s = {.key = key};
    struct issue_issuer by;
    X509_NAME *name = NULL;
    X509 *cert = NULL;
    int rc = -1;

    if (days < 1 || days > DAYS_MAX)
        return err_set(e, E_ARG, "a responder is certified for 1 to %d days", DAYS_MAX);
    name = name_of(a, issuer, community, e);
    s.name = name;
    if (name == NULL || authority_clock(a, now, e) != 0 ||
        authority_issuer(a, issuer, community, &by, e) != 0 ||
        issue_validity(by.cert, now, days * DAY, &s, e) != 0 ||
        issue_certificate(PROFILE_OCSP, &by, &s, &cert, e) != 0 ||
        record(a, &(struct authority_entry){.issuer = issuer, .community = community, .cert = cert},
               where, e) != 0)
        goto out;
    if (out != NULL) {
        *out = cert;
        cert = NULL;
    }
    rc = 0;
out:
    X509_NAME_free(name);
    X509_free(cert);
    return rc;
}

/* The ids of the two hashes that are asked by, without serial numbers. */
static int make_ids(struct ocsp *o, struct err *e)
{
    const EVP_MD *md[OCSP_HASHES] = {EVP_sha1(), EVP_sha256()};

    for (size_t i = 0; i < OCSP_HASHES; i++) {
        o->id[i] = OCSP_cert_id_new(md[i], X509_get_subject_name(o->issuer),
                                    X509_get0_pubkey_bitstr(o->issuer), NULL);
        if (o->id[i] == NULL)
            return err_openssl(e, E_CRYPTO, "cannot name the certificates of a CA");
    }
    return 0;
}

static int take_signer(struct ocsp *o, struct signer *signer, time_t now, struct err *e)
{
    struct pubkey held;

    if (issue_time(X509_get0_notAfter(o->cert), &o->cert_end, e) != 0 ||
        pubkey_from_x509(&held, o->cert, e) != 0)
        return -1;
    if (!pubkey_equal(&held, &signer->pub))
        return err_set(e, E_REJECTED, "the key is not the one in the responder's certificate");
    if ((int64_t)now >= o->cert_end)
        return err_set(e, E_REJECTED,
                       "the responder's certificate has ended; make the next with `fusetsu ca "
                       "ocsp-responder`");
    return ocsp_form_new(&o->form, o->cert, signer, e);
}

int ocsp_open(struct ocsp **out, struct authority *a, enum registry_role issuer, unsigned community,
              struct signer *signer, time_t now, struct err *e)
{
    struct ocsp *o = calloc(1, sizeof(*o));
    struct buf der = {0};
    int rc = -1;

    if (o == NULL)
        return err_set(e, E_MEMORY, "out of memory for an OCSP responder");
    o->registry = authority_registry(a);
    o->role = issuer;
    o->community = community;
    if (authority_cert(a, issuer, community, &o->issuer, e) != 0 ||
        registry_responder(o->registry, issuer, community, NULL, &der, e) != 0 ||
        issue_from_der(buf_bytes(&der), &o->cert, e) != 0 || make_ids(o, e) != 0 ||
        registry_ask(o->registry, issuer, community, &o->asking, e) != 0 ||
        (signer != NULL &&
         (authority_clock(a, now, e) != 0 || take_signer(o, signer, now, e) != 0)))
        goto out;
    *out = o;
    o = NULL;
    rc = 0;
out:
    ocsp_close(o);
    buf_free(&der);
    return rc;
}

void ocsp_close(struct ocsp *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < OCSP_HASHES; i++)
        OCSP_CERTID_free(o->id[i]);
    registry_ask_end(o->asking);
    ocsp_form_free(o->form);
    X509_free(o->cert);
    free(o);
}

/* --- questions ----------------------------------------------------------------------------- */

/* RFC 8954, 2.1: an OCTET STRING of 1 to 32 octets in the extension's value. */
static bool nonce_ok(const X509_EXTENSION *ext)
{
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data((X509_EXTENSION *)(uintptr_t)ext);
    const uint8_t *p = ASN1_STRING_get0_data(value);
    int len = ASN1_STRING_length(value);

    return len >= 3 && len <= OCSP_NONCE_MAX + 2 && p[0] == V_ASN1_OCTET_STRING && p[1] == len - 2;
}

/* The nonce at most once, and nothing critical that is not understood (RFC 6960, 4.4). */
static bool extensions_ok(OCSP_REQUEST *req)
{
    int nonces = 0;

    for (int i = 0; i < OCSP_REQUEST_get_ext_count(req); i++) {
        X509_EXTENSION *ext = OCSP_REQUEST_get_ext(req, i);

        if (OBJ_obj2nid(X509_EXTENSION_get_object(ext)) == NID_id_pkix_OCSP_Nonce) {
            if (++nonces > 1 || !nonce_ok(ext))
                return false;
        } else if (X509_EXTENSION_get_critical(ext)) {
            return false;
        }
    }
    for (int i = 0; i < OCSP_request_onereq_count(req); i++) {
        OCSP_ONEREQ *one = OCSP_request_onereq_get0(req, i);

        for (int k = 0; k < OCSP_ONEREQ_get_ext_count(one); k++)
            if (X509_EXTENSION_get_critical(OCSP_ONEREQ_get_ext(one, k)))
                return false;
    }
    return true;
}

OCSP_REQUEST *ocsp_parse(struct bytes request)
{
    OCSP_REQUEST *req =
        asn1_decode(ASN1_ITEM_rptr(OCSP_REQUEST), request, OCSP_REQUEST_MAX, "OCSP request", NULL);
    int n = req != NULL ? OCSP_request_onereq_count(req) : 0;

    if (n >= 1 && n <= OCSP_ASKED_MAX && extensions_ok(req))
        return req;
    OCSP_REQUEST_free(req);
    return NULL;
}

bool ocsp_serial(struct ocsp *o, OCSP_CERTID *id, char serial[ISSUE_SERIAL_TEXT])
{
    ASN1_INTEGER *number = NULL;
    bool ours = false;

    for (size_t i = 0; i < OCSP_HASHES; i++)
        ours = ours || OCSP_id_issuer_cmp(id, o->id[i]) == 0;
    if (!ours || OCSP_id_get0_info(NULL, NULL, NULL, &number, id) != 1 ||
        ASN1_STRING_type(number) != V_ASN1_INTEGER || ASN1_STRING_length(number) < 1 ||
        ASN1_STRING_length(number) > 20)
        return false;
    hex_encode(serial, ASN1_STRING_get0_data(number), (size_t)ASN1_STRING_length(number));
    return true;
}

/* --- answers ------------------------------------------------------------------------------- */

int ocsp_failure(int status, struct buf *response, struct err *e)
{
    OCSP_RESPONSE *r = OCSP_response_create(status, NULL);
    int rc = r != NULL ? asn1_encode(r, ASN1_ITEM_rptr(OCSP_RESPONSE), response, e)
                       : err_openssl(e, E_CRYPTO, "cannot make an OCSP answer");

    OCSP_RESPONSE_free(r);
    return rc;
}

int64_t ocsp_until(const struct ocsp *o, time_t now, int64_t seconds)
{
    return now + seconds < o->cert_end ? now + seconds : o->cert_end;
}

static int answer(struct ocsp *o, OCSP_REQUEST *req, time_t now, struct buf *response,
                  struct err *e)
{
    int64_t until = ocsp_until(o, now, OCSP_LIVE_SECONDS), from = (int64_t)now - ISSUE_SKEW;
    char serial[ISSUE_SERIAL_TEXT];
    struct registry_status s;

    /* As authority_clock, without reading what it reads each time. */
    if ((int64_t)now < o->latest)
        return err_set(e, E_REJECTED,
                       "the clock went back since the last OCSP answer; set it right, or, if it "
                       "was ahead then, start the responder again");
    if (ocsp_form_begin(o->form, now, e) != 0)
        return -1;
    if (from > o->latest)
        o->latest = from;
    for (int i = 0; i < OCSP_request_onereq_count(req); i++) {
        OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(req, i));
        int there = ocsp_serial(o, id, serial) ? registry_asked(o->asking, serial, &s, e) : 0;

        if (there < 0 || ocsp_form_add(o->form, id, there == 1 ? &s : NULL, from, until, e) != 0)
            return -1;
    }
    return ocsp_form_nonce(o->form, req, e) == 0 ? ocsp_form_sign(o->form, response, e) : -1;
}

int ocsp_answer(struct ocsp *o, struct bytes request, time_t now, struct buf *response,
                struct err *e)
{
    OCSP_REQUEST *req = ocsp_parse(request);
    struct buf made = {0};
    int rc = -1;

    if (req == NULL)
        return ocsp_failure(OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, response, e);
    if (o->form == NULL)
        err_set(e, E_ARG, "this responder was opened without its key");
    else if ((int64_t)now >= o->cert_end)
        err_set(e, E_REJECTED, "the responder's certificate has ended");
    else
        rc = answer(o, req, now, &made, e);
    if (rc == 0) {
        buf_add_bytes(response, buf_bytes(&made));
        rc = buf_ok(response, e);
    } else if (ocsp_failure(OCSP_RESPONSE_STATUS_INTERNALERROR, response, e) != 0) {
        rc = -1;
    }
    OCSP_REQUEST_free(req);
    buf_free(&made);
    return rc;
}
