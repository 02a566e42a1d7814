#include "cli/approvals.h"

#include "cli/out.h"
#include "cli/pin.h"
#include "core/asn1.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/tpmname.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMEOUT 600u
#define LOOK_MS 250

/* --- files ------------------------------------------------------------------------ */

int approvals_read(const char *path, const char *label, struct buf *der, struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    if (file_read(path, 2 * APPROVAL_MAX, &text, e) == 0)
        rc = asn1_pem_read(label, buf_bytes(&text), 2 * APPROVAL_MAX, der, e);
    buf_free(&text);
    return rc;
}

int approvals_write(const char *path, const char *label, struct bytes der, struct err *e)
{
    struct buf text = {0};
    int rc = -1;

    if (asn1_pem_write(label, der, &text, e) == 0)
        rc = file_write(path, buf_bytes(&text), 0644, e);
    buf_free(&text);
    return rc;
}

int approvals_export(struct cli *c, const struct approval_approver *a, const char *done,
                     struct err *e)
{
    const char *out = cli_option(c, "out");
    struct buf der = {0};
    TPM2B_NAME name;
    int rc = -1;

    if (approval_approver_encode(a, &der, e) != 0 ||
        tpmname_object(buf_bytes(&a->public), &name, e) != 0 ||
        approvals_write(out, APPROVAL_APPROVER_PEM, buf_bytes(&der), e) != 0)
        goto out;
    rc = 0;
    if (cli_flag(c, "json"))
        rc = cli_json(c,
                      json_pack("{s:o,s:s,s:o,s:o}", "label", out_json_text(a->label), "serial",
                                a->serial, "name", out_json_hex(bytes_of(name.name, name.size)),
                                "out", out_json_text(out)),
                      e);
    else if (strcmp(out, "-") != 0)
        out_para(stdout,
                 "Approver \"%s\" %s. Give %s to those whose keys it shall guard: `fusetsu key "
                 "generate --auth approved --approver %s`.",
                 a->label, done, out, out);
out:
    buf_free(&der);
    return rc;
}

int approvals_digest(const char *path, const struct alg_hash *h, uint8_t out[ALG_MAX_DIGEST],
                     struct err *e)
{
    bool in = strcmp(path, "-") == 0;
    FILE *f = in ? stdin : fopen(path, "rbe");
    struct hash *run = NULL;
    uint8_t part[16384];
    size_t n;
    int rc = -1;

    if (f == NULL)
        return err_set(e,
                       errno == ENOENT   ? E_NOT_FOUND
                       : errno == EACCES ? E_DENIED
                                         : E_IO,
                       "%s cannot be read: %s", path, strerror(errno));
    run = hash_begin(h, e);
    if (run == NULL)
        goto out;
    while ((n = fread(part, 1, sizeof(part), f)) > 0) {
        if (hash_update(run, bytes_of(part, n), e) != 0)
            goto out;
    }
    if (ferror(f)) {
        err_set(e, E_IO, "%s cannot be read to its end", path);
        goto out;
    }
    rc = hash_end(run, out, e);
    run = NULL;
out:
    hash_abort(run);
    if (!in)
        fclose(f);
    return rc;
}

/* --- the wait --------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec t = {0, 0};

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* An answer that the TPM has refused: it is not given again. */
struct refused {
    struct buf der;
    struct err why;
};

/* Looks for the answer to `r` until then. A file that is not there yet, is being written,
 * answers something else, or was refused is passed over; the last reason is told in the end.
 * What is found is in `der`, too. */
static int look(const char *path, int64_t until, const struct approval_request *r,
                const struct refused * not, struct buf *der, struct approval_answer *out,
                struct err *e)
{
    const struct timespec pause = {0, LOOK_MS * 1000000L};
    struct err why = {0};

    for (;;) {
        struct approval_answer a;
        bool read, again;

        why = (struct err){0};
        buf_free(der);
        read = approvals_read(path, APPROVAL_ANSWER_PEM, der, &why) == 0 &&
               approval_answer_decode(buf_bytes(der), &a, &why) == 0;
        again = read && not ->der.len != 0 && bytes_equal(buf_bytes(der), buf_bytes(&not ->der));
        if (read && !again && approval_answers(&a, r)) {
            *out = a;
            return 0;
        }
        if (read)
            approval_answer_free(&a);
        if (again)
            why = not ->why;
        else if (read)
            err_set(&why, E_REJECTED, "%s approves something else than what was asked", path);
        if (now_ms() >= until)
            return err_set(e, E_REJECTED, "no approval came in time: %s", why.msg);
        nanosleep(&pause, NULL);
    }
}

