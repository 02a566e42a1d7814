#include "tests/support/unit_usbstick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define PRELOAD "libumockdev-preload.so.0"

static FILE *to, *from;
static char dir[64];

/* Programs of the sanitizer's want its library to be first. */
static void preload(void)
{
    char line[512], both[600] = PRELOAD;
    FILE *f = fopen("/proc/self/maps", "r");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        char *path = strchr(line, '/');

        if (path == NULL || strstr(path, "libasan") == NULL)
            continue;
        path[strcspn(path, "\n")] = 0;
        (void)snprintf(both, sizeof(both), "%s:" PRELOAD, path);
        break;
    }
    if (f != NULL)
        fclose(f);
    setenv("LD_PRELOAD", both, 1);
}

/* build/tests/test_x: build/usbstick. */
static bool helper(char *out, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", out, room - 32);
    char *slash;

    if (n <= 0)
        return false;
    out[n] = 0;
    for (int i = 0; i < 2; i++) {
        slash = strrchr(out, '/');
        if (slash == NULL)
            return false;
        *slash = 0;
    }
    memcpy(out + strlen(out), "/usbstick", sizeof("/usbstick"));
    return access(out, X_OK) == 0;
}

static void start(const char *program, char **argv)
{
    int down[2], up[2], n = 0;
    char root[80], text[256] = "";
    FILE *f = NULL;

    (void)snprintf(dir, sizeof(dir), "/tmp/fzu.XXXXXX");
    if (mkdtemp(dir) == NULL || pipe(down) != 0 || pipe(up) != 0)
        return;
    (void)snprintf(root, sizeof(root), "%s/root", dir);
    if (fork() == 0) {
        dup2(down[0], 0);
        dup2(up[1], 1);
        close(down[1]);
        close(up[0]);
        execl(program, program, root, (char *)NULL);
        _exit(127);
    }
    close(down[0]);
    close(up[1]);
    for (; n < 500 && text[0] == 0; n++) {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        f = fopen(root, "r");
        if (f != NULL && fgets(text, sizeof(text), f) != NULL && strchr(text, '\n') == NULL)
            text[0] = 0;
        if (f != NULL)
            fclose(f);
    }
    if (text[0] == 0)
        return;
    text[strcspn(text, "\n")] = 0;
    setenv("UMOCKDEV_DIR", text, 1);
    setenv("FUSETSU_RUN", dir, 1);
    unsetenv("FUSETSU_CONF");
    (void)snprintf(text, sizeof(text), "%d %d", down[1], up[0]);
    setenv("UNIT_USBSTICK", text, 1);
    preload();
    execv("/proc/self/exe", argv);
}

bool unit_usbstick_begin(char **argv)
{
    const char *fds = getenv("UNIT_USBSTICK");
    char program[4096];
    int w, r;

    if (fds == NULL) {
        if (helper(program, sizeof(program)))
            start(program, argv);
        printf("not ok - %s: no emulated USB sticks (make support)\n", argv[0]);
        return false;
    }
    if (sscanf(fds, "%d %d", &w, &r) != 2)
        return false;
    to = fdopen(w, "w");
    from = fdopen(r, "r");
    (void)snprintf(dir, sizeof(dir), "%s", getenv("FUSETSU_RUN"));
    return to != NULL && from != NULL;
}

static void ask(char *line, size_t room, const char *fmt, va_list ap)
{
    vfprintf(to, fmt, ap);
    fputc('\n', to);
    fflush(to);
    if (fgets(line, (int)room, from) == NULL)
        fail_msg("the emulated machine is gone");
}

void unit_usbstick(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    ask(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (strcmp(line, "ok\n") != 0)
        fail_msg("%s: the emulated machine says %s", fmt, line);
}

static void ask_line(char *line, size_t room, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    ask(line, room, fmt, ap);
    va_end(ap);
}

struct unit_usbstick_count unit_usbstick_count(const char *name)
{
    struct unit_usbstick_count c = {0};
    char line[256];

    ask_line(line, sizeof(line), "count %s", name);
    assert_int_equal(sscanf(line, "%lu %lu %lu %lu", &c.urbs, &c.commands, &c.resets, &c.open), 4);
    return c;
}

const char *unit_usbstick_run(void)
{
    return dir;
}

void unit_usbstick_end(void)
{
    char path[sizeof(dir) + 300];
    struct dirent *entry;
    DIR *d;

    fclose(to);
    fclose(from);
    (void)wait(NULL);
    d = opendir(dir);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        (void)unlink(path);
    }
    if (d != NULL)
        closedir(d);
    (void)rmdir(dir);
}
