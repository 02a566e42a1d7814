#include "ca/policy.h"

static const char *const levels[OID_LEVELS] = {"software", "resident", "attested", "approved"};

const char *policy_level_name(unsigned level)
{
    return level >= 1 && level <= OID_LEVELS ? levels[level - 1] : NULL;
}

/* Appends one policy without qualifiers; takes `oid` in any case. */
static bool add(CERTIFICATEPOLICIES *to, ASN1_OBJECT *oid)
{
    POLICYINFO *info = POLICYINFO_new();

    if (info == NULL) {
        ASN1_OBJECT_free(oid);
        return false;
    }
    ASN1_OBJECT_free(info->policyid);
    info->policyid = oid;
    if (sk_POLICYINFO_push(to, info) > 0)
        return true;
    POLICYINFO_free(info);
    return false;
}

CERTIFICATEPOLICIES *policy_levels(unsigned community, unsigned level, struct err *e)
{
    CERTIFICATEPOLICIES *out = NULL;
    char dotted[OID_TEXT_MAX];

    /* The highest first: what the certificate is about heads the list. An error in
     * the numbers shows at once. */
    if (oid_policy(community, level, dotted, e) != 0)
        return NULL;
    out = CERTIFICATEPOLICIES_new();
    if (out == NULL)
        goto memory;
    for (unsigned l = level; l >= 1; l--) {
        ASN1_OBJECT *oid = NULL;

        if (oid_policy(community, l, dotted, e) != 0 || (oid = oid_object(dotted, e)) == NULL ||
            !add(out, oid))
            goto memory;
    }
    return out;
memory:
    CERTIFICATEPOLICIES_free(out);
    err_set(e, E_MEMORY, "out of memory for certificate policies");
    return NULL;
}

CERTIFICATEPOLICIES *policy_any(struct err *e)
{
    CERTIFICATEPOLICIES *out = CERTIFICATEPOLICIES_new();

    /* NID_any_policy: 2.5.29.32.0; OBJ_nid2obj gives a static object. */
    if (out == NULL || !add(out, OBJ_nid2obj(NID_any_policy))) {
        CERTIFICATEPOLICIES_free(out);
        err_set(e, E_MEMORY, "out of memory for certificate policies");
        return NULL;
    }
    return out;
}

int policy_only(X509 *cert, unsigned community, struct err *e)
{
    CERTIFICATEPOLICIES *p = NULL;
    const char *want = oid_community_name(community);
    int rc = -1, critical = -1;

    if (want == NULL)
        return err_set(e, E_ARG, "there is no community %u; use 1 to %d", community,
                       OID_COMMUNITIES);
    p = X509_get_ext_d2i(cert, NID_certificate_policies, &critical, NULL);
    if (p == NULL || sk_POLICYINFO_num(p) < 1) {
        err_set(e, E_REJECTED,
                "the certificate has %s certificatePolicies; it must assert policies of %s",
                critical == -1 ? "no" : "more than one, or malformed,", want);
        goto out;
    }
    for (int i = 0; i < sk_POLICYINFO_num(p); i++) {
        const ASN1_OBJECT *oid = sk_POLICYINFO_value(p, i)->policyid;
        unsigned c = 0, l = 0;
        char text[OID_TEXT_MAX] = "";

        if (oid_policy_of(oid, &c, &l) && c == community)
            continue;
        OBJ_obj2txt(text, sizeof(text), oid, 1);
        err_set(e, E_REJECTED, "the certificate asserts policy %s (%s), which is not one of %s",
                text, c != 0 ? oid_community_name(c) : "not of the alliance's arc", want);
        goto out;
    }
    rc = 0;
out:
    CERTIFICATEPOLICIES_free(p);
    return rc;
}

int policy_highest(X509 *leaf, unsigned *community, unsigned *level, struct err *e)
{
    CERTIFICATEPOLICIES *p = X509_get_ext_d2i(leaf, NID_certificate_policies, NULL, NULL);
    unsigned of = 0, highest = 0, c = 0, l = 0;
    bool one = true;

    for (int i = 0; one && i < sk_POLICYINFO_num(p); i++) {
        one = oid_policy_of(sk_POLICYINFO_value(p, i)->policyid, &c, &l) && (of == 0 || c == of);
        of = c;
        highest = l > highest ? l : highest;
    }
    CERTIFICATEPOLICIES_free(p);
    if (!one || highest == 0)
        return err_set(e, E_FORMAT, "the certificate is of no level of one community");
    *community = of;
    *level = highest;
    return 0;
}
