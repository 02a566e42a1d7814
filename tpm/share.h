#ifndef TPM_SHARE_H
#define TPM_SHARE_H

#include "tpm/link.h"

/*
 * Several processes at one bare TPM, that is one without a resource manager: chips have three
 * slots for loaded objects and three for sessions, for everybody together. Processes take
 * turns: from its first command to the end of a PKCS#11 call one has the TPM to itself (a
 * claim). In a small file each notes what it leaves loaded between its calls, so that while
 * no one else needs the room it is found again, and otherwise the next one may flush it:
 * what dead processes left first, then what was used least recently. Who was evicted finds
 * his record changed at his next claim, before he would use what is gone.
 *
 * The connection tells all this by itself: it sees what is made, flushed, and refused for
 * lack of room. Where no such file is to be had every process is on its own.
 */
struct share;

/* What `tcti` reaches, if that is a bare TPM which processes could share, else NULL: for
 * "pcap:swtpm:path=x", say, "swtpm:path=x". Resource managers give each process handles of
 * its own, and libtpms a whole TPM. */
const char *share_bare(const char *tcti);

/* `gone` is called for a handle that others flushed: it is to be forgotten without a word.
 * The link's watch until share_free(). */
int share_new(struct share **out, struct link *l, const char *tcti, const char *dir,
              void (*gone)(void *arg, uint32_t handle), void *arg, struct err *e) MUST_USE;

/* Flushes what is left, if there is a claim; else leaves that to the next process. NULL is
 * fine. */
void share_free(struct share *s);

/* After fork, in the child: nothing in the TPM is ours, no claim either. */
void share_forget(struct share *s);

/*
 * From here to share_release() the TPM is ours alone. Fine when it is already. Waits for
 * others up to a minute and a half (RSA keys take that), two seconds after share_hurry();
 * then E_BUSY, also at once for the rest of the call.
 */
int share_claim(struct share *s, struct err *e) MUST_USE;
void share_hurry(struct share *s);

/* On the open connection, before the first command of a claim: flushes what dead processes
 * left, and registers. */
void share_ready(struct share *s);

/* Fine without a claim. True when the connection must not stay open: others cannot open it. */
bool share_release(struct share *s);

/* All that is loaded became useless to us: there if the TPM still has it, to be flushed
 * when room is needed. */
void share_lost(struct share *s);

/* The TPM has ended this session or sequence with its last command. */
void share_ended(struct share *s, uint32_t handle);

/* Is there something (that handle) of ours in the TPM, for what we know? */
bool share_holds(const struct share *s);
bool share_has(const struct share *s, uint32_t handle);

#endif
