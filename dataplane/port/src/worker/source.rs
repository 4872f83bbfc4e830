//! What a worker's events and timers are about.

use rustix::event::epoll::EventData;

/// What an epoll event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Inbox,
    Notify(u64),
    Init(u64),
    Parked(u64),
    Datagram(u64),
}

impl Source {
    pub(super) fn data(self) -> EventData {
        let (kind, id) = match self {
            Self::Inbox => (0, 0),
            Self::Notify(id) => (1, id),
            Self::Init(id) => (2, id),
            Self::Parked(id) => (3, id),
            Self::Datagram(id) => (4, id),
        };
        EventData::new_u64(kind << 56 | id)
    }

    pub(super) fn of(data: EventData) -> Self {
        let (kind, id) = (data.u64() >> 56, data.u64() & ((1 << 56) - 1));
        match kind {
            1 => Self::Notify(id),
            2 => Self::Init(id),
            3 => Self::Parked(id),
            4 => Self::Datagram(id),
            _ => Self::Inbox,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Parked(u64),
    Ready(u64),
    Rested(u64),
    RestedDatagram(u64),
}
