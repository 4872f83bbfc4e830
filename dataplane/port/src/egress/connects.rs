//! Connections in the making.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::quota::{CONNECTING_MAX, CONNECTIONS_MAX};
use super::reactor::{Reactor, Token};
use super::relay::Relays;
use super::{Goal, Waiter};
use crate::inbox::Command;
use crate::pending::unstuff;
use crate::shared::Shared;
use crate::stack::Stack;

/// As long as Linux tries by default (`tcp_syn_retries` 6).
const PATIENCE: Duration = Duration::from_secs(127);
/// Distance of two tries at a full backlog inside the sandbox.
const RETRY: Duration = Duration::from_millis(5);

struct Connect {
    sandbox: Arc<Shared>,
    cookie: u64,
    goal: Goal,
    waiter: Waiter,
    /// The socket that connects; `None` while a full backlog is retried.
    socket: Option<OwnedFd>,
    since: Instant,
}

/// All of them, by a number of their own.
pub(crate) struct Connects {
    stack: Arc<dyn Stack>,
    by_id: HashMap<u64, Connect>,
    next_id: u64,
}

impl Connects {
    pub fn new(stack: Arc<dyn Stack>) -> Self {
        Self {
            stack,
            by_id: HashMap::new(),
            next_id: 1,
        }
    }

    /// Begins a connection; `open` is how many the sandbox has already.
    pub fn begin(
        &mut self,
        sandbox: Arc<Shared>,
        cookie: u64,
        goal: Goal,
        waiter: Waiter,
        open: usize,
        reactor: &Reactor,
    ) {
        let making = self
            .by_id
            .values()
            .filter(|connect| connect.sandbox.id == sandbox.id)
            .count();
        let mut connect = Connect {
            sandbox,
            cookie,
            goal,
            waiter,
            socket: None,
            since: Instant::now(),
        };
        if making >= CONNECTING_MAX || open + making >= CONNECTIONS_MAX {
            connect.sandbox.tally.denied.add();
            return fail(connect, Errno::ADDRNOTAVAIL);
        }
        let id = self.next_id;
        self.next_id += 1;
        if let Goal::Outside(to) = connect.goal {
            connect.sandbox.tally.egress_connections.add();
            let watched = self.stack.connect(to).and_then(|socket| {
                reactor.add(&socket, Token::Connect(id), EventFlags::OUT)?;
                Ok(socket)
            });
            match watched {
                Ok(socket) => connect.socket = Some(socket),
                Err(error) => return fail(connect, error),
            }
        }
        watch_end(&connect.waiter, id, reactor);
        self.by_id.insert(id, connect);
    }

    /// A socket became writable, or the guest closed its end.
    pub fn ready(&mut self, id: u64, flags: EventFlags, reactor: &Reactor, relays: &mut Relays) {
        let Some(connect) = self.by_id.get(&id) else {
            return;
        };
        let state = connect.socket.as_ref().map(|socket| {
            // Connected, refused, or still under way.
            match rustix::net::sockopt::socket_error(socket) {
                Ok(Ok(())) => rustix::net::getpeername(socket).map(drop),
                Ok(Err(error)) | Err(error) => Err(error),
            }
        });
        match state {
            Some(Ok(())) => {
                let Some(mut connect) = self.by_id.remove(&id) else {
                    return;
                };
                if let Some(socket) = connect.socket.take() {
                    reactor.remove(&socket);
                    succeed(connect, socket, reactor, relays);
                }
            }
            Some(Err(Errno::NOTCONN)) | None => {
                // Only the guest's end can have woken us: it was closed.
                if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
                    if let Some(connect) = self.by_id.remove(&id) {
                        connect.sandbox.pending.end(connect.cookie, Ok(()));
                    }
                }
            }
            Some(Err(error)) => {
                if let Some(connect) = self.by_id.remove(&id) {
                    fail(connect, error);
                }
            }
        }
    }

    /// The parked call of a socket is over; `waiter` takes its place or the connection is given up.
    pub fn release(&mut self, cookie: u64, waiter: Option<Waiter>, reactor: &Reactor) {
        let found = self
            .by_id
            .iter_mut()
            .find(|(_, connect)| connect.cookie == cookie);
        let Some((&id, connect)) = found else { return };
        match waiter {
            Some(waiter) => {
                watch_end(&waiter, id, reactor);
                connect.waiter = waiter;
            }
            None => drop(self.by_id.remove(&id)),
        }
    }

    /// When to look at full backlogs again.
    pub fn next_try(&self) -> Option<Duration> {
        let retrying = self.by_id.values().any(|connect| connect.socket.is_none());
        retrying.then_some(RETRY)
    }

    /// Tries full backlogs again and gives up what took too long.
    pub fn tick(&mut self, now: Instant, reactor: &Reactor, relays: &mut Relays) {
        let retrying: Vec<u64> = self
            .by_id
            .iter()
            .filter(|(_, connect)| connect.socket.is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in retrying {
            let Some(connect) = self.by_id.remove(&id) else {
                continue;
            };
            let Goal::Inside(to) = connect.goal else {
                continue;
            };
            match connect.sandbox.connect_inside(to) {
                Ok(socket) => succeed(connect, socket, reactor, relays),
                Err(Errno::AGAIN) if now.saturating_duration_since(connect.since) < PATIENCE => {
                    self.by_id.insert(id, connect);
                }
                Err(Errno::AGAIN) => fail(connect, Errno::TIMEDOUT),
                Err(error) => fail(connect, error),
            }
        }
    }

    /// Gives up what a sandbox had begun.
    pub fn forget(&mut self, owner: u64) {
        self.by_id.retain(|_, connect| connect.sandbox.id != owner);
    }
}

/// Lets the guest's closing of its socket be heard.
fn watch_end(waiter: &Waiter, id: u64, reactor: &Reactor) {
    if let Waiter::Socket { end, .. } = waiter {
        let _ = reactor.add(end, Token::Connect(id), EventFlags::empty());
    }
}

fn succeed(connect: Connect, socket: OwnedFd, reactor: &Reactor, relays: &mut Relays) {
    let Connect {
        sandbox,
        cookie,
        waiter,
        ..
    } = connect;
    match waiter {
        Waiter::Call(inbox) => {
            inbox.send(Command::Connected {
                sandbox: sandbox.id,
                cookie,
                result: Ok(socket),
            });
        }
        Waiter::Socket {
            end,
            stuffed,
            guest,
        } => {
            reactor.remove(&end);
            // First the record, then the event that makes the guest look at it.
            sandbox.pending.end(cookie, Ok(()));
            if unstuff(&guest, &end, stuffed).is_ok() {
                relays.add(sandbox.id, end, socket, guest, reactor);
            }
        }
    }
}

fn fail(connect: Connect, error: Errno) {
    let Connect {
        sandbox,
        cookie,
        waiter,
        ..
    } = connect;
    match waiter {
        Waiter::Call(inbox) => {
            inbox.send(Command::Connected {
                sandbox: sandbox.id,
                cookie,
                result: Err(error),
            });
        }
        // Closing the end with the filler in it gives the guest EPOLLERR and EPOLLHUP, as TCP does.
        Waiter::Socket { end, .. } => {
            sandbox.pending.end(cookie, Err(error));
            drop(end);
        }
    }
}
