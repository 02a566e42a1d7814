#include "cli/keyring_priv.h"

#include "cli/pin.h"
#include "cli/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Certificates and public keys are smaller; a larger attribute is not ours. */
#define KEYRING_VALUE_MAX ((size_t)64 << 10)

/* Return values that a user meets, for the case that the module gives no reason. */
static const struct {
    CK_RV rv;
    enum err_code code;
    const char *text;
} reasons[] = {
    {CKR_PIN_INCORRECT, E_PIN_WRONG, "the PIN is wrong"},
    {CKR_PIN_LOCKED, E_PIN_LOCKED,
     "the PIN is locked; `fusetsu token unblock` sets a new one with the SO PIN"},
    {CKR_PIN_LEN_RANGE, E_PIN_LENGTH, "the PIN is too short or too long (6 to 64 bytes)"},
    {CKR_PIN_INVALID, E_PIN_LENGTH, "the PIN holds something that a PIN cannot hold"},
    {CKR_USER_PIN_NOT_INITIALIZED, E_PIN_UNSET,
     "the token has no user PIN yet; `fusetsu token unblock` sets it with the SO PIN"},
    {CKR_USER_NOT_LOGGED_IN, E_LOGIN, "this needs the user PIN"},
    {CKR_DEVICE_ERROR, E_NO_DEVICE, "the TPM does not answer; check `tcti` in the settings"},
    {CKR_DEVICE_REMOVED, E_REMOVED, "the TPM went away; connect it and try again"},
    {CKR_TOKEN_NOT_PRESENT, E_NO_DEVICE, "the TPM that holds this token cannot be reached"},
    {CKR_SLOT_ID_INVALID, E_NOT_FOUND, "the token is no longer in the store"},
    {CKR_TOKEN_WRITE_PROTECTED, E_DENIED, "the store cannot be written; check its permissions"},
    {CKR_DEVICE_MEMORY, E_FULL, "the TPM has no room left; end other users of it and try again"},
    {CKR_HOST_MEMORY, E_MEMORY, "out of memory"},
    {CKR_MECHANISM_INVALID, E_UNSUPPORTED, "this TPM cannot make that kind of key"},
    {CKR_KEY_SIZE_RANGE, E_UNSUPPORTED, "this TPM cannot make a key of that size"},
    {CKR_CURVE_NOT_SUPPORTED, E_UNSUPPORTED, "this TPM does not have that curve"},
};

int keyring_failed(CK_RV rv, const char *what, struct err *e)
{
    struct err last = p11_last_error();

    if (last.code != E_OK)
        return err_set_rc(e, last.code, last.rc, "%s", last.msg);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].rv == rv)
            return err_set(e, reasons[i].code, "%s: %s", what, reasons[i].text);
    }
    return err_set(e, E_TPM, "%s failed with PKCS#11 code 0x%lx", what, (unsigned long)rv);
}

/* --- opening ------------------------------------------------------------- */

static int find_row(struct cli *c, const char *name, struct store_token *row, struct err *e)
{
    struct place at = {0};
    int rc = place_look(c, name, &at, row, e);

    place_close(&at);
    return rc;
}

static bool is_slot(struct keyring *k, CK_SLOT_ID id)
{
    CK_TOKEN_INFO info;

    if (k->p11->C_GetTokenInfo(id, &info) != CKR_OK ||
        memcmp(info.serialNumber, k->row.serial, sizeof(info.serialNumber)) != 0)
        return false;
    k->slot = id;
    return true;
}

/* The slot with that token. Those of the store are numbered like its rows. */
static int find_slot(struct keyring *k, struct err *e)
{
    CK_SLOT_ID list[64];
    CK_SESSION_HANDLE none;
    CK_ULONG n = 0;
    CK_RV rv;

    if (is_slot(k, (CK_SLOT_ID)k->row.id))
        return 0;
    rv = k->p11->C_GetSlotList(CK_TRUE, NULL, &n);
    n = ARRAY_LEN(list);
    if (rv == CKR_OK)
        rv = k->p11->C_GetSlotList(CK_TRUE, list, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        if (is_slot(k, list[i]))
            return 0;
    }
    /* The module says why where it is asked to open one, such as that it does not use the store. */
    if (rv == CKR_OK)
        rv = k->p11->C_OpenSession((CK_SLOT_ID)k->row.id, CKF_SERIAL_SESSION, NULL, NULL, &none);
    if (rv == CKR_OK)
        k->p11->C_CloseSession(none);
    return keyring_failed(rv == CKR_OK ? CKR_TOKEN_NOT_PRESENT : rv, "looking for the token", e);
}

