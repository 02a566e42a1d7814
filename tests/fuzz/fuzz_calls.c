/* The whole table of C_* functions over a store with one token and no TPM: the input is a
 * sequence of calls with hostile arguments. Beside what the sanitizers see: nothing is ever a
 * CKR_GENERAL_ERROR, no output is longer than told, a question for a length ends nothing,
 * what is encrypted can be decrypted, and what is signed verifies. */
#include "core/store.h"
#include "pkcs11/inprocess.h"
#include "tests/fuzz/calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static CK_FUNCTION_LIST_3_0 *table;
static char dir[256], path[sizeof(dir) + 16];

int LLVMFuzzerInitialize(int *argc, char ***argv);

static void clean(void)
{
    unlink(path);
    rmdir(dir);
}

static void make_token(void)
{
    struct store_tpm tpm = {.primary = 0x81000001};
    struct store_token t = {.label = "fuzz", .serial = "0123456789abcdef"};
    struct store *s = NULL;

    INPUT_HOLDS(store_open(&s, path, STORE_CREATE, NULL) == 0);
    INPUT_HOLDS(store_tpm_put(s, &tpm, NULL) == 0);
    t.tpm = tpm.id;
    INPUT_HOLDS(store_token_put(s, &t, NULL) == 0 && t.id == 1);
    store_close(s);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    CK_INTERFACE *interface = NULL;
    CK_UTF8CHAR name[] = "PKCS 11";
    const char *tmp = getenv("TMPDIR");

    (void)argc;
    (void)argv;
    snprintf(dir, sizeof(dir), "%s/fusetsu-fuzz.XXXXXX", tmp != NULL ? tmp : "/tmp");
    INPUT_HOLDS(mkdtemp(dir) != NULL);
    atexit(clean);
    snprintf(path, sizeof(path), "%s/store.db", dir);
    setenv("FUSETSU_STORE", path, 1);
    setenv("FUSETSU_TCTI", "device:/nonexistent/tpm", 1);
    setenv("FUSETSU_LOG", "silent", 1);
    setenv("TSS2_LOG", "all+none", 1);
    unsetenv("FUSETSU_CONF");
    setenv("HOME", dir, 1);
    setenv("XDG_CONFIG_HOME", dir, 1);
    make_token();
    INPUT_HOLDS(p11_inprocess() != NULL);
    INPUT_HOLDS(C_GetInterface(name, NULL, &interface, 0) == CKR_OK);
    table = interface->pFunctionList;
    INPUT_HOLDS(table->v2.C_Initialize(NULL) == CKR_OK);
    return 0;
}

/* --- what asks only --------------------------------------------------------- */

static void ask_slots(struct calls *w)
{
    CK_SLOT_ID id = input_one_in(&w->in, 8) ? input_ulong(&w->in) : 1;
    CK_ULONG n = (CK_ULONG)input_below(&w->in, 90), given = n;
    CK_SLOT_ID *slots = input_room(&w->in, n * sizeof(*slots));
    CK_MECHANISM_TYPE *mechs = input_room(&w->in, n * sizeof(*mechs));
    CK_MECHANISM_INFO info;
    CK_TOKEN_INFO token;
    CK_SLOT_INFO slot;
    CK_INFO general;
    CK_RV rv;

    calls_rv(w->f->v2.C_GetInfo(&general));
    rv = calls_rv(w->f->v2.C_GetSlotList(input_u8(&w->in) & 1, slots, &n));
    INPUT_HOLDS(rv != CKR_OK || n <= given);
    n = given;
    rv = calls_rv(w->f->v2.C_GetMechanismList(id, mechs, &n));
    INPUT_HOLDS(rv != CKR_OK || n <= given);
    calls_rv(w->f->v2.C_GetMechanismInfo(id, mechs_with(&w->in, CKF_SIGN)->type, &info));
    calls_rv(w->f->v2.C_GetTokenInfo(id, &token));
    calls_rv(w->f->v2.C_GetSlotInfo(id, &slot));
    calls_rv(w->f->v2.C_WaitForSlotEvent(CKF_DONT_BLOCK, &id, NULL));
}

/* Logins fail here, since there is no TPM; they must do so properly. */
static void ask_for_the_tpm(struct calls *w)
{
    struct calls_data pin = calls_data(w), other = calls_data(w);
    CK_SESSION_HANDLE s = calls_session(w);
    CK_ULONG n = (CK_ULONG)input_below(&w->in, 100);

    switch (input_below(&w->in, 6)) {
    case 0: calls_rv(w->f->v2.C_Login(s, input_below(&w->in, 4), pin.p, pin.len)); break;
    case 1:
        calls_rv(w->f->C_LoginUser(s, input_below(&w->in, 4), pin.p, pin.len, other.p, other.len));
        break;
    case 2: calls_rv(w->f->v2.C_Logout(s)); break;
    case 3: calls_rv(w->f->v2.C_SetPIN(s, pin.p, pin.len, other.p, other.len)); break;
    case 4: calls_rv(w->f->v2.C_InitPIN(s, pin.p, pin.len)); break;
    default: calls_rv(w->f->v2.C_GenerateRandom(s, input_room(&w->in, n), n)); break;
    }
}

static void on_sessions(struct calls *w)
{
    CK_SESSION_INFO info;
    CK_SESSION_HANDLE s = calls_session(w), extra = 0;

    switch (input_below(&w->in, 5)) {
    case 0: calls_rv(w->f->C_SessionCancel(s, input_ulong(&w->in))); break;
    case 1: calls_rv(w->f->v2.C_GetSessionInfo(s, &info)); break;
    case 2: calls_rv(w->f->v2.C_OpenSession(1, input_below(&w->in, 8), NULL, NULL, &extra)); break;
    case 3:
        /* The objects of the session go with it. */
        if (calls_rv(w->f->v2.C_CloseSession(s)) == CKR_OK && s == w->rw)
            memset(w->preset, 0, sizeof(w->preset));
        if (s == w->rw)
            INPUT_HOLDS(w->f->v2.C_OpenSession(1, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                               &w->rw) == CKR_OK);
        break;
    default: ask_slots(w); break;
    }
}

/* --- the interpreter -------------------------------------------------------- */

static void step(struct calls *w)
{
    static void (*const steps[])(struct calls *) = {
        calls_on_operations, calls_on_operations, calls_on_operations, calls_on_operations,
        calls_on_objects,    calls_on_objects,    calls_on_keys,       calls_on_keys,
        calls_on_messages,   calls_on_messages,   calls_round_trip,    on_sessions,
    };
    size_t which = input_below(&w->in, 64);

    if (which == 63)
        ask_for_the_tpm(w);
    else
        steps[which % ARRAY_LEN(steps)](w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct calls w = {.in = input_of(data, size), .f = table};

    INPUT_HOLDS(table->v2.C_OpenSession(1, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                        &w.rw) == CKR_OK);
    INPUT_HOLDS(table->v2.C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &w.ro) == CKR_OK);
    for (int n = 0; n < 64 && !input_empty(&w.in); n++)
        step(&w);
    INPUT_HOLDS(table->v2.C_CloseAllSessions(1) == CKR_OK);
    input_end(&w.in);
    return 0;
}
