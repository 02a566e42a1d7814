/* What an application's plan can ask, and what it can say. */
#include "cli/setup/setup_priv.h"

#include "cli/out.h"
#include "cli/setup/nss.h"
#include "cli/setup/pointer.h"
#include "cli/setup/record.h"
#include "cli/setup/tool.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for a plan");
}

/* --- what a plan knows ----------------------------------------------------------------------- */

struct cli *setup_cli(struct setup *s)
{
    return s->cli;
}

bool setup_is_system(const struct setup *s)
{
    return s->is_system;
}

/* It is written into settings of many forms, which quote in as many ways: one path that is the
 * same in all of them. */
static int check_module(const char *path, struct err *e)
{
    for (const char *p = path; *p != 0; p++) {
        if ((*p > 0 && *p <= ' ') || strchr("\177;{}#\"'\\$%`", *p) != NULL)
            return cli_misuse(
                e,
                "settings cannot hold the path of the module '%s'; choose one without "
                "blanks, quotes and any of \\ $ %% # ; { }",
                path);
    }
    return 0;
}

/* Beside this program when it was built there, else where `make install` puts the two. */
const char *setup_module(struct setup *s, struct err *e)
{
    static const char *const places[] = {"fusetsu-pkcs11.so", "../lib/pkcs11/fusetsu-pkcs11.so"};
    const char *given = cli_option(s->cli, "module");
    char self[PATH_MAX], path[PATH_MAX + 64], *real = NULL;
    ssize_t n;

    if (s->module.len != 0)
        return (const char *)s->module.p;
    if (given != NULL)
        return setup_absolute(given, &s->module, e) == 0 &&
                       check_module((const char *)s->module.p, e) == 0
                   ? (const char *)s->module.p
                   : NULL;
    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = 0;
    if (strrchr(self, '/') != NULL)
        *strrchr(self, '/') = 0;
    for (size_t i = 0; real == NULL && i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof(path), "%s/%s", self, places[i]);
        real = realpath(path, NULL);
    }
    if (real == NULL) {
        err_set(e, E_NOT_FOUND,
                "the module is not where this program looks for it; name it with "
                "--module");
        return NULL;
    }
    buf_str(&s->module, real);
    free(real);
    if (buf_cstr(&s->module) == NULL) {
        no_memory(e);
        return NULL;
    }
    return check_module((const char *)s->module.p, e) == 0 ? (const char *)s->module.p : NULL;
}

static int below(struct buf *out, const char *dir, const char *rest, struct err *e)
{
    buf_printf(out, "%s/%s", dir, rest);
    return buf_cstr(out) != NULL ? 0 : no_memory(e);
}

int setup_home_path(struct setup *s, struct buf *out, const char *rest, struct err *e)
{
    const struct conf *conf = cli_conf(s->cli, e);

    return conf != NULL ? below(out, conf_home(conf), rest, e) : -1;
}

int setup_config_path(struct setup *s, struct buf *out, const char *rest, struct err *e)
{
    const struct conf *conf = cli_conf(s->cli, e);

    return conf != NULL ? below(out, conf_config_home(conf), rest, e) : -1;
}

int setup_content(struct setup *s, const char *path, struct bytes *out, struct err *e)
{
    const struct tree_state *is;

    if (tree_get(s->tree, path, &is, e) != 0)
        return -1;
    *out = buf_bytes(&is->content);
    return 0;
}

/* --- what a plan says -------------------------------------------------------------------------- */

/* Notes one file for the record: the entry's other members are there already, and its reference
 * is taken over. `before` is taken over as well. */
static int note(struct setup *s, json_t *entry, const char *path, struct tree_state *before,
                struct err *e)
{
    const struct tree_state *after;
    json_t *file = NULL;
    int rc = -1;

    if (entry == NULL)
        no_memory(e);
    else if (tree_get(s->tree, path, &after, e) == 0)
        file = record_file(path, before, after, e);
    if (file != NULL && json_object_set_new(entry, "files", json_pack("[o]", file)) == 0 &&
        json_array_append(record_entries(s->new), entry) == 0)
        rc = 0;
    else
        no_memory(e); /* unless recorded already */
    json_decref(entry);
    tree_state_free(before);
    return rc;
}

