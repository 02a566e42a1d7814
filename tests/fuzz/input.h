#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "core/buf.h"
#include "pkcs11/p11.h"

/*
 * What the fuzz targets share: a fuzzer's bytes, read as choices, numbers and byte strings.
 * After the end everything reads as zero. What is handed out lies in allocations of exactly
 * the length that is told, so that the address sanitizer sees each step over their ends; the
 * input owns them until input_end.
 */
struct input {
    struct reader r;
    void *block[1024];
    size_t n_block;
};

/* libFuzzer calls it, once for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input input_of(const uint8_t *data, size_t size);
void input_end(struct input *in);
bool input_empty(const struct input *in);

uint8_t input_u8(struct input *in);
size_t input_below(struct input *in, size_t n); /* 0 to n - 1; 0 for n = 0 */
bool input_one_in(struct input *in, unsigned n);

/* A number of the kind that breaks things: small, near a power of two, huge, or any. */
CK_ULONG input_ulong(struct input *in);

/* A length that no memory has: whoever believes it reads far beyond. */
CK_ULONG input_huge(struct input *in);

/* Zeroed memory of just this length, suitably aligned; never NULL. */
void *input_room(struct input *in, size_t len);

/* A copy of bytes with just their length; for no bytes NULL or an address that must not be
 * read. */
uint8_t *input_copy(struct input *in, struct bytes from);

/* A byte string, length and content from the input. What the input does not hold any more
 * is filled up; up to `max` bytes, mostly few. */
struct bytes input_bytes(struct input *in, size_t max);

/* The same as what a caller passes: mostly right; sometimes nowhere, with or without a length,
 * and sometimes much longer than what is there. */
void input_string(struct input *in, size_t max, CK_BYTE **p, CK_ULONG *len);

/* All the rest, as it is. */
struct bytes input_rest(struct input *in);

/* Reads every byte: the sanitizers look at it. */
void input_look(struct bytes b);

/* Says what does not hold, and ends the process as libFuzzer wants it. */
#define INPUT_HOLDS(condition)                            \
    do {                                                  \
        if (!(condition))                                 \
            input_broken(__FILE__, __LINE__, #condition); \
    } while (0)
_Noreturn void input_broken(const char *file, int line, const char *what);

#endif
