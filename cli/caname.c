#include "cli/caname.h"

#include "cli/cli.h"
#include "cli/community.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>

int caname_parse(const char *what, enum registry_role *role, unsigned *community, struct err *e)
{
    const char *colon = strchr(what, ':');
    size_t n = colon != NULL ? (size_t)(colon - what) : strlen(what);

    *community = 0;
    for (int i = 0; i < REGISTRY_ROLES; i++) {
        const char *name = registry_role_name((enum registry_role)i);

        if (strlen(name) != n || strncmp(what, name, n) != 0 ||
            (colon != NULL) != (i >= REGISTRY_ISSUING))
            continue;
        *role = (enum registry_role)i;
        return colon == NULL ? 0 : community_parse(colon + 1, community, e);
    }
    return cli_misuse(e,
                      "a CA is named root, cross, attestation, issuing:COMMUNITY or "
                      "basic:COMMUNITY, not \"%.40s\"",
                      what);
}

void caname_text(enum registry_role role, unsigned community, char out[CANAME_MAX])
{
    const char *name = role >= REGISTRY_ISSUING ? oid_community_name(community) : NULL;

    snprintf(out, CANAME_MAX, "%s%s%s", registry_role_name(role), name != NULL ? ":" : "",
             name != NULL ? name : "");
}