static int login(struct keyring *k, struct cli *c, bool officer, const struct secret *known,
                 struct err *e)
{
    struct err ignored = {0}; /* the login's own failure is told then */
    struct secret *pin = NULL;
    struct store_token now;
    char what[64];
    CK_RV rv;
    int rc = -1;

    snprintf(what, sizeof(what), "%s PIN of %s", officer ? "SO" : "user", k->row.label);
    if (known != NULL)
        pin = secret_copy(secret_peek(known), secret_len(known), e);
    if (pin == NULL &&
        (known != NULL || pin_obtain(c, officer ? PIN_SO : PIN_USER, what, false, &pin, e) != 0))
        return -1;
    /* The table's argument is not const, but the PIN is only read (PKCS#11 2.40, 5.6). */
    rv =
        k->p11->C_Login(k->session, officer ? CKU_SO : CKU_USER, secret_data(pin), secret_len(pin));
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
        k->logged_in = true;
        k->officer = officer;
        rc = 0;
    } else {
        keyring_failed(rv, "login", e);
        if (find_row(c, k->row.serial, &now, &ignored) == 0)
            pin_tries_left(e, what, officer ? now.so_fails : now.user_fails,
                           officer ? now.so_limit : now.user_limit);
    }
    secret_free(pin);
    return rc;
}

int keyring_open_known(struct keyring **out, struct cli *c, const char *name, unsigned use,
                       const struct secret *pin, struct err *e)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | ((use & KEYRING_WRITE) != 0 ? CKF_RW_SESSION : 0);
    struct keyring *k = calloc(1, sizeof(*k));
    CK_RV rv;

    if (k == NULL)
        return err_set(e, E_MEMORY, "out of memory");
    if (find_row(c, name, &k->row, e) != 0)
        goto fail;
    k->p11 = p11_inprocess();
    rv = k->p11->C_Initialize(NULL);
    if (rv != CKR_OK) {
        keyring_failed(rv, "the key module", e);
        goto fail;
    }
    k->initialized = true;
    if (find_slot(k, e) != 0)
        goto fail;
    rv = k->p11->C_OpenSession(k->slot, flags, NULL, NULL, &k->session);
    if (rv != CKR_OK) {
        keyring_failed(rv, "opening the token", e);
        goto fail;
    }
    k->in_session = true;
    if ((use & (KEYRING_LOGIN | KEYRING_SO)) != 0 &&
        login(k, c, (use & KEYRING_SO) != 0, pin, e) != 0)
        goto fail;
    *out = k;
    return 0;
fail:
    keyring_close(k);
    return -1;
}

int keyring_open_named(struct keyring **out, struct cli *c, const char *name, unsigned use,
                       struct err *e)
{
    return keyring_open_known(out, c, name, use, NULL, e);
}

int keyring_open(struct keyring **out, struct cli *c, unsigned use, struct err *e)
{
    return keyring_open_named(out, c, NULL, use, e);
}

void keyring_close(struct keyring *k)
{
    if (k == NULL)
        return;
    if (k->logged_in)
        k->p11->C_Logout(k->session);
    if (k->in_session)
        k->p11->C_CloseSession(k->session);
    if (k->initialized)
        k->p11->C_Finalize(NULL);
    free(k);
}

const struct store_token *keyring_row(const struct keyring *k)
{
    return &k->row;
}

int keyring_token_info(struct keyring *k, CK_TOKEN_INFO *out, struct err *e)
{
    CK_RV rv = k->p11->C_GetTokenInfo(k->slot, out);

    return rv == CKR_OK ? 0 : keyring_failed(rv, "looking at the token", e);
}

