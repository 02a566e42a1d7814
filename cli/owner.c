#include "cli/owner.h"

#include "cli/pin.h"
#include "cli/place.h"
#include "core/file.h"
#include "tpm/owner.h"

#include <string.h>

#define FILE_MAX 4096

/* A line of hexadecimal digits; false when it is none, or too long. */
static bool from_hex(struct bytes line, uint8_t out[64], size_t *len)
{
    char text[129];

    if (line.len == 0 || line.len > 128 || line.len % 2 != 0)
        return false;
    memcpy(text, line.p, line.len);
    text[line.len] = 0;
    *len = line.len / 2;
    return hex_decode(out, *len, text) == 0;
}

static bool starts(struct bytes *line, const char *word)
{
    size_t n = strlen(word);

    if (line->len < n || memcmp(line->p, word, n) != 0)
        return false;
    line->p += n;
    line->len -= n;
    return true;
}

/* The next line without its end; false past the last. */
static bool next_line(struct bytes *rest, struct bytes *line)
{
    const uint8_t *end;

    if (rest->len == 0)
        return false;
    end = memchr(rest->p, '\n', rest->len);
    *line = *rest;
    if (end != NULL)
        line->len = (size_t)(end - rest->p);
    rest->p += line->len + (end != NULL);
    rest->len -= line->len + (end != NULL);
    if (line->len > 0 && line->p[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* A recovery file has a line `owner HEX`; the code alone will do, and so will whatever the
 * machine's administrator has chosen, as tpm2-tools write it: a password that looks like one of
 * our codes stands behind str: */
static int know(struct tpm *t, struct bytes content, struct err *e)
{
    struct bytes rest = content, line, first = {NULL, 0};
    uint8_t auth[64];
    bool ours = false;
    size_t len = 0;
    int rc;

    while (!ours && next_line(&rest, &line)) {
        if (first.p == NULL)
            first = line;
        ours = starts(&line, "owner ") && from_hex(line, auth, &len) && len == OWNER_AUTH;
    }
    if (!ours && first.len == (size_t)2 * OWNER_AUTH)
        ours = from_hex(first, auth, &len);
    if (ours)
        rc = owner_know(t, bytes_of(auth, len), true, e);
    else if (starts(&first, "str:"))
        rc = owner_know(t, first, false, e);
    else if (starts(&first, "hex:"))
        rc = from_hex(first, auth, &len)
                 ? owner_know(t, bytes_of(auth, len), false, e)
                 : err_set(e, E_FORMAT, "behind hex: come the digits of at most 64 bytes");
    else
        rc = owner_know(t, first, false, e);
    secret_wipe(auth, sizeof(auth));
    return rc;
}

static int from_file(const char *path, struct tpm *t, struct err *e)
{
    struct buf content = {.secret = true};
    int rc = -1;

    if (file_read(path, FILE_MAX, &content, e) == 0) {
        rc = know(t, buf_bytes(&content), e);
        if (rc != 0)
            err_prefix(e, "the owner authorisation in %s", path);
    }
    buf_free(&content);
    return rc;
}

static int from_token(struct cli *c, const char *name, struct tpm *t, struct store *s,
                      struct err *e)
{
    struct secret *pin = NULL;
    struct store_token row;
    struct token *k = NULL;
    char what[80];
    int rc = -1;

    if (place_row_named(s, name, &row, e) != 0 || token_open(&k, t, s, row.id, e) != 0)
        goto out;
    snprintf(what, sizeof(what), "SO PIN of token \"%s\"", row.label);
    if (pin_obtain(c, PIN_OWNER, what, false, &pin, e) != 0)
        goto out;
    rc = token_owner(k, secret_bytes(pin), e);
    if (rc != 0)
        pin_tries_left(e, what, token_row(k)->so_fails, token_row(k)->so_limit);
out:
    secret_free(pin);
    token_free(k);
    return rc;
}

int owner_obtain(struct cli *c, struct tpm *t, struct store *s, struct err *e)
{
    const char *file = cli_option(c, "owner-auth-file"), *token = cli_option(c, "owner-token");

    if (file != NULL && token != NULL)
        return cli_misuse(e, "--owner-auth-file and --owner-token exclude each other");
    if (file != NULL)
        return from_file(file, t, e);
    return token != NULL ? from_token(c, token, t, s, e) : 0;
}
