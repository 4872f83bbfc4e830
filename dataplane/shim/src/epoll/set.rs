//! One epoll descriptor of the program and the ring connections in it.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use jd_ring::guest::Waiter;

use crate::connection::{self, Ring};
use crate::lock::Lock;
use crate::process;
use crate::sys::{self, ready, EpollEvent};
use crate::table::{self, Kind, Word};

/// Epoll descriptors of one process that may have ring connections in them; connections in others stay as they are.
const SETS: usize = 64;

/// A set's word carries its index and, above it, how often the index was given out.
const GENERATION_AT: u32 = 8;
const _: () = assert!(SETS <= 1 << GENERATION_AT);

/// The upper 48 bits of the words that mark the kernel's events as the shim's own: no pointer (it is not canonical), no
/// small number, and nothing that a program comes upon.
const TAG: u64 = 0x9a52_4a53_686d << 16;
const TAG_MASK: u64 = 0xffff_ffff_ffff << 16;
/// Lower half of the waiter's tag; those of connections have their index there.
const TAG_WAITER: u64 = 0xffff;

/// See the module.
pub struct Set {
    index: u32,
    generation: AtomicU32,
    used: AtomicBool,
    fd: AtomicI32,
    /// Held while events are collected.
    lock: Lock,
    /// The program does something with the descriptor that only the kernel can answer: no rings in it any more.
    native: AtomicBool,
    /// Ring connections that may be in it, one bit each.
    members: AtomicU64,
    /// Those of them that may be ready.
    hot: AtomicU64,
    /// The kernel's answers may carry tags.
    tagged: AtomicBool,
    /// Index + 1 of the waiter; 0: none.
    waiter: AtomicU32,
    /// Threads in the kernel's wait.
    sleepers: AtomicU32,
    /// When the kernel was asked last, in ticks.
    looked: AtomicU64,
    /// Whether the kernel goes first the next time.
    kernels_turn: AtomicBool,
    /// Where the next collection begins, so that a full answer does not favour low indices.
    turn: AtomicU32,
}

static ALL: [Set; SETS] = {
    let mut all = [const { Set::new(0) }; SETS];
    let mut index = 0;
    while index < SETS {
        all[index] = Set::new(index as u32);
        index += 1;
    }
    all
};

/// The set of this index.
#[must_use]
pub fn at(index: u32) -> Option<&'static Set> {
    ALL.get(index as usize)
}

/// The set of an epoll descriptor.
#[inline]
#[must_use]
pub fn of(word: Word) -> Option<&'static Set> {
    if word.kind() != Kind::Epoll {
        return None;
    }
    at(word.payload() & ((1 << GENERATION_AT) - 1))
}

/// The program has made an epoll descriptor.
pub fn enter(fd: i32) {
    for set in &ALL {
        if set
            .used
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            set.fd.store(fd, Ordering::Relaxed);
            set.native.store(false, Ordering::Relaxed);
            set.tagged.store(false, Ordering::Relaxed);
            set.members.store(0, Ordering::Relaxed);
            set.hot.store(0, Ordering::Relaxed);
            let generation = set.generation.fetch_add(1, Ordering::Relaxed);
            let payload = generation << GENERATION_AT | set.index;
            if !table::set(fd, Word::new(Kind::Epoll, payload)) {
                set.used.store(false, Ordering::Release);
            }
            return;
        }
    }
}

/// In the child of a fork: the descriptors are shared with the parent now, so only the kernel can answer for them.
pub fn after_fork_in_child() {
    for set in &ALL {
        set.lock.reset();
        set.native.store(true, Ordering::Relaxed);
        set.members.store(0, Ordering::Relaxed);
        set.sleepers.store(0, Ordering::Relaxed);
    }
}

/// The waiters are gone with their slab.
pub fn forget_waiters() {
    for set in &ALL {
        set.waiter.store(0, Ordering::Relaxed);
    }
}

