//! Epoll with tokens that name a kind and a slab key.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;

use crate::slab::Key;

/// Events taken at once: hand-overs to functions and answers to clients share wake-ups.
pub const BATCH: usize = 64;

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// The mailbox of the worker.
    Mailbox,
    /// A public door, by its place in the list.
    Listener(Key),
    /// A connection of a client.
    Down(Key),
    /// A connection to a function or to the provider.
    Up(Key),
    /// A probe's connection.
    Probe(Key),
    /// The bell of a sandbox's rings.
    Bell(Key),
}

const KIND_SHIFT: u32 = 60;

impl Token {
    /// As one word.
    pub fn pack(self) -> u64 {
        let (kind, key) = match self {
            Self::Mailbox => (0, 0),
            Self::Listener(key) => (1, key.pack()),
            Self::Down(key) => (2, key.pack()),
            Self::Up(key) => (3, key.pack()),
            Self::Probe(key) => (4, key.pack()),
            Self::Bell(key) => (5, key.pack()),
        };
        kind << KIND_SHIFT | key
    }

    /// Reverses [`Self::pack`].
    pub fn unpack(word: u64) -> Self {
        let key = Key::unpack(word);
        match word >> KIND_SHIFT {
            1 => Self::Listener(key),
            2 => Self::Down(key),
            3 => Self::Up(key),
            4 => Self::Probe(key),
            5 => Self::Bell(key),
            _ => Self::Mailbox,
        }
    }
}

/// What happened to a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub token: Token,
    pub flags: EventFlags,
}

impl Ready {
    /// What an event is about.
    pub fn of(event: Event) -> Self {
        Self {
            token: Token::unpack(event.data.u64()),
            flags: event.flags,
        }
    }
}

/// An epoll instance.
pub struct Poll(OwnedFd);

/// Edge-triggered reading; the peer's end of sending is seen as well.
const READING: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

impl Poll {
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Watches a connection. Writing is watched only while something waits to be written: on a Unix socket
    /// every read of the peer would else wake this worker.
    pub fn add_stream(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        epoll::add(&self.0, fd, EventData::new_u64(token.pack()), READING)?;
        Ok(())
    }

    /// Turns the watch for writing on or off.
    pub fn watch_writing(&self, fd: impl AsFd, token: Token, on: bool) -> io::Result<()> {
        let flags = if on {
            READING | EventFlags::OUT
        } else {
            READING
        };
        epoll::modify(&self.0, fd, EventData::new_u64(token.pack()), flags)?;
        Ok(())
    }

    /// Watches a listener; of several workers one is woken.
    pub fn add_listener(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(&self.0, fd, EventData::new_u64(token.pack()), flags)?;
        Ok(())
    }

    /// Watches an eventfd.
    pub fn add_bell(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        epoll::add(
            &self.0,
            fd,
            EventData::new_u64(token.pack()),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(())
    }

    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        epoll::delete(&self.0, fd)?;
        Ok(())
    }

    /// Sleeps until something happens or `timeout_ns` have passed; `ready` gets as many events as it has room for.
    pub fn wait(&self, ready: &mut Vec<Event>, timeout_ns: Option<u64>) -> io::Result<()> {
        ready.clear();
        // Rounded up to milliseconds: epoll_wait would round down and spin until the deadline.
        let timeout = timeout_ns.map(|ns| {
            let ms = ns.div_ceil(1_000_000).min(3_600_000);
            let part = i64::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
            Timespec {
                tv_sec: i64::try_from(ms / 1000).unwrap_or(0),
                tv_nsec: part,
            }
        });
        match epoll::wait(&self.0, spare_capacity(ready), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_packing() {
        let mut slab = crate::slab::Slab::new();
        let key = slab.try_insert_with(|_| Ok::<_, ()>(())).expect("made");
        for token in [
            Token::Mailbox,
            Token::Listener(key),
            Token::Down(key),
            Token::Up(key),
            Token::Probe(key),
            Token::Bell(key),
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
