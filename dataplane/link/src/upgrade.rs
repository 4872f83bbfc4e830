//! One connection's change from its socket to a ring, from the guest's question to its answer.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::Arc;

use jd_ring::host::Toll;

use crate::rings::Rings;

/// Who holds the platform's end of a connection to a guest.
pub trait Owner: Send + Sync {
    /// Hears what waking this connection's guest costs, before it is opened. Ways to wake it that are not timed
    /// are ways to make the host work.
    fn charge(&self, toll: &Arc<Toll>) {
        let _ = toll;
    }

    /// Asks to change the connection over. Called by a thread that has other guests to serve: it must not wait.
    fn upgrade(self: Arc<Self>, upgrade: Upgrade);

    /// Ends the connection: it changed over, but the guest cannot be told any more.
    fn cut(self: Arc<Self>);
}

/// What the guest is told of its slot.
pub type Granted = jd_ring::abi::Upgrade;

/// Why a connection stays on its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such connection any more, its worker has no bell, or it went back to its socket once.
    Unsuitable,
    /// Every slot is taken.
    NoSlot,
    /// It rides on a ring already.
    Already,
}

const ASKED: u8 = 0;
const TAKEN: u8 = 1;
const CANCELLED: u8 = 2;

/// Decides between the worker that changes over and the guest's call that cannot wait any longer.
#[derive(Debug, Default)]
pub struct Ticket(AtomicU8);

impl Ticket {
    fn settle(&self, outcome: u8) -> bool {
        self.0
            .compare_exchange(ASKED, outcome, SeqCst, SeqCst)
            .is_ok()
    }

    /// The worker begins; false: it was cancelled, leave the connection alone.
    #[must_use]
    pub fn take(&self) -> bool {
        self.settle(TAKEN)
    }

    /// The guest does not wait any more; false: the change is being made or was made.
    #[must_use]
    pub fn cancel(&self) -> bool {
        self.settle(CANCELLED)
    }
}

/// Hears the outcome. Called by a worker: it must not wait.
type Done = Box<dyn FnOnce(Result<Granted, Refusal>) + Send>;

/// The question to a connection's owner. Dropped unanswered it answers "unsuitable".
pub struct Upgrade {
    /// The rings of its sandbox.
    pub rings: Arc<Rings>,
    /// A copy of the guest's end, by which what lies in the socket is counted.
    pub guest_end: OwnedFd,
    /// Must be taken before anything changes.
    pub ticket: Arc<Ticket>,
    done: Option<Done>,
}

impl Upgrade {
    /// A question whose answer goes to `done`.
    #[must_use]
    pub fn new(rings: Arc<Rings>, guest_end: OwnedFd, ticket: Arc<Ticket>, done: Done) -> Self {
        Self {
            rings,
            guest_end,
            ticket,
            done: Some(done),
        }
    }

    /// Answers. The copy of the guest's end is closed first: it would keep the end from being seen as closed.
    pub fn answer(mut self, outcome: Result<Granted, Refusal>) {
        let done = self.done.take();
        drop(self);
        if let Some(done) = done {
            done(outcome);
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(Refusal::Unsuitable));
        }
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("guest_end", &self.guest_end)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_or_cancelled_but_never_both() {
        let ticket = Ticket::default();
        assert!(ticket.take() && !ticket.cancel() && !ticket.take());
        let ticket = Ticket::default();
        assert!(ticket.cancel() && !ticket.take());
    }
}
