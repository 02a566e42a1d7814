#include "cli/codes.h"

#include "core/file.h"

#include <unistd.h>

int codes_check(const char *path, struct err *e)
{
    if (access(path, F_OK) == 0)
        return err_set(e, E_EXISTS,
                       "%s is there already and may hold another TPM's recovery code; name a new "
                       "file",
                       path);
    return file_probe(path, e);
}

int codes_save(const char *path, const struct token_report *r, struct err *e)
{
    struct buf line = {.secret = true};
    int rc = -1;

    if (r->lockout_set)
        buf_printf(&line, "%s\n", r->recovery_code);
    if (r->owner_set)
        buf_printf(&line, "owner %s\n", r->owner_code);
    if (buf_ok(&line, e) == 0)
        rc = file_write(path, buf_bytes(&line), 0600, e);
    buf_free(&line);
    return rc;
}
