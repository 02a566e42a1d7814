/* What a forged AK signs beside TPM2_Certify's statement. */
#include "tests/support/unit_forge.h"

#include "core/approval.h"
#include "core/hash.h"
#include "core/pin_policy.h"
#include "core/tpmname.h"
#include "core/tpmpolicy.h"
#include "core/tpmwire.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void ok(int rc, const struct err *e)
{
    if (rc != 0)
        fail_msg("%s", e->msg);
}

static void name_of(const TPMT_PUBLIC *pub, TPM2B_NAME *name)
{
    struct buf wire = {0};
    struct err e = {0};

    ok(tpmname_marshal_public(pub, &wire, &e), &e);
    ok(tpmname_object(buf_bytes(&wire), name, &e), &e);
    buf_free(&wire);
}

static void finish(struct unit_forge *f, TPMS_ATTEST *a, struct evidence_signed *out)
{
    uint8_t wire[sizeof(TPMS_ATTEST)];
    TPMT_SIGNATURE sig;
    struct err e = {0};
    size_t n = 0;

    if (f->on_statement != NULL)
        f->on_statement(f, a);
    assert_int_equal(Tss2_MU_TPMS_ATTEST_Marshal(a, wire, sizeof(wire), &n), 0);
    buf_add(&out->attest, wire, n);
    unit_forge_sign(f, bytes_of(wire, n), &sig);
    if (f->on_statement_signature != NULL)
        f->on_statement_signature(f, a->type, &sig);
    ok(tpmwire_marshal_signature(&sig, &out->signature, &e), &e);
}

static void creation(struct unit_forge *f, X509_REQ *csr, struct evidence_signed *out)
{
    uint8_t wire[sizeof(TPMS_CREATION_DATA)];
    struct err e = {0};
    TPMS_ATTEST a;
    size_t n = 0;

    unit_forge_attest(f, csr, TPM2_ST_ATTEST_CREATION, &a);
    assert_int_equal(Tss2_MU_TPMS_CREATION_DATA_Marshal(&f->created, wire, sizeof(wire), &n), 0);
    buf_add(&out->about, wire, n);
    name_of(&f->key_pub, &a.attested.creation.objectName);
    a.attested.creation.creationHash.size = 32;
    ok(hash_sha256(bytes_of(wire, n), a.attested.creation.creationHash.buffer, &e), &e);
    finish(f, &a, out);
}

static void quote(struct unit_forge *f, X509_REQ *csr, struct evidence_signed *out)
{
    TPMS_PCR_SELECTION *s;
    struct buf joined = {0};
    struct err e = {0};
    TPMS_ATTEST a;

    unit_forge_attest(f, csr, TPM2_ST_ATTEST_QUOTE, &a);
    a.attested.quote.pcrSelect.count = 1;
    s = &a.attested.quote.pcrSelect.pcrSelections[0];
    s->hash = TPM2_ALG_SHA256;
    s->sizeofSelect = 3;
    for (unsigned i = 0; i < 24; i++) {
        uint8_t value[32];

        if ((f->quoted >> i & 1) == 0)
            continue;
        s->pcrSelect[i / 8] |= (BYTE)(1u << i % 8);
        memset(value, (int)i, sizeof(value));
        buf_2b(&out->about, value, sizeof(value));
        buf_add(&joined, value, sizeof(value));
    }
    a.attested.quote.pcrDigest.size = 32;
    ok(hash_sha256(buf_bytes(&joined), a.attested.quote.pcrDigest.buffer, &e), &e);
    buf_free(&joined);
    finish(f, &a, out);
}

static void pin(struct unit_forge *f, X509_REQ *csr, struct evidence_signed *out)
{
    uint8_t wire[sizeof(TPMS_NV_PUBLIC)];
    struct buf content = {0};
    struct err e = {0};
    TPMS_ATTEST a;
    size_t n = 0;

    unit_forge_attest(f, csr, TPM2_ST_ATTEST_NV, &a);
    assert_int_equal(Tss2_MU_TPMS_NV_PUBLIC_Marshal(&f->pin_pub, wire, sizeof(wire), &n), 0);
    buf_2b(&out->about, wire, n);
    buf_2b(&out->about, f->pin_k, sizeof(f->pin_k));
    ok(tpmname_nv(&f->pin_pub, &a.attested.nv.indexName, &e), &e);
    buf_u32(&content, 0);
    buf_u32(&content, f->pin_limit);
    a.attested.nv.nvContents.size = (UINT16)content.len;
    memcpy(a.attested.nv.nvContents.buffer, content.p, content.len);
    buf_free(&content);
    finish(f, &a, out);
}

