/* The TPM: can it be reached, how is it shared, what is its lockout worth? */
#include "cli/doctor.h"
#include "cli/inside.h"
#include "cli/place.h"
#include "tpm/attest.h"
#include "tpm/hierarchy.h"
#include "tpm/lockout.h"
#include "tpm/share.h"
#include "tpm/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- is it there? ------------------------------------------------------------ */

/* Milliseconds after which a TPM counts as one that does not answer. */
#define PATIENCE 10000

/* In a child, for a TPM that others keep to themselves makes one wait for long. */
static int probe(struct doctor *d, int out)
{
    struct tpm *t = NULL;
    struct tpm_caps caps;
    struct err e = {0};

    if (place_tpm(d->cli, &t, &e) == 0 && tpm_caps(t, &caps, &e) == 0)
        err_clear(&e);
    tpm_free(t);
    return write(out, &e, sizeof(e)) == (ssize_t)sizeof(e) ? 0 : 1;
}

/* 0: it answers; -1: it does not, `e` says why; `e` is empty when it said nothing in time. */
static int ask(struct doctor *d, struct err *e)
{
    struct err told = {0};
    struct pollfd p;
    int fd[2], rc = -1;
    pid_t pid;

    if (pipe2(fd, O_CLOEXEC) != 0)
        return err_set(e, E_IO, "no pipe can be made: %s", strerror(errno));
    pid = fork();
    if (pid == 0)
        _exit(probe(d, fd[1]));
    close(fd[1]);
    if (pid < 0) {
        err_set(e, E_IO, "no process can be made: %s", strerror(errno));
        goto out;
    }
    p = (struct pollfd){.fd = fd[0], .events = POLLIN};
    if (poll(&p, 1, PATIENCE) == 1 && read(fd[0], &told, sizeof(told)) == (ssize_t)sizeof(told))
        rc = told.code == E_OK ? 0 : err_take(e, &told);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
out:
    close(fd[0]);
    return rc;
}

/* The path in "device:PATH" and "swtpm:path=PATH,...", allocated; NULL when there is none. */
static char *node_of(const char *tcti)
{
    const char *path = strstr(tcti, "path=");

    if (strncmp(tcti, "device:", 7) == 0)
        return strdup(tcti + 7);
    return path != NULL ? strndup(path + 5, strcspn(path + 5, ",")) : NULL;
}

static bool in_group(gid_t gid)
{
    gid_t list[256];
    int n = getgroups((int)ARRAY_LEN(list), list);

    if (gid == getegid())
        return true;
    for (int i = 0; i < n; i++) {
        if (list[i] == gid)
            return true;
    }
    return false;
}

static void say_denied(struct doctor *d, const char *node)
{
    struct group *found = NULL, g;
    char room[4096], name[48];
    struct stat st;

    if (stat(node, &st) != 0) {
        doctor_problem(d, E_NO_DEVICE, "you may not look at %s", node);
        doctor_todo(d, "give yourself the right to pass through its directory");
        return;
    }
    if (getgrgid_r(st.st_gid, &g, room, sizeof(room), &found) == 0 && found != NULL)
        snprintf(name, sizeof(name), "%.40s", g.gr_name);
    else
        snprintf(name, sizeof(name), "%u", (unsigned)st.st_gid);
    doctor_problem(d, E_NO_DEVICE,
                   "you may not open %s: it is for group %s (mode %03o), and you are %s it", node,
                   name, (unsigned)st.st_mode & 0777, in_group(st.st_gid) ? "in" : "not in");
    if (in_group(st.st_gid))
        doctor_todo(d, "chmod g+rw %s, by an udev rule to make it last", node);
    else
        doctor_todo(d, "usermod -aG %s YOU, then log in anew", name);
}

static void say_absent(struct doctor *d, const char *node, bool device)
{
    doctor_problem(d, E_NO_DEVICE, "there is no %s", node);
    if (!device)
        doctor_todo(d, "start the TPM's program, or set tcti");
    else if (access("/dev/tpm0", F_OK) == 0 || access("/dev/tpmrm0", F_OK) == 0)
        doctor_todo(d, "set tcti to a device there is: device:%s",
                    access("/dev/tpmrm0", F_OK) == 0 ? "/dev/tpmrm0" : "/dev/tpm0");
    else if (access("/sys/class/tpm", F_OK) != 0)
        doctor_todo(d, "load the kernel's driver: modprobe tpm_tis, or tpm_crb");
    else
        doctor_todo(d, "the kernel sees no TPM: switch it on in the firmware's setup; for a"
                       " software TPM set tcti");
}

