#include <time.h>

#include "pkcs11/entry.h"
#include "pkcs11/plug.h"

/*
 * C_WaitForSlotEvent (5.5): a token came, plugged in or made by another process, or went. Found
 * by looking at the store and at what is plugged in: that takes no thread of our own (CKF_LIBRARY_CANT_CREATE_OS_THREADS)
 * and nothing of the TPM.
 */

/* How often a waiting caller looks. */
#define LOOK_NS 100000000L

static bool take_event(struct library *lib, CK_SLOT_ID *out)
{
    for (size_t i = 0; i < lib->n_slot; i++) {
        if (lib->slot[i]->event) {
            lib->slot[i]->event = false;
            *out = lib->slot[i]->id;
            return true;
        }
    }
    return false;
}

/* One look. `*instance` is 0 the first time; another instance than at first means that
 * C_Finalize was called meanwhile, by another thread. */
static CK_RV look(uint64_t *instance, CK_SLOT_ID *out)
{
    struct library *lib;
    struct err e = {0};
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    if (*instance == 0)
        *instance = lib->instance;
    if (*instance != lib->instance)
        return entry_end(CKR_CRYPTOKI_NOT_INITIALIZED);
    if (plug_look(lib, &e) != 0)
        return entry_end(fail_rv(&e, CKR_DURING_ANY));
    return entry_end(take_event(lib, out) ? CKR_OK : CKR_NO_EVENT);
}

CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved)
{
    struct timespec pause = {0, LOOK_NS};
    struct library *lib;
    uint64_t instance = 0;
    CK_RV rv;

    if (slot == NULL || reserved != NULL) {
        rv = entry_begin(&lib);
        return rv == CKR_OK ? entry_end(CKR_ARGUMENTS_BAD) : rv;
    }
    for (;;) {
        rv = look(&instance, slot);
        if (rv != CKR_NO_EVENT || (flags & CKF_DONT_BLOCK) != 0)
            return rv;
        nanosleep(&pause, NULL);
    }
}
