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
    struct conf *conf;    /* NULL when the settings could not be read: no tokens then */
    struct store *store;  /* NULL until it could be opened */
    bool read_only;       /* the store, that is */
    struct err store_err; /* why there is no store; E_NOT_FOUND: none was made yet */
    uint64_t generation;  /* counts changes of the store by other processes */
    struct tpm *tpm;
    struct slot **slot;
    size_t n_slot;
    struct p11_session **session; /* ordered by handle */
    size_t n_session, cap_session;
    CK_ULONG last_handle; /* of sessions and objects alike */
};

int library_new(struct library **out, struct err *e) MUST_USE;

/* Ends sessions and logins, flushes the TPM where it answers. NULL is fine. */
void library_free(struct library *lib);

/* In the child after fork: frees everything without a word to the TPM, on whose
 * connection the parent goes on talking, and without touching the parent's store. */
void library_forget(struct library *lib);

/*
 * Opens the store when that was not possible yet, and looks whether another
 * process wrote to it (`generation`). `create` makes it when missing. E_NOT_FOUND
 * when there is none.
 */
int library_store(struct library *lib, bool create, struct err *e) MUST_USE;

/* The TPM, connected on first use. */
int library_tpm(struct library *lib, struct tpm **out, struct err *e) MUST_USE;

#endif
