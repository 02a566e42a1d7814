/* Goal: what is sealed to a TPM opens by the TPM's own steps, written here a second time from
 * the other side, and by nothing else. */
#include "tests/support/unit_forge.h"

#include "core/cipher.h"
#include "core/credential.h"
#include "core/hash.h"
#include "core/kdf.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const enum unit_key kinds[] = {UNIT_RSA, UNIT_P256, UNIT_P384};

/* --- the TPM's side ----------------------------------------------------------- */

static void seed_rsa(EVP_PKEY *key, const char *label, struct bytes sent, uint8_t *seed,
                     size_t size)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    void *copy = OPENSSL_memdup(label, strlen(label) + 1);
    uint8_t out[256];
    size_t len = sizeof(out);

    assert_int_equal(EVP_PKEY_decrypt_init(c), 1);
    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING);
    EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256());
    EVP_PKEY_CTX_set0_rsa_oaep_label(c, copy, (int)strlen(label) + 1);
    assert_int_equal(EVP_PKEY_decrypt(c, out, &len, sent.p, sent.len), 1);
    assert_int_equal(len, size);
    memcpy(seed, out, size);
    EVP_PKEY_CTX_free(c);
}

static EVP_PKEY *peer_of(const struct alg_curve *curve, struct bytes x, struct bytes y)
{
    struct pubkey k = {.type = TPM2_ALG_ECC, .curve = curve};
    struct buf der = {0};
    const uint8_t *p;
    EVP_PKEY *out;

    memcpy(k.point.x, x.p, x.len);
    memcpy(k.point.y, y.p, y.len);
    assert_int_equal(pubkey_to_spki(&k, &der, NULL), 0);
    p = der.p;
    out = d2i_PUBKEY(NULL, &p, (long)der.len);
    buf_free(&der);
    assert_non_null(out);
    return out;
}

static void seed_ecc(EVP_PKEY *key, const struct alg_hash *h, const char *label, struct bytes sent,
                     uint8_t *seed)
{
    struct reader r = reader_of(sent.p, sent.len);
    struct bytes x = reader_2b(&r), y = reader_2b(&r);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    uint8_t z[ALG_MAX_COORD];
    size_t len = sizeof(z);
    struct pubkey me;
    EVP_PKEY *peer;

    unit_forge_pubkey(key, &me);
    assert_true(reader_done(&r));
    assert_int_equal(x.len, me.curve->size);
    assert_int_equal(y.len, me.curve->size);
    peer = peer_of(me.curve, x, y);
    assert_int_equal(EVP_PKEY_derive_init(c), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(c, peer), 1);
    assert_int_equal(EVP_PKEY_derive(c, z, &len), 1);
    assert_int_equal(kdf_e(h, bytes_of(z, len), label, x, bytes_of(me.point.x, me.curve->size),
                           (unsigned)h->size * 8, seed, NULL),
                     0);
    EVP_PKEY_free(peer);
    EVP_PKEY_CTX_free(c);
}

/* Opens the outer wrapper; false when its HMAC does not fit this Name. */
static bool open_wrap(EVP_PKEY *key, const TPMT_PUBLIC *pub, const char *label,
                      const TPM2B_NAME *name, struct bytes blob, struct bytes sent, struct buf *out)
{
    static const uint8_t iv[16];
    const struct alg_hash *h = alg_hash_of(pub->nameAlg);
    unsigned bits = pub->parameters.asymDetail.symmetric.keyBits.aes;
    uint8_t seed[64], aes[32], mac_key[64], mac[64];
    struct reader r = reader_of(blob.p, blob.len), inner;
    struct bytes tag = reader_2b(&r), body = reader_take(&r, r.left);
    struct buf in = {0}, plain = {0};
    bool fits;

    if (pub->type == TPM2_ALG_RSA)
        seed_rsa(key, label, sent, seed, h->size);
    else
        seed_ecc(key, h, label, sent, seed);
    assert_int_equal(kdf_a(h, bytes_of(seed, h->size), "INTEGRITY", (struct bytes){NULL, 0},
                           (struct bytes){NULL, 0}, (unsigned)h->size * 8, mac_key, NULL),
                     0);
    buf_add_bytes(&in, body);
    buf_add(&in, name->name, name->size);
    assert_int_equal(hash_hmac(h, bytes_of(mac_key, h->size), buf_bytes(&in), mac, NULL), 0);
    fits = bytes_equal(bytes_of(mac, h->size), tag);
    buf_free(&in);
    if (!fits)
        return false;
    assert_int_equal(kdf_a(h, bytes_of(seed, h->size), "STORAGE", bytes_of(name->name, name->size),
                           (struct bytes){NULL, 0}, bits, aes, NULL),
                     0);
    buf_add_bytes(&plain, body);
    assert_int_equal(cipher_cfb(false, bytes_of(aes, bits / 8), iv, plain.p, plain.len, NULL), 0);
    inner = reader_of(plain.p, plain.len);
    buf_add_bytes(out, reader_2b(&inner));
    assert_true(reader_done(&inner));
    buf_free(&plain);
    return true;
}

