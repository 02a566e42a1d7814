#include "cli/commands.h"
#include "cli/out.h"
#include "cli/place.h"

#include <stdio.h>
#include <stdlib.h>

/* What can be done with the token, in two or three words. */
static const char *state(const struct store_token *t)
{
    if ((t->flags & STORE_TOKEN_INCOMPLETE) != 0)
        return "incomplete";
    if ((t->flags & (STORE_TOKEN_CHANGE_USER | STORE_TOKEN_CHANGE_SO)) != 0)
        return "PIN change interrupted";
    if ((t->flags & STORE_TOKEN_PIN_SET) == 0)
        return "no user PIN yet";
    if (t->user_limit != 0 && t->user_fails >= t->user_limit)
        return "user PIN locked";
    return "ready";
}

static json_t *row_json(const struct store_token *t)
{
    return json_pack("{s:o,s:s,s:s,s:i,s:i,s:i,s:i}", "label", out_json_text(t->label), "serial",
                     t->serial, "state", state(t), "user_fails", (int)t->user_fails, "user_limit",
                     (int)t->user_limit, "so_fails", (int)t->so_fails, "so_limit",
                     (int)t->so_limit);
}

static int list_json(struct cli *c, const struct store_token *t, size_t n, struct err *e)
{
    json_t *all = json_array();

    for (size_t i = 0; all != NULL && i < n; i++) {
        if (json_array_append_new(all, row_json(&t[i])) != 0) {
            json_decref(all);
            all = NULL;
        }
    }
    return cli_json(c, all, e);
}

static int list_words(struct store *s, const struct store_token *t, size_t n, struct err *e)
{
    static const char *const heads[] = {"LABEL", "SERIAL", "STATE", "WRONG PINS"};
    struct out_table *table;
    int rc = -1;

    if (n == 0) {
        printf("The store %s holds no token; make one with `fusetsu token init`.\n", store_path(s));
        return 0;
    }
    table = out_table_new(heads, ARRAY_LEN(heads), e);
    if (table == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        char tries[48];

        snprintf(tries, sizeof(tries), "user %u of %u, SO %u of %u", t[i].user_fails,
                 t[i].user_limit, t[i].so_fails, t[i].so_limit);
        if (out_table_row(table, (const char *[]){t[i].label, t[i].serial, state(&t[i]), tries},
                          e) != 0)
            goto out;
    }
    out_table_print(table, stdout);
    rc = 0;
out:
    out_table_free(table);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct store_token *t = NULL;
    struct store *s = NULL;
    size_t n = 0;
    int rc = -1;

    if (place_store(c, STORE_READ, &s, e) == 0 && store_token_list(s, &t, &n, e) == 0)
        rc = cli_flag(c, "json") ? list_json(c, t, n, e) : list_words(s, t, n, e);
    free(t);
    store_close(s);
    return rc;
}

const struct cli_command cmd_token_list = {
    .group = "token",
    .name = "list",
    .shared = CLI_JSON,
    .summary = "list the tokens of the store",
    .about = "Lists the tokens of the store with the counts of wrong PINs that were last seen. "
             "Needs no PIN and sends nothing to the TPM.",
    .examples = "fusetsu token list\nfusetsu token list --json",
    .run = run,
};
