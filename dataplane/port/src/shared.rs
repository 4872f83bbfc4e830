//! What several threads may do with one sandbox: connect to its listeners, count, look.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jd_link::{RingCounters, Rings, Toll};
use jd_wire::names::Name;
use rustix::io::Errno;

use crate::dials::Dials;
use crate::host::{Event, Host};
use crate::netns;
use crate::pending::Pending;
use crate::ports::Ports;
use crate::rooms::Rooms;
use crate::stats::Tally;
use crate::sweeps::Sweeps;
use crate::sys::socket;

/// Bytes a socket may hold unsent before `EAGAIN`; the kernel caps it at `wmem_max`.
pub(crate) const SEND_BUFFER_BYTES: i32 = 1 << 20;
/// Bytes of one sandbox that wait for the egress thread; more is dropped, as UDP may.
const QUEUED_BYTES_MAX: usize = 1 << 20;
/// What a piece of work counts beside its bytes, so that empty datagrams are bounded too.
const QUEUED_OVERHEAD_BYTES: usize = 512;

/// What waits for the egress thread.
#[derive(Default)]
struct Queued(AtomicUsize);

impl Queued {
    fn take(&self, bytes: usize) -> bool {
        let cost = bytes + QUEUED_OVERHEAD_BYTES;
        let before = self.0.fetch_add(cost, Ordering::Relaxed);
        let fits = before + cost <= QUEUED_BYTES_MAX;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.0
            .fetch_sub(bytes + QUEUED_OVERHEAD_BYTES, Ordering::Relaxed);
    }
}

/// The shared half of a sandbox.
pub(crate) struct Shared {
    pub id: u64,
    pub name: String,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
    pub netns: OwnedFd,
    /// Identifies injected sockets: they alone were made in that namespace.
    pub netns_cookie: u64,
    pub hub: OwnedFd,
    pub hub_name: Vec<u8>,
    pub tally: Tally,
    /// Connections of the platform, which may change over to rings.
    pub dials: Dials,
    /// What waking the guest costs.
    pub toll: Arc<Toll>,
    /// It was told that the guest is not woken any more.
    barred: AtomicBool,
    pub next_upgrade: AtomicU64,
    rings: Mutex<Option<Arc<Rings>>>,
    /// How long the guest may poll its rings, in nanoseconds.
    spin_ns: AtomicU32,
    host: Arc<dyn Host>,
    pub pending: Pending,
    pub rooms: Rooms,
    queued: Queued,
    pub(crate) home: Arc<OwnedFd>,
    tcp: Mutex<Ports>,
    pub(crate) listing: File,
    pub(crate) sweeps: Mutex<Sweeps>,
    /// Tells how many sockets the namespace has.
    pub(crate) census: File,
    pub(crate) spares: Mutex<Vec<OwnedFd>>,
    pub(crate) next_port: AtomicU16,
}

/// Names and addresses of a sandbox, from its keeper.
pub(crate) struct Identity {
    pub id: u64,
    pub name: String,
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
}

/// A new stream socket of the platform in the thread's namespace.
pub(crate) fn stream(flags: i32) -> Result<OwnedFd, Errno> {
    let stream = socket::unix(libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags)?;
    // Older kernels lack the option; readers never take control messages, so descriptors that a
    // guest sends are dropped by the kernel.
    let _ = socket::refuse_descriptors(stream.as_fd());
    let _ = socket::set_int_option(stream.as_fd(), libc::SO_SNDBUF, SEND_BUFFER_BYTES);
    Ok(stream)
}

fn tell_violation(host: &dyn Host, sandbox: &str, kind: &str) {
    log::warn!("sandbox {sandbox} misbehaves: {kind}");
    host.event(Event::Violation {
        sandbox: sandbox.to_owned(),
        kind: kind.to_owned(),
    });
}

