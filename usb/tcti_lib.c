/* What tctildr looks for in libtss2-tcti-fusetsu.so.0: USB tokens for any program on tpm2-tss,
 * `tpm2_getrandom -T fusetsu:serial=SERIAL 8` for one. */
#include "usb/tcti.h"

static TSS2_RC lib_init(TSS2_TCTI_CONTEXT *context, size_t *size, const char *conf)
{
    tcti_usb_loud(true);
    return tcti_usb_init(context, size, conf);
}

static const TSS2_TCTI_INFO info = {
    .version = 2,
    .name = "fusetsu",
    .description = "USB tokens that hold a TPM",
    .config_help = "[KIND:][serial=SERIAL], empty for the only one there is",
    .init = lib_init,
};

/* The one name that is exported. */
const TSS2_TCTI_INFO *Tss2_Tcti_Info(void);

__attribute__((visibility("default"))) const TSS2_TCTI_INFO *Tss2_Tcti_Info(void)
{
    return &info;
}
