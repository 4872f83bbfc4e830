//! The front door as its owner sees it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jd_wire::control::Function;

use crate::clock::monotonic_ns;
use crate::config::{ns, Config};
use crate::control::{BadFunction, Registry};
use crate::drain::DrainWait;
use crate::mailbox::{Command, Mailbox};
use crate::probe::ProbeOrder;
use crate::stats::{Stats, WorkerShard, WorkerStats};
use crate::worker::{Shared, Worker};
use crate::{Dialer, Events};

/// Hears the outcome of a probe: `None` when the sandbox was not ready in time, else the HTTP status where a
/// path was asked. Called by a worker: it must not wait.
pub type ProbeDone = Box<dyn FnOnce(Option<Option<u16>>) + Send>;

/// Hears how many invocations were in flight at the end of a drain. Called by a worker: it must not wait.
pub type DrainDone = Box<dyn FnOnce(u64) + Send>;

/// A running front door. Dropping it is [`FrontDoor::shutdown`].
pub struct FrontDoor {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    turn: AtomicUsize,
}

impl FrontDoor {
    /// Starts the workers.
    ///
    /// # Errors
    /// No descriptor or thread left.
    pub fn start(
        config: Config,
        dialer: Arc<dyn Dialer>,
        events: Arc<dyn Events>,
    ) -> io::Result<Self> {
        let workers = config.worker_count();
        let mailboxes = (0..workers)
            .map(|_| Mailbox::new())
            .collect::<io::Result<_>>()?;
        let shared = Arc::new(Shared {
            registry: Registry::new(workers),
            dialer,
            events,
            provider_socket: config.provider_socket,
            served_by: format!("junctiond/{}", config.version),
            limits: config.limits,
            timeouts: config.timeouts,
            mailboxes,
            shards: (0..workers).map(|_| WorkerShard::default()).collect(),
            drains: AtomicUsize::new(0),
        });
        let front = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
            turn: AtomicUsize::new(0),
        };
        for index in 0..workers {
            let listeners = config
                .listeners
                .iter()
                .map(std::net::TcpListener::try_clone);
            let worker = Worker::new(
                index,
                Arc::clone(&shared),
                listeners.collect::<io::Result<_>>()?,
            )?;
            let core = match config.cores.len() {
                0 => None,
                count => Some(config.cores[index % count]),
            };
            let thread = std::thread::Builder::new()
                .name(format!("front-{index}"))
                .spawn(move || work(worker, core))?;
            front
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(thread);
        }
        Ok(front)
    }

    fn tell_all(&self, command: fn() -> Command) {
        self.shared
            .mailboxes
            .iter()
            .for_each(|mailbox| mailbox.send(command()));
    }

    /// Replaces a function with its replicas; holds for every request that comes after the return.
    ///
    /// # Errors
    /// A name that no path can hold, or a replica listed twice; nothing was changed.
    pub fn put_function(&self, function: Function) -> Result<(), BadFunction> {
        self.shared.registry.put(function)?;
        self.tell_all(|| Command::RoutesChanged);
        Ok(())
    }

    /// Forgets a function; requests that wait for it are answered 404. False: it was not known.
    pub fn delete_function(&self, name: &str, namespace: &str) -> bool {
        let known = self.shared.registry.delete(name, namespace);
        if known {
            self.tell_all(|| Command::RoutesChanged);
        }
        known
    }

    /// The functions as they were put.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        self.shared.registry.functions()
    }

    /// Serves a connected, non-blocking stream as a client's connection: a guest's to the gateway.
    pub fn adopt(&self, socket: OwnedFd, peer: SocketAddr) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.shared.mailboxes[turn % self.shared.mailboxes.len()]
            .send(Command::Adopt(socket, peer));
    }

    /// Invocations that a sandbox is working on.
    #[must_use]
    pub fn in_flight(&self, sandbox: &str) -> u64 {
        self.shared.registry.in_flight(sandbox)
    }

    /// Tells when a sandbox has no invocation in flight, or how many it has after `timeout`. Mark the replica
    /// as draining first, else new ones keep coming.
    pub fn drain(&self, sandbox: &str, timeout: Duration, done: DrainDone) {
        self.shared.drains.fetch_add(1, Ordering::SeqCst);
        let until_ns = monotonic_ns().saturating_add(ns(timeout));
        self.shared.mailboxes[0].send(Command::Drain(DrainWait {
            sandbox: sandbox.to_owned(),
            until_ns,
            done,
        }));
    }

    /// Tries until `sandbox` accepts a connection on `port` and, where a path is given, answers GET with 2xx.
    pub fn probe(
        &self,
        sandbox: &str,
        port: u16,
        path: Option<String>,
        timeout: Duration,
        done: ProbeDone,
    ) {
        let until_ns = monotonic_ns().saturating_add(ns(timeout));
        let order = ProbeOrder {
            sandbox: sandbox.to_owned(),
            port,
            path,
            until_ns,
            done,
        };
        self.shared.mailboxes[0].send(Command::Probe(order));
    }

    /// All counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            functions: self.shared.registry.stats(),
            workers: self.shared.shards.iter().map(WorkerStats::from).collect(),
        }
    }

    /// Takes no more connections, lets requests in flight end for a while, and stops the workers.
    pub fn shutdown(&self) {
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        self.tell_all(|| Command::Stop);
        for thread in threads {
            if let Err(panic) = thread.join() {
                log::error!("a front-door worker panicked");
                // A test must not pass over a dead worker.
                if cfg!(debug_assertions) && !std::thread::panicking() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn work(mut worker: Worker, core: Option<usize>) {
    worker.shared.shards[worker.index].seat.take(core);
    if let Err(error) = worker.run() {
        log::error!(
            "front-door worker {} cannot wait for events any more: {error}",
            worker.index
        );
    }
}
