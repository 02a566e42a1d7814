/* Key agreement, decryption, AES and HMAC seen from the wire: how many commands, no secrets in
 * them, and what happens when the TPM fails. */
#include "tests/support/unit_crypt.h"

#include "core/hash.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LONG 3000

/* Keys of every kind, and what they shall give. */
struct set {
    struct store_key aes, hmac, ecc, rsa;
    struct ecc_point peer;
    uint8_t aes_raw[16], hmac_raw[40];
    uint8_t d[ALG_MAX_COORD], z[ALG_MAX_COORD];
    uint8_t data[LONG], sealed[256];
    struct pubkey pub;
};

static const char secret_text[] = "a session key that is nobody's business";

static const struct alg_hash *sha256(void)
{
    return alg_hash_named("SHA256");
}

static void set_make(struct unit_tpm *w, struct set *s)
{
    struct token_rsa oaep = {.hash = sha256()};
    struct err e = {0};

    memset(s, 0, sizeof(*s));
    memset(s->aes_raw, 0x3a, sizeof(s->aes_raw));
    memset(s->hmac_raw, 0x4b, sizeof(s->hmac_raw));
    for (size_t i = 0; i < LONG; i++)
        s->data[i] = (uint8_t)(i ^ (i >> 5) ^ 0x5c);
    unit_crypt_aes(w, bytes_of(s->aes_raw, sizeof(s->aes_raw)), &s->aes);
    unit_crypt_hmac(w, bytes_of(s->hmac_raw, sizeof(s->hmac_raw)), NULL, &s->hmac);
    unit_crypt_ecdh(w, alg_curve_named("P-256"), &s->ecc, s->d);
    unit_crypt_pair(alg_curve_named("P-256"), 3, s->d, &s->peer);
    unit_tpm_rsa(w, true, &s->rsa);
    if (token_ecdh(w->token, &s->ecc, &s->peer, s->z, &e) != 0 ||
        token_key_public(&s->rsa, &s->pub, &e) != 0 ||
        pubkey_oaep(&s->pub, oaep.hash, oaep.label, unit_pin(secret_text), s->sealed, &e) != 0)
        fail_msg("%s", e.msg);
}

static void set_free(struct set *s)
{
    store_key_free(&s->aes);
    store_key_free(&s->hmac);
    store_key_free(&s->ecc);
    store_key_free(&s->rsa);
}

/* Each does its work and looks at the result; 0, or -1 with the error. */
static int agree(struct token *k, const struct set *s, struct err *e)
{
    uint8_t z[ALG_MAX_COORD];

    if (token_ecdh(k, &s->ecc, &s->peer, z, e) != 0)
        return -1;
    return memcmp(z, s->z, 32) == 0 ? 0 : err_set(e, E_DATA, "another secret came out");
}

static int unseal(struct token *k, const struct set *s, struct err *e)
{
    const struct token_rsa oaep = {.hash = sha256()};
    uint8_t out[256];
    size_t len;

    if (token_rsa_decrypt(k, &s->rsa, &oaep, bytes_of(s->sealed, 256), out, &len, e) != 0)
        return -1;
    return bytes_equal(bytes_of(out, len), unit_pin(secret_text))
               ? 0
               : err_set(e, E_DATA, "another text came out");
}

static int there_and_back(struct token *k, const struct set *s, size_t len, uint8_t *cipher,
                          struct err *e)
{
    struct token_cipher how = {.mode = TOKEN_CTR, .encrypt = true};
    uint8_t out[LONG];

    if (token_cipher(k, &s->aes, &how, bytes_of(s->data, len), cipher, e) != 0)
        return -1;
    how = (struct token_cipher){.mode = TOKEN_CTR};
    if (token_cipher(k, &s->aes, &how, bytes_of(cipher, len), out, e) != 0)
        return -1;
    return memcmp(out, s->data, len) == 0 ? 0 : err_set(e, E_DATA, "other data came out");
}

