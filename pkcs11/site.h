#ifndef PKCS11_SITE_H
#define PKCS11_SITE_H

#include "core/conf.h"
#include "core/store.h"
#include "tpm/stick.h"
#include "usb/hotplug.h"

/*
 * Where tokens are: a store, and the TPM that its keys are wrapped for. The settings name one;
 * each slot points to its own. Opened when first needed.
 */
struct site {
    const struct conf *conf; /* borrowed; NULL when the settings could not be read */
    struct store *store;     /* NULL until it could be opened */
    bool read_only;          /* the store, that is */
    struct err store_err;    /* why there is no store (E_NOT_FOUND: none yet), or it is only read */
    uint64_t generation;     /* counts changes of the store by other processes */
    struct tpm *tpm;         /* NULL until first needed */
    struct site_usb *usb;    /* a USB token that keeps its rows itself; NULL: of the settings */
};

/*
 * Opens the store when that was not possible yet, and looks whether another
 * process wrote to it (`generation`). `create` makes it when missing. E_NOT_FOUND
 * when there is none.
 */
int site_store(struct site *p, bool create, struct err *e) MUST_USE;

/* The TPM, connected on first use. */
int site_tpm(struct site *p, struct tpm **out, struct err *e) MUST_USE;

/* Opens a token of the store; sends nothing. */
int site_token(struct site *p, int64_t id, struct token **out, struct err *e) MUST_USE;

/* The end of a call: other processes may have the TPM. */
void site_release(struct site *p);

/* After fork, in the child: not a word to the TPM on the inherited connection. */
void site_forget(struct site *p);

/* Flushes the TPM where it answers, and closes the store. Tokens are freed before. */
void site_close(struct site *p);

/* --- USB tokens -------------------------------------------------------------- */

/* One that is plugged in; nothing is sent to it. */
int site_usb_new(struct site **out, const struct conf *conf, const struct hotplug_token *plug,
                 struct err *e) MUST_USE;
void site_usb_free(struct site *p); /* NULL is fine */

/* Its serial and kind, as long as the site lives; where it is plugged in now, or was. */
const struct hotplug_token *site_usb_plug(const struct site *p);

/* It was closed, and is plugged in again. */
void site_usb_again(struct site *p, const struct hotplug_token *plug);

/* Is it still plugged in, without having been away? Two file reads. */
bool site_usb_there(const struct site *p);

/* The row of its token, E_NOT_FOUND when it carries none. Reads it when first asked. */
int site_usb_row(struct site *p, struct store_token *out, struct err *e) MUST_USE;

/* Counts of wrong PINs from the TPM into the row of its token: the first time, if at all. */
void site_usb_count(struct site *p);

/* After the user's login: are the rows as they were written? Fine for other sites. */
int site_verify(struct site *p, struct err *e) MUST_USE;

/* How much room is left for keys and certificates; false when that is not known. */
bool site_usb_room(const struct site *p, struct stick_room *out);

#endif
