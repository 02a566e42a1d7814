#ifndef PKCS11_ATTR_TABLE_H
#define PKCS11_ATTR_TABLE_H

#include "core/base.h"
#include "pkcs11/p11.h"

/*
 * Everything that the module knows about attribute types, as one table: which
 * objects carry them, in what form, who may give them, what they are when nobody
 * did. Nothing else in this room decides about a single attribute type except
 * where its value is computed.
 */

/* The form of a value. In the store and in memory numbers are 8 bytes big-endian,
 * lists of mechanisms runs of such numbers, booleans one byte of 0 or 1; attributes
 * within an attribute follow each other as type (8 bytes), length (4) and stored form. */
enum attr_kind { ATTR_BOOL, ATTR_ULONG, ATTR_BYTES, ATTR_DATE, ATTR_MECHS, ATTR_NESTED };

/* Groups of objects: each object is in exactly one. */
#define ATTR_DATA 0x01u
#define ATTR_CERT 0x02u
#define ATTR_PUB_RSA 0x04u
#define ATTR_PUB_EC 0x08u
#define ATTR_PRIV_RSA 0x10u
#define ATTR_PRIV_EC 0x20u
#define ATTR_SEC_AES 0x40u
#define ATTR_SEC_GENERIC 0x80u /* CKK_GENERIC_SECRET, CKK_SHA256_HMAC ..., CKK_HKDF */
#define ATTR_PROFILE 0x100u
#define ATTR_MECHANISM 0x200u
#define ATTR_PUB (ATTR_PUB_RSA | ATTR_PUB_EC)
#define ATTR_PRIV (ATTR_PRIV_RSA | ATTR_PRIV_EC)
#define ATTR_SEC (ATTR_SEC_AES | ATTR_SEC_GENERIC)
#define ATTR_KEY (ATTR_PUB | ATTR_PRIV | ATTR_SEC)
#define ATTR_BUILTIN (ATTR_PROFILE | ATTR_MECHANISM) /* what the module itself shows */
#define ATTR_ALL (ATTR_DATA | ATTR_CERT | ATTR_KEY | ATTR_BUILTIN)

/* Rules, after the footnotes of PKCS#11 2.40, 4.2 table 10. */
#define ATTR_CREATE 0x001u     /* C_CreateObject may give it */
#define ATTR_NEEDED 0x002u     /* and must (footnote 1) */
#define ATTR_GENERATE 0x004u   /* C_GenerateKey and C_GenerateKeyPair may give it */
#define ATTR_GEN_NEEDED 0x008u /* and must (footnote 3) */
#define ATTR_SET 0x010u        /* C_SetAttributeValue may change it (footnote 8) */
#define ATTR_SEALED 0x020u     /* encrypted in the store when the object is private */
#define ATTR_SECRET 0x040u     /* the key itself, never kept as an attribute (footnote 7) */
#define ATTR_FIXED 0x080u      /* this token knows only the default value */
#define ATTR_DEFAULT 0x100u    /* `def` is its value when nobody gave one */
#define ATTR_UP 0x200u         /* may later go from false to true, never back (footnote 11) */
#define ATTR_DOWN 0x400u       /* may later go from true to false, never back (footnote 12) */
#define ATTR_COPY 0x800u       /* C_CopyObject may give it, beside what may be changed */
#define ATTR_MATERIAL \
    0x1000u                 /* comes with the key: not in templates of unwrapping and
                                * deriving (footnote 6) */
#define ATTR_UNWRAP 0x2000u /* these two may give it although C_CreateObject may not */

struct attr_row {
    CK_ATTRIBUTE_TYPE type;
    enum attr_kind kind;
    unsigned groups;
    unsigned rules;
    struct bytes def; /* with ATTR_DEFAULT, in the stored form; not copied into objects */
};

/* The row for a type in a group; NULL when such objects do not carry it. */
const struct attr_row *attr_table_row(CK_ATTRIBUTE_TYPE type, unsigned group);

/* All rows, for walking. */
const struct attr_row *attr_table_all(size_t *n);

/* The group of an object; 0 for classes and key types that this token does not
 * hold. `key_type` counts for keys only. */
unsigned attr_table_group(CK_OBJECT_CLASS class, CK_KEY_TYPE key_type);

#endif
