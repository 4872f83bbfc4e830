//! What workers ask of the egress thread.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use jd_wire::dns::Query;

use crate::datagram::Datagram;
use crate::inbox::Inbox;
use crate::pending::GuestSocket;
use crate::rooms::Place;
use crate::shared::Shared;

/// Where a connection goes.
pub(crate) enum Goal {
    /// Out of the host.
    Outside(SocketAddr),
    /// To a listener of the same sandbox whose backlog was full, at which it has a place.
    Inside(SocketAddr, Place),
}

/// Who waits for a connection.
pub(crate) enum Waiter {
    /// A parked call: its worker gets the connection.
    Call(Arc<Inbox>),
    /// Nobody: the guest's socket is connected to `end` already and looks as if it were connecting.
    Socket {
        end: OwnedFd,
        stuffed: usize,
        guest: GuestSocket,
    },
}

/// A piece of work.
pub(crate) enum Task {
    /// Make a connection for the socket `cookie`.
    Connect {
        sandbox: Arc<Shared>,
        cookie: u64,
        goal: Goal,
        waiter: Waiter,
    },
    /// The parked call of this socket will not wait any longer; another waiter may take its place.
    Release {
        owner: u64,
        cookie: u64,
        waiter: Option<Waiter>,
    },
    /// Move bytes between a guest's connection and one that left the host.
    Relay {
        owner: u64,
        end: OwnedFd,
        remote: OwnedFd,
        guest: GuestSocket,
    },
    /// Send a datagram out of the host.
    Datagram {
        sandbox: Arc<Shared>,
        from: Arc<Datagram>,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// Ask upstream resolvers.
    Ask {
        sandbox: Arc<Shared>,
        from: Arc<Datagram>,
        upstreams: Vec<SocketAddr>,
        resolver: SocketAddr,
        query: Query,
        message: Vec<u8>,
    },
    /// The guest closed this datagram socket.
    Close { datagram: u64 },
    /// A sandbox is gone.
    Forget { owner: u64 },
    /// End the thread.
    Stop,
}

impl Task {
    /// The sandbox that it is done for, in whose turn.
    pub fn owner(&self) -> u64 {
        match self {
            Self::Connect { sandbox, .. }
            | Self::Datagram { sandbox, .. }
            | Self::Ask { sandbox, .. } => sandbox.id,
            Self::Release { owner, .. } | Self::Relay { owner, .. } | Self::Forget { owner } => {
                *owner
            }
            Self::Close { datagram } => datagram >> 32,
            Self::Stop => 0,
        }
    }
}

/// Tasks that were taken and not done yet, each sandbox's in their order. How many one sandbox may
/// have is bounded where they are made.
#[derive(Default)]
pub(crate) struct Backlog {
    by_owner: HashMap<u64, VecDeque<Task>>,
    turns: VecDeque<u64>,
}

impl Backlog {
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub fn push(&mut self, task: Task) {
        let owner = task.owner();
        let tasks = self.by_owner.entry(owner).or_default();
        if tasks.is_empty() {
            self.turns.push_back(owner);
        }
        tasks.push_back(task);
    }

    /// The next task of whoever may still have a turn, and puts off who may not.
    pub fn next(&mut self, may: impl Fn(u64) -> bool) -> Option<Task> {
        for _ in 0..self.turns.len() {
            let owner = *self.turns.front()?;
            if !may(owner) {
                self.turns.rotate_left(1);
                continue;
            }
            let tasks = self.by_owner.get_mut(&owner)?;
            let task = tasks.pop_front();
            if tasks.is_empty() {
                self.by_owner.remove(&owner);
                self.turns.pop_front();
            }
            return task;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(backlog: &mut Backlog, may: impl Fn(u64) -> bool) -> Vec<u64> {
        std::iter::from_fn(|| backlog.next(&may))
            .map(|task| task.owner())
            .collect()
    }

    #[test]
    fn who_had_its_turn_waits_for_the_next_round() {
        let mut backlog = Backlog::default();
        for owner in [1, 1, 1, 2, 3] {
            backlog.push(Task::Forget { owner });
        }
        assert_eq!(order(&mut backlog, |owner| owner != 1), [2, 3]);
        assert!(!backlog.is_empty());
        assert_eq!(order(&mut backlog, |_| true), [1, 1, 1]);
        assert!(backlog.is_empty() && backlog.by_owner.is_empty());
    }
}
