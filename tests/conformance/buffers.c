/*
 * What holds for all functions that write into a caller's buffer (Base 5.2), and when an operation
 * begins and ends (Base 5.8 to 5.12): the same checks over a table of operations.
 */
#include "tests/conformance/ref.h"

/* One operation in its five functions, as far as it has them. */
struct op {
    const char *name;
    CK_MECHANISM_TYPE type;
    CK_FLAGS flag;
    CK_RV (*init)(CK_MECHANISM *m);
    CK_RV (*one)(CK_BYTE *out, CK_ULONG *n);
    CK_RV (*update)(CK_BYTE *out, CK_ULONG *n); /* NULL where there is none */
    CK_RV (*final)(CK_BYTE *out, CK_ULONG *n);
    CK_ULONG len; /* of the result */
    bool random;  /* every result differs */
};

static CK_BYTE data[64], hash[32], cipher[64];
static CK_OBJECT_HANDLE aes, mac, ec_priv;

static CK_MECHANISM of(const struct op *o)
{
    return (CK_MECHANISM)MECH(o->type);
}

static CK_RV digest_init(CK_MECHANISM *m)
{
    return f->C_DigestInit(ses, m);
}
static CK_RV digest_one(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_Digest(ses, data, 64, out, n);
}
static CK_RV digest_update(CK_BYTE *out, CK_ULONG *n)
{
    (void)out;
    (void)n;
    return f->C_DigestUpdate(ses, data, 64);
}
static CK_RV digest_final(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_DigestFinal(ses, out, n);
}

static CK_RV mac_init(CK_MECHANISM *m)
{
    return f->C_SignInit(ses, m, mac);
}
static CK_RV ec_init(CK_MECHANISM *m)
{
    return f->C_SignInit(ses, m, ec_priv);
}
static CK_RV sign_one(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_Sign(ses, data, 64, out, n);
}
static CK_RV sign_hash(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_Sign(ses, hash, 32, out, n);
}
static CK_RV sign_update(CK_BYTE *out, CK_ULONG *n)
{
    (void)out;
    (void)n;
    return f->C_SignUpdate(ses, data, 64);
}
static CK_RV sign_final(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_SignFinal(ses, out, n);
}

static CK_RV encrypt_init(CK_MECHANISM *m)
{
    return f->C_EncryptInit(ses, m, aes);
}
static CK_RV encrypt_one(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_Encrypt(ses, data, 64, out, n);
}
static CK_RV encrypt_update(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_EncryptUpdate(ses, data, 64, out, n);
}
static CK_RV encrypt_final(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_EncryptFinal(ses, out, n);
}

static CK_RV decrypt_init(CK_MECHANISM *m)
{
    return f->C_DecryptInit(ses, m, aes);
}
static CK_RV decrypt_one(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_Decrypt(ses, cipher, 64, out, n);
}
static CK_RV decrypt_update(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_DecryptUpdate(ses, cipher, 64, out, n);
}
static CK_RV decrypt_final(CK_BYTE *out, CK_ULONG *n)
{
    return f->C_DecryptFinal(ses, out, n);
}

static const struct op ops[] = {
    {"digest", CKM_SHA256, CKF_DIGEST, digest_init, digest_one, digest_update, digest_final, 32,
     false},
    {"hmac", CKM_SHA256_HMAC, CKF_SIGN, mac_init, sign_one, sign_update, sign_final, 32, false},
    {"ecdsa", CKM_ECDSA, CKF_SIGN, ec_init, sign_hash, NULL, NULL, 64, true},
    {"ecdsa-sha256", CKM_ECDSA_SHA256, CKF_SIGN, ec_init, sign_one, sign_update, sign_final, 64,
     true},
    {"encrypt", CKM_AES_ECB, CKF_ENCRYPT, encrypt_init, encrypt_one, encrypt_update, encrypt_final,
     64, false},
    {"decrypt", CKM_AES_ECB, CKF_DECRYPT, decrypt_init, decrypt_one, decrypt_update, decrypt_final,
     64, false},
};

static void start(const struct op *o)
{
    CK_MECHANISM m = of(o);

    conf_need(o->type, o->flag);
    memset(data, 'd', sizeof data);
    memset(hash, 'h', sizeof hash);
    memset(cipher, 'c', sizeof cipher);
    if (o->init == mac_init)
        mac = keys_import(CKK_GENERIC_SECRET, data, 32, USE_SIGN);
    else if (o->init == ec_init)
        ec_priv = keys_ec(&keys_curves[0], USE_SIGN)->priv;
    else if (o->init != digest_init)
        aes = keys_aes(16, USE_ENC);
    OK(o->init(&m));
}

