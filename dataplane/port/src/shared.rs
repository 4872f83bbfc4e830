//! What several threads may do with one sandbox: connect to its listeners, count, look.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jd_wire::names::{Listener, Name};
use rustix::io::Errno;

use crate::netns;
use crate::pending::Pending;
use crate::ports::{ephemeral_from, Binding, Ports, Target};
use crate::stats::Tally;
use crate::sys::socket;

/// Sockets made in one visit to the socket namespace.
const SPARES: usize = 8;
/// Names tried before the sandbox counts as out of ports.
const NAME_TRIES: usize = 64;
/// Bytes a socket may hold unsent before `EAGAIN`; the kernel caps it at `wmem_max`.
pub(crate) const SEND_BUFFER_BYTES: i32 = 1 << 20;
/// Longest listing of a namespace's sockets that is read.
const LISTING_BYTES_MAX: usize = 16 << 20;
/// Bytes of one sandbox that wait for the egress thread; more is dropped, as UDP may.
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// The shared half of a sandbox.
pub(crate) struct Shared {
    pub id: u64,
    pub name: String,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
    pub netns: OwnedFd,
    /// Identifies injected sockets: they alone were made in that namespace.
    pub netns_cookie: u64,
    pub hub: OwnedFd,
    pub hub_name: Vec<u8>,
    pub tally: Tally,
    pub pending: Pending,
    queued: AtomicUsize,
    home: Arc<OwnedFd>,
    tcp: Mutex<Ports>,
    listing: File,
    spares: Mutex<Vec<OwnedFd>>,
    next_port: AtomicU16,
}

/// Names and addresses of a sandbox, from its keeper.
pub(crate) struct Identity {
    pub id: u64,
    pub name: String,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
}

/// A new stream socket of the platform in the thread's namespace.
pub(crate) fn stream(flags: i32) -> Result<OwnedFd, Errno> {
    let stream = socket::unix(libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags)?;
    // Older kernels lack the option; readers never take control messages, so descriptors that a
    // guest sends are dropped by the kernel.
    let _ = socket::refuse_descriptors(stream.as_fd());
    let _ = socket::set_int_option(stream.as_fd(), libc::SO_SNDBUF, SEND_BUFFER_BYTES);
    Ok(stream)
}

impl Shared {
    /// Opens what is needed inside the socket namespace and finds the listeners that are there.
    pub fn new(identity: Identity, netns: OwnedFd, home: Arc<OwnedFd>) -> io::Result<Self> {
        let mut seed = [0; 10];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        let nonce = u64::from_ne_bytes(*seed.first_chunk().unwrap_or(&[0; 8]));
        let hub_name = Name::Hub { nonce }.to_bytes();
        let (hub, listing) = netns::visit(netns.as_fd(), &home, || {
            let hub = stream(libc::SOCK_NONBLOCK)?;
            socket::bind(hub.as_fd(), &hub_name)?;
            rustix::net::listen(&hub, 256)?;
            let listing = File::open("/proc/thread-self/net/unix").map_err(|_| Errno::NOENT)?;
            Ok((hub, listing))
        })?;
        let netns_cookie = socket::netns_cookie(hub.as_fd())?;
        let Identity {
            id,
            name,
            address,
            gateway,
            nameserver,
        } = identity;
        let shared = Self {
            id,
            name,
            address,
            gateway,
            nameserver,
            netns,
            netns_cookie,
            hub,
            hub_name,
            tally: Tally::default(),
            pending: Pending::default(),
            queued: AtomicUsize::new(0),
            home,
            tcp: Mutex::default(),
            listing,
            spares: Mutex::default(),
            next_port: AtomicU16::new(u16::from_ne_bytes([seed[8], seed[9]])),
        };
        shared.rediscover();
        Ok(shared)
    }