impl Shared {
    /// Opens what is needed inside the socket namespace and finds the listeners that are there.
    pub fn new(
        identity: Identity,
        netns: OwnedFd,
        home: Arc<OwnedFd>,
        host: Arc<dyn Host>,
    ) -> io::Result<Self> {
        let mut seed = [0; 10];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        let nonce = u64::from_ne_bytes(*seed.first_chunk().unwrap_or(&[0; 8]));
        let hub_name = Name::Hub { nonce }.to_bytes();
        let (hub, listing, census) = netns::visit(netns.as_fd(), &home, || {
            let hub = stream(libc::SOCK_NONBLOCK)?;
            socket::bind(hub.as_fd(), &hub_name)?;
            rustix::net::listen(&hub, 256)?;
            let listing = File::open("/proc/thread-self/net/unix").map_err(|_| Errno::NOENT)?;
            let census = File::open("/proc/thread-self/net/sockstat").map_err(|_| Errno::NOENT)?;
            Ok((hub, listing, census))
        })?;
        let netns_cookie = socket::netns_cookie(hub.as_fd())?;
        let Identity {
            id,
            name,
            address,
            gateway,
            nameserver,
        } = identity;
        let shared = Self {
            id,
            name,
            address,
            gateway,
            nameserver,
            netns,
            netns_cookie,
            hub,
            hub_name,
            tally: Tally::default(),
            dials: Dials::default(),
            toll: Arc::default(),
            barred: AtomicBool::new(false),
            next_upgrade: AtomicU64::new(0),
            rings: Mutex::default(),
            spin_ns: AtomicU32::new(0),
            host,
            pending: Pending::default(),
            rooms: Rooms::default(),
            queued: Queued::default(),
            home,
            tcp: Mutex::default(),
            listing,
            sweeps: Mutex::new(Sweeps::new(Instant::now())),
            census,
            spares: Mutex::default(),
            next_port: AtomicU16::new(u16::from_ne_bytes([seed[8], seed[9]])),
        };
        shared.rediscover();
        Ok(shared)
    }

    /// The rings of this sandbox, made when it asks for the first time.
    pub fn rings(&self) -> Result<Arc<Rings>, Errno> {
        let mut place = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rings) = &*place {
            return Ok(Arc::clone(rings));
        }
        let (host, sandbox) = (Arc::clone(&self.host), self.name.clone());
        let report = move |kind| tell_violation(&*host, &sandbox, kind);
        let rings =
            Rings::with_toll(Box::new(report), Arc::clone(&self.toll)).map_err(|error| {
                log::warn!("sandbox {}: {error}", self.name);
                Errno::NOMEM
            })?;
        rings.set_spin_ns(self.spin_ns.load(Ordering::Relaxed));
        Ok(Arc::clone(place.insert(Arc::new(rings))))
    }

    /// Makes a call that wakes the guest.
    ///
    /// # Errors
    /// What the call said; `ECONNABORTED`: the guest's wakes were too dear, and none is made any more.
    pub fn wake<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        if let Some(answer) = self.toll.wake(call) {
            return answer;
        }
        if !self.barred.swap(true, Ordering::Relaxed) {
            tell_violation(&*self.host, &self.name, "too many watchers");
        }
        Err(Errno::CONNABORTED)
    }

    /// Counters of the rings and the spin that is granted; `None`: the guest never asked for rings.
    pub fn ring_counters(&self) -> Option<RingCounters> {
        let place = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().map(|rings| rings.counters())
    }

    /// Grants the guest so much polling before it parks, also on a slab made later.
    pub fn set_spin_ns(&self, spin_ns: u32) {
        self.spin_ns.store(spin_ns, Ordering::Relaxed);
        let place = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rings) = &*place {
            rings.set_spin_ns(spin_ns);
        }
    }

    /// How long the guest may poll, in nanoseconds.
    pub fn spin_ns(&self) -> u32 {
        self.spin_ns.load(Ordering::Relaxed)
    }

    /// The port table of TCP.
    pub fn tcp(&self) -> MutexGuard<'_, Ports> {
        // A panic while the table was held leaves it consistent: every change is one call.
        self.tcp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to look for the next ephemeral port.
    pub fn ephemeral_start(&self) -> u16 {
        self.next_port.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes room for `bytes` towards the egress thread; false: it is taken.
    pub fn queue(&self, bytes: usize) -> bool {
        self.queued.take(bytes)
    }

    /// Gives that room back.
    pub fn unqueue(&self, bytes: usize) {
        self.queued.give_back(bytes);
    }

    /// The name by which the guest knows itself: the first label of the sandbox's.
    pub fn hostname(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// Takes the next connection to the hub, with the name of its other end.
    pub fn accept_hub(&self) -> Result<(OwnedFd, Option<Vec<u8>>), Errno> {
        let end = socket::accept(self.hub.as_fd(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)?;
        let name = socket::peer_name(end.as_fd()).ok().flatten();
        Ok((end, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_datagrams_take_room_too() {
        let queued = Queued::default();
        let taken = (0..100_000).take_while(|_| queued.take(0)).count();
        assert_eq!(taken, QUEUED_BYTES_MAX / QUEUED_OVERHEAD_BYTES);
        for _ in 0..taken {
            queued.give_back(0);
        }
        assert_eq!(queued.0.load(Ordering::Relaxed), 0);
        assert!(queued.take(QUEUED_BYTES_MAX - QUEUED_OVERHEAD_BYTES) && !queued.take(0));
    }
}
