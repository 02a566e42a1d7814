/*
 * A PKCS#11 application for tests that says what pkcs11-tool cannot: it is driven by steps, and
 * objects have names.
 *
 *   p11do MODULE STEP...
 *
 *   open LABEL | open-ro LABEL   a session with that token
 *   login FILE | context FILE    C_Login(CKU_USER | CKU_CONTEXT_SPECIFIC) with the PIN in FILE
 *   find X TEMPLATE              X becomes the first object that fits; prints "X: how many"
 *   create X TEMPLATE            C_CreateObject
 *   generate X MECH TEMPLATE     C_GenerateKey
 *   pair X PUB MECH TEMPLATE PUB-TEMPLATE    C_GenerateKeyPair, X is the private key
 *   derive X MECH BASE TEMPLATE  C_DeriveKey
 *   copy X FROM TEMPLATE         C_CopyObject
 *   unwrap X MECH BY FILE TEMPLATE           C_UnwrapKey
 *   wrap FILE MECH BY KEY        C_WrapKey
 *   set X TEMPLATE               C_SetAttributeValue
 *   get FILE X ATTRIBUTE         its value; for - in hex on standard output
 *   logout | destroy X
 *   sign OUT MECH KEY IN         also encrypt, decrypt: whole files
 *   verify MECH KEY IN SIGNATURE
 *   begin MECH KEY               C_SignInit alone
 *   end OUT IN                   C_Sign alone
 *   fails CKR                    the next step must fail with this value (a name below, or 0x...)
 *   pause                        prints "paused" and stops (SIGSTOP)
 *
 * A MECH is a name of the table below with its parameters behind it, in hex: ecdh:POINT,
 * ecdh-sha256:POINT[:SHARED-DATA], hkdf:SALT:INFO, aes-cbc-pad:IV, aes-ctr:BLOCK, aes-gcm:IV[:AAD],
 * oaep-sha256, ecdsa, ...
 * A TEMPLATE is attributes with commas between: label=text, token, private=no, class=secret,
 * type=aes, id=hex, value=hex or value=@FILE.
 *
 * Exit status 0; 1 with the name of the step and its CKR_ value when one failed; 2 usage.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/p11.h"

#define MAX_ATTRS 32
#define MAX_OBJECTS 64
#define MAX_FILE (1 << 20)
#define MAX_PARTS 4
#define N(a) (sizeof(a) / sizeof((a)[0]))

struct bytes_of {
    CK_BYTE *p;
    CK_ULONG len;
};

struct run {
    CK_FUNCTION_LIST *f;
    CK_SESSION_HANDLE s;
    struct {
        char name[32];
        CK_OBJECT_HANDLE h;
    } object[MAX_OBJECTS];
    size_t objects;
};

static void die(const char *what, const char *which)
{
    fprintf(stderr, "p11do: %s: %s\n", what, which);
    exit(2);
}

/* --- bytes ---------------------------------------------------------------- */

static void *space(size_t n)
{
    void *p = calloc(n + 1, 1);

    if (p == NULL)
        die("memory", "out of it");
    return p;
}

static struct bytes_of of_hex(const char *hex, size_t len)
{
    struct bytes_of b = {space(len / 2), len / 2};

    for (size_t i = 0; i < len / 2; i++) {
        unsigned byte = 0;

        if (len % 2 != 0 || sscanf(hex + 2 * i, "%2x", &byte) != 1)
            die("this is no hex", hex);
        b.p[i] = (CK_BYTE)byte;
    }
    return b;
}

static struct bytes_of of_file(const char *path)
{
    struct bytes_of b = {space(MAX_FILE), 0};
    FILE *f = fopen(path, "re");

    if (f == NULL)
        die("cannot be read", path);
    b.len = fread(b.p, 1, MAX_FILE, f);
    fclose(f);
    return b;
}

