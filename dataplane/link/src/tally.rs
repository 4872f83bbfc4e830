//! Counters of one sandbox's rings.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jd_ring::host::Counts;
use serde::Serialize;

/// Counters while they count. Workers of the front door write them, rarely the same at once.
#[derive(Debug, Default)]
pub struct Tally {
    open: AtomicU64,
    upgrades: AtomicU64,
    leaves: AtomicU64,
    violations: AtomicU64,
    wakes_to_guest: AtomicU64,
    wakes_avoided: AtomicU64,
    bytes_to_guest: AtomicU64,
    bytes_to_host: AtomicU64,
    wakes_to_host: AtomicU64,
    bells_muted: AtomicU64,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingCounters {
    /// Connections that ride on rings now.
    pub ring_connections: u64,
    /// Memory of the slab that was touched, in bytes.
    pub ring_bytes: u64,
    /// Connections that changed over so far.
    pub ring_upgrades: u64,
    /// Connections that went back to their descriptor.
    pub ring_leaves: u64,
    /// Connections cut because a shared word held what no honest guest writes.
    pub ring_violations: u64,
    /// Writes to an eventfd of the guest.
    pub wakes_to_guest: u64,
    /// Publications that found the guest awake.
    pub wakes_avoided: u64,
    /// Bytes that went by rings to the guest.
    pub ring_bytes_to_guest: u64,
    /// Bytes that came by rings from the guest.
    pub ring_bytes_to_host: u64,
    /// Times a bell of the guest woke a worker.
    pub wakes_to_host: u64,
    /// Times a bell was not listened to for a while, as it rang without news.
    pub bells_muted: u64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Tally {
    /// A connection changed over.
    pub fn upgraded(&self) {
        add(&self.upgrades);
        add(&self.open);
    }

    /// A connection is on its ring no more.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// A connection went back to its descriptor.
    pub fn left(&self) {
        add(&self.leaves);
        self.closed();
    }

    /// What an end of a connection did.
    pub fn add(&self, counts: Counts) {
        let parts = [
            (&self.wakes_to_guest, counts.wakes_written),
            (&self.wakes_avoided, counts.wakes_avoided),
            (&self.bytes_to_guest, counts.bytes_to_guest),
            (&self.bytes_to_host, counts.bytes_to_host),
            (&self.violations, counts.violations),
        ];
        for (counter, amount) in parts {
            if amount > 0 {
                counter.fetch_add(amount, Relaxed);
            }
        }
    }

    /// A bell rang.
    pub fn rang(&self) {
        add(&self.wakes_to_host);
    }

    /// A bell is not listened to for a while.
    pub fn muted(&self) {
        add(&self.bells_muted);
    }

    /// All of them.
    #[must_use]
    pub fn read(&self) -> RingCounters {
        RingCounters {
            ring_connections: self.open.load(Relaxed),
            ring_bytes: 0,
            ring_upgrades: self.upgrades.load(Relaxed),
            ring_leaves: self.leaves.load(Relaxed),
            ring_violations: self.violations.load(Relaxed),
            wakes_to_guest: self.wakes_to_guest.load(Relaxed),
            wakes_avoided: self.wakes_avoided.load(Relaxed),
            ring_bytes_to_guest: self.bytes_to_guest.load(Relaxed),
            ring_bytes_to_host: self.bytes_to_host.load(Relaxed),
            wakes_to_host: self.wakes_to_host.load(Relaxed),
            bells_muted: self.bells_muted.load(Relaxed),
        }
    }
}
