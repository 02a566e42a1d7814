#ifndef PKCS11_LIBRARY_H
#define PKCS11_LIBRARY_H

#include "core/conf.h"
#include "core/store.h"
#include "pkcs11/p11.h"
#include "tpm/tpm.h"

/*
 * What lives between C_Initialize and C_Finalize: settings, the store, the one
 * TPM connection, slots and sessions. Making one touches neither store nor TPM.
 */
struct library {
    bool sha1;            /* the settings allow signing over SHA-1 */
    struct conf *conf;    /* NULL when the settings could not be read: no tokens then */
    struct store *store;  /* NULL until it could be opened */
    bool read_only;       /* the store, that is */
    struct err store_err; /* why there is no store (E_NOT_FOUND: none yet), or it is only read */
    uint64_t generation;  /* counts changes of the store by other processes */
    struct tpm *tpm;
    struct slot **slot;
    size_t n_slot;
    bool listed;                  /* slots were looked at: from now on changes are events */
    uint64_t instance;            /* tells this one from those before C_Finalize */
    struct p11_session **session; /* ordered by handle */
    size_t n_session, cap_session;
    CK_ULONG last_handle; /* of sessions and objects alike */
};

int library_new(struct library **out, struct err *e) MUST_USE;

/* Flushes the TPM where it answers, and closes the store. Slots and sessions are gone
 * before (slot_free_all, p11_session_free_all). NULL is fine. */
void library_free(struct library *lib);

/*
 * Opens the store when that was not possible yet, and looks whether another
 * process wrote to it (`generation`). `create` makes it when missing. E_NOT_FOUND
 * when there is none.
 */
int library_store(struct library *lib, bool create, struct err *e) MUST_USE;

/* The TPM, connected on first use. */
int library_tpm(struct library *lib, struct tpm **out, struct err *e) MUST_USE;

#endif
