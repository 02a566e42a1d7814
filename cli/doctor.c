#include "cli/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- findings -------------------------------------------------------------- */

static char *format(const char *fmt, va_list ap)
{
    char *text = NULL;

    return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

/* Takes over both texts. */
static void add(struct doctor *d, enum doctor_severity severity, enum err_code code, char *text,
                char *todo)
{
    struct doctor_finding *more = NULL;

    if (text != NULL)
        more = realloc(d->finding, (d->n + 1) * sizeof(*more));
    if (more == NULL) {
        d->incomplete = true;
        free(text);
        free(todo);
        return;
    }
    d->finding = more;
    more[d->n++] = (struct doctor_finding){d->check, severity, code, text, todo};
}

void doctor_say(struct doctor *d, enum doctor_severity severity, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(d, severity, E_OK, format(fmt, ap), NULL);
    va_end(ap);
}

void doctor_problem(struct doctor *d, enum err_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(d, DOCTOR_PROBLEM, code, format(fmt, ap), NULL);
    va_end(ap);
}

void doctor_todo(struct doctor *d, const char *fmt, ...)
{
    struct doctor_finding *last;
    va_list ap;

    if (d->n == 0)
        return;
    last = &d->finding[d->n - 1];
    free(last->todo);
    va_start(ap, fmt);
    last->todo = format(fmt, ap);
    va_end(ap);
}

void doctor_failed(struct doctor *d, enum doctor_severity severity, const struct err *e)
{
    const char *cut = strstr(e->msg, "; ");
    char *text, *todo = NULL;

    text = cut != NULL ? strndup(e->msg, (size_t)(cut - e->msg)) : strdup(e->msg);
    if (cut != NULL)
        todo = strdup(cut + 2);
    add(d, severity, e->code, text, todo);
}

void doctor_free(struct doctor *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->finding[i].text);
        free(d->finding[i].todo);
    }
    free(d->finding);
    free(d->tpm_row);
    free(d->all);
    store_close(d->store);
    tpm_free(d->tpm);
    *d = (struct doctor){0};
}

enum err_code doctor_verdict(const struct doctor *d)
{
    enum err_code code = E_OK;

    for (size_t i = 0; i < d->n; i++) {
        if (d->finding[i].severity == DOCTOR_PROBLEM)
            return d->finding[i].code != E_OK ? d->finding[i].code : E_ARG;
        if (d->finding[i].severity == DOCTOR_WARNING)
            code = E_UNSUPPORTED; /* CLI_REFUSED: nothing more precise is meant */
    }
    return code;
}

/* --- checks ---------------------------------------------------------------- */

static unsigned there_is(const struct doctor *d)
{
    return (d->conf != NULL ? DOCTOR_CONF : 0) | (d->store != NULL ? DOCTOR_STORE : 0) |
           (d->n_tokens != 0 ? DOCTOR_TOKEN : 0) | (d->tpm != NULL ? DOCTOR_TPM : 0);
}

size_t doctor_run(struct doctor *d, const struct doctor_check *table)
{
    size_t left_out = 0;

    for (const struct doctor_check *c = table; c->name != NULL; c++) {
        if ((c->needs & ~there_is(d)) != 0) {
            left_out++;
            continue;
        }
        d->check = c->name;
        c->run(d);
        /* One that ended half way must not keep others from the TPM. */
        if (d->tpm != NULL)
            tpm_release(d->tpm);
    }
    d->check = NULL;
    return left_out;
}

/* --- words ----------------------------------------------------------------- */

void doctor_span(uint64_t seconds, char out[DOCTOR_SPAN])
{
    static const struct {
        const char *name;
        uint64_t size;
    } unit[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
    uint64_t first, second;
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(unit) && seconds < unit[i].size)
        i++;
    first = seconds / unit[i].size;
    second = i + 1 < ARRAY_LEN(unit) ? seconds % unit[i].size / unit[i + 1].size : 0;
    if (second != 0)
        snprintf(out, DOCTOR_SPAN, "%llu %s%s %llu %s%s", (unsigned long long)first, unit[i].name,
                 first == 1 ? "" : "s", (unsigned long long)second, unit[i + 1].name,
                 second == 1 ? "" : "s");
    else
        snprintf(out, DOCTOR_SPAN, "%llu %s%s", (unsigned long long)first, unit[i].name,
                 first == 1 ? "" : "s");
}

/* --- /proc ----------------------------------------------------------------- */

static void name_process(const char *pid, char out[DOCTOR_WHO])
{
    char path[64], name[32] = "?";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    f = fopen(path, "re");
    if (f != NULL) {
        if (fgets(name, sizeof(name), f) != NULL)
            name[strcspn(name, "\n")] = 0;
        fclose(f);
    }
    snprintf(out, DOCTOR_WHO, "process %.20s (%.31s)", pid, name);
}

static bool has_open(const char *pid, const struct stat *want)
{
    char path[64];
    bool found = false;
    DIR *fds;

    snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    fds = opendir(path);
    if (fds == NULL)
        return false;
    for (const struct dirent *d; !found && (d = readdir(fds)) != NULL;) {
        struct stat st;

        found = d->d_name[0] != '.' && fstatat(dirfd(fds), d->d_name, &st, 0) == 0 &&
                st.st_dev == want->st_dev && st.st_ino == want->st_ino;
    }
    closedir(fds);
    return found;
}

bool doctor_holder(const char *path, char out[DOCTOR_WHO])
{
    struct stat want;
    bool found = false;
    DIR *proc;

    if (stat(path, &want) != 0 || (proc = opendir("/proc")) == NULL)
        return false;
    for (const struct dirent *d; !found && (d = readdir(proc)) != NULL;) {
        if (!isdigit((unsigned char)d->d_name[0]) || strtol(d->d_name, NULL, 10) == getpid())
            continue;
        found = has_open(d->d_name, &want);
        if (found)
            name_process(d->d_name, out);
    }
    closedir(proc);
    return found;
}
