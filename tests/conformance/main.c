/*
 * Judges any PKCS#11 module by the OASIS specifications 2.40 and 3.0, from outside: the module is
 * loaded with dlopen and only its C_ functions are called.
 *
 *   conformance --module X.so [--token LABEL] --pin-file F --so-pin-file F [--only PREFIX]
 *               [--differences FILE] [--list]
 *
 * Prints a line for each check: "ok - name", "ok - name # SKIP why", "not ok - name: why". In FILE
 * are names of checks that fail for this module, each with its reason on the same line; they are
 * "ok - name # expected difference: reason", and "not ok" when they do not fail any more.
 * The token must be initialised with both PINs; it is left as it was found. Exit code 0 when all is
 * ok, 1 when not, 2 for wrong arguments.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/conformance/worker.h"

#define LIMIT_S 60 /* for one check */

const char *worker_label;
static const char *module, *only;
static struct worker_check checks[4096];
static size_t n_checks;
static struct {
    char *name, *why;
    bool seen;
} differences[512];
static size_t n_differences;
static CK_ULONG *objects_before; /* shared with the workers */
static int worker_out;           /* what they and the module print */
static unsigned n_ok, n_not_ok, n_skipped, n_expected;

__attribute__((noreturn)) static void die(const char *why, const char *what)
{
    fprintf(stderr, "conformance: %s%s\n", why, what);
    exit(2);
}

void conf_add(enum conf_level level, conf_run *run, const void *arg, const char *name, ...)
{
    struct worker_check *c = &checks[n_checks++];
    va_list ap;

    va_start(ap, name);
    if (n_checks > N(checks) || vasprintf(&c->name, name, ap) < 0)
        die("too many checks", "");
    va_end(ap);
    c->level = level;
    c->run = run;
    c->arg = arg;
}

/* --- the token as it was -------------------------------------------------- */

static void setup(const void *arg)
{
    (void)arg;
    conf_sweep();
    *objects_before = conf_token_objects();
}

static void cleanup(const void *arg)
{
    CK_ULONG n;

    (void)arg;
    conf_sweep();
    n = conf_token_objects();
    MUST(n == *objects_before, "%lu token objects, and %lu before the checks", n, *objects_before);
}

static void add_all(void)
{
    conf_add(CONF_USER, setup, NULL, "setup/token-is-there");
    args_checks();
    args_v3_checks();
    init_checks();
    sessions_checks();
    login_checks();
    objects_checks();
    keyattrs_checks();
    lookup_checks();
    buffers_checks();
    keygen_checks();
    digest_checks();
    mac_checks();
    cipher_checks();
    gcm_checks();
    sign_checks();
    rsacrypt_checks();
    derive_checks();
    wrap_checks();
    multi_checks();
    message_checks();
    mechinfo_checks();
    token_checks();
    conf_add(CONF_USER, cleanup, NULL, "cleanup/token-is-as-before");
}

static bool chosen(size_t i)
{
    return only == NULL || i == 0 || i == n_checks - 1 ||
           strncmp(checks[i].name, only, strlen(only)) == 0;
}

/* --- differences ---------------------------------------------------------- */

static void read_differences(const char *path)
{
    char *line = NULL;
    size_t size = 0;
    FILE *in = fopen(path, "re");

    if (in == NULL)
        die("cannot read ", path);
    while (getline(&line, &size, in) > 0) {
        size_t len = strcspn(line, " \t\n");
        char *why = line + len;

        if (len == 0 || line[0] == '#')
            continue;
        why += strspn(why, " \t");
        why[strcspn(why, "\n")] = '\0';
        if (*why == '\0' || n_differences == N(differences))
            die("a difference without a reason: ", line);
        differences[n_differences].why = strdup(why);
        differences[n_differences++].name = strndup(line, len);
    }
    free(line);
    fclose(in);
}

static const char *difference(const char *name)
{
    for (size_t i = 0; i < n_differences; i++) {
        if (strcmp(differences[i].name, name) == 0) {
            differences[i].seen = true;
            return differences[i].why;
        }
    }
    return NULL;
}

/* A name that no check has would hide nothing and rot. */
static void judge_differences(void)
{
    for (size_t i = 0; i < n_checks; i++)
        (void)difference(checks[i].name);
    for (size_t i = 0; i < n_differences; i++) {
        if (!differences[i].seen) {
            printf("not ok - differences/%s: there is no such check\n", differences[i].name);
            n_not_ok++;
        }
    }
}

/* --- results -------------------------------------------------------------- */

