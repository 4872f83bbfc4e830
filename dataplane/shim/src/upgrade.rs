//! Moving a connection from its descriptor onto a ring, at the read that begins its second exchange.

use core::sync::atomic::Ordering;

use jd_ring::abi::Upgrade;

use crate::connection::{self, Ring, NONBLOCK};
use crate::epoll::set::{self, Set};
use crate::epoll::{self, HANG_UP};
use crate::lock::{Guard, Lock};
use crate::sys;
use crate::table::{self, Kind, Registered, Stage, Word};
use crate::{ask, process};

/// One upgrade at a time: they are rare, and the slab is mapped by the first.
static UPGRADING: Lock = Lock::new();

/// No upgrade begins while this is held, and none is under way: a fork in the middle of one would leave its copy in the
/// child for ever. `None` where this thread itself is in one.
#[must_use]
pub fn pause() -> Option<Guard<'static>> {
    UPGRADING.enter()
}

/// Tries it for a watched connection that has answered. Afterwards the table says what the descriptor is.
#[cold]
pub fn attempt(fd: i32, word: Word) {
    let Some(held) = UPGRADING.try_enter() else {
        return;
    };
    let busy = Word::new(Kind::Upgrading, word.payload());
    if word.calls() != 0 || !table::replace(fd, word, busy) {
        return;
    }
    // A handler that touched the connection now would wait for the thread below it.
    let signals = sys::block_signals();
    let outcome = take_over(fd);
    // Refused once, refused for good: asking costs a notification.
    table::set(fd, outcome.map_or(Word::UNKNOWN, |ring| ring.word()));
    drop(held);
    sys::restore_signals(signals);
}

fn take_over(fd: i32) -> Option<Ring> {
    let registered = table::registration_of(fd).get().ok()?;
    let mut image = process::image_by(fd, false)?;
    let home = match registered {
        None => None,
        Some(known) if table::look(known.epoll) != known.set => None,
        Some(known) => Some((known, home(fd, known)?)),
    };
    let flags = sys::fcntl(fd, sys::F_GETFL, 0);
    if sys::failed(flags) || flags as i32 & sys::O_ASYNC != 0 {
        return None;
    }
    let flags = if flags as i32 & sys::O_NONBLOCK != 0 {
        NONBLOCK
    } else {
        0
    };
    let upgrade = ask::upgrade(fd).ok()?;
    if process::view(image)
        .and_then(|view| view.end(&upgrade))
        .is_none()
    {
        // jnetd is a new one, and so is its slab.
        set::forget_waiters();
        connection::forget_parkers();
        image = process::image_by(fd, true)?;
    }
    process::view(image)?.end(&upgrade)?;
    let ring = settle(fd, image, &upgrade, flags)?;
    if let Some((known, set)) = home {
        // With a new slab the set needs a new waiter.
        let moved = set.prepare(fd)
            && sys::epoll_ctl(known.epoll, epoll::MODIFY, fd, HANG_UP, Set::tag(ring)) == 0;
        if !moved {
            ring.leave();
            return None;
        }
        ring.connection
            .member
            .put(set, known.events, known.data, false);
        let head = image.slots[upgrade.slot as usize]
            .control
            .guest
            .to_guest_tail
            .load(Ordering::Relaxed);
        ring.connection.member.told_until(head);
        set.admit(ring);
    }
    Some(ring)
}

/// The set that a registered connection is in, ready for rings.
fn home(fd: i32, known: Registered) -> Option<&'static Set> {
    set::of(table::look(known.epoll)).filter(|set| set.takes_rings() && set.prepare(fd))
}

/// The connection's place in the process. Once the host has switched, whatever cannot go on must leave in order.
fn settle(
    fd: i32,
    image: &'static jd_ring::abi::SlabImage,
    upgrade: &Upgrade,
    flags: u32,
) -> Option<Ring> {
    if !process::know_bell(fd, upgrade.bell) {
        // Without the bell nobody would hear that we leave, so the connection is ended: its client sees that at once.
        // SAFETY: numbers only. 2: SHUT_RDWR.
        let _ = unsafe { crate::syscall!(sys::number::SHUTDOWN, fd, 2) };
        return None;
    }
    let ring = connection::open(fd, image, upgrade, flags);
    if ring.is_none() {
        let end = process::view(image)?.end(upgrade)?;
        process::ring(end.leave());
    }
    ring
}

/// The stage of a watched connection after a native call that moved bytes.
#[must_use]
pub fn after_read(stage: Stage) -> Stage {
    if stage == Stage::Fresh {
        Stage::Asked
    } else {
        stage
    }
}

/// The stage after a native write that took everything.
#[must_use]
pub fn after_write(stage: Stage) -> Stage {
    if stage == Stage::Asked {
        Stage::Answered
    } else {
        stage
    }
}