/* Opens as a TCTI would; 0 or the reason. */
static int try_node(const char *node, bool device)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd, why = 0;

    if (device) {
        fd = open(node, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        why = fd < 0 ? errno : 0;
    } else {
        if (strlen(node) >= sizeof(a.sun_path))
            return ENAMETOOLONG;
        memcpy(a.sun_path, node, strlen(node));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0)
            why = errno;
    }
    if (fd >= 0)
        close(fd);
    return why;
}

/* Why the TPM cannot be reached, better than the TCTI can tell. */
static void explain(struct doctor *d, const char *tcti, const char *node, const struct err *e)
{
    bool device = strncmp(tcti, "device:", 7) == 0;
    char who[DOCTOR_WHO];
    int why = try_node(node, device);

    if (why == ENOENT || why == ENOTDIR) {
        say_absent(d, node, device);
    } else if (why == EACCES || why == EPERM) {
        say_denied(d, node);
    } else if (why == ECONNREFUSED) {
        doctor_problem(d, E_NO_DEVICE, "nobody listens at %s: the TPM's program has ended", node);
        doctor_todo(d, "start it again");
    } else if (why == EBUSY) {
        doctor_problem(d, E_NO_DEVICE, "%s is busy: %s has it", node,
                       doctor_holder(node, who) ? who : "another process");
        doctor_todo(d, "end that, or use the kernel's resource manager: tcti ="
                       " device:/dev/tpmrm0");
    } else if (e->code != E_OK) {
        doctor_failed(d, DOCTOR_PROBLEM, e);
    } else {
        doctor_problem(d, E_NO_DEVICE, "the TPM at %s does not answer within %d seconds", tcti,
                       PATIENCE / 1000);
        doctor_todo(d, "see who keeps it busy, or whether its program hangs");
    }
}

static void check_reach(struct doctor *d)
{
    const char *tcti = conf_tcti(d->conf);
    char *node = node_of(tcti);
    struct tpm_caps caps;
    struct err e = {0};

    if (ask(d, &e) == 0 && place_tpm(d->cli, &d->tpm, &e) == 0 &&
        tpm_caps(d->tpm, &caps, &e) == 0) {
        doctor_say(d, DOCTOR_OK, "%s, firmware %u.%u, answers at %s", caps.manufacturer,
                   caps.firmware[0] >> 16, caps.firmware[0] & 0xFFFF, tcti);
        if (!caps.pin_fail) {
            doctor_say(d, DOCTOR_WARNING,
                       "it is older than revision 1.38 and has no PIN indices: PINs are guarded by"
                       " one lock, not two");
            doctor_todo(d, "ask its maker for newer firmware");
        }
        goto out;
    }
    tpm_free(d->tpm);
    d->tpm = NULL;
    if (node != NULL) {
        explain(d, tcti, node, &e);
    } else if (e.code != E_OK) {
        doctor_failed(d, DOCTOR_PROBLEM, &e);
    } else {
        doctor_problem(d, E_NO_DEVICE, "the TPM at %s does not answer within %d seconds", tcti,
                       PATIENCE / 1000);
        doctor_todo(d, "see who keeps it busy");
    }
out:
    free(node);
}

/* --- how it is shared ----------------------------------------------------------- */

static void check_sharing(struct doctor *d)
{
    const char *dir = conf_run(d->conf);
    struct stat st;

    if (share_bare(conf_tcti(d->conf)) == NULL) {
        doctor_say(d, DOCTOR_OK, "a resource manager gives each process its own sight of the TPM");
    } else if (dir == NULL) {
        doctor_say(d, DOCTOR_WARNING,
                   "the TPM has no resource manager, and there is no directory by which processes"
                   " share it: a second one will fail");
        doctor_todo(d, "set run to a directory that its users can write, or use"
                       " device:/dev/tpmrm0");
    } else if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || access(dir, W_OK | X_OK) != 0) {
        doctor_say(d, DOCTOR_WARNING,
                   "the TPM has no resource manager, and %s, by which processes share it, is no"
                   " directory that you can write: a second process will fail",
                   dir);
        doctor_todo(d, "make it, or set run to another one");
    } else {
        doctor_say(d, DOCTOR_OK, "no resource manager: processes take turns by a file in %s", dir);
    }
}

/* HMAC and policy sessions have two kinds of handles. */
#define FIRST_SESSION 0x02000000U
#define LAST_SESSION 0x03FFFFFFU
#define FIRST_OBJECT 0x80000000U
#define LAST_OBJECT 0x80FFFFFFU

