#ifndef TESTS_SUPPORT_UNIT_STORE_H
#define TESTS_SUPPORT_UNIT_STORE_H

#include "core/store.h"

/* What the tests of the store share. The store lies in the test's directory
 * (unit_dir.h) under the name "store.db". */

#define UNIT_SERIAL "0123456789abcdef"

/* Opens it; the test fails when it does not open. */
struct store *unit_store_open(enum store_mode mode);

/* The test fails unless opening `path` fails like this, naming the path. */
void unit_store_refused(const char *path, enum store_mode mode, enum err_code code,
                        const char *mentions);

/* Adds a TPM and a token; its number, or -1. */
int64_t unit_store_token(struct store *s, const char *serial, struct err *e);

/* Adds a public object with one attribute of `len` bytes. */
int unit_store_object(struct store *s, int64_t token, size_t len, struct err *e);

/* How many objects can be listed without a seal; SIZE_MAX when they cannot. */
size_t unit_store_count(struct store *s, int64_t token);

/* Makes a store with one token and `n` objects; the token's number. */
int64_t unit_store_make(size_t n);

/* The keys that follow from a token secret. */
struct store_seal unit_store_seal(const char *secret);

/* Runs SQL on the file behind the store's back; its last statement must touch `n`
 * rows. */
void unit_store_tamper(const char *sql, int n);

/* Runs `f` in a child: 0 is good, 99 skips the test with a line that says why. */
void unit_store_in_child(int (*f)(void));

/* In a child: mounts the test's directory read-only, or a tmpfs with `options`
 * over it. 0, or 99 when that is not allowed here. */
int unit_store_mount(const char *options);

#endif
