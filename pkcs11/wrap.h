#ifndef PKCS11_WRAP_H
#define PKCS11_WRAP_H

#include "pkcs11/keyuse.h"
#include "pkcs11/mech_params.h"

/* A mechanism and a key that wrap or unwrap, checked by op_call_allowed. */
struct wrap_with {
    struct p11_session *s;
    const CK_MECHANISM *given;
    const struct mech *m;
    struct object *key;
};

/* Encrypts or decrypts key material, appending to `out`. */
CK_RV wrap_cipher(const struct wrap_with *w, bool wrap, struct bytes in, struct buf *out) MUST_USE;

#endif
