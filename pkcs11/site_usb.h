#ifndef PKCS11_SITE_USB_H
#define PKCS11_SITE_USB_H

#include "pkcs11/site.h"
#include "tpm/stick.h"
#include "usb/hotplug.h"

/* Sites that are USB tokens. */

/* One that is plugged in; nothing is sent to it. */
int site_usb_new(struct site **out, const struct conf *conf, const struct hotplug_token *plug,
                 struct err *e) MUST_USE;
void site_usb_free(struct site *p); /* NULL is fine */

/* Its serial and kind, as long as the site lives; where it is plugged in now, or was. */
const struct hotplug_token *site_usb_plug(const struct site *p);

/* It was closed, and is plugged in again. */
void site_usb_again(struct site *p, const struct hotplug_token *plug);

/* Is it still plugged in, without having been away? Two file reads. */
bool site_usb_there(const struct site *p);

/* The row of its token, E_NOT_FOUND when it carries none. Reads it when first asked. */
int site_usb_row(struct site *p, struct store_token *out, struct err *e) MUST_USE;

/* Counts of wrong PINs from the TPM into the row of its token: the first time, if at all. */
void site_usb_count(struct site *p);

/* How much room is left for keys and certificates; false when that is not known. */
bool site_usb_room(const struct site *p, struct stick_room *out);

#endif
