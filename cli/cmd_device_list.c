#include "ca/authority.h"
#include "ca/registry_device.h"
#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "core/oid.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {0},
};

struct work {
    struct registry *r;
    struct listing *l;
    struct buf names; /* of one device, for the table */
    json_t *list;     /* the same as JSON */
    json_t *eks;
    struct err *e;
    bool failed;
};

static bool add_name(void *ctx, const char *dns, unsigned community)
{
    struct work *w = ctx;
    const char *name = oid_community_name(community);

    buf_printf(&w->names, "%s%s (%s)", w->names.len != 0 ? ", " : "", dns,
               name != NULL ? name : "?");
    return json_array_append_new(w->list, json_pack("{s:o,s:s?}", "name", out_json_text(dns),
                                                    "community", name)) == 0;
}

static bool add_ek(void *ctx, const uint8_t ek_hash[32])
{
    struct work *w = ctx;

    return json_array_append_new(w->eks, out_json_hex(bytes_of(ek_hash, 32))) == 0;
}

static json_t *reading(const struct registry_device *d)
{
    if (!d->has_reading)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:I}", "resets", (json_int_t)d->reading.resets, "restarts",
                     (json_int_t)d->reading.restarts, "clock", (json_int_t)d->reading.clock, "at",
                     (json_int_t)d->read_at);
}

static int add_row(struct work *w, const struct registry_device *d)
{
    char id[24], tpm[120], day[16] = "";
    time_t changed = (time_t)d->changed_at;
    struct tm tm;

    snprintf(id, sizeof(id), "%" PRId64, d->id);
    snprintf(tpm, sizeof(tpm), "%s %s", d->manufacturer, d->model);
    if (gmtime_r(&changed, &tm) != NULL)
        strftime(day, sizeof(day), "%Y-%m-%d", &tm);
    return listing_row(
        w->l,
        (const char *[]){id, registry_device_state_name(d->state), d->oper,
                         buf_cstr(&w->names) != NULL ? buf_cstr(&w->names) : "", tpm, day, d->note},
        json_pack("{s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:O,s:O,s:o}", "device",
                  (json_int_t)d->id, "state", registry_device_state_name(d->state), "operator",
                  out_json_text(d->oper), "officer", out_json_text(d->officer), "note",
                  out_json_text(d->note), "manufacturer", out_json_text(d->manufacturer), "model",
                  out_json_text(d->model), "version", out_json_text(d->version), "created_at",
                  (json_int_t)d->created_at, "changed_at", (json_int_t)d->changed_at, "names",
                  w->list, "eks", w->eks, "reading", reading(d)),
        w->e);
}

static bool add(void *ctx, const struct registry_device *d)
{
    struct work *w = ctx;

    w->names.len = 0;
    w->list = json_array();
    w->eks = json_array();
    w->failed = w->list == NULL || w->eks == NULL ||
                registry_device_names(w->r, d->id, add_name, w, w->e) != 0 ||
                registry_device_eks(w->r, d->id, add_ek, w, w->e) != 0 || add_row(w, d) != 0;
    json_decref(w->list);
    json_decref(w->eks);
    return !w->failed;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"ID", "STATE", "OPERATOR", "NAMES", "TPM", "SINCE", "NOTE"};
    struct work w = {.l = listing_new(c, heads, ARRAY_LEN(heads), e), .e = e};
    struct authority *a = NULL;
    int rc = -1;

    if (w.l != NULL && authority_open(&a, cli_option(c, "dir"), true, NULL, NULL, e) == 0) {
        w.r = authority_registry(a);
        if (registry_devices(w.r, add, &w, e) == 0 && !w.failed)
            rc = listing_print(w.l, "No device is registered; `fusetsu device register` binds one.",
                               e);
    }
    buf_free(&w.names);
    listing_free(w.l);
    authority_close(a);
    return rc;
}

const struct cli_command cmd_device_list = {
    .group = "device",
    .name = "list",
    .shared = CLI_JSON,
    .options = options,
    .summary = "list the TPMs that an authority knows",
    .about = "Lists the devices that are registered, those that asked and wait for an officer "
             "(pending), and those that get nothing (quarantined). With --json also their EKs and "
             "what their clocks last said.",
    .examples = "fusetsu device list --dir us-ca\nfusetsu device list --dir us-ca --json",
    .run = run,
};
