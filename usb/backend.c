#include "usb/backend.h"

const struct usb_backend *const usb_backends[] = {
    &ltt2go_backend,
    &frame_backend,
    NULL,
};
