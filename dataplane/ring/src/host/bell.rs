//! Where one worker of the front door sleeps for the connections of one sandbox.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::slab::Shared;
use crate::abi::Doorbell;
use crate::doorbell;

/// One worker's bell of one slab. Its eventfd goes into the worker's epoll set edge-triggered and is
/// never read. The marks come from the guest: a bit may be set for a slot that has no news, or for one
/// that this worker does not serve; and a guest may ring without end, so bound what you do for it.
#[derive(Clone)]
pub struct Bell {
    shared: Arc<Shared>,
    index: u32,
}

impl Bell {
    pub(super) fn new(shared: Arc<Shared>, index: u32) -> Self {
        Self { shared, index }
    }

    fn doorbell(&self) -> &Doorbell {
        &self.shared.mapping.image().bells[self.index as usize]
    }

    /// Its index in the slab.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Slots marked since the last time, one bit each. Leaves `need_wake` as it is.
    #[must_use]
    pub fn take(&self) -> u64 {
        doorbell::take(self.doorbell())
    }

    /// Asks to be woken, then takes what is marked: 0 means that the worker may sleep. Otherwise it no
    /// longer asks: serve these slots and come back, or treat the bell as ready without being woken.
    #[must_use]
    pub fn rearm_and_take(&self) -> u64 {
        doorbell::rearm_and_take(self.doorbell())
    }

    /// No longer asks to be woken: while the worker polls.
    pub fn disarm(&self) {
        doorbell::disarm(self.doorbell());
    }

    /// Wakes the worker that sleeps here, from another thread of the host.
    pub fn ring(&self) {
        super::end::write_wake(self.as_fd());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // `Slab::bell` made it before it made this value.
        self.shared
            .bell_fd(self.index)
            .expect("a bell has its eventfd")
    }
}
