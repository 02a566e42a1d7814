#include "tpm/share.h"

#include "core/buf.h"
#include "core/log.h"
#include "tpm/share_file.h"
#include "tpm/share_tpm.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#define WAIT_MS 90000
#define HURRY_MS 2000

struct share {
    struct link_watch watch;
    struct link *link;
    struct share_file *file;
    void (*gone)(void *arg, uint32_t handle);
    void *arg;
    bool alone; /* only one process can have the connection open */
    long limit;
    bool claimed; /* between share_claim() and share_release() ... */
    bool locked;  /* with the lock, ... */
    bool ready;   /* and after share_ready() */
    struct err failed;
    struct share_image image, written; /* as it shall be, and as it is in the file */
    struct share_record mine;          /* as it was written last */
    bool left[SHARE_HANDLES];          /* of those of `mine`: of no use any more */
    bool noted;                        /* `mine` is in a file where others can see it */
};

/* --- which TPMs ----------------------------------------------------------------- */

const char *share_bare(const char *tcti)
{
    const char *colon = strchr(tcti, ':'), *slash = strchr(tcti, '/');

    /* A TCTI in front of another: pcap, or a library given by its path. */
    if (colon != NULL && (strncmp(tcti, "pcap:", 5) == 0 || (slash != NULL && slash < colon)))
        return share_bare(colon + 1);
    if (strncmp(tcti, "device:/dev/tpm", 15) == 0)
        return tcti[15] >= '0' && tcti[15] <= '9' ? tcti : NULL;
    if (strncmp(tcti, "swtpm", 5) == 0 || strncmp(tcti, "mssim", 5) == 0)
        return tcti[5] == 0 || tcti[5] == ':' ? tcti : NULL;
    if (strncmp(tcti, "fusetsu", 7) == 0)
        return tcti[7] == 0 || tcti[7] == ':' ? tcti : NULL;
    return NULL;
}

/* --- handles ------------------------------------------------------------------------ */

static bool is_object(uint32_t h)
{
    return h >> 24 == TPM2_HT_TRANSIENT;
}

static bool is_session(uint32_t h)
{
    return h >> 24 == TPM2_HT_HMAC_SESSION || h >> 24 == TPM2_HT_POLICY_SESSION;
}

/* HMAC and policy sessions are numbered together. */
static bool same(uint32_t a, uint32_t b)
{
    return a == b || (is_session(a) && is_session(b) && (a & 0xFFFFFF) == (b & 0xFFFFFF));
}

static bool lists(const struct share_record *r, uint32_t h)
{
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        if (r->handle[i] != 0 && same(r->handle[i], h))
            return true;
    }
    return false;
}

static bool in_file(const struct share *s, uint32_t h)
{
    for (size_t i = 0; i < SHARE_RECORDS; i++) {
        if (lists(&s->image.record[i], h))
            return true;
    }
    return false;
}

static void strike(struct share_record *r, uint32_t h)
{
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        if (r->handle[i] != 0 && same(r->handle[i], h))
            r->handle[i] = 0;
    }
}

/* The TPM has given it to us, or we take it: whoever else had it has it no longer. */
static void note(struct share *s, uint32_t h, bool left)
{
    for (size_t i = 0; i < SHARE_RECORDS; i++)
        strike(&s->image.record[i], h);
    strike(&s->mine, h);
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        if (s->mine.handle[i] == 0) {
            s->mine.handle[i] = h;
            s->left[i] = left;
            return;
        }
    }
}

bool share_holds(const struct share *s)
{
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        if (s->mine.handle[i] != 0)
            return true;
    }
    return false;
}

bool share_has(const struct share *s, uint32_t h)
{
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        if (s->mine.handle[i] == h && !s->left[i])
            return true;
    }
    return false;
}

void share_ended(struct share *s, uint32_t h)
{
    strike(&s->mine, h);
}

