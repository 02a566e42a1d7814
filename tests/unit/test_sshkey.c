/* Public keys as OpenSSH writes them (core/sshkey.h): as `ssh-keygen -i -m PKCS8` does. */
#include "core/sshkey.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A SubjectPublicKeyInfo, and what ssh-keygen makes of it. */
static const struct {
    const char *spki, *line;
} keys[] = {
    {"3059301306072a8648ce3d020106082a8648ce3d030107034200045eb364a8024bb17c895848d0aafba93cce"
     "281b1ab91111dbc61707f815298d401483ea63bb7a3d8ad7c9e1391cc3308332d65ca8f78f45935bbf237a8e"
     "c09269",
     "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBF6zZKgCS7F8iVhI"
     "0Kr7qTzOKBsauRER28YXB/gVKY1AFIPqY7t6PYrXyeE5HMMwgzLWXKj3j0WTW78jeo7Akmk="},
    {"3076301006072a8648ce3d020106052b81040022036200048978981613fdbf2172f512873b7035c9522e9050"
     "995de62593ee49af2f804769566758d42d720b209e375c4a415794501d12b839f317e4664d7934ca31bf718a"
     "0117b009fdb127c71af834249a422584f1b7cb665675aa9b00ee06f4e1f0b494",
     "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBIl4mBYT/b8hcvUS"
     "hztwNclSLpBQmV3mJZPuSa8vgEdpVmdY1C1yCyCeN1xKQVeUUB0SuDnzF+RmTXk0yjG/cYoBF7AJ/bEnxxr4NCSa"
     "QiWE8bfLZlZ1qpsA7gb04fC0lA=="},
    {"30819b301006072a8648ce3d020106052b81040023038186000400527765863f8a4b359b2b48e68142211293"
     "db81195ddb4ec9be80e8a9f3da23e6eed1b53593468f86b3a22c1d459a2bb9aef95ef1908e93ee0e3a65cdd3"
     "417122fc008198a8743d24e4119100e35ac95407c74ebba628b09ab9b3c7e7c6945bf2b366760c3ee8f4e197"
     "ca2309efaa3b219123eeffd6bca45f2ff3ffb3372651babc865b",
     "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBABSd2WGP4pLNZsr"
     "SOaBQiESk9uBGV3bTsm+gOip89oj5u7RtTWTRo+Gs6IsHUWaK7mu+V7xkI6T7g46Zc3TQXEi/ACBmKh0PSTkEZEA"
     "41rJVAfHTrumKLCaubPH58aUW/KzZnYMPuj04ZfKIwnvqjshkSPu/9a8pF8v8/+zNyZRuryGWw=="},
    {"30820122300d06092a864886f70d01010105000382010f003082010a0282010100cac88658823f873133d7a2"
     "c2d10d2afbbb9b081113828d6c14356dcafda492cf8d4cd105ac85a0af438782eb8392718419b0374654d3c0"
     "12debdc4c62b71344bebf02afdeae8d04f427ecfc2eead6834d075db77909ce44e02c499e489662e11e8421d"
     "87eff670749b6b2497ea312c94c85554e8c9b33866bdd393c8fb6187883b2eb58e5b277ee0fd1436654a2380"
     "e3d4bc933ea907b6bfa893e64cd4ca952f4f53ba03f1d9f972a408e6d6202a3638f5bfe68adad22067223986"
     "9834a0e9f077924176f6f2410b1d8b0cbe3212c290e5e92da456d05e08bff0401e031fa95303fd16c8ef7afe"
     "9b8138649e0c881b12c9732ed4a4a5633af6a50ece92554d7f0203010001",
     "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDKyIZYgj+HMTPXosLRDSr7u5sIEROCjWwUNW3K/aSSz41M0QWs"
     "haCvQ4eC64OScYQZsDdGVNPAEt69xMYrcTRL6/Aq/ero0E9Cfs/C7q1oNNB123eQnOROAsSZ5IlmLhHoQh2H7/Zw"
     "dJtrJJfqMSyUyFVU6MmzOGa905PI+2GHiDsutY5bJ37g/RQ2ZUojgOPUvJM+qQe2v6iT5kzUypUvT1O6A/HZ+XKk"
     "CObWICo2OPW/5ora0iBnIjmGmDSg6fB3kkF29vJBCx2LDL4yEsKQ5ektpFbQXgi/8EAeAx+pUwP9Fsjvev6bgThk"
     "ngyIGxLJcy7UpKVjOvalDs6SVU1/"},
};

static struct buf line_of(const char *hex, const char *comment)
{
    uint8_t spki[600];
    size_t len = strlen(hex) / 2;
    struct buf out = {0};
    struct err e = {0};

    assert_true(len <= sizeof(spki));
    assert_int_equal(hex_decode(spki, len, hex), 0);
    assert_int_equal(sshkey_line(bytes_of(spki, len), comment, &out, &e), 0);
    assert_non_null(buf_cstr(&out));
    return out;
}

static void test_lines_are_those_of_ssh_keygen(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf out = line_of(keys[i].spki, NULL);

        assert_string_equal((const char *)out.p, keys[i].line);
        buf_free(&out);
    }
}

/* A label comes from a store: it must not begin a line of its own in authorized_keys. */
static void test_a_comment_stays_on_its_line(void **state)
{
    struct buf out = line_of(keys[0].spki, "a b\nssh-rsa \x1b[2J\x7f");
    size_t n = strlen(keys[0].line);

    (void)state;
    assert_memory_equal(out.p, keys[0].line, n);
    assert_string_equal((const char *)out.p + n, " a b?ssh-rsa ?[2J?");
    buf_free(&out);
}

static void test_what_is_no_key_is_refused(void **state)
{
    struct buf out = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(sshkey_line(bytes_of("0", 1), NULL, &out, &e), -1);
    assert_int_equal(out.len, 0);
}

/* What another nation sends as its key goes into files that ssh reads: one form, or none. */
static void test_lines_are_read_in_one_form_alone(void **state)
{
    static const char *const bad[] = {
        "",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp256 ",
        "ecdsa-sha2-nistp256 AAAA",
        "ssh-dss AAAAB3NzaC1kc3MAAAAA",
        " ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "ssh-ed25519  AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
        "ssh-ed25519\tAAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZ",
    };
    char long_line[2000] = "ssh-rsa ";

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_true(sshkey_is_line(keys[i].line));
    assert_true(sshkey_is_line(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sshkey_is_line(bad[i]))
            fail_msg("read: '%s'", bad[i]);
    }
    memset(long_line + 8, 'A', 1900);
    assert_false(sshkey_is_line(long_line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_those_of_ssh_keygen),
        cmocka_unit_test(test_a_comment_stays_on_its_line),
        cmocka_unit_test(test_what_is_no_key_is_refused),
        cmocka_unit_test(test_lines_are_read_in_one_form_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
