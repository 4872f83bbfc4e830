//! A ring connection's place in an epoll set: what the program asked for, and what it was told last.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::set::{self, Set};
use crate::connection::{Ring, WRITE_CUT};
use crate::sys::{self, ready, EpollEvent};

/// The events were told once and are not told again before they are asked for anew (`EPOLLONESHOT`).
const SPENT: u32 = 1;
/// Asked for anew: whatever is ready now is news (`EPOLL_CTL_ADD`, `EPOLL_CTL_MOD`).
const FRESH: u32 = 2;

/// Flags of an interest that are not events.
const PRIVATE: u32 = ready::EDGE | ready::ONESHOT | ready::EXCLUSIVE | ready::WAKEUP;

/// See the module.
pub struct Membership {
    /// Index + 1 of the set; 0: in none.
    set: AtomicU32,
    events: AtomicU32,
    data: AtomicU64,
    state: AtomicU32,
    /// `to_guest_head` when the program was told of bytes last.
    told_head: AtomicU32,
    /// Whether the program was told of the end.
    told_end: AtomicU32,
}

impl Membership {
    /// In no set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            set: AtomicU32::new(0),
            events: AtomicU32::new(0),
            data: AtomicU64::new(0),
            state: AtomicU32::new(0),
            told_head: AtomicU32::new(0),
            told_end: AtomicU32::new(0),
        }
    }

    /// In no set any more. The kernel's registration, if there still is one, is the caller's.
    pub fn clear(&self) {
        self.set.store(0, Ordering::Release);
    }

    /// The set that it is in.
    #[must_use]
    pub fn set(&self) -> Option<&'static Set> {
        set::at(self.set.load(Ordering::Acquire).checked_sub(1)?)
    }

    /// Whether it is in this set.
    #[inline]
    #[must_use]
    pub fn is_in(&self, set: &Set) -> bool {
        self.set.load(Ordering::Acquire) == set.index() + 1
    }

    /// What was asked for. `fresh`: asked for just now, so that what is ready is news.
    pub fn put(&self, set: &Set, events: u32, data: u64, fresh: bool) {
        self.events.store(events, Ordering::Relaxed);
        self.data.store(data, Ordering::Relaxed);
        self.told_end.store(0, Ordering::Relaxed);
        self.state
            .store(if fresh { FRESH } else { 0 }, Ordering::Release);
        self.set.store(set.index() + 1, Ordering::Release);
    }

    /// Gives the kernel the program's own interest in the descriptor, as if it had never been on a ring.
    pub fn hand_back(&self, fd: i32) {
        let Some(set) = self.set() else { return };
        let mut events = self.events.load(Ordering::Relaxed);
        if self.state.load(Ordering::Relaxed) & SPENT != 0 {
            events &= PRIVATE;
        }
        self.clear();
        let _ = sys::epoll_ctl(
            set.fd(),
            super::MODIFY,
            fd,
            events,
            self.data.load(Ordering::Relaxed),
        );
    }

    /// Something has changed on this side: the set looks at the connection at its next wait.
    pub fn touch(&self, index: u32) {
        if let Some(set) = self.set() {
            set.heat(1 << index);
        }
    }

    /// A blocking call slept for the connection and is done: its set is told again.
    pub fn resume(&self, ring: Ring) {
        if let Some(set) = self.set() {
            ring.end().set_waiter(set.waiter_index());
            set.heat(1 << ring.index);
            set.nudge();
        }
    }

    /// The event to tell the program now, if there is one, and whether the connection stays worth looking at.
    #[must_use]
    pub fn event(&self, ring: Ring) -> (Option<EpollEvent>, bool) {
        let state = self.state.load(Ordering::Acquire);
        if state & SPENT != 0 {
            return (None, false);
        }
        let interest = self.events.load(Ordering::Relaxed);
        let head = ring.image().slots[ring.index as usize]
            .control
            .host
            .to_guest_head
            .load(Ordering::Acquire);
        let bits = ring.readiness(interest) & (interest & !PRIVATE | ready::ERR | ready::HUP);
        if bits == 0 {
            return (None, false);
        }
        let edge = interest & ready::EDGE != 0;
        if edge && state & FRESH == 0 && !self.is_news(ring, bits, head) {
            return (None, false);
        }
        self.told_head.store(head, Ordering::Relaxed);
        self.told_end.store(
            bits & (ready::RDHUP | ready::HUP) | u32::from(ring.ended()),
            Ordering::Relaxed,
        );
        if bits & ready::OUT != 0 {
            ring.set(WRITE_CUT, false);
        }
        let spent = interest & ready::ONESHOT != 0;
        self.state
            .store(if spent { SPENT } else { 0 }, Ordering::Relaxed);
        let event = EpollEvent {
            events: bits,
            data: self.data.load(Ordering::Relaxed),
        };
        (Some(event), !edge && !spent)
    }

    /// Whether something of this has come since the program was told last.
    fn is_news(&self, ring: Ring, bits: u32, head: u32) -> bool {
        let bytes = bits & ready::IN != 0 && head != self.told_head.load(Ordering::Relaxed);
        let space = bits & ready::OUT != 0 && ring.has(WRITE_CUT);
        let end = bits & (ready::RDHUP | ready::HUP) | u32::from(ring.ended());
        bytes || space || end & !self.told_end.load(Ordering::Relaxed) != 0
    }

    /// At the upgrade: what came before it was told by the kernel already.
    pub fn told_until(&self, head: u32) {
        self.told_head.store(head, Ordering::Relaxed);
    }
}
