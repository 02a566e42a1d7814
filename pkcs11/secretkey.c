#include "pkcs11/secretkey.h"

#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "core/cipher.h"
#include "core/hash.h"
#include "pkcs11/attr.h"
#include "pkcs11/fail.h"
#include "pkcs11/keyspec.h"
#include "tpm/crypt.h"

/* The most that lies in memory; the TPM takes 128 bytes. */
#define MAX_LEN 4096

static CK_ULONG row_ulong(const struct made *m, CK_ATTRIBUTE_TYPE type)
{
    const struct store_attr *a = store_object_attr(&m->row, type);

    return a != NULL ? attr_to_ulong(buf_bytes(&a->value)) : 0;
}

/* The hash that a key type is bound to; NULL for those that go with any, and for SHA-224,
 * which no TPM has. */
static const struct alg_hash *hash_of(CK_KEY_TYPE type)
{
    switch (type) {
    case CKK_SHA_1_HMAC: return alg_hash_nid(NID_sha1);
    case CKK_SHA256_HMAC: return alg_hash_nid(NID_sha256);
    case CKK_SHA384_HMAC: return alg_hash_nid(NID_sha384);
    case CKK_SHA512_HMAC: return alg_hash_nid(NID_sha512);
    default: return NULL;
    }
}

CK_RV secretkey_length(const struct made *m, bool needed, size_t *len)
{
    CK_ULONG n = row_ulong(m, CKA_VALUE_LEN);
    const struct alg_hash *h = hash_of(row_ulong(m, CKA_KEY_TYPE));

    if (store_object_attr(&m->row, CKA_VALUE_LEN) == NULL) {
        *len = h != NULL ? h->size : 0;
        return needed && *len == 0 ? CKR_TEMPLATE_INCOMPLETE : CKR_OK;
    }
    if (n == 0 || n > MAX_LEN)
        return CKR_ATTRIBUTE_VALUE_INVALID;
    *len = (size_t)n;
    return CKR_OK;
}

static bool good_length(const struct made *m, size_t len)
{
    if (m->group == ATTR_SEC_AES)
        return len == 16 || len == 24 || len == 32;
    return len != 0 && len <= MAX_LEN;
}

static void spec_of(const struct made *m, size_t len, struct key_spec *spec)
{
    *spec =
        (struct key_spec){.mode = STORE_KEY_SESSION, .extractable = make_true(m, CKA_EXTRACTABLE)};
    if (m->group == ATTR_SEC_AES) {
        spec->type = TPM2_ALG_SYMCIPHER;
        spec->bits = (uint16_t)(len * 8);
    } else {
        spec->type = TPM2_ALG_KEYEDHASH;
        spec->hash = hash_of(row_ulong(m, CKA_KEY_TYPE));
        /* In a key that is bound to its hash, more than the hash's block is only a digest of
         * it; one that may leave must leave as it came. */
        if (spec->extractable && spec->hash != NULL && len > alg_hash_block(spec->hash))
            spec->hash = NULL;
    }
}

/* --- in memory ----------------------------------------------------------- */

