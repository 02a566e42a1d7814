/* Evidence: EK certificates, attestation keys under both kinds of EK, Certify and
 * ActivateCredential, judged by the software of core/. */
#include "core/credential.h"
#include "core/ektemplate.h"
#include "core/tpmname.h"
#include "core/tpmwire.h"
#include "tests/support/unit_tpm.h"
#include "tpm/attest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint32_t both[] = {0x01C00016, 0x01C00002}; /* P-384 H-3, RSA-2048 L-1 */

static const uint8_t nonce[32] = {0xde, 0xad, 1, 2, 3};

static X509 *ek_cert(struct unit_tpm *w, uint32_t index)
{
    struct attest_ek *ek = NULL;
    const unsigned char *p;
    X509 *x = NULL;
    size_t n = 0;

    assert_int_equal(attest_ek_read(w->tpm, &ek, &n, NULL), 0);
    for (size_t i = 0; i < n; i++) {
        p = ek[i].cert.p;
        if (ek[i].index == index)
            x = d2i_X509(NULL, &p, (long)ek[i].cert.len);
    }
    attest_ek_free(ek, n);
    assert_non_null(x);
    return x;
}

/* TPMT_PUBLIC of the EK as an authority has it: from the certificate. */
static void ek_public(struct unit_tpm *w, uint32_t index, TPMT_PUBLIC *out)
{
    X509 *x = ek_cert(w, index);
    struct err e = {0};

    if (ektemplate_from_cert(index, x, out, &e) != 0)
        fail_msg("%s", e.msg);
    X509_free(x);
}

static void name_of(const TPMT_PUBLIC *pub, TPM2B_NAME *out)
{
    struct buf wire = {0};

    assert_int_equal(tpmname_marshal_public(pub, &wire, NULL), 0);
    assert_int_equal(tpmname_object(buf_bytes(&wire), out, NULL), 0);
    buf_free(&wire);
}

static void key_name(const struct store_key *key, TPM2B_NAME *out)
{
    assert_int_equal(tpmname_object(buf_bytes(&key->public), out, NULL), 0);
}

static void ak(struct unit_tpm *w, uint32_t index, struct store_key *out)
{
    struct err e = {0};

    if (attest_ak(w->token, index, out, &e) != 0)
        fail_msg("%s", e.msg);
}

static void test_ek_certificates_are_found_ecc_first(void **state)
{
    struct unit_tpm *w = *state;
    struct attest_ek *ek = NULL;
    size_t n = 0;

    assert_int_equal(attest_ek_read(w->tpm, &ek, &n, NULL), 0);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = ek[i].cert.p;
        X509 *x = d2i_X509(NULL, &p, (long)ek[i].cert.len);

        assert_int_equal(ek[i].index, both[i]);
        assert_non_null(x);
        /* Nothing of the padding behind it. */
        assert_ptr_equal(p, ek[i].cert.p + ek[i].cert.len);
        X509_free(x);
    }
    attest_ek_free(ek, n);
}

static void test_a_tpm_without_ek_certificate_is_told(void **state)
{
    struct unit_tpm *w = *state;
    struct attest_ek *ek = NULL;
    size_t n = 0;
    struct err e = {0};
    char tcti[200];
    int rc;

    assert_int_equal(unit_tpm_script("tpm_make \"$TPM_DIR/tpm2\" \"$(dirname \"$EK_CA_PEM\")\" "
                                     "none && tpm_start \"$TPM_DIR/tpm2\""),
                     0);
    snprintf(tcti, sizeof(tcti), "swtpm:path=%s/tpm2/sock", getenv("TPM_DIR"));
    unit_tpm_close(w);
    unit_tpm_open(w, tcti);
    rc = attest_ek_read(w->tpm, &ek, &n, &e);
    unit_tpm_close(w);
    unit_tpm_open(w, getenv("FUSETSU_TCTI"));
    assert_int_equal(unit_tpm_script("tpm_stop \"$TPM_DIR/tpm2\" && rm -r \"$TPM_DIR/tpm2\""), 0);
    assert_int_equal(rc, -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_null(ek);
}

static void test_the_ak_is_what_evidence_wants(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct store_key k = {0};
        TPMT_PUBLIC p;

        ak(w, both[i], &k);
        assert_int_equal(k.parent, both[i]);
        assert_int_equal(k.use, STORE_USE_AK);
        assert_false(k.imported);
        assert_int_equal(tpmname_unmarshal_public(buf_bytes(&k.public), &p, NULL), 0);
        assert_int_equal(p.objectAttributes, TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                                 TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                                 TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
                                                 TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT);
        assert_int_equal(p.type, TPM2_ALG_ECC);
        assert_int_equal(p.parameters.eccDetail.scheme.scheme, TPM2_ALG_ECDSA);
        assert_int_equal(p.parameters.eccDetail.scheme.details.ecdsa.hashAlg, TPM2_ALG_SHA256);
        store_key_free(&k);
    }
}

