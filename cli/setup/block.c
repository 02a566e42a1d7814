#include "cli/setup/block.h"

#include <stdio.h>
#include <string.h>

/* Said on the first line when the file did not end with a line end, which then had to be added. */
#define JOINED " (line end added)"

/* One line with its end; `r` goes past it. */
static struct bytes next_line(struct reader *r)
{
    const uint8_t *end = r->left != 0 ? memchr(r->p, '\n', r->left) : NULL;

    return reader_take(r, end != NULL ? (size_t)(end - r->p) + 1 : r->left);
}

static struct bytes trimmed(struct bytes line)
{
    while (line.len > 0 && strchr(" \t\r\n", line.p[line.len - 1]) != NULL)
        line.len--;
    while (line.len > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
        line = bytes_of(line.p + 1, line.len - 1);
    return line;
}

static bool is_line(struct bytes line, const char *text)
{
    line = trimmed(line);
    return line.len == strlen(text) && memcmp(line.p, text, line.len) == 0;
}

static void marker(char out[200], const char *comment, const char *what, const char *name,
                   const char *note)
{
    snprintf(out, 200, "%s fusetsu setup: %s %s%s", comment, what, name, note);
}

static const char *line_end(struct bytes in)
{
    struct reader r = reader_of(in.p, in.len);
    struct bytes first = next_line(&r);

    return first.len >= 2 && first.p[first.len - 2] == '\r' ? "\r\n" : "\n";
}

static void add_line(struct buf *out, struct bytes line, const char *end)
{
    buf_add_bytes(out, line);
    buf_str(out, end);
}

static void add_block(const struct block *b, const char *text, const char *note, const char *end,
                      struct buf *out)
{
    struct reader r = reader_of(text, strlen(text));
    char mark[200];

    marker(mark, b->comment, "begin", b->name, note);
    add_line(out, bytes_of(mark, strlen(mark)), end);
    while (r.left > 0) {
        struct bytes line = next_line(&r);

        add_line(out, bytes_of(line.p, line.len - (line.p[line.len - 1] == '\n' ? 1 : 0)), end);
    }
    marker(mark, b->comment, "end", b->name, "");
    add_line(out, bytes_of(mark, strlen(mark)), end);
}

static bool is_begin(const struct block *b, struct bytes line, bool *joined)
{
    char plain[200], with_note[200];

    marker(plain, b->comment, "begin", b->name, "");
    marker(with_note, b->comment, "begin", b->name, JOINED);
    *joined = is_line(line, with_note);
    return *joined || is_line(line, plain);
}

int block_put(const struct block *b, struct bytes in, const char *text, struct buf *out,
              struct err *e)
{
    struct reader r = reader_of(in.p, in.len), look = r;
    const char *end = line_end(in), *note = "";
    bool placed = false, joined;

    while (look.left > 0) {
        if (is_begin(b, next_line(&look), &joined))
            return err_set(e, E_EXISTS, "the lines of %s are there already", b->name);
    }
    if (b->place == BLOCK_TOP) {
        add_block(b, text, "", end, out);
        placed = true;
    }
    while (r.left > 0) {
        struct bytes line = next_line(&r);
        bool open = line.p[line.len - 1] != '\n';

        buf_add_bytes(out, line);
        if (placed || (b->place == BLOCK_AFTER && !is_line(line, b->after)))
            continue;
        if (b->place == BLOCK_BOTTOM && r.left > 0)
            continue;
        if (open) {
            buf_str(out, end);
            note = JOINED;
        }
        add_block(b, text, note, end, out);
        placed = true;
    }
    if (!placed && b->place == BLOCK_BOTTOM) { /* an empty file */
        add_block(b, text, "", end, out);
        placed = true;
    }
    if (!placed)
        return err_set(e, E_NOT_FOUND, "there is no line \"%s\"; add it, or check the name",
                       b->after);
    return buf_ok(out, e);
}

/* Drops the line end that was added before the block. */
static void drop_end(struct buf *out, const char *end)
{
    size_t n = strlen(end);

    if (out->len >= n && memcmp(&out->p[out->len - n], end, n) == 0)
        out->len -= n;
}

/* Where another block follows at once, the line end that was added is its to drop from now on. */
static void hand_on(struct reader *r, const char *comment, const char *end, struct buf *out)
{
    struct reader look = *r;
    struct bytes line = trimmed(next_line(&look));
    char begin[200];

    marker(begin, comment, "begin", "", "");
    if (line.len <= strlen(begin) || memcmp(line.p, begin, strlen(begin)) != 0)
        return;
    *r = look;
    buf_add_bytes(out, line);
    if (line.len < strlen(JOINED) ||
        memcmp(&line.p[line.len - strlen(JOINED)], JOINED, strlen(JOINED)) != 0)
        buf_str(out, JOINED);
    buf_str(out, end);
}

int block_take(const char *name, const char *comment, struct bytes in, struct buf *out, bool *found,
               struct err *e)
{
    const struct block b = {.name = name, .comment = comment};
    struct reader r = reader_of(in.p, in.len);
    bool within = false, joined = false;
    char mark[200];

    *found = false;
    marker(mark, comment, "end", name, "");
    while (r.left > 0) {
        struct bytes line = next_line(&r);

        if (!within && !*found && is_begin(&b, line, &joined)) {
            within = *found = true;
        } else if (within && is_line(line, mark)) {
            within = false;
            /* What somebody appended since keeps its line of its own. */
            if (joined && r.left == 0)
                drop_end(out, line_end(in));
            else if (joined)
                hand_on(&r, comment, line_end(in), out);
        } else if (!within) {
            buf_add_bytes(out, line);
        }
    }
    if (within)
        return err_set(e, E_FORMAT,
                       "the line \"%s\" is missing; put it back or take the lines of "
                       "%s out by hand",
                       mark, name);
    return buf_ok(out, e);
}
