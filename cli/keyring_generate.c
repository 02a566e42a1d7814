#include "cli/keyring_priv.h"
#include "cli/progress.h"

#include <openssl/rand.h>
#include <string.h>

/* Making keys. */

/* DER of namedCurve (RFC 5480, 2.1.1.1). */
static const uint8_t p256_oid[] = {0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};
static const uint8_t p384_oid[] = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22};
static const uint8_t p521_oid[] = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23};

static const struct kind {
    const char *name;
    struct bytes curve; /* ECC */
    CK_ULONG bits;      /* RSA */
    const char *doing;
} kinds[] = {
    {"p256", {p256_oid, sizeof(p256_oid)}, 0, "making a P-256 key in the TPM"},
    {"p384", {p384_oid, sizeof(p384_oid)}, 0, "making a P-384 key in the TPM"},
    {"p521", {p521_oid, sizeof(p521_oid)}, 0, "making a P-521 key in the TPM"},
    {"rsa2048", {NULL, 0}, 2048, "making an RSA-2048 key in the TPM (this can take a minute)"},
    {"rsa3072", {NULL, 0}, 3072, "making an RSA-3072 key in the TPM (this can take minutes)"},
    {"rsa4096", {NULL, 0}, 4096, "making an RSA-4096 key in the TPM (this can take minutes)"},
};

static const struct kind *kind_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(type, kinds[i].name) == 0)
            return &kinds[i];
    }
    return NULL;
}

int keyring_check_type(const char *type, struct err *e)
{
    if (kind_of(type) != NULL)
        return 0;
    return cli_misuse(e, "--type is p256, p384, p521, rsa2048, rsa3072 or rsa4096, not \"%.40s\"",
                      type);
}

