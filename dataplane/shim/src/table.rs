//! What the shim knows about each descriptor: one word, so that a call on a descriptor that it does not know costs one
//! look at memory.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use crate::sys;

/// Descriptors from here up are never the shim's concern.
pub const DESCRIPTORS: usize = 65_536;

/// What a descriptor is to the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// Nothing: every call goes to libc.
    Unknown = 0,
    /// An accepted connection that is not on a ring yet; the stage says how far its first exchange is.
    Watched = 1,
    /// A watched connection whose upgrade some thread is asking for just now.
    Upgrading = 2,
    /// A connection on a ring; the payload is its index.
    Ring = 3,
    /// An epoll descriptor; the payload is its set's index.
    Epoll = 4,
    /// A descriptor of the shim's own, which the program does not know of.
    Hidden = 5,
}

/// How far the first exchange of a watched connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u64)]
pub enum Stage {
    /// Accepted.
    Fresh = 0,
    /// A request was read.
    Asked = 1,
    /// And something was answered: the next read begins the second exchange.
    Answered = 2,
}

const STAGE_AT: u32 = 4;
const CALLS_AT: u32 = 8;
const CALLS_MASK: u64 = 0xffff << CALLS_AT;
const PAYLOAD_AT: u32 = 32;

/// A descriptor's word: kind (4 bits), stage (4), native calls under way (16), payload (32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// Of this kind, with this payload.
    #[must_use]
    pub const fn new(kind: Kind, payload: u32) -> Self {
        Self(kind as u64 | (payload as u64) << PAYLOAD_AT)
    }

    /// Nothing known.
    pub const UNKNOWN: Self = Self(0);

    /// What the descriptor is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0 & 0xf {
            1 => Kind::Watched,
            2 => Kind::Upgrading,
            3 => Kind::Ring,
            4 => Kind::Epoll,
            5 => Kind::Hidden,
            _ => Kind::Unknown,
        }
    }

    /// How far a watched connection is.
    #[must_use]
    pub fn stage(self) -> Stage {
        match self.0 >> STAGE_AT & 0xf {
            0 => Stage::Fresh,
            1 => Stage::Asked,
            _ => Stage::Answered,
        }
    }

    /// The same word at another stage.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        Self(self.0 & !(0xf << STAGE_AT) | (stage as u64) << STAGE_AT)
    }

    /// Native calls of other threads that are under way on a watched connection.
    #[must_use]
    pub fn calls(self) -> u64 {
        (self.0 & CALLS_MASK) >> CALLS_AT
    }

    /// The same word with so many calls under way.
    #[must_use]
    pub fn with_calls(self, calls: u64) -> Self {
        Self(self.0 & !CALLS_MASK | (calls << CALLS_AT & CALLS_MASK))
    }

    /// Index of a connection or set, or the number of a watch.
    #[must_use]
    pub fn payload(self) -> u32 {
        (self.0 >> PAYLOAD_AT) as u32
    }
}

static WORDS: [AtomicU64; DESCRIPTORS] = [const { AtomicU64::new(0) }; DESCRIPTORS];
/// One more than the highest descriptor that was ever entered: what a walk over the table has to look at.
static HIGHEST: AtomicU32 = AtomicU32::new(0);
/// Threads that wait for the end of some upgrade.
static WAITING: AtomicU32 = AtomicU32::new(0);
/// Numbers the watches, to tell a descriptor from a later one of the same number.
static WATCHES: AtomicU32 = AtomicU32::new(0);

#[inline]
fn cell(fd: i32) -> Option<&'static AtomicU64> {
    // A negative number becomes a huge one.
    WORDS.get(fd as u32 as usize)
}

/// The word of a descriptor.
#[inline]
#[must_use]
pub fn look(fd: i32) -> Word {
    Word(cell(fd).map_or(0, |cell| cell.load(Ordering::Acquire)))
}

/// Sets a descriptor's word; false where the number is beyond the table.
pub fn set(fd: i32, word: Word) -> bool {
    let Some(cell) = cell(fd) else { return false };
    if word != Word::UNKNOWN {
        HIGHEST.fetch_max(fd as u32 + 1, Ordering::Relaxed);
    }
    cell.store(word.0, Ordering::SeqCst);
    if WAITING.load(Ordering::SeqCst) != 0 {
        sys::futex_wake(cell.as_ptr().cast_const().cast(), i32::MAX);
    }
    true
}

/// Sets a descriptor's word if it is still `from`.
#[inline]
pub fn replace(fd: i32, from: Word, to: Word) -> bool {
    cell(fd).is_some_and(|cell| {
        cell.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })
}

/// Whether any descriptor was ever entered.
#[inline]
#[must_use]
pub fn ever_used() -> bool {
    HIGHEST.load(Ordering::Relaxed) != 0
}

/// A native call begins on a descriptor: while it lasts, nobody moves the connection onto a ring. [`Word::UNKNOWN`]
/// where it is not watched.
pub fn enter(fd: i32) -> Word {
    loop {
        let word = look(fd);
        match word.kind() {
            Kind::Upgrading => wait_for_upgrade(fd, word),
            Kind::Watched => {
                if replace(fd, word, word.with_calls(word.calls() + 1)) {
                    return word;
                }
            }
            _ => return Word::UNKNOWN,
        }
    }
}

/// The call that [`enter`] answered `begun` to is over; `after` says what it did to the stage.
pub fn exit(fd: i32, begun: Word, after: impl Fn(Stage) -> Stage) {
    loop {
        let word = look(fd);
        // A descriptor that was closed meanwhile, or given anew, is not the one that was entered.
        if begun == Word::UNKNOWN
            || word.kind() != Kind::Watched
            || word.payload() != begun.payload()
        {
            return;
        }
        let done = word
            .with_calls(word.calls().saturating_sub(1))
            .at(after(word.stage()));
        if replace(fd, word, done) {
            return;
        }
    }
}

