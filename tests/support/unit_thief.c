#include "tests/support/unit_thief.h"

#include "tpm/ctx.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int thief_factory(void **state)
{
    assert_int_equal(unit_tpm_script("tpm2_clear -Q -c p"), 0);
    return unit_tpm_bare(state);
}

int thief_away(void **state)
{
    struct unit_tpm *w = *state;
    struct store_token *list = NULL;
    size_t n = 0;

    unit_tpm_flush();
    assert_int_equal(unit_tpm_script("tpm2_clear -Q -c p"), 0);
    /* What the store speaks of was destroyed with it. */
    assert_int_equal(store_token_list(w->store, &list, &n, NULL), 0);
    while (n > 0)
        assert_int_equal(store_token_delete(w->store, list[--n].id, NULL), 0);
    free(list);
    return unit_tpm_remove(state);
}

void thief_victim(struct unit_tpm *w, bool weak, struct thief *out)
{
    struct token_params p = {.label = "victim",
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = weak};
    struct err e = {0};

    if (token_provision(&w->token, w->tpm, w->store, &p, NULL, &e) != 0)
        fail_msg("%s", e.msg);
    w->id = token_row(w->token)->id;
    *out = (struct thief){.sys = tpm_sys(w->tpm, NULL), .row = token_row(w->token)};
    assert_non_null(out->sys);
}

struct pin_auth thief_derive(const struct thief *t, enum pin_side side, const char *pin)
{
    struct pin_auth auth;

    assert_int_equal(pin_derive(t->row, side, unit_pin(pin), &auth, NULL), 0);
    return auth;
}

static TSS2L_SYS_AUTH_COMMAND password(uint32_t session, struct bytes auth)
{
    TSS2L_SYS_AUTH_COMMAND a = {.count = 1, .auths[0].sessionHandle = session};

    assert_true(auth.len <= sizeof(a.auths[0].hmac.buffer));
    a.auths[0].hmac.size = (UINT16)auth.len;
    if (auth.len != 0)
        memcpy(a.auths[0].hmac.buffer, auth.p, auth.len);
    return a;
}

TSS2_RC thief_define(const struct thief *t, const TPMS_NV_PUBLIC *pub, struct bytes auth)
{
    TSS2L_SYS_AUTH_COMMAND owner = password(TPM2_RS_PW, t->owner);
    TPM2B_NV_PUBLIC info = {.nvPublic = *pub};
    TPM2B_AUTH a = {.size = (UINT16)auth.len};

    if (auth.len != 0)
        memcpy(a.buffer, auth.p, auth.len);
    return Tss2_Sys_NV_DefineSpace(t->sys, TPM2_RH_OWNER, &owner, &a, &info, NULL);
}

TSS2_RC thief_undefine(const struct thief *t, uint32_t index)
{
    TSS2L_SYS_AUTH_COMMAND owner = password(TPM2_RS_PW, t->owner);

    return Tss2_Sys_NV_UndefineSpace(t->sys, TPM2_RH_OWNER, index, &owner, NULL);
}

TPMI_SH_POLICY thief_policy(const struct thief *t)
{
    TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
    TPM2B_NONCE mine = {.size = 16}, theirs = {.size = sizeof(theirs.buffer)};
    TPM2B_ENCRYPTED_SECRET salt = {0};
    TPMI_SH_POLICY p = 0;

    assert_int_equal(Tss2_Sys_StartAuthSession(t->sys, TPM2_RH_NULL, TPM2_RH_NULL, NULL, &mine,
                                               &salt, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, &p,
                                               &theirs, NULL),
                     TSS2_RC_SUCCESS);
    return p;
}

void thief_flush(const struct thief *t, uint32_t h)
{
    (void)Tss2_Sys_FlushContext(t->sys, h);
}

TSS2_RC thief_secret(const struct thief *t, TPMI_SH_POLICY p, uint32_t entity, struct bytes auth)
{
    TSS2L_SYS_AUTH_COMMAND a = password(TPM2_RS_PW, auth);
    TPM2B_TIMEOUT timeout = {.size = sizeof(timeout.buffer)};
    TPM2B_NONCE none = {0}, ref = {0};
    TPM2B_DIGEST cp_hash = {0};
    TPMT_TK_AUTH ticket = {0};

    return Tss2_Sys_PolicySecret(t->sys, entity, p, &a, &none, &cp_hash, &ref, 0, &timeout, &ticket,
                                 NULL);
}

TSS2_RC thief_or(const struct thief *t, TPMI_SH_POLICY p, const struct pin_policy *policy)
{
    TPML_DIGEST list = {.count = (UINT32)policy->n};

    for (size_t i = 0; i < policy->n; i++) {
        list.digests[i].size = 32;
        memcpy(list.digests[i].buffer, policy->branch[i].d, 32);
    }
    return Tss2_Sys_PolicyOR(t->sys, p, NULL, &list, NULL);
}

static TSS2_RC nv_write(const struct thief *t, uint32_t by, uint32_t index,
                        TSS2L_SYS_AUTH_COMMAND *auth, struct bytes content)
{
    TPM2B_MAX_NV_BUFFER data = {.size = (UINT16)content.len};

    memcpy(data.buffer, content.p, content.len);
    return Tss2_Sys_NV_Write(t->sys, by, index, auth, &data, 0, NULL);
}

