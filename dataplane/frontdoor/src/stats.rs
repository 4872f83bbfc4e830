//! Counters (`docs/protocols.md`, section 4). A worker writes its own shard, so counting needs no lock and
//! no atomic addition; readers add the shards up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::seat::Seat;

/// Upper bounds of the duration histogram, in seconds: Prometheus's defaults.
pub const BOUNDS_S: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

const BOUNDS_NS: [u64; 11] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const CODE_MIN: u16 = 100;
const CODES: usize = 500;

/// Status counted for a request whose client went away before its end.
pub const CLIENT_GONE: u16 = 499;

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub fn subtract(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One worker's part of the counters of one function.
#[derive(Debug)]
pub struct FunctionShard {
    pub started: Counter,
    pub in_flight: Counter,
    pub rejected: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    sum_ns: Counter,
    buckets: [Counter; BOUNDS_NS.len() + 1],
    codes: Box<[Counter]>,
}

impl FunctionShard {
    pub fn new() -> Self {
        Self {
            started: Counter::default(),
            in_flight: Counter::default(),
            rejected: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            sum_ns: Counter::default(),
            buckets: Default::default(),
            codes: (0..CODES).map(|_| Counter::default()).collect(),
        }
    }

    /// Counts a finished invocation.
    pub fn finished(&self, code: u16, duration_ns: u64) {
        if let Some(counter) = self.codes.get(usize::from(code.wrapping_sub(CODE_MIN))) {
            counter.add(1);
        }
        let bucket = BOUNDS_NS
            .iter()
            .position(|&bound| duration_ns <= bound)
            .unwrap_or(BOUNDS_NS.len());
        self.buckets[bucket].add(1);
        self.sum_ns.add(duration_ns);
    }
}

/// Cumulative histogram: `counts[i]` observations were at most `bounds_s[i]`; the last count, one more than
/// there are bounds, is of all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Upper bounds, in seconds.
    pub bounds_s: Vec<f64>,
    /// Observations up to each bound, then all.
    pub counts: Vec<u64>,
    /// Sum of all observations, in seconds.
    pub sum_s: f64,
}

/// Counters of one function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FunctionStats {
    /// Function name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Invocations that came.
    pub started: u64,
    /// Finished invocations by status; 499: the client went away.
    pub codes: BTreeMap<u16, u64>,
    /// Invocations that a replica is working on.
    pub in_flight: u64,
    /// Invocations that wait for a replica.
    pub queued: u64,
    /// Invocations refused because the queue was full.
    pub rejected: u64,
    /// How long finished invocations took, waiting included.
    pub duration: Histogram,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

impl FunctionStats {
    /// Adds up the shards of one function.
    pub fn of(name: &str, namespace: &str, shards: &[FunctionShard], queued: u64) -> Self {
        let sum = |pick: fn(&FunctionShard) -> &Counter| {
            shards
                .iter()
                .fold(0u64, |sum, shard| sum.wrapping_add(pick(shard).get()))
        };
        let mut codes = BTreeMap::new();
        for (code, place) in (CODE_MIN..).zip(0..CODES) {
            let count: u64 = shards.iter().map(|shard| shard.codes[place].get()).sum();
            if count > 0 {
                codes.insert(code, count);
            }
        }
        let mut total = 0;
        let counts = (0..=BOUNDS_NS.len()).map(|place| {
            total += shards
                .iter()
                .map(|shard| shard.buckets[place].get())
                .sum::<u64>();
            total
        });
        #[allow(clippy::cast_precision_loss)] // A sum of seconds is read to a few digits.
        let sum_s = sum(|shard| &shard.sum_ns) as f64 / 1e9;
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            started: sum(|shard| &shard.started),
            codes,
            in_flight: sum(|shard| &shard.in_flight),
            queued,
            rejected: sum(|shard| &shard.rejected),
            duration: Histogram {
                bounds_s: BOUNDS_S.to_vec(),
                counts: counts.collect(),
                sum_s,
            },
            bytes_in: sum(|shard| &shard.bytes_in),
            bytes_out: sum(|shard| &shard.bytes_out),
        }
    }
}

/// Counters of one worker, as kept by it.
#[derive(Debug, Default)]
pub struct WorkerShard {
    pub seat: Seat,
    pub connections: Counter,
    pub requests: Counter,
    pub wakeups: Counter,
    pub events: Counter,
    pub bells: Counter,
}

/// Counters of one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerStats {
    /// Client connections open now.
    pub connections: u64,
    /// Requests whose head was read.
    pub requests: u64,
    /// Times the worker came out of its wait.
    pub wakeups: u64,
    /// Events it found then.
    pub events: u64,
    /// Events that were a bell of the rings.
    pub bells: u64,
    /// Its thread.
    pub thread: i32,
    /// Cores that the thread may use.
    pub cores: Vec<usize>,
    /// Time on a core, in nanoseconds.
    pub run_ns: u64,
    /// Time in which it could have run and others had the core, in nanoseconds.
    pub wait_ns: u64,
    /// Time asleep, in nanoseconds.
    pub park_ns: u64,
}

impl From<&WorkerShard> for WorkerStats {
    fn from(shard: &WorkerShard) -> Self {
        let times = shard.seat.times();
        Self {
            connections: shard.connections.get(),
            requests: shard.requests.get(),
            wakeups: shard.wakeups.get(),
            events: shard.events.get(),
            bells: shard.bells.get(),
            thread: shard
                .seat
                .thread()
                .map_or(0, |thread| thread.as_raw_nonzero().get()),
            cores: shard.seat.cores(),
            run_ns: times.run_ns,
            wait_ns: times.wait_ns,
            park_ns: times.park_ns,
        }
    }
}

/// All counters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// By function, sorted by namespace and name.
    pub functions: Vec<FunctionStats>,
    /// By worker.
    pub workers: Vec<WorkerStats>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_to_a_cumulative_histogram() {
        let shards = [FunctionShard::new(), FunctionShard::new()];
        shards[0].finished(200, 1_000_000);
        shards[1].finished(200, 30_000_000);
        shards[1].finished(502, 20_000_000_000);
        shards[1].in_flight.add(2);
        shards[1].in_flight.subtract(1);
        let stats = FunctionStats::of("f", "n", &shards, 3);
        assert_eq!(stats.codes, BTreeMap::from([(200, 2), (502, 1)]));
        assert_eq!(stats.duration.counts, [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
        assert_eq!((stats.in_flight, stats.queued), (1, 3));
        assert!((stats.duration.sum_s - 20.031).abs() < 1e-9);
    }
}
