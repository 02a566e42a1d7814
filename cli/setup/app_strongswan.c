/* strongSwan: the module in a drop-in of strongswan.conf, which charon and charon-systemd read; the
 * key in a drop-in of swanctl.conf; and whom to trust: one file for each certificate, or a drop-in that
 * names those of a federation where they are. */
#include "cli/setup/setup.h"

#include "ca/issue.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/federation_state.h"
#include "cli/pin.h"
#include "core/oid.h"

#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

/* How the settings call the module. */
#define NAME "fusetsu"

static const struct cli_option options[] = {
    {"trust", "PATH",
     "CA certificates to trust, as `ca export bundle:COMMUNITY --own --ike` has them; with "
     "--community the directory that `fusetsu federation apply` has written",
     false},
    {"community", "NAME", "the community whose gateways are let in", false},
    {"level", "N", "their lowest level, 1 to 4 (default: as the federation says)", false},
    {"connection", "NAME", "the connection of swanctl.conf that asks its peer for that", false},
    {0},
};

/* What a federation bounds. */
struct bounds {
    bool set; /* false: --community was not given */
    unsigned community;
    char policy[OID_TEXT_MAX]; /* one OID: strongSwan lets in who has one of several */
    struct buf dir;            /* absolute */
    bool crls;                 /* are kept there */
};

/* A value between quotation marks, as strongswan.conf(5) has it. */
static void add_quoted(struct buf *out, struct bytes value)
{
    buf_u8(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_u8(out, '\\');
        buf_u8(out, value.p[i]);
    }
    buf_u8(out, '"');
}

static void add_hex(struct buf *out, struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        buf_printf(out, "%02x", value.p[i]);
}

/* The path of a file of ours, which no other key's setup writes: each can be undone alone. */
static int place(struct buf *out, const char *dir, const struct setup_key *k, const char *rest,
                 struct err *e)
{
    buf_printf(out, "%s/fusetsu-", dir);
    add_hex(out, bytes_of(k->id, k->id_len));
    buf_str(out, rest);
    return buf_cstr(out) != NULL ? 0 : buf_ok(out, e);
}

/* --- the module ---------------------------------------------------------------------------- */

/* strongSwan makes one of sections of the same name. */
static int plan_module(struct setup *s, const struct setup_key *k, struct err *e)
{
    const char *module = setup_module(s, e);
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (module == NULL)
        return -1;
    buf_str(&text, "# written by fusetsu setup strongswan\n"
                   "charon {\n"
                   "  plugins {\n"
                   "    pkcs11 {\n"
                   "      modules {\n"
                   "        " NAME " {\n"
                   "          path = ");
    add_quoted(&text, bytes_of(module, strlen(module)));
    buf_str(&text, "\n"
                   "        }\n"
                   "      }\n"
                   "    }\n"
                   "  }\n"
                   "}\n");
    if (place(&path, "/etc/strongswan.d", k, ".conf", e) == 0 && buf_ok(&text, e) == 0)
        rc = setup_file(s, (const char *)path.p, 0644, buf_bytes(&text), e);
    buf_free(&path);
    buf_free(&text);
    return rc;
}

/* --- the key ------------------------------------------------------------------------------- */

static int add_pin(const char *path, struct buf *text, struct err *e)
{
    struct secret *pin = NULL;

    if (pin_read_file(path, "user PIN", &pin, e) != 0)
        return -1;
    buf_str(text, "    # The user PIN: whoever can read this file can use the key.\n"
                  "    pin = ");
    add_quoted(text, secret_bytes(pin));
    buf_str(text, "\n");
    secret_free(pin);
    return buf_ok(text, e);
}

static int plan_key(struct setup *s, const struct setup_key *k, struct err *e)
{
    const char *pin = setup_pin_file(s, e);
    struct bytes id = bytes_of(k->id, k->id_len);
    struct buf text = {.secret = true}, path = {0};
    int rc = -1;

    if (pin == NULL && cli_option(setup_cli(s), "pin-source") != NULL)
        goto out;
    buf_str(&text, "# written by fusetsu setup strongswan\n"
                   "secrets {\n"
                   "  token-");
    add_hex(&text, id);
    buf_str(&text, " {\n"
                   "    handle = ");
    add_hex(&text, id);
    buf_str(&text, "\n"
                   "    module = " NAME "\n");
    if (pin != NULL && add_pin(pin, &text, e) != 0)
        goto out;
    buf_str(&text, "  }\n"
                   "}\n");
    if (place(&path, "/etc/swanctl/conf.d", k, ".conf", e) == 0 && buf_ok(&text, e) == 0)
        rc = setup_file(s, (const char *)path.p, pin != NULL ? 0600 : 0644, buf_bytes(&text), e);
out:
    buf_free(&text);
    buf_free(&path);
    return rc;
}

