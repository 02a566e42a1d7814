#include "pkcs11/plug.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pkcs11/session_close.h"

/* Ids of slots of USB tokens count up from here; those of the store are small. */
#define FIRST_ID 0x46000000UL

static struct slot *slot_of(const struct library *lib, const char *serial)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        const struct site *p = lib->slot[i]->site;

        if (p->usb != NULL && strcmp(site_usb_plug(p)->serial, serial) == 0)
            return lib->slot[i];
    }
    return NULL;
}

static struct slot *add(struct library *lib, const struct hotplug_token *t, struct err *e)
{
    struct site *p = NULL, **grown;
    struct slot *s;

    grown = realloc(lib->usb, (lib->n_usb + 1) * sizeof(struct site *));
    if (grown == NULL) {
        err_set(e, E_MEMORY, "out of memory for a USB token");
        return NULL;
    }
    lib->usb = grown;
    if (site_usb_new(&p, lib->conf, t, e) != 0)
        return NULL;
    s = slot_add(lib, p, FIRST_ID + lib->n_usb, e);
    if (s == NULL) {
        site_usb_free(p);
        return NULL;
    }
    lib->usb[lib->n_usb++] = p;
    return s;
}

static void leave(struct library *lib, struct slot *s)
{
    session_close_slot(lib, s);
    slot_clear(s);
    s->event = s->event || (s->present && lib->listed);
    s->present = false;
}

static bool same_plug(const struct hotplug_token *a, const struct hotplug_token *b)
{
    return a->bus == b->bus && a->address == b->address && strcmp(a->port, b->port) == 0;
}

/* Tokens that are there: a slot for each that has a name; `known`: only those that have one. */
static int arrive(struct library *lib, bool known, bool told, struct err *e)
{
    for (size_t i = 0; lib->plugs != NULL && i < hotplug_count(lib->plugs); i++) {
        const struct hotplug_token *t = hotplug_at(lib->plugs, i);
        struct slot *s;

        if (t->serial[0] == 0)
            continue;
        s = slot_of(lib, t->serial);
        if (s == NULL && known)
            continue;
        if (s == NULL && (s = add(lib, t, e)) == NULL)
            return -1;
        if (s->present)
            continue;
        site_usb_again(s->site, t);
        s->present = true;
        s->event = told;
    }
    return 0;
}

static void depart(struct library *lib)
{
    for (size_t i = 0; i < lib->n_usb; i++) {
        struct slot *s = slot_of(lib, site_usb_plug(lib->usb[i])->serial);
        bool there = false;

        for (size_t k = 0; k < hotplug_count(lib->plugs) && !there; k++)
            there = same_plug(hotplug_at(lib->plugs, k), site_usb_plug(s->site)) &&
                    strcmp(hotplug_at(lib->plugs, k)->serial, site_usb_plug(s->site)->serial) == 0;
        if (s->present && !there)
            leave(lib, s);
    }
}

static int look(struct library *lib, struct err *e)
{
    if (lib->conf == NULL || !conf_usb(lib->conf))
        return 0;
    if (lib->plugs == NULL && hotplug_new(&lib->plugs, e) != 0)
        return -1;
    hotplug_look(lib->plugs);
    depart(lib);
    return 0;
}

int plug_look(struct library *lib, struct err *e)
{
    bool told = lib->listed;

    /* Programs that take the first token that there is get one of the store. */
    if (look(lib, e) != 0 || slot_refresh(lib, e) != 0 || arrive(lib, false, told, e) != 0)
        return -1;
    session_close_erased(lib);
    return 0;
}

void plug_known(struct library *lib)
{
    struct err why = {0};

    if (lib->n_usb != 0 && (look(lib, &why) != 0 || arrive(lib, true, true, &why) != 0))
        log_warn("%s", why.msg);
}

struct slot *plug_slot(struct library *lib, CK_SLOT_ID id)
{
    struct slot *s;

    if (lib->n_slot == 0 && plug_look(lib, NULL) != 0)
        return NULL;
    s = slot_find(lib, id);
    if (s != NULL && s->site->usb != NULL)
        plug_known(lib);
    return s;
}

bool plug_lost(struct library *lib, struct slot *s)
{
    if (s->site->usb == NULL || (s->present && site_usb_there(s->site)))
        return false;
    leave(lib, s);
    return true;
}

int plug_ready(struct slot *s, struct err *e)
{
    struct err why = {0};
    struct store_token row;

    if (s->site->usb == NULL || !s->present || s->row.id != 0)
        return 0;
    if (site_usb_row(s->site, &row, &why) == 0) {
        s->row = row;
        s->row_generation = s->site->generation;
        return 0;
    }
    return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
}
