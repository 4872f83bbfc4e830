//! One worker: an epoll loop over its own connections.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::Arc;

use crate::accept::Listener;
use crate::bells::Bells;
use crate::buf::BufPool;
use crate::clock::{monotonic_ns, Calendar};
use crate::config::{Limits, Timeouts};
use crate::conn::Io;
use crate::control::Registry;
use crate::down::Down;
use crate::drain::DrainWait;
use crate::guests::Guests;
use crate::hash::Map;
use crate::identity::CallIds;
use crate::mailbox::Mailbox;
use crate::patience::Patience;
use crate::poll::{Poll, Token};
use crate::probe::Probe;
use crate::queue::Queue;
use crate::slab::{Key, Slab};
use crate::stats::WorkerShard;
use crate::table::RouteTable;
use crate::timers::Timers;
use crate::up::Up;
use crate::{Dialer, Events};
use arc_swap::{ArcSwap, Cache};

/// What all workers and the handle share.
pub struct Shared {
    pub registry: Registry,
    pub dialer: Arc<dyn Dialer>,
    pub events: Arc<dyn Events>,
    pub provider_socket: PathBuf,
    /// `junctiond/VERSION`
    pub served_by: String,
    pub limits: Limits,
    pub timeouts: Timeouts,
    pub mailboxes: Vec<Mailbox>,
    pub shards: Vec<WorkerShard>,
    /// Drains that wait, so that a request's end costs a look at this and no more.
    pub drains: AtomicUsize,
}

/// How a step of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Another step can be made.
    Again,
    /// Nothing can be done until something happens.
    Wait,
    /// There is more to do, but others are due.
    Yield,
    /// The connection is closed.
    Gone,
}

/// A worker's state.
pub struct Worker {
    pub index: usize,
    pub shared: Arc<Shared>,
    pub io: Io,
    pub routes: Cache<Arc<ArcSwap<RouteTable>>, Arc<RouteTable>>,
    pub listeners: Slab<Listener>,
    /// Whether some door is paused.
    pub doors_paused: bool,
    pub downs: Slab<Down>,
    /// Clients taken in since the last sleep: not watched yet.
    pub unwatched: Vec<Key>,
    pub guests: Guests,
    pub ups: Slab<Up>,
    pub bells: Bells,
    pub patience: Patience,
    pub probes: Slab<Probe>,
    pub timers: Timers,
    /// Idle connections by replica, the one used last at the end.
    pub pools: Map<u64, Vec<Key>>,
    pub provider_idle: Vec<Key>,
    pub provider_open: usize,
    /// Waiting requests by function.
    pub queues: Map<u64, Queue>,
    pub next_ticket: u64,
    /// Functions whose queue should be looked at before the next sleep.
    pub ripe: Vec<u64>,
    /// When all queues are looked at although nothing happened.
    pub queues_again_ns: Option<u64>,
    /// Connections that used up their steps.
    pub goes_on: VecDeque<Key>,
    pub drains: Vec<DrainWait>,
    pub drains_ripe: bool,
    pub ids: CallIds,
    /// Not before then is looked for connections to cut off.
    pub shed_again_ns: u64,
    /// When the worker ends, finished or not.
    pub stopping: Option<u64>,
}

impl Worker {
    /// A worker for these doors.
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
        listeners: Vec<std::net::TcpListener>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let pool = BufPool::new(shared.limits.memory_bytes_max);
        poll.add_bell(&shared.mailboxes[index], Token::Mailbox)?;
        let routes = Cache::new(Arc::clone(&shared.registry.table));
        let mut worker = Self {
            index,
            shared,
            io: Io {
                poll,
                pool,
                now_ns: monotonic_ns(),
                calendar: Calendar::default(),
                headers: jd_http::header_space(),
                moved: 0,
                untold: Vec::new(),
                published: 0,
            },
            routes,
            listeners: Slab::new(),
            doors_paused: false,
            downs: Slab::new(),
            unwatched: Vec::new(),
            guests: Guests::default(),
            ups: Slab::new(),
            bells: Bells::default(),
            patience: Patience::default(),
            probes: Slab::new(),
            timers: Timers::default(),
            pools: Map::default(),
            provider_idle: Vec::new(),
            provider_open: 0,
            queues: Map::default(),
            next_ticket: 0,
            ripe: Vec::new(),
            queues_again_ns: None,
            goes_on: VecDeque::new(),
            drains: Vec::new(),
            drains_ripe: false,
            ids: CallIds::new(),
            shed_again_ns: 0,
            stopping: None,
        };
        for listener in listeners {
            worker.add_listener(listener)?;
        }
        Ok(worker)
    }
}
