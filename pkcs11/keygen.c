#include <stdlib.h>
#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/keyattr.h"
#include "pkcs11/keyspec.h"
#include "pkcs11/mech_table.h"

/* Size or curve, from the public template. */
static CK_RV read_spec(const struct template *t, bool rsa, struct key_spec *spec)
{
    static const uint8_t f4[] = {1, 0, 1};
    struct bytes v;
    CK_ULONG bits = 0;
    CK_RV rv;

    if (!rsa) {
        spec->type = TPM2_ALG_ECC;
        rv = template_bytes(t, CKA_EC_PARAMS, &v);
        if (rv != CKR_OK)
            return rv;
        if (v.len == 0)
            return CKR_TEMPLATE_INCOMPLETE;
        spec->curve = keyattr_curve(v);
        return spec->curve != NULL ? CKR_OK : CKR_CURVE_NOT_SUPPORTED;
    }
    spec->type = TPM2_ALG_RSA;
    rv = template_ulong(t, CKA_MODULUS_BITS, &bits);
    if (rv == CKR_OK)
        rv = template_bytes(t, CKA_PUBLIC_EXPONENT, &v);
    if (rv != CKR_OK)
        return rv;
    if (bits == 0)
        return CKR_TEMPLATE_INCOMPLETE;
    if (bits != 2048 && bits != 3072 && bits != 4096)
        return CKR_KEY_SIZE_RANGE;
    while (v.len > sizeof(f4) && v.p[0] == 0)
        v = bytes_of(v.p + 1, v.len - 1);
    /* 65537 is what every TPM can do, and what everybody uses. */
    if (v.len != 0 && !bytes_equal(v, bytes_of(f4, sizeof(f4))))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    spec->bits = (uint16_t)bits;
    spec->exponent = 65537;
    return CKR_OK;
}

/* What is true of a key that the TPM made (4.7, 4.9). */
static CK_RV set_origin(struct made *m, CK_MECHANISM_TYPE mechanism)
{
    CK_RV rv = template_set_bool(&m->row, m->group, CKA_LOCAL, true);

    if (rv == CKR_OK)
        rv = template_set_ulong(&m->row, m->group, CKA_KEY_GEN_MECHANISM, mechanism);
    if (rv == CKR_OK && (m->group & ATTR_PRIV) != 0)
        rv = template_set_bool(&m->row, m->group, CKA_ALWAYS_SENSITIVE, true);
    if (rv == CKR_OK && (m->group & ATTR_PRIV) != 0)
        rv = template_set_bool(&m->row, m->group, CKA_NEVER_EXTRACTABLE,
                               !make_true(m, CKA_EXTRACTABLE));
    return rv;
}

/* Both halves carry the same ID: the one given for either, else one drawn from the
 * public key. */
static CK_RV set_ids(struct made *pub, struct made *priv)
{
    const struct store_attr *a = store_object_attr(&pub->row, CKA_ID);
    const struct store_attr *b = store_object_attr(&priv->row, CKA_ID);
    const struct store_attr *spki = store_object_attr(&pub->row, CKA_PUBLIC_KEY_INFO);
    uint8_t id[KEYATTR_ID];
    struct bytes v;
    CK_RV rv = CKR_OK;

    if (a != NULL && b != NULL)
        return CKR_OK;
    if (a != NULL || b != NULL) {
        v = buf_bytes(a != NULL ? &a->value : &b->value);
    } else {
        if (spki == NULL || keyattr_id(buf_bytes(&spki->value), id, NULL) != 0)
            return CKR_FUNCTION_FAILED;
        v = bytes_of(id, sizeof(id));
    }
    if (a == NULL)
        rv = template_set(&pub->row, pub->group, CKA_ID, v);
    if (rv == CKR_OK && b == NULL)
        rv = template_set(&priv->row, priv->group, CKA_ID, v);
    return rv;
}

static CK_RV finish_rows(struct p11_session *s, const struct pubkey *k, CK_MECHANISM_TYPE mechanism,
                         struct made *pub, struct made *priv)
{
    CK_RV rv = keyattr_set(&pub->row, pub->group, k);

