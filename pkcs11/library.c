#include "pkcs11/library.h"

#include <stdlib.h>

#include "core/log.h"

/* How many there have been in this process. */
static uint64_t instances;

int library_new(struct library **out, struct err *e)
{
    struct library *lib = calloc(1, sizeof(*lib));
    struct err conf_err = {0};

    if (lib == NULL)
        return err_set(e, E_MEMORY, "out of memory");
    if (conf_load(&lib->conf, &conf_err) != 0) {
        /* C_Initialize succeeds all the same: an application that has other
         * modules too shall not lose them over our settings. */
        lib->conf = NULL;
        lib->home.store_err = conf_err;
        log_error("%s", conf_err.msg);
    } else {
        log_set_level(conf_log(lib->conf));
        lib->sha1 = conf_sha1(lib->conf);
    }
    lib->home.conf = lib->conf;
    lib->instance = ++instances;
    *out = lib;
    return 0;
}

void library_free(struct library *lib)
{
    if (lib == NULL)
        return;
    site_close(&lib->home);
    for (size_t i = 0; i < lib->n_usb; i++)
        site_usb_free(lib->usb[i]);
    free(lib->usb);
    hotplug_free(lib->plugs);
    conf_free(lib->conf);
    free(lib);
}

void library_release(struct library *lib)
{
    site_release(&lib->home);
    for (size_t i = 0; i < lib->n_usb; i++)
        site_release(lib->usb[i]);
}

bool library_keeps_session(struct library *lib)
{
    bool any = site_keeps_session(&lib->home);

    for (size_t i = 0; i < lib->n_usb; i++)
        any = any || site_keeps_session(lib->usb[i]);
    return any;
}

void library_rest(struct library *lib)
{
    site_rest(&lib->home);
    for (size_t i = 0; i < lib->n_usb; i++)
        site_rest(lib->usb[i]);
}

void library_forget(struct library *lib)
{
    site_forget(&lib->home);
    for (size_t i = 0; i < lib->n_usb; i++)
        site_forget(lib->usb[i]);
}