static void to_file(const char *path, const CK_BYTE *p, CK_ULONG len)
{
    FILE *f = strcmp(path, "-") == 0 ? NULL : fopen(path, "we");

    if (f != NULL) {
        if (fwrite(p, 1, len, f) != len || fclose(f) != 0)
            die("cannot be written", path);
        return;
    }
    if (strcmp(path, "-") != 0)
        die("cannot be written", path);
    for (CK_ULONG i = 0; i < len; i++)
        printf("%02x", p[i]);
    printf("\n");
    fflush(stdout);
}

/* --- names ---------------------------------------------------------------- */

struct name {
    const char *name;
    CK_ULONG value;
};

/* clang-format off */
static const struct name errors[] = {
#define E(name) {#name, name}
    E(CKR_OK), E(CKR_ENCRYPTED_DATA_INVALID), E(CKR_ATTRIBUTE_SENSITIVE), E(CKR_ATTRIBUTE_TYPE_INVALID),
    E(CKR_ATTRIBUTE_READ_ONLY), E(CKR_DEVICE_ERROR), E(CKR_FUNCTION_FAILED), E(CKR_FUNCTION_REJECTED),
    E(CKR_KEY_FUNCTION_NOT_PERMITTED), E(CKR_KEY_HANDLE_INVALID), E(CKR_KEY_NOT_WRAPPABLE),
    E(CKR_KEY_SIZE_RANGE), E(CKR_KEY_UNEXTRACTABLE), E(CKR_MECHANISM_INVALID),
    E(CKR_OPERATION_NOT_INITIALIZED), E(CKR_PIN_INCORRECT), E(CKR_PIN_LOCKED),
    E(CKR_SIGNATURE_INVALID), E(CKR_USER_NOT_LOGGED_IN), E(CKR_WRAPPED_KEY_INVALID),
#undef E
};
/* clang-format on */
static const struct name classes[] = {
    {"data", CKO_DATA},           {"cert", CKO_CERTIFICATE},  {"public", CKO_PUBLIC_KEY},
    {"private", CKO_PRIVATE_KEY}, {"secret", CKO_SECRET_KEY},
};
static const struct name types[] = {
    {"aes", CKK_AES}, {"generic", CKK_GENERIC_SECRET}, {"hkdf", CKK_HKDF}, {"ec", CKK_EC},
    {"rsa", CKK_RSA},
};

enum kind { BOOL, ULONG, CLASS, TYPE, TEXT, HEX };
static const struct {
    const char *name;
    CK_ATTRIBUTE_TYPE type;
    enum kind kind;
} attributes[] = {
    /* clang-format off */
    {"class", CKA_CLASS, CLASS},    {"type", CKA_KEY_TYPE, TYPE},   {"label", CKA_LABEL, TEXT},
    {"token", CKA_TOKEN, BOOL},     {"private", CKA_PRIVATE, BOOL}, {"sensitive", CKA_SENSITIVE, BOOL},
    {"sign", CKA_SIGN, BOOL},       {"verify", CKA_VERIFY, BOOL},   {"extractable", CKA_EXTRACTABLE, BOOL},
    {"encrypt", CKA_ENCRYPT, BOOL}, {"decrypt", CKA_DECRYPT, BOOL}, {"derive", CKA_DERIVE, BOOL},
    {"wrap", CKA_WRAP, BOOL},       {"unwrap", CKA_UNWRAP, BOOL},   {"always", CKA_ALWAYS_AUTHENTICATE, BOOL},
    {"id", CKA_ID, HEX},            {"value", CKA_VALUE, HEX},      {"len", CKA_VALUE_LEN, ULONG},
    /* clang-format on */
    {"params", CKA_EC_PARAMS, HEX},
    {"point", CKA_EC_POINT, HEX},
    {"bits", CKA_MODULUS_BITS, ULONG},
    {"exponent", CKA_PUBLIC_EXPONENT, HEX},
    {"spki", CKA_PUBLIC_KEY_INFO, HEX},
    {"auth", CKA_FUSETSU_AUTH_MODE, ULONG},
    {"pcrs", CKA_FUSETSU_PCRS, TEXT},
    {"purpose", CKA_FUSETSU_PURPOSE, TEXT},
    {"name", CKA_FUSETSU_NAME, HEX},
    {"qualified-name", CKA_FUSETSU_QUALIFIED_NAME, HEX},
    {"policy", CKA_FUSETSU_POLICY, HEX},
    {"evidence", CKA_FUSETSU_EVIDENCE, HEX},
};

