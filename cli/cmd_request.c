#include "cli/commands.h"
#include "cli/enrolment.h"
#include "cli/out.h"
#include "cli/wanted.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"invite", "FILE", "the invitation that the authority made", true},
    {"out", "FILE", "where to write the request; - is standard output", true},
    {"key", "LABEL", "certify this key of the token; --uri can name it, too", false},
    {"type", "TYPE", "or make a new key: p256 (default), p384, rsa2048, rsa3072", false},
    {"label", "TEXT", "label of the new key (default: the name that will be certified)", false},
    {"pcrs", "LIST", "let the TPM quote these PCRs, e.g. sha256:0,2,4,7", false},
    {"ek-chain", "FILE", "certificates between the EK certificate and the pinned issuer", false},
    {0},
};

static int read_invite(struct cli *c, struct evidence_invitation *v, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    if (file_read(cli_option(c, "invite"), 2 * EVIDENCE_MAX, &in, e) != 0 ||
        evidence_invitation_from_pem(buf_bytes(&in), v, e) != 0) {
        err_prefix(e, "the invitation");
        goto out;
    }
    if (v->not_after < (int64_t)time(NULL)) {
        err_set(e, E_REJECTED, "the invitation for %s has expired; ask the authority for another",
                v->subject);
        goto out;
    }
    rc = 0;
out:
    buf_free(&in);
    return rc;
}

/* Does --key or --uri name a key that exists? A new one is made otherwise. */
static int names_key(const struct cli *c, bool *there, struct err *e)
{
    struct wanted w;
    int rc = wanted_read(&w, c, "key", e);

    *there = wanted_any(&w);
    if (rc == 0 && *there && (cli_option(c, "type") != NULL || cli_option(c, "label") != NULL))
        rc = cli_misuse(e, "--key and --uri name a key that exists; --type and --label make a "
                           "new one");
    wanted_free(&w);
    return rc;
}

/* An existing key by --key, or a new one; `made` says which. */
static int get_key(struct cli *c, struct keyring *k, const struct evidence_invitation *v,
                   struct keyring_object *key, bool *made, struct err *e)
{
    struct keyring_spec spec = {.type = cli_option(c, "type"), .label = cli_option(c, "label")};
    bool there = false;

    *made = false;
    if (names_key(c, &there, e) != 0)
        return -1;
    if (there)
        return keyring_choose(k, c, CKO_PRIVATE_KEY, "key", key, e);
    if (spec.type == NULL)
        spec.type = "p256";
    if (spec.label == NULL)
        spec.label = v->subject;
    /* By this the TPM can say that the key was made for the invitation. */
    spec.outside = bytes_of(v->nonce, v->nonce_len);
    if (keyring_generate(k, &spec, key, e) != 0)
        return -1;
    *made = true;
    return 0;
}

static int finish(struct cli *c, struct keyring *k, const struct keyring_object *key, bool made,
                  struct enrolment *p, struct err *e)
{
    struct buf pem = {0};
    int rc = -1;

    if (enrolment_finish(c, k, key, made, p, &pem, e) == 0)
        rc = file_write(cli_option(c, "out"), buf_bytes(&pem), 0644, e);
    buf_free(&pem);
    return rc;
}

static void say_done(struct cli *c, const struct enrolment *p, const struct keyring_object *key,
                     bool made)
{
    FILE *f = strcmp(cli_option(c, "out"), "-") == 0 ? stderr : stdout;

    out_para(f, "Request for %s (%s, level %u) by %s key \"%s\" is written.", p->invite.subject,
             oid_community_name(p->invite.community), p->invite.level, made ? "a new" : "the",
             key->label);
    out_para(f, "Give the file to %s; `fusetsu cert import` takes what comes back.",
             p->invite.authority);
}

static int run(struct cli *c, struct err *e)
{
    struct keyring_object key = {0};
    struct keyring *k = NULL;
    struct token *t = NULL;
    struct enrolment p = {0};
    bool made = false;
    int rc = -1;

    if (names_key(c, &made, e) != 0)
        return -1;
    if (cli_option(c, "type") != NULL && keyring_check_type(cli_option(c, "type"), e) != 0)
        return -1;
    if (enrolment_pcrs(cli_option(c, "pcrs"), &p.wanted.quote, e) != 0)
        return -1;
    if (read_invite(c, &p.invite, e) != 0 ||
        keyring_open(&k, c, KEYRING_LOGIN | KEYRING_WRITE, e) != 0 ||
        keyring_token(k, &t, e) != 0 ||
        enrolment_prepare(t, cli_option(c, "ek-chain"), &p, e) != 0 ||
        get_key(c, k, &p.invite, &key, &made, e) != 0)
        goto out;
    rc = finish(c, k, &key, made, &p, e);
    if (rc == 0) {
        say_done(c, &p, &key, made);
    } else if (made) {
        struct err ignored = {0}; /* the first failure is the one to tell */

        if (keyring_destroy_pair(k, &key, &ignored) != 0)
            err_prefix(e, "the new key stays in the token");
    }
out:
    keyring_object_free(&key);
    enrolment_free(&p);
    keyring_close(k);
    return rc;
}

const struct cli_command cmd_request = {
    .name = "request",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "ask an authority for a certificate, with evidence",
    .about = "Answers an authority's invitation: makes or takes a key, lets the TPM certify where "
             "that key lives, how it was made, how it counts wrong PINs and, with --pcrs, what the "
             "platform runs, and writes one file with the certification request, that evidence "
             "and the TPM's endorsement certificate. The file holds no secret.",
    .examples = "fusetsu request --token gateway --invite gw.invite --out gw.request\n"
                "fusetsu request --token gateway --invite gw.invite --key tls --out gw.request",
    .run = run,
};
