//! Sleeping until a connection can be read or written: what a blocking call does when the ring has nothing for it.
//!
//! A connection sleeps behind a waiter of the slab and a private epoll descriptor that holds the waiter's eventfd and
//! the connection's own descriptor, both edge-triggered: the one tells of the ring, the other of jnetd's death, and
//! neither needs to be read.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use jd_ring::guest::Waiter;

use crate::connection::{Ring, TIMEOUTS_KNOWN};
use crate::lock::Lock;
use crate::next;
use crate::signals::{self, Verdict};
use crate::sys::{self, errno, number as nr, ready, EpollEvent, Time};
use crate::{process, syscall};

/// What a sleeper waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Bytes, or the end.
    Read,
    /// Space.
    Write,
}

impl Side {
    /// The poll bits of this side.
    #[must_use]
    pub fn interest(self) -> u32 {
        match self {
            Self::Read => ready::IN,
            Self::Write => ready::OUT,
        }
    }
}

/// How a sleep ended.
pub enum Woken {
    /// Look again.
    Look,
    /// The call ends with this errno.
    Refused(i32),
}

/// Where the blocking calls of one connection sleep. It stays with the connection's place in the table.
pub struct Parker {
    making: Lock,
    /// Index + 1 of the waiter; 0: none yet.
    waiter: AtomicU32,
    /// The private epoll descriptor + 1.
    epoll: AtomicI32,
    /// The connection's descriptor + 1 while it is in the private epoll descriptor.
    watched: AtomicI32,
    readers: AtomicU32,
    writers: AtomicU32,
    refusals: AtomicU32,
}

/// Tags of the two members of a private epoll descriptor.
const TAG_WAITER: u64 = 0;
const TAG_CONNECTION: u64 = 1;

impl Parker {
    /// Nobody slept here yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            making: Lock::new(),
            waiter: AtomicU32::new(0),
            epoll: AtomicI32::new(0),
            watched: AtomicI32::new(0),
            readers: AtomicU32::new(0),
            writers: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
        }
    }

    /// Makes sure that there is a place to sleep for `ring`; `None` where there are no descriptors left for one.
    pub fn prepare(&self, ring: Ring) -> Option<Place> {
        let _held = self.making.enter()?;
        let fd = ring.fd();
        if self.waiter.load(Ordering::Acquire) == 0 {
            self.make(fd)?;
        }
        let index = self.waiter.load(Ordering::Acquire) - 1;
        let epoll = self.epoll.load(Ordering::Acquire) - 1;
        if self.watched.load(Ordering::Acquire) != fd + 1 {
            let events = ready::RDHUP | ready::EDGE;
            let answer = sys::epoll_ctl(epoll, crate::epoll::ADD, fd, events, TAG_CONNECTION);
            if sys::failed(answer) && answer != -(errno::EEXIST as isize) {
                return None;
            }
            self.watched.store(fd + 1, Ordering::Release);
        }
        let waiter = process::waiter(ring.image(), index)?;
        Some(Place {
            waiter,
            epoll,
            eventfd: process::waiter_fd(index)?,
        })
    }

    fn make(&self, fd: i32) -> Option<()> {
        let index = process::take_waiter(fd)?;
        let made = process::waiter_fd(index).and_then(|eventfd| {
            // SAFETY: a new descriptor.
            let epoll = unsafe { syscall!(nr::EPOLL_CREATE1, sys::CLOEXEC) };
            let epoll = (!sys::failed(epoll)).then(|| process::hide(epoll as i32))??;
            let answer = sys::epoll_ctl(
                epoll,
                crate::epoll::ADD,
                eventfd,
                ready::IN | ready::EDGE,
                TAG_WAITER,
            );
            if sys::failed(answer) {
                process::close_hidden(epoll);
                return None;
            }
            Some(epoll)
        });
        let Some(epoll) = made else {
            process::drop_waiter(index);
            return None;
        };
        self.epoll.store(epoll + 1, Ordering::Release);
        self.waiter.store(index + 1, Ordering::Release);
        Some(())
    }

    /// The connection is no longer on a ring: whoever sleeps looks again.
    pub fn disband(&self, fd: i32) {
        if self.watched.swap(0, Ordering::AcqRel) == fd + 1 {
            let epoll = self.epoll.load(Ordering::Acquire) - 1;
            let _ = sys::epoll_ctl(epoll, crate::epoll::DEL, fd, 0, 0);
        }
        for _ in 0..self.sleepers() {
            self.wake();
        }
    }

    /// Wakes one sleeper.
    pub fn wake(&self) {
        let index = self.waiter.load(Ordering::Acquire);
        if let Some(eventfd) = index.checked_sub(1).and_then(process::waiter_fd) {
            sys::wake(eventfd);
        }
    }

    /// Threads that sleep here.
    #[must_use]
    pub fn sleepers(&self) -> u32 {
        self.readers.load(Ordering::SeqCst) + self.writers.load(Ordering::SeqCst)
    }

    fn count(&self, side: Side) -> &AtomicU32 {
        match side {
            Side::Read => &self.readers,
            Side::Write => &self.writers,
        }
    }

    /// The place is another process's, or of a slab that is gone.
    pub fn forget(&self) {
        self.making.reset();
        self.waiter.store(0, Ordering::Relaxed);
        self.watched.store(0, Ordering::Relaxed);
        let epoll = self.epoll.swap(0, Ordering::AcqRel);
        if epoll != 0 {
            process::close_hidden(epoll - 1);
        }
        self.readers.store(0, Ordering::Relaxed);
        self.writers.store(0, Ordering::Relaxed);
    }

    /// True at every 64th call.
    #[must_use]
    pub fn every_64th_refusal(&self) -> bool {
        self.refusals.fetch_add(1, Ordering::Relaxed) % 64 == 63
    }
}

