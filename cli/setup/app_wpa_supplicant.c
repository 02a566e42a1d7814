/* wpa_supplicant 2.10 with OpenSSL's pkcs11 engine (libp11): EAP-TLS on a wire or in the air. */
#include "cli/commands.h"
#include "cli/setup/lines.h"
#include "cli/setup/setup.h"

#include "ca/issue.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The only directory that Debian's program loads libraries from (CVE-2024-5290). */
#define TRUSTED "/usr/lib/"

/* wpa_supplicant.conf(5): a string in quotes, which knows no escapes, or else as hex. */
static void add_string(struct buf *out, const char *name, const char *value)
{
    bool plain = *value != 0;

    for (const char *p = value; *p != 0; p++)
        plain = plain && *p >= ' ' && *p < 0x7f && *p != '"';
    buf_printf(out, "%s=", name);
    if (plain)
        buf_printf(out, "\"%s\"", value);
    else
        buf_hex(out, value, strlen(value));
    buf_u8(out, '\n');
}

static int add_file(struct buf *out, const char *name, const char *given, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    if (setup_absolute(given, &path, e) == 0) {
        if (strpbrk((const char *)path.p, "\"\r\n") != NULL) {
            cli_misuse(e, "wpa_supplicant's settings cannot hold the path %s; choose another",
                       given);
        } else {
            add_string(out, name, (const char *)path.p);
            rc = 0;
        }
    }
    buf_free(&path);
    return rc;
}

/* --- the module ---------------------------------------------------------------------------- */

/* Where this machine's OpenSSL has its engines: `ENGINESDIR: "/usr/lib/.../engines-3"`. */
static int engine_path(struct buf *out, struct err *e)
{
    const char *dir = OpenSSL_version(OPENSSL_ENGINES_DIR), *quote = strchr(dir, '"');

    if (quote != NULL)
        buf_printf(out, "%.*s/pkcs11.so", (int)strcspn(quote + 1, "\""), quote + 1);
    if (buf_cstr(out) == NULL)
        return err_set(e, E_MEMORY, "out of memory for a path");
    if (out->len == 0 || access((const char *)out->p, R_OK) != 0)
        return err_set(e, E_NOT_FOUND,
                       "wpa_supplicant needs OpenSSL's pkcs11 engine, which is not in %s; install "
                       "libengine-pkcs11-openssl",
                       out->len != 0 ? (const char *)out->p : dir);
    return 0;
}

/* Where the program would refuse our module it gets there by the engine's own default, p11-kit. */
static int add_module(struct setup *s, struct buf *out, struct err *e)
{
    const char *module = setup_module(s, e);
    char *real = module != NULL ? realpath(module, NULL) : NULL;
    struct buf engine = {0};
    int rc = -1;

    if (module == NULL || engine_path(&engine, e) != 0)
        goto out;
    if (strncmp(real != NULL ? real : module, TRUSTED, strlen(TRUSTED)) == 0) {
        buf_printf(out, "pkcs11_engine_path=%s\npkcs11_module_path=%s\n", (const char *)engine.p,
                   module);
    } else {
        setup_say(s,
                  "wpa_supplicant loads modules from below " TRUSTED " only, and %s is not there: "
                  "it finds the token by p11-kit, once `fusetsu setup p11-kit` has been run for "
                  "the system.",
                  module);
    }
    rc = 0;
out:
    buf_free(&engine);
    free(real);
    return rc;
}

/* The last of several such lines would count for all networks. */
static int check_rest(struct setup *s, const char *path, const char *ours, struct err *e)
{
    static const char *const words[] = {"pkcs11_engine_path", "pkcs11_module_path", NULL};
    struct bytes have;

    if (setup_content(s, path, &have, e) != 0)
        return -1;
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *const one[] = {words[i], NULL};
        struct lines_hit theirs, mine;

        if (!lines_find(have, one, &theirs))
            continue;
        if (!lines_find(bytes_of(ours, strlen(ours)), one, &mine) ||
            !bytes_equal(mine.text, theirs.text))
            return err_set(e, E_EXISTS,
                           "%s, line %zu, sets %s for another module; put a # before that line, "
                           "then try again",
                           path, theirs.number, theirs.word);
    }
    return 0;
}

/* --- the network --------------------------------------------------------------------------- */

/* Who we say we are before TLS begins: what is asked for, else the certificate's common name. */
static int add_identity(struct setup *s, const struct setup_key *k, struct buf *out, struct err *e)
{
    const char *given = cli_option(setup_cli(s), "identity");
    unsigned char *name = NULL;
    X509 *cert = NULL;
    int rc = -1, at;

    if (given == NULL) {
        X509_NAME *subject;

        if (issue_from_der(buf_bytes(&k->cert), &cert, e) != 0)
            return -1;
        subject = X509_get_subject_name(cert);
        at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (at >= 0 && ASN1_STRING_to_UTF8(
                           &name, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) > 0)
            given = (const char *)name;
    }
    if (given == NULL || *given == 0) {
        cli_misuse(e, "the certificate has no common name; say who this is with --identity");
    } else {
        add_string(out, "identity", given);
        rc = 0;
    }
    OPENSSL_free(name);
    X509_free(cert);
    return rc;
}

