#include "pkcs11/fail.h"

#include "core/log.h"

static struct err last;
static bool quiet;

CK_RV fail_rv(const struct err *e, enum ckr_during during)
{
    last = *e;
    if (!quiet) {
        /* What the application's user caused is hers to hear about from the
         * application; the rest is for whoever runs it. */
        if (e->code == E_PIN_WRONG || e->code == E_PIN_LENGTH || e->code == E_DATA)
            log_info("%s", e->msg);
        else
            log_warn("%s", e->msg);
    }
    return ckr_of(e, during);
}

struct err fail_last(void)
{
    return last;
}

void fail_clear(void)
{
    err_clear(&last);
}

void fail_quiet(void)
{
    quiet = true;
}