int keyring_token(struct keyring *k, struct token **out, struct err *e)
{
    struct token *t = k->logged_in && !k->officer ? p11_session_token(k->session) : NULL;

    if (t == NULL)
        return err_set(e, E_LOGIN, "token %s is not open with its user PIN", k->row.label);
    *out = t;
    return 0;
}

/* --- objects ------------------------------------------------------------- */

CK_ATTRIBUTE keyring_attribute(CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    /* Templates are only read; PKCS#11's pValue is not const for the sake of get. */
    return (CK_ATTRIBUTE){type, (void *)(uintptr_t)value, (CK_ULONG)len};
}

/* Reads one attribute; absent or unreadable ones come out empty. */
static int read_value(struct keyring *k, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type,
                      struct buf *out, struct err *e)
{
    CK_ATTRIBUTE a = {type, NULL, 0};
    uint8_t *p;

    if (k->p11->C_GetAttributeValue(k->session, h, &a, 1) != CKR_OK || a.ulValueLen == 0 ||
        a.ulValueLen > KEYRING_VALUE_MAX)
        return 0;
    p = malloc(a.ulValueLen);
    if (p == NULL)
        return err_set(e, E_MEMORY, "out of memory for an object");
    a.pValue = p;
    if (k->p11->C_GetAttributeValue(k->session, h, &a, 1) == CKR_OK)
        buf_add(out, p, a.ulValueLen);
    free(p);
    return buf_ok(out, e);
}

static bool read_true(struct keyring *k, CK_OBJECT_HANDLE h, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = CK_FALSE;
    CK_ATTRIBUTE a = {type, &value, sizeof(value)};

    return k->p11->C_GetAttributeValue(k->session, h, &a, 1) == CKR_OK && value == CK_TRUE;
}

int keyring_read(struct keyring *k, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE h,
                 struct keyring_object *out, struct err *e)
{
    struct keyring_object o = {.handle = h};
    struct buf label = {0}, id = {0};
    int rc = -1;

    if (read_value(k, h, CKA_LABEL, &label, e) != 0 || read_value(k, h, CKA_ID, &id, e) != 0)
        goto out;
    if (class == CKO_CERTIFICATE && read_value(k, h, CKA_VALUE, &o.value, e) != 0)
        goto out;
    if (class == CKO_PUBLIC_KEY && read_value(k, h, CKA_PUBLIC_KEY_INFO, &o.value, e) != 0)
        goto out;
    snprintf(o.label, sizeof(o.label), "%.*s", (int)label.len,
             label.len != 0 ? (const char *)label.p : "");
    if (id.len != 0 && id.len <= sizeof(o.id)) {
        memcpy(o.id, id.p, id.len);
        o.id_len = id.len;
    }
    o.trusted = class == CKO_CERTIFICATE && read_true(k, h, CKA_TRUSTED);
    *out = o;
    rc = 0;
out:
    buf_free(&label);
    buf_free(&id);
    if (rc != 0)
        buf_free(&o.value);
    return rc;
}

static int search(struct keyring *k, CK_OBJECT_CLASS class, struct keyring_object **out, size_t *n,
                  struct err *e)
{
    struct keyring_object *list = NULL, *more;
    CK_OBJECT_HANDLE h[64];
    CK_ULONG got = 0;
    size_t count = 0;
    CK_RV rv;

    for (;;) {
        rv = k->p11->C_FindObjects(k->session, h, ARRAY_LEN(h), &got);
        if (rv != CKR_OK) {
            keyring_failed(rv, "listing objects", e);
            goto fail;
        }
        if (got == 0)
            break;
        more = realloc(list, (count + got) * sizeof(*list));
        if (more == NULL) {
            err_set(e, E_MEMORY, "out of memory for the list of objects");
            goto fail;
        }
        list = more;
        for (CK_ULONG i = 0; i < got; i++) {
            if (keyring_read(k, class, h[i], &list[count], e) != 0)
                goto fail;
            count++;
        }
    }
    *out = list;
    *n = count;
    return 0;
fail:
    keyring_objects_free(list, count);
    return -1;
}

