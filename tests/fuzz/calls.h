#ifndef TESTS_FUZZ_CALLS_H
#define TESTS_FUZZ_CALLS_H

#include "pkcs11/op.h"
#include "tests/fuzz/attrs.h"
#include "tests/fuzz/mechs.h"

/*
 * What the parts of fuzz_calls share: a module with one token and no TPM, two sessions, keys
 * and objects of the session, and an input that says what is called.
 */
enum { CALLS_AES16, CALLS_AES32, CALLS_SECRET, CALLS_HKDF, CALLS_MAC, CALLS_RSA, CALLS_EC };
enum { CALLS_DATA = CALLS_EC + 1, CALLS_CERT, CALLS_PRESETS };
#define CALLS_MADE 8 /* the last objects that calls made */

struct calls {
    struct input in;
    CK_FUNCTION_LIST_3_0 *f;
    CK_SESSION_HANDLE rw, ro;
    CK_OBJECT_HANDLE preset[CALLS_PRESETS]; /* 0: not made yet */
    CK_OBJECT_HANDLE made[CALLS_MADE];
    size_t n_made;
};

/* Every return value goes through here: some are never right. */
CK_RV calls_rv(CK_RV rv);

/* A session: mostly the one that may write; an object: mostly one that is there. */
CK_SESSION_HANDLE calls_session(struct calls *w);
CK_OBJECT_HANDLE calls_object(struct calls *w);

/* A fixed object, made when first asked for. */
CK_OBJECT_HANDLE calls_preset(struct calls *w, size_t which);

/* A key that goes with a mechanism, mostly. */
CK_OBJECT_HANDLE calls_key(struct calls *w, const struct mech *m);
void calls_keep(struct calls *w, CK_RV rv, CK_OBJECT_HANDLE o);

/* A function with an output, by the rules of 5.2. Sees to it that a question for the length,
 * or too small a buffer, ends nothing, and that no more comes than was told. `made`, if not
 * NULL, is what came out. */
typedef CK_RV (*calls_give)(struct calls *w, void *arg, CK_BYTE *out, CK_ULONG *len);
CK_RV calls_output(struct calls *w, calls_give give, void *arg, struct bytes *made);

/* The same to the end: asks, sometimes tries with less, then takes what there is. */
CK_RV calls_take(struct calls *w, calls_give give, void *arg, struct bytes *made);

/* Input data of a call, sometimes hostile. */
struct calls_data {
    CK_BYTE *p;
    CK_ULONG len;
};
struct calls_data calls_data(struct calls *w);

/* Templates of new objects, never of the token's. */
CK_ATTRIBUTE *calls_template(struct calls *w, CK_OBJECT_CLASS class, CK_KEY_TYPE type, CK_ULONG *n);
void calls_no_token(CK_ATTRIBUTE *t, CK_ULONG n);

/* One step each; the number of kinds of steps. */
void calls_on_objects(struct calls *w);
void calls_on_keys(struct calls *w);
void calls_on_operations(struct calls *w);
void calls_on_messages(struct calls *w);
void calls_round_trip(struct calls *w);

#endif
