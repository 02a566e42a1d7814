/* nginx serves TLS with a key on the token, by OpenSSL's engine (Debian's layout of /etc/nginx). */
#include "cli/commands.h"
#include "cli/setup/engine.h"

#define MAIN "/etc/nginx/modules-enabled/60-fusetsu.conf"
#define SNIPPET "/etc/nginx/snippets/fusetsu.conf"
#define CERT "/etc/nginx/fusetsu.pem"
#define SECOND_CERT "/etc/nginx/fusetsu-second.pem"
#define UNIT "/etc/systemd/system/nginx.service.d/fusetsu.conf"

static const struct cli_option options[] = {
    {"second-label", "TEXT", "a second key that the same servers offer, RSA beside EC", false},
    {0},
};

/* nginx loads keys while it reads its settings; what these say of the environment holds for
 * the time after: so the unit says it as well. */
static int find_module(struct setup *s, const char *module, struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    buf_printf(&text,
               "# written by fusetsu setup nginx\n"
               "env " ENGINE_VARIABLE "=%s;\n"
               "ssl_engine pkcs11;\n",
               module);
    if (buf_ok(&text, e) != 0 || setup_file(s, MAIN, 0644, buf_bytes(&text), e) != 0)
        goto out;
    buf_free(&text);
    buf_printf(&text,
               "# written by fusetsu setup nginx\n"
               "[Service]\n"
               "Environment=" ENGINE_VARIABLE "=%s\n",
               module);
    if (buf_ok(&text, e) == 0)
        rc = setup_file(s, UNIT, 0644, buf_bytes(&text), e);
out:
    buf_free(&text);
    return rc;
}

/* The certificate in a file, as nginx wants it, and two lines for the snippet. */
static int add_key(struct setup *s, const struct setup_key *k, const char *path, struct buf *out,
                   struct err *e)
{
    struct buf uri = {0};
    int rc = -1;

    if (k != NULL && engine_uri(s, k, &uri, e) == 0 &&
        setup_file(s, path, 0644, buf_bytes(&k->chain), e) == 0) {
        buf_printf(out,
                   "ssl_certificate %s;\n"
                   "ssl_certificate_key \"engine:pkcs11:%s\";\n",
                   path, (const char *)uri.p);
        rc = buf_ok(out, e);
    }
    buf_free(&uri);
    return rc;
}

static int plan(struct setup *s, struct err *e)
{
    const char *module = setup_module(s, e), *second = cli_option(setup_cli(s), "second-label");
    struct buf text = {0};
    int rc = -1;

    if (module == NULL || find_module(s, module, e) != 0)
        return -1;
    buf_str(&text, "# written by fusetsu setup nginx\n");
    if (add_key(s, setup_certified_key(s, e), CERT, &text, e) == 0 &&
        (second == NULL || add_key(s, setup_second_key(s, second, e), SECOND_CERT, &text, e) == 0))
        rc = setup_file(s, SNIPPET, 0644, buf_bytes(&text), e);
    buf_free(&text);
    engine_say_pin(s, "nginx");
    setup_say(s, "In the server blocks that shall use the key:");
    setup_lines(s, "include snippets/fusetsu.conf;");
    setup_say(s, "nginx reads the settings in /etc/fusetsu.conf, and the file of the PIN as root. "
                 "Its workers are another user, who must be allowed to use the TPM and to read "
                 "the store, for instance:");
    setup_lines(s, "usermod -aG tss www-data\n"
                   "chgrp tss /var/lib/fusetsu /var/lib/fusetsu/store.db\n"
                   "chmod 750 /var/lib/fusetsu && chmod 640 /var/lib/fusetsu/store.db\n"
                   "systemctl daemon-reload && systemctl restart nginx");
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {.name = "nginx", .scopes = SETUP_SYSTEM, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_nginx = {
    .group = "setup",
    .name = "nginx",
    .shared = CLI_TOKEN | CLI_KEY | CLI_SETUP | CLI_JSON,
    .options = options,
    .summary = "let nginx serve TLS with a key on the token",
    .about = "Writes files below /etc/nginx that load OpenSSL's pkcs11 engine and name the key and "
             "its certificate, and one for systemd by which the engine finds the module. Server "
             "blocks then include snippets/fusetsu.conf.",
    .examples = "fusetsu setup nginx --token web --label tls --pin-source /etc/nginx/pin\n"
                "fusetsu setup nginx --token web --label ec --second-label rsa --pin-source "
                "/etc/nginx/pin\n"
                "fusetsu setup nginx --undo",
    .run = run,
};
