#include "ca/urls.h"

#include "core/oid.h"

#include <stdio.h>
#include <string.h>

int urls_check(const char *what, const char *url, struct err *e)
{
    static const char http[] = "http://";
    size_t len = strlen(url);

    if (strncmp(url, http, sizeof(http) - 1) != 0 || len < sizeof(http) || url[7] == '/' ||
        len >= REGISTRY_URL_MAX)
        return err_set(e, E_ARG, "%s is a URL like http://crl.us.example, at most %d characters",
                       what, REGISTRY_URL_MAX - 1);
    for (size_t i = 0; i < len; i++) {
        if (url[i] <= ' ' || url[i] > '~' || strchr("<>\"\\^`{}|?#", url[i]) != NULL)
            return err_set(e, E_ARG, "%s has a character that is none of a URL", what);
    }
    return 0;
}

void urls_crl(const struct registry_urls *u, enum registry_role issuer, unsigned community,
              bool delta, char out[URLS_MAX])
{
    size_t len = strlen(u->crl);

    out[0] = 0;
    if (len == 0)
        return;
    snprintf(out, URLS_MAX, "%s%s%s%s%s%s.crl", u->crl, u->crl[len - 1] == '/' ? "" : "/",
             registry_role_name(issuer), issuer >= REGISTRY_ISSUING ? "-" : "",
             issuer >= REGISTRY_ISSUING ? oid_community_name(community) : "",
             delta ? "-delta" : "");
}
