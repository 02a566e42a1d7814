#include "cli/approvals.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"type", "TYPE", "one of p256, p384, p521, rsa2048, rsa3072, rsa4096", true},
    {"label", "TEXT", "what to call the key (CKA_LABEL)", true},
    {"id", "HEX", "CKA_ID, by which programs join key and certificate; drawn when not given",
     false},
    {"sign-only", NULL, "an RSA key that cannot decrypt; PSS then only as the TPM itself pads",
     false},
    {"auth", "MODE",
     "what each use takes: session (the login, default), each (the PIN every time), approved "
     "(another device's approval), none",
     false},
    {"approver", "FILE",
     "with --auth approved: who approves, as `fusetsu approver create` wrote it", false},
    {"purpose", "TEXT", "with --auth approved: what uses are approved for (default: the label)",
     false},
    {"pcrs", "LIST", "bind the key to PCRs as they are now, e.g. sha256:0,2,7", false},
    {"pcrs-updatable", NULL,
     "with --pcrs: the SO approves the values, now and after updates (fusetsu key approve-pcrs)",
     false},
    {"extractable", NULL,
     "the key may leave the TPM, wrapped by another key; it then never counts as attested", false},
    {0},
};

static int read_auth(const char *mode, CK_ULONG *auth, struct err *e)
{
    static const char *const modes[] = {[CK_FUSETSU_AUTH_SESSION] = "session",
                                        [CK_FUSETSU_AUTH_EACH] = "each",
                                        [CK_FUSETSU_AUTH_NONE] = "none",
                                        [CK_FUSETSU_AUTH_APPROVED] = "approved"};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (mode == NULL || strcmp(mode, modes[i]) == 0) {
            *auth = (CK_ULONG)i;
            return 0;
        }
    }
    return cli_misuse(e, "--auth is session, each, approved or none, not \"%.20s\"", mode);
}

static int report(struct cli *c, const struct keyring_object *key, const struct pubkey *pub,
                  struct err *e)
{
    char id[2 * KEYRING_ID_MAX + 1];

    hex_encode(id, key->id, key->id_len);
    if (cli_flag(c, "json"))
        return cli_json(c,
                        json_pack("{s:o,s:s,s:s}", "label", out_json_text(key->label), "id", id,
                                  "type", pubkey_name(pub)),
                        e);
    out_para(stdout, "%s key \"%s\" is made, id %s. %s", pubkey_name(pub), key->label, id,
             cli_flag(c, "extractable") ? "It may leave this TPM, wrapped by another key."
                                        : "Its private half exists only in this TPM.");
    if (cli_flag(c, "pcrs-updatable"))
        out_para(stdout, "It works once the SO has approved PCR values for it: `fusetsu key "
                         "approve-pcrs`.");
    return 0;
}

/* --approver, and that it is there just when it is needed; `serial` of its token. */
static int read_approver(struct cli *c, struct keyring_spec *spec, struct buf *der, char serial[17],
                         struct err *e)
{
    struct approval_approver a;
    const char *path = cli_option(c, "approver");
    const char *purpose = cli_option(c, "purpose");

    spec->purpose = purpose;
    if (spec->auth != CK_FUSETSU_AUTH_APPROVED)
        return path == NULL && spec->purpose == NULL
                   ? 0
                   : cli_misuse(e, "--approver and --purpose go with --auth approved only");
    if (path == NULL)
        return cli_misuse(e, "--auth approved needs --approver FILE: whose approval it shall be");
    /* The label is the purpose where no other is given. */
    if (strlen(purpose != NULL ? purpose : spec->label) >= APPROVAL_TEXT)
        return cli_misuse(e, "the purpose of a key has at most %d bytes%s", APPROVAL_TEXT - 1,
                          purpose != NULL ? "" : "; this label is longer: add --purpose TEXT");
    if (approvals_read(path, APPROVAL_APPROVER_PEM, der, e) != 0 ||
        approval_approver_decode(buf_bytes(der), &a, e) != 0)
        return err_prefix(e, "the approver");
    memcpy(serial, a.serial, sizeof(a.serial));
    approval_approver_free(&a);
    spec->approver = buf_bytes(der);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct keyring_spec spec = {.type = cli_option(c, "type"),
                                .label = cli_option(c, "label"),
                                .sign_only = cli_flag(c, "sign-only"),
                                .extractable = cli_flag(c, "extractable"),
                                .pcrs_updatable = cli_flag(c, "pcrs-updatable"),
                                .pcrs = cli_option(c, "pcrs")};
    struct keyring_object key = {0};
    uint8_t id[KEYRING_ID_MAX];
    struct keyring *k = NULL;
    struct buf approver = {0};
    char approves[17] = "";
    struct pubkey pub;
    int rc = -1;

    if (keyring_check_type(spec.type, e) != 0 ||
        read_auth(cli_option(c, "auth"), &spec.auth, e) != 0)
        return -1;
    if (spec.pcrs_updatable && spec.pcrs == NULL)
        return cli_misuse(e, "--pcrs-updatable goes with --pcrs LIST only");
    if (spec.extractable && (spec.auth != CK_FUSETSU_AUTH_SESSION || spec.pcrs != NULL))
        return cli_misuse(e, "--extractable excludes --auth and --pcrs: a key that leaves the TPM "
                             "leaves them behind");
    if (cli_option(c, "id") != NULL) {
        if (wanted_parse_id(cli_option(c, "id"), id, &spec.id.len, e) != 0)
            return -1;
        spec.id.p = id;
    }
    if (read_approver(c, &spec, &approver, approves, e) == 0 &&
        keyring_open(&k, c, KEYRING_LOGIN | KEYRING_WRITE, e) == 0 &&
        keyring_generate(k, &spec, &key, e) == 0 && keyring_public(k, &key, &pub, e) == 0)
        rc = report(c, &key, &pub, e);
    if (rc == 0 && strcmp(approves, keyring_row(k)->serial) == 0)
        out_para(stderr,
                 "WARNING: the approver's key is in this token, too: who has its user PIN "
                 "approves what he asks for himself. Keep it in the token of somebody else, "
                 "on another machine.");
    keyring_object_free(&key);
    keyring_close(k);
    buf_free(&approver);
    return rc;
}

const struct cli_command cmd_key_generate = {
    .group = "key",
    .name = "generate",
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "make a key pair in the TPM",
    .about = "Makes a key pair inside the token's TPM, through the PKCS#11 module, so that every "
             "PKCS#11 program sees it. RSA keys take the TPM seconds to minutes.",
    .examples = "fusetsu key generate --token gateway --type p256 --label tls\n"
                "fusetsu key generate --token gateway --type rsa2048 --label mail --id 01\n"
                "fusetsu key generate --token gateway --type p256 --label boot --auth none "
                "--pcrs sha256:0,2,7\n"
                "fusetsu key generate --token gateway --type p256 --label seal --auth approved "
                "--approver officer.pem",
    .run = run,
};
