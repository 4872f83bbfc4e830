//! Connects of a sandbox that wait for room in the backlog of a listener of its own, counted by
//! listener. They are tried by the egress thread, with sockets that cannot block.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shared::Shared;

/// Connects of one sandbox that may wait at once.
pub(crate) const WAITING_MAX: usize = 256;

/// How many wait at which listener.
#[derive(Default)]
pub(crate) struct Rooms {
    waiting: Mutex<HashMap<SocketAddr, usize>>,
    // Lets the common case, none at all, pass without the lock.
    count: AtomicUsize,
}

/// The place of one connect among those that wait; dropping it leaves.
pub(crate) struct Place {
    sandbox: Arc<Shared>,
    pub listener: SocketAddr,
}

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits at this listener.
    pub fn is_full(&self, listener: SocketAddr) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.lock().contains_key(&listener)
    }

    fn enter(&self, listener: SocketAddr) -> bool {
        let mut waiting = self.lock();
        if self.count.load(Ordering::Acquire) >= WAITING_MAX {
            return false;
        }
        *waiting.entry(listener).or_default() += 1;
        self.count.fetch_add(1, Ordering::AcqRel);
        true
    }

    fn leave(&self, listener: SocketAddr) {
        let mut waiting = self.lock();
        if let Some(count) = waiting.get_mut(&listener) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&listener);
            }
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Joins those that wait at a listener; `None`: there are too many.
pub(crate) fn join(sandbox: &Arc<Shared>, listener: SocketAddr) -> Option<Place> {
    sandbox.rooms.enter(listener).then(|| Place {
        sandbox: Arc::clone(sandbox),
        listener,
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sandbox.rooms.leave(self.listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let rooms = Rooms::default();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        assert!(!rooms.is_full(at(80)));
        for _ in 0..WAITING_MAX {
            assert!(rooms.enter(at(80)));
        }
        assert!(!rooms.enter(at(81)));
        rooms.leave(at(80));
        assert!(rooms.enter(at(81)) && rooms.is_full(at(81)));
        for _ in 1..WAITING_MAX {
            rooms.leave(at(80));
        }
        rooms.leave(at(81));
        assert!(!rooms.is_full(at(80)) && rooms.lock().is_empty());
        assert_eq!(rooms.count.load(Ordering::Acquire), 0);
    }
}
