/* curl, for `curl -K FILE`: a client certificate and its key, by OpenSSL's engine. */
#include "cli/commands.h"
#include "cli/setup/engine.h"

static const struct cli_option options[] = {
    {"file", "FILE", "the file to write (default: ~/.config/fusetsu/curl.conf)", false},
    {0},
};

static int settings(struct setup *s, const struct setup_key *k, struct buf *out, struct err *e)
{
    struct buf key = {0}, cert = {0};
    int rc = -1;

    if (engine_uri(s, k, &key, e) == 0 && setup_uri(s, k, "cert", &cert, e) == 0) {
        buf_printf(out,
                   "# written by fusetsu setup curl, for curl -K\n"
                   "engine = \"pkcs11\"\n"
                   "key-type = \"ENG\"\n"
                   "key = \"%s\"\n"
                   "cert-type = \"ENG\"\n"
                   "cert = \"%s\"\n",
                   (const char *)key.p, (const char *)cert.p);
        rc = buf_ok(out, e);
    }
    buf_free(&key);
    buf_free(&cert);
    return rc;
}

static int plan(struct setup *s, struct err *e)
{
    const char *file = cli_option(setup_cli(s), "file");
    const struct setup_key *k = setup_certified_key(s, e);
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (k == NULL ||
        (file != NULL ? setup_absolute(file, &path, e)
                      : setup_config_path(s, &path, "fusetsu/curl.conf", e)) != 0 ||
        settings(s, k, &text, e) != 0)
        goto out;
    rc = setup_file(s, (const char *)path.p, 0644, buf_bytes(&text), e);
    engine_say_pin(s, "curl");
    setup_say(s, "The engine finds the module by `fusetsu setup openssl`, or by `fusetsu setup "
                 "p11-kit`. Then:");
    buf_free(&text);
    buf_printf(&text, "curl -K %s https://...", (const char *)path.p);
    if (buf_cstr(&text) != NULL)
        setup_lines(s, (const char *)text.p);
out:
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"file", NULL};
    static const struct setup_app app = {
        .name = "curl", .scopes = SETUP_USER, .which = which, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_curl = {
    .group = "setup",
    .name = "curl",
    .shared = CLI_TOKEN | CLI_KEY | CLI_SETUP | CLI_JSON,
    .options = options,
    .summary = "write a file of options by which curl proves itself with a key",
    .about = "Writes a file for `curl -K` that names the key and the certificate on the token, by "
             "OpenSSL's engine. It takes a curl that is built with OpenSSL, as Debian's is.",
    .examples = "fusetsu setup curl --token gateway --label tls --pin-source /etc/gw/pin\n"
                "fusetsu setup curl --undo",
    .run = run,
};