static TSS2_RC first_write(const struct thief *t, enum store_nv which, struct bytes content)
{
    TPMI_SH_POLICY p = thief_policy(t);
    TSS2L_SYS_AUTH_COMMAND a = password(p, (struct bytes){NULL, 0});
    uint32_t index = t->row->nv[which].handle;
    struct pin_policy policy;
    TSS2_RC rc;

    assert_int_equal(pin_index_policy(t->row, which, &policy, NULL), 0);
    rc = Tss2_Sys_PolicyNvWritten(t->sys, p, NULL, TPM2_NO, NULL);
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_PolicyCommandCode(t->sys, p, NULL, TPM2_CC_NV_Write, NULL);
    if (rc == TSS2_RC_SUCCESS)
        rc = thief_or(t, p, &policy);
    if (rc == TSS2_RC_SUCCESS)
        rc = nv_write(t, index, index, &a, content);
    thief_flush(t, p);
    return rc;
}

static void same_name(const struct thief *t, enum store_nv which)
{
    TPM2B_NAME name = {.size = sizeof(name.name)};
    TPM2B_NV_PUBLIC pub = {0};

    assert_int_equal(
        Tss2_Sys_NV_ReadPublic(t->sys, t->row->nv[which].handle, NULL, &pub, &name, NULL),
        TSS2_RC_SUCCESS);
    assert_int_equal(name.size, t->row->nv[which].name.len);
    assert_memory_equal(name.name, t->row->nv[which].name.name, name.size);
}

TSS2_RC thief_redefine(const struct thief *t, enum store_nv which, struct bytes auth,
                       struct bytes content)
{
    struct pin_policy policy;
    TPMS_NV_PUBLIC pub;
    TSS2_RC rc;

    assert_int_equal(pin_index_public(t->row, which, &policy, &pub, NULL), 0);
    rc = thief_undefine(t, pub.nvIndex);
    if (rc == TSS2_RC_SUCCESS)
        rc = thief_define(t, &pub, auth);
    if (rc == TSS2_RC_SUCCESS)
        rc = first_write(t, which, content);
    if (rc == TSS2_RC_SUCCESS)
        same_name(t, which);
    return rc;
}

static const struct store_index *counter(const struct thief *t, enum pin_side side)
{
    return &t->row->nv[side == PIN_USER ? STORE_NV_U : STORE_NV_O];
}

TSS2_RC thief_lock1(const struct thief *t, enum pin_side side, struct bytes auth)
{
    TPMI_SH_POLICY p = thief_policy(t);
    TSS2_RC rc = thief_secret(t, p, counter(t, side)->handle, auth);

    thief_flush(t, p);
    return rc;
}

static TSS2_RC nv_read(const struct thief *t, uint32_t by, uint32_t index,
                       TSS2L_SYS_AUTH_COMMAND *auth, uint8_t *out, uint16_t len)
{
    TPM2B_MAX_NV_BUFFER data = {.size = sizeof(data.buffer)};
    TSS2_RC rc = Tss2_Sys_NV_Read(t->sys, by, index, auth, len, 0, &data, NULL);

    if (rc == TSS2_RC_SUCCESS) {
        assert_int_equal(data.size, len);
        memcpy(out, data.buffer, len);
    }
    return rc;
}

/* PolicyPassword has the digest of PolicyAuthValue (Part 3, 23.18) and asks for no HMAC. */
TSS2_RC thief_open_guard(const struct thief *t, enum pin_side side, struct bytes auth,
                         struct bytes guard, uint8_t *out, uint16_t len)
{
    enum store_nv which = side == PIN_USER ? STORE_NV_S : STORE_NV_R;
    uint32_t index = t->row->nv[which].handle;
    TPMI_SH_POLICY p = thief_policy(t);
    TSS2L_SYS_AUTH_COMMAND a = password(p, guard);
    struct pin_policy policy;
    TSS2_RC rc;

    assert_int_equal(pin_index_policy(t->row, which, &policy, NULL), 0);
    rc = thief_secret(t, p, counter(t, side)->handle, auth);
    if (rc == TSS2_RC_SUCCESS && guard.p != NULL)
        rc = Tss2_Sys_PolicyPassword(t->sys, p, NULL, NULL);
    if (rc == TSS2_RC_SUCCESS)
        rc = thief_or(t, p, &policy);
    if (rc == TSS2_RC_SUCCESS)
        rc = nv_read(t, index, index, &a, out, len);
    thief_flush(t, p);
    return rc;
}

TSS2_RC thief_write(const struct thief *t, uint32_t by, uint32_t index, struct bytes auth,
                    struct bytes content)
{
    TSS2L_SYS_AUTH_COMMAND a = password(TPM2_RS_PW, auth);

    return nv_write(t, by, index, &a, content);
}

TSS2_RC thief_read(const struct thief *t, uint32_t by, uint32_t index, struct bytes auth,
                   uint8_t *out, uint16_t len)
{
    TSS2L_SYS_AUTH_COMMAND a = password(TPM2_RS_PW, auth);

    return nv_read(t, by, index, &a, out, len);
}

TSS2_RC thief_forgive(const struct thief *t, struct bytes lockout)
{
    TSS2L_SYS_AUTH_COMMAND a = password(TPM2_RS_PW, lockout);

    return Tss2_Sys_DictionaryAttackLockReset(t->sys, TPM2_RH_LOCKOUT, &a, NULL);
}

TSS2_RC thief_reparameterise(const struct thief *t, struct bytes lockout)
{
    TSS2L_SYS_AUTH_COMMAND a = password(TPM2_RS_PW, lockout);

    return Tss2_Sys_DictionaryAttackParameters(t->sys, TPM2_RH_LOCKOUT, &a, 1000000, 1, 1, NULL);
}
