#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/crlread.h"
#include "cli/federation_crldir.h"
#include "cli/federation_state.h"
#include "cli/out.h"
#include "cli/usage.h"
#include "core/gate.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"trust", "DIR", "what `fusetsu federation apply` has written", true},
    {"community", "NAME", "the community whose leaves are let in", true},
    {"level", "N", "the lowest level, 1 to 4 (default: as the federation says)", false},
    {"name", "NAME", "the DNS name or mail address that it must have", false},
    {"persons", NULL, "let persons in as well, who are named by a mail address", false},
    {"usage", "WHAT", "what it is for: server, client (default), ike or mail", false},
    {"clearance", "CLASS",
     "the clearance that it must have, such as secret: of our own system, or "
     "one of the ally's that counts as it",
     false},
    {"crls", "FILE",
     "CRLs, one of each CA: revoked is refused, and so is what none judges (default: those that "
     "`fusetsu federation crls` keeps there, if it does)",
     false},
    {"openvpn", NULL, "called by OpenVPN's tls-verify, with tls-export-cert: DEPTH SUBJECT follow",
     false},
    {0},
};

struct inputs {
    struct federation f;
    STACK_OF(X509) * certs; /* the leaf first */
    STACK_OF(X509_CRL) * crls;
    struct federation_crls kept;
    const struct federation_crl *lacking; /* of those; NULL: none */
    struct gate_terms terms;
};

static void free_inputs(struct inputs *in)
{
    federation_free(&in->f);
    certs_free(in->certs);
    crlread_free(in->crls);
    federation_crls_free(&in->kept);
}

/* Those that were given, or those that are kept beside the federation, where there are any. */
static int read_crls(const struct cli *c, struct inputs *in, struct err *e)
{
    const char *file = cli_option(c, "crls"), *dir = cli_option(c, "trust");
    bool kept = false;

    if (file != NULL)
        return crlread_file(file, &in->crls, e);
    federation_crls_of(&in->f, in->terms.side, &in->kept);
    if (federation_crldir_read(dir, &in->kept, &kept, e) != 0)
        return -1;
    if (!kept)
        return 0;
    in->crls = sk_X509_CRL_new_null();
    for (size_t i = 0; in->crls != NULL && i < in->kept.n; i++) {
        X509_CRL *crl = in->kept.need[i].crl;

        if (crl == NULL)
            continue;
        if (sk_X509_CRL_push(in->crls, crl) <= 0)
            return err_set(e, E_MEMORY, "out of memory for CRLs");
        X509_CRL_up_ref(crl);
    }
    in->lacking = federation_crls_lacking(&in->kept, in->terms.community, in->terms.now);
    return in->crls != NULL ? 0 : err_set(e, E_MEMORY, "out of memory for CRLs");
}

static int read_class(const struct cli *c, int *out, struct err *e)
{
    const char *word = cli_option(c, "clearance");

    *out = -1;
    for (unsigned n = 0; word != NULL && n < FEDERATION_CLASSES; n++) {
        if (strcmp(federation_class(n), word) == 0)
            *out = (int)n;
    }
    return word == NULL || *out >= 0
               ? 0
               : cli_misuse(e, "--clearance is unmarked, unclassified, restricted, confidential, "
                               "secret or top-secret");
}

/* The leaf, and what came along. */
static int read_certs(const struct cli *c, struct inputs *in, struct err *e)
{
    const char *peer = conf_peer_cert();

    if (cli_option(c, "openvpn") != NULL)
        return peer != NULL ? certs_read(peer, &in->certs, e)
                            : err_set(e, E_ARG,
                                      "OpenVPN names no certificate: its settings want a line "
                                      "tls-export-cert DIR beside tls-verify");
    return certs_read_args(c, &in->certs, e);
}

static int read_inputs(const struct cli *c, struct inputs *in, struct err *e)
{
    struct gate_terms *t = &in->terms;
    const char *usage = cli_option(c, "usage");

    t->f = &in->f;
    t->now = (int64_t)time(NULL);
    t->name = cli_option(c, "name");
    t->persons = cli_flag(c, "persons");
    if (community_parse(cli_option(c, "community"), &t->community, e) != 0 ||
        cli_number(c, "level", 1, OID_LEVELS, 0, &t->level, e) != 0 ||
        usage_parse(usage != NULL ? usage : "client", &t->usage, e) != 0 ||
        read_class(c, &t->clearance, e) != 0 ||
        federation_state_get(cli_option(c, "trust"), &in->f, &t->side, e) != 0)
        return -1;
    if (read_crls(c, in, e) != 0)
        return -1;
    t->crls = in->crls;
    return read_certs(c, in, e);
}

