#ifndef CLI_SETUP_TOOL_H
#define CLI_SETUP_TOOL_H

#include "core/buf.h"

#include <jansson.h>

/*
 * A program of an application's own that changes files, and takes it back: NSS's modutil (see
 * cli/setup/nss.h) for a directory and a module. A record has these two; the command line is made
 * of them anew each time.
 */

/* The entry for a record, before the program has run. NULL: recorded. */
json_t *tool_entry(const char *dir, const char *module, struct err *e) MUST_USE;

/* Is this entry one of the same directory and module, and still in effect? */
bool tool_stands(const json_t *entry, const char *dir, const char *module);

/* Makes the directory where it is missing, runs the program and notes in the entry what became of
 * the files. E_NOT_FOUND when the program is not there, E_IO with its last line when it fails, else
 * as nss_check. */
int tool_do(json_t *entry, struct err *e) MUST_USE;

/* Files that are as the program left them become what they were; where one was changed since,
 * the program that takes it back is run. */
int tool_undo(const json_t *entry, struct err *e) MUST_USE;

/* The file that tells whether it is in effect. */
json_t *tool_file(const json_t *entry);

/* What is run, or was for `undo`, as an array. NULL: no memory. */
json_t *tool_argv(const json_t *entry, bool undo);

/* A command line as one would type it, appended. */
void tool_print(const json_t *argv, struct buf *out);

#endif
