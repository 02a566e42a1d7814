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
/* Objects that somebody made. */
#define ATTR_HELD (ATTR_ALL & ~ATTR_BUILTIN)

/* Defaults are part of what stored objects mean, since an object does not keep
 * what equals its default: a row's default never changes once released. */
/* clang-format off */
static const struct attr_row table[] = {
    /* 4.4 storage objects. CLASS, TOKEN and PRIVATE are not kept as attributes but
     * come from the object itself. */
    {CKA_CLASS,            ATTR_ULONG, ATTR_ALL,      GIVEN | ATTR_NEEDED, NONE},
    {CKA_TOKEN,            ATTR_BOOL,  ATTR_ALL,      GIVEN | ATTR_COPY | D, NO},
    {CKA_PRIVATE,          ATTR_BOOL,  ATTR_ALL & ~(ATTR_PRIV | ATTR_SEC), GIVEN | ATTR_COPY | D, NO},
    /* What is of use only after login is shown only then. */
    {CKA_PRIVATE,          ATTR_BOOL,  ATTR_PRIV | ATTR_SEC, GIVEN | ATTR_COPY | D, YES},
    {CKA_MODIFIABLE,       ATTR_BOOL,  ATTR_HELD,     GIVEN | ATTR_COPY | D, YES},
    {CKA_MODIFIABLE,       ATTR_BOOL,  ATTR_BUILTIN,  D, NO},
    {CKA_LABEL,            ATTR_BYTES, ATTR_ALL,      OPEN | ATTR_SEALED | D, EMPTY},
    {CKA_COPYABLE,         ATTR_BOOL,  ATTR_HELD,     GIVEN | ATTR_COPY | ATTR_DOWN | D, YES},
    {CKA_COPYABLE,         ATTR_BOOL,  ATTR_BUILTIN,  D, NO},
    {CKA_DESTROYABLE,      ATTR_BOOL,  ATTR_HELD,     GIVEN | ATTR_COPY | D, YES},
    {CKA_DESTROYABLE,      ATTR_BOOL,  ATTR_BUILTIN,  D, NO},
    {CKA_UNIQUE_ID,        ATTR_BYTES, ATTR_ALL,      0, NONE},

    /* 3.0, 4.12 and 4.13 */
    {CKA_MECHANISM_TYPE,   ATTR_ULONG, ATTR_MECHANISM, 0, NONE},
    {CKA_PROFILE_ID,       ATTR_ULONG, ATTR_PROFILE,  0, NONE},

    /* 4.5 data objects */
    {CKA_APPLICATION,      ATTR_BYTES, ATTR_DATA,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},
    {CKA_OBJECT_ID,        ATTR_BYTES, ATTR_DATA,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},
    {CKA_VALUE,            ATTR_BYTES, ATTR_DATA,     ATTR_CREATE | ATTR_SET | ATTR_SEALED | D, EMPTY},

    /* 4.6 certificates. SUBJECT, ISSUER, SERIAL_NUMBER and PUBLIC_KEY_INFO are read
     * from the certificate; what a caller gives must agree. */
    {CKA_CERTIFICATE_TYPE, ATTR_ULONG, ATTR_CERT,     ATTR_CREATE | ATTR_NEEDED, NONE},
    {CKA_TRUSTED,          ATTR_BOOL,  ATTR_CERT,     ATTR_CREATE | ATTR_SET | D, NO},
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

    /* Ours: what stands behind a certificate (p11.h). */
    {CKA_FUSETSU_NAME,     ATTR_BYTES, ATTR_CERT,     ATTR_CREATE, NONE},
    {CKA_FUSETSU_QUALIFIED_NAME, ATTR_BYTES, ATTR_CERT, ATTR_CREATE, NONE},
    {CKA_FUSETSU_POLICY,   ATTR_BYTES, ATTR_CERT,     ATTR_CREATE, NONE},
    {CKA_FUSETSU_EVIDENCE, ATTR_BYTES, ATTR_CERT,     ATTR_CREATE, NONE},

    /* 4.7 keys */
    {CKA_KEY_TYPE,         ATTR_ULONG, ATTR_KEY,      GIVEN | ATTR_NEEDED, NONE},
    {CKA_ID,               ATTR_BYTES, ATTR_KEY,      OPEN | ATTR_SEALED | D, EMPTY},
    {CKA_START_DATE,       ATTR_DATE,  ATTR_KEY,      OPEN | D, EMPTY},
    {CKA_END_DATE,         ATTR_DATE,  ATTR_KEY,      OPEN | D, EMPTY},
    {CKA_DERIVE,           ATTR_BOOL,  ATTR_KEY,      OPEN | D, NO},
    {CKA_LOCAL,            ATTR_BOOL,  ATTR_KEY,      D, NO},
    {CKA_KEY_GEN_MECHANISM, ATTR_ULONG, ATTR_KEY,     D, DEFAULT_OF(unknown)},
    {CKA_ALLOWED_MECHANISMS, ATTR_MECHS, ATTR_KEY,    GIVEN | D, EMPTY},
    {CKA_SUBJECT,          ATTR_BYTES, ATTR_PUB | ATTR_PRIV, OPEN | ATTR_SEALED | D, EMPTY},
    {CKA_PUBLIC_KEY_INFO,  ATTR_BYTES, ATTR_PUB | ATTR_PRIV, ATTR_CREATE | ATTR_MATERIAL, NONE},

    /* 4.8 public keys */
    {CKA_ENCRYPT,          ATTR_BOOL,  ATTR_PUB_RSA,  OPEN | D, YES},
    {CKA_ENCRYPT,          ATTR_BOOL,  ATTR_PUB_EC,   OPEN | D, NO},
    {CKA_VERIFY,           ATTR_BOOL,  ATTR_PUB,      OPEN | D, YES},
    {CKA_VERIFY_RECOVER,   ATTR_BOOL,  ATTR_PUB,      OPEN | D, NO},
    {CKA_WRAP,             ATTR_BOOL,  ATTR_PUB,      OPEN | D, NO},
    {CKA_TRUSTED,          ATTR_BOOL,  ATTR_PUB | ATTR_SEC, OPEN | D, NO},
    {CKA_WRAP_TEMPLATE,    ATTR_NESTED, ATTR_PUB | ATTR_SEC, GIVEN, NONE},

    /* 4.9 and 4.10 private and secret keys. Private keys lie in the TPM, always sensitive. */
    {CKA_SENSITIVE,        ATTR_BOOL,  ATTR_PRIV,     GIVEN | ATTR_FIXED | ATTR_UP | D, YES},
    {CKA_SENSITIVE,        ATTR_BOOL,  ATTR_SEC,      GIVEN | ATTR_UP | D, YES},
    {CKA_EXTRACTABLE,      ATTR_BOOL,  ATTR_PRIV | ATTR_SEC, GIVEN | ATTR_DOWN | D, NO},
    {CKA_ALWAYS_SENSITIVE, ATTR_BOOL,  ATTR_PRIV | ATTR_SEC, D, NO},
    {CKA_NEVER_EXTRACTABLE, ATTR_BOOL, ATTR_PRIV | ATTR_SEC, D, NO},
    {CKA_WRAP_WITH_TRUSTED, ATTR_BOOL, ATTR_PRIV | ATTR_SEC, GIVEN | ATTR_UP | D, NO},
    {CKA_UNWRAP_TEMPLATE,  ATTR_NESTED, ATTR_PRIV | ATTR_SEC, GIVEN, NONE},
    {CKA_DERIVE_TEMPLATE,  ATTR_NESTED, ATTR_PRIV | ATTR_SEC, GIVEN, NONE},
    {CKA_DECRYPT,          ATTR_BOOL,  ATTR_PRIV_RSA | ATTR_SEC_AES, OPEN | D, YES},
    {CKA_DECRYPT,          ATTR_BOOL,  ATTR_PRIV_EC | ATTR_SEC_GENERIC, OPEN | D, NO},
    {CKA_SIGN,             ATTR_BOOL,  ATTR_PRIV | ATTR_SEC_GENERIC, OPEN | D, YES},
    {CKA_SIGN,             ATTR_BOOL,  ATTR_SEC_AES,  OPEN | D, NO},
    {CKA_SIGN_RECOVER,     ATTR_BOOL,  ATTR_PRIV,     OPEN | D, NO},
    {CKA_UNWRAP,           ATTR_BOOL,  ATTR_PRIV | ATTR_SEC, OPEN | D, NO},
    {CKA_ENCRYPT,          ATTR_BOOL,  ATTR_SEC_AES,  OPEN | D, YES},
    {CKA_ENCRYPT,          ATTR_BOOL,  ATTR_SEC_GENERIC, OPEN | D, NO},
    {CKA_VERIFY,           ATTR_BOOL,  ATTR_SEC_GENERIC, OPEN | D, YES},
    {CKA_VERIFY,           ATTR_BOOL,  ATTR_SEC_AES,  OPEN | D, NO},
    {CKA_WRAP,             ATTR_BOOL,  ATTR_SEC,      OPEN | D, NO},
    {CKA_ALWAYS_AUTHENTICATE, ATTR_BOOL, ATTR_PRIV,   GIVEN | D, NO},
    {CKA_FUSETSU_AUTH_MODE, ATTR_ULONG, ATTR_PRIV,    GIVEN | D, DEFAULT_OF(zero)},
    {CKA_FUSETSU_PCRS,     ATTR_BYTES, ATTR_PRIV,     ATTR_GENERATE | D, EMPTY},
    {CKA_FUSETSU_PCRS_UPDATABLE, ATTR_BOOL, ATTR_PRIV, ATTR_GENERATE | D, NO},
    {CKA_FUSETSU_OUTSIDE_INFO, ATTR_BYTES, ATTR_PRIV, ATTR_GENERATE | D, EMPTY},
    {CKA_FUSETSU_APPROVER, ATTR_BYTES, ATTR_PRIV,     ATTR_GENERATE | D, EMPTY},
    {CKA_FUSETSU_PURPOSE,  ATTR_BYTES, ATTR_PRIV,     ATTR_GENERATE | D, EMPTY},
    {CKA_FUSETSU_NAME,     ATTR_BYTES, ATTR_PRIV | ATTR_SEC, 0, NONE},
    {CKA_FUSETSU_QUALIFIED_NAME, ATTR_BYTES, ATTR_PRIV | ATTR_SEC, 0, NONE},
    {CKA_FUSETSU_POLICY,   ATTR_BYTES, ATTR_PRIV | ATTR_SEC, 0, NONE},
    {CKA_CHECK_VALUE,      ATTR_BYTES, ATTR_SEC,      ATTR_CREATE | ATTR_MATERIAL | ATTR_SEALED, NONE},
    {CKA_VALUE_LEN,        ATTR_ULONG, ATTR_SEC,      ATTR_GENERATE | ATTR_UNWRAP, NONE},
    {CKA_VALUE,            ATTR_BYTES, ATTR_SEC,      ATTR_CREATE | ATTR_NEEDED | ATTR_SECRET | ATTR_MATERIAL, NONE},

    /* PKCS#11 2.40 mechanisms, 2.1.2 and 2.1.3: RSA */
    {CKA_MODULUS,          ATTR_BYTES, RSA,           ATTR_CREATE | ATTR_NEEDED | ATTR_MATERIAL, NONE},
    {CKA_MODULUS_BITS,     ATTR_ULONG, ATTR_PUB_RSA,  ATTR_GENERATE | ATTR_GEN_NEEDED, NONE},
    {CKA_PUBLIC_EXPONENT,  ATTR_BYTES, ATTR_PUB_RSA,  GIVEN | ATTR_NEEDED | ATTR_MATERIAL, NONE},
    {CKA_PUBLIC_EXPONENT,  ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_MATERIAL, NONE},
    {CKA_PRIVATE_EXPONENT, ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET | ATTR_MATERIAL, NONE},
    {CKA_PRIME_1,          ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_NEEDED | ATTR_SECRET | ATTR_MATERIAL, NONE},
    {CKA_PRIME_2,          ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET | ATTR_MATERIAL, NONE},
    {CKA_EXPONENT_1,       ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET | ATTR_MATERIAL, NONE},
    {CKA_EXPONENT_2,       ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET | ATTR_MATERIAL, NONE},
    {CKA_COEFFICIENT,      ATTR_BYTES, ATTR_PRIV_RSA, ATTR_CREATE | ATTR_SECRET | ATTR_MATERIAL, NONE},

    /* 2.3.3 and 2.3.4: elliptic curves. A private key shows its point as well:
     * libraries ask for it there when there is no public key object. */
    {CKA_EC_PARAMS,        ATTR_BYTES, ATTR_PUB_EC,   GIVEN | ATTR_NEEDED | ATTR_GEN_NEEDED | ATTR_MATERIAL, NONE},
    {CKA_EC_PARAMS,        ATTR_BYTES, ATTR_PRIV_EC,  ATTR_CREATE | ATTR_NEEDED | ATTR_MATERIAL, NONE},
    {CKA_EC_POINT,         ATTR_BYTES, ATTR_PUB_EC,   ATTR_CREATE | ATTR_NEEDED | ATTR_MATERIAL, NONE},
    {CKA_EC_POINT,         ATTR_BYTES, ATTR_PRIV_EC,  ATTR_CREATE | ATTR_MATERIAL, NONE},
    {CKA_VALUE,            ATTR_BYTES, ATTR_PRIV_EC,  ATTR_CREATE | ATTR_NEEDED | ATTR_SECRET | ATTR_MATERIAL, NONE},
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

static unsigned secret_group(CK_KEY_TYPE key_type)
{
    switch (key_type) {
    case CKK_AES: return ATTR_SEC_AES;
    case CKK_GENERIC_SECRET:
    case CKK_HKDF:
    case CKK_SHA_1_HMAC:
    case CKK_SHA224_HMAC:
    case CKK_SHA256_HMAC:
    case CKK_SHA384_HMAC:
    case CKK_SHA512_HMAC: return ATTR_SEC_GENERIC;
    default: return 0;
    }
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
    case CKO_SECRET_KEY: return secret_group(key_type);
    case CKO_PROFILE: return ATTR_PROFILE;
    case CKO_MECHANISM: return ATTR_MECHANISM;
    default: return 0;
    }
}
