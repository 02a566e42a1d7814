#include "tests/fuzz/calls.h"

#include <string.h>

/* Operations of a session in any order: Init, one part, parts, last, dual, and the state of a
 * digest. What goes in twice is the same. */

struct part {
    CK_SESSION_HANDLE s;
    struct calls_data in;
    int how;
};

typedef CK_RV (*one_fn)(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len);
typedef CK_RV (*last_fn)(CK_SESSION_HANDLE s, CK_BYTE *out, CK_ULONG *len);

static CK_RV give_one(struct calls *w, void *arg, CK_BYTE *out, CK_ULONG *len)
{
    const CK_FUNCTION_LIST *f = &w->f->v2;
    const one_fn ones[] = {f->C_Encrypt,
                           f->C_Decrypt,
                           f->C_Sign,
                           f->C_Digest,
                           f->C_SignRecover,
                           f->C_VerifyRecover,
                           f->C_EncryptUpdate,
                           f->C_DecryptUpdate,
                           f->C_DigestEncryptUpdate,
                           f->C_DecryptDigestUpdate,
                           f->C_SignEncryptUpdate,
                           f->C_DecryptVerifyUpdate};
    struct part *p = arg;

    return ones[(size_t)p->how % ARRAY_LEN(ones)](p->s, p->in.p, p->in.len, out, len);
}

static CK_RV give_last(struct calls *w, void *arg, CK_BYTE *out, CK_ULONG *len)
{
    const CK_FUNCTION_LIST *f = &w->f->v2;
    const last_fn lasts[] = {f->C_EncryptFinal, f->C_DecryptFinal, f->C_SignFinal, f->C_DigestFinal,
                             f->C_GetOperationState};
    struct part *p = arg;

    return lasts[(size_t)p->how % ARRAY_LEN(lasts)](p->s, out, len);
}

static void init(struct calls *w)
{
    static const CK_FLAGS flags[] = {CKF_ENCRYPT, CKF_DECRYPT,      CKF_SIGN,          CKF_VERIFY,
                                     CKF_DIGEST,  CKF_SIGN_RECOVER, CKF_VERIFY_RECOVER};
    const CK_FUNCTION_LIST *f = &w->f->v2;
    size_t kind = input_below(&w->in, ARRAY_LEN(flags));
    const struct mech *m = mechs_with(&w->in, flags[kind]);
    CK_SESSION_HANDLE s = calls_session(w);
    CK_OBJECT_HANDLE key = calls_key(w, m);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL), *p = &given;

    if (input_one_in(&w->in, 32))
        p = NULL;
    switch (kind) {
    case 0: calls_rv(f->C_EncryptInit(s, p, key)); break;
    case 1: calls_rv(f->C_DecryptInit(s, p, key)); break;
    case 2: calls_rv(f->C_SignInit(s, p, key)); break;
    case 3: calls_rv(f->C_VerifyInit(s, p, key)); break;
    case 4: calls_rv(f->C_DigestInit(s, p)); break;
    case 5: calls_rv(f->C_SignRecoverInit(s, p, key)); break;
    default: calls_rv(f->C_VerifyRecoverInit(s, p, key)); break;
    }
}

static void update(struct calls *w)
{
    struct calls_data d = calls_data(w), sig;
    CK_SESSION_HANDLE s = calls_session(w);

    switch (input_below(&w->in, 6)) {
    case 0: calls_rv(w->f->v2.C_SignUpdate(s, d.p, d.len)); break;
    case 1: calls_rv(w->f->v2.C_VerifyUpdate(s, d.p, d.len)); break;
    case 2: calls_rv(w->f->v2.C_DigestUpdate(s, d.p, d.len)); break;
    case 3: calls_rv(w->f->v2.C_DigestKey(s, calls_object(w))); break;
    case 4: calls_rv(w->f->v2.C_VerifyFinal(s, d.p, d.len)); break;
    default:
        sig = calls_data(w);
        calls_rv(w->f->v2.C_Verify(s, d.p, d.len, sig.p, sig.len));
        break;
    }
}

static void restore(struct calls *w)
{
    struct calls_data d = calls_data(w);

    calls_rv(w->f->v2.C_SetOperationState(calls_session(w), d.p, d.len,
                                          input_one_in(&w->in, 8) ? calls_object(w) : 0, 0));
}

/* A digest that was saved goes on as if it had not been; a byte of the state may be another,
 * and then it does so only without harm. */
static void save_and_restore(struct calls *w)
{
    struct part p = {.s = w->rw, .how = 4};
    struct part last = {.s = w->rw, .how = 3};
    struct bytes state, one, two;
    bool altered = input_one_in(&w->in, 2);
    uint8_t *copy;

    if (calls_take(w, give_last, &p, &state) != CKR_OK)
        return;
    if (calls_take(w, give_last, &last, &one) != CKR_OK)
        return;
    copy = input_copy(&w->in, state);
    if (altered && state.len != 0)
        copy[input_below(&w->in, state.len)] ^= input_u8(&w->in);
    if (calls_rv(w->f->v2.C_SetOperationState(w->rw, copy, state.len, 0, 0)) != CKR_OK) {
        INPUT_HOLDS(altered);
        return;
    }
    INPUT_HOLDS(calls_take(w, give_last, &last, &two) == CKR_OK);
    INPUT_HOLDS(altered || bytes_equal(one, two));
}

