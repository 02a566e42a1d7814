#include "cli/setup/undo.h"

#include "cli/setup/block.h"
#include "cli/setup/pointer.h"
#include "cli/setup/record.h"

#include <string.h>

static const char *text_of(const json_t *entry, const char *key)
{
    const char *s = json_string_value(json_object_get(entry, key));

    return s != NULL ? s : "";
}

/* The file without what is ours. When nothing is left of a file that we made, it goes. */
static int put(struct tree *t, const char *path, struct bytes content,
               const struct tree_state *before, const struct tree_state *now, struct err *e)
{
    static const struct tree_state none = {0};

    if (!before->exists && content.len == 0)
        return tree_restore(t, path, &none, e);
    return tree_put(t, path, content, now->owner.mode, e);
}

static int take_out(struct tree *t, const json_t *entry, const char *path,
                    const struct tree_state *before, const struct tree_state *now, struct err *e)
{
    const char *kind = text_of(entry, "kind");
    struct bytes have = buf_bytes(&now->content);
    struct buf rest = {.secret = true};
    bool found = false;
    int rc = -1;

    if (!now->exists)
        return 0; /* somebody took it away */
    if (strcmp(kind, "block") == 0)
        rc = block_take(text_of(entry, "name"), text_of(entry, "comment"), have, &rest, &found, e);
    else if (strcmp(kind, "pointer") == 0)
        rc = pointer_unset(have, text_of(entry, "pointer"), &rest, &found, e);
    else
        err_set(e, E_EXISTS,
                "it was changed since; put it back by hand or remove it, then undo again");
    if (rc == 0 && found)
        rc = put(t, path, buf_bytes(&rest), before, now, e);
    buf_free(&rest);
    return rc == 0 ? 0 : err_prefix(e, "%s", path);
}

int undo_entry(struct tree *t, const json_t *entry, struct err *e)
{
    const json_t *file = json_array_get(json_object_get(entry, "files"), 0);
    const char *path = text_of(file, "path");
    struct tree_state before = {0};
    const struct tree_state *now;
    int rc = -1;

    if (tree_get(t, path, &now, e) != 0 || record_before(file, now, &before, e) != 0)
        goto out;
    if (record_is_after(file, now))
        rc = tree_restore(t, path, &before, e);
    else if (now->exists == before.exists &&
             bytes_equal(buf_bytes(&now->content), buf_bytes(&before.content)))
        rc = 0; /* it never came to be */
    else
        rc = take_out(t, entry, path, &before, now, e);
out:
    tree_state_free(&before);
    return rc;
}
