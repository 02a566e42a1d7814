#include "cli/caname.h"

#include "cli/cli.h"
#include "cli/community.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>

#define ISSUING "issuing:"

int caname_parse(const char *what, enum registry_role *role, unsigned *community, struct err *e)
{
    *community = 0;
    if (strncmp(what, ISSUING, strlen(ISSUING)) == 0) {
        *role = REGISTRY_ISSUING;
        return community_parse(what + strlen(ISSUING), community, e);
    }
    for (int i = 0; i < REGISTRY_ISSUING; i++) {
        *role = (enum registry_role)i;
        if (strcmp(what, registry_role_name(*role)) == 0)
            return 0;
    }
    return cli_misuse(
        e, "a CA is named root, cross, attestation or issuing:COMMUNITY, not \"%.40s\"", what);
}

void caname_text(enum registry_role role, unsigned community, char out[CANAME_MAX])
{
    const char *name = role == REGISTRY_ISSUING ? oid_community_name(community) : NULL;

    snprintf(out, CANAME_MAX, "%s%s%s", registry_role_name(role), name != NULL ? ":" : "",
             name != NULL ? name : "");
}
