#ifndef TPM_STICK_NV_H
#define TPM_STICK_NV_H

#include "tpm/pin.h"

/* The NV indices of a self-contained token, and what its descriptors say (tpm/stick.h). */

#define STICK_NV_FIRST 0x01BF5A00U
#define STICK_NV_PARTS 0x01BF5A10U
#define STICK_COPIES 2
#define STICK_PARTS_MAX 32
#define STICK_DIGEST 32
#define STICK_DESCRIPTOR (60 + STICK_DIGEST) /* bytes */

struct stick_descriptor {
    uint16_t part;  /* bytes of each index of the copy */
    uint16_t parts; /* indices */
    uint64_t generation;
    uint32_t length;
    uint8_t digest[STICK_DIGEST];
};

/* The key that signs for writes. */
struct stick_key {
    uint8_t d[32];
    uint8_t public[64];
};
int stick_nv_key(struct bytes token_secret, struct stick_key *out, struct err *e) MUST_USE;

/* E_NOT_FOUND: no index, or no descriptor in it; E_CORRUPT: not whole; E_VERSION. */
int stick_nv_descriptor(struct tpm *t, unsigned copy, struct stick_descriptor *out,
                        struct err *e) MUST_USE;

/* The image that a descriptor tells of; E_CORRUPT when it is another. */
int stick_nv_image(struct tpm *t, unsigned copy, const struct stick_descriptor *d, struct buf *out,
                   struct err *e) MUST_USE;

/* Writes image, then descriptor of a copy; fills in length and digest. */
int stick_nv_write(const struct pin_link *l, const struct stick_key *key, unsigned copy,
                   struct stick_descriptor *d, struct bytes image, struct err *e) MUST_USE;

/* Defines all indices of both copies for `room` bytes each, or fewer: what there is, in `d`.
 * E_FULL when not even a part of each goes. */
int stick_nv_define(const struct pin_link *l, const struct stick_key *key, size_t room,
                    struct stick_descriptor *d, struct err *e) MUST_USE;

/* Takes away what is ours at all these handles. */
int stick_nv_undefine(const struct pin_link *l, struct err *e) MUST_USE;

#endif
