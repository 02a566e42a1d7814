#include "tpm/link.h"

#include "core/buf.h"
#include "core/secret.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include <tss2/tss2_tpm2_types.h>

#define LINK_MAGIC 0x6675736574737531ULL
#define LINK_MAX 4096

/* Together about four seconds of waiting; self tests of slow chips take one. */
#define TRIES 12
#define FIRST_PAUSE_MS 1

struct transport {
    const char *name;
    TSS2_TCTI_INIT_FUNC init;
    int (*why)(struct err *e);
};

#define TRANSPORTS 4
static struct transport transports[TRANSPORTS];

struct link {
    TSS2_TCTI_CONTEXT_COMMON_V2 tcti; /* first: SAPI sees this part */
    TSS2_TCTI_CONTEXT *real;
    const struct transport *own; /* who made it; NULL: tctildr */
    struct err failure;          /* in words, where the transport has words */
    char *conf;
    const struct link_watch *watch;
    size_t sent_len, got_len;
    uint8_t sent[LINK_MAX], got[LINK_MAX];
};

static struct link *link_of(TSS2_TCTI_CONTEXT *t)
{
    return (struct link *)(void *)t;
}

static void pause_ms(long ms)
{
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};

    while (nanosleep(&ts, &ts) != 0)
        ;
}

/* --- transports of our own ---------------------------------------------------- */

void link_register(const char *name, TSS2_TCTI_INIT_FUNC init, int (*why)(struct err *e))
{
    for (size_t i = 0; i < TRANSPORTS; i++) {
        if (transports[i].name == NULL || strcmp(transports[i].name, name) == 0) {
            transports[i] = (struct transport){name, init, why};
            return;
        }
    }
}

/* NULL: none; `*conf` is moved to what it is to be told. */
static const struct transport *transport_of(const char **conf)
{
    for (size_t i = 0; i < TRANSPORTS && transports[i].name != NULL; i++) {
        size_t n = strlen(transports[i].name);

        if (strncmp(*conf, transports[i].name, n) == 0 && ((*conf)[n] == 0 || (*conf)[n] == ':')) {
            *conf += (*conf)[n] == 0 ? n : n + 1;
            return &transports[i];
        }
    }
    return NULL;
}

static TSS2_RC open_own(const struct transport *w, const char *conf, TSS2_TCTI_CONTEXT **out)
{
    TSS2_TCTI_CONTEXT *t;
    size_t size = 0;
    TSS2_RC rc = w->init(NULL, &size, conf);

    if (rc != TSS2_RC_SUCCESS)
        return rc;
    t = calloc(1, size);
    if (t == NULL)
        return TSS2_TCTI_RC_MEMORY;
    rc = w->init(t, &size, conf);
    if (rc != TSS2_RC_SUCCESS)
        free(t);
    else
        *out = t;
    return rc;
}

/* The transport's words under codes that say the same of a TPM as they do of a device. */
static void note_failure(struct link *l, TSS2_RC rc)
{
    struct err why = {0};

    err_clear(&l->failure);
    if (rc == TSS2_RC_SUCCESS || l->own == NULL || l->own->why == NULL || l->own->why(&why) == 0)
        return;
    l->failure = why;
    /* Whoever is kept out by another process would wait for him again if he tried again. */
    l->failure.rc = why.code == E_BUSY ? 0 : rc;
    if (why.code == E_DENIED)
        l->failure.code = E_NO_DEVICE;
    else if (why.code == E_BUSY || why.code == E_IO)
        l->failure.code = E_TPM;
}

int link_failure(const struct link *l, struct err *e)
{
    return l->failure.code != E_OK ? err_take(e, &l->failure) : 0;
}

