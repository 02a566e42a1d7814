/* RSA decryption in the TPM: every padding comes off, and nothing tells one wrong padding from
 * another. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/support/unit_crypt.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define N 256 /* bytes of RSA-2048 */

static const char secret_text[] = "thirty-two bytes of a session key";

/* An encoded message under the public half. */
static void encrypt(const struct store_key *key, const uint8_t em[N], uint8_t out[N])
{
    struct pubkey pub;
    struct err e = {0};

    if (token_key_public(key, &pub, &e) != 0 || pubkey_rsa_raw(&pub, bytes_of(em, N), out, &e) != 0)
        fail_msg("%s", e.msg);
}

static void pad_oaep(const struct token_rsa *how, struct bytes text, uint8_t em[N])
{
    const struct alg_hash *mgf = how->mgf != NULL ? how->mgf : how->hash;

    assert_int_equal(RSA_padding_add_PKCS1_OAEP_mgf1(
                         em, N, text.p, (int)text.len, how->label.p, (int)how->label.len,
                         EVP_get_digestbynid(how->hash->nid), EVP_get_digestbynid(mgf->nid)),
                     1);
}

static void comes_back(struct unit_tpm *w, const struct store_key *key, const struct token_rsa *how,
                       const uint8_t em[N], struct bytes text)
{
    uint8_t cipher[N], out[N];
    size_t len = 999;
    struct err e = {0};

    encrypt(key, em, cipher);
    if (token_rsa_decrypt(w->token, key, how, bytes_of(cipher, N), out, &len, &e) != 0)
        fail_msg("%s with %s, label of %zu: %s", how->hash != NULL ? how->hash->name : "PKCS#1",
                 how->mgf != NULL ? how->mgf->name : "-", how->label.len, e.msg);
    assert_int_equal(len, text.len);
    assert_memory_equal(out, text.p, len);
}

static void test_pkcs1_comes_off(void **state)
{
    static const size_t sizes[] = {0, 1, 33, N - 11};
    static const struct token_rsa pkcs1;
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    uint8_t em[N], text[N];

    memset(text, 0x42, sizeof(text));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_rsa(w, true, &key);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(RSA_padding_add_PKCS1_type_2(em, N, text, (int)sizes[i]), 1);
        comes_back(w, &key, &pkcs1, em, bytes_of(text, sizes[i]));
    }
    store_key_free(&key);
}

static void test_oaep_of_all_hashes_masks_and_labels_comes_off(void **state)
{
    static const char *const hashes[] = {"SHA1", "SHA224", "SHA256", "SHA384", "SHA512"};
    /* None; as the TPM wants them; without NUL, with one inside, and longer than it takes. */
    const struct bytes labels[] = {bytes_of(NULL, 0),   bytes_of("DUPLICATE", 10),
                                   bytes_of("\0", 1),   bytes_of("label", 5),
                                   bytes_of("a\0b", 4), bytes_of(secret_text, 30)};
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    uint8_t em[N], text[N] = {'t'}, longest[100] = {'x'};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_rsa(w, true, &key);
    for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
        struct token_rsa how = {.hash = alg_hash_named(hashes[h])};
        size_t most = N - 2 * how.hash->size - 2;

        for (size_t l = 0; l < ARRAY_LEN(labels); l++) {
            how.label = labels[l];
            pad_oaep(&how, unit_pin(secret_text), em);
            comes_back(w, &key, &how, em, unit_pin(secret_text));
        }
        how.label = bytes_of(longest, sizeof(longest));
        pad_oaep(&how, unit_pin(""), em);
        comes_back(w, &key, &how, em, unit_pin(""));
        how.label = bytes_of(NULL, 0);
        pad_oaep(&how, unit_pin(""), em);
        comes_back(w, &key, &how, em, unit_pin(""));
        pad_oaep(&how, bytes_of(text, most), em);
        comes_back(w, &key, &how, em, bytes_of(text, most));
        for (size_t m = 0; m < ARRAY_LEN(hashes); m++) {
            how.mgf = alg_hash_named(hashes[m]);
            pad_oaep(&how, unit_pin(secret_text), em);
            comes_back(w, &key, &how, em, unit_pin(secret_text));
        }
    }
    store_key_free(&key);
}

/* --- what is wrong stays unsaid ------------------------------------------------------- */

/* Refused like all others: the same error, and as many commands. */
struct refusal {
    struct err e;
    size_t commands; /* 0: not known yet */
};

