#include "tpm/crypt_priv.h"
#include "tpm/rc.h"

#include <string.h>

static const struct {
    TPMI_ALG_CIPHER_MODE tpm;
    const char *name;
    bool whole_blocks, iv;
} modes[] = {
    [TOKEN_ECB] = {TPM2_ALG_ECB, "ECB", true, false},
    [TOKEN_CBC] = {TPM2_ALG_CBC, "CBC", true, true},
    [TOKEN_CTR] = {TPM2_ALG_CTR, "CTR", false, true},
    [TOKEN_CFB] = {TPM2_ALG_CFB, "CFB", false, true},
    [TOKEN_OFB] = {TPM2_ALG_OFB, "OFB", false, true},
};

struct cipher_job {
    const struct store_key *key;
    enum token_mode mode;
    bool encrypt;
    bool old; /* the TPM has only TPM2_EncryptDecrypt */
    struct bytes in;
    TPM2B_IV iv; /* in and out */
    TPM2B_MAX_BUFFER out;
};

static TSS2_RC prepare(const struct cipher_job *j, struct authorise *u, const TPM2B_MAX_BUFFER *in)
{
    TPMI_YES_NO decrypt = j->encrypt ? TPM2_NO : TPM2_YES;
    TPMI_ALG_CIPHER_MODE mode = modes[j->mode].tpm;

    return j->old ? Tss2_Sys_EncryptDecrypt_Prepare(u->sys, u->handle, decrypt, mode, &j->iv, in)
                  : Tss2_Sys_EncryptDecrypt2_Prepare(u->sys, u->handle, in, decrypt, mode, &j->iv);
}

static int chunk_op(struct token *k, void *arg, struct err *e)
{
    struct cipher_job *j = arg;
    TPM2B_MAX_BUFFER in = {.size = (UINT16)j->in.len}, out = {.size = sizeof(out.buffer)};
    TPM2B_IV iv = {.size = sizeof(iv.buffer)};
    const char *what = j->encrypt ? "AES encryption" : "AES decryption";
    struct authorise u;
    int rc = -1;

    memcpy(in.buffer, j->in.p, j->in.len);
    /* The older command begins with a number, which no session encrypts (Part 1, 21.1). */
    if (authorise_begin(k, j->key, !j->old, true, &u, e) != 0 ||
        exec_sapi(prepare(j, &u, &in), what, e) != 0 || authorise_run(k, &u, what, e) != 0 ||
        exec_complete(u.sys,
                      j->old ? Tss2_Sys_EncryptDecrypt_Complete(u.sys, &out, &iv)
                             : Tss2_Sys_EncryptDecrypt2_Complete(u.sys, &out, &iv),
                      what, e) != 0)
        goto out;
    if (out.size != in.size || iv.size != j->iv.size) {
        err_set(e, E_TPM, "%s: the TPM gave %u bytes for %u, and an IV of %u", what,
                (unsigned)out.size, (unsigned)in.size, (unsigned)iv.size);
        goto out;
    }
    j->out = out;
    j->iv = iv;
    rc = 0;
out:
    secret_wipe(&in, sizeof(in));
    secret_wipe(&out, sizeof(out));
    authorise_end(k, &u);
    return rc;
}

/* The TPM, or a resource manager that knows what the TPM has, does not know the command. */
static bool lacks_command(const struct err *why)
{
    return why->rc == TPM2_RC_COMMAND_CODE ||
           why->rc == (TSS2_RESMGR_TPM_RC_LAYER | TPM2_RC_COMMAND_CODE);
}

/* One chunk, by whichever of the two commands the TPM has. */
static int chunk(struct token *k, struct cipher_job *j, struct err *e)
{
    struct err why = {0};

    if (authorise_retry(k, j->key, chunk_op, j, &why) == 0)
        return 0;
    if (rc_base(why.rc) == TPM2_RC_MODE)
        return err_set_rc(e, E_UNSUPPORTED, why.rc, "this TPM does not have AES in %s mode",
                          modes[j->mode].name);
    if (!lacks_command(&why) || j->old)
        return err_take(e, &why);
    if (j->encrypt)
        return err_set_rc(e, E_UNSUPPORTED, why.rc,
                          "this TPM lacks TPM2_EncryptDecrypt2, and the older command would carry "
                          "the data to it in clear; encrypt outside the TPM");
    j->old = true;
    why = (struct err){0};
    if (authorise_retry(k, j->key, chunk_op, j, &why) == 0)
        return 0;
    return lacks_command(&why) ? err_set_rc(e, E_UNSUPPORTED, why.rc,
                                            "this TPM has no command to encrypt or decrypt data")
                               : err_take(e, &why);
}

int token_cipher(struct token *k, const struct store_key *key, struct token_cipher *how,
                 struct bytes in, uint8_t *out, struct err *e)
{
    struct cipher_job j = {.key = key, .mode = how->mode, .encrypt = how->encrypt};
    struct buf done = {.secret = true};
    TPMT_PUBLIC area;
    int rc = -1;

    if ((size_t)how->mode >= ARRAY_LEN(modes))
        return err_set(e, E_ARG, "unknown mode of AES");
    if (crypt_area(key, TPM2_ALG_SYMCIPHER,
                   how->encrypt ? TPMA_OBJECT_SIGN_ENCRYPT : TPMA_OBJECT_DECRYPT,
                   how->encrypt ? "encrypt" : "decrypt", &area, e) != 0)
        return -1;
    if (modes[how->mode].whole_blocks && in.len % TOKEN_BLOCK != 0)
        return err_set(e, E_DATA, "%zu bytes are no multiple of the block of AES-%s", in.len,
                       modes[how->mode].name);
    if (in.len > TOKEN_CIPHER_MAX)
        return err_set(e, E_DATA, "%zu bytes are too many at once for AES in the TPM", in.len);
    if (modes[how->mode].iv) {
        j.iv.size = TOKEN_BLOCK;
        memcpy(j.iv.buffer, how->iv, TOKEN_BLOCK);
    }
    for (size_t at = 0; at < in.len; at += CRYPT_CHUNK) {
        j.in = bytes_of(in.p + at, in.len - at < CRYPT_CHUNK ? in.len - at : CRYPT_CHUNK);
        if (chunk(k, &j, e) != 0)
            goto out;
        buf_add(&done, j.out.buffer, j.out.size);
    }
    if (buf_ok(&done, e) != 0)
        goto out;
    if (done.len != 0)
        memcpy(out, done.p, done.len);
    memcpy(how->iv, j.iv.buffer, j.iv.size);
    rc = 0;
out:
    buf_free(&done);
    secret_wipe(&j, sizeof(j));
    return rc;
}
