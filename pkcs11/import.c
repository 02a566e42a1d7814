#include "pkcs11/import.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "pkcs11/fail.h"
#include "pkcs11/keyattr.h"
#include "pkcs11/keyspec.h"

/* Bytes right-aligned in `size` bytes; false when they are too many. */
static bool aligned(struct bytes v, uint8_t *out, size_t size)
{
    while (v.len > size && v.p[0] == 0)
        v = bytes_of(v.p + 1, v.len - 1);
    if (v.len == 0 || v.len > size)
        return false;
    memset(out, 0, size - v.len);
    memcpy(out + (size - v.len), v.p, v.len);
    return true;
}

/*
 * The public point of a private scalar d. ecc_from_seed computes d' = seed mod
 * (n - 1) + 1, so that for 1 <= d < n the seed d - 1 gives d' = d; any other result
 * means that the caller's scalar was out of range.
 */
static CK_RV ec_public(struct pubkey *k, const uint8_t *d)
{
    uint8_t seed[ALG_MAX_COORD], again[ALG_MAX_COORD];
    size_t size = k->curve->size;
    struct ecc_point p = {0};
    CK_RV rv = CKR_ATTRIBUTE_VALUE_INVALID;
    bool borrow = true;

    memcpy(seed, d, size);
    for (size_t i = size; i-- > 0 && borrow;) {
        borrow = seed[i] == 0;
        seed[i]--;
    }
    if (!borrow && ecc_from_seed(k->curve, bytes_of(seed, size), again, &p, NULL) == 0 &&
        bytes_equal(bytes_of(again, size), bytes_of(d, size))) {
        k->point = p;
        rv = CKR_OK;
    }
    secret_wipe(seed, sizeof(seed));
    secret_wipe(again, sizeof(again));
    return rv;
}

/* The secret part as token_key_import takes it: the scalar or one prime factor. */
static CK_RV secret_part(const struct template *t, struct pubkey *k, struct secret **out)
{
    bool rsa = k->type == TPM2_ALG_RSA;
    size_t size = rsa ? (size_t)k->n_len / 2 : k->curve->size;
    struct ecc_point given = k->point;
    struct secret *part = NULL;
    struct bytes v;
    CK_RV rv = template_bytes(t, rsa ? CKA_PRIME_1 : CKA_VALUE, &v);

    if (rv != CKR_OK)
        return rv;
    part = secret_new(size, NULL);
    if (part == NULL)
        return CKR_HOST_MEMORY;
    rv = CKR_ATTRIBUTE_VALUE_INVALID;
    if (!aligned(v, secret_data(part), size))
        goto out;
    rv = CKR_OK;
    if (!rsa) {
        rv = ec_public(k, secret_peek(part));
        /* A point that came along belongs to the scalar. */
        if (rv == CKR_OK && template_get(t, CKA_EC_POINT) != NULL &&
            (memcmp(given.x, k->point.x, size) != 0 || memcmp(given.y, k->point.y, size) != 0))
            rv = CKR_TEMPLATE_INCONSISTENT;
    }
    if (rv == CKR_OK) {
        *out = part;
        part = NULL;
    }
out:
    secret_free(part);
    return rv;
}

static CK_RV to_tpm(struct p11_session *s, const struct key_spec *spec, const struct pubkey *k,
                    struct bytes part, struct store_key **out)
{
    struct store_key *key = calloc(1, sizeof(*key));
    struct token *token = NULL;
    struct err e = {0};

    if (key == NULL)
        return CKR_HOST_MEMORY;
    if (slot_token(s->slot, &token, &e) != 0 || token_key_supported(token, spec, &e) != 0 ||
        token_key_import(token, spec, k, part, key, &e) != 0) {
        object_free_key(key);
        return fail_rv(&e, CKR_DURING_IMPORT);
    }
    *out = key;
    return CKR_OK;
}

static CK_RV id_by_default(struct made *m)
{
    const struct store_attr *spki = store_object_attr(&m->row, CKA_PUBLIC_KEY_INFO);
    uint8_t id[KEYATTR_ID];

    if (store_object_attr(&m->row, CKA_ID) != NULL)
        return CKR_OK;
    if (spki == NULL || keyattr_id(buf_bytes(&spki->value), id, NULL) != 0)
        return CKR_FUNCTION_FAILED;
    return template_set(&m->row, m->group, CKA_ID, bytes_of(id, sizeof(id)));
}

CK_RV import_unwrapped(struct p11_session *s, const struct pubkey *k, struct bytes part,
                       struct made *m)
{
    struct key_spec spec = {0};
    CK_RV rv = keyspec_of(m, &spec);

    if (rv == CKR_OK)
        rv = keyattr_set(&m->row, m->group, k);
    if (rv == CKR_OK)
        rv = id_by_default(m);
    if (rv != CKR_OK)
        return rv;
    spec.type = k->type;
    spec.curve = k->curve;
    spec.bits = (uint16_t)(k->type == TPM2_ALG_RSA ? pubkey_bits(k) : 0);
    spec.exponent = k->exponent;
    rv = to_tpm(s, &spec, k, part, &m->key);
    return rv == CKR_OK ? keyspec_identity(s, m) : rv;
}

CK_RV import_key(struct p11_session *s, const struct template *t, struct made *m)
{
    struct secret *part = NULL;
    struct pubkey k = {0};
    CK_RV rv = keyattr_from_template(t, m->group, &k);

    if (rv == CKR_OK)
        rv = secret_part(t, &k, &part);
    if (rv == CKR_OK)
        rv = import_unwrapped(s, &k, secret_bytes(part), m);
    secret_free(part);
    return rv;
}
