#include "pkcs11/keyuse.h"

#include <string.h>

#include "core/hmac.h"
#include "pkcs11/fail.h"
#include "tpm/crypt.h"

CK_RV keyuse_of(struct p11_session *s, CK_OBJECT_HANDLE handle, struct token_proof *proof,
                struct keyuse *out)
{
    struct keyuse u = {.token = NULL};
    struct object *o = NULL;
    struct err e = {0};

    o = slot_object(s->lib, s->slot, handle);
    if (o == NULL)
        return p11_session_user(s) ? CKR_KEY_HANDLE_INVALID : CKR_USER_NOT_LOGGED_IN;
    u.may_leave = object_true(o, CKA_EXTRACTABLE);
    u.may_show = u.may_leave && !object_true(o, CKA_SENSITIVE);
    if (o->value != NULL) {
        u.value = secret_bytes(o->value);
    } else {
        if (slot_token(s->slot, &u.token, &e) != 0 || slot_key(s->slot, o, &u.key, &e) != 0)
            return fail_rv(&e, CKR_DURING_SIGN);
        token_present(u.token, proof);
    }
    *out = u;
    return CKR_OK;
}

static const enum token_mode modes[] = {
    [CIPHER_ECB] = TOKEN_ECB, [CIPHER_CBC] = TOKEN_CBC, [CIPHER_CTR] = TOKEN_CTR,
    [CIPHER_CFB] = TOKEN_CFB, [CIPHER_OFB] = TOKEN_OFB,
};

int keyuse_cipher(const struct keyuse *u, enum cipher_mode mode, bool encrypt, uint8_t iv[16],
                  struct bytes in, uint8_t *out, struct err *e)
{
    struct token_cipher how = {.mode = modes[mode], .encrypt = encrypt};

    if (u->key == NULL)
        return cipher_aes(mode, encrypt, u->value, iv, in, out, e);
    memcpy(how.iv, iv, sizeof(how.iv));
    if (token_cipher(u->token, u->key, &how, in, out, e) != 0)
        return -1;
    memcpy(iv, how.iv, sizeof(how.iv));
    return 0;
}

static int block_ecb(void *arg, bool encrypt, struct bytes in, uint8_t *out, struct err *e)
{
    uint8_t no_iv[16] = {0};

    return keyuse_cipher(arg, CIPHER_ECB, encrypt, no_iv, in, out, e);
}

static int block_cbc(void *arg, uint8_t iv[16], struct bytes in, uint8_t *out, struct err *e)
{
    return keyuse_cipher(arg, CIPHER_CBC, true, iv, in, out, e);
}

struct aes_block keyuse_block(const struct keyuse *u)
{
    return (struct aes_block){.ecb = block_ecb, .cbc = block_cbc, .arg = (void *)(uintptr_t)u};
}

int keyuse_hmac(const struct keyuse *u, const struct alg_hash *h, const struct bytes *part,
                size_t n, uint8_t *mac, struct err *e)
{
    struct hmac *c;

    if (u->key != NULL)
        return token_hmac(u->token, u->key, h, part, n, mac, e);
    c = hmac_begin(h, u->value, e);
    if (c == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (hmac_update(c, part[i], e) != 0) {
            hmac_abort(c);
            return -1;
        }
    }
    return hmac_end(c, mac, e);
}

int keyuse_value(const struct keyuse *u, struct secret **out, struct err *e)
{
    if (!u->may_leave)
        return err_set(e, E_UNSUPPORTED, "this key may not leave the token");
    if (u->key != NULL)
        return token_key_value(u->token, u->key, out, e);
    *out = secret_copy(u->value.p, u->value.len, e);
    return *out != NULL ? 0 : -1;
}
