//! poll(2) and select(2) over ring connections beside anything else.

use crate::connection::{self, Ring};
use crate::next;
use crate::park::{Place, Side};
use crate::sys::{self, ready, EpollEvent, PollFd, Time};
use crate::table::{self, Kind, Word};
use crate::{epoll, process};

/// Entries of one call that the shim answers for. Of longer lists every connection goes back to its descriptor.
pub const ENTRIES_MAX: usize = 128;
/// Ring connections of one call that the shim answers for.
const RINGS_MAX: usize = 16;

/// How long poll may wait: nanoseconds, `None` for ever.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Nanoseconds; `None`: for ever.
    pub ns: Option<u64>,
}

impl Limit {
    /// Of poll(2).
    #[must_use]
    pub fn millis(millis: i32) -> Self {
        Self {
            ns: u64::try_from(millis).ok().map(|millis| millis * 1_000_000),
        }
    }

    /// Of ppoll(2).
    #[must_use]
    pub fn exact(time: Option<Time>) -> Self {
        Self {
            ns: time.map(|time| {
                let seconds = u64::try_from(time.seconds).unwrap_or(0);
                seconds
                    .saturating_mul(1_000_000_000)
                    .saturating_add(u64::try_from(time.part).unwrap_or(0))
            }),
        }
    }
}

/// What a list of descriptors is to the shim.
enum Mix {
    /// Nothing of it is ours.
    Foreign,
    /// Nothing is on a ring, but connections that may get there are watched.
    Watched,
    /// So many are on rings.
    Rings(usize),
}

fn mix(list: &[PollFd]) -> Mix {
    let (mut watched, mut rings) = (false, 0);
    for entry in list {
        let word = table::look(entry.fd);
        match word.kind() {
            Kind::Unknown | Kind::Hidden => {}
            Kind::Epoll => {
                if epoll::set::of(word).is_some_and(epoll::set::Set::has_members) {
                    epoll::retire(word);
                }
            }
            Kind::Watched | Kind::Upgrading => watched = true,
            Kind::Ring => rings += 1,
        }
    }
    match (rings, watched) {
        (0, false) => Mix::Foreign,
        (0, true) => Mix::Watched,
        _ => Mix::Rings(rings),
    }
}

/// poll(2) on a list; `None`: the native call is the answer.
///
/// # Safety
/// `list` points at `count` entries, `mask` is null or points at a signal set.
pub unsafe fn poll(
    list: *mut PollFd,
    count: usize,
    limit: Limit,
    mask: *const u64,
) -> Option<isize> {
    if list.is_null() || count == 0 || count > table::DESCRIPTORS {
        return None;
    }
    // SAFETY: the caller's promise.
    let list = unsafe { core::slice::from_raw_parts_mut(list, count) };
    loop {
        match mix(list) {
            Mix::Foreign => return None,
            Mix::Watched => {
                let marks = Marks::new(list)?;
                // SAFETY: the caller's list and mask.
                let answer = unsafe { native(list, limit, mask) };
                drop(marks);
                return Some(answer);
            }
            Mix::Rings(rings) if rings > RINGS_MAX || list.len() > ENTRIES_MAX => {
                for entry in &*list {
                    if let Some(ring) = connection::of(table::look(entry.fd)) {
                        ring.leave();
                    }
                }
            }
            Mix::Rings(_) => {
                let _marks = Marks::new(list);
                if let Some(answer) = poll_rings(list, limit, mask) {
                    return Some(answer);
                }
            }
        }
    }
}

/// Native calls under way on watched connections: no other thread moves them onto a ring meanwhile.
struct Marks {
    entered: [(i32, Word); ENTRIES_MAX],
}

impl Marks {
    fn new(list: &[PollFd]) -> Option<Self> {
        if list.len() > ENTRIES_MAX {
            for entry in list {
                let word = table::look(entry.fd);
                if word.kind() == Kind::Watched {
                    table::replace(entry.fd, word, Word::UNKNOWN);
                }
            }
            return None;
        }
        let mut entered = [(-1, Word::UNKNOWN); ENTRIES_MAX];
        for (entry, mark) in list.iter().zip(&mut entered) {
            *mark = (entry.fd, table::enter(entry.fd));
        }
        Some(Self { entered })
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        for (fd, word) in self.entered {
            table::exit(fd, word, |stage| stage);
        }
    }
}

/// The next ppoll(2), its answer as the kernel's.
///
/// # Safety
/// `mask` is null or points at a signal set.
pub unsafe fn native(list: &mut [PollFd], limit: Limit, mask: *const u64) -> isize {
    let time = limit.ns.map(|ns| Time {
        seconds: (ns / 1_000_000_000) as i64,
        part: (ns % 1_000_000_000) as i64,
    });
    let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the list is a slice, the time lives here, the mask is the caller's.
    next::raw(unsafe { next::ppoll(list.as_mut_ptr(), list.len() as u64, time, mask) as isize })
}

/// The connections of a list that are on rings, and where each is in it.
struct Rings {
    found: [Option<(usize, Ring)>; RINGS_MAX],
}

impl Rings {
    fn new(list: &[PollFd]) -> Self {
        let mut found = [None; RINGS_MAX];
        let rings = list
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| connection::of(table::look(entry.fd)).map(|ring| (at, ring)));
        for (slot, ring) in found.iter_mut().zip(rings) {
            *slot = Some(ring);
        }
        Self { found }
    }

    fn each(&self) -> impl Iterator<Item = (usize, Ring)> + '_ {
        self.found.iter().flatten().copied()
    }
}

