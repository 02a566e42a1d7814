#include "tests/fuzz/calls.h"

#include <string.h>

/* Calls on objects, and those that make keys of others. */

static const struct {
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE type;
} kinds[] = {
    {CKO_DATA, 0},
    {CKO_CERTIFICATE, CKC_X_509},
    {CKO_PUBLIC_KEY, CKK_RSA},
    {CKO_PUBLIC_KEY, CKK_EC},
    {CKO_SECRET_KEY, CKK_AES},
    {CKO_SECRET_KEY, CKK_GENERIC_SECRET},
    {CKO_SECRET_KEY, CKK_SHA256_HMAC},
    {CKO_SECRET_KEY, CKK_HKDF},
    {CKO_PRIVATE_KEY, CKK_RSA},
    {CKO_PRIVATE_KEY, CKK_EC},
    {CKO_PROFILE, 0},
};

static CK_ATTRIBUTE *some_template(struct calls *w, size_t first, size_t count, CK_ULONG *n)
{
    size_t k = first + input_below(&w->in, count);

    return calls_template(w, kinds[k].class, kinds[k].type, n);
}

static void create(struct calls *w)
{
    CK_OBJECT_HANDLE o = 0;
    CK_ULONG n;
    CK_ATTRIBUTE *t = some_template(w, 0, ARRAY_LEN(kinds), &n);

    if (input_one_in(&w->in, 32))
        n = 129 + (CK_ULONG)input_below(&w->in, 3) * (~(CK_ULONG)0 >> 3);
    calls_keep(w, calls_rv(w->f->v2.C_CreateObject(calls_session(w), t, n, &o)), o);
}

static void copy(struct calls *w)
{
    CK_OBJECT_HANDLE from = calls_object(w), o = 0;
    CK_ULONG n;
    CK_ATTRIBUTE *t = attrs_template(&w->in, ATTR_ALL, &n);

    calls_no_token(t, n);
    calls_keep(w, calls_rv(w->f->v2.C_CopyObject(calls_session(w), from, t, n, &o)), o);
}

static void change(struct calls *w)
{
    CK_OBJECT_HANDLE o = calls_object(w);
    CK_ULONG n;
    CK_ATTRIBUTE *t = attrs_template(&w->in, ATTR_ALL, &n);

    calls_rv(w->f->v2.C_SetAttributeValue(calls_session(w), o, t, n));
}

static void get(struct calls *w)
{
    CK_OBJECT_HANDLE o = calls_object(w);
    CK_ULONG n;
    CK_ATTRIBUTE *t = attrs_ask(&w->in, ATTR_ALL, &n);
    CK_ATTRIBUTE *before = (void *)input_copy(&w->in, bytes_of((void *)t, n * sizeof(*t)));
    CK_RV rv = calls_rv(w->f->v2.C_GetAttributeValue(calls_session(w), o, t, n));

    if (rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_OBJECT_HANDLE_INVALID)
        return;
    for (CK_ULONG i = 0; i < n; i++)
        attrs_look(&before[i], &t[i]);
}

static void find(struct calls *w)
{
    CK_ULONG n, max = (CK_ULONG)input_below(&w->in, 20), found = 0;
    CK_OBJECT_HANDLE *o = input_room(&w->in, max * sizeof(*o));
    CK_ATTRIBUTE *t = attrs_template(&w->in, ATTR_ALL, &n);
    CK_SESSION_HANDLE s = calls_session(w);
    CK_RV rv;

    if (input_one_in(&w->in, 2))
        n = n != 0;
    calls_rv(w->f->v2.C_FindObjectsInit(s, t, n));
    rv = calls_rv(w->f->v2.C_FindObjects(s, o, max, &found));
    INPUT_HOLDS(rv != CKR_OK || found <= max);
    if (rv == CKR_OK && found != 0)
        calls_keep(w, rv, o[found - 1]);
    if (!input_one_in(&w->in, 4))
        calls_rv(w->f->v2.C_FindObjectsFinal(s));
}

void calls_on_objects(struct calls *w)
{
    CK_OBJECT_HANDLE o;
    CK_ULONG size;

    switch (input_below(&w->in, 8)) {
    case 0:
    case 1: create(w); return;
    case 2: copy(w); return;
    case 3: change(w); return;
    case 4:
    case 5: get(w); return;
    case 6: find(w); return;
    default: break;
    }
    o = calls_object(w);
    if (input_one_in(&w->in, 2)) {
        calls_rv(w->f->v2.C_GetObjectSize(calls_session(w), o, &size));
        return;
    }
    if (calls_rv(w->f->v2.C_DestroyObject(calls_session(w), o)) != CKR_OK)
        return;
    for (size_t i = 0; i < CALLS_PRESETS; i++) {
        if (w->preset[i] == o)
            w->preset[i] = 0;
    }
}

/* --- keys of keys ----------------------------------------------------------- */

