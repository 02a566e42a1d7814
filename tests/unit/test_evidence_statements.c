/* Checks 13, 17, 19 to 21, 25 and 26: what a TPM says beside where a key lives. For each, bad
 * evidence that fails this check and no other. */
#include "tests/support/unit_verdict.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void start(struct unit_forge *f)
{
    unit_verdict_start(f);
    f->with_creation = f->with_quote = f->with_pin = true;
}

static enum evidence_outcome outcome(struct unit_forge *f, unsigned number,
                                     struct evidence_verdict *v)
{
    unit_verdict_judge(f, true, v);
    return v->result[number - 1].outcome;
}

/* --- good --------------------------------------------------------------------------------- */

static void good_in_all_kinds(void **state)
{
    static const enum unit_key kinds[] = {UNIT_P256, UNIT_P384, UNIT_RSA};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            struct unit_forge f;
            struct evidence_verdict v;

            unit_forge_init(&f, kinds[i], kinds[k] == UNIT_P384 ? UNIT_P256 : kinds[k], kinds[k]);
            f.with_creation = f.with_quote = f.with_pin = true;
            unit_forge_build(&f);
            unit_verdict_judge(&f, false, &v);
            unit_verdict_expect(&v, 0);
            assert_int_equal(v.result[16].outcome, EVIDENCE_PASS);
            assert_int_equal(v.result[20].outcome, EVIDENCE_ASSERTED);
            assert_int_equal(v.result[24].outcome, EVIDENCE_PASS);
            assert_int_equal(v.result[25].outcome, EVIDENCE_NA);
            assert_int_equal(v.level, 3);
            assert_int_equal(v.pin_limit, 5);
            assert_true(v.has_reading);
            assert_int_equal(v.reading.resets, 7);
            unit_forge_free(&f);
        }
    }
}

/* --- what all statements have in common ------------------------------------------------------- */

static uint16_t which; /* the type of the statement that is spoilt */

static void magic(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == which)
        a->magic ^= 1;
}
static void signer(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == which)
        a->qualifiedSigner.name[5] ^= 1;
}
static void constant(struct unit_forge *f, TPMS_ATTEST *a)
{
    static const uint8_t value[] = {0x00, 0xff, 0x55, 0xaa};

    (void)f;
    if (a->type != which)
        return;
    a->extraData.size = sizeof(value);
    memcpy(a->extraData.buffer, value, sizeof(value));
}
static void no_bit(struct unit_forge *f, uint16_t type, TPMT_SIGNATURE *s)
{
    (void)f;
    if (type == which)
        s->signature.ecdsa.signatureS.buffer[9] ^= 1;
}
static void old_hash(struct unit_forge *f, uint16_t type, TPMT_SIGNATURE *s)
{
    (void)f;
    if (type == which)
        s->signature.ecdsa.hash = TPM2_ALG_SHA384;
}

static void spoilt_in_common(void **state)
{
    static const struct {
        uint16_t type;
        unsigned number;
    } kinds[] = {
        {TPM2_ST_ATTEST_CREATION, 17}, {TPM2_ST_ATTEST_QUOTE, 21}, {TPM2_ST_ATTEST_NV, 25}};
    void (*const attest[])(struct unit_forge *, TPMS_ATTEST *) = {magic, signer, constant};
    void (*const sign[])(struct unit_forge *, uint16_t, TPMT_SIGNATURE *) = {no_bit, old_hash};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct unit_forge f;

        which = kinds[i].type;
        for (size_t k = 0; k < ARRAY_LEN(attest); k++) {
            start(&f);
            f.on_statement = attest[k];
            unit_verdict_only(&f, kinds[i].number);
        }
        for (size_t k = 0; k < ARRAY_LEN(sign); k++) {
            start(&f);
            f.on_statement_signature = sign[k];
            unit_verdict_only(&f, kinds[i].number);
        }
    }
}

