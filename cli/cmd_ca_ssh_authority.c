#include "ca/registry_ssh.h"
#include "ca/ssh.h"
#include "cli/cakeys.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"community", "NAME", "the community for which it certifies", true},
    {"known-hosts", NULL, "write the line that clients put into known_hosts, not the key alone",
     false},
    {"authorize", "MAIL", "or the line that servers put into authorized_keys for this person",
     false},
    {"out", "FILE", "where to write its public key; - is standard output", true},
    {0},
};

struct work {
    struct authority *a;
    struct cakeys *keys;
    unsigned community;
};

/* A key beside that of the issuing CA; destroyed again when it cannot be recorded. */
static int make_key(struct work *w, struct err *e)
{
    struct registry *r = authority_registry(w->a);
    struct keyring_object object = {0};
    struct keyring *ring = NULL;
    struct registry_key where;
    struct buf der = {0}, spki = {0};
    char label[100];
    struct keyring_spec spec = {.type = "p256", .label = label, .sign_only = true};
    struct pubkey pub;
    int rc = -1;

    snprintf(label, sizeof(label), "%s SSH CA %s", authority_info(w->a)->nation,
             oid_community_name(w->community));
    if (registry_ca(r, REGISTRY_ISSUING, w->community, &where, &der, e) != 0 ||
        cakeys_ring(w->keys, where.token, &ring, e) != 0 ||
        keyring_generate(ring, &spec, &object, e) != 0)
        goto out;
    where.id_len = object.id_len;
    memcpy(where.id, object.id, object.id_len);
    if (keyring_public(ring, &object, &pub, e) == 0 && pubkey_to_spki(&pub, &spki, e) == 0)
        rc = registry_set_ssh_ca(r, w->community, &where, buf_bytes(&spki), e);
    if (rc != 0) {
        struct err ignored = {0}; /* the first failure is the one to tell */

        if (keyring_destroy_pair(ring, &object, &ignored) != 0)
            err_prefix(e, "the new key stays in the token");
    }
out:
    keyring_object_free(&object);
    buf_free(&der);
    buf_free(&spki);
    return rc;
}

/* Clients believe it for hosts of the nation alone, servers for the one person. A key in
 * TrustedUserCAKeys is believed for every name, an ally's too. */
static int write_out(struct cli *c, struct work *w, struct err *e)
{
    const char *domain = authority_info(w->a)->domain, *person = cli_option(c, "authorize");
    struct buf text = {0};
    int rc = -1;

    if (cli_flag(c, "known-hosts"))
        buf_printf(&text, "@cert-authority %s,*.%s ", domain, domain);
    if (person != NULL)
        buf_printf(&text, "cert-authority,principals=\"%s\" ", person);
    if (ssh_authority_line(w->a, w->community, &text, e) == 0) {
        buf_u8(&text, '\n');
        if (buf_ok(&text, e) == 0)
            rc = file_write(cli_option(c, "out"), buf_bytes(&text), 0644, e);
    }
    buf_free(&text);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *person = cli_option(c, "authorize");
    struct work w = {.community = 0};
    struct registry_key where;
    struct buf spki = {0};
    struct err why = {0};
    bool made = false;
    int rc = -1;

    if (person != NULL && cli_flag(c, "known-hosts"))
        return cli_misuse(e, "--known-hosts and --authorize are two lines: ask for one");
    if (community_parse(cli_option(c, "community"), &w.community, e) != 0 ||
        (person != NULL && issue_check_mail(person, e) != 0) ||
        file_probe(cli_option(c, "out"), e) != 0)
        return -1;
    if ((w.keys = cakeys_new(c, e)) == NULL ||
        authority_open(&w.a, cli_option(c, "dir"), false, cakeys_signer, w.keys, e) != 0)
        goto out;
    if (person != NULL && !issue_within(person, authority_info(w.a)->domain)) {
        err_set(e, E_ARG, "%.100s is not within %.100s: its own authority lets it in", person,
                authority_info(w.a)->domain);
        goto out;
    }
    if (registry_ssh_ca(authority_registry(w.a), w.community, &where, &spki, &why) != 0) {
        if (why.code != E_NOT_FOUND) {
            err_take(e, &why);
            goto out;
        }
        if (make_key(&w, e) != 0)
            goto out;
        made = true;
    }
    if (write_out(c, &w, e) != 0)
        goto out;
    if (strcmp(cli_option(c, "out"), "-") != 0)
        out_para(stdout, "The key that certifies for SSH in %s is %s; its public half is in %s.",
                 oid_community_name(w.community), made ? "made" : "the one that there was",
                 cli_option(c, "out"));
    rc = 0;
out:
    authority_close(w.a);
    cakeys_free(w.keys);
    buf_free(&spki);
    return rc;
}

const struct cli_command cmd_ca_ssh_authority = {
    .group = "ca",
    .name = "ssh-authority",
    .shared = CLI_USER_PIN,
    .options = options,
    .summary = "make the key that certifies for SSH",
    .about =
        "Makes, once for each community, the key that signs certificates for SSH, in the token "
        "of the issuing CA, and writes its public half. With --known-hosts it is the line by "
        "which clients believe hosts of this nation's domain, and of no other; with --authorize "
        "the line by which a server lets one person of this nation into an account. As "
        "TrustedUserCAKeys sshd would believe it for persons of all nations.",
    .examples = "fusetsu ca ssh-authority --dir us-ca --community communications --out us-ssh.pub\n"
                "fusetsu ca ssh-authority --dir us-ca --community communications --known-hosts "
                "--out -\n"
                "fusetsu ca ssh-authority --dir us-ca --community communications --authorize "
                "alice@us.example --out -",
    .run = run,
};