static void test_the_ak_is_made_once_for_each_ek(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key first[2] = {{.token = 0}, {.token = 0}};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(both); i++)
        ak(w, both[i], &first[i]);
    assert_memory_not_equal(first[0].uuid, first[1].uuid, STORE_UUID);
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_spy_clear(w);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct store_key again = {0};

        ak(w, both[i], &again);
        assert_memory_equal(again.uuid, first[i].uuid, STORE_UUID);
        assert_true(bytes_equal(buf_bytes(&again.public), buf_bytes(&first[i].public)));
        store_key_free(&again);
        store_key_free(&first[i]);
    }
    assert_int_equal(unit_spy_count(w, NULL), 0);
}

static void test_an_ak_needs_login_and_a_known_template(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key k = {0};
    struct err e = {0};

    assert_int_equal(attest_ak(w->token, both[0], &k, &e), -1);
    assert_int_equal(e.code, E_LOGIN);
    e = (struct err){0};
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    assert_int_equal(attest_ak(w->token, 0x01C00099, &k, &e), -1);
    assert_int_equal(e.code, E_UNSUPPORTED);
    assert_null(k.public.p);
}

/* The signature by the AK over the attest bytes, as a verifier checks it. */
static void signed_by(const struct store_key *by, const struct buf *attest, const struct buf *sig)
{
    const struct alg_hash *hash = NULL;
    enum pubkey_scheme scheme;
    TPMT_SIGNATURE wire;
    struct pubkey pub;
    struct buf raw = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];

    assert_int_equal(token_key_public(by, &pub, NULL), 0);
    assert_int_equal(tpmwire_signature(buf_bytes(sig), &wire, NULL), 0);
    assert_int_equal(tpmwire_signature_raw(&wire, &pub, &scheme, &hash, &raw, NULL), 0);
    assert_int_equal(scheme, PUBKEY_ECDSA);
    assert_int_equal(hash->tpm, TPM2_ALG_SHA256);
    assert_int_equal(EVP_Digest(attest->p, attest->len, digest, NULL, EVP_sha256(), NULL), 1);
    assert_int_equal(
        pubkey_verify(&pub, PUBKEY_ECDSA, hash, 0, bytes_of(digest, 32), buf_bytes(&raw), NULL), 0);
    buf_free(&raw);
}

/* QN(AK) = alg ‖ H(QN(EK) ‖ Name(AK)), QN(EK) from TPM_RH_ENDORSEMENT (Part 1, 16.3). */
static void signer_is(struct unit_tpm *w, uint32_t index, const struct store_key *by,
                      const TPM2B_NAME *got)
{
    TPM2B_NAME top, ek_name, ek_qn, ak_name, want;
    TPMT_PUBLIC ek;

    ek_public(w, index, &ek);
    tpmname_handle(TPM2_RH_ENDORSEMENT, &top);
    name_of(&ek, &ek_name);
    key_name(by, &ak_name);
    assert_int_equal(tpmname_qualified(&top, &ek_name, &ek_qn, NULL), 0);
    assert_int_equal(tpmname_qualified(&ek_qn, &ak_name, &want, NULL), 0);
    assert_true(tpmname_equal(got, &want));
}

