#include "pkcs11/ckr.h"
#include "pkcs11/op_call.h"

/* C_Verify* (5.12), in software: the TPM has no part in it. */

CK_RV C_VerifyInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    return op_call_init(handle, OP_VERIFY, mechanism, key);
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

static CK_RV check_signature(struct op *op, struct bytes sig)
{
    struct token_sign what;
    struct err e = {0};
    CK_RV rv = op_finish(op, &what);
    int bad;

    if (rv != CKR_OK)
        return rv;
    bad = op_mech(op)->how == MECH_X509 ? verify_raw(op_pubkey(op), what.digest, sig, &e)
                                        : pubkey_verify(op_pubkey(op), what.scheme, what.hash,
                                                        what.salt, what.digest, sig, &e);
    return bad != 0 ? ckr_of(&e, CKR_DURING_VERIFY) : CKR_OK;
}

CK_RV C_Verify(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG data_len, CK_BYTE *sig,
               CK_ULONG len)
{
    struct op_input in = {data, data_len};

    return op_call_check(handle, OP_VERIFY, &in, check_signature, sig, len);
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG len)
{
    return op_call_update(handle, OP_VERIFY, part, len);
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE handle, CK_BYTE *sig, CK_ULONG len)
{
    return op_call_check(handle, OP_VERIFY, NULL, check_signature, sig, len);
}
