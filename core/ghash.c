#include "core/ghash.h"

#include "core/buf.h"

#include <string.h>

/* Every fourth bit. */
#define FOURTH UINT64_C(0x1111111111111111)

/*
 * The low half of the carry-less product. Integers with only every fourth bit set leave
 * three bits of room for the carries of an ordinary product, which is constant-time where
 * a table is not; sixteen such products make the whole one (after T. Pornin, BearSSL).
 */
static uint64_t clmul_low(uint64_t a, uint64_t b)
{
    uint64_t out = 0;

    for (unsigned k = 0; k < 4; k++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < 4; i++)
            sum ^= (a & FOURTH << i) * (b & FOURTH << ((k - i) & 3));
        out |= sum & FOURTH << k;
    }
    return out;
}

static uint64_t swap_bits(uint64_t x, uint64_t mask, unsigned by)
{
    return (x & mask) << by | (x >> by & mask);
}

static uint64_t reverse(uint64_t x)
{
    x = swap_bits(x, UINT64_C(0x5555555555555555), 1);
    x = swap_bits(x, UINT64_C(0x3333333333333333), 2);
    x = swap_bits(x, UINT64_C(0x0f0f0f0f0f0f0f0f), 4);
    x = swap_bits(x, UINT64_C(0x00ff00ff00ff00ff), 8);
    x = swap_bits(x, UINT64_C(0x0000ffff0000ffff), 16);
    return x << 32 | x >> 32;
}

/* The high half: the low half of the product of the reversed, reversed, one bit down. */
static uint64_t clmul_high(uint64_t a_reversed, uint64_t b_reversed)
{
    return reverse(clmul_low(a_reversed, b_reversed)) >> 1;
}

/*
 * y = y * H (6.3), by Karatsuba's three products. The standard's bit 0 is the top bit of
 * the first byte, so that the product of two such numbers is one bit too low; then the
 * lower 128 bits are folded by x^128 = x^7 + x^2 + x + 1.
 */
static void multiply(struct ghash *g)
{
    uint64_t y[3] = {g->y[0], g->y[1], g->y[0] ^ g->y[1]}, low[3], high[3], v[4];

    for (size_t i = 0; i < 3; i++) {
        low[i] = clmul_low(y[i], g->h[i]);
        high[i] = clmul_high(reverse(y[i]), g->reversed[i]);
    }
    v[0] = low[0];
    v[1] = high[0] ^ low[2] ^ low[0] ^ low[1];
    v[2] = low[1] ^ high[2] ^ high[0] ^ high[1];
    v[3] = high[1];
    for (size_t i = 3; i > 0; i--)
        v[i] = v[i] << 1 | v[i - 1] >> 63;
    v[0] <<= 1;
    for (size_t i = 0; i < 2; i++) {
        v[i + 2] ^= v[i] ^ v[i] >> 1 ^ v[i] >> 2 ^ v[i] >> 7;
        v[i + 1] ^= v[i] << 63 ^ v[i] << 62 ^ v[i] << 57;
    }
    g->y[0] = v[2];
    g->y[1] = v[3];
}

static void take_block(struct ghash *g, const uint8_t block[16])
{
    struct reader r = reader_of(block, 16);

    g->y[1] ^= reader_u64(&r);
    g->y[0] ^= reader_u64(&r);
    multiply(g);
}

void ghash_begin(struct ghash *g, const uint8_t h[16])
{
    struct reader r = reader_of(h, 16);

    memset(g, 0, sizeof(*g));
    g->h[1] = reader_u64(&r);
    g->h[0] = reader_u64(&r);
    g->h[2] = g->h[0] ^ g->h[1];
    for (size_t i = 0; i < 3; i++)
        g->reversed[i] = reverse(g->h[i]);
}

void ghash_add(struct ghash *g, struct bytes in)
{
    size_t done = 0;

    while (done < in.len) {
        size_t n = sizeof(g->part) - g->n_part;

        if (g->n_part == 0 && in.len - done >= sizeof(g->part)) {
            take_block(g, in.p + done);
            done += sizeof(g->part);
            continue;
        }
        n = in.len - done < n ? in.len - done : n;
        memcpy(g->part + g->n_part, in.p + done, n);
        g->n_part += n;
        done += n;
        if (g->n_part == sizeof(g->part))
            ghash_pad(g);
    }
}

void ghash_pad(struct ghash *g)
{
    if (g->n_part == 0)
        return;
    memset(g->part + g->n_part, 0, sizeof(g->part) - g->n_part);
    take_block(g, g->part);
    g->n_part = 0;
}

void ghash_lengths(struct ghash *g, uint64_t aad_len, uint64_t text_len)
{
    g->y[1] ^= aad_len * 8;
    g->y[0] ^= text_len * 8;
    multiply(g);
}

static void put_be(uint8_t *out, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

void ghash_value(const struct ghash *g, uint8_t out[16])
{
    put_be(out, g->y[1]);
    put_be(out + 8, g->y[0]);
}
