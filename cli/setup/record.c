#include "cli/setup/record.h"

#include "cli/setup/record_check.h"
#include "core/descent.h"
#include "core/hash.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 2
/* A few files of TREE_FILE_MAX in base64. */
#define RECORD_MAX ((size_t)16 << 20)

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for the record of a setup");
}

int record_path(const char *dir, const char *app, const char *which, struct buf *out, struct err *e)
{
    uint8_t digest[32];

    buf_printf(out, "%s/%s", dir, app);
    if (*which != 0) {
        if (hash_sha256(bytes_of(which, strlen(which)), digest, e) != 0)
            return -1;
        buf_u8(out, '-');
        buf_hex(out, digest, 8);
    }
    buf_str(out, ".json");
    return buf_cstr(out) != NULL ? 0 : no_memory(e);
}

json_t *record_new(const char *app, bool is_system, struct err *e)
{
    json_t *r = json_pack("{s:i,s:s,s:b,s:[]}", "version", VERSION, "app", app, "system",
                          is_system ? 1 : 0, "entries");

    if (r == NULL)
        no_memory(e);
    return r;
}

json_t *record_entries(json_t *record)
{
    return json_object_get(record, "entries");
}

/* Who can write a record decides what --undo does: it is read only where nobody else could have. */
static int read_own(const char *path, struct buf *out, bool *there, struct err *e)
{
    struct descent at;
    int fd = -1, rc = -1;

    if (descent_open(path, true, &at, e) != 0)
        return -1;
    rc = descent_read(&at, path, true, &fd, e);
    *there = fd >= 0;
    if (*there) {
        rc = file_read_fd(fd, path, RECORD_MAX, out, e);
        close(fd);
    }
    descent_close(&at);
    return rc;
}

int record_load(const char *path, const char *app, bool is_system, json_t **out, struct err *e)
{
    struct buf text = {.secret = true};
    json_error_t why;
    json_t *r = NULL;
    bool there;
    int rc = -1;

    *out = NULL;
    if (read_own(path, &text, &there, e) != 0)
        goto out;
    rc = there ? -1 : 0;
    if (!there)
        goto out;
    r = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, &why);
    if (json_is_integer(json_object_get(r, "version")) &&
        json_integer_value(json_object_get(r, "version")) != VERSION) {
        err_set(e, E_VERSION, "%s was written by another version of fusetsu; undo it with that",
                path);
        goto out;
    }
    if (!record_check(r, app, is_system)) {
        err_set(e, E_CORRUPT, "%s is damaged; put the files back by hand and remove it", path);
        goto out;
    }
    *out = r;
    r = NULL;
    rc = 0;
out:
    json_decref(r);
    buf_free(&text);
    return rc;
}

static int make_directory(const char *path, struct err *e)
{
    char *dir = strdup(path), *slash = dir != NULL ? strrchr(dir, '/') : NULL;
    int rc = -1;

    if (slash != NULL) {
        *slash = 0;
        rc = file_mkdirs(dir, e);
    } else {
        no_memory(e);
    }
    free(dir);
    return rc;
}

int record_save(const char *path, json_t *record, struct err *e)
{
    char *text;
    int rc = -1;

    if (json_array_size(record_entries(record)) == 0) {
        if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
            return err_set(e, E_DENIED, "cannot remove %s: %s", path, strerror(errno));
        return 0;
    }
    text = json_dumps(record, JSON_INDENT(2));
    if (text == NULL)
        return no_memory(e);
    if (make_directory(path, e) == 0)
        rc = file_write(path, bytes_of(text, strlen(text)), 0600, e);
    OPENSSL_cleanse(text, strlen(text));
    free(text);
    return rc;
}

/* --- states -------------------------------------------------------------------------- */

static json_t *state_json(const struct tree_state *s)
{
    unsigned char *b64;
    json_t *out = NULL;

    if (!s->exists)
        return json_null();
    b64 = malloc(4 * (s->content.len / 3 + 1) + 1);
    if (b64 != NULL) {
        EVP_EncodeBlock(b64, s->content.p, (int)s->content.len);
        out = json_pack("{s:s,s:i,s:i,s:i}", "content", b64, "mode", (int)s->owner.mode, "uid",
                        (int)s->owner.uid, "gid", (int)s->owner.gid);
        OPENSSL_cleanse(b64, strlen((const char *)b64));
    }
    free(b64);
    return out;
}

