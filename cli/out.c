#include "cli/out.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUT_WIDTH 78
#define OUT_COLUMNS 12

/* One decoded character: its code point (or '?' where the bytes are broken), and how many
 * bytes it took. */
static uint32_t decode(const char *s, size_t *len)
{
    const uint8_t *p = (const uint8_t *)s;
    uint32_t cp = p[0], least;
    size_t n;

    *len = 1;
    if (p[0] < 0x80)
        return cp;
    if (p[0] >= 0xC2 && p[0] < 0xE0) {
        n = 2, cp &= 0x1F, least = 0x80;
    } else if (p[0] >= 0xE0 && p[0] < 0xF0) {
        n = 3, cp &= 0x0F, least = 0x800;
    } else if (p[0] >= 0xF0 && p[0] < 0xF5) {
        n = 4, cp &= 0x07, least = 0x10000;
    } else {
        return '?';
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) /* the final NUL too */
            return '?';
        cp = cp << 6 | (p[i] & 0x3F);
    }
    if (cp < least || cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        return '?';
    *len = n;
    return cp;
}

/* Controls (C0, C1, DEL) and the marks that turn the direction of writing. */
static bool harmful(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || (cp >= 0x200B && cp <= 0x200F) ||
           (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF;
}

/* The East Asian wide blocks, roughly (Unicode Standard Annex 11). */
static int width_of(uint32_t cp)
{
    bool wide = (cp >= 0x1100 && cp <= 0x115F) || (cp >= 0x2E80 && cp <= 0xA4CF) ||
                (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0xF900 && cp <= 0xFAFF) ||
                (cp >= 0xFE30 && cp <= 0xFE6F) || (cp >= 0xFF00 && cp <= 0xFF60) ||
                (cp >= 0xFFE0 && cp <= 0xFFE6) || (cp >= 0x20000 && cp <= 0x3FFFD);

    return wide ? 2 : 1;
}

/* Appends the harmless form of `s`; returns the columns it takes. */
static int clean(struct buf *b, const char *s)
{
    int width = 0;

    while (*s != 0) {
        size_t n;
        uint32_t cp = decode(s, &n);

        if (harmful(cp) || (cp == '?' && *s != '?'))
            buf_u8(b, '?'), width++;
        else
            buf_add(b, s, n), width += width_of(cp);
        s += n;
    }
    return width;
}

void out_text(FILE *f, const char *text)
{
    struct buf b = {0};
    const char *s;

    clean(&b, text);
    s = buf_cstr(&b);
    if (s != NULL)
        fputs(s, f);
    buf_free(&b);
}

static void pad(FILE *f, int n)
{
    for (; n > 0; n--)
        putc(' ', f);
}

void out_words_from(FILE *f, int at, int indent, const char *text)
{
    bool first = true;

    while (*text != 0) {
        size_t n = strcspn(text, " \n");
        struct buf b = {0};
        char *word = strndup(text, n);
        const char *s;
        int width;

        if (word == NULL)
            return;
        width = clean(&b, word);
        s = buf_cstr(&b);
        if (!first && at + 1 + width > OUT_WIDTH) {
            putc('\n', f);
            at = 0;
            first = true;
        }
        if (first && at < indent) {
            pad(f, indent - at);
            at = indent;
        } else if (!first) {
            putc(' ', f);
            at++;
        }
        fputs(s != NULL ? s : "", f);
        at += width;
        first = false;
        buf_free(&b);
        free(word);
        text += n;
        if (*text == '\n' && text[1] != 0) {
            putc('\n', f);
            at = 0;
            first = true;
        }
        if (*text != 0)
            text++;
    }
    putc('\n', f);
}

void out_words(FILE *f, int indent, const char *text)
{
    out_words_from(f, 0, indent, text);
}

void out_para(FILE *f, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    for (char *s = text; (s = strchr(s, '\n')) != NULL;)
        *s = '?';
    out_words(f, 0, text);
    free(text);
}

void out_time(int64_t t, char text[OUT_TIME], char day[OUT_DAY])
{
    time_t when = (time_t)t;
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL || strftime(text, OUT_TIME, "%Y-%m-%d %H:%MZ", &tm) == 0)
        snprintf(text, OUT_TIME, "-");
    snprintf(day, OUT_DAY, "%.10s", text);
}

/* --- tables -------------------------------------------------------------- */

struct cell {
    char *text;
    int width;
};

struct out_table {
    size_t cols;
    int width[OUT_COLUMNS];
    struct cell *cell; /* rows × cols, the titles first */
    size_t rows;
};

int out_table_row(struct out_table *t, const char *const *cells, struct err *e)
{
    struct cell *more = realloc(t->cell, (t->rows + 1) * t->cols * sizeof(*more));
    struct cell *row;

    if (more == NULL)
        return err_set(e, E_MEMORY, "out of memory for a table");
    t->cell = more;
    row = more + t->rows * t->cols;
    memset(row, 0, t->cols * sizeof(*row));
    t->rows++;
    for (size_t i = 0; i < t->cols; i++) {
        struct buf b = {0};

        row[i].width = clean(&b, cells[i] != NULL ? cells[i] : "");
        row[i].text = (char *)(uintptr_t)buf_cstr(&b); /* owned by the table from here on */
        if (row[i].text == NULL) {
            buf_free(&b);
            return err_set(e, E_MEMORY, "out of memory for a table");
        }
        if (row[i].width > t->width[i])
            t->width[i] = row[i].width;
    }
    return 0;
}

struct out_table *out_table_new(const char *const *heads, size_t n, struct err *e)
{
    struct out_table *t;

    if (n == 0 || n > OUT_COLUMNS) {
        err_set(e, E_ARG, "a table of %zu columns", n);
        return NULL;
    }
    t = calloc(1, sizeof(*t));
    if (t == NULL) {
        err_set(e, E_MEMORY, "out of memory for a table");
        return NULL;
    }
    t->cols = n;
    if (out_table_row(t, heads, e) != 0) {
        out_table_free(t);
        return NULL;
    }
    return t;
}

void out_table_print(const struct out_table *t, FILE *f)
{
    for (size_t r = 0; r < t->rows; r++) {
        const struct cell *row = t->cell + r * t->cols;

        for (size_t i = 0; i < t->cols; i++) {
            fputs(row[i].text, f);
            if (i + 1 < t->cols)
                pad(f, t->width[i] - row[i].width + 2);
        }
        putc('\n', f);
    }
}

void out_table_free(struct out_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->rows * t->cols; i++)
        free(t->cell[i].text);
    free(t->cell);
    free(t);
}

/* --- JSON ---------------------------------------------------------------- */

json_t *out_json_text(const char *text)
{
    struct buf b = {0};
    const char *s;
    json_t *j = NULL;

    clean(&b, text);
    s = buf_cstr(&b);
    if (s != NULL)
        j = json_string(s);
    buf_free(&b);
    return j;
}

json_t *out_json_hex(struct bytes b)
{
    struct buf hex = {0};
    const char *s;
    json_t *j = NULL;

    buf_hex(&hex, b.p, b.len);
    s = buf_cstr(&hex);
    if (s != NULL)
        j = json_string(s);
    buf_free(&hex);
    return j;
}

int out_json(json_t *doc, struct err *e)
{
    int rc = -1;

    if (doc == NULL)
        return err_set(e, E_MEMORY, "out of memory for the JSON document");
    if (json_dumpf(doc, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)
        err_set(e, E_IO, "standard output cannot be written; is the disk full or the reader gone?");
    else
        rc = 0;
    json_decref(doc);
    return rc;
}
