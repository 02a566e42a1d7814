#include "ca/issue.h"
#include "cli/keyring_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Certificates and evidence beside keys. */

static int make_cert(struct keyring *k, struct bytes der, struct bytes id, const char *label,
                     bool trusted, struct err *e)
{
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_CERTIFICATE_TYPE x509 = CKC_X_509;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE t[] = {
        keyring_attribute(CKA_CLASS, &class, sizeof(class)),
        keyring_attribute(CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)),
        keyring_attribute(CKA_TOKEN, &yes, sizeof(yes)),
        keyring_attribute(CKA_PRIVATE, &no, sizeof(no)),
        keyring_attribute(CKA_TRUSTED, trusted ? &yes : &no, sizeof(yes)),
        keyring_attribute(CKA_LABEL, label, strlen(label)),
        keyring_attribute(CKA_VALUE, der.p, der.len),
        keyring_attribute(CKA_ID, id.p, id.len),
    };
    CK_OBJECT_HANDLE h = 0;
    /* The id is the last row: left out when there is none. */
    CK_RV rv =
        k->p11->C_CreateObject(k->session, t, id.len != 0 ? ARRAY_LEN(t) : ARRAY_LEN(t) - 1, &h);

    return rv == CKR_OK ? 0 : keyring_failed(rv, "storing the certificate", e);
}

static int trust(struct keyring *k, CK_OBJECT_HANDLE cert, struct err *e)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE t = keyring_attribute(CKA_TRUSTED, &yes, sizeof(yes));
    CK_RV rv = k->p11->C_SetAttributeValue(k->session, cert, &t, 1);

    return rv == CKR_OK ? 0 : keyring_failed(rv, "marking the certificate as trusted", e);
}

int keyring_put_cert(struct keyring *k, struct bytes der, struct bytes id, const char *label,
                     bool trusted, bool *was_there, struct err *e)
{
    struct keyring_object *list = NULL;
    bool there = false;
    size_t n = 0;
    int rc = 0;

    if (keyring_list(k, CKO_CERTIFICATE, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!bytes_equal(buf_bytes(&list[i].value), der))
            continue;
        there = true;
        if (trusted && !list[i].trusted)
            rc = trust(k, list[i].handle, e);
    }
    keyring_objects_free(list, n);
    if (rc == 0 && !there)
        rc = make_cert(k, der, id, label, trusted, e);
    if (rc == 0 && was_there != NULL)
        *was_there = there;
    return rc;
}

/* The certificate that issued `cert`, among those of the token. */
static int find_issuer(const struct keyring_object *o, size_t n, X509 *cert, X509 **out)
{
    for (size_t i = 0; i < n; i++) {
        struct err ignored = {0}; /* a damaged one is nobody's issuer */
        X509 *other = NULL;

        if (issue_from_der(buf_bytes(&o[i].value), &other, &ignored) == 0 &&
            X509_check_issued(other, cert) == X509_V_OK && X509_cmp(other, cert) != 0) {
            *out = other;
            return 0;
        }
        X509_free(other);
    }
    return -1;
}

int keyring_chain(struct keyring *k, X509 *leaf, struct buf *out, struct err *e)
{
    struct keyring_object *o = NULL;
    X509 *at = leaf, *next = NULL;
    size_t n = 0;
    int rc = -1;

    if (keyring_list(k, CKO_CERTIFICATE, &o, &n, e) != 0)
        return -1;
    /* Two cross-certified CAs can issue each other: the number of steps is bounded. */
    for (size_t steps = 0; steps <= n; steps++) {
        if (issue_to_pem(at, out, e) != 0)
            goto out;
        if (X509_check_issued(at, at) == X509_V_OK || find_issuer(o, n, at, &next) != 0)
            break;
        if (at != leaf)
            X509_free(at);
        at = next;
    }
    rc = 0;
out:
    if (at != leaf)
        X509_free(at);
    keyring_objects_free(o, n);
    return rc;
}

static int destroy(struct keyring *k, CK_OBJECT_HANDLE object, struct err *e)
{
    CK_RV rv = k->p11->C_DestroyObject(k->session, object);

    return rv == CKR_OK ? 0 : keyring_failed(rv, "deleting the object", e);
}

/* Evidence of a key that was renewed is of no more use. */
static int drop_evidence(struct keyring *k, struct bytes name, struct err *e)
{
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_ATTRIBUTE t[] = {
        keyring_attribute(CKA_CLASS, &class, sizeof(class)),
        keyring_attribute(CKA_FUSETSU_NAME, name.p, name.len),
    };
    CK_OBJECT_HANDLE h[16];
    CK_ULONG n = 0;
    CK_RV rv = k->p11->C_FindObjectsInit(k->session, t, ARRAY_LEN(t));

    if (rv == CKR_OK) {
        rv = k->p11->C_FindObjects(k->session, h, ARRAY_LEN(h), &n);
        (void)k->p11->C_FindObjectsFinal(k->session);
    }
    if (rv != CKR_OK)
        return keyring_failed(rv, "looking for older evidence", e);
    for (CK_ULONG i = 0; i < n; i++) {
        if (destroy(k, h[i], e) != 0)
            return -1;
    }
    return 0;
}

