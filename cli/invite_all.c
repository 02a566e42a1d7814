#include "cli/invite_all.h"

#include "cli/folder.h"
#include "cli/granted.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "core/evidence.h"
#include "core/file.h"
#include "core/oid.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES_MAX ((size_t)16 << 20) /* bytes */
/* In one transaction: each costs the disk a few waits, however many it holds. */
#define AT_ONCE 64

struct batch {
    struct authority *a;
    struct authority_invite terms;
    struct folder out;
    struct buf text;    /* the file; line ends are NULs */
    const char **names; /* into it */
    size_t n, invited, there;
    struct registry_grant grant; /* of all, but for persons' names */
    /* Recorded together, and then written. */
    struct {
        const char *name;
        struct buf pem;
    } row[AT_ONCE];
    size_t rows;
};

/* --- names ----------------------------------------------------------------------------------- */

/* Cuts the text into lines without blanks at their ends; empty and # lines are left out. */
static int split(struct batch *b, struct err *e)
{
    char *at = (char *)b->text.p, *end = at + b->text.len;
    size_t lines = 1;

    for (const char *p = at; p < end; p++)
        lines += *p == '\n';
    if (lines > FOLDER_MAX)
        return err_set(e, E_FULL, "one run takes at most %d names; divide them", FOLDER_MAX);
    b->names = calloc(lines, sizeof(*b->names));
    if (b->names == NULL)
        return err_set(e, E_MEMORY, "out of memory for the names");
    while (at < end) {
        /* The text ends with a NUL of its own. */
        char *stop = memchr(at, '\n', (size_t)(end - at)), *last;

        stop = stop != NULL ? stop : end;
        *stop = 0;
        at += strspn(at, " \t\r");
        for (last = at + strlen(at); last > at && strchr(" \t\r", last[-1]) != NULL; last--)
            last[-1] = 0;
        if (*at != 0 && *at != '#')
            b->names[b->n++] = at;
        at = stop + 1;
    }
    return 0;
}

static int read_names(struct batch *b, const char *path, struct err *e)
{
    struct registry_grant g = {.clearance = 0};

    if (file_read(path, NAMES_MAX, &b->text, e) != 0)
        return -1;
    if (memchr(b->text.p != NULL ? b->text.p : (const uint8_t *)"", 0, b->text.len) != NULL)
        return err_set(e, E_FORMAT, "%s is no text; it is to hold one name a line", path);
    buf_u8(&b->text, 0);
    if (buf_ok(&b->text, e) != 0)
        return -1;
    b->text.len--;
    if (split(b, e) != 0)
        return -1;
    if (b->n == 0)
        return err_set(e, E_FORMAT, "%s holds no name; it is to hold one a line", path);
    for (size_t i = 0; i < b->n; i++) {
        b->terms.name = b->names[i];
        if (authority_may_invite(b->a, &b->terms, &g, e) != 0)
            return err_prefix(e, "%s: nothing was done", path);
        g.person[0] = 0;
        if (i > 0 && strcmp(b->grant.profile, g.profile) != 0)
            snprintf(g.profile, sizeof(g.profile), "gateway, person");
        b->grant = g;
    }
    return 0;
}

/* --- invitations ------------------------------------------------------------------------------ */

static const char *file_of(const char *name, char path[NAME_MAX + 1])
{
    snprintf(path, NAME_MAX + 1, "%s.invite", name); /* a name has at most 128 bytes */
    return path;
}

/* Is its file still good for something, or was it? What an older program took was answered as a
 * rule; who knows better moves the file away. */
static bool stands(enum registry_outcome o)
{
    return o != REGISTRY_EXPIRED && o != REGISTRY_REFUSED;
}

/* Is it an invitation to what the others are invited to? A person's name may be another: here it
 * cannot be given. */
static int same_terms(struct batch *b, const char *name, const struct registry_invitation *i,
                      const char *path, struct err *e)
{
    struct registry_grant want = {.clearance = 0};

    b->terms.name = name;
    if (authority_may_invite(b->a, &b->terms, &want, e) != 0)
        return -1;
    if (strcmp(i->subject, name) == 0 && i->community == b->terms.community &&
        i->level == b->terms.level && strcmp(i->grant.profile, want.profile) == 0 &&
        i->grant.clearance == want.clearance)
        return 0;
    return err_set(e, E_EXISTS,
                   "%s/%s is an invitation on other terms (what for, or the clearance); move it "
                   "away, or name another directory",
                   b->out.path, path);
}

