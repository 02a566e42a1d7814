#ifndef PKCS11_IDLE_H
#define PKCS11_IDLE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A clock beside the application: when no call has come for a while, something is done once, in a
 * thread of ours, which ends with it. Nothing runs in a process that does nothing.
 */

/* Milliseconds. */
#define IDLE_AFTER 2000

/*
 * At the end of a call: from now on IDLE_AFTER counts anew; then `fn` is called, again a little
 * later when it returns false. False: there can be no thread. One caller at a time, and always
 * the same `fn`.
 */
bool idle_begin(bool (*fn)(void));

/* The thread ends without it, or does within `seconds`. `fn` must not be waiting for what the
 * caller holds. */
void idle_end(int seconds);

/* After fork, in the child: there is no such thread. */
void idle_forget(void);

#endif
