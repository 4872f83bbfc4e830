//! What it costs to wake a guest, and when it costs too much.
//!
//! A guest may hang as many watchers as it has memory for on any descriptor that the host writes to; each
//! write walks them all with interrupts off (50 ms at 90,000), on the host's time. Nobody is told of watchers,
//! so the wakes are timed.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::time::{clock_gettime, ClockId};

/// A wake that took longer is suspicious. It may be innocent: whoever is woken may get this core at once.
const SLOW: Duration = Duration::from_millis(1);

/// CPU time of a wake that only a crowd of watchers costs: some 1,800.
const DEAR: Duration = Duration::from_millis(1);

/// Wakes whose CPU time is taken after a suspicious one: that clock is a system call.
const TIMED: u32 = 256;

/// Dear wakes among them that are not forgiven. An interrupt may have come into one.
const STRIKES: u32 = 3;

/// What waking the guest of one sandbox costs. Any number of threads may wake it.
#[derive(Debug, Default)]
pub struct Toll {
    timed: AtomicU32,
    strikes: AtomicU32,
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

impl Toll {
    /// Makes a system call that wakes the guest; `None`: its wakes were too dear, and none is made any more.
    pub fn wake<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        if self.is_barred() {
            return None;
        }
        let left = self.timed.load(Relaxed);
        if left > 0 {
            return Some(self.timed_wake(left, call));
        }
        let begun = Instant::now();
        let answer = call();
        if begun.elapsed() > SLOW {
            self.timed.store(TIMED, Relaxed);
        }
        Some(answer)
    }

    #[cold]
    fn timed_wake<T>(&self, left: u32, call: impl FnOnce() -> T) -> T {
        let begun = cpu_time();
        let answer = call();
        if cpu_time().saturating_sub(begun) > DEAR {
            self.timed.store(TIMED, Relaxed);
            self.strikes.fetch_add(1, Relaxed);
        } else {
            self.timed.store(left - 1, Relaxed);
            if left == 1 && !self.is_barred() {
                self.strikes.store(0, Relaxed);
            }
        }
        answer
    }

    /// Whether its wakes were too dear.
    #[must_use]
    pub fn is_barred(&self) -> bool {
        self.strikes.load(Relaxed) >= STRIKES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn() {
        let begun = cpu_time();
        while cpu_time() - begun <= 2 * DEAR {}
    }

    #[test]
    fn dear_wakes_are_not_made_for_ever() {
        let toll = Toll::default();
        let made = (0..100).take_while(|_| toll.wake(burn).is_some()).count();
        // The first only raises the suspicion.
        assert_eq!(made, STRIKES as usize + 1);
        assert!(toll.is_barred() && toll.wake(|| ()).is_none());
    }

    #[test]
    fn one_now_and_then_is_forgiven_and_waiting_is_none() {
        let toll = Toll::default();
        for _ in 0..4 {
            toll.wake(burn);
            toll.wake(burn);
            (0..TIMED).for_each(|_| assert!(toll.wake(|| ()).is_some()));
        }
        for _ in 0..8 {
            toll.wake(|| std::thread::sleep(2 * SLOW));
        }
        assert!(!toll.is_barred());
    }
}
