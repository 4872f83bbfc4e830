//! The front door: serves HTTP/1.1 to clients and guests, routes `/function/…` to replicas itself and hands
//! every other path to the provider.
//!
//! One or more workers, each a thread with its own epoll, connections, pools and timers; they share only a
//! route table that is replaced as a whole, and atomic counters. No Python, database or look-up stands in
//! the path of an invocation.

#![forbid(unsafe_code)]

mod accept;
mod bells;
mod buf;
mod clock;
mod config;
mod conn;
mod control;
mod crowd;
mod date;
mod deadlines;
mod dispatch;
mod down;
mod drain;
mod duration;
mod finish;
mod guests;
mod handle;
mod hash;
mod headers;
mod holder;
mod identity;
mod intake;
mod mailbox;
mod patience;
mod pick;
mod poll;
mod pools;
mod probe;
mod queue;
mod relay;
mod reply;
mod ring;
mod route;
mod seat;
mod shed;
mod slab;
mod stamp;
mod stats;
mod steps;
mod table;
mod timers;
mod tunnel;
mod turn;
mod up;
mod waiting;
mod watchdog;
mod worker;

pub use config::{Config, Limits, Timeouts};
pub use control::BadFunction;
pub use handle::{DrainDone, FrontDoor, ProbeDone};
pub use stats::{FunctionStats, Histogram, Stats, WorkerStats};

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use jd_link::Owner;

/// Opens connections to functions.
pub trait Dialer: Send + Sync {
    /// A connected, non-blocking stream to the listener on `port` inside `sandbox`. It must not wait: it is
    /// called by a worker that has other requests to serve. The guest may ask `owner`, as long as that lives,
    /// to change the connection over to a ring; without one it stays on its socket.
    ///
    /// # Errors
    /// The sandbox is not there, nothing listens on that port, or its backlog is full.
    fn dial(&self, sandbox: &str, port: u16, owner: Option<&Arc<dyn Owner>>)
        -> io::Result<OwnedFd>;
}

/// Hears what the front door wants of the control plane. Called by workers: it must not wait.
pub trait Events: Send + Sync {
    /// A request waits and its function has no replica that can be reached.
    fn wanted(&self, name: &str, namespace: &str);
}
