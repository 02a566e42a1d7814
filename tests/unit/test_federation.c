/* Goal: a federation says one thing only, holds together or is refused, and counts when both pinned
 * authorities have signed it and it follows the one before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/asn1.h"
#include "core/federation_cms.h"
#include "core/federation_trust.h"
#include "core/hash.h"
#include "tests/support/unit_nations.h"

#include <openssl/cms.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW UNIT_CA_NOW

struct world {
    struct unit_nations n;
    X509 *root[2];   /* borrowed */
    struct buf text; /* of a good one, number 1 */
};

static const char clearances[] = "\n[clearance US]\n"
                                 "policy = 1.3.6.1.4.1.32473.8.1\n"
                                 "confidential = CONFIDENTIAL\n"
                                 "secret = SECRET\n"
                                 "\n[clearance JP]\n"
                                 "policy = 1.3.6.1.4.1.32473.8.2\n"
                                 "restricted = 秘\n"
                                 "confidential = 極秘\n"
                                 "\n[equivalence US JP]\n"
                                 "secret = confidential\n"
                                 "\n[equivalence JP US]\n"
                                 "confidential = secret\n"
                                 "restricted = confidential\n";

static int set_up(void **state)
{
    struct world *w = test_calloc(1, sizeof(*w));
    struct federation p[2] = {{.n_side = 0}, {.n_side = 0}};
    struct federation f = {.name = "us-jp", .sequence = 1, .from = NOW, .until = NOW + 86400};
    struct err e = {0};

    unit_nations_up(&w->n, NULL);
    for (int i = 0; i < 2; i++) {
        unit_good(authority_cert(w->n.a[i], REGISTRY_ROOT, 0, &w->root[i], &e), &e);
        unit_nations_cross(&w->n, i, OID_COMMUNICATIONS, false, NULL);
        unit_nations_cross(&w->n, i, OID_COMMUNICATIONS, true, NULL);
        unit_nations_part(&w->n, i, 1, &p[i]);
    }
    unit_good(federation_join(&p[0], &p[1], &f, &e), &e);
    unit_good(federation_write(&f, &w->text, &e), &e);
    federation_free(&f);
    /* As somebody writes them behind it; and once more in order. */
    buf_str(&w->text, clearances);
    unit_good(federation_parse(buf_bytes(&w->text), &f, &e), &e);
    buf_free(&w->text);
    unit_good(federation_write(&f, &w->text, &e), &e);
    federation_free(&f);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    unit_nations_down(&w->n);
    buf_free(&w->text);
    test_free(w);
    return 0;
}

static struct federation parsed(struct bytes text)
{
    struct federation f = {.n_side = 0};
    struct err e = {0};

    unit_good(federation_parse(text, &f, &e), &e);
    return f;
}

/* The text with the first `a` made `b`. */
static void changed(const struct world *w, const char *a, const char *b, struct buf *out)
{
    const char *text = (const char *)w->text.p, *at;

    assert_non_null(buf_cstr((struct buf *)(uintptr_t)&w->text));
    text = (const char *)w->text.p;
    at = strstr(text, a);
    if (at == NULL)
        fail_msg("no '%s' in it", a);
    buf_add(out, text, (size_t)(at - text));
    buf_str(out, b);
    buf_str(out, at + strlen(a));
}

/* --- the text ------------------------------------------------------------------------------ */

