#ifndef TPM_EK_H
#define TPM_EK_H

#include "tpm/token_priv.h"

/* An endorsement key in use: at its persistent handle, or created from its template
 * for the time being. */
struct ek {
    TPM2_HANDLE handle;
    bool transient;
    TPM2B_NAME name;
    const struct ektemplate *template;
    struct session policy; /* for EKs that want PolicySecret(TPM_RH_ENDORSEMENT) */
};

/* Finds or creates the EK of a template. Close with ek_close, also after failure. */
int ek_open(struct token *k, uint32_t ek_index, struct ek *out, struct err *e) MUST_USE;
void ek_close(struct token *k, struct ek *ek);

/* The same before there is a token. */
int ek_find(struct tpm *t, uint32_t ek_index, struct ek *out, struct err *e) MUST_USE;
void ek_leave(struct tpm *t, struct ek *ek);

/*
 * A fresh authorisation for one use of the EK as a parent or for activation: a
 * policy session that executed PolicySecret, or the process's HMAC session where
 * the template allows the (empty) authValue.
 */
int ek_parent(struct token *k, struct ek *ek, struct key_parent *out, struct err *e) MUST_USE;

#endif
