#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/base.h"
#include "core/err.h"

/*
 * Bytes in and out, bounded. All parsing of what does not come through OpenSSL
 * or tss2-mu goes through `struct reader`; all building of byte strings through
 * `struct buf`. Neither does pointer arithmetic outside buf.c.
 */

/* --- reading ------------------------------------------------------------- */

/* A cursor over borrowed bytes. After a read past the end `bad` is set, every
 * further read yields zeros and the caller checks once, at the end. */
struct reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

struct reader reader_of(const void *p, size_t len);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r); /* big-endian */
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);

/* Borrows the next `len` bytes; {NULL, 0} when there are fewer. */
struct bytes reader_take(struct reader *r, size_t len);

/* A two-byte length, then that many bytes (TPM2B, Part 2, 10.4). */
struct bytes reader_2b(struct reader *r);

/* True when nothing failed and nothing is left. */
bool reader_done(const struct reader *r);

/* --- writing ------------------------------------------------------------- */

#define BUF_MAX ((size_t)16 << 20)

/* A growing byte string. A failed append sets `bad` and is remembered, so that
 * a run of appends is checked once with buf_ok(). Zero-initialise it; a buffer
 * for secrets also sets `secret`, and is then wiped whenever it moves or ends. */
struct buf {
    uint8_t *p;
    size_t len;
    size_t cap;
    bool bad;
    bool secret;
};

void buf_add(struct buf *b, const void *p, size_t len);
void buf_add_bytes(struct buf *b, struct bytes s);
void buf_str(struct buf *b, const char *s); /* without the final NUL */
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v); /* big-endian */
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_2b(struct buf *b, const void *p, size_t len); /* TPM2B */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_hex(struct buf *b, const void *p, size_t len); /* lower case */
struct bytes buf_bytes(const struct buf *b);

/* 0, or -1 with E_MEMORY recorded when an append failed. */
int buf_ok(const struct buf *b, struct err *e) MUST_USE;

/* Adds a NUL that is not counted in `len` and returns the text, NULL when bad. */
const char *buf_cstr(struct buf *b);

void buf_free(struct buf *b);

/* --- small helpers ------------------------------------------------------- */

/* Equal length and content; the time depends on the length only. */
bool bytes_equal(struct bytes a, struct bytes b);
struct bytes bytes_of(const void *p, size_t len);

/* Writes 2*len hex digits and a NUL; `out` holds 2*len+1. */
void hex_encode(char *out, const void *p, size_t len);

/* Decodes exactly `len` bytes from a string of 2*len hex digits. -1 if not. */
int hex_decode(uint8_t *out, size_t len, const char *hex) MUST_USE;

#endif