static int decode(const char *b64, struct buf *out)
{
    size_t n = strlen(b64), pad = 0;
    unsigned char *raw;
    int len;

    if (n % 4 != 0 || n > RECORD_MAX)
        return -1;
    while (pad < 2 && pad < n && b64[n - 1 - pad] == '=')
        pad++;
    raw = malloc(n + 1);
    if (raw == NULL)
        return -1;
    len = EVP_DecodeBlock(raw, (const unsigned char *)b64, (int)n);
    if (len >= (int)pad)
        buf_add(out, raw, (size_t)len - pad);
    OPENSSL_cleanse(raw, n + 1);
    free(raw);
    return len >= (int)pad ? 0 : -1;
}

int record_before(const json_t *file, const struct tree_state *now, struct tree_state *out,
                  struct err *e)
{
    json_t *s = json_object_get(file, "before");
    const char *content = NULL;
    int mode = 0, uid = 0, gid = 0;

    tree_state_free(out);
    if (json_is_null(s))
        return 0;
    out->content.secret = true;
    if (json_unpack(s, "{s:s,s:i,s:i,s:i}", "content", &content, "mode", &mode, "uid", &uid, "gid",
                    &gid) != 0 ||
        decode(content, &out->content) != 0)
        return err_set(e, E_CORRUPT, "the record of the setup is damaged");
    out->exists = true;
    out->owner = (struct file_owner){(unsigned)mode & 07777, (unsigned)uid, (unsigned)gid};
    /* We never change these: where they differ somebody else did, and may have made it stricter. */
    if (now->exists)
        out->owner = now->owner;
    return buf_ok(&out->content, e);
}

/* NULL when it cannot be had. */
static json_t *hash_json(const struct tree_state *s)
{
    uint8_t digest[32];
    char hex[65];

    if (!s->exists)
        return json_null();
    if (hash_sha256(buf_bytes(&s->content), digest, NULL) != 0)
        return NULL;
    hex_encode(hex, digest, sizeof(digest));
    return json_string(hex);
}

/* Directories above the path that are not there, innermost first. */
static json_t *missing_dirs(const char *path)
{
    json_t *out = json_array();
    char dir[PATH_MAX];
    struct stat st;

    if (out == NULL || strlen(path) >= sizeof(dir))
        return out;
    snprintf(dir, sizeof(dir), "%s", path);
    for (char *slash = strrchr(dir, '/'); slash != NULL && slash != dir;
         slash = strrchr(dir, '/')) {
        *slash = 0;
        if (stat(dir, &st) == 0 || json_array_append_new(out, json_string(dir)) != 0)
            break;
    }
    return out;
}

json_t *record_file(const char *path, const struct tree_state *before,
                    const struct tree_state *after, struct err *e)
{
    json_t *f = json_pack("{s:s,s:o,s:[o],s:o}", "path", path, "before", state_json(before),
                          "after", hash_json(after), "dirs", missing_dirs(path));

    if (f == NULL)
        no_memory(e);
    return f;
}

bool record_is_after(const json_t *file, const struct tree_state *now)
{
    json_t *hash = hash_json(now), *one;
    bool found = false;
    size_t i;

    json_array_foreach (json_object_get(file, "after"), i, one)
        found = found || (hash != NULL && json_equal(one, hash));
    json_decref(hash);
    return found;
}

int record_set_after(json_t *file, const struct tree_state *after, struct err *e)
{
    json_t *list = json_pack("[o]", hash_json(after));

    return list != NULL && json_object_set_new(file, "after", list) == 0 ? 0 : no_memory(e);
}

int record_inherit(json_t *file, const json_t *earlier, struct err *e)
{
    if (json_array_extend(json_object_get(file, "after"), json_object_get(earlier, "after")) != 0 ||
        json_array_extend(json_object_get(file, "dirs"), json_object_get(earlier, "dirs")) != 0)
        return no_memory(e);
    return 0;
}

void record_settle(json_t *file)
{
    json_t *list = json_object_get(file, "after");

    while (json_array_size(list) > 1)
        (void)json_array_remove(list, json_array_size(list) - 1);
}
