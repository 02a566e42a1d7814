/* mech_params_read: the parameters of mechanisms, built by a hostile caller. Structures and
 * what they point to have just the lengths that the caller tells, unless a length is told
 * that no memory has: then nothing may be read. */
#include "pkcs11/mech_params.h"
#include "tests/fuzz/mechs.h"

#include <string.h>

static bool same(const struct mech_params *a, const struct mech_params *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* What mech_params.h promises. */
static void judge(const struct mech *m, const struct mech_params *p, bool honest)
{
    const struct bytes *all[] = {&p->label, &p->nonce, &p->aad, &p->point, &p->wrap_iv, &p->salt};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        INPUT_HOLDS(all[i]->len <= MECH_PARAMS_MAX);
        INPUT_HOLDS(all[i]->p != NULL || all[i]->len == 0);
        if (honest)
            input_look(*all[i]);
    }
    INPUT_HOLDS(p->mac_len <= ALG_MAX_DIGEST && p->tag_len <= 16 && p->counter_bits <= 128);
    INPUT_HOLDS(m->family != MECH_GCM || (p->tag_len >= 4 && p->nonce.len != 0));
    INPUT_HOLDS(m->hash == 0 || (p->hash != NULL && p->hash->nid == m->hash));
    INPUT_HOLDS(m->family != MECH_HKDF || (p->hash != NULL && (p->extract || p->expand)));
    INPUT_HOLDS((m->family != MECH_PSS && m->family != MECH_OAEP) ||
                (p->hash != NULL && p->mgf != NULL && p->salt_len <= 512));
    INPUT_HOLDS(m->family != MECH_ENCRYPT_DATA || (p->label.len != 0 && p->label.len % 16 == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = input_of(data, size);
    size_t n;
    const struct mech *all = mech_table_all(&n), *m = &all[input_below(&in, n)];
    struct mech_params p, before;
    bool honest;
    CK_MECHANISM given = mechs_given(&in, m, &honest);
    CK_RV rv;

    memset(&p, 0xa5, sizeof(p));
    before = p;
    rv = mech_params_read(m, &given, &p);
    INPUT_HOLDS(rv == CKR_OK || rv == CKR_MECHANISM_PARAM_INVALID);
    if (rv == CKR_OK)
        judge(m, &p, honest);
    else
        INPUT_HOLDS(same(&p, &before));
    input_end(&in);
    return 0;
}
