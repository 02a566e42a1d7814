/* Descriptors of whatever is plugged in: what is taken from them is within its bounds. */
#include "usb/backend.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct usb_descriptor d;
    char *serial = malloc(size + 1);

    if (serial == NULL)
        abort();
    memcpy(serial, data, size);
    serial[size] = 0;
    if (descriptor_serial_ok(serial) && strpbrk(serial, "/ %\n") != NULL)
        abort();
    free(serial);
    if (descriptor_parse(bytes_of(data, size), &d, NULL) != 0)
        return 0;
    if (d.interfaces > DESCRIPTOR_INTERFACES)
        abort();
    for (size_t i = 0; usb_backends[i] != NULL; i++) {
        const struct usb_interface *f = usb_backends[i]->match(&d);

        if (f != NULL && (f->in < 0x81 || f->in > 0x8F || f->out < 0x01 || f->out > 0x0F ||
                          f->in_max == 0 || f->in_max > 1024 || f->out_max == 0))
            abort();
    }
    return 0;
}
