#include "cli/commands.h"
#include "cli/federation_words.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>

static int add(json_t *list, const char *key, const char *old, const char *new, bool json)
{
    if (json)
        return json_array_append_new(
            list, json_pack("{s:o,s:o,s:o}", "what", out_json_text(key), "old",
                            old != NULL ? out_json_text(old) : json_null(), "new",
                            new != NULL ? out_json_text(new) : json_null()));
    out_text(stdout, key);
    printf(":\n");
    if (old != NULL) {
        printf("  - ");
        out_words_from(stdout, 4, 4, old);
    }
    if (new != NULL) {
        printf("  + ");
        out_words_from(stdout, 4, 4, new);
    }
    return 0;
}

/* What the old one has otherwise or alone, then what the new one has alone. */
static int compare(struct cli *c, const struct federation_words *old,
                   const struct federation_words *new, struct err *e)
{
    bool json = cli_flag(c, "json");
    json_t *list = json_array();
    size_t n = 0;
    int rc = list != NULL ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < old->n; i++) {
        const char *is = federation_words_of(new, old->key[i]);

        if (is == NULL || strcmp(is, old->value[i]) != 0) {
            rc = add(list, old->key[i], old->value[i], is, json);
            n++;
        }
    }
    for (size_t i = 0; rc == 0 && i < new->n; i++) {
        if (federation_words_of(old, new->key[i]) == NULL) {
            rc = add(list, new->key[i], NULL, new->value[i], json);
            n++;
        }
    }
    if (rc != 0) {
        json_decref(list);
        return err_set(e, E_MEMORY, "out of memory for the differences");
    }
    if (json)
        return cli_json(c, list, e);
    json_decref(list);
    if (n == 0)
        out_para(stdout, "They say the same.");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct federation f[2] = {{.n_side = 0}, {.n_side = 0}};
    struct federation_words w[2] = {{.n = 0}, {.n = 0}};
    int signers, rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        rc = federation_read(cli_arg(c, i), &f[i], NULL, &signers, e);
        if (rc == 0)
            rc = federation_words(&f[i], &w[i], e);
    }
    if (rc == 0)
        rc = compare(c, &w[0], &w[1], e);
    for (int i = 0; i < 2; i++) {
        federation_words_free(&w[i]);
        federation_free(&f[i]);
    }
    return rc;
}

const struct cli_command cmd_federation_diff = {
    .group = "federation",
    .name = "diff",
    .shared = CLI_JSON,
    .args = "OLD NEW",
    .min_args = 2,
    .max_args = 2,
    .summary = "say in words what changes from one federation to the next",
    .about =
        "Shows what two federations, or parts, have otherwise; - is the old and + the new one.",
    .examples = "fusetsu federation diff us-jp-1.fed us-jp-2.txt",
    .run = run,
};
