#ifndef CLI_INIT_REPORT_H
#define CLI_INIT_REPORT_H

#include "cli/cli.h"
#include "tpm/token.h"

/* What `token init` says of a token that it has made; `saved`: the codes are in a file and are
 * not printed. */
void init_report_say(const struct store_token *t, const struct token_report *r, bool saved);
int init_report_json(struct cli *c, const struct store_token *t, const struct token_report *r,
                     bool saved, struct err *e) MUST_USE;

#endif