/* --- stories -------------------------------------------------------------------- */

static void test_a_credential_opens_in_its_tpm_for_its_key_only(void **state)
{
    static const uint8_t secret[] = "twenty bytes, or so";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct buf blob = {0}, sent = {0}, out = {0};
        struct unit_forge f;
        struct err e = {0};
        TPM2B_NAME other;

        unit_forge_init(&f, kinds[i], UNIT_P256, UNIT_P256);
        unit_forge_build(&f);
        if (credential_make(&f.ek_pub, &f.ak_name, bytes_of(secret, sizeof(secret)), &blob, &sent,
                            &e) != 0)
            fail_msg("%s", e.msg);
        assert_true(open_wrap(f.ek, &f.ek_pub, "IDENTITY", &f.ak_name, buf_bytes(&blob),
                              buf_bytes(&sent), &out));
        assert_true(bytes_equal(buf_bytes(&out), bytes_of(secret, sizeof(secret))));
        other = f.ak_name;
        other.name[9] ^= 1;
        assert_false(open_wrap(f.ek, &f.ek_pub, "IDENTITY", &other, buf_bytes(&blob),
                               buf_bytes(&sent), &out));
        blob.p[blob.len - 1] ^= 1;
        assert_false(open_wrap(f.ek, &f.ek_pub, "IDENTITY", &f.ak_name, buf_bytes(&blob),
                               buf_bytes(&sent), &out));
        buf_free(&blob);
        buf_free(&sent);
        buf_free(&out);
        unit_forge_free(&f);
    }
}

static void test_a_duplicate_opens_under_its_parent(void **state)
{
    static const uint8_t sensitive[90] = {0, 0x23, 0, 0, 0, 0, 0, 32, 9, 9, 9};
    struct buf dup = {0}, seed = {0}, out = {0};
    struct unit_forge f;

    (void)state;
    unit_forge_init(&f, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&f);
    assert_int_equal(credential_wrap_import(&f.parent_pub, &f.ak_name,
                                            bytes_of(sensitive, sizeof(sensitive)), &dup, &seed,
                                            NULL),
                     0);
    assert_true(open_wrap(f.parent, &f.parent_pub, "DUPLICATE", &f.ak_name, buf_bytes(&dup),
                          buf_bytes(&seed), &out));
    assert_true(bytes_equal(buf_bytes(&out), bytes_of(sensitive, sizeof(sensitive))));
    buf_free(&dup);
    buf_free(&seed);
    buf_free(&out);
    unit_forge_free(&f);
}

/* One duplicate, wrapped by the code for TPM2_Import; what may be done to it. */
struct duplicate {
    struct credential_parent parent;
    TPM2B_NAME name;
    struct buf blob, seed;
};

static const char sensitive_text[] = "what a TPMT_SENSITIVE would be";

static void duplicate_make(struct duplicate *d)
{
    struct err e = {0};

    *d = (struct duplicate){.name = {.size = 34, .name = {0, TPM2_ALG_SHA256, 1, 2, 3}}};
    if (credential_parent_make(&d->parent, &e) != 0 ||
        credential_wrap_import(&d->parent.pub, &d->name,
                               bytes_of(sensitive_text, sizeof(sensitive_text)), &d->blob, &d->seed,
                               &e) != 0)
        fail_msg("%s", e.msg);
}

static enum err_code unwrap(const struct duplicate *d)
{
    struct secret *out = NULL;
    struct err e = {0};