static int mac(struct token *k, const struct set *s, size_t len, uint8_t got[32], struct err *e)
{
    struct bytes data = bytes_of(s->data, len);
    uint8_t want[32];

    if (token_hmac(k, &s->hmac, sha256(), &data, 1, got, e) != 0 ||
        hash_hmac(sha256(), bytes_of(s->hmac_raw, sizeof(s->hmac_raw)), data, want, e) != 0)
        return -1;
    return memcmp(got, want, 32) == 0 ? 0 : err_set(e, E_DATA, "another MAC came out");
}

#define WELL(call)                  \
    do {                            \
        struct err e_ = {0};        \
        struct err *e = &e_;        \
        if ((call) != 0)            \
            fail_msg("%s", e->msg); \
    } while (0)

/* --- how many commands -------------------------------------------------------------------- */

static void costs(struct unit_tpm *w, size_t n, int line)
{
    size_t got = unit_spy_count(w, NULL);

    if (got != n)
        fail_msg("line %d: %zu commands instead of %zu", line, got, n);
    unit_spy_clear(w);
}
#define COSTS(n) costs(w, (n), __LINE__)

static void test_one_command_each(void **state)
{
    static const struct {
        size_t len, cipher, hmac;
    } sizes[] = {{16, 1, 1}, {1024, 1, 1}, {1025, 2, 3}, {2048, 2, 3}, {LONG, 3, 4}};
    struct unit_tpm *w = *state;
    struct set s;
    uint8_t cipher[LONG], got[32];

    unit_crypt_spied(w, false);
    set_make(w, &s);
    token_key_forget(w->token, s.ecc.uuid);
    token_key_forget(w->token, s.rsa.uuid);
    unit_spy_clear(w);
    WELL(agree(w->token, &s, e));
    COSTS(2);
    WELL(agree(w->token, &s, e));
    COSTS(1);
    WELL(unseal(w->token, &s, e));
    COSTS(2);
    WELL(unseal(w->token, &s, e));
    COSTS(1);
    token_key_forget(w->token, s.ecc.uuid);
    token_key_forget(w->token, s.rsa.uuid);
    WELL(there_and_back(w->token, &s, 16, cipher, e));
    WELL(mac(w->token, &s, 16, got, e));
    unit_spy_clear(w);
    /* Both keys stay loaded: a sequence fits beside them. */
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        WELL(there_and_back(w->token, &s, sizes[i].len, cipher, e));
        COSTS(2 * sizes[i].cipher);
        WELL(mac(w->token, &s, sizes[i].len, got, e));
        COSTS(sizes[i].hmac);
    }
    set_free(&s);
}

static void test_making_secret_keys_costs_little(void **state)
{
    const struct key_spec aes = {.type = TPM2_ALG_SYMCIPHER, .bits = 128},
                          hmac = {.type = TPM2_ALG_KEYEDHASH};
    struct unit_tpm *w = *state;
    struct store_key a = {0}, b = {0};

    unit_crypt_spied(w, false);
    unit_spy_clear(w);
    assert_int_equal(token_key_create(w->token, &aes, &a, NULL), 0);
    COSTS(3);
    assert_int_equal(token_key_create(w->token, &hmac, &b, NULL), 0);
    COSTS(2);
    store_key_free(&a);
    store_key_free(&b);
}

/* --- what a listener gets -------------------------------------------------------------------- */

static void test_nothing_secret_crosses_the_wire_in_clear(void **state)
{
    struct unit_tpm *w = *state;
    uint8_t cipher[LONG], got[32], again[32];
    struct set s;

    unit_crypt_spied(w, true);
    set_make(w, &s);
    WELL(agree(w->token, &s, e));
    WELL(unseal(w->token, &s, e));
    WELL(there_and_back(w->token, &s, LONG, cipher, e));
    WELL(mac(w->token, &s, LONG, got, e));
    WELL(mac(w->token, &s, 500, again, e));
    /* What is public was seen: the log is one of these commands. */
    assert_true(unit_spy_saw(w, s.aes.private.p, 60));
    assert_true(unit_spy_saw(w, s.hmac.public.p, s.hmac.public.len));
    assert_false(unit_spy_saw(w, s.z, 32));
    assert_false(unit_spy_saw(w, s.peer.x, 32));
    assert_false(unit_spy_saw(w, secret_text, 16));
    assert_false(unit_spy_saw(w, s.sealed, 16));
    for (size_t at = 0; at + 16 <= LONG; at += 100) {
        assert_false(unit_spy_saw(w, s.data + at, 16));
        assert_false(unit_spy_saw(w, cipher + at, 16));
    }
    assert_false(unit_spy_saw(w, got, 16));
    assert_false(unit_spy_saw(w, again, 16));
    assert_false(unit_spy_saw(w, s.aes_raw, 16));
    assert_false(unit_spy_saw(w, s.hmac_raw, 16));
    set_free(&s);
}