struct wrapping {
    CK_SESSION_HANDLE s;
    CK_MECHANISM *m;
    CK_OBJECT_HANDLE by, key;
};

static CK_RV give_wrapped(struct calls *w, void *arg, CK_BYTE *out, CK_ULONG *len)
{
    struct wrapping *x = arg;

    return w->f->v2.C_WrapKey(x->s, x->m, x->by, x->key, out, len);
}

static void unwrap(struct calls *w, struct calls_data d)
{
    const struct mech *m = mechs_with(&w->in, CKF_UNWRAP);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    CK_OBJECT_HANDLE by = calls_key(w, m), o = 0;
    CK_ULONG n;
    CK_ATTRIBUTE *t = some_template(w, 4, 6, &n);

    calls_keep(
        w, calls_rv(w->f->v2.C_UnwrapKey(calls_session(w), &given, by, d.p, d.len, t, n, &o)), o);
}

/* The value of a key that shows it. */
static struct bytes value_of(struct calls *w, CK_OBJECT_HANDLE o)
{
    CK_ATTRIBUTE a = {CKA_VALUE, NULL, 0};

    if (w->f->v2.C_GetAttributeValue(w->rw, o, &a, 1) != CKR_OK)
        return bytes_of(NULL, 0);
    a.pValue = input_room(&w->in, a.ulValueLen);
    INPUT_HOLDS(w->f->v2.C_GetAttributeValue(w->rw, o, &a, 1) == CKR_OK);
    return bytes_of(a.pValue, a.ulValueLen);
}

/* ECB and CBC fill up with zeros; the others give a key back as it was. */
static bool exact(const struct mech *m)
{
    return m->family == MECH_GCM || m->family == MECH_KEY_WRAP ||
           (m->family == MECH_AES && m->variant == MECH_AES_CBC_PAD);
}

static void wrap(struct calls *w)
{
    static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    static CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    static CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_KEY_TYPE, &type, sizeof(type)},
                        {CKA_PRIVATE, &no, sizeof(no)},
                        {CKA_SENSITIVE, &no, sizeof(no)}};
    const struct mech *m = mechs_with(&w->in, CKF_WRAP);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    struct wrapping x = {calls_session(w), &given, calls_key(w, m), calls_object(w)};
    CK_OBJECT_HANDLE o = 0;
    struct bytes made, before, after;

    if (calls_output(w, give_wrapped, &x, &made) != CKR_OK || made.len == 0 || !exact(m))
        return;
    before = value_of(w, x.key);
    if (before.len == 0 ||
        calls_rv(w->f->v2.C_UnwrapKey(w->rw, &given, x.by, (CK_BYTE *)(uintptr_t)made.p, made.len,
                                      t, ARRAY_LEN(t), &o)) != CKR_OK)
        return;
    after = value_of(w, o);
    INPUT_HOLDS(after.len == 0 || bytes_equal(before, after));
    calls_keep(w, CKR_OK, o);
}

static void derive(struct calls *w)
{
    const struct mech *m = mechs_with(&w->in, CKF_DERIVE);
    CK_MECHANISM given;
    CK_OBJECT_HANDLE by, o = 0;
    CK_ULONG n;
    CK_ATTRIBUTE *t = some_template(w, 4, 6, &n);

    if (m->family == MECH_HKDF && m->variant == 1)
        t = some_template(w, 0, 1, &n);
    mechs_salt(calls_object(w));
    given = mechs_given(&w->in, m, NULL);
    by = calls_key(w, m);
    calls_keep(w, calls_rv(w->f->v2.C_DeriveKey(calls_session(w), &given, by, t, n, &o)), o);
}

/* There is no TPM to make keys in; session keys need none. */
static void generate(struct calls *w)
{
    bool pair = input_one_in(&w->in, 4);
    const struct mech *m = mechs_with(&w->in, pair ? CKF_GENERATE_KEY_PAIR : CKF_GENERATE);
    CK_MECHANISM given = mechs_given(&w->in, m, NULL);
    CK_OBJECT_HANDLE o = 0, other = 0;
    CK_ULONG n, n_priv;
    CK_ATTRIBUTE *t, *priv;

    if (!pair) {
        t = some_template(w, 4, 4, &n);
        calls_keep(w, calls_rv(w->f->v2.C_GenerateKey(calls_session(w), &given, t, n, &o)), o);
        return;
    }
    t = some_template(w, 2, 2, &n);
    priv = some_template(w, 8, 2, &n_priv);
    calls_rv(w->f->v2.C_GenerateKeyPair(calls_session(w), &given, t, n, priv, n_priv, &o, &other));
}

void calls_on_keys(struct calls *w)
{
    switch (input_below(&w->in, 8)) {
    case 0:
    case 1: unwrap(w, calls_data(w)); break;
    case 2:
    case 3: wrap(w); break;
    case 4: generate(w); break;
    default: derive(w); break;
    }
}
