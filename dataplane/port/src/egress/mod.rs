//! What leaves the host: TCP connections, datagrams and questions to upstream resolvers.
//!
//! One thread, which never leaves the host's network namespace, serves all sandboxes; quotas keep one
//! of them from taking it all.

mod connects;
mod flows;
mod queries;
mod quota;
mod reactor;
mod relay;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jd_wire::dns::Query;
use rustix::event::EventfdFlags;

use crate::datagram::Datagram;
use crate::inbox::Inbox;
use crate::pending::GuestSocket;
use crate::shared::Shared;
use crate::stack::Stack;
use connects::Connects;
use flows::Flows;
use queries::Queries;
use reactor::{Reactor, Token};
use relay::Relays;

/// Where a connection goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Out of the host.
    Outside(SocketAddr),
    /// To a listener of the same sandbox whose backlog was full.
    Inside(SocketAddr),
}

/// Who waits for a connection.
pub(crate) enum Waiter {
    /// A parked call: its worker gets the connection.
    Call(Arc<Inbox>),
    /// Nobody: the guest's socket is connected to `end` already and looks as if it were connecting.
    Socket {
        end: OwnedFd,
        stuffed: usize,
        guest: GuestSocket,
    },
}

/// A piece of work.
pub(crate) enum Task {
    /// Make a connection for the socket `cookie`.
    Connect {
        sandbox: Arc<Shared>,
        cookie: u64,
        goal: Goal,
        waiter: Waiter,
    },
    /// The parked call of this socket will not wait any longer; another waiter may take its place.
    Release { cookie: u64, waiter: Option<Waiter> },
    /// Move bytes between a guest's connection and one that left the host.
    Relay {
        owner: u64,
        end: OwnedFd,
        remote: OwnedFd,
        guest: GuestSocket,
    },
    /// Send a datagram out of the host.
    Datagram {
        sandbox: Arc<Shared>,
        from: Arc<Datagram>,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// Ask upstream resolvers.
    Ask {
        sandbox: Arc<Shared>,
        from: Arc<Datagram>,
        upstreams: Vec<SocketAddr>,
        resolver: SocketAddr,
        query: Query,
        message: Vec<u8>,
    },
    /// The guest closed this datagram socket.
    Close { datagram: u64 },
    /// A sandbox is gone.
    Forget { owner: u64 },
    /// End the thread.
    Stop,
}

/// The sending side.
pub(crate) struct Egress {
    bell: Arc<OwnedFd>,
    sender: Sender<Task>,
}

impl Egress {
    /// Starts the thread. The caller is in the host's network namespace.
    pub fn start(stack: Arc<dyn Stack>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, tasks) = mpsc::channel();
        let bell = Arc::new(rustix::event::eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?);
        let reactor = Reactor::new(&bell)?;
        let ours = Arc::clone(&bell);
        let builder = std::thread::Builder::new().name("jd-egress".into());
        let thread = builder.spawn(move || Loop::new(stack, reactor, ours, tasks).run())?;
        Ok((Self { bell, sender }, thread))
    }

    /// Hands over a piece of work.
    pub fn send(&self, task: Task) {
        // The thread ends only with the supervisor, when nobody waits for work any more.
        let _ = self.sender.send(task);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

struct Loop {
    reactor: Reactor,
    bell: Arc<OwnedFd>,
    tasks: Receiver<Task>,
    connects: Connects,
    relays: Relays,
    flows: Flows,
    queries: Queries,
}

/// Tasks taken before descriptors are looked at again.
const TASKS_PER_ROUND: usize = 256;
/// Longest sleep while something has a deadline.
const TICK: Duration = Duration::from_millis(250);

impl Loop {
    fn new(
        stack: Arc<dyn Stack>,
        reactor: Reactor,
        bell: Arc<OwnedFd>,
        tasks: Receiver<Task>,
    ) -> Self {
        Self {
            reactor,
            bell,
            tasks,
            connects: Connects::new(Arc::clone(&stack)),
            relays: Relays::default(),
            flows: Flows::new(Arc::clone(&stack)),
            queries: Queries::new(stack),
        }
    }

    fn run(mut self) {
        loop {
            let Ok(events) = self.reactor.wait(self.timeout()) else {
                log::error!("the egress thread cannot wait for events");
                return;
            };
            for (token, flags) in events {
                match token {
                    Token::Bell => {
                        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
                    }
                    Token::Connect(id) => {
                        self.connects
                            .ready(id, flags, &self.reactor, &mut self.relays)
                    }
                    Token::Relay(id, side) => self.relays.ready(id, side, flags, &self.reactor),
                    Token::Flow(id) => self.flows.ready(id),
                    Token::Query(id) => self.queries.ready(id, &self.reactor),
                }
            }
            if !self.take_tasks() {
                return;
            }
            let now = Instant::now();
            self.connects.tick(now, &self.reactor, &mut self.relays);
            self.queries.tick(now, &self.reactor);
            self.flows.tick(now);
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let busy = self.queries.is_busy() || self.flows.is_busy();
        self.connects.next_try().or(busy.then_some(TICK))
    }

    fn take_tasks(&mut self) -> bool {
        for _ in 0..TASKS_PER_ROUND {
            match self.tasks.try_recv() {
                Ok(Task::Stop) => return false,
                Ok(task) => self.take(task),
                Err(_) => return true,
            }
        }
        // More may wait: ring for the next round.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        true
    }

    fn take(&mut self, task: Task) {
        let reactor = &self.reactor;
        match task {
            Task::Connect {
                sandbox,
                cookie,
                goal,
                waiter,
            } => {
                let open = self.relays.count(sandbox.id);
                self.connects
                    .begin(sandbox, cookie, goal, waiter, open, reactor);
            }
            Task::Release { cookie, waiter } => self.connects.release(cookie, waiter, reactor),
            Task::Relay {
                owner,
                end,
                remote,
                guest,
            } => self.relays.add(owner, end, remote, guest, reactor),
            Task::Datagram {
                sandbox,
                from,
                to,
                bytes,
            } => {
                sandbox.unqueue(bytes.len());
                self.flows.send(&sandbox, &from, to, &bytes, reactor);
            }
            Task::Ask {
                sandbox,
                from,
                upstreams,
                resolver,
                query,
                message,
            } => {
                sandbox.unqueue(message.len());
                self.queries.ask(
                    queries::Question {
                        from,
                        upstreams,
                        resolver,
                        query,
                        message,
                    },
                    reactor,
                );
            }
            Task::Close { datagram } => self.flows.close(datagram),
            Task::Forget { owner } => {
                self.connects.forget(owner);
                self.relays.forget(owner);
                self.flows.forget(owner);
                self.queries.forget(owner);
            }
            Task::Stop => {}
        }
    }
}
