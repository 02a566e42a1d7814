/* C_FindObjects (Base 5.7). */
#include <stdio.h>

#include "tests/conformance/keys.h"

#define MANY 40

static CK_OBJECT_HANDLE made[MANY];

static CK_OBJECT_HANDLE data(CK_SESSION_HANDLE h, const char *value, const char *app)
{
    CK_ATTRIBUTE t[] = {
        UL(CKA_CLASS, CKO_DATA),
        LABEL,
        NO(CKA_TOKEN),
        NO(CKA_PRIVATE),
        BYTES(CKA_VALUE, value, strlen(value)),
        BYTES(CKA_APPLICATION, app, strlen(app)),
    };
    CK_OBJECT_HANDLE o = 0;

    OK(f->C_CreateObject(h, t, N(t), &o));
    return o;
}

static void make_many(void)
{
    char value[16];

    for (int i = 0; i < MANY; i++) {
        snprintf(value, sizeof value, "%d", i);
        made[i] = data(ses, value, i % 2 ? "odd" : "even");
    }
}

/* All handles that a template finds, `batch` at a time. */
static CK_ULONG find(CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out, CK_ULONG max,
                     CK_ULONG batch)
{
    CK_ULONG got = 0, all = 0;

    OK(f->C_FindObjectsInit(ses, t, n));
    do {
        MUST(all + batch <= max, "more objects than there are");
        OK(f->C_FindObjects(ses, out + all, batch, &got));
        MUST(got <= batch, "%lu objects in room for %lu", got, batch);
        all += got;
    } while (got > 0);
    OK(f->C_FindObjectsFinal(ses));
    return all;
}

static bool has(const CK_OBJECT_HANDLE *list, CK_ULONG n, CK_OBJECT_HANDLE h)
{
    for (CK_ULONG i = 0; i < n; i++) {
        if (list[i] == h)
            return true;
    }
    return false;
}

static void batches(const void *arg)
{
    CK_OBJECT_HANDLE out[512];
    CK_ATTRIBUTE t[] = {LABEL, TEXT(CKA_APPLICATION, "odd")};

    (void)arg;
    make_many();
    for (CK_ULONG batch = 1; batch <= 64; batch += batch < 3 ? 1 : 20) {
        CK_ULONG n = find(t, N(t), out, N(out), batch);

        MUST(n == MANY / 2, "%lu objects by batches of %lu, not %d", n, batch, MANY / 2);
        for (CK_ULONG i = 0; i < n; i++)
            MUST(!has(out, i, out[i]), "an object is found twice");
        for (int i = 1; i < MANY; i += 2)
            MUST(has(out, n, made[i]), "an object is not found");
    }
}

/* "If the search template is empty, all objects are found"; the user's private ones too. */
static void everything(const void *arg)
{
    static CK_OBJECT_HANDLE out[4096];
    CK_ULONG n;

    (void)arg;
    make_many();
    n = find(NULL, 0, out, N(out), 17);
    for (int i = 0; i < MANY; i++)
        MUST(has(out, n, made[i]), "an object is not found");
    for (CK_ULONG i = 0; i < n; i++)
        MUST(!has(out, i, out[i]) && out[i] != CK_INVALID_HANDLE, "a handle is wrong");
}

