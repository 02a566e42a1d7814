#include "pkcs11/object.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/attr.h"

static const uint8_t no[] = {0};
static const uint8_t yes[] = {1};

/* Which table rows apply. A row of the store with a class or key type that this
 * version does not know gets group 0 and stays invisible. */
static unsigned group_of(const struct store_object *row)
{
    const struct store_attr *kt = store_object_attr(row, CKA_KEY_TYPE);

    return attr_table_group(row->class, kt != NULL ? attr_to_ulong(buf_bytes(&kt->value))
                                                   : CK_UNAVAILABLE_INFORMATION);
}

void object_free_key(struct store_key *key)
{
    if (key == NULL)
        return;
    store_key_free(key);
    free(key);
}

static void take_row(struct object *o, struct store_object *row)
{
    o->row = *row;
    memset(row, 0, sizeof(*row));
    o->group = group_of(&o->row);
    attr_from_ulong(o->row.class, o->class_be);
    hex_encode(o->unique, o->row.uuid, sizeof(o->row.uuid));
}

/* Rows of the store have one already. */
static int give_uuid(struct store_object *row, struct err *e)
{
    static const uint8_t none[STORE_UUID];

    if (memcmp(row->uuid, none, sizeof(none)) == 0 && RAND_bytes(row->uuid, sizeof(row->uuid)) != 1)
        return err_openssl(e, E_CRYPTO, "random object id");
    return 0;
}

int object_new(struct object **out, const struct object_parts *from, struct err *e)
{
    struct object *o;

    if (give_uuid(from->row, e) != 0)
        return -1;
    o = calloc(1, sizeof(*o));
    if (o == NULL)
        return err_set(e, E_MEMORY, "out of memory for an object");
    take_row(o, from->row);
    if (from->key != NULL) {
        o->key = *from->key;
        *from->key = NULL;
    }
    if (from->value != NULL) {
        o->value = *from->value;
        *from->value = NULL;
    }
    *out = o;
    return 0;
}

void object_free(struct object *o)
{
    if (o == NULL)
        return;
    store_object_free(&o->row);
    object_free_key(o->key);
    secret_free(o->value);
    free(o);
}

void object_renew(struct object *o, struct store_object *row)
{
    if (o->key != NULL &&
        (!row->has_key || memcmp(o->key->uuid, row->key, sizeof(row->key)) != 0)) {
        object_free_key(o->key);
        o->key = NULL;
    }
    store_object_free(&o->row);
    take_row(o, row);
}

/* 4.10: the value of a secret key is shown when it is neither sensitive nor bound to stay. */
static bool shows_value(const struct object *o)
{
    return o->value != NULL && object_true(o, CKA_EXTRACTABLE) && !object_true(o, CKA_SENSITIVE);
}

bool object_value(const struct object *o, CK_ATTRIBUTE_TYPE type, struct bytes *v)
{
    const struct attr_row *r = attr_table_row(type, o->group);
    const struct store_attr *a;

    if (r == NULL)
        return false;
    if ((r->rules & ATTR_SECRET) != 0) {
        if (type != CKA_VALUE || !shows_value(o))
            return false;
        *v = secret_bytes(o->value);
        return true;
    }
    switch (type) {
    case CKA_UNIQUE_ID: *v = bytes_of(o->unique, sizeof(o->unique) - 1); return true;
    case CKA_CLASS: *v = bytes_of(o->class_be, sizeof(o->class_be)); return true;
    case CKA_TOKEN: *v = bytes_of(o->session == 0 ? yes : no, 1); return true;
    case CKA_PRIVATE: *v = bytes_of(o->row.is_private ? yes : no, 1); return true;
    default: break;
    }
    a = store_object_attr(&o->row, type);
    if (a != NULL) {
        *v = buf_bytes(&a->value);
        return true;
    }
    *v = r->def;
    return (r->rules & ATTR_DEFAULT) != 0;
}

bool object_true(const struct object *o, CK_ATTRIBUTE_TYPE type)
{
    struct bytes v;

    return object_value(o, type, &v) && v.len == 1 && v.p[0] != 0;
}

bool object_trusted(const struct object *o)
{
    return object_true(o, CKA_TRUSTED) && (o->session != 0 || o->row.verified);
}

CK_ULONG object_ulong(const struct object *o, CK_ATTRIBUTE_TYPE type)
{
    struct bytes v;

    return object_value(o, type, &v) ? attr_to_ulong(v) : 0;
}

CK_RV object_give(const struct object *o, CK_ATTRIBUTE *a)
{
    const struct attr_row *r = attr_table_row(a->type, o->group);
    CK_RV rv = CKR_ATTRIBUTE_TYPE_INVALID;
    struct bytes v;

    if (r != NULL && object_value(o, a->type, &v))
        return attr_give(r->kind, v, a);
    if (r != NULL && (r->rules & ATTR_SECRET) != 0)
        rv = CKR_ATTRIBUTE_SENSITIVE;
    a->ulValueLen = P11_NO_LENGTH;
    return rv;
}

static bool matches_one(const struct object *o, const CK_ATTRIBUTE *a)
{
    const struct attr_row *r = attr_table_row(a->type, o->group);
    struct buf want = {0};
    struct bytes have;
    bool same;

    if (r == NULL || !object_value(o, a->type, &have))
        return false;
    if (r->kind == ATTR_BYTES)
        return have.len == a->ulValueLen && (a->pValue != NULL || have.len == 0) &&
               (have.len == 0 || memcmp(have.p, a->pValue, have.len) == 0);
    same = attr_encode(r->kind, a, &want) == CKR_OK && bytes_equal(have, buf_bytes(&want));
    buf_free(&want);
    return same;
}

static bool names_class(const CK_ATTRIBUTE *t, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        if (t[i].type == CKA_CLASS)
            return true;
    }
    return false;
}

bool object_matches(const struct object *o, const CK_ATTRIBUTE *t, CK_ULONG count)
{
    if (o->group == 0 || ((o->group & ATTR_BUILTIN) != 0 && !names_class(t, count)))
        return false;
    for (CK_ULONG i = 0; i < count; i++) {
        if (!matches_one(o, &t[i]))
            return false;
    }
    return true;
}

int object_copy_row(const struct store_object *from, struct store_object *to, struct err *e)
{
    struct store_object c = *from;

    c.attr = NULL;
    c.n_attr = 0;
    for (size_t i = 0; i < from->n_attr; i++) {
        const struct store_attr *a = &from->attr[i];

        if (store_object_set(&c, a->type, buf_bytes(&a->value), a->sealed, e) != 0) {
            store_object_free(&c);
            return -1;
        }
    }
    *to = c;
    return 0;
}
