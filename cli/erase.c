#include "cli/erase.h"

#include "cli/out.h"
#include "cli/pin.h"
#include "tpm/lockout.h"
#include "tpm/owner.h"

#include <stdio.h>

/* Public objects only: nobody is logged in, so the number of others is not known. */
int erase_say_what(struct store *s, const struct store_token *t, struct err *e)
{
    struct store_object *o = NULL;
    size_t n = 0;

    if (store_object_list(s, t->id, NULL, &o, &n, e) != 0)
        return -1;
    printf("This would destroy token \"");
    out_text(stdout, t->label);
    printf("\" (serial %s):\n", t->serial);
    printf("  %zu public objects (certificates, public keys) and all private keys beside them\n",
           n);
    printf("  its PIN indices in the TPM:");
    for (size_t i = 0; i < STORE_NV_COUNT; i++) {
        if (t->nv[i].handle != 0)
            printf(" 0x%08X", t->nv[i].handle);
    }
    printf("\nThe keys are then gone for good: no backup of the store brings them back.\n");
    if ((t->flags & (STORE_TOKEN_WEAK_LOCKOUT | STORE_TOKEN_FOREIGN_LOCKOUT)) == 0)
        out_para(stdout,
                 "So is the TPM's recovery code, if the token keeps it and nobody else does: "
                 "`fusetsu token recovery-code` shows it with the SO PIN.");
    printf("Nothing was done. Add --yes to do it.\n");
    store_objects_free(o, n);
    return 0;
}

void erase_say_done(const struct store_token *row, const char *what)
{
    printf("Token \"");
    out_text(stdout, row->label);
    printf("\" (serial %s) is %s.\n", row->serial, what);
}

/* Where the owner authorisation is set it comes from the options, or from the token itself,
 * whose SO is asked for the PIN then. */
int erase_authorise(struct cli *c, struct place *at, struct err *e)
{
    const struct store_token *row = token_row(at->token);
    struct lockout_state s;
    struct secret *pin = NULL;
    int rc = -1;

    if (owner_obtain(c, at->tpm, at->store, e) != 0 || lockout_read(at->tpm, &s, e) != 0)
        return -1;
    if (!s.owner_set || owner_auth(at->tpm).len != 0 || (row->flags & STORE_TOKEN_OWNER) == 0)
        return 0;
    if (pin_obtain(c, PIN_SO, "SO PIN", false, &pin, e) == 0)
        rc = token_owner(at->token, secret_bytes(pin), e);
    if (rc != 0)
        pin_tries_left(e, "SO PIN", row->so_fails, row->so_limit);
    secret_free(pin);
    return rc;
}

int erase_token(struct place *at, struct err *e)
{
    struct store_token row = *token_row(at->token);
    bool given_back = owner_is_ours(at->tpm);

    /* A USB token's rows go last: who is stopped in between finds them, and does it again. */
    if (token_erase(at->token, e) != 0 ||
        (at->stick != NULL && stick_erase(at->tpm, at->token, e) != 0))
        return -1;
    erase_say_done(&row, "erased; its keys are gone");
    if (given_back && !owner_is_ours(at->tpm))
        out_words(stdout, 0,
                  "It was the last that kept the TPM's owner authorisation, which is empty again.");
    return 0;
}
