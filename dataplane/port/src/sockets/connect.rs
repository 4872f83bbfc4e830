//! `connect(2)`: inside the sandbox, to the gateway, to the resolver, or out of the host.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use jd_wire::names::Name;
use jd_wire::sockaddr::Given;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, Wait, DONE};
use crate::ports::Target;
use crate::route::Route;
use crate::sandbox::{Descriptor, Sandbox, Subject, World};
use crate::sockets::bind::fitting;
use crate::sockets::timeouts::{send_timeout, Brief};
use crate::sys::socket;

/// As long as Linux tries by default (`tcp_syn_retries` 6).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);
/// Connections taken from the hub while looking for our own; what a guest put there is dropped.
const HUB_TRIES: usize = 512;

impl Sandbox {
    pub(crate) fn on_connect(&mut self, world: &World, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        let given = self.given_address(call, call.args[1], call.args[2])?;
        // An accepted socket has no mark.
        let mark = subject.mark.ok_or(Errno::ISCONN)?;
        let destination = match given {
            Given::Inet(address) => fitting(address, mark)?,
            Given::Unspecified => return Err(Errno::AFNOSUPPORT),
        };
        let listens = socket::int_option(subject.fd.as_fd(), libc::SO_ACCEPTCONN)? != 0;
        if listens || self.is_connected(&subject) {
            return Err(Errno::ISCONN);
        }
        let platform = world.platform.load();
        match self.here().route(destination, &platform) {
            Route::Inside(destination) => {
                let timeout = send_timeout(&subject)?.unwrap_or(CONNECT_TIMEOUT);
                self.connect_inside(subject, destination, Instant::now() + timeout)
            }
            Route::Gateway => {
                let (end, source) = self.join_hub(&subject, destination)?;
                world
                    .host
                    .gateway_connection(&self.shared.name, end, source);
                DONE
            }
            Route::Refused(error) => {
                self.shared.tally.denied.add();
                Err(error)
            }
            Route::Resolver | Route::Outside(_) => Err(Errno::NETUNREACH),
        }
    }

    /// The source that a connection shows: as bound, or the address that faces the destination.
    fn source(&self, subject: &Subject, destination: SocketAddr) -> SocketAddr {
        let bound = subject
            .mark
            .and_then(|mark| self.bound_address(subject, mark));
        let port = bound.map_or(0, |bound| bound.port());
        match bound {
            Some(bound) if !bound.ip().is_unspecified() => bound,
            _ => SocketAddr::new(self.here().source(destination), port),
        }
    }

    /// Gives a connecting socket the name that tells both addresses; once only, as names are final.
    fn name_once(&self, subject: &Subject, destination: SocketAddr) -> Result<SocketAddr, Errno> {
        if let Some(name) = socket::own_name(subject.fd.as_fd())? {
            return match Name::parse(&name) {
                Some(Name::Client { source, .. }) => Ok(source),
                _ => Err(Errno::INVAL),
            };
        }
        self.shared
            .name_client(&subject.fd, self.source(subject, destination), destination)
    }

    fn connect_inside(
        &mut self,
        subject: Subject,
        destination: SocketAddr,
        deadline: Instant,
    ) -> Reply {
        // A socket that shares its port with a dead one would refuse; the next of them may not.
        let listeners = self.shared.tcp().listeners(Target::Address(destination));
        for listener in listeners {
            self.name_once(&subject, destination)?;
            match connect_now(&subject, &Name::Listener(listener.clone()).to_bytes()) {
                Err(Errno::CONNREFUSED) => self.shared.forget(&listener),
                Err(Errno::AGAIN) if subject.is_non_blocking()? => return Err(Errno::AGAIN),
                Err(Errno::AGAIN) => {
                    return Ok(Outcome::Park(Wait::Backlog {
                        socket: subject.fd,
                        deadline: Some(deadline),
                    }));
                }
                Err(error) => return Err(error),
                Ok(()) => return DONE,
            }
        }
        Err(Errno::CONNREFUSED)
    }

    /// Tries a connection inside the sandbox again whose listener's backlog was full.
    pub(crate) fn connect_again(
        &mut self,
        _world: &World,
        _call: &Notification,
        socket: OwnedFd,
        deadline: Option<Instant>,
    ) -> Reply {
        let subject = Subject::resume(socket)?;
        let name = socket::own_name(subject.fd.as_fd())?.and_then(|name| Name::parse(&name));
        let Some(Name::Client { destination, .. }) = name else {
            return Err(Errno::CONNABORTED);
        };
        self.connect_inside(subject, destination, deadline.unwrap_or_else(Instant::now))
    }

    /// Connects the guest's socket to the supervisor and gives the other end of it.
    pub(crate) fn join_hub(
        &self,
        subject: &Subject,
        destination: SocketAddr,
    ) -> Result<(OwnedFd, SocketAddr), Errno> {
        let source = self.name_once(subject, destination)?;
        let mine = Name::Client {
            source,
            destination,
        }
        .to_bytes();
        let mut connected = connect_now(subject, &self.shared.hub_name);
        for _ in 0..HUB_TRIES {
            match self.shared.accept_hub() {
                Ok((end, Some(name))) if name == mine => return Ok((end, source)),
                // Not ours: the guest found a way to connect here by itself. It is closed.
                Ok(_) => {}
                Err(Errno::AGAIN) => connected?,
                Err(error) => return Err(error),
            }
            if connected == Err(Errno::AGAIN) {
                connected = connect_now(subject, &self.shared.hub_name);
            }
        }
        Err(Errno::AGAIN)
    }
}

/// Connects without waiting for room in a backlog, whatever the guest's flags are.
pub(crate) fn connect_now(subject: &Subject, name: &[u8]) -> Result<(), Errno> {
    let connected = if subject.is_non_blocking()? {
        socket::connect(subject.fd.as_fd(), name)
    } else {
        let _brief = Brief::send(subject)?;
        socket::connect(subject.fd.as_fd(), name)
    };
    connected.map_err(|error| {
        if error == Errno::INTR {
            Errno::AGAIN
        } else {
            error
        }
    })
}