    if (credential_unwrap_duplicate(&d->parent, &d->name, buf_bytes(&d->blob), buf_bytes(&d->seed),
                                    &out, &e) != 0) {
        assert_null(out);
        return e.code;
    }
    assert_true(bytes_equal(secret_bytes(out), bytes_of(sensitive_text, sizeof(sensitive_text))));
    secret_free(out);
    return E_OK;
}

static void duplicate_free(struct duplicate *d)
{
    buf_free(&d->blob);
    buf_free(&d->seed);
}

static void test_a_duplicate_opens_under_a_parent_in_software(void **state)
{
    struct duplicate a, b;

    (void)state;
    duplicate_make(&a);
    duplicate_make(&b);
    assert_int_equal(unwrap(&a), E_OK);
    /* Two parents are two, and neither opens what is the other's. */
    assert_memory_not_equal(a.parent.d, b.parent.d, sizeof(a.parent.d));
    a.parent = b.parent;
    assert_int_equal(unwrap(&a), E_TAMPERED);
    duplicate_free(&a);
    b.name.name[33] ^= 1;
    assert_int_equal(unwrap(&b), E_TAMPERED);
    b.name.size = 4;
    assert_int_equal(unwrap(&b), E_ARG);
    duplicate_free(&b);
}

static void test_an_altered_or_cut_duplicate_does_not_open(void **state)
{
    struct duplicate d;

    (void)state;
    duplicate_make(&d);
    for (size_t i = 0; i < d.blob.len; i++) {
        d.blob.p[i] ^= 0x40;
        assert_int_equal(unwrap(&d), i < 2 ? E_FORMAT : E_TAMPERED);
        d.blob.p[i] ^= 0x40;
    }
    for (size_t i = 0; i < d.seed.len; i++) {
        enum err_code code;

        d.seed.p[i] ^= 0x40;
        code = unwrap(&d);
        assert_true(code == E_DATA || code == E_FORMAT);
        d.seed.p[i] ^= 0x40;
    }
    for (size_t n = d.blob.len; n > 0; n--) {
        d.blob.len = n - 1;
        assert_int_equal(unwrap(&d), n - 1 < 2 + 32 + 2 ? E_FORMAT : E_TAMPERED);
    }
    duplicate_free(&d);
    duplicate_make(&d);
    for (size_t n = d.seed.len; n > 0; n--) {
        d.seed.len = n - 1;
        assert_int_equal(unwrap(&d), E_FORMAT);
    }
    duplicate_free(&d);
}

static void test_keys_that_cannot_hold_a_secret_are_refused(void **state)
{
    struct buf blob = {0}, sent = {0};
    struct unit_forge f;
    uint8_t secret[65] = {0};
    TPM2B_NAME handle;
    TPMT_PUBLIC bad;

    (void)state;
    unit_forge_init(&f, UNIT_P256, UNIT_P256, UNIT_P256);
    unit_forge_build(&f);
    tpmname_handle(TPM2_RH_OWNER, &handle);
    /* too long, empty, bound to nothing */
    assert_int_equal(
        credential_make(&f.ek_pub, &f.ak_name, bytes_of(secret, 33), &blob, &sent, NULL), -1);
    assert_int_equal(
        credential_make(&f.ek_pub, &f.ak_name, bytes_of(secret, 0), &blob, &sent, NULL), -1);
    assert_int_equal(credential_make(&f.ek_pub, &handle, bytes_of(secret, 32), &blob, &sent, NULL),
                     -1);
    /* a signing key, a key without AES, a point off the curve */
    assert_int_equal(
        credential_make(&f.ak_pub, &f.ak_name, bytes_of(secret, 32), &blob, &sent, NULL), -1);
    bad = f.ek_pub;
    bad.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_NULL;
    assert_int_equal(credential_make(&bad, &f.ak_name, bytes_of(secret, 32), &blob, &sent, NULL),
                     -1);
    bad = f.ek_pub;
    bad.unique.ecc.x.buffer[0] ^= 1;
    assert_int_equal(credential_make(&bad, &f.ak_name, bytes_of(secret, 32), &blob, &sent, NULL),
                     -1);
    assert_int_equal(blob.len + sent.len, 0);
    unit_forge_free(&f);
}

/* --- the file --------------------------------------------------------------------- */