/// Where to sleep.
#[derive(Clone, Copy)]
pub struct Place {
    /// The waiter's words.
    pub waiter: Waiter<'static>,
    /// The private epoll descriptor.
    pub epoll: i32,
    /// The waiter's eventfd.
    pub eventfd: i32,
}

impl Place {
    /// Begins to sleep for `ring`: after this a look at the ring decides whether to sleep at all.
    pub fn settle(&self, ring: Ring, side: Side) {
        ring.connection
            .parker
            .count(side)
            .fetch_add(1, Ordering::SeqCst);
        ring.end().set_waiter(Some(self.waiter.index()));
        let _ = self.waiter.take();
        let _ = self.waiter.arm();
    }

    /// Ends it, and wakes others who sleep here if there is something for them.
    pub fn rise(&self, ring: Ring, side: Side) {
        let parker = &ring.connection.parker;
        parker.count(side).fetch_sub(1, Ordering::SeqCst);
        if parker.sleepers() == 0 {
            self.waiter.disarm();
            ring.connection.member.resume(ring);
        } else {
            let _ = self.waiter.arm();
            let others = |side: Side| {
                parker.count(side).load(Ordering::SeqCst) > 0
                    && ring.readiness(side.interest()) & (side.interest() | ready::HUP) != 0
            };
            if !ring.is_current() || others(Side::Read) || others(Side::Write) {
                sys::wake(self.eventfd);
            }
        }
    }

    /// Takes what the private epoll descriptor has to say.
    pub fn hear(&self, ring: Ring, events: &[EpollEvent]) {
        for event in events {
            let (bits, data) = (event.events, event.data);
            if data == TAG_CONNECTION {
                ring.heard(bits);
            }
        }
    }

    /// Polls as long as jnetd grants it; true if there is something to look at.
    #[must_use]
    pub fn spin(&self, ring: Ring, interest: u32) -> bool {
        let grant_ns = process::view(ring.image()).map_or(0, |view| view.spin_ns());
        spin(grant_ns, || {
            self.waiter.has_news() || ring.readiness(interest) & (interest | ready::HUP) != 0
        })
    }
}

/// Polls `seen` for as long as the grant says.
#[must_use]
pub fn spin(grant_ns: u32, seen: impl Fn() -> bool) -> bool {
    /// A grant beyond this is a mistake, or a guest's own scribbling: 1 ms.
    const GRANT_MAX_NS: u32 = 1_000_000;
    if grant_ns == 0 {
        return false;
    }
    let end = next::now_ns() + u64::from(grant_ns.min(GRANT_MAX_NS));
    loop {
        for _ in 0..32 {
            if seen() {
                return true;
            }
            core::hint::spin_loop();
        }
        if next::now_ns() >= end {
            return false;
        }
    }
}

