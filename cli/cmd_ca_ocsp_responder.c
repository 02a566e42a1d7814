#include "ca/ocsp.h"
#include "cli/cakeys.h"
#include "cli/caname.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"for", "CA", "root, cross, attestation, issuing:COMMUNITY or basic:COMMUNITY", true},
    {"days", "N", "how long it is certified, 1 to 30 days (default 7)", false},
    {"auth", "MODE", "what its key asks for: session (the login, default) or none", false},
    {0},
};

struct work {
    struct cli *c;
    struct authority *a;
    struct cakeys *keys;
    enum registry_role role;
    unsigned community, days;
    bool made; /* a new key, which goes again when nothing comes of it */
    struct keyring *ring;
    struct keyring_object object;
};

static int read_auth(struct cli *c, CK_ULONG *auth, struct err *e)
{
    const char *mode = cli_option(c, "auth");

    *auth = CK_FUSETSU_AUTH_SESSION;
    if (mode == NULL || strcmp(mode, "session") == 0)
        return 0;
    *auth = CK_FUSETSU_AUTH_NONE;
    return strcmp(mode, "none") == 0
               ? 0
               : cli_misuse(e, "--auth is session or none, not \"%.20s\"", mode);
}

/* A key beside that of the CA. */
static int make_key(struct work *w, struct registry_key *where, struct err *e)
{
    const char *nation = authority_info(w->a)->nation;
    struct registry_key ca;
    struct buf der = {0};
    char label[100];
    struct keyring_spec spec = {.type = "p256", .label = label, .sign_only = true};
    int rc = -1;

    snprintf(label, sizeof(label), "%s OCSP responder %s", nation,
             w->community != 0 ? oid_community_name(w->community) : registry_role_name(w->role));
    if (read_auth(w->c, &spec.auth, e) != 0 ||
        registry_ca(authority_registry(w->a), w->role, w->community, &ca, &der, e) != 0 ||
        cakeys_ring(w->keys, ca.token, &w->ring, e) != 0 ||
        keyring_generate(w->ring, &spec, &w->object, e) != 0)
        goto out;
    w->made = true;
    *where = (struct registry_key){.id_len = w->object.id_len};
    memcpy(where->token, ca.token, sizeof(where->token));
    memcpy(where->id, w->object.id, w->object.id_len);
    rc = 0;
out:
    buf_free(&der);
    return rc;
}

/* The key that there is, or a new one; certified. */
static int certify(struct work *w, X509 **cert, struct err *e)
{
    struct registry_key where;
    struct buf der = {0};
    struct signer *signer = NULL;
    struct err why = {0};
    int rc = -1;

    if (registry_responder(authority_registry(w->a), w->role, w->community, &where, &der, &why) !=
        0) {
        if (why.code != E_NOT_FOUND) {
            err_take(e, &why);
            goto out;
        }
        if (make_key(w, &where, e) != 0)
            goto out;
    }
    if (cakeys_open(w->keys, &where, &signer, e) == 0)
        rc = ocsp_certify(w->a, w->role, w->community, &where, &signer->pub, (int)w->days,
                          time(NULL), cert, e);
    if (rc != 0 && w->made) {
        struct err ignored = {0}; /* the first failure is the one to tell */

        if (keyring_destroy_pair(w->ring, &w->object, &ignored) != 0)
            err_prefix(e, "the new key stays in the token");
    }
out:
    signer_free(signer);
    buf_free(&der);
    return rc;
}

static int report(struct work *w, X509 *cert, struct err *e)
{
    char until[CERTS_TEXT], serial[ISSUE_SERIAL_TEXT], name[CANAME_MAX];

    if (issue_serial(cert, serial, e) != 0)
        return -1;
    certs_time(X509_get0_notAfter(cert), until);
    if (cli_flag(w->c, "json"))
        return cli_json(
            w->c,
            json_pack("{s:b,s:s,s:s}", "new_key", w->made, "serial", serial, "expires_at", until),
            e);
    caname_text(w->role, w->community, name);
    out_para(stdout, "The OCSP responder of the %s CA is certified until %s, by %s key.", name,
             until, w->made ? "a new" : "the same");
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct work w = {.c = c};
    X509 *cert = NULL;
    CK_ULONG auth;
    int rc = -1;

    if (caname_parse(cli_option(c, "for"), &w.role, &w.community, e) != 0 ||
        cli_number(c, "days", 1, 30, 7, &w.days, e) != 0 || read_auth(c, &auth, e) != 0)
        return -1;
    if ((w.keys = cakeys_new(c, e)) == NULL ||
        authority_open(&w.a, cli_option(c, "dir"), false, cakeys_signer, w.keys, e) != 0 ||
        certify(&w, &cert, e) != 0)
        goto out;
    rc = report(&w, cert, e);
out:
    X509_free(cert);
    keyring_object_free(&w.object);
    authority_close(w.a);
    cakeys_free(w.keys);
    return rc;
}

const struct cli_command cmd_ca_ocsp_responder = {
    .group = "ca",
    .name = "ocsp-responder",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "make, or certify again, what signs OCSP answers",
    .about =
        "Makes a key beside that of the CA and lets the CA certify it for OCSP answers alone, for "
        "a few days: it cannot be revoked. Run again, it certifies the same key anew. With --auth "
        "none whoever reaches the TPM and the store can sign answers, and nothing else.",
    .examples = "fusetsu ca ocsp-responder --dir us-ca --for issuing:communications\n"
                "fusetsu ca ocsp-responder --dir us-ca --for cross --auth none --days 2",
    .run = run,
};
