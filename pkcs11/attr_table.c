#include "pkcs11/attr_table.h"

/* What callers may do with it, in the combinations that the standard uses. */
#define GIVEN (ATTR_CREATE | ATTR_GENERATE)
#define OPEN (ATTR_CREATE | ATTR_GENERATE | ATTR_SET)
#define DEFAULT_OF(bytes)      \
    {                          \
        (bytes), sizeof(bytes) \
    }
#define EMPTY   \
    {           \
        NULL, 0 \
    }
#define NONE    \
    {           \
        NULL, 0 \
    }

static const uint8_t no[] = {0};
static const uint8_t yes[] = {1};
static const uint8_t zero[8];
static const uint8_t unknown[] = {255, 255, 255, 255, 255, 255, 255, 255};
static const uint8_t sha_1[] = {0, 0, 0, 0, 0, 0, 0x02, 0x20}; /* CKM_SHA_1 */

#define NO DEFAULT_OF(no)
#define YES DEFAULT_OF(yes)
#define D ATTR_DEFAULT
#define RSA (ATTR_PUB_RSA | ATTR_PRIV_RSA)
#define EC (ATTR_PUB_EC | ATTR_PRIV_EC)

/* Defaults are part of what stored objects mean, since an object does not keep
 * what equals its default: a row's default never changes once released. */
