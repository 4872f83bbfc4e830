//! Calls in which a worker slept, though it never should: the kernel made it wait for something that the
//! guest holds, its memory map (process_vm_readv(2)) or the lock of one of its sockets.

use std::time::{Duration, Instant};

use crate::budget::worked;
use crate::sys;

/// A call in which this thread did not run for so long is suspicious. It may have been preempted.
const LONG: Duration = Duration::from_millis(10);

/// Calls that are looked at closely after a suspicious one: whether the thread slept costs system calls.
const WATCHED: u32 = 64;

/// Long sleeps among them that are too many.
const STRIKES: u32 = 2;

/// The beginning of a piece of work for a sandbox.
pub(crate) struct Began {
    at: Instant,
    worked: Duration,
    /// How often the thread had slept; only where it is looked at closely.
    sleeps: Option<u64>,
}

impl Began {
    /// The beginning of work for a sandbox whose stalls so far are `stalls`.
    pub fn new(stalls: Option<&Stalls>) -> Self {
        let watched = stalls.is_some_and(|stalls| stalls.watched > 0);
        Self {
            at: Instant::now(),
            worked: worked(),
            sleeps: watched.then(sys::sleeps),
        }
    }

    /// What the thread worked since then.
    pub fn worked(&self) -> Duration {
        worked().saturating_sub(self.worked)
    }
}

/// What is known of one sandbox's stalls.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    watched: u32,
    strikes: u32,
}

impl Stalls {
    /// Notes a piece of work that ends now and took `took` of the thread's time; true: this sandbox holds up
    /// who shares its worker.
    pub fn note(&mut self, began: &Began, took: Duration, now: Instant) -> bool {
        let waited = now.saturating_duration_since(began.at).saturating_sub(took);
        let slept = || began.sleeps.map(|before| sys::sleeps() > before);
        self.judge(waited, slept)
    }

    fn judge(&mut self, waited: Duration, slept: impl FnOnce() -> Option<bool>) -> bool {
        if waited > LONG {
            match slept() {
                None => self.watched = WATCHED,
                Some(true) => {
                    self.watched = WATCHED;
                    self.strikes += 1;
                    return self.strikes >= STRIKES;
                }
                Some(false) => {}
            }
        }
        self.watched = self.watched.saturating_sub(1);
        if self.watched == 0 {
            self.strikes = 0;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_long_sleep_is_one_too_many() {
        let mut stalls = Stalls::default();
        let long = 2 * LONG;
        assert!(!stalls.judge(long, || None) && stalls.watched > 0);
        assert!(!stalls.judge(long, || Some(true)));
        assert!(!stalls.judge(Duration::ZERO, || None));
        assert!(stalls.judge(long, || Some(true)));
    }

    #[test]
    fn a_thread_that_only_had_no_core_is_no_stall() {
        let mut stalls = Stalls::default();
        for _ in 0..1_000 {
            assert!(!stalls.judge(2 * LONG, || Some(false)));
        }
    }

    #[test]
    fn one_now_and_then_is_forgiven() {
        let mut stalls = Stalls::default();
        for _ in 0..10 {
            stalls.judge(2 * LONG, || None);
            assert!(!stalls.judge(2 * LONG, || Some(true)));
            for _ in 0..WATCHED {
                assert!(!stalls.judge(Duration::ZERO, || Some(false)));
            }
            assert_eq!(stalls.watched, 0);
        }
    }
}
