/*
 * Policy digests against a TPM's own. Every constant below was made once with tpm2-tools
 * on swtpm: `tpm2_startauthsession -g sha256` (a trial session), the policy commands named
 * beside the constant, and what `-L FILE` wrote. K is the P-256 key with the private scalar
 * 01 02 .. 20, loaded with tpm2_loadexternal as userwithauth|sign without a scheme.
 */
#include "core/hash.h"
#include "tpm/pin.h"
#include "core/pin_policy.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* tpm2_policycommandcode of one command. */
#define CC_WRITE "1c4f7107dcaf23ce00756448508558683104bd9e203e93749c227b451270438f"
#define CC_READ "47ce3032d8bad1f3089cb0c09088de43501491d460402b90cd1b7fc0b68ca92f"
#define CC_CERTIFY "260f357a1d2d8607b355caa57dad7136e82d21a137d6f4b9c65aff129f5fb646"
/* tpm2_policyauthvalue; then NV_ChangeAuth by tpm2_policycommandcode. */
#define AUTHVALUE "8fcd2169ab92694e0c633f1ab772842b8241bbc20288981fc7ac1eddc1fddb0e"
#define CHANGE "363ac945b6457c47c31f3355dba0db27de8db213d6250c6bf79685003f9fe7ab"
/* tpm2_policynvwritten c; then NV_Write; tpm2_policynvwritten s. */
#define UNWRITTEN "3c326323670e28ad37bd57f63b4cc34d26ab205ef22f275c58d47fab2485466e"
#define FIRST_WRITE "53a77134e261fe952807ccb84686a7951fc7f6f2ed1ae112391614583182ed16"
#define WRITTEN "f7887d158ae8d38be0ac5319f37a9e07618bf54885453c7a54ddb0c6a6193beb"
/* tpm2_policysecret -c o. */
#define OWNER "0d84f55daf6e43ac97966e62c9bb989d3397777d25c5f749868055d65394f952"
/* tpm2_policysigned by K; with -q 61626364; and K with NV_Write, K with NV_ChangeAuth. */
#define BY_K "b2ff36cfaf0e06d699c97507562d9167d5b5d822781b90f2e57f44a571fc8129"
#define BY_K_ABCD "8a94b287d2cd3368f2b246c1287cd30125720358e73cfc24b121f5e6c5a60ce1"
#define K_WRITE "88267df40c7467bcf2beed61eee25db3d49d5aaf2907ca3a4893365ba944fa2b"
#define K_CHANGE "ee5b237b3829f8fdd3c95b5b26d47cc4ac9fe5d14cd16ecdef6103ab7c1fa475"
/* tpm2_policysecret of the counter index below; then PolicyAuthValue; then NV_ChangeAuth. */
#define BY_U "78b5a1e3f6f00d0bfc738184bdcef68503abba476364d32ae7fe897420bcc998"
#define GUARD "228ed7eceb0db864c41adbc4bc5c50cbf9a7bb68ed490e079a596672468bf99f"
#define GUARD_CC "44b592d77698c815b76d395f74f718dbafff7a01faf69df16015b0b3e831f695"

/* Names: of K (tpm2_readpublic), and of index 0x01800000 once written, defined with
 * nt=0x8|authread|policyread|policywrite|no_da, 8 bytes and the user counter's policy
 * (tpm2_nvreadpublic). */
#define K_NAME "000bb9653bbc399a510aebd7d06ac012d6c848c80fca2a7a05b239518752c383317b"
#define U_NAME "000ba9a753061ed972ac1053c74ba3c4610fbd59bf885b31a0e45092bd66d6923ffa"
#define K_X "515c3d6eb9e396b904d3feca7f54fdcd0cc1e997bf375dca515ad0a6c3b4035f"
#define K_Y "4536be3a50f318fbf9a5475902a221502bef0d57e08c53b2cc0a56f17d9f9354"

static void is(const struct tpmpolicy *p, const char *hex)
{
    char got[65];

    hex_encode(got, p->d, sizeof(p->d));
    assert_string_equal(got, hex);
}

static TPM2B_NAME name_of(const char *hex)
{
    TPM2B_NAME n = {.size = 34};

    assert_int_equal(hex_decode(n.name, 34, hex), 0);
    return n;
}

static struct tpmpolicy digest(const char *hex)
{
    struct tpmpolicy p;

    assert_int_equal(hex_decode(p.d, sizeof(p.d), hex), 0);
    return p;
}

static struct tpmpolicy after_command(TPM2_CC code)
{
    struct tpmpolicy p = {{0}};

    assert_int_equal(tpmpolicy_command(&p, code, NULL), 0);
    return p;
}

static void test_command_code_is_as_the_tpm_says(void **state)
{
    struct tpmpolicy write = after_command(TPM2_CC_NV_Write);
    struct tpmpolicy read = after_command(TPM2_CC_NV_Read);
    struct tpmpolicy certify = after_command(TPM2_CC_NV_Certify);

    (void)state;
    is(&write, CC_WRITE);
    is(&read, CC_READ);
    is(&certify, CC_CERTIFY);
}

