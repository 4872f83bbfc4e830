//! `clone3(2)` as a fork with namespaces and a pidfd.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::checked;

/// `CLONE_INTO_CGROUP` of `linux/sched.h`; the C library's constant does not fit its own type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Where the call returned.
#[derive(Debug)]
pub enum Side {
    /// In the new process.
    Child,
    /// In the caller.
    Parent {
        /// Process id of the child in the caller's pid namespace.
        pid: i32,
        /// Its pidfd (close on exec).
        pidfd: OwnedFd,
    },
}

/// Forks into new namespaces (`CLONE_NEW*` of `flags`); the child ends with SIGCHLD.
///
/// # Errors
/// `clone3(2)`'s: `EPERM` without privilege, `ENOSPC` when a limit of namespaces is reached.
///
/// The caller must be single-threaded: the child has only this thread and must not meet another's locks.
pub fn fork_into(flags: u64) -> io::Result<Side> {
    fork_with(flags, None)
}

/// [`fork_into`] with the child born into a control group of version 2 (Linux 5.7).
///
/// # Errors
/// As [`fork_into`]; also the control group's, such as `EBUSY` where it hands controllers down.
pub fn fork_into_cgroup(flags: u64, cgroup: BorrowedFd<'_>) -> io::Result<Side> {
    fork_with(flags, Some(cgroup))
}

fn fork_with(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid clone_args (every field is an integer).
    let mut arguments: libc::clone_args = unsafe { mem::zeroed() };
    arguments.flags = flags | u64::from(libc::CLONE_PIDFD.unsigned_abs());
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    arguments.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: without CLONE_VM and with stack 0 this is fork(): the child runs on a copy of the caller's
    // memory. The kernel reads the structure and writes pidfd, both of which outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(&arguments),
            mem::size_of_val(&arguments),
        )
    };
    match checked(result)? {
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: the kernel has just opened this descriptor for us and nothing else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid).map_err(io::Error::other)?;
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

/// Ends this process at once: no destructors, no flushing of the parent's buffers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no memory effects and does not return.
    unsafe { libc::_exit(code) }
}
