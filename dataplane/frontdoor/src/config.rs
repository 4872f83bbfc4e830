//! What a front door is started with.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a front door must know at its start.
#[derive(Debug)]
pub struct Config {
    /// Public doors, bound and listening.
    pub listeners: Vec<TcpListener>,
    /// Threads; 0: one where there are two cores or fewer, else one for every two.
    pub workers: usize,
    /// Cores of the workers, dealt out in turn; empty: wherever the process may run.
    pub cores: Vec<usize>,
    /// Unix socket of the provider, which gets every path but `/function/…`.
    pub provider_socket: PathBuf,
    /// Version in `X-Served-By: junctiond/VERSION`.
    pub version: String,
    /// Bounds of memory and connections.
    pub limits: Limits,
    /// How long a peer may take.
    pub timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            workers: 0,
            cores: Vec::new(),
            provider_socket: PathBuf::from("/run/junctiond/provider.sock"),
            version: env!("CARGO_PKG_VERSION").into(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

impl Config {
    pub(crate) fn worker_count(&self) -> usize {
        if self.workers > 0 {
            return self.workers.min(WORKERS_MAX);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / 2).clamp(1, WORKERS_MAX)
    }
}

/// Waiting workers are kept as bits of one word.
pub(crate) const WORKERS_MAX: usize = 64;

/// Bounds of memory and connections, each per worker.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of clients; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Connections of guests to the gateway, of all sandboxes; further ones are closed.
    pub guest_connections_max: usize,
    /// Connections of one sandbox to the gateway; further ones are closed.
    pub connections_per_guest_max: usize,
    /// Memory of all buffers, in bytes. Above it no connection is taken in, no request waits, and heads of
    /// more than 64 KiB are refused, until there is less; the slowest connections are cut off.
    pub memory_bytes_max: usize,
    /// Longest head of a message, in bytes.
    pub head_bytes_max: usize,
    /// Longest request target, in bytes.
    pub target_bytes_max: usize,
    /// Idle connections kept to one replica.
    pub idle_per_replica_max: usize,
    /// Connections to the provider; further requests for it are answered 503.
    pub provider_connections_max: usize,
    /// Requests to the provider at a time from all sandboxes: the rest of its connections is the operators'.
    pub provider_guests_max: usize,
    /// Requests to the provider at a time from one sandbox.
    pub provider_per_guest_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            memory_bytes_max: 512 << 20,
            guest_connections_max: 8192,
            connections_per_guest_max: 1024,
            head_bytes_max: 1 << 20,
            target_bytes_max: 64 << 10,
            idle_per_replica_max: 128,
            provider_connections_max: 256,
            provider_guests_max: 64,
            provider_per_guest_max: 16,
        }
    }
}

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Client connection without a request.
    pub idle: Duration,
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// Without a byte of an announced request body.
    pub body: Duration,
    /// For the whole body of a request to the provider, whose connections are few: one byte now and then does
    /// not keep one.
    pub provider_body: Duration,
    /// Without the client taking a byte of a waiting response.
    pub write: Duration,
    /// When all buffers are in use: a client that moved less than 16 KiB in this time is cut off.
    pub slow: Duration,
    /// A finished request whose client has closed its sending side: it may still read, or be gone. TCP tells
    /// only when something is written, so the invocation is cancelled after this time.
    pub half_closed: Duration,
    /// Discarding what a client still sends after a final response.
    pub linger: Duration,
    /// Upgraded connection without a byte.
    pub tunnel: Duration,
    /// Idle connection to a replica or the provider.
    pub upstream_idle: Duration,
    /// How long a request waits while replicas are routed but none accepts a connection.
    pub unreachable: Duration,
    /// How long requests in flight may go on after `shutdown`.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            idle: seconds(120),
            head: seconds(15),
            body: seconds(60),
            provider_body: seconds(30),
            write: seconds(120),
            slow: seconds(5),
            half_closed: seconds(5),
            linger: seconds(2),
            tunnel: seconds(3600),
            upstream_idle: seconds(90),
            unreachable: seconds(10),
            shutdown: seconds(10),
        }
    }
}

/// A duration in nanoseconds, cut at the largest number.
pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
