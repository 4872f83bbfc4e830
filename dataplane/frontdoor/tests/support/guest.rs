//! A guest on a ring, made of the same view that the shim uses.

#![allow(dead_code)] // Each test file uses a part.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::time::{Duration, Instant};

use jd_link::{Granted, Owner, Refusal, Rings, Ticket, Upgrade};
use jd_ring::abi::{EVENTFD_WAKE, SLOTS_AT, SLOT_BYTES};
use jd_ring::guest::{GuestEnd, HostState, Wake};

use crate::support::{PathDialer, PATIENCE};

/// One sandbox's rings, and the misbehaviour that was reported.
#[derive(Clone)]
pub struct Guest {
    pub rings: Arc<Rings>,
    pub reports: Arc<Mutex<Vec<&'static str>>>,
    dialer: Arc<PathDialer>,
    /// Connections that were upgraded.
    pub upgrades: Arc<AtomicUsize>,
}

impl Guest {
    pub fn new(dialer: &Arc<PathDialer>) -> Self {
        let reports: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let kept = reports.clone();
        let rings = Rings::new(Box::new(move |kind| kept.lock().unwrap().push(kind))).unwrap();
        Self {
            rings: Arc::new(rings),
            reports,
            dialer: dialer.clone(),
            upgrades: Arc::default(),
        }
    }

    /// Who holds the other end of an accepted connection.
    pub fn owner(&self, stream: &UnixStream) -> Arc<dyn Owner> {
        let peer = stream.peer_addr().unwrap();
        let name = peer.as_abstract_name().expect("a name");
        let owner = self.dialer.owners.lock().unwrap().get(name).cloned();
        owner.and_then(|owner| owner.upgrade()).expect("an owner")
    }

    /// Asks for an accepted connection.
    pub fn ask(&self, stream: &UnixStream) -> Result<Granted, Refusal> {
        self.ask_with(stream, Ticket::default())
    }

    /// The same, by a call that may have been given up.
    pub fn ask_with(&self, stream: &UnixStream, ticket: Ticket) -> Result<Granted, Refusal> {
        let (tell, told) = mpsc::channel();
        self.owner(stream).upgrade(Upgrade::new(
            self.rings.clone(),
            stream.try_clone().unwrap().into(),
            Arc::new(ticket),
            Box::new(move |outcome| {
                let _ = tell.send(outcome);
            }),
        ));
        told.recv_timeout(PATIENCE).expect("an answer")
    }

    /// Changes an accepted connection over.
    pub fn ride(&self, stream: UnixStream) -> RingStream {
        let granted = self.ask(&stream).expect("granted");
        self.riding(stream, granted)
    }

    /// The connection that was granted a ring.
    pub fn riding(&self, stream: UnixStream, granted: Granted) -> RingStream {
        self.upgrades.fetch_add(1, Ordering::SeqCst);
        RingStream {
            rings: self.rings.clone(),
            stream,
            granted,
            pending: granted.pending as usize,
            left: false,
        }
    }

    /// Waits until `holds`.
    pub fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < until,
                "{what}: {:?}",
                self.rings.counters()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A connection on a ring; blocking, by looking again and again.
pub struct RingStream {
    rings: Arc<Rings>,
    pub stream: UnixStream,
    granted: Granted,
    pending: usize,
    left: bool,
}

impl RingStream {
    pub fn end(&self) -> GuestEnd<'_> {
        self.rings.guest_view().end(&self.granted).expect("an end")
    }

    pub fn ring(&self, wake: Wake) {
        if let Wake::Bell(index) = wake {
            let bell = self.rings.bell(index).unwrap();
            rustix::io::write(bell.as_fd(), &EVENTFD_WAKE.to_ne_bytes()).unwrap();
        }
    }

    /// Claims to have published more than a ring holds.
    pub fn break_cursor(&self) {
        let slot = SLOTS_AT + self.granted.slot as usize * SLOT_BYTES;
        let word = 1_000_000_u32.to_ne_bytes();
        rustix::io::pwrite(self.rings.memory(), &word, slot as u64 + 64).unwrap();
        self.ring(self.end().notify_data());
    }

    /// Goes back to the socket.
    pub fn leave(&mut self) {
        self.left = true;
        self.ring(self.end().leave());
    }

    fn gone(&self) -> bool {
        self.end().host_state() == HostState::Gone
    }
}

impl Read for RingStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left {
            return self.stream.read(buffer);
        }
        if self.pending > 0 {
            let most = buffer.len().min(self.pending);
            let count = self.stream.read(&mut buffer[..most])?;
            self.pending -= count;
            return Ok(count);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let state = self.end().host_state();
            let count = self.end().take_into(buffer);
            if count > 0 {
                self.ring(self.end().notify_space());
                return Ok(count);
            }
            if state != HostState::Open {
                return Ok(0);
            }
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

impl Write for RingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left {
            return self.stream.write(bytes);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            if self.gone() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = self.end().publish(bytes);
            if count > 0 {
                self.ring(self.end().notify_data());
                return Ok(count);
            }
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
