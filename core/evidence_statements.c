/* Checks 17, 21 and 25: what else the AK signed, of the key's creation, of the platform and of
 * the PIN counter. */
#include "core/evidence_rules.h"

#include "core/hash.h"
#include "core/pin_policy.h"
#include "core/tpmwire.h"

#include <stdio.h>
#include <string.h>

#define NOT_READ "not judged: the evidence could not be read, see check 2"

static struct bytes name_bytes(const TPM2B_NAME *n)
{
    return bytes_of(n->name, n->size);
}

/* --- what all of them have in common ------------------------------------------------ */

/* The signature's scheme and hash are the Certify statement's, which check 5 judges. */
static bool same_scheme(const struct evidence_case *c, const TPMT_SIGNATURE *s)
{
    return s->sigAlg == c->signature.sigAlg &&
           s->signature.any.hashAlg == c->signature.signature.any.hashAlg;
}

/* qualifiedSigner and extraData: this AK, for this request. */
static bool by_ak_for_this(struct evidence_case *c, unsigned number, const TPMS_ATTEST *a)
{
    struct bytes nonce = evidence_rules_nonce(c);
    uint8_t want[32];
    TPM2B_NAME ak;
    struct err e = {0};

    if (evidence_rules_ak_qualified(c, &ak, &e) != 0 ||
        evidence_qualifying(nonce, c->csr, want, &e) != 0) {
        evidence_rules_set(c, number, EVIDENCE_FAIL, "what is expected cannot be computed: %.160s",
                           e.msg);
        return false;
    }
    evidence_rules_compare(c, number, "the statement's qualifiedSigner",
                           name_bytes(&a->qualifiedSigner), name_bytes(&ak));
    if (c->verdict->result[number - 1].outcome != EVIDENCE_PASS)
        return false;
    evidence_rules_compare(c, number, "the statement's extraData",
                           bytes_of(a->extraData.buffer, a->extraData.size),
                           bytes_of(want, sizeof(want)));
    return c->verdict->result[number - 1].outcome == EVIDENCE_PASS;
}

/* A statement as the Certify statement is judged by checks 2 to 6, 9 and 15. False: the result
 * is set. */
static bool is_signed(struct evidence_case *c, unsigned number, const struct evidence_signed *s,
                      uint16_t type, TPMS_ATTEST *a)
{
    TPMT_SIGNATURE sig;
    struct err e = {0};

    if (!c->has_ak || !c->has_attest || !c->has_signature || !c->has_key) {
        evidence_rules_set(c, number, EVIDENCE_NA, NOT_READ);
        return false;
    }
    if (!c->has_ek) {
        evidence_rules_set(c, number, EVIDENCE_NA, "not judged: the EK has no Name, see check 18");
        return false;
    }
    if (tpmwire_attest(buf_bytes(&s->attest), a, &e) != 0 ||
        tpmwire_signature(buf_bytes(&s->signature), &sig, &e) != 0)
        evidence_rules_set(c, number, EVIDENCE_FAIL, "the statement: %.200s", e.msg);
    else if (a->magic != TPM2_GENERATED_VALUE)
        evidence_rules_set(c, number, EVIDENCE_FAIL,
                           "the statement's magic is %08x, expected %08x: no TPM made it",
                           (unsigned)a->magic, TPM2_GENERATED_VALUE);
    else if (a->type != type)
        evidence_rules_set(c, number, EVIDENCE_FAIL, "the statement is of type %04x, expected %04x",
                           (unsigned)a->type, (unsigned)type);
    else if (!same_scheme(c, &sig))
        evidence_rules_set(c, number, EVIDENCE_FAIL,
                           "the statement is signed by scheme %04x with hash %04x, the Certify "
                           "statement by %04x and %04x",
                           (unsigned)sig.sigAlg, (unsigned)sig.signature.any.hashAlg,
                           (unsigned)c->signature.sigAlg,
                           (unsigned)c->signature.signature.any.hashAlg);
    else if (evidence_rules_signed(c, &s->attest, &sig, &e) != 0)
        evidence_rules_set(c, number, EVIDENCE_FAIL,
                           "the statement is not signed by the AK: %.120s", e.msg);
    else
        return by_ak_for_this(c, number, a);
    return false;
}

