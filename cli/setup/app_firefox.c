/* Firefox: for the system by its policies, for a user by the database of the profile. */
#include "cli/commands.h"
#include "cli/setup/setup.h"
#include "core/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define POLICIES_MAX ((size_t)1 << 20)
#define PREFERENCE "security.default_personal_cert"
#define BY_ITSELF "Select Automatically"

/* The file that Firefox reads first, and alone when it is there. */
#define POLICIES "/etc/firefox/policies/policies.json"

/* What it reads otherwise, below where it is installed. */
static const char *const distributed[] = {
    "/usr/lib/firefox-esr/distribution/policies.json",
    "/usr/lib/firefox/distribution/policies.json",
    "/usr/lib64/firefox/distribution/policies.json",
    "/opt/firefox/distribution/policies.json",
};

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for a plan");
}

/* --- the system: policies ---------------------------------------------------------------- */

/* The object "policies" of a file; *out is NULL where there is none. setup_pointer complains of
 * files that are no JSON. */
static int policies_read(const char *path, json_t **out, struct err *e)
{
    struct buf text = {0};
    json_t *doc = NULL;

    *out = NULL;
    if (access(path, F_OK) != 0)
        return 0;
    if (file_read(path, POLICIES_MAX, &text, e) != 0)
        return -1;
    if (text.len != 0)
        doc = json_loadb((const char *)text.p, text.len, 0, NULL);
    *out = json_incref(json_object_get(doc, "policies"));
    json_decref(doc);
    buf_free(&text);
    return 0;
}

/* SecurityDevices is {"Add": {NAME: FILE}, "Delete": [NAME]}, or, older, {NAME: FILE}: Firefox
 * would not look at the names of an older one beside an "Add". */
static const char *device_pointer(json_t *policies)
{
    json_t *devices = json_object_get(policies, "SecurityDevices");
    bool older = json_object_size(devices) != 0 && json_object_get(devices, "Add") == NULL &&
                 json_object_get(devices, "Delete") == NULL;

    return older ? "/policies/SecurityDevices/fusetsu" : "/policies/SecurityDevices/Add/fusetsu";
}

static int choose_by_policy(struct setup *s, const char *path, json_t *policies, struct err *e)
{
    json_t *value = json_pack("{s:s,s:s}", "Value", BY_ITSELF, "Status", "default");
    json_t *is = json_object_get(json_object_get(policies, "Preferences"), PREFERENCE);

    if (is != NULL && !json_equal(is, value)) {
        json_decref(value);
        return err_set(e, E_EXISTS,
                       "%s says already how a certificate is chosen (" PREFERENCE
                       "); leave --auto away, or take that out first",
                       path);
    }
    return setup_pointer(s, path, "/policies/Preferences/" PREFERENCE, value, e);
}

static int policies_write(struct setup *s, const char *path, const char *module, struct err *e)
{
    json_t *policies = NULL;
    int rc = -1;

    if (policies_read(path, &policies, e) == 0 &&
        setup_pointer(s, path, device_pointer(policies), json_string(module), e) == 0)
        rc = cli_flag(setup_cli(s), "auto") ? choose_by_policy(s, path, policies, e) : 0;
    json_decref(policies);
    return rc;
}

static int plan_system(struct setup *s, struct err *e)
{
    const char *module = setup_module(s, e);
    bool any = false;

    if (module == NULL)
        return -1;
    /* A file there would hide those of the installations. */
    for (size_t i = 0; access(POLICIES, F_OK) != 0 && i < ARRAY_LEN(distributed); i++) {
        if (access(distributed[i], F_OK) != 0)
            continue;
        any = true;
        if (policies_write(s, distributed[i], module, e) != 0)
            return -1;
    }
    if (!any && policies_write(s, POLICIES, module, e) != 0)
        return -1;
    setup_say(
        s, "Firefox loads the module when it is started next; about:policies shows the policy. A "
           "profile that was started with it keeps the module after --undo, too: its owner "
           "takes it out under Settings, Security Devices.");
    return 0;
}

/* --- a user: profiles ------------------------------------------------------------------------ */

/* The sections of an INI file as objects of strings. */
static json_t *ini_read(char *text)
{
    json_t *out = json_object(), *section = NULL;

    for (char *line = text, *next; line != NULL && *line != 0; line = next) {
        char *equals;

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        equals = strchr(line, '=');
        if (*line == '[') {
            line[strcspn(line, "]")] = 0;
            section = json_object();
            (void)json_object_set_new(out, &line[1], section);
        } else if (equals != NULL && section != NULL) {
            *equals = 0;
            (void)json_object_set_new(section, line, json_string(&equals[1]));
        }
    }
    return out;
}

/* Appends the profile at `path`, which may be relative to `root`, unless it is there already. */
static void take(json_t *profiles, const char *root, const char *path)
{
    json_t *one, *is;
    size_t i;

    if (path == NULL)
        return;
    one = *path == '/' ? json_string(path) : json_sprintf("%s/%s", root, path);
    json_array_foreach (profiles, i, is) {
        if (json_equal(is, one)) {
            json_decref(one);
            return;
        }
    }
    (void)json_array_append_new(profiles, one);
}

static const char *member(json_t *section, const char *key)
{
    return json_string_value(json_object_get(section, key));
}