/// Sleeps until a descriptor that is being upgraded has another word.
pub fn wait_for_upgrade(fd: i32, word: Word) {
    if let Some(cell) = cell(fd) {
        WAITING.fetch_add(1, Ordering::SeqCst);
        // The kind is in the lower half, which is what a futex can look at.
        sys::futex_wait(cell.as_ptr().cast_const().cast(), word.0 as u32);
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts to watch a connection that was just accepted.
pub fn watch(fd: i32) {
    let number = WATCHES.fetch_add(1, Ordering::Relaxed);
    if set(fd, Word::new(Kind::Watched, number)) {
        registration_of(fd).clear();
    }
}

/// Every descriptor of one of the kinds from `first` to `last`, with its word.
pub fn each(first: u32, last: u32, mut visit: impl FnMut(i32, Word)) {
    let end = HIGHEST.load(Ordering::Relaxed).min(last.saturating_add(1));
    for fd in first..end {
        let word = look(fd as i32);
        if word.kind() != Kind::Unknown {
            visit(fd as i32, word);
        }
    }
}

/// Where a watched connection is registered: what its upgrade has to take over.
pub struct Registration {
    epoll: AtomicI32,
    events: AtomicU32,
    data: AtomicU64,
    set: AtomicU64,
}

/// A copy of a [`Registration`].
#[derive(Clone, Copy)]
pub struct Registered {
    /// The epoll descriptor.
    pub epoll: i32,
    /// Events asked for, with their flags.
    pub events: u32,
    /// The caller's word.
    pub data: u64,
    /// The epoll descriptor's word at that time: another one now means that it was closed since.
    pub set: Word,
}

/// Registered nowhere.
const NOWHERE: i32 = 0;
/// Registered in a way that the shim does not take over: in two sets, or exclusively.
const TANGLED: i32 = -1;

static REGISTRATIONS: [Registration; DESCRIPTORS] = [const {
    Registration {
        epoll: AtomicI32::new(NOWHERE),
        events: AtomicU32::new(0),
        data: AtomicU64::new(0),
        set: AtomicU64::new(0),
    }
}; DESCRIPTORS];

/// The registration of a descriptor that the table knows.
#[must_use]
pub fn registration_of(fd: i32) -> &'static Registration {
    &REGISTRATIONS[fd as u32 as usize % DESCRIPTORS]
}

impl Registration {
    /// Registered nowhere.
    pub fn clear(&self) {
        self.epoll.store(NOWHERE, Ordering::Relaxed);
    }

    /// Never to be upgraded.
    pub fn tangle(&self) {
        self.epoll.store(TANGLED, Ordering::Relaxed);
    }

    /// Registered, or registered anew, in `epoll`.
    pub fn put(&self, epoll: i32, set: Word, events: u32, data: u64) {
        self.set.store(set.0, Ordering::Relaxed);
        self.events.store(events, Ordering::Relaxed);
        self.data.store(data, Ordering::Relaxed);
        self.epoll.store(epoll + 1, Ordering::Release);
    }

    /// Where it is registered: `Err` when in a way that is not taken over.
    ///
    /// # Errors
    /// The connection must stay as it is.
    #[allow(clippy::result_unit_err)]
    pub fn get(&self) -> Result<Option<Registered>, ()> {
        match self.epoll.load(Ordering::Acquire) {
            TANGLED => Err(()),
            NOWHERE => Ok(None),
            one_more => Ok(Some(Registered {
                epoll: one_more - 1,
                events: self.events.load(Ordering::Relaxed),
                data: self.data.load(Ordering::Relaxed),
                set: Word(self.set.load(Ordering::Relaxed)),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_parts_apart() {
        let word = Word::new(Kind::Watched, u32::MAX)
            .at(Stage::Answered)
            .with_calls(3);
        assert_eq!(
            (word.kind(), word.stage(), word.calls()),
            (Kind::Watched, Stage::Answered, 3)
        );
        assert_eq!(word.payload(), u32::MAX);
        assert_eq!(
            word.with_calls(0).at(Stage::Fresh),
            Word::new(Kind::Watched, u32::MAX)
        );
    }

    #[test]
    fn calls_on_a_watched_descriptor_are_counted_until_it_is_another() {
        let fd = 60_001;
        watch(fd);
        let begun = enter(fd);
        assert_eq!(look(fd).calls(), 1);
        exit(fd, begun, |_| Stage::Asked);
        assert_eq!((look(fd).calls(), look(fd).stage()), (0, Stage::Asked));
        let begun = enter(fd);
        watch(fd);
        exit(fd, begun, |_| Stage::Answered);
        assert_eq!((look(fd).calls(), look(fd).stage()), (0, Stage::Fresh));
        set(fd, Word::UNKNOWN);
        assert_eq!(enter(fd), Word::UNKNOWN);
    }

    #[test]
    fn numbers_beyond_the_table_are_unknown() {
        for fd in [-1, i32::MIN, 65_536, i32::MAX] {
            assert_eq!(look(fd), Word::UNKNOWN);
            assert!(!set(fd, Word::new(Kind::Hidden, 0)));
        }
    }

    #[test]
    fn a_registration_is_taken_over_only_from_one_set() {
        let registration = registration_of(60_002);
        assert!(registration.get().is_ok_and(|known| known.is_none()));
        let set = Word::new(Kind::Epoll, 3);
        registration.put(0, set, 1, 2);
        let known = registration.get().ok().flatten().expect("registered");
        assert_eq!(
            (known.epoll, known.events, known.data, known.set),
            (0, 1, 2, set)
        );
        registration.tangle();
        assert!(registration.get().is_err());
    }
}
