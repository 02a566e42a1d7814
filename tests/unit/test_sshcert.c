/* Goal: certificates and revocation lists of OpenSSH, byte by byte (PROTOCOL.certkeys, PROTOCOL.krl). That
 * OpenSSH itself reads and honours them is story 71's matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ca/sshcert.h"
#include "core/hash.h"
#include "core/sshkey.h"
#include "tests/support/unit_ca.h"

#include <string.h>

/* --- a reader ------------------------------------------------------------------------------- */

static uint64_t take_number(struct bytes *in, size_t bytes)
{
    uint64_t v = 0;

    assert_true(in->len >= bytes);
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | in->p[i];
    *in = bytes_of(in->p + bytes, in->len - bytes);
    return v;
}

static struct bytes take(struct bytes *in)
{
    size_t n = (size_t)take_number(in, 4);
    struct bytes out;

    assert_true(in->len >= n);
    out = bytes_of(in->p, n);
    *in = bytes_of(in->p + n, in->len - n);
    return out;
}

static void assert_text(struct bytes got, const char *want)
{
    if (!bytes_equal(got, bytes_of(want, strlen(want))))
        fail_msg("'%.*s', not '%s'", (int)got.len, (const char *)got.p, want);
}

/* The base64 of a line "TYPE BASE64 COMMENT". */
static size_t decode(struct buf *line, uint8_t *out, size_t room)
{
    const char *text = buf_cstr(line), *from = strchr(text, ' ') + 1, *to = strchr(from, ' ');
    size_t len = (size_t)(to - from), n;

    assert_true(len / 4 * 3 <= room);
    n = (size_t)EVP_DecodeBlock(out, (const uint8_t *)from, (int)len);
    return n - (to[-1] == '=') - (to[-2] == '=');
}

/* An mpint into `size` bytes. */
static void number_into(struct bytes mpint, uint8_t *out, size_t size)
{
    if (mpint.len > size) {
        assert_int_equal(mpint.len, size + 1);
        assert_int_equal(mpint.p[0], 0);
        assert_true((mpint.p[1] & 0x80) != 0);
        mpint = bytes_of(mpint.p + 1, size);
    } else {
        assert_true(mpint.len > 0 && (mpint.p[0] & 0x80) == 0);
    }
    memset(out, 0, size);
    memcpy(out + (size - mpint.len), mpint.p, mpint.len);
}

static void check_signature(const struct signer *ca, struct bytes covered, struct bytes sig)
{
    const struct alg_hash *hash = alg_hash_of(ca->pub.curve->hash);
    size_t size = ca->pub.curve->size;
    uint8_t digest[64], raw[200];
    struct bytes rs;
    struct err e = {0};

    assert_text(take(&sig), sshkey_type(&ca->pub));
    rs = take(&sig);
    assert_int_equal(sig.len, 0);
    number_into(take(&rs), raw, size);
    number_into(take(&rs), raw + size, size);
    assert_int_equal(rs.len, 0);
    assert_int_equal(hash_digest(hash, covered, digest, &e), 0);
    assert_int_equal(pubkey_verify(&ca->pub, PUBKEY_ECDSA, hash, 0, bytes_of(digest, hash->size),
                                   bytes_of(raw, 2 * size), &e),
                     0);
}

/* --- certificates --------------------------------------------------------------------------- */

