/* Checks 8 and 12 to 14: what kind of keys AK, certified key and parent are. */
#include "core/evidence_rules.h"

#include "core/tpmpolicy.h"

#include <stdio.h>
#include <string.h>

#define NOT_READ "not judged: the evidence could not be read, see check 2"

/* TPMA_OBJECT, Part 2, 8.3. */
static const struct {
    uint32_t bit;
    const char *name;
} attributes[] = {
    {TPMA_OBJECT_FIXEDTPM, "fixedTPM"},
    {TPMA_OBJECT_STCLEAR, "stClear"},
    {TPMA_OBJECT_FIXEDPARENT, "fixedParent"},
    {TPMA_OBJECT_SENSITIVEDATAORIGIN, "sensitiveDataOrigin"},
    {TPMA_OBJECT_USERWITHAUTH, "userWithAuth"},
    {TPMA_OBJECT_ADMINWITHPOLICY, "adminWithPolicy"},
    {TPMA_OBJECT_NODA, "noDA"},
    {TPMA_OBJECT_ENCRYPTEDDUPLICATION, "encryptedDuplication"},
    {TPMA_OBJECT_RESTRICTED, "restricted"},
    {TPMA_OBJECT_DECRYPT, "decrypt"},
    {TPMA_OBJECT_SIGN_ENCRYPT, "sign"},
};

/* What check 13 looks at; all other bits belong to check 12. */
#define AUTHORIZATION (TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_NODA)

/* "fixedTPM is clear, decrypt is set": what differs from the wanted attributes. */
static void differences(uint32_t actual, uint32_t expected, char *out, size_t size)
{
    size_t n = 0;

    out[0] = 0;
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        int w;

        if (((actual ^ expected) & attributes[i].bit) == 0)
            continue;
        w = snprintf(out + n, size - n, "%s%s is %s", n != 0 ? ", " : "", attributes[i].name,
                     (actual & attributes[i].bit) != 0 ? "set" : "clear");
        if (w < 0 || (size_t)w >= size - n)
            return;
        n += (size_t)w;
    }
}

/* PASS when all of `required` and none of `forbidden` is set; says whether. */
static bool judge(struct evidence_case *c, unsigned number, const char *whose, uint32_t actual,
                  uint32_t required, uint32_t forbidden)
{
    uint32_t expected = (actual | required) & ~forbidden;
    char diff[120];

    if (actual == expected) {
        evidence_rules_set(c, number, EVIDENCE_PASS,
                           "the attributes of the %s are %08x, as "
                           "demanded",
                           whose, (unsigned)actual);
        return true;
    }
    differences(actual, expected, diff, sizeof(diff));
    evidence_rules_set(c, number, EVIDENCE_FAIL,
                       "the attributes of the %s are %08x, expected %08x"
                       "%s%s",
                       whose, (unsigned)actual, (unsigned)expected, diff[0] != 0 ? ": " : "", diff);
    return false;
}

void evidence_attributes_ak(struct evidence_case *c)
{
    if (!c->has_ak)
        evidence_rules_set(c, 8, EVIDENCE_NA, NOT_READ);
    else
        judge(c, 8, "AK", c->ak.objectAttributes,
              TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                  TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT,
              TPMA_OBJECT_DECRYPT | TPMA_OBJECT_ENCRYPTEDDUPLICATION);
}

void evidence_attributes_key(struct evidence_case *c)
{
    const struct evidence_profile *p = &c->terms->profile;

    if (!c->has_key)
        evidence_rules_set(c, 12, EVIDENCE_NA, NOT_READ);
    else if (c->has_ak && tpmname_equal(&c->key_name, &c->verdict->ak_name))
        evidence_rules_set(c, 12, EVIDENCE_FAIL, "the certified key is the AK itself");
    else
        /* Whatever a profile leaves open, a key that moves is never attested. */
        judge(c, 12, "key", c->key.objectAttributes,
              (p->required | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
               TPMA_OBJECT_SENSITIVEDATAORIGIN) &
                  ~(uint32_t)AUTHORIZATION,
              (p->forbidden | TPMA_OBJECT_ENCRYPTEDDUPLICATION) & ~(uint32_t)AUTHORIZATION);
}

