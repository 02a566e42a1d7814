#include "cli/federation_words.h"

#include "cli/certs.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 128

static void add(struct federation_words *w, const char *value, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static void add(struct federation_words *w, const char *value, const char *fmt, ...)
{
    va_list ap;

    if (value[0] == 0 || w->n == PAIRS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(w->key[w->n], sizeof(w->key[0]), fmt, ap);
    va_end(ap);
    snprintf(w->value[w->n], sizeof(w->value[0]), "%s", value);
    w->n++;
}

static void add_number(struct federation_words *w, unsigned n, const char *key)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", n);
    add(w, text, "%s", key);
}

static void add_time(struct federation_words *w, int64_t t, const char *key)
{
    char text[OUT_TIME], day[OUT_DAY];

    out_time(t, text, day);
    add(w, text, "%s", key);
}

static void add_cert(struct federation_words *w, X509 *cert, const char *of, const char *what)
{
    char print[CERTS_TEXT], until[CERTS_TEXT], value[2 * CERTS_TEXT + 16];

    if (cert == NULL)
        return;
    certs_fingerprint(cert, print);
    certs_time(X509_get0_notAfter(cert), until);
    snprintf(value, sizeof(value), "%s, until %s", print, until);
    add(w, value, "%s, %s", of, what);
}

static void add_community(struct federation_words *w, const struct federation_side *s, unsigned n)
{
    const struct federation_community *c = &s->community[n];
    char of[64], level[16];

    if (!c->open)
        return;
    snprintf(of, sizeof(of), "%s %s", s->nation, oid_community_name(n));
    snprintf(level, sizeof(level), "%u", (unsigned)c->accepts);
    add(w, level, "%s, accepts level", of);
    add(w, c->ssh, "%s, certifies for SSH by", of);
    add_cert(w, c->issuing, of, "issuing CA");
    add_cert(w, c->issuing_ike, of, "issuing CA for IKE");
    add_cert(w, c->cross, of, "issued to the ally");
    add_cert(w, c->cross_ike, of, "issued to the ally for IKE");
}

static void add_side(struct federation_words *w, const struct federation_side *s)
{
    add(w, s->org, "%s", s->nation);
    add(w, s->domain, "%s, domain", s->nation);
    add_cert(w, s->root, s->nation, "root");
    add_cert(w, s->cross_ca, s->nation, "Cross CA");
    add(w, s->crl, "%s, CRLs", s->nation);
    add(w, s->ocsp, "%s, OCSP", s->nation);
    add(w, s->log, "%s, log", s->nation);
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++)
        add_community(w, s, n);
    add(w, s->clearance, "%s, clearances", s->nation);
    for (unsigned n = 0; n < FEDERATION_CLASSES; n++)
        add(w, s->class_name[n], "%s, %s", s->nation, federation_class(n));
}

static void add_row(struct federation_words *w, const struct federation *f,
                    const struct federation_row *r)
{
    const struct federation_side *s = &f->side[r->from], *other = &f->side[1 - r->from];
    unsigned from = 0, as = 0;
    char value[3 * FEDERATION_NAME];

    while (from + 1 < FEDERATION_CLASSES && r->class != 1u << from)
        from++;
    while (as + 1 < FEDERATION_CLASSES && r->as != 1u << as)
        as++;
    snprintf(value, sizeof(value), "%s counts as %s", s->class_name[from], other->class_name[as]);
    add(w, value, "%s %s in %s", s->nation, federation_class(from), other->nation);
}

int federation_words(const struct federation *f, struct federation_words *out, struct err *e)
{
    struct federation_words w = {.key = calloc(PAIRS_MAX, sizeof(*w.key)),
                                 .value = calloc(PAIRS_MAX, sizeof(*w.value))};

    if (w.key == NULL || w.value == NULL) {
        federation_words_free(&w);
        return err_set(e, E_MEMORY, "out of memory for a federation");
    }
    if (f->whole) {
        char previous[65] = "";

        if (f->has_previous)
            hex_encode(previous, f->previous, sizeof(f->previous));
        add(&w, f->name, "federation");
        add_number(&w, f->sequence, "number");
        add(&w, previous, "follows");
        add_time(&w, f->from, "from");
        add_time(&w, f->until, "until");
    }
    for (size_t i = 0; i < f->n_side; i++)
        add_side(&w, &f->side[i]);
    for (size_t i = 0; i < f->n_row; i++)
        add_row(&w, f, &f->row[i]);
    *out = w;
    return 0;
}

const char *federation_words_of(const struct federation_words *w, const char *key)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->key[i], key) == 0)
            return w->value[i];
    }
    return NULL;
}

void federation_words_free(struct federation_words *w)
{
    free(w->key);
    free(w->value);
    *w = (struct federation_words){.n = 0};
}

int federation_read(const char *path, struct federation *out, struct buf *text, int *signers,
                    struct err *e)
{
    struct buf in = {0}, inner = {0};
    int rc = -1;

    if (file_read(path, 2 * FEDERATION_MAX, &in, e) != 0)
        goto out;
    if (federation_text(buf_bytes(&in), &inner, signers, e) != 0 ||
        federation_parse(buf_bytes(&inner), out, e) != 0) {
        err_prefix(e, "%s", path);
        goto out;
    }
    if (text != NULL)
        buf_add_bytes(text, buf_bytes(&inner));
    rc = 0;
out:
    buf_free(&in);
    buf_free(&inner);
    return rc;
}
