#include <stdio.h>
#include <string.h>

#include "pkcs11/entry.h"
#include "pkcs11/plug.h"
#include "pkcs11/mech_table.h"
#include "pkcs11/text.h"

/* C_* functions on slots and tokens that ask and change nothing (5.5). None sends
 * anything to the TPM. */

CK_RV C_GetSlotList(CK_BBOOL token_present, CK_SLOT_ID *list, CK_ULONG *count)
{
    struct library *lib;
    struct err e = {0};
    CK_ULONG n = 0;
    CK_RV rv = entry_begin(&lib);

    if (rv != CKR_OK)
        return rv;
    if (count == NULL)
        return entry_end(CKR_ARGUMENTS_BAD);
    /* The list may change only when the caller asks for its length. */
    if (list == NULL || lib->n_slot == 0) {
        if (plug_look(lib, &e) != 0)
            return entry_end(fail_rv(&e, CKR_DURING_ANY));
    } else {
        plug_known(lib);
    }
    for (size_t i = 0; i < lib->n_slot; i++) {
        if (token_present && !lib->slot[i]->present)
            continue;
        if (list != NULL && n < *count)
            list[n] = lib->slot[i]->id;
        n++;
    }
    if (list != NULL && n > *count)
        rv = CKR_BUFFER_TOO_SMALL;
    *count = n;
    return entry_end(rv);
}

/* Enters the library and finds a slot; nothing is held unless CKR_OK. */
static CK_RV enter(CK_SLOT_ID id, const void *out, struct library **lib, struct slot **slot)
{
    CK_RV rv = entry_begin(lib);

    if (rv != CKR_OK)
        return rv;
    *slot = plug_slot(*lib, id);
    if (*slot == NULL)
        return entry_end(CKR_SLOT_ID_INVALID);
    return out != NULL ? CKR_OK : entry_end(CKR_ARGUMENTS_BAD);
}

/* The same for a slot with a token, or with the place for one. */
static CK_RV enter_present(CK_SLOT_ID id, const void *out, struct library **lib, struct slot **slot)
{
    CK_RV rv = enter(id, out, lib, slot);
    struct err e = {0};

    if (rv != CKR_OK)
        return rv;
    if (!(*slot)->present)
        return entry_end(CKR_TOKEN_NOT_PRESENT);
    return plug_ready(*slot, &e) == 0 ? CKR_OK : entry_end(fail_rv(&e, CKR_DURING_ANY));
}

CK_RV C_GetSlotInfo(CK_SLOT_ID id, CK_SLOT_INFO *info)
{
    char text[192] = "no token: the settings or the store cannot be read";
    struct library *lib;
    struct slot *slot;
    CK_RV rv = enter(id, info, &lib, &slot);

    if (rv != CKR_OK)
        return rv;
    if (slot->site->usb != NULL)
        snprintf(text, sizeof(text), "USB token %s%s", site_usb_plug(slot->site)->serial,
                 slot->present ? "" : ": not plugged in");
    else if (slot->present && lib->conf != NULL)
        snprintf(text, sizeof(text), "fusetsu %s", conf_tcti(lib->conf));
    else if (slot->row.id != 0)
        snprintf(text, sizeof(text), "the token that was here was erased");
    memset(info, 0, sizeof(*info));
    text_pad(info->slotDescription, sizeof(info->slotDescription), text);
    text_pad(info->manufacturerID, sizeof(info->manufacturerID), TEXT_MANUFACTURER);
    info->flags = CKF_HW_SLOT | (slot->present ? CKF_TOKEN_PRESENT : 0) |
                  (slot->site->usb != NULL ? CKF_REMOVABLE_DEVICE : 0);
    info->hardwareVersion.major = 2; /* TPM 2.0 */
    info->firmwareVersion.major = TEXT_VERSION_MAJOR;
    info->firmwareVersion.minor = TEXT_VERSION_MINOR;
    return entry_end(CKR_OK);
}

/* 5.5: the flags tell how near a PIN is to being locked. */
static CK_FLAGS pin_flags(uint32_t fails, uint32_t limit, CK_FLAGS low, CK_FLAGS final,
                          CK_FLAGS locked)
{
    if (fails == 0 || limit == 0)
        return 0;
    if (fails >= limit)
        return low | locked;
    return low | (limit - fails == 1 ? final : 0);
}

