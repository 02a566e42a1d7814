/* Goal: before PINs are sent to a storage primary it is proved to be in the TPM whose maker
 * certified it; where that cannot be, it is said. */
#include "tests/support/unit_thief.h"

#include "core/ektemplate.h"
#include "core/file.h"
#include "core/tpmname.h"
#include "tpm/attest.h"
#include "tpm/ek.h"
#include "tpm/exec.h"
#include "tpm/nv.h"
#include "tpm/primary.h"
#include "tpm/primary_prove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define SRK 0x81000001U

static const struct bytes none = {NULL, 0};

static enum err_code provision(struct unit_tpm *w, struct bytes issuers,
                               struct token_report *report, struct err *e)
{
    struct token_params p = {.label = "proved",
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = true,
                             .ek_issuers = issuers};

    *e = (struct err){0};
    if (token_provision(&w->token, w->tpm, w->store, &p, report, e) != 0)
        return e->code;
    w->id = token_row(w->token)->id;
    return E_OK;
}

static size_t hw_rows(struct unit_tpm *w, struct store_tpm *first)
{
    struct store_tpm *list = NULL;
    size_t n = 0;

    assert_int_equal(store_tpm_list(w->store, &list, &n, NULL), 0);
    if (n > 0)
        *first = list[0];
    free(list);
    return n;
}

static void read_issuers(struct buf *out)
{
    assert_int_equal(file_read(getenv("EK_CA_PEM"), 1 << 20, out, NULL), 0);
}

/* The Name of the EK by its certificate alone. */
static void certified_name(struct unit_tpm *w, TPMT_PUBLIC *pub, TPM2B_NAME *name)
{
    struct attest_ek found;
    const unsigned char *p;
    struct buf wire = {0};
    X509 *x;

    assert_int_equal(attest_ek_first(w->tpm, &found, NULL), 0);
    p = found.cert.p;
    x = d2i_X509(NULL, &p, (long)found.cert.len);
    assert_int_equal(ektemplate_from_cert(found.index, x, pub, NULL), 0);
    assert_int_equal(tpmname_marshal_public(pub, &wire, NULL), 0);
    assert_int_equal(tpmname_object(buf_bytes(&wire), name, NULL), 0);
    X509_free(x);
    buf_free(&wire);
    buf_free(&found.cert);
}

static void test_the_primary_is_pinned_by_the_ek(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct store_tpm hw;
    TPMT_PUBLIC pub;
    TPM2B_NAME ek;
    struct err e;

    certified_name(w, &pub, &ek);
    assert_int_equal(provision(w, none, &report, &e), E_OK);
    assert_true(report.ek_proved);
    assert_false(report.ek_issuer);
    assert_string_equal(report.ek_missing, "");
    assert_int_equal(hw_rows(w, &hw), 1);
    assert_int_equal(hw.ek_name.len, ek.size);
    assert_memory_equal(hw.ek_name.name, ek.name, ek.size);
    unit_tpm_login(w, TOKEN_USER, UNIT_USER);
}

static void test_the_proof_costs_a_dozen_commands_once(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct primary_proof proof;
    struct buf wire = {0};
    struct err e = {0};
    uint32_t h;

    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
    assert_int_equal(primary_ensure(w->tpm, &h, &wire, &e), 0);
    unit_spy_clear(w);
    assert_int_equal(primary_prove(w->tpm, h, buf_bytes(&wire), none, &proof, &e), 0);
    assert_true(proof.ek.size > 0);
    assert_in_range(unit_spy_count(w, NULL), 8, 13);
    buf_free(&wire);
    assert_int_equal(provision(w, none, &report, &e), E_OK);
    token_free(w->token);
    w->token = NULL;
    unit_spy_clear(w);
    assert_int_equal(provision(w, none, &report, &e), E_OK);
    assert_true(report.ek_proved);
    assert_int_equal(unit_spy_count(w, "NV_ReadPublic"), 0);
}

