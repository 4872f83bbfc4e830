//! The epoll of the egress thread.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// There may be a task.
    Bell,
    /// A connection in the making, or the guest's end of it.
    Connect(u64),
    /// A side of a relay.
    Relay(u64, Side),
    /// A UDP socket.
    Flow(u64),
    /// A question.
    Query(u64),
}

/// A side of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Guest,
    Remote,
}

const ID_BITS: u32 = 56;
const EVENTS: usize = 128;

impl Token {
    fn data(self) -> EventData {
        let (kind, id) = match self {
            Self::Bell => (0, 0),
            Self::Connect(id) => (1, id),
            Self::Relay(id, Side::Guest) => (2, id),
            Self::Relay(id, Side::Remote) => (3, id),
            Self::Flow(id) => (4, id),
            Self::Query(id) => (5, id),
        };
        EventData::new_u64(kind << ID_BITS | id)
    }

    fn of(data: EventData) -> Self {
        let (kind, id) = (data.u64() >> ID_BITS, data.u64() & ((1 << ID_BITS) - 1));
        match kind {
            1 => Self::Connect(id),
            2 => Self::Relay(id, Side::Guest),
            3 => Self::Relay(id, Side::Remote),
            4 => Self::Flow(id),
            5 => Self::Query(id),
            _ => Self::Bell,
        }
    }
}

/// The epoll.
pub(crate) struct Reactor {
    epoll: OwnedFd,
}

impl Reactor {
    pub fn new(bell: &OwnedFd) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, Token::Bell.data(), EventFlags::IN)?;
        Ok(Self { epoll })
    }

    /// Waits for events.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Vec<(Token, EventFlags)>, Errno> {
        let timeout = timeout.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(events
            .iter()
            .map(|event| (Token::of(event.data), event.flags))
            .collect())
    }

    pub fn add(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, token.data(), flags)
    }

    pub fn change(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> Result<(), Errno> {
        epoll::modify(&self.epoll, fd, token.data(), flags)
    }

    pub fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }
}
