/*
 * A TCTI for tests: passes everything to another TCTI, counts and logs commands, and fails on
 * purpose. Loaded by tctildr through its path:
 *
 *   FUSETSU_TCTI='/abs/build/libtss2-tcti-spy.so:swtpm:path=/x/sock'
 *
 * Driven by the environment:
 *   SPY_LOG=FILE        appends one line for each command, in one write:
 *                         PID SEQ NAME rc=0xRC cmd=BYTES rsp=BYTES [note]
 *                       NAME is the command without TPM2_CC_, or its code in hex; BYTES are lengths;
 *                       note tells which fault was injected. SEQ counts from 1 in each process.
 *   SPY_BYTES=1         adds C=HEX R=HEX, the whole command and response as they crossed the wire
 *                       (the response after tampering).
 *   SPY_TAMPER=N        flips one bit in the response to the N-th command: in the last byte of its
 *                       parameters; where it has sessions but no parameters, or no sessions at all,
 *                       in the last byte of the response. Should the TPM refuse that command (0x922
 *                       TPM_RC_RETRY, say), the next one that it accepts is struck instead.
 *   SPY_FAIL=N[+][:RC]  the N-th command is not sent: a transport error (TSS2_TCTI_RC_IO_ERROR) from
 *                       transmit, or, with RC (0x hex), a TPM response that carries RC. With +
 *                       all those after it neither: a TPM that lacks something.
 *   SPY_KILL=N          SIGKILL to this process just before the N-th command is sent.
 *   SPY_KILL_AFTER=N    SIGKILL after the TPM has executed it, before the caller sees the response.
 *   SPY_STOP=N          SIGSTOP to this process just before the N-th command is sent.
 *   SPY_TAMPER_CC, SPY_FAIL_CC, SPY_KILL_CC, SPY_KILL_AFTER_CC, SPY_STOP_CC=CODE
 *                       N then counts commands with that code only (0x15d or a NAME).
 *   SPY_REPLACE=HEX:HEX every response has these bytes replaced by those, of equal length: a man in
 *                       the middle.
 *   SPY_NO_PIN_FAIL=1   a TPM of revision 1.16: it says so where no session vouches for it, and
 *                       has no PIN indices.
 * A fault without + happens once in a process. A malformed setting makes the initialisation fail.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>
#include <tss2/tss2_tpm2_types.h>

#define SPY_MAGIC 0x66757a7370793031ULL
#define MAX_MSG 8192 /* TPM commands and responses are at most 4096 bytes */
#define HEADER 10    /* Part 1, 18: tag, size, code */

