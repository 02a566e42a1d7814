/* Objects that are no keys, and what holds for all of them (Base 4 and 5.7). */
#include "tests/conformance/ref.h"

static CK_OBJECT_HANDLE data(bool token, CK_ATTRIBUTE extra)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_DATA),    LABEL, BOOL(CKA_TOKEN, token), NO(CKA_PRIVATE),
        TEXT(CKA_VALUE, "a value"), extra,
    };

    return keys_create(t, extra.type == CKA_CLASS ? N(t) - 1 : N(t));
}
#define NOTHING_MORE ((CK_ATTRIBUTE){CKA_CLASS, NULL, 0})

/* Whether the argument asks for a token object; tables of names below. */
static const bool places[] = {false, true};
static const char *const place_names[] = {"session", "token"};

/* Base 4.3 and 4.4: a data object with its defaults. */
static void data_object(const void *arg)
{
    const bool *token = arg;
    CK_OBJECT_HANDLE h = data(*token, NOTHING_MORE);

    keys_is(h, CKA_VALUE, "a value", 7);
    keys_is(h, CKA_LABEL, CONF_LABEL, strlen(CONF_LABEL));
    keys_is(h, CKA_APPLICATION, "", 0);
    keys_is(h, CKA_OBJECT_ID, "", 0);
    MUST(keys_ulong(h, CKA_CLASS) == CKO_DATA, "CKA_CLASS");
    MUST(keys_bool(h, CKA_TOKEN) == *token, "CKA_TOKEN");
    MUST(!keys_bool(h, CKA_PRIVATE), "CKA_PRIVATE");
    MUST(keys_bool(h, CKA_MODIFIABLE), "CKA_MODIFIABLE is true by default");
    keys_destroy(h);
    EXPECT(f->C_DestroyObject(ses, h), CKR_OBJECT_HANDLE_INVALID);
}

/* Base 4.6.3: an X.509 certificate; it needs SUBJECT and VALUE. */
static void certificate(const void *arg)
{
    const bool *token = arg;
    EVP_PKEY *k = ref_new_ec(&keys_curves[0]);
    uint8_t der[REF_MAX], subject[256];
    size_t subject_len = 0, len = ref_cert(k, der, subject, &subject_len);
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_CERTIFICATE),
        UL(CKA_CERTIFICATE_TYPE, CKC_X_509),
        LABEL,
        BOOL(CKA_TOKEN, *token),
        NO(CKA_PRIVATE),
        BYTES(CKA_VALUE, der, len),
        BYTES(CKA_SUBJECT, subject, subject_len),
        TEXT(CKA_ID, "id"),
    };
    CK_OBJECT_HANDLE h = keys_create(t, N(t));

    keys_is(h, CKA_VALUE, der, len);
    keys_is(h, CKA_SUBJECT, subject, subject_len);
    keys_is(h, CKA_ID, "id", 2);
    MUST(keys_ulong(h, CKA_CERTIFICATE_TYPE) == CKC_X_509, "CKA_CERTIFICATE_TYPE");
    MUST(!keys_bool(h, CKA_TRUSTED), "it is trusted without an SO");
    MUST(keys_ulong(h, CKA_CERTIFICATE_CATEGORY) == 0, "CKA_CERTIFICATE_CATEGORY's default is 0");
    keys_destroy(h);
    EVP_PKEY_free(k);
}

static void certificate_incomplete(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_CERTIFICATE), LABEL, NO(CKA_TOKEN),
                        UL(CKA_CERTIFICATE_TYPE, CKC_X_509), TEXT(CKA_ID, "id")};
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_TEMPLATE_INCOMPLETE);
    EXPECT(f->C_CreateObject(ses, t, 3, &h), CKR_TEMPLATE_INCOMPLETE);
}