int keyring_put_evidence(struct keyring *k, const struct keyring_object *key, struct bytes ak_cert,
                         struct bytes record, struct err *e)
{
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_CERTIFICATE_TYPE x509 = CKC_X_509;
    CK_ULONG other_entity = 3; /* CK_CERTIFICATE_CATEGORY_OTHER_ENTITY */
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    struct key_identity id;
    struct store_key blob = {0};
    struct token *t = NULL;
    CK_OBJECT_HANDLE h = 0;
    char label[160];
    int rc = -1;
    CK_RV rv;

    if (keyring_token(k, &t, e) != 0 || keyring_blob(k, key, &blob, e) != 0)
        return -1;
    if (token_key_identity(t, &blob, &id, e) != 0 ||
        drop_evidence(k, bytes_of(id.name.name, id.name.size), e) != 0)
        goto out;
    snprintf(label, sizeof(label), "evidence: %s", key->label);
    CK_ATTRIBUTE a[] = {
        keyring_attribute(CKA_CLASS, &class, sizeof(class)),
        keyring_attribute(CKA_CERTIFICATE_TYPE, &x509, sizeof(x509)),
        keyring_attribute(CKA_CERTIFICATE_CATEGORY, &other_entity, sizeof(other_entity)),
        keyring_attribute(CKA_TOKEN, &yes, sizeof(yes)),
        keyring_attribute(CKA_PRIVATE, &no, sizeof(no)),
        keyring_attribute(CKA_LABEL, label, strlen(label)),
        keyring_attribute(CKA_VALUE, ak_cert.p, ak_cert.len),
        keyring_attribute(CKA_FUSETSU_NAME, id.name.name, id.name.size),
        keyring_attribute(CKA_FUSETSU_QUALIFIED_NAME, id.qualified.name, id.qualified.size),
        keyring_attribute(CKA_FUSETSU_POLICY, id.policy, id.policy_len),
        keyring_attribute(CKA_FUSETSU_EVIDENCE, record.p, record.len),
    };
    rv = k->p11->C_CreateObject(k->session, a, ARRAY_LEN(a), &h);
    rc = rv == CKR_OK ? 0 : keyring_failed(rv, "keeping the evidence", e);
out:
    store_key_free(&blob);
    return rc;
}

int keyring_get_evidence(struct keyring *k, const struct keyring_object *key, struct buf *out,
                         struct err *e)
{
    uint8_t name[STORE_NAME_MAX];
    CK_ATTRIBUTE of_key = {CKA_FUSETSU_NAME, name, sizeof(name)};
    CK_ATTRIBUTE record = {CKA_FUSETSU_EVIDENCE, NULL, 0};
    CK_OBJECT_CLASS class = CKO_CERTIFICATE;
    CK_OBJECT_HANDLE h = 0;
    CK_ULONG n = 0;
    int rc = -1;

    if (k->p11->C_GetAttributeValue(k->session, key->handle, &of_key, 1) == CKR_OK) {
        CK_ATTRIBUTE t[] = {
            keyring_attribute(CKA_CLASS, &class, sizeof(class)),
            keyring_attribute(CKA_FUSETSU_NAME, name, of_key.ulValueLen),
        };

        if (k->p11->C_FindObjectsInit(k->session, t, ARRAY_LEN(t)) == CKR_OK) {
            (void)k->p11->C_FindObjects(k->session, &h, 1, &n);
            (void)k->p11->C_FindObjectsFinal(k->session);
        }
    }
    if (n == 0 || k->p11->C_GetAttributeValue(k->session, h, &record, 1) != CKR_OK)
        return err_set(e, E_NOT_FOUND,
                       "there is no evidence for key \"%s\" in this token; it comes with a sealed "
                       "credential, see `fusetsu cert import`",
                       key->label);
    record.pValue = malloc(record.ulValueLen + 1);
    if (record.pValue == NULL)
        return err_set(e, E_MEMORY, "out of memory for evidence");
    if (k->p11->C_GetAttributeValue(k->session, h, &record, 1) == CKR_OK) {
        buf_add(out, record.pValue, record.ulValueLen);
        rc = buf_ok(out, e);
    } else {
        err_set(e, E_CORRUPT, "the evidence in this token cannot be read");
    }
    free(record.pValue);
    return rc;
}

/* Evidence speaks of a key that is there. */
static int drop_evidence_of(struct keyring *k, const struct keyring_object *key, struct err *e)
{
    uint8_t name[STORE_NAME_MAX];
    CK_ATTRIBUTE a = {CKA_FUSETSU_NAME, name, sizeof(name)};

    if (k->p11->C_GetAttributeValue(k->session, key->handle, &a, 1) != CKR_OK)
        return 0; /* made by an older version: there is none */
    return drop_evidence(k, bytes_of(name, a.ulValueLen), e);
}

int keyring_destroy_pair(struct keyring *k, const struct keyring_object *key, struct err *e)
{
    struct keyring_object *list = NULL;
    bool alone = false;
    size_t n = 0;
    int rc;

    if (keyring_list(k, CKO_PUBLIC_KEY, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        alone = alone || list[i].handle == key->handle;
    rc = drop_evidence_of(k, key, e);
    if (rc == 0)
        rc = destroy(k, key->handle, e);
    for (size_t i = 0; i < n && rc == 0 && !alone; i++) {
        if (key->id_len != 0 &&
            bytes_equal(bytes_of(key->id, key->id_len), bytes_of(list[i].id, list[i].id_len)))
            rc = destroy(k, list[i].handle, e);
    }
    keyring_objects_free(list, n);
    return rc;
}
