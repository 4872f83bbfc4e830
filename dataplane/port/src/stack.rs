//! The network stack by which guests' traffic leaves the host.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// A stack. Its descriptors are non-blocking sockets that epoll understands, whatever moves the
/// packets behind them.
pub trait Stack: Send + Sync {
    /// Begins a TCP connection; the socket becomes writable when it stands or failed (`SO_ERROR`).
    ///
    /// # Errors
    /// Those of connect(2), but for `EINPROGRESS`.
    fn connect(&self, to: SocketAddr) -> Result<OwnedFd, Errno>;

    /// A UDP socket of any local address that can reach `towards`, not connected.
    ///
    /// # Errors
    /// Those of socket(2).
    fn datagram(&self, towards: SocketAddr) -> Result<OwnedFd, Errno>;
}

/// The kernel's own TCP and UDP, in the network namespace of the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelStack;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

impl Stack for KernelStack {
    fn connect(&self, to: SocketAddr) -> Result<OwnedFd, Errno> {
        let socket = rustix::net::socket_with(family(to), SocketType::STREAM, FLAGS, None)?;
        // The guest's own setting never reaches this socket; small writes must not wait.
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error),
        }
    }

    fn datagram(&self, towards: SocketAddr) -> Result<OwnedFd, Errno> {
        rustix::net::socket_with(family(towards), SocketType::DGRAM, FLAGS, None)
    }
}
