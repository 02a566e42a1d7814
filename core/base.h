#ifndef CORE_BASE_H
#define CORE_BASE_H

/* What every file may use: fixed-width types and the few compiler attributes
 * that the house style relies on. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result of a function that can fail. */
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A borrowed run of bytes; `p` may be NULL when `len` is 0. */
struct bytes {
    const uint8_t *p;
    size_t len;
};

#endif
