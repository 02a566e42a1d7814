#ifndef CLI_SETUP_RECORD_H
#define CLI_SETUP_RECORD_H

#include "cli/setup/tree.h"

#include <jansson.h>

/*
 * What `fusetsu setup` did, so that it can be undone: one JSON file for each setup, readable by
 * its owner alone, since it holds what was in the files before.
 *
 *     {"version": 2, "app": NAME, "system": BOOL, "entries": [ENTRY...]}
 *
 * An ENTRY has a "kind" ("whole", "block", "pointer", "tool"), what that kind needs to be undone
 * where the file has been changed since, and "files": one for each file,
 *
 *     {"path": PATH, "before": STATE, "after": [HASH...], "dirs": [DIRECTORY...]}
 *
 * A STATE is null where there was no file, else its content (base64), mode and owner. A HASH is
 * the SHA-256 of what we made of it, null where that is no file: several while it is uncertain
 * which one was reached. DIRECTORY: what was missing above it, innermost first.
 */

/* Where the records of the system are; a user's are in fusetsu/setup below conf_state_home(). */
#define RECORD_SYSTEM_DIR "/var/lib/fusetsu/setup"

/* The names of records: DIRECTORY/APP[-WHICH].json. */
int record_path(const char *dir, const char *app, const char *which, struct buf *out,
                struct err *e) MUST_USE;

json_t *record_new(const char *app, bool is_system, struct err *e) MUST_USE;

/* *out is NULL when there is no such file. E_CORRUPT unless it is a whole record of this
 * application (NULL: of any) and of the system or a user, E_VERSION, E_DENIED when another user
 * could have written it. */
int record_load(const char *path, const char *app, bool is_system, json_t **out,
                struct err *e) MUST_USE;

/* Without any entries the file is removed. */
int record_save(const char *path, json_t *record, struct err *e) MUST_USE;

json_t *record_entries(json_t *record);

/* A file for the list of an entry, with what is missing above it on the disk now. NULL:
 * recorded. */
json_t *record_file(const char *path, const struct tree_state *before,
                    const struct tree_state *after, struct err *e) MUST_USE;

/* What it held before, with the mode and owner that it has `now` where it is there. E_CORRUPT. */
int record_before(const json_t *file, const struct tree_state *now, struct tree_state *out,
                  struct err *e) MUST_USE;

/* Is the state one that we made? */
bool record_is_after(const json_t *file, const struct tree_state *now);

/* From now on `after` alone is what we made of it. */
int record_set_after(json_t *file, const struct tree_state *after, struct err *e) MUST_USE;

/* What an earlier record says of the same file holds as well: what we made of it, and the
 * directories that were missing then. */
int record_inherit(json_t *file, const json_t *earlier, struct err *e) MUST_USE;

/* What it inherited of contents is over: this record's was reached. */
void record_settle(json_t *file);

#endif
