#include "pkcs11/cert.h"
#include "pkcs11/entry.h"
#include "pkcs11/import.h"
#include "pkcs11/keyattr.h"
#include "pkcs11/secretkey.h"

/* C_CreateObject (5.7): objects that exist outside. Keys go into the TPM on the way. */

static CK_RV complete_secret(struct p11_session *s, const struct template *t, struct made *m)
{
    struct bytes value;
    CK_RV rv = template_bytes(t, CKA_VALUE, &value);

    return rv == CKR_OK ? secretkey_put(s, value, SECRETKEY_CREATED, m) : rv;
}

static CK_RV complete(struct p11_session *s, const struct template *t, struct made *m)
{
    struct err e = {0};
    struct index *x = NULL;
    struct pubkey k;
    CK_RV rv;

    switch (m->group) {
    case ATTR_CERT:
        if (slot_index(s->lib, s->slot, &x, &e) != 0)
            return fail_rv(&e, CKR_DURING_ANY);
        return cert_complete(&m->row, x);
    case ATTR_PUB_RSA:
    case ATTR_PUB_EC:
        rv = keyattr_from_template(t, m->group, &k);
        return rv == CKR_OK ? keyattr_set(&m->row, m->group, &k) : rv;
    case ATTR_PRIV_RSA:
    case ATTR_PRIV_EC: return import_key(s, t, m);
    case ATTR_SEC_AES:
    case ATTR_SEC_GENERIC: return complete_secret(s, t, m);
    default: return CKR_OK;
    }
}

static bool is_key(CK_OBJECT_CLASS class)
{
    return class == CKO_PUBLIC_KEY || class == CKO_PRIVATE_KEY || class == CKO_SECRET_KEY;
}

static CK_RV create(struct p11_session *s, const struct template *t, CK_OBJECT_HANDLE *out)
{
    CK_ULONG class = CK_UNAVAILABLE_INFORMATION, type = CK_UNAVAILABLE_INFORMATION;
    struct made m = {0};
    unsigned group;
    CK_RV rv;

    if (template_get(t, CKA_CLASS) == NULL)
        return CKR_TEMPLATE_INCOMPLETE;
    rv = template_ulong(t, CKA_CLASS, &class);
    if (rv != CKR_OK)
        return rv;
    if (is_key(class)) {
        if (template_get(t, CKA_KEY_TYPE) == NULL)
            return CKR_TEMPLATE_INCOMPLETE;
        rv = template_ulong(t, CKA_KEY_TYPE, &type);
        if (rv != CKR_OK)
            return rv;
    }
    group = attr_table_group(class, type);
    if (group == 0 || (group & ATTR_BUILTIN) != 0)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    rv = make_read(s, t, TEMPLATE_CREATE, class, group, &m);
    if (rv == CKR_OK)
        rv = complete(s, t, &m);
    return make_one(s, &m, rv, out);
}

CK_RV C_CreateObject(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *t, CK_ULONG count,
                     CK_OBJECT_HANDLE *object)
{
    struct template given;
    struct p11_session *s;
    CK_RV rv = entry_objects(handle, &s);

    if (rv != CKR_OK)
        return rv;
    rv = template_of(t, count, &given);
    if (rv == CKR_OK && object == NULL)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK)
        rv = create(s, &given, object);
    return entry_end(rv);
}
