#ifndef USB_TCTI_H
#define USB_TCTI_H

#include "core/err.h"

#include <tss2/tss2_tcti.h>

/*
 * USB tokens for whoever speaks TSS2 (TCG TSS 2.0 TCTI): each command claims the token, and gives
 * it back when its response is there, so that processes take turns command by command.
 *
 * `conf` is "" (the one token there is), "serial=SERIAL", or either behind a kind: "ltt2go",
 * "ltt2go:serial=SERIAL". `context` NULL asks for the size.
 *
 * A token that was unplugged stays gone for a context: TSS2_TCTI_RC_NO_CONNECTION, until one is
 * made anew. What was meant for one token never reaches another.
 */
TSS2_RC tcti_usb_init(TSS2_TCTI_CONTEXT *context, size_t *size, const char *conf);

/* Why the last call that failed in this thread did, in words: -1 with it in `e`, 0 when none
 * did. */
int tcti_usb_why(struct err *e);

/* Whether failures are logged as well: for programs that show only numbers. */
void tcti_usb_loud(bool loud);

#endif
