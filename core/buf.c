#include "core/buf.h"

#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader reader_of(const void *p, size_t len)
{
    return (struct reader){.p = p, .left = len};
}

struct bytes reader_take(struct reader *r, size_t len)
{
    struct bytes s = {r->p, len};

    if (r->bad || len > r->left) {
        r->bad = true;
        return (struct bytes){NULL, 0};
    }
    r->p += len;
    r->left -= len;
    return s;
}

static uint64_t read_be(struct reader *r, size_t n)
{
    struct bytes s = reader_take(r, n);
    uint64_t v = 0;

    for (size_t i = 0; i < s.len; i++)
        v = v << 8 | s.p[i];
    return v;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
    return read_be(r, 8);
}

struct bytes reader_2b(struct reader *r)
{
    return reader_take(r, reader_u16(r));
}

bool reader_done(const struct reader *r)
{
    return !r->bad && r->left == 0;
}

/* Makes room for `more` bytes and one final NUL. */
static bool reserve(struct buf *b, size_t more)
{
    size_t want, cap = b->cap != 0 ? b->cap : 64;
    uint8_t *p;

    if (b->bad || more > BUF_MAX || b->len > BUF_MAX - more)
        goto bad;
    want = b->len + more + 1;
    if (want <= b->cap)
        return true;
    while (cap < want)
        cap *= 2;
    p = malloc(cap);
    if (p == NULL)
        goto bad;
    if (b->len != 0)
        memcpy(p, b->p, b->len);
    if (b->secret && b->p != NULL)
        OPENSSL_cleanse(b->p, b->cap);
    free(b->p);
    b->p = p;
    b->cap = cap;
    return true;
bad:
    b->bad = true;
    return false;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    if (len == 0 || !reserve(b, len))
        return;
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

void buf_add_bytes(struct buf *b, struct bytes s)
{
    buf_add(b, s.p, s.len);
}

void buf_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static void add_be(struct buf *b, uint64_t v, unsigned n)
{
    uint8_t out[8];

    for (unsigned i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    buf_add(b, out, n);
}

void buf_u8(struct buf *b, uint8_t v)
{
    add_be(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
    add_be(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
    add_be(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
    add_be(b, v, 8);
}

void buf_2b(struct buf *b, const void *p, size_t len)
{
    if (len > UINT16_MAX) {
        b->bad = true;
        return;
    }
    buf_u16(b, (uint16_t)len);
    buf_add(b, p, len);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->bad = true;
    } else {
        vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_hex(struct buf *b, const void *p, size_t len)
{
    if (len > BUF_MAX / 2 || !reserve(b, 2 * len)) {
        b->bad = true;
        return;
    }
    hex_encode((char *)b->p + b->len, p, len);
    b->len += 2 * len;
}

struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->p, b->len};
}

int buf_ok(const struct buf *b, struct err *e)
{
    if (b->bad)
        return err_set(e, E_MEMORY, "out of memory (or over %zu bytes) while building a message",
                       BUF_MAX);
    return 0;
}

const char *buf_cstr(struct buf *b)
{
    if (!reserve(b, 0))
        return NULL;
    b->p[b->len] = 0;
    return (const char *)b->p;
}

void buf_free(struct buf *b)
{
    if (b->secret && b->p != NULL)
        OPENSSL_cleanse(b->p, b->cap);
    free(b->p);
    *b = (struct buf){.secret = b->secret};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.p, b.p, a.len) == 0);
}

struct bytes bytes_of(const void *p, size_t len)
{
    return (struct bytes){p, len};
}

void hex_encode(char *out, const void *p, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *s = p;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[s[i] >> 4];
        out[2 * i + 1] = digit[s[i] & 15];
    }
    out[2 * len] = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(uint8_t *out, size_t len, const char *hex)
{
    if (strlen(hex) != 2 * len)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return -1;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}
