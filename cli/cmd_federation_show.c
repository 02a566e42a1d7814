#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/federation_words.h"
#include "cli/listing.h"
#include "cli/out.h"

#include <stdio.h>

static json_t *document(const struct federation_words *w, int signers)
{
    json_t *doc = json_pack("{s:i}", "signatures", signers), *says = json_object();

    for (size_t i = 0; says != NULL && i < w->n; i++)
        (void)json_object_set_new(says, w->key[i], out_json_text(w->value[i]));
    if (doc != NULL)
        (void)json_object_set_new(doc, "says", says);
    return doc;
}

static int run(struct cli *c, struct err *e)
{
    struct federation f = {.n_side = 0};
    struct federation_words w = {.n = 0};
    int signers = 0, rc = -1;

    if (federation_read(cli_arg(c, 0), &f, NULL, &signers, e) != 0 ||
        federation_words(&f, &w, e) != 0)
        goto out;
    if (cli_flag(c, "json")) {
        rc = cli_json(c, document(&w, signers), e);
        goto out;
    }
    for (size_t i = 0; i < w.n; i++) {
        out_text(stdout, w.key[i]);
        printf(":\n");
        out_words(stdout, 4, w.value[i]);
    }
    out_para(stdout,
             signers == 0 ? "Nobody has signed it."
                          : "%d of 2 signatures are on it, which are not judged here: `fusetsu "
                            "federation apply` does that by the pinned roots.",
             signers);
    rc = 0;
out:
    federation_words_free(&w);
    federation_free(&f);
    return rc;
}

const struct cli_command cmd_federation_show = {
    .group = "federation",
    .name = "show",
    .shared = CLI_JSON,
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .summary = "say in words what a federation, or a part of one, says",
    .about = "Shows what is agreed on, certificates by their SHA-256 fingerprints. Proves nothing "
             "of who has signed.",
    .examples = "fusetsu federation show us-jp.fed\nfusetsu federation show us.part --json",
    .run = run,
};
