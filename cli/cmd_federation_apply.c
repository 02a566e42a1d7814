#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/federation_state.h"
#include "cli/out.h"
#include "core/federation_cms.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"nation", "CC", "the side of whoever relies on it: two letters", true},
    {"root", "FILE", "that nation's root, as its fingerprint was compared", true},
    {"ally-root", "FILE", "the ally's", true},
    {"to", "DIR", "where the files are written", true},
    {"dry-run", NULL, "say what would be done, and do nothing", false},
    {0},
};

static int read_root(const char *path, STACK_OF(X509) * *out, struct err *e)
{
    if (certs_read(path, out, e) != 0)
        return -1;
    return sk_X509_num(*out) == 1
               ? 0
               : err_set(e, E_FORMAT, "%s is to hold one certificate, a root", path);
}

static int check(struct cli *c, struct bytes in, struct federation *f, struct buf *text,
                 struct err *e)
{
    STACK_OF(X509) *own = NULL, *ally = NULL;
    X509 *pin[2];
    int rc = -1;

    if (read_root(cli_option(c, "root"), &own, e) != 0 ||
        read_root(cli_option(c, "ally-root"), &ally, e) != 0)
        goto out;
    pin[0] = sk_X509_value(own, 0);
    pin[1] = sk_X509_value(ally, 0);
    if (federation_open(in, pin, time(NULL), f, text, e) != 0)
        goto out;
    rc = federation_side_of(f, cli_option(c, "nation"));
    if (rc < 0)
        err_set(e, E_REJECTED, "%.10s has no part in it", cli_option(c, "nation"));
    else if (X509_cmp(f->side[rc].root, pin[0]) != 0) {
        err_set(e, E_REJECTED, "--root is the root of the other nation");
        rc = -1;
    }
out:
    certs_free(own);
    certs_free(ally);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct federation f = {.n_side = 0};
    struct buf in = {0}, text = {0};
    struct federation_state s = {
        .dir = cli_option(c, "to"), .f = &f, .dry = cli_flag(c, "dry-run")};
    int side, rc = -1;

    if (file_read(cli_arg(c, 0), 2 * FEDERATION_MAX, &in, e) != 0)
        goto out;
    side = check(c, buf_bytes(&in), &f, &text, e);
    if (side < 0)
        goto out;
    s.side = (unsigned)side;
    s.file = buf_bytes(&in);
    s.text = buf_bytes(&text);
    if (federation_state_put(&s, e) != 0)
        goto out;
    if (cli_flag(c, "json")) {
        rc = cli_json(c,
                      json_pack("{s:i,s:b,s:i,s:i}", "number", (int)f.sequence, "changed",
                                s.changed, "written", (int)s.written, "removed", (int)s.removed),
                      e);
        goto out;
    }
    if (!s.changed)
        out_para(stdout, "Number %u is in force already.", (unsigned)f.sequence);
    else
        out_para(stdout, "%s number %u of \"%s\": %u files%s, %u removed.",
                 s.dry ? "Would apply" : "Applied", (unsigned)f.sequence, f.name, s.written,
                 s.dry ? "" : " written", s.removed);
    rc = 0;
out:
    federation_free(&f);
    buf_free(&in);
    buf_free(&text);
    return rc;
}

const struct cli_command cmd_federation_apply = {
    .group = "federation",
    .name = "apply",
    .shared = CLI_JSON,
    .options = options,
    .args = "FILE",
    .min_args = 1,
    .max_args = 1,
    .summary = "derive from a signed federation what relying parties need",
    .about =
        "Takes a federation that both pinned roots have signed, that is in force, and that follows "
        "the one that was applied there before, and writes for each community that is open "
        "COMMUNITY.pem (the CAs from the root on, for what asks for a policy: OpenSSL, OpenVPN with "
        "the gate), COMMUNITY.anchors.pem (those that lead to its leaves alone, for what asks for "
        "none: GnuTLS, NSS, OpenSSL with -partial_chain), COMMUNITY.p12 (the same for Java; the "
        "password is Java's own, changeit), COMMUNITY.d (one file each; with COMMUNITY-ike.d for "
        "strongSwan where there are certificates for it) and COMMUNITY.policy (what to "
        "ask for), and COMMUNITY.known_hosts for ssh where an authority certifies for SSH. What belongs to a community that is no longer open is removed first.",
    .examples = "fusetsu federation apply --nation US --root us-root.pem --ally-root jp-root.pem "
                "--to /etc/fusetsu/us-jp us-jp.fed",
    .run = run,
};
