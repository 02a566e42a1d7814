#include "cli/commands.h"
#include "cli/out.h"
#include "cli/place.h"
#include "tpm/hierarchy.h"
#include "tpm/lockout.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"offline", NULL, "do not ask the TPM; say what the store knows", false},
    {0},
};

/* What the TPM itself says; `asked` false: it was not asked or did not answer. And what the
 * store knows of that TPM. */
struct live {
    bool asked;
    bool pinned;  /* by the EK */
    bool carried; /* its rows lie in its TPM, with so much room */
    struct stick_room room;
    struct tpm_caps caps;
    struct lockout_state lockout;
    struct hierarchy_policies policy;
    struct err why;
};

static void ask_tpm(struct cli *c, struct tpm *known, struct live *l)
{
    struct tpm *t = known;

    l->asked = (t != NULL || place_tpm(c, &t, &l->why) == 0) &&
               tpm_caps(t, &l->caps, &l->why) == 0 && lockout_read(t, &l->lockout, &l->why) == 0 &&
               hierarchy_policies(t, NULL, &l->policy, &l->why) == 0;
    if (t != known)
        tpm_free(t);
}

/* --- words --------------------------------------------------------------- */

static void pin_line(const char *who, uint32_t fails, uint32_t limit)
{
    if (limit == 0)
        printf("  %-9s no limit of its own\n", who);
    else if (fails >= limit)
        printf("  %-9s LOCKED: %u of %u wrong tries\n", who, fails, limit);
    else
        printf("  %-9s %u of %u wrong tries, %u left\n", who, fails, limit, limit - fails);
}

static void say_pins(const struct store_token *t)
{
    bool shared = (t->flags & STORE_TOKEN_DA_ONLY) != 0;

    printf("PINs, as last seen by this store:\n");
    if ((t->flags & STORE_TOKEN_PIN_SET) == 0)
        printf("  user PIN  not set yet: `fusetsu token unblock` sets it with the SO PIN\n");
    else if (!shared)
        pin_line("user PIN", t->user_fails, t->user_limit);
    if (shared)
        printf("  counted TPM-wide, together with all other failures: see below\n");
    else
        pin_line("SO PIN", t->so_fails, t->so_limit);
    if ((t->flags & STORE_TOKEN_CHANGE_USER) != 0)
        out_words(stdout, 2,
                  "A change of the user PIN was interrupted: complete it with `fusetsu token "
                  "set-pin` and the same two PINs, or with `fusetsu token unblock`.");
    if ((t->flags & STORE_TOKEN_CHANGE_SO) != 0)
        out_words(stdout, 2,
                  "A change of the SO PIN was interrupted: complete it with `fusetsu token "
                  "set-pin --so` and the same two PINs.");
    if ((t->flags & STORE_TOKEN_INCOMPLETE) != 0)
        out_words(stdout, 2,
                  "The token was never completed, or its erasure was interrupted: `fusetsu token "
                  "erase --yes` removes the rest.");
}

/* Vendors pad the four words of their name with blanks; one is enough. */
static void say_vendor(const char *vendor)
{
    char text[sizeof(((struct live *)0)->caps.vendor)];
    size_t n = 0;

    for (const char *s = vendor; *s != 0 && n + 1 < sizeof(text); s++) {
        if (*s != ' ' || (n > 0 && text[n - 1] != ' '))
            text[n++] = *s;
    }
    text[n] = 0;
    out_text(stdout, text);
}

static void item(const char *text)
{
    printf("  - ");
    out_words_from(stdout, 4, 4, text);
}

/* "3 h 20 min" */
static void say_time(uint64_t seconds)
{
    uint64_t m = (seconds + 59) / 60;

    if (seconds < 60)
        printf("%u s", (unsigned)seconds);
    else if (m < 60)
        printf("%u min", (unsigned)m);
    else if (m < (uint64_t)48 * 60)
        printf("%u h %u min", (unsigned)(m / 60), (unsigned)(m % 60));
    else
        printf("%u days", (unsigned)((m + 24 * 60 - 1) / (24 * 60)));
}

/* One failure is forgiven each interval: below the limit it is over. */
static void say_lockout(const struct store_token *t, const struct lockout_state *s)
{
    printf("  lockout  %s: %u of %u failed tries TPM-wide, ",
           s->in_lockout ? "IN FORCE" : "not in force", s->count, s->max_tries);
    if (s->interval == 0)
        printf("none is ever forgiven\n");
    else
        printf("one is forgiven every %u s\n", s->interval);
    if (s->in_lockout && s->interval != 0) {
        uint32_t over = s->count >= s->max_tries ? s->count - s->max_tries + 1 : 1;

        printf("           it ends by itself in at most ");
        say_time((uint64_t)over * s->interval);
        printf(" of uninterrupted power, or with the recovery code;\n"
               "           until then no %s is taken, not even the right one\n",
               (t->flags & STORE_TOKEN_COUNTER) != 0 ? "SO PIN" : "PIN");
    } else if (!s->in_lockout && s->count > 0 && s->interval != 0) {
        printf("           all are forgiven in at most ");
        say_time((uint64_t)s->count * s->interval);
        printf("\n");
    }
    if (!s->in_lockout &&
        (t->flags & (STORE_TOKEN_WEAK_LOCKOUT | STORE_TOKEN_FOREIGN_LOCKOUT)) == 0)
        out_words(stdout, 11,
                  "The recovery code ends one early: `fusetsu token recovery-code` shows it with "
                  "the SO PIN, as long as there is none.");
}