/* The answer that the TPM takes. Whoever can write the file can put a wrong one there, which
 * shall not keep the right one out. */
static int await(struct cli *c, struct token *k, const struct store_key *key, struct token_proof *p,
                 const struct approval_request *r, int64_t until, struct err *e)
{
    const char *path = cli_option(c, "approval");
    struct approval_answer a = {.expiration = 0};
    struct refused not = {.why = {0}};
    struct buf der = {0};
    int rc = -1;

    while (look(path, until, r, &not, &der, &a, e) == 0) {
        struct err why = {0};

        rc = token_approval_finish(k, key, p, &a, &why);
        approval_answer_free(&a);
        a = (struct approval_answer){.expiration = 0};
        if (rc == 0)
            break;
        if (why.code != E_REJECTED && why.code != E_FORMAT) {
            err_take(e, &why);
            break;
        }
        token_approval_wait(k);
        out_para(stderr, "%s was refused: %s. Waiting for another one.", path, why.msg);
        not .why = why;
        buf_free(&not .der);
        buf_add_bytes(&not .der, buf_bytes(&der));
    }
    buf_free(&not .der);
    buf_free(&der);
    return rc;
}

/* One request, and its answer; E_REMOVED when the session did not live to see it. */
static int ask_once(struct cli *c, struct token *k, const struct store_key *key, const char *label,
                    const struct approval_use *use, int64_t until, struct token_proof **out,
                    struct err *e)
{
    int64_t left = until - now_ms();
    const struct approval_words words = {.label = label,
                                         .subject = cli_option(c, "subject"),
                                         .expiration = (uint32_t)(left / 1000 + 1)};
    const char *path = cli_option(c, "approval-request");
    struct approval_request r = {.serial = ""};
    struct token_proof *p = NULL;
    struct buf der = {0};
    int rc = -1;

    if (token_approval_prepare(k, key, use, &words, &p, &r, e) != 0)
        return -1;
    token_approval_wait(k);
    if (approval_request_encode(&r, &der, e) != 0 ||
        approvals_write(path, APPROVAL_REQUEST_PEM, buf_bytes(&der), e) != 0)
        goto out;
    out_para(stderr,
             "The request is in %s; approver \"%s\" is asked. Waiting for %s, "
             "for %u seconds at most.",
             path, r.approver_label, cli_option(c, "approval"), (unsigned)words.expiration);
    if (await(c, k, key, p, &r, until, e) == 0) {
        *out = p;
        p = NULL;
        rc = 0;
    }
out:
    token_proof_free(k, p);
    approval_request_free(&r);
    buf_free(&der);
    return rc;
}

int approvals_obtain(struct cli *c, struct token *k, const struct store_key *key, const char *label,
                     const struct approval_use *use, struct token_proof **out, struct err *e)
{
    unsigned seconds;
    int64_t until;

    if (cli_option(c, "approval-request") == NULL || cli_option(c, "approval") == NULL)
        return cli_misuse(e, "this key wants an approval for each use: name the files with "
                             "--approval-request FILE and --approval FILE");
    if (cli_number(c, "timeout", 1, APPROVAL_SECONDS_MAX - 1, TIMEOUT, &seconds, e) != 0)
        return -1;
    until = now_ms() + (int64_t)seconds * 1000;
    for (;;) {
        struct err why = {0};

        if (ask_once(c, k, key, label, use, until, out, &why) == 0)
            return 0;
        if (why.code != E_REMOVED || now_ms() >= until)
            return err_take(e, &why);
        out_para(stderr, "The TPM was reset, or its room for sessions was needed: asking again.");
    }
}

int approvals_pin(struct cli *c, struct token *t, const struct store_key *key,
                  struct token_proof **out, struct err *e)
{
    const struct store_token *row = token_row(t);
    struct secret *pin = NULL;
    int rc;

    if (pin_obtain(c, PIN_USER, "user PIN again, for this signature", false, &pin, e) != 0)
        return -1;
    rc = token_prove(t, key, secret_bytes(pin), out, e);
    if (rc != 0)
        pin_tries_left(e, "user PIN", row->user_fails, row->user_limit);
    secret_free(pin);
    return rc;
}
