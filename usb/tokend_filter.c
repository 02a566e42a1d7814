#include "usb/tokend_filter.h"

#include <string.h>

/* Part 2, 6.6.3 */
#define RC_COMMAND_SIZE 0x142U
#define RC_COMMAND_CODE 0x143U
#define RC_BAD_TAG 0x01EU
#define RC_HIERARCHY 0x085U /* plus 0x100 times the number of the handle */

/* Part 2, 7.4 */
#define RH_LOCKOUT 0x4000000AU
#define RH_PLATFORM 0x4000000CU
#define RH_PLATFORM_NV 0x4000000DU

#define ST_NO_SESSIONS 0x8001U
#define ST_SESSIONS 0x8002U

#define MAKES 1
#define CONFIRM 2 /* gives out what a private key, or a secret, makes of something */

/* By code (Part 2, 6.5.2), with how many handles there are (Part 3). */
static const struct row {
    uint16_t code;
    uint8_t handles, flags;
    const char *name;
} rows[] = {
    {0x120, 2, 0, "TPM2_EvictControl"},
    {0x122, 2, 0, "TPM2_NV_UndefineSpace"},
    {0x12A, 1, 0, "TPM2_NV_DefineSpace"},
    {0x131, 1, MAKES, "TPM2_CreatePrimary"},
    {0x134, 2, 0, "TPM2_NV_Increment"},
    {0x135, 2, 0, "TPM2_NV_SetBits"},
    {0x136, 2, 0, "TPM2_NV_Extend"},
    {0x137, 2, 0, "TPM2_NV_Write"},
    {0x138, 2, 0, "TPM2_NV_WriteLock"},
    {0x13B, 1, 0, "TPM2_NV_ChangeAuth"},
    {0x13E, 1, 0, "TPM2_SequenceComplete"},
    {0x142, 0, 0, "TPM2_IncrementalSelfTest"},
    {0x143, 0, 0, "TPM2_SelfTest"},
    {0x145, 0, 0, "TPM2_Shutdown"},
    {0x146, 0, 0, "TPM2_StirRandom"},
    {0x147, 2, 0, "TPM2_ActivateCredential"},
    {0x148, 2, CONFIRM, "TPM2_Certify"},
    {0x149, 3, 0, "TPM2_PolicyNV"},
    {0x14A, 2, CONFIRM, "TPM2_CertifyCreation"},
    {0x14B, 2, CONFIRM, "TPM2_Duplicate"},
    {0x14C, 2, CONFIRM, "TPM2_GetTime"},
    {0x14D, 3, CONFIRM, "TPM2_GetSessionAuditDigest"},
    {0x14E, 2, 0, "TPM2_NV_Read"},
    {0x14F, 2, 0, "TPM2_NV_ReadLock"},
    {0x150, 2, 0, "TPM2_ObjectChangeAuth"},
    {0x151, 2, 0, "TPM2_PolicySecret"},
    {0x152, 2, CONFIRM, "TPM2_Rewrap"},
    {0x153, 1, 0, "TPM2_Create"},
    {0x154, 1, CONFIRM, "TPM2_ECDH_ZGen"},
    {0x155, 1, CONFIRM, "TPM2_HMAC"},
    {0x156, 1, 0, "TPM2_Import"},
    {0x157, 1, MAKES, "TPM2_Load"},
    {0x158, 1, CONFIRM, "TPM2_Quote"},
    {0x159, 1, CONFIRM, "TPM2_RSA_Decrypt"},
    {0x15B, 1, MAKES | CONFIRM, "TPM2_HMAC_Start"},
    {0x15C, 1, 0, "TPM2_SequenceUpdate"},
    {0x15D, 1, CONFIRM, "TPM2_Sign"},
    {0x15E, 1, CONFIRM, "TPM2_Unseal"},
    {0x160, 2, 0, "TPM2_PolicySigned"},
    {0x161, 0, MAKES, "TPM2_ContextLoad"},
    {0x162, 1, 0, "TPM2_ContextSave"},
    {0x163, 1, 0, "TPM2_ECDH_KeyGen"},
    {0x164, 1, CONFIRM, "TPM2_EncryptDecrypt"},
    {0x165, 0, 0, "TPM2_FlushContext"},
    {0x167, 0, MAKES, "TPM2_LoadExternal"},
    {0x168, 1, 0, "TPM2_MakeCredential"},
    {0x169, 1, 0, "TPM2_NV_ReadPublic"},
    {0x16A, 1, 0, "TPM2_PolicyAuthorize"},
    {0x16B, 1, 0, "TPM2_PolicyAuthValue"},
    {0x16C, 1, 0, "TPM2_PolicyCommandCode"},
    {0x16D, 1, 0, "TPM2_PolicyCounterTimer"},
    {0x16E, 1, 0, "TPM2_PolicyCpHash"},
    {0x16F, 1, 0, "TPM2_PolicyLocality"},
    {0x170, 1, 0, "TPM2_PolicyNameHash"},
    {0x171, 1, 0, "TPM2_PolicyOR"},
    {0x172, 1, 0, "TPM2_PolicyTicket"},
    {0x173, 1, 0, "TPM2_ReadPublic"},
    {0x174, 1, 0, "TPM2_RSA_Encrypt"},
    {0x176, 2, MAKES, "TPM2_StartAuthSession"},
    {0x177, 1, 0, "TPM2_VerifySignature"},
    {0x178, 0, 0, "TPM2_ECC_Parameters"},
    {0x17A, 0, 0, "TPM2_GetCapability"},
    {0x17B, 0, 0, "TPM2_GetRandom"},
    {0x17C, 0, 0, "TPM2_GetTestResult"},
    {0x17D, 0, 0, "TPM2_Hash"},
    {0x17E, 0, 0, "TPM2_PCR_Read"},
    {0x17F, 1, 0, "TPM2_PolicyPCR"},
    {0x180, 1, 0, "TPM2_PolicyRestart"},
    {0x181, 0, 0, "TPM2_ReadClock"},
    {0x184, 3, CONFIRM, "TPM2_NV_Certify"},
    {0x186, 0, MAKES, "TPM2_HashSequenceStart"},
    {0x188, 1, 0, "TPM2_PolicyDuplicationSelect"},
    {0x189, 1, 0, "TPM2_PolicyGetDigest"},
    {0x18A, 0, 0, "TPM2_TestParms"},
    {0x18B, 1, CONFIRM, "TPM2_Commit"},
    {0x18C, 1, 0, "TPM2_PolicyPassword"},
    {0x18D, 1, CONFIRM, "TPM2_ZGen_2Phase"},
    {0x18E, 0, 0, "TPM2_EC_Ephemeral"},
    {0x18F, 1, 0, "TPM2_PolicyNvWritten"},
    {0x190, 1, 0, "TPM2_PolicyTemplate"},
    {0x191, 1, MAKES, "TPM2_CreateLoaded"},
    {0x192, 3, 0, "TPM2_PolicyAuthorizeNV"},
    {0x193, 1, CONFIRM, "TPM2_EncryptDecrypt2"},
    {0x197, 2, CONFIRM, "TPM2_CertifyX509"},
};

