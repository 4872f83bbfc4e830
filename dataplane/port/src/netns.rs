//! In which network namespace a thread makes its sockets.
//!
//! A socket belongs for ever to the namespace that its maker was in. Workers stay in the namespace
//! of the last sandbox that needed a socket: entering costs microseconds, leaving is never needed.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::sys;

thread_local! {
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

/// The namespace that this thread is in.
///
/// # Errors
/// `/proc` is not mounted.
pub fn current() -> std::io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}

/// Moves a worker into `netns`, known by its cookie, and leaves it there.
///
/// # Errors
/// Those of setns(2).
pub fn settle(netns: BorrowedFd<'_>, cookie: u64) -> Result<(), Errno> {
    if CURRENT.get() != cookie {
        sys::process::enter_netns(netns)?;
        CURRENT.set(cookie);
    }
    Ok(())
}

/// Runs `make` in `netns` on a thread that belongs to `home`, and brings it back.
///
/// # Errors
/// Those of setns(2) and of `make`. If the way back fails the process stops: a thread of the host
/// that went on in a sandbox's namespace would serve nobody and leak the host's names into it.
pub fn visit<T>(
    netns: BorrowedFd<'_>,
    home: &OwnedFd,
    make: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    sys::process::enter_netns(netns)?;
    let made = make();
    if let Err(error) = sys::process::enter_netns(home.as_fd()) {
        log::error!("cannot return to the host's network namespace: {error}");
        std::process::abort();
    }
    made
}
