#include "ca/vouch.h"

#include "ca/device.h"
#include "ca/registry_status.h"
#include "ca/tpmnames.h"

#include <stdio.h>
#include <string.h>

#define SECONDS ((int64_t)10 * 365 * 24 * 3600)

/* "id:" and 2 to 16 hex digits (EK Credential Profile 2.5, 3.2.9). */
static bool is_id(const char *s)
{
    size_t n = strlen(s);

    return n >= 5 && n <= 19 && strncmp(s, "id:", 3) == 0 &&
           strspn(s + 3, "0123456789ABCDEFabcdef") == n - 3;
}

static int check_names(const struct ekname *tpm, struct err *e)
{
    if (strlen(tpm->manufacturer) != 11 || !is_id(tpm->manufacturer))
        return err_set(e, E_ARG,
                       "a manufacturer is id: and the four letters of TPM_PT_MANUFACTURER in hex, "
                       "such as id:49465800");
    if (!is_id(tpm->version))
        return err_set(e, E_ARG, "a version is id: and hex digits, such as id:00070055");
    if (tpm->model[0] == 0)
        return err_set(e, E_ARG, "a TPM has a model");
    return 0;
}

/* Does the certificate say of the TPM what was asked? */
static int check_cert(X509 *cert, const struct ekname *want, struct err *e)
{
    struct ekname has;

    if (ekname_read(cert, &has, e) != 0)
        return -1;
    if (strcmp(has.manufacturer, want->manufacturer) == 0 && strcmp(has.model, want->model) == 0 &&
        strcmp(has.version, want->version) == 0)
        return 0;
    return err_set(e, E_ARG, "the TPM's model may have printable ASCII characters alone");
}

static X509 *certify(struct authority *a, const struct issue_issuer *by, const struct vouch *v,
                     const uint8_t id[32], struct err *e)
{
    const struct registry_authority *info = authority_info(a);
    struct subject s = {.key = v->ek};
    enum profile_id row = v->ek->type == TPM2_ALG_RSA ? PROFILE_EK_RSA : PROFILE_EK_ECC;
    GENERAL_NAMES *names = tpmnames_make(&v->tpm, e);
    X509_NAME *name = NULL;
    X509 *cert = NULL;
    char cn[3 + 2 * 20 + 1] = "EK ";

    hex_encode(cn + 3, id, 20);
    name = issue_name(info->nation, info->org, NULL, cn, e);
    s.name = name;
    s.tpm_names = names;
    if (names != NULL && name != NULL && issue_validity(by->cert, v->now, SECONDS, &s, e) == 0 &&
        issue_certificate(row, by, &s, &cert, e) == 0 && check_cert(cert, &v->tpm, e) != 0) {
        X509_free(cert);
        cert = NULL;
    }
    GENERAL_NAMES_free(names);
    X509_NAME_free(name);
    return cert;
}

static int keep(struct authority *a, const struct vouch *v, X509 *cert, const uint8_t id[32],
                struct err *e)
{
    const struct authority_entry entry = {
        .issuer = REGISTRY_ATTESTATION, .cert = cert, .ek_hash = id};
    struct registry *r = authority_registry(a);
    STACK_OF(X509) *eks = sk_X509_new_null();
    int rc = -1;

    if (eks == NULL || sk_X509_push(eks, cert) <= 0)
        err_set(e, E_MEMORY, "out of memory for a device");
    else if (registry_begin(r, e) == 0) {
        if (device_add(r, eks, v->device, v->dns, v->community, e) == 0 &&
            authority_record(r, &entry, e) == 0)
            rc = registry_commit(r, e);
        else
            registry_rollback(r);
    }
    sk_X509_free(eks);
    return rc;
}

/* The certificate that was made before, for whoever did not get the file; the last of several. */
struct search {
    X509 *cert;
    int64_t now;
    struct err *e;
    bool failed;
};

static bool try_issued(void *ctx, const struct registry_cert *c)
{
    struct search *s = ctx;

    if (c->status.state != REGISTRY_GOOD || c->expires_at <= s->now)
        return true;
    X509_free(s->cert);
    s->cert = NULL;
    s->failed = issue_from_der(c->der, &s->cert, s->e) != 0;
    return !s->failed;
}

/* 1: it was vouched for in the same words, and *out is the certificate; 0: it was not; -1. */
static int again(struct authority *a, const struct vouch *v, const struct registry_device *there,
                 const uint8_t id[32], X509 **out, struct err *e)
{
    const struct registry_wanted of = {
        .spki_hash = id, .of_ca = true, .issuer = REGISTRY_ATTESTATION};
    struct search s = {.now = v->now, .e = e};
    int named = registry_device_has_name(authority_registry(a), there->id, v->dns, v->community, e);

    if (named <= 0 || there->state != REGISTRY_DEVICE_ACTIVE)
        return named < 0 ? -1 : 0;
    if (registry_certs(authority_registry(a), &of, try_issued, &s, e) != 0 || s.failed) {
        X509_free(s.cert);
        return -1;
    }
    if (s.cert == NULL || check_cert(s.cert, &v->tpm, NULL) != 0) {
        X509_free(s.cert);
        return 0;
    }
    *v->device = *there;
    *out = s.cert;
    return 1;
}

int vouch_for(struct authority *a, const struct vouch *v, X509 **out, struct err *e)
{
    struct registry_device there;
    struct issue_issuer by;
    struct err why = {0};
    uint8_t id[32];
    X509 *cert;

    if (check_names(&v->tpm, e) != 0 || pubkey_id(v->ek, id, e) != 0)
        return -1;
    /* Before anybody is asked for a PIN. */
    if (registry_device_of_ek(authority_registry(a), id, &there, &why) == 0 &&
        there.state != REGISTRY_DEVICE_PENDING) {
        int rc = again(a, v, &there, id, out, e);

        if (rc != 0)
            return rc > 0 ? 0 : -1;
        return err_set(e, E_EXISTS, "that EK is device %lld, which is %s", (long long)there.id,
                       registry_device_state_name(there.state));
    }
    if (why.code != E_OK && why.code != E_NOT_FOUND)
        return err_take(e, &why);
    if (authority_clock(a, v->now, e) != 0 ||
        authority_issuer(a, REGISTRY_ATTESTATION, 0, &by, e) != 0 ||
        (cert = certify(a, &by, v, id, e)) == NULL)
        return -1;
    if (keep(a, v, cert, id, e) != 0) {
        X509_free(cert);
        return -1;
    }
    *out = cert;
    return 0;
}

int vouch_withdrawn(struct authority *a, X509 *ek_cert, char why[VOUCH_WHY], struct err *e)
{
    char serial[ISSUE_SERIAL_TEXT];
    struct registry_cert c;
    X509 *ours;
    int there;

    why[0] = 0;
    if (authority_cert(a, REGISTRY_ATTESTATION, 0, &ours, e) != 0)
        return -1;
    if (X509_check_issued(ours, ek_cert) != X509_V_OK)
        return 0;
    if (issue_serial(ek_cert, serial, e) != 0)
        return -1;
    there = registry_cert(authority_registry(a), REGISTRY_ATTESTATION, 0, serial, &c, e);
    if (there < 0)
        return -1;
    if (there == 0 || c.status.state != REGISTRY_GOOD)
        snprintf(why, VOUCH_WHY, "this authority's certificate of the TPM's endorsement key is %s",
                 there == 0 ? "not in its registry" : registry_state_name(c.status.state));
    return 0;
}
