#include "cli/cli.h"

#include "cli/help.h"
#include "cli/out.h"
#include "core/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 40

struct cli {
    const struct cli_command *cmd;
    struct cli_option option[MAX_OPTIONS]; /* shared ones included; ends with an empty row */
    const char *value[MAX_OPTIONS];        /* borrowed from argv; NULL: not given */
    int n_args;
    char **args;
    struct conf *conf;
    bool json_printed;
};

static const struct {
    unsigned bit;
    struct cli_option option;
} shared[] = {
    {CLI_TOKEN,
     {"token", "LABEL", "the token, by label or serial; not needed when there is only one", false}},
    {CLI_TOKEN,
     {"uri", "URI", "the token (and object, PIN file) as an RFC 7512 pkcs11: URI", false}},
    {CLI_USER_PIN, {"pin-file", "FILE", "read the user PIN from the first line of FILE", false}},
    {CLI_USER_PIN, {"pin-fd", "N", "read the user PIN from file descriptor N", false}},
    {CLI_SO_PIN, {"so-pin-file", "FILE", "read the SO PIN from the first line of FILE", false}},
    {CLI_SO_PIN, {"so-pin-fd", "N", "read the SO PIN from file descriptor N", false}},
    {CLI_NEW_PIN, {"new-pin-file", "FILE", "read the new PIN from the first line of FILE", false}},
    {CLI_NEW_PIN, {"new-pin-fd", "N", "read the new PIN from file descriptor N", false}},
    {CLI_KEY | CLI_ASKED, {"label", "TEXT", "the key's or its certificate's label", false}},
    {CLI_KEY | CLI_ASKED, {"id", "HEX", "the key's id", false}},
    {CLI_KEY,
     {"pin-source", "FILE", "where the application shall read the user PIN (default: it asks)",
      false}},
    {CLI_SETUP, {"undo", NULL, "take back what an earlier run wrote", false}},
    {CLI_SETUP, {"dry-run", NULL, "show what would be written, and write nothing", false}},
    {CLI_SETUP, {"module", "FILE", "the module to load (default: this program's own)", false}},
    {CLI_SCOPE, {"user", NULL, "as root, set up this user, not the system", false}},
    {CLI_JSON, {"json", NULL, "print JSON instead of words", false}},
};

/* One row for each code that does not simply mean "refused". */
static const enum cli_exit exits[] = {
    [E_OK] = CLI_OK,          [E_IO] = CLI_FILE,           [E_FORMAT] = CLI_FILE,
    [E_NOT_FOUND] = CLI_FILE, [E_EXISTS] = CLI_FILE,       [E_DENIED] = CLI_FILE,
    [E_BUSY] = CLI_FILE,      [E_FULL] = CLI_FILE,         [E_CORRUPT] = CLI_FILE,
    [E_VERSION] = CLI_FILE,   [E_PIN_WRONG] = CLI_PIN,     [E_PIN_LOCKED] = CLI_PIN,
    [E_PIN_LENGTH] = CLI_PIN, [E_PIN_UNSET] = CLI_PIN,     [E_PIN_INTERRUPT] = CLI_PIN,
    [E_LOCKOUT] = CLI_PIN,    [E_LOGIN] = CLI_PIN,         [E_NO_DEVICE] = CLI_NO_TPM,
    [E_REMOVED] = CLI_NO_TPM, [E_REJECTED] = CLI_REJECTED, [E_USAGE] = CLI_USAGE,
};

int cli_exit_code(enum err_code code)
{
    if (code == E_OK)
        return CLI_OK;
    if ((size_t)code >= ARRAY_LEN(exits) || exits[code] == CLI_OK)
        return CLI_REFUSED;
    return (int)exits[code];
}

int cli_misuse(struct err *e, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(e, E_USAGE, "%s", text);
}

static int option_index(const struct cli *c, const char *name)
{
    for (int i = 0; c->option[i].name != NULL; i++) {
        if (strcmp(c->option[i].name, name) == 0)
            return i;
    }
    return -1;
}

const char *cli_option(const struct cli *c, const char *name)
{
    int i = option_index(c, name);

    return i >= 0 ? c->value[i] : NULL;
}

