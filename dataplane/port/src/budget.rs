//! The share of a worker's time that one sandbox may take while others wait.

use std::time::{Duration, Instant};

/// Time a sandbox may take at once before it has to rest.
const BURST: Duration = Duration::from_millis(5);
/// A sandbox earns back this part of the time that passes.
const SHARE: u32 = 2;

/// Time that this thread has run so far. Not time on the wall: a worker that was preempted during a
/// call says nothing against the caller.
pub(crate) fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Time that a sandbox still has.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Duration,
    debt: Duration,
    since: Instant,
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            debt: Duration::ZERO,
            since: now,
        }
    }

    /// Takes the time that a call took; gives how long to rest if it was too much.
    pub fn spend(&mut self, took: Duration, now: Instant) -> Option<Duration> {
        let earned = now.saturating_duration_since(self.since) / SHARE;
        self.since = now;
        let paid = earned.min(self.debt);
        self.debt -= paid;
        self.left = (self.left + (earned - paid)).min(BURST);
        let covered = took.min(self.left);
        self.left -= covered;
        self.debt += took - covered;
        (!self.debt.is_zero()).then(|| self.debt * SHARE + BURST / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_a_flood_rests() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut now = start;
        let call = Duration::from_micros(50);
        let free = (0..1000).take_while(|_| {
            now += call;
            budget.spend(call, now).is_none()
        });
        let free = free.count();
        assert!((100..=400).contains(&free), "{free}");
        assert!(budget.spend(call, now).is_some());
        now += Duration::from_secs(1);
        assert!(budget.spend(call, now).is_none());
    }

    #[test]
    fn a_polite_sandbox_never_rests() {
        let mut now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..10_000 {
            now += Duration::from_micros(100);
            assert_eq!(budget.spend(Duration::from_micros(40), now), None);
        }
    }
}