/* Base 4.6.2: only the SO makes a certificate trusted. */
static void certificate_trusted(const void *arg)
{
    EVP_PKEY *k = ref_new_ec(&keys_curves[0]);
    uint8_t der[REF_MAX], subject[256];
    size_t subject_len = 0, len = ref_cert(k, der, subject, &subject_len);
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_CERTIFICATE),
        UL(CKA_CERTIFICATE_TYPE, CKC_X_509),
        LABEL,
        NO(CKA_TOKEN),
        BYTES(CKA_VALUE, der, len),
        BYTES(CKA_SUBJECT, subject, subject_len),
        YES(CKA_TRUSTED),
    };
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_ATTRIBUTE_READ_ONLY, CKR_USER_NOT_LOGGED_IN,
           CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
    EVP_PKEY_free(k);
}

/* --- templates (Base 4.1.1) ----------------------------------------------- */

static void no_class(const void *arg)
{
    CK_ATTRIBUTE t[] = {LABEL, NO(CKA_TOKEN)};
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_TEMPLATE_INCOMPLETE);
}

/* Base 4.1.1 rule 1: an attribute that is not valid for the object. */
static void unknown_attribute(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, NO(CKA_PRIVATE), YES(0x3fff1234UL)};
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_ATTRIBUTE_TYPE_INVALID);
    t[3] = (CK_ATTRIBUTE)UL(CKA_MODULUS_BITS, 2048);
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_ATTRIBUTE_TYPE_INVALID,
           CKR_TEMPLATE_INCONSISTENT);
}

/* Rule 2: a value that is none. */
static void invalid_value(const void *arg)
{
    CK_BYTE three[3] = {1, 1, 1};
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, BYTES(CKA_PRIVATE, three, 3)};
    CK_ATTRIBUTE c[] = {BYTES(CKA_CLASS, three, 3), LABEL};
    CK_ATTRIBUTE u[] = {UL(CKA_CLASS, 0x7777), LABEL};
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_ATTRIBUTE_VALUE_INVALID);
    EXPECT(f->C_CreateObject(ses, c, N(c), &h), CKR_ATTRIBUTE_VALUE_INVALID,
           CKR_TEMPLATE_INCOMPLETE);
    EXPECT(f->C_CreateObject(ses, u, N(u), &h), CKR_ATTRIBUTE_VALUE_INVALID,
           CKR_TEMPLATE_INCONSISTENT);
}

/* Rule 5: the same attribute with two values. */
static void duplicate(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, NO(CKA_PRIVATE), TEXT(CKA_VALUE, "1"),
                        TEXT(CKA_VALUE, "2")};
    CK_OBJECT_HANDLE h;

    (void)arg;
    EXPECT(f->C_CreateObject(ses, t, N(t), &h), CKR_TEMPLATE_INCONSISTENT);
}

/* A failed C_CreateObject leaves nothing behind (Base 4.1.1). */
static void no_leftovers(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL,           TEXT(CKA_APPLICATION, "leftover"),
                        YES(CKA_TOKEN),          NO(CKA_PRIVATE), YES(CKA_MODULUS_BITS)};
    CK_OBJECT_HANDLE h;
    CK_ULONG n = 9;

    (void)arg;
    MUST(f->C_CreateObject(ses, t, N(t), &h) != CKR_OK, "a data object with CKA_MODULUS_BITS");
    OK(f->C_FindObjectsInit(ses, t + 1, 2));
    OK(f->C_FindObjects(ses, &h, 1, &n));
    OK(f->C_FindObjectsFinal(ses));
    MUST(n == 0, "it is there");
}

/* --- C_GetAttributeValue (Base 5.7) --------------------------------------- */

static void get_length(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE);
    CK_ATTRIBUTE a[] = {{CKA_VALUE, NULL, 0}, {CKA_LABEL, NULL, 99}, {CKA_TOKEN, NULL, 0}};

    (void)arg;
    OK(f->C_GetAttributeValue(ses, h, a, N(a)));
    MUST(a[0].ulValueLen == 7 && a[1].ulValueLen == strlen(CONF_LABEL) && a[2].ulValueLen == 1,
         "wrong lengths: %lu, %lu, %lu", a[0].ulValueLen, a[1].ulValueLen, a[2].ulValueLen);
}