static void test_authvalue_then_command_extend_each_other(void **state)
{
    struct tpmpolicy p = {{0}};

    (void)state;
    assert_int_equal(tpmpolicy_authvalue(&p, NULL), 0);
    is(&p, AUTHVALUE);
    assert_int_equal(tpmpolicy_command(&p, TPM2_CC_NV_ChangeAuth, NULL), 0);
    is(&p, CHANGE);
}

static void test_written_and_unwritten_differ_as_in_the_tpm(void **state)
{
    struct tpmpolicy no = {{0}}, yes = {{0}};

    (void)state;
    assert_int_equal(tpmpolicy_nvwritten(&no, false, NULL), 0);
    is(&no, UNWRITTEN);
    assert_int_equal(tpmpolicy_command(&no, TPM2_CC_NV_Write, NULL), 0);
    is(&no, FIRST_WRITE);
    assert_int_equal(tpmpolicy_nvwritten(&yes, true, NULL), 0);
    is(&yes, WRITTEN);
}

static void test_secret_binds_the_name_of_hierarchy_and_index(void **state)
{
    TPM2B_NAME owner = {.size = 4, .name = {0x40, 0, 0, 1}};
    TPM2B_NAME u = name_of(U_NAME);
    struct tpmpolicy by_owner = {{0}}, by_u = {{0}};

    (void)state;
    assert_int_equal(tpmpolicy_secret(&by_owner, &owner, NULL), 0);
    is(&by_owner, OWNER);
    assert_int_equal(tpmpolicy_secret(&by_u, &u, NULL), 0);
    is(&by_u, BY_U);
}

static void test_signed_binds_the_key_and_the_policy_ref(void **state)
{
    TPM2B_NAME k = name_of(K_NAME);
    struct tpmpolicy bare = {{0}}, with_ref = {{0}};

    (void)state;
    assert_int_equal(tpmpolicy_signed(&bare, &k, (struct bytes){NULL, 0}, NULL), 0);
    is(&bare, BY_K);
    assert_int_equal(tpmpolicy_signed(&with_ref, &k, bytes_of("abcd", 4), NULL), 0);
    is(&with_ref, BY_K_ABCD);
}

/* tpm2_policypcr -l sha256:16 and sha256:16,17,23 after a reset, then tpm2_policyauthvalue. */
static void test_pcr_binds_selection_and_values(void **state)
{
    TPML_PCR_SELECTION sel = {
        .count = 1,
        .pcrSelections[0] = {.hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = {0, 0, 1}}};
    struct tpmpolicy one = {{0}}, three = {{0}};
    struct err e = {0};
    uint8_t d[96];

    (void)state;
    memset(d, 0, sizeof(d));
    assert_int_equal(hash_sha256(bytes_of(d, 32), d, NULL), 0);
    assert_int_equal(tpmpolicy_pcr(&one, &sel, bytes_of(d, 32), NULL), 0);
    is(&one, "bff2d58e9813f97cefc14f72ad8133bc7092d652b7c877959254af140c841f36");
    assert_int_equal(tpmpolicy_authvalue(&one, NULL), 0);
    is(&one, "195146253886976ba9784dcbb42c70095c3af977b902eee23254f5ccc5ba3a56");
    /* 16 and 23 begin with zeros, 17 with ones; they count in their order. */
    memset(d, 0, sizeof(d));
    memset(d + 32, 0xff, 32);
    assert_int_equal(hash_sha256(bytes_of(d, sizeof(d)), d, NULL), 0);
    sel.pcrSelections[0].pcrSelect[2] = 0x83;
    assert_int_equal(tpmpolicy_pcr(&three, &sel, bytes_of(d, 32), NULL), 0);
    is(&three, "1a08db2b96a1a9975f7a6bdf72903392d94cf9514a27e1235edeaa64418dc9d7");
    assert_int_equal(tpmpolicy_pcr(&three, &sel, bytes_of(d, 31), &e), -1);
    assert_int_equal(e.code, E_ARG);
    e = (struct err){0};
    sel.count = 17;
    assert_int_equal(tpmpolicy_pcr(&three, &sel, bytes_of(d, 32), &e), -1);
    assert_int_equal(e.code, E_ARG);
}

static void test_or_of_two_and_of_eight_branches(void **state)
{
    const struct tpmpolicy branch[8] = {digest(CC_WRITE),  digest(CC_READ), digest(CC_CERTIFY),
                                        digest(AUTHVALUE), digest(CHANGE),  digest(UNWRITTEN),
                                        digest(WRITTEN),   digest(OWNER)};
    struct tpmpolicy p = {{0}};

    (void)state;
    /* tpm2_policyor sha256:CC_WRITE,CC_READ and of all eight. */
    assert_int_equal(tpmpolicy_or(&p, branch, 2, NULL), 0);
    is(&p, "e68634314e2d9b186c020f976ef7a5168d76a7446c8fb72d0773226cc073b8ed");
    assert_int_equal(tpmpolicy_or(&p, branch, 8, NULL), 0);
    is(&p, "76b5bb9a7e9eee52f4cc60cad0cf7804649bfedca3faa4d9a2281fd10b8cf374");
}

