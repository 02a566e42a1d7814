#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/crlread.h"
#include "cli/federation_crldir.h"
#include "cli/federation_state.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "core/dirlock.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

static const struct cli_option options[] = {
    {"trust", "DIR", "what `fusetsu federation apply` has written", true},
    {0},
};

struct counts {
    unsigned taken, refused;
    bool silent;
};

/* --- taking -------------------------------------------------------------------------------------- */

/* What is wrong with one file is no reason to go without the others: one of them may be the cut. */
static void refuse(const char *file, const struct err *why, struct counts *n)
{
    n->refused++;
    out_text(stderr, file);
    fputs(": ", stderr);
    out_text(stderr, why->msg);
    fputc('\n', stderr);
}

/* Who hands in all that a nation publishes has some that no path to a leaf of this federation needs. */
static void pass_over(const char *file, const X509_CRL *crl)
{
    char ca[CERTS_TEXT];

    certs_name(X509_CRL_get_issuer(crl), ca);
    out_text(stdout, file);
    fputs(": not needed here, the CRL of ", stdout);
    out_text(stdout, ca);
    fputc('\n', stdout);
}

static void take_file(const char *file, struct federation_crls *s, int64_t now, struct counts *n)
{
    STACK_OF(X509_CRL) *list = NULL;
    struct err why = {0};

    if (crlread_file(file, &list, &why) != 0) {
        refuse(file, &why, n);
        return;
    }
    for (int i = 0; i < sk_X509_CRL_num(list); i++) {
        enum federation_crls_taken how;
        struct err fault = {0};

        if (federation_crls_take(s, sk_X509_CRL_value(list, i), now, &how, &fault) != 0)
            refuse(file, &fault, n);
        else if (how == FEDERATION_CRLS_NEW)
            n->taken++;
        else if (how == FEDERATION_CRLS_SPARE && !n->silent)
            pass_over(file, sk_X509_CRL_value(list, i));
    }
    crlread_free(list);
}

/* With the lock: who comes with an older one at the same time finds the newer one there. */
static int take(const struct cli *c, const struct federation *f, unsigned side,
                struct federation_crls *s, int64_t now, struct counts *n, struct err *e)
{
    const char *dir = cli_option(c, "trust");
    struct federation_state state = {.dir = dir, .f = f, .side = side, .crls = s};
    bool kept = false, any = false;
    int lock = -1, rc = -1;

    /* Who only looks needs no lock, for which he might lack the permission. */
    if ((cli_n_args(c) != 0 && dirlock_take(dir, FEDERATION_CRLDIR_WAIT, &lock, e) != 0) ||
        federation_crldir_read(dir, s, &kept, e) != 0)
        goto out;
    for (int i = 0; i < cli_n_args(c); i++)
        take_file(cli_arg(c, i), s, now, n);
    for (size_t i = 0; i < s->n; i++)
        any = any || s->need[i].crl != NULL;
    /* Also when nothing is new: the last one may have been interrupted. */
    if (cli_n_args(c) == 0 || !any)
        rc = 0;
    else if (federation_crldir_write(dir, s, e) == 0)
        rc = federation_state_anchors(&state, e);
out:
    dirlock_release(lock);
    return rc;
}

/* --- telling ------------------------------------------------------------------------------------- */

static const char *state_of(const struct federation_crl *x, int64_t now)
{
    if (x->crl == NULL)
        return "missing";
    if (!chain_crl_current(x->crl, now))
        return "ended";
    return federation_crls_due(x, now) ? "due" : "good";
}

