#ifndef PKCS11_TEXT_H
#define PKCS11_TEXT_H

#include "core/base.h"

/* What the module says of itself in its info structures. */
#define TEXT_MANUFACTURER "fusetsu"
#define TEXT_LIBRARY "fusetsu PKCS#11 on TPM 2.0"
#define TEXT_VERSION_MAJOR 0
#define TEXT_VERSION_MINOR 1

/* Fills a fixed-length field with a text, cut or padded with blanks, without a NUL
 * (PKCS#11 2.40, 3). */
void text_pad(unsigned char *field, size_t len, const char *text);

#endif
