#include "cli/community.h"

#include "cli/cli.h"
#include "core/buf.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>

int community_parse(const char *word, unsigned *out, struct err *e)
{
    unsigned n = oid_community_named(word);
    struct buf names = {0};
    char number[2] = {0};

    for (unsigned i = 1; n == 0 && i <= OID_COMMUNITIES; i++) {
        number[0] = (char)('0' + i);
        if (strcmp(word, number) == 0)
            n = i;
    }
    if (n != 0) {
        *out = n;
        return 0;
    }
    for (unsigned i = 1; i <= OID_COMMUNITIES; i++)
        buf_printf(&names, "%s%s", i > 1 ? ", " : "", oid_community_name(i));
    cli_misuse(e, "there is no community \"%.40s\"; there are %s", word, buf_cstr(&names));
    buf_free(&names);
    return -1;
}

int community_parse_list(const char *list, unsigned *out, size_t max, size_t *n, struct err *e)
{
    size_t count = 0;

    while (*list != 0) {
        size_t len = strcspn(list, ",");
        char word[41];

        snprintf(word, sizeof(word), "%.*s", (int)(len < 40 ? len : 40), list);
        if (count == max)
            return cli_misuse(e, "at most %zu communities can be named", max);
        if (community_parse(word, &out[count], e) != 0)
            return -1;
        for (size_t i = 0; i < count; i++) {
            if (out[i] == out[count])
                return cli_misuse(e, "community %s is named twice", word);
        }
        count++;
        list += len;
        if (*list == ',' && *++list == 0)
            return cli_misuse(e, "the list of communities ends with a comma");
    }
    if (count == 0)
        return cli_misuse(e, "name at least one community");
    *n = count;
    return 0;
}