/* Cases 2 and 5: -1 for what is not there or too small, and all others are filled. */
static void get_partial(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE);
    CK_BYTE v[16], small[2], label[64], token = 9;
    CK_ATTRIBUTE a[] = {
        {CKA_MODULUS, v, sizeof v},
        {CKA_LABEL, label, sizeof label},
        {CKA_VALUE, small, sizeof small},
        {CKA_TOKEN, &token, 1},
    };

    (void)arg;
    EXPECT(f->C_GetAttributeValue(ses, h, a, N(a)), CKR_ATTRIBUTE_TYPE_INVALID,
           CKR_BUFFER_TOO_SMALL);
    MUST(a[0].ulValueLen == CK_UNAVAILABLE_INFORMATION, "no -1 for the attribute it has not");
    MUST(a[1].ulValueLen == strlen(CONF_LABEL) && memcmp(label, CONF_LABEL, a[1].ulValueLen) == 0,
         "the label is not filled");
    MUST(a[2].ulValueLen == CK_UNAVAILABLE_INFORMATION, "no -1 for the buffer too small");
    MUST(a[3].ulValueLen == 1 && token == CK_FALSE, "CKA_TOKEN behind them is not filled");
}

static void get_type_invalid(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE);
    CK_ATTRIBUTE a = {CKA_MODULUS, NULL, 0};

    (void)arg;
    EXPECT(f->C_GetAttributeValue(ses, h, &a, 1), CKR_ATTRIBUTE_TYPE_INVALID);
    MUST(a.ulValueLen == CK_UNAVAILABLE_INFORMATION, "no -1");
}

static void get_too_small(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE);
    CK_BYTE v[16] = {0x55};
    CK_ATTRIBUTE a = {CKA_VALUE, v, 6};

    (void)arg;
    EXPECT(f->C_GetAttributeValue(ses, h, &a, 1), CKR_BUFFER_TOO_SMALL);
    MUST(a.ulValueLen == CK_UNAVAILABLE_INFORMATION, "no -1");
    a.ulValueLen = 7;
    OK(f->C_GetAttributeValue(ses, h, &a, 1));
    conf_same("CKA_VALUE", v, a.ulValueLen, "a value", 7);
}

/* --- changes -------------------------------------------------------------- */

/* Base 4.4: CKA_LABEL can be changed. Of a data object's own attributes nothing is said. */
static void set(const void *arg)
{
    const bool *token = arg;
    CK_OBJECT_HANDLE h = data(*token, NOTHING_MORE);
    CK_ATTRIBUTE label[] = {TEXT(CKA_LABEL, CONF_LABEL ", changed"), LABEL};
    CK_ATTRIBUTE value = TEXT(CKA_VALUE, "another");

    OK(f->C_SetAttributeValue(ses, h, label, 1));
    keys_is(h, CKA_LABEL, CONF_LABEL ", changed", strlen(CONF_LABEL ", changed"));
    OK(f->C_SetAttributeValue(ses, h, label + 1, 1));
    keys_is(h, CKA_LABEL, CONF_LABEL, strlen(CONF_LABEL));
    if (EXPECT(f->C_SetAttributeValue(ses, h, &value, 1), CKR_OK, CKR_ATTRIBUTE_READ_ONLY) ==
        CKR_OK)
        keys_is(h, CKA_VALUE, "another", 7);
    else
        keys_is(h, CKA_VALUE, "a value", 7);
    keys_destroy(h);
}

