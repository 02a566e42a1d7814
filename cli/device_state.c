#include "cli/device_state.h"

#include "ca/authority.h"
#include "cli/out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int parse_id(const char *text, int64_t *id, struct err *e)
{
    char *end;

    errno = 0;
    *id = strtoll(text, &end, 10);
    if (errno != 0 || *end != 0 || end == text || *id < 1)
        return cli_misuse(e, "\"%.20s\" is no device; `fusetsu device list` shows their numbers",
                          text);
    return 0;
}

int device_state_change(struct cli *c, enum registry_device_state to, struct err *e)
{
    struct registry_device d;
    struct authority *a = NULL;
    int64_t id;
    int rc = -1;

    if (parse_id(cli_arg(c, 0), &id, e) != 0)
        return -1;
    if (authority_open(&a, cli_option(c, "dir"), false, NULL, NULL, e) != 0 ||
        registry_device_get(authority_registry(a), id, &d, e) != 0)
        goto out;
    d.state = to;
    d.changed_at = time(NULL);
    if ((to == REGISTRY_DEVICE_ACTIVE && cli_text(c, "operator", d.oper, sizeof(d.oper), e) != 0) ||
        cli_text(c, "officer", d.officer, sizeof(d.officer), e) != 0 ||
        cli_text(c, "note", d.note, sizeof(d.note), e) != 0)
        goto out;
    /* A TPM that asked and was never registered has no operator yet. */
    if (d.oper[0] == 0)
        memcpy(d.oper, "unknown", sizeof("unknown"));
    rc = registry_device_set(authority_registry(a), &d, e);
    if (rc == 0)
        out_para(stdout, "Device %lld of %s is %s now.", (long long)d.id, d.oper,
                 registry_device_state_name(to));
out:
    authority_close(a);
    return rc;
}