struct template
{
    const char *name;
    CK_ATTRIBUTE t[3];
    CK_ULONG n, want;
};
static CK_OBJECT_CLASS data_class = CKO_DATA, key_class = CKO_SECRET_KEY;
static const struct template templates[] = {
    {"value", {TEXT(CKA_VALUE, "17"), TEXT(CKA_LABEL, CONF_LABEL)}, 2, 1},
    {"two-attributes", {TEXT(CKA_VALUE, "17"), TEXT(CKA_APPLICATION, "odd")}, 2, 1},
    {"contradiction", {TEXT(CKA_VALUE, "17"), TEXT(CKA_APPLICATION, "even")}, 2, 0},
    {"prefix-is-no-match", {TEXT(CKA_APPLICATION, "od"), TEXT(CKA_LABEL, CONF_LABEL)}, 2, 0},
    {"longer-is-no-match", {TEXT(CKA_APPLICATION, "oddly"), TEXT(CKA_LABEL, CONF_LABEL)}, 2, 0},
    {"empty-value-is-no-match", {{CKA_VALUE, NULL, 0}, TEXT(CKA_APPLICATION, "odd")}, 2, 0},
    {"class",
     {{CKA_CLASS, &data_class, sizeof data_class}, TEXT(CKA_APPLICATION, "odd")},
     2,
     MANY / 2},
    {"other-class",
     {{CKA_CLASS, &key_class, sizeof key_class}, TEXT(CKA_APPLICATION, "odd")},
     2,
     0},
    {"attribute-it-does-not-have", {TEXT(CKA_ID, "x"), TEXT(CKA_APPLICATION, "odd")}, 2, 0},
    {"unknown-attribute", {TEXT(0x80004712UL, "x"), TEXT(CKA_APPLICATION, "odd")}, 2, 0},
};

static void by_template(const void *arg)
{
    const struct template *c = arg;
    CK_OBJECT_HANDLE out[256];
    CK_ATTRIBUTE t[3];
    CK_ULONG n;

    memcpy(t, c->t, sizeof t);
    make_many();
    n = find(t, c->n, out, N(out), 10);
    MUST(n == c->want, "%lu objects, not %lu", n, c->want);
}

static void max_zero(const void *arg)
{
    CK_OBJECT_HANDLE out[4];
    CK_ATTRIBUTE t[] = {LABEL};
    CK_ULONG n = 77;
    CK_RV rv;

    (void)arg;
    make_many();
    OK(f->C_FindObjectsInit(ses, t, N(t)));
    rv = EXPECT(f->C_FindObjects(ses, out, 0, &n), CKR_OK, CKR_ARGUMENTS_BAD);
    MUST(rv != CKR_OK || n == 0, "%lu objects of 0", n);
    OK(f->C_FindObjects(ses, out, N(out), &n));
    MUST(n == N(out), "%lu objects of %zu", n, N(out));
    OK(f->C_FindObjectsFinal(ses));
}

static void init_twice(const void *arg)
{
    CK_OBJECT_HANDLE out[4];
    CK_ULONG n;

    (void)arg;
    OK(f->C_FindObjectsInit(ses, NULL, 0));
    EXPECT(f->C_FindObjectsInit(ses, NULL, 0), CKR_OPERATION_ACTIVE);
    OK(f->C_FindObjects(ses, out, N(out), &n));
    OK(f->C_FindObjectsFinal(ses));
    EXPECT(f->C_FindObjectsFinal(ses), CKR_OPERATION_NOT_INITIALIZED);
    EXPECT(f->C_FindObjects(ses, out, N(out), &n), CKR_OPERATION_NOT_INITIALIZED);
    OK(f->C_FindObjectsInit(ses, NULL, 0));
    OK(f->C_FindObjectsFinal(ses));
}

/* Session objects of another session are the application's, too. */
static void other_session(const void *arg)
{
    CK_SESSION_HANDLE other = conf_open(0);
    CK_OBJECT_HANDLE out[8], mine = data(other, "elsewhere", "elsewhere");
    CK_ATTRIBUTE t[] = {TEXT(CKA_APPLICATION, "elsewhere")};

    (void)arg;
    MUST(find(t, 1, out, N(out), 4) == 1 && out[0] == mine, "it is not found");
    OK(f->C_CloseSession(other));
    MUST(find(t, 1, out, N(out), 4) == 0, "it is found when it is gone");
}

/* Two sessions search at a time. */
static void two_searches(const void *arg)
{
    CK_SESSION_HANDLE other = conf_open(0);
    CK_OBJECT_HANDLE out[MANY];
    CK_ATTRIBUTE t[] = {TEXT(CKA_APPLICATION, "odd"), TEXT(CKA_APPLICATION, "even")};
    CK_ULONG n;

    (void)arg;
    make_many();
    OK(f->C_FindObjectsInit(ses, t, 1));
    OK(f->C_FindObjectsInit(other, t + 1, 1));
    OK(f->C_FindObjects(ses, out, 1, &n));
    MUST(n == 1 && has(made, MANY, out[0]), "the first finds nothing");
    OK(f->C_FindObjects(other, out, N(out), &n));
    MUST(n == MANY / 2, "the second finds %lu", n);
    OK(f->C_FindObjectsFinal(other));
    OK(f->C_FindObjects(ses, out, N(out), &n));
    MUST(n == MANY / 2 - 1, "the first finds %lu more", n);
    OK(f->C_FindObjectsFinal(ses));
    OK(f->C_CloseSession(other));
}

