/* The token store: is it there, sound, ours, and with room to grow? */
#include "cli/doctor.h"
#include "cli/place.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The tokens that are asked about: all, or the one of --token or --uri. */
static void choose(struct doctor *d)
{
    bool named = cli_flag(d->cli, "token") || cli_flag(d->cli, "uri");
    struct store_token wanted;
    struct err e = {0};

    d->token = d->all;
    d->n_tokens = d->n_all;
    if (!named)
        return;
    d->n_tokens = 0;
    if (place_row(d->cli, d->store, &wanted, &e) != 0) {
        doctor_failed(d, DOCTOR_PROBLEM, &e);
        return;
    }
    for (size_t i = 0; i < d->n_all; i++) {
        if (d->all[i].id == wanted.id) {
            d->token = &d->all[i];
            d->n_tokens = 1;
        }
    }
}

static void check_opens(struct doctor *d)
{
    const char *path = conf_store(d->conf);
    struct err e = {0};
    char who[DOCTOR_WHO];

    /* Reading only: no migration, no repair but of a write that was cut short. */
    if (store_open(&d->store, path, STORE_READ, &e) != 0 ||
        store_tpm_list(d->store, &d->tpm_row, &d->n_tpm_rows, &e) != 0 ||
        store_token_list(d->store, &d->all, &d->n_all, &e) != 0) {
        doctor_failed(d, DOCTOR_PROBLEM, &e);
        if (e.code == E_BUSY && doctor_holder(path, who))
            doctor_todo(d, "see what %s does with it, or end it", who);
        store_close(d->store);
        d->store = NULL;
        return;
    }
    if (d->n_all == 0) {
        doctor_problem(d, E_NOT_FOUND, "%s holds no token", path);
        doctor_todo(d, "make one with `fusetsu token init`");
        return;
    }
    doctor_say(d, DOCTOR_OK, "%s, with %zu token%s", path, d->n_all, d->n_all == 1 ? "" : "s");
    choose(d);
}

/* --- who may what ------------------------------------------------------------ */

static const char *user_name(uid_t uid, char out[48])
{
    struct passwd pw, *found = NULL;
    char room[4096];

    if (getpwuid_r(uid, &pw, room, sizeof(room), &found) == 0 && found != NULL)
        snprintf(out, 48, "%.40s", found->pw_name);
    else
        snprintf(out, 48, "user %u", (unsigned)uid);
    return out;
}

/* The directory of the store, allocated; NULL without memory. */
static char *directory(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static bool check_modes(struct doctor *d, const char *path, const char *dir, const struct stat *st,
                        const struct stat *at)
{
    char name[48];
    size_t before = d->n;

    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        doctor_problem(d, E_DENIED, "%s can be written by others: fusetsu does not write to it",
                       path);
        doctor_todo(d, "see who changed it, then chmod 600 %s", path);
    } else if ((st->st_mode & (S_IRGRP | S_IROTH)) != 0) {
        doctor_say(d, DOCTOR_WARNING,
                   "%s can be read by others, with the names of keys, certificates and wrapped"
                   " keys; a PIN is needed to use most of it",
                   path);
        doctor_todo(d, "chmod 600 %s", path);
    }
    if ((at->st_mode & S_IWOTH) != 0) {
        doctor_problem(d, E_DENIED, "everybody can write to %s, the directory of the store", dir);
        doctor_todo(d, "move the store to a directory of its own (mode 0700)");
    }
    if (st->st_uid != geteuid()) {
        doctor_say(d, DOCTOR_WARNING,
                   "%s belongs to %s: here nothing can be made, changed or counted in it", path,
                   user_name(st->st_uid, name));
        doctor_todo(d, "run as %s, or change the owner", name);
    }
    return d->n == before;
}

static void check_access(struct doctor *d)
{
    const char *path = conf_store(d->conf);
    char *dir = directory(path);
    struct statvfs fs;
    struct stat st, at;

    /* What is not there was reported as such. */
    if (dir == NULL || lstat(path, &st) != 0 || stat(dir, &at) != 0)
        goto out;
    if (!check_modes(d, path, dir, &st, &at))
        goto out;
    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0) {
        doctor_say(d, DOCTOR_WARNING,
                   "the file system of %s is mounted read-only: keys can be used, but nothing can"
                   " be made, changed or counted",
                   path);
        doctor_todo(d, "if it is not meant to be so, see why (dmesg), and mount it for writing");
    } else if (eaccess(dir, W_OK | X_OK) != 0 || eaccess(path, R_OK | W_OK) != 0) {
        doctor_say(d, DOCTOR_WARNING, "you may not write to %s and its directory (%s)", path,
                   strerror(errno));
        doctor_todo(d, "give them to the user who makes keys: chmod 700 %s, chmod 600 %s", dir,
                    path);
    } else {
        doctor_say(d, DOCTOR_OK, "it is yours alone, and can be written");
    }
out:
    free(dir);
}

/* --- room and soundness ---------------------------------------------------------- */

/* A key pair with its certificate takes some 8 KiB, and its journal as much. */
#define ROOM_LEAST ((uint64_t)1 << 20)

static void check_room(struct doctor *d)
{
    char *dir = directory(conf_store(d->conf));
    struct statvfs fs;
    uint64_t left;

    if (dir == NULL || statvfs(dir, &fs) != 0)
        goto out;
    left = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (left < ROOM_LEAST || (fs.f_files != 0 && fs.f_favail == 0)) {
        doctor_say(d, DOCTOR_WARNING,
                   "the disk of %s is full but for %llu KiB%s: keys can be used, but none made",
                   dir, (unsigned long long)(left >> 10),
                   left < ROOM_LEAST ? "" : " and without a free inode");
        doctor_todo(d, "make room");
    } else {
        doctor_say(d, DOCTOR_OK, "%llu MiB are free", (unsigned long long)(left >> 20));
    }
out:
    free(dir);
}

static void check_integrity(struct doctor *d)
{
    struct err e = {0};

    if (store_check(d->store, &e) != 0)
        doctor_failed(d, DOCTOR_PROBLEM, &e);
    else
        doctor_say(d, DOCTOR_OK, "the file is sound; each row is verified at the next login");
}

const struct doctor_check doctor_store_checks[] = {
    {"store", DOCTOR_CONF, check_opens},
    {"store-access", DOCTOR_CONF, check_access},
    {"store-room", DOCTOR_CONF, check_room},
    {"store-integrity", DOCTOR_STORE, check_integrity},
    {0},
};
