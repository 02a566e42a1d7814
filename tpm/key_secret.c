#include "tpm/key_secret.h"

#include "core/hash.h"
#include "tpm/exec.h"
#include "tpm/rc.h"

#include <string.h>

/* MAX_SYM_DATA (Part 2, 11.1.15): the most that a keyed hash object without a hash holds. */
#define MAX_DATA 128

bool key_secret_is(uint16_t type)
{
    return type == TPM2_ALG_SYMCIPHER || type == TPM2_ALG_KEYEDHASH;
}

static void parameters(const struct key_spec *spec, TPMU_PUBLIC_PARMS *out)
{
    if (spec->type == TPM2_ALG_SYMCIPHER) {
        out->symDetail.sym.algorithm = TPM2_ALG_AES;
        out->symDetail.sym.keyBits.aes = spec->bits;
        out->symDetail.sym.mode.aes = TPM2_ALG_NULL;
    } else if (spec->hash != NULL) {
        out->keyedHashDetail.scheme.scheme = TPM2_ALG_HMAC;
        out->keyedHashDetail.scheme.details.hmac.hashAlg = spec->hash->tpm;
    } else {
        out->keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
    }
}

void key_secret_template(const struct key_spec *spec, TPMT_PUBLIC *area)
{
    /* TPM2_EncryptDecrypt2 wants the one for each direction (Part 3, 15.3). A keyed hash that
     * has only sign is bound to one hash, with both the command names it (Part 2, 12.2.3.3). */
    area->objectAttributes |= TPMA_OBJECT_SIGN_ENCRYPT;
    if (spec->type == TPM2_ALG_SYMCIPHER || spec->hash == NULL)
        area->objectAttributes |= TPMA_OBJECT_DECRYPT;
    parameters(spec, &area->parameters);
}

static int test_op(struct token *k, void *arg, struct err *e)
{
    const TPMT_PUBLIC_PARMS *p = arg;
    TSS2_SYS_CONTEXT *sys = tpm_sys(k->tpm, e);

    return sys == NULL ? -1
                       : exec_sapi(Tss2_Sys_TestParms(sys, NULL, p, NULL),
                                   "asking the TPM for a kind of key", e);
}

struct command_job {
    TPM2_CC cc;
    bool has;
};

static int command_op(struct token *k, void *arg, struct err *e)
{
    struct command_job *j = arg;
    TSS2_SYS_CONTEXT *sys = tpm_sys(k->tpm, e);
    TPMS_CAPABILITY_DATA data = {0};
    const TPML_CCA *list = &data.data.command;
    TPMI_YES_NO more = 0;

    /* The first command from there on (Part 3, 30.2). */
    if (sys == NULL || exec_sapi(Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_COMMANDS, j->cc, 1,
                                                        &more, &data, NULL),
                                 "asking the TPM for its commands", e) != 0)
        return -1;
    j->has = list->count > 0 && (list->commandAttributes[0] & TPMA_CC_COMMANDINDEX_MASK) == j->cc;
    return 0;
}

/* Chips that have AES for sessions only are common. */
static int uses_aes(struct token *k, struct err *e)
{
    static const TPM2_CC either[] = {TPM2_CC_EncryptDecrypt2, TPM2_CC_EncryptDecrypt};

    for (size_t i = 0; i < ARRAY_LEN(either); i++) {
        struct command_job j = {.cc = either[i]};

        if (token_retry(k, command_op, &j, e) != 0)
            return -1;
        if (j.has)
            return 0;
    }
    return err_set(e, E_UNSUPPORTED, "this TPM has no command to encrypt or decrypt data");
}

int key_secret_supported(struct token *k, const struct key_spec *spec, struct err *e)
{
    TPMT_PUBLIC_PARMS p = {.type = spec->type};
    bool aes = spec->type == TPM2_ALG_SYMCIPHER;
    struct err why = {0};

    if (aes ? spec->bits != 128 && spec->bits != 192 && spec->bits != 256 : spec->bits != 0)
        return err_set(e, E_UNSUPPORTED,
                       aes ? "AES keys have 128, 192 or 256 bits, not %u"
                           : "the length of an HMAC key is that of its hash, not %u bits",
                       (unsigned)spec->bits);
    if (!aes && spec->hash != NULL && spec->hash->tpm == 0)
        return err_set(e, E_UNSUPPORTED, "no TPM has HMAC keys for %s", spec->hash->name);
    parameters(spec, &p.parameters);
    if (token_retry(k, test_op, &p, &why) == 0)
        return aes ? uses_aes(k, e) : 0;
    /* Format-one codes of the TPM itself name a parameter that it does not take. */
    if ((why.rc & TSS2_RC_LAYER_MASK) != 0 || (why.rc & TPM2_RC_FMT1) == 0)
        return err_take(e, &why);
    return aes ? err_set_rc(e, E_UNSUPPORTED, why.rc, "this TPM does not have AES keys of %u bits",
                            (unsigned)spec->bits)
               : err_set_rc(e, E_UNSUPPORTED, why.rc, "this TPM does not have HMAC keys for %s",
                            spec->hash != NULL ? spec->hash->name : "any hash");
}

int key_secret_bytes(const struct key_spec *spec, struct bytes key, struct secret **out,
                     struct err *e)
{
    bool aes = spec->type == TPM2_ALG_SYMCIPHER;
    struct secret *s;

    if (aes && key.len != spec->bits / 8)
        return err_set(e, E_DATA, "an AES key of %u bits has %u bytes, not %zu",
                       (unsigned)spec->bits, (unsigned)spec->bits / 8, key.len);
    if (key.len == 0)
        return err_set(e, E_DATA, "a key of no bytes is none");
    if (!aes && spec->hash != NULL && key.len > alg_hash_block(spec->hash)) {
        s = secret_new(spec->hash->size, e);
        if (s == NULL || hash_digest(spec->hash, key, secret_data(s), e) != 0) {
            secret_free(s);
            return -1;
        }
        *out = s;
        return 0;
    }
    if (key.len > MAX_DATA)
        return err_set(e, E_DATA,
                       "an HMAC key of %zu bytes does not fit the TPM; bind it to one hash",
                       key.len);
    s = secret_copy(key.p, key.len, e);
    if (s == NULL)
        return -1;
    *out = s;
    return 0;
}

int key_secret_bind(struct bytes seed, struct bytes key, TPMT_PUBLIC *area, struct err *e)
{
    const struct alg_hash *h = alg_hash_of(area->nameAlg);
    struct buf in = {.secret = true};
    TPM2B_DIGEST unique = {0};
    int rc = -1;

    if (h == NULL || seed.len != h->size)
        return err_set(e, E_ARG, "the seed of a key is as long as a digest of its nameAlg");
    buf_add_bytes(&in, seed);
    buf_add_bytes(&in, key);
    if (buf_ok(&in, e) != 0 || hash_digest(h, buf_bytes(&in), unique.buffer, e) != 0)
        goto out;
    unique.size = (UINT16)h->size;
    if (area->type == TPM2_ALG_SYMCIPHER)
        area->unique.sym = unique;
    else
        area->unique.keyedHash = unique;
    rc = 0;
out:
    buf_free(&in);
    return rc;
}
