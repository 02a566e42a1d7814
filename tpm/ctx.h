#ifndef TPM_CTX_H
#define TPM_CTX_H

#include "core/secret.h"
#include "tpm/link.h"
#include "tpm/tpm.h"

#include <tss2/tss2_sys.h>

/* The inside of `struct tpm`, for the tpm room only. */

/* SAPI context of a connected TPM; connects when needed, and takes the TPM for us until
 * tpm_release(). NULL on failure. */
TSS2_SYS_CONTEXT *tpm_sys(struct tpm *t, struct err *e);

/* That taking alone: only after it is known which handles are still ours. */
int tpm_claim(struct tpm *t, struct err *e) MUST_USE;

/* Does the TPM still hold this of us, for what we know? No other process has flushed it for its
 * room; whether the TPM was reset is another question. Takes the TPM for us. */
bool tpm_has(struct tpm *t, TPM2_HANDLE h);

/* The TPM has ended a session by itself. */
void tpm_ended(struct tpm *t, TPM2_HANDLE h);

/* TPM2_FlushContext; failures are of no consequence and only logged. */
void tpm_flush(struct tpm *t, TPM2_HANDLE h);

/* Counts up whenever sessions and loaded objects of this process became invalid:
 * what was remembered under an older number is gone in the TPM. */
unsigned tpm_generation(const struct tpm *t);

/* After a reset of the TPM or a broken connection: everything is invalid. */
void tpm_lost(struct tpm *t);

/* True for response codes that say so: stale session or object handles after a
 * TPM reset, or a transport that broke. */
bool tpm_is_stale(const struct err *e);

/* Why the last command did not get through, where the transport has words for it: -1 with them
 * in `e`, else 0. */
int tpm_failure(const struct tpm *t, struct err *e) MUST_USE;

/*
 * What a higher file keeps for as long as the TPM object lives (tpm/held.c: sessions and
 * loaded keys). `end` is called while the connection still works, and frees it; `gone`,
 * when another process has flushed a handle; `keeps` and `rest`, of tpm_keeps_session() and
 * tpm_rest().
 */
struct tpm_guest {
    void (*end)(struct tpm *t, struct tpm_guest *g);
    void (*gone)(struct tpm *t, struct tpm_guest *g, TPM2_HANDLE h);
    bool (*keeps)(struct tpm *t, struct tpm_guest *g);
    void (*rest)(struct tpm *t, struct tpm_guest *g);
};
struct tpm_guest *tpm_guest(const struct tpm *t);
void tpm_set_guest(struct tpm *t, struct tpm_guest *g);

/* What salt the TPM's own RSASSA-PSS uses: found out by the first signature. */
enum tpm_pss { TPM_PSS_UNKNOWN, TPM_PSS_DIGEST, TPM_PSS_OTHER };
enum tpm_pss tpm_pss(const struct tpm *t);
void tpm_set_pss(struct tpm *t, enum tpm_pss what);

/* What tpm/owner.c knows of ownerAuth; taken over, and wiped with the TPM. NULL: nothing. */
const struct secret *tpm_owner(const struct tpm *t, bool *ours);
void tpm_set_owner(struct tpm *t, struct secret *auth, bool ours);

/* What token_open read from the store, so that nothing is asked twice. */
void tpm_set_caps(struct tpm *t, const struct tpm_caps *caps);

/* PIN indices came with revision 1.38. */
#define CAPS_PIN_FAIL 138

/* tpm_caps to and from the bytes that the store keeps. */
int tpm_caps_encode(const struct tpm_caps *c, struct buf *out, struct err *e) MUST_USE;
int tpm_caps_decode(struct bytes in, struct tpm_caps *c, struct err *e) MUST_USE;

#endif