/* Compares; false when they differ, and the result says so. */
static bool same(struct evidence_case *c, unsigned number, const char *what, struct bytes actual,
                 struct bytes expected)
{
    evidence_rules_compare(c, number, what, actual, expected);
    return c->verdict->result[number - 1].outcome == EVIDENCE_PASS;
}

/* --- 17: the key was made for this request -------------------------------------------- */

/* What TPMS_CREATION_DATA must say (Part 2, 15.1): made now, under the parent that the bundle
 * shows, from locality 0. */
static bool as_created(struct evidence_case *c, const TPMS_CREATION_DATA *d)
{
    uint32_t hierarchy = c->terms->parent_hierarchy != 0 ? c->terms->parent_hierarchy
                                                         : TPM2_RH_OWNER;
    TPM2B_NAME root, parent;

    tpmname_handle(hierarchy, &root);
    if (tpmname_qualified(&root, &c->parent_name, &parent, NULL) != 0) {
        evidence_rules_set(c, 17, EVIDENCE_FAIL, "the parent's qualified name cannot be computed");
        return false;
    }
    if (!same(c, 17, "outsideInfo", bytes_of(d->outsideInfo.buffer, d->outsideInfo.size),
              evidence_rules_nonce(c)) ||
        !same(c, 17, "the parent's Name at creation", name_bytes(&d->parentName),
              name_bytes(&c->parent_name)) ||
        !same(c, 17, "the parent's qualified name at creation", name_bytes(&d->parentQualifiedName),
              name_bytes(&parent)))
        return false;
    if (d->locality == TPMA_LOCALITY_TPM2_LOC_ZERO)
        return true;
    evidence_rules_set(c, 17, EVIDENCE_FAIL, "the key was made from locality %02x, expected %02x",
                       (unsigned)d->locality, TPMA_LOCALITY_TPM2_LOC_ZERO);
    return false;
}

void evidence_statements_creation(struct evidence_case *c)
{
    const struct evidence_signed *s = &c->bundle.creation;
    const struct alg_hash *h;
    uint8_t digest[ALG_MAX_DIGEST];
    TPMS_CREATION_DATA d;
    struct err e = {0};
    TPMS_ATTEST a;

    if (s->attest.len == 0) {
        evidence_rules_set(c, 17, EVIDENCE_NA, "the evidence carries no creation statement");
        return;
    }
    if (!is_signed(c, 17, s, TPM2_ST_ATTEST_CREATION, &a))
        return;
    if (!c->has_parent) {
        evidence_rules_set(c, 17, EVIDENCE_NA, NOT_READ);
        return;
    }
    h = alg_hash_of(c->key.nameAlg);
    if (h == NULL || tpmwire_creation(buf_bytes(&s->about), &d, &e) != 0 ||
        hash_digest(h, buf_bytes(&s->about), digest, &e) != 0) {
        evidence_rules_set(c, 17, EVIDENCE_FAIL, "the creation data: %.200s", e.msg);
        return;
    }
    if (!same(c, 17, "the Name of the created object", name_bytes(&a.attested.creation.objectName),
              name_bytes(&c->key_name)) ||
        !same(c, 17, "creationHash",
              bytes_of(a.attested.creation.creationHash.buffer,
                       a.attested.creation.creationHash.size),
              bytes_of(digest, h->size)) ||
        !as_created(c, &d))
        return;
    evidence_rules_set(c, 17, EVIDENCE_PASS,
                       "the key was created for this request, under the parent shown");
}

/* --- 21: the platform ------------------------------------------------------------------ */

/* The values that came with the quote, where its selection says that they belong. */
static int read_values(const TPML_PCR_SELECTION *sel, struct bytes about, struct pcrvalues *out,
                       struct buf *joined, struct err *e)
{
    struct reader r = reader_of(about.p, about.len);
    const struct alg_hash *h;

    memset(out, 0, sizeof(*out));
    if (sel->count != 1 || (h = alg_hash_of(sel->pcrSelections[0].hash)) == NULL ||
        sel->pcrSelections[0].sizeofSelect > 4)
        return err_set(e, E_FORMAT, "the quote is not over one bank of PCRs that is known here");
    out->hash = sel->pcrSelections[0].hash;
    for (unsigned i = 0; i < PCRVALUES; i++) {
        struct bytes v;

        if (i / 8 >= sel->pcrSelections[0].sizeofSelect ||
            (sel->pcrSelections[0].pcrSelect[i / 8] >> (i % 8) & 1) == 0)
            continue;
        v = reader_2b(&r);
        if (r.bad || v.len != h->size)
            return err_set(e, E_FORMAT, "the value of PCR %u is missing or of another length", i);
        memcpy(out->value[i], v.p, v.len);
        out->there |= 1u << i;
        buf_add_bytes(joined, v);
    }
    if (!reader_done(&r) || out->there == 0)
        return err_set(e, E_FORMAT, "other PCRs than the quoted ones came with the quote");
    return buf_ok(joined, e);
}

