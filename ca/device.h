#ifndef CA_DEVICE_H
#define CA_DEVICE_H

#include "ca/registry_device.h"

/* What the registry of devices says of a TPM that answers an invitation: check 22 of the
 * evidence rules, and the past that check 20 compares with. */
struct device_standing {
    enum evidence_registration registration;
    bool known; /* `device` is there */
    struct registry_device device;
    char text[160]; /* what the registration is, or why it does not do */
};

/* `required`: an unregistered TPM is refused; else it is only noted that nobody knows it. */
int device_standing(struct registry *r, bool required, const uint8_t ek_hash[32],
                    const struct registry_invitation *i, struct device_standing *out,
                    struct err *e) MUST_USE;

/* Does the evidence prove that it is the TPM of that EK which speaks? A first request does not: its
 * answer is sealed instead. What a registry keeps of a TPM's clock, and whom it shuts out, rests
 * on this alone. */
bool device_is_proven(const struct evidence_verdict *v);

/*
 * What follows from a refusal: evidence that failed
 * for nothing but registration makes a pending device, so that an officer can approve it;
 * evidence that failed for nothing but a clock that went back quarantines the device: there are
 * two of it, or it was replaced. `i` may be NULL.
 */
int device_follow_up(struct registry *r, const struct evidence_verdict *v, X509 *ek_cert,
                     const struct device_standing *s, const struct registry_invitation *i,
                     int64_t now, struct err *e) MUST_USE;

/* A device of these EK certificates, all of one TPM; the texts of `d` but the TPM's name are the
 * caller's. `d` gets id and name. In one transaction; E_EXISTS when an EK is registered. */
int device_register(struct registry *r, STACK_OF(X509) * eks, struct registry_device *d,
                    const char *dns, unsigned community, struct err *e) MUST_USE;
/* The same as part of a transaction. */
int device_add(struct registry *r, STACK_OF(X509) * eks, struct registry_device *d, const char *dns,
               unsigned community, struct err *e) MUST_USE;

#endif
