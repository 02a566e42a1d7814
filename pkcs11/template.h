#ifndef PKCS11_TEMPLATE_H
#define PKCS11_TEMPLATE_H

#include "pkcs11/attr_table.h"
#include "pkcs11/object.h"

/* A caller's template, borrowed. */
struct template
{
    const CK_ATTRIBUTE *a;
    CK_ULONG n;
};

/* What a template is for: the table's rules differ (attr_table.h). TEMPLATE_UNWRAP is
 * that of a key whose value comes from somewhere else: unwrapped or derived. */
enum template_use { TEMPLATE_CREATE, TEMPLATE_GENERATE, TEMPLATE_UNWRAP };

/* More attributes than any object has, so that quadratic checks stay cheap. */
#define TEMPLATE_MAX 128

/* CKR_ARGUMENTS_BAD when there is no array, or more than TEMPLATE_MAX entries. */
CK_RV template_of(const CK_ATTRIBUTE *a, CK_ULONG n, struct template *out) MUST_USE;

/* NULL when the template does not name it. */
const CK_ATTRIBUTE *template_get(const struct template *t, CK_ATTRIBUTE_TYPE type);

/* A number or a boolean, `*v` untouched when absent. CKR_ATTRIBUTE_VALUE_INVALID. */
CK_RV template_ulong(const struct template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG *v) MUST_USE;
CK_RV template_bool(const struct template *t, CK_ATTRIBUTE_TYPE type, bool *v) MUST_USE;

/* Bytes, {NULL, 0} when absent. CKR_ATTRIBUTE_VALUE_INVALID. */
CK_RV template_bytes(const struct template *t, CK_ATTRIBUTE_TYPE type, struct bytes *v) MUST_USE;

/*
 * Puts a template into a row of a group: every attribute must be one that such
 * objects have (CKR_ATTRIBUTE_TYPE_INVALID), that a caller may give
 * (CKR_ATTRIBUTE_READ_ONLY), once (CKR_TEMPLATE_INCONSISTENT), with a value of its
 * form (CKR_ATTRIBUTE_VALUE_INVALID) that this token knows
 * (CKR_TEMPLATE_INCONSISTENT); what must be there must be there
 * (CKR_TEMPLATE_INCOMPLETE). `row->is_private` is set already and decides about
 * sealing. Secret parts are checked, not kept; CLASS, TOKEN and PRIVATE neither.
 */
CK_RV template_apply(const struct template *t, enum template_use use, unsigned group,
                     struct store_object *row) MUST_USE;

/*
 * The same for C_SetAttributeValue on an object: only what may change, and some of that
 * in one direction only. CKR_ATTRIBUTE_READ_ONLY otherwise.
 */
CK_RV template_change(const struct template *t, const struct object *o,
                      struct store_object *row) MUST_USE;

/* The same for C_CopyObject, which may say more (5.7). TOKEN and PRIVATE are the caller's
 * to read. */
CK_RV template_copy(const struct template *t, const struct object *o,
                    struct store_object *row) MUST_USE;

/*
 * What a wrapping, unwrapping or base key says about other keys (4.8 to 4.10), in its
 * stored form. `template_fits`: the object has all of it. `template_impose`: the caller's
 * template must not contradict it (CKR_TEMPLATE_INCONSISTENT); what it does not say is
 * appended to `out`, an array of TEMPLATE_MAX entries that holds the caller's template
 * first. Values are put into `space`.
 */
bool template_fits(struct bytes nested, const struct object *o);
CK_RV template_impose(struct bytes nested, const struct template *t, CK_ATTRIBUTE *out,
                      struct template *merged, struct buf *space) MUST_USE;

/* Sets one attribute of a row by the table's rules: sealed where it must be, not kept
 * where it equals the default. `value` in the stored form. CKR_HOST_MEMORY. */
CK_RV template_set(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type,
                   struct bytes value) MUST_USE;
CK_RV template_set_bool(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type,
                        bool v) MUST_USE;
CK_RV template_set_ulong(struct store_object *row, unsigned group, CK_ATTRIBUTE_TYPE type,
                         CK_ULONG v) MUST_USE;

#endif
