//! The guest's end of one connection.

use super::{HostState, Wake};
use crate::abi::{self, Control, Doorbell, Slot, RING_BYTES, SLOTS};
use crate::sync::full_fence;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::{doorbell, lane};

/// The guest's end of one connection on a ring.
#[derive(Clone, Copy)]
pub struct GuestEnd<'a, const RING: usize = RING_BYTES> {
    slot: &'a Slot<RING>,
    bells: &'a [Doorbell],
    index: u32,
}

impl<'a, const RING: usize> GuestEnd<'a, RING> {
    /// The end at slot `index`; `None` if that is no slot.
    #[must_use]
    pub fn new(slot: &'a Slot<RING>, bells: &'a [Doorbell], index: u32) -> Option<Self> {
        ((index as usize) < SLOTS).then_some(Self { slot, bells, index })
    }

    #[inline]
    fn control(&self) -> &'a Control {
        &self.slot.control
    }

    /// Index of its slot: its bit in [`Waiter::take`].
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Generation of its slot now; another one than at the upgrade means that the slot was given anew.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.control().host.generation.load(Relaxed)
    }

    /// What the host has said. Look at this **before** [`Self::readable`]: `Ended` and then nothing
    /// readable is the end of the stream.
    #[must_use]
    pub fn host_state(&self) -> HostState {
        match self.control().host.host_state.load(Acquire) {
            abi::HOST_OPEN => HostState::Open,
            abi::HOST_ENDED => HostState::Ended,
            _ => HostState::Gone,
        }
    }

    /// Whether this end went back to the descriptor.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.control().guest.guest_state.load(Relaxed) == abi::GUEST_LEFT
    }

    /// Bytes that can be taken now.
    #[inline]
    #[must_use]
    pub fn readable(&self) -> usize {
        let head = self.control().host.to_guest_head.load(Acquire);
        let tail = self.control().guest.to_guest_tail.load(Relaxed);
        // Cursors that contradict each other mean that this sandbox damaged its own slab: nothing to read.
        lane::distance::<RING>(head, tail).unwrap_or(0)
    }

    /// Bytes that can be published now.
    #[inline]
    #[must_use]
    pub fn free(&self) -> usize {
        let head = self.control().guest.to_host_head.load(Relaxed);
        let tail = self.control().host.to_host_tail.load(Acquire);
        lane::distance::<RING>(head, tail).map_or(0, |used| RING - used)
    }

    /// Whether so much can be published that a poll for writing should say so: the same measure by which
    /// a writer who [wants space](Self::wants_space) is woken.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.free() >= abi::writable_at(RING)
    }

    /// Publishes as much of `bytes` as fits and says how much; tells nobody: see [`Self::notify_data`].
    pub fn publish(&self, bytes: &[u8]) -> usize {
        // SAFETY: a slice is readable for its length.
        unsafe { self.publish_from(bytes.as_ptr(), bytes.len()) }
    }

    /// As [`Self::publish`], for memory that may be unsound to make a slice of.
    ///
    /// # Safety
    /// `source` is readable for `len` bytes.
    pub unsafe fn publish_from(&self, source: *const u8, len: usize) -> usize {
        let len = len.min(self.free());
        if len == 0 {
            return 0;
        }
        let guest = &self.control().guest;
        let head = guest.to_host_head.load(Relaxed);
        // SAFETY: `len` is at most the free part of the ring, and readable by the caller's promise.
        unsafe { lane::put(&self.slot.to_host, head, source, len) };
        guest.to_host_head.store(lane::advance(head, len), Release);
        if guest.guest_wants_space.load(Relaxed) != 0 {
            guest.guest_wants_space.store(0, Relaxed);
        }
        len
    }

    /// Takes up to `len` bytes and says how many; tells nobody: see [`Self::notify_space`].
    ///
    /// # Safety
    /// `target` is writable for `len` bytes.
    pub unsafe fn take(&self, target: *mut u8, len: usize) -> usize {
        // SAFETY: the caller's promise, handed on.
        let len = unsafe { self.peek(target, len) };
        self.skip(len)
    }

    /// As [`Self::take`], into a slice.
    pub fn take_into(&self, target: &mut [u8]) -> usize {
        // SAFETY: a mutable slice is writable for its length.
        unsafe { self.take(target.as_mut_ptr(), target.len()) }
    }

    /// As [`Self::take`], but the bytes stay.
    ///
    /// # Safety
    /// `target` is writable for `len` bytes.
    pub unsafe fn peek(&self, target: *mut u8, len: usize) -> usize {
        let len = len.min(self.readable());
        if len > 0 {
            let tail = self.control().guest.to_guest_tail.load(Relaxed);
            // SAFETY: `len` is at most the filled part of the ring, and writable by the caller's promise.
            unsafe { lane::get(&self.slot.to_guest, tail, target, len) };
        }
        len
    }

    /// Drops up to `len` bytes and says how many.
    pub fn skip(&self, len: usize) -> usize {
        let len = len.min(self.readable());
        if len > 0 {
            let tail = self.control().guest.to_guest_tail.load(Relaxed);
            self.control()
                .guest
                .to_guest_tail
                .store(lane::advance(tail, len), Release);
        }
        len
    }

    /// Tells the host that something was published. Call once after any number of publishes.
    pub fn notify_data(&self) -> Wake {
        self.ring()
    }

    /// Tells the host that bytes were taken, if it waits for space. Call once after any number of takes.
    pub fn notify_space(&self) -> Wake {
        // Pairs with the fence of the host's `want_space`: one of the two sees the other's store.
        full_fence();
        let wanted = self.control().host.host_wants_space.load(Relaxed) != 0;
        if wanted && self.readable() <= RING - abi::writable_at(RING) {
            return self.ring();
        }
        Wake::Quiet
    }

    /// Asks to be told when half of the ring is free. True: it is already, write on; false: sleep.
    #[must_use]
    pub fn wants_space(&self) -> bool {
        self.control().guest.guest_wants_space.store(1, Relaxed);
        full_fence();
        let writable = self.writable();
        if writable {
            self.control().guest.guest_wants_space.store(0, Relaxed);
        }
        writable
    }

    /// Says behind which waiter this connection's reader or writer sleeps (`None`: nobody). Afterwards
    /// look once at the ring itself: what came while nobody waited was marked nowhere.
    pub fn set_waiter(&self, waiter: Option<u32>) {
        let word = waiter.map_or(0, |index| index + 1);
        self.control().guest.waiter.store(word, Relaxed);
        // Pairs with the host's fence between its publishing and its look at this word.
        full_fence();
    }

    /// The waiter set last.
    #[must_use]
    pub fn waiter(&self) -> Option<u32> {
        self.control().guest.waiter.load(Relaxed).checked_sub(1)
    }

    /// Goes back to the descriptor for good. Nothing may be published or taken through any copy of this
    /// end afterwards.
    pub fn leave(&self) -> Wake {
        self.control()
            .guest
            .guest_state
            .store(abi::GUEST_LEFT, Release);
        self.ring()
    }

    fn ring(&self) -> Wake {
        // The host keeps a connection at one bell for its whole life, so no fence is needed before this.
        let bell = self.control().host.bell.load(Relaxed);
        match self.bells.get(bell as usize) {
            Some(target) if doorbell::mark(target, 1 << self.index) => Wake::Bell(bell),
            _ => Wake::Quiet,
        }
    }
}
