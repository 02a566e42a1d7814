/* ssh: lines at the top of ~/.ssh/config, where the first value that is found counts. */
#include "cli/commands.h"
#include "cli/setup/setup.h"
#include "core/sshkey.h"

#include <stdlib.h>
#include <string.h>

/* In quotes, as ssh_config(5) takes an argument; `expanded` ones take %% for a percent sign. */
static int add_quoted(struct buf *out, const char *text, bool expanded, struct err *e)
{
    if (strpbrk(text, "\"\\\n\r") != NULL)
        return cli_misuse(e, "ssh's settings cannot hold the path %s; choose another", text);
    buf_u8(out, '"');
    for (const char *p = text; *p != 0; p++)
        buf_str(out, expanded && *p == '%' ? "%%" : (const char[]){*p, 0});
    buf_str(out, "\"\n");
    return 0;
}

/* The public half lies beside the settings under a name that tells the hosts apart. */
static int public_path(struct setup *s, const char *host, struct buf *out, struct err *e)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    struct buf name = {0};
    int rc = -1;

    buf_str(&name, ".ssh/fusetsu");
    if (host != NULL) {
        buf_u8(&name, '-');
        for (const char *p = host; *p != 0; p++)
            buf_u8(&name, strchr(plain, *p) != NULL ? (uint8_t)*p : '_');
    }
    buf_str(&name, ".pub");
    if (buf_cstr(&name) != NULL)
        rc = setup_home_path(s, out, (const char *)name.p, e);
    else
        err_set(e, E_MEMORY, "out of memory for a path");
    buf_free(&name);
    return rc;
}

/* One key and no other, when the command line names one. */
static int add_key(struct setup *s, const char *host, struct buf *text, struct err *e)
{
    const struct setup_key *k = setup_key(s, e);
    struct buf path = {0}, line = {0};
    int rc = -1;

    if (k == NULL || public_path(s, host, &path, e) != 0 ||
        sshkey_line(buf_bytes(&k->spki), k->label, &line, e) != 0)
        goto out;
    buf_u8(&line, '\n');
    buf_str(text, "    IdentityFile ");
    if (add_quoted(text, (const char *)path.p, true, e) != 0 ||
        setup_file(s, (const char *)path.p, 0644, buf_bytes(&line), e) != 0)
        goto out;
    buf_str(text, "    IdentitiesOnly yes\n");
    setup_say(s, "The line for authorized_keys on the other side:");
    if (buf_cstr(&line) != NULL)
        setup_lines(s, (const char *)line.p);
    rc = 0;
out:
    buf_free(&path);
    buf_free(&line);
    return rc;
}

static bool names_a_key(struct setup *s)
{
    return cli_option(setup_cli(s), "label") != NULL || cli_option(setup_cli(s), "id") != NULL ||
           cli_option(setup_cli(s), "uri") != NULL;
}

static void tell_of_agents(struct setup *s, const char *module)
{
    struct buf line = {0};
    char *real = realpath(module, NULL);
    const char *path = real != NULL ? real : module;

    setup_say(s, "ssh asks for the PIN at each login; an agent asks once:");
    buf_printf(&line, "ssh-add -s '%s'", module);
    if (buf_cstr(&line) != NULL)
        setup_lines(s, (const char *)line.p);
    /* ssh-agent(1), -P: what it allows by itself. */
    if (strncmp(path, "/usr/lib/", 9) != 0 && strncmp(path, "/usr/local/lib/", 15) != 0)
        setup_say(s,
                  "The agent has to be started with -P '%s': by itself it loads modules below "
                  "/usr/lib and /usr/local/lib only.",
                  path);
    buf_free(&line);
    free(real);
}

static int plan(struct setup *s, struct err *e)
{
    const char *module = setup_module(s, e), *host = cli_option(setup_cli(s), "host");
    const struct block top = {.comment = "#", .place = BLOCK_TOP};
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (module == NULL)
        return -1;
    if (host != NULL && (*host == 0 || strpbrk(host, "#\"\n\r") != NULL))
        return cli_misuse(e, "--host: a pattern of ssh_config(5), not '%s'", host);
    buf_printf(&text, "Host %s\n    PKCS11Provider ", host != NULL ? host : "*");
    if (add_quoted(&text, module, false, e) != 0)
        goto out;
    if (names_a_key(s) && add_key(s, host, &text, e) != 0)
        goto out;
    /* What stands below was for every host, and stays so. */
    buf_str(&text, "Match all\n");
    if (buf_cstr(&text) == NULL || setup_home_path(s, &path, ".ssh/config", e) != 0)
        goto out;
    rc = setup_block(s, (const char *)path.p, 0600, top, (const char *)text.p, e);
    tell_of_agents(s, module);
out:
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"host", NULL};
    static const struct setup_app app = {
        .name = "openssh", .scopes = SETUP_USER, .which = which, .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"host", "PATTERN", "for these hosts only, as in ssh_config(5) (default: all)", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_openssh = {
    .group = "setup",
    .name = "openssh",
    .shared = CLI_SETUP | CLI_TOKEN | CLI_ASKED | CLI_JSON,
    .options = options,
    .summary = "let ssh log in with keys of the token",
    .about = "Puts lines at the top of ~/.ssh/config by which ssh loads the module. With --label, "
             "--id or --uri it also writes the public half of that key to ~/.ssh, and ssh offers "
             "that key only; without, it offers all of all tokens.",
    .examples = "fusetsu setup openssh\n"
                "fusetsu setup openssh --host '*.example.org' --label login\n"
                "fusetsu setup openssh --host '*.example.org' --undo",
    .run = run,
};