/* Part 2, 6.5.2 TPM_CC. */
static const struct {
    uint32_t cc;
    const char *name;
} cc_names[] = {
#define CC(n)           \
    {                   \
        TPM2_CC_##n, #n \
    }
    CC(NV_UndefineSpaceSpecial),
    CC(EvictControl),
    CC(HierarchyControl),
    CC(NV_UndefineSpace),
    CC(ChangeEPS),
    CC(ChangePPS),
    CC(Clear),
    CC(ClearControl),
    CC(ClockSet),
    CC(HierarchyChangeAuth),
    CC(NV_DefineSpace),
    CC(PCR_Allocate),
    CC(PCR_SetAuthPolicy),
    CC(PP_Commands),
    CC(SetPrimaryPolicy),
    CC(ClockRateAdjust),
    CC(CreatePrimary),
    CC(NV_GlobalWriteLock),
    CC(GetCommandAuditDigest),
    CC(NV_Increment),
    CC(NV_SetBits),
    CC(NV_Extend),
    CC(NV_Write),
    CC(NV_WriteLock),
    CC(DictionaryAttackLockReset),
    CC(DictionaryAttackParameters),
    CC(NV_ChangeAuth),
    CC(PCR_Event),
    CC(PCR_Reset),
    CC(SequenceComplete),
    CC(SetAlgorithmSet),
    CC(SetCommandCodeAuditStatus),
    CC(IncrementalSelfTest),
    CC(SelfTest),
    CC(Startup),
    CC(Shutdown),
    CC(StirRandom),
    CC(ActivateCredential),
    CC(Certify),
    CC(PolicyNV),
    CC(CertifyCreation),
    CC(Duplicate),
    CC(GetTime),
    CC(GetSessionAuditDigest),
    CC(NV_Read),
    CC(NV_ReadLock),
    CC(ObjectChangeAuth),
    CC(PolicySecret),
    CC(Rewrap),
    CC(Create),
    CC(ECDH_ZGen),
    CC(HMAC),
    CC(Import),
    CC(Load),
    CC(Quote),
    CC(RSA_Decrypt),
    CC(HMAC_Start),
    CC(SequenceUpdate),
    CC(Sign),
    CC(Unseal),
    CC(PolicySigned),
    CC(ContextLoad),
    CC(ContextSave),
    CC(ECDH_KeyGen),
    CC(EncryptDecrypt),
    CC(FlushContext),
    CC(LoadExternal),
    CC(MakeCredential),
    CC(NV_ReadPublic),
    CC(PolicyAuthorize),
    CC(PolicyAuthValue),
    CC(PolicyCommandCode),
    CC(PolicyCounterTimer),
    CC(PolicyCpHash),
    CC(PolicyLocality),
    CC(PolicyNameHash),
    CC(PolicyOR),
    CC(PolicyTicket),
    CC(ReadPublic),
    CC(RSA_Encrypt),
    CC(StartAuthSession),
    CC(VerifySignature),
    CC(ECC_Parameters),
    CC(GetCapability),
    CC(GetRandom),
    CC(GetTestResult),
    CC(Hash),
    CC(PCR_Read),
    CC(PolicyPCR),
    CC(PolicyRestart),
    CC(ReadClock),
    CC(PCR_Extend),
    CC(PCR_SetAuthValue),
    CC(NV_Certify),
    CC(EventSequenceComplete),
    CC(HashSequenceStart),
    CC(PolicyPhysicalPresence),
    CC(PolicyDuplicationSelect),
    CC(PolicyGetDigest),
    CC(TestParms),
    CC(Commit),
    CC(PolicyPassword),
    CC(ZGen_2Phase),
    CC(EC_Ephemeral),
    CC(PolicyNvWritten),
    CC(PolicyTemplate),
    CC(CreateLoaded),
    CC(PolicyAuthorizeNV),
    CC(EncryptDecrypt2),
#undef CC
};

enum fault_id { TAMPER, FAIL, KILL, KILL_AFTER, STOP, FAULTS };

static const char *const fault_env[FAULTS] = {"SPY_TAMPER", "SPY_FAIL", "SPY_KILL",
                                              "SPY_KILL_AFTER", "SPY_STOP"};

/* One setting: strikes at the nth command (with code cc unless 0). */
struct fault {
    uint32_t nth; /* 0: off */
    uint32_t cc;
    bool on; /* and at all that follow; FAIL only */
    bool has_rc;
    uint32_t rc;
};

/* The process's counters. They outlive a context: an application reconnects. */
static struct {
    pthread_mutex_t lock;
    pid_t pid;
    uint32_t seq;
    uint32_t seen[FAULTS];
} counter = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct spy {
    TSS2_TCTI_CONTEXT_COMMON_V2 common; /* must be first */
    TSS2_TCTI_CONTEXT *child;
    struct fault fault[FAULTS];
    /* the command in flight */
    uint32_t seq;
    uint32_t cc;
    bool hit[FAULTS];
    bool tamper_due; /* struck, but not accepted by the TPM so far */
    bool has_fake;   /* the response is `rsp`, made here */
    size_t cmd_len;
    size_t rsp_len;
    uint8_t cmd[MAX_MSG];
    uint8_t rsp[MAX_MSG];
};

