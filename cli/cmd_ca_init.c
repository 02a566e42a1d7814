#include "ca/authority.h"
#include "ca/urls.h"
#include "cli/cakeys.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PINS_MAX ((size_t)1 << 20)
#define ROLES_FIXED 3 /* root, cross, attestation; then the issuing CAs, then the basic ones */
#define KEYS_MAX (ROLES_FIXED + 2 * OID_COMMUNITIES) /* issuing and basic */

static const struct cli_option options[] = {
    {"dir", "DIR", "where the authority's registry will lie; made when missing", true},
    {"nation", "CC", "two letters, e.g. US", true},
    {"org", "TEXT", "the authority's name in its certificates", true},
    {"domain", "DNS", "the domain that it certifies names in, e.g. us.example", true},
    {"communities", "LIST",
     "those to serve, with commas: communications, electricity, finance, defense", true},
    {"ek-pins", "FILE", "PEM certificates of the EK issuers (TPM makers) that are trusted", true},
    {"any-tpm", NULL, "let any TPM of a pinned maker answer invitations, registered or not", false},
    {"crl-url", "URL", "where its CRLs will be, for its certificates to say so", false},
    {"ocsp-url", "URL", "where it will answer by OCSP, the same", false},
    {"clearance-policy", "OID", "the nation's system of clearances, which it may grant", false},
    {"clearances", "LIST",
     "its classes by the words of RFC 5913 and its own: secret=SECRET,restricted=OFFICIAL", false},
    {"basic", NULL,
     "a CA of its own for levels 1 and 2 of each community, which allies can leave out", false},
    {"issuing-type", "TYPE", "key of the issuing CAs, and basic ones: p256 (default) or p384",
     false},
    {0},
};

/* One CA key while the authority is being made. */
struct ca_key {
    struct keyring_object object;
    struct signer *signer;
    struct authority_key ref;
};

struct work {
    struct keyring *ring;
    struct ca_key key[KEYS_MAX];
    size_t n; /* made so far */
};

static int make_key(struct work *w, const char *type, const char *label, struct err *e)
{
    struct keyring_spec spec = {.type = type, .label = label, .sign_only = true};
    struct ca_key *key = &w->key[w->n];
    struct store_key blob = {0};
    struct token *t = NULL;
    int rc = -1;

    if (keyring_generate(w->ring, &spec, &key->object, e) != 0)
        return -1;
    w->n++;
    if (keyring_blob(w->ring, &key->object, &blob, e) != 0 || keyring_token(w->ring, &t, e) != 0 ||
        token_signer(t, &blob, &key->signer, e) != 0)
        goto out;
    key->ref.signer = key->signer;
    snprintf(key->ref.ref.token, sizeof(key->ref.ref.token), "%s", keyring_row(w->ring)->serial);
    memcpy(key->ref.ref.id, key->object.id, key->object.id_len);
    key->ref.ref.id_len = key->object.id_len;
    rc = 0;
out:
    store_key_free(&blob);
    return rc;
}

static int make_community_keys(struct work *w, const struct authority_params *p, const char *type,
                               const char *role, struct err *e)
{
    char label[128];

    for (size_t i = 0; i < p->n_communities; i++) {
        snprintf(label, sizeof(label), "%s %s CA %s", p->nation, role,
                 oid_community_name(p->communities[i]));
        if (make_key(w, type, label, e) != 0)
            return -1;
    }
    return 0;
}

static int make_keys(struct work *w, const struct authority_params *p, const char *issuing,
                     bool basic, struct err *e)
{
    static const char *const fixed[ROLES_FIXED] = {"root CA", "cross CA", "attestation CA"};
    char label[128];

    for (size_t i = 0; i < ROLES_FIXED; i++) {
        snprintf(label, sizeof(label), "%s %s", p->nation, fixed[i]);
        if (make_key(w, "p384", label, e) != 0)
            return -1;
    }
    if (make_community_keys(w, p, issuing, "issuing", e) != 0)
        return -1;
    return basic ? make_community_keys(w, p, issuing, "basic", e) : 0;
}

/* Ends the work; after a failure the keys that were made are destroyed again. */
static void end_work(struct work *w, bool keep, struct err *e)
{
    for (size_t i = 0; i < w->n; i++) {
        struct err ignored = {0}; /* the first failure is the one to tell */

        signer_free(w->key[i].signer);
        if (!keep && keyring_destroy_pair(w->ring, &w->key[i].object, &ignored) != 0)
            err_prefix(e, "a new key stays in the token");
        keyring_object_free(&w->key[i].object);
    }
    keyring_close(w->ring);
}

static int check_absent(const char *dir, struct err *e)
{
    struct authority *a = NULL;
    struct err why = {0};

    if (authority_open(&a, dir, true, NULL, NULL, &why) != 0)
        return 0;
    err_set(e, E_EXISTS, "%s holds the authority of %s already; choose another directory", dir,
            authority_info(a)->org);
    authority_close(a);
    return -1;
}