static CK_FLAGS token_flags(const struct site *site, const struct store_token *t)
{
    CK_FLAGS f = CKF_LOGIN_REQUIRED | CKF_RNG | CKF_DUAL_CRYPTO_OPERATIONS;
    bool shared;

    if (site->read_only)
        f |= CKF_WRITE_PROTECTED;
    if (t->id == 0)
        return f;
    f |= CKF_TOKEN_INITIALIZED;
    if ((t->flags & STORE_TOKEN_PIN_SET) != 0)
        f |= CKF_USER_PIN_INITIALIZED;
    if ((t->flags & STORE_TOKEN_CHANGE_USER) != 0)
        f |= CKF_USER_PIN_TO_BE_CHANGED;
    if ((t->flags & STORE_TOKEN_CHANGE_SO) != 0)
        f |= CKF_SO_PIN_TO_BE_CHANGED;
    /* A lockout of the whole TPM passes by itself, and is no locked PIN. */
    shared = (t->flags & STORE_TOKEN_DA_ONLY) != 0;
    f |= pin_flags(t->user_fails, t->user_limit, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
                   shared ? 0 : CKF_USER_PIN_LOCKED);
    f |= pin_flags(t->so_fails, t->so_limit, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY,
                   shared ? 0 : CKF_SO_PIN_LOCKED);
    return f;
}

/* What the chip calls itself; swtpm says "SW   TPM". */
static void fill_model(struct slot *slot, CK_TOKEN_INFO *info)
{
    struct tpm_caps caps;
    const char *model = "TPM 2.0";

    if (slot_caps(slot, &caps)) {
        if (strncmp(caps.vendor, "SW ", 3) == 0)
            model = "swtpm";
        else if (caps.vendor[0] != '\0')
            model = caps.vendor;
        info->firmwareVersion.major = (CK_BYTE)(caps.firmware[0] >> 16);
        info->firmwareVersion.minor = (CK_BYTE)caps.firmware[0];
    }
    text_pad(info->model, sizeof(info->model), model);
}

/* 5.5: of a token that keeps its objects itself there is some, for all of them. */
static void fill_memory(const struct slot *slot, CK_TOKEN_INFO *info)
{
    CK_ULONG total = CK_UNAVAILABLE_INFORMATION, left = CK_UNAVAILABLE_INFORMATION;
    struct stick_room room;

    if (site_usb_room(slot->site, &room)) {
        total = (CK_ULONG)room.total;
        left = (CK_ULONG)(room.total - room.used);
    }
    info->ulTotalPublicMemory = info->ulTotalPrivateMemory = total;
    info->ulFreePublicMemory = info->ulFreePrivateMemory = left;
}

CK_RV C_GetTokenInfo(CK_SLOT_ID id, CK_TOKEN_INFO *info)
{
    const struct store_token *t;
    struct library *lib;
    struct slot *slot;
    CK_RV rv = enter_present(id, info, &lib, &slot);

    if (rv != CKR_OK)
        return rv;
    slot_reread(slot);
    memset(info, 0, sizeof(*info));
    fill_model(slot, info);
    if (slot->site->usb != NULL)
        site_usb_count(slot->site);
    t = slot_row(slot);
    text_pad(info->label, sizeof(info->label), t->label);
    text_pad(info->manufacturerID, sizeof(info->manufacturerID), TEXT_MANUFACTURER);
    text_pad(info->serialNumber, sizeof(info->serialNumber), t->serial);
    text_pad(info->utcTime, sizeof(info->utcTime), "");
    info->flags = token_flags(slot->site, t);
    info->ulMaxSessionCount = info->ulMaxRwSessionCount = CK_EFFECTIVELY_INFINITE;
    info->ulSessionCount = (CK_ULONG)slot->n_session;
    info->ulRwSessionCount = (CK_ULONG)slot->n_rw;
    info->ulMaxPinLen = TOKEN_PIN_MAX;
    info->ulMinPinLen = TOKEN_PIN_MIN;
    fill_memory(slot, info);
    info->hardwareVersion.major = 2;
    return entry_end(CKR_OK);
}

CK_RV C_GetMechanismList(CK_SLOT_ID id, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
    size_t n;
    const struct mech *all = mech_table_all(&n);
    struct library *lib;
    struct slot *slot;
    CK_RV rv = enter_present(id, count, &lib, &slot);

    if (rv != CKR_OK)
        return rv;
    if (list != NULL && *count < n)
        rv = CKR_BUFFER_TOO_SMALL;
    for (size_t i = 0; list != NULL && rv == CKR_OK && i < n; i++)
        list[i] = all[i].type;
    *count = (CK_ULONG)n;
    return entry_end(rv);
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    const struct mech *m = mech_table_row(type);
    struct tpm_caps caps;
    struct library *lib;
    struct slot *slot;
    CK_RV rv = enter_present(id, info, &lib, &slot);

    if (rv != CKR_OK)
        return rv;
    if (m == NULL)
        return entry_end(CKR_MECHANISM_INVALID);
    mech_table_info(m, slot_caps(slot, &caps) ? &caps : NULL, lib->sha1, info);
    return entry_end(CKR_OK);
}
