//! A copy of another process's descriptor, and what the kernel says about it.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::checked;

/// A copy of descriptor `number` of the process behind `pidfd` (`pidfd_getfd(2)`).
///
/// # Errors
/// `EBADF`, `ESRCH`, `EPERM`.
pub fn copy(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd =
        checked(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An option of level `SOL_SOCKET` that is an int.
///
/// # Errors
/// `ENOTSOCK`.
pub fn option(fd: BorrowedFd<'_>, name: i32) -> io::Result<i32> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(mem::size_of_val(&value)).unwrap_or(4);
    // SAFETY: both locals live across the call, and the length is that of the value.
    let result = unsafe {
        let into = (&raw mut value).cast();
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            into,
            &raw mut length,
        )
    };
    checked(libc::c_long::from(result)).map(|_| value)
}

/// Bytes that lie unread in a pipe or socket.
///
/// # Errors
/// `ENOTTY`.
pub fn unread(fd: BorrowedFd<'_>) -> io::Result<i32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int into a live local.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    checked(libc::c_long::from(result)).map(|_| bytes)
}

/// Whether a socket is connected and neither of its ends has a name.
#[must_use]
pub fn is_nameless(fd: BorrowedFd<'_>) -> bool {
    type Call =
        unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;
    let nameless = |call: Call| {
        // SAFETY: all-zero bytes are a valid sockaddr_un.
        let mut name: libc::sockaddr_un = unsafe { mem::zeroed() };
        let mut length = libc::socklen_t::try_from(mem::size_of_val(&name)).unwrap_or(0);
        // SAFETY: the kernel writes at most `length` bytes into the live structure.
        let result = unsafe { call(fd.as_raw_fd(), (&raw mut name).cast(), &raw mut length) };
        result == 0 && length as usize <= mem::size_of::<libc::sa_family_t>()
    };
    nameless(libc::getsockname) && nameless(libc::getpeername)
}

/// Whether a byte sent at `from` arrives at `to`; it is taken out again.
///
/// # Errors
/// Those of send and recv.
pub fn probe(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut byte = [0_u8; 1];
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads one byte of a live local.
    let sent = unsafe { libc::send(from.as_raw_fd(), byte.as_ptr().cast(), 1, flags) };
    checked(sent as libc::c_long)?;
    // SAFETY: the kernel writes at most one byte into a live local.
    let got = unsafe {
        libc::recv(
            to.as_raw_fd(),
            byte.as_mut_ptr().cast(),
            1,
            libc::MSG_DONTWAIT,
        )
    };
    Ok(got == 1)
}
