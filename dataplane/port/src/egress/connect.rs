//! One connection in the making and how it ends.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::reactor::{Reactor, Token};
use super::relay::Relays;
use super::{Goal, Waiter};
use crate::inbox::Command;
use crate::pending::unstuff;
use crate::shared::Shared;

/// One of them.
pub(crate) struct Connect {
    pub sandbox: Arc<Shared>,
    pub cookie: u64,
    pub goal: Goal,
    pub waiter: Waiter,
    /// The socket that connects; `None` while a full backlog is retried.
    pub socket: Option<OwnedFd>,
    pub since: Instant,
}

impl Waiter {
    /// Lets the guest's closing of its socket be heard.
    pub fn watch(&self, id: u64, reactor: &Reactor) {
        if let Self::Socket { end, .. } = self {
            let _ = reactor.add(end, Token::Connect(id), EventFlags::empty());
        }
    }
}

impl Connect {
    /// It stands.
    pub fn succeed(self, socket: OwnedFd, reactor: &Reactor, relays: &mut Relays) {
        let Connect {
            sandbox,
            cookie,
            waiter,
            ..
        } = self;
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

    /// It cannot be made.
    pub fn fail(self, error: Errno) {
        let Connect {
            sandbox,
            cookie,
            waiter,
            ..
        } = self;
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
}