static CK_ULONG number(const struct name *table, size_t n, const char *text)
{
    char *end = NULL;
    CK_ULONG v;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].name, text) == 0)
            return table[i].value;
    }
    v = strtoul(text, &end, 0);
    if (end == text || *end != 0)
        die("no such name", text);
    return v;
}

static const char *error_name(CK_RV rv)
{
    static char hex[2][32]; /* two are named in one message */
    static int turn;

    for (size_t i = 0; i < N(errors); i++) {
        if (errors[i].value == rv)
            return errors[i].name;
    }
    snprintf(hex[turn = !turn], sizeof(hex[0]), "0x%lx", (unsigned long)rv);
    return hex[turn];
}

static size_t attribute_row(const char *name)
{
    size_t i = 0;

    while (i < N(attributes) && strcmp(attributes[i].name, name) != 0)
        i++;
    if (i == N(attributes))
        die("no such attribute", name);
    return i;
}

/* --- templates ------------------------------------------------------------ */

struct template
{
    CK_ATTRIBUTE a[MAX_ATTRS];
    CK_ULONG n;
};

static struct bytes_of value_of(enum kind kind, const char *text)
{
    struct bytes_of b = {NULL, 0};
    CK_ULONG v = 0;

    switch (kind) {
    case TEXT: return (struct bytes_of){(CK_BYTE *)(uintptr_t)text, strlen(text)};
    case HEX: return text[0] == '@' ? of_file(text + 1) : of_hex(text, strlen(text));
    case BOOL:
        b = (struct bytes_of){space(sizeof(CK_BBOOL)), sizeof(CK_BBOOL)};
        b.p[0] = strcmp(text, "no") != 0;
        return b;
    case CLASS: v = number(classes, N(classes), text); break;
    case TYPE: v = number(types, N(types), text); break;
    case ULONG: v = number(NULL, 0, text); break;
    }
    b = (struct bytes_of){space(sizeof(v)), sizeof(v)};
    memcpy(b.p, &v, sizeof(v));
    return b;
}

/* Never freed: it ends with the process. */
static struct template template_of(const char *text)
{
    struct template t = {.n = 0};
    char *copy = space(strlen(text)), *rest = copy, *one;

    memcpy(copy, text, strlen(text));
    while ((one = strsep(&rest, ",")) != NULL) {
        char *value = strchr(one, '=');
        struct bytes_of b;
        size_t row;

        if (*one == 0)
            continue;
        if (value != NULL)
            *value++ = 0;
        row = attribute_row(one);
        b = value_of(attributes[row].kind, value != NULL ? value : "yes");
        if (t.n == MAX_ATTRS)
            die("too many attributes", text);
        t.a[t.n++] = (CK_ATTRIBUTE){attributes[row].type, b.p, b.len};
    }
    return t;
}

/* --- mechanisms ----------------------------------------------------------- */