int keyring_list(struct keyring *k, CK_OBJECT_CLASS class, struct keyring_object **out, size_t *n,
                 struct err *e)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE want[] = {keyring_attribute(CKA_CLASS, &class, sizeof(class)),
                           keyring_attribute(CKA_TOKEN, &yes, sizeof(yes))};
    CK_RV rv = k->p11->C_FindObjectsInit(k->session, want, ARRAY_LEN(want));
    int rc;

    if (rv != CKR_OK)
        return keyring_failed(rv, "listing objects", e);
    rc = search(k, class, out, n, e);
    k->p11->C_FindObjectsFinal(k->session);
    return rc;
}

static const char *class_name(CK_OBJECT_CLASS class)
{
    return class == CKO_CERTIFICATE ? "certificate" : "key";
}

int keyring_find(struct keyring *k, CK_OBJECT_CLASS class, const struct keyring_wanted *w,
                 struct keyring_object *out, struct err *e)
{
    struct keyring_object *list = NULL;
    size_t n = 0, found = 0, at = 0;

    if (keyring_list(k, class, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (w->label != NULL && strcmp(w->label, list[i].label) != 0)
            continue;
        if (w->id.len != 0 && !bytes_equal(w->id, bytes_of(list[i].id, list[i].id_len)))
            continue;
        at = i;
        found++;
    }
    if (found == 1) {
        *out = list[at];
        list[at].value = (struct buf){0};
    } else if (found == 0) {
        err_set(e, E_NOT_FOUND, "token %s holds no such %s%s%s; `fusetsu %s list` shows them",
                k->row.label, class_name(class), w->label != NULL ? " labelled " : "",
                w->label != NULL ? w->label : "", class == CKO_CERTIFICATE ? "cert" : "key");
    } else {
        cli_misuse(e,
                   "%zu of the token's %ss fit; choose one with --id HEX, as `fusetsu %s list` "
                   "shows it",
                   found, class_name(class), class == CKO_CERTIFICATE ? "cert" : "key");
    }
    keyring_objects_free(list, n);
    return found == 1 ? 0 : -1;
}

int keyring_choose(struct keyring *k, struct cli *c, CK_OBJECT_CLASS class,
                   const char *label_option, struct keyring_object *out, struct err *e)
{
    struct wanted w;
    int rc = -1;

    if (wanted_read(&w, c, label_option, e) == 0) {
        if (wanted_any(&w))
            rc = keyring_find(k, class, &w.is, out, e);
        else
            cli_misuse(e, "which %s? name it with --%s LABEL%s or in --uri", class_name(class),
                       label_option, strcmp(label_option, "label") == 0 ? " or --id HEX" : "");
    }
    wanted_free(&w);
    return rc;
}

int keyring_find_pair(struct keyring *k, const struct pubkey *pub, struct keyring_object *out,
                      struct err *e)
{
    struct keyring_object *list = NULL;
    struct pubkey have;
    size_t n = 0, at = 0;
    bool found = false;

    if (keyring_list(k, CKO_PRIVATE_KEY, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n && !found; i++) {
        struct err other = {0}; /* a key that cannot be read is not the one */

        at = i;
        found = keyring_public(k, &list[i], &have, &other) == 0 && pubkey_equal(&have, pub);
    }
    if (found) {
        *out = list[at];
        list[at].value = (struct buf){0};
    } else {
        err_set(e, E_NOT_FOUND,
                "token %s does not hold the private key of this certificate; use "
                "the token that made the request",
                k->row.label);
    }
    keyring_objects_free(list, n);
    return found ? 0 : -1;
}

void keyring_object_free(struct keyring_object *o)
{
    buf_free(&o->value);
}

void keyring_objects_free(struct keyring_object *o, size_t n)
{
    for (size_t i = 0; i < n; i++)
        keyring_object_free(&o[i]);
    free(o);
}

/* --- keys ---------------------------------------------------------------- */

int keyring_blob(struct keyring *k, const struct keyring_object *key, struct store_key *out,
                 struct err *e)
{
    return p11_key_of_object(k->session, key->handle, out, e);
}

int keyring_public(struct keyring *k, const struct keyring_object *key, struct pubkey *out,
                   struct err *e)
{
    struct store_key blob = {0};
    int rc;

    if (keyring_blob(k, key, &blob, e) != 0)
        return -1;
    rc = token_key_public(&blob, out, e);
    store_key_free(&blob);
    return rc;
}
