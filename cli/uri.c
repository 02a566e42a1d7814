#include "cli/uri.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longer than any sensible URI; bounds the work on a hostile one. */
#define URI_MAX 4096
#define URI_ID_MAX 255

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* RFC 7512 2.3: unreserved (RFC 3986 2.3) and pk11-res-avail; '&' in the path only,
 * '/', '?' and '|' in the query only. */
static bool allowed(char c, bool query)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != 0 && strchr(query ? "-._~:[]@!$'()*+,=/?|" : "-._~:[]@!$'()*+,=&", c) != NULL;
}

static int decode(struct buf *out, const char *name, struct bytes in, bool query, struct err *e)
{
    for (size_t i = 0; i < in.len; i++) {
        char c = (char)in.p[i];

        if (c == '%') {
            bool there = in.len - i > 2;
            int hi = there ? nibble((char)in.p[i + 1]) : -1;
            int lo = there ? nibble((char)in.p[i + 2]) : -1;

            if (hi < 0 || lo < 0)
                return cli_misuse(e, "%s in the pkcs11: URI holds a '%%' without two hex digits",
                                  name);
            buf_u8(out, (uint8_t)(hi << 4 | lo));
            i += 2;
        } else if (allowed(c, query)) {
            buf_u8(out, (uint8_t)c);
        } else {
            return cli_misuse(e,
                              "%s in the pkcs11: URI holds a character that must be written as "
                              "%%xx (RFC 7512, 2.3)",
                              name);
        }
    }
    return buf_ok(out, e);
}

static int text_value(char **slot, const char *name, const struct buf *value, struct err *e)
{
    if (*slot != NULL)
        return cli_misuse(e, "%s stands in the pkcs11: URI twice", name);
    if (value->len != 0 && memchr(value->p, 0, value->len) != NULL)
        return cli_misuse(e, "%s in the pkcs11: URI holds a zero byte", name);
    *slot = strndup(value->len != 0 ? (const char *)value->p : "", value->len);
    if (*slot == NULL)
        return err_set(e, E_MEMORY, "out of memory for a URI");
    return 0;
}

static int type_value(struct uri *u, struct buf *value, struct err *e)
{
    static const struct {
        const char *name;
        enum uri_type type;
    } types[] = {{"private", URI_PRIVATE},
                 {"public", URI_PUBLIC},
                 {"cert", URI_CERT},
                 {"data", URI_DATA},
                 {"secret-key", URI_SECRET}};
    const char *s = buf_cstr(value);

    if (u->type != URI_ANY)
        return cli_misuse(e, "type stands in the pkcs11: URI twice");
    for (size_t i = 0; s != NULL && i < ARRAY_LEN(types); i++) {
        if (strcmp(s, types[i].name) == 0 && strlen(s) == value->len)
            u->type = types[i].type;
    }
    if (u->type == URI_ANY)
        return cli_misuse(e, "type in the pkcs11: URI is one of private, public, cert, data, "
                             "secret-key");
    return 0;
}

static int id_value(struct uri *u, const struct buf *value, struct err *e)
{
    if (u->has_id)
        return cli_misuse(e, "id stands in the pkcs11: URI twice");
    if (value->len == 0 || value->len > URI_ID_MAX)
        return cli_misuse(e, "id in the pkcs11: URI has 1 to %d bytes", URI_ID_MAX);
    buf_add(&u->id, value->p, value->len);
    u->has_id = true;
    return buf_ok(&u->id, e);
}

/* pin-source: a file: URI (RFC 8089: file:/path or file:///path), or a bare path. */
static int pin_source(struct uri *u, struct buf *value, struct err *e)
{
    const char *s = buf_cstr(value);
    struct buf path = {0};
    int rc;

    if (s == NULL)
        return buf_ok(value, e);
    if (*s == '|')
        return cli_misuse(e, "pin-source in the pkcs11: URI names a command, which is not run; "
                             "write the PIN to a file and use file:");
    if (strncasecmp(s, "file:", 5) == 0) {
        s += 5;
        if (strncmp(s, "//localhost/", 12) == 0)
            s += 11;
        else if (strncmp(s, "///", 3) == 0)
            s += 2;
    } else if (*s != '/') {
        return cli_misuse(e, "pin-source in the pkcs11: URI must be file:/PATH or /PATH");
    }
    if (*s == 0 || strncmp(s, "//", 2) == 0)
        return cli_misuse(e, "pin-source in the pkcs11: URI must name a file on this machine");
    buf_str(&path, s);
    rc = buf_ok(&path, e);
    if (rc == 0 && strlen(s) + (size_t)(s - (const char *)value->p) != value->len)
        rc = cli_misuse(e, "pin-source in the pkcs11: URI holds a zero byte");
    if (rc == 0)
        rc = text_value(&u->pin_file, "pin-source", &path, e);
    buf_free(&path);
    return rc;
}

