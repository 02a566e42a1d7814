#ifndef PKCS11_OBJECT_H
#define PKCS11_OBJECT_H

#include "core/secret.h"
#include "core/store.h"
#include "pkcs11/attr_table.h"
#include "pkcs11/index_table.h"

#define OBJECT_LINKS 6

/*
 * One object in memory. Token objects are rows of the store; session objects are
 * the same thing without a row. The row keeps only attributes that differ from
 * their defaults, in their stored form (attr_table.h).
 */
struct object {
    CK_OBJECT_HANDLE handle;
    CK_SESSION_HANDLE session; /* owner of a session object; 0 for a token object */
    unsigned group;            /* ATTR_DATA ...; 0 for a row that this version cannot show */
    uint8_t class_be[8];       /* CKA_CLASS in its stored form */
    struct store_object row;
    struct store_key *key; /* the TPM key behind it, once read */
    bool key_unproved;     /* read while nobody was logged in: its tag is unchecked */
    struct secret *value;  /* session secrets: the key itself; never in the store */
    char unique[2 * STORE_UUID + 1];
    /* The index's own. */
    uint64_t age;
    struct index_link link[OBJECT_LINKS];
};

/* What an object is made from. object_new takes over what it takes and empties it. */
struct object_parts {
    struct store_object *row;
    struct store_key **key; /* may be NULL, or point to NULL */
    struct secret **value;  /* likewise */
};

/* Handle and session are the caller's to set. A row without a uuid gets one. */
int object_new(struct object **out, const struct object_parts *from, struct err *e) MUST_USE;
void object_free(struct object *o); /* NULL is fine */

/* Gives the object a new row, taking it over. A key that the new row does not name
 * is forgotten. */
void object_renew(struct object *o, struct store_object *row);

/* Releases a key that was allocated for an object; NULL is fine. */
void object_free_key(struct store_key *key);

/*
 * A value in its stored form: kept, computed or the default. False when objects
 * of this group have no such attribute, or it was never set. Borrowed from the
 * object or static.
 */
bool object_value(const struct object *o, CK_ATTRIBUTE_TYPE type, struct bytes *v);

/*
 * CKA_TRUSTED that can be believed: of a token object only when the row's tag was checked
 * against the login, since who has the disk could write it.
 */
bool object_trusted(const struct object *o);

/* The same, read as a boolean and a number; false and 0 when absent. */
bool object_true(const struct object *o, CK_ATTRIBUTE_TYPE type);
CK_ULONG object_ulong(const struct object *o, CK_ATTRIBUTE_TYPE type);

/*
 * C_GetAttributeValue on one attribute (5.7): CKR_ATTRIBUTE_SENSITIVE,
 * CKR_ATTRIBUTE_TYPE_INVALID (both with the length "not known"),
 * CKR_BUFFER_TOO_SMALL or CKR_OK.
 */
CK_RV object_give(const struct object *o, CK_ATTRIBUTE *a) MUST_USE;

/* True when the object has and shows each attribute of the template with just that
 * value. Objects of the module's own (profiles, mechanisms) are found only by a template
 * that names their class (3.0, 4.12.1): applications do not expect them. */
bool object_matches(const struct object *o, const CK_ATTRIBUTE *t, CK_ULONG count);

/* A deep copy of a row; release with store_object_free. */
int object_copy_row(const struct store_object *from, struct store_object *to,
                    struct err *e) MUST_USE;

#endif
