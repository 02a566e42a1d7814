#include "tpm/share_tpm.h"

#include "core/buf.h"

#include <tss2/tss2_tpm2_types.h>

/* Part 1, 18: tag, size, code. */
#define HEADER 10

/* A command without sessions, whose handles and parameters are numbers. */
static bool talk(struct link *l, uint32_t code, const uint32_t *arg, size_t n, uint8_t *answer,
                 size_t *len)
{
    struct buf c = {0};
    bool told;

    buf_u16(&c, TPM2_ST_NO_SESSIONS);
    buf_u32(&c, (uint32_t)(HEADER + 4 * n));
    buf_u32(&c, code);
    for (size_t i = 0; i < n; i++)
        buf_u32(&c, arg[i]);
    told = buf_ok(&c, NULL) == 0 && link_talk(l, buf_bytes(&c), answer, len) == 0;
    buf_free(&c);
    return told;
}

bool share_tpm_flush(struct link *l, uint32_t handle)
{
    uint8_t answer[64];
    size_t len = sizeof(answer);

    return talk(l, TPM2_CC_FlushContext, &handle, 1, answer, &len);
}

size_t share_tpm_list(struct link *l, uint32_t first, uint32_t *out, size_t max)
{
    const uint32_t arg[] = {TPM2_CAP_HANDLES, first, (uint32_t)max};
    uint8_t answer[4096];
    size_t len = sizeof(answer), n = 0;
    struct reader r;
    uint32_t count;

    if (!talk(l, TPM2_CC_GetCapability, arg, ARRAY_LEN(arg), answer, &len))
        return 0;
    r = reader_of(answer, len);
    /* moreData and capability, then TPML_HANDLE (Part 2, 10.9.2); a failure ends before. */
    (void)reader_take(&r, HEADER + 1 + 4);
    count = reader_u32(&r);
    while (n < max && n < count) {
        uint32_t h = reader_u32(&r);

        if (r.bad)
            return 0;
        out[n++] = h;
    }
    return n;
}
