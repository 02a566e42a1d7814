#include "tpm/loaded.h"

#include "tpm/ctx.h"

#include <openssl/rand.h>
#include <string.h>
#include <time.h>

/* How often a full TPM is asked again: other processes hold its slots for one
 * operation, some milliseconds each. */
#define FULL_TRIES 120

static bool live(struct tpm *t, const struct loaded_key *k)
{
    return k->handle != 0 && k->generation == tpm_generation(t);
}

static void drop(struct tpm *t, struct loaded_key *k)
{
    if (live(t, k))
        tpm_flush(t, k->handle);
    memset(k, 0, sizeof(*k));
}

const struct loaded_key *loaded_find(struct tpm *t, const uint8_t uuid[STORE_UUID])
{
    struct loaded *l = tpm_loaded(t);

    for (size_t i = 0; i < LOADED_MAX; i++) {
        if (live(t, &l->key[i]) && memcmp(l->key[i].uuid, uuid, STORE_UUID) == 0) {
            l->key[i].used = ++l->clock;
            return &l->key[i];
        }
    }
    return NULL;
}

void loaded_make_room(struct tpm *t)
{
    struct loaded *l = tpm_loaded(t);
    struct loaded_key *oldest = &l->key[0];

    for (size_t i = 0; i < LOADED_MAX; i++) {
        if (!live(t, &l->key[i]))
            return;
        if (l->key[i].used < oldest->used)
            oldest = &l->key[i];
    }
    drop(t, oldest);
}

const struct loaded_key *loaded_add(struct tpm *t, const uint8_t uuid[STORE_UUID],
                                    TPM2_HANDLE handle, const TPM2B_NAME *name)
{
    struct loaded *l = tpm_loaded(t);
    struct loaded_key *k = &l->key[0];

    loaded_make_room(t);
    for (size_t i = 0; i < LOADED_MAX; i++) {
        if (!live(t, &l->key[i]))
            k = &l->key[i];
    }
    memcpy(k->uuid, uuid, STORE_UUID);
    k->handle = handle;
    k->generation = tpm_generation(t);
    k->used = ++l->clock;
    k->name = *name;
    return k;
}

void loaded_flush(struct tpm *t, const uint8_t uuid[STORE_UUID])
{
    struct loaded *l = tpm_loaded(t);

    for (size_t i = 0; i < LOADED_MAX; i++) {
        if (live(t, &l->key[i]) && memcmp(l->key[i].uuid, uuid, STORE_UUID) == 0)
            drop(t, &l->key[i]);
    }
}

bool loaded_flush_all(struct tpm *t)
{
    struct loaded *l = tpm_loaded(t);
    bool any = false;

    for (size_t i = 0; i < LOADED_MAX; i++) {
        any = any || live(t, &l->key[i]);
        drop(t, &l->key[i]);
    }
    return any;
}

static void short_random_pause(void)
{
    struct timespec ts = {0, 2000000L};
    uint8_t r = 0;

    (void)RAND_bytes(&r, 1);
    ts.tv_nsec += (long)r * 150000L;
    nanosleep(&ts, NULL);
}

bool loaded_try_again(struct tpm *t, uint32_t rc, int *tries)
{
    if ((rc != TPM2_RC_OBJECT_MEMORY && rc != TPM2_RC_SESSION_MEMORY) || ++*tries > FULL_TRIES)
        return false;
    if (!loaded_flush_all(t))
        short_random_pause();
    return true;
}