static const struct row *find(uint32_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].code == code)
            return &rows[i];
    }
    return NULL;
}

static bool forbidden(uint32_t handle)
{
    return handle == RH_PLATFORM || handle == RH_PLATFORM_NV || handle == RH_LOCKOUT;
}

/* The rest of the command, of which all is known but its handles. */
static uint32_t look_at_handles(struct reader *r, struct tokend_verdict *v)
{
    for (unsigned i = 0; i < v->n_handles; i++) {
        v->handle[i] = reader_u32(r);
        if (!r->bad && forbidden(v->handle[i]))
            return RC_HIERARCHY + 0x100U * (i + 1);
    }
    return r->bad ? RC_COMMAND_SIZE : 0;
}

void tokend_filter(struct bytes command, struct tokend_verdict *out)
{
    struct reader r = reader_of(command.p, command.len);
    const uint16_t tag = reader_u16(&r);
    const uint32_t size = reader_u32(&r);
    const struct row *row;

    memset(out, 0, sizeof(*out));
    out->code = reader_u32(&r);
    out->name = "a command";
    row = find(out->code);
    if (r.bad || size != command.len) {
        out->rc = RC_COMMAND_SIZE;
    } else if (tag != ST_NO_SESSIONS && tag != ST_SESSIONS) {
        out->rc = RC_BAD_TAG;
    } else if (row == NULL) {
        out->rc = RC_COMMAND_CODE;
    } else {
        out->name = row->name;
        out->confirm = (row->flags & CONFIRM) != 0;
        out->makes = (row->flags & MAKES) != 0;
        out->n_handles = row->handles;
        out->rc = look_at_handles(&r, out);
    }
}

void tokend_filter_answer(uint8_t out[TOKEND_ANSWER], uint32_t rc)
{
    const uint8_t answer[TOKEND_ANSWER] = {ST_NO_SESSIONS >> 8,
                                           ST_NO_SESSIONS & 0xFF,
                                           0,
                                           0,
                                           0,
                                           TOKEND_ANSWER,
                                           (uint8_t)(rc >> 24),
                                           (uint8_t)(rc >> 16),
                                           (uint8_t)(rc >> 8),
                                           (uint8_t)rc};

    memcpy(out, answer, sizeof(answer));
}
