#include "cli/federation_state.h"

#include "cli/federation_crldir.h"
#include "core/dirlock.h"
#include "core/federation_trust.h"
#include "core/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_FORCE "federation.fed"
#define NATION "nation"

/* --- files --------------------------------------------------------------------------------------- */

static int path_of(const struct federation_state *s, const char *name, struct buf *out,
                   struct err *e)
{
    buf_printf(out, "%s/%s", s->dir, name);
    return buf_cstr(out) != NULL ? 0 : buf_ok(out, e);
}

static int put(struct federation_state *s, const char *name, struct bytes content, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    s->written++;
    if (s->dry)
        return 0;
    if (path_of(s, name, &path, e) == 0)
        rc = file_write((const char *)path.p, content, 0644, e);
    buf_free(&path);
    return rc;
}

static int drop(struct federation_state *s, const char *name, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    if (path_of(s, name, &path, e) != 0)
        goto out;
    rc = 0;
    if (access((const char *)path.p, F_OK) != 0)
        goto out;
    s->removed++;
    if (!s->dry && remove((const char *)path.p) != 0 && errno != ENOENT)
        rc = err_set(e, E_IO, "cannot remove %s: %s", (const char *)path.p, strerror(errno));
out:
    buf_free(&path);
    return rc;
}

/* Certificates of CAs are for everybody to read. */
static int make_dir(struct federation_state *s, const char *name, struct err *e)
{
    struct buf path = {0};
    int rc = -1;

    if (s->dry)
        return 0;
    if (path_of(s, name, &path, e) != 0)
        goto out;
    rc = 0;
    if (access((const char *)path.p, F_OK) == 0)
        goto out;
    rc = file_mkdirs((const char *)path.p, e);
    if (rc == 0 && chmod((const char *)path.p, 0755) != 0)
        rc = err_set(e, E_IO, "cannot let others read %s: %s", (const char *)path.p,
                     strerror(errno));
out:
    buf_free(&path);
    return rc;
}

/* --- a community ---------------------------------------------------------------------------------- */

static const char *const parts[] = {"root", "cross-ca", "cross", "issuing"};

/* COMMUNITY.d or COMMUNITY-ike.d. */
static int put_split(struct federation_state *s, const char *dir, const struct federation_trust *t,
                     struct err *e)
{
    char name[96];

