#include "pkcs11/derive.h"

#include <string.h>

#include "core/kdf.h"
#include "pkcs11/fail.h"
#include "pkcs11/keyattr.h"
#include "tpm/crypt.h"

/* Where derived secrets come from. Each lies in memory of its own, wiped in the end. */

/* --- ECDH (2.40 mechanisms, 2.3.11) --------------------------------------- */

/* 2.3.11: a key shorter than the shared value is its last bytes. */
static CK_RV shape_ecdh(const struct mech_params *p, struct bytes z, size_t len,
                        struct secret **out)
{
    struct err e = {0};
    struct secret *s;
    CK_RV rv = CKR_OK;

    if (len == 0)
        len = p->hash != NULL ? p->hash->size : z.len;
    if (p->hash == NULL && len > z.len)
        return CKR_KEY_SIZE_RANGE;
    s = secret_new(len, NULL);
    if (s == NULL)
        return CKR_HOST_MEMORY;
    if (p->hash == NULL)
        memcpy(secret_data(s), z.p + (z.len - len), len);
    else if (kdf_x963(p->hash, z, p->label, secret_data(s), len, &e) != 0)
        rv = fail_rv(&e, CKR_DURING_DERIVE);
    if (rv != CKR_OK) {
        secret_free(s);
        return rv;
    }
    *out = s;
    return CKR_OK;
}

CK_RV derive_ecdh(const struct keyuse *u, const struct alg_curve *c, const struct mech_params *p,
                  size_t len, struct secret **out)
{
    struct secret *z;
    struct ecc_point peer;
    struct err e = {0};
    CK_RV rv;

    if (!keyattr_point(p->point, c, &peer))
        return CKR_MECHANISM_PARAM_INVALID;
    z = secret_new(c->size, NULL);
    if (z == NULL)
        return CKR_HOST_MEMORY;
    if (token_ecdh(u->token, u->key, &peer, secret_data(z), &e) != 0)
        rv = fail_rv(&e, CKR_DURING_DERIVE);
    else
        rv = shape_ecdh(p, secret_bytes(z), len, out);
    secret_free(z);
    return rv;
}

/* --- HKDF (3.0 mechanisms, 2.62) ------------------------------------------ */

static int hmac_by_key(void *arg, const struct bytes *part, size_t n, uint8_t *mac, struct err *e)
{
    const struct {
        const struct keyuse *u;
        const struct alg_hash *h;
    } *by = arg;

    return keyuse_hmac(by->u, by->h, part, n, mac, e);
}

/* 3.0, 2.62.2: a salt key is one that could be derived from. */
static CK_RV salt_of(struct p11_session *s, CK_OBJECT_HANDLE handle, struct keyuse *out)
{
    const struct object *o = slot_object(s->lib, s->slot, handle);
    CK_KEY_TYPE type;

    if (o != NULL && (o->group & ATTR_KEY) != 0) {
        type = object_ulong(o, CKA_KEY_TYPE);
        if ((o->group & ATTR_SEC) == 0 || (type != CKK_GENERIC_SECRET && type != CKK_HKDF))
            return CKR_KEY_TYPE_INCONSISTENT;
    }
    return keyuse_of(s, handle, NULL, out);
}

/*
 * Extract: HMAC(salt, key). The base key is the message here, which a TPM does not feed to
 * itself: a key that may not leave it cannot be extracted from. A salt key may be anywhere.
 */
static CK_RV extract(struct p11_session *s, const struct keyuse *u, const struct mech_params *p,
                     uint8_t prk[ALG_MAX_DIGEST])
{
    struct secret *ikm = NULL;
    struct keyuse salt;
    struct bytes part;
    struct err e = {0};
    CK_RV rv = CKR_OK;
    int bad = 0;

    if (u->key == NULL)
        part = u->value;
    else if (keyuse_value(u, &ikm, &e) != 0)
        return fail_rv(&e, CKR_DURING_DERIVE);
    else
        part = secret_bytes(ikm);
    if (p->salt_is_key)
        rv = salt_of(s, p->salt_key, &salt);
    if (rv == CKR_OK)
        bad = p->salt_is_key ? keyuse_hmac(&salt, p->hash, &part, 1, prk, &e)
                             : kdf_hkdf_extract(p->hash, p->salt, part, prk, &e);
    if (bad != 0)
        rv = fail_rv(&e, CKR_DURING_DERIVE);
    secret_free(ikm);
    return rv;
}

CK_RV derive_hkdf(struct p11_session *s, const struct keyuse *u, const struct mech_params *p,
                  size_t len, struct secret **out)
{
    struct {
        const struct keyuse *u;
        const struct alg_hash *h;
    } by = {u, p->hash};
    struct kdf_hmac prk_by = {hmac_by_key, &by};
    uint8_t prk[ALG_MAX_DIGEST] = {0};
    struct bytes prk_bytes = bytes_of(prk, p->hash->size);
    struct secret *made = NULL;
    struct err e = {0};
    CK_RV rv = CKR_OK;
    int bad = 0;

    if (len == 0)
        len = p->hash->size;
    /* RFC 5869, 2.3; without expansion the result is one digest. */
    if (len > (p->expand ? 255 * p->hash->size : p->hash->size))
        return CKR_KEY_SIZE_RANGE;
    made = secret_new(len, NULL);
    if (made == NULL)
        return CKR_HOST_MEMORY;
    if (p->extract)
        rv = extract(s, u, p, prk);
    if (rv != CKR_OK)
        goto out;
    if (!p->expand)
        memcpy(secret_data(made), prk, len);
    else if (p->extract)
        bad = kdf_hkdf_expand(p->hash, prk_bytes, p->label, secret_data(made), len, &e);
    else
        bad = kdf_hkdf_expand_by(p->hash, &prk_by, p->label, secret_data(made), len, &e);
    if (bad != 0) {
        rv = fail_rv(&e, CKR_DURING_DERIVE);
        goto out;
    }
    *out = made;
    made = NULL;
out:
    secret_free(made);
    secret_wipe(prk, sizeof(prk));
    return rv;
}

/* --- by encryption (2.40 mechanisms, 2.15) -------------------------------- */

CK_RV derive_encrypt(const struct keyuse *u, const struct mech *m, const struct mech_params *p,
                     size_t len, struct secret **out)
{
    enum cipher_mode mode = m->variant == MECH_AES_ECB ? CIPHER_ECB : CIPHER_CBC;
    struct secret *made;
    struct err e = {0};
    uint8_t iv[16];

    if (len > p->label.len)
        return CKR_KEY_SIZE_RANGE;
    made = secret_new(p->label.len, NULL);
    if (made == NULL)
        return CKR_HOST_MEMORY;
    memcpy(iv, p->iv, sizeof(iv));
    if (keyuse_cipher(u, mode, true, iv, p->label, secret_data(made), &e) != 0) {
        secret_free(made);
        return fail_rv(&e, CKR_DURING_DERIVE);
    }
    secret_trim(made, len != 0 ? len : p->label.len);
    *out = made;
    return CKR_OK;
}