enum param { NOTHING, IV, CTR, GCM, OAEP, PSS, ECDH, HKDF };
static const struct {
    const char *name;
    CK_MECHANISM_TYPE type;
    enum param param;
    CK_ULONG hash, more; /* MGF or KDF */
} mechanisms[] = {
    {"ec-pair", CKM_EC_KEY_PAIR_GEN, NOTHING, 0, 0},
    {"rsa-pair", CKM_RSA_PKCS_KEY_PAIR_GEN, NOTHING, 0, 0},
    {"aes-key", CKM_AES_KEY_GEN, NOTHING, 0, 0},
    {"generic-key", CKM_GENERIC_SECRET_KEY_GEN, NOTHING, 0, 0},
    {"ecdsa", CKM_ECDSA, NOTHING, 0, 0},
    {"ecdsa-sha1", CKM_ECDSA_SHA1, NOTHING, 0, 0},
    {"ecdsa-sha256", CKM_ECDSA_SHA256, NOTHING, 0, 0},
    {"rsa-pkcs", CKM_RSA_PKCS, NOTHING, 0, 0},
    {"sha256-rsa-pkcs", CKM_SHA256_RSA_PKCS, NOTHING, 0, 0},
    {"sha256-rsa-pss", CKM_SHA256_RSA_PKCS_PSS, PSS, CKM_SHA256, CKG_MGF1_SHA256},
    {"oaep-sha256", CKM_RSA_PKCS_OAEP, OAEP, CKM_SHA256, CKG_MGF1_SHA256},
    {"aes-ecb", CKM_AES_ECB, NOTHING, 0, 0},
    {"aes-cbc", CKM_AES_CBC, IV, 0, 0},
    {"aes-cbc-pad", CKM_AES_CBC_PAD, IV, 0, 0},
    {"aes-ctr", CKM_AES_CTR, CTR, 0, 0},
    {"aes-gcm", CKM_AES_GCM, GCM, 0, 0},
    {"aes-cmac", CKM_AES_CMAC, NOTHING, 0, 0},
    {"aes-key-wrap", CKM_AES_KEY_WRAP, NOTHING, 0, 0},
    {"aes-key-wrap-kwp", CKM_AES_KEY_WRAP_KWP, NOTHING, 0, 0},
    {"aes-key-wrap-pad", CKM_AES_KEY_WRAP_PAD, NOTHING, 0, 0},
    {"sha256-hmac", CKM_SHA256_HMAC, NOTHING, 0, 0},
    {"ecdh", CKM_ECDH1_DERIVE, ECDH, 0, CKD_NULL},
    {"ecdh-sha256", CKM_ECDH1_DERIVE, ECDH, 0, CKD_SHA256_KDF},
    {"hkdf", CKM_HKDF_DERIVE, HKDF, CKM_SHA256, 0},
};

/* Behind the name: up to MAX_PARTS hex strings with colons before them. */
static CK_MECHANISM mechanism_of(const char *text)
{
    struct bytes_of part[MAX_PARTS] = {{NULL, 0}};
    size_t len = strcspn(text, ":"), row = 0, n = 0;
    const char *at = text + len;
    union {
        CK_AES_CTR_PARAMS ctr;
        CK_GCM_PARAMS gcm;
        CK_RSA_PKCS_OAEP_PARAMS oaep;
        CK_RSA_PKCS_PSS_PARAMS pss;
        CK_ECDH1_DERIVE_PARAMS ecdh;
        CK_HKDF_PARAMS hkdf;
    } *p = space(sizeof(*p));
    CK_MECHANISM m = {.mechanism = 0};

    while (row < N(mechanisms) &&
           (strlen(mechanisms[row].name) != len || strncmp(mechanisms[row].name, text, len) != 0))
        row++;
    if (row == N(mechanisms))
        die("no such mechanism", text);
    for (; *at == ':' && n < MAX_PARTS; at += len) {
        len = strcspn(++at, ":");
        part[n++] = of_hex(at, len);
    }
    m = (CK_MECHANISM){mechanisms[row].type, p, 0};
    switch (mechanisms[row].param) {
    case NOTHING: m.pParameter = NULL; break;
    case IV:
        m.pParameter = part[0].p;
        m.ulParameterLen = part[0].len;
        break;
    case CTR:
        p->ctr.ulCounterBits = 128;
        if (part[0].len != sizeof(p->ctr.cb))
            die("a counter block has 16 bytes", text);
        memcpy(p->ctr.cb, part[0].p, sizeof(p->ctr.cb));
        m.ulParameterLen = sizeof(p->ctr);
        break;
    case GCM:
        p->gcm =
            (CK_GCM_PARAMS){part[0].p, part[0].len, part[0].len * 8, part[1].p, part[1].len, 128};
        m.ulParameterLen = sizeof(p->gcm);
        break;
    case OAEP:
        p->oaep = (CK_RSA_PKCS_OAEP_PARAMS){mechanisms[row].hash, mechanisms[row].more,
                                            CKZ_DATA_SPECIFIED, part[0].p, part[0].len};
        m.ulParameterLen = sizeof(p->oaep);
        break;
    case PSS:
        p->pss = (CK_RSA_PKCS_PSS_PARAMS){mechanisms[row].hash, mechanisms[row].more, 32};
        m.ulParameterLen = sizeof(p->pss);
        break;
    case ECDH:
        p->ecdh = (CK_ECDH1_DERIVE_PARAMS){mechanisms[row].more, part[1].len, part[1].p,
                                           part[0].len, part[0].p};
        m.ulParameterLen = sizeof(p->ecdh);
        break;
    case HKDF:
        p->hkdf = (CK_HKDF_PARAMS){.bExtract = CK_TRUE,
                                   .bExpand = CK_TRUE,
                                   .prfHashMechanism = mechanisms[row].hash,
                                   .ulSaltType = CKF_HKDF_SALT_DATA,
                                   .pSalt = part[0].p,
                                   .ulSaltLen = part[0].len,
                                   .pInfo = part[1].p,
                                   .ulInfoLen = part[1].len};
        m.ulParameterLen = sizeof(p->hkdf);
        break;
    }
    return m;
}

