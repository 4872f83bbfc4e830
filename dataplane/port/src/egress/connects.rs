//! Connections in the making.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::connect::Connect;
use super::inside::{Key, Lines, AT_ONCE};
use super::quota::{CONNECTING_MAX, CONNECTIONS_MAX};
use super::reactor::{Reactor, Token};
use super::relay::Relays;
use super::turns::Turns;
use super::{Goal, Waiter};
use crate::shared::Shared;
use crate::stack::Stack;

/// As long as Linux tries by default (`tcp_syn_retries` 6).
const PATIENCE: Duration = Duration::from_secs(127);

/// All of them, by a number of their own.
pub(crate) struct Connects {
    stack: Arc<dyn Stack>,
    by_id: HashMap<u64, Connect>,
    lines: Lines,
    next_id: u64,
}

impl Connects {
    pub fn new(stack: Arc<dyn Stack>) -> Self {
        Self {
            stack,
            by_id: HashMap::new(),
            lines: Lines::default(),
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
            return connect.fail(Errno::ADDRNOTAVAIL);
        }
        let id = self.next_id;
        self.next_id += 1;
        match &connect.goal {
            Goal::Outside(to) => {
                connect.sandbox.tally.egress_connections.add();
                let watched = self.stack.connect(*to).and_then(|socket| {
                    reactor.add(&socket, Token::Connect(id), EventFlags::OUT)?;
                    Ok(socket)
                });
                match watched {
                    Ok(socket) => connect.socket = Some(socket),
                    Err(error) => return connect.fail(error),
                }
            }
            Goal::Inside(_, place) => {
                let key = (connect.sandbox.id, place.listener);
                let stays = |id| self.by_id.contains_key(&id);
                self.lines.join(key, id, connect.since, stays);
            }
        }
        connect.waiter.watch(id, reactor);
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
                    connect.succeed(socket, reactor, relays);
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
                    connect.fail(error);
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
                waiter.watch(id, reactor);
                connect.waiter = waiter;
            }
            None => drop(self.by_id.remove(&id)),
        }
    }

    /// The sandbox of a connection in the making.
    pub fn owner(&self, id: u64) -> Option<u64> {
        Some(self.by_id.get(&id)?.sandbox.id)
    }

    /// How long until a full backlog is to be looked at again.
    pub fn next_try(&self, now: Instant) -> Option<Duration> {
        let at = self.lines.next_try()?;
        Some(at.saturating_duration_since(now))
    }

    /// Tries full backlogs again and gives up what took too long.
    pub fn tick(
        &mut self,
        now: Instant,
        reactor: &Reactor,
        relays: &mut Relays,
        turns: &mut Turns,
    ) {
        for key in self.lines.due(now) {
            for _ in 0..AT_ONCE {
                let Some(id) = self.lines.first(key).filter(|_| turns.has(key.0)) else {
                    break;
                };
                let started = Instant::now();
                let more = self.try_inside(key, id, now, reactor, relays);
                turns.charge(key.0, started.elapsed());
                if !more {
                    break;
                }
            }
        }
    }

    /// Tries the first of a line; false: there is no room.
    fn try_inside(
        &mut self,
        key: Key,
        id: u64,
        now: Instant,
        reactor: &Reactor,
        relays: &mut Relays,
    ) -> bool {
        let tried = self.by_id.get(&id).map(|connect| match connect.goal {
            Goal::Inside(to, _) => {
                let late = now.saturating_duration_since(connect.since) >= PATIENCE;
                let connected = connect.sandbox.connect_inside(to);
                connected.map_err(|error| match error {
                    Errno::AGAIN if late => Errno::TIMEDOUT,
                    error => error,
                })
            }
            Goal::Outside(_) => Err(Errno::INVAL),
        });
        if let Some(Err(Errno::AGAIN)) = tried {
            self.lines.put_off(key, now);
            return false;
        }
        self.lines.leave(key, matches!(tried, Some(Ok(_))));
        // Otherwise the guest had given it up.
        if let (Some(tried), Some(connect)) = (tried, self.by_id.remove(&id)) {
            match tried {
                Ok(socket) => connect.succeed(socket, reactor, relays),
                Err(error) => connect.fail(error),
            }
        }
        true
    }

    /// Gives up what a sandbox had begun.
    pub fn forget(&mut self, owner: u64) {
        self.by_id.retain(|_, connect| connect.sandbox.id != owner);
        self.lines.forget(owner);
    }
}
