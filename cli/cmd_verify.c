#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "cli/path.h"
#include "cli/rules.h"
#include "cli/usage.h"
#include "cli/verdict.h"
#include "core/file.h"
#include "core/gate.h"
#include "core/oid.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option options[] = {
    {"roots", "FILE", "trusted roots, and the cross-certificates that lead on from them", false},
    {"community", "NAME", "the community to ask for (default: the one that CERT claims)", false},
    {"level", "N", "the assurance level to ask for, 1 to 4 (default: as claimed)", false},
    {"name", "NAME", "the DNS name or mail address that CERT must be for", false},
    {"usage", "WHAT", "what CERT must be for: server, client, ike or mail (default: any)", false},
    {"evidence", "FILE", "judge this evidence record as well", false},
    {"ek-pins", "FILE", "evidence: trusted issuers of TPM endorsement certificates", false},
    {"evidence-roots", "FILE",
     "evidence: the issuer's own root, or its attestation CA (default: --roots)", false},
    RULES_OPTIONS("evidence: "),
    {0},
};

/* Everything that was read. */
struct inputs {
    STACK_OF(X509) * certs; /* the leaf first */
    STACK_OF(X509) * roots, *evidence_roots;
    STACK_OF(X509) * beside; /* certificates in the file of the evidence record */
    bool has_record;
    struct evidence_record record;
    struct require require;
};

/* Everything that came out. */
struct result {
    unsigned asked_community, asked_level;
    unsigned claimed_community, claimed_level; /* 0: none */
    bool path_judged, evidence_judged;
    struct path_verdict path;
    struct evidence_verdict evidence;
    char gap[200]; /* claimed more than the evidence proves; empty: no */
};

/* --- reading ------------------------------------------------------------- */

static int read_optional(const struct cli *c, const char *option, STACK_OF(X509) * *out,
                         struct err *e)
{
    const char *path = cli_option(c, option);

    return path != NULL ? certs_read(path, out, e) : 0;
}

static int read_record(const struct cli *c, struct inputs *in, struct err *e)
{
    const char *path = cli_option(c, "evidence");
    struct buf text = {0};
    int rc = -1;

    if (path == NULL)
        return 0;
    if (file_read(path, 2 * EVIDENCE_MAX, &text, e) == 0 &&
        evidence_record_from_pem(buf_bytes(&text), &in->record, e) == 0 &&
        certs_collect(buf_bytes(&text), path, &in->beside, e) == 0) {
        in->has_record = true;
        rc = 0;
    } else {
        err_prefix(e, "the evidence record");
    }
    buf_free(&text);
    return rc;
}

static int read_inputs(const struct cli *c, struct inputs *in, struct err *e)
{
    if (certs_read_args(c, &in->certs, e) != 0 || read_optional(c, "roots", &in->roots, e) != 0 ||
        read_optional(c, "evidence-roots", &in->evidence_roots, e) != 0 ||
        rules_read(c, &in->require, e) != 0)
        return -1;
    return read_record(c, in, e);
}

static void free_inputs(struct inputs *in)
{
    certs_free(in->certs);
    certs_free(in->roots);
    certs_free(in->evidence_roots);
    certs_free(in->beside);
    evidence_record_free(&in->record);
    require_free(&in->require);
}

/* --- judging ------------------------------------------------------------- */

static int judge_path(const struct cli *c, const struct inputs *in, struct result *r, struct err *e)
{
    struct path_terms t = {.roots = in->roots,
                           .untrusted = in->certs,
                           .community = r->asked_community,
                           .level = r->asked_level,
                           .name = cli_option(c, "name")};

    if (usage_parse(cli_option(c, "usage"), &t.usage, e) != 0)
        return -1;
    if (path_check(sk_X509_value(in->certs, 0), &t, &r->path, e) != 0)
        return -1;
    r->path_judged = true;
    return 0;
}

/* Splits certificates that may vouch for attestation keys: those that --evidence-roots names,
 * else the self-signed ones of --roots, are trusted; the others only help. */
static int ak_stacks(const struct inputs *in, STACK_OF(X509) * trusted, STACK_OF(X509) * others,
                     struct err *e)
{
    STACK_OF(X509) *const lists[] = {in->evidence_roots, in->roots, in->certs, in->beside};

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (int i = 0; i < sk_X509_num(lists[l]); i++) {
            X509 *cert = sk_X509_value(lists[l], i);
            bool trust = l == 0 || (l == 1 && in->evidence_roots == NULL && path_self_signed(cert));

            if (sk_X509_push(trust ? trusted : others, cert) <= 0)
                return err_set(e, E_MEMORY, "out of memory for certificates");
        }
    }
    return 0;
}