static void check_slots(struct doctor *d)
{
    uint32_t list[64], objects = 0, sessions = 0;
    size_t n_objects = 0, n_sessions = 0;
    struct err e = {0};

    if (share_bare(conf_tcti(d->conf)) == NULL)
        return;
    if (survey_handles(d->tpm, FIRST_OBJECT, LAST_OBJECT, list, ARRAY_LEN(list), &n_objects, &e) !=
            0 ||
        survey_handles(d->tpm, FIRST_SESSION, LAST_SESSION, list, ARRAY_LEN(list), &n_sessions,
                       &e) != 0 ||
        survey_room(d->tpm, &objects, &sessions, &e) != 0) {
        doctor_failed(d, DOCTOR_WARNING, &e);
        return;
    }
    if (n_objects == 0 && n_sessions == 0) {
        doctor_say(d, DOCTOR_OK, "nobody has keys or sessions loaded in the TPM");
        return;
    }
    /* Two of each are what a login and a key take. */
    doctor_say(d, objects < 2 || sessions < 2 ? DOCTOR_WARNING : DOCTOR_NOTE,
               "loaded in the TPM are %zu keys (room for %u more) and %zu sessions (%u more)",
               n_objects, objects, n_sessions, sessions);
    doctor_todo(d, "programs of fusetsu give theirs up for each other; what no living program"
                   " holds `tpm2_flushcontext -t` and `-l` free");
}

/* --- the lockout ----------------------------------------------------------------- */

/* What `token init` sets (tpm/lockout.h). */
#define TRIES_MOST 32
#define INTERVAL_LEAST 3600

/* A finished token with one of these flags that is in this TPM; NULL: none. */
static const struct store_token *with(struct doctor *d, uint32_t flags)
{
    for (size_t i = 0; i < d->n_all; i++) {
        const struct store_token *t = &d->all[i];
        struct inside in;

        if ((t->flags & STORE_TOKEN_INCOMPLETE) != 0 || (t->flags & flags) == 0)
            continue;
        for (size_t k = 0; k < d->n_tpm_rows; k++) {
            if (d->tpm_row[k].id == t->tpm &&
                inside_look(d->tpm, &d->tpm_row[k], t, &in, NULL) == 0 && inside_home(&in))
                return t;
        }
    }
    return NULL;
}

static void check_strength(struct doctor *d, const struct lockout_state *l,
                           const struct hierarchy_policies *p)
{
    const struct store_token *foreign = with(d, STORE_TOKEN_FOREIGN_LOCKOUT);

    d->check = "lockout-strength";
    if (p->lockout) {
        doctor_say(d, DOCTOR_WARNING,
                   "somebody has set a policy for the TPM's lockout: whoever fulfils it can clear"
                   " the count of failed tries without the lockout authorisation");
        doctor_todo(d, "tpm2_setprimarypolicy -C l -P hex:CODE, with the recovery code, takes it"
                       " away");
    }
    if (!l->auth_set) {
        doctor_say(d, d->n_tokens != 0 ? DOCTOR_WARNING : DOCTOR_NOTE,
                   "the TPM's lockout authorisation is empty: anybody who reaches the TPM can clear"
                   " the count of failed tries, and so try PINs without end");
        doctor_todo(d, d->n_tokens != 0 ? "set one: tpm2_changeauth -c lockout; and keep it"
                                        : "`fusetsu token init` sets one");
    } else if (l->max_tries > TRIES_MOST || l->interval < INTERVAL_LEAST) {
        doctor_say(
            d, DOCTOR_WARNING,
            "the TPM forgives a failed try every %u s and allows %u: faster than the %u s and"
            " %u that fusetsu sets",
            l->interval, l->max_tries, INTERVAL_LEAST, TRIES_MOST);
        doctor_todo(d, "tpm2_dictionarylockout -s -n %u -t %u -l 86400 -p AUTH", TRIES_MOST,
                    INTERVAL_LEAST);
    } else {
        doctor_say(d, DOCTOR_OK, "%u tries, and one is forgiven every %u s", l->max_tries,
                   l->interval);
    }
    if (l->auth_set && foreign != NULL) {
        doctor_say(d, DOCTOR_NOTE,
                   "somebody else had set the TPM's lockout authorisation when token %s was made:"
                   " whoever knows it can clear the count of failed tries",
                   foreign->label);
        doctor_todo(d, "know who keeps it; or have it emptied (tpm2_changeauth -c lockout -p AUTH)"
                       " and make the token anew");
    }
}