/* 1: it is invited; 0: it is to be; -1. */
static int is_there(struct batch *b, const char *name, struct err *e)
{
    struct evidence_invitation v;
    struct registry_invitation i;
    char path[NAME_MAX + 1];
    struct buf text = {0};
    struct err why = {0};
    int got = folder_read(&b->out, file_of(name, path), 2 * EVIDENCE_MAX, &text, e);

    if (got <= 0)
        goto out;
    got = -1;
    if (evidence_invitation_from_pem(buf_bytes(&text), &v, &why) != 0 ||
        strcmp(v.subject, name) != 0 || v.community != b->terms.community ||
        v.level != b->terms.level)
        err_set(e, E_EXISTS,
                "%s/%s is not an invitation for that name, community and level; move it away, or "
                "name another directory",
                b->out.path, path);
    else if (registry_invitation(authority_registry(b->a), bytes_of(v.nonce, v.nonce_len), &i,
                                 &why) == 0)
        got = !stands(registry_outcome(&i, time(NULL))) ? 0
              : same_terms(b, name, &i, path, e) == 0   ? 1
                                                        : -1;
    else if (why.code != E_NOT_FOUND)
        err_take(e, &why);
    else
        err_set(e, E_EXISTS, "%s/%s is an invitation of another authority; name another directory",
                b->out.path, path);
out:
    buf_free(&text);
    return got;
}

/* Recorded first: a file that is there is always good. */
static int flush(struct batch *b, struct err *e)
{
    struct registry *r = authority_registry(b->a);
    char path[NAME_MAX + 1];
    size_t i;

    if (b->rows == 0)
        return 0;
    if (registry_begin(r, e) != 0)
        return -1;
    for (i = 0; i < b->rows; i++) {
        b->terms.name = b->row[i].name;
        /* A run may be long, and somebody else sign meanwhile. */
        b->terms.now = time(NULL);
        buf_free(&b->row[i].pem);
        if (authority_invite(b->a, &b->terms, &b->row[i].pem, e) != 0) {
            registry_rollback(r);
            return -1;
        }
    }
    if (registry_commit(r, e) != 0)
        return -1;
    for (i = 0; i < b->rows; i++) {
        if (folder_write(&b->out, file_of(b->row[i].name, path), buf_bytes(&b->row[i].pem), 0600,
                         e) != 0)
            return -1;
        b->invited++;
    }
    b->rows = 0;
    return 0;
}

/* A name that stands twice in the file is invited once. */
static bool is_waiting(const struct batch *b, const char *name)
{
    for (size_t i = 0; i < b->rows; i++) {
        if (strcmp(b->row[i].name, name) == 0)
            return true;
    }
    return false;
}

static int each(struct batch *b, struct err *e)
{
    struct progress *p = progress_begin("Inviting");
    int rc = 0, there;

    for (size_t i = 0; rc == 0 && i < b->n; i++) {
        progress_count(p, i, b->n);
        there = is_waiting(b, b->names[i]) ? 1 : is_there(b, b->names[i], e);
        if (there != 0) {
            b->there++;
            rc = there < 0 ? -1 : 0;
            continue;
        }
        b->row[b->rows++].name = b->names[i];
        if (b->rows == AT_ONCE)
            rc = flush(b, e);
    }
    if (rc == 0)
        rc = flush(b, e);
    progress_end(p);
    return rc;
}

static int report(struct batch *b, struct err *e)
{
    struct buf what = {0};
    int rc;

    granted_text(authority_clearances(b->a), &b->grant, &what);
    rc = buf_ok(&what, e);
    if (rc == 0 && buf_cstr(&what) != NULL) {
        printf("%zu invited, %zu were there already.\n", b->invited, b->there);
        out_para(stdout, "All of them: %s, level %u; %s.", oid_community_name(b->terms.community),
                 b->terms.level, buf_cstr(&what));
    }
    buf_free(&what);
    return rc;
}

int invite_all(struct authority *a, const struct authority_invite *p, const char *names,
               const char *out, struct err *e)
{
    struct batch b = {.a = a, .terms = *p, .out = {.fd = -1}};
    int rc = -1;

    if (read_names(&b, names, e) == 0 && folder_fill(&b.out, out, e) == 0)
        rc = each(&b, e);
    if (rc == 0)
        rc = report(&b, e);
    for (size_t i = 0; i < AT_ONCE; i++)
        buf_free(&b.row[i].pem);
    free(b.names);
    buf_free(&b.text);
    folder_close(&b.out);
    return rc;
}