static void certified_under(struct unit_tpm *w, uint32_t index, const struct store_key *key)
{
    struct buf attest = {0}, sig = {0};
    struct store_key k = {0};
    TPM2B_NAME name;
    TPMS_ATTEST a;
    struct err e = {0};

    ak(w, index, &k);
    if (attest_certify(w->token, key, &k, nonce, &attest, &sig, &e) != 0)
        fail_msg("%s", e.msg);
    signed_by(&k, &attest, &sig);
    assert_int_equal(tpmwire_attest(buf_bytes(&attest), &a, NULL), 0);
    assert_int_equal(a.magic, TPM2_GENERATED_VALUE);
    assert_int_equal(a.type, TPM2_ST_ATTEST_CERTIFY);
    assert_int_equal(a.extraData.size, 32);
    assert_memory_equal(a.extraData.buffer, nonce, 32);
    key_name(key, &name);
    assert_true(tpmname_equal(&a.attested.certify.name, &name));
    signer_is(w, index, &k, &a.qualifiedSigner);
    buf_free(&attest);
    buf_free(&sig);
    store_key_free(&k);
}

static void test_certify_by_either_ak_verifies(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key ecc = {0}, rsa = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &ecc);
    unit_tpm_rsa(w, false, &rsa);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        certified_under(w, both[i], &ecc);
        certified_under(w, both[i], &rsa);
    }
    /* Nothing was left behind in the three slots of a chip. */
    for (int i = 0; i < 4; i++)
        certified_under(w, both[i % 2], &ecc);
    assert_int_equal(unit_tpm_sign(w->token, &ecc, NULL), 0);
    store_key_free(&ecc);
    store_key_free(&rsa);
}

static void test_the_parent_is_the_primary_of_certified_keys(void **state)
{
    struct unit_tpm *w = *state;
    struct buf attest = {0}, sig = {0}, parent = {0};
    struct store_key k = {0}, key = {0};
    TPM2B_NAME owner, parent_name, parent_qn, name, want;
    TPMS_ATTEST a;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    ak(w, both[0], &k);
    assert_int_equal(attest_certify(w->token, &key, &k, nonce, &attest, &sig, NULL), 0);
    assert_int_equal(tpmwire_attest(buf_bytes(&attest), &a, NULL), 0);
    assert_int_equal(attest_parent(w->token, &parent, NULL), 0);
    tpmname_handle(TPM2_RH_OWNER, &owner);
    assert_int_equal(tpmname_object(buf_bytes(&parent), &parent_name, NULL), 0);
    key_name(&key, &name);
    assert_int_equal(tpmname_qualified(&owner, &parent_name, &parent_qn, NULL), 0);
    assert_int_equal(tpmname_qualified(&parent_qn, &name, &want, NULL), 0);
    assert_true(tpmname_equal(&a.attested.certify.qualifiedName, &want));
    buf_free(&attest);
    buf_free(&sig);
    buf_free(&parent);
    store_key_free(&k);
    store_key_free(&key);
}

static void make_for(const TPMT_PUBLIC *ek, const TPM2B_NAME *name, struct buf *blob,
                     struct buf *secret)
{
    struct err e = {0};

    if (credential_make(ek, name, bytes_of("thirty-two bytes of a credential", 32), blob, secret,
                        &e) != 0)
        fail_msg("%s", e.msg);
}

