#include "cli/rules.h"

#include "core/file.h"

static int read_one(const struct cli *c, const char *option,
                    int (*parse)(struct bytes, struct require *, struct err *), struct require *out,
                    struct err *e)
{
    const char *path = cli_option(c, option);
    struct buf text = {0};
    int rc = -1;

    if (path == NULL)
        return 0;
    if (file_read(path, REQUIRE_MAX, &text, e) == 0)
        rc = parse(buf_bytes(&text), out, e) == 0 ? 0 : err_prefix(e, "%s", path);
    buf_free(&text);
    return rc;
}

int rules_read(const struct cli *c, struct require *out, struct err *e)
{
    if (read_one(c, "ek-pins", require_pins, out, e) != 0 ||
        read_one(c, "ek-pins-no-eku", require_pins_no_eku, out, e) != 0 ||
        read_one(c, "advisories", require_advisories, out, e) != 0)
        return -1;
    return read_one(c, "platforms", require_platforms, out, e);
}