static void check_cert(const char *curve, const char *by, bool host)
{
    struct signer *own = unit_ca_signer(curve), *ca = unit_ca_signer(by);
    struct sshcert c = {.key = &own->pub,
                        .serial = 0x0123456789abcdef,
                        .host = host,
                        .id = "US communications",
                        .principal = host ? "gw.us.example" : "alice@us.example",
                        .after = 1800000000,
                        .before = 1800604800,
                        .extension = "evidence-sha256@us.example",
                        .value = "00ff"};
    struct buf line = {0}, type = {0}, fields = {0}, key = {0};
    struct bytes in, list, value, whole;
    uint8_t raw[2000];
    struct err e = {0};

    if (sshcert_make(&c, ca, &line, &e) != 0)
        fail_msg("%s", e.msg);
    buf_printf(&type, "%s-cert-v01@openssh.com", sshkey_type(&own->pub));
    assert_int_equal(strncmp(buf_cstr(&line), buf_cstr(&type), type.len), 0);
    assert_non_null(strstr(buf_cstr(&line), host ? " gw.us.example" : " alice@us.example"));
    whole = in = bytes_of(raw, decode(&line, raw, sizeof(raw)));
    assert_text(take(&in), buf_cstr(&type));
    assert_int_equal(take(&in).len, 32);
    sshkey_fields(&fields, &own->pub);
    assert_true(in.len > fields.len);
    assert_memory_equal(in.p, fields.p, fields.len);
    in = bytes_of(in.p + fields.len, in.len - fields.len);
    assert_true(take_number(&in, 8) == c.serial);
    assert_int_equal(take_number(&in, 4), host ? 2 : 1);
    assert_text(take(&in), c.id);
    list = take(&in);
    assert_text(take(&list), c.principal);
    assert_int_equal(list.len, 0);
    assert_true(take_number(&in, 8) == c.after);
    assert_true(take_number(&in, 8) == c.before);
    assert_int_equal(take(&in).len, 0);
    list = take(&in);
    assert_text(take(&list), c.extension);
    value = take(&list);
    assert_text(take(&value), c.value);
    assert_int_equal(value.len, 0);
    if (!host) {
        assert_text(take(&list), "permit-pty");
        assert_int_equal(take(&list).len, 0);
    }
    assert_int_equal(list.len, 0);
    assert_int_equal(take(&in).len, 0);
    assert_int_equal(sshkey_blob(&ca->pub, &key, &e), 0);
    assert_true(bytes_equal(take(&in), buf_bytes(&key)));
    value = take(&in);
    assert_int_equal(in.len, 0);
    check_signature(ca, bytes_of(whole.p, (size_t)(value.p - whole.p) - 4), value);
    buf_free(&line);
    buf_free(&type);
    buf_free(&fields);
    buf_free(&key);
    signer_free(own);
    signer_free(ca);
}

static void test_certificates(void **state)
{
    (void)state;
    /* Often enough for r and s with and without a leading bit. */
    for (int i = 0; i < 8; i++) {
        check_cert("P-256", "P-256", true);
        check_cert("P-256", "P-384", false);
    }
    check_cert("P-384", "P-256", true);
}

static void test_what_is_not_made(void **state)
{
    struct signer *own = unit_ca_signer("P-256");
    struct sshcert c = {.key = &own->pub,
                        .id = "x",
                        .principal = "",
                        .after = 1,
                        .before = 2,
                        .extension = "a@b",
                        .value = ""};
    struct buf line = {0};
    struct err e = {0};

    (void)state;
    /* No principal at all would be any. */
    assert_int_equal(sshcert_make(&c, own, &line, &e), -1);
    assert_int_equal(e.code, E_ARG);
    c.principal = NULL;
    assert_int_equal(sshcert_make(&c, own, &line, NULL), -1);
    c.principal = "a";
    c.before = 1;
    assert_int_equal(sshcert_make(&c, own, &line, NULL), -1);
    assert_int_equal(line.len, 0);
    signer_free(own);
}

/* --- revocation lists ----------------------------------------------------------------------- */

static void test_lists(void **state)
{
    static const uint64_t serials[] = {0x7000000000000001, 5, 0x100000000};
    struct signer *ca = unit_ca_signer("P-256");
    struct buf krl = {0}, key = {0};
    struct bytes in, section, list;
    struct err e = {0};

    (void)state;
    for (size_t n = 0; n <= 3; n += 3) {
        krl.len = 0;
        assert_int_equal(sshcert_krl(&ca->pub, serials, n, 7, 1800000000, &krl, &e), 0);
        in = buf_bytes(&krl);
        assert_memory_equal(in.p, "SSHKRL\n\0", 8);
        in = bytes_of(in.p + 8, in.len - 8);
        assert_int_equal(take_number(&in, 4), 1);
        assert_int_equal(take_number(&in, 8), 7);
        assert_int_equal(take_number(&in, 8), 1800000000);
        assert_int_equal(take_number(&in, 8), 0);
        assert_int_equal(take(&in).len, 0);
        assert_int_equal(take(&in).len, 0);
        if (n == 0) {
            assert_int_equal(in.len, 0);
            continue;
        }
        assert_int_equal(take_number(&in, 1), 1);
        section = take(&in);
        assert_int_equal(in.len, 0);
        assert_int_equal(sshkey_blob(&ca->pub, &key, &e), 0);
        assert_true(bytes_equal(take(&section), buf_bytes(&key)));
        assert_int_equal(take(&section).len, 0);
        assert_int_equal(take_number(&section, 1), 0x20);
        list = take(&section);
        assert_int_equal(section.len, 0);
        /* They rise. */
        assert_true(take_number(&list, 8) == 5);
        assert_true(take_number(&list, 8) == 0x100000000);
        assert_true(take_number(&list, 8) == 0x7000000000000001);
        assert_int_equal(list.len, 0);
    }
    buf_free(&krl);
    buf_free(&key);
    signer_free(ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_what_is_not_made),
        cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
