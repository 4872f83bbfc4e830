//! What leaves the host: TCP connections, datagrams and questions to upstream resolvers.
//!
//! One thread, which never leaves the host's network namespace, serves all sandboxes; quotas keep one
//! of them from taking it all.

mod connect;
mod connects;
mod flows;
mod inside;
mod queries;
mod quota;
mod reactor;
mod relay;
mod task;
mod turns;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::event::EventfdFlags;

use crate::stack::Stack;
use connects::Connects;
use flows::Flows;
use queries::Queries;
use reactor::{Reactor, Token};
use relay::Relays;
use task::Backlog;
pub(crate) use task::{Goal, Task, Waiter};
use turns::Turns;

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
    backlog: Backlog,
    turns: Turns,
    connects: Connects,
    relays: Relays,
    flows: Flows,
    queries: Queries,
}

/// Tasks taken before descriptors are looked at again; taking is cheap, doing is what turns bound.
const TASKS_PER_ROUND: usize = 4096;
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
            backlog: Backlog::default(),
            turns: Turns::default(),
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
            self.turns.begin();
            for (token, flags) in events {
                self.heed(token, flags);
            }
            if !self.take_tasks() {
                return;
            }
            self.do_tasks();
            let now = Instant::now();
            self.connects
                .tick(now, &self.reactor, &mut self.relays, &mut self.turns);
            self.queries.tick(now, &self.reactor);
            self.flows.tick(now);
        }
    }

    /// Does what an event asks for, unless its sandbox had its turn: events are told again as long as
    /// their cause lasts, and others come first then.
    fn heed(&mut self, token: Token, flags: EventFlags) {
        let owner = match token {
            Token::Bell => {
                let _ = rustix::io::read(&self.bell, &mut [0; 8]);
                return;
            }
            Token::Connect(id) => self.connects.owner(id),
            Token::Relay(id, _) => self.relays.owner(id),
            Token::Flow(id) => Some(id >> 32),
            Token::Query(id) => self.queries.owner(id),
        };
        let Some(owner) = owner.filter(|owner| self.turns.has(*owner)) else {
            return;
        };
        let started = Instant::now();
        match token {
            Token::Bell => {}
            Token::Connect(id) => self
                .connects
                .ready(id, flags, &self.reactor, &mut self.relays),
            Token::Relay(id, side) => self.relays.ready(id, side, flags, &self.reactor),
            Token::Flow(id) => self.flows.ready(id),
            Token::Query(id) => self.queries.ready(id, &self.reactor),
        }
        self.turns.charge(owner, started.elapsed());
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.backlog.is_empty() {
            return Some(Duration::ZERO);
        }
        let busy = self.queries.is_busy() || self.flows.is_busy();
        let tick = busy.then_some(TICK);
        let next = self.connects.next_try(Instant::now());
        next.into_iter().chain(tick).min()
    }

    fn take_tasks(&mut self) -> bool {
        for _ in 0..TASKS_PER_ROUND {
            match self.tasks.try_recv() {
                Ok(Task::Stop) => return false,
                Ok(task) => self.backlog.push(task),
                Err(_) => return true,
            }
        }
        // More may wait: ring for the next round.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        true
    }

    fn do_tasks(&mut self) {
        while let Some(task) = self.backlog.next(|owner| self.turns.has(owner)) {
            let (owner, started) = (task.owner(), Instant::now());
            self.take(task);
            self.turns.charge(owner, started.elapsed());
        }
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
            Task::Release { cookie, waiter, .. } => self.connects.release(cookie, waiter, reactor),
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
