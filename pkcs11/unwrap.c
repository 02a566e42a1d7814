#include "core/pkcs8.h"
#include "pkcs11/attr.h"
#include "pkcs11/entry.h"
#include "pkcs11/import.h"
#include "pkcs11/op_call.h"
#include "pkcs11/secretkey.h"
#include "pkcs11/wrap.h"

/*
 * C_UnwrapKey (5.14): a private key goes into the TPM, and so does a secret that becomes a
 * token object; other secrets stay in memory (secretkey.h).
 */

struct wanted {
    CK_ATTRIBUTE a[TEMPLATE_MAX];
    struct template t;
    struct buf space;
    CK_ULONG class, type;
};

/* The template, with what the unwrapping key imposes on it. */
static CK_RV read_wanted(const struct object *by, const struct template *given, struct wanted *w)
{
    struct bytes nested = {NULL, 0};
    CK_RV rv;

    w->space.secret = true;
    w->class = w->type = CK_UNAVAILABLE_INFORMATION;
    (void)object_value(by, CKA_UNWRAP_TEMPLATE, &nested);
    rv = template_impose(nested, given, w->a, &w->t, &w->space);
    if (rv == CKR_OK)
        rv = template_ulong(&w->t, CKA_CLASS, &w->class);
    if (rv == CKR_OK)
        rv = template_ulong(&w->t, CKA_KEY_TYPE, &w->type);
    if (rv != CKR_OK)
        return rv;
    if (w->class == CK_UNAVAILABLE_INFORMATION || w->type == CK_UNAVAILABLE_INFORMATION)
        return CKR_TEMPLATE_INCOMPLETE;
    return w->class == CKO_SECRET_KEY || w->class == CKO_PRIVATE_KEY ? CKR_OK
                                                                     : CKR_TEMPLATE_INCONSISTENT;
}

static CK_RV take_private(struct p11_session *s, const struct wanted *w, struct bytes der,
                          struct made *m)
{
    struct secret *part = NULL;
    struct pubkey pub;
    struct err e = {0};
    CK_RV rv;

    if (pkcs8_decode(der, &pub, &part, &e) != 0)
        return fail_rv(&e, CKR_DURING_UNWRAP);
    if (w->type != (CK_KEY_TYPE)(pub.type == TPM2_ALG_RSA ? CKK_RSA : CKK_EC))
        rv = CKR_TEMPLATE_INCONSISTENT;
    else
        rv = import_unwrapped(s, &pub, secret_bytes(part), m);
    secret_free(part);
    return rv;
}

static CK_RV take(struct p11_session *s, const struct wanted *w, struct bytes value, struct made *m)
{
    CK_RV rv = CKR_OK;

    /* 5.14: an unwrapped key may leave again unless the template says otherwise. */
    if (template_get(&w->t, CKA_EXTRACTABLE) == NULL)
        rv = template_set_bool(&m->row, m->group, CKA_EXTRACTABLE, true);
    if (rv == CKR_OK)
        rv = template_set_ulong(&m->row, m->group, CKA_KEY_TYPE, w->type);
    if (rv != CKR_OK)
        return rv;
    return w->class == CKO_PRIVATE_KEY ? take_private(s, w, value, m)
                                       : secretkey_put(s, value, SECRETKEY_DERIVED, m);
}

/* Return values that name what was wrapped where others name data. */
static CK_RV in_words_of_unwrapping(CK_RV rv)
{
    switch (rv) {
    case CKR_ENCRYPTED_DATA_INVALID: return CKR_WRAPPED_KEY_INVALID;
    case CKR_ENCRYPTED_DATA_LEN_RANGE: return CKR_WRAPPED_KEY_LEN_RANGE;
    default: return rv;
    }
}

/*
 * Paddings that anybody can make a ciphertext for: how far what came out was a key must not
 * show, or the unwrapping key decrypts for whoever asks often enough.
 */
static CK_RV one_answer(const struct mech *m, CK_RV rv)
{
    bool forgeable = m->family == MECH_PKCS1 ||
                     (m->family == MECH_AES && m->variant == MECH_AES_CBC_PAD);

    if (!forgeable)
        return rv;
    switch (rv) {
    case CKR_KEY_SIZE_RANGE:
    case CKR_ATTRIBUTE_VALUE_INVALID:
    case CKR_TEMPLATE_INCONSISTENT: return CKR_WRAPPED_KEY_INVALID;
    default: return rv;
    }
}

static CK_RV unwrap(struct p11_session *s, const CK_MECHANISM *mechanism,
                    CK_OBJECT_HANDLE unwrapping, struct bytes in, const struct template *given,
                    CK_OBJECT_HANDLE *out)
{
    struct wrap_with by = {.s = s, .given = mechanism};
    struct buf value = {.secret = true};
    struct wanted w = {.class = 0};
    struct made made = {0};
    unsigned group;
    CK_RV rv = op_call_allowed(s, mechanism, unwrapping, CKF_UNWRAP, CKA_UNWRAP,
                               ATTR_PRIV | ATTR_SEC, &by.m, &by.key);

    switch (rv) {
    case CKR_KEY_HANDLE_INVALID: return CKR_UNWRAPPING_KEY_HANDLE_INVALID;
    case CKR_KEY_TYPE_INCONSISTENT: return CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT;
    case CKR_OK: break;
    default: return rv;
    }
    rv = read_wanted(by.key, given, &w);
    if (rv == CKR_OK) {
        group = attr_table_group(w.class, w.type);
        rv = group == 0 ? CKR_TEMPLATE_INCONSISTENT
                        : make_read(s, &w.t, TEMPLATE_UNWRAP, w.class, group, &made);
    }
    if (rv == CKR_OK)
        rv = in_words_of_unwrapping(wrap_cipher(&by, false, in, &value));
    if (rv == CKR_OK)
        rv = one_answer(by.m, take(s, &w, buf_bytes(&value), &made));
    rv = make_one(s, &made, rv, out);
    buf_free(&value);
    buf_free(&w.space);
    return rv;
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping,
                  CK_BYTE *in, CK_ULONG in_len, CK_ATTRIBUTE *t, CK_ULONG count,
                  CK_OBJECT_HANDLE *key)
{
    struct template given;
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    rv = template_of(t, count, &given);
    if (rv == CKR_OK && (key == NULL || in == NULL || !entry_readable(in, in_len)))
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = unwrap(s, mechanism, unwrapping, bytes_of(in, (size_t)in_len), &given, key);
    return entry_end(rv);
}
