/* Java by its provider SunPKCS11: the provider's settings, and a file of security properties that
 * names them to the programs that shall use the token. */
#include "cli/commands.h"
#include "cli/place.h"
#include "cli/setup/setup.h"

/* A store may have many tokens, and the provider takes one: by the slot's id, which is the token's
 * row and stays, where the command line names it; else the first slot there is. */
static int add_slot(struct setup *s, struct buf *out, struct err *e)
{
    struct cli *c = setup_cli(s);
    struct store_token row;
    struct store *store = NULL;
    int rc = -1;

    if (place_store(c, STORE_READ, &store, e) != 0 || place_row(c, store, &row, e) != 0)
        goto out;
    if (cli_option(c, "token") != NULL || cli_option(c, "uri") != NULL)
        buf_printf(out, "slot = %lld\n", (long long)row.id);
    else
        buf_str(out, "slotListIndex = 0\n");
    rc = 0;
out:
    store_close(store);
    return rc;
}

/* Properties files are ISO 8859-1 with escapes (java.util.Properties): a path that is plain. */
static int check_path(const char *path, struct err *e)
{
    for (const char *p = path; *p != 0; p++) {
        if (*p < ' ' || *p > '~' || *p == '\\' || *p == '$')
            return cli_misuse(e, "Java's settings cannot hold the path %s; choose a plainer one",
                              path);
    }
    return 0;
}

static int path_of(struct setup *s, const char *name, struct buf *out, struct err *e)
{
    struct buf below = {0};
    int rc = -1;

    if (setup_is_system(s)) {
        buf_printf(out, "/etc/fusetsu/%s", name);
        rc = buf_cstr(out) != NULL ? 0 : err_set(e, E_MEMORY, "out of memory for a path");
    } else {
        buf_printf(&below, "fusetsu/%s", name);
        rc = buf_cstr(&below) != NULL ? setup_config_path(s, out, (const char *)below.p, e)
                                      : err_set(e, E_MEMORY, "out of memory for a path");
    }
    buf_free(&below);
    return rc == 0 ? check_path((const char *)out->p, e) : -1;
}

static void tell(struct setup *s, const char *properties)
{
    struct buf lines = {0};

    setup_say(s, "For Java programs that shall use the token (a keystore of type PKCS11):");
    buf_printf(&lines,
               "java -Djava.security.properties=%s PROGRAM\n"
               "keytool -J-Djava.security.properties=%s -keystore NONE -storetype PKCS11 -list",
               properties, properties);
    if (buf_cstr(&lines) != NULL)
        setup_lines(s, (const char *)lines.p);
    buf_free(&lines);
}

static int plan(struct setup *s, struct err *e)
{
    struct buf provider = {0}, properties = {0}, text = {0};
    const char *module = setup_module(s, e);
    int rc = -1;

    if (module == NULL || check_path(module, e) != 0 ||
        path_of(s, "java-pkcs11.cfg", &provider, e) != 0 ||
        path_of(s, "java.security", &properties, e) != 0)
        goto out;
    buf_printf(&text, "# written by fusetsu setup java\nname = fusetsu\nlibrary = %s\n", module);
    if (add_slot(s, &text, e) != 0 || buf_ok(&text, e) != 0 ||
        setup_file(s, (const char *)provider.p, 0644, buf_bytes(&text), e) != 0)
        goto out;
    buf_free(&text);
    /* Its place in the list that java.security has on Linux, where it has no settings. */
    buf_printf(&text, "# written by fusetsu setup java\nsecurity.provider.12=SunPKCS11 %s\n",
               (const char *)provider.p);
    if (buf_ok(&text, e) != 0 ||
        setup_file(s, (const char *)properties.p, 0644, buf_bytes(&text), e) != 0)
        goto out;
    tell(s, (const char *)properties.p);
    rc = 0;
out:
    buf_free(&provider);
    buf_free(&properties);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const struct setup_app app = {
        .name = "java", .scopes = SETUP_USER | SETUP_SYSTEM, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_java = {
    .group = "setup",
    .name = "java",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_TOKEN | CLI_JSON,
    .summary = "let Java's provider SunPKCS11 use a token",
    .about = "Writes the settings of SunPKCS11 for one token and a file of security properties "
             "that puts it in force for the programs that are started with it (Java 9 or later); "
             "Java's own files stay as they are.",
    .examples = "fusetsu setup java --token gateway\nfusetsu setup java --undo",
    .run = run,
};
