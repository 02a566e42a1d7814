/* The PKCS#11 module: do the programs of this machine find it, and does it load? */
#include "cli/doctor.h"

#include "core/file.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where p11-kit looks, and where a `make install` below /usr/local puts the file. */
#define SYSTEM_DIR "/usr/share/p11-kit/modules"
#define ADMIN_DIR "/etc/pkcs11/modules"
#define LOCAL_DIR "/usr/local/share/p11-kit/modules"

#define FILE_MAX ((size_t)16 << 10)

/* --- loading it ------------------------------------------------------------------- */

/* In a child: what another's library does when it is loaded shall not end us. */
static int load(const char *path, int out)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = NULL;

    if (lib == NULL)
        why = dlerror();
    else if (dlsym(lib, "C_GetFunctionList") == NULL)
        why = "it has no C_GetFunctionList";
    if (why == NULL)
        return 0;
    return write(out, why, strlen(why)) > 0 ? 1 : 2;
}

/* Empty when it loads. */
static void try_load(const char *path, char why[200])
{
    int fd[2], status = -1;
    ssize_t n = 0;
    pid_t pid;

    snprintf(why, 200, "it could not be tried");
    if (pipe2(fd, O_CLOEXEC) != 0)
        return;
    pid = fork();
    if (pid == 0)
        _exit(load(path, fd[1]));
    close(fd[1]);
    if (pid > 0) {
        n = read(fd[0], why, 199);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(fd[0]);
    if (n > 0)
        why[n] = 0;
    else if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        why[0] = 0;
    else if (pid > 0)
        snprintf(why, 200, "loading it ends the process");
}

/* --- p11-kit's files ---------------------------------------------------------------- */

/* The value of "module:" in a p11-kit file, allocated; NULL when there is none. */
static char *module_of(const char *path)
{
    struct buf content = {0};
    const char *line;
    char *out = NULL;

    if (file_read(path, FILE_MAX, &content, NULL) != 0 || (line = buf_cstr(&content)) == NULL)
        goto out;
    while (*line != 0 && out == NULL) {
        size_t n = strcspn(line, "\n");
        const char *p = line + strspn(line, " \t");

        if (strncmp(p, "module", 6) == 0 && p[6 + strspn(p + 6, " \t")] == ':') {
            p += 6 + strspn(p + 6, " \t") + 1;
            p += strspn(p, " \t");
            n = strcspn(p, "\n");
            while (n > 0 && isspace((unsigned char)p[n - 1]))
                n--;
            out = strndup(p, n);
            break;
        }
        line += n + (line[n] == '\n' ? 1 : 0);
    }
out:
    buf_free(&content);
    return out;
}

/* A name without a directory is looked up in p11-kit's own; allocated, NULL when not found. */
static char *resolve(const char *module)
{
    static const char *const dirs[] = {"/usr/lib/*/pkcs11", "/usr/lib/pkcs11", "/usr/lib64/pkcs11"};
    char *out = NULL;

    if (*module == '/')
        return strdup(module);
    for (size_t i = 0; out == NULL && i < ARRAY_LEN(dirs); i++) {
        struct buf pattern = {0};
        glob_t g = {0};

        buf_printf(&pattern, "%s/%s", dirs[i], module);
        if (buf_cstr(&pattern) != NULL && glob((const char *)pattern.p, 0, NULL, &g) == 0 &&
            g.gl_pathc > 0)
            out = strdup(g.gl_pathv[0]);
        globfree(&g);
        buf_free(&pattern);
    }
    return out;
}

static void judge(struct doctor *d, const char *file, const char *module)
{
    char *path = resolve(module);
    struct stat st;
    char why[200];

    if (path == NULL || stat(path, &st) != 0) {
        doctor_say(d, DOCTOR_WARNING,
                   "%s names %s, which is not there: programs that ask p11-kit do"
                   " not see the tokens",
                   file, path != NULL ? path : module);
        doctor_todo(d, "install the module there, correct the path, or remove the file");
    } else if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
               (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        doctor_say(d, DOCTOR_WARNING,
                   "%s, which programs load by %s, can be replaced by others: it was not tried",
                   path, file);
        doctor_todo(d, "install it anew as root, mode 755");
    } else {
        try_load(path, why);
        if (why[0] == 0) {
            doctor_say(d, DOCTOR_OK, "%s names %s, which loads", file, path);
        } else {
            doctor_say(d, DOCTOR_WARNING, "%s names %s, which does not load: %s", file, path, why);
            doctor_todo(d, "install the module anew");
        }
    }
    free(path);
}

static bool is_module_file(const char *name)
{
    size_t n = strlen(name);

    return n > 7 && strcmp(name + n - 7, ".module") == 0;
}

/* The files of a directory that are about us; how many. */
static size_t look_in(struct doctor *d, const char *dir, bool heeded)
{
    const struct dirent *entry;
    DIR *list = opendir(dir);
    size_t found = 0;

    while (list != NULL && (entry = readdir(list)) != NULL) {
        struct buf file = {0};
        char *module = NULL;

        buf_printf(&file, "%s/%s", dir, entry->d_name);
        if (is_module_file(entry->d_name) && buf_cstr(&file) != NULL)
            module = module_of((const char *)file.p);
        if (module != NULL && strstr(module, "fusetsu") != NULL) {
            found++;
            if (heeded)
                judge(d, (const char *)file.p, module);
        }
        free(module);
        buf_free(&file);
    }
    if (list != NULL)
        closedir(list);
    return found;
}

static void check_registered(struct doctor *d)
{
    struct buf home = {0};
    size_t found = look_in(d, SYSTEM_DIR, true) + look_in(d, ADMIN_DIR, true);

    buf_printf(&home, "%s/pkcs11/modules", conf_config_home(d->conf));
    if (buf_cstr(&home) != NULL)
        found += look_in(d, (const char *)home.p, true);
    if (found == 0 && look_in(d, LOCAL_DIR, false) != 0) {
        doctor_say(
            d, DOCTOR_NOTE,
            "the module is registered in %s, where the p11-kit of most systems does not look",
            LOCAL_DIR);
        doctor_todo(d, "mkdir -p %s && ln -s %s/fusetsu.module %s", ADMIN_DIR, LOCAL_DIR,
                    ADMIN_DIR);
    } else if (found == 0) {
        doctor_say(d, DOCTOR_NOTE,
                   "the module is not registered with p11-kit: programs must be told its path");
        doctor_todo(d, "`make install`, or a file in %s with the line module: PATH", ADMIN_DIR);
    }
    buf_free(&home);
}

const struct doctor_check doctor_module_checks[] = {
    {"module", DOCTOR_CONF, check_registered},
    {0},
};
