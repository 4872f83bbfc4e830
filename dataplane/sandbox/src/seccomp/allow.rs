//! Calls that run natively, whatever their arguments, and the ones with a condition of their own.
//!
//! In the spirit of Docker's default profile, less everything that a process without capabilities in an
//! unchangeable set of namespaces cannot use anyway: the mount family, new namespaces, tracing, key rings,
//! bpf, modules, clocks, raw I/O ports, handles of files.

use super::rule::{any_bit, equals, errno, one_of, Rule, Word, ALLOW};

/// `CLONE_NEW*` that `clone` knows (`CLONE_NEWTIME` exists for `clone3` and `unshare` only).
const CLONE_NAMESPACES: u32 = 0x7e02_0000;

/// `personality` values that change nothing of the wall: Linux, Linux32-less UNAME26, query.
const PERSONALITIES: [u32; 4] = [0x0, 0x8, 0x2_0000, 0xffff_ffff];

/// Calls with a condition or an errno other than the default `EPERM`.
#[must_use]
pub fn conditional() -> Vec<(libc::c_long, Rule)> {
    vec![
        // Threads and processes yes, namespaces no.
        (
            libc::SYS_clone,
            any_bit(Word::Low(0), CLONE_NAMESPACES, errno(libc::EPERM), ALLOW),
        ),
        // Its flags are behind a pointer; libcs fall back to clone.
        (libc::SYS_clone3, errno(libc::ENOSYS)),
        (
            libc::SYS_personality,
            one_of(Word::Low(0), &PERSONALITIES, &ALLOW, errno(libc::EPERM)),
        ),
        // While a hole is punched, whoever touches those pages waits for its end in the kernel (mm/shmem.c,
        // `shmem_fault`): jnetd too, in a slab or in a guest's buffer, and a thread of the lowest priority can take a
        // second over it. Callers have to live with file systems that cannot punch.
        (
            libc::SYS_fallocate,
            any_bit(
                Word::Low(1),
                libc::FALLOC_FL_PUNCH_HOLE.unsigned_abs(),
                errno(libc::EOPNOTSUPP),
                ALLOW,
            ),
        ),
        // MADV_REMOVE punches one as well.
        (
            libc::SYS_madvise,
            equals(
                Word::Low(2),
                libc::MADV_REMOVE.unsigned_abs(),
                errno(libc::EINVAL),
                ALLOW,
            ),
        ),
        // A thread of low priority that is pre-empted inside the kernel keeps what it has locked there, its memory map
        // for one, from jnetd, for as long as its own busy neighbours like. Accepted, and without effect.
        (libc::SYS_setpriority, errno(0)),
        (libc::SYS_sched_setattr, errno(0)),
        (libc::SYS_sched_setparam, errno(0)),
        (libc::SYS_sched_setscheduler, errno(0)),
        // It would issue socket calls that no filter sees; libuv and others fall back.
        (libc::SYS_io_uring_setup, errno(libc::ENOSYS)),
        (libc::SYS_io_uring_enter, errno(libc::ENOSYS)),
        (libc::SYS_io_uring_register, errno(libc::ENOSYS)),
        // Its contexts count against one number for the whole host (fs.aio-max-nr) and lie in kernel memory;
        // databases, its only users, fall back to threads.
        (libc::SYS_io_setup, errno(libc::ENOSYS)),
        (libc::SYS_io_destroy, errno(libc::ENOSYS)),
        (libc::SYS_io_submit, errno(libc::ENOSYS)),
        (libc::SYS_io_cancel, errno(libc::ENOSYS)),
        (libc::SYS_io_getevents, errno(libc::ENOSYS)),
        (SYS_IO_PGETEVENTS, errno(libc::ENOSYS)),
        // They would flush every file system of the host; the guest's own root is in memory.
        (libc::SYS_sync, errno(0)),
        (libc::SYS_syncfs, errno(0)),
        // Libraries fall back to /proc.
        (SYS_STATMOUNT, errno(libc::ENOSYS)),
        (SYS_LISTMOUNT, errno(libc::ENOSYS)),
    ]
}

#[cfg(target_arch = "x86_64")]
const SYS_IO_PGETEVENTS: libc::c_long = 333;
#[cfg(target_arch = "aarch64")]
const SYS_IO_PGETEVENTS: libc::c_long = 292;
const SYS_CACHESTAT: libc::c_long = 451;
const SYS_FCHMODAT2: libc::c_long = 452;
const SYS_MAP_SHADOW_STACK: libc::c_long = 453;
const SYS_FUTEX_WAKE: libc::c_long = 454;
const SYS_FUTEX_WAIT: libc::c_long = 455;
const SYS_FUTEX_REQUEUE: libc::c_long = 456;
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;
const SYS_MSEAL: libc::c_long = 462;

/// Highest call that this table knows. Higher ones get `ENOSYS`, as on an older kernel, so that libcs fall back.
pub const KNOWN_MAX: u32 = 462;

/// Calls of every architecture that run natively.
pub const ALWAYS: &[libc::c_long] = &[
    // Descriptors and data.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_lseek,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_vmsplice,
    libc::SYS_copy_file_range,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    // Files.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_umask,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_utimensat,
    libc::SYS_name_to_handle_at,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_CACHESTAT,
    SYS_FCHMODAT2,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_mlockall,
    libc::SYS_munlockall,
    libc::SYS_remap_file_pages,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_membarrier,
    SYS_MAP_SHADOW_STACK,
    SYS_MSEAL,
    // Processes and threads.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getpgid,
    libc::SYS_setpgid,
    libc::SYS_getsid,
    libc::SYS_setsid,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    SYS_FUTEX_WAKE,
    SYS_FUTEX_WAIT,
    SYS_FUTEX_REQUEUE,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_getcpu,
    libc::SYS_getrusage,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_prlimit64,
    libc::SYS_getpriority,
    libc::SYS_ioprio_get,
    libc::SYS_ioprio_set,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getattr,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_rr_get_interval,
    libc::SYS_restart_syscall,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sigaltstack,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    // Users: nothing to gain without capabilities, but programs call them.
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capget,
    libc::SYS_capset,
    // Time and the machine.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    // Queues, semaphores and memory of System V and POSIX, all in the sandbox's own ipc namespace.
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_semtimedop,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmdt,
    libc::SYS_shmctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify,
    libc::SYS_mq_getsetattr,
];

/// Calls that only x86-64 still has.
#[cfg(target_arch = "x86_64")]
pub const LEGACY: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_unlink,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_getdents,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_inotify_init,
    libc::SYS_pipe,
    libc::SYS_dup2,
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_getpgrp,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
/// Calls that only x86-64 still has.
#[cfg(not(target_arch = "x86_64"))]
pub const LEGACY: &[libc::c_long] = &[];
