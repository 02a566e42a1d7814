#include <openssl/rand.h>
#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/mech_params.h"
#include "pkcs11/op_call.h"
#include "pkcs11/op_message.h"

/* C_EncryptMessage* and C_DecryptMessage* (3.0, 5.9 and 5.11): GCM, a nonce for each message. */

static bool read_gcm(const void *param, CK_ULONG len, CK_GCM_MESSAGE_PARAMS *p)
{
    if (param == NULL || len != sizeof(*p))
        return false;
    memcpy(p, param, sizeof(*p));
    return p->pIv != NULL && p->pTag != NULL && p->ulIvLen != 0 && p->ulIvLen <= MECH_PARAMS_MAX &&
           p->ulIvFixedBits <= p->ulIvLen * 8;
}

/*
 * 2.13.3: the part of the nonce behind its fixed bits is made here when the caller asks for
 * it, at random: without a state that outlives the process a counter would repeat. At least 96
 * bits then, so that it does not repeat by chance either (SP 800-38D, 8.2.2).
 */
static CK_RV make_nonce(const CK_GCM_MESSAGE_PARAMS *p)
{
    CK_ULONG fixed = p->ulIvFixedBits / 8;

    switch (p->ivGenerator) {
    case CKG_NO_GENERATE: return CKR_OK;
    case CKG_GENERATE:
    case CKG_GENERATE_RANDOM: break;
    default: return CKR_MECHANISM_PARAM_INVALID;
    }
    if (p->ulIvFixedBits % 8 != 0 || p->ulIvLen - fixed < 12)
        return CKR_MECHANISM_PARAM_INVALID;
    return RAND_bytes(p->pIv + fixed, (int)(p->ulIvLen - fixed)) == 1 ? CKR_OK
                                                                      : CKR_FUNCTION_FAILED;
}

static CK_RV start_gcm(struct p11_session *s, enum op_kind kind, struct message *m,
                       const CK_GCM_MESSAGE_PARAMS *p, const CK_BYTE *aad, CK_ULONG aad_len)
{
    CK_GCM_PARAMS one = {.pIv = p->pIv,
                         .ulIvLen = p->ulIvLen,
                         .ulIvBits = p->ulIvLen * 8,
                         .pAAD = (CK_BYTE *)(uintptr_t)aad,
                         .ulAADLen = aad_len,
                         .ulTagBits = p->ulTagBits};
    CK_MECHANISM given = {CKM_AES_GCM, &one, sizeof(one)};

    if (!entry_readable(aad, aad_len))
        return CKR_ARGUMENTS_BAD;
    m->tag_bits = p->ulTagBits;
    return message_start(s, kind, m, &given);
}

/* Ends a message: the tag goes to its own place when encrypting, and follows the ciphertext
 * when decrypting, as the operation wants it. `in` is the last part. */
static CK_RV finish_gcm(struct message *m, enum op_kind kind, const CK_GCM_MESSAGE_PARAMS *p,
                        struct bytes in, CK_BYTE *out, CK_ULONG *len)
{
    size_t tag_len = (size_t)p->ulTagBits / 8;
    struct buf all = {.secret = true};
    struct bytes made;
    CK_RV rv = CKR_OK;

    buf_add_bytes(&all, in);
    if (kind == OP_DECRYPT)
        buf_add(&all, p->pTag, tag_len);
    if (all.bad)
        rv = CKR_HOST_MEMORY;
    in = buf_bytes(&all);
    if (rv == CKR_OK)
        rv = op_last(m->op, &in, &made);
    if (rv == CKR_ENCRYPTED_DATA_INVALID)
        rv = CKR_AEAD_DECRYPT_FAILED;
    if (rv == CKR_OK) {
        size_t n = kind == OP_ENCRYPT ? made.len - tag_len : made.len;

        if (n != 0)
            memcpy(out, made.p, n);
        *len = (CK_ULONG)n;
        if (kind == OP_ENCRYPT)
            memcpy(p->pTag, made.p + n, tag_len);
    }
    buf_free(&all);
    return rv;
}

