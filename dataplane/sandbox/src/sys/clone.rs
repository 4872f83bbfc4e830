//! `clone3(2)` as a fork with namespaces and a pidfd.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{waitpid, Pid, WaitOptions};

use super::checked;
use crate::privilege;

/// `CLONE_INTO_CGROUP` of `linux/sched.h`; the C library's constant does not fit its own type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Stack of a child that shares its parent's memory, in bytes.
const SHARED_STACK_BYTES: usize = 256 * 1024;

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

/// What a child in the caller's memory does; it ends by [`exit_now`] or by becoming another program.
type Life<'a> = &'a mut dyn FnMut() -> Infallible;

extern "C" fn live(life: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `share` passes a pointer to its own `Life`, which it holds until the child has left this memory.
    let life = unsafe { &mut *life.cast::<Life<'_>>() };
    #[expect(
        unreachable_code,
        reason = "the value that proves that it does not return is matched"
    )]
    match life() {}
}

/// Runs `life` in a child that has the caller's memory, on a stack of its own, and `meanwhile` here with the child's process id
/// and pidfd. Copying the tables of pages and the faults after it are most of what a fork costs.
///
/// # Safety
/// The caller is single-threaded. When `meanwhile` returns, the child must have left this memory for good. While both run, the
/// child must write nothing that is seen here and enter the kernel only by calls that leave `errno` alone.
unsafe fn share<T>(
    flags: libc::c_int,
    mut life: impl FnMut() -> Infallible,
    meanwhile: impl FnOnce(i32, OwnedFd) -> T,
) -> io::Result<T> {
    let mut stack = vec![0_u128; SHARED_STACK_BYTES / mem::size_of::<u128>()];
    let mut life: Life<'_> = &mut life;
    let mut pidfd: RawFd = -1;
    let flags = flags | libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the stack is aligned and nobody else's; it and all that `life` borrows outlive the child's use of them, as this
    // function's caller has promised.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.len());
        libc::clone(
            live,
            top.cast(),
            flags,
            (&raw mut life).cast(),
            &raw mut pidfd,
        )
    };
    checked(libc::c_long::from(pid))?;
    // SAFETY: the kernel has just opened this descriptor for us and nothing else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(meanwhile(pid, pidfd))
}

/// A fork without a copy of memory (`vfork(2)`): the caller stands still until the child has become another program or is gone.
/// What the child changes in memory the caller sees; descriptors are its own copies. Returns process id and pidfd.
///
/// # Errors
/// `clone(2)`'s.
///
/// The caller must be single-threaded.
pub fn vfork(life: impl FnMut() -> Infallible) -> io::Result<(i32, OwnedFd)> {
    // SAFETY: with CLONE_VFORK this thread, the only one, goes on when the child has left this memory.
    unsafe { share(libc::CLONE_VFORK, life, |pid, pidfd| (pid, pidfd)) }
}

/// A child in new namespaces (`CLONE_NEW*` of `flags`) that waits until `meanwhile` has returned and then ends; it ends with
/// this process too.
///
/// # Errors
/// `clone(2)`'s, and those of a pipe.
///
/// The caller must be single-threaded.
pub fn with_waiting_child<T>(
    flags: libc::c_int,
    meanwhile: impl FnOnce(i32) -> T,
) -> io::Result<T> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let wait = || -> Infallible {
        privilege::close_all_but(reader.as_fd());
        // rustix enters the kernel itself: the C library's `errno` is the parent's as well.
        let _ = rustix::io::read(&reader, &mut [0_u8; 1]);
        exit_now(0)
    };
    // SAFETY: the child only closes descriptors, reads and ends, by calls that write no memory of this process's, and
    // it is waited for before `share` returns.
    unsafe {
        share(flags, wait, |pid, _| {
            let result = meanwhile(pid);
            drop(writer);
            while matches!(
                waitpid(Pid::from_raw(pid), WaitOptions::empty()),
                Err(rustix::io::Errno::INTR)
            ) {}
            result
        })
    }
}

/// Ends this process at once: no destructors, no flushing of the parent's buffers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no memory effects and does not return.
    unsafe { libc::_exit(code) }
}
