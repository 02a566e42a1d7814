#ifndef PKCS11_SITE_USB_H
#define PKCS11_SITE_USB_H

#include "pkcs11/site.h"

/* Private to site.c and site_usb.c: what a site that is a USB token does instead. */

int site_usb_open(struct site *p, struct err *e) MUST_USE;
int site_usb_token(struct site *p, struct token **out, struct err *e) MUST_USE;
void site_usb_close(struct site *p);
const char *site_usb_tcti(const struct site *p);

#endif
