#include "cli/setup/lines.h"

#include <string.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins(struct bytes line, const char *word)
{
    size_t n = strlen(word);

    return line.len >= n && memcmp(line.p, word, n) == 0 &&
           (line.len == n || is_blank(line.p[n]) || line.p[n] == '=');
}

bool lines_find(struct bytes in, const char *const *words, struct lines_hit *out)
{
    struct reader r = reader_of(in.p, in.len);

    for (size_t number = 1; r.left > 0; number++) {
        const uint8_t *end = memchr(r.p, '\n', r.left);
        struct bytes line = reader_take(&r, end != NULL ? (size_t)(end - r.p) + 1 : r.left);

        while (line.len > 0 && is_blank(line.p[line.len - 1]))
            line.len--;
        while (line.len > 0 && is_blank(line.p[0]))
            line = bytes_of(line.p + 1, line.len - 1);
        for (const char *const *word = words; *word != NULL; word++) {
            if (begins(line, *word)) {
                *out = (struct lines_hit){number, *word, line};
                return true;
            }
        }
    }
    return false;
}
