#ifndef CLI_KEYRING_PRIV_H
#define CLI_KEYRING_PRIV_H

/* What the files of the keyring share. */

#include "cli/keyring.h"

struct keyring {
    CK_FUNCTION_LIST *p11;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    bool initialized, in_session, logged_in;
    bool officer; /* logged in as the SO */
    struct store_token row;
};

/* Turns a return value into a failure in words; -1. */
int keyring_failed(CK_RV rv, const char *what, struct err *e);

/* An attribute of a template; the value is borrowed and only read. */
CK_ATTRIBUTE keyring_attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t len);

/* Reads an object's label, id and value. */
int keyring_read(struct keyring *k, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE h,
                 struct keyring_object *out, struct err *e) MUST_USE;

#endif
