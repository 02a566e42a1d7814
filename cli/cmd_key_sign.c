#include "cli/approvals.h"
#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option options[] = {
    {"in", "FILE", "what to sign; - is standard input", true},
    {"out", "FILE", "where to write the signature; - is standard output", true},
    {"label", "TEXT", "the key's label", false},
    {"id", "HEX", "the key's id", false},
    {"hash", "NAME", "sha256, sha384 or sha512 (default: as strong as the key)", false},
    {"pss", NULL, "RSA: pad by PSS, with a salt as long as the hash; else PKCS#1 v1.5", false},
    {"raw", NULL, "ECDSA: write r and s one after the other, not as DER", false},
    {"approval-request", "FILE", "write the request for an approval here, if the key wants one",
     false},
    {"approval", "FILE", "wait for the approval here", false},
    {"timeout", "S", "wait so many seconds for it, and let it be good as long (default 600)",
     false},
    {"subject", "TEXT", "what to tell the approver that it is for", false},
    {0},
};

/* The key and what is to be done with it. */
struct work {
    struct keyring *ring;
    struct token *token;
    struct keyring_object object;
    struct store_key key;
    struct pubkey pub;
    uint8_t digest[ALG_MAX_DIGEST];
    struct token_sign what;
};

static const struct alg_hash *default_hash(const struct pubkey *pub)
{
    return pub->type == TPM2_ALG_ECC ? alg_hash_of(pub->curve->hash) : alg_hash_named("SHA256");
}

static int choose(struct cli *c, struct work *w, struct err *e)
{
    const char *name = cli_option(c, "hash");
    const struct alg_hash *h = name != NULL ? alg_hash_named(name) : default_hash(&w->pub);
    bool ecc = w->pub.type == TPM2_ALG_ECC;

    if (h == NULL || h->size < 32)
        return cli_misuse(e, "--hash is sha256, sha384 or sha512, not \"%.20s\"",
                          name != NULL ? name : "");
    if (ecc ? cli_flag(c, "pss") : cli_flag(c, "raw"))
        return cli_misuse(e, ecc ? "--pss goes with RSA keys only"
                                 : "--raw goes with keys on curves only");
    if (approvals_digest(cli_option(c, "in"), h, w->digest, e) != 0)
        return -1;
    w->what = (struct token_sign){
        .scheme = ecc                  ? PUBKEY_ECDSA
                  : cli_flag(c, "pss") ? PUBKEY_RSAPSS
                                       : PUBKEY_RSASSA,
        .hash = h,
        .mgf = h,
        .salt = (int)h->size,
        .digest = bytes_of(w->digest, h->size),
    };
    return 0;
}

static int sign(struct cli *c, struct work *w, uint8_t *sig, struct err *e)
{
    const struct approval_use use = {.sign = &w->what};
    struct token_proof *proof = NULL;
    int rc = 0;

    if (w->key.mode == STORE_KEY_EACH)
        rc = approvals_pin(c, w->token, &w->key, &proof, e);
    else if (w->key.mode == STORE_KEY_APPROVED)
        rc = approvals_obtain(c, w->token, &w->key, w->object.label, &use, &proof, e);
    token_present(w->token, proof);
    if (rc == 0)
        rc = token_sign(w->token, &w->key, &w->what, sig, e);
    token_proof_free(w->token, proof);
    if (rc != 0)
        return -1;
    return pubkey_verify(&w->pub, w->what.scheme, w->what.hash, w->what.salt, w->what.digest,
                         bytes_of(sig, pubkey_sig_len(&w->pub)), e);
}

static int write_out(struct cli *c, const struct work *w, const uint8_t *sig, struct err *e)
{
    const char *out = cli_option(c, "out");
    struct bytes raw = bytes_of(sig, pubkey_sig_len(&w->pub));
    bool der = w->pub.type == TPM2_ALG_ECC && !cli_flag(c, "raw");
    struct buf b = {0};
    int rc = -1;

    if (!der)
        buf_add_bytes(&b, raw);
    if ((der && pubkey_sig_to_der(&w->pub, raw, &b, e) != 0) || buf_ok(&b, e) != 0)
        goto out;
    if (file_write(out, buf_bytes(&b), 0644, e) != 0)
        goto out;
    rc = 0;
    if (cli_flag(c, "json"))
        rc = cli_json(c,
                      json_pack("{s:o,s:s,s:s,s:s,s:o}", "label", out_json_text(w->object.label),
                                "type", pubkey_name(&w->pub), "hash", w->what.hash->name, "form",
                                der ? "der" : "raw", "signature", out_json_hex(buf_bytes(&b))),
                      e);
    else if (strcmp(out, "-") != 0)
        out_para(stdout, "%s is signed by \"%s\" with %s; the signature is in %s.",
                 cli_option(c, "in"), w->object.label, w->what.hash->name, out);
out:
    buf_free(&b);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    struct work w = {.ring = NULL};
    uint8_t sig[PUBKEY_MAX_RSA];
    int rc = -1;

    if (cli_flag(c, "json") && strcmp(cli_option(c, "out"), "-") == 0)
        return cli_misuse(e, "--json and --out - both want the standard output");
    if (cli_option(c, "label") == NULL && cli_option(c, "id") == NULL &&
        cli_option(c, "uri") == NULL)
        return cli_misuse(e, "which key? name it with --label LABEL or --id HEX or in --uri");
    if (file_probe(cli_option(c, "out"), e) == 0 &&
        keyring_open(&w.ring, c, KEYRING_LOGIN, e) == 0 &&
        keyring_choose(w.ring, c, CKO_PRIVATE_KEY, "label", &w.object, e) == 0 &&
        keyring_blob(w.ring, &w.object, &w.key, e) == 0 &&
        token_key_public(&w.key, &w.pub, e) == 0 && keyring_token(w.ring, &w.token, e) == 0 &&
        choose(c, &w, e) == 0 && sign(c, &w, sig, e) == 0)
        rc = write_out(c, &w, sig, e);
    store_key_free(&w.key);
    keyring_object_free(&w.object);
    keyring_close(w.ring);
    return rc;
}

const struct cli_command cmd_key_sign = {
    .group = "key",
    .name = "sign",
    .shared = CLI_TOKEN | CLI_USER_PIN | CLI_JSON,
    .options = options,
    .summary = "sign a file",
    .about = "Signs a file with a key of the token. A key of mode each asks for the PIN again. A "
             "key of mode approved writes a request, which `fusetsu approve` answers on the "
             "approver's machine, and waits for the answer; the session in the TPM lives only as "
             "long as this command does.",
    .examples =
        "fusetsu key sign --token gateway --label tls --in file --out file.sig\n"
        "fusetsu key sign --token gateway --label seal --in treaty.pdf --out treaty.sig "
        "--subject \"treaty, final\" --approval-request seal.request --approval seal.approval",
    .run = run,
};