static void test_or_of_one_or_of_nine_branches_is_refused(void **state)
{
    const struct tpmpolicy branch[9] = {{{0}}};
    struct tpmpolicy p = digest(CC_READ);
    struct err e = {0};

    (void)state;
    assert_int_equal(tpmpolicy_or(&p, branch, 1, &e), -1);
    assert_int_equal(e.code, E_ARG);
    assert_int_equal(tpmpolicy_or(&p, branch, 9, NULL), -1);
    is(&p, CC_READ);
}

static void test_name_of_k_is_as_the_tpm_says(void **state)
{
    TPM2B_NAME want = name_of(K_NAME), got = {0};
    uint8_t xy[64];
    TPMT_PUBLIC pub;

    (void)state;
    assert_int_equal(hex_decode(xy, 32, K_X), 0);
    assert_int_equal(hex_decode(xy + 32, 32, K_Y), 0);
    assert_int_equal(pin_policy_k(xy, &pub, &got, NULL), 0);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.name, want.name, want.size);
}

static void test_user_counter_has_the_six_branches(void **state)
{
    TPM2B_NAME k = name_of(K_NAME);
    struct pin_policy p;

    (void)state;
    assert_int_equal(pin_policy_counter(&k, &p, NULL), 0);
    assert_int_equal(p.n, 6);
    is(&p.branch[COUNTER_CHANGE], CHANGE);
    is(&p.branch[COUNTER_READ], CC_READ);
    is(&p.branch[COUNTER_CERTIFY], CC_CERTIFY);
    is(&p.branch[COUNTER_FIRST], FIRST_WRITE);
    is(&p.branch[COUNTER_CLEAR], K_WRITE);
    is(&p.branch[COUNTER_RESET], K_CHANGE);
    /* tpm2_policyor of the six, in this order. */
    is(&p.all, "730ea4b1e31a905497953333c96831a54657ad4526c19f2abfaaf2349fc1e3e2");
}

static void test_so_counter_has_no_branch_of_k(void **state)
{
    struct pin_policy p;

    (void)state;
    assert_int_equal(pin_policy_counter(NULL, &p, NULL), 0);
    assert_int_equal(p.n, 4);
    is(&p.all, "848b2d594477102d45cde0ed30ef35f9483b82eef9766ae4488ceaa9ea8cb02c");
}

static void test_guards_need_the_counter_and_their_own_authvalue(void **state)
{
    TPM2B_NAME k = name_of(K_NAME), u = name_of(U_NAME);
    struct pin_policy p;

    (void)state;
    assert_int_equal(pin_policy_guard(&u, &k, &p, NULL), 0);
    assert_int_equal(p.n, 4);
    is(&p.branch[GUARD_READ], GUARD);
    is(&p.branch[GUARD_CHANGE], GUARD_CC);
    is(&p.branch[GUARD_FIRST], FIRST_WRITE);
    is(&p.branch[GUARD_RESET], K_CHANGE);
    is(&p.all, "bc76a7228aca4d92576dc9cb9582f9c405b87cdd032244c4a599b769b496a62a");
    assert_int_equal(pin_policy_guard(&u, NULL, &p, NULL), 0);
    assert_int_equal(p.n, 3);
    is(&p.all, "64263f0cf877c95add2a880263bd29d7f9047201107a3d4575488d181a692bbc");
}

/* PolicySecret of an NV index alone satisfies nothing: who holds owner authorisation could
 * define the index again under the same Name with an authValue of their own. */
static void test_no_branch_rests_on_a_counter_alone(void **state)
{
    TPM2B_NAME k = name_of(K_NAME), u = name_of(U_NAME);
    struct pin_policy p;

    (void)state;
    assert_int_equal(pin_policy_guard(&u, &k, &p, NULL), 0);
    for (size_t i = 0; i < p.n; i++)
        assert_memory_not_equal(p.branch[i].d, digest(BY_U).d, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_code_is_as_the_tpm_says),
        cmocka_unit_test(test_authvalue_then_command_extend_each_other),
        cmocka_unit_test(test_written_and_unwritten_differ_as_in_the_tpm),
        cmocka_unit_test(test_secret_binds_the_name_of_hierarchy_and_index),
        cmocka_unit_test(test_signed_binds_the_key_and_the_policy_ref),
        cmocka_unit_test(test_pcr_binds_selection_and_values),
        cmocka_unit_test(test_or_of_two_and_of_eight_branches),
        cmocka_unit_test(test_or_of_one_or_of_nine_branches_is_refused),
        cmocka_unit_test(test_name_of_k_is_as_the_tpm_says),
        cmocka_unit_test(test_user_counter_has_the_six_branches),
        cmocka_unit_test(test_so_counter_has_no_branch_of_k),
        cmocka_unit_test(test_guards_need_the_counter_and_their_own_authvalue),
        cmocka_unit_test(test_no_branch_rests_on_a_counter_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