static int add_network(struct setup *s, const struct setup_key *k, struct buf *out, struct err *e)
{
    struct cli *c = setup_cli(s);
    const char *ssid = cli_option(c, "ssid"), *ca = cli_option(c, "ca");
    const char *server = cli_option(c, "server");
    struct buf cert = {0}, key = {0};
    int rc = -1;

    if (ca == NULL)
        return cli_misuse(e, "name the file with the network's CA with --ca: without it "
                             "wpa_supplicant believes any network");
    if (ssid != NULL && (*ssid == 0 || strlen(ssid) > 32))
        return cli_misuse(e, "--ssid: 1 to 32 bytes, not '%s'", ssid);
    buf_str(out, ssid != NULL ? "network={\n" : "ap_scan=0\nnetwork={\n");
    if (ssid != NULL)
        add_string(out, "ssid", ssid);
    buf_str(out, ssid != NULL ? "key_mgmt=WPA-EAP WPA-EAP-SHA256\n"
                              : "key_mgmt=IEEE8021X\neapol_flags=0\n");
    buf_str(out, "eap=TLS\n");
    if (add_identity(s, k, out, e) != 0 || add_file(out, "ca_cert", ca, e) != 0 ||
        setup_uri(s, k, "cert", &cert, e) != 0 || setup_uri(s, k, "private", &key, e) != 0)
        goto out;
    if (server != NULL)
        add_string(out, "domain_match", server);
    add_string(out, "client_cert", (const char *)cert.p);
    add_string(out, "private_key", (const char *)key.p);
    buf_str(out, "}\n");
    rc = 0;
out:
    buf_free(&cert);
    buf_free(&key);
    return rc;
}

static void tell(struct setup *s)
{
    if (cli_option(setup_cli(s), "server") == NULL)
        setup_say(s, "Every server that the CA certified counts as the network's; --server NAME "
                     "allows one name.");
    if (cli_option(setup_cli(s), "pin-source") == NULL)
        setup_say(s, "wpa_supplicant asks for the PIN at its control interface and calls it a "
                     "passphrase; in wpa_cli, answer with `pin NETWORK PIN`. --pin-source names a "
                     "file with it for a machine that shall enter unattended.");
}

/* --- the command --------------------------------------------------------------------------- */

static int plan(struct setup *s, struct err *e)
{
    const struct block bottom = {.comment = "#", .place = BLOCK_BOTTOM};
    const char *file = cli_option(setup_cli(s), "file");
    const struct setup_key *k = setup_certified_key(s, e);
    struct buf path = {0}, text = {0};
    int rc = -1;

    if (k == NULL || add_module(s, &text, e) != 0 || add_network(s, k, &text, e) != 0)
        goto out;
    if (buf_cstr(&text) == NULL) {
        err_set(e, E_MEMORY, "out of memory for lines of wpa_supplicant's");
        goto out;
    }
    if (file == NULL) {
        setup_say(s, "The lines for wpa_supplicant's configuration file:");
        setup_lines(s, (const char *)text.p);
    } else if (setup_absolute(file, &path, e) != 0 ||
               check_rest(s, (const char *)path.p, (const char *)text.p, e) != 0 ||
               setup_block(s, (const char *)path.p, 0600, bottom, (const char *)text.p, e) != 0) {
        goto out;
    }
    tell(s);
    rc = 0;
out:
    buf_free(&path);
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    static const char *const which[] = {"file", "ssid", NULL};
    static const struct setup_app app = {.name = "wpa_supplicant",
                                         .scopes = SETUP_USER | SETUP_SYSTEM,
                                         .which = which,
                                         .plan = plan};

    return setup_run(c, &app, e);
}

static const struct cli_option options[] = {
    {"file", "FILE", "the configuration file to put the lines into (default: print them)", false},
    {"ssid", "TEXT", "the wireless network (default: a wired one)", false},
    {"identity", "TEXT", "who to say this is (default: the certificate's common name)", false},
    {"ca", "FILE", "PEM certificates of those who certify the network's servers", false},
    {"server", "DNS", "the only name that such a server may have", false},
    {NULL, NULL, NULL, false},
};

const struct cli_command cmd_setup_wpa_supplicant = {
    .group = "setup",
    .name = "wpa_supplicant",
    .shared = CLI_SETUP | CLI_SCOPE | CLI_TOKEN | CLI_KEY | CLI_JSON,
    .options = options,
    .summary = "let wpa_supplicant enter a network with a key of the token",
    .about = "Puts a network with EAP-TLS at the end of a configuration file of wpa_supplicant's: "
             "a wireless one with --ssid, else 802.1X on a wire.",
    .examples = "fusetsu setup wpa_supplicant --ssid office --ca net-ca.pem --server "
                "radius.example.org --file /etc/wpa_supplicant/wpa_supplicant.conf\n"
                "fusetsu setup wpa_supplicant --ca net-ca.pem --label wire",
    .run = run,
};
