#ifndef PKCS11_FAIL_H
#define PKCS11_FAIL_H

#include "pkcs11/ckr.h"

/* How a call fails: with a return value for the application, and a reason in words for the
 * people behind it. All of this happens inside the module's lock (entry.h). */

/* Turns a failure into a return value, remembers it for p11_last_error() and prints it
 * unless the program does that itself. */
CK_RV fail_rv(const struct err *e, enum ckr_during during);

/* What was remembered since fail_clear(). */
struct err fail_last(void);
void fail_clear(void);

/* From now on nothing is printed. */
void fail_quiet(void);

#endif