/* --- steps ---------------------------------------------------------------- */

static CK_OBJECT_HANDLE *object(struct run *r, const char *name, bool new)
{
    size_t i = 0;

    while (i < r->objects && strcmp(r->object[i].name, name) != 0)
        i++;
    if (i == r->objects) {
        if (!new || i == MAX_OBJECTS || strlen(name) >= sizeof(r->object[i].name))
            die("no such object", name);
        memcpy(r->object[i].name, name, strlen(name));
        r->objects++;
    }
    return &r->object[i].h;
}
#define OLD(i) (*object(r, a[i], false))
#define NEW(i) object(r, a[i], true)

static CK_RV open_session(struct run *r, const char *label, CK_FLAGS flags)
{
    CK_SLOT_ID slot[64];
    CK_ULONG n = N(slot);
    CK_TOKEN_INFO info;
    CK_RV rv = r->f->C_GetSlotList(CK_TRUE, slot, &n);

    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        size_t len = strlen(label);

        if (r->f->C_GetTokenInfo(slot[i], &info) == CKR_OK && len < sizeof(info.label) &&
            memcmp(info.label, label, len) == 0 && info.label[len] == ' ')
            return r->f->C_OpenSession(slot[i], CKF_SERIAL_SESSION | flags, NULL, NULL, &r->s);
    }
    die("no such token", label);
    return rv;
}

static CK_RV do_open(struct run *r, char **a)
{
    return open_session(r, a[0], CKF_RW_SESSION);
}

static CK_RV do_open_ro(struct run *r, char **a)
{
    return open_session(r, a[0], 0);
}

static CK_RV login(struct run *r, const char *path, CK_USER_TYPE who)
{
    struct bytes_of pin = of_file(path);
    CK_RV rv = r->f->C_Login(r->s, who, pin.p, pin.len);

    explicit_bzero(pin.p, pin.len);
    return rv;
}

static CK_RV do_login(struct run *r, char **a)
{
    return login(r, a[0], CKU_USER);
}

static CK_RV do_context(struct run *r, char **a)
{
    return login(r, a[0], CKU_CONTEXT_SPECIFIC);
}

static CK_RV do_logout(struct run *r, char **a)
{
    (void)a;
    return r->f->C_Logout(r->s);
}

static CK_RV do_find(struct run *r, char **a)
{
    struct template t = template_of(a[1]);
    CK_OBJECT_HANDLE h[256];
    CK_ULONG n = 0;
    CK_RV rv = r->f->C_FindObjectsInit(r->s, t.a, t.n);

    if (rv != CKR_OK)
        return rv;
    rv = r->f->C_FindObjects(r->s, h, N(h), &n);
    (void)r->f->C_FindObjectsFinal(r->s);
    if (rv == CKR_OK && n > 0)
        *NEW(0) = h[0];
    printf("%s: %lu\n", a[0], (unsigned long)n);
    fflush(stdout);
    return rv;
}

