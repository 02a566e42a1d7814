#include "core/federation.h"

#include "core/asn1.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 8192
#define CERT_MAX 4096
#define FIELDS_MAX 16

static const char *const class_names[FEDERATION_CLASSES] = {
    "unmarked", "unclassified", "restricted", "confidential", "secret", "top-secret"};

const char *federation_class(unsigned n)
{
    return n < FEDERATION_CLASSES ? class_names[n] : NULL;
}

static int class_named(const char *name)
{
    for (int i = 0; i < FEDERATION_CLASSES; i++) {
        if (strcmp(class_names[i], name) == 0)
            return i;
    }
    return -1;
}

int federation_side_of(const struct federation *f, const char *nation)
{
    for (size_t i = 0; i < f->n_side; i++) {
        if (strcmp(f->side[i].nation, nation) == 0)
            return (int)i;
    }
    return -1;
}

/* --- what is in a section ------------------------------------------------------------------ */

enum kind { TEXT, NUMBER, HASH, TIME, CERT, OID, SSH };

/* One key of a section, and where its value goes. */
struct field {
    const char *key;
    enum kind kind;
    bool must;
    size_t offset, size;
};

#define FIELD(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)
#define END      \
    {            \
        .key = 0 \
    }

static const struct field federation_fields[] = {
    {"name", TEXT, true, FIELD(federation, name)},
    {"sequence", NUMBER, true, FIELD(federation, sequence)},
    {"previous", HASH, false, FIELD(federation, previous)},
    {"from", TIME, true, FIELD(federation, from)},
    {"until", TIME, true, FIELD(federation, until)},
    END};
static const struct field authority_fields[] = {
    {"org", TEXT, true, FIELD(federation_side, org)},
    {"domain", TEXT, true, FIELD(federation_side, domain)},
    {"root", CERT, true, FIELD(federation_side, root)},
    {"cross_ca", CERT, true, FIELD(federation_side, cross_ca)},
    {"crl", TEXT, false, FIELD(federation_side, crl)},
    {"ocsp", TEXT, false, FIELD(federation_side, ocsp)},
    {"log", TEXT, false, FIELD(federation_side, log)},
    END};
static const struct field community_fields[] = {
    {"issuing", CERT, true, FIELD(federation_community, issuing)},
    {"issuing_ike", CERT, false, FIELD(federation_community, issuing_ike)},
    {"cross", CERT, false, FIELD(federation_community, cross)},
    {"cross_ike", CERT, false, FIELD(federation_community, cross_ike)},
    {"accepts", NUMBER, true, FIELD(federation_community, accepts)},
    {"ssh", SSH, false, FIELD(federation_community, ssh)},
    END};
#define CLASS(n) TEXT, false, FIELD(federation_side, class_name[n])
static const struct field clearance_fields[] = {
    {"policy", OID, true, FIELD(federation_side, clearance)},
    {"unmarked", CLASS(0)},
    {"unclassified", CLASS(1)},
    {"restricted", CLASS(2)},
    {"confidential", CLASS(3)},
    {"secret", CLASS(4)},
    {"top-secret", CLASS(5)},
    END};

/* --- values ---------------------------------------------------------------------------------- */

