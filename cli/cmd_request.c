#include "ca/issue.h"
#include "ca/renew.h"
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
    {"invite", "FILE", "the invitation that the authority made", false},
    {"renew", "LABEL", "or renew the certificate of this key, which invites to it", false},
    {"out", "FILE", "where to write the request; - is standard output", true},
    {"key", "LABEL", "certify this key of the token; --uri can name it, too", false},
    {"type", "TYPE", "or make a new key: p256 (default), p384, rsa2048, rsa3072", false},
    {"label", "TEXT", "label of the new key (default: the name that will be certified)", false},
    {"pcrs", "LIST", "let the TPM quote these PCRs, e.g. sha256:0,2,4,7", false},
    {"ek", "FILE", "the certificate of this TPM's endorsement key, where the TPM has none", false},
    {"ek-chain", "FILE", "certificates between the EK certificate and the pinned issuer", false},
    {0},
};

static int check_end(const struct evidence_invitation *v, const char *what, struct err *e)
{
    return v->not_after >= (int64_t)time(NULL)
               ? 0
               : err_set(e, E_REJECTED, "%s %s has expired; ask the authority for a new invitation",
                         what, v->subject);
}

/* Of the certificates of a key the one that lasts longest. */
static int newest_cert(struct keyring *k, const struct pubkey *key, X509 **out, struct err *e)
{
    struct keyring_object *list = NULL;
    size_t n = 0;
    X509 *best = NULL;

    if (keyring_list(k, CKO_CERTIFICATE, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        X509 *cert = NULL;
        struct pubkey pub;

        if (issue_from_der(buf_bytes(&list[i].value), &cert, NULL) == 0 &&
            pubkey_from_x509(&pub, cert, NULL) == 0 && pubkey_equal(&pub, key) &&
            (best == NULL ||
             ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(best)) > 0)) {
            X509_free(best);
            best = cert;
            cert = NULL;
        }
        X509_free(cert);
    }
    keyring_objects_free(list, n);
    *out = best;
    return best != NULL ? 0
                        : err_set(e, E_NOT_FOUND,
                                  "the token has no certificate of that key; ask the authority for "
                                  "an invitation");
}

static int renewal(struct cli *c, struct keyring *k, struct evidence_invitation *v, struct err *e)
{
    struct keyring_object key = {0};
    struct pubkey pub;
    X509 *old = NULL;
    int rc = -1;

    if (keyring_choose(k, c, CKO_PRIVATE_KEY, "renew", &key, e) == 0 &&
        keyring_public(k, &key, &pub, e) == 0 && newest_cert(k, &pub, &old, e) == 0 &&
        renew_invitation(old, v, e) == 0)
        rc = check_end(v, "the certificate of", e);
    X509_free(old);
    keyring_object_free(&key);
    return rc;
}

static int read_invite(struct cli *c, struct evidence_invitation *v, struct err *e)
{
    struct buf in = {0};
    int rc = -1;

    if (file_read(cli_option(c, "invite"), 2 * EVIDENCE_MAX, &in, e) != 0 ||
        evidence_invitation_from_pem(buf_bytes(&in), v, e) != 0) {
        err_prefix(e, "the invitation");
        goto out;
    }
    rc = check_end(v, "the invitation for", e);
out:
    buf_free(&in);
    return rc;
}

/* The option that names the key. */
static const char *key_option(const struct cli *c)
{
    return cli_option(c, "renew") != NULL ? "renew" : "key";
}

/* Does --key or --uri name a key that exists? A new one is made otherwise. */
static int names_key(const struct cli *c, bool *there, struct err *e)
{
    struct wanted w;
    int rc = wanted_read(&w, c, key_option(c), e);

    *there = wanted_any(&w);
    if (rc == 0 && *there && (cli_option(c, "type") != NULL || cli_option(c, "label") != NULL))
        rc = cli_misuse(e,
                        "--%s and --uri name a key that exists; --type and --label make a "
                        "new one",
                        key_option(c));
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
        return keyring_choose(k, c, CKO_PRIVATE_KEY, key_option(c), key, e);
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
    bool made = false, renew = cli_option(c, "renew") != NULL;
    int rc = -1;

    if (renew == (cli_option(c, "invite") != NULL) || (renew && cli_option(c, "key") != NULL))
        return cli_misuse(e, "say --invite FILE, or --renew LABEL alone");
    if (names_key(c, &made, e) != 0)
        return -1;
    if (cli_option(c, "type") != NULL && keyring_check_type(cli_option(c, "type"), e) != 0)
        return -1;
    if (enrolment_pcrs(cli_option(c, "pcrs"), &p.wanted.quote, e) != 0)
        return -1;
    if ((!renew && read_invite(c, &p.invite, e) != 0) ||
        keyring_open(&k, c, KEYRING_LOGIN | KEYRING_WRITE, e) != 0 ||
        keyring_token(k, &t, e) != 0 || (renew && renewal(c, k, &p.invite, e) != 0) ||
        enrolment_prepare(t, cli_option(c, "ek"), cli_option(c, "ek-chain"), &p, e) != 0 ||
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
             "and the TPM's endorsement certificate. The file holds no secret. With --renew no "
             "invitation is needed: the certificate of a key is good for one renewal, by the same "
             "key, for the same name, community and level, while it is neither suspended, revoked "
             "nor ended.",
    .examples = "fusetsu request --token gateway --invite gw.invite --out gw.request\n"
                "fusetsu request --token gateway --invite gw.invite --key tls --out gw.request\n"
                "fusetsu request --token gateway --renew tls --out gw.request",
    .run = run,
};
