#include "ca/plain.h"

#include <openssl/asn1.h>

/* The next character; false at the end and where it is no UTF-8. */
static bool next(struct bytes *rest, unsigned long *c)
{
    int n = rest->len > 0 ? UTF8_getc(rest->p, (int)(rest->len < 8 ? rest->len : 8), c) : 0;

    if (n <= 0 || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
        return false;
    *rest = bytes_of(rest->p + n, rest->len - (size_t)n);
    return true;
}

static bool unseen(unsigned long c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

bool plain_is(struct bytes text)
{
    struct bytes rest = text;
    unsigned long c;

    if (text.len == 0 || text.p[0] == ' ' || text.p[text.len - 1] == ' ')
        return false;
    while (rest.len > 0) {
        if (!next(&rest, &c) || unseen(c))
            return false;
    }
    return true;
}

bool plain_like_address(struct bytes text)
{
    /* Those that RFC 3490, 3.1 or NFKC take for a full stop, and those for an @. */
    static const unsigned long marks[] = {'.',    0x2024, 0x3002, 0xfe52, 0xff0e,
                                          0xff61, '@',    0xfe6b, 0xff20};
    unsigned long c;

    while (next(&text, &c)) {
        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            if (c == marks[i])
                return true;
        }
    }
    return text.len > 0;
}
