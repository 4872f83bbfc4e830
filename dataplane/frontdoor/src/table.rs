//! The route table: functions and their replicas, as all workers see them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use jd_wire::control::FunctionSettings;
use std::sync::Arc;

use crate::hash::Map;
use crate::route::DEFAULT_NAMESPACE;
use crate::stats::FunctionShard;

/// A sandbox that serves a function. Lives as long as somebody works with it, beyond its place in the table.
#[derive(Debug)]
pub struct Replica {
    /// Never used twice.
    pub id: u64,
    pub sandbox: String,
    pub port: u16,
    /// Invocations it is working on, of all workers.
    pub in_flight: AtomicU32,
    /// Gets nothing new: asked for by `put_function`, or not in the table any more.
    pub draining: AtomicBool,
    /// Monotonic time until which no connection is tried, after one failed.
    pub down_until_ns: AtomicU64,
    /// Connections that failed in a row.
    pub failures: AtomicU32,
}

/// First wait after a failed connection; doubles up to [`RETRY_NS_MAX`].
const RETRY_NS_MIN: u64 = 2_000_000;
const RETRY_NS_MAX: u64 = 50_000_000;

impl Replica {
    pub fn new(id: u64, sandbox: &str, port: u16, draining: bool) -> Self {
        Self {
            id,
            sandbox: sandbox.to_owned(),
            port,
            in_flight: AtomicU32::new(0),
            draining: AtomicBool::new(draining),
            down_until_ns: AtomicU64::new(0),
            failures: AtomicU32::new(0),
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Takes a place; `limit` 0 means none. Counted first and looked at after: a drain that reads zero after
    /// it has set `draining` can be sure that nobody comes in.
    pub fn try_acquire(&self, limit: u32) -> bool {
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        if (limit == 0 || before < limit) && !self.is_draining() {
            return true;
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        false
    }

    /// Gives a place back; true: that was the last one.
    pub fn release(&self) -> bool {
        self.in_flight.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// A connection failed: leave the replica alone for a while. True: the first one after a success.
    pub fn failed(&self, now_ns: u64) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(16);
        let wait_ns = (RETRY_NS_MIN << failures).min(RETRY_NS_MAX);
        self.down_until_ns
            .store(now_ns + wait_ns, Ordering::Relaxed);
        failures == 0
    }

    /// A connection came about.
    pub fn reached(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

/// What outlives a new version of a function: counters and who waits.
#[derive(Debug)]
pub struct FunctionState {
    /// Never used twice.
    pub id: u64,
    /// By worker.
    pub shards: Box<[FunctionShard]>,
    /// Requests that wait, of all workers.
    pub queued: AtomicU32,
    /// Workers that have waiting requests, one bit each.
    pub waiting: AtomicU64,
    /// Monotonic time of the last `wanted`.
    pub wanted_at_ns: AtomicU64,
    /// Where the next search for a replica begins.
    pub turn: AtomicU32,
}

/// `wanted` is told at most once in this time, per function.
const WANTED_NS: u64 = 100_000_000;

impl FunctionState {
    pub fn new(id: u64, workers: usize) -> Self {
        Self {
            id,
            shards: (0..workers).map(|_| FunctionShard::new()).collect(),
            queued: AtomicU32::new(0),
            waiting: AtomicU64::new(0),
            wanted_at_ns: AtomicU64::new(0),
            turn: AtomicU32::new(0),
        }
    }

    /// When [`Self::may_want`] is true next.
    pub fn may_want_at_ns(&self) -> u64 {
        self.wanted_at_ns.load(Ordering::Relaxed) + WANTED_NS
    }

    /// Whether it is time to tell that a replica is wanted; true for one caller only.
    pub fn may_want(&self, now_ns: u64) -> bool {
        let last = self.wanted_at_ns.load(Ordering::Relaxed);
        (last == 0 || now_ns.saturating_sub(last) >= WANTED_NS)
            && self
                .wanted_at_ns
                .compare_exchange(last, now_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// One version of a function.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub namespace: String,
    pub settings: FunctionSettings,
    pub replicas: Vec<Arc<Replica>>,
    pub state: Arc<FunctionState>,
}

/// All functions. Replaced as a whole; readers keep the version they have.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// By `name.namespace`, and by bare `name` in the default namespace.
    by_segment: Map<Box<str>, Arc<Function>>,
}

impl RouteTable {
    /// A table of these functions.
    pub fn new<'f>(functions: impl Iterator<Item = &'f Arc<Function>>) -> Self {
        let mut by_segment = Map::default();
        for function in functions {
            let full = format!("{}.{}", function.name, function.namespace);
            by_segment.insert(full.into_boxed_str(), Arc::clone(function));
            // A bare name with a dot would be read as name and namespace.
            if function.namespace == DEFAULT_NAMESPACE && !function.name.contains('.') {
                by_segment.insert(function.name.clone().into_boxed_str(), Arc::clone(function));
            }
        }
        Self { by_segment }
    }

    /// The function that a path segment names.
    pub fn find(&self, segment: &str) -> Option<&Arc<Function>> {
        self.by_segment.get(segment)
    }

    /// The current version of a function.
    pub fn current(&self, function: &Function) -> Option<&Arc<Function>> {
        let mut key = String::with_capacity(function.name.len() + function.namespace.len() + 1);
        key.push_str(&function.name);
        key.push('.');
        key.push_str(&function.namespace);
        self.by_segment
            .get(key.as_str())
            .filter(|current| current.state.id == function.state.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, namespace: &str) -> Arc<Function> {
        Arc::new(Function {
            name: name.into(),
            namespace: namespace.into(),
            settings: FunctionSettings::default(),
            replicas: Vec::new(),
            state: Arc::new(FunctionState::new(1, 1)),
        })
    }

    #[test]
    fn a_bare_name_means_the_default_namespace() {
        let functions = [
            function("a", "openfaas-fn"),
            function("a", "other"),
            function("b.c", "openfaas-fn"),
        ];
        let table = RouteTable::new(functions.iter());
        let namespace = |segment| {
            table
                .find(segment)
                .map(|function| function.namespace.as_str())
        };
        assert_eq!(namespace("a"), Some("openfaas-fn"));
        assert_eq!(namespace("a.openfaas-fn"), Some("openfaas-fn"));
        assert_eq!(namespace("a.other"), Some("other"));
        assert_eq!(namespace("b.c"), None);
        assert_eq!(namespace("b.c.openfaas-fn"), Some("openfaas-fn"));
        assert!(table.current(&functions[1]).is_some());
        assert!(table.current(&function("z", "other")).is_none());
    }

    #[test]
    fn a_draining_replica_takes_nobody() {
        let replica = Replica::new(1, "s", 8080, false);
        assert!(replica.try_acquire(1));
        assert!(!replica.try_acquire(1));
        replica.draining.store(true, Ordering::SeqCst);
        assert!(!replica.try_acquire(0));
        assert!(replica.release());
    }

    #[test]
    fn wanted_is_told_once_in_a_while() {
        let state = FunctionState::new(1, 1);
        assert!(state.may_want(5));
        assert!(!state.may_want(6));
        assert_eq!(state.may_want_at_ns(), 5 + WANTED_NS);
        assert!(state.may_want(5 + WANTED_NS));
    }
}