/* Two kinds of tokens rest on it: one whose secret nothing else guards, and those that keep it. */
static void check_owner(struct doctor *d, const struct lockout_state *l,
                        const struct hierarchy_policies *p)
{
    const struct store_token *counter = with(d, STORE_TOKEN_COUNTER),
                             *keeper = with(d, STORE_TOKEN_OWNER);

    d->check = "owner";
    if (counter != NULL && (p->owner || !l->owner_set)) {
        doctor_problem(d, E_DENIED,
                       "%s: anybody can read the secret of token %s without its PIN, for nothing"
                       " else than the owner authorisation guards it",
                       p->owner ? "somebody has set a policy for the TPM's owner hierarchy"
                                : "the TPM's owner authorisation is EMPTY",
                       counter->label);
        doctor_todo(d,
                    "now: `fusetsu token erase --token %s --yes`, and make the token and its keys"
                    " anew",
                    counter->serial);
    } else if (p->owner) {
        doctor_say(d, keeper != NULL ? DOCTOR_WARNING : DOCTOR_NOTE,
                   "somebody has set a policy for the TPM's owner hierarchy: whoever fulfils it has"
                   " the owner's rights without the owner authorisation");
        doctor_todo(d, "tpm2_setprimarypolicy -C o -P AUTH takes it away");
    } else if (keeper != NULL && l->owner_set) {
        doctor_say(d, DOCTOR_OK,
                   "owner authorisation is set, and token %s keeps it under its SO PIN",
                   keeper->label);
    } else if (keeper != NULL) {
        doctor_say(d, DOCTOR_WARNING,
                   "the TPM's owner authorisation is empty, although token %s keeps one: somebody"
                   " has emptied it",
                   keeper->label);
        doctor_todo(d, "see who; tpm2_changeauth -c owner hex:CODE, with the owner code, sets it"
                       " again");
    } else if (l->owner_set) {
        doctor_say(d, DOCTOR_NOTE,
                   "the TPM's owner authorisation is set: tokens work, but making or erasing one"
                   " takes it");
        doctor_todo(d, "for that, get it from the administrator, and name the file that holds it"
                       " with --owner-auth-file");
    } else {
        doctor_say(d, DOCTOR_OK, "owner authorisation is empty, as making tokens needs it");
    }
}

static void check_lockout(struct doctor *d)
{
    char next[DOCTOR_SPAN], all[DOCTOR_SPAN];
    struct hierarchy_policies policies;
    struct lockout_state l;
    struct err e = {0};
    uint64_t end;

    if (lockout_read(d->tpm, &l, &e) != 0 || hierarchy_policies(d->tpm, NULL, &policies, &e) != 0) {
        doctor_failed(d, DOCTOR_PROBLEM, &e);
        return;
    }
    end = (uint64_t)l.count * l.interval;
    doctor_span(l.interval, next);
    doctor_span(end, all);
    if (l.in_lockout) {
        doctor_problem(d, E_LOCKOUT,
                       "in force, for all tokens and other users of this TPM: %u of %u failed"
                       " tries. One more try is possible within %s (%u s), all are after %s"
                       " (%llu s) with the TPM on",
                       l.count, l.max_tries, next, l.interval, all, (unsigned long long)end);
        doctor_todo(d, "wait, or use the recovery code that `fusetsu token init` gave:"
                       " tpm2_dictionarylockout -c -p hex:CODE; and find who tries");
    } else if (l.count > l.max_tries / 2) {
        doctor_say(d, DOCTOR_WARNING,
                   "%u of %u failed tries, TPM-wide: beyond that every token is locked for a while."
                   " They are forgiven after %s (%llu s)",
                   l.count, l.max_tries, all, (unsigned long long)end);
        doctor_todo(d, "find who tries; and have the recovery code at hand, which `fusetsu token "
                       "recovery-code` shows as long as there is no lockout");
    } else {
        doctor_say(d, DOCTOR_OK, "not in force: %u of %u failed tries, TPM-wide", l.count,
                   l.max_tries);
    }
    check_strength(d, &l, &policies);
    check_owner(d, &l, &policies);
}

/* --- endorsement ----------------------------------------------------------------- */

static void check_endorsement(struct doctor *d)
{
    struct attest_ek *ek = NULL;
    struct err e = {0};
    size_t n = 0;

    if (attest_ek_read(d->tpm, &ek, &n, &e) == 0) {
        doctor_say(d, DOCTOR_OK, "%zu endorsement certificate%s", n, n == 1 ? "" : "s");
    } else if (e.code == E_NOT_FOUND) {
        doctor_say(d, DOCTOR_NOTE,
                   "the TPM holds no endorsement certificate: keys work, but no authority can tell"
                   " it from a software TPM");
        doctor_todo(d, "for `fusetsu request`: get it from the TPM's maker");
    } else {
        doctor_failed(d, DOCTOR_WARNING, &e);
    }
    attest_ek_free(ek, n);
}

const struct doctor_check doctor_tpm_checks[] = {
    {"tpm", DOCTOR_CONF, check_reach},
    {"sharing", DOCTOR_TPM, check_sharing},
    {"slots", DOCTOR_TPM, check_slots},
    {"lockout", DOCTOR_TPM, check_lockout},
    {"endorsement", DOCTOR_TPM, check_endorsement},
    {0},
};