/// The sleeping of one blocking call.
pub struct Wait {
    ring: Ring,
    side: Side,
    /// When `SO_RCVTIMEO` or `SO_SNDTIMEO` ends it; `None`: not looked at yet, or never.
    deadline_ns: Option<u64>,
    started: bool,
}

impl Wait {
    /// Of a call that may have to wait.
    #[must_use]
    pub fn new(ring: Ring, side: Side) -> Self {
        Self {
            ring,
            side,
            deadline_ns: None,
            started: false,
        }
    }

    /// Sleeps until the connection should be looked at again.
    pub fn sleep(&mut self) -> Woken {
        let ring = self.ring;
        if !self.started {
            self.started = true;
            learn_timeouts(ring);
            let timeout_ns = match self.side {
                Side::Read => &ring.connection.receive_timeout_ns,
                Side::Write => &ring.connection.send_timeout_ns,
            };
            let timeout_ns = timeout_ns.load(Ordering::Relaxed);
            self.deadline_ns = (timeout_ns > 0).then(|| next::now_ns() + timeout_ns);
        }
        // With handlers that restart calls beside ones that do not, only the kernel knows which of them ran.
        let place = if signals::are_mixed() {
            None
        } else {
            ring.connection.parker.prepare(ring)
        };
        let Some(place) = place else {
            return if ring.leave() {
                Woken::Look
            } else {
                Woken::Refused(errno::EAGAIN)
            };
        };
        place.settle(ring, self.side);
        let answer = self.doze(&place);
        place.rise(ring, self.side);
        answer
    }

    fn doze(&self, place: &Place) -> Woken {
        let (ring, interest) = (self.ring, self.side.interest());
        let there = || ring.readiness(interest) & (interest | ready::HUP) != 0;
        if !ring.is_current() || there() || place.spin(ring, interest) {
            return Woken::Look;
        }
        let Some(timeout_ms) = self.timeout_ms() else {
            return Woken::Refused(errno::EAGAIN);
        };
        let mut events = [EpollEvent::default(); 2];
        // SAFETY: room for two events. Through libc, because a blocking read is where a thread may be cancelled.
        let answer = unsafe {
            next::epoll_pwait(
                place.epoll,
                events.as_mut_ptr(),
                2,
                timeout_ms,
                core::ptr::null(),
            )
        };
        if answer >= 0 {
            place.hear(ring, &events[..(answer as usize).min(2)]);
            return Woken::Look;
        }
        if next::get_errno() != errno::EINTR {
            ring.leave();
            return Woken::Look;
        }
        // A call with a timeout is never restarted (signal(7)).
        match signals::verdict() {
            Verdict::Restart if self.deadline_ns.is_none() => Woken::Look,
            _ => Woken::Refused(errno::EINTR),
        }
    }

    /// Milliseconds to the deadline, rounded up; -1: no deadline; `None`: it has passed.
    fn timeout_ms(&self) -> Option<i32> {
        let Some(deadline) = self.deadline_ns else {
            return Some(-1);
        };
        let left = deadline
            .checked_sub(next::now_ns())
            .filter(|left| *left > 0)?;
        Some(i32::try_from(left.div_ceil(1_000_000)).unwrap_or(i32::MAX))
    }
}

/// Reads `SO_RCVTIMEO` and `SO_SNDTIMEO` from the descriptor, once.
fn learn_timeouts(ring: Ring) {
    if ring.has(TIMEOUTS_KNOWN) {
        return;
    }
    ring.set(TIMEOUTS_KNOWN, true);
    let pairs = [
        (sys::SO_RCVTIMEO, &ring.connection.receive_timeout_ns),
        (sys::SO_SNDTIMEO, &ring.connection.send_timeout_ns),
    ];
    for (option, cell) in pairs {
        let (mut time, mut len) = (Time::default(), size_of::<Time>() as u32);
        // SAFETY: room for one `struct timeval`.
        let answer = unsafe {
            syscall!(
                nr::GETSOCKOPT,
                ring.fd(),
                sys::SOL_SOCKET,
                option,
                &raw mut time,
                &raw mut len
            )
        };
        if answer == 0 {
            cell.store(timeval_ns(time), Ordering::Relaxed);
        }
    }
}

/// Nanoseconds of a `struct timeval`.
#[must_use]
pub fn timeval_ns(time: Time) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.part).unwrap_or(0).saturating_mul(1_000))
}
