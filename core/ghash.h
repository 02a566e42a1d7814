#ifndef CORE_GHASH_H
#define CORE_GHASH_H

#include "core/base.h"

/*
 * GHASH (SP 800-38D, 6.4) in software, in time that depends on lengths only: no table, no
 * branch on data. Holds the hash subkey; wiped by whoever holds it.
 */
struct ghash {
    uint64_t h[3], reversed[3]; /* low, high, low ^ high of H, and bit-reversed */
    uint64_t y[2];              /* low, high of the running block */
    uint8_t part[16];           /* a block that is not full yet */
    size_t n_part;
};

void ghash_begin(struct ghash *g, const uint8_t h[16]);

/* Takes in any number of bytes; they make blocks together with those of earlier calls. */
void ghash_add(struct ghash *g, struct bytes in);

/* Fills the current block, if one is begun, with zeros. */
void ghash_pad(struct ghash *g);

/* Two lengths in bits, the block that ends GCM's input. Lengths in bytes, below 2^61. */
void ghash_lengths(struct ghash *g, uint64_t aad_len, uint64_t text_len);

/* The value after whole blocks. */
void ghash_value(const struct ghash *g, uint8_t out[16]);

#endif