/* --- what stays, and for whom -------------------------------------------------------------------- */

static size_t loaded(void)
{
    uint32_t h[16];

    return unit_tpm_handles(0x80000000, 0x80ffffff, h, ARRAY_LEN(h));
}

static void test_a_sequence_leaves_nothing_behind(void **state)
{
    struct unit_tpm *w = *state;
    uint8_t got[32];
    struct set s;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    set_make(w, &s);
    assert_int_equal(token_logout(w->token, NULL), 0);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    WELL(mac(w->token, &s, LONG, got, e));
    assert_int_equal(loaded(), 1);
    set_free(&s);
}

static void test_service_keys_work_without_login(void **state)
{
    const struct key_spec aes = {.type = TPM2_ALG_SYMCIPHER, .bits = 128, .mode = STORE_KEY_NONE},
                          hmac = {.type = TPM2_ALG_KEYEDHASH, .mode = STORE_KEY_NONE};
    struct unit_tpm *w = *state;
    struct set s = {.aes_raw = {1}, .hmac_raw = {2}, .data = {3}};
    uint8_t cipher[LONG], got[32];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    WELL(token_key_import(w->token, &aes, NULL, bytes_of(s.aes_raw, 16), &s.aes, e));
    WELL(token_key_import(w->token, &hmac, NULL, bytes_of(s.hmac_raw, 40), &s.hmac, e));
    assert_int_equal(token_logout(w->token, NULL), 0);
    WELL(there_and_back(w->token, &s, LONG, cipher, e));
    WELL(mac(w->token, &s, 100, got, e));
    WELL(mac(w->token, &s, LONG, got, e));
    set_free(&s);
}

/* --- power cuts and refusals ------------------------------------------------------------------------ */

static void test_after_a_power_cut_all_goes_on(void **state)
{
    struct unit_tpm *w = *state;
    struct set s, t;
    uint8_t cipher[LONG], got[32];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    set_make(w, &s);
    unit_tpm_cut();
    WELL(agree(w->token, &s, e));
    unit_tpm_cut();
    WELL(unseal(w->token, &s, e));
    unit_tpm_cut();
    WELL(there_and_back(w->token, &s, LONG, cipher, e));
    unit_tpm_cut();
    WELL(mac(w->token, &s, 100, got, e));
    unit_tpm_cut();
    WELL(mac(w->token, &s, LONG, got, e));
    unit_tpm_cut();
    set_make(w, &t);
    WELL(mac(w->token, &t, LONG, got, e));
    assert_int_equal(unit_tpm_failures(), 0);
    set_free(&s);
    set_free(&t);
}

/* Made before the world is closed, for the children. */
static struct set child_set;

static int in_child(struct unit_tpm *w)
{
    uint8_t cipher[LONG], got[32];
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(agree(w->token, &child_set, &e) == 0, &e);
    CHILD_MUST(unseal(w->token, &child_set, &e) == 0, &e);
    CHILD_MUST(there_and_back(w->token, &child_set, LONG, cipher, &e) == 0, &e);
    CHILD_MUST(mac(w->token, &child_set, 100, got, &e) == 0, &e);
    CHILD_MUST(mac(w->token, &child_set, LONG, got, &e) == 0, &e);
    CHILD_MUST(loaded() <= 2, &e);
    return 0;
}

