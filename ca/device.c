#include "ca/device.h"

#include "core/ekname.h"
#include "core/oid.h"

#include <stdio.h>
#include <string.h>

/* --- judging ----------------------------------------------------------------------------- */

static int judge(struct registry *r, const struct registry_invitation *i, struct device_standing *s,
                 struct err *e)
{
    const struct registry_device *d = &s->device;
    int named;

    if (d->state == REGISTRY_DEVICE_PENDING) {
        s->registration = EVIDENCE_REGISTRATION_UNKNOWN;
        snprintf(s->text, sizeof(s->text),
                 "no officer has approved device %lld yet (fusetsu device approve)",
                 (long long)d->id);
        return 0;
    }
    if (d->state == REGISTRY_DEVICE_QUARANTINED) {
        s->registration = EVIDENCE_REGISTRATION_QUARANTINED;
        snprintf(s->text, sizeof(s->text), "device %lld of %.60s is quarantined: %.70s",
                 (long long)d->id, d->oper, d->note);
        return 0;
    }
    named = registry_device_has_name(r, d->id, i->subject, i->community, e);
    if (named < 0)
        return -1;
    s->registration = named ? EVIDENCE_REGISTRATION_ACTIVE : EVIDENCE_REGISTRATION_OTHER;
    snprintf(s->text, sizeof(s->text), "device %lld of %.40s is %sregistered for %.60s in %.16s",
             (long long)d->id, d->oper, named ? "" : "not ", i->subject,
             oid_community_name(i->community));
    return 0;
}

int device_standing(struct registry *r, bool required, const uint8_t ek_hash[32],
                    const struct registry_invitation *i, struct device_standing *out, struct err *e)
{
    struct err why = {0};

    *out = (struct device_standing){.registration = EVIDENCE_REGISTRATION_NONE};
    if (registry_device_of_ek(r, ek_hash, &out->device, &why) == 0) {
        out->known = true;
        return judge(r, i, out, e);
    }
    if (why.code != E_NOT_FOUND)
        return err_take(e, &why);
    if (required) {
        out->registration = EVIDENCE_REGISTRATION_UNKNOWN;
        snprintf(out->text, sizeof(out->text),
                 "no officer has registered this TPM: any retail TPM has such an EK");
    }
    return 0;
}

/* The AK was certified by us, which takes the TPM that has the EK (its certificate was sealed to
 * both), and the statement is by this AK under this EK. */
bool device_is_proven(const struct evidence_verdict *v)
{
    return v->result[7 - 1].outcome == EVIDENCE_PASS && v->result[9 - 1].outcome == EVIDENCE_PASS;
}

/* --- what follows ------------------------------------------------------------------------- */

static bool only_failed(const struct evidence_verdict *v, unsigned number)
{
    for (size_t i = 0; i < EVIDENCE_CHECKS; i++) {
        if ((v->result[i].outcome == EVIDENCE_FAIL) != (v->result[i].number == number))
            return false;
    }
    return true;
}

static void name_tpm(X509 *ek, struct registry_device *d)
{
    struct ekname tpm;

    if (ekname_read(ek, &tpm, NULL) != 0)
        return;
    memcpy(d->manufacturer, tpm.manufacturer, sizeof(d->manufacturer));
    memcpy(d->model, tpm.model, sizeof(d->model));
    memcpy(d->version, tpm.version, sizeof(d->version));
}

static int make_pending(struct registry *r, const struct evidence_verdict *v, X509 *ek_cert,
                        const struct registry_invitation *i, int64_t now, struct err *e)
{
    struct registry_device d = {.state = REGISTRY_DEVICE_PENDING, .created_at = now};

    name_tpm(ek_cert, &d);
    snprintf(d.note, sizeof(d.note), "asked for %.200s", i->subject);
    if (registry_begin(r, e) != 0)
        return -1;
    if (registry_device_add(r, &d, e) == 0 && registry_device_add_ek(r, d.id, v->ek_spki, e) == 0 &&
        registry_device_add_name(r, d.id, i->subject, i->community, e) == 0)
        return registry_commit(r, e);
    registry_rollback(r);
    return -1;
}

static int quarantine(struct registry *r, const struct device_standing *s, const char *why,
                      int64_t now, struct err *e)
{
    return registry_device_quarantine(r, s->device.id, "the authority itself", why, now, e);
}

int device_follow_up(struct registry *r, const struct evidence_verdict *v, X509 *ek_cert,
                     const struct device_standing *s, const struct registry_invitation *i,
                     int64_t now, struct err *e)
{
    if (v->accepted)
        return 0;
    /* An EK certificate is public: showing one proves nothing of who shows it, so a name that is
     * bound to another EK leaves no trace of this one. */
    if (i != NULL && s->registration == EVIDENCE_REGISTRATION_UNKNOWN && !s->known &&
        (!i->has_ek || memcmp(i->ek_hash, v->ek_spki, sizeof(i->ek_hash)) == 0) &&
        only_failed(v, 22))
        return make_pending(r, v, ek_cert, i, now, e);
    /* A clock that is merely not safe has not gone back. */
    if (s->known && s->device.state == REGISTRY_DEVICE_ACTIVE && only_failed(v, 20) &&
        v->went_back && device_is_proven(v))
        return quarantine(r, s, v->result[20 - 1].reason, now, e);
    return 0;
}

/* --- registering ---------------------------------------------------------------------------- */

int device_add(struct registry *r, STACK_OF(X509) * eks, struct registry_device *d, const char *dns,
               unsigned community, struct err *e)
{
    uint8_t hash[32];
    struct pubkey k;

    if (sk_X509_num(eks) < 1)
        return err_set(e, E_ARG, "name the EK certificates of the TPM");
    name_tpm(sk_X509_value(eks, 0), d);
    if (registry_device_add(r, d, e) != 0 ||
        registry_device_add_name(r, d->id, dns, community, e) != 0)
        return -1;
    for (int i = 0; i < sk_X509_num(eks); i++) {
        /* One that asked before it was registered is the same TPM. */
        if (pubkey_from_x509(&k, sk_X509_value(eks, i), e) != 0 || pubkey_id(&k, hash, e) != 0 ||
            registry_device_drop_pending(r, hash, e) != 0 ||
            registry_device_add_ek(r, d->id, hash, e) != 0)
            return -1;
    }
    return 0;
}

int device_register(struct registry *r, STACK_OF(X509) * eks, struct registry_device *d,
                    const char *dns, unsigned community, struct err *e)
{
    if (registry_begin(r, e) != 0)
        return -1;
    if (device_add(r, eks, d, dns, community, e) == 0)
        return registry_commit(r, e);
    registry_rollback(r);
    return -1;
}