static void again(const struct op *o)
{
    CK_MECHANISM m = of(o);

    OK(o->init(&m));
}

/* The operation is over: another may begin. */
static void is_over(const struct op *o)
{
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    EXPECT(o->one(out, &n), CKR_OPERATION_NOT_INITIALIZED);
    again(o);
    n = sizeof out;
    OK(o->one(out, &n));
}

static void one_part(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128], first[128];
    CK_ULONG n = 0;

    start(o);
    OK(o->one(NULL, &n));
    MUST(n >= o->len && n <= 4096, "it asks for %lu bytes", n);
    OK(o->one(NULL, &n));
    n = 0;
    EXPECT(o->one(out, &n), CKR_BUFFER_TOO_SMALL);
    MUST(n >= o->len, "too small: it says %lu", n);
    n = o->len - 1;
    EXPECT(o->one(out, &n), CKR_BUFFER_TOO_SMALL);
    MUST(n >= o->len, "too small: it says %lu", n);
    OK(o->one(out, &n));
    MUST(n == o->len, "%lu bytes", n);
    is_over(o);
    again(o);
    n = sizeof first;
    OK(o->one(first, &n));
    MUST(n == o->len && (o->random || memcmp(first, out, n) == 0), "another result");
}

/* Base 5.2: a buffer of exactly the length is large enough, and no byte behind it is touched. */
static void exact(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128];
    CK_ULONG n = o->len;

    start(o);
    memset(out, 0x77, sizeof out);
    OK(o->one(out, &n));
    MUST(n == o->len, "%lu bytes", n);
    for (size_t i = n; i < sizeof out; i++)
        MUST(out[i] == 0x77, "byte %zu behind the result is written", i);
}

/* The length may be the caller's whole buffer, more than what comes out. */
static void multi_part(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out, all = 0;

    start(o);
    OK(o->update(out, &n));
    all = o->flag == CKF_ENCRYPT || o->flag == CKF_DECRYPT ? n : 0;
    n = 0;
    OK(o->final(NULL, &n));
    if (all < o->len) {
        CK_ULONG few = n > 0 ? n - 1 : 0;

        EXPECT(o->final(out, &few), CKR_BUFFER_TOO_SMALL);
        MUST(few == n, "too small: it says %lu, not %lu", few, n);
    }
    n = sizeof out - all;
    OK(o->final(out + all, &n));
    MUST(all + n == o->len, "%lu bytes", all + n);
    n = sizeof out;
    EXPECT(o->final(out, &n), CKR_OPERATION_NOT_INITIALIZED);
    again(o);
    n = sizeof out;
    OK(o->one(out, &n));
}

static void update_lengths(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128];
    CK_ULONG n = 0, few = 1;

    start(o);
    OK(o->update(NULL, &n));
    MUST(n <= 64 + 32, "it asks for %lu bytes", n);
    if (n > 1) {
        EXPECT(o->update(out, &few), CKR_BUFFER_TOO_SMALL);
        MUST(few == n, "too small: it says %lu, not %lu", few, n);
    }
    OK(o->update(out, &n));
    few = sizeof out - n;
    OK(o->final(out + n, &few));
    MUST(n + few == o->len, "%lu bytes: the failed calls were counted as data", n + few);
}

/* Base 5.10...: a one-part call cannot end what Update has begun. */
static void one_after_update(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    start(o);
    OK(o->update(out, &n));
    n = sizeof out;
    REFUSED(o->one(out, &n));
    (void)o->init(NULL); /* 3.0 cancels; with 2.40 it may fail */
    n = sizeof out;
    (void)o->final(out, &n);
    again(o);
    n = sizeof out;
    OK(o->one(out, &n));
}

static void init_twice(const void *arg)
{
    const struct op *o = arg;
    CK_MECHANISM m = of(o);
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    start(o);
    EXPECT(o->init(&m), CKR_OPERATION_ACTIVE);
    OK(o->one(out, &n));
}

/* Base 3.0 5.8.1 and so on: a NULL mechanism ends the active operation. In 2.40 it is a mistake. */
static void init_null(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    start(o);
    if (f3 == NULL) {
        REFUSED(o->init(NULL));
        return;
    }
    EXPECT(o->init(NULL), CKR_OK, CKR_OPERATION_CANCEL_FAILED, CKR_FUNCTION_NOT_SUPPORTED);
    EXPECT(o->one(out, &n), CKR_OPERATION_NOT_INITIALIZED);
    again(o);
    n = sizeof out;
    OK(o->one(out, &n));
}