/* How an ally judges a retained record: as of the time of issue; nonce, registration and the
 * TPM's past rest on the issuer's word, and firmware and platform as well where he has no list
 * of his own. */
static int judge_record(const struct inputs *in, struct result *r, struct err *e)
{
    STACK_OF(X509) *trusted = sk_X509_new_null(), *others = sk_X509_new_null();
    X509 *leaf = sk_X509_value(in->certs, 0);
    struct evidence_terms t = {0};
    struct err why = {0};
    struct pubkey pub;
    char name[256];
    bool rsa;
    int rc = -1;

    if (trusted == NULL || others == NULL) {
        err_set(e, E_MEMORY, "out of memory for the evidence");
        goto out;
    }
    if (ak_stacks(in, trusted, others, e) != 0)
        goto out;
    /* An RSA key may have the decrypt attribute too: its PSS is padded outside the TPM. */
    rsa = pubkey_from_x509(&pub, leaf, &why) == 0 && pub.type == TPM2_ALG_RSA;
    t.now = in->record.issued_at;
    t.nonce = buf_bytes(&in->record.nonce);
    t.nonce_state = EVIDENCE_NONCE_ASSERTED;
    t.subject = gate_name(leaf, name, sizeof(name)) ? name : NULL;
    t.profile = evidence_profile_signing(rsa);
    t.ak_roots = trusted;
    t.ak_untrusted = others;
    t.ek_spki_asserted = true;
    t.leaf = leaf;
    require_into(&in->require, &t);
    t.advisories_asserted = t.reading_asserted = t.pcrs_asserted = true;
    t.approver_asserted = true;
    if (evidence_check_record(&in->record, &t, &r->evidence, e) != 0)
        goto out;
    r->evidence_judged = true;
    rc = 0;
out:
    sk_X509_free(trusted);
    sk_X509_free(others);
    return rc;
}

static int judge(const struct cli *c, const struct inputs *in, struct result *r, struct err *e)
{
    if (in->roots != NULL && judge_path(c, in, r, e) != 0)
        return -1;
    if (in->has_record && judge_record(in, r, e) != 0)
        return -1;
    if (r->evidence_judged && r->evidence.accepted && r->asked_level > r->evidence.level)
        snprintf(r->gap, sizeof(r->gap),
                 "level %u is asked for and the evidence proves level %u: what lies between is "
                 "only the issuer's word",
                 r->asked_level, r->evidence.level);
    return 0;
}

static bool accepted(const struct result *r)
{
    return (!r->path_judged || r->path.accepted) && (!r->evidence_judged || r->evidence.accepted) &&
           r->gap[0] == 0;
}

/* --- telling ------------------------------------------------------------- */

static void say_path(const struct result *r)
{
    char name[CERTS_TEXT];

    if (!r->path_judged) {
        printf("Path: not judged, for no --roots were given\n");
        return;
    }
    printf("Path: %s, asked for %s level %u and nothing else\n",
           r->path.accepted ? "accepted" : "REJECTED", oid_community_name(r->asked_community),
           r->asked_level);
    if (!r->path.accepted)
        out_words(stdout, 2, r->path.reason);
    for (int i = 0; r->path.accepted && i < sk_X509_num(r->path.via); i++) {
        certs_name(X509_get_subject_name(sk_X509_value(r->path.via, i)), name);
        printf("  %s", i == 0 ? "" : "issued by ");
        out_text(stdout, name);
        putchar('\n');
    }
}

static void say_evidence(const struct result *r)
{
    if (!r->evidence_judged) {
        printf("Evidence: not judged, for no --evidence was given\n");
        return;
    }
    if (r->evidence.accepted)
        printf("Evidence: accepted, proves level %u\n", r->evidence.level);
    else
        printf("Evidence: REJECTED\n");
    verdict_print(stdout, &r->evidence);
    if (r->gap[0] != 0)
        out_words(stdout, 2, r->gap);
    out_para(stdout,
             "recomputed: found right here, from the bytes; asserted: rests on the issuer's word; "
             "not judged: nothing of it was in the evidence or given.");
}

static void say(const struct inputs *in, const struct result *r)
{
    X509 *leaf = sk_X509_value(in->certs, 0);
    char subject[CERTS_TEXT], until[CERTS_TEXT];

    certs_name(X509_get_subject_name(leaf), subject);
    certs_time(X509_get0_notAfter(leaf), until);
    printf("Certificate of ");
    out_text(stdout, subject);
    printf(", until %s", until);
    if (r->claimed_community != 0)
        printf(", claims %s level %u", oid_community_name(r->claimed_community), r->claimed_level);
    putchar('\n');
    say_path(r);
    say_evidence(r);
}