/* Where a set of values differs; -1: nowhere. */
static int first_difference(const struct pcrvalues *have, const struct pcrvalues *want)
{
    const struct alg_hash *h = alg_hash_of(want->hash);

    for (unsigned i = 0; i < PCRVALUES; i++) {
        if ((want->there >> i & 1) == 0)
            continue;
        if (h == NULL || have->hash != want->hash || (have->there >> i & 1) == 0 ||
            memcmp(have->value[i], want->value[i], h->size) != 0)
            return (int)i;
    }
    return -1;
}

/* None of the sets fits: why not the last one. */
static void say_difference(struct evidence_case *c, const struct pcrvalues *have,
                           const struct pcrvalues *want, unsigned at)
{
    char was[2 * 12 + 1], is[2 * 12 + 1];

    hex_encode(is, have->value[at], 12);
    hex_encode(was, want->value[at], 12);
    if (have->hash != want->hash || (have->there >> at & 1) == 0)
        evidence_rules_set(c, 21, EVIDENCE_FAIL, "PCR %u of bank %04x is agreed on and not quoted",
                           at, (unsigned)want->hash);
    else
        evidence_rules_set(c, 21, EVIDENCE_FAIL,
                           "PCR %u is %s..., expected %s... or another "
                           "platform that is agreed on",
                           at, is, was);
}

static void judge_values(struct evidence_case *c, const struct pcrvalues *have)
{
    const struct evidence_terms *t = c->terms;
    int at = -1;

    for (size_t i = 0; i < t->n_pcrs; i++) {
        at = first_difference(have, &t->pcrs[i]);
        if (at < 0) {
            evidence_rules_set(c, 21, EVIDENCE_PASS, "the PCRs have the agreed values");
            return;
        }
    }
    if (t->n_pcrs == 0)
        evidence_rules_set(c, 21, EVIDENCE_ASSERTED,
                           "the quote is genuine; that its values are right rests on the "
                           "issuer's word");
    else
        say_difference(c, have, &t->pcrs[t->n_pcrs - 1], (unsigned)at);
}

void evidence_statements_quote(struct evidence_case *c)
{
    const struct evidence_signed *s = &c->bundle.quote;
    const TPM2B_DIGEST *got;
    const struct alg_hash *h;
    uint8_t digest[ALG_MAX_DIGEST];
    struct pcrvalues have;
    struct buf joined = {0};
    struct err e = {0};
    TPMS_ATTEST a;

    if (s->attest.len == 0) {
        if (c->terms->n_pcrs != 0)
            evidence_rules_set(c, 21, EVIDENCE_FAIL,
                               "PCR values are agreed on, and the evidence carries no quote");
        else
            evidence_rules_set(c, 21, c->terms->pcrs_asserted ? EVIDENCE_ASSERTED : EVIDENCE_NA,
                               "the evidence carries no quote");
        return;
    }
    if (!is_signed(c, 21, s, TPM2_ST_ATTEST_QUOTE, &a))
        return;
    got = &a.attested.quote.pcrDigest;
    /* Part 3, 18.4: by the hash of the signing scheme. */
    h = alg_hash_of(c->signature.signature.any.hashAlg);
    if (h == NULL ||
        read_values(&a.attested.quote.pcrSelect, buf_bytes(&s->about), &have, &joined, &e) != 0 ||
        hash_digest(h, buf_bytes(&joined), digest, &e) != 0)
        evidence_rules_set(c, 21, EVIDENCE_FAIL, "the quote: %.200s", e.msg);
    else if (same(c, 21, "the quoted digest", bytes_of(got->buffer, got->size),
                  bytes_of(digest, h->size)))
        judge_values(c, &have);
    buf_free(&joined);
}

/* --- 25: the PIN counter ------------------------------------------------------------------ */

