#include "pkcs11/op.h"

#include <stdlib.h>
#include <string.h>

#include "pkcs11/fail.h"
#include "pkcs11/op_priv.h"

/* Who does what. The plain modes of AES are told apart further by whether they make a key
 * stream. */
static const struct {
    enum mech_family family;
    enum op_kind kind;
    const struct family *does;
} families[] = {
    {MECH_DIGEST, OP_DIGEST, &family_digest},
    {MECH_ECDSA, OP_SIGN, &family_sign},
    {MECH_ECDSA, OP_VERIFY, &family_verify},
    {MECH_PKCS1, OP_SIGN, &family_sign},
    {MECH_PKCS1, OP_VERIFY, &family_verify},
    {MECH_PKCS1, OP_ENCRYPT, &family_rsa_encrypt},
    {MECH_PKCS1, OP_DECRYPT, &family_rsa_decrypt},
    {MECH_PKCS1, OP_SIGN_RECOVER, &family_recover_sign},
    {MECH_PKCS1, OP_VERIFY_RECOVER, &family_recover_verify},
    {MECH_PSS, OP_SIGN, &family_sign},
    {MECH_PSS, OP_VERIFY, &family_verify},
    {MECH_X509, OP_SIGN, &family_sign},
    {MECH_X509, OP_VERIFY, &family_verify},
    {MECH_X509, OP_ENCRYPT, &family_rsa_encrypt},
    {MECH_X509, OP_DECRYPT, &family_rsa_decrypt},
    {MECH_X509, OP_SIGN_RECOVER, &family_recover_sign},
    {MECH_X509, OP_VERIFY_RECOVER, &family_recover_verify},
    {MECH_OAEP, OP_ENCRYPT, &family_rsa_encrypt},
    {MECH_OAEP, OP_DECRYPT, &family_rsa_decrypt},
    {MECH_AES, OP_ENCRYPT, &family_aes},
    {MECH_AES, OP_DECRYPT, &family_aes},
    {MECH_GCM, OP_ENCRYPT, &family_gcm},
    {MECH_GCM, OP_DECRYPT, &family_gcm},
    {MECH_CMAC, OP_SIGN, &family_cmac},
    {MECH_CMAC, OP_VERIFY, &family_cmac},
    {MECH_HMAC, OP_SIGN, &family_hmac},
    {MECH_HMAC, OP_VERIFY, &family_hmac},
};

static const struct family *family_of(const struct mech *m, enum op_kind kind)
{
    if (m->family == MECH_AES && m->variant >= MECH_AES_CTR)
        return kind == OP_ENCRYPT || kind == OP_DECRYPT ? &family_stream : NULL;
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (families[i].family == m->family && families[i].kind == kind)
            return families[i].does;
    }
    return NULL;
}

/* What the operation keeps of its key. */
static CK_RV take_key(struct op *op, const struct object *key)
{
    struct bytes spki;

    op->key = key->handle;
    op->each = (key->group & ATTR_PRIV) != 0 && object_true(key, CKA_ALWAYS_AUTHENTICATE);
    if ((key->group & ATTR_SEC) != 0)
        return CKR_OK;
    return object_value(key, CKA_PUBLIC_KEY_INFO, &spki) &&
                   pubkey_from_spki(&op->pub, spki, NULL) == 0
               ? CKR_OK
               : CKR_KEY_SIZE_RANGE;
}

CK_RV op_new(struct op **out, struct p11_session *s, enum op_kind kind, const struct mech *m,
             const CK_MECHANISM *given, const struct object *key)
{
    const struct family *family = family_of(m, kind);
    struct mech_params p;
    struct op *op;
    CK_RV rv = mech_params_read(m, given, &p);

    if (family == NULL)
        return CKR_MECHANISM_INVALID;
    if (rv != CKR_OK)
        return rv;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return CKR_HOST_MEMORY;
    op->family = family;
    op->kind = kind;
    op->mech = m;
    op->s = s;
    op->result.secret = true;
    if (key != NULL)
        rv = take_key(op, key);
    if (rv == CKR_OK)
        rv = family->begin(op, &p);
    if (rv != CKR_OK) {
        op_free(op);
        return rv;
    }
    *out = op;
    return CKR_OK;
}

void op_free(struct op *op)
{
    if (op == NULL)
        return;
    if (op->proof != NULL && op->s->slot->token != NULL)
        token_proof_free(op->s->slot->token, op->proof);
    op->family->end(op);
    buf_free(&op->result);
    free(op);
}

bool op_fed(const struct op *op)
{
    return op->fed;
}

void op_set_fed(struct op *op)
{
    op->fed = true;
}

bool op_single(const struct op *op)
{
    return op->single;
}

bool op_done(const struct op *op)
{
    return op->done;
}

CK_RV op_use(const struct op *op, struct keyuse *out)
{
    if (op->each && op->proof == NULL)
        return CKR_USER_NOT_LOGGED_IN;
    return keyuse_of(op->s, op->key, op->proof, out);
}

static CK_RV check_length(const struct op *op, struct bytes in)
{
    if (in.len <= OP_MAX_INPUT)
        return CKR_OK;
    return op->kind == OP_DECRYPT ? CKR_ENCRYPTED_DATA_LEN_RANGE : CKR_DATA_LEN_RANGE;
}

CK_RV op_feed(struct op *op, struct bytes in, struct buf *out)
{
    CK_RV rv = check_length(op, in);

    return rv == CKR_OK ? op->family->feed(op, in, out) : rv;
}

size_t op_feed_length(const struct op *op, size_t in)
{
    return op->family->length(op, in, false);
}

