/* Goal: memory may run out at any allocation, ours or OpenSSL's, while evidence is decoded and judged:
 * nothing crashes, and what is bad is not accepted for it. An allocation fails once, or all from it
 * on. Of all of them every seventh in turn; each one when SOAK is set. */
#include "tests/support/unit_forge.h"
#include "tests/support/unit_verdict.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- memory that runs out ------------------------------------------------------------------------ */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static struct {
    bool on, for_good; /* counting; once it failed it goes on failing */
    unsigned long at, count, failed;
} memory;

static bool runs_out(void)
{
    if (!memory.on)
        return false;
    memory.count++;
    if (memory.count != memory.at && !(memory.for_good && memory.count > memory.at))
        return false;
    memory.failed++;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return runs_out() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return runs_out() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return runs_out() ? NULL : __real_realloc(p, n);
}

/* OpenSSL is a library of its own, which the linker's wrapping does not reach. */
static void *openssl_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n != 0 && !runs_out() ? __real_malloc(n) : NULL;
}
static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    if (n == 0) {
        free(p);
        return NULL;
    }
    return runs_out() ? NULL : __real_realloc(p, n);
}
static void openssl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* --- evidence -------------------------------------------------------------------------------------- */

static const struct evidence_advisory advisory = {"id:00001014", "", 0, UINT64_MAX, "all of them"};

static void no_eku(struct unit_forge *f, X509 *x)
{
    (void)f;
    X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, NID_ext_key_usage, -1)));
}
static void is_ca(struct unit_forge *f, X509 *x)
{
    (void)f;
    X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, NID_basic_constraints, -1)));
    unit_forge_ext(x, NID_basic_constraints, "critical,CA:TRUE");
}
static void stale(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->extraData.buffer[4] ^= 1;
}

static const char *const kinds[] = {
    "good",
    "an alternative name of somebody else",
    "a common name of somebody else",
    "firmware that an advisory names",
    "an EK certificate without EKU",
    "an AK certificate of a CA",
    "a policy that nothing explains",
    "a key that moves",
    "another nonce",
    "creation data of another time",
    "a quote of another platform",
    "no proof of possession",
};

static void prepare(struct unit_forge *f, size_t kind)
{
    static struct pcrvalues agreed = {.hash = TPM2_ALG_SHA256, .there = 1};

    unit_forge_init(f, UNIT_P256, UNIT_P256, UNIT_P256);
    f->with_creation = f->with_quote = f->with_pin = kind == 0 || kind == 9 || kind == 10;
    switch (kind) {
    case 1: f->san = "evil.comms.example"; break;
    case 2: f->cn = "evil.comms.example"; break;
    case 4: f->on_ek_cert = no_eku; break;
    case 5: f->on_ak_cert = is_ca; break;
    case 6: f->key_pub.authPolicy.size = 32; break;
    case 7: f->key_pub.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_FIXEDPARENT; break;
    case 8: f->on_attest = stale; break;
    case 9: f->created.outsideInfo.buffer[0] ^= 1; break;
    case 11: f->csr_signer = f->other; break;
    default: break;
    }
    unit_forge_build(f);
    if (kind == 3) {
        f->terms.advisory = &advisory;
        f->terms.n_advisory = 1;
    }
    if (kind == 10) {
        agreed.value[0][0] = 1;
        f->terms.pcrs = &agreed;
        f->terms.n_pcrs = 1;
    }
}

/* One run, from the bytes on. Says whether the evidence was accepted. */
static bool decode_and_judge(struct bytes der, const struct evidence_terms *t)
{
    struct evidence_record r = {.ek_template = 0};
    struct evidence_verdict v = {.accepted = false};
    struct err e = {0};
    bool accepted = false;

    if (evidence_record_decode(der, &r, &e) == 0 && evidence_check_record(&r, t, &v, &e) == 0) {
        accepted = v.accepted;
        if (accepted != (evidence_check_verdict(&v, &e) == 0))
            fail_msg("the verdict contradicts itself");
    } else if (e.code == E_OK || e.msg[0] == 0) {
        memory.on = false;
        fail_msg("it failed without a word");
    }
    evidence_record_free(&r);
    ERR_clear_error();
    return accepted;
}

static bool run_out_at(unsigned long at, bool for_good, struct bytes der,
                       const struct evidence_terms *t)
{
    bool accepted;

    memory.at = at;
    memory.for_good = for_good;
    memory.count = memory.failed = 0;
    memory.on = true;
    accepted = decode_and_judge(der, t);
    memory.on = false;
    return accepted;
}

static unsigned long step = 7;

static void judge_kind(size_t kind)
{
    struct unit_forge f;
    struct buf der = {0};
    struct err e = {0};
    unsigned long runs = 0, survived = 0;

    prepare(&f, kind);
    assert_int_equal(evidence_record_encode(&f.record, &der, &e), 0);
    assert_int_equal(decode_and_judge(buf_bytes(&der), &f.terms), kind == 0);
    /* What fails for good ends as refused; of good evidence both are tried. */
    for (int for_good = 0; for_good < (kind == 0 ? 2 : 1); for_good++) {
        for (unsigned long n = 1 + kind % step;; n += step) {
            bool accepted = run_out_at(n, for_good == 1, buf_bytes(&der), &f.terms);

            if (kind != 0 && accepted)
                fail_msg("%s is accepted when allocation %lu fails", kinds[kind], n);
            if (memory.failed == 0)
                break;
            runs++;
            survived += accepted;
        }
    }
    print_message("  %s: %lu runs, %lu of them accepted it\n", kinds[kind], runs, survived);
    /* Nothing of it lasts. */
    assert_int_equal(decode_and_judge(buf_bytes(&der), &f.terms), kind == 0);
    buf_free(&der);
    unit_forge_free(&f);
}

static void good_evidence(void **state)
{
    (void)state;
    judge_kind(0);
}

static void bad_evidence(void **state)
{
    (void)state;
    for (size_t kind = 1; kind < ARRAY_LEN(kinds); kind++)
        judge_kind(kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_evidence),
        cmocka_unit_test(bad_evidence),
    };

    if (getenv("SOAK") != NULL)
        step = 1;
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
