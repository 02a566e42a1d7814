/* Why a clearance is not enough, in the words of both systems. */
#include "core/gate_priv.h"

#include "core/buf.h"

#include <stdio.h>
#include <string.h>

static void add_class(struct buf *out, const struct federation_side *s, unsigned n)
{
    buf_printf(out, "%s of %s", s->class_name[n][0] != 0 ? s->class_name[n] : federation_class(n),
               s->nation);
}

/* The names of some classes, highest first. */
static void add_classes(struct buf *out, const struct federation_side *s, uint32_t classes)
{
    const char *comma = "";

    for (unsigned n = FEDERATION_CLASSES; n-- > 0;) {
        if ((classes & (1u << n)) == 0)
            continue;
        buf_str(out, comma);
        add_class(out, s, n);
        comma = ", ";
    }
}

static void add_held(struct buf *out, const struct federation *f, const struct chain_verdict *v)
{
    bool any = false;

    for (size_t i = 0; i < v->n_clearance; i++) {
        for (unsigned side = 0; side < 2; side++) {
            if (!oid_is(v->clearance[i].policy, f->side[side].clearance))
                continue;
            buf_str(out, any ? ", " : "the path leaves it ");
            add_classes(out, &f->side[side], v->clearance[i].classes);
            any = true;
        }
    }
    if (!any)
        buf_str(out, "the path leaves it no clearance of either nation");
}

void gate_clearance_words(const struct gate_terms *t, const struct chain_verdict *v, char *out,
                          size_t size)
{
    const struct federation *f = t->f;
    const struct federation_side *ours = &f->side[t->side], *theirs = &f->side[1 - t->side];
    bool any = false;
    struct buf b = {0};
    size_t n;

    add_held(&b, f, v);
    buf_str(&b, "; wanted is ");
    add_class(&b, ours, (unsigned)t->clearance);
    for (size_t i = 0; i < f->n_row; i++) {
        const struct federation_row *r = &f->row[i];

        if (r->from != 1 - t->side || r->as != 1u << t->clearance)
            continue;
        buf_str(&b, any ? ", or " : ", as which counts ");
        add_classes(&b, theirs, r->class);
        any = true;
    }
    if (!any)
        buf_printf(&b, ", as which nothing of %s counts", theirs->nation);
    if (buf_cstr(&b) != NULL) {
        snprintf(out, size, "%s", buf_cstr(&b));
        /* Not cut within a character. */
        n = strlen(out);
        while (b.len >= size && n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
            out[--n] = 0;
        if (b.len >= size && n > 0 && ((unsigned char)out[n - 1] & 0x80) != 0)
            out[--n] = 0;
    }
    buf_free(&b);
}