static int tell(struct cli *c, X509 *leaf, const struct inputs *in, const struct chain_verdict *v,
                struct err *e)
{
    char subject[CERTS_TEXT], name[256];
    bool bounded = gate_name(leaf, name, sizeof(name));
    /* A person's common name is free text: it is the bounded name that counts. */
    const char *who = bounded ? name : subject;

    certs_name(X509_get_subject_name(leaf), subject);
    if (cli_flag(c, "json")) {
        if (cli_json(c,
                     json_pack("{s:b,s:o,s:o,s:s,s:o,s:s?}", "accepted", v->accepted ? 1 : 0,
                               "name", bounded ? out_json_text(name) : json_null(), "subject",
                               out_json_text(subject), "code", chain_code_name(v->code), "reason",
                               out_json_text(v->reason), "clause", v->clause),
                     e) != 0)
            return -1;
    } else if (v->accepted) {
        out_para(stdout, "%s is let in.", who);
    }
    if (v->code == CHAIN_NO_CRL && in->lacking != NULL)
        return err_set(
            e, E_REJECTED,
            "%s is not let in: the CRL \"%s\" is %s; hand the newest to `fusetsu federation "
            "crls` (%s)",
            who, in->lacking->name, in->lacking->crl == NULL ? "missing" : "not of now", v->clause);
    return v->accepted
               ? 0
               : err_set(e, E_REJECTED, "%s is not let in: %s (%s)", who, v->reason, v->clause);
}

/* OpenVPN calls us on both ends, in the same words: who is not for the one use may be for the other.
 * Which end it is, OpenVPN asks by itself (remote-cert-tls). */
static int judge(struct cli *c, struct inputs *in, struct chain_verdict *v, struct err *e)
{
    X509 *leaf = sk_X509_value(in->certs, 0);

    if (gate_check(leaf, in->certs, &in->terms, v, e) != 0)
        return -1;
    if (v->accepted || v->code != CHAIN_USAGE || cli_option(c, "openvpn") == NULL ||
        cli_option(c, "usage") != NULL)
        return 0;
    chain_free(v);
    return usage_parse("server", &in->terms.usage, e) == 0
               ? gate_check(leaf, in->certs, &in->terms, v, e)
               : -1;
}

static int run(struct cli *c, struct err *e)
{
    struct inputs in = {.certs = NULL};
    struct chain_verdict v;
    int rc = -1;

    if (cli_option(c, "openvpn") != NULL && cli_n_args(c) != 2)
        return cli_misuse(e, "--openvpn is for the lines that `fusetsu setup openvpn` writes");
    /* CAs: they are judged with the leaf, which comes last, and are in the federation. */
    if (cli_option(c, "openvpn") != NULL && strcmp(cli_arg(c, 0), "0") != 0)
        return 0;
    if (read_inputs(c, &in, e) == 0 && judge(c, &in, &v, e) == 0) {
        rc = tell(c, sk_X509_value(in.certs, 0), &in, &v, e);
        chain_free(&v);
    }
    free_inputs(&in);
    return rc;
}

const struct cli_command cmd_gate = {
    .name = "gate",
    .shared = CLI_JSON,
    .options = options,
    .args = "CERT [CHAIN...]",
    .min_args = 1,
    .max_args = -1,
    .summary = "let in what a federation bounds, for programs that do not look",
    .about =
        "Judges a certificate by a federation that was applied: one community, a level, and a "
        "clearance where one is asked for. Many programs check signatures and a name, and let in "
        "what has another policy, none, or a common name beside its true names; they call this, "
        "or their administrator does. Ends with 6 and the reason for what is not let in.",
    .examples = "fusetsu gate --trust /etc/fusetsu/us-jp --community communications peer.pem\n"
                "fusetsu gate --trust /etc/fusetsu/us-jp --community communications --usage server "
                "--name gw.jp.example --clearance secret peer.pem",
    .run = run,
};
