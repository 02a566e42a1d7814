#include "tests/support/unit_tpm.h"

#include "tpm/lockout.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const uint8_t some_digest[32] = {0x5a, 1, 2, 3, 4, 5, 6, 7};

static const char *real_tcti(void)
{
    const char *t = getenv("FUSETSU_TCTI");

    if (t == NULL)
        fail_msg("%s", "FUSETSU_TCTI is not set: run this under swtpm-ci/with-tpm");
    return t;
}

static void in_dir(const struct unit_tpm *w, const char *name, char out[80])
{
    snprintf(out, 80, "%s/%s", w->dir, name);
}

struct bytes unit_pin(const char *text)
{
    return bytes_of(text, strlen(text));
}

void unit_tpm_open(struct unit_tpm *w, const char *tcti)
{
    struct err e = {0};
    char path[80];

    if (tcti != NULL && tcti != w->tcti)
        snprintf(w->tcti, sizeof(w->tcti), "%s", tcti);
    in_dir(w, "store.db", path);
    if (tpm_new(&w->tpm, w->tcti, &e) != 0 || store_open(&w->store, path, STORE_CREATE, &e) != 0 ||
        (w->id != 0 && token_open(&w->token, w->tpm, w->store, w->id, &e) != 0))
        fail_msg("%s", e.msg);
}

void unit_tpm_close(struct unit_tpm *w)
{
    token_free(w->token);
    tpm_free(w->tpm);
    store_close(w->store);
    w->token = NULL;
    w->tpm = NULL;
    w->store = NULL;
}

struct token *unit_tpm_token(struct unit_tpm *w, int64_t id)
{
    struct token *k = NULL;
    struct err e = {0};

    if (token_open(&k, w->tpm, w->store, id, &e) != 0)
        fail_msg("%s", e.msg);
    return k;
}

int64_t unit_tpm_provision(struct unit_tpm *w, const char *label)
{
    struct token_params p = {.label = label,
                             .so_pin = unit_pin(UNIT_SO),
                             .user_pin = unit_pin(UNIT_USER),
                             .weak_lockout = true};
    struct token *k = NULL;
    struct err e = {0};
    int64_t id;

    if (token_provision(&k, w->tpm, w->store, &p, NULL, &e) != 0)
        fail_msg("%s", e.msg);
    id = token_row(k)->id;
    token_free(k);
    return id;
}

int unit_tpm_bare(void **state)
{
    struct unit_tpm *w = calloc(1, sizeof(*w));

    snprintf(w->dir, sizeof(w->dir), "/tmp/fusetsu-tpm.XXXXXX");
    if (mkdtemp(w->dir) == NULL || chmod(w->dir, 0700) != 0)
        fail_msg("cannot make %s", w->dir);
    unit_tpm_open(w, real_tcti());
    *state = w;
    return 0;
}

