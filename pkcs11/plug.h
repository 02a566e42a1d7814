#ifndef PKCS11_PLUG_H
#define PKCS11_PLUG_H

#include "pkcs11/session.h"

/*
 * USB tokens that come and go. Each serial that was ever seen by this process has a slot, which
 * keeps its id; whether a token is in it follows the plug. Nothing is sent to a token that
 * nobody asks about, and a machine without any is only looked at (usb/hotplug.h). No threads:
 * who asks looks.
 */

/* The slots as they are now, those of the store too; closes the sessions of tokens that are
 * gone. Only lack of memory is a failure. */
int plug_look(struct library *lib, struct err *e) MUST_USE;

/* Which of the USB tokens that have a slot are there now. */
void plug_known(struct library *lib);

/* The slot, after a look if there was none so far; where it is of a USB token, after a look at
 * that. NULL when there is none. */
struct slot *plug_slot(struct library *lib, CK_SLOT_ID id);

/* True when the token of this slot was pulled out: its sessions are closed then. */
bool plug_lost(struct library *lib, struct slot *s);

/* Reads what a USB token is, if that was not done. 0 also for one that carries nothing, whose
 * row stays empty, and for other slots. */
int plug_ready(struct slot *s, struct err *e) MUST_USE;

#endif
