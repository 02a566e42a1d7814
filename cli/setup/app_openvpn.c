/* OpenVPN 2.4 and later, by pkcs11-helper: two lines in a configuration file. */
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/setup/lines.h"
#include "cli/setup/setup.h"
#include "core/oid.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* One field of an identity as pkcs11-helper 1.29 serialises it: what is not plain as \xHH. */
static void add_field(struct buf *out, const char *text)
{
    for (const char *p = text; *p != 0; p++) {
        uint8_t c = (uint8_t)*p;

        if (c > ' ' && c < 0x7f && strchr("\\/\"'%&#@!?$*<>{}[]()`|:;,.+-", c) == NULL)
            buf_u8(out, c);
        else
            buf_printf(out, "\\x%02X", c);
    }
    buf_u8(out, '/');
}

/* What `openvpn --show-pkcs11-ids` prints of the certificate. */
static void add_identity(struct buf *out, const struct setup_key *k)
{
    add_field(out, k->manufacturer);
    add_field(out, k->model);
    add_field(out, k->serial);
    add_field(out, k->token);
    for (size_t i = 0; i < k->id_len; i++)
        buf_printf(out, "%02X", k->id[i]);
}

/* openvpn(8), "Using configuration files": within single quotes everything is as it stands. */
static int add_path(struct buf *out, const char *path, struct err *e)
{
    if (strpbrk(path, "'\r\n") != NULL)
        return cli_misuse(e, "OpenVPN's settings cannot hold the path %s; choose another", path);
    buf_printf(out, "'%s'", path);
    return 0;
}

/* OpenVPN splits the command of tls-verify at spaces by rules of its own. */
static int add_word(struct buf *out, const char *word, struct err *e)
{
    if (word[0] == 0 || strpbrk(word, " '\"\\\t\r\n") != NULL)
        return cli_misuse(e,
                          "the command that OpenVPN is to call cannot hold \"%s\"; choose a path "
                          "without spaces and quotes",
                          word);
    buf_printf(out, " %s", word);
    return 0;
}

/* OpenVPN does not start when the file is not there, and reads it again when it changes. */
static int add_crls(struct setup *s, struct buf *out, const char *path, struct err *e)
{
    if (access(path, F_OK) == 0) {
        buf_str(out, "\ncrl-verify ");
        return add_path(out, path, e);
    }
    setup_say(s,
              "There is no %s: OpenVPN lets in what was revoked. Hand the CRLs of both nations to "
              "`fusetsu federation crls`, then run this again, which adds the line crl-verify.",
              path);
    return 0;
}

/* Whom it trusts, and the gate: OpenVPN alone looks at no policy. */
static int add_gate(struct setup *s, struct buf *out, struct err *e)
{
    const char *trust = cli_option(setup_cli(s), "trust"),
               *community = cli_option(setup_cli(s), "community");
    struct buf dir = {0}, ca = {0}, crls = {0}, command = {0};
    char own[PATH_MAX];
    unsigned number;
    ssize_t n;
    int rc = -1;

    if (trust == NULL && community == NULL)
        return 0;
    if (trust == NULL || community == NULL)
        return cli_misuse(e, "--trust and --community go together");
    n = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (n <= 0)
        return err_set(e, E_IO, "this program does not know where it is");
    own[n] = 0;
    if (community_parse(community, &number, e) != 0 || setup_absolute(trust, &dir, e) != 0)
        goto out;
    buf_printf(&ca, "%s/%s.pem", (const char *)dir.p, oid_community_name(number));
    buf_printf(&crls, "%s/%s.crls.pem", (const char *)dir.p, oid_community_name(number));
    if (buf_cstr(&ca) == NULL || buf_cstr(&crls) == NULL)
        goto out;
    buf_str(out, "ca ");
    if (add_path(out, (const char *)ca.p, e) != 0 || add_crls(s, out, (const char *)crls.p, e) != 0)
        goto out;
    if (add_word(&command, own, e) != 0 || add_word(&command, "gate", e) != 0 ||
        add_word(&command, "--openvpn", e) != 0 || add_word(&command, "--trust", e) != 0 ||
        add_word(&command, (const char *)dir.p, e) != 0 ||
        add_word(&command, "--community", e) != 0 ||
        add_word(&command, oid_community_name(number), e) != 0 || buf_cstr(&command) == NULL)
        goto out;
    buf_printf(out, "\nscript-security 2\ntls-export-cert /tmp\ntls-verify '%s'\n",
               (const char *)command.p + 1);
    rc = 0;
out:
    buf_free(&dir);
    buf_free(&ca);
    buf_free(&crls);
    buf_free(&command);
    return rc;
}

