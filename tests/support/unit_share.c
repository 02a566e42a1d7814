#include "tests/support/unit_share.h"

#include "core/hash.h"
#include "tpm/share.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

int unit_share_setup(void **state)
{
    (void)unit_tpm_with_token(state);
    unit_tpm_close(*state);
    return 0;
}

const char *unit_share_path(const struct unit_tpm *w)
{
    static char path[80];
    const char *bare = share_bare(w->tcti);
    uint8_t digest[32];
    char name[17];

    assert_int_equal(hash_sha256(bytes_of(bare, strlen(bare)), digest, NULL), 0);
    hex_encode(name, digest, 8);
    snprintf(path, sizeof(path), "%s/fusetsu-tpm-%s", w->dir, name);
    return path;
}

void unit_share_join(struct unit_tpm *w, struct unit_tpm *other, const char *tcti)
{
    *other = *w;
    unit_tpm_open(other, tcti);
    tpm_share(other->tpm, other->dir);
    unit_tpm_login(other, TOKEN_USER, UNIT_USER);
    tpm_release(other->tpm);
}

int unit_share_sign(struct unit_tpm *w, const struct store_key *key)
{
    struct err e = {0};
    int rc = unit_tpm_sign(w->token, key, &e);

    tpm_release(w->tpm);
    if (rc != 0)
        print_message("signing: %s\n", e.msg);
    return rc;
}

size_t unit_share_sessions(void)
{
    uint32_t h[16];

    return unit_tpm_handles(0x02000000, 0x03FFFFFF, h, ARRAY_LEN(h));
}

size_t unit_share_objects(void)
{
    uint32_t h[16];

    return unit_tpm_handles(0x80000000, 0x80FFFFFF, h, ARRAY_LEN(h));
}

void unit_share_nothing_left(void)
{
    assert_int_equal(unit_share_objects(), 0);
    assert_int_equal(unit_share_sessions(), 0);
    assert_int_equal(unit_tpm_failures(), 0);
}

void unit_share_begin(struct unit_share_three *t, struct unit_tpm *w, const char *tcti_of_first)
{
    *t = (struct unit_share_three){.w = w};
    for (size_t i = 0; i < ARRAY_LEN(t->p); i++) {
        unit_share_join(w, &t->p[i], i == 0 && tcti_of_first != NULL ? tcti_of_first : w->tcti);
        unit_tpm_ecc(&t->p[i], "P-256", &t->key[i]);
        assert_int_equal(unit_share_sign(&t->p[i], &t->key[i]), 0);
    }
}

void unit_share_end(struct unit_share_three *t)
{
    for (size_t i = 0; i < ARRAY_LEN(t->p); i++) {
        store_key_free(&t->key[i]);
        unit_tpm_close(&t->p[i]);
    }
    unit_share_nothing_left();
}
