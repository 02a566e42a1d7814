#ifndef CLI_DEVICE_STATE_H
#define CLI_DEVICE_STATE_H

#include "ca/registry_device.h"
#include "cli/cli.h"

/* What `device approve` and `device quarantine` have in common: the device of the first argument
 * gets the state, and what --officer, --operator and --note say. */
int device_state_change(struct cli *c, enum registry_device_state to, struct err *e) MUST_USE;

#endif