/* --- whom to trust --------------------------------------------------------------------------- */

/* strongSwan 5.9.8 passes over a certificate that constrains IP addresses. */
static bool constrains_addresses(X509 *cert)
{
    NAME_CONSTRAINTS *nc = X509_get_ext_d2i(cert, NID_name_constraints, NULL, NULL);
    bool found = false;

    if (nc == NULL)
        return false;
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(nc->permittedSubtrees); i++)
        found |= sk_GENERAL_SUBTREE_value(nc->permittedSubtrees, i)->base->type == GEN_IPADD;
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(nc->excludedSubtrees); i++)
        found |= sk_GENERAL_SUBTREE_value(nc->excludedSubtrees, i)->base->type == GEN_IPADD;
    NAME_CONSTRAINTS_free(nc);
    return found;
}

/* One certificate a file: strongSwan reads the first one. */
static int plan_ca(struct setup *s, const struct setup_key *k, X509 *cert, const char *from,
                   struct err *e)
{
    struct buf path = {0}, pem = {0}, rest = {0};
    uint8_t print[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    int rc = -1;

    if (constrains_addresses(cert)) {
        err_set(e, E_REJECTED,
                "%s has a certificate that constrains IP addresses, which strongSwan cannot read; "
                "take what `fusetsu ca export bundle:COMMUNITY --own --ike` writes",
                from);
        goto out;
    }
    if (X509_digest(cert, EVP_sha256(), print, &len) != 1 || len < 8) {
        err_openssl(e, E_CRYPTO, "cannot compute a fingerprint");
        goto out;
    }
    buf_u8(&rest, '-');
    add_hex(&rest, bytes_of(print, 8));
    buf_str(&rest, ".pem");
    if (issue_to_pem(cert, &pem, e) == 0 && buf_cstr(&rest) != NULL &&
        place(&path, "/etc/swanctl/x509ca", k, (const char *)rest.p, e) == 0)
        rc = setup_file(s, (const char *)path.p, 0644, buf_bytes(&pem), e);
out:
    buf_free(&path);
    buf_free(&pem);
    buf_free(&rest);
    return rc;
}

static int plan_trust(struct setup *s, const struct setup_key *k, struct err *e)
{
    const char *from = cli_option(setup_cli(s), "trust");
    STACK_OF(X509) *list = NULL;
    int rc = 0;

    if (from == NULL || cli_option(setup_cli(s), "community") != NULL)
        return 0;
    if (certs_read(from, &list, e) != 0)
        return -1;
    for (int i = 0; rc == 0 && i < sk_X509_num(list); i++)
        rc = plan_ca(s, k, sk_X509_value(list, i), from, e);
    certs_free(list);
    return rc;
}

/* --- what a federation bounds ---------------------------------------------------------------- */

static int read_bounds(struct setup *s, struct bounds *b, struct err *e)
{
    struct cli *c = setup_cli(s);
    const char *community = cli_option(c, "community"), *trust = cli_option(c, "trust");
    struct federation f = {.n_side = 0};
    struct buf path = {0};
    unsigned side = 0, level = 0;
    int rc = -1;

    if (community == NULL)
        return cli_option(c, "level") == NULL && cli_option(c, "connection") == NULL
                   ? 0
                   : cli_misuse(e, "--level and --connection go with --trust DIR and --community");
    if (trust == NULL)
        return cli_misuse(e, "--community goes with --trust DIR");
    if (community_parse(community, &b->community, e) != 0 ||
        cli_number(c, "level", 1, OID_LEVELS, 0, &level, e) != 0 ||
        setup_absolute(trust, &b->dir, e) != 0 ||
        federation_state_get((const char *)b->dir.p, &f, &side, e) != 0)
        goto out;
    if (f.side[side].community[b->community].cross_ike == NULL ||
        f.side[side].community[b->community].issuing_ike == NULL) {
        err_set(
            e, E_NOT_FOUND,
            "the federation has no certificates for IKE of %s, which strongSwan could read; each "
            "side makes one by `fusetsu ca cross --ike`, for the next federation",
            community);
        goto out;
    }
    if (level == 0)
        level = f.side[side].community[b->community].accepts;
    buf_printf(&path, "%s/%s.crls.pem", (const char *)b->dir.p, oid_community_name(b->community));
    if (buf_cstr(&path) == NULL || oid_policy(b->community, level, b->policy, e) != 0)
        goto out;
    b->crls = access((const char *)path.p, F_OK) == 0;
    b->set = true;
    rc = 0;
out:
    federation_free(&f);
    buf_free(&path);
    return rc;
}

/* They stay where they are: the next federation is read there. A crl_uris beside them would not be: charon
 * looks for those by the SHA-1 of the CA's key, and the key identifiers of ours are of SHA-256 (RFC 7093). */
static int add_authorities(const struct setup_key *k, const struct bounds *b, struct buf *text,
                           struct err *e)
{
    static const char *const parts[] = {"root", "cross-ca", "cross", "issuing"};

