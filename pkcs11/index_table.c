#include "pkcs11/index_table.h"

#include <stdlib.h>

#define FIRST_HEADS 1024

static void put(struct index_table *t, struct index_link *l)
{
    struct index_link **head = &t->head[(size_t)l->hash & (t->n_head - 1)];

    l->next = *head;
    l->at = head;
    if (l->next != NULL)
        l->next->at = &l->next;
    *head = l;
}

static void take(struct index_link *l)
{
    *l->at = l->next;
    if (l->next != NULL)
        l->next->at = l->at;
    l->next = NULL;
    l->at = NULL;
}

bool index_table_grow(struct index_table *t, size_t more)
{
    struct index_table wide = {.n_head = t->n_head != 0 ? t->n_head : FIRST_HEADS, .used = t->used};

    while (wide.n_head < t->used + more)
        wide.n_head *= 2;
    if (wide.n_head == t->n_head)
        return true;
    wide.head = calloc(wide.n_head, sizeof(struct index_link *));
    if (wide.head == NULL)
        return t->n_head != 0;
    for (size_t i = 0; i < t->n_head; i++) {
        while (t->head[i] != NULL) {
            struct index_link *l = t->head[i];

            take(l);
            put(&wide, l);
        }
    }
    free(t->head);
    *t = wide;
    return true;
}

void index_table_free(struct index_table *t)
{
    free(t->head);
    *t = (struct index_table){NULL, 0, 0};
}

void index_table_enter(struct index_table *t, struct index_link *l, uint64_t hash, struct object *o)
{
    l->hash = hash;
    l->o = o;
    put(t, l);
    t->used++;
}

void index_table_leave(struct index_table *t, struct index_link *l)
{
    if (l->at == NULL)
        return;
    take(l);
    t->used--;
}

static const struct index_link *same(const struct index_link *l, uint64_t hash)
{
    while (l != NULL && l->hash != hash)
        l = l->next;
    return l;
}

const struct index_link *index_table_first(const struct index_table *t, uint64_t hash)
{
    return t->n_head != 0 ? same(t->head[(size_t)hash & (t->n_head - 1)], hash) : NULL;
}

const struct index_link *index_table_next(const struct index_link *l)
{
    return same(l->next, l->hash);
}
