#include "cli/commands.h"
#include "cli/enrolment.h"
#include "cli/out.h"
#include "cli/place.h"
#include "core/file.h"
#include "core/tpmname.h"
#include "tpm/attest.h"

#include <openssl/pem.h>
#include <stdio.h>

static const struct cli_option options[] = {
    {"ek", "FILE", "the certificate of this TPM's endorsement key, where the TPM has none", false},
    {"out", "FILE", "write its public key here, as PEM; - is standard output", false},
    {0},
};

static int write_public(const char *path, const struct pubkey *k, struct err *e)
{
    EVP_PKEY *pub = signer_evp_public(k, e);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long n;
    int rc = -1;

    if (pub == NULL || bio == NULL || PEM_write_bio_PUBKEY(bio, pub) != 1 ||
        (n = BIO_get_mem_data(bio, &text)) <= 0)
        err_openssl(e, E_CRYPTO, "writing the public key");
    else
        rc = file_write(path, bytes_of(text, (size_t)n), 0644, e);
    EVP_PKEY_free(pub);
    BIO_free(bio);
    return rc;
}

static int show(struct cli *c, uint32_t index, const TPM2B_NAME *name, const struct pubkey *k,
                struct err *e)
{
    char hex[2 * sizeof(name->name) + 1], ek[12];

    hex_encode(hex, name->name, name->size);
    snprintf(ek, sizeof(ek), "0x%08X", index);
    if (cli_flag(c, "json"))
        return cli_json(c, json_pack("{s:s,s:s,s:s}", "name", hex, "key", pubkey_name(k), "ek", ek),
                        e);
    printf("key   %s, restricted to what the TPM itself made\nEK    %s\nName  %s\n", pubkey_name(k),
           ek, hex);
    return 0;
}

static int run(struct cli *c, struct err *e)
{
    struct store_key ak = {.token = 0};
    struct place at = {0};
    struct pubkey k;
    TPM2B_NAME name;
    uint32_t ek;
    int rc = -1;

    if (place_login(c, &at, NULL, e) == 0 &&
        enrolment_template(at.tpm, cli_option(c, "ek"), &ek, e) == 0 &&
        attest_ak(at.token, ek, &ak, e) == 0 &&
        tpmname_object(buf_bytes(&ak.public), &name, e) == 0 && token_key_public(&ak, &k, e) == 0 &&
        (cli_option(c, "out") == NULL || write_public(cli_option(c, "out"), &k, e) == 0))
        rc = show(c, ek, &name, &k, e);
    store_key_free(&ak);
    place_close(&at);
    return rc;
}

const struct cli_command cmd_attest_ak = {
    .group = "attest",
    .name = "ak",
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "show the token's attestation key",
    .about = "Shows the key by which the TPM signs what it says of this token's keys; it is made "
             "under the first endorsement key when there is none yet.",
    .examples = "fusetsu attest ak --token gateway\nfusetsu attest ak --token gateway --out ak.pem",
    .run = run,
};
