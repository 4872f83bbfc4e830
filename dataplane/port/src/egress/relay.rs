//! Bytes between a guest's connection and one that left the host.
//!
//! A direction reads only while nothing waits to be written, so each holds at most one buffer. Half
//! closes and resets are carried over.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::Shutdown;

use super::reactor::{Reactor, Side, Token};
use crate::pending::GuestSocket;
use crate::sys::socket;

/// Most bytes that wait in one direction.
const BUFFER_BYTES: usize = 64 << 10;
/// Buffers moved per event before others get their turn.
const ROUNDS: usize = 4;

/// One direction.
#[derive(Default)]
struct Half {
    waiting: Vec<u8>,
    written: usize,
    ended: bool,
    shut: bool,
}

/// Why a relay ends at once.
enum Broken {
    /// Reading or writing this side failed.
    At(Side),
}

struct Relay {
    owner: u64,
    end: OwnedFd,
    remote: OwnedFd,
    guest: GuestSocket,
    /// From the guest.
    up: Half,
    /// To the guest.
    down: Half,
    watched: [EventFlags; 2],
}

/// All relays.
#[derive(Default)]
pub(crate) struct Relays {
    by_id: HashMap<u64, Relay>,
    per_owner: HashMap<u64, usize>,
    next_id: u64,
    scratch: Vec<u8>,
}

impl Half {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Moves what can be moved now.
    fn pump(
        &mut self,
        from: (&OwnedFd, Side),
        to: (&OwnedFd, Side),
        scratch: &mut [u8],
    ) -> Result<(), Broken> {
        for _ in 0..ROUNDS {
            if !self.flush(to)? || self.ended {
                break;
            }
            match socket::receive(from.0.as_fd(), scratch, 0) {
                Ok(0) => self.ended = true,
                Ok(got) => self.write(to, &scratch[..got])?,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken::At(from.1)),
            }
        }
        if self.ended && self.is_empty() && !self.shut {
            // ENOTCONN: that side is gone already.
            let _ = rustix::net::shutdown(to.0, Shutdown::Write);
            self.shut = true;
        }
        Ok(())
    }

    fn write(&mut self, to: (&OwnedFd, Side), bytes: &[u8]) -> Result<(), Broken> {
        let sent = match socket::send(to.0.as_fd(), bytes, 0) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return Err(Broken::At(to.1)),
        };
        if sent < bytes.len() {
            self.waiting = bytes[sent..].to_vec();
            self.written = 0;
        }
        Ok(())
    }

    /// Writes what waits; false: some still does.
    fn flush(&mut self, to: (&OwnedFd, Side)) -> Result<bool, Broken> {
        if self.is_empty() {
            return Ok(true);
        }
        match socket::send(to.0.as_fd(), &self.waiting[self.written..], 0) {
            Ok(sent) => self.written += sent,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return Err(Broken::At(to.1)),
        }
        if self.written == self.waiting.len() {
            // An idle connection holds no buffer.
            self.waiting = Vec::new();
            self.written = 0;
        }
        Ok(self.is_empty())
    }

    fn interest(&self) -> (EventFlags, EventFlags) {
        if !self.is_empty() {
            (EventFlags::empty(), EventFlags::OUT)
        } else if self.ended {
            (EventFlags::empty(), EventFlags::empty())
        } else {
            (EventFlags::IN, EventFlags::empty())
        }
    }
}

impl Relay {
    fn pump(&mut self, scratch: &mut [u8]) -> Result<bool, Broken> {
        let (end, remote) = ((&self.end, Side::Guest), (&self.remote, Side::Remote));
        self.up.pump(end, remote, scratch)?;
        self.down.pump(remote, end, scratch)?;
        Ok(!(self.up.shut && self.down.shut))
    }

    /// Arms epoll for what can go on. A side that nothing is awaited from leaves it, as a hang-up
    /// would be reported without end.
    fn arm(&mut self, id: u64, reactor: &Reactor) -> Result<(), Errno> {
        let ((guest_in, remote_out), (remote_in, guest_out)) =
            (self.up.interest(), self.down.interest());
        let sides = [
            (&self.end, Side::Guest, guest_in | guest_out),
            (&self.remote, Side::Remote, remote_in | remote_out),
        ];
        for ((fd, side, wanted), watched) in sides.into_iter().zip(&mut self.watched) {
            let token = Token::Relay(id, side);
            match (watched.is_empty(), wanted.is_empty()) {
                (true, true) => {}
                (true, false) => reactor.add(fd, token, wanted)?,
                (false, true) => reactor.remove(fd),
                (false, false) if *watched != wanted => reactor.change(fd, token, wanted)?,
                (false, false) => {}
            }
            *watched = wanted;
        }
        Ok(())
    }

    /// Ends the other side as the broken one ended.
    fn reset(&self, broken: &Broken) {
        match broken {
            Broken::At(Side::Guest) => {
                let _ = rustix::net::sockopt::set_socket_linger(
                    &self.remote,
                    Some(std::time::Duration::ZERO),
                );
            }
            Broken::At(Side::Remote) => {
                // An AF_UNIX peer sees ECONNRESET if its data is left unread: leave a byte of it.
                if let Some(guest) = self.guest.borrow() {
                    let _ = socket::send(guest.as_fd(), &[0], 0);
                }
            }
        }
    }
}

impl Relays {
    /// Relays of one sandbox.
    pub fn count(&self, owner: u64) -> usize {
        self.per_owner.get(&owner).copied().unwrap_or(0)
    }

    /// The sandbox of a relay.
    pub fn owner(&self, id: u64) -> Option<u64> {
        Some(self.by_id.get(&id)?.owner)
    }

    /// Begins to move bytes.
    pub fn add(
        &mut self,
        owner: u64,
        end: OwnedFd,
        remote: OwnedFd,
        guest: GuestSocket,
        reactor: &Reactor,
    ) {
        self.next_id += 1;
        let id = self.next_id;
        let (up, down) = (Half::default(), Half::default());
        let watched = [EventFlags::empty(); 2];
        *self.per_owner.entry(owner).or_default() += 1;
        self.by_id.insert(
            id,
            Relay {
                owner,
                end,
                remote,
                guest,
                up,
                down,
                watched,
            },
        );
        self.go_on(id, reactor);
    }

    /// Something may be moved.
    pub fn ready(&mut self, id: u64, side: Side, flags: EventFlags, reactor: &Reactor) {
        self.go_on(id, reactor);
        // The guest is gone altogether: there is nobody to read, and all it wrote was passed on.
        let gone = side == Side::Guest && flags.contains(EventFlags::HUP);
        let done = |relay: &Relay| relay.up.ended && relay.up.is_empty();
        if gone && self.by_id.get(&id).is_some_and(done) {
            self.remove(id);
        }
    }

    fn go_on(&mut self, id: u64, reactor: &Reactor) {
        self.scratch.resize(BUFFER_BYTES, 0);
        let Some(relay) = self.by_id.get_mut(&id) else {
            return;
        };
        match relay.pump(&mut self.scratch) {
            Ok(true) if relay.arm(id, reactor).is_ok() => {}
            Ok(_) => self.remove(id),
            Err(broken) => {
                relay.reset(&broken);
                self.remove(id);
            }
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(relay) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(count) = self.per_owner.get_mut(&relay.owner) {
            *count -= 1;
            if *count == 0 {
                self.per_owner.remove(&relay.owner);
            }
        }
    }

    /// Ends all relays of a sandbox.
    pub fn forget(&mut self, owner: u64) {
        self.by_id.retain(|_, relay| relay.owner != owner);
        self.per_owner.remove(&owner);
    }
}
