//! SIGTERM as a descriptor (`signalfd(2)`).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks SIGTERM in this thread and all that it will start, and returns a descriptor that becomes readable on it.
/// The standard library unblocks all signals in the processes that it starts.
///
/// # Errors
/// `EMFILE` and the like.
pub fn termination() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before use; both calls only read it afterwards.
    let descriptor = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC)
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
