#include "cli/commands.h"
#include "cli/keyring.h"
#include "cli/out.h"
#include "cli/pin.h"
#include "cli/place.h"
#include "cli/wanted.h"
#include "core/file.h"
#include "tpm/pcr_approve.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define VALUES_MAX ((size_t)64 << 10)

static const struct cli_option options[] = {
    {"label", "TEXT", "the key's label", false},
    {"id", "HEX", "the key's id", false},
    {"pcr-values", "FILE",
     "values known beforehand, as `tpm2_pcrread` prints them; else those of now", false},
    {"revoke-others", NULL, "drop what was approved for the key before", false},
    {0},
};

/* Rows keep numbers as eight bytes, big-endian (pkcs11/attr_table.h). */
static bool is_private_key(const struct store_object *o)
{
    return o->class == CKO_PRIVATE_KEY && o->has_key;
}

static bool has(const struct store_object *o, CK_ATTRIBUTE_TYPE type, struct bytes want)
{
    const struct store_attr *a = store_object_attr(o, type);

    return want.len == 0 || (a != NULL && bytes_equal(buf_bytes(&a->value), want));
}

/* The TPM key of the only private key that --label and --id name. */
static int find(struct cli *c, struct token *k, uint8_t uuid[STORE_UUID], struct err *e)
{
    struct store_object *list = NULL;
    struct bytes name = {NULL, 0};
    struct store_seal seal;
    size_t n = 0, found = 0;
    struct wanted w;
    int rc = -1;

    if (wanted_read(&w, c, "label", e) != 0)
        goto out;
    if (w.is.label != NULL)
        name = bytes_of(w.is.label, strlen(w.is.label));
    if (pcr_approve_seal(k, &seal, e) == 0)
        rc = store_object_list(token_store(k), token_row(k)->id, &seal, &list, &n, e);
    secret_wipe(&seal, sizeof(seal));
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (is_private_key(&list[i]) && has(&list[i], CKA_LABEL, name) &&
            has(&list[i], CKA_ID, w.is.id)) {
            memcpy(uuid, list[i].key, STORE_UUID);
            found++;
        }
    }
    if (rc == 0 && found != 1)
        rc = found == 0 ? err_set(e, E_NOT_FOUND, "token %s holds no such key", token_row(k)->label)
                        : cli_misuse(e, "%zu keys fit; choose one with --id HEX", found);
    store_objects_free(list, n);
out:
    wanted_free(&w);
    return rc;
}

static int read_values(struct token *k, const uint8_t uuid[STORE_UUID], const char *path,
                       struct pcrvalues *out, struct err *e)
{
    struct key_pcrs which;
    struct buf text = {0};
    int rc = -1;

    if (path == NULL)
        return pcr_approve_now(k, uuid, out, e);
    if (pcr_approve_which(k, uuid, &which, e) == 0 && file_read(path, VALUES_MAX, &text, e) == 0)
        rc = pcrvalues_read(buf_bytes(&text), which.hash, out, e);
    buf_free(&text);
    return rc;
}

/* As `tpm2_pcrread` does: it can be compared, and kept for --pcr-values. */
static void show(const struct pcrvalues *v)
{
    const struct alg_hash *h = alg_hash_of(v->hash);
    char hex[2 * ALG_MAX_DIGEST + 1];

    for (const char *p = h->name; *p != 0; p++)
        putchar(tolower((unsigned char)*p));
    printf(":\n");
    for (unsigned i = 0; i < ARRAY_LEN(v->value); i++) {
        if ((v->there & 1u << i) == 0)
            continue;
        hex_encode(hex, v->value[i], h->size);
        printf("  %-2u: 0x%s\n", i, hex);
    }
}

static int login(struct cli *c, struct token *k, struct err *e)
{
    const struct store_token *row = token_row(k);
    struct secret *pin = NULL;
    int rc;

    if (pin_obtain(c, PIN_SO, "SO PIN", false, &pin, e) != 0)
        return -1;
    rc = token_login(k, TOKEN_SO, secret_bytes(pin), e);
    if (rc != 0)
        pin_tries_left(e, "SO PIN", row->so_fails, row->so_limit);
    secret_free(pin);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *path = cli_option(c, "pcr-values");
    struct pcrvalues values;
    struct place at = {0};
    uint8_t uuid[STORE_UUID];
    size_t n = 0;
    int rc = -1;

    if (cli_option(c, "label") == NULL && cli_option(c, "id") == NULL &&
        cli_option(c, "uri") == NULL)
        return cli_misuse(e, "which key? name it with --label LABEL or --id HEX or in --uri");
    if (place_open(c, &at, e) == 0 && login(c, at.token, e) == 0 &&
        find(c, at.token, uuid, e) == 0 && read_values(at.token, uuid, path, &values, e) == 0 &&
        pcr_approve(at.token, uuid, &values, cli_flag(c, "revoke-others"), &n, e) == 0) {
        show(&values);
        out_para(stdout, "The PCR values %s are approved for the key; %zu set%s of values %s now.",
                 path != NULL ? "of the file" : "that the platform has now", n, n == 1 ? "" : "s",
                 n == 1 ? "is" : "are");
        rc = 0;
    }
    place_close(&at);
    return rc;
}

const struct cli_command cmd_key_approve_pcrs = {
    .group = "key",
    .name = "approve-pcrs",
    .shared = CLI_TOKEN | CLI_SO_PIN,
    .options = options,
    .summary = "approve PCR values for a key that was made with --pcrs-updatable",
    .about = "The SO approves a state of the platform for a key: the one that it is in now, or one "
             "that is known beforehand, before a firmware update. Several can be approved side by "
             "side. Whoever has the SO PIN can approve any state. A TPM cannot forget an approval: "
             "--revoke-others takes the others out of the store, and a copy of the store from "
             "before brings them back.",
    .examples = "fusetsu key approve-pcrs --token gateway --label boot\n"
                "fusetsu key approve-pcrs --token gateway --label boot --pcr-values next.pcrs\n"
                "fusetsu key approve-pcrs --token gateway --label boot --revoke-others",
    .run = run,
};
