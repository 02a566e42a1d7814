#include "cli/sticks.h"

#include "tpm/link.h"
#include "usb/tcti.h"

#include <stdio.h>

int sticks_find(struct cli *c, const char *serial, struct hotplug_token *out, struct err *e)
{
    const struct conf *conf = cli_conf(c, e);
    struct err why = {0};

    if (conf == NULL)
        return -1;
    if (!conf_usb(conf))
        return err_set(e, E_NO_DEVICE, "the setting usb is no: USB tokens are not looked for");
    if (hotplug_find(NULL, serial, out, &why) != 0)
        return why.code == E_ARG ? cli_misuse(e, "%s", why.msg) : err_take(e, &why);
    if (out->serial[0] == 0)
        return err_set(e, E_UNSUPPORTED, "the USB token at %s has no serial that can name it",
                       out->port);
    return 0;
}

int sticks_tpm(struct cli *c, const struct hotplug_token *t, struct tpm **out, struct err *e)
{
    const struct conf *conf = cli_conf(c, e);
    char tcti[DESCRIPTOR_SERIAL + 48];

    if (conf == NULL)
        return -1;
    link_register("fusetsu", tcti_usb_init, tcti_usb_why);
    snprintf(tcti, sizeof(tcti), "fusetsu:%.15s:serial=%s", t->kind, t->serial);
    if (tpm_new(out, tcti, e) != 0)
        return -1;
    tpm_share(*out, conf_run(conf));
    return 0;
}

void sticks_name(const struct hotplug_token *t, char out[STICKS_NAME])
{
    snprintf(out, STICKS_NAME, "USB token %s", t->serial);
}
