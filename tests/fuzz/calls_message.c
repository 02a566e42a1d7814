#include "tests/fuzz/calls.h"

#include <string.h>

/* The message functions of PKCS#11 3.0. */

struct message_call {
    CK_SESSION_HANDLE s;
    void *param;
    CK_ULONG param_len;
    struct calls_data aad, in;
    CK_FLAGS flags;
    int how;
};

static CK_RV give(struct calls *w, void *arg, CK_BYTE *out, CK_ULONG *len)
{
    struct message_call *c = arg;

    switch (c->how) {
    case 0:
        return w->f->C_EncryptMessage(c->s, c->param, c->param_len, c->aad.p, c->aad.len, c->in.p,
                                      c->in.len, out, len);
    case 1:
        return w->f->C_DecryptMessage(c->s, c->param, c->param_len, c->aad.p, c->aad.len, c->in.p,
                                      c->in.len, out, len);
    case 2:
        return w->f->C_EncryptMessageNext(c->s, c->param, c->param_len, c->in.p, c->in.len, out,
                                          len, c->flags);
    case 3:
        return w->f->C_DecryptMessageNext(c->s, c->param, c->param_len, c->in.p, c->in.len, out,
                                          len, c->flags);
    case 4: return w->f->C_SignMessage(c->s, c->param, c->param_len, c->in.p, c->in.len, out, len);
    default:
        return w->f->C_SignMessageNext(c->s, c->param, c->param_len, c->in.p, c->in.len, out, len);
    }
}

/* Takes what comes out. Of an empty message there is no length to ask for: asking does it. */
static CK_RV take(struct calls *w, struct message_call *c, struct bytes *made)
{
    CK_ULONG len = 0;
    CK_RV rv;

    *made = bytes_of(NULL, 0);
    if (c->in.len != 0)
        return calls_take(w, give, c, made);
    rv = calls_rv(give(w, c, NULL, &len));
    return rv == CKR_OK && len != 0 ? calls_take(w, give, c, made) : rv;
}

static void init(struct calls *w)
{
    static const CK_FLAGS flags[] = {CKF_MESSAGE_ENCRYPT, CKF_MESSAGE_DECRYPT, CKF_MESSAGE_SIGN,
                                     CKF_MESSAGE_VERIFY};
    size_t kind = input_below(&w->in, ARRAY_LEN(flags));
    const struct mech *m = mechs_with(&w->in, flags[kind]);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    CK_OBJECT_HANDLE key = calls_key(w, m);
    CK_SESSION_HANDLE s = calls_session(w);

    /* GCM has no parameter here. */
    if (m->family == MECH_GCM && !input_one_in(&w->in, 8))
        given = (CK_MECHANISM){m->type, NULL, 0};
    switch (kind) {
    case 0: calls_rv(w->f->C_MessageEncryptInit(s, &given, key)); break;
    case 1: calls_rv(w->f->C_MessageDecryptInit(s, &given, key)); break;
    case 2: calls_rv(w->f->C_MessageSignInit(s, &given, key)); break;
    default: calls_rv(w->f->C_MessageVerifyInit(s, &given, key)); break;
    }
}

/* Nonce and tag lie in memory of just the lengths that the parameter tells. */
static CK_GCM_MESSAGE_PARAMS *gcm(struct input *in)
{
    static const CK_ULONG tags[] = {128, 128, 96, 32, 64, 120, 129, 0, 136};
    CK_GCM_MESSAGE_PARAMS *p = input_room(in, sizeof(*p));

    p->ulIvLen = input_one_in(in, 4) ? input_below(in, 40) : 12;
    p->pIv = input_room(in, p->ulIvLen);
    if (p->ulIvLen != 0)
        p->pIv[0] = input_u8(in);
    p->ulIvFixedBits = input_one_in(in, 4) ? input_ulong(in) : 0;
    p->ivGenerator = input_one_in(in, 4) ? input_below(in, 6) : CKG_NO_GENERATE;
    p->ulTagBits = tags[input_below(in, ARRAY_LEN(tags))];
    if (input_one_in(in, 32))
        p->ulTagBits = input_ulong(in);
    p->pTag = input_room(in, p->ulTagBits <= 4096 ? (p->ulTagBits + 7) / 8 : 0);
    if (input_one_in(in, 32))
        p->ulIvLen = input_huge(in);
    if (input_one_in(in, 32))
        p->pIv = NULL;
    if (input_one_in(in, 32))
        p->pTag = NULL;
    return p;
}

