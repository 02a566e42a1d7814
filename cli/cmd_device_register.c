#include "ca/authority.h"
#include "ca/device.h"
#include "cli/certs.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"ek", "FILE", "EK certificates of one TPM, as `fusetsu attest ek --out` writes them", false},
    {"device", "N", "or a device that is registered, which may have one more name", false},
    {"name", "NAME", "the DNS name that it may have, or the mail address of its holder", true},
    {"community", "NAME", "the community in which it may have it", true},
    {"operator", "TEXT", "whose device it is", false},
    {"officer", "TEXT", "the registration officer who says so", true},
    {"note", "TEXT", "where that is recorded, such as a procurement number", false},
    {0},
};

static int one_more_name(struct cli *c, struct registry *r, const char *dns, unsigned community,
                         struct registry_device *d, struct err *e)
{
    unsigned id;

    if (cli_number(c, "device", 1, INT32_MAX, 0, &id, e) != 0 ||
        registry_device_get(r, (int64_t)id, d, e) != 0)
        return -1;
    return registry_device_add_name(r, d->id, dns, community, e);
}

static int add(struct cli *c, struct authority *a, unsigned community, struct registry_device *d,
               struct err *e)
{
    const char *ek = cli_option(c, "ek"), *dns = cli_option(c, "name");
    STACK_OF(X509) *eks = NULL;
    int rc = -1;

    if (!issue_within(dns, authority_info(a)->domain))
        return err_set(e, E_ARG, "%.100s is not within %.100s, the authority's domain", dns,
                       authority_info(a)->domain);
    if (ek == NULL)
        return one_more_name(c, authority_registry(a), dns, community, d, e);
    if (certs_read(ek, &eks, e) == 0)
        rc = device_register(authority_registry(a), eks, d, dns, community, e);
    certs_free(eks);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct registry_device d = {.state = REGISTRY_DEVICE_ACTIVE, .created_at = time(NULL)};
    struct authority *a = NULL;
    unsigned community = 0;
    int rc = -1;

    if ((cli_option(c, "ek") == NULL) == (cli_option(c, "device") == NULL))
        return cli_misuse(e, "name a TPM with --ek, or a registered device with --device");
    if (cli_option(c, "ek") != NULL && cli_option(c, "operator") == NULL)
        return cli_misuse(e, "say with --operator whose device it is");
    if (community_parse(cli_option(c, "community"), &community, e) != 0 ||
        issue_check_subject(cli_option(c, "name"), e) != 0 ||
        cli_text(c, "operator", d.oper, sizeof(d.oper), e) != 0 ||
        cli_text(c, "officer", d.officer, sizeof(d.officer), e) != 0 ||
        cli_text(c, "note", d.note, sizeof(d.note), e) != 0)
        return -1;
    if (authority_open(&a, cli_option(c, "dir"), false, NULL, NULL, e) == 0 &&
        add(c, a, community, &d, e) == 0) {
        if (cli_flag(c, "json"))
            rc = cli_json(c, json_pack("{s:I}", "device", (json_int_t)d.id), e);
        else {
            out_para(stdout, "Device %lld (%s %s) of %s may have the name %s in %s.",
                     (long long)d.id, d.manufacturer, d.model, d.oper, cli_option(c, "name"),
                     oid_community_name(community));
            rc = 0;
        }
    }
    authority_close(a);
    return rc;
}

const struct cli_command cmd_device_register = {
    .group = "device",
    .name = "register",
    .shared = CLI_JSON,
    .options = options,
    .summary = "bind a TPM to its operator and to a name, before it is invited",
    .about = "A registration officer binds the endorsement keys of one TPM to an operator and to a "
             "name in a community, from a procurement record. Any retail TPM has endorsement "
             "certificates: without this an authority refuses it. Needs no PIN.",
    .examples =
        "fusetsu device register --dir us-ca --ek gw.ek --name gw.us.example "
        "--community communications --operator \"Example Telecom\" --officer \"R. Officer\" "
        "--note PO-2026-117\n"
        "fusetsu device register --dir us-ca --device 3 --name rsa.us.example "
        "--community communications --officer \"R. Officer\"",
    .run = run,
};
