//! One non-blocking stream with its buffers and what epoll said about it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use jd_http::HeaderSpace;
use jd_link::Toll;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{recv, send, shutdown, sockopt, RecvFlags, SendFlags, Shutdown};

use crate::buf::{Buf, BufPool};
use crate::clock::Calendar;
use crate::poll::{Poll, Token};
use crate::ring::Ride;
use crate::slab::Key;

#[path = "conn_ring.rs"]
mod ring_part;

/// Read at a time while a body streams.
pub const READ_BYTES: usize = 64 << 10;

/// Read at a time at first; a connection that fills it gets [`READ_BYTES`].
const FIRST_READ_BYTES: usize = 8 << 10;

/// A write never waits, whatever the descriptor was set to by whom it came from, and never raises a signal.
const NOW: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// What a worker lends to its connections.
pub struct Io {
    pub poll: Poll,
    pub pool: BufPool,
    /// Monotonic time of this round.
    pub now_ns: u64,
    pub calendar: Calendar,
    /// For the headers of the head that is read at the moment.
    pub headers: HeaderSpace,
    /// Bytes read and written since somebody set it to zero: whether a step got anywhere.
    pub moved: usize,
    /// Connections on rings whose guests are to be told of something before the next sleep.
    pub untold: Vec<Key>,
    /// How often bytes were published on rings since guests were told.
    pub published: usize,
}

/// A stream. Readiness is edge-triggered, so it is remembered until a call says otherwise.
pub struct Conn {
    // Before the ride: a slot's fate is judged when the descriptor is closed.
    fd: OwnedFd,
    ride: Option<Box<Ride>>,
    token: Token,
    pub readable: bool,
    writable: bool,
    /// It is in the worker's epoll set.
    watched: bool,
    watches_writing: bool,
    busy: bool,
    /// The peer ended its sending side: read until that end comes.
    pub half_closed: bool,
    /// Both directions are over.
    pub hung_up: bool,
    /// The end was read.
    pub ended: bool,
    /// Writing failed: the peer does not read any more.
    pub broken: bool,
    /// Our sending side was ended.
    finished: bool,
    /// It was ended on the ring; the socket's end follows what the guest gives back when it leaves.
    end_due: bool,
    /// What waking the guest on the other side costs.
    pub toll: Option<Arc<Toll>>,
    /// Received and not used.
    pub received: Buf,
    /// To be sent.
    pub unsent: Buf,
}

impl Conn {
    /// Memory of both buffers, in bytes.
    pub fn held(&self) -> usize {
        self.received.memory() + self.unsent.memory()
    }

    /// Takes over a stream and watches it; `readable` says whether a first read is likely to find something.
    pub fn new(fd: OwnedFd, token: Token, readable: bool, io: &Io) -> io::Result<Self> {
        let mut conn = Self::unwatched(fd, token);
        conn.readable = readable;
        conn.watch(&io.poll)?;
        Ok(conn)
    }

    /// Takes over a stream that is to be watched before the next sleep.
    pub fn unwatched(fd: OwnedFd, token: Token) -> Self {
        Self {
            fd,
            ride: None,
            token,
            readable: true,
            writable: true,
            watched: false,
            watches_writing: false,
            busy: false,
            half_closed: false,
            hung_up: false,
            ended: false,
            broken: false,
            finished: false,
            end_due: false,
            toll: None,
            received: Buf::default(),
            unsent: Buf::default(),
        }
    }

    /// Watches it, if it is not watched yet. What happened before is told then.
    pub fn watch(&mut self, poll: &Poll) -> io::Result<()> {
        if !self.watched {
            poll.add_stream(&self.fd, self.token)?;
            self.watched = true;
        }
        Ok(())
    }

    /// Notes what epoll said.
    pub fn note(&mut self, flags: EventFlags) {
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
        {
            self.readable = true;
        }
        if flags.contains(EventFlags::OUT) {
            self.writable = true;
        }
        if flags.contains(EventFlags::RDHUP) {
            self.half_closed = true;
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.half_closed = true;
            self.hung_up = true;
        }
    }

