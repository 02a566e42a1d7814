#include "cli/issue_all.h"

#include "ca/again.h"
#include "ca/enrol.h"
#include "cli/folder.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/verdict.h"
#include "core/credential.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REASONS_MAX 1000 /* in a JSON document; all of them are in files */

struct batch {
    struct authority *a;
    struct folder in, out;
    char **names;
    size_t n;
    size_t issued, again, there, refused;
    json_t *reasons; /* NULL: nobody asked */
};

static const char *file_of(const char *name, const char *suffix, char path[NAME_MAX + 1])
{
    /* The directory entry that the name was made of was no shorter. */
    snprintf(path, NAME_MAX + 1, "%s%s", name, suffix);
    return path;
}

/* --- refusals ------------------------------------------------------------------------------ */

/* As `ca issue` says it for one. */
static int write_reasons(struct batch *b, const char *name, const struct enrol_outcome *o,
                         const struct err *why, struct err *e)
{
    char path[NAME_MAX + 1], *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    int rc = -1;

    if (f == NULL)
        return err_set(e, E_MEMORY, "out of memory for the reasons of a refusal");
    out_words(f, 0, why->msg);
    /* Of an earlier refusal the reason is in the words; what is judged now is a nonce that is used. */
    if (o->judged && !o->refused_before)
        verdict_print_failures(f, &o->verdict);
    if (fclose(f) != 0)
        err_set(e, E_MEMORY, "out of memory for the reasons of a refusal");
    else
        rc = folder_write(&b->out, file_of(name, ".refused", path), bytes_of(text, len), 0644, e);
    free(text);
    return rc;
}

static int note_reason(struct batch *b, const char *name, const struct err *why, struct err *e)
{
    json_t *row;

    if (b->reasons == NULL || json_array_size(b->reasons) >= REASONS_MAX)
        return 0;
    row = json_pack("{s:o,s:o}", "name", out_json_text(name), "reason", out_json_text(why->msg));
    return json_array_append_new(b->reasons, row) == 0
               ? 0
               : err_set(e, E_MEMORY, "out of memory for the reasons of a refusal");
}

static int refuse(struct batch *b, const char *name, const struct enrol_outcome *o,
                  const struct err *why, struct err *e)
{
    char path[NAME_MAX + 1];
    struct buf there = {0};
    int has = 0;

    b->refused++;
    /* First: with that file there it would not be asked again. A name has one answer; but what answers no
     * invitation, such as a file that is no request, takes none away that was given to another. */
    if (o->invited && folder_remove(&b->out, file_of(name, ".sealed", path), e) != 0)
        return -1;
    /* The first time there was more to say than what the registry keeps. */
    if (o->refused_before)
        has = folder_read(&b->out, file_of(name, ".refused", path), EVIDENCE_MAX, &there, e);
    buf_free(&there);
    if (has < 0 || (has == 0 && write_reasons(b, name, o, why, e) != 0))
        return -1;
    return note_reason(b, name, why, e);
}

/* --- one request ----------------------------------------------------------------------------- */

/* Is its answer there already? A file that is not whole, or an older certificate's, is not. */
static bool is_there(struct batch *b, const char *name, struct bytes request)
{
    struct registry_invitation i;
    struct buf sealed = {0};
    char path[NAME_MAX + 1];
    struct err ignored = {0}; /* whatever is wrong comes up again in what follows */
    bool there;

    there = folder_read(&b->out, file_of(name, ".sealed", path), 2 * CREDENTIAL_MAX, &sealed,
                        &ignored) == 1 &&
            enrol_before(b->a, request, &i, &ignored) == 1 &&
            again_is(b->a, &i, buf_bytes(&sealed));
    buf_free(&sealed);
    return there;
}

