#ifndef TESTS_SUPPORT_UNIT_THIEF_H
#define TESTS_SUPPORT_UNIT_THIEF_H

#include "tests/support/unit_tpm.h"
#include "tpm/pin.h"
#include "tpm/pin_index.h"

#include <tss2/tss2_sys.h>

/*
 * The thief: has the TPM, the store, and whatever of the owner's rights a test gives him; not
 * the PINs, nor lockoutAuth. He goes round our code: bare commands, passwords, sessions that
 * are neither salted nor bound. All return what the TPM answered.
 */

struct thief {
    TSS2_SYS_CONTEXT *sys; /* of the world's TPM */
    const struct store_token *row;
    struct bytes owner; /* ownerAuth as he believes it to be */
};

/* cmocka: a TPM as it left the factory, without a token; cleared again behind. */
int thief_factory(void **state);
int thief_away(void **state);
#define FACTORY(f) cmocka_unit_test_setup_teardown(f, thief_factory, thief_away)

/* Provisions and opens a token with both PINs. `weak`: lockoutAuth stays empty. */
void thief_victim(struct unit_tpm *w, bool weak, struct thief *out);

/* What a PIN that he guesses gives, on one side of the victim. */
struct pin_auth thief_derive(const struct thief *t, enum pin_side side, const char *pin);

TSS2_RC thief_define(const struct thief *t, const TPMS_NV_PUBLIC *pub, struct bytes auth);
TSS2_RC thief_undefine(const struct thief *t, uint32_t index);

/* A bare policy session; flushed by the caller, unless its use ended it. */
TPMI_SH_POLICY thief_policy(const struct thief *t);
void thief_flush(const struct thief *t, uint32_t h);
TSS2_RC thief_secret(const struct thief *t, TPMI_SH_POLICY p, uint32_t entity, struct bytes auth);
TSS2_RC thief_or(const struct thief *t, TPMI_SH_POLICY p, const struct pin_policy *policy);

/* Undefines an index of the victim and defines it again: same handle, attributes and policy,
 * his own authValue, his own content by the first write. The Name is as before, which is
 * asserted when it worked. */
TSS2_RC thief_redefine(const struct thief *t, enum store_nv which, struct bytes auth,
                       struct bytes content);

/* Tries both locks of a side with two authValues. What the guard holds, or why not: at lock 1
 * or at lock 2. */
TSS2_RC thief_lock1(const struct thief *t, enum pin_side side, struct bytes counter);
TSS2_RC thief_open_guard(const struct thief *t, enum pin_side side, struct bytes counter,
                         struct bytes guard, uint8_t *out, uint16_t len);

/* NV by a password of the index itself or of the owner (`by`). */
TSS2_RC thief_write(const struct thief *t, uint32_t by, uint32_t index, struct bytes auth,
                    struct bytes content);
TSS2_RC thief_read(const struct thief *t, uint32_t by, uint32_t index, struct bytes auth,
                   uint8_t *out, uint16_t len);

/* TPM2_DictionaryAttackLockReset, and -Parameters that allow a million tries. */
TSS2_RC thief_forgive(const struct thief *t, struct bytes lockout);
TSS2_RC thief_reparameterise(const struct thief *t, struct bytes lockout);

#endif