static int path_attribute(struct uri *u, const char *name, struct buf *value, struct err *e)
{
    const struct {
        const char *name;
        char **slot;
    } texts[] = {{"token", &u->token},
                 {"serial", &u->serial},
                 {"manufacturer", &u->manufacturer},
                 {"model", &u->model},
                 {"object", &u->object}};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(name, texts[i].name) == 0)
            return text_value(texts[i].slot, name, value, e);
    }
    if (strcmp(name, "type") == 0)
        return type_value(u, value, e);
    if (strcmp(name, "id") == 0)
        return id_value(u, value, e);
    /* RFC 7512 2.5: an attribute that is not understood matches nothing. */
    return cli_misuse(e,
                      "the pkcs11: URI asks for %.40s, by which this program cannot choose; use "
                      "token, serial, object, type or id",
                      name);
}

static int query_attribute(struct uri *u, const char *name, struct buf *value, struct err *e)
{
    if (strcmp(name, "pin-value") == 0)
        return cli_misuse(e, "a PIN is never an argument, where every process could read it; use "
                             "pin-source=file:/PATH in the URI");
    if (strcmp(name, "pin-source") == 0)
        return pin_source(u, value, e);
    return 0;
}

/* One "name=value". */
static int attribute(struct uri *u, struct bytes part, bool query, struct err *e)
{
    struct buf value = {.secret = true};
    const uint8_t *eq = memchr(part.p, '=', part.len);
    size_t n = eq != NULL ? (size_t)(eq - part.p) : 0;
    char name[32];
    int rc = -1;

    if (n == 0 || n >= sizeof(name)) {
        cli_misuse(e, "the pkcs11: URI is not a list of name=value (RFC 7512, 2.3)");
        goto out;
    }
    memcpy(name, part.p, n);
    name[n] = 0;
    for (size_t i = 0; i < n; i++) {
        if (!allowed(name[i], false) || strchr("[]@!$'()*+,&:", name[i]) != NULL) {
            cli_misuse(e, "an attribute's name in the pkcs11: URI is malformed (RFC 7512, 2.3)");
            goto out;
        }
    }
    if (decode(&value, name, bytes_of(part.p + n + 1, part.len - n - 1), query, e) != 0)
        goto out;
    rc = query ? query_attribute(u, name, &value, e) : path_attribute(u, name, &value, e);
out:
    buf_free(&value);
    return rc;
}

static int attributes(struct uri *u, struct bytes all, bool query, struct err *e)
{
    struct reader r = reader_of(all.p, all.len);

    while (r.left != 0) {
        const uint8_t *end = memchr(r.p, query ? '&' : ';', r.left);
        struct bytes part = reader_take(&r, end != NULL ? (size_t)(end - r.p) : r.left);

        if (attribute(u, part, query, e) != 0)
            return -1;
        if (end != NULL && (reader_u8(&r), r.left == 0))
            return cli_misuse(e, "the pkcs11: URI ends with a separator");
    }
    return 0;
}

int uri_parse(struct uri *out, const char *text, struct err *e)
{
    struct uri u = {0};
    size_t len = strnlen(text, URI_MAX + 1), path;
    const char *body = text + 7;

    if (len > URI_MAX)
        return cli_misuse(e, "the pkcs11: URI is longer than %d characters", URI_MAX);
    if (strncasecmp(text, "pkcs11:", 7) != 0)
        return cli_misuse(e, "a token URI begins with pkcs11: (RFC 7512), e.g. "
                             "pkcs11:token=gateway;object=tls");
    path = strcspn(body, "?");
    if (attributes(&u, bytes_of(body, path), false, e) != 0 ||
        (body[path] == '?' &&
         attributes(&u, bytes_of(body + path + 1, strlen(body + path + 1)), true, e) != 0)) {
        uri_free(&u);
        return -1;
    }
    *out = u;
    return 0;
}

void uri_add(struct buf *out, const char *name, struct bytes value)
{
    buf_printf(out, "%s=", name);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.p[i];

        /* Only what no reader takes for anything else: RFC 3986 2.3, unreserved. */
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c != 0 && strchr("-._~", c) != NULL))
            buf_u8(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void uri_free(struct uri *u)
{
    if (u == NULL)
        return;
    free(u->token);
    free(u->serial);
    free(u->manufacturer);
    free(u->model);
    free(u->object);
    free(u->pin_file);
    buf_free(&u->id);
    *u = (struct uri){0};
}