/* The login comes with the first signature, and that after the change of users. */
static void tell_of_users(struct setup *s, struct bytes have)
{
    static const char *const words[] = {"user", "group", "chroot", NULL};
    struct lines_hit hit;

    if (lines_find(have, words, &hit))
        setup_say(s,
                  "By \"%s\", line %zu, OpenVPN becomes another user before it uses the key: that "
                  "user must be able to read the token store and to open the TPM (group tss).",
                  hit.word, hit.number);
}

/* OpenVPN refuses a key in a file beside one on a token, and of two identities takes the last. */
static int check_rest(struct setup *s, const char *path, struct err *e)
{
    static const char *const words[] = {"cert",   "key",      "pkcs12",           "<cert>",
                                        "<key>",  "<pkcs12>", "pkcs11-providers", "pkcs11-id",
                                        "--cert", "--key",    "--pkcs12",         NULL};
    static const char *const gate[] = {"ca",         "<ca>", "capath", "tls-verify",
                                       "crl-verify", "--ca", NULL};
    struct lines_hit hit;
    struct bytes have;

    if (setup_content(s, path, &have, e) != 0)
        return -1;
    if (lines_find(have, words, &hit))
        return err_set(e, E_EXISTS,
                       "%s, line %zu, has \"%s\", and OpenVPN takes one key only; put a # before "
                       "that line, then try again",
                       path, hit.number, hit.word);
    if (cli_option(setup_cli(s), "trust") != NULL && lines_find(have, gate, &hit))
        return err_set(
            e, E_EXISTS,
            "%s, line %zu, has \"%s\", and --trust is to say whom OpenVPN trusts; put a # "
            "before that line, then try again",
            path, hit.number, hit.word);
    tell_of_users(s, have);
    return 0;
}

static int plan(struct setup *s, struct err *e)
{
    const char *file = cli_option(setup_cli(s), "file"), *module = setup_module(s, e);
    const struct block bottom = {.comment = "#", .place = BLOCK_BOTTOM};
    const struct setup_key *k = module != NULL ? setup_certified_key(s, e) : NULL;
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (k == NULL)
        return -1;
    buf_str(&text, "pkcs11-providers ");
    if (add_path(&text, module, e) != 0)
        goto out;
    buf_str(&text, "\npkcs11-id '");
    add_identity(&text, k);
    buf_str(&text, "'\n");
    if (add_gate(s, &text, e) != 0)
        goto out;
    if (buf_cstr(&text) == NULL) {
        err_set(e, E_MEMORY, "out of memory for lines of OpenVPN's");
        goto out;
    }
    if (file == NULL) {
        setup_say(s, "The lines for OpenVPN's configuration file:");
        setup_lines(s, (const char *)text.p);
    } else if (setup_absolute(file, &path, e) != 0 || check_rest(s, (const char *)path.p, e) != 0 ||
               setup_block(s, (const char *)path.p, 0600, bottom, (const char *)text.p, e) != 0) {
        goto out;
    }
    setup_say(s, "OpenVPN asks for the PIN when it first signs: at the terminal, or through its "
                 "management interface where the file has the line management-query-passwords. "
                 "Whom it trusts is in the file of its line `ca`; `fusetsu ca export "
                 "bundle:COMMUNITY` makes one, and --trust names those of a federation, with the "
                 "gate (fusetsu gate) before it.");
    rc = 0;
out:
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"file", NULL};
    static const struct setup_app app = {
        .name = "openvpn", .scopes = SETUP_USER | SETUP_SYSTEM, .which = which, .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"file", "FILE", "the configuration file to put the lines into (default: print them)", false},
    {"trust", "DIR", "whom to trust: what `fusetsu federation apply` has written", false},
    {"community", "NAME", "the community whose gateways are let in, with --trust", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_openvpn = {
    .group = "setup",
    .name = "openvpn",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_TOKEN | CLI_ASKED | CLI_JSON,
    .options = options,
    .summary = "let OpenVPN use a key of the token",
    .about =
        "Puts two lines at the end of a configuration file of OpenVPN's, which name the "
        "module, and the certificate and key. A file that names another key is refused. With "
        "--trust four more, which let in what a federation bounds and nothing else, and a fifth "
        "for what is revoked where `fusetsu federation crls` keeps CRLs.",
    .examples = "fusetsu setup openvpn --label gw\n"
                "fusetsu setup openvpn --label gw --file /etc/openvpn/gw.conf\n"
                "fusetsu setup openvpn --label gw --file /etc/openvpn/gw.conf "
                "--trust /etc/fusetsu/us-jp --community communications\n"
                "fusetsu setup openvpn --file /etc/openvpn/gw.conf --undo",
    .run = run,
};
