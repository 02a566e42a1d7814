#ifndef CLI_SETUP_TOOL_H
#define CLI_SETUP_TOOL_H

#include "core/buf.h"

#include <jansson.h>

/*
 * A program of the application's own that changes files, and the one that takes it back. It is
 * in effect when the file `proof` holds the text `holds`. Arrays end with NULL.
 */
struct tool {
    const char *const *run, *const *undo;
    const char *const *files; /* what it changes or makes, absolute */
    const char *proof, *holds;
    const char *package; /* of Debian, that has the program */
};

/* Is what it does in effect? */
bool tool_done(const struct tool *t);

/* The entry for a record, before the program has run. NULL: recorded. */
json_t *tool_entry(const struct tool *t, struct err *e) MUST_USE;

/* Is this entry one of the same program with the same arguments, and still in effect? */
bool tool_stands(const json_t *entry, const struct tool *t);

/* Runs it and notes in the entry what became of the files. E_NOT_FOUND when the program is not
 * there, E_IO with its last line when it fails. */
int tool_do(json_t *entry, struct err *e) MUST_USE;

/* Files that are as the program left them become what they were; where one was changed since,
 * the program that takes it back is run. */
int tool_undo(const json_t *entry, struct err *e) MUST_USE;

/* A command line as one would type it, appended. */
void tool_print(const json_t *argv, struct buf *out);

#endif
