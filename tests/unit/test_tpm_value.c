/* Goal: an extractable key comes out of the TPM as it went in, encrypted on its way; any other
 * stays, whoever asks. */
#include "tests/support/unit_crypt.h"

#include "core/hash.h"
#include "core/tpmname.h"
#include "tpm/exec.h"
#include "tpm/policy.h"
#include "tpm/token_priv.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct key_spec on_curve(const char *curve)
{
    return (struct key_spec){.type = TPM2_ALG_ECC,
                             .curve = alg_curve_named(curve),
                             .sign = true,
                             .decrypt = true,
                             .extractable = true};
}

static void import(struct unit_tpm *w, const struct key_spec *spec, const struct pubkey *pub,
                   struct bytes key, struct store_key *out)
{
    struct err e = {0};

    if (token_key_import(w->token, spec, pub, key, out, &e) != 0)
        fail_msg("a key of %zu bytes: %s", key.len, e.msg);
}

static void create(struct unit_tpm *w, const struct key_spec *spec, struct store_key *out)
{
    struct err e = {0};

    if (token_key_create(w->token, spec, out, &e) != 0)
        fail_msg("%s", e.msg);
}

static struct secret *value(struct unit_tpm *w, const struct store_key *key)
{
    struct secret *out = NULL;
    uint32_t left[4];
    struct err e = {0};

    if (token_key_value(w->token, key, &out, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(unit_tpm_handles(0x80000000, 0x80ffffff, left, 4), 0);
    /* The session that this process holds, no more. */
    assert_int_equal(unit_tpm_handles(0x02000000, UINT32_MAX, left, 4), 1);
    return out;
}

static void is_value(struct unit_tpm *w, const struct store_key *key, struct bytes want)
{
    struct secret *out = value(w, key);

    assert_int_equal(secret_len(out), want.len);
    assert_memory_equal(secret_peek(out), want.p, want.len);
    secret_free(out);
}

static void goes_round(struct unit_tpm *w, const struct key_spec *spec, const struct pubkey *pub,
                       struct bytes key)
{
    struct store_key k = {0};

    import(w, spec, pub, key, &k);
    assert_true(k.imported);
    is_value(w, &k, key);
    is_value(w, &k, key);
    store_key_free(&k);
}

/* A scalar that begins with a zero: it is there. */
static void short_scalar(const struct alg_curve *c, uint8_t *d, struct pubkey *pub)
{
    uint8_t seed[ALG_MAX_COORD + 8] = {0};

    /* Less than the order: the scalar is one more. */
    memset(seed + 9, 0x35, c->size - 1);
    *pub = (struct pubkey){.type = TPM2_ALG_ECC, .curve = c};
    assert_int_equal(ecc_from_seed(c, bytes_of(seed, c->size + 8), d, &pub->point, NULL), 0);
    assert_int_equal(d[0], 0);
    assert_int_not_equal(d[1], 0);
}

static void test_scalars_come_back_as_they_went_in(void **state)
{
    static const char *const curve[] = {"P-256", "P-384"};
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(curve); i++) {
        struct key_spec spec = on_curve(curve[i]);
        struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = spec.curve};
        uint8_t d[ALG_MAX_COORD];

        unit_crypt_pair(spec.curve, 7, d, &pub.point);
        goes_round(w, &spec, &pub, bytes_of(d, spec.curve->size));
        short_scalar(spec.curve, d, &pub);
        goes_round(w, &spec, &pub, bytes_of(d, spec.curve->size));
    }
}

static void test_a_prime_comes_back_as_it_went_in(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = {
        .type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .decrypt = true, .extractable = true};
    struct pubkey pub = {.type = TPM2_ALG_RSA, .exponent = 65537, .n_len = 256};
    EVP_PKEY *outside = EVP_RSA_gen(2048);
    BIGNUM *n = NULL, *prime = NULL;
    uint8_t factor[128];

    assert_non_null(outside);
    assert_int_equal(EVP_PKEY_get_bn_param(outside, "n", &n), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(outside, "rsa-factor1", &prime), 1);
    assert_int_equal(BN_bn2binpad(n, pub.n, 256), 256);
    assert_int_equal(BN_bn2binpad(prime, factor, 128), 128);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    goes_round(w, &spec, &pub, bytes_of(factor, 128));
    BN_free(n);
    BN_clear_free(prime);
    EVP_PKEY_free(outside);
}

