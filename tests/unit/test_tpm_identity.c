/* Goal: what we compute of a key's Names is what the TPM calls it, and costs nothing. */
#include "tests/support/unit_crypt.h"

#include "core/tpmname.h"
#include "tpm/attest.h"
#include "tpm/token_priv.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* TPM2_ReadPublic of the loaded key. */
static void as_the_tpm_says(struct unit_tpm *w, const struct store_key *key)
{
    TPM2B_NAME name = {.size = sizeof(name.name)}, qualified = {.size = sizeof(qualified.name)};
    const struct loaded_key *l = NULL;
    struct key_identity id;
    TPM2B_PUBLIC pub = {0};
    struct err e = {0};

    if (token_key_load(w->token, key, &l, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(
        Tss2_Sys_ReadPublic(tpm_sys(w->tpm, NULL), l->handle, NULL, &pub, &name, &qualified, NULL),
        TSS2_RC_SUCCESS);
    memset(&id, 0xee, sizeof(id));
    if (token_key_identity(w->token, key, &id, &e) != 0)
        fail_msg("%s", e.msg);
    assert_true(tpmname_equal(&id.name, &name));
    assert_true(tpmname_equal(&id.qualified, &qualified));
    assert_true(
        bytes_equal(bytes_of(id.policy, id.policy_len),
                    bytes_of(pub.publicArea.authPolicy.buffer, pub.publicArea.authPolicy.size)));
}

static void test_names_are_those_of_the_tpm(void **state)
{
    static const struct key_spec specs[] = {
        {.type = TPM2_ALG_RSA, .bits = 2048, .sign = true},
        {.type = TPM2_ALG_SYMCIPHER, .bits = 128, .extractable = true},
        {.type = TPM2_ALG_KEYEDHASH},
    };
    struct unit_tpm *w = *state;
    uint8_t d[ALG_MAX_COORD];
    struct store_key key = {0};
    struct key_identity a, b;
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct store_key k = {0};

        if (token_key_create(w->token, &specs[i], &k, &e) != 0)
            fail_msg("%s", e.msg);
        as_the_tpm_says(w, &k);
        assert_int_equal(token_key_identity(w->token, &k, &a, NULL), 0);
        assert_int_equal(a.policy_len, specs[i].extractable ? 32 : 0);
        store_key_free(&k);
    }
    unit_crypt_ecdh(w, alg_curve_named("P-384"), &key, d);
    as_the_tpm_says(w, &key);
    /* A public area that differs has other Names. */
    assert_int_equal(token_key_identity(w->token, &key, &a, NULL), 0);
    key.public.p[key.public.len - 1] ^= 1;
    assert_int_equal(token_key_identity(w->token, &key, &b, NULL), 0);
    assert_false(tpmname_equal(&a.name, &b.name));
    assert_false(tpmname_equal(&a.qualified, &b.qualified));
    store_key_free(&key);
}

static void test_names_cost_no_command_and_no_login(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct key_identity id;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    assert_int_equal(token_key_identity(w->token, &key, &id, NULL), 0);
    assert_int_equal(unit_spy_count(w, NULL), 0);
    assert_int_equal(id.policy_len, 0);
    assert_int_equal(id.qualified.size, 34);
    store_key_free(&key);
}

static void test_what_is_no_child_of_the_primary_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key ak = {0};
    struct key_identity id;
    struct attest_ek *ek = NULL;
    struct err e = {0};
    size_t n = 0;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    if (attest_ek_read(w->tpm, &ek, &n, &e) != 0 || attest_ak(w->token, ek[0].index, &ak, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(token_key_identity(w->token, &ak, &id, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    e = (struct err){0};
    ak.use = STORE_USE_OBJECT;
    ak.parent = 0;
    ak.public.len--;
    assert_int_equal(token_key_identity(w->token, &ak, &id, &e), -1);
    assert_int_equal(e.code, E_FORMAT);
    attest_ek_free(ek, n);
    store_key_free(&ak);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_names_are_those_of_the_tpm),
        WITH_TOKEN(test_names_cost_no_command_and_no_login),
        WITH_TOKEN(test_what_is_no_child_of_the_primary_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