/// `None`: look at the whole list again, something has left its ring.
fn poll_rings(list: &mut [PollFd], limit: Limit, mask: *const u64) -> Option<isize> {
    let rings = Rings::new(list);
    let others = list.len() > rings.each().count();
    let end_ns = limit
        .ns
        .filter(|ns| *ns > 0)
        .map(|ns| next::now_ns().saturating_add(ns));
    let mut woken = false;
    loop {
        if rings.each().any(|(_, ring)| !ring.is_current()) {
            return None;
        }
        let mut ready = answer(list, &rings);
        let rest = match (limit.ns, end_ns) {
            (Some(0), _) => Some(0),
            (_, Some(end)) => Some(end.saturating_sub(next::now_ns())),
            _ => None,
        };
        let over = rest == Some(0);
        if others && (ready > 0 || over || woken) {
            ready += look_at_others(list, &rings);
        }
        if ready > 0 || over {
            return Some(ready);
        }
        let slept = sleep(list, &rings, others, Limit { ns: rest }, mask);
        if slept < 0 {
            return Some(slept);
        }
        woken = true;
    }
}

/// Fills in what the rings answer; how many have something.
fn answer(list: &mut [PollFd], rings: &Rings) -> isize {
    let mut count = 0;
    for (at, ring) in rings.each() {
        let asked = list[at].events as u16 as u32;
        let bits = ring.readiness(asked) & (asked | ready::ERR | ready::HUP);
        list[at].revents = bits as i16;
        count += isize::from(bits != 0);
    }
    count
}

/// Asks the kernel about everything but the rings, without waiting.
fn look_at_others(list: &mut [PollFd], rings: &Rings) -> isize {
    let mut copy = [PollFd::default(); ENTRIES_MAX];
    let copy = &mut copy[..list.len()];
    copy.copy_from_slice(list);
    for (at, _) in rings.each() {
        copy[at].fd = -1;
    }
    // SAFETY: a slice of our own, no waiting.
    let answer = unsafe { crate::syscall!(sys::number::POLL, copy.as_mut_ptr(), copy.len(), 0) };
    let mut is_ring = [false; ENTRIES_MAX];
    for (at, _) in rings.each() {
        is_ring[at] = true;
    }
    for at in (0..copy.len()).filter(|at| !is_ring[*at]) {
        list[at].revents = if answer > 0 { copy[at].revents } else { 0 };
    }
    answer.max(0)
}

/// Sleeps until something of the list may be ready: 0, or the error that ends the call.
fn sleep(list: &[PollFd], rings: &Rings, others: bool, limit: Limit, mask: *const u64) -> isize {
    let mut places: [Option<(Ring, Side, Place)>; RINGS_MAX] = [None; RINGS_MAX];
    for ((at, ring), place) in rings.each().zip(&mut places) {
        let side = if list[at].events as u16 as u32 & (ready::IN | ready::RDNORM) != 0 {
            Side::Read
        } else {
            Side::Write
        };
        let Some(prepared) = ring.connection.parker.prepare(ring) else {
            ring.leave();
            return 0;
        };
        *place = Some((ring, side, prepared));
    }
    let slept = places.iter().flatten();
    slept
        .clone()
        .for_each(|(ring, side, place)| place.settle(*ring, *side));
    let there = rings.each().any(|(at, ring)| {
        let asked = list[at].events as u16 as u32;
        !ring.is_current() || ring.readiness(asked) & (asked | ready::ERR | ready::HUP) != 0
    });
    let single = if others || rings.found[1].is_some() {
        None
    } else {
        places[0]
    };
    let answer = match single {
        _ if there => 0,
        Some((ring, _, place)) => {
            if place.spin(ring, list[0].events as u16 as u32) {
                0
            } else {
                sleep_at(ring, &place, limit, mask)
            }
        }
        None => sleep_among(list, rings, &places, limit, mask),
    };
    slept
        .clone()
        .for_each(|(ring, side, place)| place.rise(*ring, *side));
    answer
}

/// One connection alone: its private epoll descriptor, whose events are edges and need no second call.
fn sleep_at(ring: Ring, place: &Place, limit: Limit, mask: *const u64) -> isize {
    let millis = limit.ns.map_or(-1, |ns| {
        i32::try_from(ns.div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    let mut events = [EpollEvent::default(); 2];
    // SAFETY: room for two events; the mask is the caller's.
    let answer = next::raw(unsafe {
        next::epoll_pwait(place.epoll, events.as_mut_ptr(), 2, millis, mask) as isize
    });
    if answer > 0 {
        place.hear(ring, &events[..(answer as usize).min(2)]);
    }
    answer.min(0)
}

/// Several descriptors: the private epoll descriptors of the connections stand in the list for them.
fn sleep_among(
    list: &[PollFd],
    rings: &Rings,
    places: &[Option<(Ring, Side, Place)>; RINGS_MAX],
    limit: Limit,
    mask: *const u64,
) -> isize {
    let mut copy = [PollFd::default(); ENTRIES_MAX];
    let copy = &mut copy[..list.len()];
    copy.copy_from_slice(list);
    for ((at, _), (_, _, place)) in rings.each().zip(places.iter().flatten()) {
        copy[at] = PollFd {
            fd: place.epoll,
            events: ready::IN as i16,
            revents: 0,
        };
    }
    // SAFETY: a slice of our own; the mask is the caller's.
    let answer = unsafe { native(copy, limit, mask) };
    for (ring, _, place) in places.iter().flatten() {
        let mut events = [EpollEvent::default(); 2];
        let got = sys::epoll_look(place.epoll, events.as_mut_ptr(), 2);
        if got > 0 {
            place.hear(*ring, &events[..(got as usize).min(2)]);
        }
    }
    answer.min(0)
}

/// Whether lists need to be looked through at all.
#[inline]
#[must_use]
pub fn concerns_us() -> bool {
    table::ever_used() && process::rings_wanted() || connection::any()
}
