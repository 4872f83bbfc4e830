//! A connection's part on a ring: which bytes come from where, before, during and after.

use std::io;
use std::sync::Arc;

use jd_link::Rings;
use jd_ring::host::{GuestState, HostEnd, RingError, Sleeper, Told};

use crate::slab::Key;

/// The platform's end of a connection on a ring. It outlives the ride: the slot is not free before the
/// connection is closed.
pub struct Ride {
    rings: Arc<Rings>,
    /// Only empty while this is dropped.
    end: Option<HostEnd>,
    /// Where its guest rings.
    pub post: Key,
    /// Bytes that the guest wrote to the socket before it changed over; they come first.
    pub socket_first: usize,
    /// The guest went back to the socket.
    left: bool,
    /// It is in the list of those whose guest is to be told.
    pub untold: bool,
    /// Times that the guest was told since the counts were added up.
    tells: u8,
}

/// What a look at the ring found.
pub enum Found {
    /// So many bytes were taken.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The guest went back to the socket, and all that it had published was taken.
    Left,
}

fn found(count: usize, state: GuestState) -> Found {
    match (count, state) {
        (0, GuestState::Open) => Found::Nothing,
        (0, GuestState::Left) => Found::Left,
        (count, _) => Found::Bytes(count),
    }
}

impl Ride {
    pub fn new(rings: Arc<Rings>, end: HostEnd, post: Key, socket_first: usize) -> Self {
        Self {
            rings,
            end: Some(end),
            post,
            socket_first,
            left: false,
            untold: false,
            tells: 0,
        }
    }

    /// Its slot in the slab.
    pub fn slot(&self) -> u32 {
        self.end.as_ref().map_or(0, HostEnd::index)
    }

    /// Whether bytes go by the ring, not by the socket.
    pub fn is_on(&self) -> bool {
        !self.left
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut HostEnd) -> Result<T, RingError>,
    ) -> io::Result<T> {
        let end = self.end.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        work(end).map_err(|error| {
            self.rings.report(error.0.kind());
            io::Error::new(io::ErrorKind::ConnectionAborted, error)
        })
    }

    /// Appends up to `room` bytes to `target`.
    pub fn take(&mut self, target: &mut Vec<u8>, room: usize) -> io::Result<Found> {
        self.with(|end| {
            // Before the bytes: what is there once it has left is the last.
            let state = end.guest()?;
            let count = end.take_into(target, room)?;
            Ok(found(count, state))
        })
    }

    /// What [`Self::take`] would find.
    pub fn look(&mut self) -> io::Result<Found> {
        self.with(|end| {
            let state = end.guest()?;
            let count = end.readable()?;
            Ok(found(count, state))
        })
    }

    /// Publishes what fits; fewer bytes than there are: the bell rings when there is room. `None`: the guest
    /// left, look what it sent before.
    pub fn publish(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.with(|end| {
            if end.guest()? == GuestState::Left {
                return Ok(None);
            }
            let mut sent = 0;
            while sent < bytes.len() {
                sent += end.publish(&bytes[sent..])?;
                if sent < bytes.len() && !end.wants_space()? {
                    break;
                }
            }
            Ok(Some(sent))
        })
    }

    /// Marks everything since the last time for the guest; one who sleeps is to be woken by [`Self::wake`].
    pub fn mark(&mut self) -> io::Result<Option<Sleeper>> {
        self.untold = false;
        self.tells = self.tells.wrapping_add(1);
        if self.tells == 0 {
            self.count();
        }
        self.with(HostEnd::mark)
    }

    /// Tells the guest of everything since the last time.
    pub fn tell(&mut self) -> io::Result<()> {
        let sleeper = self.mark()?;
        sleeper.map_or(Ok(()), |sleeper| self.wake(sleeper).map(drop))
    }

    /// Wakes a guest; true: it was there to be woken.
    pub fn wake(&mut self, sleeper: Sleeper) -> io::Result<bool> {
        self.with(|end| Ok(end.wake(sleeper)? == Told::Woken))
    }

    /// Adds what it did to the counters of its sandbox.
    pub fn count(&mut self) {
        if let Some(end) = &mut self.end {
            self.rings.count(end);
        }
    }

    /// Nothing more will be published.
    pub fn end_sending(&mut self) {
        if let Some(end) = &mut self.end {
            end.end_sending();
        }
    }

    /// Goes back to the socket and returns what the guest had not consumed.
    pub fn leave(&mut self) -> io::Result<Vec<u8>> {
        self.left = true;
        self.rings.tally().left();
        let mut bytes = Vec::new();
        self.with(|end| end.take_back(&mut bytes))?;
        Ok(bytes)
    }
}

impl Drop for Ride {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            self.rings.close(end, self.left);
        }
    }
}
