/*
 * A PKCS#11 application for tests, driven by its arguments:
 *
 *   signloop MODULE STEP...
 *
 *   init           C_Initialize(NULL); "already initialised" is fine
 *   init-threads   the same with CKF_OS_LOCKING_OK
 *   init-alone     the same with CKF_LIBRARY_CANT_CREATE_OS_THREADS
 *   fin            C_Finalize; without it the process ends like those that never call it
 *   slots          C_GetSlotList, then C_GetSlotInfo and C_GetTokenInfo of each slot
 *   mechs          C_GetMechanismList and C_GetMechanismInfo of the chosen token
 *   open LABEL     chooses the token with that label and opens a session with it
 *   login FILE     C_Login with the PIN in FILE (its first line); "already logged in" is fine
 *   logout         C_Logout
 *   find LABEL     the private key and the public key of that label
 *   attrs          reads attributes of both keys
 *   sign N         N signatures: CKM_ECDSA on 32 bytes, CKM_RSA_PKCS on a DigestInfo
 *   check N        N signatures, each of other data, and C_Verify of each
 *   threads "T N"  T threads that each open a session and do what check N does
 *   verify         C_Verify of the last signature
 *   digest         C_Digest with SHA-256
 *   generate LABEL C_GenerateKeyPair, EC P-256, token objects
 *   hold FILE      keeps the bytes of FILE in memory: what a search for secrets must find
 *   leak           allocates and forgets
 *   pause          prints "paused", then stops itself (SIGSTOP) until SIGCONT
 *   idle FILE      prints "idle", then sleeps until FILE is there
 *   phase NAME     prints "NAME N R": how many lines the spy's log $SPY_LOG has grown by since the
 *                  last phase, and how many of them were answered with "retry"
 *   fork           from here on two processes take the remaining steps; the parent waits at its end
 *   leave          the child of the last fork exits; the parent waits for that and goes on
 *
 * Exit status 0; 1 with the name of the function and its CKR_ value when a step failed; 2 usage.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <signal.h>

#include "pkcs11/p11.h"

#define MAX_SLOTS 64
#define MAX_MECHS 256

struct loop {
    CK_FUNCTION_LIST *f;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key, pub;
    CK_MECHANISM mech;
    CK_BYTE data[64];
    CK_ULONG data_len;
    CK_BYTE sig[1024];
    CK_ULONG sig_len;
    unsigned long counted; /* lines of the spy's log when the last phase ended */
    char *held;
    pid_t child;
};

static bool said(CK_RV rv, const char *function)
{
    if (rv != CKR_OK)
        fprintf(stderr, "signloop: %s: 0x%lx\n", function, (unsigned long)rv);
    return rv == CKR_OK;
}

static bool do_init(struct loop *l, const char *arg)
{
    CK_RV rv = l->f->C_Initialize(NULL);

    (void)arg;
    return said(rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? CKR_OK : rv, "C_Initialize");
}

static bool do_init_threads(struct loop *l, const char *arg)
{
    CK_C_INITIALIZE_ARGS a = {.flags = CKF_OS_LOCKING_OK};
    CK_RV rv = l->f->C_Initialize(&a);

    (void)arg;
    return said(rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? CKR_OK : rv, "C_Initialize");
}

static bool do_init_alone(struct loop *l, const char *arg)
{
    CK_C_INITIALIZE_ARGS a = {.flags = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS};

    (void)arg;
    return said(l->f->C_Initialize(&a), "C_Initialize");
}

static bool do_fin(struct loop *l, const char *arg)
{
    (void)arg;
    return said(l->f->C_Finalize(NULL), "C_Finalize");
}

static bool do_slots(struct loop *l, const char *arg)
{
    CK_SLOT_ID slot[MAX_SLOTS];
    CK_ULONG n = MAX_SLOTS;
    CK_SLOT_INFO info;
    CK_TOKEN_INFO token;

    (void)arg;
    if (!said(l->f->C_GetSlotList(CK_FALSE, slot, &n), "C_GetSlotList"))
        return false;
    for (CK_ULONG i = 0; i < n; i++) {
        if (!said(l->f->C_GetSlotInfo(slot[i], &info), "C_GetSlotInfo") ||
            !said(l->f->C_GetTokenInfo(slot[i], &token), "C_GetTokenInfo"))
            return false;
    }
    return true;
}

static bool do_mechs(struct loop *l, const char *arg)
{
    CK_MECHANISM_TYPE type[MAX_MECHS];
    CK_MECHANISM_INFO info;
    CK_ULONG n = MAX_MECHS;

    (void)arg;
    if (!said(l->f->C_GetMechanismList(l->slot, type, &n), "C_GetMechanismList"))
        return false;
    for (CK_ULONG i = 0; i < n; i++) {
        if (!said(l->f->C_GetMechanismInfo(l->slot, type[i], &info), "C_GetMechanismInfo"))
            return false;
    }
    return n > 0;
}

