//! `unshare(2)` of namespaces that hold no memory or descriptors, and `close_range(2)`.

use std::io;

use super::checked;

/// Unshares `flags`, which must be `CLONE_NEW*` of kinds other than user and pid.
///
/// # Errors
/// `EPERM` without privilege, `ENOSPC` at the host's limit.
pub fn unshare_plain(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: new network and cgroup namespaces affect no memory, descriptor or thread of this process.
    let result = unsafe { libc::unshare(flags) };
    checked(libc::c_long::from(result)).map(|_| ())
}

/// Closes descriptors `first..=last` if `wanted`.
///
/// Only for a process that is about to do nothing but wait: it invalidates every descriptor in the range, whoever
/// holds it.
pub fn close_range(first: u32, last: u32, wanted: bool) {
    if wanted {
        // SAFETY: the caller never touches a descriptor of the range again and ends by `_exit`, so no destructor
        // closes a number twice.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}

/// Marks every descriptor from `first` on as close-on-exec.
///
/// # Errors
/// `ENOSYS` before Linux 5.9, `EINVAL` before 5.11.
pub fn close_at_exec(first: u32) -> io::Result<()> {
    const CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: sets flags of descriptors only; none is closed here.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOEXEC) };
    checked(result).map(|_| ())
}
