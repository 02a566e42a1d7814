#ifndef CLI_RECALL_H
#define CLI_RECALL_H

#include "ca/authority.h"
#include "cli/cli.h"

/* What the commands that change the status of certificates share. */

/* The options --name and --dry-run. */
#define RECALL_OPTIONS                                                           \
    {"name", "DNS", "all certificates of this name that have not ended", false}, \
    {                                                                            \
        "dry-run", NULL, "only say which certificates these are", false          \
    }

/* Certificates; their `der` is not kept. Zero-initialise. */
struct recall {
    struct registry_cert *cert;
    size_t n;
    unsigned ssh; /* 1 << community: certificates for SSH stand on some of them (recall_pick) */
};
void recall_free(struct recall *r);

/* Adds one. E_MEMORY. */
int recall_add(struct recall *r, const struct registry_cert *c, struct err *e) MUST_USE;

/*
 * Those that the argument (a serial number, colons and capitals as programs print them) or
 * --name mean, that have not ended and are in one of the `states`, a mask of 1 << enum
 * registry_state. E_USAGE for both or neither; E_NOT_FOUND when there are none; E_REJECTED when
 * there are, but in other states.
 */
int recall_pick(struct cli *c, struct registry *r, unsigned states, struct recall *out,
                struct err *e) MUST_USE;

/* Changes all of them, or none. */
typedef int (*recall_change_fn)(struct registry *r, const struct registry_cert *c, void *ctx,
                                struct err *e);
int recall_change(struct registry *r, const struct recall *list, recall_change_fn change, void *ctx,
                  struct err *e) MUST_USE;

/* All of that for a change that needs nothing more: pick, change, report. */
int recall_run(struct cli *c, unsigned states, recall_change_fn change, const char *done,
               struct err *e) MUST_USE;

/*
 * Says what was done ("revoked"), or would be with --dry-run: a table, or a JSON object with
 * dry_run, certificates and the members of `more` (taken over; may be NULL). `crls`: and which
 * CRLs, and lists for SSH, have to follow.
 */
int recall_report(struct cli *c, const struct recall *list, const char *done, bool crls,
                  json_t *more, struct err *e) MUST_USE;

#endif