static CK_RV do_create(struct run *r, char **a)
{
    struct template t = template_of(a[1]);

    return r->f->C_CreateObject(r->s, t.a, t.n, NEW(0));
}

static CK_RV do_generate(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[1]);
    struct template t = template_of(a[2]);

    return r->f->C_GenerateKey(r->s, &m, t.a, t.n, NEW(0));
}

static CK_RV do_pair(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[2]);
    struct template t = template_of(a[3]), pub = template_of(a[4]);
    CK_OBJECT_HANDLE *x = NEW(0);

    return r->f->C_GenerateKeyPair(r->s, &m, pub.a, pub.n, t.a, t.n, NEW(1), x);
}

static CK_RV do_derive(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[1]);
    struct template t = template_of(a[3]);
    CK_OBJECT_HANDLE base = OLD(2);

    return r->f->C_DeriveKey(r->s, &m, base, t.a, t.n, NEW(0));
}

static CK_RV do_copy(struct run *r, char **a)
{
    struct template t = template_of(a[2]);
    CK_OBJECT_HANDLE from = OLD(1);

    return r->f->C_CopyObject(r->s, from, t.a, t.n, NEW(0));
}

static CK_RV do_unwrap(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[1]);
    CK_OBJECT_HANDLE by = OLD(2);
    struct bytes_of in = of_file(a[3]);
    struct template t = template_of(a[4]);

    return r->f->C_UnwrapKey(r->s, &m, by, in.p, in.len, t.a, t.n, NEW(0));
}

static CK_RV do_wrap(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[1]);
    CK_ULONG len = MAX_FILE;
    CK_BYTE *out = space(len);
    CK_RV rv = r->f->C_WrapKey(r->s, &m, OLD(2), OLD(3), out, &len);

    if (rv == CKR_OK)
        to_file(a[0], out, len);
    return rv;
}

static CK_RV do_set(struct run *r, char **a)
{
    struct template t = template_of(a[1]);

    return r->f->C_SetAttributeValue(r->s, OLD(0), t.a, t.n);
}

static CK_RV do_get(struct run *r, char **a)
{
    CK_ATTRIBUTE one = {attributes[attribute_row(a[2])].type, space(MAX_FILE), MAX_FILE};
    CK_RV rv = r->f->C_GetAttributeValue(r->s, OLD(1), &one, 1);

    if (rv == CKR_OK)
        to_file(a[0], one.pValue, one.ulValueLen);
    return rv;
}

static CK_RV do_destroy(struct run *r, char **a)
{
    return r->f->C_DestroyObject(r->s, OLD(0));
}

static CK_RV do_begin(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[0]);

    return r->f->C_SignInit(r->s, &m, OLD(1));
}

static CK_RV do_end(struct run *r, char **a)
{
    struct bytes_of in = of_file(a[1]);
    CK_ULONG len = MAX_FILE;
    CK_BYTE *out = space(len);
    CK_RV rv = r->f->C_Sign(r->s, in.p, in.len, out, &len);

    if (rv == CKR_OK)
        to_file(a[0], out, len);
    return rv;
}

static CK_RV do_sign(struct run *r, char **a)
{
    CK_RV rv = do_begin(r, a + 1);
    char *both[] = {a[0], a[3]};

    return rv == CKR_OK ? do_end(r, both) : rv;
}

/* C_Encrypt and C_Decrypt are alike. */
static CK_RV whole_file(struct run *r, char **a, CK_C_EncryptInit init, CK_C_Encrypt all)
{
    CK_MECHANISM m = mechanism_of(a[1]);
    struct bytes_of in = of_file(a[3]);
    CK_ULONG len = MAX_FILE;
    CK_BYTE *out = space(len);
    CK_RV rv = init(r->s, &m, OLD(2));

    if (rv == CKR_OK)
        rv = all(r->s, in.p, in.len, out, &len);
    if (rv == CKR_OK)
        to_file(a[0], out, len);
    return rv;
}

