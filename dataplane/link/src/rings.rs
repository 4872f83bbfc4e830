//! The rings of one sandbox: its slab, which slots are free again, and what was counted.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jd_ring::abi::SLOTS;
use jd_ring::host::{Bell, HostEnd, Slab, SlabError, Toll};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;

use crate::tally::{RingCounters, Tally};
use crate::upgrade::Refusal;
use crate::waiters::Waiters;

/// Distance of two reports of one kind of misbehaviour.
const REPORT_DISTANCE: Duration = Duration::from_secs(1);

/// Hears of misbehaviour of the guest. Called by workers: it must not wait.
pub type Report = Box<dyn Fn(&'static str) + Send + Sync>;

/// The rings of one sandbox.
pub struct Rings {
    id: u64,
    slab: Slab,
    waiters: Waiters,
    /// Watches the guests' ends of all connections that got a slot. It holds no reference to them: an end
    /// that the guest closed for good is not in it any more.
    guest_ends: OwnedFd,
    /// Ends that we closed and the guest perhaps not.
    closing: Mutex<Vec<HostEnd>>,
    toll: Arc<Toll>,
    tally: Tally,
    report: Report,
    reported: Mutex<HashMap<&'static str, Instant>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rings {
    /// A fresh slab; misbehaviour of its guest goes to `report`, at most once per kind and second.
    ///
    /// # Errors
    /// No memory or descriptor left: the sandbox stays on sockets.
    pub fn new(report: Report) -> Result<Self, SlabError> {
        Self::with_toll(report, Arc::default())
    }

    /// As [`Self::new`], where the guest's wakes by other ways count too.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_toll(report: Report, toll: Arc<Toll>) -> Result<Self, SlabError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let slab = Slab::with_toll(Arc::clone(&toll))?;
        let guest_ends = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|error| SlabError::Eventfd(error.into()))?;
        Ok(Self {
            id: NEXT.fetch_add(1, Relaxed),
            slab,
            waiters: Waiters::default(),
            guest_ends,
            closing: Mutex::default(),
            toll,
            tally: Tally::default(),
            report,
            reported: Mutex::default(),
        })
    }

    /// Number of this slab, never used twice in this process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The descriptor of the slab's memory, for the guest.
    #[must_use]
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.slab.memfd()
    }

    /// The bell of one worker.
    ///
    /// # Errors
    /// A slab has no such bell, or no descriptor is left.
    pub fn bell(&self, index: u32) -> Result<Bell, SlabError> {
        self.slab.bell(index)
    }

    /// What a guest sees of the slab: for tests that are the guest.
    #[must_use]
    pub fn guest_view(&self) -> jd_ring::guest::SlabView<'_> {
        self.slab.guest_view()
    }

    /// Says how long the guest may poll before it parks, in nanoseconds.
    pub fn set_spin_ns(&self, spin_ns: u32) {
        self.slab.set_spin_ns(spin_ns);
    }

    /// Gives a waiter to the process behind the pidfd `owner`.
    ///
    /// # Errors
    /// `ENOBUFS`: all are taken; `EMFILE`.
    pub fn take_waiter(&self, owner: OwnedFd) -> Result<u32, Errno> {
        self.waiters.take(&self.slab, owner)
    }

    /// The eventfd of a waiter that was given.
    #[must_use]
    pub fn waiter(&self, index: u32) -> Option<BorrowedFd<'_>> {
        self.slab.waiter_fd(index)
    }

    /// Takes a waiter back.
    ///
    /// # Errors
    /// `EINVAL`: it was not given.
    pub fn give_back_waiter(&self, index: u32) -> Result<(), Errno> {
        self.waiters.give_back(&self.slab, index)
    }

    /// A slot for a connection whose worker sleeps behind `bell` and whose other end is `guest_end`.
    ///
    /// # Errors
    /// [`Refusal::NoSlot`]; the end cannot be watched, or waking the guest costs too much.
    pub fn open(&self, bell: u32, guest_end: impl AsFd) -> Result<HostEnd, Refusal> {
        if self.toll.is_barred() {
            return Err(Refusal::Unsuitable);
        }
        self.sweep();
        let opened = self.slab.open(bell).map_err(|_| Refusal::Unsuitable)?;
        let end = opened.ok_or(Refusal::NoSlot)?;
        // No event is asked for: a hang-up is always told, and told again as long as the end lives.
        let data = EventData::new_u64(u64::from(end.index()));
        epoll::add(&self.guest_ends, guest_end, data, EventFlags::empty())
            .map_err(|_| Refusal::Unsuitable)?;
        self.tally.upgraded();
        Ok(end)
    }

    /// Takes an end whose descriptor of ours **is closed already**. Its slot is given anew only when the
    /// guest's end is closed too: until then the guest may read what is left in the ring. `left`: it went
    /// back to its descriptor before.
    pub fn close(&self, mut end: HostEnd, left: bool) {
        if !left {
            self.tally.closed();
        }
        end.go();
        // A guest that broke the protocol is told by the hang-up of its descriptor.
        let _ = end.notify();
        self.count(&mut end);
        locked(&self.closing).push(end);
        self.sweep();
    }

    /// Frees the slots whose guest's end is closed.
    fn sweep(&self) {
        let mut closing = locked(&self.closing);
        if closing.is_empty() {
            return;
        }
        let mut events = [Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        }; SLOTS];
        // Level-triggered: whatever lives and has lost its other end is in the answer, every time.
        let Ok(count) = epoll::wait(&self.guest_ends, &mut events, Some(&Timespec::default()))
        else {
            return;
        };
        let living = events[..count]
            .iter()
            .fold(0_u64, |bits, event| bits | 1 << (event.data.u64() % 64));
        closing.retain(|end| living & 1 << end.index() != 0);
    }

    /// Adds what an end did to the counters.
    pub fn count(&self, end: &mut HostEnd) {
        self.tally.add(end.take_counts());
    }

    /// The counters that others than ends write.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// All counters.
    #[must_use]
    pub fn counters(&self) -> RingCounters {
        self.sweep();
        let blocks = rustix::fs::fstat(self.memory()).map_or(0, |facts| facts.st_blocks);
        RingCounters {
            ring_bytes: u64::try_from(blocks).unwrap_or(0) * 512,
            ..self.tally.read()
        }
    }

    /// Tells of misbehaviour, seldom enough not to be a flood of its own.
    pub fn report(&self, kind: &'static str) {
        let now = Instant::now();
        let mut reported = locked(&self.reported);
        let last = reported.insert(kind, now);
        match last {
            Some(last) if now.saturating_duration_since(last) < REPORT_DISTANCE => {
                reported.insert(kind, last);
            }
            _ => {
                drop(reported);
                (self.report)(kind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn rings() -> Rings {
        Rings::new(Box::new(|_| {})).expect("a slab")
    }

    #[test]
    fn the_guest_sees_how_long_it_may_poll() {
        let rings = rings();
        assert_eq!(rings.guest_view().spin_ns(), 0);
        rings.set_spin_ns(20_000);
        assert_eq!(rings.guest_view().spin_ns(), 20_000);
    }

    #[test]
    fn a_slot_comes_back_when_the_guest_has_closed_too() {
        let rings = rings();
        let (ours, guest) = UnixStream::pair().expect("pair");
        let copy = guest.try_clone().expect("copy");
        let end = rings.open(0, &copy).expect("slot");
        drop(copy);
        assert_eq!((end.index(), rings.slab.slots_open()), (0, 1));
        drop(ours);
        rings.close(end, false);
        rings.sweep();
        assert_eq!(rings.slab.slots_open(), 1, "the guest may still read");
        drop(guest);
        assert_eq!(rings.counters().ring_connections, 0);
        assert_eq!(rings.slab.slots_open(), 0);
    }

    #[test]
    fn a_guest_that_shut_down_both_ways_still_has_its_slot() {
        let rings = rings();
        let (ours, guest) = UnixStream::pair().expect("pair");
        let end = rings.open(0, &guest).expect("slot");
        guest.shutdown(std::net::Shutdown::Both).expect("shutdown");
        drop(ours);
        rings.close(end, false);
        assert_eq!(rings.slab.slots_open(), 1);
        drop(guest);
        rings.sweep();
        assert_eq!(rings.slab.slots_open(), 0);
    }

    #[test]
    fn slots_run_out_and_come_back() {
        let rings = rings();
        let mut pairs: Vec<_> = (0..SLOTS)
            .map(|_| UnixStream::pair().expect("pair"))
            .collect();
        let ends: Vec<_> = pairs
            .iter()
            .map(|(_, guest)| rings.open(3, guest).expect("slot"))
            .collect();
        let (ours, guest) = UnixStream::pair().expect("pair");
        assert_eq!(rings.open(3, &guest).err(), Some(Refusal::NoSlot));
        let (first, kept) = pairs.remove(0);
        drop((first, kept));
        ends.into_iter()
            .take(1)
            .for_each(|end| rings.close(end, false));
        assert!(rings.open(3, &guest).is_ok());
        drop(ours);
    }
}