static void swap_in(struct unit_forge *f, struct evidence_bundle *b)
{
    struct evidence_signed *to = which == TPM2_ST_ATTEST_CREATION ? &b->creation
                                 : which == TPM2_ST_ATTEST_QUOTE  ? &b->quote
                                                                  : &b->pin;
    struct evidence_signed *from = which == TPM2_ST_ATTEST_QUOTE ? &b->creation : &b->quote;

    (void)f;
    to->attest.len = to->signature.len = 0;
    buf_add_bytes(&to->attest, buf_bytes(&from->attest));
    buf_add_bytes(&to->signature, buf_bytes(&from->signature));
}
static void trail(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(which == TPM2_ST_ATTEST_CREATION ? &b->creation.about
           : which == TPM2_ST_ATTEST_QUOTE  ? &b->quote.about
                                            : &b->pin.about,
           0);
}
static void trail_attest(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    buf_u8(which == TPM2_ST_ATTEST_CREATION ? &b->creation.attest
           : which == TPM2_ST_ATTEST_QUOTE  ? &b->quote.attest
                                            : &b->pin.attest,
           0);
}

static void another_statement_in_its_place(void **state)
{
    static const struct {
        uint16_t type;
        unsigned number;
    } kinds[] = {
        {TPM2_ST_ATTEST_CREATION, 17}, {TPM2_ST_ATTEST_QUOTE, 21}, {TPM2_ST_ATTEST_NV, 25}};
    void (*const spoil[])(struct unit_forge *, struct evidence_bundle *) = {swap_in, trail,
                                                                            trail_attest};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        for (size_t k = 0; k < ARRAY_LEN(spoil); k++) {
            struct unit_forge f;

            which = kinds[i].type;
            start(&f);
            f.on_bundle = spoil[k];
            unit_verdict_only(&f, kinds[i].number);
        }
    }
}

/* --- 17 -------------------------------------------------------------------------------------- */

static void other_object(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_CREATION)
        a->attested.creation.objectName.name[7] ^= 1;
}
static void other_hash(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_CREATION)
        a->attested.creation.creationHash.buffer[0] ^= 1;
}

static void creation_of_something_else(void **state)
{
    struct unit_forge f;

    (void)state;
    for (int i = 0; i < 8; i++) {
        start(&f);
        switch (i) {
        case 0: f.on_statement = other_object; break;
        case 1: f.on_statement = other_hash; break;
        case 2: f.created.outsideInfo.buffer[31] ^= 1; break; /* stale */
        case 3: f.created.outsideInfo.size = 0; break;
        case 4: f.created.outsideInfo.size = 33; break;
        case 5: f.created.parentName.name[3] ^= 1; break;
        case 6: f.created.parentQualifiedName.name[3] ^= 1; break;
        default: f.created.locality = TPMA_LOCALITY_TPM2_LOC_ONE; break;
        }
        unit_verdict_only(&f, 17);
    }
}

/* --- 19, 20 ------------------------------------------------------------------------------------- */

static void advisories(void **state)
{
    static const struct {
        struct evidence_advisory a;
        unsigned number;
    } rows[] = {
        {{"id:00001014", "", 0, UINT64_MAX, "all of them"}, 19},
        {{"ID:00001014", "FORGE", 0x2019102300163636, 0x2019102300163636, "this one"}, 19},
        {{"id:00001014", "forge", 0x2019102300163637, UINT64_MAX, "later ones"}, 0},
        {{"id:00001014", "forge", 0, 0x2019102300163635, "earlier ones"}, 0},
        {{"id:00001014", "other", 0, UINT64_MAX, "another model"}, 0},
        {{"id:49465800", "", 0, UINT64_MAX, "another maker"}, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct unit_forge f;

        start(&f);
        unit_forge_build(&f);
        f.terms.advisory = &rows[i].a;
        f.terms.n_advisory = 1;
        unit_verdict_only_built(&f, rows[i].number, i % 2 == 0);
    }
}

static void clocks(void **state)
{
    static const struct {
        struct evidence_reading before;
        unsigned number;
    } rows[] = {
        {{7, 2, 1000}, 0}, {{6, 9, 5000}, 0}, {{7, 1, 5000}, 0},  {{7, 2, 999}, 0},
        {{8, 0, 0}, 20},   {{7, 3, 0}, 20},   {{7, 2, 1001}, 20},
    };
    struct unit_forge f;
    struct evidence_verdict v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start(&f);
        unit_forge_build(&f);
        f.terms.reading = &rows[i].before;
        unit_verdict_only_built(&f, rows[i].number, true);
    }
    start(&f);
    f.clock.safe = TPM2_NO;
    unit_verdict_only(&f, 20);
    start(&f);
    unit_forge_build(&f);
    f.terms.reading_asserted = true;
    assert_int_equal(outcome(&f, 20, &v), EVIDENCE_ASSERTED);
    unit_forge_free(&f);
}

/* --- 21 ------------------------------------------------------------------------------------------ */

