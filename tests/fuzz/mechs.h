#ifndef TESTS_FUZZ_MECHS_H
#define TESTS_FUZZ_MECHS_H

#include "pkcs11/mech_table.h"
#include "tests/fuzz/input.h"

/*
 * A mechanism with its parameter as a hostile caller builds it: the structure of its family,
 * mostly; of the wrong length, missing, with odd lengths and addresses in it. With `honest`
 * there may be a structure of another kind in its place, and `*honest` is false: its addresses
 * and lengths are then read as something else.
 */
CK_MECHANISM mechs_given(struct input *in, const struct mech *m, bool *honest);

/* A row of the table, mostly one with this flag. */
const struct mech *mechs_with(struct input *in, CK_FLAGS flag);

/* The key that parameters name from now on. */
void mechs_salt(CK_OBJECT_HANDLE key);

#endif
