/* The small parsers of core/ that read what comes from outside: private keys, public keys,
 * saved digests, wrapped keys, points. What is read must come out again the same. */
#include "core/asn1.h"
#include "core/hash.h"
#include "core/keywrap.h"
#include "core/pkcs8.h"
#include "core/rsapriv.h"
#include "pkcs11/keyattr.h"
#include "tests/fuzz/input.h"

#include <string.h>

/* What was read strictly is written the same way, but for what PKCS#8 passes over. */
static void try_pkcs8(struct input *in)
{
    struct bytes der = input_rest(in);
    struct secret *priv = NULL, *again = NULL;
    struct buf out = {0};
    struct pubkey pub, back;

    if (pkcs8_decode(der, &pub, &priv, NULL) != 0) {
        INPUT_HOLDS(priv == NULL);
        return;
    }
    input_look(secret_bytes(priv));
    INPUT_HOLDS(pkcs8_encode(&pub, secret_bytes(priv), &out, NULL) == 0);
    INPUT_HOLDS(pkcs8_decode(buf_bytes(&out), &back, &again, NULL) == 0);
    INPUT_HOLDS(pubkey_equal(&pub, &back));
    INPUT_HOLDS(secret_len(again) == secret_len(priv));
    secret_free(priv);
    secret_free(again);
    buf_free(&out);
}

static void try_rsapriv(struct input *in)
{
    struct bytes der = input_rest(in);
    struct secret *prime = NULL;
    struct buf out = {0};
    struct pubkey pub;

    if (rsapriv_decode(der, &pub, &prime, NULL) != 0) {
        INPUT_HOLDS(prime == NULL);
        return;
    }
    INPUT_HOLDS(secret_len(prime) == pub.n_len / 2u);
    INPUT_HOLDS(rsapriv_encode(&pub, secret_bytes(prime), &out, NULL) == 0);
    secret_free(prime);
    buf_free(&out);
}

/* A restored digest saves to what it came from, and goes on like a copy of itself. */
static void try_hash(struct input *in)
{
    struct bytes more = input_bytes(in, 300), state = input_rest(in);
    uint8_t one[ALG_MAX_DIGEST], two[ALG_MAX_DIGEST];
    struct hash *h = NULL, *copy;
    struct buf out = {0};
    size_t size;

    if (hash_restore(state, &h, NULL) != 0) {
        INPUT_HOLDS(h == NULL);
        return;
    }
    INPUT_HOLDS(hash_save(h, &out, NULL) == 0);
    INPUT_HOLDS(out.len <= HASH_STATE_MAX && bytes_equal(buf_bytes(&out), state));
    size = hash_algorithm(h)->size;
    copy = hash_copy(h, NULL);
    INPUT_HOLDS(copy != NULL);
    if (hash_update(h, more, NULL) == 0 && hash_update(copy, more, NULL) == 0 &&
        hash_end(h, one, NULL) == 0) {
        h = NULL;
        INPUT_HOLDS(hash_end(copy, two, NULL) == 0);
        copy = NULL;
        INPUT_HOLDS(memcmp(one, two, size) == 0);
    }
    hash_abort(h);
    hash_abort(copy);
    buf_free(&out);
}

static void try_hash_running(struct input *in)
{
    static const size_t sizes[] = {20, 28, 32, 48, 64};
    const struct alg_hash *alg = alg_hash_sized(sizes[input_below(in, ARRAY_LEN(sizes))]);
    uint8_t one[ALG_MAX_DIGEST], two[ALG_MAX_DIGEST];
    struct bytes first = input_bytes(in, 1000), second = input_bytes(in, 1000);
    struct hash *h = hash_begin(alg, NULL), *back = NULL;
    struct buf out = {0};

    INPUT_HOLDS(h != NULL && hash_update(h, first, NULL) == 0);
    INPUT_HOLDS(hash_save(h, &out, NULL) == 0);
    INPUT_HOLDS(hash_restore(buf_bytes(&out), &back, NULL) == 0);
    INPUT_HOLDS(hash_update(h, second, NULL) == 0 && hash_update(back, second, NULL) == 0);
    INPUT_HOLDS(hash_end(h, one, NULL) == 0 && hash_end(back, two, NULL) == 0);
    INPUT_HOLDS(memcmp(one, two, alg->size) == 0);
    buf_free(&out);
}

