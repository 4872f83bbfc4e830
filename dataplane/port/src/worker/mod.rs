//! A thread that answers the notified calls of its sandboxes. It waits only in epoll.

mod datagrams;
mod lone;
mod parked;
mod rest;
mod source;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::Receiver;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll::{self, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;

use crate::budget::Budget;
use crate::call::{Notification, Outcome, Reply};
use crate::egress::Task;
use crate::host::Event;
use crate::inbox::{Command, Inbox};
use crate::registry::Registry;
use crate::sandbox::{Sandbox, World};
use crate::stall::Stalls;
use crate::sys::notify;
use datagrams::WANTED;
use parked::{Parked, PARKED_MAX};
use source::{Source, Timer};

const EVENTS: usize = 64;

struct Resident {
    sandbox: Sandbox,
    init: OwnedFd,
    budget: Budget,
    stalls: Stalls,
    /// Until when nothing is done for it, as it took more than its share.
    rests_until: Option<Instant>,
    parked: usize,
}

/// The worker.
pub(crate) struct Worker {
    world: Arc<World>,
    registry: Arc<Registry>,
    epoll: OwnedFd,
    inbox: Arc<Inbox>,
    commands: Receiver<Command>,
    residents: HashMap<u64, Resident>,
    /// It serves one sandbox that holds up others, and ends with it.
    lone: bool,
    parked: HashMap<u64, Parked>,
    next_parked: u64,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Worker {
    pub fn new(
        world: Arc<World>,
        registry: Arc<Registry>,
        inbox: Arc<Inbox>,
        commands: Receiver<Command>,
    ) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &inbox.bell, Source::Inbox.data(), EventFlags::IN)?;
        Ok(Self {
            world,
            registry,
            epoll,
            inbox,
            commands,
            residents: HashMap::new(),
            lone: false,
            parked: HashMap::new(),
            next_parked: 1,
            timers: BinaryHeap::new(),
        })
    }