static void test_the_makers_are_judged_where_they_are_given(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct buf issuers = {0};
    struct store_tpm hw;
    struct err e;

    assert_int_equal(provision(w, unit_pin("no certificate at all"), &report, &e), E_REJECTED);
    assert_int_equal(hw_rows(w, &hw), 0);
    read_issuers(&issuers);
    assert_int_equal(provision(w, buf_bytes(&issuers), &report, &e), E_OK);
    assert_true(report.ek_issuer);
    buf_free(&issuers);
}

/* --- a TPM of another kind -------------------------------------------------------------- */

static void on_second_tpm(struct unit_tpm *w, const char *ek)
{
    char script[300], tcti[200];

    unit_tpm_close(w);
    snprintf(script, sizeof(script),
             "tpm_make \"$TPM_DIR/tpm2\" \"$(dirname \"$EK_CA_PEM\")\" %s && "
             "tpm_start \"$TPM_DIR/tpm2\"",
             ek);
    assert_int_equal(unit_tpm_script(script), 0);
    snprintf(tcti, sizeof(tcti), "swtpm:path=%s/tpm2/sock", getenv("TPM_DIR"));
    unit_tpm_open(w, tcti);
}

static void back_to_first(struct unit_tpm *w)
{
    unit_tpm_close(w);
    assert_int_equal(unit_tpm_script("tpm_stop \"$TPM_DIR/tpm2\" && rm -r \"$TPM_DIR/tpm2\""), 0);
    w->id = 0;
    unit_tpm_open(w, getenv("FUSETSU_TCTI"));
}

static void test_an_rsa_ek_proves_as_well(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct buf issuers = {0};
    enum err_code code;
    struct err e;

    on_second_tpm(w, "rsa");
    read_issuers(&issuers);
    code = provision(w, buf_bytes(&issuers), &report, &e);
    buf_free(&issuers);
    back_to_first(w);
    assert_int_equal(code, E_OK);
    assert_true(report.ek_proved && report.ek_issuer);
}

static void test_without_a_certificate_it_is_said(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct buf issuers = {0};
    enum err_code strict, code;
    struct store_tpm hw = {.ek_name.len = 1};
    struct err e;

    on_second_tpm(w, "none");
    read_issuers(&issuers);
    strict = provision(w, buf_bytes(&issuers), &report, &e);
    buf_free(&issuers);
    code = provision(w, none, &report, &e);
    (void)hw_rows(w, &hw);
    back_to_first(w);
    assert_int_equal(strict, E_NOT_FOUND);
    assert_int_equal(code, E_OK);
    assert_false(report.ek_proved);
    assert_non_null(strstr(report.ek_missing, "no endorsement certificate"));
    assert_int_equal(hw.ek_name.len, 0);
}

/* --- a man in the middle ------------------------------------------------------------------- */

/* A point in a TPMT_PUBLIC, with its lengths, becomes another one in all that the TPM says. */
static void replace(const TPMT_PUBLIC *from, const struct ecc_point *to, size_t n)
{
    uint8_t a[2 * ALG_MAX_COORD + 4] = {0}, b[2 * ALG_MAX_COORD + 4] = {0};
    char text[4 * sizeof(a) + 2];

    a[1] = a[n + 3] = b[1] = b[n + 3] = (uint8_t)n;
    memcpy(a + 2, from->unique.ecc.x.buffer, n);
    memcpy(a + n + 4, from->unique.ecc.y.buffer, n);
    memcpy(b + 2, to->x, n);
    memcpy(b + n + 4, to->y, n);
    hex_encode(text, a, 2 * n + 4);
    text[2 * (2 * n + 4)] = ':';
    hex_encode(text + 2 * (2 * n + 4) + 1, b, 2 * n + 4);
    setenv("SPY_REPLACE", text, 1);
}

static void his_key(const struct alg_curve *curve, struct ecc_point *pub)
{
    static const uint8_t seed[80] = {'t', 'h', 'i', 'e', 'f'};
    uint8_t d[ALG_MAX_COORD];

    assert_int_equal(ecc_from_seed(curve, bytes_of(seed, sizeof(seed)), d, pub, NULL), 0);
}

