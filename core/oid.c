#include "core/oid.h"

#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const communities[OID_COMMUNITIES] = {
    [OID_COMMUNICATIONS - 1] = "communications",
    [OID_ELECTRICITY - 1] = "electricity",
    [OID_FINANCE - 1] = "finance",
    [OID_DEFENSE - 1] = "defense",
};

int oid_policy(unsigned community, unsigned level, char out[OID_TEXT_MAX], struct err *e)
{
    if (oid_community_name(community) == NULL)
        return err_set(e, E_ARG, "there is no community %u: 1 to %d", community, OID_COMMUNITIES);
    if (level < 1 || level > OID_LEVELS)
        return err_set(e, E_ARG, "there is no assurance level %u: 1 to %d", level, OID_LEVELS);
    snprintf(out, OID_TEXT_MAX, "%s.1.%u.%u", OID_ARC, community, level);
    return 0;
}

bool oid_policy_of(const ASN1_OBJECT *obj, unsigned *community, unsigned *level)
{
    char text[OID_TEXT_MAX];

    for (unsigned c = 1; c <= OID_COMMUNITIES; c++) {
        for (unsigned l = 1; l <= OID_LEVELS; l++) {
            if (oid_policy(c, l, text, NULL) == 0 && oid_is(obj, text)) {
                *community = c;
                *level = l;
                return true;
            }
        }
    }
    return false;
}

const char *oid_community_name(unsigned community)
{
    return community >= 1 && community <= OID_COMMUNITIES ? communities[community - 1] : NULL;
}

unsigned oid_community_named(const char *name)
{
    for (unsigned c = 1; c <= OID_COMMUNITIES; c++) {
        if (strcasecmp(name, communities[c - 1]) == 0)
            return c;
    }
    return 0;
}

ASN1_OBJECT *oid_object(const char *dotted, struct err *e)
{
    ASN1_OBJECT *o = OBJ_txt2obj(dotted, 1);

    if (o == NULL)
        err_openssl(e, E_CRYPTO, "object identifier");
    return o;
}

bool oid_is(const ASN1_OBJECT *obj, const char *dotted)
{
    char text[OID_TEXT_MAX];
    int n = obj != NULL ? OBJ_obj2txt(text, sizeof(text), obj, 1) : 0;

    return n > 0 && (size_t)n < sizeof(text) && strcmp(text, dotted) == 0;
}
