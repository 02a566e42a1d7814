#include "cli/unblock.h"

#include "cli/pin.h"

#include <stdio.h>

int unblock(struct cli *c, struct place *at, struct err *e)
{
    struct secret *so = NULL, *pin = NULL;
    int rc = -1;

    if (pin_obtain(c, PIN_SO, "SO PIN", false, &so, e) != 0 ||
        pin_obtain(c, PIN_NEW, "new user PIN", true, &pin, e) != 0)
        goto out;
    if (token_login(at->token, TOKEN_SO, secret_bytes(so), e) != 0) {
        pin_tries_left(e, "SO PIN", token_row(at->token)->so_fails, token_row(at->token)->so_limit);
        goto out;
    }
    if (token_init_pin(at->token, secret_bytes(pin), e) != 0)
        goto out;
    printf("The user PIN is set anew and its count of wrong tries is cleared.\n");
    rc = 0;
out:
    secret_free(so);
    secret_free(pin);
    return rc;
}
