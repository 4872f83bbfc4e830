//! epoll(7) over sets that hold ring connections beside anything else.
//!
//! The program's epoll descriptor stays the real one. A ring connection's descriptor is in it for hang-ups only, and a
//! waiter's eventfd stands for all rings together; both carry tags instead of the program's words. What rings have to
//! say is collected in user space, and the kernel is asked when there is nothing, or when it was not asked for long.

pub mod membership;
pub mod set;

use core::ptr;

use set::Set;

use crate::connection::{self, Ring};
use crate::next;
use crate::sys::{self, errno, ready, EpollEvent, Time};
use crate::table::{self, Kind, Word};

/// `EPOLL_CTL_ADD`.
pub const ADD: i32 = 1;
/// `EPOLL_CTL_DEL`.
pub const DEL: i32 = 2;
/// `EPOLL_CTL_MOD`.
pub const MODIFY: i32 = 3;

/// What the kernel watches of a ring connection.
pub const HANG_UP: u32 = ready::RDHUP | ready::EDGE;

/// epoll_ctl(2).
///
/// # Safety
/// `event` is null or points at one.
pub unsafe fn control(epoll: i32, operation: i32, fd: i32, event: *mut EpollEvent) -> i32 {
    let mut word = table::look(fd);
    while word.kind() == Kind::Upgrading {
        table::wait_for_upgrade(fd, word);
        word = table::look(fd);
    }
    // SAFETY: the caller's promise; events are packed, so they are read where they lie.
    let asked = (!event.is_null()).then(|| unsafe { event.read_unaligned() });
    match word.kind() {
        Kind::Ring => {
            if let Some(answer) =
                connection::of(word).and_then(|ring| control_ring(ring, epoll, operation, asked))
            {
                return next::finish(answer) as i32;
            }
        }
        Kind::Watched => {
            // SAFETY: the caller's promise.
            let answer = unsafe { next::epoll_ctl(epoll, operation, fd, event) };
            if answer == 0 {
                remember(fd, epoll, operation, asked);
            }
            return answer;
        }
        Kind::Epoll => {
            if let Some(inner) = set::of(word).filter(|inner| inner.takes_rings()) {
                inner.retire();
            }
        }
        _ => {}
    }
    // SAFETY: the caller's promise.
    unsafe { next::epoll_ctl(epoll, operation, fd, event) }
}

/// What an upgrade will have to take over.
fn remember(fd: i32, epoll: i32, operation: i32, asked: Option<EpollEvent>) {
    let registration = table::registration_of(fd);
    match (operation, asked) {
        (DEL, _) => match registration.get() {
            Ok(Some(known)) if known.epoll == epoll => registration.clear(),
            _ => {}
        },
        (ADD | MODIFY, Some(asked)) => {
            let set = table::look(epoll);
            let elsewhere = match registration.get() {
                Ok(None) => false,
                // A set that was closed without taking its descriptors out (selectors for one wait do so) holds none.
                Ok(Some(known)) => known.set != set && table::look(known.epoll) == known.set,
                Err(()) => true,
            };
            if elsewhere || set::of(set).is_none() || asked.events & ready::EXCLUSIVE != 0 {
                registration.tangle();
            } else {
                registration.put(epoll, set, asked.events, asked.data);
            }
        }
        _ => {}
    }
}

/// Answers for a ring connection; `None`: it is on its descriptor (again).
fn control_ring(
    ring: Ring,
    epoll: i32,
    operation: i32,
    asked: Option<EpollEvent>,
) -> Option<isize> {
    let member = &ring.connection.member;
    let set = set::of(table::look(epoll)).filter(|set| set.takes_rings());
    let inside = set.is_some_and(|set| member.is_in(set));
    match (operation, asked, set) {
        (ADD, Some(_), Some(_)) if inside => Some(-(errno::EEXIST as isize)),
        (MODIFY | DEL, _, Some(_)) if !inside => Some(-(errno::ENOENT as isize)),
        (ADD, Some(asked), Some(set))
            if asked.events & ready::EXCLUSIVE == 0 && member.set().is_none() =>
        {
            if !set.prepare(ring.fd()) {
                ring.leave();
                return None;
            }
            let answer = sys::epoll_ctl(epoll, ADD, ring.fd(), HANG_UP, Set::tag(ring));
            if answer == 0 {
                member.put(set, asked.events, asked.data, true);
                set.admit(ring);
            }
            Some(answer)
        }
        (MODIFY, Some(asked), Some(set)) if asked.events & ready::EXCLUSIVE == 0 => {
            member.put(set, asked.events, asked.data, true);
            set.heat(1 << ring.index);
            if ring.readiness(asked.events) & (asked.events | ready::HUP) != 0 {
                set.nudge();
            }
            Some(0)
        }
        (DEL, _, Some(_)) => {
            member.clear();
            ring.end().set_waiter(None);
            Some(sys::epoll_ctl(epoll, DEL, ring.fd(), 0, 0))
        }
        _ => {
            ring.leave();
            None
        }
    }
}