static void same_refusal(struct unit_tpm *w, const struct store_key *key,
                         const struct token_rsa *how, const uint8_t em[N], struct refusal *like)
{
    uint8_t cipher[N], out[N];
    size_t len = 999;
    struct err e = {0};

    encrypt(key, em, cipher);
    memset(out, 0x77, sizeof(out));
    unit_spy_clear(w);
    assert_int_equal(token_rsa_decrypt(w->token, key, how, bytes_of(cipher, N), out, &len, &e), -1);
    assert_int_equal(e.code, E_DATA);
    assert_int_equal(len, 999);
    for (size_t i = 0; i < sizeof(out); i++)
        assert_int_equal(out[i], 0x77);
    assert_int_equal(ERR_peek_error(), 0);
    if (like->e.code == E_OK)
        like->e = e;
    if (like->commands == 0)
        like->commands = unit_spy_count(w, NULL);
    assert_memory_equal(&e, &like->e, sizeof(e));
    assert_int_equal(unit_spy_count(w, NULL), like->commands);
}

static void bad_pkcs1(struct unit_tpm *w, const struct store_key *key, struct refusal *like)
{
    static const struct token_rsa pkcs1;
    uint8_t good[N], em[N];

    assert_int_equal(RSA_padding_add_PKCS1_type_2(good, N, (const uint8_t *)secret_text, 32), 1);
    for (int what = 0; what < 7; what++) {
        memcpy(em, good, N);
        switch (what) {
        case 0: em[0] = 1; break;             /* not 00 first */
        case 1: em[1] = 1; break;             /* block type of a signature */
        case 2: em[N - 33] = 5; break;        /* maybe no 00 at all, see below */
        case 3: em[9] = 0; break;             /* seven bytes of padding */
        case 4: em[2] = 0; break;             /* none */
        case 5: memset(em, 0, N); break;      /* the number zero */
        default: memset(em + 2, 0xaa, N - 2); /* no 00 at all */
        }
        if (what == 2)
            memset(em + N - 33, 5, 33);
        same_refusal(w, key, &pkcs1, em, like);
    }
}

static void bad_oaep(struct unit_tpm *w, const struct store_key *key, const struct token_rsa *how,
                     struct refusal *like)
{
    struct token_rsa other = *how;
    uint8_t em[N];

    for (int what = 0; what < 5; what++) {
        pad_oaep(how, unit_pin(secret_text), em);
        switch (what) {
        case 0: em[0] = 1; break;      /* not 00 first (Manger) */
        case 1: em[5] ^= 1; break;     /* another seed */
        case 2: em[N - 1] ^= 1; break; /* another mask of the seed */
        case 3: memset(em + 1, 0, N - 1); break;
        default: /* another label */
            other.label = bytes_of("other", 6);
            pad_oaep(&other, unit_pin(secret_text), em);
        }
        same_refusal(w, key, how, em, like);
    }
}

static void test_no_refusal_tells_what_was_wrong(void **state)
{
    const struct token_rsa tpms = {.hash = alg_hash_named("SHA256")},
                           ours = {.hash = alg_hash_named("SHA256"), .mgf = alg_hash_named("SHA1")};
    struct unit_tpm *w = *state;
    struct store_key key = {0};
    struct refusal like = {.commands = 1};

    unit_crypt_spied(w, false);
    unit_tpm_rsa(w, true, &key);
    assert_int_equal(
        token_rsa_raw(w->token, &key, bytes_of((const uint8_t[N]){0}, N), (uint8_t[N]){0}, NULL),
        0);
    like.commands = 1;
    bad_pkcs1(w, &key, &like);
    bad_oaep(w, &key, &ours, &like);
    /* One command where the TPM says that it is the data, two where it does not (libtpms). */
    like.commands = 0;
    bad_oaep(w, &key, &tpms, &like);
    assert_in_range(like.commands, 1, 2);
    store_key_free(&key);
}