static void test_secret_keys_come_back_as_they_went_in(void **state)
{
    static const size_t aes[] = {16, 32}, hmac[] = {1, 20, 64, 128};
    struct unit_tpm *w = *state;
    uint8_t key[128];

    memset(key, 0x69, sizeof(key));
    key[0] = 0;
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(aes); i++)
        goes_round(w,
                   &(struct key_spec){.type = TPM2_ALG_SYMCIPHER,
                                      .bits = (uint16_t)(8 * aes[i]),
                                      .extractable = true},
                   NULL, bytes_of(key, aes[i]));
    for (size_t i = 0; i < ARRAY_LEN(hmac); i++)
        goes_round(w, &(struct key_spec){.type = TPM2_ALG_KEYEDHASH, .extractable = true}, NULL,
                   bytes_of(key, hmac[i]));
    goes_round(w,
               &(struct key_spec){.type = TPM2_ALG_KEYEDHASH,
                                  .hash = alg_hash_named("SHA256"),
                                  .extractable = true},
               NULL, bytes_of(key, 40));
}

/* --- keys made by the TPM: what comes out is what it works with ------------------------ */

static void test_a_made_key_comes_out_and_works_elsewhere(void **state)
{
    static const struct key_spec rsa = {
        .type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .extractable = true};
    struct unit_tpm *w = *state;
    const struct key_spec ecc = on_curve("P-256");
    const struct key_spec *spec[] = {&ecc, &rsa};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(spec); i++) {
        struct store_key made = {0}, again = {0};
        struct key_spec stays = *spec[i];
        struct secret *v;
        struct pubkey pub;

        create(w, spec[i], &made);
        assert_false(made.imported);
        assert_int_equal(token_key_public(&made, &pub, NULL), 0);
        v = value(w, &made);
        /* The TPM loads no private half that does not fit the public one. */
        stays.extractable = false;
        import(w, &stays, &pub, secret_bytes(v), &again);
        if (spec[i]->type == TPM2_ALG_ECC)
            assert_int_equal(unit_tpm_sign(w->token, &again, NULL), 0);
        secret_free(v);
        store_key_free(&made);
        store_key_free(&again);
    }
}

static void test_a_made_secret_key_comes_out_and_works_elsewhere(void **state)
{
    static const uint8_t zeros[TOKEN_BLOCK];
    const struct alg_hash *h = alg_hash_named("SHA256");
    struct unit_tpm *w = *state;
    struct token_cipher how = {.mode = TOKEN_ECB, .encrypt = true};
    struct bytes data = bytes_of(zeros, sizeof(zeros));
    struct store_key aes = {0}, hmac = {0}, again = {0};
    uint8_t a[32], b[32];
    struct secret *v;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &(struct key_spec){.type = TPM2_ALG_SYMCIPHER, .bits = 256, .extractable = true},
           &aes);
    v = value(w, &aes);
    assert_int_equal(secret_len(v), 32);
    unit_crypt_aes(w, secret_bytes(v), &again);
    unit_crypt_cipher(w, &aes, &how, data, a);
    unit_crypt_cipher(w, &again, &how, data, b);
    assert_memory_equal(a, b, TOKEN_BLOCK);
    secret_free(v);
    create(w, &(struct key_spec){.type = TPM2_ALG_KEYEDHASH, .hash = h, .extractable = true},
           &hmac);
    v = value(w, &hmac);
    assert_int_equal(secret_len(v), 32);
    assert_int_equal(hash_hmac(h, secret_bytes(v), data, a, NULL), 0);
    assert_int_equal(token_hmac(w->token, &hmac, h, &data, 1, b, NULL), 0);
    assert_memory_equal(a, b, 32);
    secret_free(v);
    store_key_free(&aes);
    store_key_free(&hmac);
    store_key_free(&again);
}

static void test_an_extractable_key_is_marked_for_all_to_see(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = on_curve("P-256");
    struct tpmpolicy want = {{0}};
    struct store_key key = {0};
    TPMT_PUBLIC area;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &spec, &key);
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&key.public), &area, NULL), 0);
    assert_int_equal(area.objectAttributes & (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT), 0);
    assert_int_not_equal(area.objectAttributes & TPMA_OBJECT_SENSITIVEDATAORIGIN, 0);
    assert_int_not_equal(area.objectAttributes & TPMA_OBJECT_USERWITHAUTH, 0);
    assert_int_equal(tpmpolicy_authvalue(&want, NULL), 0);
    assert_int_equal(tpmpolicy_command(&want, TPM2_CC_Duplicate, NULL), 0);
    assert_true(bytes_equal(bytes_of(area.authPolicy.buffer, area.authPolicy.size),
                            bytes_of(want.d, sizeof(want.d))));
    /* It signs like any other. */
    assert_int_equal(unit_tpm_sign(w->token, &key, NULL), 0);
    store_key_free(&key);
}

