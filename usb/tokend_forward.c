#include "usb/tokend_forward.h"

#include "core/log.h"
#include "core/secret.h"
#include "usb/frame.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>

/* More than any TPM, or resource manager, gives at a time. */
#define HANDLES 128
#define HEAD 10

/* Part 2, 7.2 */
#define HT_MASK 0xFF000000U
#define HT_TRANSIENT 0x80000000U

/*
 * Most TCTIs wait for a response and do nothing else. A thread does that: commands go to it by a
 * socket, and come back as its answer, so that hosts and buttons are heard in the meantime.
 */
struct answer {
    TSS2_RC rc;
    uint8_t response[FRAME_PAYLOAD];
};

struct tokend_forward {
    TSS2_TCTI_CONTEXT *tcti;
    int fd, far; /* our end, and the thread's */
    pthread_t thread;
    bool running; /* the thread */
    bool under_way;
    struct tokend_verdict v;
    uint32_t flushed; /* what the command under way flushes, if it does; else 0 */
    size_t n;
    uint32_t handle[HANDLES];
};

static int broken(TSS2_RC rc, struct err *e)
{
    return err_set_rc(e, E_IO, rc, "the token does not reach its TPM (0x%x)", rc);
}

/* --- the thread ---------------------------------------------------------------------------- */

static void *work(void *arg)
{
    struct tokend_forward *f = arg;
    uint8_t command[FRAME_PAYLOAD];
    struct answer a;
    ssize_t n;

    while ((n = recv(f->far, command, sizeof(command), 0)) != 0) {
        size_t len = sizeof(a.response);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        a.rc = Tss2_Tcti_Transmit(f->tcti, (size_t)n, command);
        if (a.rc == TSS2_RC_SUCCESS)
            a.rc = Tss2_Tcti_Receive(f->tcti, &len, a.response, TSS2_TCTI_TIMEOUT_BLOCK);
        if (a.rc != TSS2_RC_SUCCESS)
            len = 0;
        (void)send(f->far, &a, offsetof(struct answer, response) + len, MSG_NOSIGNAL);
        secret_wipe(command, sizeof(command));
        secret_wipe(&a, sizeof(a));
    }
    return NULL;
}

static int give(struct tokend_forward *f, const uint8_t *command, size_t len, struct err *e)
{
    if (send(f->fd, command, len, MSG_NOSIGNAL) == (ssize_t)len)
        return 0;
    return err_set(e, E_IO, "no way to the TPM: %s", strerror(errno));
}

static int take(struct tokend_forward *f, uint8_t *response, size_t *len, struct err *e)
{
    const size_t head = offsetof(struct answer, response);
    struct answer a;
    ssize_t n;

    do
        n = recv(f->fd, &a, sizeof(a), 0);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)head)
        return err_set(e, E_IO, "no way to the TPM: %s", n < 0 ? strerror(errno) : "it is closed");
    if (a.rc != TSS2_RC_SUCCESS)
        return broken(a.rc, e);
    if ((size_t)n - head > *len)
        return err_set(e, E_TPM, "the TPM answers too much");
    *len = (size_t)n - head;
    memcpy(response, a.response, *len);
    secret_wipe(&a, sizeof(a));
    return 0;
}

/* --- what the host made ---------------------------------------------------------------- */

static uint32_t handle_at(const uint8_t *p, size_t len)
{
    struct reader r = reader_of(p, len);

    (void)reader_take(&r, HEAD);
    return reader_u32(&r);
}

static void remove_handle(struct tokend_forward *f, uint32_t handle)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->handle[i] == handle) {
            f->handle[i] = f->handle[--f->n];
            return;
        }
    }
}

/* The low numbers are used again: also sessions that ended by themselves do not pile up. */
static bool add_handle(struct tokend_forward *f, uint32_t handle)
{
    remove_handle(f, handle);
    if (f->n == HANDLES)
        return false;
    f->handle[f->n++] = handle;
    return true;
}

/* What of it failed does not matter: it is gone, then. */
static void flush(struct tokend_forward *f, uint32_t handle)
{
    const uint8_t command[HEAD + 4] = {0x80,
                                       0x01,
                                       0,
                                       0,
                                       0,
                                       HEAD + 4,
                                       0,
                                       0,
                                       TOKEND_CC_FLUSH_CONTEXT >> 8,
                                       TOKEND_CC_FLUSH_CONTEXT & 0xFF,
                                       (uint8_t)(handle >> 24),
                                       (uint8_t)(handle >> 16),
                                       (uint8_t)(handle >> 8),
                                       (uint8_t)handle};
    uint8_t response[FRAME_PAYLOAD];
    size_t len = sizeof(response);
    struct err e = {0};

    if (give(f, command, sizeof(command), &e) != 0 || take(f, response, &len, &e) != 0)
        log_warn("0x%x could not be flushed: %s", handle, e.msg);
}

/* Keeps the list. False when there is no room for what was made: it does not live then. */
static bool account(struct tokend_forward *f, const uint8_t *response, size_t len)
{
    const uint32_t made = handle_at(response, len);
    struct reader r = reader_of(response, len);

    (void)reader_take(&r, 6);
    if (reader_u32(&r) != 0 || r.bad)
        return true;
    if (f->flushed != 0)
        remove_handle(f, f->flushed);
    if (!f->v.makes || add_handle(f, made))
        return true;
    flush(f, made);
    return false;
}

/* --- commands ------------------------------------------------------------------------------ */

