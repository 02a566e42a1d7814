#include "ca/registry_device.h"

#include "ca/registry_db.h"

#include <string.h>

static const char *const states[REGISTRY_DEVICE_STATES] = {
    [REGISTRY_DEVICE_PENDING] = "pending",
    [REGISTRY_DEVICE_ACTIVE] = "active",
    [REGISTRY_DEVICE_QUARANTINED] = "quarantined",
};

const char *registry_device_state_name(enum registry_device_state s)
{
    return s < REGISTRY_DEVICE_STATES ? states[s] : "unknown";
}

static int check(const struct registry_device *d, struct err *e)
{
    if (d->state >= REGISTRY_DEVICE_STATES)
        return err_set(e, E_ARG, "a device is pending, active or quarantined");
    if (d->state != REGISTRY_DEVICE_PENDING && (d->oper[0] == 0 || d->officer[0] == 0))
        return err_set(e, E_ARG, "say whose device it is and which officer says so");
    return 0;
}

/* --- writing ----------------------------------------------------------------------------- */

int registry_device_add(struct registry *r, struct registry_device *d, struct err *e)
{
    if (check(d, e) != 0 ||
        registry_db_run(r, e,
                        "INSERT INTO device (state, operator, officer, note, manufacturer, model, "
                        "version, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        "itttttt"
                        "ii",
                        (int64_t)d->state, d->oper, d->officer, d->note, d->manufacturer, d->model,
                        d->version, d->created_at, d->created_at) != 0)
        return -1;
    d->id = sqlite3_last_insert_rowid(r->db);
    return 0;
}

int registry_device_add_ek(struct registry *r, int64_t device, const uint8_t ek_hash[32],
                           struct err *e)
{
    struct err why = {0};

    if (registry_db_run(r, &why, "INSERT INTO device_ek (ek_hash, device) VALUES (?, ?)", "bi",
                        bytes_of(ek_hash, 32), device) == 0)
        return 0;
    if (why.code == E_EXISTS)
        return err_set(e, E_EXISTS,
                       "that TPM is registered already; `fusetsu device list` shows as what");
    return err_take(e, &why);
}

int registry_device_add_name(struct registry *r, int64_t device, const char *dns,
                             unsigned community, struct err *e)
{
    return registry_db_run(r, e,
                           "INSERT OR IGNORE INTO device_name (device, subject, community) "
                           "VALUES (?, ?, ?)",
                           "iti", device, dns, (int64_t)community);
}

int registry_device_set(struct registry *r, const struct registry_device *d, struct err *e)
{
    if (check(d, e) != 0 ||
        registry_db_run(r, e,
                        "UPDATE device SET state = ?, operator = ?, officer = ?, note = ?, "
                        "changed_at = ? WHERE id = ?",
                        "itttii", (int64_t)d->state, d->oper, d->officer, d->note, d->changed_at,
                        d->id) != 0)
        return -1;
    return sqlite3_changes(r->db) == 1
               ? 0
               : err_set(e, E_NOT_FOUND, "there is no device %lld", (long long)d->id);
}

int registry_device_quarantine(struct registry *r, int64_t id, const char *officer, const char *why,
                               int64_t at, struct err *e)
{
    return registry_db_run(r, e,
                           "UPDATE device SET state = ?, officer = ?, note = substr(?, 1, 256), "
                           "changed_at = ? WHERE id = ? AND state = ?",
                           "ittiii", (int64_t)REGISTRY_DEVICE_QUARANTINED, officer, why, at, id,
                           (int64_t)REGISTRY_DEVICE_ACTIVE);
}

int registry_device_drop_pending(struct registry *r, const uint8_t ek_hash[32], struct err *e)
{
    struct registry_device d;
    struct err why = {0};

    if (registry_device_of_ek(r, ek_hash, &d, &why) != 0)
        return why.code == E_NOT_FOUND ? 0 : err_take(e, &why);
    if (d.state != REGISTRY_DEVICE_PENDING)
        return 0;
    if (registry_db_run(r, e, "DELETE FROM device_name WHERE device = ?", "i", d.id) != 0 ||
        registry_db_run(r, e, "DELETE FROM device_ek WHERE device = ?", "i", d.id) != 0)
        return -1;
    return registry_db_run(r, e, "DELETE FROM device WHERE id = ?", "i", d.id);
}

int registry_device_read(struct registry *r, int64_t device, const struct evidence_reading *now,
                         int64_t at, struct err *e)
{
    /* Row values compare from left to right. */
    return registry_db_run(r, e,
                           "UPDATE device SET resets = ?1, restarts = ?2, clock = ?3, read_at = ?4 "
                           "WHERE id = ?5 AND (read_at = 0 OR (resets, restarts, clock) <= "
                           "(?1, ?2, ?3))",
                           "iiiii", (int64_t)now->resets, (int64_t)now->restarts,
                           (int64_t)now->clock, at, device);
}

/* --- reading ------------------------------------------------------------------------------- */

#define COLUMNS                                                                             \
    "SELECT id, state, operator, officer, note, manufacturer, model, version, created_at, " \
    "changed_at, resets, restarts, clock, read_at FROM device "

static int read_row(struct registry *r, sqlite3_stmt *st, struct registry_device *out,
                    struct err *e)
{
    struct registry_device d = {.id = sqlite3_column_int64(st, 0)};
    int64_t state = sqlite3_column_int64(st, 1);

