#ifndef TPM_LOADED_H
#define TPM_LOADED_H

#include "core/store.h"
#include "tpm/tpm.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * The keys that this process has loaded into a TPM, least recently used first out.
 * Chips have three transient slots; one stays free for what comes and goes.
 */
#define LOADED_MAX 2

struct loaded_key {
    uint8_t uuid[STORE_UUID];
    TPM2_HANDLE handle; /* 0: free */
    unsigned generation;
    uint64_t used;
    TPM2B_NAME name;
};

struct loaded {
    struct loaded_key key[LOADED_MAX];
    uint64_t clock;
};

/* The loaded key of that uuid, NULL if it is not loaded (any more). */
const struct loaded_key *loaded_find(struct tpm *t, const uint8_t uuid[STORE_UUID]);

/* Flushes the least recently used key when all places are taken. To be called before
 * a key is loaded: a persistent parent takes a slot of the chip, too. */
void loaded_make_room(struct tpm *t);

/* Notes a key that was just loaded. */
const struct loaded_key *loaded_add(struct tpm *t, const uint8_t uuid[STORE_UUID],
                                    TPM2_HANDLE handle, const TPM2B_NAME *name);

void loaded_flush(struct tpm *t, const uint8_t uuid[STORE_UUID]);

/* Flushes all; true when there was one. */
bool loaded_flush_all(struct tpm *t);

/*
 * After a command failed with `rc`: true when it is worth another try, because the
 * TPM was out of object or session slots and something was done about it: our own
 * keys were flushed, or a pause was made for other processes to let go. `tries`
 * counts up to an end, some seconds away.
 */
bool loaded_try_again(struct tpm *t, uint32_t rc, int *tries);

#endif
