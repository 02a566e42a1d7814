#ifndef USB_CLOCK_H
#define USB_CLOCK_H

#include "core/base.h"

/* Milliseconds of a clock that nobody sets. */
uint64_t clock_ms(void);

#endif
