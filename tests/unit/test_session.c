/*
 * The arithmetic of sessions against answers computed apart from this code: Python's hmac
 * and hashlib for KDFa and the HMACs, its `cryptography` for AES-128-CFB. Inputs:
 * salt 00..1f, nonceTPM 40..5f, nonceCaller 80..9f, authValue a0..bf,
 * pHash = SHA-256("parameters").
 */
#include "tpm/session.h"

#include "core/buf.h"
#include "core/hash.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* KDFa(SHA-256, salt, "ATH", nonceTPM, nonceCaller, 256): Part 1, 19.6.8. */
#define SESSION_KEY "4cfbf4144b94620cadfb0b65f86d9772cd5c3fd3adb70f6cdf5ac455e51b0485"

static const char plain[] = "forty-one bytes that are to be encrypted!";

struct fixture {
    struct session s;
    uint8_t auth[32];
    uint8_t p_hash[32];
    struct session_hmac over; /* of a command: nonceCaller is the newer */
};

static void fill(uint8_t *p, size_t n, uint8_t first)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(first + i);
}

static void make(struct fixture *f)
{
    uint8_t salt[32];

    memset(f, 0, sizeof(*f));
    fill(salt, 32, 0);
    fill(f->auth, 32, 0xa0);
    f->s.type = TPM2_SE_HMAC;
    f->s.tpm.size = f->s.caller.size = 32;
    fill(f->s.tpm.buffer, 32, 0x40);
    fill(f->s.caller.buffer, 32, 0x80);
    assert_int_equal(session_key(&f->s, bytes_of(salt, 32), NULL), 0);
    assert_int_equal(hash_sha256(bytes_of("parameters", 10), f->p_hash, NULL), 0);
    f->over = (struct session_hmac){.p_hash = f->p_hash,
                                    .newer = bytes_of(f->s.caller.buffer, 32),
                                    .older = bytes_of(f->s.tpm.buffer, 32),
                                    .attributes = TPMA_SESSION_CONTINUESESSION};
}

static void is(const uint8_t *p, size_t n, const char *hex)
{
    char got[129];

    assert_true(n <= 64);
    hex_encode(got, p, n);
    assert_string_equal(got, hex);
}

static void hmac_is(const struct fixture *f, struct bytes auth, const char *hex)
{
    uint8_t out[32];

    assert_int_equal(session_hmac(&f->s, auth, &f->over, out, NULL), 0);
    is(out, sizeof(out), hex);
}

static void test_session_key_comes_from_salt_and_both_nonces(void **state)
{
    struct fixture f;

    (void)state;
    make(&f);
    assert_int_equal(f.s.key_len, 32);
    is(f.s.key, 32, SESSION_KEY);
}

/* Part 1, 19.6.5: HMAC(sessionKey ‖ authValue, pHash ‖ newer ‖ older ‖ attributes). */
static void test_hmac_without_authvalue(void **state)
{
    struct fixture f;

    (void)state;
    make(&f);
    hmac_is(&f, (struct bytes){NULL, 0},
            "4a05f33978fe198320349e6f900910d003f84d6669e1ccb583e0412e5d1490d7");
}

static void test_hmac_with_authvalue(void **state)
{
    struct fixture f;

    (void)state;
    make(&f);
    hmac_is(&f, bytes_of(f.auth, 32),
            "329f5abb1c578f3a5e5435caa42800204c2358f58badaaca8024feec1ff761c8");
}

/* Part 1, 19.6.5: nonceTPM of the decrypt session, then of the encrypt session, between
 * the own nonces and the attributes (here continueSession and decrypt). */
static void test_hmac_binds_nonces_of_the_sessions_that_encrypt(void **state)
{
    uint8_t dec[16], enc[16];
    struct fixture f;

    (void)state;
    make(&f);
    memset(dec, 0xd0, sizeof(dec));
    memset(enc, 0xe0, sizeof(enc));
    f.over.decrypt = bytes_of(dec, sizeof(dec));
    f.over.encrypt = bytes_of(enc, sizeof(enc));
    f.over.attributes = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT;
    hmac_is(&f, bytes_of(f.auth, 32),
            "00eb257699812f527b0b9705db379ea5d38787e61f9d1752f2bb1165a9b90128");
}

/* In a response nonceTPM is the newer one (Part 1, 19.6.5). */
static void test_response_hmac_turns_the_nonces_round(void **state)
{
    struct fixture f;

    (void)state;
    make(&f);
    f.over.newer = bytes_of(f.s.tpm.buffer, 32);
    f.over.older = bytes_of(f.s.caller.buffer, 32);
    f.over.attributes = 0;
    hmac_is(&f, bytes_of(f.auth, 32),
            "9c92a8669db8766669fc29a12329fcfff363fa6e506fadd247520c299459411b");
}

