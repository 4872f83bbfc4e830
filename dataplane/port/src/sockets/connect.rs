//! `connect(2)`: inside the sandbox, to the gateway, to the resolver, or out of the host.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jd_wire::names::Name;
use jd_wire::sockaddr::Given;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, Wait, DONE};
use crate::egress::{Goal, Task, Waiter};
use crate::pending::{stuff, GuestSocket, Progress};
use crate::platform::Platform;
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
            Route::Inside(destination) => {
                let deadline = deadline(&subject)?;
                self.connect_inside(world, call, subject, destination, deadline)
            }
            Route::Gateway => {
                let (end, source) = self.join_hub(world, &subject, destination)?;
                world
                    .host
                    .gateway_connection(&self.shared.name, end, source);
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
        world: &World,
        call: &Notification,
        subject: Subject,
        destination: SocketAddr,
        deadline: Instant,
    ) -> Reply {
        let listeners = self.shared.tcp().listeners(Target::Address(destination));
        for listener in listeners {
            self.name_once(&subject, destination)?;
            match connect_now(&subject, &Name::Listener(listener.clone()).to_bytes()) {
                // One of several that share the port may be gone; the next may not.
                Err(Errno::CONNREFUSED) => self.shared.forget(&listener),
                Err(Errno::AGAIN) if subject.is_non_blocking()? => {
                    return self.connect_later(
                        world,
                        call,
                        &subject,
                        destination,
                        Goal::Inside(destination),
                    );
                }
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
        world: &World,
        call: &Notification,
        socket: OwnedFd,
        deadline: Option<Instant>,
    ) -> Reply {
        let subject = Subject::resume(socket)?;
        let name = socket::own_name(subject.fd.as_fd())?.and_then(|name| Name::parse(&name));
        let Some(Name::Client { destination, .. }) = name else {
            return Err(Errno::CONNABORTED);
        };
        let deadline = deadline.unwrap_or_else(Instant::now);
        self.connect_inside(world, call, subject, destination, deadline)
    }

    fn connect_outside(
        &mut self,
        world: &World,
        call: &Notification,
        subject: Subject,
        destination: SocketAddr,
        goal: Goal,
    ) -> Reply {
        if subject.is_non_blocking()? {
            return self.connect_later(world, call, &subject, destination, goal);
        }
        // The guest's socket stays as it is until the connection stands: a failure leaves no trace.
        self.name_once(&subject, destination)?;
        let cookie = subject.cookie()?;
        let (sandbox, waiter) = (
            Arc::clone(&self.shared),
            Waiter::Call(Arc::clone(&self.inbox)),
        );
        world.egress.send(Task::Connect {
            sandbox,
            cookie,
            goal,
            waiter,
        });
        let deadline = Some(deadline(&subject)?);
        Ok(Outcome::Park(Wait::Egress {
            socket: subject.fd,
            cookie,
            deadline,
        }))
    }

    /// Lets the guest go on while its connection is made.
    fn connect_later(
        &mut self,
        world: &World,
        call: &Notification,
        subject: &Subject,
        destination: SocketAddr,
        goal: Goal,
    ) -> Reply {
        let cookie = subject.cookie()?;
        let waiter = self.pretend(world, call, subject, destination)?;
        world.egress.send(Task::Connect {
            sandbox: Arc::clone(&self.shared),
            cookie,
            goal,
            waiter,
        });
        Err(Errno::INPROGRESS)
    }

    /// Makes the guest's socket look as if it were connecting: connected to the hub, not writable.
    fn pretend(
        &mut self,
        world: &World,
        call: &Notification,
        subject: &Subject,
        destination: SocketAddr,
    ) -> Result<Waiter, Errno> {
        let guest = self.guest_socket(call, subject)?;
        // Recorded first: from the moment the socket is connected its progress is asked for.
        if !self.shared.pending.begin(guest.cookie) {
            self.shared.tally.denied.add();
            return Err(Errno::ADDRNOTAVAIL);
        }
        let joined = self
            .join_hub(world, subject, destination)
            .and_then(|(end, _)| Ok((end, stuff(&subject.fd)?)));
        match joined {
            Ok((end, stuffed)) => Ok(Waiter::Socket {
                end,
                stuffed,
                guest,
            }),
            Err(error) => {
                self.shared.pending.end(guest.cookie, Ok(()));
                Err(error)
            }
        }
    }

    fn guest_socket(
        &mut self,
        call: &Notification,
        subject: &Subject,
    ) -> Result<GuestSocket, Errno> {
        Ok(GuestSocket {
            pidfd: self.caller(call)?,
            fd: call.int(0),
            cookie: subject.cookie()?,
        })
    }

    /// A connect on a socket whose earlier connect is not over, or failed.
    fn connect_pending(&mut self, subject: Subject, progress: Progress) -> Reply {
        match progress {
            Progress::Failed(error) => {
                self.shared.pending.take_failure(subject.cookie()?);
                Err(error)
            }
            Progress::Connecting if subject.is_non_blocking()? => Err(Errno::ALREADY),
            Progress::Connecting => {
                let deadline = Some(deadline(&subject)?);
                Ok(Outcome::Park(Wait::Pending {
                    socket: subject.fd,
                    deadline,
                }))
            }
        }
    }

    /// Looks whether a connect that goes on without a wait is over.
    pub(crate) fn look_at_pending(&mut self, socket: OwnedFd, deadline: Option<Instant>) -> Reply {
        let subject = Subject::resume(socket)?;
        match self.progress(&subject) {
            None => DONE,
            Some(Progress::Failed(_)) => {
                self.connect_pending(subject, Progress::Failed(Errno::CONNREFUSED))
            }
            Some(Progress::Connecting) => Ok(Outcome::Park(Wait::Pending {
                socket: subject.fd,
                deadline,
            })),
        }
    }

    /// The connection that a parked call waited for stands: the guest's socket joins it.
    pub(crate) fn finish_connect(
        &mut self,
        world: &World,
        call: &Notification,
        socket: OwnedFd,
        result: Result<OwnedFd, Errno>,
    ) -> Reply {
        let remote = result?;
        let subject = Subject::resume(socket)?;
        let destination = self.named_destination(&subject)?;
        let guest = self.guest_socket(call, &subject)?;
        let (end, _) = self.join_hub(world, &subject, destination)?;
        world.egress.send(Task::Relay {
            owner: self.shared.id,
            end,
            remote,
            guest,
        });
        DONE
    }

    /// A signal ends the wait of a parked call; its connection goes on, as on TCP.
    pub(crate) fn break_connect(
        &mut self,
        world: &World,
        call: &Notification,
        socket: OwnedFd,
        cookie: u64,
    ) {
        let waiter = Subject::resume(socket).and_then(|subject| {
            let destination = self.named_destination(&subject)?;
            self.pretend(world, call, &subject, destination)
        });
        world.egress.send(Task::Release {
            cookie,
            waiter: waiter.ok(),
        });
    }

    fn named_destination(&self, subject: &Subject) -> Result<SocketAddr, Errno> {
        let name = socket::own_name(subject.fd.as_fd())?.and_then(|name| Name::parse(&name));
        match name {
            Some(Name::Client { destination, .. }) => Ok(destination),
            _ => Err(Errno::CONNABORTED),
        }
    }

    /// Connects the guest's socket to the supervisor and gives the other end of it.
    fn join_hub(
        &mut self,
        world: &World,
        subject: &Subject,
        destination: SocketAddr,
    ) -> Result<(OwnedFd, SocketAddr), Errno> {
        let source = self.name_once(subject, destination)?;
        // The name may tell an earlier destination: names are final.
        let mine = socket::own_name(subject.fd.as_fd())?;
        let mut connected = connect_now(subject, &self.shared.hub_name);
        for _ in 0..HUB_TRIES {
            match self.shared.accept_hub() {
                Ok((end, name)) if name == mine => return Ok((end, source)),
                // Not ours: the guest found a way to connect here by itself. It is closed.
                Ok(_) => self.report(world, "connection past the supervisor"),
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

/// The upstream resolver that DNS over TCP goes to.
fn resolver(platform: &Platform) -> Option<&SocketAddr> {
    platform
        .dns_upstreams
        .first()
        .filter(|_| platform.egress.allow)
}

fn deadline(subject: &Subject) -> Result<Instant, Errno> {
    Ok(Instant::now() + send_timeout(subject)?.unwrap_or(CONNECT_TIMEOUT))
}

/// Connects without waiting for room in a backlog, whatever the guest's flags are.
fn connect_now(subject: &Subject, name: &[u8]) -> Result<(), Errno> {
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