static int init(struct cli *c, struct authority_params *p, struct err *e)
{
    const char *issuing = cli_option(c, "issuing-type"), *dir = cli_option(c, "dir");
    struct authority_key keys[OID_COMMUNITIES], basic[OID_COMMUNITIES];
    struct work w = {0};
    int rc = -1;

    if (keyring_open(&w.ring, c, KEYRING_LOGIN | KEYRING_WRITE, e) != 0 ||
        cakeys_seed(w.ring, e) != 0 ||
        make_keys(&w, p, issuing != NULL ? issuing : "p256", cli_flag(c, "basic"), e) != 0)
        goto out;
    p->root = w.key[0].ref;
    p->cross = w.key[1].ref;
    p->attestation = w.key[2].ref;
    for (size_t i = 0; i < p->n_communities; i++)
        keys[i] = w.key[ROLES_FIXED + i].ref;
    p->issuing = keys;
    for (size_t i = 0; cli_flag(c, "basic") && i < p->n_communities; i++)
        basic[i] = w.key[ROLES_FIXED + p->n_communities + i].ref;
    p->basic = cli_flag(c, "basic") ? basic : NULL;
    p->now = time(NULL);
    if (authority_init(dir, p, e) != 0)
        goto out;
    rc = 0;
out:
    end_work(&w, rc == 0, e);
    return rc;
}

static void say_done(struct cli *c, const struct authority_params *p)
{
    const char *dir = cli_option(c, "dir");
    struct buf served = {0};

    for (size_t i = 0; i < p->n_communities; i++)
        buf_printf(&served, "%s%s", i > 0 ? ", " : "", oid_community_name(p->communities[i]));
    out_para(stdout, "The authority of %s (%s, %s) is made in %s.", p->org, p->nation, p->domain,
             dir);
    out_para(stdout,
             "In the TPM are the keys of its root, its Cross CA, its attestation CA and one "
             "issuing CA%s for each of: %s.",
             cli_flag(c, "basic") ? " and one basic CA" : "",
             buf_cstr(&served) != NULL ? buf_cstr(&served) : "");
    printf("Next:\n  `fusetsu ca invite --dir ");
    out_text(stdout, dir);
    printf("` for the first device\n  `fusetsu ca export --dir ");
    out_text(stdout, dir);
    printf(" root` and `issuing:COMMUNITY` for an ally\n");
    buf_free(&served);
}

static int run(struct cli *c, struct err *e)
{
    const char *issuing = cli_option(c, "issuing-type");
    unsigned communities[OID_COMMUNITIES];
    struct authority_params p = {.nation = cli_option(c, "nation"),
                                 .org = cli_option(c, "org"),
                                 .domain = cli_option(c, "domain"),
                                 .communities = communities,
                                 .any_tpm = cli_flag(c, "any-tpm"),
                                 .crl_url = cli_option(c, "crl-url"),
                                 .ocsp_url = cli_option(c, "ocsp-url")};
    const char *policy = cli_option(c, "clearance-policy"), *names = cli_option(c, "clearances");
    struct clearance_system clearances;
    struct buf pins = {0};
    int rc = -1;

    if ((policy != NULL) != (names != NULL))
        return cli_misuse(e, "--clearance-policy and --clearances go together");
    if (policy != NULL && clearance_system_parse(policy, names, &clearances, e) != 0)
        return -1;
    p.clearances = policy != NULL ? &clearances : NULL;
    if (issuing != NULL && strcmp(issuing, "p256") != 0 && strcmp(issuing, "p384") != 0)
        return cli_misuse(e, "--issuing-type is p256 or p384, not \"%.40s\"", issuing);
    if (community_parse_list(cli_option(c, "communities"), communities, OID_COMMUNITIES,
                             &p.n_communities, e) != 0)
        return -1;
    if ((p.crl_url != NULL && urls_check("--crl-url", p.crl_url, e) != 0) ||
        (p.ocsp_url != NULL && urls_check("--ocsp-url", p.ocsp_url, e) != 0))
        return -1;
    if (issue_check_nation(p.nation, e) != 0 || issue_check_dns(p.domain, e) != 0 ||
        check_absent(cli_option(c, "dir"), e) != 0 ||
        file_read(cli_option(c, "ek-pins"), PINS_MAX, &pins, e) != 0)
        goto out;
    p.ek_pins_pem = buf_bytes(&pins);
    rc = init(c, &p, e);
    if (rc == 0)
        say_done(c, &p);
out:
    buf_free(&pins);
    return rc;
}

const struct cli_command cmd_ca_init = {
    .group = "ca",
    .name = "init",
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "make an authority with its keys in a token",
    .about = "Makes the authority of a nation: a root, a Cross CA (which certifies allies), an "
             "attestation CA and one issuing CA per community, with keys made in the token's TPM, "
             "and the registry that remembers what is issued. The URLs are for good: they stand in "
             "every certificate.",
    .examples = "fusetsu ca init --dir us-ca --token us-ca --nation US --org \"Example Authority\" "
                "--domain us.example --communities communications,electricity --ek-pins ek.pem",
    .run = run,
};