static bool do_open(struct loop *l, const char *arg)
{
    CK_SLOT_ID slot[MAX_SLOTS];
    CK_ULONG n = MAX_SLOTS;
    CK_TOKEN_INFO token;
    size_t len = strlen(arg);

    if (!said(l->f->C_GetSlotList(CK_TRUE, slot, &n), "C_GetSlotList"))
        return false;
    for (CK_ULONG i = 0; i < n; i++) {
        if (l->f->C_GetTokenInfo(slot[i], &token) != CKR_OK || len > sizeof(token.label) ||
            memcmp(token.label, arg, len) != 0 ||
            (len < sizeof(token.label) && token.label[len] != ' '))
            continue;
        l->slot = slot[i];
        return said(l->f->C_OpenSession(l->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                        &l->session),
                    "C_OpenSession");
    }
    fprintf(stderr, "signloop: no token \"%s\" in %lu slots\n", arg, (unsigned long)n);
    return false;
}

/* Wipes what it read: the story searches this process for the PIN as well. */
static bool do_login(struct loop *l, const char *arg)
{
    char pin[128];
    FILE *f = fopen(arg, "re");
    CK_RV rv;

    if (f == NULL) {
        perror(arg);
        return false;
    }
    setvbuf(f, NULL, _IONBF, 0);
    if (fgets(pin, sizeof(pin), f) == NULL)
        pin[0] = 0;
    fclose(f);
    pin[strcspn(pin, "\n")] = 0;
    rv = l->f->C_Login(l->session, CKU_USER, (CK_UTF8CHAR *)pin, (CK_ULONG)strlen(pin));
    explicit_bzero(pin, sizeof(pin));
    return said(rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv, "C_Login");
}

static bool do_logout(struct loop *l, const char *arg)
{
    (void)arg;
    return said(l->f->C_Logout(l->session), "C_Logout");
}

static bool find_one(struct loop *l, CK_OBJECT_CLASS class, const char *label,
                     CK_OBJECT_HANDLE *out)
{
    CK_BYTE value[64];
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_LABEL, value, strlen(label)}};
    CK_ULONG n = 0;

    if (strlen(label) > sizeof(value))
        return false;
    memcpy(value, label, strlen(label));
    if (!said(l->f->C_FindObjectsInit(l->session, t, 2), "C_FindObjectsInit") ||
        !said(l->f->C_FindObjects(l->session, out, 1, &n), "C_FindObjects") ||
        !said(l->f->C_FindObjectsFinal(l->session), "C_FindObjectsFinal"))
        return false;
    if (n == 0)
        fprintf(stderr, "signloop: no object \"%s\" of class %lu\n", label, (unsigned long)class);
    return n == 1;
}

static bool do_find(struct loop *l, const char *arg)
{
    /* RFC 8017 9.2 note 1: the DER before a SHA-256 hash value in a DigestInfo. */
    static const CK_BYTE info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                   0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    CK_KEY_TYPE type = 0;
    CK_ATTRIBUTE a = {CKA_KEY_TYPE, &type, sizeof(type)};

    if (!find_one(l, CKO_PRIVATE_KEY, arg, &l->key) || !find_one(l, CKO_PUBLIC_KEY, arg, &l->pub) ||
        !said(l->f->C_GetAttributeValue(l->session, l->key, &a, 1), "C_GetAttributeValue"))
        return false;
    memset(l->data, 0x5a, sizeof(l->data));
    l->data_len = 32;
    l->mech.mechanism = CKM_ECDSA;
    if (type == CKK_RSA) {
        l->mech.mechanism = CKM_RSA_PKCS;
        memcpy(l->data, info, sizeof(info));
        l->data_len += sizeof(info);
    }
    return true;
}

static bool do_attrs(struct loop *l, const char *arg)
{
    CK_BYTE label[128], id[128];
    CK_BBOOL token, private, sign;
    CK_ATTRIBUTE pub[] = {{CKA_LABEL, label, sizeof(label)},
                          {CKA_ID, id, sizeof(id)},
                          {CKA_TOKEN, &token, sizeof(token)}};
    CK_ATTRIBUTE key[] = {{CKA_LABEL, label, sizeof(label)},
                          {CKA_ID, id, sizeof(id)},
                          {CKA_PRIVATE, &private, sizeof(private)},
                          {CKA_SIGN, &sign, sizeof(sign)}};

    (void)arg;
    return said(l->f->C_GetAttributeValue(l->session, l->pub, pub, 3), "C_GetAttributeValue") &&
           said(l->f->C_GetAttributeValue(l->session, l->key, key, 4), "C_GetAttributeValue");
}

