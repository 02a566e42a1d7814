#include "cli/usage.h"

#include "cli/cli.h"

#include <string.h>

int usage_parse(const char *word, const char **oid, struct err *e)
{
    static const struct {
        const char *word, *oid;
    } rows[] = {{"client", "1.3.6.1.5.5.7.3.2"},
                {"server", "1.3.6.1.5.5.7.3.1"},
                {"ike", "1.3.6.1.5.5.7.3.17"},
                {"mail", "1.3.6.1.5.5.7.3.4"}};

    *oid = NULL;
    for (size_t i = 0; word != NULL && i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].word, word) == 0)
            *oid = rows[i].oid;
    }
    return word == NULL || *oid != NULL ? 0
                                        : cli_misuse(e, "--usage is client, server, ike or mail");
}
