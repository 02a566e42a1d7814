#include "core/conf.h"

#include "core/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE ((size_t)64 << 10)

struct conf {
    char *path;
    char *home, *config_home, *state_home;
    char *store;
    char *tcti;
    char *log;
    char *run; /* NULL: none */
    bool sha1, usb;
};

/* A variable that is set to something; always NULL in a set-user-ID process. */
static const char *env(const char *name)
{
    const char *v = secure_getenv(name);

    return v != NULL && *v != 0 ? v : NULL;
}

static char *text(struct err *e, const char *a, const char *b)
{
    char *s = NULL;

    if (asprintf(&s, "%s%s", a, b) < 0) {
        err_set(e, E_MEMORY, "out of memory for the settings");
        return NULL;
    }
    return s;
}

static char *home(struct err *e)
{
    const char *h = env("HOME");
    struct passwd pw, *found = NULL;
    char room[4096];

    if (h != NULL && *h == '/')
        return text(e, h, "");
    /* Servers such as nginx run modules without any environment. */
    if (getpwuid_r(geteuid(), &pw, room, sizeof(room), &found) == 0 && found != NULL &&
        found->pw_dir != NULL && *found->pw_dir == '/')
        return text(e, found->pw_dir, "");
    return text(e, "/", "");
}

/* `variable` of the XDG base directory specification, which ignores relative
 * values, else `fallback` below the home directory; then `rest`. */
static char *xdg(const char *variable, const char *fallback, const char *rest, struct err *e)
{
    const char *base = env(variable);
    char *h = NULL, *below = NULL, *path = NULL;

    if (base != NULL && *base == '/')
        return text(e, base, rest);
    h = home(e);
    if (h != NULL)
        below = text(e, h, fallback);
    if (below != NULL)
        path = text(e, below, rest);
    free(below);
    free(h);
    return path;
}

/* The settings decide which TPM and which store are trusted: a file that another
 * user can write does not count. */
static int check_owner(int fd, const char *path, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_set(e, E_IO, "cannot look at the settings file %s: %s; check its disk", path,
                       strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, E_FORMAT, "the settings path %s is not a regular file; give a file",
                       path);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return err_set(e, E_DENIED,
                       "the settings file %s belongs to user %u, who is neither root"
                       " nor you (%u): it is not read; change its owner",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & S_IWOTH) != 0)
        return err_set(e, E_DENIED,
                       "the settings file %s can be written by everybody: it is not"
                       " read; run chmod o-w on it",
                       path);
    return 0;
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
    uint8_t part[4096];
    ssize_t n;
    int rc = -1;
    /* O_NONBLOCK: a pipe put in this place must not hang the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return err_set(e, errno == ENOENT || errno == ENOTDIR ? E_NOT_FOUND : E_DENIED,
                       "cannot read the settings file %s: %s; check its path and mode", path,
                       strerror(errno));
    if (check_owner(fd, path, e) != 0)
        goto out;
    while ((n = read(fd, part, sizeof(part))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_set(e, E_IO, "cannot read the settings file %s: %s; check its disk", path,
                    strerror(errno));
            goto out;
        }
        if ((size_t)n > MAX_FILE - out->len) {
            err_set(e, E_FORMAT,
                    "the settings file %s is longer than %zu bytes; check that it is"
                    " the right file",
                    path, MAX_FILE);
            goto out;
        }
        buf_add(out, part, (size_t)n);
    }
    rc = buf_ok(out, e);
out:
    close(fd);
    return rc;
}

static int parse(const char *path, CONF **out, struct err *e)
{
    struct buf content = {0};
    CONF *c = NCONF_new(NULL);
    BIO *in = NULL;
    long line = 0;
    int rc = -1;

    if (read_file(path, &content, e) != 0)
        goto out;
    in = BIO_new_mem_buf(content.len != 0 ? (const void *)content.p : "", (int)content.len);
    if (c == NULL || in == NULL) {
        err_set(e, E_MEMORY, "out of memory for the settings");
        goto out;
    }
    /* An empty file has nothing to say; NCONF would take it for a failure. */
    if (content.len != 0 && NCONF_load_bio(c, in, &line) != 1) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());

        err_set(e, E_FORMAT,
                "the settings file %s does not parse at line %ld (%s); correct that"
                " line",
                path, line, why != NULL ? why : "no reason given");
        goto out;
    }
    *out = c;
    c = NULL;
    rc = 0;
out:
    NCONF_free(c);
    BIO_free(in);
    buf_free(&content);
    return rc;
}

