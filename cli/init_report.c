#include "cli/init_report.h"

#include "cli/out.h"
#include "cli/place.h"

#include <stdio.h>

static void explain_code(const struct token_report *r, bool saved)
{
    putchar('\n');
    if (saved) {
        out_words(stdout, 0,
                  "The TPM's lockout authorisation was empty. A random one is set now; it is in "
                  "the recovery file. Keep that file away from this machine.");
        return;
    }
    printf("Recovery code: %s\n", r->recovery_code);
    out_words(stdout, 0,
              "The TPM's lockout authorisation was empty; this random one is set now. It is "
              "shown once. Write it down and keep it away from this machine: it ends a TPM-wide "
              "lockout early, and whoever has it can try PINs without limit on a stolen TPM.");
}

static void explain_owner(const struct token_report *r, bool saved)
{
    putchar('\n');
    if (!saved)
        printf("Owner code: %s\n", r->owner_code);
    out_words(stdout, 0,
              saved ? "The TPM's owner authorisation was empty. A random one is set now; it is in "
                      "the recovery file, and the token's SO PIN opens it, too."
                    : "The TPM's owner authorisation was empty; this random one is set now. It is "
                      "shown once; the token's SO PIN opens it, too. Further tokens, and erasing "
                      "this one, want the one or the other.");
}

/* Who hears the PINs? */
static void explain_ek(const struct token_report *r)
{
    putchar('\n');
    if (r->ek_issuer) {
        out_words(stdout, 0,
                  "The storage key to which PINs are sent was proved to be in the TPM whose "
                  "endorsement certificate one of the given makers signed.");
    } else if (r->ek_proved) {
        out_words(stdout, 0,
                  "The storage key to which PINs are sent was proved to be in the TPM that has "
                  "the endorsement certificate (`fusetsu attest ek`). Who signed that was not "
                  "judged; --ek-pins does.");
    } else {
        out_words(stdout, 0,
                  "NOTE: the storage key to which PINs are sent could not be proved to be in a "
                  "TPM and is trusted as it was found now, on first use:");
        printf("  ");
        out_words_from(stdout, 2, 2, r->ek_missing);
    }
}

static void explain_pins(const struct store_token *t)
{
    if ((t->flags & STORE_TOKEN_DA_ONLY) != 0) {
        out_words(stdout, 0,
                  "Its keys will be made inside the TPM and cannot leave it. The user PIN and the "
                  "SO PIN are checked by the TPM itself.");
        out_words(stdout, 0,
                  "WARNING: this TPM has no PIN indices of its own. Wrong PINs count TPM-wide, and "
                  "lock every user of the TPM for a time.");
        return;
    }
    out_words(stdout, 0,
              "Its keys will be made inside the TPM and cannot leave it. The user PIN and the SO "
              "PIN are checked by the TPM itself, each with its own count of wrong tries:");
    printf("  user PIN: locks after %u wrong tries in a row; the SO can reset it\n"
           "  SO PIN:   locks after %u wrong tries in a row; nobody can reset it\n",
           t->user_limit, t->so_limit);
}

static void explain_weakness(const struct store_token *t, const struct token_report *r)
{
    if (r->lockout_policy)
        out_words(stdout, 0,
                  "WARNING: somebody has set a policy for the TPM's lockout: whoever fulfils it "
                  "can reset the TPM-wide count of failures. `fusetsu doctor` says how to take it "
                  "away.");
    else if ((t->flags & STORE_TOKEN_WEAK_LOCKOUT) != 0 && r->lockout_set)
        out_words(stdout, 0,
                  "WARNING: the TPM's lockout authorisation is set, but the TPM refused what comes "
                  "after it. `fusetsu doctor` says what is weak.");
    else if ((t->flags & STORE_TOKEN_WEAK_LOCKOUT) != 0 && !r->lockout_foreign)
        out_words(stdout, 0,
                  "WARNING: the TPM's lockout authorisation is empty and stays so, as asked for "
                  "with --weak-lockout. A thief of this machine can try PINs as fast as the TPM "
                  "answers.");
}

void init_report_say(const struct store_token *t, const struct token_report *r, bool saved)
{
    printf("Token \"");
    out_text(stdout, t->label);
    printf("\" is made. Serial: %s\n\n", t->serial);
    explain_pins(t);
    explain_ek(r);
    if (r->lockout_set)
        explain_code(r, saved);
    else if (r->lockout_foreign)
        out_words(stdout, 0,
                  "The TPM's lockout authorisation was set before by somebody else and was left "
                  "as it is: whoever knows it can reset the TPM-wide count of failures.");
    if (r->owner_set)
        explain_owner(r, saved);
    else if ((t->flags & STORE_TOKEN_OWNER) != 0)
        out_words(stdout, 0,
                  "The TPM's owner authorisation, which fusetsu set before, is kept by this token, "
                  "too.");
    explain_weakness(t, r);
    if ((t->flags & STORE_TOKEN_COUNTER) != 0)
        out_words(stdout, 0,
                  "The secret is guarded by the user PIN's own count alone, which holds as long as "
                  "nobody else learns the owner authorisation.");
}

static bool add(json_t *doc, const char *name, json_t *value)
{
    return json_object_set_new(doc, name, value) == 0;
}

int init_report_json(struct cli *c, const struct store_token *t, const struct token_report *r,
                     bool saved, struct err *e)
{
    json_t *doc = json_object();
    uint32_t f = t->flags;

    if (!add(doc, "label", out_json_text(t->label)) ||
        !add(doc, "serial", json_string(t->serial)) ||
        !add(doc, "user_tries", json_integer(t->user_limit)) ||
        !add(doc, "so_tries", json_integer(t->so_limit)) ||
        !add(doc, "lockout_set", json_boolean(r->lockout_set)) ||
        !add(doc, "lockout_foreign", json_boolean(r->lockout_foreign)) ||
        !add(doc, "lockout_policy", json_boolean(r->lockout_policy)) ||
        !add(doc, "weak_lockout", json_boolean((f & STORE_TOKEN_WEAK_LOCKOUT) != 0)) ||
        !add(doc, "da_only", json_boolean((f & STORE_TOKEN_DA_ONLY) != 0)) ||
        !add(doc, "pin_guard", json_string(place_guard(t))) ||
        !add(doc, "ek_proved", json_boolean(r->ek_proved)) ||
        !add(doc, "ek_issuer_checked", json_boolean(r->ek_issuer)) ||
        !add(doc, "owner_set", json_boolean(r->owner_set)) ||
        !add(doc, "owner_kept", json_boolean((f & STORE_TOKEN_OWNER) != 0)) ||
        (r->lockout_set && !saved && !add(doc, "recovery_code", json_string(r->recovery_code))) ||
        (r->owner_set && !saved && !add(doc, "owner_code", json_string(r->owner_code)))) {
        json_decref(doc);
        doc = NULL;
    }
    return cli_json(c, doc, e);
}