/* --- who may not ------------------------------------------------------------------------ */

static enum err_code refused(struct unit_tpm *w, const struct store_key *key)
{
    struct secret *out = NULL;
    struct err e = {0};

    assert_int_equal(token_key_value(w->token, key, &out, &e), -1);
    assert_null(out);
    return e.code;
}

static void test_other_keys_do_not_leave(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = on_curve("P-256");
    struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = spec.curve};
    struct store_key made = {0}, brought = {0}, leaves = {0};
    uint8_t d[ALG_MAX_COORD];
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &spec, &leaves);
    spec.extractable = false;
    create(w, &spec, &made);
    unit_crypt_pair(spec.curve, 1, d, &pub.point);
    import(w, &spec, &pub, bytes_of(d, 32), &brought);
    unit_crypt_spied(w, false);
    unit_spy_clear(w);
    assert_int_equal(refused(w, &made), E_UNSUPPORTED);
    assert_int_equal(refused(w, &brought), E_UNSUPPORTED);
    assert_int_equal(unit_spy_count(w, NULL), 0);
    assert_int_equal(token_logout(w->token, NULL), 0);
    assert_int_equal(refused(w, &leaves), E_LOGIN);
    assert_int_equal(refused(w, &made), E_LOGIN);
    unit_tpm_login(w, TOKEN_SO, UNIT_SO);
    assert_int_equal(refused(w, &leaves), E_LOGIN);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    /* A service key that leaves would be anybody's. */
    spec.extractable = true;
    spec.mode = STORE_KEY_NONE;
    assert_int_equal(token_key_create(w->token, &spec, &made, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    store_key_free(&made);
    store_key_free(&brought);
    store_key_free(&leaves);
}

/* TPM2_Duplicate of `key` without a new parent (TPM_RH_NULL), in a policy session that did
 * what an extractable key asks for; the response code. */
static TSS2_RC asks_directly(struct unit_tpm *w, const struct store_key *key)
{
    TPM2B_DATA no_key = {0};
    TPMT_SYM_DEF_OBJECT sym = {.algorithm = TPM2_ALG_NULL};
    const struct loaded_key *l = NULL;
    struct session p = {0};
    struct exec x = {.n_names = 2, .n_auth = 1};
    TPM2B_NAME null_name;
    uint8_t auth_value[32];
    struct bytes auth = {NULL, 0};
    struct token *k = w->token;
    struct err e = {0};

    tpmname_handle(TPM2_RH_NULL, &null_name);
    if (policy_start(w->tpm, &k->salt, token_session(k, &e), &p, &e) != 0 ||
        policy_authvalue(w->tpm, &p, &e) != 0 ||
        policy_command(w->tpm, &p, TPM2_CC_Duplicate, &e) != 0 ||
        token_key_auth(k, key, auth_value, &auth, &e) != 0 || token_key_load(k, key, &l, &e) != 0)
        fail_msg("%s", e.msg);
    x.name[0] = &l->name;
    x.name[1] = &null_name;
    x.auth[0] = (struct exec_auth){.session = &p, .auth = auth, .last = true};
    assert_int_equal(
        Tss2_Sys_Duplicate_Prepare(tpm_sys(w->tpm, NULL), l->handle, TPM2_RH_NULL, &no_key, &sym),
        TSS2_RC_SUCCESS);
    if (exec_run(w->tpm, &x, "duplicating", &e) == 0)
        e.rc = TSS2_RC_SUCCESS;
    session_end(w->tpm, &p);
    return e.rc;
}

static void test_the_tpm_itself_refuses_too(void **state)
{
    struct unit_tpm *w = *state;
    struct key_spec spec = on_curve("P-256");
    struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = spec.curve};
    struct store_key leaves = {0}, made = {0}, brought = {0};
    uint8_t d[ALG_MAX_COORD];

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    create(w, &spec, &leaves);
    spec.extractable = false;
    create(w, &spec, &made);
    unit_crypt_pair(spec.curve, 1, d, &pub.point);
    import(w, &spec, &pub, bytes_of(d, 32), &brought);
    assert_int_equal(asks_directly(w, &leaves), TSS2_RC_SUCCESS);
    assert_int_not_equal(asks_directly(w, &made), TSS2_RC_SUCCESS);
    assert_int_not_equal(asks_directly(w, &brought), TSS2_RC_SUCCESS);
    /* A row that says otherwise is no key of the TPM's: it does not even load. */
    buf_free(&made.public);
    made.public = (struct buf){0};
    buf_add_bytes(&made.public, buf_bytes(&leaves.public));
    token_key_forget(w->token, made.uuid);
    assert_int_not_equal(refused(w, &made), E_OK);
    store_key_free(&leaves);
    store_key_free(&made);
    store_key_free(&brought);
}

