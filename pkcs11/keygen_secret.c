#include "pkcs11/entry.h"
#include "pkcs11/secretkey.h"

/* C_GenerateKey (5.14): secret keys, made by the TPM or drawn from its generator. */

static CK_RV generate(struct p11_session *s, const struct mech *mech, const struct template *t,
                      CK_OBJECT_HANDLE *out)
{
    CK_KEY_TYPE type = mech->variant;
    unsigned group = attr_table_group(CKO_SECRET_KEY, type);
    CK_ULONG given = type;
    struct made m = {0};
    CK_RV rv = template_ulong(t, CKA_KEY_TYPE, &given);

    if (rv == CKR_OK && given != type)
        rv = CKR_TEMPLATE_INCONSISTENT;
    if (rv == CKR_OK)
        rv = make_read(s, t, TEMPLATE_GENERATE, CKO_SECRET_KEY, group, &m);
    if (rv == CKR_OK)
        rv = template_set_ulong(&m.row, group, CKA_KEY_TYPE, type);
    if (rv == CKR_OK)
        rv = secretkey_generate(s, mech, &m);
    return make_one(s, &m, rv, out);
}

CK_RV C_GenerateKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_ATTRIBUTE *t,
                    CK_ULONG count, CK_OBJECT_HANDLE *key)
{
    struct template given;
    const struct mech *m;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (mechanism == NULL || key == NULL)
        return entry_end(CKR_ARGUMENTS_BAD);
    m = mech_table_row(mechanism->mechanism);
    if (m == NULL || m->family != MECH_SECRET_KEY)
        return entry_end(CKR_MECHANISM_INVALID);
    if (mechanism->ulParameterLen != 0)
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    rv = template_of(t, count, &given);
    if (rv == CKR_OK)
        rv = generate(s, m, &given, key);
    return entry_end(rv);
}