static bool missing(const struct tokend_forward *f, uint32_t handle)
{
    if ((handle & HT_MASK) != HT_TRANSIENT)
        return false;
    for (size_t i = 0; i < f->n; i++) {
        if (f->handle[i] == handle)
            return false;
    }
    return true;
}

uint32_t tokend_forward_check(const struct tokend_forward *f, const struct tokend_verdict *v,
                              struct bytes command)
{
    if (v->code == TOKEND_CC_FLUSH_CONTEXT && missing(f, handle_at(command.p, command.len)))
        return TOKEND_RC_HANDLE;
    for (unsigned i = 0; i < v->n_handles; i++) {
        if (missing(f, v->handle[i]))
            return TOKEND_RC_REFERENCE_H0 + i;
    }
    return 0;
}

int tokend_forward_send(struct tokend_forward *f, const struct tokend_verdict *v,
                        struct bytes command, struct err *e)
{
    if (give(f, command.p, command.len, e) != 0)
        return -1;
    f->v = *v;
    /* FlushContext has its handle where others have parameters (Part 3, 28.4). */
    f->flushed = v->code == TOKEND_CC_FLUSH_CONTEXT       ? handle_at(command.p, command.len)
                 : v->code == TOKEND_CC_SEQUENCE_COMPLETE ? v->handle[0]
                                                          : 0;
    f->under_way = true;
    return 0;
}

int tokend_forward_fd(struct tokend_forward *f)
{
    return f->under_way ? f->fd : -1;
}

int tokend_forward_receive(struct tokend_forward *f, uint8_t *response, size_t *len, struct err *e)
{
    f->under_way = false;
    if (take(f, response, len, e) != 0)
        return -1;
    if (!account(f, response, *len)) {
        tokend_filter_answer(response, TOKEND_RC_OBJECT_MEMORY);
        *len = TOKEND_ANSWER;
    }
    return 0;
}

/* Beside the thread, which waits for the response: TCTIs do that by a way of its own. */
void tokend_forward_cancel(struct tokend_forward *f)
{
    TSS2_RC rc = f->under_way ? Tss2_Tcti_Cancel(f->tcti) : TSS2_RC_SUCCESS;

    if (rc != TSS2_RC_SUCCESS)
        log_debug("this TPM ends no command early (0x%x)", rc);
}

void tokend_forward_drop(struct tokend_forward *f)
{
    uint8_t response[FRAME_PAYLOAD];
    size_t len = sizeof(response);
    const size_t before = f->n;
    struct err e = {0};

    if (!f->under_way)
        return;
    tokend_forward_cancel(f);
    if (tokend_forward_receive(f, response, &len, &e) != 0)
        log_warn("%s", e.msg);
    else if (f->n > before)
        flush(f, f->handle[--f->n]);
    secret_wipe(response, sizeof(response));
}

void tokend_forward_forget(struct tokend_forward *f)
{
    tokend_forward_drop(f);
    if (f->n > 0)
        log_info("the host is gone: %zu of its handles are flushed", f->n);
    while (f->n > 0)
        flush(f, f->handle[--f->n]);
}

/* --- life ----------------------------------------------------------------------------------- */

/* TPM2_Startup(CLEAR), which answers TPM_RC_INITIALIZE where it was done already. */
static int start_up(struct tokend_forward *f, struct err *e)
{
    static const uint8_t command[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0};
    uint8_t response[FRAME_PAYLOAD];
    size_t len = sizeof(response);
    struct reader r;
    uint32_t code;

    if (give(f, command, sizeof(command), e) != 0 || take(f, response, &len, e) != 0)
        return -1;
    r = reader_of(response, len);
    (void)reader_take(&r, 6);
    code = reader_u32(&r);
    if (r.bad || (code != 0 && code != TOKEND_RC_INITIALIZE))
        return err_set_rc(e, E_TPM, code, "the TPM does not start up (0x%x)", code);
    return 0;
}

static int start_thread(struct tokend_forward *f, struct err *e)
{
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(e, E_IO, "no sockets for the way to the TPM: %s", strerror(errno));
    f->fd = pair[0];
    f->far = pair[1];
    rc = pthread_create(&f->thread, NULL, work, f);
    f->running = rc == 0;
    return rc == 0 ? 0 : err_set(e, E_IO, "no thread for the TPM: %s", strerror(rc));
}

int tokend_forward_open(struct tokend_forward **out, const char *tcti, struct err *e)
{
    struct tokend_forward *f = calloc(1, sizeof(*f));
    TSS2_RC rc;

    if (f == NULL)
        return err_set(e, E_MEMORY, "out of memory for the way to the TPM");
    f->fd = f->far = -1;
    rc = Tss2_TctiLdr_Initialize(tcti, &f->tcti);
    if (rc != TSS2_RC_SUCCESS) {
        free(f);
        return err_set_rc(e, E_NO_DEVICE, rc, "no TPM at '%s' (0x%x): say with --tcti where it is",
                          tcti, rc);
    }
    if (start_thread(f, e) != 0 || start_up(f, e) != 0) {
        tokend_forward_close(f);
        return -1;
    }
    *out = f;
    return 0;
}

void tokend_forward_close(struct tokend_forward *f)
{
    if (f == NULL)
        return;
    if (f->running) {
        tokend_forward_forget(f);
        (void)shutdown(f->fd, SHUT_RDWR);
        (void)pthread_join(f->thread, NULL);
    }
    if (f->fd >= 0) {
        close(f->fd);
        close(f->far);
    }
    Tss2_TctiLdr_Finalize(&f->tcti);
    secret_wipe(f, sizeof(*f));
    free(f);
}
