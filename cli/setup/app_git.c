/* git's signatures by ssh (gpg.format=ssh): settings in a file of our own, which ~/.gitconfig
 * includes at its end, and who may sign at its top, where what the user says wins. */
#include "cli/commands.h"
#include "cli/setup/setup.h"
#include "core/sshkey.h"

#include <string.h>
#include <unistd.h>

/* git-config(1), "Values". */
static void add_value(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\t%s = \"", name);
    for (const char *p = value; *p != 0; p++) {
        if (*p == '"' || *p == '\\')
            buf_u8(out, '\\');
        if (*p == '\n')
            buf_str(out, "\\n");
        else
            buf_u8(out, (uint8_t)*p);
    }
    buf_str(out, "\"\n");
}

/* The settings of this user: git writes to ~/.gitconfig unless only the other one is there. */
static int user_settings(struct setup *s, struct buf *out, struct err *e)
{
    struct buf other = {0};
    int rc = setup_home_path(s, out, ".gitconfig", e);

    if (rc == 0 && access((const char *)out->p, F_OK) != 0) {
        rc = setup_config_path(s, &other, "git/config", e);
        if (rc == 0 && access((const char *)other.p, F_OK) == 0) {
            buf_free(out);
            *out = other;
            return 0;
        }
    }
    buf_free(&other);
    return rc;
}

/* ssh-keygen(1), "ALLOWED SIGNERS". */
static int signers(struct setup *s, const char *email, const char *key, struct buf *path,
                   struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    buf_printf(&text, "%s namespaces=\"git\" %s\n", email, key);
    if (buf_ok(&text, e) == 0 && setup_config_path(s, path, "fusetsu/git-signers", e) == 0)
        rc = setup_file(s, (const char *)path->p, 0644, buf_bytes(&text), e);
    buf_free(&text);
    return rc;
}

static int settings(struct setup *s, const char *key, struct buf *path, struct err *e)
{
    struct buf text = {0}, signing = {0};
    int rc = -1;

    buf_printf(&signing, "key::%s", key);
    if (buf_cstr(&signing) == NULL || setup_config_path(s, path, "fusetsu/git.conf", e) != 0)
        goto out;
    buf_str(&text, "# written by fusetsu setup git\n[gpg]\n");
    add_value(&text, "format", "ssh");
    buf_str(&text, "[user]\n");
    add_value(&text, "signingkey", (const char *)signing.p);
    if (buf_ok(&text, e) == 0)
        rc = setup_file(s, (const char *)path->p, 0644, buf_bytes(&text), e);
out:
    buf_free(&text);
    buf_free(&signing);
    return rc;
}

static int put(struct setup *s, const char *path, enum block_place place, const char *section,
               const char *name, const char *value, struct err *e)
{
    const struct block b = {.comment = "#", .place = place};
    struct buf text = {0};
    int rc = -1;

    buf_printf(&text, "[%s]\n", section);
    add_value(&text, name, value);
    if (buf_cstr(&text) != NULL)
        rc = setup_block(s, path, 0644, b, (const char *)text.p, e);
    else
        err_set(e, E_MEMORY, "out of memory for settings");
    buf_free(&text);
    return rc;
}

static void tell(struct setup *s, const char *module, const char *email)
{
    struct buf line = {0};

    setup_say(s, "git signs by the ssh-agent, which has to hold the token:");
    buf_printf(&line, "ssh-add -s '%s'\ngit commit -S\ngit verify-commit HEAD", module);
    if (buf_cstr(&line) != NULL)
        setup_lines(s, (const char *)line.p);
    setup_say(s,
              "Signatures by %s verify unless your own gpg.ssh.allowedSignersFile says otherwise; "
              "`git config --global commit.gpgsign true` signs every commit.",
              email);
    buf_free(&line);
}

static int plan(struct setup *s, struct err *e)
{
    const char *email = cli_option(setup_cli(s), "email"), *module = setup_module(s, e);
    struct buf config = {0}, key = {0}, by = {0}, ours = {0};
    const struct setup_key *k;
    int rc = -1;

    if (email == NULL || *email == 0 || strpbrk(email, " \t\r\n\"#,*?!") != NULL)
        return cli_misuse(e,
                          "--email: the address of the one who signs, as git's user.email has it");
    k = module != NULL ? setup_key(s, e) : NULL;
    if (k == NULL || sshkey_line(buf_bytes(&k->spki), NULL, &key, e) != 0 ||
        buf_cstr(&key) == NULL || user_settings(s, &config, e) != 0)
        goto out;
    if (signers(s, email, (const char *)key.p, &by, e) != 0 ||
        settings(s, (const char *)key.p, &ours, e) != 0 ||
        put(s, (const char *)config.p, BLOCK_TOP, "gpg \"ssh\"", "allowedSignersFile",
            (const char *)by.p, e) != 0 ||
        put(s, (const char *)config.p, BLOCK_BOTTOM, "include", "path", (const char *)ours.p, e) !=
            0)
        goto out;
    tell(s, module, email);
    rc = 0;
out:
    buf_free(&config);
    buf_free(&key);
    buf_free(&by);
    buf_free(&ours);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {.name = "git", .scopes = SETUP_USER, .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"email", "ADDRESS", "who signs, as git's user.email has it (needed unless --undo)", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_git = {
    .group = "setup",
    .name = "git",
    .shared = CLI_SETUP | CLI_TOKEN | CLI_ASKED | CLI_JSON,
    .options = options,
    .summary = "let git sign commits and tags with a key of the token",
    .about = "Writes git's settings for signatures by ssh with that key into a file of our own, "
             "includes it at the end of ~/.gitconfig, and allows the key for the address, so that "
             "`git verify-commit` knows it; an allowedSignersFile of your own stays in force. "
             "Signing goes by the ssh-agent.",
    .examples = "fusetsu setup git --email me@example.org --label login\n"
                "fusetsu setup git --undo",
    .run = run,
};
