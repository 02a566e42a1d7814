#ifndef PKCS11_SECRETKEY_H
#define PKCS11_SECRETKEY_H

#include "pkcs11/make.h"
#include "pkcs11/mech_table.h"

/*
 * Secret keys (CKO_SECRET_KEY) on their way into being. Where one lives:
 *   - every token object lives in the TPM, and only a blob that the TPM can load is stored;
 *   - a session object that is sensitive and not extractable lives there, too, when it was
 *     generated or created;
 *   - all other session objects, and all that were unwrapped or derived, live in this
 *     process's memory, locked and wiped, and nowhere else. So do those that the TPM has no
 *     room, no command or no login for.
 */

enum secretkey_from { SECRETKEY_CREATED, SECRETKEY_DERIVED };

/*
 * Gives the object its key and sets CKA_VALUE_LEN and CKA_CHECK_VALUE, against what the
 * template said of them. CKR_ATTRIBUTE_VALUE_INVALID for a length that the key type does not
 * have, CKR_KEY_SIZE_RANGE, CKR_USER_NOT_LOGGED_IN, and what the TPM says.
 */
CK_RV secretkey_put(struct p11_session *s, struct bytes value, enum secretkey_from from,
                    struct made *m) MUST_USE;

/* The same with a new key of CKA_VALUE_LEN bytes, by the mechanism `m`. */
CK_RV secretkey_generate(struct p11_session *s, const struct mech *mech, struct made *m) MUST_USE;

/*
 * How long a key must be: CKA_VALUE_LEN where the template has it, else what its type alone
 * says, else 0. CKR_TEMPLATE_INCOMPLETE for AES without a length, when `needed`.
 */
CK_RV secretkey_length(const struct made *m, bool needed, size_t *len) MUST_USE;

#endif