/// How long a wait may last, in the unit that its caller spoke.
#[derive(Clone, Copy)]
pub enum Timeout {
    /// Milliseconds; negative: for ever.
    Millis(i32),
    /// epoll_pwait2(2).
    Exact(Time),
}

impl Timeout {
    fn is_zero(self) -> bool {
        match self {
            Self::Millis(millis) => millis == 0,
            Self::Exact(time) => time.seconds == 0 && time.part == 0,
        }
    }

    /// Nanoseconds; `None`: for ever.
    fn ns(self) -> Option<u64> {
        match self {
            Self::Millis(millis) => Some(u64::try_from(millis).ok()? * 1_000_000),
            Self::Exact(time) => {
                let seconds = u64::try_from(time.seconds).unwrap_or(0);
                Some(
                    seconds
                        .saturating_mul(1_000_000_000)
                        .saturating_add(u64::try_from(time.part).unwrap_or(0)),
                )
            }
        }
    }

    fn left(ns: u64, exact: bool) -> Self {
        if exact {
            return Self::Exact(Time {
                seconds: (ns / 1_000_000_000) as i64,
                part: (ns % 1_000_000_000) as i64,
            });
        }
        Self::Millis(i32::try_from(ns.div_ceil(1_000_000)).unwrap_or(i32::MAX))
    }
}

/// The kernel's wait, through libc: it is where a thread may be cancelled.
unsafe fn native(
    epoll: i32,
    events: *mut EpollEvent,
    room: i32,
    timeout: Timeout,
    mask: *const u64,
) -> i32 {
    // SAFETY: the caller's room and mask.
    unsafe {
        match timeout {
            Timeout::Millis(millis) => next::epoll_pwait(epoll, events, room, millis, mask),
            Timeout::Exact(time) => next::epoll_pwait2(epoll, events, room, &raw const time, mask),
        }
    }
}

/// epoll_wait(2) and its relatives.
///
/// # Safety
/// `events` has room for `room` events; `mask` is null or points at a signal set.
pub unsafe fn wait(
    epoll: i32,
    events: *mut EpollEvent,
    room: i32,
    timeout: Timeout,
    mask: *const u64,
) -> i32 {
    let Some(set) = set::of(table::look(epoll)) else {
        // SAFETY: the caller's promise.
        return unsafe { native(epoll, events, room, timeout, mask) };
    };
    if room <= 0 || events.is_null() {
        // SAFETY: the kernel refuses it.
        return unsafe { native(epoll, events, room, timeout, mask) };
    }
    if !set.is_tagged() {
        set.fall_asleep();
        // SAFETY: the caller's promise.
        let answer = unsafe { native(epoll, events, room, timeout, mask) };
        set.wake_up();
        if answer <= 0 || !set.is_tagged() {
            return answer;
        }
        // SAFETY: the kernel has written so many events.
        let kept = set.strip(unsafe { core::slice::from_raw_parts_mut(events, answer as usize) });
        if kept > 0 {
            return kept as i32;
        }
    }
    // SAFETY: the caller's promise. Events are plain numbers, so room that was never written may be called one too.
    let room = unsafe { core::slice::from_raw_parts_mut(events, room as usize) };
    wait_tagged(set, room, timeout, mask)
}