/* The profiles that the installations of Firefox start with ([Install...]); where no one has
 * noted one, the default of them all, or the only one. */
static void profiles_of(json_t *ini, const char *root, json_t *profiles)
{
    const char *name, *path = NULL;
    size_t before = json_array_size(profiles), n = 0;
    bool is_default = false;
    json_t *section;

    json_object_foreach(ini, name, section)
    {
        if (strncmp(name, "Install", 7) == 0)
            take(profiles, root, member(section, "Default"));
        if (strncmp(name, "Profile", 7) != 0 || is_default)
            continue;
        n++;
        path = member(section, "Path");
        is_default = member(section, "Default") != NULL && *member(section, "Default") == '1';
    }
    if (json_array_size(profiles) == before && (is_default || n == 1))
        take(profiles, root, path);
}

static int profiles_below(const char *root, json_t *profiles, struct err *e)
{
    struct buf path = {0}, text = {0};
    json_t *ini = NULL;
    int rc = -1;

    buf_printf(&path, "%s/profiles.ini", root);
    if (buf_cstr(&path) == NULL) {
        no_memory(e);
    } else if (access((const char *)path.p, F_OK) != 0) {
        rc = 0;
    } else if (file_read((const char *)path.p, POLICIES_MAX, &text, e) == 0) {
        if (buf_cstr(&text) != NULL)
            ini = ini_read((char *)text.p);
        profiles_of(ini, root, profiles);
        rc = 0;
    }
    json_decref(ini);
    buf_free(&path);
    buf_free(&text);
    return rc;
}

/* Since 147 new profiles are made where XDG says; older ones stay where they were. */
static int profiles_find(struct setup *s, json_t *profiles, struct err *e)
{
    struct buf old = {0}, new = {0};
    int rc = -1;

    if (setup_home_path(s, &old, ".mozilla/firefox", e) == 0 &&
        setup_config_path(s, &new, "mozilla/firefox", e) == 0 &&
        profiles_below((const char *)old.p, profiles, e) == 0)
        rc = profiles_below((const char *)new.p, profiles, e);
    if (rc == 0 && json_array_size(profiles) == 0)
        rc = err_set(e, E_NOT_FOUND,
                     "this user has no profile of Firefox yet; start Firefox once, or name the "
                     "directory of a profile with --profile");
    buf_free(&old);
    buf_free(&new);
    return rc;
}

static int choose_in_profile(struct setup *s, const char *dir, struct err *e)
{
    struct block b = {.comment = "//", .place = BLOCK_BOTTOM};
    struct buf path = {0};
    int rc = -1;

    buf_printf(&path, "%s/user.js", dir);
    if (buf_cstr(&path) == NULL)
        no_memory(e);
    else
        rc = setup_block(s, (const char *)path.p, 0600, b,
                         "user_pref(\"" PREFERENCE "\", \"" BY_ITSELF "\");\n", e);
    buf_free(&path);
    return rc;
}

static int plan_user(struct setup *s, struct err *e)
{
    const char *given = cli_option(setup_cli(s), "profile");
    json_t *profiles = json_array(), *dir;
    struct buf path = {0};
    int rc = -1;
    size_t i;

    if (given == NULL) {
        if (profiles_find(s, profiles, e) != 0)
            goto out;
    } else if (setup_absolute(given, &path, e) != 0) {
        goto out;
    } else {
        take(profiles, "", (const char *)path.p);
    }
    json_array_foreach (profiles, i, dir) {
        const char *name = json_string_value(dir);

        if (name == NULL || access(name, X_OK) != 0) {
            err_set(e, E_NOT_FOUND, "there is no profile of Firefox in %s: %s",
                    name != NULL ? name : "?", strerror(errno));
            goto out;
        }
        if (setup_nss(s, name, e) != 0 ||
            (cli_flag(setup_cli(s), "auto") && choose_in_profile(s, name, e) != 0))
            goto out;
    }
    setup_say(
        s, "End Firefox before, and start it then; Settings, Security Devices shows the module.");
    rc = 0;
out:
    json_decref(profiles);
    buf_free(&path);
    return rc;
}

static int plan(struct setup *s, struct err *e)
{
    if (!setup_is_system(s))
        return plan_user(s, e);
    if (cli_option(setup_cli(s), "profile") != NULL)
        return err_set(e, E_USAGE, "--profile goes with --user; the system has no profile");
    return plan_system(s, e);
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"profile", NULL};
    static const struct setup_app app = {
        .name = "firefox", .scopes = SETUP_USER | SETUP_SYSTEM, .which = which, .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"profile", "DIR", "for a user: this profile, not the one that Firefox starts with", false},
    {"auto", NULL, "let Firefox choose a certificate by itself, where a site wants one", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_firefox = {
    .group = "setup",
    .name = "firefox",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_JSON,
    .options = options,
    .summary = "let Firefox use keys and certificates of the tokens",
    .about = "As root, adds the module to Firefox's policies, for all users; else to the profile "
             "that this user's Firefox starts with, by NSS's modutil. Firefox asks for the PIN.",
    .examples = "fusetsu setup firefox\n"
                "fusetsu setup firefox --user --profile ~/.mozilla/firefox/work --auto",
    .run = run,
};
