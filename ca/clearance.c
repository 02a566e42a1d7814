#include "ca/clearance.h"

#include "ca/plain.h"
#include "core/asn1.h"

#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#define NAMES_MAX 600 /* of a list on the command line */

static int no_memory(struct err *e)
{
    return err_set(e, E_MEMORY, "out of memory for a clearance");
}

/* --- words ---------------------------------------------------------------------------------- */

static int class_of(struct bytes word, unsigned *out, struct err *e)
{
    for (unsigned n = 0; n < FEDERATION_CLASSES; n++) {
        if (bytes_equal(word, bytes_of(federation_class(n), strlen(federation_class(n))))) {
            *out = n;
            return 0;
        }
    }
    return err_set(e, E_ARG,
                   "\"%.*s\" is no class of RFC 5913; those are: unmarked, unclassified, "
                   "restricted, confidential, secret, top-secret",
                   (int)(word.len < 40 ? word.len : 40), (const char *)word.p);
}

static int read_policy(const char *policy, char out[OID_TEXT_MAX], struct err *e)
{
    ASN1_OBJECT *o = policy != NULL && strlen(policy) < OID_TEXT_MAX ? oid_object(policy, NULL)
                                                                     : NULL;
    bool same = o != NULL && oid_is(o, policy);

    ERR_clear_error();
    ASN1_OBJECT_free(o);
    if (!same)
        return err_set(e, E_ARG,
                       "a system of clearances is named by an object identifier in dotted form, "
                       "such as 1.2.3.4");
    memcpy(out, policy, strlen(policy) + 1);
    return 0;
}

/* The next part of a list with commas; false when there is none. */
static bool next_part(const char **list, struct bytes *out)
{
    size_t n = strcspn(*list, ",");

    if (**list == 0)
        return false;
    *out = bytes_of(*list, n);
    *list += n + ((*list)[n] == ',');
    return true;
}

/* A name that is one line of text, wherever it is shown. */
static bool is_name(struct bytes b)
{
    return b.len < FEDERATION_NAME && plain_is(b) && memchr(b.p, '"', b.len) == NULL &&
           memchr(b.p, '\\', b.len) == NULL;
}

/* Is what a class is called, in whichever case, another one's word or name? */
static bool is_taken(const struct clearance_system *s, unsigned bit)
{
    for (unsigned n = 0; n < FEDERATION_CLASSES; n++) {
        if (n != bit && (strcasecmp(s->name[bit], federation_class(n)) == 0 ||
                         strcasecmp(s->name[bit], s->name[n]) == 0))
            return true;
    }
    return false;
}

int clearance_system_parse(const char *policy, const char *names, struct clearance_system *out,
                           struct err *e)
{
    struct clearance_system s = {.policy = ""};
    struct bytes part;

    if (read_policy(policy, s.policy, e) != 0)
        return -1;
    if (strlen(names) > NAMES_MAX)
        return err_set(e, E_ARG, "the names of the clearances are too long");
    while (next_part(&names, &part)) {
        const uint8_t *eq = memchr(part.p, '=', part.len);
        size_t n = eq != NULL ? (size_t)(eq - part.p) : part.len;
        struct bytes name = eq != NULL ? bytes_of(eq + 1, part.len - n - 1) : part;
        unsigned bit;

        if (class_of(bytes_of(part.p, n), &bit, e) != 0)
            return -1;
        if (!is_name(name) || s.name[bit][0] != 0)
            return err_set(e, E_ARG,
                           "each class of clearances is named once, with 1 to %d bytes of plain "
                           "UTF-8: secret=SECRET,confidential=CONFIDENTIAL",
                           FEDERATION_NAME - 1);
        memcpy(s.name[bit], name.p, name.len);
        if (is_taken(&s, bit))
            return err_set(e, E_ARG,
                           "\"%s\" would be the name of two classes of clearances; give each its "
                           "own, and none the standard's word for another",
                           s.name[bit]);
    }
    if (clearance_system_classes(&s) == 0)
        return err_set(e, E_ARG, "a system of clearances has at least one class");
    *out = s;
    return 0;
}

uint32_t clearance_system_classes(const struct clearance_system *s)
{
    uint32_t all = 0;

    for (unsigned n = 0; n < FEDERATION_CLASSES; n++)
        all |= s->name[n][0] != 0 ? 1u << n : 0;
    return all;
}

