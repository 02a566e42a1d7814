#include "tpm/nv.h"

#include "core/secret.h"
#include "core/tpmname.h"
#include "tpm/ctx.h"
#include "tpm/owner.h"
#include "tpm/rc.h"

#include <string.h>

static const struct bytes empty = {NULL, 0};

int nv_free(struct tpm *t, uint32_t *out, size_t n, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    uint32_t next = NV_OWNER_FIRST;
    size_t found = 0;

    if (sys == NULL)
        return -1;
    while (found < n && next <= NV_OWNER_LAST) {
        TPMS_CAPABILITY_DATA data = {0};
        TPMI_YES_NO more = 0;
        TSS2_RC rc = Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_HANDLES, next, TPM2_MAX_CAP_HANDLES,
                                            &more, &data, NULL);
        const TPML_HANDLE *list = &data.data.handles;

        if (rc != TSS2_RC_SUCCESS)
            return rc_fail(e, rc, "listing the TPM's NV indices");
        /* Handles come in ascending order; take the gaps. */
        for (uint32_t i = 0; i < list->count && found < n; i++) {
            while (next < list->handle[i] && next <= NV_OWNER_LAST && found < n)
                out[found++] = next++;
            next = list->handle[i] + 1;
        }
        if (more == 0 || list->count == 0) {
            while (next <= NV_OWNER_LAST && found < n)
                out[found++] = next++;
        }
    }
    if (found < n)
        return err_set(e, E_FULL, "no free NV handles in the owner's range");
    return 0;
}

static void owner_exec(const struct tpm *t, struct exec *x, TPM2B_NAME *name, struct session *owner)
{
    tpmname_handle(TPM2_RH_OWNER, name);
    x->name[x->n_names++] = name;
    x->auth[x->n_auth++] = (struct exec_auth){.session = owner, .auth = owner_auth(t)};
}

static int owner_run(struct tpm *t, struct exec *x, const char *what, struct err *e)
{
    struct err why = {0};

    return exec_run(t, x, what, &why) == 0 ? 0 : owner_failed(t, &why, e);
}

int nv_define(struct tpm *t, struct session *owner, const TPMS_NV_PUBLIC *pub, struct bytes auth,
              struct err *e)
{
    TPM2B_NV_PUBLIC info = {.nvPublic = *pub};
    TPM2B_AUTH a = {.size = (UINT16)auth.len};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_NAME name;
    struct exec x = {0};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (auth.len > sizeof(a.buffer))
        return err_set(e, E_ARG, "an authorisation value is too long");
    if (auth.len != 0)
        memcpy(a.buffer, auth.p, auth.len);
    owner_exec(t, &x, &name, owner);
    x.auth[0].decrypt = true;
    if (exec_sapi(Tss2_Sys_NV_DefineSpace_Prepare(sys, TPM2_RH_OWNER, &a, &info),
                  "defining an NV index", e) != 0 ||
        owner_run(t, &x, "defining an NV index", e) != 0)
        goto out;
    rc = exec_sapi(Tss2_Sys_NV_DefineSpace_Complete(sys), "defining an NV index", e);
out:
    secret_wipe(&a, sizeof(a));
    return rc;
}

int nv_public(struct tpm *t, uint32_t index, TPMS_NV_PUBLIC *out, TPM2B_NAME *name, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_NV_PUBLIC pub = {0};
    TPM2B_NAME n = {.size = sizeof(n.name)};
    TSS2_RC rc;

    if (sys == NULL)
        return -1;
    rc = Tss2_Sys_NV_ReadPublic(sys, index, NULL, &pub, &n, NULL);
    if (rc_base(rc) == TPM2_RC_HANDLE)
        return err_set_rc(e, E_NOT_FOUND, rc, "the TPM has no NV index 0x%08x", index);
    if (rc != TSS2_RC_SUCCESS)
        return rc_fail(e, rc, "reading an NV index's public area");
    *out = pub.nvPublic;
    if (name != NULL)
        *name = n;
    return 0;
}

int nv_is(struct tpm *t, struct session *main, uint32_t index, const TPM2B_NAME *name, bool *is,
          struct err *e)
{
    const char *what = "looking at an NV index";
    /* A session beside the handles must encrypt, decrypt or audit (Part 3, 5.6). */
    struct exec x = {
        .name = {name}, .n_names = 1, .auth[0] = {.session = main, .encrypt = true}, .n_auth = 1};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_NAME told = {.size = sizeof(told.name)};
    TPM2B_NV_PUBLIC pub = {0};
    struct err why = {0};
    TSS2_RC base;

