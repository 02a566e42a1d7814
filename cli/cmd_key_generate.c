#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"

#include <stdio.h>

static const struct cli_option options[] = {
    {"type", "TYPE", "one of p256, p384, rsa2048, rsa3072", true},
    {"label", "TEXT", "what to call the key (CKA_LABEL)", true},
    {"id", "HEX", "CKA_ID, by which programs join key and certificate; drawn when not given",
     false},
    {"sign-only", NULL, "an RSA key that cannot decrypt; PSS then only as the TPM itself pads",
     false},
    {0},
};

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
    out_para(stdout, "%s key \"%s\" is made, id %s. Its private half exists only in this TPM.",
             pubkey_name(pub), key->label, id);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct keyring_spec spec = {.type = cli_option(c, "type"),
                                .label = cli_option(c, "label"),
                                .sign_only = cli_flag(c, "sign-only")};
    struct keyring_object key = {0};
    uint8_t id[KEYRING_ID_MAX];
    struct keyring *k = NULL;
    struct pubkey pub;
    int rc = -1;

    if (keyring_check_type(spec.type, e) != 0)
        return -1;
    if (cli_option(c, "id") != NULL) {
        if (keyring_parse_id(cli_option(c, "id"), id, &spec.id.len, e) != 0)
            return -1;
        spec.id.p = id;
    }
    if (keyring_open(&k, c, KEYRING_LOGIN | KEYRING_WRITE, e) == 0 &&
        keyring_generate(k, &spec, &key, e) == 0 && keyring_public(k, &key, &pub, e) == 0)
        rc = report(c, &key, &pub, e);
    keyring_object_free(&key);
    keyring_close(k);
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
                "fusetsu key generate --token gateway --type rsa2048 --label mail --id 01",
    .run = run,
};