void calls_on_operations(struct calls *w)
{
    struct part p = {.s = 0};

    switch (input_below(&w->in, 12)) {
    case 0:
    case 1:
    case 2:
    case 3: init(w); return;
    case 4:
    case 5: update(w); return;
    case 6: restore(w); return;
    case 7: save_and_restore(w); return;
    default: break;
    }
    p.how = input_u8(&w->in);
    p.s = calls_session(w);
    if (input_one_in(&w->in, 3)) {
        calls_output(w, give_last, &p, NULL);
    } else {
        p.in = calls_data(w);
        calls_output(w, give_one, &p, NULL);
    }
}

/* --- there and back --------------------------------------------------------- */

/* Runs `data` through the session's encryption or decryption in parts, or at once. */
static CK_RV crypt(struct calls *w, bool encrypt, struct bytes data, struct buf *out)
{
    struct part p = {.s = w->rw, .how = encrypt ? 0 : 1};
    size_t at = 0, parts = input_below(&w->in, 4);
    struct bytes made;
    CK_RV rv;

    if (parts != 0)
        p.how += 6;
    for (size_t i = 0; i < parts && at < data.len; i++) {
        size_t n = 1 + input_below(&w->in, data.len - at);

        p.in.p = input_copy(&w->in, bytes_of(data.p + at, n));
        p.in.len = (CK_ULONG)n;
        rv = calls_take(w, give_one, &p, &made);
        if (rv != CKR_OK)
            return rv;
        buf_add_bytes(out, made);
        at += n;
    }
    p.in.len = (CK_ULONG)(data.len - at);
    p.in.p = p.in.len != 0 ? input_copy(&w->in, bytes_of(data.p + at, data.len - at)) : NULL;
    if (parts == 0 || at < data.len) {
        rv = calls_take(w, give_one, &p, &made);
        if (rv != CKR_OK)
            return rv;
        buf_add_bytes(out, made);
    }
    if (parts == 0)
        return CKR_OK;
    p.how = encrypt ? 0 : 1;
    rv = calls_take(w, give_last, &p, &made);
    if (rv == CKR_OK)
        buf_add_bytes(out, made);
    return rv;
}

static void encrypt_and_decrypt(struct calls *w, struct bytes data)
{
    const struct mech *m = mechs_with(&w->in, CKF_ENCRYPT);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    CK_OBJECT_HANDLE key = calls_key(w, m);
    struct buf sealed = {0}, opened = {0};

    if (calls_rv(w->f->v2.C_EncryptInit(w->rw, &given, key)) == CKR_OK &&
        crypt(w, true, data, &sealed) == CKR_OK &&
        calls_rv(w->f->v2.C_DecryptInit(w->rw, &given, key)) == CKR_OK) {
        INPUT_HOLDS(crypt(w, false, buf_bytes(&sealed), &opened) == CKR_OK);
        INPUT_HOLDS(bytes_equal(buf_bytes(&opened), data));
    }
    buf_free(&sealed);
    buf_free(&opened);
}

static void sign_and_verify(struct calls *w, struct bytes data)
{
    const struct mech *m = mechs_with(&w->in, CKF_SIGN);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    CK_OBJECT_HANDLE key = calls_key(w, m);
    struct part p = {.s = w->rw, .how = 2};
    struct bytes sig;
    uint8_t *copy, flip = input_u8(&w->in);
    CK_RV rv;

    p.in.p = input_copy(&w->in, data);
    p.in.len = p.in.p != NULL ? (CK_ULONG)data.len : 0;
    if (calls_rv(w->f->v2.C_SignInit(w->rw, &given, key)) != CKR_OK ||
        calls_take(w, give_one, &p, &sig) != CKR_OK ||
        calls_rv(w->f->v2.C_VerifyInit(w->rw, &given, key)) != CKR_OK)
        return;
    copy = input_copy(&w->in, sig);
    if (copy == NULL)
        return;
    copy[0] ^= flip;
    rv = calls_rv(w->f->v2.C_Verify(w->rw, p.in.p, p.in.len, copy, sig.len));
    INPUT_HOLDS(flip == 0 ? rv == CKR_OK : rv == CKR_SIGNATURE_INVALID);
}

void calls_round_trip(struct calls *w)
{
    struct bytes data = input_bytes(&w->in, 2100);

    INPUT_HOLDS(calls_rv(w->f->C_SessionCancel(w->rw, ~(CK_FLAGS)0)) == CKR_OK);
    if (input_one_in(&w->in, 3))
        sign_and_verify(w, data);
    else
        encrypt_and_decrypt(w, data);
    INPUT_HOLDS(calls_rv(w->f->C_SessionCancel(w->rw, ~(CK_FLAGS)0)) == CKR_OK);
}
