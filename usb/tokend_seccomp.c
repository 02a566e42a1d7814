#include "usb/tokend_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usb/functionfs.h>
#include <seccomp.h>
#include <string.h>

/* By name: which of them there are differs between machines. */
static const char *const allowed[] = {
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "close",
    "lseek",
    "fstat",
    "newfstatat",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "select",
    "_newselect",
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "recv",
    "send",
    "shutdown",
    "accept4",
    "accept",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "nanosleep",
    "gettimeofday",
    "restart_syscall",
    "rt_sigreturn",
    "sigreturn",
    "rt_sigprocmask",
    "brk",
    "mmap2",
    "munmap",
    "madvise",
    "mremap",
    "mlock",
    "munlock",
    "futex",
    "futex_time64",
    "getrandom",
    "getpid",
    "gettid",
    "wait4",
    "waitid",
    "exit",
    "exit_group",
    "unlink",
    "unlinkat",
    "rseq",
    "set_robust_list",
};
static const char *const for_network[] = {
    "socket",      "connect", "getsockopt", "setsockopt", "getsockname",
    "getpeername", "bind",    "uname",      "getdents64", "fcntl",
    "fcntl64",     "stat",    "access",     "faccessat",  "faccessat2",
};

static int add(scmp_filter_ctx ctx, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int call = seccomp_syscall_resolve_name(names[i]);
        int rc;

        if (call == __NR_SCMP_ERROR)
            continue;
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
        if (rc != 0 && rc != -EDOM)
            return rc;
    }
    return 0;
}

/* Memory that runs is what code is smuggled into; PROT_EXEC is 4. Files are only read: resolvers
 * and time zones do that. */
static int add_with_arguments(scmp_filter_ctx ctx)
{
    int rc =
        seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));

    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, 4, 0));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT, O_RDONLY));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_EQ, FUNCTIONFS_ENDPOINT_DESC, 0));
    return rc;
}

int tokend_seccomp(bool network, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc;

    if (ctx == NULL)
        return err_set(e, E_UNSUPPORTED, "this system filters no system calls (--no-sandbox)");
    rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = add(ctx, allowed, ARRAY_LEN(allowed));
    if (rc == 0 && network)
        rc = add(ctx, for_network, ARRAY_LEN(for_network));
    if (rc == 0)
        rc = add_with_arguments(ctx);
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc == 0
               ? 0
               : err_set(e, E_UNSUPPORTED, "system calls are not filtered here: %s", strerror(-rc));
}
