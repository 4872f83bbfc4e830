//! One sandbox as its worker sees it.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, Wait};
use crate::census::Census;
use crate::datagram::Datagram;
use crate::egress::Egress;
use crate::host::{Event, Host};
use crate::inbox::Inbox;
use crate::journal::Journal;
use crate::mark::Mark;
use crate::netns;
use crate::platform::Platform;
use crate::ports::Ports;
use crate::route::Here;
use crate::shared::Shared;
use crate::stash::Stash;
use crate::sys::{self, process, socket};

/// Threads whose descriptor is kept; a guest with more pays an open per call.
const CALLERS_MAX: usize = 64;
/// Distance of two reports of one kind of misbehaviour.
const VIOLATION_DISTANCE: Duration = Duration::from_secs(1);

/// What all sandboxes have in common.
pub(crate) struct World {
    pub platform: Arc<ArcSwap<Platform>>,
    pub host: Arc<dyn Host>,
    pub egress: Egress,
}

/// The worker's half of a sandbox.
pub(crate) struct Sandbox {
    pub shared: Arc<Shared>,
    pub notify: OwnedFd,
    pub journal: Journal,
    /// Connections taken from a listener whose accept could not be answered, by its cookie.
    pub stash: Stash,
    /// When each kind of misbehaviour was last told.
    pub violations: HashMap<&'static str, Instant>,
    /// Ports of datagram sockets.
    pub udp: Ports,
    /// Datagram sockets, by the cookie of the guest's end.
    pub datagrams: HashMap<u64, Arc<Datagram>>,
    pub datagram_number: u32,
    /// Where the next UDP descriptor's number is looked for.
    pub next_number: u32,
    /// The same of the descriptors that belong to its rings.
    pub next_ring_number: u32,
    /// The way to this sandbox's own worker.
    pub inbox: Arc<Inbox>,
    /// Time that the worker slept in calls on this sandbox's sockets; charged with the next.
    pub slept: Duration,
    /// Room for further sockets.
    pub census: Census,
    callers: HashMap<u32, Arc<OwnedFd>>,
}

/// A copy of an injected socket of the guest, held for one call.
pub(crate) struct Subject {
    pub fd: OwnedFd,
    /// `None`: an accepted socket.
    pub mark: Option<Mark>,
}

impl Subject {
    /// Takes up a socket again that was identified earlier in the same call.
    pub fn resume(fd: OwnedFd) -> Result<Self, Errno> {
        let bits = socket::int_option(fd.as_fd(), libc::SO_MARK)?;
        Ok(Self {
            mark: Mark::decode(u32::from_ne_bytes(bits.to_ne_bytes())),
            fd,
        })
    }

    /// Number of the socket, never reused.
    pub fn cookie(&self) -> Result<u64, Errno> {
        socket::cookie(self.fd.as_fd())
    }

    /// Whether the guest made it for datagrams.
    pub fn is_datagram(&self) -> bool {
        self.mark.is_some_and(|mark| mark.datagram)
    }

