//! A host that plays jnetd: answers the shim's questions over a socket and serves the host's end of every ring.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jd_ring::abi;
use jd_ring::host::{GuestState, HostEnd, Slab};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

static NAMES: AtomicU32 = AtomicU32::new(0);
const NOT_HERE: i32 = -92;

/// The host. Its thread ends with it.
pub struct Player {
    pub name: String,
    shared: Arc<Shared>,
}

struct Shared {
    slab: Mutex<Slab>,
    lines: Mutex<Vec<Arc<Line>>>,
    over: AtomicBool,
    rings: AtomicBool,
    upgrades: AtomicU32,
}

/// The host's side of one connection.
pub struct Line {
    local: SocketAddr,
    state: Mutex<State>,
}

struct State {
    socket: Option<TcpStream>,
    ring: Option<HostEnd>,
    /// Ends that are not used any more but whose slots may not be given anew.
    spent: Vec<HostEnd>,
    out: VecDeque<u8>,
    ending: bool,
    ended: bool,
    inbox: Vec<u8>,
    in_ended: Option<String>,
    paused: bool,
    left: bool,
}

impl Player {
    /// Starts it; without `rings` it refuses every upgrade.
    pub fn start(rings: bool) -> Self {
        let name = format!(
            "jshim-test-{}-{}",
            std::process::id(),
            NAMES.fetch_add(1, Ordering::Relaxed)
        );
        let door = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::NONBLOCK,
            None,
        )
        .expect("a socket");
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("a short name");
        rustix::net::bind(&door, &address).expect("a free name");
        rustix::net::listen(&door, 64).expect("listening");
        let shared = Arc::new(Shared {
            slab: Mutex::new(Slab::create().expect("a slab")),
            lines: Mutex::default(),
            over: AtomicBool::new(false),
            rings: AtomicBool::new(rings),
            upgrades: AtomicU32::new(0),
        });
        let worker = Arc::clone(&shared);
        std::thread::spawn(move || worker.run(&door));
        Self { name, shared }
    }

    /// Connects to a program as jnetd would.
    pub fn connect(&self, port: u16) -> Arc<Line> {
        let socket = (0..500).find_map(|_| {
            let connected = TcpStream::connect(("127.0.0.1", port)).ok();
            if connected.is_none() {
                // A server that names its port before it listens.
                std::thread::sleep(Duration::from_millis(20));
            }
            connected
        });
        let socket = socket.expect("the program accepts");
        socket.set_nonblocking(true).expect("a flag");
        socket.set_nodelay(true).expect("a flag");
        let local = socket.local_addr().expect("an address");
        let line = Arc::new(Line {
            local,
            state: Mutex::new(State {
                socket: Some(socket),
                ring: None,
                spent: Vec::new(),
                out: VecDeque::new(),
                ending: false,
                ended: false,
                inbox: Vec::new(),
                in_ended: None,
                paused: false,
                left: false,
            }),
        });
        self.shared.lines.lock().unwrap().push(Arc::clone(&line));
        line
    }

    /// As when jnetd dies and another begins: every connection ends, and there is a new slab.
    pub fn restart(&self) {
        self.shared
            .lines
            .lock()
            .unwrap()
            .drain(..)
            .for_each(|line| line.die());
        *self.shared.slab.lock().unwrap() = Slab::create().expect("a slab");
    }

    pub fn upgrades(&self) -> u32 {
        self.shared.upgrades.load(Ordering::Relaxed)
    }

    pub fn set_spin_ns(&self, ns: u32) {
        self.shared.slab.lock().unwrap().set_spin_ns(ns);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn run(&self, door: &OwnedFd) {
        while !self.over.load(Ordering::Relaxed) {
            while let Ok(asker) = rustix::net::accept(door) {
                self.answer(&asker);
            }
            let lines = self.lines.lock().unwrap().clone();
            let mut busy = false;
            for line in lines {
                busy |= line.state.lock().unwrap().pump();
            }
            if !busy {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    /// One question: option and value in, answer and value out, a descriptor beside each.
    fn answer(&self, asker: &OwnedFd) {
        let mut packet = [0_u8; 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut pieces = [IoSliceMut::new(&mut packet)];
        if rustix::net::recvmsg(asker, &mut pieces, &mut beside, RecvFlags::CMSG_CLOEXEC).is_err() {
            return;
        }
        let guest = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let Some(guest) = guest else { return };
        let option = i32::from_ne_bytes(packet[..4].try_into().unwrap());
        let index = u32::from_ne_bytes(packet[4..8].try_into().unwrap());
        let mut value = [0_u8; 16];
        let (number, fd) = self.decide(option, index, &guest, &mut value);
        let mut reply = number.to_ne_bytes().to_vec();
        reply.extend_from_slice(&value);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = fd.iter().map(OwnedFd::as_fd).collect();
        if !fds.is_empty() {
            beside.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let _ = rustix::net::sendmsg(
            asker,
            &[IoSlice::new(&reply)],
            &mut beside,
            SendFlags::NOSIGNAL,
        );
    }

    fn slab(&self) -> Slab {
        self.slab.lock().unwrap().clone()
    }

    fn decide(
        &self,
        option: i32,
        index: u32,
        guest: &OwnedFd,
        value: &mut [u8; 16],
    ) -> (i32, Option<OwnedFd>) {
        if !self.rings.load(Ordering::Relaxed) {
            return (NOT_HERE, None);
        }
        let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().ok();
        let slab = self.slab();
        match option {
            abi::OPTION_SLAB => (0, copy(slab.memfd())),
            abi::OPTION_UPGRADE => (self.upgrade(guest, value), None),
            abi::OPTION_BELL => (0, slab.bell(index).ok().and_then(|bell| copy(bell.as_fd()))),
            abi::OPTION_WAITER => match slab.waiter_open() {
                Ok(Some(index)) => {
                    value[..4].copy_from_slice(&index.to_ne_bytes());
                    (0, slab.waiter_fd(index).and_then(copy))
                }
                _ => (-105, None),
            },
            _ => (NOT_HERE, None),
        }
    }

    fn upgrade(&self, guest: &OwnedFd, value: &mut [u8; 16]) -> i32 {
        let peer = rustix::net::getpeername(guest)
            .ok()
            .flatten()
            .and_then(|name| SocketAddr::try_from(name).ok());
        let lines = self.lines.lock().unwrap().clone();
        let Some(line) = lines
            .into_iter()
            .find(|line| Some(line.local.port()) == peer.map(|name| name.port()))
        else {
            return NOT_HERE;
        };
        let mut state = line.state.lock().unwrap();
        if state.left || state.ring.is_some() {
            return NOT_HERE;
        }
        state.read_socket();
        let slab = self.slab();
        let bell = slab.bell(0).expect("a bell");
        let Ok(Some(end)) = slab.open(bell.index()) else {
            return -105;
        };
        let pending = rustix::io::ioctl_fionread(guest).unwrap_or(0);
        let answer = end.upgrade(u32::try_from(pending).unwrap_or(0));
        for (at, word) in [answer.slot, answer.generation, answer.bell, answer.pending]
            .into_iter()
            .enumerate()
        {
            value[at * 4..at * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        state.ring = Some(end);
        self.upgrades.fetch_add(1, Ordering::Relaxed);
        0
    }
}

impl State {
    /// Moves what can be moved; true if something did.
    fn pump(&mut self) -> bool {
        if self.socket.is_none() {
            return false;
        }
        let mut busy = self.notice_leaving();
        busy |= self.write();
        if !self.paused {
            busy |= if self.ring.is_some() {
                self.read_ring()
            } else {
                self.read_socket()
            };
        }
        busy
    }

    fn notice_leaving(&mut self) -> bool {
        let Some(ring) = self.ring.as_mut() else {
            return false;
        };
        if ring.guest() != Ok(GuestState::Left) {
            return false;
        }
        // What it had published is the last that comes by the ring; what it had not consumed goes first.
        let mut rest = Vec::new();
        while ring
            .take_into(&mut self.inbox, 65_536)
            .expect("an honest guest")
            > 0
        {}
        ring.take_back(&mut rest).expect("an honest guest");
        let mut out: VecDeque<u8> = rest.into();
        out.extend(self.out.drain(..));
        self.out = out;
        self.left = true;
        self.ended = false;
        self.spent.extend(self.ring.take());
        true
    }

    fn write(&mut self) -> bool {
        let mut busy = false;
        while !self.out.is_empty() {
            let (front, _) = self.out.as_slices();
            let moved = match (self.ring.as_mut(), self.socket.as_mut()) {
                (Some(ring), _) => ring.publish(front).expect("an honest guest"),
                (None, Some(socket)) => socket.write(front).unwrap_or(0),
                (None, None) => 0,
            };
            if moved == 0 {
                if let Some(ring) = self.ring.as_mut() {
                    let _ = ring.wants_space();
                }
                break;
            }
            self.out.drain(..moved);
            busy = true;
        }
        if self.out.is_empty() && self.ending && !self.ended {
            // The descriptor's end follows once the ring is drained: a guest that leaves gets the rest there.
            let drained = self.ring.as_mut().is_none_or(|ring| {
                ring.end_sending();
                let _ = ring.notify();
                ring.free() == Ok(abi::RING_BYTES)
            });
            if let (true, Some(socket)) = (drained, &self.socket) {
                self.ended = true;
                let _ = socket.shutdown(Shutdown::Write);
            }
        }
        if let Some(ring) = self.ring.as_mut() {
            let _ = ring.notify();
        }
        busy
    }

    fn read_ring(&mut self) -> bool {
        let Some(ring) = self.ring.as_mut() else {
            return false;
        };
        // The descriptor's end first, then the ring: what was published before the end is there by then.
        let mut probe = [0_u8; 1];
        let end = match self.socket.as_ref().map(|socket| socket.peek(&mut probe)) {
            Some(Ok(0)) => Some("end".to_owned()),
            Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                Some(format!("{:?}", error.kind()))
            }
            _ => None,
        };
        let mut busy = false;
        while ring
            .take_into(&mut self.inbox, 65_536)
            .expect("an honest guest")
            > 0
        {
            busy = true;
        }
        let _ = ring.notify();
        if self.in_ended.is_none() && end.is_some() && ring.guest() != Ok(GuestState::Left) {
            self.in_ended = end;
        }
        busy
    }

    fn read_socket(&mut self) -> bool {
        if self.in_ended.is_some() {
            return false;
        }
        let mut chunk = [0_u8; 65_536];
        let mut busy = false;
        while let Some(socket) = self.socket.as_mut() {
            match socket.read(&mut chunk) {
                Ok(0) => self.in_ended = Some("end".to_owned()),
                Ok(len) => {
                    self.inbox.extend_from_slice(&chunk[..len]);
                    busy = true;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => self.in_ended = Some(format!("{:?}", error.kind())),
            }
            break;
        }
        busy
    }
}

impl Line {
    pub fn send(&self, bytes: &[u8]) {
        self.state.lock().unwrap().out.extend(bytes);
    }

    /// Takes at most `max` of what has come; how it ended once all is taken.
    pub fn take(&self, max: usize) -> (Vec<u8>, Option<String>) {
        let mut state = self.state.lock().unwrap();
        let len = state.inbox.len().min(max);
        let bytes = state.inbox.drain(..len).collect();
        let end = if state.inbox.is_empty() {
            state.in_ended.clone()
        } else {
            None
        };
        (bytes, end)
    }

    pub fn end_sending(&self) {
        self.state.lock().unwrap().ending = true;
    }

    pub fn pause(&self, paused: bool) {
        self.state.lock().unwrap().paused = paused;
    }

    pub fn is_on_ring(&self) -> bool {
        self.state.lock().unwrap().ring.is_some()
    }

    pub fn has_sent_all(&self) -> bool {
        self.state.lock().unwrap().out.is_empty()
    }

    /// Closes in order: data first, then the end.
    pub fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.write();
        if let Some(ring) = state.ring.as_mut() {
            ring.go();
            let _ = ring.notify();
        }
        let ring = state.ring.take();
        state.spent.extend(ring);
        state.socket = None;
    }

    /// The host dies: its descriptors close, the ring says nothing.
    pub fn die(&self) {
        let mut state = self.state.lock().unwrap();
        let ring = state.ring.take();
        state.spent.extend(ring);
        state.socket = None;
    }
}