static void agreed(struct pcrvalues *p, uint32_t there)
{
    memset(p, 0, sizeof(*p));
    p->hash = TPM2_ALG_SHA256;
    p->there = there;
    for (unsigned i = 0; i < PCRVALUES; i++)
        memset(p->value[i], (int)i, 32);
}

static void platforms(void **state)
{
    struct pcrvalues sets[2];
    struct unit_forge f;

    (void)state;
    for (int i = 0; i < 7; i++) {
        start(&f);
        if (i == 6)
            f.with_quote = false;
        unit_forge_build(&f);
        agreed(&sets[0], 0x85);
        agreed(&sets[1], 0x81);
        f.terms.pcrs = sets;
        f.terms.n_pcrs = 1;
        switch (i) {
        case 0: break;
        case 1: sets[0].there = 0x80; break; /* fewer are agreed on than quoted */
        case 2: sets[0].value[2][31] ^= 1, f.terms.n_pcrs = 2; break; /* the second set fits */
        case 3: sets[0].value[7][0] ^= 1; break;
        case 4: sets[0].there |= 1u << 9; break; /* not quoted */
        case 5: sets[0].hash = TPM2_ALG_SHA384; break;
        default: break;
        }
        unit_verdict_only_built(&f, i < 3 ? 0 : 21, true);
    }
}

static void digest(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_QUOTE)
        a->attested.quote.pcrDigest.buffer[3] ^= 1;
}
static void more_selected(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_QUOTE)
        a->attested.quote.pcrSelect.pcrSelections[0].pcrSelect[2] |= 1;
}
static void two_banks(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type != TPM2_ST_ATTEST_QUOTE)
        return;
    a->attested.quote.pcrSelect.count = 2;
    a->attested.quote.pcrSelect.pcrSelections[1] = a->attested.quote.pcrSelect.pcrSelections[0];
}
static void a_value(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    b->quote.about.p[2] ^= 1;
}
static void a_length(struct unit_forge *f, struct evidence_bundle *b)
{
    (void)f;
    b->quote.about.p[1] = 255;
}

static void quotes_that_do_not_fit(void **state)
{
    struct unit_forge f;

    (void)state;
    for (int i = 0; i < 6; i++) {
        start(&f);
        switch (i) {
        case 0: f.on_statement = digest; break;
        case 1: f.on_statement = more_selected; break;
        case 2: f.on_statement = two_banks; break;
        case 3: f.on_bundle = a_value; break;
        case 4: f.on_bundle = a_length; break;
        default: f.quoted = 0; break;
        }
        unit_verdict_only(&f, 21);
    }
}

/* --- 25, and 13 by it ------------------------------------------------------------------------------ */

static void content(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_NV)
        a->attested.nv.nvContents.size = 7;
}
static void offset(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_NV)
        a->attested.nv.offset = 1;
}
static void index_name(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    if (a->type == TPM2_ST_ATTEST_NV)
        a->attested.nv.indexName.name[4] ^= 1;
}

static void counters_that_do_not_count(void **state)
{
    struct unit_forge f;

    (void)state;
    for (int i = 0; i < 13; i++) {
        start(&f);
        switch (i) {
        case 10: memset(f.pin_pub.authPolicy.buffer, 0, 32); break; /* a fresh session has it */
        case 11: f.pin_k[0] ^= 1; break;
        case 12: f.pin_limit = 33; break;
        case 0: f.pin_pub.attributes |= TPMA_NV_OWNERWRITE; break;
        case 1: f.pin_pub.attributes |= TPMA_NV_AUTHWRITE; break;
        case 2: f.pin_pub.attributes |= TPMA_NV_CLEAR_STCLEAR; break;
        case 3: f.pin_pub.attributes &= ~(TPMA_NV)TPMA_NV_WRITTEN; break;
        case 4: f.pin_pub.attributes &= ~(TPMA_NV)TPMA_NV_TPM2_NT_MASK; break;
        case 5: f.pin_pub.authPolicy.size = 0; break;
        case 6: f.pin_limit = 0; break;
        case 7: f.on_statement = content; break;
        case 8: f.on_statement = offset; break;
        default: f.on_statement = index_name; break;
        }
        unit_verdict_only(&f, 25);
    }
}

