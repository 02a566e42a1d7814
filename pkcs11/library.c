#include "pkcs11/library.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "tpm/link.h"
#include "usb/tcti.h"

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
        lib->store_err = conf_err;
        log_error("%s", conf_err.msg);
    } else {
        log_set_level(conf_log(lib->conf));
        lib->sha1 = conf_sha1(lib->conf);
    }
    lib->instance = ++instances;
    *out = lib;
    return 0;
}

void library_free(struct library *lib)
{
    if (lib == NULL)
        return;
    tpm_free(lib->tpm);
    store_close(lib->store);
    conf_free(lib->conf);
    free(lib);
}

/* A store that may not be written is still good for reading, unless others may write it. */
static int open_best(struct library *lib, bool create, struct err *e)
{
    const char *path = conf_store(lib->conf);
    struct err first = {0}, why = {0};

    lib->read_only = false;
    if (store_open(&lib->store, path, create ? STORE_CREATE : STORE_WRITE, &first) == 0) {
        err_clear(&lib->store_err);
        return 0;
    }
    if (!create && (first.code == E_DENIED || first.code == E_IO) &&
        store_open(&lib->store, path, STORE_READ, NULL) == 0) {
        if (store_guarded(lib->store, &why) == 0) {
            lib->read_only = true;
            lib->store_err = first;
            return 0;
        }
        store_close(lib->store);
        first = why;
    }
    lib->store = NULL;
    *e = first;
    return -1;
}

int library_store(struct library *lib, bool create, struct err *e)
{
    struct err why = {0};

    if (lib->store == NULL && lib->conf != NULL) {
        if (open_best(lib, create, &why) != 0) {
            /* Once is enough: slots are listed again and again. */
            if (why.code != lib->store_err.code && why.code != E_NOT_FOUND)
                log_warn("%s", why.msg);
            lib->store_err = why;
        }
    }
    if (lib->store == NULL)
        return err_set(e, lib->store_err.code, "%s", lib->store_err.msg);
    if (store_changed(lib->store))
        lib->generation++;
    return 0;
}

int library_tpm(struct library *lib, struct tpm **out, struct err *e)
{
    if (lib->conf == NULL)
        return err_set(e, lib->store_err.code, "%s", lib->store_err.msg);
    if (lib->tpm == NULL) {
        link_register("fusetsu", tcti_usb_init, tcti_usb_why);
        if (tpm_new(&lib->tpm, conf_tcti(lib->conf), e) != 0) {
            lib->tpm = NULL;
            return -1;
        }
        tpm_share(lib->tpm, conf_run(lib->conf));
    }
    *out = lib->tpm;
    return 0;
}
