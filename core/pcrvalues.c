#include "core/pcrvalues.h"

#include <string.h>

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without blanks; false at the end. Longer ones are cut: they are none of ours. */
static bool next_line(struct reader *r, char *out, size_t size)
{
    size_t n = 0;

    if (r->left == 0)
        return false;
    while (r->left != 0) {
        char c = (char)reader_u8(r);

        if (c == '\n')
            break;
        if (!blank(c) && n + 1 < size)
            out[n++] = c;
    }
    out[n] = 0;
    return true;
}

/* "16:0xHEX" */
static int one_value(const char *line, const struct alg_hash *h, struct pcrvalues *out,
                     struct err *e)
{
    unsigned pcr = 0;
    size_t i = 0;

    for (; i < 2 && line[i] >= '0' && line[i] <= '9'; i++)
        pcr = 10 * pcr + (unsigned)(line[i] - '0');
    if (i == 0 || pcr >= PCRVALUES || strncmp(line + i, ":0x", 3) != 0 ||
        strlen(line + i + 3) != 2 * h->size ||
        hex_decode(out->value[pcr], h->size, line + i + 3) != 0)
        return err_set(e, E_FORMAT,
                       "\"%.40s\" is no value of a PCR; write them as `tpm2_pcrread` does", line);
    if ((out->there & 1u << pcr) != 0)
        return err_set(e, E_FORMAT, "PCR %u stands there twice", pcr);
    out->there |= 1u << pcr;
    return 0;
}

int pcrvalues_read(struct bytes text, uint16_t hash, struct pcrvalues *out, struct err *e)
{
    const struct alg_hash *h = alg_hash_of(hash);
    struct reader r = reader_of(text.p, text.len);
    char line[200];
    bool ours = false;

    memset(out, 0, sizeof(*out));
    out->hash = hash;
    if (h == NULL)
        return err_set(e, E_ARG, "there are no PCRs of the hash 0x%04x", (unsigned)hash);
    while (next_line(&r, line, sizeof(line))) {
        size_t n = strlen(line);

        if (n == 0)
            continue;
        if (line[n - 1] == ':') {
            line[n - 1] = 0;
            ours = alg_hash_named(line) == h;
        } else if (ours && one_value(line, h, out, e) != 0) {
            return -1;
        }
    }
    return 0;
}
