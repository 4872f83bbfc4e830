//! The guest's side: a view of a mapped slab, the end of one connection, the waiter of one thread.
//!
//! Nothing here enters the kernel or keeps state of its own: all of it lives in the slab, and every type
//! is `Copy`. Where the other side must be woken the answer says which bell to ring ([`Wake::Bell`]): the
//! shim then writes [`crate::abi::EVENTFD_WAKE`] to that bell's eventfd.
//!
//! One thread at a time may publish on an end, and one at a time may take from it (the shim holds a lock
//! for each direction). Breaking that garbles the stream of the guest that does it, and nothing else.

use crate::abi::{
    self, Control, Doorbell, SlabImage, Slot, Upgrade, BELLS, RING_BYTES, SLOTS, WAITERS,
};
use crate::sync::fence;
use crate::sync::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::{doorbell, lane};

/// Whether the other side must be woken.
#[must_use = "a sleeping host is not woken until its bell is rung"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// It is awake, or there was nothing to tell.
    Quiet,
    /// Write [`crate::abi::EVENTFD_WAKE`] to the eventfd of this bell.
    Bell(u32),
}

/// What the host has said about this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// Both directions run.
    Open,
    /// Nothing follows what is in the ring.
    Ended,
    /// The host has left in both directions; what is in the ring comes first.
    Gone,
}

/// Why a mapping is not a slab that this build can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Not aligned to a page, or shorter than a slab.
    Mapping,
    /// The first word is not [`crate::abi::MAGIC`].
    Magic,
    /// Made by a host of this other version.
    Version(u32),
    /// Right version, other sizes: it was damaged.
    Sizes,
}

/// A mapped slab.
#[derive(Clone, Copy)]
pub struct SlabView<'a> {
    image: &'a SlabImage,
}

impl<'a> SlabView<'a> {
    /// Looks at the header of a mapping of `len` bytes.
    ///
    /// # Errors
    /// When it is not a slab of this version: leave rings alone and use the descriptor.
    ///
    /// # Safety
    /// `base` is mapped readable and writable, shared, for `len` bytes that stay mapped for `'a`.
    pub unsafe fn new(base: *const u8, len: usize) -> Result<Self, Mismatch> {
        if base.is_null() || base.align_offset(4_096) != 0 || len < abi::SLAB_BYTES {
            return Err(Mismatch::Mapping);
        }
        // SAFETY: aligned, long enough, mapped for 'a; every word of it is an atomic or opaque bytes.
        let image = unsafe { &*base.cast::<SlabImage>() };
        let header = &image.header;
        if header.magic.load(Relaxed) != abi::MAGIC {
            return Err(Mismatch::Magic);
        }
        let version = header.version.load(Relaxed);
        if version != abi::VERSION {
            return Err(Mismatch::Version(version));
        }
        let sizes = [
            &header.slots,
            &header.ring_bytes,
            &header.waiters,
            &header.bells,
        ];
        let expected = [SLOTS, RING_BYTES, WAITERS, BELLS];
        let same = sizes
            .iter()
            .zip(expected)
            .all(|(word, size)| word.load(Relaxed) as usize == size);
        if !same || header.slab_bytes.load(Relaxed) != abi::SLAB_BYTES as u64 {
            return Err(Mismatch::Sizes);
        }
        Ok(Self { image })
    }

    /// The end of an upgraded connection; `None` if the answer names a slot or bell that cannot be, or a
    /// slot of another generation.
    #[must_use]
    pub fn end(&self, upgrade: &Upgrade) -> Option<GuestEnd<'a>> {
        let slot = self.image.slots.get(upgrade.slot as usize)?;
        let end = GuestEnd::new(slot, &self.image.bells, upgrade.slot)?;
        (end.generation() == upgrade.generation && (upgrade.bell as usize) < BELLS).then_some(end)
    }

    /// The waiter of this index.
    #[must_use]
    pub fn waiter(&self, index: u32) -> Option<Waiter<'a>> {
        let bell = self.image.waiters.get(index as usize)?;
        Some(Waiter { bell, index })
    }

    /// How long a thread may poll before it parks, in nanoseconds; the host changes it at any time.
    #[must_use]
    pub fn spin_ns(&self) -> u32 {
        self.image.header.spin_ns.load(Relaxed)
    }
}

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
        fence(SeqCst);
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
        fence(SeqCst);
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
        fence(SeqCst);
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
