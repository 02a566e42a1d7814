#ifndef TESTS_CONFORMANCE_KEYS_H
#define TESTS_CONFORMANCE_KEYS_H

/* Templates, and the keys that checks use. */
#include <string.h>

#include "tests/conformance/conf.h"

/* Attributes of a template, for initialisers in a function. */
#define YES(type)                        \
    {                                    \
        type, &keys_yes, sizeof keys_yes \
    }
#define NO(type)                       \
    {                                  \
        type, &keys_no, sizeof keys_no \
    }
#define BOOL(type, b)                                     \
    {                                                     \
        type, (b) ? &keys_yes : &keys_no, sizeof keys_yes \
    }
#define UL(type, v)                            \
    {                                          \
        type, &(CK_ULONG){v}, sizeof(CK_ULONG) \
    }
#define BYTES(type, p, n)    \
    {                        \
        type, (void *)(p), n \
    }
#define TEXT(type, s)                    \
    {                                    \
        type, (void *)(s), sizeof(s) - 1 \
    }
#define LABEL TEXT(CKA_LABEL, CONF_LABEL)
#define MECH(m)    \
    {              \
        m, NULL, 0 \
    }
#define MECH_P(m, p)       \
    {                      \
        m, &(p), sizeof(p) \
    }

extern CK_BBOOL keys_yes, keys_no;

enum keys_use {
    USE_ENC = 1,  /* encrypt, decrypt */
    USE_SIGN = 2, /* sign, verify */
    USE_WRAP = 4, /* wrap, unwrap */
    USE_DERIVE = 8,
    USE_SECRET = 16 /* keys_aes: sensitive and not extractable, instead of readable */
};

/* A pair of session keys in `base`, shared by checks; never change it. */
struct keys_pair {
    CK_OBJECT_HANDLE pub, priv;
};

struct keys_curve {
    const char *name, *openssl;
    CK_ULONG bits, bytes;
    CK_BYTE oid[10]; /* DER of the object identifier: CKA_EC_PARAMS */
    CK_ULONG oid_len;
};
#define CURVES 3
extern const struct keys_curve keys_curves[CURVES];

CK_OBJECT_HANDLE keys_create(CK_ATTRIBUTE *t, CK_ULONG n);
/* A secret key in `ses` with a known value; skips the check where keys cannot be brought in. */
CK_OBJECT_HANDLE keys_import(CK_KEY_TYPE type, const void *value, CK_ULONG len, unsigned use);
CK_RV keys_try_import(CK_KEY_TYPE type, const void *value, CK_ULONG len, unsigned use,
                      CK_OBJECT_HANDLE *out);
/* A generated AES key in `ses`. */
CK_OBJECT_HANDLE keys_aes(CK_ULONG len, unsigned use);
/* EC pairs for signing or deriving; skips the check when there is no such curve. */
const struct keys_pair *keys_ec(const struct keys_curve *c, unsigned use);
/* The RSA pair of 2048 bits with every use that it can have, on the token. */
const struct keys_pair *keys_rsa(void);
#define RSA_BYTES 256

/* Deletes what a check made. */
void keys_destroy(CK_OBJECT_HANDLE h);
/* One attribute, which must be there. */
CK_BBOOL keys_bool(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type);
CK_ULONG keys_ulong(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type);
CK_ULONG keys_bytes(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, void *out, CK_ULONG max);
/* The attribute has that value. */
void keys_is(CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type, const void *want, CK_ULONG len);

#endif
