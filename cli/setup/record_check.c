#include "cli/setup/record_check.h"

#include <string.h>

static bool is_path(const char *s)
{
    return s != NULL && *s == '/';
}

static bool is_above(const char *dir, const char *path)
{
    size_t n = dir != NULL ? strlen(dir) : 0;

    return n != 0 && strncmp(dir, path, n) == 0 && path[n] == '/';
}

static bool check_state(json_t *state)
{
    const char *content;
    int mode, uid, gid;

    return json_is_null(state) || json_unpack(state, "{s:s,s:i,s:i,s:i}", "content", &content,
                                              "mode", &mode, "uid", &uid, "gid", &gid) == 0;
}

static bool check_file(json_t *file)
{
    json_t *before, *after, *dirs, *one;
    const char *path;
    size_t i;

    if (json_unpack(file, "{s:s,s:o,s:o,s:o}", "path", &path, "before", &before, "after", &after,
                    "dirs", &dirs) != 0 ||
        !is_path(path) || !check_state(before) || !json_is_array(after) || !json_is_array(dirs))
        return false;
    json_array_foreach (after, i, one) {
        if (!json_is_null(one) && !json_is_string(one))
            return false;
    }
    json_array_foreach (dirs, i, one) {
        if (!is_above(json_string_value(one), path))
            return false;
    }
    return true;
}

static bool check_tool(json_t *entry, json_t *files)
{
    const char *dir, *module;
    json_t *file;
    size_t i;

    if (json_unpack(entry, "{s:s,s:s}", "dir", &dir, "module", &module) != 0 || !is_path(dir) ||
        !is_path(module) || json_array_size(files) == 0)
        return false;
    json_array_foreach (files, i, file) {
        if (!is_above(dir, json_string_value(json_object_get(file, "path"))))
            return false;
    }
    return true;
}

static bool check_entry(json_t *entry)
{
    const char *kind, *a, *b;
    json_t *files, *file;
    size_t i;

    if (json_unpack(entry, "{s:s,s:o}", "kind", &kind, "files", &files) != 0 ||
        !json_is_array(files))
        return false;
    json_array_foreach (files, i, file) {
        if (!check_file(file))
            return false;
    }
    if (strcmp(kind, "tool") == 0)
        return check_tool(entry, files);
    if (json_array_size(files) != 1)
        return false;
    if (strcmp(kind, "block") == 0)
        return json_unpack(entry, "{s:s,s:s}", "name", &a, "comment", &b) == 0;
    if (strcmp(kind, "pointer") == 0)
        return json_unpack(entry, "{s:s}", "pointer", &a) == 0 && *a == '/';
    return strcmp(kind, "whole") == 0;
}

bool record_check(json_t *record, const char *app, bool is_system)
{
    json_t *entries, *entry;
    const char *name;
    int is;
    size_t i;

    if (json_unpack(record, "{s:s,s:b,s:o}", "app", &name, "system", &is, "entries", &entries) !=
            0 ||
        (is != 0) != is_system || (app != NULL && strcmp(name, app) != 0) ||
        !json_is_array(entries) || json_array_size(entries) == 0 ||
        !json_is_integer(json_object_get(record, "version")))
        return false;
    json_array_foreach (entries, i, entry) {
        if (!check_entry(entry))
            return false;
    }
    return true;
}
