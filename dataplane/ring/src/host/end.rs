//! The host's end of one connection.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::counts::Counts;
use super::error::RingError;
use super::slab::{Shared, Slab};
use crate::abi::{self, Slot, Upgrade, RING_BYTES};
use crate::side::{GuestState, Notice, Side, Violation};

/// What [`HostEnd::notify`] had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing to tell, or nobody waits for it.
    Nobody,
    /// The guest was awake: no system call.
    Awake,
    /// Its eventfd was written.
    Woken,
}

/// A guest that sleeps and nobody else will wake: it must be woken, also where this end is dead by then.
#[must_use]
#[derive(Debug)]
pub struct Sleeper(u32);

/// The host's end of one connection on a ring. `Send`; one thread at a time.
///
/// After the first [`RingError`] every call answers with it: cut the connection. Dropping the end frees
/// the slot, so drop it only once the guest's end of the descriptor is closed.
pub struct HostEnd {
    shared: Arc<Shared>,
    side: Side,
    index: u32,
    generation: u32,
    bell: u32,
    counts: Counts,
}

impl HostEnd {
    pub(super) fn new(
        shared: Arc<Shared>,
        side: Side,
        index: u32,
        generation: u32,
        bell: u32,
    ) -> Self {
        Self {
            shared,
            side,
            index,
            generation,
            bell,
            counts: Counts::default(),
        }
    }

    /// Index of its slot: its bit in [`super::Bell::take`].
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What the guest is told at the upgrade.
    #[must_use]
    pub fn upgrade(&self, pending: u32) -> Upgrade {
        Upgrade {
            slot: self.index,
            generation: self.generation,
            bell: self.bell,
            pending,
        }
    }

    /// The slab it lies in.
    #[must_use]
    pub fn slab(&self) -> Slab {
        Slab(Arc::clone(&self.shared))
    }

    /// Publishes as much of `bytes` as fits and says how much. The guest hears of it by [`Self::notify`].
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn publish(&mut self, bytes: &[u8]) -> Result<usize, RingError> {
        self.publish_parts(&[bytes])
    }

