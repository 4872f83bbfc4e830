//! The connections of this process that are on rings: one per slot of the slab.

use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use jd_ring::abi::{SlabImage, Upgrade, SLOTS};
use jd_ring::guest::{GuestEnd, HostState};

use crate::epoll::membership::Membership;
use crate::lock::{Guard, Lock};
use crate::park::Parker;
use crate::process;
use crate::sys::{self, ready};
use crate::table::{self, Kind, Word};

/// [`Connection::flags`]: `O_NONBLOCK`.
pub const NONBLOCK: u32 = 1;
/// The program has ended its own sending.
pub const SENT_LAST: u32 = 2;
/// The program wants to read nothing more.
pub const READ_LAST: u32 = 4;
/// The kernel has shown that the host sends nothing more.
pub const HOST_HUNG_UP: u32 = 8;
/// The kernel has shown that the descriptor is dead in both directions.
pub const DEAD: u32 = 16;
/// A write was cut short: the next space is an event.
pub const WRITE_CUT: u32 = 32;
/// The timeouts were read from the descriptor.
pub const TIMEOUTS_KNOWN: u32 = 64;

/// Bits of a payload that are the index; the others tell one connection from a later one.
const INDEX_BITS: u32 = 6;
const _: () = assert!(SLOTS == 1 << INDEX_BITS);

/// One connection on a ring, or room for one.
pub struct Connection {
    /// Held while bytes are taken.
    pub reading: Lock,
    /// Held while bytes are published.
    pub writing: Lock,
    /// Number of the connection that is here; 0: none.
    incarnation: AtomicU32,
    /// The descriptor.
    pub fd: AtomicI32,
    image: AtomicPtr<SlabImage>,
    /// Bytes that still lie in the socket and come before the ring's; changed under `reading`.
    pub pending: AtomicU32,
    /// See the constants of this module.
    pub flags: AtomicU32,
    /// `SO_RCVTIMEO`, 0: none.
    pub receive_timeout_ns: AtomicU64,
    /// `SO_SNDTIMEO`, 0: none.
    pub send_timeout_ns: AtomicU64,
    /// Its place in an epoll set.
    pub member: Membership,
    /// Where blocking calls sleep.
    pub parker: Parker,
}

static CONNECTIONS: [Connection; SLOTS] = [const { Connection::new() }; SLOTS];
/// Numbers the incarnations.
static INCARNATIONS: AtomicU32 = AtomicU32::new(0);
/// Connections on rings now.
static OPEN: AtomicU32 = AtomicU32::new(0);

/// Whether any connection of this process is on a ring.
#[inline]
#[must_use]
pub fn any() -> bool {
    OPEN.load(Ordering::Relaxed) != 0
}

/// A connection that was on a ring when it was looked up. Every operation looks again under its lock.
#[derive(Clone, Copy)]
pub struct Ring {
    /// Where it is.
    pub connection: &'static Connection,
    /// Its slot.
    pub index: u32,
    incarnation: u32,
}

impl Connection {
    const fn new() -> Self {
        Self {
            reading: Lock::new(),
            writing: Lock::new(),
            incarnation: AtomicU32::new(0),
            fd: AtomicI32::new(-1),
            image: AtomicPtr::new(core::ptr::null_mut()),
            pending: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            receive_timeout_ns: AtomicU64::new(0),
            send_timeout_ns: AtomicU64::new(0),
            member: Membership::new(),
            parker: Parker::new(),
        }
    }
}

/// The connection of a slot, if one is there.
#[inline]
#[must_use]
pub fn at(index: u32) -> Option<Ring> {
    let connection = CONNECTIONS.get(index as usize)?;
    let incarnation = connection.incarnation.load(Ordering::Acquire);
    (incarnation != 0).then_some(Ring {
        connection,
        index,
        incarnation,
    })
}

/// The connection of a descriptor whose word says that it is on a ring.
#[inline]
#[must_use]
pub fn of(word: Word) -> Option<Ring> {
    if word.kind() != Kind::Ring {
        return None;
    }
    let payload = word.payload();
    let index = payload & (SLOTS as u32 - 1);
    let ring = at(index)?;
    (ring.incarnation & (u32::MAX >> INDEX_BITS) == payload >> INDEX_BITS).then_some(ring)
}

/// Every connection on a ring.
pub fn each(mut visit: impl FnMut(Ring)) {
    if any() {
        (0..SLOTS as u32).filter_map(at).for_each(&mut visit);
    }
}

/// Takes the place of an upgraded connection; `None` where an earlier one of the same slot is still being used.
pub fn open(fd: i32, image: &'static SlabImage, upgrade: &Upgrade, flags: u32) -> Option<Ring> {
    let connection = CONNECTIONS.get(upgrade.slot as usize)?;
    let (_reading, _writing) = (
        connection.reading.try_enter()?,
        connection.writing.try_enter()?,
    );
    if connection.incarnation.load(Ordering::Acquire) != 0 {
        return None;
    }
    let mut incarnation =
        INCARNATIONS.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & (u32::MAX >> INDEX_BITS);
    if incarnation == 0 {
        incarnation = 1;
    }
    connection.fd.store(fd, Ordering::Relaxed);
    connection
        .image
        .store(core::ptr::from_ref(image).cast_mut(), Ordering::Relaxed);
    connection.pending.store(upgrade.pending, Ordering::Relaxed);
    connection.flags.store(flags, Ordering::Relaxed);
    connection.receive_timeout_ns.store(0, Ordering::Relaxed);
    connection.send_timeout_ns.store(0, Ordering::Relaxed);
    connection.member.clear();
    connection.incarnation.store(incarnation, Ordering::Release);
    OPEN.fetch_add(1, Ordering::Relaxed);
    Some(Ring {
        connection,
        index: upgrade.slot,
        incarnation,
    })
}

