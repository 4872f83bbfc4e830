//! Signals as a descriptor, credentials of a whole process, capabilities.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::checked;

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set before it is used; sigaddset gets a valid set.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        set
    }
}

/// Blocks `signals` and returns a non-blocking descriptor that delivers them instead.
///
/// # Errors
/// `EMFILE` and the like.
pub fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = set_of(signals);
    // SAFETY: both calls only read the set.
    let fd = unsafe {
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    checked(libc::c_long::from(fd))?;
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Number of the next signal, if one is pending.
#[must_use]
pub fn next_signal(descriptor: &OwnedFd) -> Option<u32> {
    // SAFETY: all-zero is a valid signalfd_siginfo, and the read is bounded by its size.
    unsafe {
        let mut info: libc::signalfd_siginfo = mem::zeroed();
        let size = mem::size_of_val(&info);
        let read = libc::read(descriptor.as_raw_fd(), (&raw mut info).cast(), size);
        (usize::try_from(read).ok()? == size).then_some(info.ssi_signo)
    }
}

/// Unblocks every signal and gives each its default action, so that the guest does not inherit the keeper's.
pub fn reset_signals() {
    let none = set_of(&[]);
    // SAFETY: SIG_DFL is a valid disposition; signals that cannot be changed are refused without effect.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Clears the whole dumpable flag of this process: no one inside may trace it or read its `/proc` files.
///
/// # Errors
/// None is documented for 0.
pub fn forbid_dumping() -> io::Result<()> {
    // SAFETY: integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    checked(libc::c_long::from(result)).map(|_| ())
}

/// Drops every capability from the bounding set. Needs `CAP_SETPCAP` in the current user namespace.
///
/// # Errors
/// `EPERM` without it.
pub fn empty_bounding_set() -> io::Result<()> {
    for capability in 0..=63_u64 {
        // SAFETY: integers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if result < 0 {
            let error = io::Error::last_os_error();
            // EINVAL: past the last capability of this kernel.
            return if error.raw_os_error() == Some(libc::EINVAL) {
                Ok(())
            } else {
                Err(error)
            };
        }
    }
    Ok(())
}