int unit_tpm_with_token(void **state)
{
    struct unit_tpm *w;

    (void)unit_tpm_bare(state);
    w = *state;
    w->id = unit_tpm_provision(w, "unit");
    w->token = unit_tpm_token(w, w->id);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void erase_all(struct unit_tpm *w)
{
    struct store_token *list = NULL;
    struct err e = {0};
    size_t n = 0;

    if (store_token_list(w->store, &list, &n, &e) != 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++) {
        struct token *k = unit_tpm_token(w, list[i].id);

        if (token_erase(k, &e) != 0)
            print_message("erasing '%s': %s\n", list[i].label, e.msg);
        token_free(k);
    }
    free(list);
}

int unit_tpm_remove(void **state)
{
    struct unit_tpm *w = *state;

    unsetenv("SPY_LOG");
    unsetenv("SPY_BYTES");
    unit_tpm_close(w);
    w->id = 0;
    unit_tpm_flush();
    unit_tpm_open(w, real_tcti());
    erase_all(w);
    unit_tpm_close(w);
    (void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

void unit_tpm_login(struct unit_tpm *w, enum token_user who, const char *pin)
{
    struct err e = {0};

    if (token_login(w->token, who, unit_pin(pin), &e) != 0)
        fail_msg("%s", e.msg);
}

enum err_code unit_tpm_try(struct token *k, enum token_user who, const char *pin, struct err *e)
{
    struct err here = {0};

    if (e == NULL)
        e = &here;
    *e = (struct err){0};
    return token_login(k, who, unit_pin(pin), e) == 0 ? E_OK : e->code;
}

void unit_tpm_ecc(struct unit_tpm *w, const char *curve, struct store_key *out)
{
    struct key_spec spec = {.type = TPM2_ALG_ECC, .curve = alg_curve_named(curve), .sign = true};
    struct err e = {0};

    if (token_key_create(w->token, &spec, out, &e) != 0)
        fail_msg("%s", e.msg);
}

void unit_tpm_rsa(struct unit_tpm *w, bool decrypt, struct store_key *out)
{
    struct key_spec spec = {.type = TPM2_ALG_RSA, .bits = 2048, .sign = true, .decrypt = decrypt};
    struct err e = {0};

    if (token_key_create(w->token, &spec, out, &e) != 0)
        fail_msg("%s", e.msg);
}

int unit_tpm_sign(struct token *k, const struct store_key *key, struct err *e)
{
    struct token_sign what = {.scheme = PUBKEY_ECDSA, .digest = bytes_of(some_digest, 32)};
    uint8_t sig[2 * ALG_MAX_COORD];
    struct pubkey pub;

    if (token_sign(k, key, &what, sig, e) != 0 || token_key_public(key, &pub, e) != 0)
        return -1;
    return pubkey_verify(&pub, PUBKEY_ECDSA, NULL, 0, what.digest,
                         bytes_of(sig, pubkey_sig_len(&pub)), e);
}

/* --- the TPM behind everyone's back ------------------------------------------ */

static TSS2_SYS_CONTEXT *raw_open(TSS2_TCTI_CONTEXT **tcti)
{
    TSS2_ABI_VERSION abi = TSS2_ABI_VERSION_CURRENT;
    size_t size = Tss2_Sys_GetContextSize(0);
    TSS2_SYS_CONTEXT *sys = calloc(1, size);

    assert_int_equal(Tss2_TctiLdr_Initialize(real_tcti(), tcti), TSS2_RC_SUCCESS);
    assert_int_equal(Tss2_Sys_Initialize(sys, size, *tcti, &abi), TSS2_RC_SUCCESS);
    return sys;
}

static void raw_close(TSS2_SYS_CONTEXT *sys, TSS2_TCTI_CONTEXT *tcti)
{
    Tss2_Sys_Finalize(sys);
    free(sys);
    Tss2_TctiLdr_Finalize(&tcti);
}

size_t unit_tpm_handles(uint32_t first, uint32_t last, uint32_t *out, size_t max)
{
    TPMS_CAPABILITY_DATA data = {0};
    TSS2_TCTI_CONTEXT *tcti = NULL;
    TSS2_SYS_CONTEXT *sys = raw_open(&tcti);
    TPMI_YES_NO more = 0;
    size_t n = 0;

    assert_int_equal(Tss2_Sys_GetCapability(sys, NULL, TPM2_CAP_HANDLES, first,
                                            TPM2_MAX_CAP_HANDLES, &more, &data, NULL),
                     TSS2_RC_SUCCESS);
    raw_close(sys, tcti);
    for (uint32_t i = 0; i < data.data.handles.count && n < max; i++) {
        if (data.data.handles.handle[i] <= last)
            out[n++] = data.data.handles.handle[i];
    }
    return n;
}

void unit_tpm_flush(void)
{
    /* Loaded sessions, transient objects (Part 3, 30.2: a list holds one kind only). The
     * names in tss2 overflow an int. */
    static const uint32_t first[] = {0x02000000, 0x80000000};

    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        TSS2_TCTI_CONTEXT *tcti = NULL;
        TSS2_SYS_CONTEXT *sys;
        uint32_t h[64];
        size_t n = unit_tpm_handles(first[i], UINT32_MAX, h, ARRAY_LEN(h));

        sys = raw_open(&tcti);
        while (n > 0)
            (void)Tss2_Sys_FlushContext(sys, h[--n]);
        raw_close(sys, tcti);
    }
}

unsigned unit_tpm_failures(void)
{
    struct lockout_state s = {0};
    struct tpm *t = NULL;
    struct err e = {0};

    if (tpm_new(&t, real_tcti(), &e) != 0 || lockout_read(t, &s, &e) != 0)
        fail_msg("%s", e.msg);
    tpm_free(t);
    return s.count;
}

void unit_tpm_forgive(void)
{
    TSS2L_SYS_AUTH_COMMAND auth = {.count = 1, .auths[0].sessionHandle = TPM2_RS_PW};
    TSS2_TCTI_CONTEXT *tcti = NULL;
    TSS2_SYS_CONTEXT *sys = raw_open(&tcti);
    TSS2_RC rc = TPM2_RC_RETRY;

    while (rc == TPM2_RC_RETRY)
        rc = Tss2_Sys_DictionaryAttackLockReset(sys, TPM2_RH_LOCKOUT, &auth, NULL);
    raw_close(sys, tcti);
    assert_int_equal(rc, TSS2_RC_SUCCESS);
}

int unit_tpm_script(const char *script)
{
    char all[2000];
    int status = 0;
    pid_t pid;

    snprintf(all, sizeof(all), ". swtpm-ci/lib.sh && %s", script);
    pid = fork();
    if (pid == 0) {
        execlp("bash", "bash", "-c", all, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void unit_tpm_cut(void)
{
    assert_int_equal(unit_tpm_script("tpm_cut \"$TPM_DIR/tpm1\" && tpm_start \"$TPM_DIR/tpm1\""),
                     0);
}

/* --- the spy ------------------------------------------------------------------ */

const char *unit_spy(struct unit_tpm *w, bool whole)
{
    const char *lib = getenv("FUSETSU_SPY");
    char log[80], full[4096];

    if (realpath(lib != NULL ? lib : "build/libtss2-tcti-spy.so", full) == NULL) {
        print_message("SKIP: the spy TCTI is not built (make support) or FUSETSU_SPY is wrong\n");
        skip();
    }
    in_dir(w, "spy.log", log);
    setenv("SPY_LOG", log, 1);
    setenv("SPY_BYTES", whole ? "1" : "0", 1);
    if ((size_t)snprintf(w->tcti, sizeof(w->tcti), "%s:%s", full, real_tcti()) >= sizeof(w->tcti))
        fail_msg("%s is too long", full);
    return w->tcti;
}

void unit_spy_clear(struct unit_tpm *w)
{
    char log[80];

    in_dir(w, "spy.log", log);
    (void)unlink(log);
}

static char *read_log(struct unit_tpm *w)
{
    char log[80], *text;
    size_t room = 16U << 20, n;
    FILE *f;

    in_dir(w, "spy.log", log);
    text = calloc(1, room);
    assert_non_null(text);
    f = fopen(log, "r");
    if (f == NULL)
        return text;
    n = fread(text, 1, room - 1, f);
    fclose(f);
    assert_true(n < room - 1);
    return text;
}

size_t unit_spy_count(struct unit_tpm *w, const char *name)
{
    char *text = read_log(w), *save = NULL;
    size_t n = 0;

    for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        char cc[40] = "";

        if (sscanf(l, "%*d %*u %39s", cc) == 1 && (name == NULL || strcmp(cc, name) == 0))
            n++;
    }
    free(text);
    return n;
}

bool unit_spy_saw(struct unit_tpm *w, const void *p, size_t len)
{
    char *text = read_log(w), hex[513];
    bool found;

    assert_true(len > 0 && len <= 256);
    hex_encode(hex, p, len);
    found = strstr(text, hex) != NULL;
    free(text);
    return found;
}

int unit_spy_child(struct unit_tpm *w, const char *fault, const char *value, const char *cc,
                   int (*f)(struct unit_tpm *w))
{
    int status = 0;
    pid_t pid;

    unit_spy(w, false);
    assert_null(w->tpm);
    pid = fork();
    if (pid == 0) {
        char name[40];
        int rc;

        snprintf(name, sizeof(name), "%s_CC", fault);
        setenv(fault, value, 1);
        if (cc != NULL)
            setenv(name, cc, 1);
        unit_tpm_open(w, NULL);
        rc = f(w);
        unit_tpm_close(w);
        _exit(rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    unit_tpm_flush();
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return UNIT_KILLED;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int unit_child_failed(const char *file, int line, const char *what, const struct err *e)
{
    print_message("%s:%d: not so: %s: %s\n", file, line, what,
                  e != NULL && e->code != E_OK ? e->msg : "no error");
    return 1;
}