static json_t *path_json(const struct result *r)
{
    if (!r->path_judged)
        return json_null();
    return json_pack("{s:b,s:s,s:i,s:o}", "accepted", r->path.accepted ? 1 : 0, "community",
                     oid_community_name(r->asked_community), "level", (int)r->asked_level, "reason",
                     out_json_text(r->path.reason));
}

static int say_json(struct cli *c, const struct inputs *in, const struct result *r, struct err *e)
{
    char subject[CERTS_TEXT];

    certs_name(X509_get_subject_name(sk_X509_value(in->certs, 0)), subject);
    return cli_json(c,
                    json_pack("{s:b,s:o,s:s?,s:i,s:o,s:o,s:s}", "accepted", accepted(r) ? 1 : 0,
                              "subject", out_json_text(subject), "claimed_community",
                              oid_community_name(r->claimed_community), "claimed_level",
                              (int)r->claimed_level, "path", path_json(r), "evidence",
                              r->evidence_judged ? verdict_json(&r->evidence) : json_null(), "gap",
                              r->gap),
                    e);
}

/* The one sentence of a rejection. */
static int reject(const struct result *r, struct err *e)
{
    if (r->path_judged && !r->path.accepted)
        return err_set(e, E_REJECTED, "the certificate is not accepted: %s", r->path.reason);
    if (r->evidence_judged && !r->evidence.accepted)
        return evidence_check_verdict(&r->evidence, e);
    return err_set(e, E_REJECTED, "the certificate is not accepted: %s", r->gap);
}

/* --- the command --------------------------------------------------------- */

/* What to ask for: the options, else what the certificate claims. */
static int choose_policy(const struct cli *c, X509 *leaf, struct result *r, struct err *e)
{
    const char *community = cli_option(c, "community");

    if (!path_claim(leaf, &r->claimed_community, &r->claimed_level))
        r->claimed_community = r->claimed_level = 0;
    r->asked_community = r->claimed_community;
    if (community != NULL && community_parse(community, &r->asked_community, e) != 0)
        return -1;
    if (cli_number(c, "level", 1, OID_LEVELS, r->claimed_level != 0 ? r->claimed_level : 1,
                   &r->asked_level, e) != 0)
        return -1;
    if (r->asked_community == 0 && cli_option(c, "roots") != NULL)
        return err_set(e, E_REJECTED,
                       "the certificate claims no community and level of ours (or several "
                       "communities), so no relying party can ask for it; name them with "
                       "--community and --level to see where its path ends");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct inputs in = {0};
    struct result r = {0};
    int rc = -1;

    if (cli_option(c, "roots") == NULL && cli_option(c, "evidence") == NULL)
        return cli_misuse(e, "nothing to verify against; give --roots FILE, --evidence FILE or "
                             "both");
    if (cli_option(c, "evidence") != NULL && cli_option(c, "ek-pins") == NULL)
        return cli_misuse(e, "--evidence needs --ek-pins FILE: the TPM makers that you trust");
    if (cli_option(c, "evidence") == NULL &&
        (cli_option(c, "advisories") != NULL || cli_option(c, "platforms") != NULL))
        return cli_misuse(e, "--advisories and --platforms judge evidence: name it by --evidence");
    if (read_inputs(c, &in, e) != 0 || choose_policy(c, sk_X509_value(in.certs, 0), &r, e) != 0 ||
        judge(c, &in, &r, e) != 0)
        goto out;
    rc = 0;
    if (cli_flag(c, "json"))
        rc = say_json(c, &in, &r, e);
    else
        say(&in, &r);
    if (rc == 0 && !accepted(&r))
        rc = reject(&r, e);
out:
    path_free(&r.path);
    free_inputs(&in);
    return rc;
}

const struct cli_command cmd_verify = {
    .name = "verify",
    .args = "CERT [CHAIN...]",
    .min_args = 1,
    .max_args = -1,
    .shared = CLI_JSON,
    .options = options,
    .summary = "judge a certificate and its evidence anywhere",
    .about = "What an ally runs: validates the path under the given roots with exactly one policy "
             "(community and level), then recomputes every check of the evidence record and "
             "compares its hash with the one in the certificate. Each check is reported as "
             "recomputed, asserted by the issuer, or failed. Needs no store, no TPM, no network.",
    .examples = "fusetsu verify --roots trust.pem --community communications --level 3 gw.pem\n"
                "fusetsu verify --roots trust.pem --evidence gw.evidence --ek-pins ek.pem "
                "--evidence-roots jp-root.pem gw.pem",
    .run = run,
};
