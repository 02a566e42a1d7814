/*
 * Looks for byte strings in the memory of another process, or in a file (a core, a store, a log).
 *
 *   memsearch PID HEX...
 *   memsearch --file FILE HEX...
 *
 * Prints for each pattern how often it occurs and in which mapping. Exit status: 0 none found,
 * 1 found, 2 error (also when the memory could not be read whole, so that 0 can be trusted).
 * Needs the right to ptrace the process. The process keeps running meanwhile: let it wait.
 * Not searched: mappings without read permission, vvar and vsyscall (the kernel's), and pages that
 * the kernel refuses to read (device memory); the last are counted in the summary line.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define MIN_PATTERN 4 /* shorter ones occur by chance */
#define MAX_PATTERN 4096
#define MAX_PATTERNS 256
#define CHUNK ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define MAX_TOTAL ((uint64_t)16 << 30) /* a sanitizer's shadow memory would never end */

enum { NONE_FOUND, FOUND, FAILED };

struct pattern {
    const char *hex;
    size_t len;
    uint64_t found;
    uint64_t found_here; /* in the current mapping */
    uint8_t bytes[MAX_PATTERN];
};

static struct pattern patterns[MAX_PATTERNS];
static size_t pattern_count;
static size_t longest;
static uint64_t searched, refused;
static uint8_t buffer[CHUNK + MAX_PATTERN];

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool add_pattern(const char *hex)
{
    struct pattern *p = &patterns[pattern_count];
    size_t digits = strlen(hex);

    if (pattern_count == MAX_PATTERNS || digits % 2 != 0 || digits < 2 * MIN_PATTERN ||
        digits > 2 * MAX_PATTERN)
        return false;
    for (size_t i = 0; i < digits / 2; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        p->bytes[i] = (uint8_t)(high << 4 | low);
    }
    p->hex = hex;
    p->len = digits / 2;
    if (p->len > longest)
        longest = p->len;
    pattern_count++;
    return true;
}

/* Counts the occurrences in buffer[0..len) that end behind the first `old` bytes: what ends within
 * them was counted with the chunk before. */
static void search_chunk(size_t len, size_t old)
{
    for (size_t i = 0; i < pattern_count; i++) {
        struct pattern *p = &patterns[i];
        const uint8_t *at = buffer, *hit;
        size_t left = len;

        while ((hit = memmem(at, left, p->bytes, p->len)) != NULL) {
            if ((size_t)(hit - buffer) + p->len > old)
                p->found_here++;
            left -= (size_t)(hit - at) + 1;
            at = hit + 1;
        }
    }
}

/* Searches fd from `start` to `end`, or to the end of the file. */
static bool search_range(int fd, uint64_t start, uint64_t end)
{
    size_t old = 0; /* tail of the chunk before, kept for matches across the border */

    while (start < end) {
        size_t want = end - start < CHUNK ? (size_t)(end - start) : CHUNK;
        ssize_t got = pread(fd, buffer + old, want, (off_t)start);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EIO || errno == EFAULT)) {
            refused++;
            start += PAGE;
            old = 0;
            continue;
        }
        if (got < 0) {
            perror("memsearch: read");
            return false;
        }
        if (got == 0)
            break;
        searched += (uint64_t)got;
        if (searched > MAX_TOTAL) {
            fprintf(stderr, "memsearch: more than %" PRIu64 " bytes to read: given up\n",
                    MAX_TOTAL);
            return false;
        }
        search_chunk(old + (size_t)got, old);
        start += (uint64_t)got;
        size_t len = old + (size_t)got;
        size_t keep = len < longest - 1 ? len : longest - 1;
        memmove(buffer, buffer + len - keep, keep);
        old = keep;
    }
    return true;
}

static void report_place(const char *where)
{
    for (size_t i = 0; i < pattern_count; i++) {
        struct pattern *p = &patterns[i];

        if (p->found_here > 0)
            printf("  #%zu %" PRIu64 " in %s\n", i + 1, p->found_here, where);
        p->found += p->found_here;
        p->found_here = 0;
    }
}

static bool search_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok;

    if (fd < 0) {
        perror(path);
        return false;
    }
    ok = search_range(fd, 0, INT64_MAX);
    report_place(path);
    close(fd);
    return ok;
}

static bool search_process(const char *pid)
{
    char path[64], *line = NULL;
    size_t room = 0;
    FILE *maps = NULL;
    int mem = -1;
    bool ok = false;

    snprintf(path, sizeof(path), "/proc/%s/mem", pid);
    mem = open(path, O_RDONLY | O_CLOEXEC);
    if (mem < 0) {
        perror(path);
        goto out;
    }
    snprintf(path, sizeof(path), "/proc/%s/maps", pid);
    maps = fopen(path, "re");
    if (maps == NULL) {
        perror(path);
        goto out;
    }
    while (getline(&line, &room, maps) > 0) {
        uint64_t start, end;
        char mode[5];

        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, mode) != 3) {
            fprintf(stderr, "memsearch: cannot read this line of %s: %s\n", path, line);
            goto out;
        }
        if (mode[0] != 'r' || strstr(line, "[vvar") != NULL || strstr(line, "[vsyscall") != NULL)
            continue;
        if (!search_range(mem, start, end))
            goto out;
        report_place(line);
    }
    if (searched == 0) {
        fprintf(stderr, "memsearch: process %s has no memory (has it ended?)\n", pid);
        goto out;
    }
    ok = true;
out:
    if (maps != NULL)
        fclose(maps);
    if (mem >= 0)
        close(mem);
    free(line);
    return ok;
}

static bool is_pid(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits < 12 && text[digits] == '\0';
}

int main(int argc, char **argv)
{
    bool file = argc > 1 && strcmp(argv[1], "--file") == 0, ok, found = false;
    int first = file ? 3 : 2;

    if (argc <= first || (!file && !is_pid(argv[1]))) {
        fprintf(stderr, "usage: memsearch PID HEX...\n       memsearch --file FILE HEX...\n");
        return FAILED;
    }
    for (int i = first; i < argc; i++) {
        if (!add_pattern(argv[i])) {
            fprintf(stderr,
                    "memsearch: pattern %d: want %d to %d bytes in hex, at most %d patterns\n",
                    i - first + 1, MIN_PATTERN, MAX_PATTERN, MAX_PATTERNS);
            return FAILED;
        }
    }
    ok = file ? search_file(argv[2]) : search_process(argv[1]);
    for (size_t i = 0; i < pattern_count; i++) {
        printf("#%zu %.16s%s: %" PRIu64 " found\n", i + 1, patterns[i].hex,
               patterns[i].len > 8 ? "..." : "", patterns[i].found);
        found = found || patterns[i].found > 0;
    }
    printf("searched %" PRIu64 " bytes, %" PRIu64 " pages refused\n", searched, refused);
    if (!ok)
        return FAILED;
    return found ? FOUND : NONE_FOUND;
}
