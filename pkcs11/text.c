#include "pkcs11/text.h"

#include <string.h>

void text_pad(unsigned char *field, size_t len, const char *text)
{
    size_t n = strlen(text);

    if (n > len) {
        n = len;
        /* Do not cut a UTF-8 character in two. */
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
    }
    memset(field, ' ', len);
    memcpy(field, text, n);
}