void share_lost(struct share *s)
{
    memset(s->left, true, sizeof(s->left));
}

/* --- the file --------------------------------------------------------------------------- */

static void write_file(struct share *s)
{
    int at = share_file_record(s->file);

    if (!s->locked)
        return;
    if (at >= 0) {
        s->mine.used = s->image.clock;
        s->image.record[at] = s->mine;
        s->noted = true;
    }
    if (memcmp(&s->image, &s->written, sizeof(s->image)) == 0)
        return;
    s->written = s->image;
    s->locked = share_file_write(s->file, &s->image);
}

/* What was read is believed only as far as it can do no harm. */
static void sift(struct share_image *image)
{
    for (size_t i = 0; i < SHARE_RECORDS; i++) {
        struct share_record *r = &image->record[i];

        if ((r->state & SHARE_USED) == 0 || (r->state & ~(SHARE_USED | SHARE_UNANSWERED)) != 0)
            *r = (struct share_record){0};
        for (size_t k = 0; k < SHARE_HANDLES; k++) {
            if (!is_object(r->handle[k]) && !is_session(r->handle[k]))
                r->handle[k] = 0;
        }
    }
}

/* What is no longer in our record was flushed by others. Where there is no such record any
 * more nothing is certain: nothing is used then, and what is still there is left. */
static void look_for_evictions(struct share *s)
{
    const int at = s->locked ? share_file_record(s->file) : -1;
    const struct share_record *now = at >= 0 ? &s->image.record[at] : NULL;
    const bool sound = now != NULL && (now->state & SHARE_USED) != 0 &&
                       memcmp(now->id, s->mine.id, sizeof(now->id)) == 0;

    /* On our own as before: nobody flushes. */
    if (!s->locked && !s->noted)
        return;
    s->noted = false;
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        uint32_t h = s->mine.handle[i];

        if (h == 0 || (sound && lists(now, h)))
            continue;
        if (!s->left[i])
            s->gone(s->arg, h);
        s->left[i] = true;
        if (sound || (s->locked && in_file(s, h)))
            s->mine.handle[i] = 0;
    }
}

/* --- talking to the TPM --------------------------------------------------------------- */

/* Flushes a handle that some record has. It passes to our own first: should we die in the
 * middle, its owner knows, and the next process flushes it. */
static bool evict(struct share *s, uint32_t h)
{
    const bool ours = share_has(s, h);

    note(s, h, !ours);
    /* Somebody claims what the TPM gave to us: he is wrong. */
    if (ours)
        return true;
    write_file(s);
    if (!share_tpm_flush(s->link, h))
        return false;
    strike(&s->mine, h);
    write_file(s);
    return true;
}

static uint32_t first_of(const struct share_record *r, bool (*kind)(uint32_t h),
                         const bool left[SHARE_HANDLES])
{
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        if (kind(r->handle[i]) && (left == NULL || left[i]))
            return r->handle[i];
    }
    return 0;
}

/* True when one handle of that kind was flushed: ours that are of no use, then those of the
 * process that has not used its own for longest. */
static bool make_room(struct share *s, bool (*kind)(uint32_t h))
{
    const struct share_record *oldest = NULL;
    uint32_t h = first_of(&s->mine, kind, s->left);

    for (int i = 0; h == 0 && i < SHARE_RECORDS; i++) {
        const struct share_record *r = &s->image.record[i];

        if (i != share_file_record(s->file) && first_of(r, kind, NULL) != 0 &&
            (oldest == NULL || r->used < oldest->used))
            oldest = r;
    }
    if (oldest != NULL) {
        h = first_of(oldest, kind, NULL);
        log_debug("TPM handle 0x%08x of process %u is flushed to make room", h, oldest->pid);
    }
    return h != 0 && evict(s, h);
}

/*
 * A process that died between a command and its answer may have left something that is in no
 * record. It made one at most: a handle that nobody knows is that one, if it is the only one.
 * Where there are more, programs that do not take part are at work: they are left alone.
 */
