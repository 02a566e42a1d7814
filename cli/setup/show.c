#include "cli/setup/setup_priv.h"

#include "cli/out.h"
#include "cli/setup/tool.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *change_of(const struct tree_state *from, const struct tree_state *to)
{
    if (!from->exists)
        return "create";
    return to->exists ? "change" : "remove";
}

static void add_change(void *arg, const char *path, const struct tree_state *from,
                       const struct tree_state *to)
{
    (void)json_array_append_new(
        arg, json_pack("{s:o,s:s}", "path", out_json_text(path), "change", change_of(from, to)));
}

json_t *show_changes(const struct setup *s)
{
    json_t *out = json_array();

    if (out != NULL)
        tree_visit(s->tree, add_change, out);
    return out;
}

/* --- in words ------------------------------------------------------------------------------- */

/* A line of a file: borrowed, without its end. */
static struct bytes line_at(struct bytes text, size_t at)
{
    const uint8_t *end = memchr(text.p + at, '\n', text.len - at);

    return bytes_of(text.p + at, end != NULL ? (size_t)(end - text.p) - at : text.len - at);
}

static bool has(struct bytes line, const char *text)
{
    return line.len != 0 && memmem(line.p, line.len, text, strlen(text)) != NULL;
}

/* A PIN in somebody's lines: `pin = 1234`, pin-value=1234. */
static bool has_pin(struct bytes line)
{
    for (; line.len > 3; line = bytes_of(line.p + 1, line.len - 1)) {
        size_t n = 3;

        if (strncasecmp((const char *)line.p, "pin", 3) != 0)
            continue;
        if (line.len > 9 && memcmp(&line.p[3], "-value", 6) == 0)
            return true;
        while (n < line.len && (line.p[n] == ' ' || line.p[n] == '\t'))
            n++;
        if (n < line.len && line.p[n] == '=')
            return true;
    }
    return false;
}

/* The lines of `part`, which is within `all`; of a secret one only those between our marks. */
static void print_lines(char mark, struct bytes all, struct bytes part, bool secret)
{
    bool ours = false;

    for (size_t at = 0; at < all.len;) {
        struct bytes line = line_at(all, at);
        char shown[1024];

        ours = ours || has(line, " fusetsu setup: begin ");
        if (all.p + at >= part.p && all.p + at < part.p + part.len &&
            (!secret || (ours && !has_pin(line)))) {
            snprintf(shown, sizeof(shown), "%.*s", (int)line.len, (const char *)line.p);
            printf("  %c ", mark);
            out_text(stdout, shown);
            putchar('\n');
        }
        ours = ours && !has(line, " fusetsu setup: end ");
        at += line.len + 1;
    }
}

/* What is equal at the beginning and at the end, in whole lines, is left out. */
static void cut_equal(struct bytes *a, struct bytes *b)
{
    size_t n = 0, start = 0;

    while (n < a->len && n < b->len && a->p[n] == b->p[n]) {
        if (a->p[n++] == '\n')
            start = n;
    }
    if (n == a->len && n == b->len)
        start = n;
    *a = bytes_of(a->p + start, a->len - start);
    *b = bytes_of(b->p + start, b->len - start);
    for (n = 0; n < a->len && n < b->len && a->p[a->len - 1 - n] == b->p[b->len - 1 - n];)
        n++;
    while (n > 0 && a->len != n && b->len != n && a->p[a->len - n - 1] != '\n')
        n--;
    a->len -= n;
    b->len -= n;
}

/* What nobody else may read, be it so far or from now on, can have a PIN or password in it. */
static bool is_secret(const struct tree_state *from, const struct tree_state *to)
{
    return (from->exists && (from->owner.mode & 077) == 0) ||
           (to->exists && (to->owner.mode & 077) == 0);
}

static void print_change(void *arg, const char *path, const struct tree_state *from,
                         const struct tree_state *to)
{
    struct bytes a = buf_bytes(&from->content), b = buf_bytes(&to->content);
    bool secret = is_secret(from, to);

    (void)arg;
    printf("would %s ", change_of(from, to));
    out_text(stdout, path);
    if (!from->exists)
        printf(" (mode %04o)", to->owner.mode);
    printf("\n");
    if (secret)
        printf("    (not shown but for our own lines: it is for its owner alone)\n");
    if (a.len != 0 && b.len != 0)
        cut_equal(&a, &b);
    print_lines('-', buf_bytes(&from->content), a, secret);
    print_lines('+', buf_bytes(&to->content), b, secret);
}

static void print_tools(const json_t *tools, bool undo)
{
    json_t *tool;
    size_t i;

    json_array_foreach (tools, i, tool) {
        struct buf line = {0};
        json_t *argv = tool_argv(tool, undo);

        tool_print(argv, &line);
        if (buf_cstr(&line) != NULL) {
            printf("would run: ");
            out_text(stdout, (const char *)line.p);
            printf("\n");
        }
        buf_free(&line);
        json_decref(argv);
    }
}

static void print_said(struct setup *s)
{
    const char *text = s->said.len != 0 ? buf_cstr(&s->said) : NULL;

    if (text != NULL)
        printf("\n%s", text);
}

static int print_json(struct setup *s, json_t *changes, const json_t *tools, bool done, bool undo,
                      struct err *e)
{
    json_t *run = json_array(), *tool, *doc;
    size_t i;

    json_array_foreach (tools, i, tool)
        (void)json_array_append_new(run, tool_argv(tool, undo));
    doc = json_pack("{s:s,s:b,s:b,s:b,s:o,s:o,s:O}", "app", s->app->name, "system",
                    s->is_system ? 1 : 0, "undo", undo ? 1 : 0, "done", done ? 1 : 0, "changes",
                    changes, "run", run, "notes", s->notes);
    return cli_json(s->cli, doc, e);
}

int show_plan(struct setup *s, const json_t *tools, bool undo, struct err *e)
{
    if (cli_flag(s->cli, "json"))
        return print_json(s, show_changes(s), tools, false, undo, e);
    tree_visit(s->tree, print_change, NULL);
    print_tools(tools, undo);
    if (!tree_changed(s->tree) && json_array_size(tools) == 0)
        printf("Nothing would be changed.\n");
    if (!undo)
        print_said(s);
    return 0;
}

int show_done(struct setup *s, const json_t *done, bool undo, struct err *e)
{
    json_t *one;
    size_t i;

    if (cli_flag(s->cli, "json"))
        return print_json(s, json_incref((json_t *)(uintptr_t)done), NULL, true, undo, e);
    json_array_foreach (done, i, one) {
        const char *change = json_string_value(json_object_get(one, "change"));
        const char *path = json_string_value(json_object_get(one, "path"));

        printf("%s ", strcmp(change, "create") == 0   ? "created"
                      : strcmp(change, "change") == 0 ? "changed"
                                                      : "removed");
        out_text(stdout, path);
        printf("\n");
    }
    if (json_array_size(done) == 0)
        printf("Nothing had to be changed.\n");
    if (!undo)
        print_said(s);
    return 0;
}