/* Base 4.3 Table 15 and 5.7: CLASS, TOKEN, PRIVATE and MODIFIABLE are fixed. All or nothing. */
static void set_fixed(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE);
    CK_ATTRIBUTE class[] = {TEXT(CKA_APPLICATION, "app"), UL(CKA_CLASS, CKO_CERTIFICATE)};
    CK_ATTRIBUTE token = YES(CKA_TOKEN), private = YES(CKA_PRIVATE), unknown = YES(CKA_MODULUS);
    CK_ATTRIBUTE modifiable = NO(CKA_MODIFIABLE);

    (void)arg;
    EXPECT(f->C_SetAttributeValue(ses, h, class, N(class)), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    keys_is(h, CKA_APPLICATION, "", 0);
    EXPECT(f->C_SetAttributeValue(ses, h, &token, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    EXPECT(f->C_SetAttributeValue(ses, h, &private, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    EXPECT(f->C_SetAttributeValue(ses, h, &modifiable, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
    EXPECT(f->C_SetAttributeValue(ses, h, &unknown, 1), CKR_ATTRIBUTE_TYPE_INVALID,
           CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
}

/* Base 4.3: CKA_MODIFIABLE false. CKR_ACTION_PROHIBITED since 2.40; before, READ_ONLY. */
static void not_modifiable(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, (CK_ATTRIBUTE)NO(CKA_MODIFIABLE));
    CK_ATTRIBUTE a = TEXT(CKA_LABEL, "another");

    (void)arg;
    EXPECT(f->C_SetAttributeValue(ses, h, &a, 1), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY);
    keys_is(h, CKA_LABEL, CONF_LABEL, strlen(CONF_LABEL));
}

static void not_copyable(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, (CK_ATTRIBUTE)NO(CKA_COPYABLE)), copy;
    CK_ATTRIBUTE yes = YES(CKA_COPYABLE), label = LABEL;

    (void)arg;
    MUST(!keys_bool(h, CKA_COPYABLE), "CKA_COPYABLE is not kept");
    EXPECT(conf_supported(f->C_CopyObject(ses, h, &label, 1, &copy)), CKR_ACTION_PROHIBITED);
    EXPECT(f->C_SetAttributeValue(ses, h, &yes, 1), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT, CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void not_destroyable(const void *arg)
{
    CK_SESSION_HANDLE own = conf_open(CKF_RW_SESSION), mine = ses;
    CK_OBJECT_HANDLE h;

    (void)arg;
    ses = own;
    h = data(false, (CK_ATTRIBUTE)NO(CKA_DESTROYABLE));
    MUST(!keys_bool(h, CKA_DESTROYABLE), "CKA_DESTROYABLE is not kept");
    EXPECT(f->C_DestroyObject(ses, h), CKR_ACTION_PROHIBITED);
    OK(f->C_CloseSession(own));
    ses = mine;
    EXPECT(f->C_DestroyObject(ses, h), CKR_OBJECT_HANDLE_INVALID);
}

/* --- copies (Base 5.7 C_CopyObject) --------------------------------------- */

static void copy(const void *arg)
{
    const bool *token = arg;
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE), c = 0;
    CK_ATTRIBUTE t[] = {BOOL(CKA_TOKEN, *token), TEXT(CKA_LABEL, CONF_LABEL ", changed")};

    OK(conf_supported(f->C_CopyObject(ses, h, t, N(t), &c)));
    MUST(c != h && c != CK_INVALID_HANDLE, "the copy has no handle of its own");
    keys_is(c, CKA_VALUE, "a value", 7);
    keys_is(c, CKA_LABEL, CONF_LABEL ", changed", strlen(CONF_LABEL ", changed"));
    keys_is(h, CKA_LABEL, CONF_LABEL, strlen(CONF_LABEL));
    MUST(keys_bool(c, CKA_TOKEN) == *token, "CKA_TOKEN");
    keys_destroy(h);
    keys_is(c, CKA_VALUE, "a value", 7);
    keys_destroy(c);
}

static void copy_wrong(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE), c;
    CK_ATTRIBUTE class = UL(CKA_CLASS, CKO_CERTIFICATE);

    (void)arg;
    EXPECT(conf_supported(f->C_CopyObject(ses, h, &class, 1, &c)), CKR_ATTRIBUTE_READ_ONLY,
           CKR_TEMPLATE_INCONSISTENT);
}

/* --- the rest ------------------------------------------------------------- */

/* Base 5.7: an application does not have to rely on it; it may be unavailable. */
static void size(const void *arg)
{
    CK_OBJECT_HANDLE h = data(false, NOTHING_MORE);
    CK_ULONG n = 0;
    CK_RV rv = f->C_GetObjectSize(ses, h, &n);

    (void)arg;
    if (rv == CKR_INFORMATION_SENSITIVE || rv == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
    MUST(n >= 7, "%lu bytes", n);
}

/* Base 3.0, 4.4: CKA_UNIQUE_ID is given by the token, lasts, and cannot be set. */
static void unique_id(const void *arg)
{
    CK_OBJECT_HANDLE a, b;
    CK_BYTE x[128], y[128];
    CK_ULONG n, m;
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, NO(CKA_PRIVATE), TEXT(CKA_UNIQUE_ID, "1")};

    (void)arg;
    conf_need_3_0();
    a = data(true, NOTHING_MORE);
    b = data(false, NOTHING_MORE);
    n = keys_bytes(a, CKA_UNIQUE_ID, x, sizeof x);
    m = keys_bytes(b, CKA_UNIQUE_ID, y, sizeof y);
    MUST(n > 0 && m > 0 && (n != m || memcmp(x, y, n) != 0), "two objects with one CKA_UNIQUE_ID");
    EXPECT(f->C_SetAttributeValue(ses, a, t + 3, 1), CKR_ATTRIBUTE_READ_ONLY);
    EXPECT(f->C_CreateObject(ses, t, N(t), &b), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
    keys_destroy(a);
}

/* A token object is there after C_Finalize and C_Initialize, with a new handle perhaps. */
static void lasts(const void *arg)
{
    CK_ATTRIBUTE t[] = {UL(CKA_CLASS, CKO_DATA), LABEL, YES(CKA_TOKEN), YES(CKA_PRIVATE),
                        TEXT(CKA_VALUE, "kept")};
    CK_OBJECT_HANDLE h = 0;
    CK_ULONG n = 0;

    (void)arg;
    ses = conf_open(CKF_RW_SESSION);
    conf_login(ses, CKU_USER);
    OK(f->C_CreateObject(ses, t, N(t), &h));
    OK(f->C_Finalize(NULL));
    OK(f->C_Initialize(NULL));
    ses = conf_open(CKF_RW_SESSION);
    conf_login(ses, CKU_USER);
    OK(f->C_FindObjectsInit(ses, t, N(t)));
    OK(f->C_FindObjects(ses, &h, 1, &n));
    OK(f->C_FindObjectsFinal(ses));
    MUST(n == 1, "it is gone");
    keys_is(h, CKA_VALUE, "kept", 4);
    keys_destroy(h);
}

void objects_checks(void)
{
    for (size_t i = 0; i < N(places); i++) {
        conf_add(CONF_USER, data_object, &places[i], "objects/data/%s", place_names[i]);
        conf_add(CONF_USER, certificate, &places[i], "objects/certificate/%s", place_names[i]);
        conf_add(CONF_USER, set, &places[i], "objects/set/%s", place_names[i]);
        conf_add(CONF_USER, copy, &places[i], "objects/copy/to-%s", place_names[i]);
    }
    conf_add(CONF_USER, certificate_incomplete, NULL, "objects/certificate/incomplete");
    conf_add(CONF_USER, certificate_trusted, NULL, "objects/certificate/trusted-by-user");
    conf_add(CONF_USER, no_class, NULL, "objects/template/no-class");
    conf_add(CONF_USER, unknown_attribute, NULL, "objects/template/unknown-attribute");
    conf_add(CONF_USER, invalid_value, NULL, "objects/template/invalid-value");
    conf_add(CONF_USER, duplicate, NULL, "objects/template/duplicate");
    conf_add(CONF_USER, no_leftovers, NULL, "objects/template/failure-leaves-nothing");
    conf_add(CONF_USER, get_length, NULL, "objects/get/length-only");
    conf_add(CONF_USER, get_partial, NULL, "objects/get/partial");
    conf_add(CONF_USER, get_type_invalid, NULL, "objects/get/type-invalid");
    conf_add(CONF_USER, get_too_small, NULL, "objects/get/too-small");
    conf_add(CONF_USER, set_fixed, NULL, "objects/set/fixed-attributes");
    conf_add(CONF_USER, not_modifiable, NULL, "objects/not-modifiable");
    conf_add(CONF_USER, not_copyable, NULL, "objects/not-copyable");
    conf_add(CONF_USER, not_destroyable, NULL, "objects/not-destroyable");
    conf_add(CONF_USER, copy_wrong, NULL, "objects/copy/another-class");
    conf_add(CONF_USER, size, NULL, "objects/size");
    conf_add(CONF_USER, unique_id, NULL, "objects/unique-id");
    conf_add(CONF_INIT, lasts, NULL, "objects/token-objects-last");
}
