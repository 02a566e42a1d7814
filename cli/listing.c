#include "cli/listing.h"

#include "cli/out.h"

#include <stdio.h>
#include <stdlib.h>

/* One of the two is there. */
struct listing {
    struct cli *c;
    struct out_table *table;
    json_t *array;
    size_t rows;
};

struct listing *listing_new(struct cli *c, const char *const *heads, size_t n, struct err *e)
{
    struct listing *l = calloc(1, sizeof(*l));

    if (l == NULL) {
        err_set(e, E_MEMORY, "out of memory for a list");
        return NULL;
    }
    l->c = c;
    if (!cli_flag(c, "json"))
        l->table = out_table_new(heads, n, e);
    else if ((l->array = json_array()) == NULL)
        err_set(e, E_MEMORY, "out of memory for a list");
    if (l->table == NULL && l->array == NULL) {
        free(l);
        return NULL;
    }
    return l;
}

int listing_row(struct listing *l, const char *const *cells, json_t *row, struct err *e)
{
    l->rows++;
    if (l->table != NULL) {
        json_decref(row);
        return out_table_row(l->table, cells, e);
    }
    if (json_array_append_new(l->array, row) != 0)
        return err_set(e, E_MEMORY, "out of memory for a list");
    return 0;
}

int listing_print(struct listing *l, const char *empty, struct err *e)
{
    json_t *array = l->array;

    l->array = NULL; /* cli_json() takes it over */
    if (array != NULL)
        return cli_json(l->c, array, e);
    if (l->rows == 0)
        out_words(stdout, 0, empty);
    else
        out_table_print(l->table, stdout);
    return 0;
}

void listing_free(struct listing *l)
{
    if (l == NULL)
        return;
    out_table_free(l->table);
    json_decref(l->array);
    free(l);
}
