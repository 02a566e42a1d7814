#ifndef CLI_INSIDE_H
#define CLI_INSIDE_H

#include "core/store.h"
#include "tpm/tpm.h"

/* What a TPM has of a token: seen without a PIN, a session or an authorisation. */

enum inside_thing {
    INSIDE_ABSENT, /* nothing at that handle */
    INSIDE_OTHER,  /* something else */
    INSIDE_SAME,
    INSIDE_NONE, /* the token has no such index: on a TPM without PIN indices */
};

struct inside {
    enum inside_thing primary;
    enum inside_thing index[STORE_NV_COUNT];
};

/* A token that `hw` and `t` describe. -1: the TPM does not answer. */
int inside_look(struct tpm *tpm, const struct store_tpm *hw, const struct store_token *t,
                struct inside *out, struct err *e) MUST_USE;

/* Are primary and all four indices there? */
bool inside_whole(const struct inside *in);

/*
 * Is the token in this TPM at all, whatever it lacks? Handles are the same in all TPMs, and
 * O and R look alike in all tokens: the primary with any index tells it, or U or S alone.
 */
bool inside_home(const struct inside *in);

#endif