static void find_orphan(struct share *s, uint32_t first)
{
    uint32_t h[64], orphan = 0;
    size_t n = share_tpm_list(s->link, first, h, ARRAY_LEN(h)), unknown = 0;

    for (size_t i = 0; i < n; i++) {
        if ((is_object(h[i]) || is_session(h[i])) && !in_file(s, h[i]) && !lists(&s->mine, h[i])) {
            orphan = h[i];
            unknown++;
        }
    }
    if (unknown == 1 && evict(s, orphan))
        log_debug("TPM handle 0x%08x, which a dead process left, is flushed", orphan);
}

/* Also after an answer of our own that was lost. Their unanswered commands become ours until
 * it is known what they made: we may die, too. */
static void bury_the_dead(struct share *s)
{
    for (int i = 0; i < SHARE_RECORDS; i++) {
        struct share_record *r = &s->image.record[i];
        uint32_t h;

        if (r->state == 0 || i == share_file_record(s->file) || share_file_alive(s->file, i))
            continue;
        while ((h = first_of(r, is_object, NULL)) != 0 ||
               (h = first_of(r, is_session, NULL)) != 0) {
            if (!evict(s, h))
                return;
        }
        s->mine.state |= r->state & SHARE_UNANSWERED;
        *r = (struct share_record){0};
    }
    if ((s->mine.state & SHARE_OBJECT) != 0)
        find_orphan(s, (uint32_t)TPM2_HT_TRANSIENT << 24);
    if ((s->mine.state & SHARE_SESSION) != 0)
        find_orphan(s, (uint32_t)TPM2_HT_LOADED_SESSION << 24);
    s->mine.state &= ~SHARE_UNANSWERED;
}

/* --- what the connection sees ------------------------------------------------------------ */

/* What a command makes when it succeeds: its handle follows the response's header. */
static uint32_t made_by(uint32_t command)
{
    switch (command) {
    case TPM2_CC_StartAuthSession: return SHARE_SESSION;
    case TPM2_CC_Load:
    case TPM2_CC_LoadExternal:
    case TPM2_CC_CreatePrimary:
    case TPM2_CC_CreateLoaded:
    case TPM2_CC_HMAC_Start:
    case TPM2_CC_HashSequenceStart: return SHARE_OBJECT;
    default: return 0;
    }
}

static void sending(void *arg, uint32_t command)
{
    struct share *s = arg;

    if (made_by(command) == 0 || !s->locked)
        return;
    s->mine.state |= made_by(command);
    write_file(s);
}

static bool answered(void *arg, struct bytes command, struct bytes response)
{
    struct reader c = reader_of(command.p, command.len), r = reader_of(response.p, response.len);
    struct share *s = arg;
    uint32_t cc, rc, before, after;

    (void)reader_take(&c, 6);
    cc = reader_u32(&c);
    before = reader_u32(&c);
    (void)reader_take(&r, 6);
    rc = reader_u32(&r);
    after = rc == TPM2_RC_SUCCESS ? reader_u32(&r) : 0;
    if (s->locked && rc == TPM2_RC_OBJECT_MEMORY && make_room(s, is_object))
        return true;
    if (s->locked && (rc == TPM2_RC_SESSION_MEMORY || rc == TPM2_RC_SESSION_HANDLES) &&
        make_room(s, is_session))
        return true;
    if (cc == TPM2_CC_FlushContext || (cc == TPM2_CC_SequenceComplete && rc == TPM2_RC_SUCCESS))
        strike(&s->mine, before);
    if (made_by(cc) != 0) {
        if (rc == TPM2_RC_SUCCESS && (is_object(after) || is_session(after)))
            note(s, after, false);
        s->mine.state &= ~made_by(cc);
        write_file(s);
    }
    return false;
}

/* --- claims --------------------------------------------------------------------------- */

