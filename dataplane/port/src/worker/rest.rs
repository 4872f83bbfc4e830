//! What a sandbox takes of the worker is charged to its budget, whatever it is taken for; who took more
//! than its share rests while others wait.

use std::cmp::Reverse;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use jd_link::{Granted, Owner, Refusal};
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;

use super::{Source, Timer, Worker};
use crate::stall::Began;

impl Worker {
    /// Begins a piece of work for a sandbox.
    pub(super) fn begin(&self, id: u64) -> Began {
        Began::new(self.residents.get(&id).map(|resident| &resident.stalls))
    }

    /// Charges a sandbox what this thread worked since then, and what it slept in its calls. One that makes it
    /// sleep for long is set apart.
    pub(super) fn charge(&mut self, id: u64, began: &Began) {
        let alone = self.residents.len() < 2;
        let Some(resident) = self.residents.get_mut(&id) else {
            return;
        };
        let now = Instant::now();
        let slept = std::mem::take(&mut resident.sandbox.slept);
        let worked = began.worked();
        if resident.stalls.note(began, worked, now) && !self.lone {
            resident
                .sandbox
                .report(&self.world, "calls that make the supervisor wait");
            return self.set_apart(id);
        }
        let took = worked + slept;
        let Some(rest) = resident.budget.spend(took, now) else {
            return;
        };
        if alone {
            return;
        }
        let rested = resident.rests_until.replace(now + rest);
        if rested.is_some() {
            // Its timer finds the later end.
            return;
        }
        resident.sandbox.shared.tally.rests.add();
        resident
            .sandbox
            .report(&self.world, "flood of socket calls");
        self.listen_to(id, EventFlags::empty());
        self.timers.push(Reverse((now + rest, Timer::Rested(id))));
    }

    /// When the rest of a sandbox ends; `None`: it does not rest.
    pub(super) fn rests_until(&self, id: u64, now: Instant) -> Option<Instant> {
        let until = self.residents.get(&id)?.rests_until;
        until.filter(|until| *until > now)
    }

    /// The rest of a sandbox is over, unless it became longer.
    pub(super) fn rested(&mut self, id: u64, now: Instant) {
        let Some(resident) = self.residents.get_mut(&id) else {
            return;
        };
        match resident.rests_until {
            Some(until) if until > now => {
                self.timers.push(Reverse((until, Timer::Rested(id))));
            }
            _ => {
                resident.rests_until = None;
                self.listen_to(id, EventFlags::IN);
            }
        }
    }

    /// What a parked call waits for is there. Its sandbox may have to rest before it is tried again.
    pub(super) fn ready(&mut self, id: u64) {
        let Some(sandbox) = self.parked.get(&id).map(|parked| parked.sandbox) else {
            return;
        };
        if let Some(until) = self.rests_until(sandbox, Instant::now()) {
            self.timers.push(Reverse((until, Timer::Ready(id))));
            return;
        }
        let began = self.begin(sandbox);
        self.resume(id);
        self.charge(sandbox, &began);
    }

    /// The egress thread made a connection for a parked call, or could not.
    pub(super) fn connected(&mut self, sandbox: u64, cookie: u64, result: Result<OwnedFd, Errno>) {
        let began = self.begin(sandbox);
        self.finish(sandbox, cookie, result);
        self.charge(sandbox, &began);
    }

    /// A connection's owner changed it over for a parked call, or refused.
    pub(super) fn upgraded(
        &mut self,
        sandbox: u64,
        number: u64,
        outcome: Result<Granted, Refusal>,
        owner: Arc<dyn Owner>,
    ) {
        let began = self.begin(sandbox);
        let changed = outcome.is_ok();
        if !self.finish_upgrade(sandbox, number, outcome) && changed {
            // Nobody reads the ring, and nobody will read the socket in its right order.
            owner.cut();
        }
        self.charge(sandbox, &began);
    }

    /// Looks whether a parked call must be released, unless its sandbox rests.
    pub(super) fn look_after(&mut self, id: u64, now: Instant) {
        let Some(sandbox) = self.parked.get(&id).map(|parked| parked.sandbox) else {
            return;
        };
        if let Some(until) = self.rests_until(sandbox, now) {
            self.timers.push(Reverse((until, Timer::Parked(id))));
            return;
        }
        let began = self.begin(sandbox);
        self.look(id, now);
        self.charge(sandbox, &began);
    }

    fn listen_to(&self, id: u64, flags: EventFlags) {
        if let Some(resident) = self.residents.get(&id) {
            let source = Source::Notify(id).data();
            let _ = epoll::modify(&self.epoll, &resident.sandbox.notify, source, flags);
        }
    }
}