impl Ring {
    /// Whether the connection is still the one that was looked up.
    #[inline]
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.connection.incarnation.load(Ordering::Acquire) == self.incarnation
    }

    /// Its word in the descriptor table.
    #[must_use]
    pub fn word(&self) -> Word {
        Word::new(Kind::Ring, self.index | self.incarnation << INDEX_BITS)
    }

    /// Its descriptor.
    #[inline]
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.connection.fd.load(Ordering::Relaxed)
    }

    /// Its slab.
    #[inline]
    #[must_use]
    pub fn image(&self) -> &'static SlabImage {
        // SAFETY: set before the incarnation was, to a mapping that is never undone.
        unsafe { &*self.connection.image.load(Ordering::Relaxed) }
    }

    /// Its end of the ring.
    #[inline]
    #[must_use]
    pub fn end(&self) -> GuestEnd<'static> {
        let image = self.image();
        let slot = &image.slots[self.index as usize % SLOTS];
        // The index is one of a slot, so there always is an end.
        GuestEnd::new(slot, &image.bells, self.index % SLOTS as u32)
            .unwrap_or_else(|| unreachable!())
    }

    /// Whether a flag is set.
    #[inline]
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.connection.flags.load(Ordering::Acquire) & flag != 0
    }

    /// Sets or clears a flag.
    pub fn set(&self, flag: u32, on: bool) {
        if on {
            self.connection.flags.fetch_or(flag, Ordering::AcqRel);
        } else {
            self.connection.flags.fetch_and(!flag, Ordering::AcqRel);
        }
    }

    /// What the kernel told about the descriptor: bits of [`ready`].
    pub fn heard(&self, events: u32) {
        if events & (ready::HUP | ready::ERR) != 0 {
            self.set(HOST_HUNG_UP | DEAD, true);
        } else if events & ready::RDHUP != 0 {
            self.set(HOST_HUNG_UP, true);
        }
    }

    /// Whether nothing follows what is in the ring. Look at this before the ring.
    #[inline]
    #[must_use]
    pub fn ended(&self) -> bool {
        self.end().host_state() != HostState::Open || self.has(HOST_HUNG_UP | READ_LAST)
    }

    /// Whether nobody takes any more what is written.
    #[inline]
    #[must_use]
    pub fn deaf(&self) -> bool {
        self.end().host_state() == HostState::Gone || self.has(DEAD)
    }

    /// Its readiness now, as poll(2) would say it. Asks to be told of space where `interest` needs some.
    #[must_use]
    pub fn readiness(&self, interest: u32) -> u32 {
        let (ended, deaf) = (self.ended(), self.deaf());
        let end = self.end();
        let mut bits = 0;
        if ended || self.connection.pending.load(Ordering::Relaxed) > 0 || end.readable() > 0 {
            bits |= ready::IN | ready::RDNORM;
        }
        if ended {
            bits |= ready::RDHUP;
        }
        let wants_out = interest & (ready::OUT | ready::WRNORM) != 0;
        if wants_out && (deaf || self.has(SENT_LAST) || end.writable() || end.wants_space()) {
            bits |= ready::OUT | ready::WRNORM;
        }
        if deaf || (ended && self.has(SENT_LAST)) {
            bits |= ready::HUP;
        }
        bits
    }

    /// Goes back to the descriptor: what was not taken comes there, and nothing is lost. False where this thread is in
    /// the middle of an operation on the connection (the caller is a signal handler): then it stays.
    pub fn leave(&self) -> bool {
        let connection = self.connection;
        let (Some(_reading), Some(_writing)) =
            (connection.reading.enter(), connection.writing.enter())
        else {
            return false;
        };
        if !self.is_current() {
            return true;
        }
        connection.member.hand_back(self.fd());
        process::ring(self.end().leave());
        self.forget();
        true
    }

    /// The program closes the descriptor. The closing itself is what tells the host, and the caller's to do.
    pub fn close(&self) {
        let connection = self.connection;
        // Whoever is in the middle of a copy finishes first: the slot may be another's as soon as the descriptor is
        // closed. Of this thread's own operations (we are in a signal handler then) nobody can wait for the end.
        let _held: (Option<Guard<'_>>, Option<Guard<'_>>) =
            (connection.reading.enter(), connection.writing.enter());
        if self.is_current() {
            connection.member.clear();
            self.forget();
        }
    }

    /// The place is free, and whoever sleeps for the connection looks again.
    fn forget(&self) {
        let connection = self.connection;
        let fd = self.fd();
        if table::look(fd) == self.word() {
            table::set(fd, Word::UNKNOWN);
        }
        connection.incarnation.store(0, Ordering::Release);
        OPEN.fetch_sub(1, Ordering::Relaxed);
        connection.parker.disband(fd);
    }
}

/// Every connection goes back to its descriptor.
pub fn leave_all() {
    each(|ring| {
        ring.leave();
    });
}

/// Those go back that a program run by exec(3) would inherit.
pub fn leave_inheritable() {
    each(|ring| {
        let flags = sys::fcntl(ring.fd(), sys::F_GETFD, 0);
        if flags >= 0 && flags & 1 == 0 {
            ring.leave();
        }
    });
}

/// In the child of a fork: its parent left every ring before.
pub fn after_fork_in_child() {
    for connection in &CONNECTIONS {
        connection.reading.reset();
        connection.writing.reset();
        connection.incarnation.store(0, Ordering::Relaxed);
        connection.parker.forget();
        connection.member.clear();
    }
    OPEN.store(0, Ordering::Relaxed);
}

/// The places where blocking calls sleep are gone with their slab.
pub fn forget_parkers() {
    for connection in &CONNECTIONS {
        connection.parker.forget();
    }
}