/* The approver's public area, purpose and, unless it is bare, record. */
static void approver(struct unit_forge *f, struct evidence_approver *out)
{
    struct err e = {0};

    ok(tpmname_marshal_public(&f->approver->key_pub, &out->public, &e), &e);
    buf_str(&out->purpose, f->purpose);
    if (!f->bare_approver)
        ok(evidence_record_encode(&f->approver->record, &out->record, &e), &e);
}

void unit_forge_statements(struct unit_forge *f, X509_REQ *csr, struct evidence_bundle *b)
{
    if (f->with_creation)
        creation(f, csr, &b->creation);
    if (f->with_quote)
        quote(f, csr, &b->quote);
    if (f->with_pin)
        pin(f, csr, &b->pin);
    if (f->approver != NULL)
        approver(f, &b->approver);
}

/* --- what stands in them when nothing is changed --------------------------------------- */

static void set_counter_policy(struct unit_forge *f)
{
    struct pin_policy p;
    struct err e = {0};
    TPMT_PUBLIC k;
    TPM2B_NAME name;

    ok(pin_policy_k(f->pin_k, &k, &name, &e), &e);
    ok(pin_policy_counter(&name, &p, &e), &e);
    memcpy(f->pin_pub.authPolicy.buffer, p.all.d, sizeof(p.all.d));
}

void unit_forge_defaults(struct unit_forge *f)
{
    TPM2B_NAME root;

    f->quoted = 0x85; /* 0, 2, 7 */
    f->pin_limit = 5;
    f->purpose = "treaty";
    f->firmware = 0x2019102300163636;
    f->clock =
        (TPMS_CLOCK_INFO){.clock = 1000, .resetCount = 7, .restartCount = 2, .safe = TPM2_YES};
    f->pin_pub = (TPMS_NV_PUBLIC){
        .nvIndex = 0x01800000,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = ((TPMA_NV)TPM2_NT_PIN_FAIL << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_NO_DA |
                      TPMA_NV_WRITTEN | TPMA_NV_POLICYWRITE | TPMA_NV_POLICYREAD,
        .authPolicy.size = 32,
        .dataSize = 8,
    };
    memset(f->pin_k, 0x4b, sizeof(f->pin_k));
    set_counter_policy(f);
    f->created.locality = TPMA_LOCALITY_TPM2_LOC_ZERO;
    f->created.parentNameAlg = TPM2_ALG_SHA256;
    f->created.outsideInfo.size = sizeof(f->nonce);
    memcpy(f->created.outsideInfo.buffer, f->nonce, sizeof(f->nonce));
    name_of(&f->parent_pub, &f->created.parentName);
    tpmname_handle(f->parent_hierarchy, &root);
    assert_int_equal(
        tpmname_qualified(&root, &f->created.parentName, &f->created.parentQualifiedName, NULL), 0);
}

static void set_policy(struct unit_forge *f, const struct tpmpolicy *p)
{
    f->key_pub.objectAttributes &= ~(TPMA_OBJECT)TPMA_OBJECT_USERWITHAUTH;
    f->key_pub.authPolicy.size = sizeof(p->d);
    memcpy(f->key_pub.authPolicy.buffer, p->d, sizeof(p->d));
}

void unit_forge_policy_each(struct unit_forge *f)
{
    struct tpmpolicy p = {{0}};
    struct err e = {0};
    TPM2B_NAME name;

    f->with_pin = true;
    ok(tpmname_nv(&f->pin_pub, &name, &e), &e);
    ok(tpmpolicy_secret(&p, &name, &e), &e);
    ok(tpmpolicy_authvalue(&p, &e), &e);
    set_policy(f, &p);
}

void unit_forge_policy_approved(struct unit_forge *f)
{
    struct tpmpolicy p = {{0}};
    struct err e = {0};
    TPM2B_NAME name;
    TPM2B_NONCE ref;

    name_of(&f->approver->key_pub, &name);
    ok(approval_ref(bytes_of(f->purpose, strlen(f->purpose)), &ref, &e), &e);
    ok(tpmpolicy_signed(&p, &name, bytes_of(ref.buffer, ref.size), &e), &e);
    ok(tpmpolicy_authvalue(&p, &e), &e);
    set_policy(f, &p);
}