/* The state of a file as it is now in the tree, to be kept. */
static int state_now(struct setup *s, const char *path, struct tree_state *out, struct err *e)
{
    const struct tree_state *is;

    return tree_get(s->tree, path, &is, e) == 0 ? tree_state_copy(out, is, e) : -1;
}

int setup_file(struct setup *s, const char *path, unsigned mode, struct bytes content,
               struct err *e)
{
    struct tree_state before = {0};
    int rc = -1;

    if (state_now(s, path, &before, e) != 0)
        return -1;
    if (before.exists && bytes_equal(buf_bytes(&before.content), content)) {
        tree_state_free(&before);
        return 0;
    }
    if (before.exists)
        err_set(e, E_EXISTS,
                "%s is there already and says something else; move it away, then try again", path);
    else if (tree_put(s->tree, path, content, mode, e) == 0)
        return note(s, json_pack("{s:s}", "kind", "whole"), path, &before, e);
    tree_state_free(&before);
    return rc;
}

int setup_block(struct setup *s, const char *path, unsigned mode, struct block b, const char *text,
                struct err *e)
{
    struct tree_state before = {0};
    struct buf out = {.secret = true};
    char name[300];
    int rc = -1;

    /* The record's own name: two setups can have lines in one file. */
    snprintf(name, sizeof(name), "%s", strrchr((const char *)s->record.p, '/') + 1);
    name[strlen(name) - strlen(".json")] = 0;
    if (s->blocks++ != 0)
        snprintf(&name[strlen(name)], 12, ".%zu", s->blocks);
    b.name = name;
    if (state_now(s, path, &before, e) != 0)
        return -1;
    if (block_put(&b, buf_bytes(&before.content), text, &out, e) != 0)
        err_prefix(e, "%s", path);
    else if (tree_put(s->tree, path, buf_bytes(&out), mode, e) == 0)
        rc = note(s,
                  json_pack("{s:s,s:s,s:s}", "kind", "block", "name", name, "comment", b.comment),
                  path, &before, e);
    buf_free(&out);
    tree_state_free(&before);
    return rc;
}

int setup_pointer(struct setup *s, const char *path, const char *pointer, json_t *value,
                  struct err *e)
{
    struct tree_state before = {0};
    struct buf out = {0};
    int rc = -1;

    if (state_now(s, path, &before, e) != 0)
        goto out;
    if (value == NULL)
        no_memory(e);
    else if (pointer_set(buf_bytes(&before.content), pointer, value, &out, e) != 0)
        err_prefix(e, "%s", path);
    else if (tree_put(s->tree, path, buf_bytes(&out), 0644, e) == 0)
        rc = note(s, json_pack("{s:s,s:s}", "kind", "pointer", "pointer", pointer), path, &before,
                  e);
out:
    json_decref(value);
    buf_free(&out);
    tree_state_free(&before);
    return rc;
}

int setup_nss(struct setup *s, const char *dir, struct err *e)
{
    const char *module = setup_module(s, e);
    json_t *entry;
    size_t i;

    if (module == NULL || nss_check(dir, e) != 0)
        return -1;
    /* One that stands is carried over: what was before it is known there only. */
    json_array_foreach (record_entries(s->old), i, entry) {
        if (tool_stands(entry, dir, module)) {
            json_object_set_new(entry, "stands", json_true());
            return json_array_append(record_entries(s->new), entry) == 0 ? 0 : no_memory(e);
        }
    }
    if (nss_has(dir, module))
        return 0; /* by somebody else, and so is its undoing */
    entry = tool_entry(dir, module, e);
    if (entry == NULL)
        return -1;
    return json_array_append_new(record_entries(s->new), entry) == 0 ? 0 : no_memory(e);
}

void setup_say(struct setup *s, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) >= 0) {
        buf_printf(&s->said, "%s\n", text);
        (void)json_array_append_new(s->notes, out_json_text(text));
    }
    va_end(args);
    free(text);
}

void setup_lines(struct setup *s, const char *text)
{
    for (const char *p = text; *p != 0;) {
        size_t n = strcspn(p, "\n");

        char *line = strndup(p, n);

        buf_printf(&s->said, "    %.*s\n", (int)n, p);
        if (line != NULL)
            (void)json_array_append_new(s->notes, out_json_text(line));
        free(line);
        p += n + (p[n] == '\n' ? 1 : 0);
    }
}
