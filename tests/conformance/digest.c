/* Digests (Mech 2.19 and on), by one part and by several. */
#include "tests/conformance/ref.h"

struct row {
    CK_MECHANISM_TYPE type;
    const char *name;
    CK_ULONG len;
};
static const struct row rows[] = {
    {CKM_SHA_1, "sha1", 20},    {CKM_SHA224, "sha224", 28}, {CKM_SHA256, "sha256", 32},
    {CKM_SHA384, "sha384", 48}, {CKM_SHA512, "sha512", 64},
};

static uint8_t text[1000];

static void fill(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
}

static void one_part(const void *arg)
{
    const struct row *r = arg;
    static const size_t lengths[] = {0, 1, 55, 56, 63, 64, 65, 111, 112, 128, 1000};
    CK_MECHANISM m = MECH(r->type);
    uint8_t want[64], got[80];
    CK_ULONG n;

    conf_need(r->type, CKF_DIGEST);
    fill();
    for (size_t i = 0; i < N(lengths); i++) {
        n = sizeof got;
        ref_digest(ref_hash_name(r->type), text, lengths[i], want);
        OK(f->C_DigestInit(ses, &m));
        OK(f->C_Digest(ses, text, lengths[i], got, &n));
        conf_same("the digest", got, n, want, r->len);
    }
}

/* Splits with empty parts among them. */
static void parts(const void *arg)
{
    const struct row *r = arg;
    static const size_t steps[] = {1, 7, 64, 65, 333, 999};
    CK_MECHANISM m = MECH(r->type);
    uint8_t want[64], got[80];
    CK_ULONG n;

    conf_need(r->type, CKF_DIGEST);
    fill();
    ref_digest(ref_hash_name(r->type), text, sizeof text, want);
    for (size_t i = 0; i < N(steps); i++) {
        OK(f->C_DigestInit(ses, &m));
        OK(f->C_DigestUpdate(ses, text, 0));
        for (size_t at = 0; at < sizeof text; at += steps[i]) {
            size_t len = sizeof text - at < steps[i] ? sizeof text - at : steps[i];

            OK(f->C_DigestUpdate(ses, text + at, len));
        }
        OK(f->C_DigestUpdate(ses, text, 0));
        n = sizeof got;
        OK(f->C_DigestFinal(ses, got, &n));
        conf_same("the digest", got, n, want, r->len);
    }
}

static void nothing(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = MECH(r->type);
    uint8_t want[64], got[80];
    CK_ULONG n = sizeof got;

    conf_need(r->type, CKF_DIGEST);
    ref_digest(ref_hash_name(r->type), "", 0, want);
    OK(f->C_DigestInit(ses, &m));
    OK(f->C_DigestFinal(ses, got, &n));
    conf_same("the digest", got, n, want, r->len);
}

/* Mech 2.20: no parameter. */
static void parameter(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = {r->type, text, 3};

    conf_need(r->type, CKF_DIGEST);
    EXPECT(f->C_DigestInit(ses, &m), CKR_MECHANISM_PARAM_INVALID);
}

/* Base 5.10 C_DigestKey: the value of a secret key. CKR_KEY_INDIGESTIBLE where it may not be. */
static void key(const void *arg)
{
    const struct row *r = arg;
    CK_MECHANISM m = MECH(r->type);
    CK_OBJECT_HANDLE h;
    uint8_t want[64], got[80];
    CK_ULONG n = sizeof got;
    CK_RV rv;

    conf_need(r->type, CKF_DIGEST);
    fill();
    h = keys_import(CKK_GENERIC_SECRET, text + 5, 40, USE_SIGN);
    OK(f->C_DigestInit(ses, &m));
    OK(f->C_DigestUpdate(ses, text, 5));
    rv = f->C_DigestKey(ses, h);
    if (rv == CKR_KEY_INDIGESTIBLE || rv == CKR_FUNCTION_NOT_SUPPORTED)
        conf_skip("%s", conf_ckr(rv));
    OK(rv);
    OK(f->C_DigestUpdate(ses, text + 45, 100));
    OK(f->C_DigestFinal(ses, got, &n));
    ref_digest(ref_hash_name(r->type), text, 145, want);
    conf_same("the digest", got, n, want, r->len);
}

/* Only secret keys are digested (Base 5.10). */
static void key_wrong(const void *arg)
{
    CK_MECHANISM m = MECH(CKM_SHA256);
    const struct keys_pair *p = keys_ec(&keys_curves[0], USE_SIGN);

    (void)arg;
    conf_need(CKM_SHA256, CKF_DIGEST);
    OK(f->C_DigestInit(ses, &m));
    EXPECT(f->C_DigestKey(ses, p->pub), CKR_KEY_INDIGESTIBLE, CKR_KEY_HANDLE_INVALID,
           CKR_FUNCTION_NOT_SUPPORTED);
    (void)f->C_DigestInit(ses, NULL);
}

/* Two sessions hash at a time. */
static void two(const void *arg)
{
    CK_MECHANISM m = MECH(CKM_SHA256);
    CK_SESSION_HANDLE other = conf_open(0);
    uint8_t want[64], got[64];
    CK_ULONG n = sizeof got;

    (void)arg;
    conf_need(CKM_SHA256, CKF_DIGEST);
    fill();
    OK(f->C_DigestInit(ses, &m));
    OK(f->C_DigestInit(other, &m));
    OK(f->C_DigestUpdate(ses, text, 100));
    OK(f->C_DigestUpdate(other, text, 50));
    OK(f->C_DigestFinal(ses, got, &n));
    ref_digest("SHA256", text, 100, want);
    conf_same("the first", got, n, want, 32);
    n = sizeof got;
    OK(f->C_DigestFinal(other, got, &n));
    ref_digest("SHA256", text, 50, want);
    conf_same("the second", got, n, want, 32);
    OK(f->C_CloseSession(other));
}

void digest_checks(void)
{
    for (size_t i = 0; i < N(rows); i++) {
        conf_add(CONF_USER, one_part, &rows[i], "digest/%s/one-part", rows[i].name);
        conf_add(CONF_USER, parts, &rows[i], "digest/%s/multi-part", rows[i].name);
        conf_add(CONF_USER, nothing, &rows[i], "digest/%s/no-part", rows[i].name);
        conf_add(CONF_USER, parameter, &rows[i], "digest/%s/parameter", rows[i].name);
        conf_add(CONF_USER, key, &rows[i], "digest/%s/key", rows[i].name);
    }
    conf_add(CONF_USER, key_wrong, NULL, "digest/key-of-another-class");
    conf_add(CONF_USER, two, NULL, "digest/two-sessions");
}
