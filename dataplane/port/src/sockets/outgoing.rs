//! Connects that take time: a blocking call waits parked, a non-blocking one sees a socket that looks
//! as if TCP were connecting it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use jd_wire::names::Name;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, Wait, DONE};
use crate::egress::{Goal, Task, Waiter};
use crate::pending::{stuff, GuestSocket, Progress};
use crate::sandbox::{Sandbox, Subject, World};
use crate::sockets::connect::deadline;
use crate::sys::socket;

impl Sandbox {
    pub(crate) fn connect_outside(
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
    pub(crate) fn connect_later(
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
    pub(crate) fn connect_pending(&mut self, subject: Subject, progress: Progress) -> Reply {
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
            owner: self.shared.id,
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
}