static void show_output(void)
{
    char text[4096];
    ssize_t n = pread(worker_out, text, sizeof text - 1, 0);

    if (n <= 0)
        return;
    text[n] = '\0';
    for (char *save = NULL, *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        printf("# %s\n", l);
}

static void result(const struct worker_result *r, bool died)
{
    const char *name = checks[r->check].name, *why = difference(name);

    if (r->end.verdict == CONF_SKIPPED && why == NULL) {
        printf("ok - %s # SKIP %s\n", name, r->end.why);
        n_skipped++;
    } else if (r->end.verdict == CONF_SKIPPED || (r->end.verdict == CONF_PASSED && why != NULL)) {
        printf("not ok - %s: it is listed as a difference and %s\n", name,
               r->end.verdict == CONF_PASSED ? "passes" : "is skipped");
        n_not_ok++;
    } else if (r->end.verdict == CONF_PASSED) {
        printf("ok - %s\n", name);
        n_ok++;
    } else if (why != NULL) {
        printf("ok - %s # expected difference: %s\n", name, why);
        n_expected++;
    } else {
        printf("not ok - %s: %s\n", name, r->end.why);
        n_not_ok++;
        if (died)
            show_output();
    }
    fflush(stdout);
}

/* --- workers -------------------------------------------------------------- */

static void worker(size_t first, int to)
{
    struct worker_result r = {0};

    if (!worker_load(module))
        _exit(3);
    for (size_t i = first; i < n_checks; i++) {
        if (!chosen(i))
            continue;
        if (ftruncate(worker_out, 0) != 0 || lseek(worker_out, 0, SEEK_SET) != 0)
            _exit(3);
        r = (struct worker_result){.check = i, .end.verdict = CONF_STARTED};
        if (write(to, &r, sizeof r) != sizeof r)
            _exit(3);
        worker_run(&checks[i]);
        r.end = conf_end;
        fflush(stdout);
        if (write(to, &r, sizeof r) != sizeof r)
            _exit(3);
    }
    worker_end();
    _exit(0);
}

/* Runs the checks from `first` on; returns where to go on, or n_checks. */
static size_t one_worker(size_t first)
{
    struct worker_result r = {.check = first}, in = {0};
    struct pollfd p = {.events = POLLIN};
    int ends[2], status = 0;
    bool hung = false;
    pid_t pid = -1;

    fflush(stdout);
    if (pipe(ends) != 0 || (pid = fork()) < 0)
        die("cannot fork", "");
    if (pid == 0) {
        close(ends[0]);
        dup2(worker_out, STDOUT_FILENO);
        dup2(worker_out, STDERR_FILENO);
        worker(first, ends[1]);
    }
    close(ends[1]);
    p.fd = ends[0];
    for (;;) {
        int ready = poll(&p, 1, LIMIT_S * 1000);

        if (ready < 0 && errno == EINTR)
            continue;
        hung = ready == 0;
        if (ready <= 0 || read(ends[0], &in, sizeof in) != sizeof in)
            break;
        r = in;
        if (r.end.verdict == CONF_STARTED)
            continue;
        result(&r, false);
        if (r.end.verdict == CONF_NO_TOKEN)
            break;
    }
    close(ends[0]);
    if (hung || r.end.verdict == CONF_NO_TOKEN)
        kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (r.end.verdict == CONF_NO_TOKEN)
        return n_checks;
    if (r.end.verdict != CONF_STARTED) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return n_checks;
        if (r.check + 1 >= n_checks) {
            printf("not ok - cleanup/finalize: the last C_Finalize does not come back\n");
            n_not_ok++;
        }
        return r.check + 1;
    }
    r.end.verdict = CONF_FAILED;
    if (hung)
        snprintf(r.end.why, sizeof r.end.why, "no end within %d s", LIMIT_S);
    else if (WIFSIGNALED(status))
        snprintf(r.end.why, sizeof r.end.why, "crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(r.end.why, sizeof r.end.why, "the process exited with %d", WEXITSTATUS(status));
    result(&r, true);
    return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? n_checks : r.check + 1;
}

static void read_pin(const char *path, CK_BYTE pin[256], CK_ULONG *len)
{
    FILE *in = path == NULL ? NULL : fopen(path, "re");

    if (in == NULL)
        die("cannot read the PIN file ", path == NULL ? "(none given)" : path);
    *len = fread(pin, 1, 256, in);
    if (memchr(pin, '\n', *len) != NULL)
        *len = (CK_ULONG)((CK_BYTE *)memchr(pin, '\n', *len) - pin);
    fclose(in);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"module", 1, NULL, 'm'},      {"token", 1, NULL, 't'},
        {"pin-file", 1, NULL, 'p'},    {"only", 1, NULL, 'o'},
        {"so-pin-file", 1, NULL, 's'}, {"differences", 1, NULL, 'd'},
        {"list", 0, NULL, 'l'},        {NULL, 0, NULL, 0},
    };
    const char *pin = NULL, *so_pin = NULL;
    bool list = false;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'm': module = optarg; break;
        case 't': worker_label = optarg; break;
        case 'p': pin = optarg; break;
        case 's': so_pin = optarg; break;
        case 'o': only = optarg; break;
        case 'd': read_differences(optarg); break;
        case 'l': list = true; break;
        default: die("see the head of tests/conformance/main.c", "");
        }
    }
    add_all();
    for (size_t i = 0; list && i < n_checks; i++)
        puts(checks[i].name);
    if (list)
        return 0;
    if (module == NULL || optind != argc)
        die("--module is needed, and nothing but options", "");
    read_pin(pin, conf_pin, &conf_pin_len);
    read_pin(so_pin, conf_so_pin, &conf_so_pin_len);
    objects_before = mmap(NULL, sizeof *objects_before, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    worker_out = memfd_create("conformance", MFD_CLOEXEC);
    if (objects_before == MAP_FAILED || worker_out < 0)
        die("no memory", "");
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < n_checks;) {
        i = chosen(i) ? one_worker(i) : i + 1;
    }
    judge_differences();
    printf("# %u ok, %u not ok, %u expected differences, %u skipped\n", n_ok, n_not_ok, n_expected,
           n_skipped);
    return n_not_ok == 0 ? 0 : 1;
}