    /// Whether the guest made it non-blocking.
    pub fn is_non_blocking(&self) -> Result<bool, Errno> {
        Ok(rustix::fs::fcntl_getfl(&self.fd)?.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// Remembers `mark` on the socket.
    pub fn set_mark(&self, mark: Mark) -> Result<(), Errno> {
        set_mark(self.fd.as_fd(), mark)
    }
}

/// Writes a mark.
pub(crate) fn set_mark(fd: BorrowedFd<'_>, mark: Mark) -> Result<(), Errno> {
    let bits = i32::from_ne_bytes(mark.encode().to_ne_bytes());
    socket::set_int_option(fd, libc::SO_MARK, bits)
}

/// What a descriptor of the guest is.
pub(crate) enum Descriptor {
    /// One of ours.
    Injected(Subject),
    /// The guest's own AF_UNIX or netlink socket.
    Foreign,
}

impl Sandbox {
    pub fn new(shared: Arc<Shared>, notify: OwnedFd, journal: Journal, inbox: Arc<Inbox>) -> Self {
        Self {
            shared,
            notify,
            journal,
            stash: Stash::default(),
            violations: HashMap::new(),
            udp: Ports::default(),
            datagrams: HashMap::new(),
            datagram_number: 0,
            next_number: 0,
            next_ring_number: 0,
            inbox,
            slept: Duration::ZERO,
            census: Census::default(),
            callers: HashMap::new(),
        }
    }

    /// Tells the host of misbehaviour, seldom enough not to be a flood of its own.
    pub fn report(&mut self, world: &World, kind: &'static str) {
        let now = Instant::now();
        let last = self.violations.get(kind);
        if last.is_some_and(|last| now.saturating_duration_since(*last) < VIOLATION_DISTANCE) {
            return;
        }
        self.violations.insert(kind, now);
        let sandbox = self.shared.name.clone();
        log::warn!("sandbox {sandbox} misbehaves: {kind}");
        world.host.event(Event::Violation {
            sandbox,
            kind: kind.to_owned(),
        });
    }

    /// The addresses of this sandbox.
    pub fn here(&self) -> Here {
        let Shared {
            address,
            gateway,
            nameserver,
            ..
        } = *self.shared;
        Here {
            address,
            gateway,
            nameserver,
        }
    }

    /// Makes a call that may have to sleep a moment, and notes for how long if it got nothing by it.
    pub fn sleeping<T>(&mut self, call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let started = Instant::now();
        let result = call();
        if matches!(result, Err(Errno::AGAIN)) {
            self.slept += started.elapsed();
        }
        result
    }

    /// Brings the worker into the socket namespace, where it may make sockets.
    pub fn settle(&self) -> Result<(), Errno> {
        netns::settle(self.shared.netns.as_fd(), self.shared.netns_cookie)
    }

    /// The thread that made a call.
    pub fn caller(&mut self, call: &Notification) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(pidfd) = self.callers.get(&call.pid) {
            return Ok(Arc::clone(pidfd));
        }
        let pidfd = Arc::new(process::open_thread(call.pid)?);
        // The number may have been reused between the call and the open.
        self.must_wait(call)?;
        if self.callers.len() >= CALLERS_MAX {
            self.callers.clear();
        }
        self.callers.insert(call.pid, Arc::clone(&pidfd));
        Ok(pidfd)
    }

    /// A copy of descriptor `fd` of the caller, whatever it is.
    pub fn copy(&mut self, call: &Notification, fd: i32) -> Result<OwnedFd, Errno> {
        let pidfd = self.caller(call)?;
        match process::descriptor_of(pidfd.as_fd(), fd) {
            // A cached descriptor of a thread that died; its number has a new owner.
            Err(Errno::SRCH) => {
                self.callers.remove(&call.pid);
                let pidfd = self.caller(call)?;
                process::descriptor_of(pidfd.as_fd(), fd)
            }
            copied => copied,
        }
    }

    /// Tells what descriptor `fd` of the caller is. The copy decides, never its number or name.
    pub fn identify(&mut self, call: &Notification, fd: i32) -> Result<Descriptor, Errno> {
        let copy = self.copy(call, fd)?;
        self.classify(copy)
    }

    /// Tells what a copy of a descriptor is.
    pub fn classify(&self, copy: OwnedFd) -> Result<Descriptor, Errno> {
        let domain = socket::int_option(copy.as_fd(), libc::SO_DOMAIN)?;
        if domain != libc::AF_UNIX
            || socket::netns_cookie(copy.as_fd())? != self.shared.netns_cookie
        {
            return Ok(Descriptor::Foreign);
        }
        Subject::resume(copy).map(Descriptor::Injected)
    }

    /// Fails unless the caller still waits, so that what was read of it was its own.
    pub fn must_wait(&self, call: &Notification) -> Result<(), Errno> {
        if sys::notify::is_waiting(self.notify.as_fd(), call.id) {
            Ok(())
        } else {
            Err(Errno::SRCH)
        }
    }

    /// Reads `bytes` bytes of the caller's memory, once.
    pub fn read(&self, call: &Notification, address: u64, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut memory = vec![0; bytes];
        process::read_memory(call.pid, address, &mut memory)?;
        self.must_wait(call)?;
        Ok(memory)
    }

    /// Reads a 32-bit number of the caller's memory.
    pub fn read_word(&self, call: &Notification, address: u64) -> Result<u32, Errno> {
        let mut word = [0; 4];
        process::read_memory(call.pid, address, &mut word)?;
        self.must_wait(call)?;
        Ok(u32::from_ne_bytes(word))
    }

    /// Writes the caller's memory.
    pub fn write(&self, call: &Notification, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.must_wait(call)?;
        process::write_memory(call.pid, [(address, bytes), (address, &[])])
    }

    /// Writes the caller's memory in two places.
    pub fn write_both(
        &self,
        call: &Notification,
        first: (u64, &[u8]),
        second: (u64, &[u8]),
    ) -> Result<(), Errno> {
        self.must_wait(call)?;
        process::write_memory(call.pid, [first, second])
    }

    /// Handles a call. Every one of the filter has its handler here.
    pub fn handle(&mut self, world: &World, call: &Notification) -> Reply {
        match call.number() {
            libc::SYS_socket => self.on_socket(world, call),
            libc::SYS_bind => self.on_bind(call),
            libc::SYS_listen => self.on_listen(world, call),
            libc::SYS_connect => self.on_connect(world, call),
            libc::SYS_accept | libc::SYS_accept4 => self.on_accept(call),
            libc::SYS_getsockname => self.on_getsockname(call),
            libc::SYS_getpeername => self.on_getpeername(call),
            libc::SYS_setsockopt => self.on_setsockopt(call),
            libc::SYS_getsockopt => self.on_getsockopt(call),
            libc::SYS_ioctl => self.on_ioctl(call),
            libc::SYS_shutdown => self.on_shutdown(call),
            libc::SYS_sendto | libc::SYS_recvfrom => self.on_message(world, call),
            libc::SYS_sendmsg | libc::SYS_recvmsg => self.on_message(world, call),
            libc::SYS_sendmmsg | libc::SYS_recvmmsg => self.on_message(world, call),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Goes on with a call whose wait may be over.
    pub fn resume(&mut self, world: &World, call: &Notification, wait: Wait) -> Reply {
        match wait {
            Wait::Accept { listener, deadline } => {
                self.accept_from(call, Subject::resume(listener)?, deadline)
            }
            Wait::Receive { socket, deadline } | Wait::Send { socket, deadline } => {
                self.message(world, call, socket, deadline)
            }
            Wait::Pending { socket, deadline } => self.look_at_pending(socket, deadline),
            // Ends by a message of the egress thread.
            wait @ Wait::Egress { .. } => Ok(Outcome::Park(wait)),
            // Ends by a message of the connection's owner.
            wait @ Wait::Upgrade { .. } => Ok(Outcome::Park(wait)),
        }
    }
}
