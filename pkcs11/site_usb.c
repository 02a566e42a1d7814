#include "pkcs11/site_usb.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

struct site_usb {
    struct hotplug_token plug;
    char tcti[sizeof("fusetsu::serial=") + 16 + DESCRIPTOR_SERIAL];
    struct stick *stick; /* NULL until it was read */
    struct err unread;   /* why it could not be, since it was plugged in */
    bool opened;         /* its token */
    bool counted;
};

void site_usb_free(struct site *p)
{
    if (p == NULL)
        return;
    site_close(p);
    free(p->usb);
    free(p);
}

const struct hotplug_token *site_usb_plug(const struct site *p)
{
    return &p->usb->plug;
}

void site_usb_again(struct site *p, const struct hotplug_token *plug)
{
    p->usb->plug = *plug;
}

bool site_usb_there(const struct site *p)
{
    return hotplug_there(&p->usb->plug);
}

static const char *tcti_usb(const struct site *p)
{
    return p->usb->tcti;
}

static int open_usb(struct site *p, struct err *e)
{
    struct site_usb *u = p->usb;
    struct err why = {0};
    struct tpm *tpm;
    char name[DESCRIPTOR_SERIAL + 16];

    if (u->stick != NULL)
        return 0;
    /* What is damaged, or not there, is not read again and again. */
    if (u->unread.code == E_NOT_FOUND || u->unread.code == E_CORRUPT ||
        u->unread.code == E_FORMAT || u->unread.code == E_VERSION)
        return err_set(e, u->unread.code, "%s", u->unread.msg);
    if (site_tpm(p, &tpm, e) != 0)
        return -1;
    snprintf(name, sizeof(name), "USB token %s", u->plug.serial);
    if (stick_read(&u->stick, tpm, name, &why) != 0) {
        u->stick = NULL;
        u->unread = why;
        return err_take(e, &why);
    }
    p->store = stick_store(u->stick);
    p->generation++;
    return 0;
}

int site_usb_row(struct site *p, struct store_token *out, struct err *e)
{
    if (open_usb(p, e) != 0)
        return -1;
    return store_token_get(p->store, stick_id(p->usb->stick), out, e);
}

static int token_usb(struct site *p, struct token **out, struct err *e)
{
    if (stick_token(p->usb->stick, out, e) != 0)
        return -1;
    p->usb->opened = true;
    return 0;
}

void site_usb_count(struct site *p)
{
    struct err why = {0};

    if (!p->usb->opened || p->usb->counted)
        return;
    p->usb->counted = true;
    if (stick_count(p->usb->stick, &why) != 0)
        log_info("the counts of wrong PINs could not be read: %s", why.msg);
}

static int verify_usb(struct site *p, struct err *e)
{
    return p->usb->stick != NULL ? stick_verify(p->usb->stick, e) : 0;
}

bool site_usb_room(const struct site *p, struct stick_room *out)
{
    if (p->usb == NULL || p->usb->stick == NULL)
        return false;
    *out = stick_room(p->usb->stick);
    return true;
}

static void close_usb(struct site *p)
{
    stick_free(p->usb->stick);
    p->usb->stick = NULL;
    p->usb->opened = p->usb->counted = false;
    err_clear(&p->usb->unread);
}

static const struct site_ops ops = {
    .open = open_usb,
    .tcti = tcti_usb,
    .token = token_usb,
    .verify = verify_usb,
    .close = close_usb,
};

int site_usb_new(struct site **out, const struct conf *conf, const struct hotplug_token *plug,
                 struct err *e)
{
    struct site *p = calloc(1, sizeof(*p));
    struct site_usb *u = calloc(1, sizeof(*u));

    if (p == NULL || u == NULL) {
        free(p);
        free(u);
        return err_set(e, E_MEMORY, "out of memory for a USB token");
    }
    p->conf = conf;
    p->usb = u;
    p->ops = &ops;
    u->plug = *plug;
    snprintf(u->tcti, sizeof(u->tcti), "fusetsu:%.15s:serial=%s", plug->kind, plug->serial);
    *out = p;
    return 0;
}