impl Set {
    const fn new(index: u32) -> Self {
        Self {
            index,
            generation: AtomicU32::new(0),
            used: AtomicBool::new(false),
            fd: AtomicI32::new(-1),
            lock: Lock::new(),
            native: AtomicBool::new(false),
            members: AtomicU64::new(0),
            hot: AtomicU64::new(0),
            tagged: AtomicBool::new(false),
            waiter: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            looked: AtomicU64::new(0),
            kernels_turn: AtomicBool::new(false),
            turn: AtomicU32::new(0),
        }
    }

    /// Its place in the table of sets.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The epoll descriptor.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.fd.load(Ordering::Relaxed)
    }

    /// Whether ring connections may be in it.
    #[must_use]
    pub fn takes_rings(&self) -> bool {
        !self.native.load(Ordering::Acquire)
    }

    /// Whether there ever was a ring connection in it: the kernel's answers may carry tags then.
    #[inline]
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        self.tagged.load(Ordering::Acquire)
    }

    /// Whether there are ring connections in it.
    #[must_use]
    pub fn has_members(&self) -> bool {
        self.members.load(Ordering::Acquire) != 0
    }

    /// Whether its ring connections alone may fill room for so many events.
    #[must_use]
    pub fn may_fill(&self, room: usize) -> bool {
        self.members.load(Ordering::Relaxed).count_ones() as usize >= room
    }

    /// Index of its waiter.
    #[must_use]
    pub fn waiter_index(&self) -> Option<u32> {
        self.waiter.load(Ordering::Acquire).checked_sub(1)
    }

    /// Its waiter's words in the slab.
    #[must_use]
    pub fn waiter(&self) -> Option<Waiter<'static>> {
        process::waiter(process::image()?, self.waiter_index()?)
    }

    /// How long a thread may poll before it sleeps.
    #[must_use]
    pub fn spin_ns(&self) -> u32 {
        process::image()
            .and_then(process::view)
            .map_or(0, |view| view.spin_ns())
    }

    /// Makes sure that it has a waiter, asked for over connection `fd`; false where there is none to be had.
    pub fn prepare(&self, fd: i32) -> bool {
        if self.waiter_index().and_then(process::waiter_fd).is_some() {
            return true;
        }
        let Some(index) = process::take_waiter(fd) else {
            return false;
        };
        // Before the kernel can say a word of it: an eventfd that is added is ready at once.
        self.tagged.store(true, Ordering::SeqCst);
        let added = process::waiter_fd(index).map(|eventfd| {
            sys::epoll_ctl(
                self.fd(),
                super::ADD,
                eventfd,
                ready::IN | ready::EDGE,
                TAG | TAG_WAITER,
            )
        });
        if added != Some(0) {
            process::drop_waiter(index);
            return false;
        }
        self.waiter.store(index + 1, Ordering::Release);
        true
    }

    /// The kernel's word for a connection in it.
    #[must_use]
    pub fn tag(ring: Ring) -> u64 {
        TAG | u64::from(ring.index)
    }

    /// A ring connection is in it from now on.
    pub fn admit(&self, ring: Ring) {
        self.members.fetch_or(1 << ring.index, Ordering::AcqRel);
        ring.end().set_waiter(self.waiter_index());
        self.heat(1 << ring.index);
        // Threads may sleep in the kernel that have not heard of rings yet.
        if let Some(waiter) = self.waiter() {
            let _ = waiter.arm();
        }
        self.nudge();
    }

    /// These connections are looked at by the next wait.
    pub fn heat(&self, slots: u64) {
        self.hot.fetch_or(slots, Ordering::SeqCst);
    }

    /// Wakes a thread that sleeps in the kernel's wait, if one does.
    pub fn nudge(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            if let Some(eventfd) = self.waiter_index().and_then(process::waiter_fd) {
                sys::wake(eventfd);
            }
        }
    }

    /// Makes sure that a thread that sleeps in the kernel's wait is woken by what comes, and by what is there.
    pub fn stand_watch(&self) {
        if self.sleepers.load(Ordering::SeqCst) == 0 {
            return;
        }
        let armed = self.waiter().is_none_or(|waiter| waiter.arm());
        if !armed || self.is_warm() {
            self.nudge();
        }
    }

    /// A thread goes to the kernel's wait.
    #[inline]
    pub fn fall_asleep(&self) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
    }

    /// And is back; true if others are still there.
    #[inline]
    pub fn wake_up(&self) -> bool {
        self.sleepers.fetch_sub(1, Ordering::SeqCst) > 1
    }

    /// Whether something may be ready without a look at the kernel.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.hot.load(Ordering::SeqCst) != 0
    }

    /// Whether the kernel's side of the set has not been looked at for a while.
    #[must_use]
    pub fn owes_a_look(&self) -> bool {
        /// Some twenty microseconds: what a pipe or a listener waits at most while rings keep the program busy.
        const PATIENCE_TICKS: u64 = 50_000;
        sys::ticks().wrapping_sub(self.looked.load(Ordering::Relaxed)) > PATIENCE_TICKS
    }

    /// True every other time.
    #[must_use]
    pub fn takes_turns(&self) -> bool {
        self.kernels_turn.fetch_xor(true, Ordering::Relaxed)
    }

    /// The kernel was asked just now.
    pub fn looked(&self) {
        self.looked.store(sys::ticks(), Ordering::Relaxed);
    }

    /// Events of ring connections, as many as there is room for.
    pub fn collect(&self, room: &mut [EpollEvent]) -> usize {
        let Some(_held) = self.lock.enter() else {
            return 0;
        };
        let news = self
            .waiter()
            .filter(Waiter::has_news)
            .map_or(0, |waiter| waiter.take());
        let members = self.members.load(Ordering::Acquire);
        let mut hot = (self.hot.swap(0, Ordering::SeqCst) | news) & members;
        let mut count = 0;
        let mut cold = 0_u64;
        let turn = self.turn.load(Ordering::Relaxed) % 64;
        let mut rest = hot.rotate_right(turn);
        while rest != 0 && count < room.len() {
            let index = (rest.trailing_zeros() + turn) % 64;
            rest &= rest - 1;
            let member = connection::at(index).filter(|ring| ring.connection.member.is_in(self));
            let Some(ring) = member else {
                self.members.fetch_and(!(1 << index), Ordering::AcqRel);
                cold |= 1 << index;
                continue;
            };
            let (event, stays) = ring.connection.member.event(ring);
            if let Some(event) = event {
                room[count] = event;
                count += 1;
                self.turn.store(index + 1, Ordering::Relaxed);
            }
            if !stays {
                cold |= 1 << index;
            }
        }
        hot &= !cold;
        if hot != 0 {
            self.heat(hot);
        }
        if rest != 0 {
            self.nudge();
        }
        count
    }

    /// Takes the shim's own events out of the kernel's answer; how many are left for the program.
    pub fn strip(&self, events: &mut [EpollEvent]) -> usize {
        let mut kept = 0;
        for at in 0..events.len() {
            let event = events[at];
            let data = event.data;
            if data & TAG_MASK != TAG {
                events[kept] = event;
                kept += 1;
            } else if data & !TAG_MASK != TAG_WAITER {
                let index = (data & !TAG_MASK) as u32;
                if let Some(ring) =
                    connection::at(index).filter(|ring| ring.connection.member.is_in(self))
                {
                    ring.heard(event.events);
                    self.heat(1 << index);
                }
            }
        }
        kept
    }

    /// Every connection in it goes back to its descriptor, and no further one comes to a ring.
    pub fn retire(&self) {
        self.native.store(true, Ordering::Release);
        connection::each(|ring| {
            if ring.connection.member.is_in(self) {
                ring.leave();
            }
        });
        if let Some(eventfd) = self.waiter_index().and_then(process::waiter_fd) {
            let _ = sys::epoll_ctl(self.fd(), super::DEL, eventfd, 0, 0);
        }
    }

    /// The program closes the descriptor.
    pub fn close(&self) {
        connection::each(|ring| {
            if ring.connection.member.is_in(self) {
                ring.connection.member.clear();
                ring.end().set_waiter(None);
            }
        });
        self.members.store(0, Ordering::Relaxed);
        if let Some(index) = self.waiter.swap(0, Ordering::AcqRel).checked_sub(1) {
            process::drop_waiter(index);
        }
        self.used.store(false, Ordering::Release);
    }
}