/* A TPM cuts trailing zeros off an authValue (Part 1, 19.6.5). Session key and authValue
 * are together one block of SHA-256, which HMAC fills up with zeros: no difference. */
static void test_trailing_zeros_of_an_authvalue_do_not_matter(void **state)
{
    uint8_t whole[32], cut[32], data[2][20] = {{1, 2, 3}, {1, 2, 3}};
    struct fixture f;

    (void)state;
    make(&f);
    memset(f.auth + 30, 0, 2);
    assert_int_equal(session_hmac(&f.s, bytes_of(f.auth, 32), &f.over, whole, NULL), 0);
    assert_int_equal(session_hmac(&f.s, bytes_of(f.auth, 30), &f.over, cut, NULL), 0);
    assert_memory_equal(whole, cut, 32);
    assert_int_equal(session_crypt(&f.s, true, bytes_of(f.auth, 32), f.over.newer, f.over.older,
                                   data[0], 20, NULL),
                     0);
    assert_int_equal(session_crypt(&f.s, true, bytes_of(f.auth, 30), f.over.newer, f.over.older,
                                   data[1], 20, NULL),
                     0);
    assert_memory_equal(data[0], data[1], 20);
}

/* Part 1, 21.3: key ‖ IV = KDFa(SHA-256, sessionKey ‖ authValue, "CFB", newer, older, 256). */
static void crypt_is(struct bytes auth, const char *hex)
{
    uint8_t data[sizeof(plain) - 1];
    struct fixture f;

    make(&f);
    memcpy(data, plain, sizeof(data));
    assert_int_equal(
        session_crypt(&f.s, true, auth, f.over.newer, f.over.older, data, sizeof(data), NULL), 0);
    is(data, sizeof(data), hex);
    assert_int_equal(
        session_crypt(&f.s, false, auth, f.over.newer, f.over.older, data, sizeof(data), NULL), 0);
    assert_memory_equal(data, plain, sizeof(data));
}

static void test_parameters_are_encrypted_under_the_session_key(void **state)
{
    (void)state;
    crypt_is((struct bytes){NULL, 0},
             "9c5685da939b81bc81a38f1657a8477a3cecaeb43b619b677e4a178d2555b1171b74f04f901c12f9"
             "6f");
}

static void test_parameters_are_encrypted_under_the_authvalue_too(void **state)
{
    uint8_t auth[32];

    (void)state;
    fill(auth, 32, 0xa0);
    crypt_is(bytes_of(auth, 32),
             "164342f04a6a9a6e2dcbb4d2965e69292c9411c03636b65df14bda5242e31325f3168bd68227fc41"
             "e6");
}

static void test_encryption_differs_with_the_order_of_nonces(void **state)
{
    uint8_t there[16] = {0}, back[16] = {0};
    struct fixture f;

    (void)state;
    make(&f);
    assert_int_equal(session_crypt(&f.s, true, (struct bytes){NULL, 0}, f.over.newer, f.over.older,
                                   there, 16, NULL),
                     0);
    assert_int_equal(session_crypt(&f.s, true, (struct bytes){NULL, 0}, f.over.older, f.over.newer,
                                   back, 16, NULL),
                     0);
    assert_memory_not_equal(there, back, 16);
}

static void test_a_session_that_is_gone_is_wiped(void **state)
{
    static const struct session nothing;
    struct fixture f;

    (void)state;
    make(&f);
    session_gone(&f.s);
    assert_memory_equal(&f.s, &nothing, sizeof(nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_key_comes_from_salt_and_both_nonces),
        cmocka_unit_test(test_hmac_without_authvalue),
        cmocka_unit_test(test_hmac_with_authvalue),
        cmocka_unit_test(test_hmac_binds_nonces_of_the_sessions_that_encrypt),
        cmocka_unit_test(test_response_hmac_turns_the_nonces_round),
        cmocka_unit_test(test_trailing_zeros_of_an_authvalue_do_not_matter),
        cmocka_unit_test(test_parameters_are_encrypted_under_the_session_key),
        cmocka_unit_test(test_parameters_are_encrypted_under_the_authvalue_too),
        cmocka_unit_test(test_encryption_differs_with_the_order_of_nonces),
        cmocka_unit_test(test_a_session_that_is_gone_is_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
