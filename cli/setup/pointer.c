#include "cli/setup/pointer.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define TOKEN_MAX 128

/* The tokens of a pointer, unescaped. */
struct path {
    char token[DEPTH_MAX][TOKEN_MAX];
    size_t n;
};

static int parse(const char *pointer, struct path *out, struct err *e)
{
    const char *p = pointer;

    out->n = 0;
    while (*p == '/' && out->n < DEPTH_MAX) {
        size_t len = 0;

        for (p++; *p != 0 && *p != '/' && len < TOKEN_MAX - 1; p++) {
            if (*p == '~' && (p[1] == '0' || p[1] == '1'))
                out->token[out->n][len++] = *++p == '0' ? '~' : '/';
            else
                out->token[out->n][len++] = *p;
        }
        out->token[out->n++][len] = 0;
    }
    return *p == 0 && out->n > 0 ? 0 : err_set(e, E_ARG, "\"%s\" is no JSON pointer here", pointer);
}

static int load(struct bytes in, json_t **out, struct err *e)
{
    json_error_t why;

    *out = in.len == 0 ? json_object() : json_loadb((const char *)in.p, in.len, 0, &why);
    if (*out == NULL && in.len == 0)
        return err_set(e, E_MEMORY, "out of memory for a JSON file");
    if (*out == NULL)
        return err_set(e, E_FORMAT, "line %d is not JSON: %s; correct it first", why.line,
                       why.text);
    return json_is_object(*out) ? 0 : err_set(e, E_FORMAT, "it is JSON, but no object");
}

static int dump(json_t *doc, struct buf *out, struct err *e)
{
    char *text = json_dumps(doc, JSON_INDENT(2));

    if (text == NULL)
        return err_set(e, E_MEMORY, "out of memory for a JSON file");
    buf_str(out, text);
    buf_u8(out, '\n');
    free(text);
    return buf_ok(out, e);
}

int pointer_set(struct bytes in, const char *pointer, json_t *value, struct buf *out, struct err *e)
{
    json_t *doc = NULL, *at;
    struct path path;
    int rc = -1;

    if (parse(pointer, &path, e) != 0 || load(in, &doc, e) != 0)
        goto out;
    at = doc;
    for (size_t i = 0; i + 1 < path.n; i++) {
        json_t *next = json_object_get(at, path.token[i]);

        if (next == NULL && json_object_set_new(at, path.token[i], json_object()) == 0)
            next = json_object_get(at, path.token[i]);
        if (!json_is_object(next)) {
            err_set(e, E_FORMAT, "\"%s\" in it is no object", path.token[i]);
            goto out;
        }
        at = next;
    }
    if (json_object_set(at, path.token[path.n - 1], value) != 0) {
        err_set(e, E_MEMORY, "out of memory for a JSON file");
        goto out;
    }
    rc = dump(doc, out, e);
out:
    json_decref(doc);
    return rc;
}

int pointer_unset(struct bytes in, const char *pointer, struct buf *out, bool *found, struct err *e)
{
    json_t *doc = NULL, *at[DEPTH_MAX];
    struct path path;
    size_t n = 0;
    int rc = -1;

    *found = false;
    if (parse(pointer, &path, e) != 0 || load(in, &doc, e) != 0)
        goto out;
    for (json_t *o = doc; json_is_object(o) && n < path.n; n++) {
        at[n] = o;
        o = json_object_get(o, path.token[n]);
        *found = n + 1 == path.n && o != NULL;
    }
    for (size_t i = path.n; *found && i > 0; i--) {
        (void)json_object_del(at[i - 1], path.token[i - 1]);
        if (json_object_size(at[i - 1]) != 0)
            break;
    }
    rc = dump(doc, out, e);
out:
    json_decref(doc);
    return rc;
}
