#ifndef CA_REGISTRY_DEVICE_H
#define CA_REGISTRY_DEVICE_H

#include "ca/registry.h"
#include "core/evidence_verdict.h"

/*
 * Devices: which TPM may answer for which names. A registration officer binds the EKs of one
 * TPM to an operator and to names from a procurement record, before any nonce is given; a valid
 * EK chain alone says only that it is some retail TPM. Kept beside: what each TPM's clock last
 * said, so that one that went back, or is two, is noticed.
 */

enum registry_device_state {
    REGISTRY_DEVICE_PENDING,     /* asked, and was refused: nobody has registered it */
    REGISTRY_DEVICE_ACTIVE,      /* may answer invitations for its names */
    REGISTRY_DEVICE_QUARANTINED, /* may not, until an officer approves it again */
    REGISTRY_DEVICE_STATES
};
/* "pending", "active", "quarantined". */
const char *registry_device_state_name(enum registry_device_state s);

struct registry_device {
    int64_t id;
    enum registry_device_state state;
    char oper[65];                                 /* whose it is */
    char officer[65];                              /* who bound it, or changed its state last */
    char note[257];                                /* where it is recorded; why it is quarantined */
    char manufacturer[16], model[64], version[32]; /* as in its EK certificate */
    int64_t created_at, changed_at;
    bool has_reading;
    struct evidence_reading reading;
    int64_t read_at;
};

/* A new device; d->id gets its number. E_ARG when a text is empty that must not be. */
int registry_device_add(struct registry *r, struct registry_device *d, struct err *e) MUST_USE;

/* One more EK of the same TPM, by the SHA-256 of its SubjectPublicKeyInfo. E_EXISTS when it is
 * bound to a device already, this one included. */
int registry_device_add_ek(struct registry *r, int64_t device, const uint8_t ek_hash[32],
                           struct err *e) MUST_USE;

/* One more name that it may have in a community; fine when it is there. */
int registry_device_add_name(struct registry *r, int64_t device, const char *dns,
                             unsigned community, struct err *e) MUST_USE;

/* E_NOT_FOUND. */
int registry_device_get(struct registry *r, int64_t id, struct registry_device *out,
                        struct err *e) MUST_USE;
int registry_device_of_ek(struct registry *r, const uint8_t ek_hash[32],
                          struct registry_device *out, struct err *e) MUST_USE;

/* May it have this name? 1, 0 or -1. */
int registry_device_has_name(struct registry *r, int64_t device, const char *dns,
                             unsigned community, struct err *e) MUST_USE;
/* Is there an active device that may have it? 1, 0 or -1. */
int registry_device_for_name(struct registry *r, const char *dns, unsigned community,
                             struct err *e) MUST_USE;

/* Changes its state, with who and why. E_NOT_FOUND. */
int registry_device_set(struct registry *r, const struct registry_device *d,
                        struct err *e) MUST_USE;

/* Quarantines a device that is active; one whose state an officer changed meanwhile is left as
 * he wants it. */
int registry_device_quarantine(struct registry *r, int64_t id, const char *officer, const char *why,
                               int64_t at, struct err *e) MUST_USE;

/* Forgets a pending device with this EK, if there is one. */
int registry_device_drop_pending(struct registry *r, const uint8_t ek_hash[32],
                                 struct err *e) MUST_USE;

/* Keeps what its TPM said, if that is not before what is kept: of two at once the later
 * stays. */
int registry_device_read(struct registry *r, int64_t device, const struct evidence_reading *now,
                         int64_t at, struct err *e) MUST_USE;

/* Calls for all devices, in the order of their numbers, until it answers false. */
int registry_devices(struct registry *r, bool (*each)(void *ctx, const struct registry_device *d),
                     void *ctx, struct err *e) MUST_USE;
/* Calls for all names / EKs of one. */
int registry_device_names(struct registry *r, int64_t device,
                          bool (*each)(void *ctx, const char *dns, unsigned community), void *ctx,
                          struct err *e) MUST_USE;
int registry_device_eks(struct registry *r, int64_t device,
                        bool (*each)(void *ctx, const uint8_t ek_hash[32]), void *ctx,
                        struct err *e) MUST_USE;

#endif
