#include "cli/commands.h"
#include "cli/listing.h"
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
    if ((t->flags & STORE_TOKEN_DA_ONLY) == 0 && t->user_limit != 0 &&
        t->user_fails >= t->user_limit)
        return "user PIN locked";
    return "ready";
}

static int add(struct listing *l, const struct store_token *t, struct err *e)
{
    char tries[48];

    snprintf(tries, sizeof(tries), "user %u of %u, SO %u of %u", t->user_fails, t->user_limit,
             t->so_fails, t->so_limit);
    return listing_row(l, (const char *[]){t->label, t->serial, state(t), tries},
                       json_pack("{s:o,s:s,s:s,s:i,s:i,s:i,s:i}", "label", out_json_text(t->label),
                                 "serial", t->serial, "state", state(t), "user_fails",
                                 (int)t->user_fails, "user_limit", (int)t->user_limit, "so_fails",
                                 (int)t->so_fails, "so_limit", (int)t->so_limit),
                       e);
}

static int print(struct listing *l, struct store *s, struct err *e)
{
    struct buf empty = {0};
    int rc = -1;

    buf_printf(&empty, "The store %s holds no token; make one with `fusetsu token init`.",
               store_path(s));
    if (buf_ok(&empty, e) == 0)
        rc = listing_print(l, buf_cstr(&empty), e);
    buf_free(&empty);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"LABEL", "SERIAL", "STATE", "WRONG PINS"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    struct store_token *t = NULL;
    struct store *s = NULL;
    size_t n = 0;
    int rc = -1;

    if (l != NULL && place_store(c, STORE_READ, &s, e) == 0)
        rc = store_token_list(s, &t, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(l, &t[i], e);
    if (rc == 0)
        rc = print(l, s, e);
    free(t);
    store_close(s);
    listing_free(l);
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