size_t op_last_length(const struct op *op, size_t in, bool *exact)
{
    *exact = op->done || !op->guess;
    return op->done ? op->result.len : op->family->length(op, in, true);
}

/* What a one-part function was given, to know it again. */
static bool note_input(const struct bytes *in, uint8_t digest[32])
{
    const struct bytes none = {NULL, 0};

    return hash_sha256(in != NULL ? *in : none, digest, NULL) == 0;
}

static CK_RV key_is_there(const struct op *op)
{
    if (slot_object(op->s->lib, op->s->slot, op->key) != NULL)
        return CKR_OK;
    return p11_session_user(op->s) ? CKR_KEY_HANDLE_INVALID : CKR_USER_NOT_LOGGED_IN;
}

CK_RV op_last(struct op *op, const struct bytes *in, struct bytes *out)
{
    uint8_t digest[32];
    CK_RV rv = in != NULL ? check_length(op, *in) : CKR_OK;

    if (rv != CKR_OK)
        return rv;
    if (!note_input(in, digest))
        return CKR_FUNCTION_FAILED;
    /* The result that waits for a larger buffer is that of the same input, and goes when the
     * key goes or the user. */
    if (op->done && memcmp(digest, op->input, sizeof(digest)) != 0)
        return CKR_DATA_INVALID;
    if (op->done && op->key != 0)
        rv = key_is_there(op);
    if (rv != CKR_OK)
        return rv;
    memcpy(op->input, digest, sizeof(digest));
    if (!op->done) {
        if (in != NULL)
            rv = op_feed(op, *in, &op->result);
        if (rv == CKR_OK)
            rv = op->family->finish(op, &op->result);
        if (rv == CKR_OK && op->result.bad)
            rv = CKR_HOST_MEMORY;
        if (rv != CKR_OK)
            return rv;
        op->done = true;
    }
    *out = buf_bytes(&op->result);
    return CKR_OK;
}

CK_RV op_check(struct op *op, struct bytes sig)
{
    return op->family->check(op, sig);
}

CK_RV op_once(struct p11_session *s, enum op_kind kind, const struct mech *m,
              const CK_MECHANISM *given, const struct object *key, struct bytes in, struct buf *out)
{
    struct op *op = NULL;
    struct bytes made;
    CK_RV rv = op_new(&op, s, kind, m, given, key);

    if (rv == CKR_OK)
        rv = op_last(op, &in, &made);
    if (rv == CKR_OK) {
        buf_add_bytes(out, made);
        rv = out->bad ? CKR_HOST_MEMORY : CKR_OK;
    }
    op_free(op);
    return rv;
}

CK_RV op_feed_key(struct op *op, CK_OBJECT_HANDLE key)
{
    struct buf none = {0};
    struct keyuse u;
    CK_RV rv = keyuse_of(op->s, key, NULL, &u);

    if (rv != CKR_OK)
        return rv;
    /* A digest, and more so its saved state, tells of what went in: not of a key that must
     * not be seen (5.10 C_DigestKey leaves it to the token which keys it digests). */
    if (u.key != NULL || !u.may_show)
        return CKR_KEY_INDIGESTIBLE;
    op->keyed = true;
    return op->family->feed(op, u.value, &none);
}

bool op_wants_pin(const struct op *op)
{
    return op->each && op->proof == NULL;
}

CK_RV op_prove(struct op *op, struct bytes pin)
{
    struct keyuse u;
    struct err e = {0};
    CK_RV rv = keyuse_of(op->s, op->key, NULL, &u);

    if (rv != CKR_OK)
        return rv;
    if (u.key == NULL)
        return CKR_KEY_HANDLE_INVALID;
    return token_prove(u.token, u.key, pin, &op->proof, &e) == 0 ? CKR_OK
                                                                 : fail_rv(&e, CKR_DURING_LOGIN);
}

/* --- saved states -------------------------------------------------------- */

/* First byte of a saved state: the version of its form. What follows before the digest's own
 * state: mechanism and `fed`. */
#define STATE_VERSION 1
#define STATE_MAX (1 + 8 + 1 + HASH_STATE_MAX)

CK_RV op_save(const struct op *op, struct buf *out)
{
    struct err e = {0};

    if (op->family->save == NULL || op->kind != OP_DIGEST || op->keyed)
        return CKR_STATE_UNSAVEABLE;
    buf_u8(out, STATE_VERSION);
    buf_u64(out, op->mech->type);
    buf_u8(out, op->fed);
    if (op->family->save(op, out, &e) != 0)
        return fail_rv(&e, CKR_DURING_ANY);
    return out->bad ? CKR_HOST_MEMORY : CKR_OK;
}

CK_RV op_restore(struct op **out, struct p11_session *s, struct bytes saved)
{
    struct reader r = reader_of(saved.p, saved.len <= STATE_MAX ? saved.len : 0);
    uint8_t version = reader_u8(&r);
    CK_MECHANISM given = {.mechanism = (CK_MECHANISM_TYPE)reader_u64(&r)};
    uint8_t fed = reader_u8(&r);
    const struct mech *m = mech_table_row(given.mechanism);
    struct op *op = NULL;
    CK_RV rv;

    if (r.bad || version != STATE_VERSION || fed > 1 || m == NULL || m->family != MECH_DIGEST)
        return CKR_SAVED_STATE_INVALID;
    rv = op_new(&op, s, OP_DIGEST, m, &given, NULL);
    if (rv != CKR_OK)
        return rv;
    if (op->family->restore(op, bytes_of(r.p, r.left), NULL) != 0) {
        op_free(op);
        return CKR_SAVED_STATE_INVALID;
    }
    op->fed = fed != 0;
    *out = op;
    return CKR_OK;
}
