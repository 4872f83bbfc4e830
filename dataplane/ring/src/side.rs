//! The host's side of one slot: private cursors, and every check of what the guest wrote. Pure: it
//! touches the slot it is handed and answers whom to wake; [`crate::host`] owns memory and descriptors.

use crate::abi::{self, Doorbell, Slot};
use crate::sync::full_fence;
use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::{doorbell, lane};

/// The guest broke the protocol; its connection is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A cursor went backwards, or further than the ring is long.
    Cursor,
    /// `guest_state` is no state, or the guest came back after it left.
    State,
    /// `waiter` names none.
    Waiter,
    /// Waking it takes so long that no honest guest can be the cause.
    DearWakes,
}

impl Violation {
    /// What it is called in reports.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::DearWakes => "too many watchers",
            Self::Cursor | Self::State | Self::Waiter => "ring protocol",
        }
    }
}

/// Whether the guest is still on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// It is.
    Open,
    /// It went back to the descriptor: what it had published comes first, then the descriptor's bytes.
    Left,
}

/// Whom to wake after a piece of work on a slot.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing to tell, or nobody is waiting for it.
    Nobody,
    /// Marked; the guest is awake and will look.
    Awake,
    /// Write the eventfd of this waiter.
    Waiter(u32),
}

/// The host's private words for one slot.
#[derive(Debug)]
pub struct Side {
    bit: u64,
    head: u32,
    /// Furthest tail of the guest seen: it may only go on from here.
    tail_seen: u32,
    tail: u32,
    /// Furthest head of the guest seen.
    head_seen: u32,
    left: bool,
    wants_space: bool,
    published: bool,
    taken: bool,
    violation: Option<Violation>,
}

impl Side {
    /// Opens slot `index`: writes every word of its control page anew. Cursors begin at `start`.
    pub fn open<const RING: usize>(
        slot: &Slot<RING>,
        index: u32,
        generation: u32,
        bell: u32,
        start: u32,
    ) -> Self {
        let (host, guest) = (&slot.control.host, &slot.control.guest);
        guest.to_host_head.store(start, Relaxed);
        guest.to_guest_tail.store(start, Relaxed);
        guest.guest_state.store(abi::GUEST_OPEN, Relaxed);
        guest.guest_wants_space.store(0, Relaxed);
        guest.waiter.store(0, Relaxed);
        host.to_guest_head.store(start, Relaxed);
        host.to_host_tail.store(start, Relaxed);
        host.host_wants_space.store(0, Relaxed);
        host.generation.store(generation, Relaxed);
        host.bell.store(bell, Relaxed);
        host.host_state.store(abi::HOST_OPEN, Release);
        Self {
            bit: 1 << index,
            head: start,
            tail_seen: start,
            tail: start,
            head_seen: start,
            left: false,
            wants_space: false,
            published: false,
            taken: false,
            violation: None,
        }
    }

