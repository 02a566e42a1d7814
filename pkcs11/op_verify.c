#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/op.h"
#include "pkcs11/op_key.h"

/* C_Verify* (5.12), in software: the TPM has no part in it. */

CK_RV C_VerifyInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(op_key_begin(s, OP_VERIFY, mechanism, key));
}

/* Raw RSA: the public operation must give back the padded data (2.1.8). */
static int verify_raw(const struct pubkey *k, struct bytes block, struct bytes sig, struct err *e)
{
    uint8_t got[PUBKEY_MAX_RSA];

    if (pubkey_rsa_raw(k, sig, got, e) != 0)
        return -1;
    if (!bytes_equal(bytes_of(got, k->n_len), block))
        return err_set(e, E_DATA, "the signature is not one over this data");
    return 0;
}

/* Always ends the operation (5.12). `data` is NULL for C_VerifyFinal. */
static CK_RV finish(struct p11_session *s, const CK_BYTE *data, CK_ULONG data_len,
                    const CK_BYTE *sig, CK_ULONG len)
{
    struct op *op = s->op[OP_VERIFY];
    struct token_sign what;
    struct err e = {0};
    CK_RV rv = CKR_OK;
    int bad;

    if (data != NULL)
        rv = op_update(op, data, (size_t)data_len);
    if (rv == CKR_OK && len != op_out_len(op))
        rv = CKR_SIGNATURE_LEN_RANGE;
    if (rv == CKR_OK)
        rv = op_finish(op, &what);
    if (rv == CKR_OK) {
        bad = op_mech(op)->how == MECH_X509
                  ? verify_raw(op_pubkey(op), what.digest, bytes_of(sig, len), &e)
                  : pubkey_verify(op_pubkey(op), what.scheme, what.hash, what.salt, what.digest,
                                  bytes_of(sig, len), &e);
        if (bad != 0)
            rv = ckr_of(&e, CKR_DURING_VERIFY);
    }
    p11_session_end_op(s, OP_VERIFY);
    return rv;
}

CK_RV C_Verify(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
               CK_ULONG len)
{
    static CK_BYTE nothing;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_VERIFY] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (sig == NULL || (data == NULL && data_len != 0))
        rv = CKR_ARGUMENTS_BAD;
    else if (op_fed(s->op[OP_VERIFY]))
        rv = CKR_OPERATION_ACTIVE;
    if (rv != CKR_OK) {
        p11_session_end_op(s, OP_VERIFY);
        return entry_end(rv);
    }
    return entry_end(finish(s, data != NULL ? data : &nothing, data_len, sig, len));
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    return entry_end(op_key_feed(s, OP_VERIFY, part, len));
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (s->op[OP_VERIFY] == NULL)
        return entry_end(CKR_OPERATION_NOT_INITIALIZED);
    if (sig == NULL) {
        p11_session_end_op(s, OP_VERIFY);
        return entry_end(CKR_ARGUMENTS_BAD);
    }
    return entry_end(finish(s, NULL, 0, sig, len));
}
