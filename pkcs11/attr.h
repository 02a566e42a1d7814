#ifndef PKCS11_ATTR_H
#define PKCS11_ATTR_H

#include "core/buf.h"
#include "pkcs11/attr_table.h"

/* Attribute values between a caller's memory and the stored form (attr_table.h). */

/* The longest value that is accepted from a caller. */
#define ATTR_MAX_VALUE ((size_t)64 << 10)

/* Appends the stored form of a caller's value; CKR_ATTRIBUTE_VALUE_INVALID when it
 * has not the form of its kind, CKR_HOST_MEMORY. */
CK_RV attr_encode(enum attr_kind kind, const CK_ATTRIBUTE *a, struct buf *out) MUST_USE;

/*
 * Gives a stored value to the caller by the rules of C_GetAttributeValue (5.7):
 * without pValue only the length; too small a buffer sets the length to "not
 * known" and answers CKR_BUFFER_TOO_SMALL. Attributes within an attribute are
 * given the same way, each into the place that its entry names.
 */
CK_RV attr_give(enum attr_kind kind, struct bytes value, CK_ATTRIBUTE *a) MUST_USE;

/* The stored form of a number, and back; a value of another length reads as 0. */
void attr_from_ulong(CK_ULONG v, uint8_t out[8]);
CK_ULONG attr_to_ulong(struct bytes value);

/* One attribute within an attribute, read from a stored value; the value is borrowed. */
struct attr_nested {
    CK_ATTRIBUTE_TYPE type;
    struct bytes value;
};

/* The next one; false at the end, and for bytes that are no such value. */
bool attr_nested_next(struct reader *r, struct attr_nested *out);

/* True when a mechanism is in a stored list, or the list is empty (which means
 * that there is no restriction). */
bool attr_mech_allowed(struct bytes list, CK_MECHANISM_TYPE type);

#endif