    buf_str(text, "authorities {\n");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct buf path = {0};

        buf_printf(&path, "%s/%s-ike.d/%s.pem", (const char *)b->dir.p,
                   oid_community_name(b->community), parts[i]);
        buf_str(text, "  " NAME "-");
        add_hex(text, bytes_of(k->id, k->id_len));
        buf_printf(text, "-%s {\n    cacert = ", parts[i]);
        add_quoted(text, buf_bytes(&path));
        buf_str(text, "\n  }\n");
        text->bad = text->bad || path.bad;
        buf_free(&path);
    }
    buf_str(text, "}\n");
    return buf_ok(text, e);
}

static void add_asked(const struct bounds *b, const char *indent, struct buf *out)
{
    buf_printf(out, "%scert_policy = %s\n%srevocation = %s\n", indent, b->policy, indent,
               b->crls ? "strict" : "ifuri");
}

static int add_connection(const char *name, const struct bounds *b, struct buf *text, struct err *e)
{
    if (name == NULL)
        return 0;
    if (name[0] == 0 ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] != 0)
        return cli_misuse(e, "--connection is a name of letters, digits, _ and -");
    buf_printf(text, "connections {\n  %s {\n    remote {\n", name);
    add_asked(b, "      ", text);
    buf_str(text, "    }\n  }\n}\n");
    return 0;
}

static int plan_bounds(struct setup *s, const struct setup_key *k, const struct bounds *b,
                       struct err *e)
{
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (!b->set)
        return 0;
    buf_str(&text, "# written by fusetsu setup strongswan\n");
    if (add_authorities(k, b, &text, e) == 0 &&
        add_connection(cli_option(setup_cli(s), "connection"), b, &text, e) == 0 &&
        place(&path, "/etc/swanctl/conf.d", k, "-trust.conf", e) == 0 && buf_ok(&text, e) == 0)
        rc = setup_file(s, (const char *)path.p, 0644, buf_bytes(&text), e);
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int say_bounds(struct setup *s, const struct bounds *b, struct err *e)
{
    struct buf line = {0};
    int rc = -1;

    if (!b->set)
        return 0;
    if (b->crls)
        setup_say(s,
                  "Without current CRLs nobody is let in. Whenever `fusetsu federation crls` took "
                  "new ones, and now, let charon read them, and forget those that it has at hand:");
    else
        setup_say(s,
                  "No CRLs are kept there: revocation is judged where the certificates say how. "
                  "Hand the CRLs of both nations to `fusetsu federation crls`, then run this "
                  "again, which asks for them. Whenever it took new ones, let charon read them:");
    buf_printf(
        &line,
        "cp '%s/crls/'*.crl /etc/swanctl/x509crl/\nswanctl --load-creds --noprompt\nswanctl --flush-certs",
        (const char *)b->dir.p);
    if (buf_cstr(&line) != NULL) {
        setup_lines(s, (const char *)line.p);
        rc = 0;
    } else {
        rc = buf_ok(&line, e);
    }
    buf_free(&line);
    return rc;
}

/* --- what is left to do ---------------------------------------------------------------------- */

/* By what the peer will know us: the first DNS name. */
static void add_identity(X509 *cert, struct buf *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const char *dns = NULL;

    for (int i = 0; dns == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            dns = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    }
    if (dns != NULL && issue_check_dns(dns, NULL) == 0)
        buf_printf(out, "      id = %s\n", dns);
    GENERAL_NAMES_free(names);
}

/* What to ask of the peer: a certificate of our own community, at our own level. */
static void add_policy(X509 *cert, struct buf *out)
{
    CERTIFICATEPOLICIES *list = X509_get_ext_d2i(cert, NID_certificate_policies, NULL, NULL);
    unsigned community = 0, level = 0, c, l;
    char policy[OID_TEXT_MAX];

    for (int i = 0; i < sk_POLICYINFO_num(list); i++) {
        if (oid_policy_of(sk_POLICYINFO_value(list, i)->policyid, &c, &l) && l > level) {
            community = c;
            level = l;
        }
    }
    if (level != 0 && oid_policy(community, level, policy, NULL) == 0)
        buf_printf(out, "      cert_policy = %s    # %s, level %u\n", policy,
                   oid_community_name(community), level);
    CERTIFICATEPOLICIES_free(list);
}

static int say_connection(struct setup *s, const struct setup_key *k, const struct bounds *b,
                          struct err *e)
{
    struct buf text = {0};
    X509 *cert = NULL;
    int rc = -1;

