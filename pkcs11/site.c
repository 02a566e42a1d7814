#include "pkcs11/site.h"

#include "core/log.h"
#include "tpm/link.h"
#include "usb/tcti.h"

/* A store that may not be written is still good for reading, unless others may write it. */
static int open_best(struct site *p, bool create, struct err *e)
{
    const char *path = conf_store(p->conf);
    struct err first = {0}, why = {0};

    p->read_only = false;
    if (store_open(&p->store, path, create ? STORE_CREATE : STORE_WRITE, &first) == 0) {
        err_clear(&p->store_err);
        return 0;
    }
    if (!create && (first.code == E_DENIED || first.code == E_IO) &&
        store_open(&p->store, path, STORE_READ, NULL) == 0) {
        if (store_guarded(p->store, &why) == 0) {
            p->read_only = true;
            p->store_err = first;
            return 0;
        }
        store_close(p->store);
        first = why;
    }
    p->store = NULL;
    *e = first;
    return -1;
}

int site_store(struct site *p, bool create, struct err *e)
{
    struct err why = {0};

    if (p->ops != NULL)
        return p->ops->open(p, e);
    if (p->store == NULL && p->conf != NULL) {
        if (open_best(p, create, &why) != 0) {
            /* Once is enough: slots are listed again and again. */
            if (why.code != p->store_err.code && why.code != E_NOT_FOUND)
                log_warn("%s", why.msg);
            p->store_err = why;
        }
    }
    if (p->store == NULL)
        return err_set(e, p->store_err.code, "%s", p->store_err.msg);
    if (store_changed(p->store))
        p->generation++;
    return 0;
}

int site_tpm(struct site *p, struct tpm **out, struct err *e)
{
    if (p->conf == NULL)
        return err_set(e, p->store_err.code, "%s", p->store_err.msg);
    if (p->tpm == NULL) {
        link_register("fusetsu", tcti_usb_init, tcti_usb_why);
        if (tpm_new(&p->tpm, p->ops != NULL ? p->ops->tcti(p) : conf_tcti(p->conf), e) != 0) {
            p->tpm = NULL;
            return -1;
        }
        tpm_share(p->tpm, conf_run(p->conf));
    }
    *out = p->tpm;
    return 0;
}

int site_token(struct site *p, int64_t id, struct token **out, struct err *e)
{
    struct tpm *tpm;

    if (site_store(p, false, e) != 0 || site_tpm(p, &tpm, e) != 0)
        return -1;
    if (p->ops != NULL)
        return p->ops->token(p, out, e);
    return token_open(out, tpm, p->store, id, e);
}

int site_verify(struct site *p, struct err *e)
{
    return p->ops != NULL ? p->ops->verify(p, e) : 0;
}

void site_release(struct site *p)
{
    if (p->tpm != NULL)
        tpm_release(p->tpm);
}

bool site_keeps_session(struct site *p)
{
    return p->tpm != NULL && tpm_keeps_session(p->tpm);
}

void site_rest(struct site *p)
{
    if (p->tpm != NULL)
        tpm_rest(p->tpm);
}

void site_forget(struct site *p)
{
    if (p->tpm != NULL)
        tpm_forget(p->tpm);
}

void site_close(struct site *p)
{
    if (p->ops != NULL)
        p->ops->close(p);
    else
        store_close(p->store);
    p->store = NULL;
    tpm_free(p->tpm);
    p->tpm = NULL;
}