/* The policy of a key that wants its PIN for each use: the counter that check 25 vouches for,
 * and the key's own authValue. */
static bool each_policy(const struct evidence_case *c, struct tpmpolicy *out)
{
    *out = (struct tpmpolicy){{0}};
    return c->pin_name.size != 0 && tpmpolicy_secret(out, &c->pin_name, NULL) == 0 &&
           tpmpolicy_authvalue(out, NULL) == 0;
}

/* A key that only a policy opens: which one, and that nothing goes round it. */
static void judge_policy(struct evidence_case *c, struct bytes policy)
{
    const struct evidence_profile *p = &c->terms->profile;
    struct tpmpolicy each;
    bool has_each = each_policy(c, &each);
    struct bytes want = bytes_of(each.d, has_each ? sizeof(each.d) : 0);

    if (c->verdict->result[26 - 1].outcome == EVIDENCE_FAIL)
        evidence_rules_set(c, 13, EVIDENCE_NA,
                           "not judged: who approves is not proven, see check 26");
    else if (!c->verdict->has_approver && !bytes_equal(policy, want))
        evidence_rules_compare(c, 13, "the key's authPolicy", policy, want);
    else
        judge(c, 13, "key", c->key.objectAttributes,
              p->required & AUTHORIZATION & ~(uint32_t)TPMA_OBJECT_USERWITHAUTH,
              (p->forbidden & AUTHORIZATION) | TPMA_OBJECT_USERWITHAUTH);
}

void evidence_attributes_authorization(struct evidence_case *c)
{
    const struct evidence_profile *p = &c->terms->profile;
    struct bytes policy;

    if (!c->has_key) {
        evidence_rules_set(c, 13, EVIDENCE_NA, NOT_READ);
        return;
    }
    policy = bytes_of(c->key.authPolicy.buffer, c->key.authPolicy.size);
    if (policy.len != 0 && p->auth_policy.len == 0)
        judge_policy(c, policy);
    else if (!bytes_equal(policy, p->auth_policy))
        evidence_rules_compare(c, 13, "the key's authPolicy", policy, p->auth_policy);
    else
        judge(c, 13, "key", c->key.objectAttributes, p->required & AUTHORIZATION,
              p->forbidden & AUTHORIZATION);
}

void evidence_attributes_parent(struct evidence_case *c)
{
    uint32_t hierarchy = c->terms->parent_hierarchy != 0 ? c->terms->parent_hierarchy
                                                         : TPM2_RH_OWNER;
    const TPM2B_NAME *actual = &c->attest.attested.certify.qualifiedName;
    TPM2B_NAME root, parent, key;

    if (!c->has_key || !c->has_parent || !c->has_attest) {
        evidence_rules_set(c, 14, EVIDENCE_NA, NOT_READ);
        return;
    }
    if (c->attest.type != TPM2_ST_ATTEST_CERTIFY) {
        evidence_rules_set(c, 14, EVIDENCE_NA, "not judged: no object is certified, see check 4");
        return;
    }
    /* Part 1, 23.2: a storage key, fixed in its TPM. */
    if (!judge(c, 14, "parent", c->parent.objectAttributes,
               TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                   TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
               TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_ENCRYPTEDDUPLICATION))
        return;
    tpmname_handle(hierarchy, &root);
    if (tpmname_qualified(&root, &c->parent_name, &parent, NULL) != 0 ||
        tpmname_qualified(&parent, &c->key_name, &key, NULL) != 0)
        evidence_rules_set(c, 14, EVIDENCE_FAIL, "the key's qualified name cannot be computed");
    else
        evidence_rules_compare(c, 14, "the key's qualified name",
                               bytes_of(actual->name, actual->size), bytes_of(key.name, key.size));
}
