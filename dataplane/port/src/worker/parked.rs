//! Calls that wait: in epoll for what they want, by timer for signals, death and deadlines. Never a
//! thread for one of them.

use std::cmp::Reverse;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use jd_link::{Granted, Refusal};
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;

use super::{Source, Timer, Worker};
use crate::call::{Notification, Outcome, Wait};
use crate::egress::Task;
use crate::watch::{Release, Watch};

/// Calls of one sandbox that may wait at once; the journal has room for a few more.
pub(super) const PARKED_MAX: usize = 448;
/// Those of one sandbox that are watched by a descriptor kept open; the others cost an open for each look.
const WATCHED_MAX: usize = 64;
/// Longest distance between two looks at what no event tells.
const RETRY: Duration = Duration::from_millis(32);
/// `ERESTARTSYS`, known to the kernel's signal code only.
const ERESTARTSYS: i32 = 512;

/// A call that waits.
pub(super) struct Parked {
    pub sandbox: u64,
    call: Notification,
    wait: Wait,
    watch: Watch,
}

/// Why a wait ends without its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    CallerGone,
    TimedOut,
    Signal(Release),
}

impl Worker {
    pub(super) fn park(&mut self, sandbox: u64, call: Notification, wait: Wait) {
        let id = self.next_parked;
        self.next_parked += 1;
        let mut watched = 0;
        if let Some(resident) = self.residents.get_mut(&sandbox) {
            watched = resident.parked;
            resident.parked += 1;
            resident.sandbox.shared.tally.parked.add();
        }
        let watch = Watch::new(call.pid, watched < WATCHED_MAX);
        self.parked.insert(
            id,
            Parked {
                sandbox,
                call,
                wait,
                watch,
            },
        );
        self.listen_for(id);
        self.set_timer(id);
    }

    /// Parks a call that waited at another worker.
    pub(super) fn park_again(&mut self, parked: Parked) {
        let id = self.next_parked;
        self.next_parked += 1;
        if let Some(resident) = self.residents.get_mut(&parked.sandbox) {
            resident.parked += 1;
        }
        self.parked.insert(id, parked);
        self.listen_for(id);
        self.set_timer(id);
    }

    /// Arms epoll for what a parked call waits for, once.
    fn listen_for(&self, id: u64) {
        let Some(parked) = self.parked.get(&id) else {
            return;
        };
        let Some((fd, flags)) = event_of(&parked.wait) else {
            return;
        };
        let flags = flags | EventFlags::ONESHOT;
        if let Err(error) = epoll::add(&self.epoll, fd, Source::Parked(id).data(), flags) {
            log::warn!("a waiting call is only looked after by timer: {error}");
        }
    }

    fn set_timer(&mut self, id: u64) {
        let Some(parked) = self.parked.get_mut(&id) else {
            return;
        };
        let longest = if is_retried(&parked.wait) {
            RETRY
        } else {
            Duration::MAX
        };
        let look = parked.watch.next(longest);
        let at = parked
            .wait
            .deadline()
            .map_or(look, |deadline| look.min(deadline));
        self.timers.push(Reverse((at, Timer::Parked(id))));
    }

    /// Takes a call out of those that wait; its socket leaves epoll.
    pub(super) fn unpark(&mut self, id: u64) -> Option<Parked> {
        let parked = self.parked.remove(&id)?;
        if let Some((fd, _)) = event_of(&parked.wait) {
            let _ = epoll::delete(&self.epoll, fd);
        }
        if let Some(resident) = self.residents.get_mut(&parked.sandbox) {
            resident.parked -= 1;
        }
        Some(parked)
    }

    /// Tries a parked call again.
    pub(super) fn resume(&mut self, id: u64) {
        let Some(parked) = self.unpark(id) else {
            return;
        };
        let Parked {
            sandbox,
            call,
            wait,
            watch,
        } = parked;
        let Some(resident) = self.residents.get_mut(&sandbox) else {
            return;
        };
        let reply = resident.sandbox.resume(&self.world, &call, wait);
        if let Ok(Outcome::Park(wait)) = reply {
            resident.parked += 1;
            self.parked.insert(
                id,
                Parked {
                    sandbox,
                    call,
                    wait,
                    watch,
                },
            );
            return self.listen_for(id);
        }
        self.settle(sandbox, call, reply);
    }

