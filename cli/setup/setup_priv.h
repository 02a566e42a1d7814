#ifndef CLI_SETUP_SETUP_PRIV_H
#define CLI_SETUP_SETUP_PRIV_H

/* What the files of the frame share. */

#include "cli/setup/setup.h"
#include "cli/setup/tree.h"

struct setup {
    struct cli *cli;
    const struct setup_app *app;
    bool is_system;
    struct buf record; /* the path of its record */
    struct tree *tree;
    json_t *old, *new; /* records: what was done, what shall be */
    struct buf module;
    struct buf pin_file;
    struct setup_key *key, *second; /* NULL: not read yet */
    struct buf said;                /* paragraphs and lines, as they are printed */
    json_t *notes;                  /* the same for JSON */
    size_t blocks;
};

void setup_key_free(struct setup_key *k); /* NULL is fine */

/* --- show.c ------------------------------------------------------------------------------ */

/* What would be done, in full; what was done, in short; or either as JSON. `tools` are the
 * entries of programs that are (to be) run. */
int show_plan(struct setup *s, const json_t *tools, bool undo, struct err *e) MUST_USE;
int show_done(struct setup *s, const json_t *done, bool undo, struct err *e) MUST_USE;

/* The paths that the commit will change: [{"path", "change"}]. NULL: no memory. */
json_t *show_changes(const struct setup *s);

#endif