static int add_row(struct listing *l, const struct federation_crl *x, int64_t now, struct err *e)
{
    char ca[CERTS_TEXT], until[OUT_TIME] = "-", day[OUT_DAY] = "-", *number = NULL;
    ASN1_INTEGER *n = NULL;
    int64_t from, t;
    int rc;

    certs_name(X509_get_subject_name(x->by), ca);
    if (x->crl != NULL) {
        if (chain_crl_times(x->crl, &from, &t))
            out_time(t, until, day);
        n = X509_CRL_get_ext_d2i(x->crl, NID_crl_number, NULL, NULL);
        number = n != NULL ? i2s_ASN1_INTEGER(NULL, n) : NULL;
    }
    rc = listing_row(
        l, (const char *[]){x->name, ca, number != NULL ? number : "-", until, state_of(x, now)},
        json_pack("{s:s,s:o,s:s?,s:s,s:s}", "name", x->name, "ca", out_json_text(ca), "number",
                  number, "until", until, "state", state_of(x, now)),
        e);
    OPENSSL_free(number);
    ASN1_INTEGER_free(n);
    return rc;
}

static int print(struct cli *c, const struct federation_crls *s, int64_t now, struct err *e)
{
    static const char *const heads[] = {"CRL", "OF", "NUMBER", "UNTIL", "STATE"};
    struct listing *l = listing_new(c, heads, ARRAY_LEN(heads), e);
    int rc = l != NULL ? 0 : -1;

    for (size_t i = 0; rc == 0 && i < s->n; i++)
        rc = add_row(l, &s->need[i], now, e);
    if (rc == 0)
        rc = listing_print(l, "No community is open.", e);
    listing_free(l);
    return rc;
}

/* For scripts: 6 when one was refused, else 5 when a community lacks one. */
static int conclude(const struct federation_crls *s, int64_t now, const struct counts *n,
                    struct err *e)
{
    for (unsigned community = 1; n->refused == 0 && community <= OID_COMMUNITIES; community++) {
        const struct federation_crl *x = federation_crls_lacking(s, community, now);

        if (x != NULL)
            return err_set(
                e, E_NOT_FOUND,
                "the CRL \"%s\" is %s, and until it comes the gate refuses what it would "
                "judge; fetch it where its CA publishes it",
                x->name, x->crl == NULL ? "missing" : "not of now");
    }
    if (n->refused != 0)
        return err_set(e, E_REJECTED, "%u refused, for the reasons above; %u new %s taken",
                       n->refused, n->taken, n->taken == 1 ? "one was" : "ones were");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct federation_crls s = {.n = 0};
    struct federation f = {.n_side = 0};
    struct counts n = {.silent = cli_flag(c, "json")};
    int64_t now = time(NULL);
    unsigned side = 0;
    int rc = -1;

    if (federation_state_get(cli_option(c, "trust"), &f, &side, e) != 0)
        goto out;
    federation_crls_of(&f, side, &s);
    if (take(c, &f, side, &s, now, &n, e) != 0 || print(c, &s, now, e) != 0)
        goto out;
    rc = conclude(&s, now, &n, e);
out:
    federation_crls_free(&s);
    federation_free(&f);
    return rc;
}

const struct cli_command cmd_federation_crls = {
    .group = "federation",
    .name = "crls",
    .shared = CLI_JSON,
    .options = options,
    .args = "[FILE...]",
    .min_args = 0,
    .max_args = -1,
    .summary = "take the CRLs of both nations, for all that checks by the federation",
    .about =
        "Takes CRLs (DER or PEM), wherever they were fetched: full ones by the CAs that the "
        "federation names, of now, and never an older one than is there; one of another CA of the "
        "two nations is passed over. Keeps them in DIR/crls (DER, for NSS and strongSwan) and "
        "writes DIR/COMMUNITY.crls.pem (OpenSSL, GnuTLS, OpenVPN, nginx) for each community of "
        "which all are there; what is revoked is out of "
        "COMMUNITY.anchors.pem and COMMUNITY.p12. From the first one on the gate judges "
        "revocation by them, and refuses what no current CRL judges. Says which are there; "
        "\"due\" is one with less than a quarter of its time left. Ends with 6 when a file was "
        "refused (the others are taken), and with 5 when a CRL is missing or has ended.",
    .examples = "fusetsu federation crls --trust /etc/fusetsu/us-jp *.crl\n"
                "fusetsu federation crls --trust /etc/fusetsu/us-jp --json",
    .run = run,
};