    if (rv == CKR_OK)
        rv = keyattr_set(&priv->row, priv->group, k);
    if (rv == CKR_OK)
        rv = set_origin(pub, mechanism);
    if (rv == CKR_OK)
        rv = set_origin(priv, mechanism);
    if (rv == CKR_OK)
        rv = set_ids(pub, priv);
    if (rv == CKR_OK)
        rv = keyspec_identity(s, priv);
    return rv;
}

/* The TPM's part: one TPM2_Create. */
static CK_RV create_key(struct p11_session *s, const struct key_spec *spec, struct store_key **out,
                        struct pubkey *pub)
{
    struct store_key *key = calloc(1, sizeof(*key));
    struct token *k = NULL;
    struct err e = {0};

    if (key == NULL)
        return CKR_HOST_MEMORY;
    if (slot_token(s->slot, &k, &e) != 0 || token_key_supported(k, spec, &e) != 0 ||
        token_key_create(k, spec, key, &e) != 0 || token_key_public(key, pub, &e) != 0) {
        object_free_key(key);
        return fail_rv(&e, CKR_DURING_KEYGEN);
    }
    *out = key;
    return CKR_OK;
}

static CK_RV generate(struct p11_session *s, const struct mech *m, const struct template *pub_t,
                      const struct template *priv_t, CK_OBJECT_HANDLE *pub_h,
                      CK_OBJECT_HANDLE *priv_h)
{
    bool rsa = m->key == MECH_KEY_RSA;
    struct made pub = {0}, priv = {0};
    struct made *both[] = {&pub, &priv};
    struct key_spec spec = {0};
    struct pubkey k = {0};
    CK_RV rv = make_read(s, pub_t, TEMPLATE_GENERATE, CKO_PUBLIC_KEY,
                         rsa ? ATTR_PUB_RSA : ATTR_PUB_EC, &pub);

    if (rv == CKR_OK)
        rv = make_read(s, priv_t, TEMPLATE_GENERATE, CKO_PRIVATE_KEY,
                       rsa ? ATTR_PRIV_RSA : ATTR_PRIV_EC, &priv);
    if (rv == CKR_OK)
        rv = read_spec(pub_t, rsa, &spec);
    if (rv == CKR_OK)
        rv = keyspec_of(&priv, &spec);
    if (rv == CKR_OK)
        rv = create_key(s, &spec, &priv.key, &k);
    if (rv == CKR_OK)
        rv = finish_rows(s, &k, m->type, &pub, &priv);
    if (rv == CKR_OK)
        rv = make_store(s, both, ARRAY_LEN(both));
    if (rv == CKR_OK) {
        *pub_h = pub.handle;
        *priv_h = priv.handle;
    }
    make_free(&pub);
    make_free(&priv);
    return rv;
}

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_ATTRIBUTE *pub,
                        CK_ULONG n_pub, CK_ATTRIBUTE *priv, CK_ULONG n_priv,
                        CK_OBJECT_HANDLE *pub_out, CK_OBJECT_HANDLE *priv_out)
{
    struct template pub_t, priv_t;
    const struct mech *m;
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (mechanism == NULL || pub_out == NULL || priv_out == NULL)
        return entry_end(CKR_ARGUMENTS_BAD);
    m = mech_table_row(mechanism->mechanism);
    if (m == NULL || m->family != MECH_KEY_PAIR)
        return entry_end(CKR_MECHANISM_INVALID);
    if (mechanism->ulParameterLen != 0)
        return entry_end(CKR_MECHANISM_PARAM_INVALID);
    rv = template_of(pub, n_pub, &pub_t);
    if (rv == CKR_OK)
        rv = template_of(priv, n_priv, &priv_t);
    /* Even a public template that asks for little gets a key of the TPM, which the
     * user's PIN protects. */
    if (rv == CKR_OK && !p11_session_user(s))
        rv = CKR_USER_NOT_LOGGED_IN;
    if (rv == CKR_OK)
        rv = generate(s, m, &pub_t, &priv_t, pub_out, priv_out);
    return entry_end(rv);
}
