//! What every model plays on: one slot with tiny rings, a waiter and a bell each with its eventfd.

use loom::sync::{Arc, Notify};

use crate::abi::{Control, Doorbell, Slot};
use crate::doorbell;
use crate::guest::{GuestEnd, HostState, Waiter, Wake};
use crate::side::{GuestState, Notice, Side};
use crate::sync::Bytes;

/// Bytes of each ring.
pub const RING: usize = 2;

pub struct Stage {
    pub slot: Slot<RING>,
    pub waiters: [Doorbell; 1],
    pub bells: [Doorbell; 1],
    /// The waiter's eventfd, watched edge-triggered: a write between two sleeps is not lost.
    guest_wakes: Notify,
    host_wakes: Notify,
}

/// Explores `model` with at most this many preemptions of a thread that could go on. Each of the bugs that
/// were planted to try the models shows with two.
pub fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

impl Stage {
    /// A slot opened by the host, its cursors about to overflow.
    pub fn open() -> (Arc<Self>, Side) {
        let stage = Self {
            slot: Slot {
                control: Control::default(),
                to_guest: Bytes::new(),
                to_host: Bytes::new(),
            },
            waiters: [Doorbell::default()],
            bells: [Doorbell::default()],
            guest_wakes: Notify::new(),
            host_wakes: Notify::new(),
        };
        let side = Side::open(&stage.slot, 0, 1, 0, u32::MAX);
        (Arc::new(stage), side)
    }

    pub fn guest(&self) -> GuestEnd<'_, RING> {
        GuestEnd::new(&self.slot, &self.bells, 0).unwrap()
    }

    pub fn waiter(&self) -> Waiter<'_> {
        Waiter::new(&self.waiters[0], 0)
    }

    /// The host's `notify`.
    pub fn tell_guest(&self, side: &mut Side) {
        if let Notice::Waiter(0) = side.notice(&self.slot, &self.waiters).unwrap() {
            self.guest_wakes.notify();
        }
    }

    /// What the shim does with a [`Wake`].
    pub fn tell_host(&self, wake: Wake) {
        if wake == Wake::Bell(0) {
            self.host_wakes.notify();
        }
    }

    /// One sleep of a guest's thread, unless there is news.
    pub fn guest_sleeps(&self) {
        if self.waiter().arm() {
            self.guest_wakes.wait();
        }
        let _ = self.waiter().take();
    }

    /// One sleep of a worker, unless there is news.
    pub fn host_sleeps(&self) {
        if doorbell::rearm_and_take(&self.bells[0]) == 0 {
            self.host_wakes.wait();
            doorbell::take(&self.bells[0]);
        }
    }

    /// Publishes all of `bytes` from the host, sleeping for space.
    pub fn host_sends(&self, side: &mut Side, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += side.publish(&self.slot, &[&bytes[sent..]]).unwrap();
            self.tell_guest(side);
            if sent < bytes.len() && !side.wants_space(&self.slot).unwrap() {
                self.host_sleeps();
            }
        }
    }

    /// Publishes all of `bytes` from the guest, sleeping for space.
    pub fn guest_sends(&self, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += self.guest().publish(&bytes[sent..]);
            self.tell_host(self.guest().notify_data());
            if sent < bytes.len() && !self.guest().wants_space() {
                self.guest_sleeps();
            }
        }
    }

    /// Takes on the guest's side until the host has ended.
    pub fn guest_reads_to_end(&self) -> Vec<u8> {
        let mut read = Vec::new();
        loop {
            let state = self.guest().host_state();
            let mut piece = [0; RING];
            let taken = self.guest().take_into(&mut piece);
            read.extend_from_slice(&piece[..taken]);
            if taken > 0 {
                self.tell_host(self.guest().notify_space());
            } else if state == HostState::Open {
                self.guest_sleeps();
            } else {
                return read;
            }
        }
    }

    /// Takes on the host's side until the guest has left.
    pub fn host_reads_to_leave(&self, side: &mut Side) -> Vec<u8> {
        let mut read = Vec::new();
        loop {
            let state = side.guest(&self.slot).unwrap();
            let taken = self.host_takes(side, &mut read);
            if taken > 0 {
                self.tell_guest(side);
            } else if state == GuestState::Open {
                self.host_sleeps();
            } else {
                return read;
            }
        }
    }

    pub fn host_takes(&self, side: &mut Side, read: &mut Vec<u8>) -> usize {
        let mut piece = [0; RING];
        // SAFETY: the piece is writable for its length.
        let taken = unsafe { side.take(&self.slot, piece.as_mut_ptr(), RING) }.unwrap();
        read.extend_from_slice(&piece[..taken]);
        taken
    }
}
