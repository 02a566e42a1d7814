#ifndef PKCS11_OP_PRIV_H
#define PKCS11_OP_PRIV_H

#include "pkcs11/keyuse.h"
#include "pkcs11/mech_params.h"
#include "pkcs11/op.h"
#include "tpm/crypt.h"

/*
 * The inside of an operation, for the files family_*.c: each does what the mechanisms of one
 * or two families have in common, for op.c to call.
 */
struct family {
    /* Takes what it needs of the parameter (whose memory is the caller's) and allocates
     * op->state. CKR_MECHANISM_PARAM_INVALID when the two do not go with the key. */
    CK_RV (*begin)(struct op *op, const struct mech_params *p);
    /* Takes input; what comes out at once is appended to `out`. */
    CK_RV (*feed)(struct op *op, struct bytes in, struct buf *out);
    /* Ends the input and appends what remains: digest, signature, last blocks. */
    CK_RV (*finish)(struct op *op, struct buf *out);
    /* Ends the input and checks a signature or MAC; NULL where nothing is verified. */
    CK_RV (*check)(struct op *op, struct bytes sig);
    /* How much feeding `in` bytes gives, or with `last` feeding and finishing. */
    size_t (*length)(const struct op *op, size_t in, bool last);
    /* Releases op->state and wipes it; called once, also after a failed begin. */
    void (*end)(struct op *op);
    /* Running digests only: writes op->state, and reads it back after begin. */
    int (*save)(const struct op *op, struct buf *out, struct err *e);
    int (*restore)(struct op *op, struct bytes saved, struct err *e);
};

struct op {
    const struct family *family;
    enum op_kind kind;
    const struct mech *mech;
    struct p11_session *s;
    CK_OBJECT_HANDLE key;
    struct pubkey pub; /* of RSA and EC keys */
    bool each;         /* the key wants its PIN each time: `proof` */
    struct token_proof *proof;
    bool keyed;        /* a digest that was fed with a key: its state is not to be saved */
    uint8_t input[32]; /* digest of what the one-part function was given */
    bool fed;          /* something was fed by an Update function */
    bool guess;        /* length() of the last output is only the most that it can be */
    bool single;       /* one-part only (2.40, 5.1: RSA encryption, recovery) */
    bool done;         /* the last output lies in `result`, for a caller with a larger buffer */
    struct buf result;
    void *state;
};

/* The key, for one use. */
CK_RV op_use(const struct op *op, struct keyuse *out) MUST_USE;

extern const struct family family_digest, family_sign, family_verify, family_rsa_encrypt,
    family_rsa_decrypt, family_recover_sign, family_recover_verify, family_aes, family_stream,
    family_gcm, family_cmac, family_hmac;

#endif