fn wait_tagged(set: &Set, room: &mut [EpollEvent], timeout: Timeout, mask: *const u64) -> i32 {
    let mut clock = Clock {
        timeout,
        end_ns: None,
    };
    loop {
        let first = kernel_first(set, room);
        let count = first + set.collect(&mut room[first..]);
        if first > 0 {
            return count as i32;
        }
        if count > 0 || timeout.is_zero() {
            return with_kernel(set, room, count);
        }
        let Some(rest) = clock.rest() else {
            return with_kernel(set, room, 0);
        };
        set.fall_asleep();
        let armed = set.waiter().is_none_or(|waiter| waiter.arm());
        let warm = !armed || set.is_warm() || spin(set);
        let answer = if warm {
            0
        } else {
            // SAFETY: `room` is room for so many events; the mask is the caller's.
            unsafe { native(set.fd(), room.as_mut_ptr(), room.len() as i32, rest, mask) }
        };
        let others = set.wake_up();
        if let Some(waiter) = set.waiter() {
            if others {
                let _ = waiter.arm();
            } else {
                waiter.disarm();
            }
        }
        if answer < 0 {
            return answer;
        }
        if answer > 0 {
            set.looked();
            let kept = set.strip(&mut room[..answer as usize]);
            if kept > 0 {
                let more = set.collect(&mut room[kept..]);
                return (kept + more) as i32;
            }
        }
    }
}

/// Polls as long as jnetd grants it; true if there is news.
fn spin(set: &Set) -> bool {
    let grant_ns = set.spin_ns();
    grant_ns > 0
        && set.waiter().is_some_and(|waiter| {
            crate::park::spin(grant_ns, || waiter.has_news() || set.is_warm())
        })
}

/// What the kernel has, before rings are looked at. That is every other time that rings may fill the whole room and the
/// kernel was not asked for a while: a program with room for few events would hear of one side only.
fn kernel_first(set: &Set, room: &mut [EpollEvent]) -> usize {
    if !set.may_fill(room.len()) || !set.is_warm() || !set.owes_a_look() || !set.takes_turns() {
        return 0;
    }
    set.looked();
    let answer = sys::epoll_look(set.fd(), room.as_mut_ptr(), room.len());
    if answer <= 0 {
        return 0;
    }
    set.strip(&mut room[..answer as usize])
}

/// Adds what the kernel has to `count` events of rings, if it was not asked for a while or there are none.
fn with_kernel(set: &Set, room: &mut [EpollEvent], count: usize) -> i32 {
    if count == room.len() || (count > 0 && !set.owes_a_look()) {
        return count as i32;
    }
    let rest = &mut room[count..];
    let answer = sys::epoll_look(set.fd(), rest.as_mut_ptr(), rest.len());
    set.looked();
    if answer <= 0 {
        return if count == 0 {
            next::finish(answer) as i32
        } else {
            count as i32
        };
    }
    let kept = set.strip(&mut rest[..answer as usize]);
    let late = if count + kept == 0 && set.is_warm() {
        set.collect(rest)
    } else {
        0
    };
    // This look may have taken the waiter's event from under a thread that sleeps for it.
    set.stand_watch();
    (count + kept + late) as i32
}

/// The rest of a timeout, over several sleeps. The clock is read only for a wait that has an end.
struct Clock {
    timeout: Timeout,
    end_ns: Option<u64>,
}

impl Clock {
    /// What is left; `None`: nothing.
    fn rest(&mut self) -> Option<Timeout> {
        let Some(whole) = self.timeout.ns() else {
            return Some(self.timeout);
        };
        let now = next::now_ns();
        let Some(end) = self.end_ns else {
            self.end_ns = Some(now.saturating_add(whole));
            return Some(self.timeout);
        };
        let left = end.checked_sub(now).filter(|left| *left > 0)?;
        Some(Timeout::left(
            left,
            matches!(self.timeout, Timeout::Exact(_)),
        ))
    }
}

/// The program has made an epoll descriptor.
pub fn created(fd: i32) -> i32 {
    if fd >= 0 {
        set::enter(fd);
    }
    fd
}

/// The program is about to do something with a descriptor that only the kernel can answer.
pub fn retire(word: Word) {
    if let Some(set) = set::of(word).filter(|set| set.takes_rings()) {
        set.retire();
    }
}

/// For callers that pass null.
pub const NO_MASK: *const u64 = ptr::null();
