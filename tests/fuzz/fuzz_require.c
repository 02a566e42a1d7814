/* The text files of an authority: pinned issuers, advisories, platforms, and PCR values as tpm2_pcrread prints
 * them. What is refused names a line or says why; what is accepted is within its bounds. */
#include "ca/require.h"
#include "tests/fuzz/input.h"

#include <string.h>

static void try_advisories(struct bytes text)
{
    struct require r = {.n_pcrs = 0};
    struct err e = {0};

    if (require_advisories(text, &r, &e) != 0)
        INPUT_HOLDS(e.code == E_FORMAT || e.code == E_FULL);
    for (size_t i = 0; i < r.n_advisory; i++) {
        const struct evidence_advisory *a = &r.advisory[i];

        INPUT_HOLDS(memchr(a->manufacturer, 0, sizeof(a->manufacturer)) != NULL);
        INPUT_HOLDS(memchr(a->model, 0, sizeof(a->model)) != NULL);
        INPUT_HOLDS(memchr(a->why, 0, sizeof(a->why)) != NULL && a->why[0] != 0);
        INPUT_HOLDS(strncmp(a->manufacturer, "id:", 3) == 0 && a->first <= a->last);
    }
    INPUT_HOLDS(r.n_pcrs == 0);
    require_free(&r);
}

static bool values_hold(const struct pcrvalues *v)
{
    const struct alg_hash *h = alg_hash_of(v->hash);

    return h != NULL && h->size <= sizeof(v->value[0]) && v->there >> PCRVALUES == 0;
}

static void try_platforms(struct bytes text)
{
    struct require r = {.n_pcrs = 0};
    struct err e = {0};

    if (require_platforms(text, &r, &e) != 0)
        INPUT_HOLDS(e.code == E_FORMAT || e.code == E_FULL);
    for (size_t i = 0; i < r.n_pcrs; i++)
        INPUT_HOLDS(values_hold(&r.pcrs[i]) && r.pcrs[i].there != 0);
    INPUT_HOLDS(r.n_advisory == 0);
    require_free(&r);
}

static void try_values(struct bytes text, uint16_t hash)
{
    struct pcrvalues v;
    struct err e = {0};

    memset(&v, 0, sizeof(v));
    if (pcrvalues_read(text, hash, &v, &e) == 0)
        INPUT_HOLDS(v.there == 0 || (values_hold(&v) && v.hash == hash));
    else
        INPUT_HOLDS(e.code != E_OK);
}

static void try_pins(struct bytes text)
{
    struct require r = {.n_pcrs = 0};
    struct err e = {0};

    if (require_pins(text, &r, &e) != 0)
        INPUT_HOLDS(e.code == E_FORMAT || e.code == E_FULL);
    else
        INPUT_HOLDS(r.n_pin > 0);
    for (size_t i = 0; i < r.n_pin; i++)
        INPUT_HOLDS(r.pin[i].issuer != NULL && !r.pin[i].eku_optional);
    require_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t hashes[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384, TPM2_ALG_SHA512,
                                      TPM2_ALG_SHA1};
    struct input in = input_of(data, size);
    size_t which = input_below(&in, 6);
    struct bytes rest = input_rest(&in);

    switch (which) {
    case 0:
        try_advisories(rest);
        try_pins(rest);
        break;
    case 1: try_platforms(rest); break;
    default: try_values(rest, hashes[which - 2]); break;
    }
    input_end(&in);
    return 0;
}