static int read_time(const char *v, int64_t *out)
{
    struct tm tm = {0};
    char again[32];
    time_t t;

    if (sscanf(v, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    t = timegm(&tm);
    /* What is out of range, or has more behind it, comes out otherwise. */
    if (t < 0 || gmtime_r(&t, &tm) == NULL ||
        strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 || strcmp(again, v) != 0)
        return -1;
    *out = (int64_t)t;
    return 0;
}

static int read_number(const char *v, uint32_t *out)
{
    size_t n = strlen(v);

    if (n < 1 || n > 9 || strspn(v, "0123456789") != n || (v[0] == '0' && n > 1))
        return -1;
    *out = (uint32_t)strtoul(v, NULL, 10);
    return 0;
}

static int read_oid(const char *v, char *out, size_t size)
{
    ASN1_OBJECT *o = strlen(v) < size ? oid_object(v, NULL) : NULL;
    bool same = o != NULL && oid_is(o, v);

    ASN1_OBJECT_free(o);
    if (!same)
        return -1;
    memcpy(out, v, strlen(v) + 1);
    return 0;
}

static int read_cert(const char *v, X509 **out, struct err *e)
{
    uint8_t der[CERT_MAX * 3 / 4 + 3];
    size_t n = strlen(v), pad = 0;
    int len;

    if (n == 0 || n % 4 != 0 || n > CERT_MAX ||
        strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") != n)
        return err_set(e, E_FORMAT, "it is to be DER in base64, up to %d characters", CERT_MAX);
    while (pad < 2 && v[n - 1 - pad] == '=')
        pad++;
    len = EVP_DecodeBlock(der, (const unsigned char *)v, (int)n);
    if (len < (int)pad)
        return err_set(e, E_FORMAT, "it is no base64");
    *out = asn1_decode(ASN1_ITEM_rptr(X509), bytes_of(der, (size_t)len - pad), CERT_MAX,
                       "certificate", e);
    return *out != NULL ? 0 : -1;
}

static int read_value(const struct field *d, const char *v, void *to, struct err *e)
{
    switch (d->kind) {
    case SSH:
        if (!sshkey_is_line(v))
            return err_set(e, E_FORMAT, "%s is no public key as OpenSSH writes it, without comment",
                           d->key);
        memcpy(to, v, strlen(v) + 1);
        return 0;
    case TEXT:
        if (v[0] == 0 || strlen(v) >= d->size)
            return err_set(e, E_FORMAT, "%s is empty, or longer than %zu bytes", d->key,
                           d->size - 1);
        memcpy(to, v, strlen(v) + 1);
        return 0;
    case NUMBER:
        return read_number(v, to) == 0
                   ? 0
                   : err_set(e, E_FORMAT, "%s is no number up to 999999999", d->key);
    case HASH:
        return strlen(v) == 64 && hex_decode(to, 32, v) == 0
                   ? 0
                   : err_set(e, E_FORMAT, "%s is no SHA-256 in hex", d->key);
    case TIME:
        return read_time(v, to) == 0
                   ? 0
                   : err_set(e, E_FORMAT, "%s is no time like 2026-11-25T00:00:00Z", d->key);
    case OID:
        return read_oid(v, to, d->size) == 0
                   ? 0
                   : err_set(e, E_FORMAT, "%s is no object identifier", d->key);
    case CERT: break;
    }
    return read_cert(v, to, e) == 0 ? 0 : err_prefix(e, "%s", d->key);
}

/* --- reading ------------------------------------------------------------------------------------ */

/* The section that lines belong to. */
struct section {
    const struct field *field; /* NULL: [equivalence], or none yet */
    void *base;
    unsigned seen; /* bit n: field n was there */
    bool rows;     /* [equivalence] */
    unsigned from;
};

struct parsing {
    struct federation *f;
    struct section now;
    bool clearance[2];
    bool equivalence[2];
    struct err *e;
};

static int end_section(struct parsing *p)
{
    const struct field *d = p->now.field;

    for (unsigned i = 0; d != NULL && d[i].key != NULL; i++) {
        if (d[i].must && (p->now.seen & 1u << i) == 0)
            return err_set(p->e, E_FORMAT, "the section above lacks %s", d[i].key);
    }
    if (d == federation_fields)
        p->f->has_previous = (p->now.seen & 1u << 2) != 0;
    p->now = (struct section){.field = NULL};
    return 0;
}

static bool is_nation(const char *s)
{
    return strlen(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z';
}

static int twice(struct parsing *p)
{
    return err_set(p->e, E_FORMAT, "this section is there twice");
}

static int begin_authority(struct parsing *p, const char *nation)
{
    struct federation_side *s;

    if (!is_nation(nation))
        return err_set(p->e, E_FORMAT, "an authority is named by its nation's two letters");
    if (federation_side_of(p->f, nation) >= 0)
        return twice(p);
    if (p->f->n_side == ARRAY_LEN(p->f->side))
        return err_set(p->e, E_FORMAT, "a federation is of two authorities");
    s = &p->f->side[p->f->n_side++];
    memcpy(s->nation, nation, 3);
    p->now = (struct section){.field = authority_fields, .base = s};
    return 0;
}

static int side_before(struct parsing *p, const char *nation)
{
    int side = federation_side_of(p->f, nation);

    if (side < 0)
        err_set(p->e, E_FORMAT, "there is no [authority %.8s] before this section", nation);
    return side;
}

static int begin_community(struct parsing *p, const char *name, const char *nation)
{
    unsigned n = oid_community_named(name);
    struct federation_community *c;
    int side;

    if (n == 0)
        return err_set(p->e, E_FORMAT, "there is no community %.40s", name);
    side = side_before(p, nation);
    if (side < 0)
        return -1;
    c = &p->f->side[side].community[n];
    if (c->open)
        return twice(p);
    c->open = true;
    p->now = (struct section){.field = community_fields, .base = c};
    return 0;
}

static int begin_clearance(struct parsing *p, const char *nation)
{
    int side = side_before(p, nation);

    if (side < 0)
        return -1;
    if (p->clearance[side])
        return twice(p);
    p->clearance[side] = true;
    p->now = (struct section){.field = clearance_fields, .base = &p->f->side[side]};
    return 0;
}

static int begin_equivalence(struct parsing *p, const char *from, const char *to)
{
    int side = side_before(p, from), other = side_before(p, to);

    if (side < 0 || other < 0)
        return -1;
    if (side == other)
        return err_set(p->e, E_FORMAT, "an equivalence is between two authorities");
    if (p->equivalence[side])
        return twice(p);
    p->equivalence[side] = true;
    p->now = (struct section){.rows = true, .from = (unsigned)side};
    return 0;
}

/* "[word word word]", cut in place. */
static int begin_section(struct parsing *p, char *line)
{
    char *word[4] = {NULL}, *rest = NULL;
    size_t n = strlen(line), i = 0;

    if (end_section(p) != 0)
        return -1;
    if (n < 3 || line[n - 1] != ']')
        return err_set(p->e, E_FORMAT, "a section is [NAME], alone on its line");
    line[n - 1] = 0;
    for (char *w = strtok_r(line + 1, " ", &rest); w != NULL && i < ARRAY_LEN(word);
         w = strtok_r(NULL, " ", &rest))
        word[i++] = w;
    if (i == 1 && strcmp(word[0], "federation") == 0) {
        if (p->f->whole)
            return twice(p);
        p->f->whole = true;
        p->now = (struct section){.field = federation_fields, .base = p->f};
        return 0;
    }
    if (i == 2 && strcmp(word[0], "authority") == 0)
        return begin_authority(p, word[1]);
    if (i == 3 && strcmp(word[0], "community") == 0)
        return begin_community(p, word[1], word[2]);
    if (i == 2 && strcmp(word[0], "clearance") == 0)
        return begin_clearance(p, word[1]);
    if (i == 3 && strcmp(word[0], "equivalence") == 0)
        return begin_equivalence(p, word[1], word[2]);
    return err_set(p->e, E_FORMAT, "there is no such section in a federation");
}

static int add_row(struct parsing *p, const char *key, const char *value)
{
    int class = class_named(key), as = class_named(value);
    struct federation *f = p->f;

    if (class < 0 || as < 0)
        return err_set(p->e, E_FORMAT,
                       "a row is two of unmarked, unclassified, restricted, confidential, secret, "
                       "top-secret");
    for (size_t i = 0; i < f->n_row; i++) {
        if (f->row[i].from == p->now.from && f->row[i].class == 1u << class)
            return err_set(p->e, E_FORMAT, "%s is there twice", key);
    }
    if (f->n_row == FEDERATION_ROWS)
        return err_set(p->e, E_FULL, "there are too many rows");
    f->row[f->n_row++] = (struct federation_row){p->now.from, 1u << class, 1u << as};
    return 0;
}

static int add_value(struct parsing *p, const char *key, const char *value)
{
    const struct field *d = p->now.field;

    if (p->now.rows)
        return add_row(p, key, value);
    if (d == NULL)
        return err_set(p->e, E_FORMAT, "a line before the first section");
    for (unsigned i = 0; d[i].key != NULL; i++) {
        if (strcmp(d[i].key, key) != 0)
            continue;
        if ((p->now.seen & 1u << i) != 0)
            return err_set(p->e, E_FORMAT, "%s is there twice", key);
        p->now.seen |= 1u << i;
        return read_value(&d[i], value, (uint8_t *)p->now.base + d[i].offset, p->e);
    }
    return err_set(p->e, E_FORMAT, "this section has no %.40s", key);
}

/* "key = value", cut in place. OpenSSL would read more into some characters. */
static int read_line(struct parsing *p, char *line)
{
    char *value = strstr(line, " = ");
    size_t n;

    if (line[0] == 0 || line[0] == '#')
        return 0;
    if (strpbrk(line, "$\\\"'`#;") != NULL || line[0] == '.')
        return err_set(p->e, E_FORMAT,
                       "this file has no variables, escapes, quotes, includes or comments behind a "
                       "value");
    if (line[0] == '[')
        return begin_section(p, line);
    if (value == NULL || value == line)
        return err_set(p->e, E_FORMAT, "a line is KEY = VALUE");
    *value = 0;
    value += 3;
    n = strlen(value);
    if (strchr(line, ' ') != NULL || n == 0 || value[0] == ' ' || value[n - 1] == ' ')
        return err_set(p->e, E_FORMAT, "a line is KEY = VALUE, with one space before and behind =");
    return add_value(p, line, value);
}

/* The next line of UTF-8 without control characters; NULL at the end, or with what is wrong. */
static char *next_line(struct bytes text, size_t *at, char out[LINE_MAX_BYTES], const char **bad)
{
    size_t n = 0;

    if (*at >= text.len)
        return NULL;
    while (*at < text.len && text.p[*at] != '\n') {
        unsigned long c;
        int k = UTF8_getc(text.p + *at, (int)(text.len - *at < 8 ? text.len - *at : 8), &c);

        if (k <= 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || n + (size_t)k >= LINE_MAX_BYTES) {
            *bad = n + 8 >= LINE_MAX_BYTES ? "it is too long" : "it is no plain UTF-8";
            return NULL;
        }
        memcpy(out + n, text.p + *at, (size_t)k);
        n += (size_t)k;
        *at += (size_t)k;
    }
    if (*at == text.len) {
        *bad = "the last line does not end";
        return NULL;
    }
    ++*at;
    out[n] = 0;
    return out;
}

int federation_parse(struct bytes text, struct federation *out, struct err *e)
{
    struct federation f = {.n_side = 0};
    struct err why = {0};
    struct parsing p = {.f = &f, .e = &why};
    char line[LINE_MAX_BYTES];
    const char *bad = NULL;
    unsigned number = 0;
    size_t at = 0;

    if (text.len > FEDERATION_MAX)
        return err_set(e, E_FULL, "a federation has up to %zu bytes", FEDERATION_MAX);
    while (next_line(text, &at, line, &bad) != NULL) {
        number++;
        if (read_line(&p, line) != 0)
            goto bad;
    }
    number++;
    if (bad != NULL)
        err_set(&why, E_FORMAT, "%s", bad);
    else if (end_section(&p) == 0 && f.n_side == (f.whole ? 2 : 1) && (f.whole || f.n_row == 0)) {
        *out = f;
        return 0;
    } else
        err_set(&why, E_FORMAT,
                "a federation has a section [federation] and two authorities, a part of it one "
                "authority and neither");
bad:
    federation_free(&f);
    err_take(e, &why);
    return err_prefix(e, "line %u", number);
}

/* --- writing -------------------------------------------------------------------------------------- */

static int write_cert(X509 *x, struct buf *out, struct err *e)
{
    struct buf der = {0};
    uint8_t text[CERT_MAX + 4];
    int n, rc = -1;

    if (asn1_encode(x, ASN1_ITEM_rptr(X509), &der, e) != 0)
        goto out;
    if (der.len > CERT_MAX / 4 * 3) {
        err_set(e, E_FULL, "a certificate is too large for a federation");
        goto out;
    }
    n = EVP_EncodeBlock(text, der.p, (int)der.len);
    buf_add(out, text, (size_t)n);
    rc = 0;
out:
    buf_free(&der);
    return rc;
}

static void write_time(int64_t at, struct buf *out)
{
    time_t t = (time_t)at;
    struct tm tm;
    char text[32] = "";

    if (gmtime_r(&t, &tm) != NULL)
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_str(out, text);
}

/* Is there anything to write? */
static bool is_set(const struct field *d, const void *v)
{
    if (d->kind == TEXT || d->kind == OID || d->kind == SSH)
        return ((const char *)v)[0] != 0;
    if (d->kind == CERT)
        return *(X509 *const *)v != NULL;
    return true;
}

static int write_fields(const struct field *d, const void *base, bool has_hash, struct buf *out,
                        struct err *e)
{
    for (; d->key != NULL; d++) {
        const void *v = (const uint8_t *)base + d->offset;

        if (!is_set(d, v) || (d->kind == HASH && !has_hash))
            continue;
        buf_printf(out, "%s = ", d->key);
        switch (d->kind) {
        case TEXT:
        case SSH:
        case OID: buf_str(out, v); break;
        case NUMBER: buf_printf(out, "%u", *(const uint32_t *)v); break;
        case HASH: buf_hex(out, v, 32); break;
        case TIME: write_time(*(const int64_t *)v, out); break;
        case CERT:
            if (write_cert(*(X509 *const *)v, out, e) != 0)
                return -1;
        }
        buf_str(out, "\n");
    }
    return 0;
}

static int write_side(const struct federation_side *s, struct buf *out, struct err *e)
{
    buf_printf(out, "\n[authority %s]\n", s->nation);
    if (write_fields(authority_fields, s, false, out, e) != 0)
        return -1;
    for (unsigned c = 1; c <= OID_COMMUNITIES; c++) {
        if (!s->community[c].open)
            continue;
        buf_printf(out, "\n[community %s %s]\n", oid_community_name(c), s->nation);
        if (write_fields(community_fields, &s->community[c], false, out, e) != 0)
            return -1;
    }
    if (s->clearance[0] == 0)
        return 0;
    buf_printf(out, "\n[clearance %s]\n", s->nation);
    return write_fields(clearance_fields, s, false, out, e);
}

static unsigned bit_number(uint32_t bit)
{
    unsigned n = 0;

    while (n + 1 < FEDERATION_CLASSES && bit != 1u << n)
        n++;
    return n;
}

static void write_rows(const struct federation *f, unsigned from, struct buf *out)
{
    bool begun = false;

    for (size_t i = 0; i < f->n_row; i++) {
        if (f->row[i].from != from)
            continue;
        if (!begun)
            buf_printf(out, "\n[equivalence %s %s]\n", f->side[from].nation,
                       f->side[1 - from].nation);
        begun = true;
        buf_printf(out, "%s = %s\n", class_names[bit_number(f->row[i].class)],
                   class_names[bit_number(f->row[i].as)]);
    }
}

int federation_write(const struct federation *f, struct buf *out, struct err *e)
{
    if (f->whole) {
        buf_str(out, "[federation]\n");
        if (write_fields(federation_fields, f, f->has_previous, out, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < f->n_side; i++) {
        if (write_side(&f->side[i], out, e) != 0)
            return -1;
    }
    for (unsigned i = 0; i < f->n_side; i++)
        write_rows(f, i, out);
    return buf_ok(out, e);
}

void federation_free(struct federation *f)
{
    for (size_t i = 0; i < ARRAY_LEN(f->side); i++) {
        struct federation_side *s = &f->side[i];

        X509_free(s->root);
        X509_free(s->cross_ca);
        for (unsigned c = 1; c <= OID_COMMUNITIES; c++) {
            X509_free(s->community[c].issuing);
            X509_free(s->community[c].issuing_ike);
            X509_free(s->community[c].cross);
            X509_free(s->community[c].cross_ike);
        }
    }
    *f = (struct federation){.n_side = 0};
}

size_t federation_table(const struct federation *f, unsigned reader,
                        struct chain_equivalence out[FEDERATION_ROWS])
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_row; i++) {
        if (f->row[i].from != reader)
            out[n++] = (struct chain_equivalence){f->side[1 - reader].clearance, f->row[i].class,
                                                  f->side[reader].clearance, f->row[i].as};
    }
    return n;
}

int federation_join(struct federation *a, struct federation *b, struct federation *out,
                    struct err *e)
{
    if (a->whole || b->whole || a->n_side != 1 || b->n_side != 1 ||
        strcmp(a->side[0].nation, b->side[0].nation) == 0)
        return err_set(e, E_REJECTED, "a federation is put together of the parts of two nations");
    out->whole = true;
    out->n_side = 2;
    out->side[0] = a->side[0];
    out->side[1] = b->side[0];
    *a = *b = (struct federation){.n_side = 0};
    return 0;
}