/* Whose is the owner authorisation? */
static const char *owner_kind(const struct store_token *t, const struct live *l)
{
    if (!l->lockout.owner_set)
        return "empty";
    return (t->flags & STORE_TOKEN_OWNER) != 0 ? "ours" : "foreign";
}

static const char *owner_words(const struct store_token *t, const struct live *l)
{
    if (!l->lockout.owner_set)
        return "empty";
    return (t->flags & STORE_TOKEN_OWNER) != 0 ? "set, and kept by this token under its SO PIN"
                                               : "set, and not kept by this token";
}

/* lockoutAuth, where it is set. */
#define NOT_OURS (STORE_TOKEN_WEAK_LOCKOUT | STORE_TOKEN_FOREIGN_LOCKOUT)

static void say_live(const struct store_token *t, const struct live *l, bool offline)
{
    if (!l->asked) {
        printf("\nTPM: ");
        out_words_from(stdout, 5, 5, offline ? "not asked" : l->why.msg);
        return;
    }
    printf("\nTPM: ");
    out_text(stdout, l->caps.manufacturer);
    printf(", ");
    say_vendor(l->caps.vendor);
    printf(", firmware %u.%u.%u.%u\n", l->caps.firmware[0] >> 16, l->caps.firmware[0] & 0xFFFF,
           l->caps.firmware[1] >> 16, l->caps.firmware[1] & 0xFFFF);
    say_lockout(t, &l->lockout);
    printf("  lockout authorisation %s%s\n", l->lockout.auth_set ? "set" : "EMPTY",
           l->lockout.auth_set && (t->flags & NOT_OURS) != 0 ? ", by somebody else" : "");
    printf("  owner authorisation %s\n", owner_words(t, l));
    if (l->policy.lockout)
        printf("  lockout policy SET: whoever fulfils it ends the lockout\n");
    if (l->policy.owner)
        printf("  owner policy SET: whoever fulfils it has the owner's rights\n");
}

/* What stands between a guess and the secret. */
static void say_guard(const struct store_token *t, const struct live *l)
{
    printf("\nHow it is guarded:\n");
    if ((t->flags & STORE_TOKEN_DA_ONLY) != 0)
        item("ONE LOCK ONLY: this TPM has no PIN indices, so wrong PINs count TPM-wide. They lock "
             "every user of the TPM, and every user's failures lock this token");
    else if ((t->flags & STORE_TOKEN_COUNTER) != 0)
        item("by the count of wrong PINs of this token, and nothing else: whoever knows the TPM's "
             "owner authorisation can set up that count anew and read the secret without the PIN");
    else
        item("by two locks: the count of wrong PINs of this token, and behind it the TPM-wide "
             "count of failures, which no owner right goes round");
    if ((t->flags & STORE_TOKEN_COUNTER) != 0 && l->asked && !l->lockout.owner_set)
        item("WARNING: the owner authorisation is EMPTY although that guard rests on it. Erase the "
             "token and make it anew, now");
    if ((t->flags & STORE_TOKEN_COUNTER) != 0 && l->asked && l->policy.owner)
        item("WARNING: somebody has set a POLICY for the owner hierarchy, by which he goes round "
             "that guard. Erase the token and make it anew, now");
    if (l->pinned)
        item("the storage key to which PINs are sent was proved to be in the TPM that holds the "
             "certified endorsement key");
    else
        item("the storage key to which PINs are sent was trusted on first use: no endorsement key "
             "vouched for it");
}

static void say_thief(const struct store_token *t, const struct live *l)
{
    bool weak = (t->flags & NOT_OURS) != 0 ||
                (l->asked && (!l->lockout.auth_set || l->policy.lockout));

    printf("\nWhat a thief of this machine could do:\n");
    item("not copy the private keys: they exist only inside this TPM, and the store holds "
         "them wrapped for it");
    if ((t->flags & STORE_TOKEN_DA_ONLY) != 0)
        item("try PINs until the TPM-wide lockout: this TPM has no PIN indices, so one "
             "lock guards the PIN, not two");
    else
        item("try PINs up to the limits above; past them even the right PIN is refused");
    if ((t->flags & STORE_TOKEN_COUNTER) != 0)
        item("not go round that limit, unless he has the owner authorisation: it is 32 random "
             "bytes that the TPM keeps under the SO PIN, and the recovery file, if there is one");
    else if (weak && (t->flags & STORE_TOKEN_DA_ONLY) != 0)
        item("end that lockout at will, since the TPM's lockout authorisation is empty or known "
             "to others: a short PIN will be found");
    else if (weak)
        item("with TPM owner rights, go round the first lock; and since the TPM's lockout "
             "authorisation is empty or known to others, the second lock may not stop him: "
             "a short PIN will be found");
    else if ((t->flags & STORE_TOKEN_DA_ONLY) == 0)
        item("with TPM owner rights, go round the first lock and meet the second: the "
             "TPM-wide lockout, which slows him to its own pace whatever he does");
    item("clear the TPM or erase the token: that destroys the keys and opens nothing");
    item("with an old copy of the store and the present PIN, use keys that were deleted "
         "since; an old PIN does not come back");
}