static CK_RV do_encrypt(struct run *r, char **a)
{
    return whole_file(r, a, r->f->C_EncryptInit, r->f->C_Encrypt);
}

static CK_RV do_decrypt(struct run *r, char **a)
{
    return whole_file(r, a, r->f->C_DecryptInit, r->f->C_Decrypt);
}

static CK_RV do_verify(struct run *r, char **a)
{
    CK_MECHANISM m = mechanism_of(a[0]);
    struct bytes_of in = of_file(a[2]), sig = of_file(a[3]);
    CK_RV rv = r->f->C_VerifyInit(r->s, &m, OLD(1));

    return rv == CKR_OK ? r->f->C_Verify(r->s, in.p, in.len, sig.p, sig.len) : rv;
}

static CK_RV do_pause(struct run *r, char **a)
{
    (void)r;
    (void)a;
    printf("paused\n");
    fflush(stdout);
    return raise(SIGSTOP) == 0 ? CKR_OK : CKR_GENERAL_ERROR;
}

static const struct step {
    const char *name;
    CK_RV (*run)(struct run *r, char **args);
    int args;
} steps[] = {
    {"open", do_open, 1},       {"open-ro", do_open_ro, 1},   {"login", do_login, 1},
    {"context", do_context, 1}, {"logout", do_logout, 0},     {"find", do_find, 2},
    {"create", do_create, 2},   {"generate", do_generate, 3}, {"pair", do_pair, 5},
    {"derive", do_derive, 4},   {"copy", do_copy, 3},         {"unwrap", do_unwrap, 5},
    {"wrap", do_wrap, 4},       {"set", do_set, 2},           {"get", do_get, 3},
    {"destroy", do_destroy, 1}, {"begin", do_begin, 2},       {"end", do_end, 2},
    {"sign", do_sign, 4},       {"encrypt", do_encrypt, 4},   {"decrypt", do_decrypt, 4},
    {"verify", do_verify, 4},   {"pause", do_pause, 0},
};

static const struct step *step_named(const char *name)
{
    for (size_t i = 0; i < N(steps); i++) {
        if (strcmp(steps[i].name, name) == 0)
            return &steps[i];
    }
    die("no such step", name);
    return NULL;
}

static CK_FUNCTION_LIST *load(const char *path)
{
    CK_C_GetFunctionList get = NULL;
    CK_FUNCTION_LIST *f = NULL;
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (so != NULL)
        *(void **)&get = dlsym(so, "C_GetFunctionList");
    if (get == NULL || get(&f) != CKR_OK)
        die("is no PKCS#11 module", path);
    return f;
}

int main(int argc, char **argv)
{
    struct run r = {.f = NULL};
    CK_RV want = CKR_OK, rv;

    if (argc < 3)
        die("usage", "p11do MODULE STEP...");
    r.f = load(argv[1]);
    rv = r.f->C_Initialize(NULL);
    for (int i = 2; i < argc && rv == CKR_OK; i++) {
        const struct step *s;

        if (strcmp(argv[i], "fails") == 0 && i + 1 < argc) {
            want = number(errors, N(errors), argv[++i]);
            continue;
        }
        s = step_named(argv[i]);
        if (i + s->args >= argc)
            die("arguments are missing", s->name);
        rv = s->run(&r, argv + i + 1);
        if (rv != want) {
            fprintf(stderr, "p11do: %s %s: %s, not %s\n", s->name, s->args > 0 ? argv[i + 1] : "",
                    error_name(rv), error_name(want));
            return 1;
        }
        rv = want = CKR_OK;
        i += s->args;
    }
    if (rv == CKR_OK)
        rv = r.f->C_Finalize(NULL);
    if (rv != CKR_OK)
        fprintf(stderr, "p11do: C_Initialize or C_Finalize: %s\n", error_name(rv));
    return rv == CKR_OK ? 0 : 1;
}