static bool do_sign(struct loop *l, const char *arg)
{
    unsigned long n = strtoul(arg, NULL, 10);

    for (unsigned long i = 0; i < n; i++) {
        l->data[l->data_len - 1] = (CK_BYTE)i;
        l->sig_len = sizeof(l->sig);
        if (!said(l->f->C_SignInit(l->session, &l->mech, l->key), "C_SignInit") ||
            !said(l->f->C_Sign(l->session, l->data, l->data_len, l->sig, &l->sig_len), "C_Sign"))
            return false;
    }
    return true;
}

static bool do_verify(struct loop *l, const char *arg)
{
    (void)arg;
    return said(l->f->C_VerifyInit(l->session, &l->mech, l->pub), "C_VerifyInit") &&
           said(l->f->C_Verify(l->session, l->data, l->data_len, l->sig, l->sig_len), "C_Verify");
}

static bool do_check(struct loop *l, const char *arg)
{
    unsigned long n = strtoul(arg, NULL, 10);

    for (unsigned long i = 0; i < n; i++) {
        l->data[l->data_len - 2] = (CK_BYTE)(i >> 8);
        l->data[l->data_len - 1] = (CK_BYTE)i;
        l->sig_len = sizeof(l->sig);
        if (!said(l->f->C_SignInit(l->session, &l->mech, l->key), "C_SignInit") ||
            !said(l->f->C_Sign(l->session, l->data, l->data_len, l->sig, &l->sig_len), "C_Sign") ||
            !do_verify(l, NULL))
            return false;
    }
    return true;
}

struct thread {
    struct loop l;
    const char *n;
    bool ok;
    pthread_t id;
};

static void *in_thread(void *arg)
{
    struct thread *t = arg;

    t->ok = said(t->l.f->C_OpenSession(t->l.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                       &t->l.session),
                 "C_OpenSession") &&
            do_check(&t->l, t->n) && said(t->l.f->C_CloseSession(t->l.session), "C_CloseSession");
    return NULL;
}

/* "T N" */
static bool do_threads(struct loop *l, const char *arg)
{
    char *n = NULL;
    unsigned long count = strtoul(arg, &n, 10), started = 0;
    struct thread *t = calloc(count + 1, sizeof(*t));
    bool ok = t != NULL && count > 0;

    for (; ok && started < count; started++) {
        t[started].l = *l;
        t[started].n = n;
        ok = pthread_create(&t[started].id, NULL, in_thread, &t[started]) == 0;
    }
    for (unsigned long i = 0; i < started; i++)
        ok = pthread_join(t[i].id, NULL) == 0 && t[i].ok && ok;
    free(t);
    return ok;
}

static bool do_digest(struct loop *l, const char *arg)
{
    CK_MECHANISM sha256 = {.mechanism = CKM_SHA256};
    CK_BYTE text[] = "abc", out[32];
    CK_ULONG len = sizeof(out);

    (void)arg;
    return said(l->f->C_DigestInit(l->session, &sha256), "C_DigestInit") &&
           said(l->f->C_Digest(l->session, text, 3, out, &len), "C_Digest");
}

static bool do_generate(struct loop *l, const char *arg)
{
    CK_MECHANISM mech = {.mechanism = CKM_EC_KEY_PAIR_GEN};
    /* RFC 5480 2.1.1.1: secp256r1. */
    CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_BYTE label[64];
    CK_ULONG len = strlen(arg);
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE pub[] = {{CKA_EC_PARAMS, p256, sizeof(p256)},
                          {CKA_TOKEN, &yes, sizeof(yes)},
                          {CKA_LABEL, label, len}};
    CK_ATTRIBUTE key[] = {{CKA_TOKEN, &yes, sizeof(yes)},
                          {CKA_PRIVATE, &yes, sizeof(yes)},
                          {CKA_SIGN, &yes, sizeof(yes)},
                          {CKA_LABEL, label, len}};

    if (len > sizeof(label))
        return false;
    memcpy(label, arg, len);
    l->mech.mechanism = CKM_ECDSA;
    l->data_len = 32;
    return said(l->f->C_GenerateKeyPair(l->session, &mech, pub, 3, key, 4, &l->pub, &l->key),
                "C_GenerateKeyPair");
}

static bool do_hold(struct loop *l, const char *arg)
{
    enum { ROOM = 1 << 16 };
    FILE *f = fopen(arg, "re");
    size_t n = 0;

    free(l->held);
    l->held = malloc(ROOM);
    if (f != NULL && l->held != NULL)
        n = fread(l->held, 1, ROOM, f);
    if (f != NULL)
        fclose(f);
    return n > 0;
}