    if (issue_from_der(buf_bytes(&k->cert), &cert, e) != 0)
        return -1;
    buf_str(&text, "    local {\n"
                   "      auth = pubkey\n");
    add_identity(cert, &text);
    buf_str(&text, "      cert {\n"
                   "        handle = ");
    add_hex(&text, bytes_of(k->id, k->id_len));
    buf_str(&text, "\n"
                   "        module = " NAME "\n"
                   "      }\n"
                   "    }\n"
                   "    remote {\n"
                   "      auth = pubkey\n"
                   "      id = PEER\n");
    if (b->set)
        add_asked(b, "      ", &text);
    else
        add_policy(cert, &text);
    buf_str(&text, "    }");
    if (buf_cstr(&text) != NULL) {
        setup_say(s,
                  "A connection in swanctl.conf(5) uses the key, and asks the peer for %s "
                  "community and level, by:",
                  b->set ? "that" : "the same");
        setup_lines(s, (const char *)text.p);
        rc = 0;
    }
    X509_free(cert);
    buf_free(&text);
    return rc;
}

static void say_rest(struct setup *s)
{
    setup_say(s,
              "charon looks for modules when it starts: restart it, then load keys and "
              "connections. The PIN is %s.",
              cli_option(setup_cli(s), "pin-source") != NULL
                  ? "in the settings, readable by root alone"
                  : "asked for by:");
    setup_lines(s, "swanctl --load-all");
    setup_say(s, "Where AppArmor confines charon, it needs leave for module, store and TPM in "
                 "/etc/apparmor.d/local/usr.lib.ipsec.charon (and usr.sbin.charon-systemd); "
                 "fusetsu(1) has the lines.");
}

static int plan(struct setup *s, struct err *e)
{
    const struct setup_key *k = setup_certified_key(s, e);
    struct bounds b = {.set = false};
    int rc = -1;

    if (k == NULL || read_bounds(s, &b, e) != 0 || plan_module(s, k, e) != 0 ||
        plan_key(s, k, e) != 0 || plan_trust(s, k, e) != 0 || plan_bounds(s, k, &b, e) != 0 ||
        say_connection(s, k, &b, e) != 0 || say_bounds(s, &b, e) != 0)
        goto out;
    say_rest(s);
    rc = 0;
out:
    buf_free(&b.dir);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"token", "uri", "label", "id", NULL};
    static const struct setup_app app = {
        .name = "strongswan", .scopes = SETUP_SYSTEM, .which = which, .plan = plan};

    return setup_run(c, &app, e);
}

const struct cli_command cmd_setup_strongswan = {
    .group = "setup",
    .name = "strongswan",
    .shared = CLI_SETUP | CLI_TOKEN | CLI_KEY | CLI_JSON,
    .options = options,
    .summary = "let strongSwan find the module and load a key",
    .about =
        "Writes drop-ins of strongswan.conf (the module) and swanctl.conf (the key, by its id), "
        "and the certificates to trust, each into a file of its own. With --pin-source the PIN "
        "is copied from that file into the drop-in, which root alone can read, for starts with "
        "nobody there; otherwise swanctl asks for it. strongSwan wants a PIN for every key, also "
        "for one that needs none. With --community it trusts what a federation bounds, "
        "and lets the connection ask its peer for one policy, which is "
        "community and level in one.",
    .examples = "fusetsu setup strongswan --token gateway --label tls --trust ike.pem\n"
                "fusetsu setup strongswan --token gateway --label tls --trust /etc/fusetsu/us-jp "
                "--community communications --connection jp\n"
                "fusetsu setup strongswan --token gateway --label tls --undo",
    .run = run,
};