bool cli_flag(const struct cli *c, const char *name)
{
    return cli_option(c, name) != NULL;
}

int cli_number(const struct cli *c, const char *name, unsigned min, unsigned max,
               unsigned otherwise, unsigned *out, struct err *e)
{
    const char *s = cli_option(c, name);
    unsigned long v;
    char *end = NULL;

    if (s == NULL) {
        *out = otherwise;
        return 0;
    }
    errno = 0;
    v = strtoul(s, &end, 10);
    if (*s < '0' || *s > '9' || *end != 0 || errno != 0 || v < min || v > max)
        return cli_misuse(e, "--%s takes a whole number from %u to %u, not \"%s\"", name, min, max,
                          s);
    *out = (unsigned)v;
    return 0;
}

int cli_text(const struct cli *c, const char *name, char *out, size_t size, struct err *e)
{
    const char *value = cli_option(c, name);

    if (value == NULL)
        return 0;
    if (strlen(value) >= size)
        return cli_misuse(e, "--%s has up to %zu bytes", name, size - 1);
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

int cli_n_args(const struct cli *c)
{
    return c->n_args;
}

const char *cli_arg(const struct cli *c, int i)
{
    return i >= 0 && i < c->n_args ? c->args[i] : NULL;
}

const struct conf *cli_conf(struct cli *c, struct err *e)
{
    if (c->conf == NULL && conf_load(&c->conf, e) == 0)
        log_set_level(conf_log(c->conf));
    return c->conf;
}

int cli_json(struct cli *c, json_t *doc, struct err *e)
{
    c->json_printed = true;
    return out_json(doc, e);
}

/* --- near misses --------------------------------------------------------- */

#define WORD_MAX 40

/* Levenshtein distance of two short words; WORD_MAX when one is too long. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], la = strlen(a), lb = strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1] ? 1 : 0);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

const char *cli_nearest(const char *word, const char *const *names, size_t n)
{
    const char *found = NULL;
    size_t best = WORD_MAX;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, names[i]);

        if (d < best && d <= (strlen(names[i]) + 2) / 3) {
            best = d;
            found = names[i];
        }
    }
    return found;
}

/* Misuse whose remedy is to read what the command takes. */
static int misuse_see_help(const struct cli *c, struct err *e, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int misuse_see_help(const struct cli *c, struct err *e, const char *fmt, ...)
{
    const struct cli_command *cmd = c->cmd;
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return cli_misuse(e, "%s; see `fusetsu %s%s%s --help`", text,
                      cmd->group != NULL ? cmd->group : "", cmd->group != NULL ? " " : "",
                      cmd->name);
}

static int unknown_option(const struct cli *c, const char *arg, struct err *e)
{
    const char *names[MAX_OPTIONS], *near;
    char name[WORD_MAX + 1];
    size_t n = 0, len;

    while (*arg == '-')
        arg++;
    /* What stands behind '=' may be a secret that was meant for a file. */
    len = strcspn(arg, "=");
    snprintf(name, sizeof(name), "%.*s", (int)(len < WORD_MAX ? len : WORD_MAX), arg);
    if (strcmp(name, "pin") == 0 || strcmp(name, "so-pin") == 0 || strcmp(name, "new-pin") == 0)
        return cli_misuse(e,
                          "a PIN is never an argument, where every process could read it; use "
                          "--%s-file or --%s-fd, or leave it out to be asked",
                          name, name);
    for (; c->option[n].name != NULL; n++)
        names[n] = c->option[n].name;
    near = cli_nearest(name, names, n);
    if (near != NULL && strcmp(near, name) == 0)
        return cli_misuse(e, "--%s takes no value", name);
    if (near != NULL)
        return cli_misuse(e, "there is no option --%s; did you mean --%s?", name, near);
    return misuse_see_help(c, e, "there is no option --%s here", name);
}

static int unknown_command(const struct cli_program *p, const char *group, const char *word,
                           struct err *e)
{
    const char *names[64], *near;
    size_t n = 0;

    for (const struct cli_group *g = p->groups; group == NULL && g->name != NULL; g++)
        names[n++] = g->name;
    for (size_t i = 0; p->commands[i] != NULL && n < ARRAY_LEN(names); i++) {
        const struct cli_command *cmd = p->commands[i];

        if (group == NULL ? cmd->group == NULL
                          : cmd->group != NULL && strcmp(cmd->group, group) == 0)
            names[n++] = cmd->name;
    }
    near = cli_nearest(word, names, n);
    if (near != NULL)
        return cli_misuse(e, "there is no command \"%s%s%.40s\"; did you mean \"%s%s%s\"?",
                          group != NULL ? group : "", group != NULL ? " " : "", word,
                          group != NULL ? group : "", group != NULL ? " " : "", near);
    return cli_misuse(e, "there is no command \"%s%s%.40s\"; `fusetsu%s%s --help` lists them",
                      group != NULL ? group : "", group != NULL ? " " : "", word,
                      group != NULL ? " " : "", group != NULL ? group : "");
}

/* --- parsing ------------------------------------------------------------- */

/* Own options first, then the shared ones. */
static int gather_options(struct cli *c, struct err *e)
{
    size_t n = 0;

    for (const struct cli_option *o = c->cmd->options; o != NULL && o->name != NULL; o++) {
        if (n + 1 >= MAX_OPTIONS)
            return err_set(e, E_ARG, "too many options in the table of %s", c->cmd->name);
        c->option[n++] = *o;
    }
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        if ((c->cmd->shared & shared[i].bit) == 0)
            continue;
        if (n + 1 >= MAX_OPTIONS)
            return err_set(e, E_ARG, "too many options in the table of %s", c->cmd->name);
        c->option[n++] = shared[i].option;
    }
    return 0;
}

static int check_given(const struct cli *c, struct err *e)
{
    for (int i = 0; c->option[i].name != NULL; i++) {
        if (c->option[i].required && c->value[i] == NULL)
            return misuse_see_help(c, e, "--%s %s is missing", c->option[i].name, c->option[i].arg);
    }
    if (c->n_args < c->cmd->min_args)
        return misuse_see_help(c, e, "%s is missing",
                               c->cmd->args != NULL ? c->cmd->args : "an argument");
    if (c->cmd->max_args >= 0 && c->n_args > c->cmd->max_args)
        return misuse_see_help(c, e, "\"%.60s\" is one argument too many",
                               c->args[c->cmd->max_args]);
    return 0;
}

/* The word that getopt_long() has just read as an option: it lies before the value when
 * that is a word of its own. */
static const char *typed_option(char **argv)
{
    bool apart = optarg != NULL && optarg == argv[optind - 1];

    return argv[apart ? optind - 2 : optind - 1];
}

/* getopt_long() takes any beginning of a name; here it must be written out, so that
 * scripts keep their meaning and `--pin 1234` is not taken for --pin-file. */
static bool written_out(const char *typed, const char *name)
{
    return strncmp(typed, "--", 2) == 0 && strcspn(typed + 2, "=") == strlen(name);
}

/* `argv[0]` is the command's name. Sets `help` and stops when --help is seen. */
static int parse(struct cli *c, int argc, char **argv, bool *help, struct err *e)
{
    struct option opts[MAX_OPTIONS + 2] = {0};
    const int first = 256; /* beyond all letters */
    int n = 0, got, i;

    for (; c->option[n].name != NULL; n++) {
        opts[n].name = c->option[n].name;
        opts[n].has_arg = c->option[n].arg != NULL ? required_argument : no_argument;
        opts[n].val = first + n;
    }
    opts[n] = (struct option){"help", no_argument, NULL, 'h'};
    opterr = 0;
    optind = 0;
    while ((got = getopt_long(argc, argv, ":h", opts, NULL)) != -1) {
        if (got == 'h') {
            *help = true;
            return 0;
        }
        if (got == '?' && optopt > ' ' && optopt < 127)
            return misuse_see_help(c, e, "there is no option -%c; options are written out", optopt);
        i = (got == ':' ? optopt : got) - first;
        if (got == '?' || i < 0 || i >= n || !written_out(typed_option(argv), c->option[i].name))
            return unknown_option(c, typed_option(argv), e);
        if (got == ':')
            return misuse_see_help(c, e, "--%s needs a value", c->option[i].name);
        if (c->value[i] != NULL)
            return cli_misuse(e, "--%s is given twice", c->option[i].name);
        c->value[i] = optarg != NULL ? optarg : "";
    }
    c->n_args = argc - optind;
    c->args = argv + optind;
    return check_given(c, e);
}

/* --- running ------------------------------------------------------------- */

static void print_error(const struct cli *c, const struct err *e)
{
    /* One line, whatever the names in it hold. */
    fputs("fusetsu: ", stderr);
    out_text(stderr, e->msg);
    putc('\n', stderr);
    if (c != NULL && cli_flag(c, "json") && !c->json_printed) {
        json_t *doc = json_pack("{s:{s:s,s:o}}", "error", "code", err_name(e->code), "message",
                                out_json_text(e->msg));

        /* Nobody is left to tell when this fails too: the exit code still says it. */
        if (out_json(doc, NULL) != 0)
            return;
    }
}

static int run_command(const struct cli_command *cmd, int argc, char **argv)
{
    struct cli c = {.cmd = cmd};
    struct err e = {0};
    bool help = false;
    int code;

    if (gather_options(&c, &e) == 0 && parse(&c, argc, argv, &help, &e) == 0) {
        if (help)
            help_command(cmd, c.option);
        else if (cmd->run(&c, &e) != 0 && e.code == E_OK)
            err_set(&e, E_ARG, "%s failed and gave no reason; please report this", cmd->name);
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && e.code == E_OK)
        err_set(&e, E_IO,
                "standard output cannot be written; is the disk full or the reader gone?");
    if (e.code != E_OK)
        print_error(&c, &e);
    code = cli_exit_code(e.code);
    conf_free(c.conf);
    return code;
}

static const struct cli_command *find_command(const struct cli_program *p, const char *group,
                                              const char *name)
{
    for (const struct cli_command *const *cmd = p->commands; *cmd != NULL; cmd++) {
        bool same = group == NULL ? (*cmd)->group == NULL
                                  : (*cmd)->group != NULL && strcmp((*cmd)->group, group) == 0;

        if (same && strcmp((*cmd)->name, name) == 0)
            return *cmd;
    }
    return NULL;
}

static bool wants_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static int usage_error(const struct err *e)
{
    print_error(NULL, e);
    return cli_exit_code(e->code);
}

static int in_group(const struct cli_program *p, const struct cli_group *g, int argc, char **argv)
{
    const struct cli_command *cmd;
    struct err e = {0};

    if (argc < 2) {
        cli_misuse(&e, "%s needs a command; `fusetsu %s --help` lists them", g->name, g->name);
        return usage_error(&e);
    }
    if (wants_help(argv[1])) {
        help_group(p, g);
        return CLI_OK;
    }
    cmd = find_command(p, g->name, argv[1]);
    if (cmd != NULL)
        return run_command(cmd, argc - 1, argv + 1);
    unknown_command(p, g->name, argv[1], &e);
    return usage_error(&e);
}

int cli_main(const struct cli_program *p, int argc, char **argv)
{
    const struct cli_command *cmd;
    struct err e = {0};

    /* The TSS library prints its own lines beside ours, in words for its developers;
     * whoever wants them sets the variable. */
    setenv("TSS2_LOG", "all+none", 0);
    if (argc < 2) {
        cli_misuse(&e, "no command was given; `fusetsu --help` lists them");
        return usage_error(&e);
    }
    if (wants_help(argv[1])) {
        help_program(p);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("fusetsu %s\n", CLI_VERSION);
        return CLI_OK;
    }
    for (const struct cli_group *g = p->groups; g->name != NULL; g++) {
        if (strcmp(g->name, argv[1]) == 0)
            return in_group(p, g, argc - 1, argv + 1);
    }
    cmd = find_command(p, NULL, argv[1]);
    if (cmd != NULL)
        return run_command(cmd, argc - 1, argv + 1);
    unknown_command(p, NULL, argv[1], &e);
    return usage_error(&e);
}
