/* What was set up, from the records. */
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/setup/record.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

static int add(struct listing *l, const char *path, bool is_system, struct err *e)
{
    json_t *record = NULL, *entry, *file, *paths = json_array();
    size_t i, k;
    int rc = -1;

    if (record_load(path, NULL, is_system, &record, e) != 0)
        goto out;
    json_array_foreach (record_entries(record), i, entry) {
        json_array_foreach (json_object_get(entry, "files"), k, file)
            (void)json_array_append(paths, json_object_get(file, "path"));
    }
    rc = 0;
    json_array_foreach (paths, i, file) {
        const char *app = json_string_value(json_object_get(record, "app"));
        const char *name = json_string_value(file);

        if (rc == 0)
            rc = listing_row(l, (const char *[]){app != NULL ? app : "?", name},
                             json_pack("{s:o,s:o,s:o}", "app", out_json_text(app), "file",
                                       out_json_text(name), "record", out_json_text(path)),
                             e);
    }
out:
    json_decref(paths);
    json_decref(record);
    return rc;
}

/* One that cannot be read does not hide the others: why is kept in `first`. */
static int add_all(struct listing *l, const char *dir, bool is_system, struct err *first,
                   struct err *e)
{
    struct buf pattern = {0};
    glob_t g = {0};
    int rc = 0;

    buf_printf(&pattern, "%s/*.json", dir);
    if (buf_cstr(&pattern) != NULL && glob((const char *)pattern.p, 0, NULL, &g) == 0) {
        for (size_t i = 0; rc == 0 && i < g.gl_pathc; i++) {
            struct err why = {0};

            if (add(l, g.gl_pathv[i], is_system, &why) == 0)
                continue;
            if (why.code == E_MEMORY)
                rc = err_take(e, &why);
            else
                err_take(first, &why);
        }
    }
    globfree(&g);
    buf_free(&pattern);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"APPLICATION", "FILE"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    const struct conf *conf = cli_conf(c, e);
    struct buf mine = {0};
    struct err first = {0};
    int rc = -1;

    if (l == NULL || conf == NULL)
        goto out;
    buf_printf(&mine, "%s/fusetsu/setup", conf_state_home(conf));
    if (buf_cstr(&mine) == NULL)
        err_set(e, E_MEMORY, "out of memory for a list");
    else if (add_all(l, RECORD_SYSTEM_DIR, true, &first, e) == 0 &&
             add_all(l, (const char *)mine.p, false, &first, e) == 0)
        rc = listing_print(l, "Nothing was set up; `fusetsu setup --help` lists what can be.", e);
    if (rc == 0 && first.code != E_OK)
        rc = err_take(e, &first);
out:
    listing_free(l);
    buf_free(&mine);
    return rc;
}

const struct cli_command cmd_setup_list = {
    .group = "setup",
    .name = "list",
    .shared = CLI_JSON,
    .summary = "list what was set up, and the files that were changed for it",
    .about = "Lists the files that setups of this user and of the system wrote or changed and "
             "that --undo would take back.",
    .examples = "fusetsu setup list",
    .run = run,
};
