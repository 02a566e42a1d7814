#include "ca/authority.h"
#include "cli/cakeys.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "core/federation_cms.h"
#include "core/file.h"

#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"out", "FILE", "where to write it; - is standard output", true},
    {0},
};

static int sign(struct authority *a, struct bytes in, struct buf *out, struct err *e)
{
    struct issue_issuer root;
    const EVP_MD *md = NULL;
    EVP_PKEY *key = NULL;
    int rc = -1;

    if (authority_clock(a, time(NULL), e) == 0 &&
        authority_issuer(a, REGISTRY_ROOT, 0, &root, e) == 0 &&
        issue_signing(root.signer, &key, &md, e) == 0)
        rc = federation_sign(in, root.cert, key, md, time(NULL), out, e);
    EVP_PKEY_free(key);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct buf in = {0}, out = {0};
    int rc = -1;

    if (file_read(cli_arg(c, 0), 2 * FEDERATION_MAX, &in, e) != 0 ||
        file_probe(cli_option(c, "out"), e) != 0 || (keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0 ||
        sign(a, buf_bytes(&in), &out, e) != 0 ||
        file_write(cli_option(c, "out"), buf_bytes(&out), 0644, e) != 0)
        goto out;
    if (strcmp(cli_option(c, "out"), "-") != 0)
        out_para(stdout,
                 "Signed by the root of %s. When both have signed, `fusetsu federation "
                 "apply` takes it.",
                 authority_info(a)->nation);
    rc = 0;
out:
    authority_close(a);
    cakeys_free(keys);
    buf_free(&in);
    buf_free(&out);
    return rc;
}

const struct cli_command cmd_federation_sign = {
    .group = "federation",
    .name = "sign",
    .shared = CLI_USER_PIN,
    .options = options,
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .summary = "sign a federation by this authority's root",
    .about =
        "Signs the text, or adds a signature to what the ally has signed (CMS). Read it first: "
        "`fusetsu federation show`.",
    .examples = "fusetsu federation sign --dir us-ca us-jp.txt --out us-jp.half\n"
                "fusetsu federation sign --dir jp-ca us-jp.half --out us-jp.fed",
    .run = run,
};