    /// The violation that killed this end, if one did.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    fn alive(&self) -> Result<(), Violation> {
        self.violation.map_or(Ok(()), Err)
    }

    /// Kills this end for what its guest did elsewhere.
    ///
    /// # Errors
    /// Always: the violation, or the earlier one.
    pub fn condemn<T>(&mut self, violation: Violation) -> Result<T, Violation> {
        self.alive()?;
        self.kill(violation)
    }

    fn kill<T>(&mut self, violation: Violation) -> Result<T, Violation> {
        self.violation = Some(violation);
        Err(violation)
    }

    /// Bytes that can be published now: one look at the guest's tail.
    ///
    /// # Errors
    /// The violation that the look revealed, or the earlier one.
    #[inline]
    pub fn free<const RING: usize>(&mut self, slot: &Slot<RING>) -> Result<usize, Violation> {
        self.alive()?;
        let tail = slot.control.guest.to_guest_tail.load(Acquire);
        // At most as far behind the head as before: so it neither passed the head nor went backwards.
        let used = self.head.wrapping_sub(tail);
        if used > self.head.wrapping_sub(self.tail_seen) {
            return self.kill(Violation::Cursor);
        }
        self.tail_seen = tail;
        Ok(RING - used as usize)
    }

    /// Bytes that can be taken now: one look at the guest's head.
    ///
    /// # Errors
    /// The violation that the look revealed, or the earlier one.
    #[inline]
    pub fn readable<const RING: usize>(&mut self, slot: &Slot<RING>) -> Result<usize, Violation> {
        self.alive()?;
        let head = slot.control.guest.to_host_head.load(Acquire);
        let seen = lane::distance::<RING>(self.head_seen, self.tail).unwrap_or(0);
        match lane::distance::<RING>(head, self.tail) {
            Some(ready) if ready >= seen => {
                self.head_seen = head;
                Ok(ready)
            }
            _ => self.kill(Violation::Cursor),
        }
    }

    /// Publishes as much of `parts`, in order, as fits; says how many bytes. Tells nobody:
    /// see [`Self::notice`].
    ///
    /// # Errors
    /// As [`Self::free`].
    #[inline]
    pub fn publish<const RING: usize>(
        &mut self,
        slot: &Slot<RING>,
        parts: &[&[u8]],
    ) -> Result<usize, Violation> {
        let mut free = self.free(slot)?;
        let mut head = self.head;
        for part in parts {
            let len = part.len().min(free);
            // SAFETY: `len` bytes fit the free part of the ring, and a slice is readable for its length.
            unsafe { lane::put(&slot.to_guest, head, part.as_ptr(), len) };
            head = lane::advance(head, len);
            free -= len;
        }
        let published = head.wrapping_sub(self.head) as usize;
        if published > 0 {
            self.head = head;
            slot.control.host.to_guest_head.store(head, Release);
            self.published = true;
            self.no_longer_wants_space(slot);
        }
        Ok(published)
    }

    /// Takes up to `len` bytes to `target` and says how many. Tells nobody: see [`Self::notice`].
    ///
    /// # Errors
    /// As [`Self::readable`].
    ///
    /// # Safety
    /// `target` is writable for `len` bytes.
    #[inline]
    pub unsafe fn take<const RING: usize>(
        &mut self,
        slot: &Slot<RING>,
        target: *mut u8,
        len: usize,
    ) -> Result<usize, Violation> {
        let len = len.min(self.readable(slot)?);
        if len > 0 {
            // SAFETY: `len` bytes are in the filled part of the ring, and writable by the caller's promise.
            unsafe { lane::get(&slot.to_host, self.tail, target, len) };
            self.tail = lane::advance(self.tail, len);
            slot.control.host.to_host_tail.store(self.tail, Release);
            self.taken = true;
        }
        Ok(len)
    }

    /// After the guest left: copies what it has not taken to `target`, oldest first, once.
    ///
    /// # Errors
    /// As [`Self::free`].
    ///
    /// # Safety
    /// `target` is writable for `RING` bytes.
    pub unsafe fn take_back<const RING: usize>(
        &mut self,
        slot: &Slot<RING>,
        target: *mut u8,
    ) -> Result<usize, Violation> {
        let len = RING - self.free(slot)?;
        // SAFETY: `len <= RING`, writable by the caller's promise. These are the bytes as they lie in the
        // guest's memory now; it could only have damaged its own stream.
        unsafe { lane::get(&slot.to_guest, self.tail_seen, target, len) };
        // Nothing is left to take back a second time.
        self.tail_seen = self.head;
        slot.control.guest.to_guest_tail.store(self.head, Relaxed);
        Ok(len)
    }

    /// Whether the guest is on the ring: one look. Once `Left`, what [`Self::readable`] then says is all
    /// that will ever come by the ring.
    ///
    /// # Errors
    /// A word that is no state, a guest that came back, or the earlier violation.
    pub fn guest<const RING: usize>(&mut self, slot: &Slot<RING>) -> Result<GuestState, Violation> {
        self.alive()?;
        match slot.control.guest.guest_state.load(Acquire) {
            abi::GUEST_OPEN if !self.left => Ok(GuestState::Open),
            abi::GUEST_LEFT => {
                self.left = true;
                Ok(GuestState::Left)
            }
            _ => self.kill(Violation::State),
        }
    }

    /// Asks to be told when half of the ring towards the guest is free. True: it is already, publish on.
    ///
    /// # Errors
    /// As [`Self::free`].
    pub fn wants_space<const RING: usize>(&mut self, slot: &Slot<RING>) -> Result<bool, Violation> {
        slot.control.host.host_wants_space.store(1, Relaxed);
        self.wants_space = true;
        // Pairs with the fence of the guest's `notify_space`: one of the two sees the other's store.
        full_fence();
        let writable = self.free(slot)? >= abi::writable_at(RING);
        if writable {
            self.no_longer_wants_space(slot);
        }
        Ok(writable)
    }

    fn no_longer_wants_space<const RING: usize>(&mut self, slot: &Slot<RING>) {
        if self.wants_space {
            self.wants_space = false;
            slot.control.host.host_wants_space.store(0, Relaxed);
        }
    }

    /// Says that nothing follows (`HOST_ENDED`), or that the host leaves (`HOST_GONE`).
    pub fn set_state<const RING: usize>(&mut self, slot: &Slot<RING>, state: u32) {
        slot.control.host.host_state.store(state, Release);
        self.published = true;
    }

    /// Tells the guest what happened since the last call: data, an end, or space that it waits for.
    ///
    /// # Errors
    /// A waiter that is none, or the earlier violation.
    #[inline]
    pub fn notice<const RING: usize>(
        &mut self,
        slot: &Slot<RING>,
        waiters: &[Doorbell],
    ) -> Result<Notice, Violation> {
        self.alive()?;
        if !self.published && !self.taken {
            return Ok(Notice::Nobody);
        }
        let guest = &slot.control.guest;
        // Our cursors are out before we look whether anyone waits for them, and where.
        full_fence();
        let due = self.published || self.space_is_due::<RING>(&guest.guest_wants_space);
        (self.published, self.taken) = (false, false);
        if !due {
            return Ok(Notice::Nobody);
        }
        let Some(waiter) = guest.waiter.load(Relaxed).checked_sub(1) else {
            return Ok(Notice::Nobody);
        };
        match waiters.get(waiter as usize) {
            None => self.kill(Violation::Waiter),
            Some(bell) if doorbell::mark(bell, self.bit) => Ok(Notice::Waiter(waiter)),
            Some(_) => Ok(Notice::Awake),
        }
    }

    fn space_is_due<const RING: usize>(&self, wanted: &crate::sync::AtomicU32) -> bool {
        let used = lane::distance::<RING>(self.head_seen, self.tail).unwrap_or(0);
        used <= RING - abi::writable_at(RING) && wanted.load(Relaxed) != 0
    }
}
