/* Answers signed beforehand. */
#include "ca/ocsp_priv.h"

#include "core/file.h"

#include <stdlib.h>
#include <string.h>

/* --- signing ------------------------------------------------------------------------------- */

/* All certificates of the CA that have not ended; the registry is not held while a TPM signs. */
struct list {
    struct entry {
        char serial[43];
        struct registry_status status;
    } * entry;
    size_t n, room;
    int64_t now;
    bool failed;
};

static bool add_entry(void *ctx, const struct registry_cert *c)
{
    struct list *l = ctx;
    struct entry *more;

    if (c->expires_at <= l->now)
        return true;
    if (l->n == l->room) {
        l->room = l->room == 0 ? 64 : 2 * l->room;
        more = realloc(l->entry, l->room * sizeof(*more));
        l->failed = more == NULL;
        if (l->failed)
            return false;
        l->entry = more;
    }
    memcpy(l->entry[l->n].serial, c->serial, sizeof(c->serial));
    l->entry[l->n++].status = c->status;
    return true;
}

/* The id of one certificate under one of the hashes. */
static OCSP_CERTID *id_of(const struct ocsp *o, size_t hash, const char *serial)
{
    OCSP_CERTID *id = OCSP_CERTID_dup(o->id[hash]);
    ASN1_INTEGER *number = NULL;
    uint8_t raw[20];
    size_t len = strlen(serial) / 2;

    if (id != NULL && len >= 1 && len <= sizeof(raw) && hex_decode(raw, len, serial) == 0 &&
        OCSP_id_get0_info(NULL, NULL, NULL, &number, id) == 1 &&
        ASN1_STRING_set(number, raw, (int)len) == 1)
        return id;
    OCSP_CERTID_free(id);
    return NULL;
}

static int write_answer(const char *dir, const char *serial, struct bytes der, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    buf_printf(&path, "%s/%s.ocsp", dir, serial);
    if (buf_cstr(&path) != NULL)
        rc = file_write(buf_cstr(&path), der, 0644, e);
    else
        err_set(e, E_MEMORY, "out of memory for a path");
    buf_free(&path);
    return rc;
}

static int presign_one(struct ocsp *o, const char *dir, const struct entry *x, time_t now,
                       struct err *e)
{
    int64_t until = ocsp_until(o, now, OCSP_PRESIGNED_SECONDS);
    struct buf der = {0};
    int rc = ocsp_form_begin(o->form, now, e);

    for (size_t i = 0; rc == 0 && i < OCSP_HASHES; i++) {
        OCSP_CERTID *id = id_of(o, i, x->serial);

        rc = id != NULL
                 ? ocsp_form_add(o->form, id, &x->status, (int64_t)now - ISSUE_SKEW, until, e)
                 : err_set(e, E_CORRUPT, "a serial number in the registry is damaged: %s",
                           x->serial);
        OCSP_CERTID_free(id);
    }
    if (rc == 0 && (rc = ocsp_form_sign(o->form, &der, e)) == 0)
        rc = write_answer(dir, x->serial, buf_bytes(&der), e);
    buf_free(&der);
    return rc;
}

int ocsp_presign(struct ocsp *o, const char *dir, time_t now, size_t *n, struct err *e)
{
    struct registry_wanted w = {.of_ca = true, .issuer = o->role, .community = o->community};
    struct list l = {.now = now};
    int rc = -1;

    *n = 0;
    if (o->form == NULL)
        return err_set(e, E_ARG, "this responder was opened without its key");
    if (file_mkdirs(dir, e) != 0 || registry_certs(o->registry, &w, add_entry, &l, e) != 0)
        goto out;
    if (l.failed) {
        err_set(e, E_MEMORY, "out of memory for a list of certificates");
        goto out;
    }
    for (size_t i = 0; i < l.n; i++) {
        if (presign_one(o, dir, &l.entry[i], now, e) != 0)
            goto out;
        ++*n;
    }
    rc = 0;
out:
    free(l.entry);
    return rc;
}

/* --- giving out ---------------------------------------------------------------------------- */

/* Is it an answer, and not older than it may be? */
static bool current(struct bytes der, time_t now)
{
    int64_t until = 0;

    return ocsp_form_until(der, &until, NULL) == 0 && (int64_t)now < until;
}

static int give(const char *dir, const char *serial, time_t now, struct buf *response,
                struct err *e)
{
    struct buf path = {0}, der = {0};
    struct err why = {0};
    int rc = -1;

    buf_printf(&path, "%s/%s.ocsp", dir, serial);
    if (buf_cstr(&path) == NULL) {
        err_set(e, E_MEMORY, "out of memory for a path");
    } else if (file_read(buf_cstr(&path), OCSP_FORM_MAX, &der, &why) != 0) {
        rc = ocsp_failure(why.code == E_NOT_FOUND ? OCSP_RESPONSE_STATUS_UNAUTHORIZED
                                                  : OCSP_RESPONSE_STATUS_TRYLATER,
                          response, e);
    } else if (!current(buf_bytes(&der), now)) {
        rc = ocsp_failure(OCSP_RESPONSE_STATUS_TRYLATER, response, e);
    } else {
        buf_add_bytes(response, buf_bytes(&der));
        rc = buf_ok(response, e);
    }
    buf_free(&path);
    buf_free(&der);
    return rc;
}

int ocsp_lookup(struct ocsp *o, const char *dir, struct bytes request, time_t now,
                struct buf *response, struct err *e)
{
    OCSP_REQUEST *req = ocsp_parse(request);
    char serial[ISSUE_SERIAL_TEXT];
    int rc;

    if (req == NULL)
        return ocsp_failure(OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, response, e);
    if (OCSP_request_onereq_count(req) == 1 &&
        ocsp_serial(o, OCSP_onereq_get0_id(OCSP_request_onereq_get0(req, 0)), serial))
        rc = give(dir, serial, now, response, e);
    else
        rc = ocsp_failure(OCSP_RESPONSE_STATUS_UNAUTHORIZED, response, e);
    OCSP_REQUEST_free(req);
    return rc;
}
