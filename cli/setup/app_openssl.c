/* OpenSSL by libp11's engine, or by pkcs11-provider: a settings file of our own, which includes the
 * system's and adds to it. */
#include "cli/commands.h"
#include "cli/setup/setup.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <string.h>

#define SYSTEM_SETTINGS "/etc/ssl/openssl.cnf"

static const struct cli_option options[] = {
    {"provider", NULL, "by pkcs11-provider, not by the engine", false},
    {0},
};

/* The system's settings as they are now; NULL when there are none that can be read. */
static CONF *read_system(void)
{
    CONF *conf = NCONF_new(NULL);

    ERR_set_mark();
    if (conf != NULL && NCONF_load(conf, SYSTEM_SETTINGS, NULL) != 1) {
        NCONF_free(conf);
        conf = NULL;
    }
    ERR_pop_to_mark();
    return conf;
}

/* The section that `name` in `section` points to, which then is added to, else one of our own.
 * A section that is begun again goes on (config(5ssl)); a name that is given again is replaced. */
static const char *section_of(CONF *system, const char *section, const char *name, const char *own)
{
    const char *theirs;

    ERR_set_mark();
    theirs = system != NULL ? NCONF_get_string(system, section, name) : NULL;
    ERR_pop_to_mark();
    return theirs != NULL && *theirs != 0 ? theirs : own;
}

static void engine(CONF *system, const char *init, const char *module, struct buf *out)
{
    const char *list = section_of(system, init, "engines", "fusetsu_engines");

    buf_printf(out,
               "[%s]\n"
               "engines = %s\n"
               "[%s]\n"
               "pkcs11 = fusetsu_engine\n"
               "[fusetsu_engine]\n"
               "engine_id = pkcs11\n"
               "MODULE_PATH = %s\n",
               init, list, list, module);
}

/* With a provider that is named, OpenSSL no longer takes its own for granted. */
static void provider(CONF *system, const char *init, const char *module, struct buf *out)
{
    const char *list = section_of(system, init, "providers", "fusetsu_providers");
    const char *own = section_of(system, list, "default", "fusetsu_default");

    buf_printf(out,
               "[%s]\n"
               "providers = %s\n"
               "[%s]\n"
               "default = %s\n"
               "pkcs11 = fusetsu_provider\n"
               "[%s]\n"
               "activate = 1\n"
               "[fusetsu_provider]\n"
               "pkcs11-module-path = %s\n"
               "activate = 1\n",
               init, list, list, own, own, module);
}

static int settings(struct setup *s, const char *module, struct buf *out, struct err *e)
{
    CONF *system = read_system();
    const char *init = section_of(system, "default", "openssl_conf", "fusetsu_init");

    buf_str(out, "# written by fusetsu setup openssl\n");
    if (system != NULL)
        buf_printf(out, ".include = %s\n", SYSTEM_SETTINGS);
    /* What was included may have ended in any section. */
    buf_printf(out, "[default]\nopenssl_conf = %s\n", init);
    if (cli_flag(setup_cli(s), "provider"))
        provider(system, init, module, out);
    else
        engine(system, init, module, out);
    NCONF_free(system);
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
    if (cli_flag(setup_cli(s), "provider"))
        setup_say(s, "This takes pkcs11-provider, which Debian 12 does not have; there, leave "
                     "--provider.");
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
    .options = options,
    .summary = "let OpenSSL's pkcs11 engine find the module",
    .about = "Writes a settings file for OpenSSL that includes the system's own settings, which "
             "stay as they are, and loads the pkcs11 engine (libp11) with the module; with "
             "--provider, pkcs11-provider instead.",
    .examples = "fusetsu setup openssl\n"
                "fusetsu setup openssl --provider\n"
                "fusetsu setup openssl --undo",
    .run = run,
};
