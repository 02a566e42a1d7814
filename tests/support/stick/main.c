/*
 * usbstick ROOT-FILE: a machine with USB tokens for other processes, told by lines on standard
 * input, each answered by one on standard output ("ok", or what was asked for). It ends with its
 * input. The directory for UMOCKDEV_DIR is written to ROOT-FILE.
 *
 *   add NAME SERIAL [SWTPM-SOCKET]      plug NAME      unplug NAME
 *   cut NAME TRANSFERS [dirty]          delay NAME MS  steal NAME, give NAME
 *   descriptors NAME [HEX]              fault NAME FAULT [TIMES]
 *   tis NAME FAULT-NUMBER [BURST]       count NAME     (urbs commands resets open-descriptors)
 * In SERIAL "%" and two hex digits are a byte; "-" is an empty one.
 */
#include "tests/support/stick/bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 4

static void unescape(char *s)
{
    char *to = s;
    unsigned byte;

    if (strcmp(s, "-") == 0)
        *s = 0;
    for (; *s != 0; s++) {
        if (*s == '%' && sscanf(s + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

static int fault_of(const char *name)
{
    for (int i = 0; name != NULL && i < BRIDGE_FAULTS; i++) {
        if (strcmp(bridge_fault_names[i], name) == 0)
            return i;
    }
    return -1;
}

static unsigned number(const char *w, unsigned otherwise)
{
    return w != NULL ? (unsigned)strtoul(w, NULL, 10) : otherwise;
}

static bool count(struct stick *s)
{
    struct stick_counts c = stick_counts(s);

    printf("%lu %lu %lu %u\n", c.urbs, c.commands, c.resets, c.clients);
    return true;
}

/* False when it makes no sense. Sets `*said` when the answer is out already. */
static bool obey(struct bed *b, char *w[WORDS], bool *said)
{
    const char *verb = w[0];
    struct stick *s = w[1] != NULL ? bed_find(b, w[1]) : NULL;

    if (strcmp(verb, "add") == 0 && w[2] != NULL) {
        unescape(w[2]);
        return s == NULL && bed_add(b, w[1], w[2], w[3]) != NULL;
    }
    if (s == NULL)
        return false;
    if (strcmp(verb, "plug") == 0)
        stick_plug(s);
    else if (strcmp(verb, "unplug") == 0)
        stick_unplug(s);
    else if (strcmp(verb, "cut") == 0)
        stick_cut(s, number(w[2], 1), w[3] != NULL);
    else if (strcmp(verb, "delay") == 0)
        stick_delay(s, number(w[2], 0));
    else if (strcmp(verb, "steal") == 0 || strcmp(verb, "give") == 0)
        stick_steal(s, verb[0] == 's');
    else if (strcmp(verb, "descriptors") == 0)
        stick_descriptors(s, w[2]);
    else if (strcmp(verb, "fault") == 0 && fault_of(w[2]) >= 0)
        stick_fault(s, (enum bridge_fault)fault_of(w[2]), number(w[3], ~0U));
    else if (strcmp(verb, "tis") == 0 && number(w[2], TIS_FAULTS) < TIS_FAULTS)
        stick_tis(s, (enum unit_tis_fault)number(w[2], 0), number(w[3], 0));
    else if (strcmp(verb, "count") == 0)
        return *said = count(s);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct bed *b;
    char line[2048];
    FILE *f;

    if (argc != 2) {
        fprintf(stderr, "usage: usbstick ROOT-FILE\n");
        return 2;
    }
    b = bed_new();
    f = fopen(argv[1], "w");
    if (f == NULL || fprintf(f, "%s\n", bed_root(b)) < 0 || fclose(f) != 0) {
        perror(argv[1]);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *w[WORDS] = {NULL}, *save = NULL;
        bool said = false;

        for (int i = 0; i < WORDS; i++)
            w[i] = strtok_r(i == 0 ? line : NULL, " \n", &save);
        if (w[0] == NULL)
            continue;
        if (!obey(b, w, &said))
            puts("what?");
        else if (!said)
            puts("ok");
        fflush(stdout);
    }
    bed_free(b);
    return 0;
}
