/* The machine: settings, clock, memory that may be locked. */
#include "cli/doctor.h"

#include "core/file.h"

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- settings ---------------------------------------------------------------- */

static const char *const keys[] = {"store", "tcti", "log", "run", "sha1"};

static bool known(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

/* A misspelt key has no effect and no error: its default would hold. */
static void check_keys(struct doctor *d, const char *path)
{
    struct buf content = {0};
    CONF *file = NCONF_new(NULL);
    BIO *in = NULL;
    long line = 0;

    if (file == NULL || file_read(path, (size_t)64 << 10, &content, NULL) != 0 || content.len == 0)
        goto out;
    in = BIO_new_mem_buf(content.p, (int)content.len);
    if (in == NULL || NCONF_load_bio(file, in, &line) != 1)
        goto out;
    for (int i = 0; i < sk_CONF_VALUE_num(NCONF_get_section(file, "default")); i++) {
        const CONF_VALUE *v = sk_CONF_VALUE_value(NCONF_get_section(file, "default"), i);
        const char *near;

        if (known(v->name))
            continue;
        near = cli_nearest(v->name, keys, ARRAY_LEN(keys));
        doctor_say(d, DOCTOR_WARNING, "%s sets \"%.40s\", which is no setting of this program",
                   path, v->name);
        if (near != NULL)
            doctor_todo(d, "write %s", near);
        else
            doctor_todo(d, "take the line out; fusetsu.conf(5) has the settings there are");
    }
out:
    ERR_clear_error();
    BIO_free(in);
    NCONF_free(file);
    buf_free(&content);
}

static void settings(struct doctor *d)
{
    struct err e = {0};
    const char *path;
    struct stat st;

    d->conf = cli_conf(d->cli, &e);
    if (d->conf == NULL) {
        doctor_failed(d, DOCTOR_PROBLEM, &e);
        return;
    }
    path = conf_path(d->conf);
    if (path == NULL) {
        doctor_say(d, DOCTOR_OK, "no settings file: the defaults and FUSETSU_* variables hold");
        return;
    }
    if (stat(path, &st) == 0 && (st.st_mode & S_IWGRP) != 0) {
        doctor_say(d, DOCTOR_WARNING,
                   "%s can be written by its group, which so decides what TPM and store are used",
                   path);
        doctor_todo(d, "chmod g-w %s", path);
    } else {
        doctor_say(d, DOCTOR_OK, "%s is read; FUSETSU_* variables go before it", path);
    }
    check_keys(d, path);
}

/* --- clock ------------------------------------------------------------------- */

#define CLOCK_LEAST 1767225600 /* 2026-01-01: this program is younger */
#define CLOCK_MOST 4102444800  /* 2100-01-01 */
#define CLOCK_SLACK 86400

static void check_clock(struct doctor *d)
{
    time_t now = time(NULL);
    struct tm tm = {0};
    char text[40] = "?";
    struct stat st;

    if (gmtime_r(&now, &tm) != NULL)
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%SZ", &tm);
    if (now >= CLOCK_LEAST && now <= CLOCK_MOST &&
        (d->conf == NULL || stat(conf_store(d->conf), &st) != 0 ||
         st.st_mtime <= now + CLOCK_SLACK)) {
        doctor_say(d, DOCTOR_OK, "%s", text);
        return;
    }
    doctor_say(d, DOCTOR_WARNING, "the clock says %s%s", text,
               now >= CLOCK_LEAST && now <= CLOCK_MOST ? ", but the store was written later" : "");
    doctor_todo(d, "set the clock: certificates are judged by it");
}

/* --- memory ------------------------------------------------------------------ */

/* PINs and token secrets take a page each, a login a handful. */
#define MEMORY_WANTED ((size_t)64 << 10)

static void check_memory(struct doctor *d)
{
    void *p = mmap(NULL, MEMORY_WANTED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p != MAP_FAILED && mlock(p, MEMORY_WANTED) == 0) {
        doctor_say(d, DOCTOR_OK, "secrets can be kept from being swapped out");
    } else {
        doctor_say(d, DOCTOR_NOTE,
                   "not even %zu KiB can be locked in memory: secrets may be swapped to disk",
                   MEMORY_WANTED >> 10);
        doctor_todo(d, "raise RLIMIT_MEMLOCK (LimitMEMLOCK= of a service), or do without swap");
    }
    if (p != MAP_FAILED)
        munmap(p, MEMORY_WANTED);
}

const struct doctor_check doctor_system_checks[] = {
    {"settings", 0, settings},
    {"clock", 0, check_clock},
    {"memory", 0, check_memory},
    {0},
};
