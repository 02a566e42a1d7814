#ifndef PKCS11_MAKE_H
#define PKCS11_MAKE_H

#include "pkcs11/session.h"
#include "pkcs11/template.h"

/*
 * New objects on their way from a template into the store and the index: what the functions
 * that create, generate, copy, unwrap and derive have in common. Zero-initialise it;
 * make_free releases what was not taken over.
 */
struct made {
    unsigned group;
    bool token; /* CKA_TOKEN */
    struct store_object row;
    struct store_key *key;   /* goes to the store with a token object */
    struct secret *value;    /* session secrets only */
    CK_OBJECT_HANDLE handle; /* out */
};

/* A boolean of a row on its way, default included. */
bool make_true(const struct made *m, CK_ATTRIBUTE_TYPE type);

/*
 * Reads a template for an object of a class and group, after checking that the
 * session may make it: CKR_SESSION_READ_ONLY, CKR_USER_NOT_LOGGED_IN, and what
 * template_apply answers.
 */
CK_RV make_read(const struct p11_session *s, const struct template *t, enum template_use use,
                CK_OBJECT_CLASS class, unsigned group, struct made *m) MUST_USE;

/*
 * Writes token objects and their keys in one transaction, then shows all objects
 * and gives them handles. On failure nothing is left in the store.
 */
CK_RV make_store(struct p11_session *s, struct made *const *m, size_t n) MUST_USE;

void make_free(struct made *m);

/* 4.6.2, 4.8: only the SO says that something is to be trusted: CKR_ATTRIBUTE_READ_ONLY. */
CK_RV make_check_trusted(const struct p11_session *s, const struct template *t) MUST_USE;

/* One object in all: writes and shows it, gives out its handle, and frees what is left. `rv`
 * is what came before; the first failure is returned. */
CK_RV make_one(struct p11_session *s, struct made *m, CK_RV rv, CK_OBJECT_HANDLE *out) MUST_USE;

#endif
