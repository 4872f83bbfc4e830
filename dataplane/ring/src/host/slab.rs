//! One sandbox's slab: its memory, which slots and waiters are given, and its eventfds.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::event::{eventfd, EventfdFlags};

use super::bell::Bell;
use super::end::HostEnd;
use super::error::SlabError;
use super::mapping::Mapping;
use super::toll::Toll;
use crate::abi::{self, BELLS, SLAB_BYTES, SLOTS, WAITERS};
use crate::guest::SlabView;
use crate::side::Side;
use crate::sync::Ordering::{Relaxed, Release};

/// One sandbox's slab. Cheap to clone; the memory lives as long as any clone, end or bell does.
#[derive(Clone)]
pub struct Slab(pub(super) Arc<Shared>);

/// What ends, bells and clones share. None of it is believed from the guest.
pub(super) struct Shared {
    pub(super) mapping: Mapping,
    given: Mutex<Given>,
    /// Made at first use and kept until the slab goes: a waiter that is given back and taken anew may be
    /// written to by another thread at that moment.
    waiters: [OnceLock<OwnedFd>; WAITERS],
    bells: [OnceLock<OwnedFd>; BELLS],
    pub(super) toll: Arc<Toll>,
}

struct Given {
    slots: u64,
    waiters: u128,
    generations: [u32; SLOTS],
}

impl Slab {
    /// Makes the memory of a slab: a memfd sealed against shrinking and growing, mapped, with only its
    /// header touched.
    ///
    /// # Errors
    /// [`SlabError::Memory`]: the sandbox stays on descriptors.
    pub fn create() -> Result<Self, SlabError> {
        Self::with_toll(Arc::default())
    }

    /// As [`Self::create`], for a sandbox whose guest is also woken by other ways.
    ///
    /// # Errors
    /// [`SlabError::Memory`].
    pub fn with_toll(toll: Arc<Toll>) -> Result<Self, SlabError> {
        let mapping = Mapping::create()?;
        let header = &mapping.image().header;
        header.version.store(abi::VERSION, Relaxed);
        header.slab_bytes.store(SLAB_BYTES as u64, Relaxed);
        for (word, size) in [
            (&header.slots, SLOTS),
            (&header.ring_bytes, abi::RING_BYTES),
            (&header.waiters, WAITERS),
            (&header.bells, BELLS),
        ] {
            word.store(u32::try_from(size).unwrap_or(u32::MAX), Relaxed);
        }
        header.magic.store(abi::MAGIC, Release);
        Ok(Self(Arc::new(Shared {
            mapping,
            given: Mutex::new(Given {
                slots: 0,
                waiters: 0,
                generations: [first_generation(); SLOTS],
            }),
            waiters: [const { OnceLock::new() }; WAITERS],
            bells: [const { OnceLock::new() }; BELLS],
            toll,
        })))
    }

