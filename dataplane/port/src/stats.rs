//! Counters of one sandbox.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use jd_link::RingCounters;
use serde::Serialize;

/// Counters while they count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub notifications: Count,
    pub injected: Count,
    pub denied: Count,
    pub dials: Count,
    pub dial_failures: Count,
    pub parked: Count,
    pub rests: Count,
    pub egress_connections: Count,
    pub datagrams: Count,
    pub dns_queries: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters at one moment; all but none ever shrink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Calls that reached the supervisor.
    pub notifications: u64,
    /// Descriptors made for the guest.
    pub injected: u64,
    /// Calls refused by policy or quota.
    pub denied: u64,
    /// Connections made to the guest.
    pub dials: u64,
    /// Connections that could not be made.
    pub dial_failures: u64,
    /// Calls that had to wait.
    pub parked: u64,
    /// Times the sandbox was put off for taking more than its share.
    pub rests: u64,
    /// Connections that left the host.
    pub egress_connections: u64,
    /// Datagrams that the guest sent.
    pub datagrams: u64,
    /// Names that the guest asked for.
    pub dns_queries: u64,
}

impl Tally {
    pub fn read(&self) -> Counters {
        Counters {
            notifications: self.notifications.get(),
            injected: self.injected.get(),
            denied: self.denied.get(),
            dials: self.dials.get(),
            dial_failures: self.dial_failures.get(),
            parked: self.parked.get(),
            rests: self.rests.get(),
            egress_connections: self.egress_connections.get(),
            datagrams: self.datagrams.get(),
            dns_queries: self.dns_queries.get(),
        }
    }
}

/// One attached sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SandboxStats {
    /// Its name.
    pub sandbox: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Ports its guest listens on.
    pub listening: Vec<u16>,
    /// What happened so far.
    pub counters: Counters,
    /// What happened on its rings; none: it never asked for them.
    pub rings: Option<RingCounters>,
    /// How long it may poll its rings before it parks, in nanoseconds.
    pub spin_ns: u32,
}
