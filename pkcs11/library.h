#ifndef PKCS11_LIBRARY_H
#define PKCS11_LIBRARY_H

#include "pkcs11/p11.h"
#include "pkcs11/site_usb.h"

/*
 * What lives between C_Initialize and C_Finalize: settings, the places where tokens are, slots
 * and sessions. Making one touches neither store nor TPM.
 */
struct library {
    bool sha1;         /* the settings allow signing over SHA-1 */
    struct conf *conf; /* NULL when the settings could not be read: no tokens then */
    struct site home;  /* store and TPM of the settings */
    struct site **usb; /* USB tokens that were seen */
    size_t n_usb;
    struct hotplug *plugs; /* what is plugged in; NULL before the first look */
    struct slot **slot;
    size_t n_slot;
    bool listed;                  /* slots were looked at: from now on changes are events */
    uint64_t instance;            /* tells this one from those before C_Finalize */
    struct p11_session **session; /* ordered by handle */
    size_t n_session, cap_session;
    CK_ULONG last_handle; /* of sessions and objects alike */
};

int library_new(struct library **out, struct err *e) MUST_USE;

/* Closes the sites. Slots and sessions are gone before (slot_free_all,
 * p11_session_free_all). NULL is fine. */
void library_free(struct library *lib);

/* Of each site: see site.h. */
void library_release(struct library *lib);
void library_forget(struct library *lib);
bool library_keeps_session(struct library *lib); /* any of them */
void library_rest(struct library *lib);

#endif