    /// Reads once, if something may be there. Returns the bytes read; 0 means none now, or [`Self::ended`].
    ///
    /// # Errors
    /// The connection was reset, there is no memory for a head of this size now, or the guest broke the
    /// protocol of its ring.
    pub fn fill(&mut self, io: &mut Io) -> io::Result<usize> {
        if !self.readable || self.ended {
            return Ok(0);
        }
        if io.pool.is_exhausted() && self.received.len() > READ_BYTES {
            self.ended = true;
            self.readable = false;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let room = if self.busy {
            READ_BYTES
        } else {
            FIRST_READ_BYTES
        };
        if self.rides() {
            return self.fill_from_ring(room, io);
        }
        self.fill_from_socket(room, io)
    }

    fn fill_from_socket(&mut self, room: usize, io: &mut Io) -> io::Result<usize> {
        let back = self.received.back_with_room(room, &mut io.pool);
        let asked = back.capacity() - back.len();
        match recv(&self.fd, spare_capacity(back), RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.ended = true;
                self.readable = false;
                Ok(0)
            }
            Ok((count, _)) => {
                // A short read has emptied the socket (epoll(7)), unless the end of the stream lies behind it.
                self.readable = count == asked || self.half_closed;
                self.busy = count == asked;
                io.moved += count;
                Ok(count)
            }
            Err(Errno::AGAIN) => {
                self.readable = false;
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            Err(error) => {
                self.ended = true;
                self.readable = false;
                Err(error.into())
            }
        }
    }

    /// Writes what the socket takes; `keep` leaves the written bytes in the buffer for a second try.
    ///
    /// # Errors
    /// The peer does not read any more; what waited is dropped unless kept.
    pub fn flush(&mut self, io: &mut Io, keep: bool) -> io::Result<usize> {
        if self.rides() {
            return self.flush_to_ring(io, keep);
        }
        let mut sent = 0;
        while self.writable && !self.broken && !self.unsent.is_empty() {
            let length = self.unsent.len();
            match self.send() {
                Ok(count) => {
                    sent += count;
                    self.unsent.take_off(count, keep);
                    self.writable = count == length;
                }
                Err(Errno::AGAIN) => self.writable = false,
                Err(Errno::INTR) => {}
                Err(error) => {
                    self.broken = true;
                    self.readable = true;
                    if !keep {
                        self.unsent.clear();
                    }
                    return Err(error.into());
                }
            }
        }
        io.moved += sent;
        let waits = !self.unsent.is_empty() && !self.broken;
        if waits != self.watches_writing {
            self.watch(&io.poll)?;
            io.poll.watch_writing(&self.fd, self.token, waits)?;
            self.watches_writing = waits;
        }
        if self.end_due && self.unsent.is_empty() {
            self.end_due = false;
            let _ = shutdown(&self.fd, Shutdown::Write);
        }
        Ok(sent)
    }

    fn send(&self) -> Result<usize, Errno> {
        let send = || send(&self.fd, self.unsent.pending(), NOW);
        match &self.toll {
            Some(toll) => toll.wake(send).unwrap_or(Err(Errno::CONNABORTED)),
            None => send(),
        }
    }

    /// Ends the sending side, once.
    pub fn end_sending(&mut self) {
        if !self.finished {
            self.finished = true;
            if let Some(ride) = self.ride.as_mut().filter(|ride| ride.is_on()) {
                ride.end_sending();
                let _ = ride.tell();
                self.end_due = true;
                return;
            }
            // A connection that is gone already has no sending side to end.
            let _ = shutdown(&self.fd, Shutdown::Write);
        }
    }

    /// Lets the peer see a reset instead of an orderly end when this is dropped.
    pub fn reset_on_close(&self) {
        // Only TCP has this; a Unix socket is closed in an orderly way at worst.
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    /// Gives memory back that the bytes in the buffers do not need.
    pub fn trim(&mut self, io: &mut Io) {
        self.received.trim(&mut io.pool);
        self.unsent.trim(&mut io.pool);
    }

    /// Gives memory back that holds nothing.
    pub fn release(&mut self, io: &mut Io) {
        self.received.release(&mut io.pool);
        self.unsent.release(&mut io.pool);
        self.busy = false;
    }
}