static int answer(struct batch *b, const char *name, struct bytes request, struct err *e)
{
    struct enrol_outcome o = {0};
    struct buf pem = {0};
    struct err why = {0};
    char path[NAME_MAX + 1];
    int rc = -1;

    if (enrol_pem(b->a, request, time(NULL), &o, &pem, &why) != 0) {
        rc = o.refused ? refuse(b, name, &o, &why, e) : err_take(e, &why);
    } else if (folder_write(&b->out, file_of(name, ".sealed", path), buf_bytes(&pem), 0644, e) ==
                   0 &&
               folder_remove(&b->out, file_of(name, ".refused", path), e) == 0) {
        *(o.again ? &b->again : &b->issued) += 1;
        rc = 0;
    }
    enrol_free(&o);
    buf_free(&pem);
    return rc;
}

static int one(struct batch *b, const char *name, struct err *e)
{
    const struct enrol_outcome unjudged = {.refused = true};
    char path[NAME_MAX + 1];
    struct buf request = {0};
    struct err why = {0};
    int rc = 0, got;

    got = folder_read(&b->in, file_of(name, ".request", path), 2 * EVIDENCE_MAX, &request, &why);
    if (got < 0)
        rc = why.code == E_MEMORY || why.code == E_IO ? err_take(e, &why)
                                                      : refuse(b, name, &unjudged, &why, e);
    else if (got == 0)
        rc = 0; /* somebody took it away again */
    else if (is_there(b, name, buf_bytes(&request))) {
        b->there++;
        rc = folder_remove(&b->out, file_of(name, ".refused", path), e);
    } else
        rc = answer(b, name, buf_bytes(&request), e);
    buf_free(&request);
    return rc;
}

/* --- all of them ----------------------------------------------------------------------------- */

static int each(struct batch *b, struct err *e)
{
    struct progress *p = progress_begin("Issuing");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        progress_count(p, i, b->n);
        rc = one(b, b->names[i], e);
        if (rc != 0)
            err_prefix(e, "%.100s.request", b->names[i]);
    }
    progress_end(p);
    return rc;
}

static int report(struct cli *c, struct batch *b, bool whole, struct err *e)
{
    json_t *doc;

    if (b->reasons != NULL) {
        doc = json_pack("{s:I,s:I,s:I,s:I,s:b,s:o}", "issued", (json_int_t)b->issued, "again",
                        (json_int_t)b->again, "there", (json_int_t)b->there, "refused",
                        (json_int_t)b->refused, "complete", whole ? 1 : 0, "refusals", b->reasons);
        b->reasons = NULL; /* the document's from here on */
        return cli_json(c, doc, e);
    }
    printf("%zu issued, %zu refused, %zu were there already", b->issued, b->refused, b->there);
    if (b->again != 0)
        printf(", %zu issued before were sealed again", b->again);
    printf(".\n");
    if (!whole)
        out_words(stdout, 0,
                  "Not all were answered. What was issued is kept; once what stopped it is put "
                  "right, the same command goes on from there.");
    return 0;
}

int issue_all(struct cli *c, struct authority *a, const char *requests, const char *out,
              struct err *e)
{
    struct batch b = {.a = a, .in = {.fd = -1}, .out = {.fd = -1}};
    struct err printing = {0};
    int rc = -1;

    if (cli_flag(c, "json") && (b.reasons = json_array()) == NULL)
        return err_set(e, E_MEMORY, "out of memory for the JSON document");
    if (folder_open(&b.in, requests, e) != 0 || folder_fill(&b.out, out, e) != 0 ||
        folder_names(&b.in, ".request", &b.names, &b.n, e) != 0)
        goto out;
    if (b.n == 0) {
        err_set(e, E_NOT_FOUND, "there is no file in %s whose name ends in .request", requests);
        goto out;
    }
    rc = each(&b, e);
    if (report(c, &b, rc == 0, &printing) != 0)
        rc = err_take(e, &printing);
    if (rc == 0 && b.refused != 0)
        rc = err_set(e, E_REJECTED,
                     "%zu of %zu requests were refused; for each a file in %s that ends in "
                     ".refused says why",
                     b.refused, b.n, out);
out:
    folder_names_free(b.names, b.n);
    folder_close(&b.in);
    folder_close(&b.out);
    json_decref(b.reasons);
    return rc;
}
