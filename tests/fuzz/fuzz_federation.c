/* A federation from an ally, signed or not: what is read is written the same and holds together or is
 * refused with a reason. */
#include "core/federation_cms.h"
#include "core/federation_trust.h"
#include "tests/fuzz/input.h"

#define NOW 1800000001

static void try_text(struct bytes in)
{
    struct federation f = {.n_side = 0}, g = {.n_side = 0};
    struct buf once = {0}, twice = {0};
    struct federation_trust t;
    struct err e = {0};

    if (federation_parse(in, &f, &e) != 0) {
        INPUT_HOLDS(e.code == E_FORMAT || e.code == E_FULL);
        INPUT_HOLDS(f.n_side == 0);
        return;
    }
    INPUT_HOLDS(f.n_side == (f.whole ? 2 : 1));
    INPUT_HOLDS(federation_write(&f, &once, NULL) == 0);
    INPUT_HOLDS(federation_parse(buf_bytes(&once), &g, NULL) == 0);
    INPUT_HOLDS(federation_write(&g, &twice, NULL) == 0);
    INPUT_HOLDS(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
    if (federation_check(&f, NOW, &e) != 0)
        INPUT_HOLDS(e.code == E_REJECTED);
    else
        INPUT_HOLDS(!f.whole || federation_trust(&f, 0, OID_DEFENSE, false, &t, NULL) == 0 ||
                    !f.side[0].community[OID_DEFENSE].open);
    INPUT_HOLDS(federation_follows(in, in, NULL) == 0);
    federation_free(&f);
    federation_free(&g);
    buf_free(&once);
    buf_free(&twice);
}

/* What is inside, whoever signed it. */
static void try_signed(struct bytes in)
{
    struct buf text = {0};
    int signers;

    if (federation_text(in, &text, &signers, NULL) == 0) {
        INPUT_HOLDS(signers <= 2);
        try_text(buf_bytes(&text));
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);

    if (federation_is_signed(in))
        try_signed(in);
    else
        try_text(in);
    return 0;
}