static struct spy *spy_of(TSS2_TCTI_CONTEXT *ctx)
{
    return ctx != NULL && TSS2_TCTI_MAGIC(ctx) == SPY_MAGIC ? (struct spy *)(void *)ctx : NULL;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static const char *cc_name(uint32_t cc)
{
    for (size_t i = 0; i < sizeof(cc_names) / sizeof(cc_names[0]); i++) {
        if (cc_names[i].cc == cc)
            return cc_names[i].name;
    }
    return NULL;
}

static bool parse_number(const char *text, const char **end, uint32_t *out)
{
    char *stop = NULL;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoul(text, &stop, 0);
    if (errno != 0 || v > UINT32_MAX)
        return false;
    *end = stop;
    *out = (uint32_t)v;
    return true;
}

static bool parse_cc(const char *text, uint32_t *out)
{
    const char *end = NULL;

    for (size_t i = 0; i < sizeof(cc_names) / sizeof(cc_names[0]); i++) {
        if (strcmp(cc_names[i].name, text) == 0) {
            *out = cc_names[i].cc;
            return true;
        }
    }
    return parse_number(text, &end, out) && *end == '\0';
}

static bool read_fault(enum fault_id id, struct fault *f)
{
    char name[32];
    const char *text = getenv(fault_env[id]);
    const char *end = NULL;

    *f = (struct fault){0};
    if (text == NULL || *text == '\0')
        return true;
    if (!parse_number(text, &end, &f->nth))
        return false;
    if (id == FAIL && *end == '+') {
        f->on = true;
        end++;
    }
    if (id == FAIL && *end == ':') {
        f->has_rc = true;
        if (!parse_number(end + 1, &end, &f->rc))
            return false;
    }
    if (*end != '\0')
        return false;
    snprintf(name, sizeof(name), "%s_CC", fault_env[id]);
    text = getenv(name);
    return text == NULL || *text == '\0' || parse_cc(text, &f->cc);
}

/* Numbers the command and decides which faults strike it. A forked child counts from 1 again. */
static void count_command(struct spy *s)
{
    pthread_mutex_lock(&counter.lock);
    if (counter.pid != getpid()) {
        counter.pid = getpid();
        counter.seq = 0;
        memset(counter.seen, 0, sizeof(counter.seen));
    }
    s->seq = ++counter.seq;
    for (int i = 0; i < FAULTS; i++) {
        const struct fault *f = &s->fault[i];

        s->hit[i] = false;
        if (f->cc == 0 || f->cc == s->cc) {
            uint32_t n = ++counter.seen[i];

            s->hit[i] = n == f->nth || (f->on && n > f->nth);
        }
    }
    pthread_mutex_unlock(&counter.lock);
}

static size_t put_hex(char *out, const uint8_t *in, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    return 2 * len;
}

/* One line, one write: lines of several processes never mix. The file is opened each time, so that
 * nothing is left open across fork or close. */
static void write_line(const struct spy *s, uint32_t rc, const char *note)
{
    static const char hex_c[] = " C=", hex_r[] = " R=";
    const char *path = getenv("SPY_LOG"), *bytes = getenv("SPY_BYTES"), *name = cc_name(s->cc);
    char code[16], *line = NULL;
    size_t room = 256 + 2 * (s->cmd_len + s->rsp_len), used;
    int fd = -1, n;

    if (path == NULL || *path == '\0')
        return;
    snprintf(code, sizeof(code), "0x%" PRIx32, s->cc);
    line = malloc(room);
    if (line == NULL)
        goto out;
    n = snprintf(line, room, "%ld %" PRIu32 " %s rc=0x%" PRIx32 " cmd=%zu rsp=%zu%s%s",
                 (long)getpid(), s->seq, name != NULL ? name : code, rc, s->cmd_len, s->rsp_len,
                 note != NULL ? " " : "", note != NULL ? note : "");
    if (n < 0 || (size_t)n >= 200)
        goto out;
    used = (size_t)n;
    if (bytes != NULL && *bytes == '1') {
        memcpy(line + used, hex_c, sizeof(hex_c) - 1);
        used += sizeof(hex_c) - 1;
        used += put_hex(line + used, s->cmd, s->cmd_len);
        memcpy(line + used, hex_r, sizeof(hex_r) - 1);
        used += sizeof(hex_r) - 1;
        used += put_hex(line + used, s->rsp, s->rsp_len);
    }
    line[used++] = '\n';
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, used) != (ssize_t)used)
        fprintf(stderr, "tcti_spy: cannot write %s: %s\n", path, strerror(errno));
