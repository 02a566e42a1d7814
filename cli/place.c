#include "cli/place.h"

#include "cli/pin.h"
#include "cli/sticks.h"
#include "cli/uri.h"
#include "tpm/link.h"
#include "usb/tcti.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the tokens say of their maker, in C_GetTokenInfo and in URIs. */
#define PLACE_MANUFACTURER "fusetsu"

int place_store(struct cli *c, enum store_mode mode, struct store **out, struct err *e)
{
    const struct conf *conf = cli_conf(c, e);

    if (conf == NULL)
        return -1;
    return store_open(out, conf_store(conf), mode, e);
}

int place_tpm(struct cli *c, struct tpm **out, struct err *e)
{
    const struct conf *conf = cli_conf(c, e);

    if (conf == NULL)
        return -1;
    link_register("fusetsu", tcti_usb_init, tcti_usb_why);
    if (tpm_new(out, conf_tcti(conf), e) != 0)
        return -1;
    /* One command of ours is one call: tpm_free() ends it. */
    tpm_share(*out, conf_run(conf));
    return 0;
}

/* What a token must be; NULL: anything. */
struct wanted {
    const char *name; /* label or serial */
    const char *label, *serial;
};

static bool fits(const struct store_token *t, const struct wanted *w)
{
    if (w->name != NULL && strcmp(t->label, w->name) != 0 && strcmp(t->serial, w->name) != 0)
        return false;
    if (w->label != NULL && strcmp(t->label, w->label) != 0)
        return false;
    return w->serial == NULL || strcmp(t->serial, w->serial) == 0;
}

/* "gateway (serial 0123...), ..." as far as it fits. */
static void name_tokens(struct buf *b, const struct store_token *t, size_t n,
                        const struct wanted *w)
{
    size_t named = 0;

    for (size_t i = 0; i < n; i++) {
        if (!fits(&t[i], w))
            continue;
        if (named == 4) {
            buf_str(b, ", ...");
            return;
        }
        buf_printf(b, "%s%s (serial %s)", named++ > 0 ? ", " : "", t[i].label, t[i].serial);
    }
}