/* Which file to read: sets `*path` to NULL when there is none. */
static int choose(char **path, struct err *e)
{
    const char *named = env("FUSETSU_CONF");
    char *mine = NULL;
    struct stat st;

    if (named != NULL)
        return (*path = text(e, named, "")) != NULL ? 0 : -1;
    mine = xdg("XDG_CONFIG_HOME", "/.config", "/fusetsu/fusetsu.conf", e);
    if (mine == NULL)
        return -1;
    /* One that cannot even be looked at (another user's home) is as good as none. */
    if (stat(mine, &st) == 0) {
        *path = mine;
        return 0;
    }
    free(mine);
    *path = NULL;
    if (stat("/etc/fusetsu.conf", &st) == 0)
        return (*path = text(e, "/etc/fusetsu.conf", "")) != NULL ? 0 : -1;
    return 0;
}

/* Environment, else file, else NULL with nothing recorded. */
static const char *setting(CONF *file, const char *key, const char *variable)
{
    const char *v = env(variable);

    if (v == NULL && file != NULL)
        v = NCONF_get_string(file, "default", key);
    return v != NULL && *v != 0 ? v : NULL;
}

static char *default_store(struct err *e)
{
    if (geteuid() == 0)
        return text(e, "/var/lib/fusetsu/store.db", "");
    return xdg("XDG_DATA_HOME", "/.local/share", "/fusetsu/store.db", e);
}

/* "none" is none; so is, by itself, what cannot be written to. */
static int choose_run(char **run, CONF *file, struct err *e)
{
    const char *v = setting(file, "run", "FUSETSU_RUN");

    if (v == NULL && access("/run/lock", W_OK | X_OK) == 0)
        v = "/run/lock";
    if (v == NULL)
        v = env("XDG_RUNTIME_DIR");
    if (v == NULL || *v != '/')
        return 0;
    return (*run = text(e, v, "")) != NULL ? 0 : -1;
}

/* Only these two words: what allows something weak shall not be guessed from a typing error.
 * `*out` is what it is by default. */
static int choose_yes(bool *out, CONF *file, const char *key, const char *variable, struct err *e)
{
    const char *v = setting(file, key, variable);

    if (v == NULL)
        return 0;
    *out = strcmp(v, "yes") == 0;
    if (*out || strcmp(v, "no") == 0)
        return 0;
    return err_set(e, E_FORMAT, "the setting %s is '%.20s'; write yes or no", key, v);
}

int conf_load(struct conf **out, struct err *e)
{
    struct conf *c = calloc(1, sizeof(*c));
    CONF *file = NULL;
    const char *v;
    int rc = -1;

    /* An application that loads our module owns the OpenSSL error queue. */
    ERR_set_mark();
    if (c == NULL) {
        err_set(e, E_MEMORY, "out of memory for the settings");
        goto out;
    }
    c->usb = true;
    if (choose(&c->path, e) != 0 || (c->path != NULL && parse(c->path, &file, e) != 0))
        goto out;
    c->home = home(e);
    c->config_home = xdg("XDG_CONFIG_HOME", "/.config", "", e);
    c->state_home = xdg("XDG_STATE_HOME", "/.local/state", "", e);
    v = setting(file, "store", "FUSETSU_STORE");
    c->store = v != NULL ? text(e, v, "") : default_store(e);
    v = setting(file, "tcti", "FUSETSU_TCTI");
    c->tcti = text(e, v != NULL ? v : "device:/dev/tpmrm0", "");
    v = setting(file, "log", "FUSETSU_LOG");
    c->log = text(e, v != NULL ? v : "warn", "");
    if (c->home == NULL || c->config_home == NULL || c->state_home == NULL || c->store == NULL ||
        c->tcti == NULL || c->log == NULL || choose_run(&c->run, file, e) != 0 ||
        choose_yes(&c->sha1, file, "sha1", "FUSETSU_SHA1", e) != 0 ||
        choose_yes(&c->usb, file, "usb", "FUSETSU_USB", e) != 0)
        goto out;
    *out = c;
    c = NULL;
    rc = 0;
out:
    ERR_pop_to_mark();
    NCONF_free(file);
    conf_free(c);
    return rc;
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    free(c->path);
    free(c->home);
    free(c->config_home);
    free(c->state_home);
    free(c->store);
    free(c->tcti);
    free(c->log);
    free(c->run);
    free(c);
}

const char *conf_store(const struct conf *c)
{
    return c->store;
}

const char *conf_tcti(const struct conf *c)
{
    return c->tcti;
}

const char *conf_log(const struct conf *c)
{
    return c->log;
}

const char *conf_run(const struct conf *c)
{
    return c->run;
}

bool conf_sha1(const struct conf *c)
{
    return c->sha1;
}

bool conf_usb(const struct conf *c)
{
    return c->usb;
}

const char *conf_config_home(const struct conf *c)
{
    return c->config_home;
}

const char *conf_home(const struct conf *c)
{
    return c->home;
}

const char *conf_state_home(const struct conf *c)
{
    return c->state_home;
}

const char *conf_path(const struct conf *c)
{
    return c->path;
}

const char *conf_peer_cert(void)
{
    return env("peer_cert");
}
