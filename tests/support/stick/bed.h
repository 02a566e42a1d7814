#ifndef TESTS_STICK_BED_H
#define TESTS_STICK_BED_H

#include "tests/support/stick/bridge.h"

/*
 * A machine (umockdev's) into which sticks are plugged. Processes see it that have its
 * directory in UMOCKDEV_DIR and libumockdev-preload loaded. Its calls and the sticks' transfers
 * exclude each other.
 */
struct bed;
struct stick;

struct bed *bed_new(void);
void bed_free(struct bed *b);
const char *bed_root(const struct bed *b);

/* `serial` as sysfs shows it; `socket` of a swtpm, or NULL (tests/support/stick/chip.h). */
struct stick *bed_add(struct bed *b, const char *name, const char *serial, const char *socket);
struct stick *bed_find(struct bed *b, const char *name);

void stick_plug(struct stick *s);
void stick_unplug(struct stick *s);

/* Pulled out while the `n`th transfer from now is under way. With `dirty` it fails first as
 * broken cables make transfers fail. */
void stick_cut(struct stick *s, unsigned n, bool dirty);

/* Other descriptors from the next plugging in on; NULL: its own. */
void stick_descriptors(struct stick *s, const char *hex);
void stick_fault(struct stick *s, enum bridge_fault f, unsigned times);
void stick_tis(struct stick *s, enum unit_tis_fault f, unsigned burst);
void stick_delay(struct stick *s, unsigned ms);

/* Another program has the interface (its own: not one that takes turns). */
void stick_steal(struct stick *s, bool stolen);

struct stick_counts {
    unsigned long urbs, commands, resets;
    unsigned clients; /* descriptors that are open on it now */
};
struct stick_counts stick_counts(struct stick *s);

#endif
