//! select(2) over ring connections beside anything else: poll(2) with other clothes on.

use crate::connection;
use crate::poll::{self, Limit, ENTRIES_MAX};
use crate::sys::{errno, ready, PollFd};
use crate::table::{self, Kind, Word};

/// Bits of a select set per word.
const WORD_BITS: usize = 64;
/// Descriptors that select can name with glibc's and musl's sets.
const SELECT_MAX: usize = 1_024;

/// What each of select's three sets asks, and which answers count for it (select(2), "Correspondence").
const ASKED: [u32; 3] = [
    ready::IN | ready::RDNORM | ready::RDBAND,
    ready::OUT | ready::WRNORM | ready::WRBAND,
    ready::PRI,
];
const COUNTS: [u32; 3] = [
    ASKED[0] | ready::HUP | ready::ERR,
    ASKED[1] | ready::ERR,
    ready::PRI,
];

/// select(2) where one of the descriptors is ours; `None`: the native call is the answer.
///
/// # Safety
/// The sets are null or hold `count` bits.
pub unsafe fn select(
    count: i32,
    sets: [*mut u64; 3],
    limit: Limit,
    mask: *const u64,
) -> Option<isize> {
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= SELECT_MAX)?;
    let mut list = [PollFd::default(); ENTRIES_MAX];
    let (mut len, mut ours) = (0, false);
    for fd in 0..count {
        let mut events = 0;
        for (set, asked) in sets.iter().zip(ASKED) {
            if set.is_null() {
                continue;
            }
            // SAFETY: the caller's promise.
            let word = unsafe { set.add(fd / WORD_BITS).read() };
            if word >> (fd % WORD_BITS) & 1 == 1 {
                events |= asked;
            }
        }
        if events == 0 {
            continue;
        }
        let word = table::look(fd as i32);
        ours |= matches!(
            word.kind(),
            Kind::Ring | Kind::Watched | Kind::Upgrading | Kind::Epoll
        );
        if len == ENTRIES_MAX {
            give_up(word, fd as i32);
            continue;
        }
        list[len] = PollFd {
            fd: fd as i32,
            events: events as i16,
            revents: 0,
        };
        len += 1;
    }
    if !ours {
        return None;
    }
    if len == ENTRIES_MAX {
        list.iter()
            .for_each(|entry| give_up(table::look(entry.fd), entry.fd));
        return None;
    }
    let list = &mut list[..len];
    // SAFETY: a slice of our own; the mask is the caller's.
    let answer = unsafe { poll::poll(list.as_mut_ptr(), len, limit, mask) };
    // SAFETY: as above.
    let answer = answer.unwrap_or_else(|| unsafe { poll::native(list, limit, mask) });
    if answer < 0 {
        return Some(answer);
    }
    if list
        .iter()
        .any(|entry| entry.revents as u16 as u32 & ready::NVAL != 0)
    {
        return Some(-(errno::EBADF as isize));
    }
    // SAFETY: the caller's sets.
    Some(unsafe { report(count, sets, list) })
}

/// More descriptors than the shim answers for: this one stays, or goes back to be, the kernel's.
fn give_up(word: Word, fd: i32) {
    match word.kind() {
        Kind::Ring => {
            connection::of(word).map(|ring| ring.leave());
        }
        Kind::Watched => {
            table::replace(fd, word, Word::UNKNOWN);
        }
        _ => {}
    }
}

/// Writes the answers into the sets; how many bits are set.
unsafe fn report(count: usize, sets: [*mut u64; 3], list: &[PollFd]) -> isize {
    let mut total = 0;
    for ((set, asked), counts) in sets.into_iter().zip(ASKED).zip(COUNTS) {
        if set.is_null() {
            continue;
        }
        for word in 0..count.div_ceil(WORD_BITS) {
            // SAFETY: the caller's promise; whole words, as the kernel writes them.
            unsafe { set.add(word).write(0) };
        }
        for entry in list {
            let (events, revents) = (entry.events as u16 as u32, entry.revents as u16 as u32);
            if events & asked != 0 && revents & counts != 0 {
                let fd = entry.fd as usize;
                // SAFETY: the descriptor came from these sets.
                unsafe { *set.add(fd / WORD_BITS) |= 1 << (fd % WORD_BITS) };
                total += 1;
            }
        }
    }
    total
}