int clearance_grant(const struct clearance_system *s, const char *name, struct clearance *out,
                    struct err *e)
{
    uint32_t all = clearance_system_classes(s);
    unsigned bit = FEDERATION_CLASSES;
    struct buf has = {0};

    if (s->policy[0] == 0)
        return err_set(e, E_REJECTED,
                       "this authority has no system of clearances; `ca init` gives it one "
                       "(--clearance-policy, --clearances)");
    for (unsigned n = 0; n < FEDERATION_CLASSES; n++) {
        if (s->name[n][0] == 0 ||
            (strcmp(name, federation_class(n)) != 0 && strcmp(name, s->name[n]) != 0))
            continue;
        /* As a system that was made before clearance_system_parse refused it. */
        if (bit != FEDERATION_CLASSES)
            return err_set(e, E_ARG, "\"%.60s\" is the name of two clearances here; use another",
                           name);
        bit = n;
    }
    if (bit != FEDERATION_CLASSES) {
        *out = (struct clearance){.classes = all & ((2u << bit) - 1)};
        memcpy(out->policy, s->policy, sizeof(out->policy));
        return 0;
    }
    clearance_text(s, all, &has);
    err_set(e, E_ARG, "there is no clearance \"%.60s\" here; there are: %s", name,
            buf_cstr(&has) != NULL ? buf_cstr(&has) : "?");
    buf_free(&has);
    return -1;
}

int clearance_parse(const char *policy, const char *list, struct clearance *out, struct err *e)
{
    struct clearance c = {.classes = 0};
    struct bytes part;
    unsigned bit;

    if (read_policy(policy, c.policy, e) != 0)
        return -1;
    while (next_part(&list, &part)) {
        if (class_of(part, &bit, e) != 0)
            return -1;
        c.classes |= 1u << bit;
    }
    if (c.classes == 0)
        return err_set(e, E_ARG, "name the classes of clearances, such as confidential,secret");
    *out = c;
    return 0;
}

void clearance_text(const struct clearance_system *s, uint32_t classes, struct buf *out)
{
    const char *comma = "";

    for (unsigned n = FEDERATION_CLASSES; n-- > 0;) {
        if ((classes & (1u << n)) == 0)
            continue;
        buf_printf(out, "%s%s", comma, s->name[n][0] != 0 ? s->name[n] : federation_class(n));
        comma = ", ";
    }
}

/* --- certificates --------------------------------------------------------------------------- */

/* RFC 5913, 2. DER leaves out what is the default: unclassified, alone. */
static asn1_clearance *make(const struct clearance *c, struct err *e)
{
    asn1_clearance *v = (asn1_clearance *)ASN1_item_new(ASN1_ITEM_rptr(asn1_clearance));
    bool ok = v != NULL;

    if (ok) {
        ASN1_OBJECT_free(v->policy);
        v->policy = oid_object(c->policy, e);
        ok = v->policy != NULL;
    }
    if (ok && c->classes != CHAIN_UNCLASSIFIED) {
        v->classes = ASN1_BIT_STRING_new();
        ok = v->classes != NULL;
        for (int n = 0; ok && n < FEDERATION_CLASSES; n++)
            ok = (c->classes & (1u << n)) == 0 || ASN1_BIT_STRING_set_bit(v->classes, n, 1) == 1;
    }
    if (ok)
        return v;
    asn1_free(v, ASN1_ITEM_rptr(asn1_clearance));
    no_memory(e);
    return NULL;
}

static int add_extension(X509 *cert, ASN1_OBJECT *oid, const struct buf *der, struct err *e)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *x = NULL;
    int rc = -1;

    if (oid != NULL && value != NULL && asn1_set_octets(value, buf_bytes(der), e) == 0 &&
        (x = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value)) != NULL &&
        X509_add_ext(cert, x, -1) == 1)
        rc = 0;
    else
        no_memory(e);
    X509_EXTENSION_free(x);
    ASN1_OCTET_STRING_free(value);
    return rc;
}