/* Objects that go and come while a search runs: no crash, and the session stays usable. */
static void changes(const void *arg)
{
    CK_OBJECT_HANDLE out[MANY];
    CK_ATTRIBUTE t[] = {LABEL};
    CK_ULONG n, all = 0;

    (void)arg;
    make_many();
    OK(f->C_FindObjectsInit(ses, t, 1));
    OK(f->C_FindObjects(ses, out, 3, &n));
    for (int i = 0; i < MANY; i += 2)
        OK(f->C_DestroyObject(ses, made[i]));
    (void)data(ses, "late", "late");
    do {
        OK(f->C_FindObjects(ses, out, 7, &n));
        all += n;
        MUST(all <= 4 * MANY, "the search has no end");
    } while (n > 0);
    OK(f->C_FindObjectsFinal(ses));
}

/* Base 3.0, 4.13: profile objects; any module may have none, and says so with CKR_OK. */
static void classes(const void *arg)
{
    static const CK_OBJECT_CLASS all[] = {
        CKO_DATA,       CKO_CERTIFICATE, CKO_PUBLIC_KEY,        CKO_PRIVATE_KEY, CKO_SECRET_KEY,
        CKO_HW_FEATURE, CKO_MECHANISM,   CKO_DOMAIN_PARAMETERS, CKO_PROFILE,     0x80000001UL,
    };
    CK_OBJECT_HANDLE out[16];
    CK_ULONG n;

    (void)arg;
    for (size_t i = 0; i < N(all); i++) {
        CK_ATTRIBUTE t = UL(CKA_CLASS, all[i]);

        OK(f->C_FindObjectsInit(ses, &t, 1));
        OK(f->C_FindObjects(ses, out, N(out), &n));
        OK(f->C_FindObjectsFinal(ses));
        for (CK_ULONG j = 0; j < n; j++)
            MUST(keys_ulong(out[j], CKA_CLASS) == all[i], "an object of another class is found");
    }
}

/* A module of 3.0 tells the profiles that it has (Base 3.0, 4.13.2). */
static void profiles(const void *arg)
{
    CK_ATTRIBUTE t = UL(CKA_CLASS, CKO_PROFILE);
    CK_OBJECT_HANDLE out[16];
    CK_ULONG n;

    (void)arg;
    n = find(&t, 1, out, N(out), 1);
    if (n == 0)
        conf_skip("no profile objects");
    for (CK_ULONG i = 0; i < n; i++) {
        (void)keys_ulong(out[i], CKA_PROFILE_ID);
        MUST(keys_bool(out[i], CKA_TOKEN) == CK_TRUE && keys_bool(out[i], CKA_PRIVATE) == CK_FALSE,
             "a profile object is a public token object");
    }
}

void lookup_checks(void)
{
    conf_add(CONF_USER, batches, NULL, "find/batches");
    conf_add(CONF_USER, everything, NULL, "find/empty-template");
    for (size_t i = 0; i < N(templates); i++)
        conf_add(CONF_USER, by_template, &templates[i], "find/template/%s", templates[i].name);
    conf_add(CONF_USER, max_zero, NULL, "find/room-for-none");
    conf_add(CONF_USER, init_twice, NULL, "find/init-twice");
    conf_add(CONF_USER, other_session, NULL, "find/objects-of-another-session");
    conf_add(CONF_USER, two_searches, NULL, "find/two-sessions");
    conf_add(CONF_USER, changes, NULL, "find/changes-during-a-search");
    conf_add(CONF_USER, classes, NULL, "find/all-classes");
    conf_add(CONF_USER, profiles, NULL, "find/profiles");
}
