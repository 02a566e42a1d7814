#include "cli/granted.h"

#include "cli/out.h"

#include <stdio.h>

/* The nation's name for a class; a system always has one for what it granted. */
static const char *class_name(const struct clearance_system *s, unsigned n)
{
    return s->name[n][0] != 0 ? s->name[n] : federation_class(n);
}

void granted_text(const struct clearance_system *s, const struct registry_grant *g, struct buf *out)
{
    buf_printf(out, "%s%s%s", g->profile, g->person[0] != 0 ? " " : "", g->person);
    if (g->clearance == 0)
        return;
    buf_printf(out, ", cleared for ");
    clearance_text(s, g->clearance, out);
}

void granted_cell(const struct clearance_system *s, const struct registry_grant *g,
                  char out[GRANTED_CELL])
{
    const char *highest = NULL;

    for (unsigned n = 0; n < FEDERATION_CLASSES; n++)
        highest = (g->clearance & (1u << n)) != 0 ? class_name(s, n) : highest;
    snprintf(out, GRANTED_CELL, "%s%s%s", g->profile, highest != NULL ? ", " : "",
             highest != NULL ? highest : "");
}

int granted_json(json_t *doc, const struct clearance_system *s, const struct registry_grant *g,
                 struct err *e)
{
    json_t *list = json_array();
    bool ok = list != NULL;

    for (unsigned n = FEDERATION_CLASSES; ok && n-- > 0;) {
        if ((g->clearance & (1u << n)) != 0)
            ok = json_array_append_new(list, out_json_text(class_name(s, n))) == 0;
    }
    ok = ok && json_object_set(doc, "clearances", list) == 0 &&
         json_object_set_new(doc, "profile", out_json_text(g->profile)) == 0 &&
         json_object_set_new(doc, "person",
                             g->person[0] != 0 ? out_json_text(g->person) : json_null()) == 0;
    json_decref(list);
    return ok ? 0 : err_set(e, E_MEMORY, "out of memory for the JSON document");
}