static void real_primary(struct unit_tpm *w, TPMT_PUBLIC *out)
{
    struct buf wire = {0};
    uint32_t h;

    assert_int_equal(primary_ensure(w->tpm, &h, &wire, NULL), 0);
    assert_int_equal(h, SRK);
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&wire), out, NULL), 0);
    buf_free(&wire);
}

static void in_the_middle(struct unit_tpm *w)
{
    unit_tpm_close(w);
    unit_tpm_open(w, unit_spy(w, false));
}

static void test_a_primary_of_his_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    struct ecc_point mine;
    struct store_tpm hw;
    TPMT_PUBLIC real;
    uint32_t left[4];
    struct err e;

    real_primary(w, &real);
    his_key(alg_curve_named("P-256"), &mine);
    replace(&real, &mine, 32);
    in_the_middle(w);
    assert_int_equal(provision(w, none, &report, &e), E_TAMPERED);
    unsetenv("SPY_REPLACE");
    assert_non_null(strstr(e.msg, "is not in the TPM that holds the certified endorsement key"));
    assert_int_equal(unit_spy_count(w, "NV_DefineSpace"), 0);
    assert_int_equal(hw_rows(w, &hw), 0);
    assert_int_equal(unit_tpm_handles(0x02000000, UINT32_MAX, left, 4), 0);
    /* Without him. */
    assert_int_equal(provision(w, none, &report, &e), E_OK);
}

/* On first use he is believed, which is why it is said. */
static void test_control_without_an_ek_he_is_believed(void **state)
{
    struct unit_tpm *w = *state;
    struct primary_proof proof = {.ek.size = 1};
    TPMT_PUBLIC real, believed;
    struct ecc_point mine;
    struct buf wire = {0};
    struct err e = {0};
    uint32_t h;
    int rc;

    on_second_tpm(w, "none");
    real_primary(w, &real);
    his_key(alg_curve_named("P-256"), &mine);
    replace(&real, &mine, 32);
    unit_tpm_close(w);
    {
        char tcti[300];
        const char *spy = unit_spy(w, false);
        const char *colon = strchr(spy, ':');

        snprintf(tcti, sizeof(tcti), "%.*s:swtpm:path=%s/tpm2/sock", (int)(colon - spy), spy,
                 getenv("TPM_DIR"));
        unit_tpm_open(w, tcti);
    }
    rc = primary_ensure(w->tpm, &h, &wire, &e);
    if (rc == 0)
        rc = primary_prove(w->tpm, h, buf_bytes(&wire), none, &proof, &e);
    unsetenv("SPY_REPLACE");
    back_to_first(w);
    assert_int_equal(rc, 0);
    assert_int_equal(proof.ek.size, 0);
    assert_int_equal(tpmname_unmarshal_public(buf_bytes(&wire), &believed, NULL), 0);
    assert_memory_equal(believed.unique.ecc.x.buffer, mine.x, 32);
    buf_free(&wire);
}

static void test_an_ek_of_his_is_refused(void **state)
{
    struct unit_tpm *w = *state;
    struct token_report report = {0};
    const struct alg_curve *curve;
    struct ecc_point mine;
    TPM2B_NAME name;
    TPMT_PUBLIC ek;
    struct err e;

    certified_name(w, &ek, &name);
    curve = alg_curve_of(ek.parameters.eccDetail.curveID);
    his_key(curve, &mine);
    replace(&ek, &mine, curve->size);
    in_the_middle(w);
    assert_int_equal(provision(w, none, &report, &e), E_TAMPERED);
    unsetenv("SPY_REPLACE");
    assert_non_null(strstr(e.msg, "not the one in its certificate"));
}

static int tampered(struct unit_tpm *w)
{
    struct token_report report = {0};
    struct err e = {0};

    CHILD_MUST(provision(w, none, &report, &e) == E_TAMPERED, &e);
    return 0;
}

