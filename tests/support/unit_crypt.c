#include "tests/support/unit_crypt.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

void unit_crypt_spied(struct unit_tpm *w, bool whole)
{
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, whole));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void import(struct unit_tpm *w, const struct key_spec *spec, const struct pubkey *pub,
                   struct bytes key, struct store_key *out)
{
    struct err e = {0};

    if (token_key_import(w->token, spec, pub, key, out, &e) != 0)
        fail_msg("a key of %zu bytes: %s", key.len, e.msg);
}

void unit_crypt_aes(struct unit_tpm *w, struct bytes key, struct store_key *out)
{
    import(w, &(struct key_spec){.type = TPM2_ALG_SYMCIPHER, .bits = (uint16_t)(8 * key.len)}, NULL,
           key, out);
}

void unit_crypt_hmac(struct unit_tpm *w, struct bytes key, const struct alg_hash *hash,
                     struct store_key *out)
{
    import(w, &(struct key_spec){.type = TPM2_ALG_KEYEDHASH, .hash = hash}, NULL, key, out);
}

void unit_crypt_pair(const struct alg_curve *c, unsigned n, uint8_t *d, struct ecc_point *pub)
{
    uint8_t seed[ALG_MAX_COORD + 8] = {(uint8_t)(n >> 8), (uint8_t)n, 0x5e, 0xed};

    assert_int_equal(ecc_from_seed(c, bytes_of(seed, c->size + 8), d, pub, NULL), 0);
}

void unit_crypt_ecdh(struct unit_tpm *w, const struct alg_curve *c, struct store_key *out,
                     uint8_t *d)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = c, .decrypt = true};
    struct pubkey pub = {.type = TPM2_ALG_ECC, .curve = c};

    unit_crypt_pair(c, 0, d, &pub.point);
    import(w, &spec, &pub, bytes_of(d, c->size), out);
}

void unit_crypt_cipher(struct unit_tpm *w, const struct store_key *key, struct token_cipher *how,
                       struct bytes in, uint8_t *out)
{
    struct err e = {0};

    if (token_cipher(w->token, key, how, in, out, &e) != 0)
        fail_msg("mode %d, %zu bytes: %s", how->mode, in.len, e.msg);
}