static void test_what_is_no_ciphertext_is_refused_here(void **state)
{
    static const struct token_rsa pkcs1;
    static const size_t sizes[] = {0, 1, N - 1, N + 1, 2 * N};
    struct unit_tpm *w = *state;
    struct store_key key = {0}, sign = {0}, ecc = {0};
    uint8_t in[2 * N] = {0}, out[2 * N];
    struct err e = {0}, f = {0}, g = {0};
    size_t len = 0;

    unit_crypt_spied(w, false);
    unit_tpm_rsa(w, true, &key);
    unit_tpm_rsa(w, false, &sign);
    unit_tpm_ecc(w, "P-256", &ecc);
    unit_spy_clear(w);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        e = (struct err){0};
        assert_int_equal(
            token_rsa_decrypt(w->token, &key, &pkcs1, bytes_of(in, sizes[i]), out, &len, &e), -1);
        assert_int_equal(e.code, E_DATA);
    }
    memset(in, 0xff, N); /* not less than the modulus */
    assert_int_equal(token_rsa_decrypt(w->token, &key, &pkcs1, bytes_of(in, N), out, &len, &f), -1);
    assert_int_equal(f.code, E_DATA);
    assert_string_equal(e.msg, f.msg);
    e = f = (struct err){0};
    assert_int_equal(token_rsa_decrypt(w->token, &sign, &pkcs1, bytes_of(in, N), out, &len, &e),
                     -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    assert_int_equal(token_rsa_decrypt(w->token, &ecc, &pkcs1, bytes_of(in, N), out, &len, &f), -1);
    assert_int_equal(f.code, E_ARG);
    assert_int_equal(unit_spy_count(w, NULL), 0);
    assert_int_equal(token_logout(w->token, NULL), 0);
    memset(in, 0, N);
    assert_int_equal(token_rsa_decrypt(w->token, &key, &pkcs1, bytes_of(in, N), out, &len, &g), -1);
    assert_int_equal(g.code, E_LOGIN);
    store_key_free(&key);
    store_key_free(&sign);
    store_key_free(&ecc);
}

/* --- TPMs that refuse one of the two ways ------------------------------------------------ */

static struct store_key child_key;

static int decrypts(struct unit_tpm *w, const struct token_rsa *how, bool good)
{
    uint8_t em[N], cipher[N], out[N];
    struct pubkey pub;
    size_t len = 0;
    struct err e = {0};
    int rc;

    if (how->hash != NULL)
        pad_oaep(how, unit_pin(secret_text), em);
    else
        (void)RSA_padding_add_PKCS1_type_2(em, N, (const uint8_t *)secret_text,
                                           (int)strlen(secret_text));
    if (!good)
        em[1] ^= 1;
    CHILD_MUST(token_login(w->token, TOKEN_USER, unit_pin(UNIT_USER), &e) == 0, &e);
    CHILD_MUST(token_key_public(&child_key, &pub, &e) == 0, &e);
    CHILD_MUST(pubkey_rsa_raw(&pub, bytes_of(em, N), cipher, &e) == 0, &e);
    unit_spy_clear(w);
    rc = token_rsa_decrypt(w->token, &child_key, how, bytes_of(cipher, N), out, &len, &e);
    CHILD_MUST(unit_spy_count(w, "RSA_Decrypt") == 2, &e);
    if (!good) {
        CHILD_MUST(rc == -1 && e.code == E_DATA && e.rc == 0, &e);
        return 0;
    }
    CHILD_MUST(rc == 0 && len == strlen(secret_text) && memcmp(out, secret_text, len) == 0, &e);
    return 0;
}

static int pkcs1_good(struct unit_tpm *w)
{
    return decrypts(w, &(struct token_rsa){.hash = NULL}, true);
}

static int pkcs1_bad(struct unit_tpm *w)
{
    return decrypts(w, &(struct token_rsa){.hash = NULL}, false);
}

static int oaep_good(struct unit_tpm *w)
{
    return decrypts(w, &(struct token_rsa){.hash = alg_hash_named("SHA384")}, true);
}

static int oaep_bad(struct unit_tpm *w)
{
    return decrypts(w, &(struct token_rsa){.hash = alg_hash_named("SHA384")}, false);
}

static void test_where_the_tpm_refuses_one_way_the_other_is_tried(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_rsa(w, true, &child_key);
    unit_tpm_close(w);
    /* TPM_RC_SCHEME and TPM_RC_HASH of the second parameter. */
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x2d2", "RSA_Decrypt", pkcs1_good), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x2d2", "RSA_Decrypt", pkcs1_bad), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x2c3", "RSA_Decrypt", oaep_good), 0);
    assert_int_equal(unit_spy_child(w, "SPY_FAIL", "1:0x2c3", "RSA_Decrypt", oaep_bad), 0);
    store_key_free(&child_key);
    child_key = (struct store_key){0};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_pkcs1_comes_off),
        WITH_TOKEN(test_oaep_of_all_hashes_masks_and_labels_comes_off),
        WITH_TOKEN(test_no_refusal_tells_what_was_wrong),
        WITH_TOKEN(test_what_is_no_ciphertext_is_refused_here),
        WITH_TOKEN(test_where_the_tpm_refuses_one_way_the_other_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
