//! `SO_PASSRIGHTS` (Linux 6.16), which `libc` does not name yet.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use super::checked;

const SO_PASSRIGHTS: libc::c_int = 83;

/// Tries to set it on a socket of our own.
///
/// # Errors
/// `ENOPROTOOPT` on older kernels.
pub fn try_passrights() -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let off: libc::c_int = 0;
    let length =
        libc::socklen_t::try_from(std::mem::size_of_val(&off)).map_err(io::Error::other)?;
    // SAFETY: the kernel reads one int of the given length.
    let result = unsafe {
        let value = std::ptr::from_ref(&off).cast();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            value,
            length,
        )
    };
    checked(libc::c_long::from(result)).map(|_| ())
}
