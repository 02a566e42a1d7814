/* What a token lets a host do, by the command alone. */
#include "tests/support/unit_tokend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* --- the filter ------------------------------------------------------------------------- */

static uint32_t judged(uint32_t code, size_t n, const uint32_t *words)
{
    uint8_t command[64];
    struct tokend_verdict v;

    tokend_filter(bytes_of(command, unit_tokend_make(command, code, n, words)), &v);
    return v.rc;
}

static void test_commands_that_are_not_listed_are_refused(void **state)
{
    /* Clear, ClearControl, HierarchyControl, HierarchyChangeAuth, ChangeEPS, ChangePPS,
     * DictionaryAttack*, PCR_*, Startup, GetCommandAuditDigest, FieldUpgrade*, NV_UndefineSpaceSpecial,
     * PP_Commands, SetPrimaryPolicy, a vendor's own. */
    static const uint32_t codes[] = {
        0x126, 0x127, 0x121, 0x129, 0x124, 0x125, 0x139, 0x13A, 0x13C,      0x13D, 0x182,
        0x183, 0x144, 0x133, 0x12F, 0x141, 0x11F, 0x12C, 0x12E, 0x20000000, 0,     0xFFFFFFFF};
    static const uint32_t words[3] = {0x40000001, 0x40000001, 0x40000001};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        assert_int_equal(judged(codes[i], 3, words), 0x143);
    assert_int_equal(judged(0x17B, 1, words), 0);
}

static void test_platform_and_lockout_are_refused_at_every_place(void **state)
{
    static const struct {
        uint32_t code;
        unsigned handles;
    } commands[] = {{0x131, 1}, {0x120, 2}, {0x151, 2}, {0x176, 2}, {0x149, 3}, {0x173, 1}};
    static const uint32_t forbidden[] = {0x4000000A, 0x4000000C, 0x4000000D};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        for (unsigned k = 0; k < commands[i].handles; k++) {
            for (size_t f = 0; f < ARRAY_LEN(forbidden); f++) {
                uint32_t words[3] = {0x40000001, 0x40000007, 0x40000001};

                assert_int_equal(judged(commands[i].code, 3, words), 0);
                words[k] = forbidden[f];
                assert_int_equal(judged(commands[i].code, 3, words), 0x185 + 0x100 * k);
            }
        }
    }
}

static void test_what_is_no_command_is_refused(void **state)
{
    static const uint32_t words[1] = {0x40000001};
    uint8_t command[64] = {0};
    struct tokend_verdict v;
    size_t len = unit_tokend_make(command, 0x17B, 1, words);

    (void)state;
    tokend_filter(bytes_of(command, len - 1), &v);
    assert_int_equal(v.rc, 0x142);
    tokend_filter(bytes_of(command, len + 1), &v);
    assert_int_equal(v.rc, 0x142);
    command[1] = 3;
    tokend_filter(bytes_of(command, len), &v);
    assert_int_equal(v.rc, 0x01E);
    for (size_t n = 0; n < 10; n++) {
        tokend_filter(bytes_of(command, n), &v);
        assert_int_equal(v.rc, 0x142);
    }
    /* Handles that are not there. */
    assert_int_equal(judged(0x120, 1, words), 0x142);
}

static void test_uses_of_keys_want_to_be_confirmed(void **state)
{
    /* Sign, RSA_Decrypt, ECDH_ZGen, HMAC, HMAC_Start, Certify, CertifyCreation, CertifyX509,
     * Quote, NV_Certify, GetTime, EncryptDecrypt, EncryptDecrypt2, Unseal, Duplicate. */
    static const uint32_t with[] = {0x15D, 0x159, 0x154, 0x155, 0x15B, 0x148, 0x14A, 0x197,
                                    0x158, 0x184, 0x14C, 0x164, 0x193, 0x15E, 0x14B};
    static const uint32_t without[] = {0x17B, 0x157, 0x131, 0x14E, 0x176, 0x15C, 0x165, 0x177};
    static const uint32_t words[3] = {0x80000001, 0x40000007, 0x01000000};
    uint8_t command[64];
    struct tokend_verdict v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(with); i++) {
        tokend_filter(bytes_of(command, unit_tokend_make(command, with[i], 3, words)), &v);
        assert_int_equal(v.rc, 0);
        assert_true(v.confirm);
        assert_int_equal(v.handle[0], words[0]);
    }
    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        tokend_filter(bytes_of(command, unit_tokend_make(command, without[i], 3, words)), &v);
        assert_int_equal(v.rc, 0);
        assert_false(v.confirm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_that_are_not_listed_are_refused),
        cmocka_unit_test(test_platform_and_lockout_are_refused_at_every_place),
        cmocka_unit_test(test_what_is_no_command_is_refused),
        cmocka_unit_test(test_uses_of_keys_want_to_be_confirmed),
    };

    return cmocka_run_group_tests_name("usb_filter", tests, NULL, NULL);
}
