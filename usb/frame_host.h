#ifndef USB_FRAME_HOST_H
#define USB_FRAME_HOST_H

#include "usb/backend.h"

/*
 * The host's side of the frames (usb/frame.h): the back-end `frame_backend` of usb/backend.h.
 * Three transfers for each command, two where the response has but one packet, one more where
 * somebody has to confirm it at the token.
 */

#endif
