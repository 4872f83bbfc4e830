//! Listening sockets: Unix ones for root alone, and the public door.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    bind, listen, socket_with, sockopt, AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
};

const BACKLOG: i32 = 1024;

/// A non-blocking Unix listener at `path`, mode 0600, in place of what a dead process left there.
///
/// # Errors
/// The kernel's, with the path in the text.
pub fn unix_listener(path: &Path, kind: SocketType) -> io::Result<OwnedFd> {
    let named = |error: rustix::io::Errno| {
        io::Error::new(
            io::Error::from(error).kind(),
            format!("{}: {error}", path.display()),
        )
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", path.display()),
            ));
        }
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, kind, flags, None).map_err(named)?;
    // The mode is set before anybody can connect: between bind and listen every connect is refused.
    bind(&socket, &SocketAddrUnix::new(path).map_err(named)?).map_err(named)?;
    rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o600)).map_err(named)?;
    listen(&socket, BACKLOG).map_err(named)?;
    Ok(socket)
}

/// The public door: a kernel TCP listener.
///
/// # Errors
/// The kernel's, with the address in the text (most often: the port is taken).
pub fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    // The standard library asks for 128 places; a burst of new clients wants more.
    listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether the peer of a connected Unix socket is root; nobody else may talk to this daemon.
pub fn peer_is_root(socket: impl AsFd) -> bool {
    sockopt::socket_peercred(socket).is_ok_and(|peer| peer.uid.is_root())
}