static void a_pin_for_each_use(void **state)
{
    struct unit_forge f;

    (void)state;
    start(&f);
    unit_forge_policy_each(&f);
    unit_verdict_only(&f, 0);

    start(&f); /* of another counter */
    unit_forge_policy_each(&f);
    f.pin_pub.nvIndex++;
    unit_verdict_only(&f, 13);

    start(&f); /* of a counter that is not shown */
    unit_forge_policy_each(&f);
    f.with_pin = false;
    unit_verdict_only(&f, 13);

    start(&f); /* and a way round it */
    unit_forge_policy_each(&f);
    f.key_pub.objectAttributes |= TPMA_OBJECT_USERWITHAUTH;
    unit_verdict_only(&f, 13);

    start(&f);
    unit_forge_policy_each(&f);
    f.key_pub.objectAttributes |= TPMA_OBJECT_ADMINWITHPOLICY;
    unit_verdict_only(&f, 13);
}

/* --- 26 ------------------------------------------------------------------------------------------- */

/* An approver in another TPM, whose key wants its PIN each time; and the key that wants it. */
static void pair(struct unit_forge *officer, struct unit_forge *f)
{
    start(officer);
    officer->ek = unit_forge_key(UNIT_RSA, 8);
    officer->ak = officer->attest_signer = unit_forge_key(UNIT_P256, 9);
    officer->subject = officer->csr_key = officer->csr_signer = unit_forge_key(UNIT_P256, 10);
    officer->parent = unit_forge_key(UNIT_P256, 11);
    unit_forge_parent(officer);
    memset(officer->nonce, 0xa5, sizeof(officer->nonce));
    unit_forge_public(officer->ak, officer->ak_pub.objectAttributes, &officer->ak_pub);
    unit_forge_scheme(&officer->ak_pub, TPM2_ALG_RSASSA);
    unit_forge_public(officer->subject, officer->key_pub.objectAttributes, &officer->key_pub);
    unit_forge_defaults(officer);
    unit_forge_policy_each(officer);
    start(f);
    f->approver = officer;
}

static void approved_by_another_tpm(void **state)
{
    struct unit_forge officer, f;
    struct evidence_verdict v;

    (void)state;
    pair(&officer, &f);
    unit_forge_build(&officer);
    unit_verdict_judge(&officer, true, &v);
    unit_verdict_expect(&v, 0);
    unit_forge_policy_approved(&f);
    unit_forge_build(&f);
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    /* That two EKs are of two TPMs is known to who registered them. */
    assert_int_equal(v.level, 3);
    f.terms.approver_asserted = true;
    unit_verdict_judge(&f, true, &v);
    unit_verdict_expect(&v, 0);
    assert_int_equal(v.level, 4);
    assert_int_equal(v.result[25].outcome, EVIDENCE_ASSERTED);
    assert_true(v.has_approver);
    unit_forge_free(&f);
    unit_forge_free(&officer);
}

static void loose(struct unit_forge *f, TPMS_ATTEST *a)
{
    (void)f;
    a->magic ^= 1;
}

static void approvers_that_prove_nothing(void **state)
{
    struct unit_forge officer, f;

    (void)state;
    for (int i = 0; i < 8; i++) {
        pair(&officer, &f);
        switch (i) {
        case 0: f.bare_approver = true; break;
        case 1: officer.ek = f.ek; break;
        case 7:
            officer.parent = f.parent, unit_forge_parent(&officer);
            break; /* another EK of it */
        case 2: officer.on_attest = loose; break;
        case 3: officer.ak_pub.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_RESTRICTED; break;
        case 4: officer.key_pub.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_FIXEDTPM; break;
        default: break;
        }
        unit_forge_build(&officer);
        unit_forge_policy_approved(&f);
        switch (i) {
        case 5: f.purpose = "another purpose"; break;
        case 6: officer.key_pub.unique.ecc.x.buffer[0] ^= 1, unit_forge_policy_approved(&f); break;
        default: break;
        }
        unit_verdict_only(&f, 26);
        unit_forge_free(&officer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_in_all_kinds),
        cmocka_unit_test(spoilt_in_common),
        cmocka_unit_test(another_statement_in_its_place),
        cmocka_unit_test(creation_of_something_else),
        cmocka_unit_test(advisories),
        cmocka_unit_test(clocks),
        cmocka_unit_test(platforms),
        cmocka_unit_test(quotes_that_do_not_fit),
        cmocka_unit_test(counters_that_do_not_count),
        cmocka_unit_test(a_pin_for_each_use),
        cmocka_unit_test(approved_by_another_tpm),
        cmocka_unit_test(approvers_that_prove_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
