#include "tests/fuzz/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input input_of(const uint8_t *data, size_t size)
{
    return (struct input){.r = reader_of(data, size)};
}

void input_end(struct input *in)
{
    for (size_t i = 0; i < in->n_block; i++)
        free(in->block[i]);
    in->n_block = 0;
}

bool input_empty(const struct input *in)
{
    return in->r.left == 0 || in->n_block + 64 > ARRAY_LEN(in->block);
}

uint8_t input_u8(struct input *in)
{
    return in->r.left != 0 ? reader_u8(&in->r) : 0;
}

size_t input_below(struct input *in, size_t n)
{
    size_t v = input_u8(in);

    if (n > 256)
        v = v << 8 | input_u8(in);
    return n != 0 ? v % n : 0;
}

bool input_one_in(struct input *in, unsigned n)
{
    return input_below(in, n) == n - 1;
}

CK_ULONG input_ulong(struct input *in)
{
    uint8_t how = input_u8(in);
    CK_ULONG v = 0;

    if (how < 0xc0)
        return how;
    if (how < 0xe0)
        return ((CK_ULONG)1 << (how & 63)) - (how & 1);
    if (how < 0xf0)
        return (CK_ULONG)0 - input_u8(in);
    for (size_t i = 0; i < sizeof(v); i++)
        v = v << 8 | input_u8(in);
    return v;
}

CK_ULONG input_huge(struct input *in)
{
    static const CK_ULONG huge[] = {
        ~0UL, ~0UL - 7, (~0UL >> 1) + 1, ~0UL >> 1, 0xffffffffUL, (~0UL >> 4) + 2,
    };

    return huge[input_below(in, ARRAY_LEN(huge))];
}

void *input_room(struct input *in, size_t len)
{
    void *p = in->n_block < ARRAY_LEN(in->block) ? calloc(1, len) : NULL;

    if (p == NULL)
        abort();
    in->block[in->n_block++] = p;
    return p;
}

uint8_t *input_copy(struct input *in, struct bytes from)
{
    uint8_t *p;

    if (from.len == 0 && input_one_in(in, 2))
        return NULL;
    p = input_room(in, from.len);
    if (from.len != 0)
        memcpy(p, from.p, from.len);
    return p;
}

struct bytes input_bytes(struct input *in, size_t max)
{
    uint8_t how = input_u8(in);
    size_t len = how < 200 ? how : (size_t)(how - 199) * 75, have;
    uint8_t *p;

    if (len > max)
        len = max;
    have = len < in->r.left ? len : in->r.left;
    if (len == 0)
        return bytes_of(input_copy(in, bytes_of(NULL, 0)), 0);
    p = input_room(in, len);
    memset(p, 0x5a, len);
    if (have != 0)
        memcpy(p, reader_take(&in->r, have).p, have);
    return bytes_of(p, len);
}

void input_string(struct input *in, size_t max, CK_BYTE **p, CK_ULONG *len)
{
    struct bytes b = input_bytes(in, max);

    *p = (CK_BYTE *)(uintptr_t)b.p;
    *len = (CK_ULONG)b.len;
    switch (input_below(in, 16)) {
    case 13: *len = input_huge(in); break;
    case 14: *p = NULL; break;
    case 15: *len = 0; break;
    default: break;
    }
}

struct bytes input_rest(struct input *in)
{
    struct bytes left = reader_take(&in->r, in->r.left);

    return bytes_of(input_copy(in, left), left.len);
}

void input_look(struct bytes b)
{
    static volatile uint8_t seen;

    for (size_t i = 0; i < b.len; i++)
        seen = (uint8_t)(seen + b.p[i]);
}

void input_broken(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}