static void test_a_full_or_confused_tpm_is_got_over(void **state)
{
    static const char *const commands[] = {
        "ECDH_ZGen",  "RSA_Decrypt",    "EncryptDecrypt2", "HMAC",
        "HMAC_Start", "SequenceUpdate", "SequenceComplete"};
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    set_make(w, &child_set);
    unit_tpm_close(w);
    /* TPM_RC_BAD_AUTH of the first session: it is out of step. */
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x9a2", commands[i], in_child), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "2:0x9a2", "SequenceUpdate", in_child), 0);
    /* TPM_RC_OBJECT_MEMORY: others hold the slots. */
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x902", "HMAC_Start", in_child), 0);
    set_free(&child_set);
}

static int lacks_a_command(struct unit_tpm *w)
{
    struct token_cipher how = {.mode = TOKEN_CTR};
    uint8_t out[LONG], got[32];
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    unit_spy_clear(w);
    CHILD_MUST(
        token_cipher(w->token, &child_set.aes, &how, bytes_of(child_set.data, LONG), out, &e) == 0,
        &e);
    /* Load, the refusal, and three chunks the older way. */
    CHILD_MUST(unit_spy_count(w, "EncryptDecrypt2") == 1, &e);
    CHILD_MUST(unit_spy_count(w, "EncryptDecrypt") == 3, &e);
    how = (struct token_cipher){.mode = TOKEN_CTR, .encrypt = true};
    CHILD_MUST(token_cipher(w->token, &child_set.aes, &how, bytes_of(out, LONG), out, &e) == 0, &e);
    CHILD_MUST(memcmp(out, child_set.data, LONG) == 0, &e);
    CHILD_MUST(mac(w->token, &child_set, 5, got, &e) == 0, &e);
    return 0;
}

static int will_not_encrypt(struct unit_tpm *w)
{
    struct token_cipher how = {.mode = TOKEN_CBC, .encrypt = true};
    uint8_t out[LONG];
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    unit_spy_clear(w);
    CHILD_MUST(
        token_cipher(w->token, &child_set.aes, &how, bytes_of(child_set.data, 16), out, &e) == -1,
        &e);
    CHILD_MUST(e.code == E_UNSUPPORTED, &e);
    CHILD_MUST(unit_spy_count(w, "EncryptDecrypt") == 0, &e);
    return 0;
}

static int lacks_a_hash(struct unit_tpm *w)
{
    struct bytes data = bytes_of(child_set.data, 5);
    uint8_t got[32];
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_hmac(w->token, &child_set.hmac, sha256(), &data, 1, got, &e) == -1, &e);
    CHILD_MUST(e.code == E_UNSUPPORTED, &e);
    return 0;
}

static int makes_no_key(struct unit_tpm *w)
{
    const struct key_spec spec = {.type = TPM2_ALG_SYMCIPHER, .bits = 256};
    struct err e = {0};

    CHILD_MUST(token_key_supported(w->token, &spec, &e) == -1, &e);
    CHILD_MUST(e.code == E_UNSUPPORTED, &e);
    return 0;
}

static void test_what_a_tpm_lacks_is_told_or_gone_round(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    set_make(w, &child_set);
    unit_tpm_close(w);
    /* TPM_RC_COMMAND_CODE, from the TPM and from a resource manager. */
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x143", "EncryptDecrypt2", lacks_a_command),
                     0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0xc0143", "EncryptDecrypt2", lacks_a_command),
                     0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x143", "EncryptDecrypt2", will_not_encrypt),
                     0);
    /* TPM_RC_MODE, TPM_RC_HASH, TPM_RC_SYMMETRIC, TPM_RC_VALUE of some parameter. */
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x3c9", "EncryptDecrypt2", will_not_encrypt),
                     0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x2c3", "HMAC", lacks_a_hash), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x2d6", "HMAC", lacks_a_hash), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x1c4", "TestParms", makes_no_key), 0);
    set_free(&child_set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_one_command_each),
        WITH_TOKEN(test_making_secret_keys_costs_little),
        WITH_TOKEN(test_nothing_secret_crosses_the_wire_in_clear),
        WITH_TOKEN(test_a_sequence_leaves_nothing_behind),
        WITH_TOKEN(test_service_keys_work_without_login),
        WITH_TOKEN(test_after_a_power_cut_all_goes_on),
        WITH_TOKEN(test_a_full_or_confused_tpm_is_got_over),
        WITH_TOKEN(test_what_a_tpm_lacks_is_told_or_gone_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
