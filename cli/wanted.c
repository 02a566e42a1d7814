#include "cli/wanted.h"

#include <string.h>

int wanted_parse_id(const char *hex, uint8_t id[KEYRING_ID_MAX], size_t *len, struct err *e)
{
    size_t n = strlen(hex);

    if (n == 0 || n % 2 != 0 || n / 2 > KEYRING_ID_MAX || hex_decode(id, n / 2, hex) != 0)
        return cli_misuse(e, "--id takes 1 to %d bytes as hex digits, e.g. 01 or 4a6f",
                          KEYRING_ID_MAX);
    *len = n / 2;
    return 0;
}

int wanted_read(struct wanted *out, const struct cli *c, const char *label_option, struct err *e)
{
    const char *uri = cli_option(c, "uri"), *hex = cli_option(c, "id");

    *out = (struct wanted){.is = {.label = cli_option(c, label_option)}};
    if (uri != NULL && uri_parse(&out->uri, uri, e) != 0)
        return -1;
    if (hex != NULL) {
        if (wanted_parse_id(hex, out->room, &out->is.id.len, e) != 0)
            return -1;
        out->is.id.p = out->room;
    }
    /* What an option says goes before the URI, which is there for the token as well. */
    if (out->is.label == NULL && hex == NULL) {
        out->is.label = out->uri.object;
        out->is.id = buf_bytes(&out->uri.id);
    }
    return 0;
}

void wanted_free(struct wanted *w)
{
    uri_free(&w->uri);
}

bool wanted_any(const struct wanted *w)
{
    return w->is.label != NULL || w->is.id.len != 0;
}