static void test_what_is_read_is_written_the_same(void **state)
{
    struct world *w = *state;
    struct federation f = parsed(buf_bytes(&w->text));
    struct chain_equivalence table[FEDERATION_ROWS];
    struct buf again = {0};
    struct err e = {0};

    unit_good(federation_write(&f, &again, &e), &e);
    assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&w->text)));
    unit_good(federation_check(&f, NOW + 1, &e), &e);
    assert_int_equal(federation_side_of(&f, "JP"), 1);
    assert_int_equal(federation_side_of(&f, "FR"), -1);
    assert_string_equal(f.side[1].class_name[3], "極秘");
    assert_int_equal(f.side[0].community[OID_COMMUNICATIONS].accepts, 3);
    assert_false(f.side[0].community[OID_ELECTRICITY].open);
    /* US reads what JP's clearances count as. */
    assert_int_equal(federation_table(&f, 0, table), 2);
    assert_string_equal(table[0].policy, "1.3.6.1.4.1.32473.8.2");
    assert_int_equal(table[0].bits, CHAIN_CONFIDENTIAL);
    assert_string_equal(table[0].as_policy, "1.3.6.1.4.1.32473.8.1");
    assert_int_equal(table[0].as_bits, CHAIN_SECRET);
    assert_int_equal(federation_table(&f, 1, table), 1);
    buf_free(&again);
    federation_free(&f);
}

