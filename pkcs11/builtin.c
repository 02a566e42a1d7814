#include "pkcs11/builtin.h"

#include "core/hash.h"
#include "pkcs11/mech_table.h"
#include "pkcs11/template.h"

#include <string.h>

static const CK_ULONG profiles[] = {CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER};

/* The same CKA_UNIQUE_ID in every process: drawn from what the object says. */
static int name_it(struct store_object *row, CK_OBJECT_CLASS class, CK_ULONG what, struct err *e)
{
    struct buf in = {0};
    uint8_t digest[32];
    int rc = -1;

    buf_str(&in, "fusetsu builtin");
    buf_u64(&in, class);
    buf_u64(&in, what);
    if (buf_ok(&in, e) == 0 && hash_sha256(buf_bytes(&in), digest, e) == 0) {
        memcpy(row->uuid, digest, sizeof(row->uuid));
        rc = 0;
    }
    buf_free(&in);
    return rc;
}

static int add(struct index *x, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type, CK_ULONG what,
               CK_ULONG *last, struct err *e)
{
    struct store_object row = {.class = (uint32_t) class};
    int rc = -1;

    if (name_it(&row, class, what, e) != 0)
        goto out;
    if (template_set_ulong(&row, attr_table_group(class, 0), type, what) != CKR_OK) {
        err_set(e, E_MEMORY, "out of memory for an object");
        goto out;
    }
    rc = index_add_builtin(x, &row, last, e);
out:
    store_object_free(&row);
    return rc;
}

int builtin_add(struct index *x, CK_ULONG *last, struct err *e)
{
    size_t n;
    const struct mech *all = mech_table_all(&n);

    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        if (add(x, CKO_PROFILE, CKA_PROFILE_ID, profiles[i], last, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (add(x, CKO_MECHANISM, CKA_MECHANISM_TYPE, all[i].type, last, e) != 0)
            return -1;
    }
    return 0;
}