static void without_init(const void *arg)
{
    const struct op *o = arg;
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    conf_need(o->type, o->flag);
    EXPECT(o->one(out, &n), CKR_OPERATION_NOT_INITIALIZED);
    n = sizeof out;
    if (o->update != NULL)
        EXPECT(o->update(out, &n), CKR_OPERATION_NOT_INITIALIZED);
    n = sizeof out;
    if (o->final != NULL)
        EXPECT(o->final(out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

/* A failed Init leaves nothing active. */
static void failed_init(const void *arg)
{
    const struct op *o = arg;
    CK_MECHANISM m = MECH(0x7ffffff3UL);
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    start(o);
    OK(o->one(out, &n));
    EXPECT(o->init(&m), CKR_MECHANISM_INVALID);
    is_over(o);
}

/* The operation is the session's: another session neither has it nor disturbs it. */
static void other_session(const void *arg)
{
    const struct op *o = arg;
    CK_SESSION_HANDLE mine = ses, other = conf_open(0);
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;
    CK_RV rv;

    start(o);
    ses = other;
    rv = o->one(out, &n);
    ses = mine;
    EXPECT(rv, CKR_OPERATION_NOT_INITIALIZED);
    OK(f->C_CloseSession(other));
    n = sizeof out;
    OK(o->one(out, &n));
}

/* An error other than CKR_BUFFER_TOO_SMALL ends the operation (Base 5.8.2...). */
static void failure_ends(const void *arg)
{
    const struct op *o = &ops[4];
    CK_BYTE out[128];
    CK_ULONG n = sizeof out;

    (void)arg;
    start(o);
    EXPECT(f->C_Encrypt(ses, data, 17, out, &n), CKR_DATA_LEN_RANGE);
    is_over(o);
}

static void failed_verify_ends(const void *arg)
{
    CK_MECHANISM m = MECH(CKM_SHA256_HMAC);

    (void)arg;
    conf_need(CKM_SHA256_HMAC, CKF_VERIFY);
    start(&ops[1]);
    (void)sign_one(data, &(CK_ULONG){64});
    OK(f->C_VerifyInit(ses, &m, mac));
    EXPECT(f->C_Verify(ses, data, 64, hash, 32), CKR_SIGNATURE_INVALID);
    EXPECT(f->C_Verify(ses, data, 64, hash, 32), CKR_OPERATION_NOT_INITIALIZED);
    OK(f->C_VerifyInit(ses, &m, mac));
    OK(f->C_VerifyUpdate(ses, data, 64));
    EXPECT(f->C_VerifyFinal(ses, hash, 32), CKR_SIGNATURE_INVALID);
    EXPECT(f->C_VerifyFinal(ses, hash, 32), CKR_OPERATION_NOT_INITIALIZED);
}

void buffers_checks(void)
{
    for (size_t i = 0; i < N(ops); i++) {
        const struct op *o = &ops[i];

        conf_add(CONF_USER, one_part, o, "buffers/%s/one-part", o->name);
        conf_add(CONF_USER, exact, o, "buffers/%s/exact", o->name);
        if (o->update != NULL) {
            conf_add(CONF_USER, multi_part, o, "buffers/%s/multi-part", o->name);
            if (o->flag == CKF_ENCRYPT || o->flag == CKF_DECRYPT)
                conf_add(CONF_USER, update_lengths, o, "buffers/%s/update", o->name);
            conf_add(CONF_USER, one_after_update, o, "buffers/%s/one-part-after-update", o->name);
        }
        conf_add(CONF_USER, init_twice, o, "buffers/%s/init-twice", o->name);
        conf_add(CONF_USER, init_null, o, "buffers/%s/init-null", o->name);
        conf_add(CONF_USER, without_init, o, "buffers/%s/without-init", o->name);
        conf_add(CONF_USER, failed_init, o, "buffers/%s/failed-init", o->name);
        conf_add(CONF_USER, other_session, o, "buffers/%s/other-session", o->name);
    }
    conf_add(CONF_USER, failure_ends, NULL, "buffers/encrypt/failure-ends-it");
    conf_add(CONF_USER, failed_verify_ends, NULL, "buffers/verify/failure-ends-it");
}