static void say(const struct store_token *t, const struct live *l, bool offline)
{
    printf("Token \"");
    out_text(stdout, t->label);
    printf("\", serial %s\n\n", t->serial);
    if (l->carried)
        printf("It is carried by its TPM, where %zu of %zu bytes are used.\n\n", l->room.used,
               l->room.total);
    say_pins(t);
    say_live(t, l, offline);
    say_guard(t, l);
    say_thief(t, l);
}

/* --- JSON ---------------------------------------------------------------- */

static json_t *live_json(const struct store_token *t, const struct live *l)
{
    if (!l->asked)
        return json_null();
    return json_pack("{s:o,s:o,s:b,s:i,s:i,s:i,s:b,s:b,s:s,s:b,s:b}", "manufacturer",
                     out_json_text(l->caps.manufacturer), "vendor", out_json_text(l->caps.vendor),
                     "in_lockout", l->lockout.in_lockout ? 1 : 0, "lockout_count",
                     (int)l->lockout.count, "lockout_max_tries", (int)l->lockout.max_tries,
                     "lockout_interval", (int)l->lockout.interval, "lockout_auth_set",
                     l->lockout.auth_set ? 1 : 0, "owner_auth_set", l->lockout.owner_set ? 1 : 0,
                     "owner_auth", owner_kind(t, l), "lockout_policy_set",
                     l->policy.lockout ? 1 : 0, "owner_policy_set", l->policy.owner ? 1 : 0);
}

/* Bytes; null where a file holds the rows. */
static json_t *room_json(const struct live *l)
{
    if (!l->carried)
        return json_null();
    return json_pack("{s:i,s:i}", "used", (int)l->room.used, "total", (int)l->room.total);
}

static int info_json(struct cli *c, const struct store_token *t, const struct live *l,
                     struct err *e)
{
    uint32_t f = t->flags;

    return cli_json(
        c,
        json_pack("{s:o,s:s,s:b,s:i,s:i,s:i,s:i,s:b,s:b,s:b,s:b,s:b,s:s,s:b,s:s,s:o,s:o}", "label",
                  out_json_text(t->label), "serial", t->serial, "user_pin_set",
                  (f & STORE_TOKEN_PIN_SET) != 0 ? 1 : 0, "user_fails", (int)t->user_fails,
                  "user_limit", (int)t->user_limit, "so_fails", (int)t->so_fails, "so_limit",
                  (int)t->so_limit, "weak_lockout", (f & STORE_TOKEN_WEAK_LOCKOUT) != 0 ? 1 : 0,
                  "lockout_foreign", (f & STORE_TOKEN_FOREIGN_LOCKOUT) != 0 ? 1 : 0, "da_only",
                  (f & STORE_TOKEN_DA_ONLY) != 0 ? 1 : 0, "pin_change_interrupted",
                  (f & (STORE_TOKEN_CHANGE_USER | STORE_TOKEN_CHANGE_SO)) != 0 ? 1 : 0,
                  "incomplete", (f & STORE_TOKEN_INCOMPLETE) != 0 ? 1 : 0, "pin_guard",
                  place_guard(t), "owner_kept", (f & STORE_TOKEN_OWNER) != 0 ? 1 : 0,
                  "primary_pinned", l->pinned ? "endorsement-key" : "first-use", "tpm",
                  live_json(t, l), "room", room_json(l)),
        e);
}

static int run(struct cli *c, struct err *e)
{
    bool offline = cli_flag(c, "offline");
    struct store_token row;
    struct place at = {0};
    struct live l = {0};
    struct store_tpm hw;
    int rc = -1;

    if (place_look(c, NULL, &at, &row, e) != 0 || store_tpm_get(at.store, row.tpm, &hw, e) != 0)
        goto out;
    if (at.stick != NULL) {
        l.room = stick_room(at.stick);
        l.carried = true;
    }
    l.pinned = hw.ek_name.len != 0;
    if (!offline)
        ask_tpm(c, at.tpm, &l);
    rc = 0;
    if (cli_flag(c, "json"))
        rc = info_json(c, &row, &l, e);
    else
        say(&row, &l, offline);
out:
    place_close(&at);
    return rc;
}

const struct cli_command cmd_token_info = {
    .group = "token",
    .name = "info",
    .shared = CLI_TOKEN | CLI_JSON,
    .options = options,
    .summary = "explain how a token is protected",
    .about = "Says in words how the token's PINs are guarded, how many tries are left, whether "
             "the TPM-wide lockout is in force, and what a thief could do. Needs no PIN; does not "
             "fail when the TPM cannot be reached.",
    .examples = "fusetsu token info --token gateway\nfusetsu token info --offline --json",
    .run = run,
};