    if (state < 0 || state >= REGISTRY_DEVICE_STATES)
        return err_set(e, E_CORRUPT,
                       "the registry %s has a damaged device; restore it from a backup", r->path);
    d.state = (enum registry_device_state)state;
    if (registry_db_text(r, st, 2, d.oper, sizeof(d.oper), e) != 0 ||
        registry_db_text(r, st, 3, d.officer, sizeof(d.officer), e) != 0 ||
        registry_db_text(r, st, 4, d.note, sizeof(d.note), e) != 0 ||
        registry_db_text(r, st, 5, d.manufacturer, sizeof(d.manufacturer), e) != 0 ||
        registry_db_text(r, st, 6, d.model, sizeof(d.model), e) != 0 ||
        registry_db_text(r, st, 7, d.version, sizeof(d.version), e) != 0)
        return -1;
    d.created_at = sqlite3_column_int64(st, 8);
    d.changed_at = sqlite3_column_int64(st, 9);
    d.reading = (struct evidence_reading){.resets = (uint32_t)sqlite3_column_int64(st, 10),
                                          .restarts = (uint32_t)sqlite3_column_int64(st, 11),
                                          .clock = (uint64_t)sqlite3_column_int64(st, 12)};
    d.read_at = sqlite3_column_int64(st, 13);
    d.has_reading = d.read_at != 0;
    *out = d;
    return 0;
}

static int one(struct registry *r, sqlite3_stmt *st, struct registry_device *out,
               const char *missing, struct err *e)
{
    int row = registry_db_step(r, st, e), rc = -1;

    if (row == 0)
        err_set(e, E_NOT_FOUND, "%s; `fusetsu device list` shows those that are known", missing);
    if (row == 1)
        rc = read_row(r, st, out, e);
    sqlite3_finalize(st);
    return rc;
}

int registry_device_get(struct registry *r, int64_t id, struct registry_device *out, struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(r, &st, e, COLUMNS "WHERE id = ?", "i", id) == 0
               ? one(r, st, out, "there is no such device", e)
               : -1;
}

int registry_device_of_ek(struct registry *r, const uint8_t ek_hash[32],
                          struct registry_device *out, struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(
               r, &st, e, COLUMNS "WHERE id = (SELECT device FROM device_ek WHERE ek_hash = ?)",
               "b", bytes_of(ek_hash, 32)) == 0
               ? one(r, st, out, "that TPM is not registered", e)
               : -1;
}

/* Does the statement, which is ended, give a row? */
static int any(struct registry *r, sqlite3_stmt *st, struct err *e)
{
    int row = registry_db_step(r, st, e);

    sqlite3_finalize(st);
    return row;
}

int registry_device_has_name(struct registry *r, int64_t device, const char *dns,
                             unsigned community, struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(r, &st, e,
                               "SELECT 1 FROM device_name WHERE device = ? AND subject = ? COLLATE "
                               "NOCASE AND community = ?",
                               "iti", device, dns, (int64_t)community) == 0
               ? any(r, st, e)
               : -1;
}

int registry_device_for_name(struct registry *r, const char *dns, unsigned community, struct err *e)
{
    sqlite3_stmt *st = NULL;

    return registry_db_prepare(r, &st, e,
                               "SELECT 1 FROM device_name JOIN device ON device = id WHERE subject "
                               "= ? COLLATE NOCASE AND community = ? AND state = ?",
                               "tii", dns, (int64_t)community, (int64_t)REGISTRY_DEVICE_ACTIVE) == 0
               ? any(r, st, e)
               : -1;
}

int registry_devices(struct registry *r, bool (*each)(void *ctx, const struct registry_device *d),
                     void *ctx, struct err *e)
{
    struct registry_device d;
    sqlite3_stmt *st = NULL;
    int row = -1;

    if (registry_db_prepare(r, &st, e, COLUMNS "ORDER BY id", "") != 0)
        return -1;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (read_row(r, st, &d, e) != 0) {
            row = -1;
            break;
        }
        if (!each(ctx, &d)) {
            row = 0;
            break;
        }
    }
    sqlite3_finalize(st);
    return row;
}

int registry_device_names(struct registry *r, int64_t device,
                          bool (*each)(void *ctx, const char *dns, unsigned community), void *ctx,
                          struct err *e)
{
    sqlite3_stmt *st = NULL;
    char dns[254];
    int row = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT subject, community FROM device_name WHERE device = ? ORDER BY "
                            "community, subject",
                            "i", device) != 0)
        return -1;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (registry_db_text(r, st, 0, dns, sizeof(dns), e) != 0) {
            row = -1;
            break;
        }
        if (!each(ctx, dns, (unsigned)sqlite3_column_int64(st, 1))) {
            row = 0;
            break;
        }
    }
    sqlite3_finalize(st);
    return row;
}

int registry_device_eks(struct registry *r, int64_t device,
                        bool (*each)(void *ctx, const uint8_t ek_hash[32]), void *ctx,
                        struct err *e)
{
    sqlite3_stmt *st = NULL;
    uint8_t hash[32];
    int row = -1;

    if (registry_db_prepare(r, &st, e,
                            "SELECT ek_hash FROM device_ek WHERE device = ? ORDER BY rowid", "i",
                            device) != 0)
        return -1;
    while ((row = registry_db_step(r, st, e)) == 1) {
        if (registry_db_fixed(r, st, 0, hash, sizeof(hash), e) != 0) {
            row = -1;
            break;
        }
        if (!each(ctx, hash)) {
            row = 0;
            break;
        }
    }
    sqlite3_finalize(st);
    return row;
}