    /// The port table of TCP.
    pub fn tcp(&self) -> MutexGuard<'_, Ports> {
        // A panic while the table was held leaves it consistent: every change is one call.
        self.tcp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to look for the next ephemeral port.
    pub fn ephemeral_start(&self) -> u16 {
        self.next_port.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes room for `bytes` towards the egress thread; false: it is taken.
    pub fn queue(&self, bytes: usize) -> bool {
        let before = self.queued.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > QUEUED_BYTES_MAX {
            self.unqueue(bytes);
            return false;
        }
        true
    }

    /// Gives that room back.
    pub fn unqueue(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The name by which the guest knows itself: the first label of the sandbox's.
    pub fn hostname(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// The sockets of the namespace, as inode and name.
    fn sockets(&self) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut text = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        while text.len() < LISTING_BYTES_MAX {
            match self
                .listing
                .read_at(&mut chunk, u64::try_from(text.len()).unwrap_or(u64::MAX))
            {
                Ok(0) | Err(_) => break,
                Ok(got) => text.extend_from_slice(&chunk[..got]),
            }
        }
        text.split(|byte| *byte == b'\n')
            .skip(1)
            .filter_map(listed)
            .collect()
    }

    /// Forgets the ports of sockets that are gone.
    pub fn sweep(&self, ports: &mut Ports) {
        let alive: HashSet<u64> = self.sockets().into_iter().map(|(inode, _)| inode).collect();
        ports.remove_if(|binding| !alive.contains(&binding.inode));
    }

    /// Finds the listeners of a guest that ran before this supervisor did.
    fn rediscover(&self) {
        let mut ports = self.tcp();
        for (inode, name) in self.sockets() {
            let Some(Name::Listener(listener)) = name.and_then(|name| Name::parse(&name)) else {
                continue;
            };
            let Listener {
                ip,
                port,
                v6,
                v6_only,
                shared,
                index,
            } = listener;
            let binding = Binding {
                cookie: 0,
                inode,
                ip,
                port,
                v6,
                v6_only,
                reuse_address: true,
                reuse_port: shared,
                listening: Some(index),
            };
            if !ports.insert(binding) {
                break;
            }
        }
    }

    /// Ports that a guest listens on at this moment.
    pub fn listening(&self) -> Vec<u16> {
        let mut ports = self.tcp();
        self.sweep(&mut ports);
        ports.listening()
    }

    /// Takes the next connection to the hub, with the name of its other end.
    pub fn accept_hub(&self) -> Result<(OwnedFd, Option<Vec<u8>>), Errno> {
        let end = socket::accept(self.hub.as_fd(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
        let name = socket::peer_name(end.as_fd()).ok().flatten();
        Ok((end, name))
    }

    fn spare(&self) -> Result<OwnedFd, Errno> {
        let lock = || self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spare) = lock().pop() {
            return Ok(spare);
        }
        let mut made: Vec<OwnedFd> = netns::visit(self.netns.as_fd(), &self.home, || {
            (0..SPARES).map(|_| stream(libc::SOCK_NONBLOCK)).collect()
        })?;
        let one = made.pop().ok_or(Errno::MFILE)?;
        lock().extend(made);
        Ok(one)
    }

    /// Names the connecting end of a connection, with a source port of its own unless one is given.
    pub fn name_client(
        &self,
        socket: &OwnedFd,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<SocketAddr, Errno> {
        let name = |source| {
            Name::Client {
                source,
                destination,
            }
            .to_bytes()
        };
        if source.port() != 0 {
            return socket::bind(socket.as_fd(), &name(source)).map(|()| source);
        }
        for port in ephemeral_from(self.ephemeral_start()).take(NAME_TRIES) {
            let source = SocketAddr::new(source.ip(), port);
            match socket::bind(socket.as_fd(), &name(source)) {
                Err(Errno::ADDRINUSE) => {}
                bound => return bound.map(|()| source),
            }
        }
        Err(Errno::ADDRNOTAVAIL)
    }

    /// Forgets a listener that refused a connection.
    pub fn forget(&self, listener: &Listener) {
        self.tcp()
            .remove_if(|binding| binding.name().as_ref() == Some(listener));
    }

    /// Connects the platform to the guest's listener of `port`.
    pub fn dial(&self, port: u16) -> Result<OwnedFd, Errno> {
        self.tally.dials.add();
        let dialled = self.try_dial(port);
        if dialled.is_err() {
            self.tally.dial_failures.add();
        }
        dialled
    }

    /// Connects on behalf of the guest to a listener of its own, from a fresh source port.
    pub fn connect_inside(&self, to: SocketAddr) -> Result<OwnedFd, Errno> {
        let source = if to.ip().is_loopback() {
            to.ip()
        } else {
            IpAddr::V4(self.address)
        };
        self.connect_to(Target::Address(to), source, to.ip())
    }

    fn try_dial(&self, port: u16) -> Result<OwnedFd, Errno> {
        self.connect_to(
            Target::Platform(port),
            self.gateway.into(),
            self.address.into(),
        )
    }

    fn connect_to(&self, target: Target, source: IpAddr, here: IpAddr) -> Result<OwnedFd, Errno> {
        let listeners = self.tcp().listeners(target);
        for listener in listeners {
            let here = if listener.ip.is_loopback() {
                listener.ip
            } else {
                here
            };
            let socket = self.spare()?;
            self.name_client(
                &socket,
                SocketAddr::new(source, 0),
                SocketAddr::new(here, listener.port),
            )?;
            match socket::connect(socket.as_fd(), &Name::Listener(listener.clone()).to_bytes()) {
                Ok(()) => return Ok(socket),
                Err(Errno::CONNREFUSED) => self.forget(&listener),
                Err(error) => return Err(error),
            }
        }
        Err(Errno::CONNREFUSED)
    }
}

/// One line of `/proc/net/unix`: the inode and the abstract name, whose zero bytes show as `@`.
fn listed(line: &[u8]) -> Option<(u64, Option<Vec<u8>>)> {
    let text = std::str::from_utf8(line).ok()?;
    let mut columns = text.split_ascii_whitespace().skip(6);
    let inode = columns.next()?.parse().ok()?;
    let name = columns.next().and_then(|name| name.strip_prefix('@'));
    Some((inode, name.map(|name| name.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_sockets_are_read() {
        let line = b"00000000a: 00000002 00000000 00010000 0001 01 12345 @l/0.0.0.0/80/0/";
        assert_eq!(
            listed(line),
            Some((12345, Some(b"l/0.0.0.0/80/0/".to_vec())))
        );
        assert_eq!(
            listed(b"0a: 00000003 00000000 00000000 0001 03 7"),
            Some((7, None))
        );
        assert_eq!(
            listed(b"0a: 00000003 00000000 00000000 0001 03 7 /run/x"),
            Some((7, None))
        );
        assert_eq!(listed(b"Num RefCount"), None);
        assert_eq!(listed(b""), None);
    }
}