    if (sys == NULL || exec_sapi(Tss2_Sys_NV_ReadPublic_Prepare(sys, index), what, e) != 0)
        return -1;
    *is = exec_run(t, &x, what, &why) == 0;
    if (*is)
        return exec_sapi(Tss2_Sys_NV_ReadPublic_Complete(sys, &pub, &told), what, e);
    base = rc_base(why.rc);
    /* With another Name the HMAC of the command is wrong. */
    if (base == TPM2_RC_HANDLE || base == TPM2_RC_BAD_AUTH || base == TPM2_RC_AUTH_FAIL)
        return 0;
    return err_take(e, &why);
}

int nv_undefine(struct tpm *t, struct session *owner, uint32_t index, struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPMS_NV_PUBLIC pub;
    TPM2B_NAME hierarchy, name;
    struct exec x = {0};
    struct err why = {0};

    if (sys == NULL)
        return -1;
    if (nv_public(t, index, &pub, &name, &why) != 0) {
        if (why.code == E_NOT_FOUND)
            return 0;
        return err_set_rc(e, why.code, why.rc, "%s", why.msg);
    }
    owner_exec(t, &x, &hierarchy, owner);
    x.name[x.n_names++] = &name;
    if (exec_sapi(Tss2_Sys_NV_UndefineSpace_Prepare(sys, TPM2_RH_OWNER, index),
                  "removing an NV index", e) != 0 ||
        owner_run(t, &x, "removing an NV index", e) != 0)
        return -1;
    return exec_sapi(Tss2_Sys_NV_UndefineSpace_Complete(sys), "removing an NV index", e);
}

static int write_run(struct tpm *t, struct exec *x, uint32_t index, struct bytes content,
                     struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_MAX_NV_BUFFER data = {.size = (UINT16)content.len};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (content.len > sizeof(data.buffer))
        return err_set(e, E_ARG, "%zu bytes do not fit an NV index", content.len);
    memcpy(data.buffer, content.p, content.len);
    if (exec_sapi(Tss2_Sys_NV_Write_Prepare(sys, index, index, &data, 0), "writing NV", e) != 0 ||
        exec_run(t, x, "writing NV", e) != 0)
        goto out;
    rc = exec_sapi(Tss2_Sys_NV_Write_Complete(sys), "writing NV", e);
out:
    secret_wipe(&data, sizeof(data));
    return rc;
}

int nv_write(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
             struct bytes auth, struct bytes content, struct err *e)
{
    struct exec x = {
        .name = {name, name},
        .n_names = 2,
        .auth[0] = {.session = policy, .auth = auth, .decrypt = true, .last = true},
        .n_auth = 1,
    };

    return write_run(t, &x, index, content, e);
}

int nv_write_part(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
                  struct bytes content, struct err *e)
{
    struct exec x = {
        .name = {name, name},
        .n_names = 2,
        .auth[0] = {.session = policy, .auth = empty},
        .n_auth = 1,
    };

    return write_run(t, &x, index, content, e);
}

int nv_write_blind(struct tpm *t, struct session *policy, struct session *helper, uint32_t index,
                   const TPM2B_NAME *name, struct bytes content, struct err *e)
{
    struct exec x = {
        .name = {name, name},
        .n_names = 2,
        .auth[0] = {.session = policy, .auth = empty, .last = true},
        .auth[1] = {.session = helper, .auth = empty, .decrypt = true},
        .n_auth = 2,
    };

    return write_run(t, &x, index, content, e);
}

static int read_run(struct tpm *t, struct exec *x, uint32_t index, uint8_t *out, uint16_t len,
                    struct err *e)
{
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_MAX_NV_BUFFER data = {.size = sizeof(data.buffer)};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (exec_sapi(Tss2_Sys_NV_Read_Prepare(sys, index, index, len, 0), "reading NV", e) != 0 ||
        exec_run(t, x, "reading NV", e) != 0 ||
        exec_complete(sys, Tss2_Sys_NV_Read_Complete(sys, &data), "reading NV", e) != 0)
        goto out;
    if (data.size != len) {
        err_set(e, E_TPM, "the TPM gave %u bytes of an NV index instead of %u", data.size, len);
        goto out;
    }
    memcpy(out, data.buffer, len);
    rc = 0;
out:
    secret_wipe(&data, sizeof(data));
    return rc;
}

