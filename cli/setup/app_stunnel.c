/* stunnel: a service of a settings file gets its key and certificate from the token. */
#include "cli/commands.h"
#include "cli/setup/engine.h"

#include <stdio.h>
#include <string.h>

#define FILE_DEFAULT "/etc/stunnel/stunnel.conf"

static const struct cli_option options[] = {
    {"file", "FILE", "stunnel's settings (default: " FILE_DEFAULT ")", false},
    {"service", "NAME", "the service in it, which stands there as [NAME]", true},
    {0},
};

/* Lines at the top that load the engine. Several services can bring them: that does no harm. */
static int load_engine(struct setup *s, const char *path, struct err *e)
{
    const char *module = setup_module(s, e);
    struct buf text = {0};
    int rc = -1;

    if (module == NULL)
        return -1;
    buf_printf(&text, "engine = pkcs11\nengineCtrl = MODULE_PATH:%s\n", module);
    if (buf_cstr(&text) != NULL)
        rc = setup_block(s, path, 0644, (struct block){.comment = ";", .place = BLOCK_TOP},
                         (const char *)text.p, e);
    buf_free(&text);
    return rc;
}

static int name_key(struct setup *s, const char *path, const char *after, struct err *e)
{
    const struct setup_key *k = setup_certified_key(s, e);
    struct buf cert = {0}, key = {0}, text = {0};
    int rc = -1;

    if (k == NULL || engine_uri(s, k, &key, e) != 0 || setup_uri(s, k, "cert", &cert, e) != 0)
        goto out;
    buf_printf(&text, "cert = %s\nkey = %s\nengineId = pkcs11\n", (const char *)cert.p,
               (const char *)key.p);
    if (buf_cstr(&text) != NULL)
        rc = setup_block(s, path, 0644,
                         (struct block){.comment = ";", .place = BLOCK_AFTER, .after = after},
                         (const char *)text.p, e);
out:
    buf_free(&cert);
    buf_free(&key);
    buf_free(&text);
    return rc;
}

static int plan(struct setup *s, struct err *e)
{
    const char *file = cli_option(setup_cli(s), "file");
    const char *service = cli_option(setup_cli(s), "service");
    struct buf path = {0};
    char after[200];
    int n = snprintf(after, sizeof(after), "[%s]", service), rc = -1;

    if (n < 0 || (size_t)n >= sizeof(after))
        return cli_misuse(e, "--service: a name has at most %zu bytes", sizeof(after) - 3);
    if (setup_absolute(file != NULL ? file : FILE_DEFAULT, &path, e) == 0 &&
        name_key(s, (const char *)path.p, after, e) == 0)
        rc = load_engine(s, (const char *)path.p, e);
    engine_say_pin(s, "stunnel");
    setup_say(s, "Lines `cert` and `key` of the service's own win where they come later: take "
                 "them out. Then start stunnel again.");
    buf_free(&path);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"file", "service", NULL};
    static const struct setup_app app = {
        .name = "stunnel", .scopes = SETUP_USER | SETUP_SYSTEM, .which = which, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_stunnel = {
    .group = "setup",
    .name = "stunnel",
    .shared = CLI_TOKEN | CLI_KEY | CLI_SETUP | CLI_SCOPE | CLI_JSON,
    .options = options,
    .summary = "let a service of stunnel use a key on the token",
    .about = "Puts lines into stunnel's settings: at the top those that load OpenSSL's pkcs11 "
             "engine with the module, and into one service those that name the key and its "
             "certificate.",
    .examples = "fusetsu setup stunnel --service ldap --token gateway --label tls --pin-source "
                "/etc/stunnel/pin\n"
                "fusetsu setup stunnel --service ldap --undo",
    .run = run,
};
