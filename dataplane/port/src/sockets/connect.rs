//! `connect(2)`: inside the sandbox, to the gateway, to the resolver, or out of the host.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use jd_wire::names::Name;
use jd_wire::sockaddr::Given;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::egress::Goal;
use crate::platform::Platform;
use crate::ports::Target;
use crate::rooms;
use crate::route::Route;
use crate::sandbox::{Descriptor, Sandbox, Subject, World};
use crate::sockets::bind::fitting;
use crate::sockets::timeouts::send_timeout;
use crate::sys::socket;

/// As long as Linux tries by default (`tcp_syn_retries` 6).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

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
            Given::Inet(address) => Some(fitting(address, mark)?),
            Given::Unspecified => None,
        };
        if mark.datagram {
            return self.connect_datagram(world, &subject, destination);
        }
        // Dissolving a TCP connection is a rarity that no AF_UNIX socket can do.
        let destination = destination.ok_or(Errno::AFNOSUPPORT)?;
        if let Some(progress) = self.progress(&subject) {
            return self.connect_pending(subject, progress);
        }
        let listens = socket::int_option(subject.fd.as_fd(), libc::SO_ACCEPTCONN)? != 0;
        if listens || self.is_connected(&subject) {
            return Err(Errno::ISCONN);
        }
        let platform = world.platform.load();
        match self.here().route(destination, &platform) {
            Route::Inside(destination) => self.connect_inside(world, call, subject, destination),
            Route::Gateway => {
                let (end, source) = self.join_hub(world, &subject, destination)?;
                // The gateway counts and names its clients by this: the guest chooses the port, never the address.
                let peer = SocketAddr::new(self.shared.address.into(), source.port());
                let host = &world.host;
                host.gateway_connection(&self.shared.name, end, peer);
                DONE
            }
            Route::Resolver => {
                let upstream = *resolver(&platform).ok_or(Errno::CONNREFUSED)?;
                self.connect_outside(world, call, subject, destination, Goal::Outside(upstream))
            }
            Route::Outside(to) => {
                self.connect_outside(world, call, subject, destination, Goal::Outside(to))
            }
            Route::Refused(error) => {
                self.shared.tally.denied.add();
                Err(error)
            }
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
    pub(crate) fn name_once(
        &self,
        subject: &Subject,
        destination: SocketAddr,
    ) -> Result<SocketAddr, Errno> {
        let source = self.source(subject, destination);
        match self.shared.name_client(&subject.fd, source, destination) {
            // It has a name already.
            Err(Errno::INVAL) => {
                let name = socket::own_name(subject.fd.as_fd())?;
                match name.and_then(|name| Name::parse(&name)) {
                    Some(Name::Client { source, .. }) => Ok(source),
                    _ => Err(Errno::INVAL),
                }
            }
            named => named,
        }
    }

    fn connect_inside(
        &mut self,
        world: &World,
        call: &Notification,
        subject: Subject,
        destination: SocketAddr,
    ) -> Reply {
        let listeners = self.shared.tcp().listeners(Target::Address(destination));
        for listener in listeners {
            let at = SocketAddr::new(listener.ip, listener.port);
            // Who comes after those that wait for room waits with them: a try would take a moment.
            let connected = if self.shared.rooms.is_full(at) {
                Err(Errno::AGAIN)
            } else {
                self.name_once(&subject, destination)?;
                self.connect_now(&subject, &Name::Listener(listener.clone()).to_bytes())
            };
            match connected {
                // One of several that share the port may be gone; the next may not.
                Err(Errno::CONNREFUSED) => self.shared.forget(&listener),
                Err(Errno::AGAIN) => {
                    let Some(place) = rooms::join(&self.shared, at) else {
                        self.shared.tally.denied.add();
                        return Err(Errno::ADDRNOTAVAIL);
                    };
                    let goal = Goal::Inside(destination, place);
                    return self.connect_outside(world, call, subject, destination, goal);
                }
                Err(error) => return Err(error),
                Ok(()) => return DONE,
            }
        }
        Err(Errno::CONNREFUSED)
    }
}

/// The upstream resolver that DNS over TCP goes to.
fn resolver(platform: &Platform) -> Option<&SocketAddr> {
    platform
        .dns_upstreams
        .first()
        .filter(|_| platform.egress.allow)
}

pub(crate) fn deadline(subject: &Subject) -> Result<Instant, Errno> {
    Ok(Instant::now() + send_timeout(subject)?.unwrap_or(CONNECT_TIMEOUT))
}