int clearance_put(X509 *cert, const struct clearance *c, struct err *e)
{
    ASN1_OBJECT *oid = OBJ_nid2obj(NID_subject_directory_attributes);
    asn1_attributes *set = sk_X509_ATTRIBUTE_new_null();
    asn1_clearance *v = make(c, e);
    X509_ATTRIBUTE *a = NULL;
    struct buf one = {0}, der = {0};
    ASN1_OBJECT *type = oid_object(OID_CLEARANCE, e);
    int rc = -1;

    if (v == NULL || type == NULL || asn1_encode(v, ASN1_ITEM_rptr(asn1_clearance), &one, e) != 0)
        goto out;
    a = X509_ATTRIBUTE_create_by_OBJ(NULL, type, V_ASN1_SEQUENCE, one.p, (int)one.len);
    if (set == NULL || a == NULL || sk_X509_ATTRIBUTE_push(set, a) <= 0) {
        X509_ATTRIBUTE_free(a);
        no_memory(e);
        goto out;
    }
    if (asn1_encode(set, ASN1_ITEM_rptr(asn1_attributes), &der, e) == 0)
        rc = add_extension(cert, oid, &der, e);
out:
    sk_X509_ATTRIBUTE_pop_free(set, X509_ATTRIBUTE_free);
    asn1_free(v, ASN1_ITEM_rptr(asn1_clearance));
    ASN1_OBJECT_free(type);
    buf_free(&one);
    buf_free(&der);
    return rc;
}

int clearance_put_bound(X509 *cert, const struct clearance *c, struct err *e)
{
    const struct clearance none = {.policy = OID_CLEARANCE_NONE};
    asn1_clearances *set = sk_asn1_clearance_new_null();
    ASN1_OBJECT *oid = oid_object(OID_EXT_CLEARANCE_CONSTRAINTS, e);
    asn1_clearance *v = make(c != NULL ? c : &none, e);
    struct buf der = {0};
    int rc = -1;

    if (set == NULL || v == NULL || sk_asn1_clearance_push(set, v) <= 0) {
        asn1_free(v, ASN1_ITEM_rptr(asn1_clearance));
        no_memory(e);
        goto out;
    }
    if (asn1_encode(set, ASN1_ITEM_rptr(asn1_clearances), &der, e) == 0)
        rc = add_extension(cert, oid, &der, e);
out:
    while (sk_asn1_clearance_num(set) > 0)
        asn1_free(sk_asn1_clearance_pop(set), ASN1_ITEM_rptr(asn1_clearance));
    sk_asn1_clearance_free(set);
    ASN1_OBJECT_free(oid);
    buf_free(&der);
    return rc;
}

/* The bound that it sets: its whole list; NULL when there is none or it does not parse. */
static asn1_clearances *read_bound(X509 *ca)
{
    ASN1_OBJECT *oid = oid_object(OID_EXT_CLEARANCE_CONSTRAINTS, NULL);
    int at = oid != NULL ? X509_get_ext_by_OBJ(ca, oid, -1) : -1;
    asn1_clearances *set = NULL;

    if (at >= 0 && X509_get_ext_by_OBJ(ca, oid, at) < 0)
        set = asn1_decode(ASN1_ITEM_rptr(asn1_clearances),
                          asn1_octets(X509_EXTENSION_get_data(X509_get_ext(ca, at))), BUF_MAX,
                          "bound of clearances", NULL);
    ASN1_OBJECT_free(oid);
    return set;
}

bool clearance_bounded(X509 *ca)
{
    ASN1_OBJECT *oid = oid_object(OID_EXT_CLEARANCE_CONSTRAINTS, NULL);
    bool yes = oid == NULL || X509_get_ext_by_OBJ(ca, oid, -1) >= 0;

    ASN1_OBJECT_free(oid);
    return yes;
}

int clearance_within(X509 *ca, const struct clearance *c, struct err *e)
{
    asn1_clearances *set = read_bound(ca);
    uint32_t may = 0;

    for (int i = 0; i < sk_asn1_clearance_num(set); i++) {
        const asn1_clearance *v = sk_asn1_clearance_value(set, i);

        if (!oid_is(v->policy, c->policy))
            continue;
        may |= v->classes == NULL ? CHAIN_UNCLASSIFIED : 0;
        for (int n = 0; v->classes != NULL && n < FEDERATION_CLASSES; n++)
            may |= ASN1_BIT_STRING_get_bit(v->classes, n) != 0 ? 1u << n : 0;
    }
    asn1_free(set, ASN1_ITEM_rptr(asn1_clearances));
    if (c->classes != 0 && (c->classes & ~may) == 0)
        return 0;
    return err_set(e, E_REJECTED,
                   "the CA may not grant that clearance (policy %.60s): its own certificate "
                   "(authorityClearanceConstraints) does not have it",
                   c->policy);
}
