//! Where the guest sleeps.

use crate::abi::Doorbell;
use crate::doorbell;
use crate::sync::Ordering::{Relaxed, SeqCst};

/// Where one thread (or one epoll set) of the guest sleeps.
#[derive(Clone, Copy)]
pub struct Waiter<'a> {
    bell: &'a Doorbell,
    index: u32,
}

impl<'a> Waiter<'a> {
    /// Waits at `bell`, the waiter of this index.
    #[must_use]
    pub fn new(bell: &'a Doorbell, index: u32) -> Self {
        Self { bell, index }
    }

    /// Its index in the slab.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Asks to be woken. True: sleep now, on the waiter's eventfd and the descriptors. False: there is
    /// news already; [`Self::take`] it.
    #[must_use]
    pub fn arm(&self) -> bool {
        doorbell::arm(self.bell)
    }

    /// No longer asks to be woken.
    pub fn disarm(&self) {
        doorbell::disarm(self.bell);
    }

    /// Slots with news since the last time, one bit each.
    #[must_use]
    pub fn take(&self) -> u64 {
        doorbell::take(self.bell)
    }

    /// Puts marks back that belong to someone else who sleeps here.
    pub fn put_back(&self, slots: u64) {
        self.bell.dirty.fetch_or(slots, SeqCst);
    }

    /// Whether anything is marked, without taking it: what a thread polls.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.bell.dirty.load(Relaxed) != 0
    }
}