int link_open(struct link *l, struct err *e)
{
    const char *conf = l->conf;
    TSS2_RC rc;

    if (l->real != NULL)
        return 0;
    l->own = transport_of(&conf);
    rc = l->own != NULL ? open_own(l->own, conf, &l->real)
                        : Tss2_TctiLdr_Initialize(conf, &l->real);
    note_failure(l, rc);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    l->real = NULL;
    if (link_failure(l, e) != 0)
        return -1;
    return err_set_rc(e, E_NO_DEVICE, rc,
                      "no TPM answers at '%s' (%s); set FUSETSU_TCTI or tcti in fusetsu.conf, "
                      "and check that you may open the device (group tss)",
                      l->conf, Tss2_RC_Decode(rc));
}

/* Part 1, 18: tag, size, code. */
static uint32_t command_code(const uint8_t *cmd, size_t len)
{
    struct reader r = reader_of(cmd, len);

    reader_u16(&r);
    reader_u32(&r);
    return reader_u32(&r);
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *t, size_t len, const uint8_t *cmd)
{
    struct link *l = link_of(t);
    TSS2_RC rc;

    if (len > sizeof(l->sent))
        return TSS2_TCTI_RC_BAD_VALUE;
    if (link_open(l, NULL) != 0)
        return TSS2_TCTI_RC_NO_CONNECTION;
    memcpy(l->sent, cmd, len);
    l->sent_len = len;
    l->got_len = 0;
    if (l->watch != NULL)
        l->watch->sending(l->watch->arg, command_code(cmd, len));
    rc = Tss2_Tcti_Transmit(l->real, len, cmd);
    note_failure(l, rc);
    if (rc != TSS2_RC_SUCCESS)
        link_drop(l, false);
    return rc;
}

/* Response codes that mean "not started, send it again" (Part 2, 6.6.3). */
static bool wants_retry(const uint8_t *rsp, size_t len)
{
    struct reader r = reader_of(rsp, len);
    uint32_t rc;

    reader_u16(&r);
    reader_u32(&r);
    rc = reader_u32(&r);
    return !r.bad && (rc == TPM2_RC_RETRY || rc == TPM2_RC_YIELDED || rc == TPM2_RC_TESTING ||
                      rc == TPM2_RC_NV_RATE);
}

/* Another round for a command that was not executed? The first retry comes at once:
 * TPM_RC_RETRY for a pending NV write is over then. */
static bool again(const uint8_t *rsp, size_t len, int *tries)
{
    if (*tries >= TRIES || !wants_retry(rsp, len))
        return false;
    if (*tries > 0)
        pause_ms(FIRST_PAUSE_MS << (*tries - 1));
    ++*tries;
    return true;
}

/* The whole response into l->got, however often the TPM wants to be asked. */
static TSS2_RC fetch(struct link *l, int32_t timeout)
{
    int tries = 0;
    TSS2_RC rc;

    for (;;) {
        size_t len = sizeof(l->got);

        rc = Tss2_Tcti_Receive(l->real, &len, l->got, timeout);
        if (rc == TSS2_TCTI_RC_TRY_AGAIN)
            return rc;
        if (rc != TSS2_RC_SUCCESS)
            break;
        l->got_len = len;
        if (!again(l->got, len, &tries) &&
            (l->watch == NULL || !l->watch->answered(l->watch->arg, bytes_of(l->sent, l->sent_len),
                                                     bytes_of(l->got, len))))
            return TSS2_RC_SUCCESS;
        rc = l->real != NULL ? Tss2_Tcti_Transmit(l->real, l->sent_len, l->sent)
                             : TSS2_TCTI_RC_NO_CONNECTION;
        if (rc != TSS2_RC_SUCCESS)
            break;
    }
    note_failure(l, rc);
    link_drop(l, false);
    return rc;
}

int link_talk(struct link *l, struct bytes command, uint8_t *response, size_t *len)
{
    const size_t room = *len;
    int tries = 0;

    if (l->real == NULL)
        return -1;
    do {
        *len = room;
        if (Tss2_Tcti_Transmit(l->real, command.len, command.p) != TSS2_RC_SUCCESS ||
            Tss2_Tcti_Receive(l->real, len, response, TSS2_TCTI_TIMEOUT_BLOCK) != TSS2_RC_SUCCESS) {
            link_drop(l, false);
            return -1;
        }
    } while (again(response, *len, &tries));
    return 0;
}