static void seal(struct unit_forge *f, struct credential_sealed *s)
{
    struct credential_issued in = {.cert = f->leaf};
    struct err e = {0};

    in.chain = sk_X509_new_null();
    sk_X509_push(in.chain, f->ca);
    in.record = f->record;
    if (credential_seal(&f->ek_pub, &f->ak_name, &in, s, &e) != 0)
        fail_msg("%s", e.msg);
    sk_X509_free(in.chain);
}

static void test_an_issued_certificate_travels_sealed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct credential_sealed s = {0}, back = {0};
        struct credential_issued got = {0};
        struct buf pem = {0}, secret = {0};
        uint8_t a[32], b[32];
        struct unit_forge f;
        struct err e = {0};

        unit_forge_init(&f, kinds[i], UNIT_P256, UNIT_P256);
        unit_forge_build(&f);
        seal(&f, &s);
        assert_int_equal(credential_to_pem(&s, &pem, NULL), 0);
        assert_int_equal(credential_from_pem(buf_bytes(&pem), &back, NULL), 0);
        assert_true(tpmname_equal(&back.ak_name, &f.ak_name));
        assert_true(open_wrap(f.ek, &f.ek_pub, "IDENTITY", &f.ak_name, buf_bytes(&back.blob),
                              buf_bytes(&back.encrypted_secret), &secret));
        if (credential_open(&back, buf_bytes(&secret), &got, &e) != 0)
            fail_msg("%s", e.msg);
        assert_int_equal(X509_cmp(got.cert, f.leaf), 0);
        assert_int_equal(sk_X509_num(got.chain), 1);
        assert_int_equal(evidence_record_hash(&got.record, a, NULL), 0);
        assert_int_equal(evidence_hash_get(got.cert, b, NULL), 0);
        assert_memory_equal(a, b, 32);
        credential_issued_free(&got);
        /* another secret, another AK, altered content */
        secret.p[0] ^= 1;
        assert_int_equal(credential_open(&back, buf_bytes(&secret), &got, &e), -1);
        assert_int_equal(e.code, E_CORRUPT);
        secret.p[0] ^= 1;
        back.ak_name.name[3] ^= 1;
        assert_int_equal(credential_open(&back, buf_bytes(&secret), &got, NULL), -1);
        back.ak_name.name[3] ^= 1;
        back.sealed.p[10] ^= 1;
        assert_int_equal(credential_open(&back, buf_bytes(&secret), &got, NULL), -1);
        credential_sealed_free(&s);
        credential_sealed_free(&back);
        buf_free(&pem);
        buf_free(&secret);
        unit_forge_free(&f);
    }
}

static void test_a_cut_or_altered_file_never_decodes_to_another(void **state)
{
    struct credential_sealed s = {0}, back = {0};
    struct unit_forge f;
    struct buf der = {0};

    (void)state;
    unit_forge_init(&f, UNIT_RSA, UNIT_P256, UNIT_P256);
    unit_forge_build(&f);
    seal(&f, &s);
    assert_int_equal(credential_encode(&s, &der, NULL), 0);
    for (size_t cut = 0; cut < der.len; cut++)
        assert_int_equal(credential_decode(bytes_of(der.p, cut), &back, NULL), -1);
    for (size_t i = 0; i < 700 && i < der.len; i++) {
        der.p[i] ^= 0x81;
        if (credential_decode(buf_bytes(&der), &back, NULL) == 0) {
            struct buf again = {0};

            assert_int_equal(credential_encode(&back, &again, NULL), 0);
            assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&der)));
            buf_free(&again);
            credential_sealed_free(&back);
        }
        der.p[i] ^= 0x81;
    }
    buf_u8(&der, 0);
    assert_int_equal(credential_decode(buf_bytes(&der), &back, NULL), -1);
    credential_sealed_free(&s);
    buf_free(&der);
    unit_forge_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_credential_opens_in_its_tpm_for_its_key_only),
        cmocka_unit_test(test_a_duplicate_opens_under_its_parent),
        cmocka_unit_test(test_a_duplicate_opens_under_a_parent_in_software),
        cmocka_unit_test(test_an_altered_or_cut_duplicate_does_not_open),
        cmocka_unit_test(test_keys_that_cannot_hold_a_secret_are_refused),
        cmocka_unit_test(test_an_issued_certificate_travels_sealed),
        cmocka_unit_test(test_a_cut_or_altered_file_never_decodes_to_another),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
