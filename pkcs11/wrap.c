#include <string.h>

#include "core/keywrap.h"
#include "core/pkcs8.h"
#include "pkcs11/attr.h"
#include "pkcs11/entry.h"
#include "pkcs11/op_call.h"
#include "pkcs11/template.h"
#include "pkcs11/wrap.h"

/*
 * C_WrapKey (5.14): takes a key that may leave out of where it lies, and encrypts it. A key in
 * the TPM comes out of it encrypted to this process (TPM2_Duplicate) and is in its memory
 * for as long as the call takes. Private keys are wrapped as PKCS#8.
 */

CK_RV wrap_cipher(const struct wrap_with *w, bool wrap, struct bytes in, struct buf *out)
{
    enum ckr_during during = wrap ? CKR_DURING_WRAP : CKR_DURING_UNWRAP;
    struct mech_params p;
    struct aes_block aes;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = mech_params_read(w->m, w->given, &p);
    const uint8_t *iv;
    int bad;

    if (rv != CKR_OK)
        return rv;
    iv = p.wrap_iv.len != 0 ? p.wrap_iv.p : NULL;
    if (w->m->family != MECH_KEY_WRAP)
        return op_once(w->s, wrap ? OP_ENCRYPT : OP_DECRYPT, w->m, w->given, w->key, in, out);
    rv = keyuse_of(w->s, w->key->handle, NULL, &u);
    if (rv != CKR_OK)
        return rv;
    aes = keyuse_block(&u);
    if (w->m->variant == 0)
        bad = wrap ? keywrap_wrap(&aes, iv, in, out, &e) : keywrap_unwrap(&aes, iv, in, out, &e);
    else
        bad = wrap ? keywrap_wrap_pad(&aes, iv, in, out, &e)
                   : keywrap_unwrap_pad(&aes, iv, in, out, &e);
    return bad == 0 ? CKR_OK : fail_rv(&e, during);
}

/* 4.8 to 4.10: may this key be wrapped by that one? */
static CK_RV may_wrap(const struct object *by, const struct object *key)
{
    struct bytes nested;

    if ((key->group & (ATTR_PRIV | ATTR_SEC)) == 0)
        return CKR_KEY_NOT_WRAPPABLE;
    if (!object_true(key, CKA_EXTRACTABLE))
        return CKR_KEY_UNEXTRACTABLE;
    if (object_true(key, CKA_WRAP_WITH_TRUSTED) && !object_trusted(by))
        return CKR_KEY_NOT_WRAPPABLE;
    if (object_value(by, CKA_WRAP_TEMPLATE, &nested) && !template_fits(nested, key))
        return CKR_KEY_NOT_WRAPPABLE;
    return CKR_OK;
}

/* The bytes to wrap: the secret, or PKCS#8. */
static CK_RV value_of(struct p11_session *s, const struct object *key, struct buf *out)
{
    struct secret *part = NULL;
    struct bytes spki;
    struct pubkey pub;
    struct err e = {0};
    struct keyuse u;
    CK_RV rv = keyuse_of(s, key->handle, NULL, &u);

    out->secret = true;
    if (rv == CKR_OK && keyuse_value(&u, &part, &e) != 0)
        rv = fail_rv(&e, CKR_DURING_WRAP);
    if (rv != CKR_OK)
        return rv;
    if ((key->group & ATTR_SEC) != 0) {
        buf_add_bytes(out, secret_bytes(part));
        rv = out->bad ? CKR_HOST_MEMORY : CKR_OK;
    } else if (!object_value(key, CKA_PUBLIC_KEY_INFO, &spki) ||
               pubkey_from_spki(&pub, spki, &e) != 0 ||
               pkcs8_encode(&pub, secret_bytes(part), out, &e) != 0) {
        rv = fail_rv(&e, CKR_DURING_WRAP);
    }
    secret_free(part);
    return rv;
}

/* The return values that name the key to be wrapped where others name data. */
static CK_RV in_words_of_wrapping(CK_RV rv)
{
    switch (rv) {
    case CKR_DATA_LEN_RANGE: return CKR_KEY_SIZE_RANGE;
    default: return rv;
    }
}

static CK_RV give(const struct buf *made, CK_BYTE *out, CK_ULONG *len)
{
    if (out != NULL && *len < made->len) {
        *len = (CK_ULONG)made->len;
        return CKR_BUFFER_TOO_SMALL;
    }
    if (out != NULL && made->len != 0)
        memcpy(out, made->p, made->len);
    *len = (CK_ULONG)made->len;
    return CKR_OK;
}

static CK_RV wrap(struct p11_session *s, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping,
                  CK_OBJECT_HANDLE handle, CK_BYTE *out, CK_ULONG *len)
{
    struct buf value = {.secret = true}, made = {0};
    struct wrap_with w = {.s = s, .given = mechanism};
    struct object *key = slot_object(s->lib, s->slot, handle);
    CK_RV rv = op_call_allowed(s, mechanism, wrapping, CKF_WRAP, CKA_WRAP, ATTR_PUB | ATTR_SEC,
                               &w.m, &w.key);

    switch (rv) {
    case CKR_KEY_HANDLE_INVALID: return CKR_WRAPPING_KEY_HANDLE_INVALID;
    case CKR_KEY_TYPE_INCONSISTENT: return CKR_WRAPPING_KEY_TYPE_INCONSISTENT;
    case CKR_OK: break;
    default: return rv;
    }
    if (key == NULL)
        return CKR_KEY_HANDLE_INVALID;
    rv = may_wrap(w.key, key);
    /* RSA wraps what fits its modulus: symmetric keys. */
    if (rv == CKR_OK && w.m->key == MECH_KEY_RSA && (key->group & ATTR_SEC) == 0)
        rv = CKR_KEY_NOT_WRAPPABLE;
    if (rv == CKR_OK)
        rv = value_of(s, key, &value);
    if (rv == CKR_OK)
        rv = in_words_of_wrapping(wrap_cipher(&w, true, buf_bytes(&value), &made));
    if (rv == CKR_OK)
        rv = give(&made, out, len);
    buf_free(&value);
    buf_free(&made);
    return rv;
}

CK_RV C_WrapKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping,
                CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(len != NULL ? wrap(s, mechanism, wrapping, key, out, len) : CKR_ARGUMENTS_BAD);
}