/* SAPI asks for the size first (`rsp` NULL), then for the bytes. */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *t, size_t *len, uint8_t *rsp, int32_t timeout)
{
    struct link *l = link_of(t);
    TSS2_RC rc;

    if (l->got_len == 0) {
        if (l->real == NULL)
            return TSS2_TCTI_RC_NO_CONNECTION;
        rc = fetch(l, timeout);
        if (rc != TSS2_RC_SUCCESS)
            return rc;
    }
    if (rsp == NULL) {
        *len = l->got_len;
        return TSS2_RC_SUCCESS;
    }
    if (*len < l->got_len) {
        *len = l->got_len;
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
    *len = l->got_len;
    memcpy(rsp, l->got, l->got_len);
    l->got_len = 0;
    return TSS2_RC_SUCCESS;
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *t)
{
    struct link *l = link_of(t);

    return l->real != NULL ? Tss2_Tcti_Cancel(l->real) : TSS2_TCTI_RC_BAD_SEQUENCE;
}

static TSS2_RC not_here(void)
{
    return TSS2_TCTI_RC_NOT_IMPLEMENTED;
}

static TSS2_RC poll_handles(TSS2_TCTI_CONTEXT *t, TSS2_TCTI_POLL_HANDLE *h, size_t *n)
{
    (void)t;
    (void)h;
    (void)n;
    return not_here();
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *t, uint8_t locality)
{
    (void)t;
    (void)locality;
    return not_here();
}

static TSS2_RC make_sticky(TSS2_TCTI_CONTEXT *t, TPM2_HANDLE *h, uint8_t sticky)
{
    (void)t;
    (void)h;
    (void)sticky;
    return not_here();
}

static void finalize(TSS2_TCTI_CONTEXT *t)
{
    (void)t;
}

int link_new(struct link **out, const char *conf, struct err *e)
{
    struct link *l = calloc(1, sizeof(*l));

    if (l == NULL || (l->conf = strdup(conf)) == NULL) {
        free(l);
        return err_set(e, E_MEMORY, "out of memory for a TPM connection");
    }
    l->tcti.v1.magic = LINK_MAGIC;
    l->tcti.v1.version = 2;
    l->tcti.v1.transmit = transmit;
    l->tcti.v1.receive = receive;
    l->tcti.v1.finalize = finalize;
    l->tcti.v1.cancel = cancel;
    l->tcti.v1.getPollHandles = poll_handles;
    l->tcti.v1.setLocality = set_locality;
    l->tcti.makeSticky = make_sticky;
    *out = l;
    return 0;
}

void link_free(struct link *l)
{
    if (l == NULL)
        return;
    link_drop(l, false);
    secret_wipe(l->sent, sizeof(l->sent));
    secret_wipe(l->got, sizeof(l->got));
    free(l->conf);
    free(l);
}

void link_drop(struct link *l, bool silent)
{
    /* After fork the descriptors are shared: closing them would be heard by no
     * one, but some TCTIs (abrmd) talk when they end. They are left open. */
    if (l->real != NULL && !silent && l->own != NULL) {
        Tss2_Tcti_Finalize(l->real);
        free(l->real);
    } else if (l->real != NULL && !silent) {
        Tss2_TctiLdr_Finalize(&l->real);
    }
    l->real = NULL;
}

void link_watch(struct link *l, const struct link_watch *w)
{
    l->watch = w;
}

bool link_is_open(const struct link *l)
{
    return l->real != NULL;
}

TSS2_TCTI_CONTEXT *link_tcti(struct link *l)
{
    return (TSS2_TCTI_CONTEXT *)(void *)&l->tcti;
}