/* clang-format off */
static const struct attr_row table[] = {
    /* 4.4 storage objects. CLASS, TOKEN and PRIVATE are not kept as attributes but
     * come from the object itself. */
    {CKA_CLASS,            ATTR_ULONG, ATTR_ALL,      GIVEN | ATTR_NEEDED, NONE},
    {CKA_TOKEN,            ATTR_BOOL,  ATTR_ALL,      GIVEN | D, NO},
    {CKA_PRIVATE,          ATTR_BOOL,  ATTR_ALL & ~ATTR_PRIV, GIVEN | D, NO},
    /* A private key is of use only after login, so it is shown only then. */
    {CKA_PRIVATE,          ATTR_BOOL,  ATTR_PRIV,     GIVEN | ATTR_FIXED | D, YES},
    {CKA_MODIFIABLE,       ATTR_BOOL,  ATTR_ALL,      GIVEN | D, YES},
    {CKA_LABEL,            ATTR_BYTES, ATTR_ALL,      OPEN | ATTR_SEALED | D, EMPTY},
    {CKA_COPYABLE,         ATTR_BOOL,  ATTR_ALL,      GIVEN | D, YES},
    {CKA_DESTROYABLE,      ATTR_BOOL,  ATTR_ALL,      GIVEN | D, YES},

    /* 4.5 data objects */
    {CKA_APPLICATION,      ATTR_BYTES, ATTR_DATA,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},
    {CKA_OBJECT_ID,        ATTR_BYTES, ATTR_DATA,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},
    {CKA_VALUE,            ATTR_BYTES, ATTR_DATA,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},

    /* 4.6 certificates. SUBJECT, ISSUER, SERIAL_NUMBER and PUBLIC_KEY_INFO are read
     * from the certificate; what a caller gives must agree. */
    {CKA_CERTIFICATE_TYPE, ATTR_ULONG, ATTR_CERT,     ATTR_CREATE | ATTR_NEEDED, NONE},
    {CKA_TRUSTED,          ATTR_BOOL,  ATTR_CERT,     ATTR_CREATE | D, NO},
    {CKA_CERTIFICATE_CATEGORY, ATTR_ULONG, ATTR_CERT, ATTR_CREATE | D, DEFAULT_OF(zero)},
    {CKA_CHECK_VALUE,      ATTR_BYTES, ATTR_CERT,     ATTR_CREATE, NONE},
    {CKA_START_DATE,       ATTR_DATE,  ATTR_CERT,     ATTR_CREATE | D, EMPTY},
    {CKA_END_DATE,         ATTR_DATE,  ATTR_CERT,     ATTR_CREATE | D, EMPTY},
    {CKA_PUBLIC_KEY_INFO,  ATTR_BYTES, ATTR_CERT,     ATTR_CREATE, NONE},
    {CKA_SUBJECT,          ATTR_BYTES, ATTR_CERT,     ATTR_CREATE | ATTR_SEALED, NONE},
    {CKA_ID,               ATTR_BYTES, ATTR_CERT,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},
    {CKA_ISSUER,           ATTR_BYTES, ATTR_CERT,     ATTR_CREATE | ATTR_SEALED, NONE},
    {CKA_SERIAL_NUMBER,    ATTR_BYTES, ATTR_CERT,     ATTR_CREATE | ATTR_SEALED, NONE},
    {CKA_VALUE,            ATTR_BYTES, ATTR_CERT,     ATTR_CREATE | ATTR_NEEDED | ATTR_SEALED, NONE},
    {CKA_URL,              ATTR_BYTES, ATTR_CERT,     ATTR_CREATE | D, EMPTY},
    {CKA_HASH_OF_SUBJECT_PUBLIC_KEY, ATTR_BYTES, ATTR_CERT, ATTR_CREATE | D, EMPTY},
    {CKA_HASH_OF_ISSUER_PUBLIC_KEY,  ATTR_BYTES, ATTR_CERT, ATTR_CREATE | D, EMPTY},
    {CKA_JAVA_MIDP_SECURITY_DOMAIN,  ATTR_ULONG, ATTR_CERT, ATTR_CREATE | D, DEFAULT_OF(zero)},
    {CKA_NAME_HASH_ALGORITHM,        ATTR_ULONG, ATTR_CERT, ATTR_CREATE | D, DEFAULT_OF(sha_1)},

    /* 4.7 keys */
    {CKA_KEY_TYPE,         ATTR_ULONG, ATTR_KEY,      GIVEN | ATTR_NEEDED, NONE},
    {CKA_ID,               ATTR_BYTES, ATTR_KEY,      OPEN | ATTR_SEALED | D, EMPTY},
    {CKA_START_DATE,       ATTR_DATE,  ATTR_KEY,      OPEN | D, EMPTY},
    {CKA_END_DATE,         ATTR_DATE,  ATTR_KEY,      OPEN | D, EMPTY},
    {CKA_DERIVE,           ATTR_BOOL,  ATTR_KEY,      GIVEN | D, NO},
    {CKA_LOCAL,            ATTR_BOOL,  ATTR_KEY,      D, NO},
    {CKA_KEY_GEN_MECHANISM, ATTR_ULONG, ATTR_KEY,     D, DEFAULT_OF(unknown)},
    {CKA_ALLOWED_MECHANISMS, ATTR_MECHS, ATTR_KEY,    GIVEN | D, EMPTY},
    {CKA_SUBJECT,          ATTR_BYTES, ATTR_KEY,      OPEN | ATTR_SEALED | D, EMPTY},
    {CKA_PUBLIC_KEY_INFO,  ATTR_BYTES, ATTR_KEY,      ATTR_CREATE, NONE},

    /* 4.8 public keys */
    {CKA_ENCRYPT,          ATTR_BOOL,  ATTR_PUB_RSA,  GIVEN | D, YES},
    {CKA_ENCRYPT,          ATTR_BOOL,  ATTR_PUB_EC,   GIVEN | D, NO},
    {CKA_VERIFY,           ATTR_BOOL,  ATTR_PUB,      GIVEN | D, YES},
    {CKA_VERIFY_RECOVER,   ATTR_BOOL,  ATTR_PUB,      GIVEN | D, NO},
    {CKA_WRAP,             ATTR_BOOL,  ATTR_PUB,      GIVEN | D, NO},
    {CKA_TRUSTED,          ATTR_BOOL,  ATTR_PUB,      GIVEN | D, NO},

    /* 4.9 private keys. The TPM keeps them: always sensitive, never extractable. */
    {CKA_SENSITIVE,        ATTR_BOOL,  ATTR_PRIV,     GIVEN | ATTR_FIXED | D, YES},
    {CKA_EXTRACTABLE,      ATTR_BOOL,  ATTR_PRIV,     GIVEN | ATTR_FIXED | D, NO},
    {CKA_ALWAYS_SENSITIVE, ATTR_BOOL,  ATTR_PRIV,     D, NO},
    {CKA_NEVER_EXTRACTABLE, ATTR_BOOL, ATTR_PRIV,     D, NO},
    {CKA_DECRYPT,          ATTR_BOOL,  ATTR_PRIV_RSA, GIVEN | D, YES},
    {CKA_DECRYPT,          ATTR_BOOL,  ATTR_PRIV_EC,  GIVEN | D, NO},
    {CKA_SIGN,             ATTR_BOOL,  ATTR_PRIV,     GIVEN | D, YES},
    {CKA_SIGN_RECOVER,     ATTR_BOOL,  ATTR_PRIV,     GIVEN | D, NO},
    {CKA_UNWRAP,           ATTR_BOOL,  ATTR_PRIV,     GIVEN | D, NO},
    {CKA_WRAP_WITH_TRUSTED, ATTR_BOOL, ATTR_PRIV,     GIVEN | ATTR_FIXED | D, NO},
    {CKA_ALWAYS_AUTHENTICATE, ATTR_BOOL, ATTR_PRIV,   GIVEN | ATTR_FIXED | D, NO},

    /* PKCS#11 2.40 mechanisms, 2.1.2 and 2.1.3: RSA */
    {CKA_MODULUS,          ATTR_BYTES, RSA,           ATTR_CREATE | ATTR_NEEDED, NONE},
    {CKA_MODULUS_BITS,     ATTR_ULONG, ATTR_PUB_RSA,  ATTR_GENERATE | ATTR_GEN_NEEDED, NONE},
    {CKA_PUBLIC_EXPONENT,  ATTR_BYTES, ATTR_PUB_RSA,  GIVEN | ATTR_NEEDED, NONE},
    {CKA_PUBLIC_EXPONENT,  ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE, NONE},
    {CKA_PRIVATE_EXPONENT, ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET, NONE},
    {CKA_PRIME_1,          ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_NEEDED | ATTR_SECRET, NONE},
    {CKA_PRIME_2,          ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET, NONE},
    {CKA_EXPONENT_1,       ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET, NONE},
    {CKA_EXPONENT_2,       ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET, NONE},
    {CKA_COEFFICIENT,      ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET, NONE},

    /* 2.3.3 and 2.3.4: elliptic curves. A private key shows its point as well:
     * libraries ask for it there when there is no public key object. */
    {CKA_EC_PARAMS,        ATTR_BYTES, ATTR_PUB_EC,   GIVEN | ATTR_NEEDED | ATTR_GEN_NEEDED, NONE},
    {CKA_EC_PARAMS,        ATTR_BYTES, ATTR_PRIV_EC,  ATTR_CREATE | ATTR_NEEDED, NONE},
    {CKA_EC_POINT,         ATTR_BYTES, ATTR_PUB_EC,   ATTR_CREATE | ATTR_NEEDED, NONE},
    {CKA_EC_POINT,         ATTR_BYTES, ATTR_PRIV_EC,  ATTR_CREATE, NONE},
    {CKA_VALUE,            ATTR_BYTES, ATTR_PRIV_EC,  ATTR_CREATE | ATTR_NEEDED | ATTR_SECRET, NONE},
};
/* clang-format on */

const struct attr_row *attr_table_row(CK_ATTRIBUTE_TYPE type, unsigned group)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].type == type && (table[i].groups & group) != 0)
            return &table[i];
    }
    return NULL;
}

const struct attr_row *attr_table_all(size_t *n)
{
    *n = ARRAY_LEN(table);
    return table;
}

unsigned attr_table_group(CK_OBJECT_CLASS class, CK_KEY_TYPE key_type)
{
    switch (class) {
    case CKO_DATA: return ATTR_DATA;
    case CKO_CERTIFICATE: return ATTR_CERT;
    case CKO_PUBLIC_KEY:
        return key_type == CKK_RSA ? ATTR_PUB_RSA : key_type == CKK_EC ? ATTR_PUB_EC : 0;
    case CKO_PRIVATE_KEY:
        return key_type == CKK_RSA ? ATTR_PRIV_RSA : key_type == CKK_EC ? ATTR_PRIV_EC : 0;
    default: return 0;
    }
}