static CK_RV whole(CK_SESSION_HANDLE handle, enum op_kind kind, const void *param,
                   CK_ULONG param_len, const CK_BYTE *aad, CK_ULONG aad_len, const CK_BYTE *in,
                   CK_ULONG in_len, CK_BYTE *out, CK_ULONG *len)
{
    CK_GCM_MESSAGE_PARAMS p;
    struct p11_session *s;
    struct message *m;
    bool go = false;
    CK_RV rv = op_message_enter(handle, kind, false, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (len == NULL || !entry_readable(in, in_len) || in_len > OP_MAX_INPUT)
        return entry_end(CKR_ARGUMENTS_BAD);
    if (!read_gcm(param, param_len, &p))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    rv = op_call_room((size_t)in_len, out, len, &go);
    /* Of an empty message there is no length to ask for: it is checked, or gets its tag. */
    if (!go && in_len != 0)
        return entry_end(rv);
    if (kind == OP_ENCRYPT)
        rv = make_nonce(&p);
    if (rv == CKR_OK)
        rv = start_gcm(s, kind, m, &p, aad, aad_len);
    if (rv == CKR_OK)
        rv = finish_gcm(m, kind, &p, bytes_of(in, (size_t)in_len), out, len);
    message_drop(m);
    return entry_end(rv);
}

static CK_RV parts_begin(CK_SESSION_HANDLE handle, enum op_kind kind, const void *param,
                         CK_ULONG param_len, const CK_BYTE *aad, CK_ULONG aad_len)
{
    CK_GCM_MESSAGE_PARAMS p;
    struct p11_session *s;
    struct message *m;
    CK_RV rv = op_message_enter(handle, kind, false, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (!read_gcm(param, param_len, &p))
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    if (kind == OP_ENCRYPT)
        rv = make_nonce(&p);
    if (rv == CKR_OK)
        rv = start_gcm(s, kind, m, &p, aad, aad_len);
    return entry_end(rv);
}

/* A part that is not the last. Decryption gives nothing before the tag was seen. */
static CK_RV one_part(struct message *m, struct bytes in, CK_BYTE *out, CK_ULONG *len)
{
    struct buf made = {.secret = true};
    CK_RV rv = op_feed(m->op, in, &made);

    if (rv == CKR_OK && made.bad)
        rv = CKR_HOST_MEMORY;
    if (rv == CKR_OK) {
        if (made.len != 0)
            memcpy(out, made.p, made.len);
        *len = (CK_ULONG)made.len;
    }
    buf_free(&made);
    return rv;
}

static CK_RV parts_next(CK_SESSION_HANDLE handle, enum op_kind kind, const void *param,
                        CK_ULONG param_len, const CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
                        CK_ULONG *len, CK_FLAGS flags)
{
    bool last = (flags & CKF_END_OF_MESSAGE) != 0, go = false, exact;
    CK_GCM_MESSAGE_PARAMS p;
    struct p11_session *s;
    struct message *m;
    size_t need;
    CK_RV rv = op_message_enter(handle, kind, true, &s, &m);

    if (rv != CKR_OK)
        return rv;
    if (len == NULL || !entry_readable(in, in_len) || in_len > OP_MAX_INPUT)
        return entry_end(CKR_ARGUMENTS_BAD);
    if (!read_gcm(param, param_len, &p) || p.ulTagBits != m->tag_bits)
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    need = op_feed_length(m->op, (size_t)in_len);
    if (last && kind == OP_DECRYPT)
        need = op_last_length(m->op, (size_t)in_len + (size_t)p.ulTagBits / 8, &exact);
    rv = op_call_room(need, out, len, &go);
    if (!go && (need != 0 || in_len != 0))
        return entry_end(rv);
    rv = last ? finish_gcm(m, kind, &p, bytes_of(in, (size_t)in_len), out, len)
              : one_part(m, bytes_of(in, (size_t)in_len), out, len);
    if (last || rv != CKR_OK)
        message_drop(m);
    return entry_end(rv);
}

CK_RV C_MessageEncryptInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return op_message_init(s, OP_ENCRYPT, m, key);
}

CK_RV C_EncryptMessage(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
                       CK_ULONG aad_len, CK_BYTE *plain, CK_ULONG plain_len, CK_BYTE *out,
                       CK_ULONG *out_len)
{
    return whole(s, OP_ENCRYPT, param, param_len, aad, aad_len, plain, plain_len, out, out_len);
}

CK_RV C_EncryptMessageBegin(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
                            CK_ULONG aad_len)
{
    return parts_begin(s, OP_ENCRYPT, param, param_len, aad, aad_len);
}

CK_RV C_EncryptMessageNext(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *plain,
                           CK_ULONG plain_len, CK_BYTE *out, CK_ULONG *out_len, CK_FLAGS flags)
{
    return parts_next(s, OP_ENCRYPT, param, param_len, plain, plain_len, out, out_len, flags);
}

CK_RV C_MessageEncryptFinal(CK_SESSION_HANDLE s)
{
    return op_message_final(s, OP_ENCRYPT);
}

CK_RV C_MessageDecryptInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return op_message_init(s, OP_DECRYPT, m, key);
}

CK_RV C_DecryptMessage(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
                       CK_ULONG aad_len, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *plain,
                       CK_ULONG *plain_len)
{
    return whole(s, OP_DECRYPT, param, param_len, aad, aad_len, in, in_len, plain, plain_len);
}

CK_RV C_DecryptMessageBegin(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *aad,
                            CK_ULONG aad_len)
{
    return parts_begin(s, OP_DECRYPT, param, param_len, aad, aad_len);
}

CK_RV C_DecryptMessageNext(CK_SESSION_HANDLE s, void *param, CK_ULONG param_len, CK_BYTE *in,
                           CK_ULONG in_len, CK_BYTE *plain, CK_ULONG *plain_len, CK_FLAGS flags)
{
    return parts_next(s, OP_DECRYPT, param, param_len, in, in_len, plain, plain_len, flags);
}

CK_RV C_MessageDecryptFinal(CK_SESSION_HANDLE s)
{
    return op_message_final(s, OP_DECRYPT);
}
