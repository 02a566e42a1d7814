#ifndef TPM_HELD_H
#define TPM_HELD_H

#include "core/store.h"
#include "tpm/session.h"

#include <tss2/tss2_tpm2_types.h>

/*
 * What this process holds in a TPM: one HMAC session, and the keys it has loaded, least
 * recently used first out. Chips have three transient slots; one stays free for what
 * comes and goes. tpm_free() flushes all of it.
 */
#define HELD_MAX 2

struct loaded_key {
    uint8_t uuid[STORE_UUID];
    TPM2_HANDLE handle; /* 0: free */
    unsigned generation;
    uint64_t used;
    TPM2B_NAME name;
};

/*
 * The HMAC session that authorises everything in this process: salted to the storage
 * primary, started when first needed and again after tpm_lost(). NULL on failure.
 */
struct session *held_session(struct tpm *t, const struct salt_key *salt, struct err *e);

/* The loaded key of that uuid, NULL if it is not loaded (any more). */
const struct loaded_key *held_find(struct tpm *t, const uint8_t uuid[STORE_UUID]);

/* Flushes the least recently used key when all places are taken. To be called before
 * a key is loaded: a persistent parent takes a slot of the chip, too. */
void held_make_room(struct tpm *t);

/* Notes a key that was just loaded. NULL when another process has the TPM by now, or no session
 * was held: what was loaded is not known then. */
const struct loaded_key *held_add(struct tpm *t, const uint8_t uuid[STORE_UUID], TPM2_HANDLE handle,
                                  const TPM2B_NAME *name);

void held_flush(struct tpm *t, const uint8_t uuid[STORE_UUID]);

/* Flushes all; true when there was one. */
bool held_flush_all(struct tpm *t);

/*
 * After a command failed with `rc`: true when it is worth another try, because the
 * TPM was out of object or session slots and something was done about it: our own
 * keys were flushed, or a pause was made for other processes to let go. `tries`
 * counts up to an end, some seconds away.
 */
bool held_try_again(struct tpm *t, uint32_t rc, int *tries);

#endif
