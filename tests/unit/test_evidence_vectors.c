/* Goal: the published vectors are judged as their expected.json says: accepted, or refused by just
 * the check that it names; from nothing but the files, as any other verifier reads them. */
#include "core/evidence_check.h"
#include "core/file.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define DIRECTORY "tests/vectors/evidence"

static void read_file(const char *name, struct buf *out)
{
    struct buf path = {0};
    struct err e = {0};

    buf_printf(&path, DIRECTORY "/%s", name);
    if (file_read(buf_cstr(&path), 1 << 20, out, &e) != 0)
        fail_msg("%s", e.msg);
    buf_free(&path);
}

static BIO *open_file(const char *name, struct buf *text)
{
    read_file(name, text);
    return BIO_new_mem_buf(text->p, (int)text->len);
}

static X509 *read_cert(const char *name)
{
    struct buf text = {0};
    BIO *b = open_file(name, &text);
    X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

    if (x == NULL)
        fail_msg("%s is no certificate", name);
    BIO_free(b);
    buf_free(&text);
    return x;
}

static X509_REQ *read_csr(const char *name)
{
    struct buf text = {0};
    BIO *b = open_file(name, &text);
    X509_REQ *x = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);

    if (x == NULL)
        fail_msg("%s is no certification request", name);
    BIO_free(b);
    buf_free(&text);
    return x;
}

static void add_hex(const char *hex, size_t digits, struct buf *out)
{
    for (size_t i = 0; i + 1 < digits; i += 2) {
        char two[3] = {hex[i], hex[i + 1], 0};
        uint8_t v;

        assert_int_equal(hex_decode(&v, 1, two), 0);
        buf_u8(out, v);
    }
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    if (s == NULL)
        fail_msg("%s is missing", key);
    return s;
}

static int64_t time_of(const char *iso)
{
    struct tm tm = {0};

    assert_non_null(strptime(iso, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return timegm(&tm);
}

static void read_record(const json_t *c, struct evidence_record *r)
{
    const char *nonce = text_of(c, "nonce");
    struct buf ak = {0};

    memset(r, 0, sizeof(*r));
    add_hex(nonce, strlen(nonce), &r->nonce);
    r->ek_template = (uint32_t)strtoul(text_of(c, "ek_template"), NULL, 16);
    r->ek_cert = read_cert(text_of(c, "ek"));
    r->ek_chain = sk_X509_new_null();
    sk_X509_push(r->ek_chain, read_cert(text_of(c, "ek_chain")));
    read_file(text_of(c, "ak_public"), &ak);
    add_hex((const char *)ak.p, ak.len, &r->ak_public);
    buf_free(&ak);
    r->ak_cert = read_cert(text_of(c, "ak_cert"));
    r->csr = read_csr(text_of(c, "csr"));
}

/* Exactly the expected check fails, and the verdict says so. */
static void compare(const json_t *c, const struct evidence_verdict *v)
{
    unsigned fails = (unsigned)json_integer_value(json_object_get(c, "fails"));

    assert_int_equal(v->accepted, json_is_true(json_object_get(c, "accepted")));
    assert_int_equal(v->accepted, fails == 0);
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        const struct evidence_result *r = &v->result[i];

        if ((r->outcome == EVIDENCE_FAIL) != (r->number == fails))
            fail_msg("%s: check %u: %s: %s (expected %u)", text_of(c, "name"), r->number,
                     evidence_outcome_name(r->outcome), r->reason, fails);
    }
}

static json_t *doc;

static void every_vector_is_judged_as_it_says(void **state)
{
    struct evidence_pin pin = {.issuer = read_cert(text_of(doc, "ek_roots"))};
    STACK_OF(X509) *roots = sk_X509_new_null();
    const json_t *c;
    size_t i, good = 0;
    bool seen[EVIDENCE_CHECKS + 1] = {false};

    (void)state;
    sk_X509_push(roots, read_cert(text_of(doc, "ak_roots")));
    json_array_foreach (json_object_get(doc, "cases"), i, c) {
        const char *csr = text_of(c, "csr");
        struct evidence_record r;
        struct evidence_verdict v;
        struct err e = {0};

        read_record(c, &r);
        {
            struct evidence_terms t = {
                .pin = &pin,
                .n_pin = 1,
                .now = time_of(text_of(doc, "now")),
                .nonce = buf_bytes(&r.nonce),
                .nonce_state = EVIDENCE_NONCE_FRESH,
                .subject = text_of(doc, "subject"),
                .profile = evidence_profile_signing(false),
                .ak_roots = roots,
            };

            print_message("  %s\n", csr);
            if (evidence_check_record(&r, &t, &v, &e) != 0)
                fail_msg("%s", e.msg);
        }
        compare(c, &v);
        good += v.accepted;
        seen[json_integer_value(json_object_get(c, "fails"))] = true;
        evidence_record_free(&r);
    }
    /* Nothing was passed over. */
    assert_true(i >= 60 && good >= 9);
    for (unsigned n = 1; n <= 15; n++)
        assert_true(seen[n]);
    sk_X509_pop_free(roots, X509_free);
    X509_free(pin.issuer);
}

static int read_doc(void **state)
{
    struct buf text = {0};

    (void)state;
    read_file("expected.json", &text);
    doc = json_loadb((const char *)text.p, text.len, 0, NULL);
    buf_free(&text);
    return doc != NULL ? 0 : -1;
}

static int free_doc(void **state)
{
    (void)state;
    json_decref(doc);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_judged_as_it_says),
    };

    return cmocka_run_group_tests(tests, read_doc, free_doc);
}
