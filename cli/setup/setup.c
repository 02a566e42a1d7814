/* Carries a plan out, and takes one back. */
#include "cli/setup/setup_priv.h"

#include "cli/setup/record.h"
#include "cli/setup/tool.h"
#include "cli/setup/undo.h"

#include <string.h>
#include <unistd.h>

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for a plan");
}

static bool is_tool(const json_t *entry)
{
    const char *kind = json_string_value(json_object_get(entry, "kind"));

    return kind != NULL && strcmp(kind, "tool") == 0;
}

/* --- carrying it out --------------------------------------------------------------------------- */

/* Where an earlier run of this setup wrote the same file, an interrupted one may have left
 * either of the two contents, and the directories that it made are still ours. */
static int inherit(struct setup *s, struct err *e)
{
    json_t *new, *old, *a, *b;
    size_t i, k, m, n;

    json_array_foreach (record_entries(s->new), i, new) {
        json_array_foreach (record_entries(s->old), k, old) {
            if (new == old || is_tool(new) != is_tool(old))
                continue;
            json_array_foreach (json_object_get(new, "files"), m, a) {
                json_array_foreach (json_object_get(old, "files"), n, b) {
                    if (json_equal(json_object_get(a, "path"), json_object_get(b, "path")) &&
                        record_inherit(a, b, e) != 0)
                        return -1;
                }
            }
        }
    }
    return 0;
}

static json_t *tools_of(json_t *record, bool standing)
{
    json_t *out = json_array(), *entry;
    size_t i;

    json_array_foreach (record_entries(record), i, entry) {
        if (is_tool(entry) && json_is_true(json_object_get(entry, "stands")) == standing)
            (void)json_array_append(out, entry);
    }
    return out;
}

/* What killed runs left, and directories that we made and that nothing is in any more. */
static void sweep(json_t *record)
{
    json_t *entry, *file, *dir;
    size_t i, k, n;

    json_array_foreach (record_entries(record), i, entry) {
        json_array_foreach (json_object_get(entry, "files"), k, file) {
            const char *path = json_string_value(json_object_get(file, "path"));

            if (path != NULL)
                tree_sweep(path);
            json_array_foreach (json_object_get(file, "dirs"), n, dir)
                tree_rmdir(json_string_value(dir));
        }
    }
}

static void tools_change(json_t *changes, const json_t *tools)
{
    json_t *tool;
    size_t i;

    json_array_foreach (tools, i, tool)
        (void)json_array_append_new(
            changes, json_pack("{s:O,s:s}", "path", tool_file(tool), "change", "change"));
}

static int undo_tools(const json_t *tools, struct err *e)
{
    for (size_t i = json_array_size(tools); i > 0; i--) {
        if (tool_undo(json_array_get(tools, i - 1), e) != 0)
            return -1;
    }
    return 0;
}

static int run_tools(const json_t *tools, struct err *e)
{
    json_t *tool;
    size_t i;

    json_array_foreach (tools, i, tool) {
        if (tool_do(tool, e) != 0)
            return -1;
    }
    return 0;
}

/* Every file is as this run makes it: contents of earlier runs are nobody's any more. A setup
 * that shares a file with another would else take them for its own. */
static bool settle(struct setup *s)
{
    json_t *entry, *file;
    size_t i, k;

    json_array_foreach (record_entries(s->new), i, entry) {
        json_array_foreach (json_object_get(entry, "files"), k, file) {
            if (!is_tool(entry))
                record_settle(file);
        }
    }
    return true;
}

static void forget_marks(json_t *record)
{
    json_t *entry;
    size_t i;

    json_array_foreach (record_entries(record), i, entry)
        (void)json_object_del(entry, "stands");
}

/* The record first: whatever happens then can be undone. */
static int carry_out(struct setup *s, struct err *e)
{
    const char *record = (const char *)s->record.p;
    json_t *dropped = tools_of(s->old, false), *to_run = tools_of(s->new, false);
    json_t *changes = show_changes(s);
    int rc = -1;

    tools_change(changes, to_run);
    forget_marks(s->new);
    if (dropped == NULL || to_run == NULL || changes == NULL)
        no_memory(e);
    else if (tree_probe(s->tree, e) == 0 && inherit(s, e) == 0 &&
             record_save(record, s->new, e) == 0 && undo_tools(dropped, e) == 0 &&
             tree_commit(s->tree, e) == 0 && settle(s) && run_tools(to_run, e) == 0 &&
             record_save(record, s->new, e) == 0)
        rc = 0;
    if (rc == 0) {
        sweep(s->old);
        rc = show_done(s, changes, false, e);
    }
    json_decref(dropped);
    json_decref(to_run);
    json_decref(changes);
    return rc;
}

/* Takes back, in the tree, all that an earlier run wrote. What cannot be is kept for `left` (NULL:
 * is a failure). */