static void begin(struct calls *w, struct message_call *c)
{
    switch (input_below(&w->in, 4)) {
    case 0:
        calls_rv(w->f->C_EncryptMessageBegin(c->s, c->param, c->param_len, c->aad.p, c->aad.len));
        break;
    case 1:
        calls_rv(w->f->C_DecryptMessageBegin(c->s, c->param, c->param_len, c->aad.p, c->aad.len));
        break;
    case 2: calls_rv(w->f->C_SignMessageBegin(c->s, c->param, c->param_len)); break;
    default: calls_rv(w->f->C_VerifyMessageBegin(c->s, c->param, c->param_len)); break;
    }
}

static void verify(struct calls *w, struct message_call *c)
{
    struct calls_data sig = calls_data(w);

    if (input_one_in(&w->in, 2))
        calls_rv(w->f->C_VerifyMessage(c->s, c->param, c->param_len, c->in.p, c->in.len, sig.p,
                                       sig.len));
    else
        calls_rv(w->f->C_VerifyMessageNext(c->s, c->param, c->param_len, c->in.p, c->in.len, sig.p,
                                           sig.len));
}

static void final(struct calls *w, CK_SESSION_HANDLE s)
{
    switch (input_below(&w->in, 4)) {
    case 0: calls_rv(w->f->C_MessageEncryptFinal(s)); break;
    case 1: calls_rv(w->f->C_MessageDecryptFinal(s)); break;
    case 2: calls_rv(w->f->C_MessageSignFinal(s)); break;
    default: calls_rv(w->f->C_MessageVerifyFinal(s)); break;
    }
}

static struct calls_data all_of(struct calls *w, struct bytes b)
{
    return (struct calls_data){b.len != 0 ? input_copy(&w->in, b) : NULL, (CK_ULONG)b.len};
}

/* One message there and back, with whatever Init made of the session before. */
static void there_and_back(struct calls *w)
{
    CK_MECHANISM m = {CKM_AES_GCM, NULL, 0};
    CK_OBJECT_HANDLE key = calls_preset(w, CALLS_AES16);
    struct bytes data = input_bytes(&w->in, 2100), made, back;
    CK_GCM_MESSAGE_PARAMS *p = gcm(&w->in);
    struct message_call c = {.s = w->rw, .param = p, .param_len = sizeof(*p)};

    c.aad = all_of(w, input_bytes(&w->in, 60));
    c.in = all_of(w, data);
    w->f->C_SessionCancel(w->rw, CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT);
    if (calls_rv(w->f->C_MessageEncryptInit(w->rw, &m, key)) != CKR_OK ||
        calls_rv(w->f->C_MessageDecryptInit(w->rw, &m, key)) != CKR_OK)
        return;
    if (take(w, &c, &made) != CKR_OK)
        return;
    INPUT_HOLDS(made.len == data.len);
    c.in = all_of(w, made);
    c.how = 1;
    INPUT_HOLDS(take(w, &c, &back) == CKR_OK && bytes_equal(data, back));
    p->pTag[0] ^= 1;
    INPUT_HOLDS(take(w, &c, &back) == CKR_AEAD_DECRYPT_FAILED);
}

