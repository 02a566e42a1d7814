#include "tests/support/unit_registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

int unit_registry_up(void **state)
{
    struct unit_registry *p = test_calloc(1, sizeof(*p));
    struct err e = {0};

    p->dir = unit_ca_dir();
    snprintf(p->path, sizeof(p->path), "%s/registry.db", p->dir);
    if (registry_open(&p->r, p->path, REGISTRY_CREATE, &e) != 0)
        fail_msg("%s", e.msg);
    *state = p;
    return 0;
}

int unit_registry_down(void **state)
{
    struct unit_registry *p = *state;

    registry_close(p->r);
    unit_ca_dir_remove(p->dir);
    test_free(p);
    return 0;
}

void unit_registry_reopen(struct unit_registry *p, enum registry_mode mode)
{
    struct err e = {0};

    registry_close(p->r);
    p->r = NULL;
    assert_int_equal(registry_open(&p->r, p->path, mode, &e), 0);
}

enum err_code unit_registry_open_code(const char *path, enum registry_mode mode)
{
    struct registry *r = NULL;
    struct err e = {0};
    int rc = registry_open(&r, path, mode, &e);

    assert_int_equal(rc == 0, r != NULL);
    registry_close(r);
    return e.code;
}

struct registry_invitation unit_registry_invitation(uint8_t first)
{
    return (struct registry_invitation){.nonce = {first, 2, 3},
                                        .nonce_len = 32,
                                        .subject = "gw.us.example",
                                        .community = 1,
                                        .level = 3,
                                        .created_at = UNIT_REGISTRY_NOW,
                                        .expires_at = UNIT_REGISTRY_NOW + 100};
}

struct bytes unit_registry_nonce(const struct registry_invitation *i)
{
    return bytes_of(i->nonce, i->nonce_len);
}

struct registry_issued unit_registry_issued(const char *serial)
{
    struct registry_issued i = {.issuer = REGISTRY_ISSUING,
                                .community = 1,
                                .subject = "gw.us.example",
                                .spki_hash = {5},
                                .has_ek = true,
                                .ek_hash = {6},
                                .der = bytes_of("cert", 4),
                                .issued_at = UNIT_REGISTRY_NOW,
                                .expires_at = UNIT_REGISTRY_NOW + 100};

    snprintf(i.serial, sizeof(i.serial), "%s", serial);
    return i;
}