static int check_unused(struct keyring *k, const char *label, struct err *e)
{
    struct keyring_object *list = NULL;
    size_t n = 0;
    int rc = 0;

    if (keyring_list(k, CKO_PRIVATE_KEY, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (strcmp(list[i].label, label) == 0)
            rc = err_set(e, E_EXISTS,
                         "token %s has a key labelled %s already; choose another label or delete "
                         "that key first",
                         k->row.label, label);
    }
    keyring_objects_free(list, n);
    return rc;
}

static CK_RV make_pair(struct keyring *k, const struct kind *kind, const struct keyring_spec *spec,
                       struct bytes id, CK_OBJECT_HANDLE *priv)
{
    static const uint8_t f4[] = {1, 0, 1};
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_BBOOL decrypt = kind->bits != 0 && !spec->sign_only ? CK_TRUE : CK_FALSE;
    CK_MECHANISM m = {kind->bits != 0 ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE pub = 0;
    CK_ATTRIBUTE public[8] = {
        keyring_attribute(CKA_TOKEN, &yes, sizeof(yes)),
        keyring_attribute(CKA_PRIVATE, &no, sizeof(no)),
        keyring_attribute(CKA_LABEL, spec->label, strlen(spec->label)),
        keyring_attribute(CKA_ID, id.p, id.len),
        keyring_attribute(CKA_VERIFY, &yes, sizeof(yes)),
    };
    CK_BBOOL private_object = spec->auth != CK_FUSETSU_AUTH_NONE;
    CK_BBOOL extractable = spec->extractable;
    const char *pcrs = spec->pcrs != NULL ? spec->pcrs : "";
    CK_ATTRIBUTE private[14] = {
        keyring_attribute(CKA_TOKEN, &yes, sizeof(yes)),
        keyring_attribute(CKA_PRIVATE, &private_object, sizeof(private_object)),
        keyring_attribute(CKA_SENSITIVE, &yes, sizeof(yes)),
        keyring_attribute(CKA_EXTRACTABLE, &extractable, sizeof(extractable)),
        keyring_attribute(CKA_FUSETSU_AUTH_MODE, &spec->auth, sizeof(spec->auth)),
        keyring_attribute(CKA_FUSETSU_PCRS, pcrs, strlen(pcrs)),
        keyring_attribute(CKA_LABEL, spec->label, strlen(spec->label)),
        keyring_attribute(CKA_ID, id.p, id.len),
        keyring_attribute(CKA_SIGN, &yes, sizeof(yes)),
        keyring_attribute(CKA_DECRYPT, &decrypt, sizeof(decrypt)),
    };
    CK_ULONG n = 5, n_private = 10;

    if (kind->bits != 0) {
        public[n++] = keyring_attribute(CKA_MODULUS_BITS, &kind->bits, sizeof(kind->bits));
        public[n++] = keyring_attribute(CKA_PUBLIC_EXPONENT, f4, sizeof(f4));
        public[n++] = keyring_attribute(CKA_ENCRYPT, &decrypt, sizeof(decrypt));
    } else {
        public[n++] = keyring_attribute(CKA_EC_PARAMS, kind->curve.p, kind->curve.len);
    }
    if (spec->outside.len != 0)
    private[n_private++] =
        keyring_attribute(CKA_FUSETSU_OUTSIDE_INFO, spec->outside.p, spec->outside.len);
    if (spec->pcrs_updatable)
    private[n_private++] = keyring_attribute(CKA_FUSETSU_PCRS_UPDATABLE, &yes, sizeof(yes));
    if (spec->approver.len != 0)
    private[n_private++] =
        keyring_attribute(CKA_FUSETSU_APPROVER, spec->approver.p, spec->approver.len);
    if (spec->purpose != NULL)
    private[n_private++] =
        keyring_attribute(CKA_FUSETSU_PURPOSE, spec->purpose, strlen(spec->purpose));
    return k->p11->C_GenerateKeyPair(k->session, &m, public, n, private, n_private, &pub, priv);
}

int keyring_generate(struct keyring *k, const struct keyring_spec *spec, struct keyring_object *out,
                     struct err *e)
{
    const struct kind *kind = kind_of(spec->type);
    struct bytes id = spec->id;
    struct progress *wait;
    CK_OBJECT_HANDLE h = 0;
    uint8_t drawn[20];
    CK_RV rv;

    if (kind == NULL)
        return keyring_check_type(spec->type, e);
    if (check_unused(k, spec->label, e) != 0)
        return -1;
    if (id.len == 0) {
        if (RAND_bytes(drawn, sizeof(drawn)) != 1)
            return err_openssl(e, E_CRYPTO, "random key id");
        id = bytes_of(drawn, sizeof(drawn));
    }
    wait = progress_begin(kind->doing);
    rv = make_pair(k, kind, spec, id, &h);
    progress_end(wait);
    if (rv != CKR_OK)
        return keyring_failed(rv, "making the key", e);
    return keyring_read(k, CKO_PRIVATE_KEY, h, out, e);
}

bool keyring_signs_only(struct keyring *k, const struct keyring_object *key)
{
    static const CK_ATTRIBUTE_TYPE no[] = {CKA_DECRYPT, CKA_DERIVE, CKA_UNWRAP, CKA_EXTRACTABLE},
                                   yes[] = {CKA_SIGN, CKA_LOCAL, CKA_NEVER_EXTRACTABLE};
    CK_ULONG auth = CK_FUSETSU_AUTH_NONE;
    CK_ATTRIBUTE a = {CKA_FUSETSU_AUTH_MODE, &auth, sizeof(auth)};
    CK_BBOOL value;

    if (k->p11->C_GetAttributeValue(k->session, key->handle, &a, 1) != CKR_OK ||
        auth != CK_FUSETSU_AUTH_SESSION)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(no) + ARRAY_LEN(yes); i++) {
        bool want = i >= ARRAY_LEN(no);

        value = want ? CK_FALSE : CK_TRUE;
        a = (CK_ATTRIBUTE){want ? yes[i - ARRAY_LEN(no)] : no[i], &value, sizeof(value)};
        if (k->p11->C_GetAttributeValue(k->session, key->handle, &a, 1) != CKR_OK ||
            value != (want ? CK_TRUE : CK_FALSE))
            return false;
    }
    return true;
}
