#include "cli/commands.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "cli/place.h"
#include "cli/sticks.h"

#include <stdio.h>

/* What was found out of one. */
struct found {
    char state[400]; /* a word, or why it could not be read */
    char label[33], serial[17];
    struct stick_room room;
};

static void ask(struct cli *c, const struct hotplug_token *t, struct found *f)
{
    struct err why = {0};
    struct place at = {0};

    if (t->serial[0] == 0) {
        snprintf(f->state, sizeof(f->state), "has no serial");
    } else if (place_plug(c, t, &at, &why) == 0) {
        const struct store_token *row = token_row(at.token);

        snprintf(f->state, sizeof(f->state), "%s",
                 row->user_limit != 0 && row->user_fails >= row->user_limit ? "user PIN locked"
                                                                            : "provisioned");
        snprintf(f->label, sizeof(f->label), "%s", row->label);
        snprintf(f->serial, sizeof(f->serial), "%s", row->serial);
        f->room = stick_room(at.stick);
    } else {
        snprintf(f->state, sizeof(f->state), "%s", why.code == E_NOT_FOUND ? "empty" : why.msg);
    }
    place_close(&at);
}

static int add(struct listing *l, const struct hotplug_token *t, const struct found *f,
               struct err *e)
{
    char room[40] = "";

    if (f->room.total != 0)
        snprintf(room, sizeof(room), "%zu of %zu", f->room.used, f->room.total);
    return listing_row(
        l, (const char *[]){t->serial, t->kind, t->port, f->state, f->label, f->serial, room},
        json_pack("{s:s,s:s,s:s,s:o,s:o,s:s,s:i,s:i}", "usb_serial", t->serial, "kind", t->kind,
                  "port", t->port, "state", out_json_text(f->state), "label",
                  out_json_text(f->label), "serial", f->serial, "used", (int)f->room.used, "total",
                  (int)f->room.total),
        e);
}

static int run(struct cli *c, struct err *e)
{
    static const char *const heads[] = {"USB SERIAL", "KIND",         "PORT",      "STATE",
                                        "LABEL",      "TOKEN SERIAL", "BYTES USED"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    struct hotplug *plugs = NULL;
    int rc = -1;

    if (l == NULL || hotplug_new(&plugs, e) != 0)
        goto out;
    hotplug_look(plugs);
    for (size_t i = 0; i < hotplug_count(plugs); i++) {
        struct found f = {0};

        ask(c, hotplug_at(plugs, i), &f);
        if (add(l, hotplug_at(plugs, i), &f, e) != 0)
            goto out;
    }
    rc = listing_print(l, "No USB token is plugged in.", e);
out:
    hotplug_free(plugs);
    listing_free(l);
    return rc;
}

const struct cli_command cmd_usb_list = {
    .group = "usb",
    .name = "list",
    .shared = CLI_JSON,
    .summary = "list the USB tokens that are plugged in",
    .about = "Shows what is plugged in, what it carries, and how much of its room for keys and "
             "certificates is used. Needs no PIN.",
    .examples = "fusetsu usb list\nfusetsu usb list --json",
    .run = run,
};
