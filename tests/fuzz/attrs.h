#ifndef TESTS_FUZZ_ATTRS_H
#define TESTS_FUZZ_ATTRS_H

#include "pkcs11/attr_table.h"
#include "tests/fuzz/input.h"

/*
 * Attributes as hostile callers give and ask for them. Each array and each value has just the
 * length that is told, or is told to have one that nothing has.
 */

/* A template for objects of these groups: `*n` attributes, mostly such as these have, in
 * mostly their form. */
CK_ATTRIBUTE *attrs_template(struct input *in, unsigned groups, CK_ULONG *n);

/* One attribute of a type; `depth` is how deep templates within may go. */
CK_ATTRIBUTE attrs_value(struct input *in, CK_ATTRIBUTE_TYPE type, int depth);

/* A type of the table that such objects carry, or any number. */
CK_ATTRIBUTE_TYPE attrs_type(struct input *in, unsigned groups);

/* Attributes to be filled in: without a buffer, or with one of some length. */
CK_ATTRIBUTE *attrs_ask(struct input *in, unsigned groups, CK_ULONG *n);

/* Looks at an answer: what is told to be there must be there. `room` is what was asked. */
void attrs_look(const CK_ATTRIBUTE *room, const CK_ATTRIBUTE *a);

#endif
