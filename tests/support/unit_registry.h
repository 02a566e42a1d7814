#ifndef TESTS_SUPPORT_UNIT_REGISTRY_H
#define TESTS_SUPPORT_UNIT_REGISTRY_H

#include "ca/registry.h"
#include "tests/support/unit_ca.h"

/* An empty registry in a directory of its own, and rows for it. */
#define UNIT_REGISTRY_NOW 1800000000

struct unit_registry {
    char *dir;
    char path[200];
    struct registry *r;
};

/* Set-up and tear-down of a test. */
int unit_registry_up(void **state);
int unit_registry_down(void **state);
void unit_registry_reopen(struct unit_registry *p, enum registry_mode mode);

/* What opening a file comes to. */
enum err_code unit_registry_open_code(const char *path, enum registry_mode mode);

/* For gw.us.example, level 3, for 100 s; of the nonce, the first byte is given. */
struct registry_invitation unit_registry_invitation(uint8_t first);
struct bytes unit_registry_nonce(const struct registry_invitation *i);
/* To gw.us.example, by an issuing CA. */
struct registry_issued unit_registry_issued(const char *serial);

#endif