out:
    if (fd >= 0)
        close(fd);
    free(line);
}

/* Part 1, 18.9: where the parameters of a response with sessions begin. */
static size_t response_handles(uint32_t cc)
{
    switch (cc) {
    case TPM2_CC_CreatePrimary:
    case TPM2_CC_CreateLoaded:
    case TPM2_CC_Load:
    case TPM2_CC_LoadExternal:
    case TPM2_CC_ContextLoad:
    case TPM2_CC_StartAuthSession:
    case TPM2_CC_HMAC_Start:
    case TPM2_CC_HashSequenceStart: return 4;
    default: return 0;
    }
}

static void tamper(struct spy *s)
{
    size_t at = s->rsp_len - 1, start = HEADER + response_handles(s->cc);

    if (s->rsp[0] == 0x80 && s->rsp[1] == 0x02 && s->rsp_len >= start + 4) {
        size_t params = be32(s->rsp + start);

        if (params > 0 && params <= s->rsp_len - start - 4)
            at = start + 4 + params - 1;
    }
    s->rsp[at] ^= 0x01;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* --- another TPM than it is --------------------------------------------------- */

/* The response is an error that was made here. */
static void fake(struct spy *s, uint32_t rc)
{
    static const uint8_t no_sessions[] = {0x80, 0x01};

    memcpy(s->rsp, no_sessions, sizeof(no_sessions));
    put_be32(s->rsp + 2, HEADER);
    put_be32(s->rsp + 6, rc);
    s->rsp_len = HEADER;
    s->has_fake = true;
}

static bool is_old(void)
{
    const char *set = getenv("SPY_NO_PIN_FAIL");

    return set != NULL && *set == '1';
}

/* TPM2_NV_DefineSpace (Part 3, 31.3) of a PIN index: behind the sessions comes the authValue,
 * then TPMS_NV_PUBLIC, nvIndex, nameAlg, attributes. */
static bool defines_pin(const struct spy *s)
{
    size_t at = HEADER + 4, attributes;

    if (s->cc != TPM2_CC_NV_DefineSpace || s->cmd_len < at + 4)
        return false;
    at += 4 + be32(s->cmd + at);
    if (s->cmd_len < at + 2)
        return false;
    at += 2 + ((size_t)s->cmd[at] << 8 | s->cmd[at + 1]);
    attributes = at + 2 + 4 + 2;
    if (s->cmd_len < attributes + 4)
        return false;
    return (be32(s->cmd + attributes) & TPMA_NV_TPM2_NT_MASK) >> TPMA_NV_TPM2_NT_SHIFT >= 8;
}

/* TPM_PT_REVISION and its value, wherever they stand. */
static void grow_old(struct spy *s)
{
    static const uint8_t tag[] = {0, 0, 1, 2};

    if (s->rsp[0] != 0x80 || s->rsp[1] != 0x01)
        return; /* in a session it would be noticed */
    for (size_t i = HEADER; s->cc == TPM2_CC_GetCapability && i + 8 <= s->rsp_len; i++) {
        if (memcmp(s->rsp + i, tag, sizeof(tag)) == 0 && be32(s->rsp + i + 4) < 1000)
            put_be32(s->rsp + i + 4, 116);
    }
}

static size_t get_hex(const char *text, char end, uint8_t *out, size_t max)
{
    size_t n = 0;
    unsigned byte;

    while (*text != end && n < max && sscanf(text, "%2x", &byte) == 1) {
        out[n++] = (uint8_t)byte;
        text += 2;
    }
    return n;
}

static void replace(struct spy *s)
{
    const char *set = getenv("SPY_REPLACE"), *colon = set != NULL ? strchr(set, ':') : NULL;
    uint8_t from[512], to[512];
    size_t n;

    if (colon == NULL)
        return;
    n = get_hex(set, ':', from, sizeof(from));
    if (n == 0 || get_hex(colon + 1, 0, to, sizeof(to)) != n)
        return;
    for (size_t i = HEADER; i + n <= s->rsp_len; i++) {
        if (memcmp(s->rsp + i, from, n) == 0)
            memcpy(s->rsp + i, to, n);
    }
}

static TSS2_RC spy_transmit(TSS2_TCTI_CONTEXT *ctx, size_t size, const uint8_t *command)
{
    struct spy *s = spy_of(ctx);
    TSS2_RC rc;

    if (s == NULL || command == NULL)
        return TSS2_TCTI_RC_BAD_REFERENCE;
    if (size < HEADER || size > MAX_MSG)
        return TSS2_TCTI_RC_BAD_VALUE;
    memcpy(s->cmd, command, size);
    s->cmd_len = size;
    s->rsp_len = 0;
    s->has_fake = false;
    s->cc = be32(command + 6);
    count_command(s);
    if (s->hit[STOP])
        kill(getpid(), SIGSTOP);
    if (s->hit[KILL]) {
        write_line(s, 0, "killed");
        die();
    }
    if (s->hit[FAIL] && s->fault[FAIL].has_rc) {
        fake(s, s->fault[FAIL].rc);
        return TSS2_RC_SUCCESS;
    }
    if (is_old() && defines_pin(s)) {
        /* Of parameter 2. */
        fake(s, TPM2_RC_ATTRIBUTES | TPM2_RC_P | TPM2_RC_2);
        return TSS2_RC_SUCCESS;
    }
    if (s->hit[FAIL]) {
        write_line(s, TSS2_TCTI_RC_IO_ERROR, "failed");
        return TSS2_TCTI_RC_IO_ERROR;
    }
    rc = Tss2_Tcti_Transmit(s->child, size, command);
    if (rc != TSS2_RC_SUCCESS)
        write_line(s, rc, "transmit");
    return rc;
}

/* Hands the response to the caller, whose buffer is large enough. */
static TSS2_RC deliver(struct spy *s, size_t *size, uint8_t *response, const char *note)
{
    write_line(s, be32(s->rsp + 6), note);
    memcpy(response, s->rsp, s->rsp_len);
    *size = s->rsp_len;
    s->has_fake = false;
    return TSS2_RC_SUCCESS;
}

static TSS2_RC spy_receive(TSS2_TCTI_CONTEXT *ctx, size_t *size, uint8_t *response, int32_t timeout)
{
    struct spy *s = spy_of(ctx);
    size_t got;
    TSS2_RC rc;

    if (s == NULL || size == NULL)
        return TSS2_TCTI_RC_BAD_REFERENCE;
    if (s->has_fake) {
        if (response == NULL || *size < s->rsp_len) {
            *size = s->rsp_len;
            return response == NULL ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
        }
        return deliver(s, size, response, "failed");
    }
    /* The caller's question about the size is the other TCTI's to answer. */
    if (response == NULL)
        return Tss2_Tcti_Receive(s->child, size, NULL, timeout);
    got = *size < MAX_MSG ? *size : MAX_MSG;
    rc = Tss2_Tcti_Receive(s->child, &got, s->rsp, timeout);
    if (rc != TSS2_RC_SUCCESS) {
        if (rc == TSS2_TCTI_RC_INSUFFICIENT_BUFFER)
            *size = got;
        else if (rc != TSS2_TCTI_RC_TRY_AGAIN)
            write_line(s, rc, "receive");
        return rc;
    }
    if (got < HEADER || got > *size)
        return TSS2_TCTI_RC_MALFORMED_RESPONSE;
    s->rsp_len = got;
    replace(s);
    if (is_old())
        grow_old(s);
    if (s->hit[KILL_AFTER]) {
        write_line(s, be32(s->rsp + 6), "killed-after");
        die();
    }
    s->tamper_due = s->tamper_due || s->hit[TAMPER];
    if (!s->tamper_due || be32(s->rsp + 6) != TPM2_RC_SUCCESS ||
        (s->fault[TAMPER].cc != 0 && s->fault[TAMPER].cc != s->cc))
        return deliver(s, size, response, NULL);
    s->tamper_due = false;
    tamper(s);
    return deliver(s, size, response, "tampered");
}

static void spy_finalize(TSS2_TCTI_CONTEXT *ctx)
{
    struct spy *s = spy_of(ctx);

    if (s != NULL)
        Tss2_TctiLdr_Finalize(&s->child);
}

static TSS2_RC spy_cancel(TSS2_TCTI_CONTEXT *ctx)
{
    struct spy *s = spy_of(ctx);

    return s == NULL ? TSS2_TCTI_RC_BAD_REFERENCE : Tss2_Tcti_Cancel(s->child);
}

static TSS2_RC spy_poll_handles(TSS2_TCTI_CONTEXT *ctx, TSS2_TCTI_POLL_HANDLE *handles,
                                size_t *count)
{
    struct spy *s = spy_of(ctx);

    return s == NULL ? TSS2_TCTI_RC_BAD_REFERENCE
                     : Tss2_Tcti_GetPollHandles(s->child, handles, count);
}

static TSS2_RC spy_set_locality(TSS2_TCTI_CONTEXT *ctx, uint8_t locality)
{
    struct spy *s = spy_of(ctx);

    return s == NULL ? TSS2_TCTI_RC_BAD_REFERENCE : Tss2_Tcti_SetLocality(s->child, locality);
}

static TSS2_RC spy_make_sticky(TSS2_TCTI_CONTEXT *ctx, TPM2_HANDLE *handle, uint8_t sticky)
{
    struct spy *s = spy_of(ctx);

    return s == NULL ? TSS2_TCTI_RC_BAD_REFERENCE : Tss2_Tcti_MakeSticky(s->child, handle, sticky);
}

/* tctildr unloads a TCTI with its last context, and the counters would go with it: stay loaded. */
static void stay_loaded(void)
{
    Dl_info info;

    if (dladdr(&counter, &info) != 0 && info.dli_fname != NULL)
        (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

static TSS2_RC spy_init(TSS2_TCTI_CONTEXT *ctx, size_t *size, const char *conf)
{
    struct spy *s = (struct spy *)(void *)ctx;
    TSS2_RC rc;

    if (size == NULL)
        return TSS2_TCTI_RC_BAD_REFERENCE;
    if (ctx == NULL) {
        *size = sizeof(struct spy);
        return TSS2_RC_SUCCESS;
    }
    if (*size < sizeof(struct spy))
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < FAULTS; i++) {
        if (!read_fault((enum fault_id)i, &s->fault[i])) {
            fprintf(stderr, "tcti_spy: bad value in %s or %s_CC\n", fault_env[i], fault_env[i]);
            return TSS2_TCTI_RC_BAD_VALUE;
        }
    }
    stay_loaded();
    rc = Tss2_TctiLdr_Initialize(conf != NULL && *conf != '\0' ? conf : NULL, &s->child);
    if (rc != TSS2_RC_SUCCESS)
        return rc;
    TSS2_TCTI_MAGIC(ctx) = SPY_MAGIC;
    TSS2_TCTI_VERSION(ctx) = 2;
    TSS2_TCTI_TRANSMIT(ctx) = spy_transmit;
    TSS2_TCTI_RECEIVE(ctx) = spy_receive;
    TSS2_TCTI_FINALIZE(ctx) = spy_finalize;
    TSS2_TCTI_CANCEL(ctx) = spy_cancel;
    TSS2_TCTI_GET_POLL_HANDLES(ctx) = spy_poll_handles;
    TSS2_TCTI_SET_LOCALITY(ctx) = spy_set_locality;
    TSS2_TCTI_MAKE_STICKY(ctx) = spy_make_sticky;
    return TSS2_RC_SUCCESS;
}

static const TSS2_TCTI_INFO spy_info = {
    .version = 2,
    .name = "tcti-spy",
    .description = "Logs commands and injects faults on the way to another TCTI (tests only)",
    .config_help = "Configuration of the TCTI behind it, as for tctildr",
    .init = spy_init,
};

const TSS2_TCTI_INFO *Tss2_Tcti_Info(void);

__attribute__((visibility("default"))) const TSS2_TCTI_INFO *Tss2_Tcti_Info(void)
{
    return &spy_info;
}
