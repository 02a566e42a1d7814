#ifndef TESTS_UNIT_USBSTICK_H
#define TESTS_UNIT_USBSTICK_H

#include "core/base.h"

/*
 * A machine with emulated USB sticks for this process (tests/support/stick/main.c is the other
 * end). First thing in main(): starts it, and this program once more inside; false, with a line
 * of TAP, where it cannot. Without `run` processes take turns by files in a new directory.
 */
bool unit_usbstick_begin(char **argv);

/* Says it and wants to hear "ok". */
void unit_usbstick(const char *fmt, ...) PRINTF_LIKE(1, 2);

struct unit_usbstick_count {
    unsigned long urbs, commands, resets, open;
};
struct unit_usbstick_count unit_usbstick_count(const char *name);

/* Where the lock files of turns are. */
const char *unit_usbstick_run(void);

/* Ends it. */
void unit_usbstick_end(void);

#endif
