//! `unshare(2)` of namespaces that hold no memory or descriptors, and `close_range(2)`.

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

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

/// Moves `descriptors` to the numbers from 3 on, in their order, and closes every other one above standard error.
///
/// Only for a process that was just forked and ends by `_exit`: whatever else holds a descriptor holds it no more.
/// The numbers from 3 on must not be among `descriptors`.
///
/// # Errors
/// Those of `dup3(2)`.
pub fn keep_only(descriptors: Vec<OwnedFd>) -> io::Result<Vec<OwnedFd>> {
    let mut kept = Vec::with_capacity(descriptors.len());
    for (number, descriptor) in (3..).zip(descriptors) {
        // SAFETY: the caller promises that nobody uses the number that is replaced.
        let result = unsafe { libc::dup3(descriptor.into_raw_fd(), number, libc::O_CLOEXEC) };
        checked(libc::c_long::from(result))?;
        // SAFETY: it was just made, and nothing else knows it.
        kept.push(unsafe { OwnedFd::from_raw_fd(number) });
    }
    let first = 3 + u32::try_from(kept.len()).map_err(io::Error::other)?;
    close_range(first, u32::MAX, true);
    Ok(kept)
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