static void test_an_altered_answer_is_refused(void **state)
{
    struct unit_tpm *w = *state;

    unit_tpm_close(w);
    assert_int_equal(unit_spy_child(w, "SPY_TAMPER", "2", "StartAuthSession", tampered), 0);
    unit_tpm_open(w, getenv("FUSETSU_TCTI"));
}

/* The public half of a key of his, with all the attributes of a primary: TPM2_LoadExternal asks
 * for no private one. A TPM2_ReadPublic in a session of the EK would be his witness. */
static void test_a_bare_public_key_in_the_tpm_is_refused(void **state)
{
    TPM2B_NAME told = {.size = sizeof(told.name)}, qn = {.size = sizeof(qn.name)};
    struct unit_tpm *w = *state;
    TSS2_SYS_CONTEXT *sys;
    struct primary_proof proof;
    TPM2B_PUBLIC pub = {0}, read = {0};
    struct session s = {0};
    TPM2B_NAME name = {.size = sizeof(name.name)}, ek_name;
    struct exec x = {.name = {&name}, .n_names = 1, .n_auth = 1};
    struct ecc_point mine;
    struct buf wire = {0};
    TPM2_HANDLE h = 0;
    TPMT_PUBLIC ek_pub;
    struct attest_ek found;
    struct ek ek;
    struct err e = {0};

    real_primary(w, &pub.publicArea);
    sys = tpm_sys(w->tpm, NULL);
    his_key(alg_curve_named("P-256"), &mine);
    memcpy(pub.publicArea.unique.ecc.x.buffer, mine.x, 32);
    memcpy(pub.publicArea.unique.ecc.y.buffer, mine.y, 32);
    assert_int_equal(Tss2_Sys_LoadExternal(sys, NULL, NULL, &pub, TPM2_RH_OWNER, &h, &name, NULL),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpmname_marshal_public(&pub.publicArea, &wire, NULL), 0);
    assert_int_equal(tpmname_object(buf_bytes(&wire), &name, NULL), 0);
    /* The control: in a session of the EK the TPM attests to it. */
    certified_name(w, &ek_pub, &ek_name);
    assert_int_equal(attest_ek_first(w->tpm, &found, NULL), 0);
    assert_int_equal(ek_find(w->tpm, found.index, &ek, NULL), 0);
    assert_int_equal(
        session_start(w->tpm, TPM2_SE_HMAC, &(struct salt_key){ek.handle, &ek_pub}, &s, NULL), 0);
    x.auth[0] = (struct exec_auth){.session = &s, .encrypt = true};
    assert_int_equal(Tss2_Sys_ReadPublic_Prepare(sys, h), TSS2_RC_SUCCESS);
    assert_int_equal(exec_run(w->tpm, &x, "reading", NULL), 0);
    assert_int_equal(Tss2_Sys_ReadPublic_Complete(sys, &read, &told, &qn), TSS2_RC_SUCCESS);
    assert_memory_equal(read.publicArea.unique.ecc.x.buffer, mine.x, 32);
    session_end(w->tpm, &s);
    ek_leave(w->tpm, &ek);
    buf_free(&found.cert);
    /* Our proof is not fooled. */
    assert_int_equal(primary_prove(w->tpm, h, buf_bytes(&wire), none, &proof, &e), -1);
    assert_int_equal(e.code, E_TAMPERED);
    (void)Tss2_Sys_FlushContext(sys, h);
    buf_free(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTORY(test_the_primary_is_pinned_by_the_ek),
        FACTORY(test_the_proof_costs_a_dozen_commands_once),
        FACTORY(test_the_makers_are_judged_where_they_are_given),
        FACTORY(test_an_rsa_ek_proves_as_well),
        FACTORY(test_without_a_certificate_it_is_said),
        FACTORY(test_a_primary_of_his_is_refused),
        FACTORY(test_control_without_an_ek_he_is_believed),
        FACTORY(test_an_ek_of_his_is_refused),
        FACTORY(test_an_altered_answer_is_refused),
        FACTORY(test_a_bare_public_key_in_the_tpm_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
