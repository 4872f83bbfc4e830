//! The part of a connection that rides on a ring.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use jd_link::{Granted, Refusal, Rings};
use jd_ring::host::Sleeper;
use rustix::io::{ioctl_fionread, Errno};
use rustix::net::{recv, RecvFlags};

use super::{Conn, Io, READ_BYTES};
use crate::bells::Bells;
use crate::poll::Token;
use crate::ring::{Found, Ride};
use crate::slab::Key;

impl Conn {
    /// Whether bytes go by a ring now.
    pub fn rides(&self) -> bool {
        self.ride.as_ref().is_some_and(|ride| ride.is_on())
    }

    /// Where its guest rings and its slot, once it had one.
    pub fn ring_place(&self) -> Option<(Key, u32)> {
        self.ride.as_ref().map(|ride| (ride.post, ride.slot()))
    }

    /// Changes over from the socket to a ring. What lies in the socket comes first, both ways; `guest_end` is
    /// a copy of the guest's descriptor, by which it is counted.
    pub fn change_over(
        &mut self,
        rings: &Arc<Rings>,
        bells: &mut Bells,
        worker: usize,
        guest_end: impl AsFd,
        io: &mut Io,
    ) -> Result<Granted, Refusal> {
        if self.rides() {
            return Err(Refusal::Already);
        }
        let Token::Up(key) = self.token else {
            return Err(Refusal::Unsuitable);
        };
        if self.ride.is_some() || self.ended || self.half_closed || self.broken || self.finished {
            return Err(Refusal::Unsuitable);
        }
        let lies = |fd| u32::try_from(ioctl_fionread(fd).unwrap_or(0)).unwrap_or(u32::MAX);
        let worker = u32::try_from(worker).map_err(|_| Refusal::Unsuitable)?;
        let end = rings.open(worker, guest_end.as_fd())?;
        let granted = end.upgrade(lies(guest_end.as_fd()));
        let first = lies(self.fd.as_fd()) as usize;
        let Ok(post) = bells.add(rings, worker, end.index(), key, &io.poll) else {
            // Nothing was promised yet, and the guest goes on by the socket.
            rings.close(end, false);
            return Err(Refusal::Unsuitable);
        };
        self.ride = Some(Box::new(Ride::new(Arc::clone(rings), end, post, first)));
        if self.watches_writing {
            // An error shows with the next event.
            let _ = io.poll.watch_writing(&self.fd, self.token, false);
            self.watches_writing = false;
        }
        (self.readable, self.writable) = (true, true);
        Ok(granted)
    }

    /// The guest rang for it.
    pub fn note_ring(&mut self) {
        (self.readable, self.writable) = (true, true);
    }

    /// Whether an idle connection has something that no idle connection should have. One that only went back
    /// to its socket has not.
    pub fn has_ring_news(&mut self, io: &mut Io) -> bool {
        let Some(ride) = self.ride.as_mut().filter(|ride| ride.is_on()) else {
            return false;
        };
        match ride.look() {
            Ok(Found::Bytes(_)) => true,
            Ok(Found::Nothing) => false,
            Ok(Found::Left) => self.leave_ring(io).is_err() || !self.unsent.is_empty(),
            Err(_) => true,
        }
    }

    /// Adds what it did on its ring to the counters.
    pub fn count_ring(&mut self) {
        if let Some(ride) = &mut self.ride {
            ride.count();
        }
    }

    /// Marks everything since the last time for the guest. One who sleeps is to be woken by [`Self::wake_ring`]
    /// before this connection is closed: nobody else will.
    ///
    /// # Errors
    /// It broke the protocol.
    pub fn mark_ring(&mut self) -> io::Result<Option<Sleeper>> {
        let marked = self.ride.as_mut().map_or(Ok(None), |ride| ride.mark());
        marked.map_err(|error| self.cut_off(error))
    }

    /// Wakes a guest; true: it was there to be woken.
    ///
    /// # Errors
    /// It broke the protocol.
    pub fn wake_ring(&mut self, sleeper: Sleeper) -> io::Result<bool> {
        let woken = self
            .ride
            .as_mut()
            .map_or(Ok(false), |ride| ride.wake(sleeper));
        woken.map_err(|error| self.cut_off(error))
    }