/* TPMA_NV (Part 2, 13.4) of an index that nobody but its own PIN and policies gets past. */
#define COUNTER_TYPE ((TPMA_NV)TPM2_NT_PIN_FAIL << TPMA_NV_TPM2_NT_SHIFT)
#define COUNTER_FORBIDDEN \
    (TPMA_NV_OWNERWRITE | TPMA_NV_AUTHWRITE | TPMA_NV_PPWRITE | TPMA_NV_CLEAR_STCLEAR)
#define COUNTER_WANTED (TPMA_NV_WRITTEN | TPMA_NV_NO_DA)
#define COUNT 8 /* pinCount, pinLimit (Part 2, 13.3) */
/* More tries than that are no protection of a PIN. */
#define LIMIT_MAX 32

/* The index, and the policy that it must have: with any other one somebody might clear its
 * count. */
static int read_counter(struct bytes about, TPMS_NV_PUBLIC *pub, struct pin_policy *want,
                        struct err *e)
{
    struct reader r = reader_of(about.p, about.len);
    struct bytes area = reader_2b(&r), k = reader_2b(&r);
    TPMT_PUBLIC k_area;
    TPM2B_NAME k_name;

    if (!reader_done(&r) || k.len != 64)
        return err_set(e, E_FORMAT, "it does not come as a public area and the point of a key");
    if (tpmwire_nv_public(area, pub, e) != 0 || pin_policy_k(k.p, &k_area, &k_name, e) != 0)
        return -1;
    return pin_policy_counter(&k_name, want, e);
}

static bool is_counter(struct evidence_case *c, const TPMS_NV_PUBLIC *pub,
                       const struct pin_policy *want)
{
    if ((pub->attributes & TPMA_NV_TPM2_NT_MASK) != COUNTER_TYPE ||
        (pub->attributes & COUNTER_FORBIDDEN) != 0 ||
        (pub->attributes & COUNTER_WANTED) != COUNTER_WANTED) {
        evidence_rules_set(c, 25, EVIDENCE_FAIL,
                           "the attributes of the PIN index are %08x: no counter of wrong PINs "
                           "that only its policies can change",
                           (unsigned)pub->attributes);
        return false;
    }
    return same(c, 25, "the policy of the PIN index",
                bytes_of(pub->authPolicy.buffer, pub->authPolicy.size),
                bytes_of(want->all.d, sizeof(want->all.d)));
}

void evidence_statements_pin(struct evidence_case *c)
{
    const struct evidence_signed *s = &c->bundle.pin;
    const TPMS_NV_CERTIFY_INFO *nv;
    struct pin_policy policy;
    TPMS_NV_PUBLIC pub;
    struct err e = {0};
    struct reader r;
    TPM2B_NAME name;
    TPMS_ATTEST a;
    uint32_t limit;

    if (s->attest.len == 0) {
        evidence_rules_set(c, 25, EVIDENCE_NA, "the evidence carries no statement on a PIN");
        return;
    }
    if (!is_signed(c, 25, s, TPM2_ST_ATTEST_NV, &a))
        return;
    nv = &a.attested.nv;
    if (read_counter(buf_bytes(&s->about), &pub, &policy, &e) != 0 ||
        tpmname_nv(&pub, &name, &e) != 0) {
        evidence_rules_set(c, 25, EVIDENCE_FAIL, "the PIN index: %.200s", e.msg);
        return;
    }
    if (!same(c, 25, "the Name of the PIN index", name_bytes(&nv->indexName), name_bytes(&name)) ||
        !is_counter(c, &pub, &policy))
        return;
    r = reader_of(nv->nvContents.buffer, nv->nvContents.size);
    (void)reader_u32(&r);
    limit = reader_u32(&r);
    if (nv->offset != 0 || nv->nvContents.size != COUNT || !reader_done(&r) || limit == 0 ||
        limit > LIMIT_MAX) {
        evidence_rules_set(c, 25, EVIDENCE_FAIL,
                           "the PIN index holds %u bytes and a limit of %u, expected %d bytes and "
                           "1 to %d tries",
                           (unsigned)nv->nvContents.size, (unsigned)limit, COUNT, LIMIT_MAX);
        return;
    }
    c->pin_name = name;
    c->verdict->pin_limit = limit;
    evidence_rules_set(c, 25, EVIDENCE_PASS, "the TPM counts wrong PINs and allows %u",
                       (unsigned)limit);
}