int nv_read(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
            struct bytes auth, uint8_t *out, uint16_t len, struct err *e)
{
    struct exec x = {
        .name = {name, name},
        .n_names = 2,
        .auth[0] = {.session = policy, .auth = auth, .encrypt = true, .last = true},
        .n_auth = 1,
    };

    return read_run(t, &x, index, out, len, e);
}

int nv_read_blind(struct tpm *t, struct session *policy, uint32_t index, const TPM2B_NAME *name,
                  uint8_t *out, uint16_t len, struct err *e)
{
    struct exec x = {
        .name = {name, name},
        .n_names = 2,
        .auth[0] = {.session = policy, .auth = empty, .last = true},
        .n_auth = 1,
    };

    return read_run(t, &x, index, out, len, e);
}

int nv_change_auth(struct tpm *t, struct session *policy, struct session *helper, uint32_t index,
                   const TPM2B_NAME *name, struct bytes auth, struct bytes fresh, struct err *e)
{
    struct exec x = {
        .name = {name},
        .n_names = 1,
        .auth[0] = {.session = policy, .auth = auth, .last = true, .new_auth = &fresh},
        .auth[1] = {.session = helper, .auth = empty, .decrypt = true},
        .n_auth = helper != NULL ? 2 : 1,
    };
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);
    TPM2B_AUTH a = {.size = (UINT16)fresh.len};
    int rc = -1;

    if (sys == NULL)
        return -1;
    if (fresh.len > sizeof(a.buffer))
        return err_set(e, E_ARG, "an authorisation value is too long");
    memcpy(a.buffer, fresh.p, fresh.len);
    x.auth[0].decrypt = helper == NULL;
    if (exec_sapi(Tss2_Sys_NV_ChangeAuth_Prepare(sys, index, &a), "changing a PIN", e) != 0 ||
        exec_run(t, &x, "changing a PIN", e) != 0)
        goto out;
    rc = exec_sapi(Tss2_Sys_NV_ChangeAuth_Complete(sys), "changing a PIN", e);
out:
    secret_wipe(&a, sizeof(a));
    return rc;
}

uint16_t nv_chunk(const struct tpm_caps *caps)
{
    return caps->max_nv != 0 && caps->max_nv < TPM2_MAX_NV_BUFFER_SIZE ? caps->max_nv : 512;
}

int nv_read_part(struct tpm *t, uint32_t index, uint16_t offset, uint16_t len, struct buf *out,
                 struct err *e)
{
    TSS2L_SYS_AUTH_COMMAND auth = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TSS2_SYS_CONTEXT *sys = tpm_sys(t, e);

    if (sys == NULL)
        return -1;
    while (len > 0) {
        TPM2B_MAX_NV_BUFFER data = {.size = sizeof(data.buffer)};
        TSS2_RC rc = Tss2_Sys_NV_Read(sys, index, index, &auth, len, offset, &data, NULL);

        if (rc_base(rc) == TPM2_RC_HANDLE || rc_base(rc) == TPM2_RC_NV_UNINITIALIZED)
            return err_set_rc(e, E_NOT_FOUND, rc, "the TPM has nothing at NV index 0x%08x", index);
        if (rc != TSS2_RC_SUCCESS)
            return rc_fail(e, rc, "reading an NV index");
        if (data.size == 0 || data.size > len)
            return err_set(e, E_TPM, "the TPM gave %u bytes of an NV index instead of %u",
                           data.size, len);
        buf_add(out, data.buffer, data.size);
        offset = (uint16_t)(offset + data.size);
        len = (uint16_t)(len - data.size);
    }
    return buf_ok(out, e);
}

int nv_read_open(struct tpm *t, uint32_t index, struct buf *out, struct err *e)
{
    struct tpm_caps caps;
    TPMS_NV_PUBLIC pub;
    uint16_t chunk;

    if (tpm_caps(t, &caps, e) != 0 || nv_public(t, index, &pub, NULL, e) != 0)
        return -1;
    chunk = nv_chunk(&caps);
    for (uint16_t off = 0; off < pub.dataSize; off = (uint16_t)(off + chunk)) {
        uint16_t left = (uint16_t)(pub.dataSize - off);

        if (nv_read_part(t, index, off, left < chunk ? left : chunk, out, e) != 0)
            return -1;
        if (left <= chunk)
            break;
    }
    return buf_ok(out, e);
}