    fn tell_later(&mut self, io: &mut Io) {
        if let (Some(ride), Token::Up(key)) = (&mut self.ride, self.token) {
            if !ride.untold {
                ride.untold = true;
                io.untold.push(key);
            }
        }
    }

    pub(super) fn fill_from_ring(&mut self, room: usize, io: &mut Io) -> io::Result<usize> {
        let Some(ride) = &mut self.ride else {
            return Ok(0);
        };
        if ride.socket_first > 0 {
            return self.fill_first(io);
        }
        let back = self.received.back_with_room(room, &mut io.pool);
        match ride.take(back, room) {
            Ok(Found::Bytes(count)) => {
                self.busy = count == room;
                self.readable = self.busy || self.half_closed;
                io.moved += count;
                self.tell_later(io);
                Ok(count)
            }
            Ok(Found::Nothing) => {
                self.readable = false;
                // The hang-up was seen before the ring was looked at: what was in it is all there is.
                self.ended = self.half_closed;
                Ok(0)
            }
            Ok(Found::Left) => {
                self.leave_ring(io)?;
                self.fill_from_socket(room, io)
            }
            Err(error) => Err(self.cut_off(error)),
        }
    }

    /// Reads what the guest had written to the socket before it changed over, and no byte more.
    fn fill_first(&mut self, io: &mut Io) -> io::Result<usize> {
        let Some(ride) = &mut self.ride else {
            return Ok(0);
        };
        let room = ride.socket_first.min(READ_BYTES);
        let back = self.received.back_with_room(room, &mut io.pool);
        let start = back.len();
        back.resize(start + room, 0);
        let got = recv(&self.fd, &mut back[start..], RecvFlags::DONTWAIT);
        let count = got.as_ref().map_or(0, |(count, _)| *count);
        back.truncate(start + count);
        match got {
            Ok((0, _)) => ride.socket_first = 0,
            Ok((count, _)) => {
                ride.socket_first -= count;
                io.moved += count;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(self.cut_off(error.into())),
        }
        Ok(count)
    }

    pub(super) fn flush_to_ring(&mut self, io: &mut Io, keep: bool) -> io::Result<usize> {
        let Some(ride) = self.ride.as_mut().filter(|_| self.writable && !self.broken) else {
            return Ok(0);
        };
        // A socket would say so too: the guest is not there any more.
        let published = if self.hung_up {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            ride.publish(self.unsent.pending())
        };
        match published {
            Ok(Some(sent)) => {
                self.unsent.take_off(sent, keep);
                self.writable = self.unsent.is_empty();
                io.moved += sent;
                if sent > 0 {
                    io.published += 1;
                    self.tell_later(io);
                }
                Ok(sent)
            }
            Ok(None) => {
                self.readable = true;
                if matches!(ride.look(), Ok(Found::Left)) {
                    self.leave_ring(io)?;
                }
                Ok(0)
            }
            Err(error) => {
                (self.broken, self.readable) = (true, true);
                if !keep {
                    self.unsent.clear();
                }
                Err(error)
            }
        }
    }

    /// The guest went back to the socket: so does this end, with what the guest had not consumed first.
    fn leave_ring(&mut self, io: &mut Io) -> io::Result<()> {
        let Some(ride) = &mut self.ride else {
            return Ok(());
        };
        match ride.leave() {
            Ok(bytes) => {
                self.unsent.put_back(&bytes, &mut io.pool);
                (self.readable, self.writable) = (true, true);
                // An error shows with the next read.
                let _ = self.flush(io, self.unsent.keeps());
                Ok(())
            }
            Err(error) => Err(self.cut_off(error)),
        }
    }

    /// Ends it whatever the guest does.
    pub fn give_up(&mut self) {
        let _ = self.cut_off(io::ErrorKind::ConnectionAborted.into());
    }

    /// The guest cannot be spoken to any more.
    fn cut_off(&mut self, error: io::Error) -> io::Error {
        (self.ended, self.broken, self.readable) = (true, true, false);
        error
    }
}
