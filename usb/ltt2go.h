#ifndef USB_LTT2GO_H
#define USB_LTT2GO_H

#include "usb/backend.h"
#include "usb/tis.h"

/*
 * LetsTrust-TPM2Go: a TPM on SPI behind a Cypress bridge. The back-end is `ltt2go_backend`; these
 * are its two halves of a struct tis_bus, with the struct device as `arg`. A window is a head
 * of 4 bytes and 1 to 64 bytes of data: three URBs.
 */
int ltt2go_read(void *arg, uint16_t reg, uint8_t *p, size_t n, struct err *e) MUST_USE;
int ltt2go_write(void *arg, uint16_t reg, const uint8_t *p, size_t n, struct err *e) MUST_USE;

#endif
