#include "cli/commands.h"
#include "cli/inside.h"
#include "cli/out.h"
#include "cli/place.h"
#include "cli/sticks.h"
#include "core/file.h"
#include "tpm/primary_prove.h"

#include <stdio.h>

static const struct cli_option options[] = {
    STICKS_SERIAL,
    {"ek-pins", "FILE",
     "PEM certificates of TPM makers: one of them must have signed the endorsement certificate",
     false},
    {0},
};

#define PINS_MAX ((size_t)1 << 20)

/* Is the TPM the one for which the token was made, and a maker's? */
static int check_ek(struct place *at, const struct store_tpm *hw, struct bytes issuers,
                    bool *proved, struct err *e)
{
    struct primary_proof proof;

    if (primary_prove(at->tpm, hw->primary, bytes_of(hw->primary_public, hw->primary_public_len),
                      issuers, &proof, e) != 0)
        return -1;
    *proved = proof.ek.size != 0;
    if (hw->ek_name.len != 0 && !bytes_equal(bytes_of(proof.ek.name, proof.ek.size),
                                             bytes_of(hw->ek_name.name, hw->ek_name.len)))
        return err_set(e, E_TAMPERED,
                       "what this USB token carries was made for a TPM with another endorsement "
                       "key: do not type a PIN");
    return 0;
}

static int check_inside(struct place *at, const struct store_tpm *hw, struct err *e)
{
    struct inside in;

    if (inside_look(at->tpm, hw, token_row(at->token), &in, e) != 0)
        return -1;
    if (!inside_whole(&in))
        return err_set(e, E_TAMPERED,
                       "the TPM lacks indices or the storage primary of the token it carries, or "
                       "has others in their place: do not type a PIN; have it made anew");
    return 0;
}

static int say(struct cli *c, const struct place *at, bool proved, bool issuer, struct err *e)
{
    const struct store_token *t = token_row(at->token);
    struct stick_room room = stick_room(at->stick);

    if (cli_flag(c, "json"))
        return cli_json(c,
                        json_pack("{s:o,s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:b,s:b}", "label",
                                  out_json_text(t->label), "serial", t->serial, "user_fails",
                                  (int)t->user_fails, "user_limit", (int)t->user_limit, "so_fails",
                                  (int)t->so_fails, "so_limit", (int)t->so_limit, "used",
                                  (int)room.used, "total", (int)room.total, "ek_proved",
                                  proved ? 1 : 0, "ek_issuer", issuer ? 1 : 0),
                        e);
    printf("Token \"");
    out_text(stdout, t->label);
    printf("\", serial %s: whole, %zu of %zu bytes used.\n", t->serial, room.used, room.total);
    printf("Its storage primary and PIN indices are those that it was made with.\n");
    printf("Wrong PINs: user %u of %u, SO %u of %u.\n", t->user_fails, t->user_limit, t->so_fails,
           t->so_limit);
    out_words(stdout, 0,
              !proved ? "NOTE: the TPM has no endorsement certificate: what it is cannot be proved."
              : issuer ? "The TPM is one whose endorsement certificate one of the given makers "
                         "signed."
                       : "The TPM is the one of its endorsement certificate; who signed that was "
                         "not judged: --ek-pins does.");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    const char *pins = cli_option(c, "ek-pins");
    struct buf issuers = {0};
    struct store_token row;
    struct store_tpm hw;
    struct place at = {0};
    bool proved = false;
    int rc = -1;

    if (pins != NULL && file_read(pins, PINS_MAX, &issuers, e) != 0)
        return -1;
    if (place_stick(c, &at, e) != 0)
        goto out;
    row = *token_row(at.token);
    if (store_tpm_get(at.store, row.tpm, &hw, e) == 0 && check_inside(&at, &hw, e) == 0 &&
        check_ek(&at, &hw, buf_bytes(&issuers), &proved, e) == 0)
        rc = say(c, &at, proved, pins != NULL && proved, e);
out:
    place_close(&at);
    buf_free(&issuers);
    return rc;
}

const struct cli_command cmd_usb_check = {
    .group = "usb",
    .name = "check",
    .shared = CLI_JSON,
    .options = options,
    .summary = "judge a USB token without its PIN",
    .about = "Reads what it carries, whose checksums must fit, compares that with what is in its "
             "TPM, reads the counts of wrong PINs, and proves that its storage key is in the TPM "
             "of the endorsement certificate. Whether the rows are as they were written only the "
             "login tells.",
    .examples = "fusetsu usb check\nfusetsu usb check --serial A-1 --ek-pins makers.pem",
    .run = run,
};
