#include "ca/vouch.h"
#include "cli/cakeys.h"
#include "cli/commands.h"
#include "cli/community.h"
#include "cli/out.h"
#include "core/asn1.h"
#include "core/file.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "the authority's directory", true},
    {"ek-public", "FILE", "the public key, as `fusetsu attest ek --create` writes it", true},
    {"manufacturer", "ID", "of the TPM, as in TPM_PT_MANUFACTURER: id:49465800", true},
    {"model", "TEXT", "of the TPM", true},
    {"version", "ID", "of its firmware: id:00070055", true},
    {"name", "DNS", "the name that it may have", true},
    {"community", "NAME", "the community in which it may have it", true},
    {"operator", "TEXT", "whose device it is", true},
    {"officer", "TEXT", "the registration officer who read the key from the machine", true},
    {"note", "TEXT", "where that is recorded, such as a procurement number", false},
    {"out", "FILE", "where to write the EK certificate; - is standard output", true},
    {0},
};

static int read_key(const char *path, struct pubkey *out, struct err *e)
{
    struct buf pem = {0}, der = {0};
    int rc = -1;

    if (file_read(path, 8192, &pem, e) == 0 &&
        asn1_pem_read("PUBLIC KEY", buf_bytes(&pem), 4096, &der, e) == 0)
        rc = pubkey_from_spki(out, buf_bytes(&der), e);
    if (rc != 0)
        err_prefix(e, "%s", path);
    buf_free(&pem);
    buf_free(&der);
    return rc;
}

static int read_options(const struct cli *c, struct vouch *v, struct pubkey *ek, struct err *e)
{
    struct registry_device *d = v->device;

    if (community_parse(cli_option(c, "community"), &v->community, e) != 0 ||
        issue_check_dns(cli_option(c, "name"), e) != 0 ||
        cli_text(c, "operator", d->oper, sizeof(d->oper), e) != 0 ||
        cli_text(c, "officer", d->officer, sizeof(d->officer), e) != 0 ||
        cli_text(c, "note", d->note, sizeof(d->note), e) != 0 ||
        cli_text(c, "manufacturer", v->tpm.manufacturer, sizeof(v->tpm.manufacturer), e) != 0 ||
        cli_text(c, "model", v->tpm.model, sizeof(v->tpm.model), e) != 0 ||
        cli_text(c, "version", v->tpm.version, sizeof(v->tpm.version), e) != 0)
        return -1;
    v->dns = cli_option(c, "name");
    v->ek = ek;
    return read_key(cli_option(c, "ek-public"), ek, e);
}

static int finish(struct cli *c, const struct vouch *v, X509 *cert, struct err *e)
{
    const struct registry_device *d = v->device;
    const char *out = cli_option(c, "out");
    struct buf pem = {0};
    int rc = -1;

    if (issue_to_pem(cert, &pem, e) != 0 || file_write(out, buf_bytes(&pem), 0644, e) != 0)
        goto out;
    rc = 0;
    if (cli_flag(c, "json"))
        rc = cli_json(c, json_pack("{s:I}", "device", (json_int_t)d->id), e);
    else if (strcmp(out, "-") != 0)
        out_para(stdout,
                 "Device %lld (%s %s) of %s may have the name %s in %s; its EK is certified "
                 "on the word of %s. Give %s to `fusetsu request --ek` on that machine.",
                 (long long)d->id, d->manufacturer, d->model, d->oper, v->dns,
                 oid_community_name(v->community), d->officer, out);
out:
    buf_free(&pem);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct registry_device d = {.state = REGISTRY_DEVICE_ACTIVE, .created_at = time(NULL)};
    struct vouch v = {.device = &d, .now = time(NULL)};
    struct authority *a = NULL;
    struct cakeys *keys = NULL;
    struct pubkey ek;
    X509 *cert = NULL;
    int rc = -1;

    if (strcmp(cli_option(c, "out"), "-") == 0 && cli_flag(c, "json"))
        return cli_misuse(e, "--json and --out - exclude each other");
    if (read_options(c, &v, &ek, e) != 0 || file_probe(cli_option(c, "out"), e) != 0)
        return -1;
    if ((keys = cakeys_new(c, e)) == NULL ||
        authority_open(&a, cli_option(c, "dir"), false, cakeys_signer, keys, e) != 0)
        goto out;
    if (!issue_within(v.dns, authority_info(a)->domain))
        err_set(e, E_ARG, "%.100s is not within %.100s, the authority's domain", v.dns,
                authority_info(a)->domain);
    else if (vouch_for(a, &v, &cert, e) == 0)
        rc = finish(c, &v, cert, e);
out:
    X509_free(cert);
    authority_close(a);
    cakeys_free(keys);
    return rc;
}

const struct cli_command cmd_device_certify = {
    .group = "device",
    .name = "certify",
    .shared = CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "certify the endorsement key of a TPM whose maker did not, and register it",
    .about =
        "Some TPMs come without a certificate of their endorsement key, so nothing tells them from "
        "software. A registration officer who has the machine in his hands reads the public key "
        "from it (attest ek --create) and has the authority certify it, as a maker would; the "
        "device is registered with it. A key that came by mail, or over the network, is not to be "
        "certified: it could be anybody's. Allies see that the authority vouches for the TPM, and "
        "trust it when they pin the attestation CA (ca export).",
    .examples = "fusetsu device certify --dir us-ca --ek-public gw.pub --manufacturer id:49465800 "
                "--model SLB9670 --version id:00070055 --name gw.us.example "
                "--community communications --operator \"Example Telecom\" "
                "--officer \"R. Officer\" --note PO-2026-117 --out gw-ek.pem",
    .run = run,
};
