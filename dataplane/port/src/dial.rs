//! Connections to a guest's listeners, from any thread of the host.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError};

use jd_link::Owner;
use jd_wire::names::{Listener, Name};
use rustix::io::Errno;

use crate::netns;
use crate::ports::{ephemeral_from, Target};
use crate::shared::{stream, Shared};
use crate::sys::socket;

/// Sockets made in one visit to the socket namespace.
const SPARES: usize = 8;
/// Names tried before the sandbox counts as out of ports.
const NAME_TRIES: usize = 64;

impl Shared {
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

    /// Connects the platform to the guest's listener of `port`; the guest may ask `owner` for a ring.
    pub fn dial(&self, port: u16, owner: Option<&Arc<dyn Owner>>) -> Result<OwnedFd, Errno> {
        self.tally.dials.add();
        let dialled = self.try_dial(port, owner);
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
        self.connect_to(Target::Address(to), source, to.ip(), None)
    }

    fn try_dial(&self, port: u16, owner: Option<&Arc<dyn Owner>>) -> Result<OwnedFd, Errno> {
        self.connect_to(
            Target::Platform(port),
            self.gateway.into(),
            self.address.into(),
            owner,
        )
    }

    fn connect_to(
        &self,
        target: Target,
        source: IpAddr,
        here: IpAddr,
        owner: Option<&Arc<dyn Owner>>,
    ) -> Result<OwnedFd, Errno> {
        let listeners = self.tcp().listeners(target);
        for listener in listeners {
            let here = if listener.ip.is_loopback() {
                listener.ip
            } else {
                here
            };
            let socket = self.spare()?;
            let destination = SocketAddr::new(here, listener.port);
            let source = self.name_client(&socket, SocketAddr::new(source, 0), destination)?;
            if let Some(owner) = owner {
                owner.charge(&self.toll);
                // Before the guest can accept it and ask.
                self.dials.put(source, destination, owner);
            }
            let name = Name::Listener(listener.clone()).to_bytes();
            match self.wake(|| socket::connect(socket.as_fd(), &name)) {
                Ok(()) => return Ok(socket),
                Err(Errno::CONNREFUSED) => self.forget(&listener),
                Err(error) => return Err(error),
            }
        }
        Err(Errno::CONNREFUSED)
    }
}