static int take_back(struct setup *s, json_t *left, struct err *e)
{
    json_t *entries = record_entries(s->old);
    int rc = 0;

    for (size_t i = json_array_size(entries); i > 0; i--) {
        json_t *entry = json_array_get(entries, i - 1);

        if (is_tool(entry) || undo_entry(s->tree, entry, e) == 0)
            continue;
        rc = -1;
        if (left == NULL)
            break;
        (void)json_array_insert(record_entries(left), 0, entry);
    }
    return rc;
}

static int undo(struct setup *s, struct err *e)
{
    const char *record = (const char *)s->record.p;
    json_t *tools = tools_of(s->old, false), *changes = NULL;
    struct err kept = {0};
    int rc = -1;

    if (take_back(s, s->new, &kept) != 0 && kept.code != E_EXISTS && kept.code != E_FORMAT) {
        err_take(e, &kept);
        goto out;
    }
    if (cli_flag(s->cli, "dry-run")) {
        rc = show_plan(s, tools, true, e);
        goto out;
    }
    changes = show_changes(s);
    tools_change(changes, tools);
    if (tree_probe(s->tree, e) != 0 || undo_tools(tools, e) != 0 || tree_commit(s->tree, e) != 0 ||
        record_save(record, s->new, e) != 0)
        goto out;
    sweep(s->old);
    rc = show_done(s, changes, true, e);
out:
    if (rc == 0 && kept.code != E_OK)
        rc = err_take(e, &kept);
    json_decref(tools);
    json_decref(changes);
    return rc;
}

/* --- the command --------------------------------------------------------------------------------- */

static int choose_scope(struct setup *s, struct err *e)
{
    bool root = geteuid() == 0;

    s->is_system = (s->app->scopes & SETUP_SYSTEM) != 0 &&
                   ((s->app->scopes & SETUP_USER) == 0 || (root && !cli_flag(s->cli, "user")));
    if (s->is_system && !root && !cli_flag(s->cli, "dry-run"))
        return err_set(e, E_DENIED,
                       "the settings of %s belong to root; become root, or look with "
                       "--dry-run",
                       s->app->name);
    return 0;
}

/* Paths count as what they name, not as they are written. */
static int which(struct setup *s, struct buf *out, struct err *e)
{
    for (const char *const *name = s->app->which; name != NULL && *name != NULL; name++) {
        const char *value = cli_option(s->cli, *name);
        bool path = strcmp(*name, "file") == 0 || strcmp(*name, "profile") == 0;

        if (value == NULL)
            continue;
        buf_printf(out, "%s=", *name);
        if (path && setup_absolute(value, out, e) != 0)
            return -1;
        if (!path)
            buf_str(out, value);
        buf_u8(out, '\n');
    }
    return buf_cstr(out) != NULL ? 0 : no_memory(e);
}

static int open_setup(struct setup *s, struct err *e)
{
    const struct conf *conf = cli_conf(s->cli, e);
    struct buf dir = {0}, mark = {0};
    int rc = -1;

    if (conf == NULL || choose_scope(s, e) != 0)
        goto out;
    if (s->is_system)
        buf_str(&dir, RECORD_SYSTEM_DIR);
    else
        buf_printf(&dir, "%s/fusetsu/setup", conf_state_home(conf));
    if (which(s, &mark, e) != 0 || buf_cstr(&dir) == NULL ||
        record_path((const char *)dir.p, s->app->name, (const char *)mark.p, &s->record, e) != 0 ||
        record_load((const char *)s->record.p, s->app->name, s->is_system, &s->old, e) != 0)
        goto out;
    s->new = record_new(s->app->name, s->is_system, e);
    s->tree = tree_new(e);
    s->notes = json_array();
    if (s->new != NULL && s->tree != NULL && s->notes != NULL)
        rc = 0;
out:
    buf_free(&dir);
    buf_free(&mark);
    return rc;
}

static int do_plan(struct setup *s, struct err *e)
{
    json_t *to_run;
    int rc;

    if (take_back(s, NULL, e) != 0 || s->app->plan(s, e) != 0)
        return -1;
    if (!cli_flag(s->cli, "dry-run"))
        return carry_out(s, e);
    to_run = tools_of(s->new, false);
    rc = show_plan(s, to_run, false, e);
    json_decref(to_run);
    return rc;
}

int setup_run(struct cli *c, const struct setup_app *app, struct err *e)
{
    struct setup s = {.cli = c, .app = app};
    int rc = -1;

    if (open_setup(&s, e) == 0) {
        if (!cli_flag(c, "undo"))
            rc = do_plan(&s, e);
        else if (s.old != NULL)
            rc = undo(&s, e);
        else
            err_set(e, E_NOT_FOUND,
                    "%s was not set up this way; `fusetsu setup list` shows what was", app->name);
    }
    tree_free(s.tree);
    json_decref(s.old);
    json_decref(s.new);
    json_decref(s.notes);
    setup_key_free(s.key);
    setup_key_free(s.second);
    buf_free(&s.record);
    buf_free(&s.module);
    buf_free(&s.pin_file);
    buf_free(&s.said);
    return rc;
}