    /// As [`Self::publish`], for several pieces in order.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn publish_parts(&mut self, parts: &[&[u8]]) -> Result<usize, RingError> {
        let published = self.with(|side, slot| side.publish(slot, parts))?;
        self.counts.bytes_to_guest += published as u64;
        Ok(published)
    }

    /// Takes into `target` as much as it holds and says how much. Call [`Self::notify`] afterwards.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn take(&mut self, target: &mut [u8]) -> Result<usize, RingError> {
        let (to, len) = (target.as_mut_ptr(), target.len());
        // SAFETY: a mutable slice is writable for its length.
        let taken = self.with(|side, slot| unsafe { side.take(slot, to, len) })?;
        self.counts.bytes_to_host += taken as u64;
        Ok(taken)
    }

    /// Appends up to `max` bytes to `target` and says how many. Call [`Self::notify`] afterwards.
    ///
    /// # Errors
    /// The guest broke the protocol; `target` is as it was.
    pub fn take_into(&mut self, target: &mut Vec<u8>, max: usize) -> Result<usize, RingError> {
        let max = max.min(self.readable()?);
        target.reserve(max);
        let to = target.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `max` bytes were reserved behind the length.
        let taken = self.with(|side, slot| unsafe { side.take(slot, to, max) })?;
        // SAFETY: `taken <= max` bytes behind the old length were written.
        unsafe { target.set_len(target.len() + taken) };
        self.counts.bytes_to_host += taken as u64;
        Ok(taken)
    }

    /// After the guest left: appends what it was sent and has not consumed, once. It goes to the
    /// descriptor before all further bytes.
    ///
    /// # Errors
    /// The guest broke the protocol; `target` is as it was.
    pub fn take_back(&mut self, target: &mut Vec<u8>) -> Result<usize, RingError> {
        target.reserve(RING_BYTES);
        let to = target.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: RING_BYTES were reserved behind the length.
        let taken = self.with(|side, slot| unsafe { side.take_back(slot, to) })?;
        // SAFETY: `taken <= RING_BYTES` bytes behind the old length were written.
        unsafe { target.set_len(target.len() + taken) };
        Ok(taken)
    }

    /// Bytes that can be taken now.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn readable(&mut self) -> Result<usize, RingError> {
        self.with(Side::readable)
    }

    /// Bytes that can be published now.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn free(&mut self) -> Result<usize, RingError> {
        self.with(Side::free)
    }

    /// Asks the guest to ring when half of the ring is free. True: it is already, publish on; false: the
    /// bell will say so.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn wants_space(&mut self) -> Result<bool, RingError> {
        self.with(Side::wants_space)
    }

    /// Whether the guest is on the ring. Look at this **before** taking: once it is `Left`, what can be
    /// taken then is the last that comes by the ring.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn guest(&mut self) -> Result<GuestState, RingError> {
        self.with(Side::guest)
    }

    /// Says that nothing follows what was published. Then [`Self::notify`].
    pub fn end_sending(&mut self) {
        self.side
            .set_state(slot_of(&self.shared, self.index), abi::HOST_ENDED);
    }

    /// Says that the host leaves in both directions. Then [`Self::notify`].
    pub fn go(&mut self) {
        self.side
            .set_state(slot_of(&self.shared, self.index), abi::HOST_GONE);
    }

    /// Tells the guest of data, an end, or space it waits for, since the last call; wakes it if it sleeps.
    /// Once for any number of publishes and takes; of several ends behind one waiter only the first wakes.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn notify(&mut self) -> Result<Told, RingError> {
        match self.notice()? {
            Notice::Nobody => Ok(Told::Nobody),
            Notice::Awake => Ok(Told::Awake),
            Notice::Waiter(waiter) => self.wake(Sleeper(waiter)),
        }
    }

    /// As [`Self::notify`], but leaves a guest asleep that has to be woken: first mark all ends that have news,
    /// then [`Self::wake`]. On one core a woken guest runs at once, and should find everything.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn mark(&mut self) -> Result<Option<Sleeper>, RingError> {
        Ok(match self.notice()? {
            Notice::Nobody | Notice::Awake => None,
            Notice::Waiter(waiter) => Some(Sleeper(waiter)),
        })
    }

    fn notice(&mut self) -> Result<Notice, RingError> {
        let image = self.shared.mapping.image();
        let slot = &image.slots[self.index as usize];
        let notice = counted(&mut self.side, &mut self.counts, |side| {
            side.notice(slot, &image.waiters)
        })?;
        if notice == Notice::Awake {
            self.counts.wakes_avoided += 1;
        }
        Ok(notice)
    }

    /// Wakes whom [`Self::mark`] found asleep.
    ///
    /// # Errors
    /// The guest broke the protocol.
    pub fn wake(&mut self, sleeper: Sleeper) -> Result<Told, RingError> {
        // One that was never given has no eventfd, and nobody behind it.
        let Some(eventfd) = self.shared.waiter_fd(sleeper.0) else {
            return Ok(Told::Nobody);
        };
        if self.shared.toll.wake(|| write_wake(eventfd)).is_none() {
            return counted(&mut self.side, &mut self.counts, |side| {
                side.condemn(Violation::DearWakes)
            });
        }
        self.counts.wakes_written += 1;
        Ok(Told::Woken)
    }

    /// The violation that killed this end, if one did.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.side.violation()
    }

    /// What this end did since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    #[inline]
    fn with<T>(
        &mut self,
        operation: impl FnOnce(&mut Side, &Slot) -> Result<T, Violation>,
    ) -> Result<T, RingError> {
        let slot = slot_of(&self.shared, self.index);
        counted(&mut self.side, &mut self.counts, |side| {
            operation(side, slot)
        })
    }
}

/// Runs an operation and counts the violation that it reveals; an end has only one.
#[inline]
fn counted<T>(
    side: &mut Side,
    counts: &mut Counts,
    operation: impl FnOnce(&mut Side) -> Result<T, Violation>,
) -> Result<T, RingError> {
    let dead = side.violation().is_some();
    operation(side).map_err(|violation| {
        counts.violations += u64::from(!dead);
        RingError(violation)
    })
}

fn slot_of(shared: &Shared, index: u32) -> &Slot {
    &shared.mapping.image().slots[index as usize]
}

impl Drop for HostEnd {
    fn drop(&mut self) {
        let slot = slot_of(&self.shared, self.index);
        self.side.set_state(slot, abi::HOST_GONE);
        self.shared.take_slot_back(self.index);
    }
}

/// Wakes whoever watches an eventfd of a slab. It cannot block (see [`abi::EVENTFD_INITIAL`]), and the only
/// way it can fail is a guest that made its own counter unusable.
pub(super) fn write_wake(eventfd: BorrowedFd<'_>) {
    let _ = rustix::io::write(eventfd, &abi::EVENTFD_WAKE.to_ne_bytes());
}
