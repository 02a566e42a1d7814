#include "pkcs11/entry.h"

/* C_GenerateRandom and C_SeedRandom (5.15). */

CK_RV C_GenerateRandom(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG len)
{
    struct p11_session *s;
    struct tpm *tpm = NULL;
    struct err e = {0};
    CK_RV rv = entry_session(handle, &s);

    if (rv != CKR_OK)
        return rv;
    if (!entry_readable(out, len))
        return entry_end(CKR_ARGUMENTS_BAD);
    if (len != 0 &&
        (site_tpm(s->slot->site, &tpm, &e) != 0 || tpm_random(tpm, out, (size_t)len, &e) != 0))
        rv = fail_rv(&e, CKR_DURING_ANY);
    return entry_end(rv);
}

/* The TPM's generator needs no help, and TPM2_StirRandom would only pretend. */
CK_RV C_SeedRandom(CK_SESSION_HANDLE handle, CK_BYTE *seed, CK_ULONG len)
{
    struct p11_session *s;
    CK_RV rv = entry_session(handle, &s);

    (void)len;
    if (rv != CKR_OK)
        return rv;
    return entry_end(seed == NULL ? CKR_ARGUMENTS_BAD : CKR_RANDOM_SEED_NOT_SUPPORTED);
}