static void activates_under(struct unit_tpm *w, uint32_t index)
{
    struct buf blob = {0}, enc = {0};
    struct secret *out = NULL;
    struct store_key k = {0};
    struct err e = {0};
    TPM2B_NAME name;
    TPMT_PUBLIC ek;

    ak(w, index, &k);
    ek_public(w, index, &ek);
    key_name(&k, &name);
    make_for(&ek, &name, &blob, &enc);
    if (attest_activate(w->token, &k, buf_bytes(&blob), buf_bytes(&enc), &out, &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(secret_len(out), 32);
    assert_memory_equal(secret_peek(out), "thirty-two bytes of a credential", 32);
    secret_free(out);
    buf_free(&blob);
    buf_free(&enc);
    store_key_free(&k);
}

static void test_a_credential_opens_in_its_tpm(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < 2 * ARRAY_LEN(both); i++)
        activates_under(w, both[i % 2]);
}

static void rejected(struct unit_tpm *w, const struct store_key *k, const struct buf *blob,
                     const struct buf *enc)
{
    struct secret *out = NULL;
    struct err e = {0};

    assert_int_equal(attest_activate(w->token, k, buf_bytes(blob), buf_bytes(enc), &out, &e), -1);
    if (e.code != E_REJECTED)
        fail_msg("%s: %s", err_name(e.code), e.msg);
    assert_null(out);
}

static void test_a_credential_for_another_ak_or_tpm_is_rejected(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct buf blob = {0}, enc = {0};
        struct store_key k = {0};
        TPM2B_NAME name;
        TPMT_PUBLIC ek;

        ak(w, both[i], &k);
        ek_public(w, both[i], &ek);
        key_name(&k, &name);
        name.name[10] ^= 1;
        make_for(&ek, &name, &blob, &enc);
        rejected(w, &k, &blob, &enc);
        buf_free(&blob);
        buf_free(&enc);
        blob = enc = (struct buf){0};
        name.name[10] ^= 1;
        make_for(&ek, &name, &blob, &enc);
        blob.p[blob.len - 1] ^= 1;
        rejected(w, &k, &blob, &enc);
        buf_free(&blob);
        buf_free(&enc);
        store_key_free(&k);
    }
    /* Refusals leave nothing behind either. */
    activates_under(w, both[0]);
}

static void test_oversized_credentials_do_not_reach_the_tpm(void **state)
{
    struct unit_tpm *w = *state;
    static const uint8_t many[5000];
    struct secret *out = NULL;
    struct store_key k = {0};
    struct err e = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    ak(w, both[0], &k);
    assert_int_equal(
        attest_activate(w->token, &k, bytes_of(many, sizeof(many)), bytes_of(many, 10), &out, &e),
        -1);
    assert_int_equal(e.code, E_FORMAT);
    e = (struct err){0};
    assert_int_equal(
        attest_activate(w->token, &k, bytes_of(many, 10), bytes_of(many, sizeof(many)), &out, &e),
        -1);
    assert_int_equal(e.code, E_FORMAT);
    store_key_free(&k);
}

/* Vendors leave the EK out of the persistent handles: it is made again from its template. */
static void test_an_ek_that_is_not_persistent_is_made_again(void **state)
{
    struct unit_tpm *w = *state;
    struct store_key key = {0};

    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
    unit_tpm_ecc(w, "P-256", &key);
    certified_under(w, both[1], &key);
    assert_int_equal(unit_tpm_script("tpm2_evictcontrol -Q -C o -c 0x81010001 && "
                                     "tpm2_evictcontrol -Q -C o -c 0x81010016"),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        certified_under(w, both[i], &key);
        activates_under(w, both[i]);
    }
    store_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(test_ek_certificates_are_found_ecc_first),
        WITH_TOKEN(test_a_tpm_without_ek_certificate_is_told),
        WITH_TOKEN(test_the_ak_is_what_evidence_wants),
        WITH_TOKEN(test_the_ak_is_made_once_for_each_ek),
        WITH_TOKEN(test_an_ak_needs_login_and_a_known_template),
        WITH_TOKEN(test_certify_by_either_ak_verifies),
        WITH_TOKEN(test_the_parent_is_the_primary_of_certified_keys),
        WITH_TOKEN(test_a_credential_opens_in_its_tpm),
        WITH_TOKEN(test_a_credential_for_another_ak_or_tpm_is_rejected),
        WITH_TOKEN(test_oversized_credentials_do_not_reach_the_tpm),
        WITH_TOKEN(test_an_ek_that_is_not_persistent_is_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