    /// The descriptor of the slab's memory, for the guest.
    #[must_use]
    pub fn memfd(&self) -> BorrowedFd<'_> {
        self.0.mapping.memfd()
    }

    /// The guest's view of this slab through the host's own mapping: for tests and measurements that play
    /// the guest in the same process.
    ///
    /// # Panics
    /// When a guest has damaged the header meanwhile.
    #[must_use]
    pub fn guest_view(&self) -> SlabView<'_> {
        let base = std::ptr::from_ref(self.0.mapping.image()).cast::<u8>();
        // SAFETY: mapped for its whole length as long as `self`.
        unsafe { SlabView::new(base, SLAB_BYTES) }.expect("a slab of this build")
    }

    /// Says how long a guest may poll before it parks, in nanoseconds; 0: not at all.
    pub fn set_spin_ns(&self, spin_ns: u32) {
        self.0
            .mapping
            .image()
            .header
            .spin_ns
            .store(spin_ns, Relaxed);
    }

    /// Gives a slot to a connection whose worker sleeps behind `bell`; `None` when all are taken.
    ///
    /// # Errors
    /// [`SlabError::NoSuchBell`].
    pub fn open(&self, bell: u32) -> Result<Option<HostEnd>, SlabError> {
        self.open_from(bell, 0)
    }

    /// As [`Self::open`], with cursors that begin at `start`: tests begin shortly before they overflow.
    ///
    /// # Errors
    /// [`SlabError::NoSuchBell`].
    pub fn open_from(&self, bell: u32, start: u32) -> Result<Option<HostEnd>, SlabError> {
        if bell as usize >= BELLS {
            return Err(SlabError::NoSuchBell(bell));
        }
        let Some((index, generation)) = self.0.give_slot() else {
            return Ok(None);
        };
        let slot = &self.0.mapping.image().slots[index as usize];
        let side = Side::open(slot, index, generation, bell, start);
        Ok(Some(HostEnd::new(
            Arc::clone(&self.0),
            side,
            index,
            generation,
            bell,
        )))
    }

    /// Slots given at the moment.
    #[must_use]
    pub fn slots_open(&self) -> u32 {
        self.0.given().slots.count_ones()
    }

    /// One worker's bell; its eventfd is made at the first call and is the same ever after.
    ///
    /// # Errors
    /// [`SlabError::NoSuchBell`], [`SlabError::Eventfd`].
    pub fn bell(&self, index: u32) -> Result<Bell, SlabError> {
        let place = self
            .0
            .bells
            .get(index as usize)
            .ok_or(SlabError::NoSuchBell(index))?;
        eventfd_in(place)?;
        Ok(Bell::new(Arc::clone(&self.0), index))
    }

    /// Gives a waiter to the guest: its index; `None` when all are taken. Its eventfd: [`Self::waiter_fd`].
    ///
    /// # Errors
    /// [`SlabError::Eventfd`].
    pub fn waiter_open(&self) -> Result<Option<u32>, SlabError> {
        let mut given = self.0.given();
        let index = given.waiters.trailing_ones();
        let Some(place) = self.0.waiters.get(index as usize) else {
            return Ok(None);
        };
        eventfd_in(place)?;
        given.waiters |= 1 << index;
        Ok(Some(index))
    }

    /// The eventfd of a waiter that was given once.
    #[must_use]
    pub fn waiter_fd(&self, index: u32) -> Option<BorrowedFd<'_>> {
        self.0.waiter_fd(index)
    }

    /// Takes a waiter back; false if it was not given.
    #[must_use]
    pub fn waiter_free(&self, index: u32) -> bool {
        let mut given = self.0.given();
        let bit = 1_u128.checked_shl(index).unwrap_or(0);
        let was_given = given.waiters & bit != 0;
        given.waiters &= !bit;
        was_given
    }
}

impl Shared {
    fn given(&self) -> std::sync::MutexGuard<'_, Given> {
        // Nothing in here can be half done, so a panic elsewhere leaves it sound.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_slot(&self) -> Option<(u32, u32)> {
        let mut given = self.given();
        let index = given.slots.trailing_ones();
        let generation = given.generations.get_mut(index as usize)?;
        *generation = generation.wrapping_add(1);
        let generation = *generation;
        given.slots |= 1 << index;
        Some((index, generation))
    }

    /// The slot's pages stay, for the next connection. Dropping them (`fallocate`) would wait for the memfd's inode
    /// lock, which a guest's thread of the lowest priority holds for seconds in a `write` to the slab: every other
    /// guest of this worker would wait with us.
    pub(super) fn take_slot_back(&self, index: u32) {
        self.given().slots &= !(1 << index);
    }

    pub(super) fn waiter_fd(&self, index: u32) -> Option<BorrowedFd<'_>> {
        Some(self.waiters.get(index as usize)?.get()?.as_fd())
    }

    pub(super) fn bell_fd(&self, index: u32) -> Option<BorrowedFd<'_>> {
        Some(self.bells.get(index as usize)?.get()?.as_fd())
    }
}

/// A generation that an earlier slab did not use, most likely: a process may still have one mapped that
/// an earlier jnetd made, and tells by this that it is stale.
fn first_generation() -> u32 {
    let mut bytes = [0; 4];
    // Cannot fail for so few bytes once the system has booted; otherwise zero serves.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u32::from_ne_bytes(bytes)
}

/// The eventfd in `place`, made now if it is empty.
fn eventfd_in(place: &OnceLock<OwnedFd>) -> Result<&OwnedFd, SlabError> {
    if let Some(made) = place.get() {
        return Ok(made);
    }
    // See `abi::EVENTFD_INITIAL` for why it begins at 1.
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let fresh =
        eventfd(abi::EVENTFD_INITIAL, flags).map_err(|errno| SlabError::Eventfd(errno.into()))?;
    Ok(place.get_or_init(|| fresh))
}