static CK_RV keep(struct bytes value, struct made *m)
{
    m->value = secret_copy(value.p, value.len, NULL);
    return m->value != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

/* --- in the TPM ---------------------------------------------------------- */

static bool goes_to_tpm(const struct p11_session *s, const struct made *m)
{
    return m->token ||
           (p11_session_user(s) && make_true(m, CKA_SENSITIVE) && !make_true(m, CKA_EXTRACTABLE));
}

/* What the TPM cannot take, a session object can keep in memory. */
static bool may_stay(const struct made *m, const struct err *e)
{
    return !m->token && (e->code == E_UNSUPPORTED || e->code == E_DATA);
}

static CK_RV import(struct p11_session *s, struct bytes value, struct made *m)
{
    struct store_key *key = calloc(1, sizeof(*key));
    struct token *k = NULL;
    struct key_spec spec;
    struct err e = {0};

    if (key == NULL)
        return CKR_HOST_MEMORY;
    spec_of(m, value.len, &spec);
    if (slot_token(s->slot, &k, &e) == 0 && token_key_import(k, &spec, NULL, value, key, &e) == 0) {
        m->key = key;
        return keyspec_identity(s, m);
    }
    object_free_key(key);
    return may_stay(m, &e) ? keep(value, m) : fail_rv(&e, CKR_DURING_IMPORT);
}

/* One that the TPM makes. It makes generic secrets of its own length only: others are drawn
 * from its generator and imported. */
static CK_RV create(struct p11_session *s, size_t len, struct made *m, bool *done)
{
    struct store_key *key;
    struct token *k = NULL;
    struct key_spec spec;
    struct err e = {0};

    spec_of(m, len, &spec);
    *done = false;
    if (spec.type == TPM2_ALG_KEYEDHASH && len != (spec.hash != NULL ? spec.hash->size : 32))
        return CKR_OK;
    key = calloc(1, sizeof(*key));
    if (key == NULL)
        return CKR_HOST_MEMORY;
    if (slot_token(s->slot, &k, &e) == 0 && token_key_create(k, &spec, key, &e) == 0) {
        m->key = key;
        *done = true;
        return keyspec_identity(s, m);
    }
    object_free_key(key);
    return may_stay(m, &e) ? CKR_OK : fail_rv(&e, CKR_DURING_KEYGEN);
}

/* --- what both have ------------------------------------------------------ */

/* 4.10.1: AES: the first bytes of a block of zeros encrypted; others: of their SHA-1. */
static int check_value(struct p11_session *s, const struct made *m, struct bytes value,
                       uint8_t out[ALG_MAX_DIGEST], bool *known, struct err *e)
{
    uint8_t zeros[TOKEN_BLOCK] = {0};
    struct token_cipher how = {.mode = TOKEN_ECB, .encrypt = true};
    struct token *k = NULL;

    *known = value.len != 0 || m->group == ATTR_SEC_AES;
    if (m->group == ATTR_SEC_AES && value.len != 0)
        return cipher_aes(CIPHER_ECB, true, value, NULL, bytes_of(zeros, sizeof(zeros)), out, e);
    if (m->group == ATTR_SEC_AES)
        return slot_token(s->slot, &k, e) != 0
                   ? -1
                   : token_cipher(k, m->key, &how, bytes_of(zeros, sizeof(zeros)), out, e);
    return value.len != 0 ? hash_digest(alg_hash_nid(NID_sha1), value, out, e) : 0;
}

static CK_RV set_attributes(struct p11_session *s, struct bytes value, size_t len, struct made *m)
{
    const struct store_attr *given;
    uint8_t kcv[ALG_MAX_DIGEST];
    struct err e = {0};
    bool known = false;
    CK_RV rv = template_set_ulong(&m->row, m->group, CKA_VALUE_LEN, (CK_ULONG)len);

    if (rv != CKR_OK)
        return rv;
    if (check_value(s, m, value, kcv, &known, &e) != 0) {
        /* A TPM whose older command decrypts only cannot make one of its own keys. */
        if (e.code != E_UNSUPPORTED)
            return fail_rv(&e, CKR_DURING_ANY);
        known = false;
    }
    if (!known)
        return CKR_OK;
    given = store_object_attr(&m->row, CKA_CHECK_VALUE);
    /* An empty one says that none is wanted. */
    if (given != NULL && given->value.len == 0)
        return CKR_OK;
    if (given != NULL && !bytes_equal(buf_bytes(&given->value), bytes_of(kcv, 3)))
        return CKR_ATTRIBUTE_VALUE_INVALID;
    return template_set(&m->row, m->group, CKA_CHECK_VALUE, bytes_of(kcv, 3));
}

CK_RV secretkey_put(struct p11_session *s, struct bytes value, enum secretkey_from from,
                    struct made *m)
{
    size_t wanted = 0;
    CK_RV rv = CKR_OK;

    if (store_object_attr(&m->row, CKA_VALUE_LEN) != NULL)
        rv = secretkey_length(m, false, &wanted);
    if (rv != CKR_OK)
        return rv;
    if (!good_length(m, value.len))
        return from == SECRETKEY_CREATED ? CKR_ATTRIBUTE_VALUE_INVALID : CKR_KEY_SIZE_RANGE;
    if (wanted != 0 && wanted != value.len)
        return CKR_TEMPLATE_INCONSISTENT;
    if (m->token || (from == SECRETKEY_CREATED && goes_to_tpm(s, m)))
        rv = import(s, value, m);
    else
        rv = keep(value, m);
    return rv == CKR_OK ? set_attributes(s, value, value.len, m) : rv;
}

/* Random bytes: from the TPM, where it can be reached. */
static int draw(struct p11_session *s, struct secret *value, struct err *e)
{
    struct tpm *tpm = NULL;

    return site_tpm(s->slot->site, &tpm, e) == 0
               ? tpm_random(tpm, secret_data(value), secret_len(value), e)
               : -1;
}

static CK_RV set_origin(struct made *m, const struct mech *mech)
{
    CK_RV rv = template_set_bool(&m->row, m->group, CKA_LOCAL, true);

    if (rv == CKR_OK)
        rv = template_set_ulong(&m->row, m->group, CKA_KEY_GEN_MECHANISM, mech->type);
    if (rv == CKR_OK)
        rv =
            template_set_bool(&m->row, m->group, CKA_ALWAYS_SENSITIVE, make_true(m, CKA_SENSITIVE));
    if (rv == CKR_OK)
        rv = template_set_bool(&m->row, m->group, CKA_NEVER_EXTRACTABLE,
                               !make_true(m, CKA_EXTRACTABLE));
    return rv;
}

CK_RV secretkey_generate(struct p11_session *s, const struct mech *mech, struct made *m)
{
    struct secret *value = NULL;
    struct err e = {0};
    bool in_tpm = goes_to_tpm(s, m), done = false;
    size_t len = 0;
    CK_RV rv = secretkey_length(m, true, &len);

    if (rv == CKR_OK && !good_length(m, len))
        rv = CKR_KEY_SIZE_RANGE;
    if (rv == CKR_OK && in_tpm)
        rv = create(s, len, m, &done);
    if (rv == CKR_OK && !done) {
        value = secret_new(len, NULL);
        if (value == NULL)
            rv = CKR_HOST_MEMORY;
        else if (draw(s, value, &e) != 0)
            rv = fail_rv(&e, CKR_DURING_ANY);
        else
            rv = in_tpm ? import(s, secret_bytes(value), m) : keep(secret_bytes(value), m);
    }
    if (rv == CKR_OK)
        rv = set_attributes(s, secret_bytes(value), len, m);
    if (rv == CKR_OK)
        rv = set_origin(m, mech);
    secret_free(value);
    return rv;
}
