/* p11-kit, and by it GnuTLS, curl with GnuTLS, libp11's engine by default, and NSS where the
 * distribution's proxy module is used: one small file names the module (pkcs11.conf(5)). */
#include "cli/commands.h"
#include "cli/setup/setup.h"

static const struct cli_option options[] = {
    {"trust", NULL, "certificates that the SO trusts are roots for everybody", false},
    {0},
};

static int plan(struct setup *s, struct err *e)
{
    const char *module = setup_module(s, e);
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (module == NULL)
        return -1;
    if (setup_is_system(s))
        buf_str(&path, "/etc/pkcs11/modules/fusetsu.module");
    else if (setup_config_path(s, &path, "pkcs11/modules/fusetsu.module", e) != 0)
        goto out;
    buf_printf(&text, "# written by fusetsu setup p11-kit\nmodule: %s\n%s", module,
               cli_flag(setup_cli(s), "trust") ? "trust-policy: yes\n" : "");
    if (buf_cstr(&path) != NULL && buf_ok(&text, e) == 0)
        rc = setup_file(s, (const char *)path.p, 0644, buf_bytes(&text), e);
    setup_say(s, "Programs that ask p11-kit see the tokens now; `p11-kit list-modules` shows it.");
out:
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {
        .name = "p11-kit", .scopes = SETUP_USER | SETUP_SYSTEM, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_p11_kit = {
    .group = "setup",
    .name = "p11-kit",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_JSON,
    .options = options,
    .summary = "register the module with p11-kit, for GnuTLS and all who ask it",
    .about = "Writes one file that names the module: in /etc/pkcs11/modules as root, else in this "
             "user's own settings. With --trust, programs that ask p11-kit for roots take the "
             "certificates that were imported with `fusetsu cert import --trusted` for such.",
    .examples = "fusetsu setup p11-kit\nfusetsu setup p11-kit --undo",
    .run = run,
};