static int pick(struct store *s, const struct wanted *w, struct store_token *out, struct err *e)
{
    static const struct wanted any = {0};
    struct store_token *t = NULL;
    struct buf names = {0};
    size_t n = 0, found = 0, at = 0;
    int rc = -1;

    if (store_token_list(s, &t, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (fits(&t[i], w)) {
            at = i;
            found++;
        }
    }
    if (found == 1) {
        *out = t[at];
        rc = 0;
    } else if (n == 0) {
        err_set(e, E_NOT_FOUND, "the store %s holds no token; make one with `fusetsu token init`",
                store_path(s));
    } else if (found == 0) {
        name_tokens(&names, t, n, &any);
        err_set(e, E_NOT_FOUND, "no token %s%s%sin %s; there is: %s",
                w->name != NULL ? "\"" : "fits the URI ", w->name != NULL ? w->name : "",
                w->name != NULL ? "\" " : "", store_path(s), buf_cstr(&names));
    } else {
        name_tokens(&names, t, n, w);
        cli_misuse(e, "%zu tokens fit; choose one with --token SERIAL: %s", found,
                   buf_cstr(&names));
    }
    buf_free(&names);
    free(t);
    return rc;
}

int place_row_named(struct store *s, const char *name, struct store_token *out, struct err *e)
{
    return pick(s, &(struct wanted){.name = name}, out, e);
}

/* By --token and --uri; `u` keeps what `w` borrows. */
static int read_wanted(struct cli *c, struct uri *u, struct wanted *w, struct err *e)
{
    const char *name = cli_option(c, "token"), *text = cli_option(c, "uri");

    if (name != NULL && text != NULL)
        return cli_misuse(e, "--token and --uri exclude each other");
    if (text != NULL && uri_parse(u, text, e) != 0)
        return -1;
    if (u->manufacturer != NULL && strcmp(u->manufacturer, PLACE_MANUFACTURER) != 0)
        return err_set(e, E_NOT_FOUND, "the URI names a token of another manufacturer than %s",
                       PLACE_MANUFACTURER);
    *w = (struct wanted){name, u->token, u->serial};
    return 0;
}

int place_row(struct cli *c, struct store *s, struct store_token *out, struct err *e)
{
    struct uri u = {0};
    struct wanted w;
    int rc = -1;

    if (read_wanted(c, &u, &w, e) == 0)
        rc = pick(s, &w, out, e);
    uri_free(&u);
    return rc;
}

int place_plug(struct cli *c, const struct hotplug_token *t, struct place *out, struct err *e)
{
    char name[STICKS_NAME];
    struct place p = {0};

    sticks_name(t, name);
    if (sticks_tpm(c, t, &p.tpm, e) != 0)
        return -1;
    if (stick_read(&p.stick, p.tpm, name, e) != 0) {
        p.stick = NULL;
        *out = p;
        return -1;
    }
    p.store = stick_store(p.stick);
    if (stick_token(p.stick, &p.token, e) != 0 || stick_count(p.stick, e) != 0) {
        place_close(&p);
        return -1;
    }
    *out = p;
    return 0;
}

int place_stick(struct cli *c, struct place *out, struct err *e)
{
    struct hotplug_token t;

    if (sticks_find(c, cli_option(c, "serial"), &t, e) != 0)
        return -1;
    return place_plug(c, &t, out, e);
}

/* The one USB token that fits: 0. None: 1. */
static int find_stick(struct cli *c, const struct wanted *w, struct place *out, struct err *e)
{
    const struct conf *conf = cli_conf(c, e);
    struct hotplug *plugs = NULL;
    struct place got = {0};
    int rc = 1;

    if (conf == NULL || !conf_usb(conf))
        return conf == NULL ? -1 : 1;
    if (hotplug_new(&plugs, e) != 0)
        return -1;
    hotplug_look(plugs);
    for (size_t i = 0; i < hotplug_count(plugs) && rc >= 0; i++) {
        const struct hotplug_token *t = hotplug_at(plugs, i);
        struct err why = {0};
        struct place p = {0};

        if (t->serial[0] == 0)
            continue;
        if (place_plug(c, t, &p, &why) != 0) {
            if (why.code != E_NOT_FOUND)
                rc = err_take(e, &why);
        } else if (fits(token_row(p.token), w) ||
                   (w->name != NULL && strcmp(w->name, t->serial) == 0)) {
            if (got.token != NULL) {
                rc = cli_misuse(e, "several USB tokens fit; choose one with --token SERIAL");
            } else {
                got = p;
                p = (struct place){0};
                rc = 0;
            }
        }
        place_close(&p);
    }
    hotplug_free(plugs);
    if (rc == 0)
        *out = got;
    else
        place_close(&got);
    return rc;
}

/* In the store of the settings, else on a USB token. */
static int find(struct cli *c, enum store_mode mode, const struct wanted *w, struct place *out,
                struct store_token *row, struct err *e)
{
    struct err why = {0};
    struct place p = {0};
    int rc;

    if (place_store(c, mode, &p.store, &why) == 0 && pick(p.store, w, row, &why) == 0) {
        *out = p;
        return 0;
    }
    place_close(&p);
    rc = why.code == E_NOT_FOUND ? find_stick(c, w, out, e) : 1;
    if (rc == 1)
        return err_take(e, &why);
    if (rc == 0)
        *row = *token_row(out->token);
    return rc;
}

int place_look(struct cli *c, const char *name, struct place *out, struct store_token *row,
               struct err *e)
{
    struct wanted w = {.name = name};
    struct uri u = {0};
    int rc = -1;

    if (name != NULL || read_wanted(c, &u, &w, e) == 0)
        rc = find(c, STORE_READ, &w, out, row, e);
    uri_free(&u);
    return rc;
}

const char *place_guard(const struct store_token *t)
{
    if ((t->flags & STORE_TOKEN_DA_ONLY) != 0)
        return "da-only";
    return (t->flags & STORE_TOKEN_COUNTER) != 0 ? "counter" : "da";
}

int place_open(struct cli *c, struct place *out, struct err *e)
{
    struct store_token row;
    struct place p = {0};
    struct uri u = {0};
    struct wanted w;
    int rc = -1;

    if (read_wanted(c, &u, &w, e) == 0 && find(c, STORE_WRITE, &w, &p, &row, e) == 0 &&
        (p.stick != NULL ||
         (place_tpm(c, &p.tpm, e) == 0 && token_open(&p.token, p.tpm, p.store, row.id, e) == 0))) {
        *out = p;
        p = (struct place){0};
        rc = 0;
    }
    place_close(&p);
    uri_free(&u);
    return rc;
}

int place_login(struct cli *c, struct place *out, struct secret **pin, struct err *e)
{
    struct secret *got = NULL;
    const struct store_token *row;
    struct place p = {0};
    char what[64];

    if (place_open(c, &p, e) != 0)
        return -1;
    row = token_row(p.token);
    snprintf(what, sizeof(what), "user PIN of %s", row->label);
    if (pin_obtain(c, PIN_USER, what, false, &got, e) != 0)
        goto fail;
    if (token_login(p.token, TOKEN_USER, secret_bytes(got), e) != 0) {
        pin_tries_left(e, what, row->user_fails, row->user_limit);
        goto fail;
    }
    if (p.stick != NULL && stick_verify(p.stick, e) != 0)
        goto fail;
    *out = p;
    if (pin != NULL)
        *pin = got;
    else
        secret_free(got);
    return 0;
fail:
    secret_free(got);
    place_close(&p);
    return -1;
}

void place_close(struct place *p)
{
    token_free(p->token);
    if (p->stick != NULL)
        stick_free(p->stick);
    else
        store_close(p->store);
    tpm_free(p->tpm);
    *p = (struct place){0};
}