/* Loses 64 bytes, so that a story can see that a leak would be seen. */
static bool do_leak(struct loop *l, const char *arg)
{
    (void)arg;
    l->held = malloc(64);
    memset(l->held, 1, 64);
    l->held = NULL;
    return true;
}

static bool do_pause(struct loop *l, const char *arg)
{
    (void)l;
    (void)arg;
    printf("paused\n");
    fflush(stdout);
    return raise(SIGSTOP) == 0;
}

static bool do_idle(struct loop *l, const char *arg)
{
    (void)l;
    printf("idle\n");
    fflush(stdout);
    while (access(arg, F_OK) != 0)
        nanosleep(&(struct timespec){0, 20000000L}, NULL);
    return true;
}

static bool do_phase(struct loop *l, const char *arg)
{
    const char *path = getenv("SPY_LOG");
    FILE *f = path != NULL ? fopen(path, "re") : NULL;
    unsigned long n = 0, resent = 0;
    char *line = NULL;
    size_t room = 0;

    /* No file yet: nothing was sent. */
    while (f != NULL && getline(&line, &room, f) > 0) {
        /* Part 2, 6.6.3: TPM_RC_RETRY, "send it again". */
        if (n++ >= l->counted && strstr(line, " rc=0x922 ") != NULL)
            resent++;
    }
    free(line);
    if (f != NULL)
        fclose(f);
    printf("%s %lu %lu\n", arg, n - l->counted, resent);
    fflush(stdout);
    l->counted = n;
    return true;
}

static bool do_fork(struct loop *l, const char *arg)
{
    (void)arg;
    fflush(stdout);
    l->child = fork();
    if (l->child < 0)
        perror("fork");
    return l->child >= 0;
}

/* exit(), not _exit(): the module's handlers run in the child, too. */
static bool do_leave(struct loop *l, const char *arg)
{
    int status = 0;

    (void)arg;
    if (l->child == 0)
        exit(0);
    if (waitpid(l->child, &status, 0) != l->child || status != 0) {
        fprintf(stderr, "signloop: the child ended with 0x%x\n", (unsigned)status);
        return false;
    }
    l->child = 0;
    return true;
}

static const struct step {
    const char *name;
    bool (*run)(struct loop *l, const char *arg);
    bool arg;
} steps[] = {
    {"init", do_init, false},        {"fin", do_fin, false},
    {"slots", do_slots, false},      {"mechs", do_mechs, false},
    {"open", do_open, true},         {"login", do_login, true},
    {"logout", do_logout, false},    {"find", do_find, true},
    {"attrs", do_attrs, false},      {"sign", do_sign, true},
    {"verify", do_verify, false},    {"digest", do_digest, false},
    {"hold", do_hold, true},         {"pause", do_pause, false},
    {"phase", do_phase, true},       {"leave", do_leave, false},
    {"leak", do_leak, false},        {"fork", do_fork, false},
    {"generate", do_generate, true}, {"check", do_check, true},
    {"threads", do_threads, true},   {"init-threads", do_init_threads, false},
    {"idle", do_idle, true},         {"init-alone", do_init_alone, false},
};

static const struct step *step_named(const char *name)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].name, name) == 0)
            return &steps[i];
    }
    return NULL;
}

static CK_FUNCTION_LIST *load(const char *path)
{
    CK_C_GetFunctionList get = NULL;
    CK_FUNCTION_LIST *f = NULL;
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (so != NULL)
        *(void **)&get = dlsym(so, "C_GetFunctionList");
    if (get == NULL || get(&f) != CKR_OK) {
        fprintf(stderr, "signloop: %s\n", so == NULL ? dlerror() : "no C_GetFunctionList");
        return NULL;
    }
    return f;
}

int main(int argc, char **argv)
{
    struct loop l = {0};
    const struct step *s;
    bool ok = true;
    int status = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: signloop MODULE STEP...\n");
        return 2;
    }
    l.f = load(argv[1]);
    if (l.f == NULL)
        return 1;
    for (int i = 2; i < argc && ok; i++) {
        s = step_named(argv[i]);
        if (s == NULL || (s->arg && i + 1 == argc)) {
            fprintf(stderr, "signloop: %s: no such step, or its argument is missing\n", argv[i]);
            return 2;
        }
        if (s->arg)
            i++;
        ok = s->run(&l, argv[i]);
        if (!ok)
            fprintf(stderr, "signloop: step %s failed in the %s\n", s->name,
                    l.child > 0 ? "parent" : "process");
    }
    free(l.held);
    if (l.child > 0 && (waitpid(l.child, &status, 0) < 0 || status != 0)) {
        fprintf(stderr, "signloop: the child ended with 0x%x\n", (unsigned)status);
        ok = false;
    }
    return ok ? 0 : 1;
}
