#ifndef TPM_TPM_H
#define TPM_TPM_H

#include "core/buf.h"

/*
 * One TPM, reached through one TCTI connection per process. Nothing is sent
 * until something is asked of it. Not thread-safe: the caller holds one lock
 * around everything that reaches the same TPM.
 */
struct tpm;

/* `tcti` in tctildr's form, e.g. "device:/dev/tpmrm0", "swtpm:path=/run/x". */
int tpm_new(struct tpm **out, const char *tcti, struct err *e) MUST_USE;

/*
 * Takes part in sharing a bare TPM among processes (tpm/share.h) by a file in `dir`; does
 * nothing for other TPMs, or without `dir`. From then on every call that reaches the TPM
 * ends with tpm_release(), or no other process, nor another `struct tpm` of this one,
 * gets at it: a thread that has not released one must not use another.
 */
void tpm_share(struct tpm *t, const char *dir);

/* The end of a call: other processes may have the TPM. Fine when it was not used. */
void tpm_release(struct tpm *t);

/*
 * A resource manager saves the sessions of all its clients when others need the room, and a TPM
 * saves none any more, nor starts one, for anybody, while the oldest that is saved is 2^16 - 1
 * saves behind (TPM_RC_CONTEXT_GAP; Part 1, 30.5 "Session Context Management", and CONTEXT_SLOT of
 * the implementation). So a process that does nothing must not keep one: tpm_rest() ends it, and
 * the next use begins another.
 */
bool tpm_keeps_session(struct tpm *t);
void tpm_rest(struct tpm *t);

/* Flushes what this process left in the TPM, where it answers, and disconnects. */
void tpm_free(struct tpm *t);

/* After fork, in the child: forgets connection, sessions and loaded keys without
 * a word on the inherited connection. */
void tpm_forget(struct tpm *t);

const char *tpm_tcti(const struct tpm *t);

/* TPM2_GetRandom, as often as needed. */
int tpm_random(struct tpm *t, uint8_t *out, size_t len, struct err *e) MUST_USE;

/* What the TPM is and can do; read once, then cached (and kept in the store). */
struct tpm_caps {
    char manufacturer[5]; /* "IBM ", "IFX ", "STM " ... */
    char vendor[17];      /* vendor string */
    uint32_t firmware[2];
    uint32_t spec_revision; /* e.g. 164 */
    uint16_t max_nv;        /* TPM_PT_NV_BUFFER_MAX */
    bool pin_fail;          /* has PIN_FAIL indices (spec 1.38 and up) */
    bool p256, p384, p521;
    bool rsa2048, rsa3072, rsa4096;
};
int tpm_caps(struct tpm *t, struct tpm_caps *out, struct err *e) MUST_USE;

#endif