/* The same in parts: some data, then the rest with the tag. */
static void parts_there_and_back(struct calls *w)
{
    CK_MECHANISM m = {CKM_AES_GCM, NULL, 0};
    CK_OBJECT_HANDLE key = calls_preset(w, CALLS_AES32);
    struct bytes first = input_bytes(&w->in, 300), rest = input_bytes(&w->in, 300), made[4];
    CK_GCM_MESSAGE_PARAMS *p = gcm(&w->in);
    struct message_call c = {.s = w->rw, .param = p, .param_len = sizeof(*p), .how = 2};

    w->f->C_SessionCancel(w->rw, CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT);
    if (calls_rv(w->f->C_MessageEncryptInit(w->rw, &m, key)) != CKR_OK ||
        calls_rv(w->f->C_MessageDecryptInit(w->rw, &m, key)) != CKR_OK ||
        calls_rv(w->f->C_EncryptMessageBegin(w->rw, p, sizeof(*p), NULL, 0)) != CKR_OK ||
        calls_rv(w->f->C_DecryptMessageBegin(w->rw, p, sizeof(*p), NULL, 0)) != CKR_OK)
        return;
    c.in = all_of(w, first);
    INPUT_HOLDS(take(w, &c, &made[0]) == CKR_OK);
    c.in = all_of(w, rest);
    c.flags = CKF_END_OF_MESSAGE;
    INPUT_HOLDS(take(w, &c, &made[1]) == CKR_OK);
    INPUT_HOLDS(made[0].len + made[1].len == first.len + rest.len);
    c.how = 3;
    c.flags = 0;
    c.in = all_of(w, made[0]);
    INPUT_HOLDS(take(w, &c, &made[2]) == CKR_OK && made[2].len == 0);
    c.flags = CKF_END_OF_MESSAGE;
    c.in = all_of(w, made[1]);
    INPUT_HOLDS(take(w, &c, &made[3]) == CKR_OK);
    INPUT_HOLDS(made[3].len == first.len + rest.len);
    INPUT_HOLDS(first.len == 0 || memcmp(made[3].p, first.p, first.len) == 0);
    INPUT_HOLDS(rest.len == 0 || memcmp(made[3].p + first.len, rest.p, rest.len) == 0);
}

/* Two signatures by one Init, of which one is made in parts, and what they verify as. */
static void sign_and_verify(struct calls *w)
{
    const struct mech *m = mechs_with(&w->in, CKF_MESSAGE_SIGN);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    CK_OBJECT_HANDLE key = calls_key(w, m);
    struct message_call c = {.s = w->rw, .how = 4};
    struct bytes data = input_bytes(&w->in, 300), sig, again;
    struct calls_data s;

    w->f->C_SessionCancel(w->rw, CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY);
    if (calls_rv(w->f->C_MessageSignInit(w->rw, &given, key)) != CKR_OK ||
        calls_rv(w->f->C_MessageVerifyInit(w->rw, &given, key)) != CKR_OK)
        return;
    c.in = all_of(w, data);
    if (take(w, &c, &sig) != CKR_OK)
        return;
    INPUT_HOLDS(calls_rv(w->f->C_SignMessageBegin(w->rw, NULL, 0)) == CKR_OK);
    INPUT_HOLDS(calls_rv(w->f->C_SignMessageNext(w->rw, NULL, 0, c.in.p, c.in.len, NULL, NULL)) ==
                CKR_OK);
    c.how = 5;
    c.in.len = 0;
    INPUT_HOLDS(take(w, &c, &again) == CKR_OK && bytes_equal(sig, again));
    s = all_of(w, sig);
    c.in = all_of(w, data);
    INPUT_HOLDS(calls_rv(w->f->C_VerifyMessage(w->rw, NULL, 0, c.in.p, c.in.len, s.p, s.len)) ==
                CKR_OK);
}

void calls_on_messages(struct calls *w)
{
    size_t what = input_below(&w->in, 10);
    struct message_call c = {.s = calls_session(w)};
    struct bytes made;

    if (what < 3) {
        init(w);
        return;
    }
    if (what == 3) {
        static void (*const all[])(struct calls *) = {there_and_back, parts_there_and_back,
                                                      sign_and_verify};

        all[input_below(&w->in, ARRAY_LEN(all))](w);
        return;
    }
    if (what == 4) {
        final(w, c.s);
        return;
    }
    c.how = (int)input_below(&w->in, 6);
    if (c.how < 4 && !input_one_in(&w->in, 16)) {
        c.param = gcm(&w->in);
        c.param_len = sizeof(CK_GCM_MESSAGE_PARAMS);
        c.aad = calls_data(w);
    }
    c.in = calls_data(w);
    c.flags = input_one_in(&w->in, 2) ? CKF_END_OF_MESSAGE : 0;
    switch (what) {
    case 5:
    case 6: begin(w, &c); break;
    case 7: verify(w, &c); break;
    default:
        if (c.in.len != 0)
            calls_output(w, give, &c, NULL);
        else
            take(w, &c, &made);
        break;
    }
}