typedef int (*wrap_call)(const struct aes_block *aes, const uint8_t *iv, struct bytes in,
                         struct buf *out, struct err *e);

static void try_wrap(struct input *in)
{
    static const wrap_call calls[2][2] = {{keywrap_wrap, keywrap_unwrap},
                                          {keywrap_wrap_pad, keywrap_unwrap_pad}};
    static const uint8_t lengths[] = {16, 24, 32, 5};
    uint8_t raw[32], pad = input_u8(in) & 1;
    struct bytes key = bytes_of(raw, lengths[input_below(in, ARRAY_LEN(lengths))]);
    struct aes_block aes = aesblock_of_key(&key);
    const uint8_t *iv = NULL;
    struct buf wrapped = {0}, back = {0};
    struct bytes data;

    memset(raw, input_u8(in), sizeof(raw));
    if (input_one_in(in, 4))
        iv = input_room(in, pad != 0 ? 4 : 8);
    data = input_rest(in);
    if (calls[pad][1](&aes, iv, data, &back, NULL) != 0)
        INPUT_HOLDS(back.len == 0);
    buf_free(&back);
    back = (struct buf){0};
    if (calls[pad][0](&aes, iv, data, &wrapped, NULL) == 0) {
        INPUT_HOLDS(calls[pad][1](&aes, iv, buf_bytes(&wrapped), &back, NULL) == 0);
        INPUT_HOLDS(bytes_equal(buf_bytes(&back), data));
    } else {
        INPUT_HOLDS(wrapped.len == 0);
    }
    buf_free(&wrapped);
    buf_free(&back);
}

static void try_public(struct input *in)
{
    struct bytes der = input_rest(in);
    struct buf out = {0};
    struct pubkey k, back;

    if (pubkey_from_spki(&k, der, NULL) != 0)
        return;
    INPUT_HOLDS(pubkey_to_spki(&k, &out, NULL) == 0);
    INPUT_HOLDS(pubkey_from_spki(&back, buf_bytes(&out), NULL) == 0 && pubkey_equal(&k, &back));
    INPUT_HOLDS(pubkey_bits(&k) != 0 && pubkey_sig_len(&k) != 0);
    buf_free(&out);
}

static void try_point(struct input *in)
{
    static const char *const names[] = {"P-256", "P-384", "P-521"};
    const struct alg_curve *c = alg_curve_named(names[input_below(in, ARRAY_LEN(names))]), *named;
    struct ecc_point p;
    struct bytes v = input_rest(in);

    named = keyattr_curve(v);
    INPUT_HOLDS(named == NULL || named->size <= ALG_MAX_COORD);
    if (keyattr_point(v, c, &p))
        INPUT_HOLDS(ecc_on_curve(c, &p));
}

/* Signatures that no key made. */
static void try_verify(struct input *in)
{
    uint8_t n[PUBKEY_MAX_RSA], out[PUBKEY_MAX_RSA];
    size_t len = 128 + 8 * input_below(in, 49), got;
    int salt = (int)input_below(in, 70) - 1;
    const struct alg_hash *h = alg_hash_sized(32);
    struct pubkey k;
    struct bytes sig;
    uint8_t digest[32] = {0};

    memset(n, 0xff, sizeof(n));
    if (pubkey_from_rsa(&k, bytes_of(n, len), 65537, NULL) != 0)
        return;
    sig = input_rest(in);
    if (pubkey_recover_pkcs1(&k, sig, out, &got, NULL) == 0)
        INPUT_HOLDS(got + 11 <= len);
    (void)!pubkey_verify(&k, PUBKEY_RSAPSS, h, salt, bytes_of(digest, 32), sig, NULL);
    (void)!pubkey_verify(&k, PUBKEY_RSASSA, h, 0, bytes_of(digest, 32), sig, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct input *) = {try_pkcs8,        try_rsapriv, try_hash,
                                                    try_hash_running, try_wrap,    try_public,
                                                    try_point,        try_verify};
    struct input in = input_of(data, size);

    tries[input_below(&in, ARRAY_LEN(tries))](&in);
    input_end(&in);
    return 0;
}