    /// Ends the call whose connection stands or failed.
    pub(super) fn finish(&mut self, sandbox: u64, cookie: u64, result: Result<OwnedFd, Errno>) {
        let waits = |parked: &Parked| {
            parked.sandbox == sandbox
                && matches!(parked.wait, Wait::Egress { cookie: its, .. } if its == cookie)
        };
        // A call that was released meanwhile leaves the connection to be closed.
        let Some(id) = self
            .parked
            .iter()
            .find(|(_, parked)| waits(parked))
            .map(|(id, _)| *id)
        else {
            return;
        };
        let Some(Parked {
            call,
            wait: Wait::Egress { socket, .. },
            ..
        }) = self.unpark(id)
        else {
            return;
        };
        let Some(resident) = self.residents.get_mut(&sandbox) else {
            return;
        };
        let reply = resident
            .sandbox
            .finish_connect(&self.world, &call, socket, result);
        self.settle(sandbox, call, reply);
    }

    /// Ends the call that waits for its connection to change over; false: it cannot be told any more.
    pub(super) fn finish_upgrade(
        &mut self,
        sandbox: u64,
        number: u64,
        outcome: Result<Granted, Refusal>,
    ) -> bool {
        let waits = |parked: &Parked| {
            parked.sandbox == sandbox
                && matches!(parked.wait, Wait::Upgrade { number: its, .. } if its == number)
        };
        let found = self.parked.iter().find(|(_, parked)| waits(parked));
        let Some(Parked { call, .. }) = found.map(|(id, _)| *id).and_then(|id| self.unpark(id))
        else {
            return false;
        };
        let Some(resident) = self.residents.get_mut(&sandbox) else {
            return false;
        };
        let reply = resident.sandbox.finish_upgrade(&call, outcome);
        let told = reply.is_ok();
        self.settle(sandbox, call, reply) && told
    }

    /// Releases a parked call whose caller died, must handle a signal, or waited long enough.
    pub(super) fn look(&mut self, id: u64, now: Instant) {
        let Some(parked) = self.parked.get(&id) else {
            return;
        };
        let Some(resident) = self.residents.get(&parked.sandbox) else {
            return;
        };
        let cause = if resident.sandbox.must_wait(&parked.call).is_err() {
            Some(Cause::CallerGone)
        } else if parked
            .wait
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            Some(Cause::TimedOut)
        } else {
            parked.watch.look().map(Cause::Signal)
        };
        if let Some(cause) = cause {
            if matches!(&parked.wait, Wait::Upgrade { ticket, .. } if !ticket.cancel()) {
                // It is being changed over: the answer comes in a moment.
                return self.set_timer(id);
            }
            return self.break_off(id, cause);
        }
        if is_retried(&parked.wait) {
            self.resume(id);
        }
        self.set_timer(id);
    }

    fn break_off(&mut self, id: u64, cause: Cause) {
        let Some(Parked {
            sandbox,
            call,
            wait,
            ..
        }) = self.unpark(id)
        else {
            return;
        };
        let error = error_of(cause, &wait);
        if let Wait::Egress { socket, cookie, .. } = wait {
            match (cause, self.residents.get_mut(&sandbox)) {
                (Cause::Signal(_), Some(resident)) => {
                    resident
                        .sandbox
                        .break_connect(&self.world, &call, socket, cookie);
                }
                _ => self.world.egress.send(Task::Release {
                    owner: sandbox,
                    cookie,
                    waiter: None,
                }),
            }
        }
        self.settle(sandbox, call, Err(Errno::from_raw_os_error(error)));
    }
}

/// What epoll can tell about a wait.
fn event_of(wait: &Wait) -> Option<(&OwnedFd, EventFlags)> {
    match wait {
        Wait::Accept { listener, .. } => Some((listener, EventFlags::IN)),
        Wait::Receive { socket, .. } => Some((socket, EventFlags::IN)),
        Wait::Send { socket, .. } => Some((socket, EventFlags::OUT)),
        Wait::Pending { .. } | Wait::Egress { .. } | Wait::Upgrade { .. } => None,
    }
}

/// Whether only trying again tells.
fn is_retried(wait: &Wait) -> bool {
    matches!(wait, Wait::Pending { .. })
}

/// What the call returns. One with a timeout of the guest's own is never restarted (signal(7)).
fn error_of(cause: Cause, wait: &Wait) -> i32 {
    let connects = matches!(wait, Wait::Pending { .. } | Wait::Egress { .. });
    let restarts = connects || matches!(wait, Wait::Upgrade { .. });
    match cause {
        Cause::TimedOut if connects => libc::ETIMEDOUT,
        Cause::TimedOut if matches!(wait, Wait::Upgrade { .. }) => libc::ENOPROTOOPT,
        Cause::TimedOut => libc::EAGAIN,
        Cause::Signal(Release::Restart) if restarts || wait.deadline().is_none() => ERESTARTSYS,
        Cause::Signal(_) | Cause::CallerGone => libc::EINTR,
    }
}