static void test_lines_that_could_mean_more_are_refused(void **state)
{
    static const struct {
        const char *a, *b, *says;
    } rows[] = {
        {"name = us-jp\n", "name = $ENV::HOME\n", "no variables"},
        {"name = us-jp\n", "name = us\\\njp\n", "no variables"},
        {"name = us-jp\n", "name = \"us-jp\"\n", "quotes"},
        {"name = us-jp\n", "name = us-jp # the first\n", "comments"},
        {"name = us-jp\n", "name = us-jp;\n", "comments"},
        {"[federation]\n", ".include /etc/passwd\n[federation]\n", "includes"},
        {"[federation]\n", "[federation]\n.include = x\n", "includes"},
        {"name = us-jp\n", "name=us-jp\n", "KEY = VALUE"},
        {"name = us-jp\n", "name =  us-jp\n", "one space"},
        {"name = us-jp\n", "name = us-jp \n", "one space"},
        {"name = us-jp\n", " name = us-jp\n", "one space"},
        {"name = us-jp\n", "name = us-jp\nname = x\n", "name is there twice"},
        {"name = us-jp\n", "name = us-jp\nnames = x\n", "no names"},
        {"name = us-jp\n", "", "lacks name"},
        {"name = us-jp\n", "name = us-jp\r\n", "plain UTF-8"},
        {"name = us-jp\n", "name = us\tjp\n", "plain UTF-8"},
        {"name = us-jp\n", "name = us\xffjp\n", "plain UTF-8"},
        {"sequence = 1\n", "sequence = 01\n", "no number"},
        {"sequence = 1\n", "sequence = -1\n", "no number"},
        {"sequence = 1\n", "sequence = 4294967296\n", "no number"},
        {"sequence = 1\n", "sequence = 1\nprevious = 00\n", "no SHA-256"},
        {"from = ", "from = 1", "no time"},
        {"until = 2027-01-16T08:00:00Z", "until = 2027-02-30T08:00:00Z", "no time"},
        {"until = 2027-01-16T08:00:00Z", "until = 2027-01-16T08:00:00+09:00", "no time"},
        {"[authority US]", "[authority us]", "two letters"},
        {"[authority JP]", "[authority US]", "there twice"},
        {"[authority JP]", "[authority FR]\n[authority JP]", "lacks org"},
        {"[community communications US]", "[community water US]", "no community water"},
        {"[community communications JP]", "[community communications US]", "there twice"},
        {"[community communications US]", "[community communications FR]", "no [authority FR]"},
        {"[clearance JP]", "[clearance US]", "there twice"},
        {"[equivalence JP US]", "[equivalence US JP]", "there twice"},
        {"[equivalence JP US]", "[equivalence US US]", "between two"},
        {"[equivalence US JP]", "[equivalences US JP]", "no such section"},
        {"[federation]\n", "[federation\n", "alone on its line"},
        {"[federation]\n", "x = y\n[federation]\n", "before the first section"},
        {"[federation]\n", "[federation]\n[federation]\n", "lacks name"},
        {"secret = confidential\n", "secret = confidential\nsecret = secret\n",
         "secret is there twice"},
        {"secret = confidential\n", "cosmic = confidential\n", "a row is two of"},
        {"policy = 1.3.6.1.4.1.32473.8.1", "policy = 1.3.6.1.4.1.32473.8.01",
         "no object identifier"},
        {"accepts = 3", "accepts = three", "no number"},
        {"root = MII", "root = MI", "base64"},
        {"root = MII", "root = AAA", "root:"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct federation f = {.n_side = 0};
        struct buf text = {0};
        struct err e = {0};

        changed(w, rows[i].a, rows[i].b, &text);
        if (federation_parse(buf_bytes(&text), &f, &e) == 0)
            fail_msg("row %zu ('%s') was read", i, rows[i].b);
        if (e.code != E_FORMAT || strstr(e.msg, rows[i].says) == NULL ||
            strncmp(e.msg, "line ", 5) != 0)
            fail_msg("row %zu: '%s', not '%s'", i, e.msg, rows[i].says);
        assert_int_equal(f.n_side, 0);
        buf_free(&text);
    }
}

static void test_cut_anywhere_it_is_refused_or_says_less(void **state)
{
    struct world *w = *state;

    for (size_t n = 0; n < w->text.len; n += 7) {
        struct federation f = {.n_side = 0};

        if (federation_parse(bytes_of(w->text.p, n), &f, NULL) == 0)
            assert_int_equal(f.n_side, 2);
        federation_free(&f);
    }
}

/* --- does it hold together ----------------------------------------------------------------------- */

enum what {
    ROOTS_SWAPPED,
    CROSS_CA_OF_THE_OTHER,
    ISSUING_OF_THE_OTHER,
    ISSUING_IS_THE_CROSS_CA,
    CROSS_OF_THE_OTHER,
    NO_CROSS,
    IKE_IN_PLACE,
    OPEN_ON_ONE_SIDE,
    NOTHING_OPEN,
    ENDS_FIRST,
    ANOTHER_DOMAIN,
    LEVEL_ZERO,
    LEVEL_FIVE,
    ROW_WITHOUT_SYSTEM,
    ROW_WITHOUT_NAME,
    TOO_LATE,
    WHATS
};

static void swap(X509 **a, X509 **b)
{
    X509 *x = *a;

    *a = *b;
    *b = x;
}

static void spoil(struct federation *f, enum what what, int64_t *now)
{
    struct federation_side *us = &f->side[0], *jp = &f->side[1];
    struct federation_community *c = &us->community[OID_COMMUNICATIONS],
                                *d = &jp->community[OID_COMMUNICATIONS];

    switch (what) {
    case ROOTS_SWAPPED: swap(&us->root, &jp->root); break;
    case CROSS_CA_OF_THE_OTHER: swap(&us->cross_ca, &jp->cross_ca); break;
    case ISSUING_OF_THE_OTHER: swap(&c->issuing, &d->issuing); break;
    case ISSUING_IS_THE_CROSS_CA:
        X509_free(c->issuing);
        c->issuing = X509_dup(d->issuing);
        break;
    case CROSS_OF_THE_OTHER: swap(&c->cross, &d->cross); break;
    case NO_CROSS:
        X509_free(c->cross);
        c->cross = NULL;
        break;
    case IKE_IN_PLACE:
        X509_free(c->cross);
        c->cross = X509_dup(us->cross_ca);
        break;
    case OPEN_ON_ONE_SIDE: d->open = false; break;
    case NOTHING_OPEN: c->open = d->open = false; break;
    case ENDS_FIRST: f->until = f->from; break;
    case ANOTHER_DOMAIN: memcpy(jp->domain, "jp2.example", 12); break;
    case LEVEL_ZERO: c->accepts = 0; break;
    case LEVEL_FIVE: c->accepts = 5; break;
    case ROW_WITHOUT_SYSTEM: us->clearance[0] = 0; break;
    case ROW_WITHOUT_NAME: jp->class_name[3][0] = 0; break;
    case TOO_LATE: *now += (int64_t)30 * 365 * 86400; break;
    case WHATS: break;
    }
}

static void test_what_does_not_fit_is_refused(void **state)
{
    static const char *const says[WHATS] = {
        [ROOTS_SWAPPED] = "Cross CA is not valid under its root",
        [CROSS_CA_OF_THE_OTHER] = "Cross CA is not valid under its root",
        [ISSUING_OF_THE_OTHER] = "issuing CA is not valid under its root",
        [ISSUING_IS_THE_CROSS_CA] = "issuing CA is not valid under its root",
        [CROSS_OF_THE_OTHER] = "is not for the issuing CA of JP",
        [NO_CROSS] = "no cross-certificate for communications of JP",
        [IKE_IN_PLACE] = "is not for the issuing CA of JP",
        [OPEN_ON_ONE_SIDE] = "on the side of US alone",
        [NOTHING_OPEN] = "no community is open",
        [ENDS_FIRST] = "ends before it begins",
        [ANOTHER_DOMAIN] = "does not bind JP to jp2.example",
        [LEVEL_ZERO] = "a level that is none",
        [LEVEL_FIVE] = "a level that is none",
        [ROW_WITHOUT_SYSTEM] = "without a system",
        [ROW_WITHOUT_NAME] = "confidential, which is not named",
        [TOO_LATE] = "not valid under its root",
    };
    struct world *w = *state;

    for (enum what i = 0; i < WHATS; i++) {
        struct federation f = parsed(buf_bytes(&w->text));
        struct err e = {0};
        int64_t now = NOW + 1;

        spoil(&f, i, &now);
        assert_int_equal(federation_check(&f, now, &e), -1);
        if (e.code != E_REJECTED || strstr(e.msg, says[i]) == NULL)
            fail_msg("%d: '%s', not '%s'", (int)i, e.msg, says[i]);
        federation_free(&f);
    }
}

/* --- signatures -------------------------------------------------------------------------------------- */

static struct buf sign_by(struct world *w, int who, struct bytes in, const char *refused)
{
    struct issue_issuer root = unit_ca_issuer(w->n.a[who], REGISTRY_ROOT, 0);
    const EVP_MD *md = NULL;
    EVP_PKEY *key = NULL;
    struct buf out = {0};
    struct err e = {0};
    int rc;

    unit_good(issue_signing(root.signer, &key, &md, &e), &e);
    rc = federation_sign(in, root.cert, key, md, NOW + 1, &out, &e);
    if (refused == NULL)
        unit_good(rc, &e);
    else if (rc == 0 || strstr(e.msg, refused) == NULL)
        fail_msg("'%s', not '%s'", rc == 0 ? "signed" : e.msg, refused);
    EVP_PKEY_free(key);
    return out;
}

static void opens(struct world *w, struct bytes in, X509 *first, X509 *second, int64_t now,
                  const char *refused)
{
    X509 *pin[2] = {first, second};
    struct federation f = {.n_side = 0};
    struct buf text = {0};
    struct err e = {0};
    int rc = federation_open(in, pin, now, &f, &text, &e);

    if (refused == NULL) {
        unit_good(rc, &e);
        assert_true(bytes_equal(buf_bytes(&text), buf_bytes(&w->text)));
        assert_int_equal(f.sequence, 1);
    } else if (rc == 0 || strstr(e.msg, refused) == NULL) {
        fail_msg("'%s', not '%s'", rc == 0 ? "opened" : e.msg, refused);
    }
    federation_free(&f);
    buf_free(&text);
}

static void test_both_sign_and_nobody_else(void **state)
{
    struct world *w = *state;
    struct buf half = sign_by(w, 0, buf_bytes(&w->text), NULL), twice, whole, other, none = {0};

    twice = sign_by(w, 0, buf_bytes(&half), "signed it already");
    whole = sign_by(w, 1, buf_bytes(&half), NULL);
    other = sign_by(w, 1, buf_bytes(&w->text), NULL);
    opens(w, buf_bytes(&whole), w->root[0], w->root[1], NOW + 1, NULL);
    opens(w, buf_bytes(&whole), w->root[1], w->root[0], NOW + 1, NULL);
    opens(w, buf_bytes(&w->text), w->root[0], w->root[1], NOW + 1, "nobody has signed");
    opens(w, buf_bytes(&half), w->root[0], w->root[1], NOW + 1, "only one authority");
    opens(w, buf_bytes(&other), w->root[0], w->root[1], NOW + 1, "only one authority");
    opens(w, buf_bytes(&whole), w->root[0], w->root[0], NOW + 1, "are one");
    opens(w, buf_bytes(&whole), w->root[0], w->root[1], NOW - 1, "not yet in force");
    opens(w, buf_bytes(&whole), w->root[0], w->root[1], NOW + 86400, "expired");
    none = sign_by(w, 1, buf_bytes(&whole), "signed it already");
    buf_free(&half);
    buf_free(&twice);
    buf_free(&whole);
    buf_free(&other);
    buf_free(&none);
}

/* A third authority, which is as good as the others but not pinned. */
static void test_a_signer_who_is_not_pinned_is_refused(void **state)
{
    struct world *w = *state;
    struct unit_ca_keys keys = {.n = 0};
    char *dir = unit_ca_dir();
    struct buf pin = {0}, half = sign_by(w, 0, buf_bytes(&w->text), NULL),
               whole = sign_by(w, 1, buf_bytes(&half), NULL), none;
    struct authority *third, *own = w->n.a[1];
    struct err e = {0};
    X509 *root;

    unit_ca_some_pin(&pin);
    third = unit_ca_make(dir, "JP", "jp.example", buf_bytes(&pin), NOW, &keys);
    unit_good(authority_cert(third, REGISTRY_ROOT, 0, &root, &e), &e);
    opens(w, buf_bytes(&whole), w->root[0], root, NOW + 1, "not pinned");
    opens(w, buf_bytes(&half), w->root[0], root, NOW + 1, "only one authority");
    w->n.a[1] = third;
    none = sign_by(w, 1, buf_bytes(&half), "another root");
    w->n.a[1] = own;
    authority_close(third);
    unit_ca_keys_free(&keys);
    unit_ca_dir_remove(dir);
    buf_free(&pin);
    buf_free(&half);
    buf_free(&whole);
    buf_free(&none);
}

/* By hand, for federation_sign would not: two signatures of one, another digest, another text. */
static struct buf forged(struct world *w, const int who[2], const EVP_MD *md,
                         const char *spoil_text, bool with_cert)
{
    struct buf text = {0}, out = {0}, der = {0};
    CMS_ContentInfo *cms;
    struct err e = {0};
    BIO *in;

    buf_add_bytes(&text, buf_bytes(&w->text));
    in = BIO_new_mem_buf(text.p, (int)text.len);
    cms = CMS_sign(NULL, NULL, NULL, in, CMS_PARTIAL | CMS_BINARY | CMS_NOCERTS);
    for (int i = 0; i < 2; i++) {
        struct issue_issuer root = unit_ca_issuer(w->n.a[who[i]], REGISTRY_ROOT, 0);
        const EVP_MD *own = NULL;
        EVP_PKEY *key = NULL;

        unit_good(issue_signing(root.signer, &key, &own, &e), &e);
        assert_non_null(CMS_add1_signer(cms, root.cert, key, md != NULL ? md : own,
                                        CMS_NOCERTS | CMS_BINARY | CMS_PARTIAL));
        EVP_PKEY_free(key);
    }
    assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
    if (with_cert)
        assert_int_equal(CMS_add1_cert(cms, w->root[0]), 1);
    if (spoil_text != NULL) {
        ASN1_OCTET_STRING **c = CMS_get0_content(cms);
        uint8_t *at = memmem((*c)->data, (size_t)(*c)->length, spoil_text, strlen(spoil_text));

        assert_non_null(at);
        at[strlen(spoil_text) - 1] ^= 1;
    }
    unit_good(asn1_encode(cms, ASN1_ITEM_rptr(CMS_ContentInfo), &der, &e), &e);
    unit_good(asn1_pem_write("CMS", buf_bytes(&der), &out, &e), &e);
    CMS_ContentInfo_free(cms);
    BIO_free(in);
    buf_free(&text);
    buf_free(&der);
    return out;
}

static void test_forged_signatures_are_refused(void **state)
{
    static const struct {
        int who[2];
        bool sha1;
        const char *spoil, *refused;
        bool with_cert;
    } rows[] = {
        {{0, 1}, false, NULL, NULL, false}, /* the control */
        {{0, 0}, false, NULL, "signed it twice", false},
        {{1, 1}, false, NULL, "signed it twice", false},
        {{0, 1}, true, NULL, "a signature of it is bad", false},
        {{0, 1}, false, "us-jp", "a signature of it is bad", false},
        {{0, 1}, false, NULL, "nothing else", true},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf f = forged(w, rows[i].who, rows[i].sha1 ? EVP_sha1() : NULL, rows[i].spoil,
                              rows[i].with_cert);

        opens(w, buf_bytes(&f), w->root[0], w->root[1], NOW + 1, rows[i].refused);
        buf_free(&f);
    }
}

static void test_every_changed_byte_of_it_is_noticed(void **state)
{
    struct world *w = *state;
    X509 *pin[2] = {w->root[0], w->root[1]};
    struct buf half = sign_by(w, 0, buf_bytes(&w->text), NULL),
               whole = sign_by(w, 1, buf_bytes(&half), NULL), der = {0};
    struct err e = {0};

    unit_good(asn1_pem_read("CMS", buf_bytes(&whole), 1 << 20, &der, &e), &e);
    for (size_t i = 0; i < der.len; i += i < w->text.len ? 97 : 1) {
        struct buf pem = {0}, text = {0};

        der.p[i] ^= 0x01;
        unit_good(asn1_pem_write("CMS", buf_bytes(&der), &pem, &e), &e);
        /* What neither signature covers may read otherwise, not what is said. */
        if (federation_open(buf_bytes(&pem), pin, NOW + 1, NULL, &text, NULL) == 0)
            assert_true(bytes_equal(buf_bytes(&text), buf_bytes(&w->text)));
        der.p[i] ^= 0x01;
        buf_free(&pem);
        buf_free(&text);
    }
    buf_free(&half);
    buf_free(&whole);
    buf_free(&der);
}

/* --- one after the other -------------------------------------------------------------------------------- */

static void test_it_follows_the_one_before(void **state)
{
    struct world *w = *state;
    struct buf next = {0}, line = {0}, skipped = {0}, loose = {0};
    uint8_t hash[32];
    struct err e = {0};

    unit_good(hash_sha256(buf_bytes(&w->text), hash, &e), &e);
    buf_str(&line, "sequence = 2\nprevious = ");
    buf_hex(&line, hash, sizeof(hash));
    changed(w, "sequence = 1", buf_cstr(&line), &next);
    changed(w, "sequence = 1", "sequence = 3", &skipped);
    changed(w, "sequence = 1",
            "sequence = 2\nprevious = "
            "0000000000000000000000000000000000000000000000000000000000000000",
            &loose);
    unit_good(federation_follows(buf_bytes(&w->text), bytes_of(NULL, 0), &e), &e);
    unit_good(federation_follows(buf_bytes(&w->text), buf_bytes(&w->text), &e), &e);
    unit_good(federation_follows(buf_bytes(&next), buf_bytes(&w->text), &e), &e);
    assert_int_equal(federation_follows(buf_bytes(&w->text), buf_bytes(&next), &e), -1);
    assert_non_null(strstr(e.msg, "an older one"));
    e = (struct err){0};
    assert_int_equal(federation_follows(buf_bytes(&skipped), buf_bytes(&w->text), &e), -1);
    assert_non_null(strstr(e.msg, "does not follow"));
    e = (struct err){0};
    assert_int_equal(federation_follows(buf_bytes(&loose), buf_bytes(&w->text), &e), -1);
    assert_non_null(strstr(e.msg, "does not follow"));
    buf_free(&next);
    buf_free(&line);
    buf_free(&skipped);
    buf_free(&loose);
}

/* --- what is derived --------------------------------------------------------------------------------------- */

static void test_only_what_is_open_is_trusted(void **state)
{
    struct world *w = *state;
    struct federation f = parsed(buf_bytes(&w->text));
    struct federation_trust t;
    struct buf der = {0};
    struct err e = {0};
    const uint8_t *p;
    PKCS12 *p12;

    unit_good(federation_trust(&f, 0, OID_COMMUNICATIONS, false, &t, &e), &e);
    assert_int_equal(t.n, 4);
    assert_int_equal(X509_cmp(t.cert[0], w->root[0]), 0);
    assert_ptr_equal(t.cert[2], f.side[0].community[OID_COMMUNICATIONS].cross);
    unit_good(federation_trust_p12(&t, &der, &e), &e);
    p = der.p;
    p12 = d2i_PKCS12(NULL, &p, (long)der.len);
    assert_non_null(p12);
    assert_int_equal(PKCS12_verify_mac(p12, FEDERATION_P12_PASSWORD, -1), 1);
    PKCS12_free(p12);
    unit_good(federation_trust(&f, 1, OID_COMMUNICATIONS, true, &t, &e), &e);
    assert_ptr_equal(t.cert[3], f.side[1].community[OID_COMMUNICATIONS].issuing_ike);
    assert_int_equal(federation_trust(&f, 0, OID_ELECTRICITY, false, &t, &e), -1);
    assert_int_equal(e.code, E_NOT_FOUND);
    assert_int_equal(federation_trust(&f, 0, 9, false, &t, NULL), -1);
    buf_free(&der);
    federation_free(&f);
}

static void test_parts_of_one_nation_make_no_federation(void **state)
{
    static const unsigned communications = OID_COMMUNICATIONS;
    struct world *w = *state;
    struct federation a = {.n_side = 0}, b = {.n_side = 0}, f = {.n_side = 0};
    struct part p = {.ally = "US", .community = &communications, .n_community = 1, .now = NOW};
    struct err e = {0};

    unit_nations_part(&w->n, 0, 1, &a);
    unit_nations_part(&w->n, 0, 1, &b);
    assert_int_equal(federation_join(&a, &b, &f, &e), -1);
    assert_int_equal(e.code, E_REJECTED);
    federation_free(&a);
    federation_free(&b);
    e = (struct err){0};
    assert_int_equal(part_make(w->n.a[0], &p, &a, &e), -1);
    assert_int_equal(e.code, E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read_is_written_the_same),
        cmocka_unit_test(test_lines_that_could_mean_more_are_refused),
        cmocka_unit_test(test_cut_anywhere_it_is_refused_or_says_less),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_both_sign_and_nobody_else),
        cmocka_unit_test(test_a_signer_who_is_not_pinned_is_refused),
        cmocka_unit_test(test_forged_signatures_are_refused),
        cmocka_unit_test(test_every_changed_byte_of_it_is_noticed),
        cmocka_unit_test(test_it_follows_the_one_before),
        cmocka_unit_test(test_only_what_is_open_is_trusted),
        cmocka_unit_test(test_parts_of_one_nation_make_no_federation),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
