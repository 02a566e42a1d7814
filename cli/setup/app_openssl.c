/* OpenSSL by libp11's engine: a settings file of our own, which includes the system's. */
#include "cli/commands.h"
#include "cli/setup/setup.h"

static int settings(struct setup *s, const char *module, struct buf *out, struct err *e)
{
    (void)s;
    buf_printf(out,
               "# written by fusetsu setup openssl\n"
               "openssl_conf = fusetsu_init\n"
               ".include = /etc/ssl/openssl.cnf\n"
               "[fusetsu_init]\n"
               "engines = fusetsu_engines\n"
               "[fusetsu_engines]\n"
               "pkcs11 = fusetsu_engine\n"
               "[fusetsu_engine]\n"
               "engine_id = pkcs11\n"
               "MODULE_PATH = %s\n",
               module);
    return buf_ok(out, e);
}

static int plan(struct setup *s, struct err *e)
{
    const char *module = setup_module(s, e);
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (module == NULL)
        return -1;
    if (setup_is_system(s))
        buf_str(&path, "/etc/fusetsu/openssl.cnf");
    else if (setup_config_path(s, &path, "fusetsu/openssl.cnf", e) != 0)
        goto out;
    if (buf_cstr(&path) == NULL || settings(s, module, &text, e) != 0)
        goto out;
    rc = setup_file(s, (const char *)path.p, 0644, buf_bytes(&text), e);
    setup_say(s, "For OpenSSL programs that shall use the module:");
    buf_free(&text);
    buf_printf(&text, "export OPENSSL_CONF=%s", (const char *)path.p);
    if (buf_cstr(&text) != NULL)
        setup_lines(s, (const char *)text.p);
out:
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {
        .name = "openssl", .scopes = SETUP_USER | SETUP_SYSTEM, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_openssl = {
    .group = "setup",
    .name = "openssl",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_JSON,
    .summary = "let OpenSSL's pkcs11 engine find the module",
    .about = "Writes a settings file for OpenSSL that loads the pkcs11 engine (libp11) with the "
             "module and includes the system's own settings, which stay as they are.",
    .examples = "fusetsu setup openssl\nfusetsu setup openssl --undo",
    .run = run,
};
