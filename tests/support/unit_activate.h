#ifndef TESTS_SUPPORT_UNIT_ACTIVATE_H
#define TESTS_SUPPORT_UNIT_ACTIVATE_H

#include "core/credential.h"

/* What a TPM with this RSA EK does in TPM2_ActivateCredential (Part 1, 24). Failures end the test. */
void unit_activate(EVP_PKEY *ek, const struct credential_sealed *s, uint8_t secret[32]);

#endif