    /// Serves until it is told to stop.
    pub fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            let timeout = self.timers.peek().map(|Reverse((at, _))| until(*at));
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    log::error!("a notify worker cannot wait for events: {error}");
                    return;
                }
            }
            for event in &events {
                let (data, flags) = (event.data, event.flags);
                match Source::of(data) {
                    Source::Inbox => {
                        if !self.read_inbox() {
                            return;
                        }
                    }
                    Source::Notify(id) if flags.contains(EventFlags::IN) => self.serve(id),
                    Source::Notify(id) => self.evict(id, "every process of the guest is gone"),
                    Source::Init(id) => self.evict(id, "the guest's init is gone"),
                    Source::Parked(id) => self.ready(id),
                    Source::Datagram(id) => self.serve_datagram(id, flags),
                }
            }
            self.run_timers();
            if self.lone && self.residents.is_empty() {
                return;
            }
        }
    }

    fn read_inbox(&mut self) -> bool {
        self.inbox.hush();
        while let Ok(command) = self.commands.try_recv() {
            let Some(command) = self.pass_on(command) else {
                continue;
            };
            match command {
                Command::Attach(sandbox, init) => self.attach(*sandbox, init),
                Command::Detach(id, reason) => self.evict(id, &reason),
                Command::Connected {
                    sandbox,
                    cookie,
                    result,
                } => self.connected(sandbox, cookie, result),
                Command::Upgraded {
                    sandbox,
                    number,
                    outcome,
                    owner,
                } => self.upgraded(sandbox, number, outcome, owner),
                Command::Stop => return false,
            }
        }
        true
    }

    fn attach(&mut self, sandbox: Sandbox, init: OwnedFd) {
        let id = sandbox.shared.id;
        let resident = Resident {
            sandbox,
            init,
            budget: Budget::new(Instant::now()),
            stalls: Stalls::default(),
            rests_until: None,
            parked: 0,
        };
        let added = self.watch(&resident);
        self.residents.insert(id, resident);
        if let Err(error) = added {
            self.evict(id, &format!("its descriptors cannot be watched: {error}"));
        }
    }

    /// Stops serving a sandbox. Closing the notify descriptor releases whoever waits on it.
    fn evict(&mut self, id: u64, reason: &str) {
        let Some(resident) = self.residents.remove(&id) else {
            return;
        };
        // Explicitly: the keeper holds duplicates, so closing ours would not remove them.
        let _ = epoll::delete(&self.epoll, &resident.sandbox.notify);
        let _ = epoll::delete(&self.epoll, &resident.init);
        let waiting: Vec<u64> = self
            .parked
            .iter()
            .filter(|(_, parked)| parked.sandbox == id)
            .map(|(id, _)| *id)
            .collect();
        for parked in waiting {
            self.unpark(parked);
        }
        for datagram in resident.sandbox.datagrams.values() {
            let _ = epoll::delete(&self.epoll, &datagram.end);
        }
        self.world.egress.send(Task::Forget { owner: id });
        let sandbox = resident.sandbox.shared.name.clone();
        // Who hears of the end, or finds the name free, may count on it that nothing is held here.
        drop(resident);
        self.registry.remove(id);
        log::info!("sandbox {sandbox} is no longer served: {reason}");
        self.world.host.event(Event::Detached {
            sandbox,
            reason: reason.to_owned(),
        });
    }

    /// Takes and answers one call; epoll comes back if there is another, after the other sandboxes.
    fn serve(&mut self, id: u64) {
        let began = self.begin(id);
        let Some(resident) = self.residents.get_mut(&id) else {
            return;
        };
        let sandbox = &mut resident.sandbox;
        // An error means that the caller was killed before it was heard.
        let Ok(call) = notify::receive(sandbox.notify.as_fd()) else {
            return;
        };
        sandbox.shared.tally.notifications.add();
        if !sandbox.journal.open(call.id) {
            let _ = notify::fail(sandbox.notify.as_fd(), call.id, libc::ENOBUFS);
            return;
        }
        let reply = sandbox.handle(&self.world, &call);
        self.settle(id, call, reply);
        self.charge(id, &began);
    }

    /// Carries out what a handler decided; false: the caller is gone, or cannot be told.
    fn settle(&mut self, id: u64, call: Notification, reply: Reply) -> bool {
        let Some(resident) = self.residents.get_mut(&id) else {
            return false;
        };
        let sandbox = &mut resident.sandbox;
        let notify = sandbox.notify.as_fd();
        let mut told = true;
        // Errors of an answer mean that the caller is gone; there is nobody to tell.
        match reply {
            Ok(Outcome::Value(value)) => told = notify::answer(notify, call.id, value).is_ok(),
            Ok(Outcome::Native) => drop(notify::proceed(notify, call.id)),
            Ok(Outcome::Answered) => {}
            Ok(Outcome::Inject(injection)) => {
                let (socket, on_exec) = (injection.socket.as_fd(), injection.close_on_exec);
                if let Some(datagram) = &injection.watch {
                    let source = Source::Datagram(datagram.id).data();
                    let _ = epoll::add(&self.epoll, &datagram.end, source, WANTED);
                }
                let mut done = notify::inject(notify, call.id, socket, injection.at, on_exec);
                if injection.at.is_some() && done == Err(Errno::BADF) {
                    done = notify::inject(notify, call.id, socket, None, on_exec);
                }
                if let Err(error) = done {
                    let _ = notify::fail(notify, call.id, error.raw_os_error());
                }
            }
            Ok(Outcome::Park(wait)) if resident.parked < PARKED_MAX => {
                self.park(id, call, wait);
                return true;
            }
            Ok(Outcome::Park(_)) => {
                let _ = notify::fail(notify, call.id, libc::ENOBUFS);
                sandbox.shared.tally.denied.add();
                sandbox.report(&self.world, "too many waiting calls");
            }
            Err(error) => {
                let _ = notify::fail(notify, call.id, error.raw_os_error());
            }
        }
        sandbox.journal.close(call.id);
        told
    }

    fn run_timers(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            match timer {
                Timer::Parked(id) => self.look_after(id, now),
                Timer::RestedDatagram(id) => self.listen_to_datagram(id, WANTED),
                Timer::Ready(id) => self.ready(id),
                Timer::Rested(id) => self.rested(id, now),
            }
        }
    }
}

fn until(at: Instant) -> Timespec {
    let left = at.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
