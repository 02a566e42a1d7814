#include "cli/approvals.h"
#include "cli/commands.h"
#include "cli/out.h"
#include "cli/place.h"
#include "core/file.h"
#include "core/tpmname.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"out", "FILE", "where to write the approval; - is standard output", true},
    {"in", "FILE", "the document itself: refuse a request to sign anything else", false},
    {"yes", NULL, "approve without asking once more", false},
    {0},
};

static int read_request(struct cli *c, struct approval_request *r, struct err *e)
{
    struct buf der = {0};
    int rc = -1;

    if (approvals_read(cli_arg(c, 0), APPROVAL_REQUEST_PEM, &der, e) == 0)
        rc = approval_request_decode(buf_bytes(&der), r, e);
    buf_free(&der);
    return rc;
}

/* Is it the digest of that file, and by which hash? Shorter ones stand at the end, behind zeros.
 * Not by SHA-1: two documents can be made that have the same one. */
static int check_document(const char *path, const struct approval_command *w,
                          const struct alg_hash **by, struct err *e)
{
    static const char *const names[] = {"SHA256", "SHA384", "SHA512"};
    static const uint8_t zeros[ALG_MAX_DIGEST];
    uint8_t digest[ALG_MAX_DIGEST];

    if (w->hash == NULL)
        return err_set(
            e, E_REJECTED,
            "the request is for no signature over a digest: no document can be compared");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct alg_hash *h = alg_hash_named(names[i]);
        size_t pad;

        if (h->size > w->data.len)
            continue;
        if (approvals_digest(path, h, digest, e) != 0)
            return -1;
        pad = w->data.len - h->size;
        if (memcmp(w->data.p, zeros, pad) == 0 && memcmp(w->data.p + pad, digest, h->size) == 0) {
            *by = h;
            return 0;
        }
    }
    return err_set(e, E_REJECTED, "the request is to sign something else than %s; approve nothing",
                   path);
}

/* --- in words ----------------------------------------------------------------------- */

static void line(FILE *f, const char *what, const char *text)
{
    fprintf(f, "  %-11s ", what);
    out_text(f, text);
    putc('\n', f);
}

static void hex_line(FILE *f, const char *what, struct bytes b)
{
    struct buf text = {0};

    buf_hex(&text, b.p, b.len < 64 ? b.len : 64);
    if (b.len > 64)
        buf_printf(&text, "... (%zu bytes)", b.len);
    line(f, what, text.bad ? "?" : buf_cstr(&text));
    buf_free(&text);
}

static void show(FILE *f, const struct approval_request *r, const struct approval_command *w,
                 const char *document, const struct alg_hash *by)
{
    char text[400];
    TPM2B_NAME name = {0};

    fprintf(f, "This is a request to approve one use of a key in another token:\n\n");
    snprintf(text, sizeof(text), "%s%s%s%s%s", w->operation, w->scheme != NULL ? ", " : "",
             w->scheme != NULL ? w->scheme : "", w->hash != NULL ? " with " : "",
             w->hash != NULL ? w->hash->name : "");
    line(f, "what", text);
    hex_line(f, w->hash != NULL ? "digest" : "data", w->data);
    if (by != NULL)
        snprintf(text, sizeof(text), "%s: the digest is its %s", document, by->name);
    else
        snprintf(text, sizeof(text), "not compared; --in FILE does it");
    if (w->hash != NULL)
        line(f, "document", text);
    if (tpmname_object(buf_bytes(&r->key), &name, NULL) == 0)
        hex_line(f, "key", bytes_of(name.name, name.size));
    line(f, "purpose", r->purpose);
    snprintf(text, sizeof(text), "%u seconds from when it was asked, once",
             (unsigned)r->expiration);
    line(f, "good for", text);
    fprintf(f, "\nThe asker says, and nothing proves:\n\n");
    line(f, "subject", r->subject[0] != 0 ? r->subject : "nothing");
    line(f, "key label", r->label);
    line(f, "token", r->serial);
    fprintf(f, "\n");
}

/* On the terminal, where there is one. */
static int confirm(struct cli *c, struct err *e)
{
    char answer[16] = "";

    if (cli_flag(c, "yes"))
        return 0;
    if (!isatty(STDIN_FILENO))
        return cli_misuse(e, "nothing was approved: add --yes, or answer at a terminal");
    fprintf(stderr, "Approve it? Type yes: ");
    fflush(stderr);
    if (fgets(answer, sizeof(answer), stdin) == NULL || strcmp(answer, "yes\n") != 0)
        return err_set(e, E_REJECTED, "nothing was approved");
    return 0;
}

/* --- signing -------------------------------------------------------------------------- */

static int sign(struct place *at, const struct approval_request *r, struct secret *pin,
                struct approval_answer *out, struct err *e)
{
    struct approval_approver a = {.serial = ""};
    struct store_key key = {.token = 0};
    struct token_proof *proof = NULL;
    int rc = -1;

    if (token_approver_find(at->token, NULL, &r->approver, &key, &a, e) != 0) {
        err_prefix(e, "the request asks the approver \"%s\"", r->approver_label);
        goto out;
    }
    if (token_prove(at->token, &key, secret_bytes(pin), &proof, e) != 0)
        goto out;
    token_present(at->token, proof);
    rc = token_approval_sign(at->token, &key, r, out, e);
out:
    token_proof_free(at->token, proof);
    approval_approver_free(&a);
    store_key_free(&key);
    return rc;
}

static int run(struct cli *c, struct err *e)
{
    const char *out = cli_option(c, "out"), *document = cli_option(c, "in");
    FILE *words = strcmp(out, "-") == 0 ? stderr : stdout;
    struct approval_request r = {.serial = ""};
    struct approval_answer a = {.expiration = 0};
    const struct alg_hash *by = NULL;
    struct approval_command w;
    struct secret *pin = NULL;
    struct place at = {0};
    struct buf der = {0};
    int rc = -1;

    if (document != NULL && strcmp(document, "-") == 0)
        return cli_misuse(e, "--in takes a file, not the standard input");
    if (read_request(c, &r, e) != 0 || approval_check(&r, &w, e) != 0 ||
        (document != NULL && check_document(document, &w, &by, e) != 0))
        goto out;
    show(words, &r, &w, document, by);
    fflush(words);
    if (confirm(c, e) != 0 || file_probe(out, e) != 0 || place_login(c, &at, &pin, e) != 0 ||
        sign(&at, &r, pin, &a, e) != 0 || approval_answer_encode(&a, &der, e) != 0 ||
        approvals_write(out, APPROVAL_ANSWER_PEM, buf_bytes(&der), e) != 0)
        goto out;
    if (words == stdout)
        out_para(stdout, "Approved; %s is the approval, good for this one use.", out);
    rc = 0;
out:
    secret_free(pin);
    place_close(&at);
    approval_request_free(&r);
    approval_answer_free(&a);
    buf_free(&der);
    return rc;
}

const struct cli_command cmd_approve = {
    .name = "approve",
    .args = "REQUEST",
    .min_args = 1,
    .max_args = 1,
    .shared = CLI_TOKEN | CLI_USER_PIN,
    .options = options,
    .summary = "approve one use of a key in another token",
    .about = "Says in words what a request asks for, and approves it with the approver's key that "
             "it asks. The words are read from the very command that the other TPM will be "
             "held to; a request whose words and hash differ is refused, and so is one without "
             "a nonce. Asks for confirmation, then for the user PIN.",
    .examples = "fusetsu approve seal.request --token officer --in treaty.pdf --out seal.approval\n"
                "fusetsu approve seal.request --token officer --out - --yes",
    .run = run,
};