int share_new(struct share **out, struct link *l, const char *tcti, const char *dir,
              void (*gone)(void *arg, uint32_t handle), void *arg, struct err *e)
{
    struct share *s = calloc(1, sizeof(*s));
    const char *bare = share_bare(tcti);

    if (s == NULL)
        return err_set(e, E_MEMORY, "out of memory for a shared TPM");
    if (bare == NULL) {
        err_set(e, E_ARG, "'%s' is no TPM that processes share by themselves", tcti);
        goto fail;
    }
    if (share_file_new(&s->file, bare, dir, e) != 0)
        goto fail;
    s->link = l;
    s->gone = gone;
    s->arg = arg;
    s->limit = WAIT_MS;
    /* The swtpm TCTI connects for each command; the others, once. */
    s->alone = strncmp(bare, "swtpm", 5) != 0 && strncmp(bare, "fusetsu", 7) != 0;
    s->watch = (struct link_watch){.sending = sending, .answered = answered, .arg = s};
    link_watch(l, &s->watch);
    *out = s;
    return 0;
fail:
    free(s);
    return -1;
}

void share_free(struct share *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; s->locked && i < SHARE_HANDLES; i++) {
        if (s->mine.handle[i] != 0 && share_tpm_flush(s->link, s->mine.handle[i]))
            s->mine.handle[i] = 0;
    }
    if (!share_holds(s))
        s->mine = (struct share_record){0};
    write_file(s);
    share_file_free(s->file);
    link_watch(s->link, NULL);
    free(s);
}

void share_forget(struct share *s)
{
    share_file_close(s->file);
    s->mine = (struct share_record){0};
    s->claimed = s->locked = s->ready = s->noted = false;
    err_clear(&s->failed);
}

void share_hurry(struct share *s)
{
    s->limit = HURRY_MS;
}

int share_claim(struct share *s, struct err *e)
{
    int rc;

    if (s->claimed)
        return 0;
    if (s->failed.code != E_OK)
        return err_take(e, &s->failed);
    rc = share_file_lock(s->file, s->limit, &s->image, &s->failed);
    if (rc < 0)
        return err_take(e, &s->failed);
    s->claimed = true;
    s->locked = rc == 0;
    s->written = s->image;
    sift(&s->image);
    look_for_evictions(s);
    /* Nothing is to be written while one process is alone. */
    if (s->image.holder != (uint32_t)getpid() || s->image.clock != s->mine.used) {
        s->image.clock++;
        s->image.holder = (uint32_t)getpid();
    }
    write_file(s);
    return 0;
}

static void join(struct share *s)
{
    if (share_file_record(s->file) >= 0 || share_file_take(s->file, &s->image) < 0)
        return;
    s->mine.pid = (uint32_t)getpid();
    s->mine.state |= SHARE_USED;
    (void)RAND_bytes(s->mine.id, sizeof(s->mine.id));
    write_file(s);
}

void share_ready(struct share *s)
{
    if (!s->locked || s->ready)
        return;
    s->ready = true;
    join(s);
    bury_the_dead(s);
    /* There is room now, if that was what it lacked. */
    join(s);
}

/* More processes than records: nothing may stay that no one could flush. */
static void leave_nothing(struct share *s)
{
    for (size_t i = 0; i < SHARE_HANDLES; i++) {
        uint32_t h = s->mine.handle[i];

        if (h == 0)
            continue;
        if (!s->left[i])
            s->gone(s->arg, h);
        if (share_tpm_flush(s->link, h))
            s->mine.handle[i] = 0;
    }
}

bool share_release(struct share *s)
{
    bool drop = s->claimed && s->alone && s->ready;

    if (s->locked && share_file_record(s->file) < 0)
        leave_nothing(s);
    write_file(s);
    share_file_unlock(s->file);
    s->claimed = s->locked = s->ready = false;
    err_clear(&s->failed);
    return drop;
}