    if (make_dir(s, dir, e) != 0)
        return -1;
    for (size_t i = 0; i < t->n; i++) {
        struct federation_trust one = {.name = {t->name[i]}, .cert = {t->cert[i]}, .n = 1};
        struct buf pem = {0};
        int rc;

        snprintf(name, sizeof(name), "%s/%s.pem", dir, t->name[i]);
        rc = federation_trust_pem(&one, &pem, e) == 0 ? put(s, name, buf_bytes(&pem), e) : -1;
        buf_free(&pem);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int drop_split(struct federation_state *s, const char *dir, struct err *e)
{
    char name[96];

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(name, sizeof(name), "%s/%s.pem", dir, parts[i]);
        if (drop(s, name, e) != 0)
            return -1;
    }
    return drop(s, dir, e);
}

static int close_community(struct federation_state *s, unsigned n, struct err *e)
{
    static const char *const ends[] = {".pem",    ".anchors.pem", ".p12",
                                       ".policy", ".crls.pem",    ".known_hosts"};
    static const char *const crls[] = {"issuing", "ally"};
    char name[64];

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", oid_community_name(n), ends[i]);
        if (drop(s, name, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(crls); i++) {
        snprintf(name, sizeof(name), "crls/%s-%s.crl", crls[i], oid_community_name(n));
        if (drop(s, name, e) != 0)
            return -1;
    }
    snprintf(name, sizeof(name), "%s.d", oid_community_name(n));
    return drop_split(s, name, e);
}

static int close_ike(struct federation_state *s, unsigned n, struct err *e)
{
    char name[64];

    snprintf(name, sizeof(name), "%s-ike.d", oid_community_name(n));
    return drop_split(s, name, e);
}

static int open_ike(struct federation_state *s, unsigned n, struct err *e)
{
    struct federation_trust t;
    char name[64];

    snprintf(name, sizeof(name), "%s-ike.d", oid_community_name(n));
    return federation_trust(s->f, s->side, n, true, &t, e) == 0 ? put_split(s, name, &t, e) : -1;
}

static int put_policy(struct federation_state *s, unsigned n, struct err *e)
{
    char oid[OID_TEXT_MAX], name[64];
    struct buf line = {0};
    int rc = -1;

    snprintf(name, sizeof(name), "%s.policy", oid_community_name(n));
    if (oid_policy(n, s->f->side[s->side].community[n].accepts, oid, e) == 0) {
        buf_printf(&line, "%s\n", oid);
        rc = put(s, name, buf_bytes(&line), e);
    }
    buf_free(&line);
    return rc;
}

static int put_or_drop(struct federation_state *s, const char *name, const struct buf *content,
                       bool there, struct err *e)
{
    return there ? put(s, name, buf_bytes(content), e) : drop(s, name, e);
}

static void add_hosts(const struct federation_side *s, unsigned n, struct buf *out)
{
    if (s->community[n].ssh[0] != 0)
        buf_printf(out, "@cert-authority %s,*.%s %s\n", s->domain, s->domain, s->community[n].ssh);
}

/* known_hosts: each nation's authority for the names of its own domain. The ally's goes with the cut. */
static int put_hosts(struct federation_state *s, unsigned n, const struct federation_trust *anchors,
                     struct err *e)
{
    struct buf lines = {0};
    char name[64];
    int rc;

    snprintf(name, sizeof(name), "%s.known_hosts", oid_community_name(n));
    add_hosts(&s->f->side[s->side], n, &lines);
    for (size_t i = 0; i < anchors->n; i++) {
        if (strcmp(anchors->name[i], "cross") == 0)
            add_hosts(&s->f->side[1 - s->side], n, &lines);
    }
    rc = put_or_drop(s, name, &lines, lines.len != 0, e);
    buf_free(&lines);
    return rc;
}

/* After a cut there may be none. */
static int put_anchors(struct federation_state *s, unsigned n, struct err *e)
{
    struct federation_trust t, anchors;
    struct buf pem = {0}, p12 = {0};
    char name[2][64];
    int rc = -1;

    snprintf(name[0], sizeof(name[0]), "%s.anchors.pem", oid_community_name(n));
    snprintf(name[1], sizeof(name[1]), "%s.p12", oid_community_name(n));
    if (federation_trust(s->f, s->side, n, false, &t, e) != 0)
        return -1;
    federation_trust_anchors(&t, s->crls, &anchors);
    if (federation_trust_pem(&anchors, &pem, e) == 0 &&
        (anchors.n == 0 || federation_trust_p12(&anchors, &p12, e) == 0) &&
        put_or_drop(s, name[0], &pem, anchors.n != 0, e) == 0)
        rc = put_or_drop(s, name[1], &p12, anchors.n != 0, e) == 0 ? put_hosts(s, n, &anchors, e)
                                                                   : -1;
    buf_free(&pem);
    buf_free(&p12);
    return rc;
}

int federation_state_anchors(struct federation_state *s, struct err *e)
{
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++) {
        if (s->f->side[s->side].community[n].open && put_anchors(s, n, e) != 0)
            return -1;
    }
    return 0;
}

static int open_community(struct federation_state *s, unsigned n, struct err *e)
{
    const char *community = oid_community_name(n);
    struct federation_trust t;
    struct buf pem = {0};
    char name[2][64];
    int rc = -1;

    snprintf(name[0], sizeof(name[0]), "%s.pem", community);
    snprintf(name[1], sizeof(name[1]), "%s.d", community);
    if (federation_trust(s->f, s->side, n, false, &t, e) == 0 &&
        federation_trust_pem(&t, &pem, e) == 0 && put(s, name[0], buf_bytes(&pem), e) == 0 &&
        put_split(s, name[1], &t, e) == 0 && put_anchors(s, n, e) == 0)
        rc = put_policy(s, n, e);
    buf_free(&pem);
    return rc;
}

static bool has_ike(const struct federation_side *s, unsigned n)
{
    return s->community[n].open && s->community[n].cross_ike != NULL &&
           s->community[n].issuing_ike != NULL;
}

/* First what is taken away. */
static int derive(struct federation_state *s, struct err *e)
{
    const struct federation_side *side = &s->f->side[s->side];

    for (unsigned n = 1; n <= OID_COMMUNITIES; n++) {
        if ((!side->community[n].open && close_community(s, n, e) != 0) ||
            (!has_ike(side, n) && close_ike(s, n, e) != 0))
            return -1;
    }
    for (unsigned n = 1; n <= OID_COMMUNITIES; n++) {
        if ((side->community[n].open && open_community(s, n, e) != 0) ||
            (has_ike(side, n) && open_ike(s, n, e) != 0))
            return -1;
    }
    return 0;
}

/* With the CRLs that were taken before, for the CAs of now. */
static int derive_all(struct federation_state *s, struct err *e)
{
    struct federation_crls set = {.n = 0};
    bool kept = false;
    int lock = -1, rc = -1;

    federation_crls_of(s->f, s->side, &set);
    s->crls = &set;
    if (s->dry || dirlock_take(s->dir, FEDERATION_CRLDIR_WAIT, &lock, e) == 0) {
        if (federation_crldir_read(s->dir, &set, &kept, e) == 0 && derive(s, e) == 0)
            rc = kept && !s->dry ? federation_crldir_write(s->dir, &set, e) : 0;
    }
    s->crls = NULL;
    dirlock_release(lock);
    federation_crls_free(&set);
    return rc;
}

static int put_nation(struct federation_state *s, struct err *e)
{
    char line[4];

    snprintf(line, sizeof(line), "%s\n", s->f->side[s->side].nation);
    return put(s, NATION, bytes_of(line, 3), e);
}

/* --- all of it ------------------------------------------------------------------------------------- */

/* The text of what is in force; empty when nothing is. */
static int read_old(const struct federation_state *s, struct buf *text, struct err *e)
{
    struct buf path = {0}, in = {0};
    struct err why = {0};
    int signers, rc = -1;

    if (path_of(s, IN_FORCE, &path, e) != 0)
        goto out;
    if (file_read((const char *)path.p, 2 * FEDERATION_MAX, &in, &why) != 0)
        rc = why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    else if (federation_text(buf_bytes(&in), text, &signers, e) == 0)
        rc = 0;
    else
        err_prefix(e, "%s", (const char *)path.p);
out:
    buf_free(&path);
    buf_free(&in);
    return rc;
}

int federation_state_put(struct federation_state *s, struct err *e)
{
    struct buf old = {0};
    int rc = -1;

    if (read_old(s, &old, e) != 0 || federation_follows(s->text, buf_bytes(&old), e) != 0)
        goto out;
    s->changed = !bytes_equal(s->text, buf_bytes(&old));
    if (make_dir(s, "", e) != 0 || derive_all(s, e) != 0 || put_nation(s, e) != 0)
        goto out;
    rc = put(s, IN_FORCE, s->file, e);
out:
    buf_free(&old);
    return rc;
}

int federation_state_get(const char *dir, struct federation *f, unsigned *side, struct err *e)
{
    struct federation_state s = {.dir = dir};
    struct buf path = {0}, nation = {0}, text = {0};
    int n, rc = -1;

    if (path_of(&s, NATION, &path, e) != 0 ||
        file_read((const char *)path.p, 16, &nation, e) != 0 || read_old(&s, &text, e) != 0)
        goto out;
    if (text.len == 0) {
        err_set(e, E_NOT_FOUND, "nothing was applied in %s; `fusetsu federation apply` does it",
                dir);
        goto out;
    }
    if (federation_parse(buf_bytes(&text), f, e) != 0) {
        err_prefix(e, "%s", dir);
        goto out;
    }
    if (nation.len == 3 && nation.p[2] == '\n')
        nation.p[2] = 0;
    n = nation.len == 3 && f->whole ? federation_side_of(f, (const char *)nation.p) : -1;
    if (n < 0) {
        err_set(e, E_FORMAT, "%s does not say whose side it is; apply the federation anew", dir);
        federation_free(f);
        goto out;
    }
    *side = (unsigned)n;
    rc = 0;
out:
    buf_free(&path);
    buf_free(&nation);
    buf_free(&text);
    return rc;
}
