#include "cli/federation_crldir.h"

#include "cli/crlread.h"
#include "core/asn1.h"
#include "core/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(const char *dir, const char *name, const char *end, struct buf *out,
                   struct err *e)
{
    buf_printf(out, "%s/%s%s", dir, name, end);
    return buf_cstr(out) != NULL ? 0 : buf_ok(out, e);
}

/* --- reading ------------------------------------------------------------------------------------- */

static int read_one(const char *dir, struct federation_crl *c, struct err *e)
{
    STACK_OF(X509_CRL) *list = NULL;
    struct buf path = {0}, in = {0};
    struct err why = {0};
    int rc = -1;

    if (path_of(dir, "crls/", c->name, &path, e) != 0)
        goto out;
    buf_str(&path, ".crl");
    if (buf_cstr(&path) == NULL) {
        rc = buf_ok(&path, e);
        goto out;
    }
    if (file_read((const char *)path.p, BUF_MAX, &in, &why) != 0) {
        rc = why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
        goto out;
    }
    if (crlread_parse(buf_bytes(&in), (const char *)path.p, &list, NULL) != 0) {
        err_set(e, E_CORRUPT,
                "%s is damaged; remove it, then hand that CRL to `fusetsu federation crls` again",
                (const char *)path.p);
        goto out;
    }
    if (federation_crls_restore(c, sk_X509_CRL_value(list, 0), &why) == 0 || why.code == E_REJECTED)
        rc = 0;
    else
        rc = err_take(e, &why);
out:
    crlread_free(list);
    buf_free(&path);
    buf_free(&in);
    return rc;
}

int federation_crldir_read(const char *dir, struct federation_crls *s, bool *kept, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    if (path_of(dir, "crls", "", &path, e) != 0)
        goto out;
    rc = 0;
    *kept = access((const char *)path.p, F_OK) == 0 || errno != ENOENT;
    for (size_t i = 0; *kept && rc == 0 && i < s->n; i++)
        rc = read_one(dir, &s->need[i], e);
out:
    buf_free(&path);
    return rc;
}

/* --- writing ------------------------------------------------------------------------------------- */

/* CRLs are for everybody to read. */
static int make_dir(const char *dir, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    if (path_of(dir, "crls", "", &path, e) == 0)
        rc = access((const char *)path.p, F_OK) == 0 ? 0 : file_mkdirs((const char *)path.p, e);
    if (rc == 0 && chmod((const char *)path.p, 0755) != 0)
        rc = err_set(e, E_IO, "cannot let others read %s: %s", (const char *)path.p,
                     strerror(errno));
    buf_free(&path);
    return rc;
}

static int write_one(const char *dir, const struct federation_crl *c, struct err *e)
{
    struct buf path = {0}, der = {0};
    char name[48];
    int rc = -1;

    snprintf(name, sizeof(name), "crls/%s", c->name);
    if (asn1_encode(c->crl, ASN1_ITEM_rptr(X509_CRL), &der, e) == 0 &&
        path_of(dir, name, ".crl", &path, e) == 0)
        rc = file_write((const char *)path.p, buf_bytes(&der), 0644, e);
    buf_free(&path);
    buf_free(&der);
    return rc;
}

static int derive(const char *dir, const struct federation_crls *s, unsigned community,
                  struct err *e)
{
    struct buf path = {0}, pem = {0};
    struct err why = {0};
    int rc = -1;

    if (path_of(dir, oid_community_name(community), ".crls.pem", &path, e) != 0)
        goto out;
    if (federation_crls_pem(s, community, &pem, &why) == 0)
        rc = file_write((const char *)path.p, buf_bytes(&pem), 0644, e);
    else if (why.code != E_NOT_FOUND)
        rc = err_take(e, &why);
    else if (unlink((const char *)path.p) == 0 || errno == ENOENT)
        rc = 0;
    else
        err_set(e, E_IO, "cannot remove %s: %s", (const char *)path.p, strerror(errno));
out:
    buf_free(&path);
    buf_free(&pem);
    return rc;
}

int federation_crldir_write(const char *dir, const struct federation_crls *s, struct err *e)
{
    if (make_dir(dir, e) != 0)
        return -1;
    for (size_t i = 0; i < s->n; i++) {
        if (s->need[i].crl != NULL && write_one(dir, &s->need[i], e) != 0)
            return -1;
    }
    /* Each open community has a CA of its own among them. */
    for (size_t i = 0; i < s->n; i++) {
        if (strncmp(s->need[i].name, "ally-", 5) == 0 &&
            derive(dir, s, s->need[i].community, e) != 0)
            return -1;
    }
    return 0;
}
