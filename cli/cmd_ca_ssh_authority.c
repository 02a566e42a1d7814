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
    enum { FOUND, MADE, ADOPTED } how; /* the key */
};

/* Could it be one that was made here, and serves nothing else? */
static bool fits(struct work *w, struct keyring *ring, const struct keyring_object *o)
{
    struct registry_key key = {.id_len = o->id_len};
    struct err why = {0}; /* what cannot be read is not the one */
    struct pubkey pub;

    memcpy(key.id, o->id, key.id_len);
    return key.id_len != 0 && keyring_signs_only(ring, o) &&
           keyring_public(ring, o, &pub, &why) == 0 && pub.curve != NULL &&
           strcmp(pub.curve->name, "P-256") == 0 &&
           registry_ssh_key_taken(authority_registry(w->a), w->community, &key, &why) == 0;
}

/* What there is when nobody recorded it: who made it was killed before, or the registry is one of a
 * backup. Clients may know that key already. 1, 0 or -1. */
static int adopt(struct work *w, struct keyring *ring, const char *label,
                 struct keyring_object *out, struct err *e)
{
    struct keyring_object *list = NULL;
    size_t n = 0;
    int rc = 0;

    if (keyring_list(ring, CKO_PRIVATE_KEY, &list, &n, e) != 0)
        return -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (strcmp(list[i].label, label) != 0)
            continue;
        if (!fits(w, ring, &list[i])) {
            rc =
                err_set(e, E_EXISTS,
                        "token %s has a key labelled %s that is no P-256 key for signatures alone, "
                        "or serves something else; delete it (`fusetsu key delete`) if nothing "
                        "needs it",
                        keyring_row(ring)->label, label);
            break;
        }
        *out = list[i];
        list[i].value = (struct buf){0};
        rc = 1;
    }
    keyring_objects_free(list, n);
    return rc;
}

/* There is one for each community. Of two runs at once the later takes what the other recorded, and
 * destroys what it made. What could not be recorded stays: the next run adopts it. */
static int record(struct work *w, struct keyring *ring, const struct keyring_object *object,
                  struct registry_key *where, struct err *e)
{
    struct registry *r = authority_registry(w->a);
    struct registry_key theirs;
    struct buf spki = {0}, other = {0};
    struct pubkey pub;
    struct err why = {0};
    int rc = -1;

    where->id_len = object->id_len;
    memcpy(where->id, object->id, object->id_len);
    if (keyring_public(ring, object, &pub, e) != 0 || pubkey_to_spki(&pub, &spki, e) != 0)
        goto out;
    rc = registry_set_ssh_ca(r, w->community, where, buf_bytes(&spki), &why);
    if (rc == 0)
        goto out;
    if (why.code != E_EXISTS) {
        err_take(e, &why);
        goto out;
    }
    rc = registry_ssh_ca(r, w->community, &theirs, &other, e);
    if (rc == 0 && w->how == MADE && !bytes_equal(buf_bytes(&spki), buf_bytes(&other)))
        rc = keyring_destroy_pair(ring, object, e);
    w->how = FOUND;
out:
    buf_free(&spki);
    buf_free(&other);
    return rc;
}

/* A key beside that of the issuing CA. */
static int make_key(struct work *w, struct err *e)
{
    struct keyring_object object = {0};
    struct keyring *ring = NULL;
    struct registry_key where;
    struct buf der = {0};
    char label[100];
    struct keyring_spec spec = {.type = "p256", .label = label, .sign_only = true};
    struct err why = {0};
    int rc = -1, there;

    snprintf(label, sizeof(label), "%s SSH CA %s", authority_info(w->a)->nation,
             oid_community_name(w->community));
    if (registry_ca(authority_registry(w->a), REGISTRY_ISSUING, w->community, &where, &der, e) !=
            0 ||
        cakeys_ring(w->keys, where.token, &ring, e) != 0 ||
        (there = adopt(w, ring, label, &object, e)) < 0)
        goto out;
    w->how = there == 1 ? ADOPTED : MADE;
    if (there == 0 && keyring_generate(ring, &spec, &object, &why) != 0) {
        /* Another run was faster? */
        if (why.code != E_EXISTS || (there = adopt(w, ring, label, &object, e)) != 1) {
            err_take(e, &why);
            goto out;
        }
        w->how = ADOPTED;
    }
    rc = record(w, ring, &object, &where, e);
out:
    keyring_object_free(&object);
    buf_free(&der);
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
    static const char *const hows[] = {"the one that there was", "made",
                                       "one that the token had already, and recorded now"};
    const char *person = cli_option(c, "authorize");
    struct work w = {.community = 0};
    struct registry_key where;
    struct buf spki = {0};
    struct err why = {0};
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
    }
    if (write_out(c, &w, e) != 0)
        goto out;
    if (strcmp(cli_option(c, "out"), "-") != 0)
        out_para(stdout, "The key that certifies for SSH in %s is %s; its public half is in %s.",
                 oid_community_name(w.community), hows[w.how], cli_option(c, "out"));
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
        "of the issuing CA, and writes its public half. One that the token has by that name and that "
        "nobody recorded (the registry is of a backup, or a run was killed) is taken. With --known-hosts it is the line by "
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
