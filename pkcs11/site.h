#ifndef PKCS11_SITE_H
#define PKCS11_SITE_H

#include "core/conf.h"
#include "core/store.h"
#include "tpm/token.h"

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
    struct site_usb *usb;    /* a USB token that keeps its rows itself (site_usb.h), or NULL */
    const struct site_ops *ops; /* what such a one does instead; NULL: it is that of the settings */
};

struct site_ops {
    int (*open)(struct site *p, struct err *e); /* the store */
    const char *(*tcti)(const struct site *p);
    int (*token)(struct site *p, struct token **out, struct err *e);
    int (*verify)(struct site *p, struct err *e);
    void (*close)(struct site *p); /* the store, before the TPM */
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

/* Of its TPM: see tpm.h. */
bool site_keeps_session(struct site *p);
void site_rest(struct site *p);

/* After fork, in the child: not a word to the TPM on the inherited connection. */
void site_forget(struct site *p);

/* Flushes the TPM where it answers, and closes the store. Tokens are freed before. */
void site_close(struct site *p);

/* After the user's login: are the rows as they were written? Fine for other sites. */
int site_verify(struct site *p, struct err *e) MUST_USE;

#endif
