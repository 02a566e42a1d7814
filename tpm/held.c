#include "tpm/held.h"

#include "core/secret.h"
#include "tpm/ctx.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often a full TPM is asked again: other processes hold its slots for one
 * operation, some milliseconds each. */
#define FULL_TRIES 120

struct held {
    struct tpm_guest guest; /* first */
    struct session main;
    unsigned main_generation;
    struct loaded_key key[HELD_MAX];
    uint64_t clock;
};

/* NULL until something is held, and while other processes have the TPM: what we hold is
 * only known when it is ours. */
static struct held *held_of(struct tpm *t)
{
    if (tpm_guest(t) == NULL || tpm_claim(t, NULL) != 0)
        return NULL;
    return (struct held *)(void *)tpm_guest(t);
}

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

const struct loaded_key *held_find(struct tpm *t, const uint8_t uuid[STORE_UUID])
{
    struct held *l = held_of(t);

    for (size_t i = 0; l != NULL && i < HELD_MAX; i++) {
        if (live(t, &l->key[i]) && memcmp(l->key[i].uuid, uuid, STORE_UUID) == 0) {
            l->key[i].used = ++l->clock;
            return &l->key[i];
        }
    }
    return NULL;
}

void held_make_room(struct tpm *t)
{
    struct held *l = held_of(t);
    struct loaded_key *oldest;

    if (l == NULL)
        return;
    oldest = &l->key[0];
    for (size_t i = 0; i < HELD_MAX; i++) {
        if (!live(t, &l->key[i]))
            return;
        if (l->key[i].used < oldest->used)
            oldest = &l->key[i];
    }
    drop(t, oldest);
}

const struct loaded_key *held_add(struct tpm *t, const uint8_t uuid[STORE_UUID], TPM2_HANDLE handle,
                                  const TPM2B_NAME *name)
{
    struct held *l = held_of(t);
    struct loaded_key *k;

    if (l == NULL)
        return NULL;
    held_make_room(t);
    k = &l->key[0];
    for (size_t i = 0; i < HELD_MAX; i++) {
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

void held_flush(struct tpm *t, const uint8_t uuid[STORE_UUID])
{
    struct held *l = held_of(t);

    for (size_t i = 0; l != NULL && i < HELD_MAX; i++) {
        if (live(t, &l->key[i]) && memcmp(l->key[i].uuid, uuid, STORE_UUID) == 0)
            drop(t, &l->key[i]);
    }
}

bool held_flush_all(struct tpm *t)
{
    struct held *l = held_of(t);
    bool any = false;

    for (size_t i = 0; l != NULL && i < HELD_MAX; i++) {
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

bool held_try_again(struct tpm *t, uint32_t rc, int *tries)
{
    if ((rc != TPM2_RC_OBJECT_MEMORY && rc != TPM2_RC_SESSION_MEMORY) || ++*tries > FULL_TRIES)
        return false;
    if (!held_flush_all(t))
        short_random_pause();
    return true;
}

static bool keeps(struct tpm *t, struct tpm_guest *g)
{
    struct held *l = (struct held *)(void *)g;

    return l->main.handle != 0 && l->main_generation == tpm_generation(t);
}

static void rest(struct tpm *t, struct tpm_guest *g)
{
    struct held *l = (struct held *)(void *)g;

    session_end(t, &l->main);
}

static void end(struct tpm *t, struct tpm_guest *g)
{
    struct held *l = (struct held *)(void *)g;

    held_flush_all(t);
    if (keeps(t, g))
        rest(t, g);
    secret_wipe(l, sizeof(*l));
    free(l);
}

static void gone(struct tpm *t, struct tpm_guest *g, TPM2_HANDLE h)
{
    struct held *l = (struct held *)(void *)g;

    (void)t;
    if (l->main.handle == h)
        session_gone(&l->main);
    for (size_t i = 0; i < HELD_MAX; i++) {
        if (l->key[i].handle == h)
            memset(&l->key[i], 0, sizeof(l->key[i]));
    }
}

struct session *held_session(struct tpm *t, const struct salt_key *salt, struct err *e)
{
    struct held *l;

    if (tpm_claim(t, e) != 0)
        return NULL;
    l = held_of(t);
    if (l == NULL) {
        l = calloc(1, sizeof(*l));
        if (l == NULL) {
            err_set(e, E_MEMORY, "out of memory for a TPM session");
            return NULL;
        }
        l->guest = (struct tpm_guest){.end = end, .gone = gone, .keeps = keeps, .rest = rest};
        tpm_set_guest(t, &l->guest);
    }
    if (keeps(t, &l->guest))
        return &l->main;
    session_gone(&l->main);
    for (int tries = 0;;) {
        struct err why = {0};

        if (session_start(t, TPM2_SE_HMAC, salt, &l->main, &why) == 0)
            break;
        if (!held_try_again(t, why.rc, &tries)) {
            err_take(e, &why);
            return NULL;
        }
    }
    l->main_generation = tpm_generation(t);
    return &l->main;
}