/* --- on the wire, and when things go wrong ------------------------------------------------ */

static void test_nothing_secret_crosses_the_wire_in_clear(void **state)
{
    struct unit_tpm *w = *state;
    uint8_t key[32], auth_value[32];
    struct store_key k = {0};
    struct bytes auth;

    memset(key, 0x7e, sizeof(key));
    key[5] = 9;
    unit_crypt_spied(w, true);
    import(w, &(struct key_spec){.type = TPM2_ALG_SYMCIPHER, .bits = 256, .extractable = true},
           NULL, bytes_of(key, sizeof(key)), &k);
    is_value(w, &k, bytes_of(key, sizeof(key)));
    assert_int_equal(token_key_auth(w->token, &k, auth_value, &auth, NULL), 0);
    assert_false(unit_spy_saw(w, key, sizeof(key)));
    assert_false(unit_spy_saw(w, auth.p, auth.len));
    assert_true(unit_spy_saw(w, k.public.p, k.public.len));
    unit_spy_clear(w);
    is_value(w, &k, bytes_of(key, sizeof(key)));
    assert_int_equal(unit_spy_count(w, NULL), 8);
    store_key_free(&k);
}

static struct store_key child_key;
static const uint8_t child_value[16] = {1, 2, 3, 4, 5, 6, 7, 8};

static int in_child(struct unit_tpm *w)
{
    struct secret *out = NULL;
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_key_value(w->token, &child_key, &out, &e) == 0, &e);
    CHILD_MUST(bytes_equal(secret_bytes(out), bytes_of(child_value, sizeof(child_value))), &e);
    secret_free(out);
    return 0;
}

static int altered_in_child(struct unit_tpm *w)
{
    struct secret *out = NULL;
    struct err e = {0};

    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_key_value(w->token, &child_key, &out, &e) == -1, &e);
    CHILD_MUST(e.code == E_TAMPERED && out == NULL, &e);
    return 0;
}

static void test_a_full_or_confused_tpm_is_got_over(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    import(w, &(struct key_spec){.type = TPM2_ALG_SYMCIPHER, .bits = 128, .extractable = true},
           NULL, bytes_of(child_value, sizeof(child_value)), &child_key);
    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x902", "LoadExternal", in_child), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x902", "Duplicate", in_child), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x9a2", "Duplicate", in_child), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "3:0x918", "StartAuthSession", in_child), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "3:0x903", "StartAuthSession", in_child), 0);
    assert_int_equal(unit_spy_child(w, "SPY_TAMPER", "1", "Duplicate", altered_in_child), 0);
    store_key_free(&child_key);
}

static void test_after_a_power_cut_it_comes_out_all_the_same(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key k = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    import(w, &(struct key_spec){.type = TPM2_ALG_SYMCIPHER, .bits = 128, .extractable = true},
           NULL, bytes_of(child_value, sizeof(child_value)), &k);
    unit_tpm_cut();
    is_value(w, &k, bytes_of(child_value, sizeof(child_value)));
    store_key_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_scalars_come_back_as_they_went_in),
        WITH_TOKEN(test_a_prime_comes_back_as_it_went_in),
        WITH_TOKEN(test_secret_keys_come_back_as_they_went_in),
        WITH_TOKEN(test_a_made_key_comes_out_and_works_elsewhere),
        WITH_TOKEN(test_a_made_secret_key_comes_out_and_works_elsewhere),
        WITH_TOKEN(test_an_extractable_key_is_marked_for_all_to_see),
        WITH_TOKEN(test_other_keys_do_not_leave),
        WITH_TOKEN(test_the_tpm_itself_refuses_too),
        WITH_TOKEN(test_nothing_secret_crosses_the_wire_in_clear),
        WITH_TOKEN(test_a_full_or_confused_tpm_is_got_over),
        WITH_TOKEN(test_after_a_power_cut_it_comes_out_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
