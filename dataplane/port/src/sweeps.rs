//! How often closed sockets may be looked for: by what a look costs, the number of sockets that are
//! listed. Time would blame a guest for a busy machine.

use std::time::{Duration, Instant};

/// A listing of so many is free: that is what most guests have, however often they bind.
const FREE: u64 = 1024;
/// Beyond it so many may be listed at once,
const CREDIT: u64 = 500_000;
/// and so many per second; about a tenth of a core.
const PER_SECOND: u64 = 250_000;

/// Sockets that may be listed for one sandbox.
#[derive(Debug)]
pub(crate) struct Sweeps {
    left: u64,
    debt: u64,
    since: Instant,
}

impl Sweeps {
    pub fn new(now: Instant) -> Self {
        Self {
            left: CREDIT,
            debt: 0,
            since: now,
        }
    }

    /// Whether a sweep may begin.
    pub fn may(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        let passed = passed.min(Duration::from_secs(CREDIT / PER_SECOND));
        let earned = u64::try_from(passed.as_micros()).unwrap_or(0) * PER_SECOND / 1_000_000;
        if earned > 0 {
            self.since = now;
            let paid = earned.min(self.debt);
            self.debt -= paid;
            self.left = (self.left + (earned - paid)).min(CREDIT);
        }
        self.left > 0
    }

    /// Notes how many sockets one listed.
    pub fn spend(&mut self, listed: usize) {
        let cost = u64::try_from(listed)
            .unwrap_or(u64::MAX)
            .saturating_sub(FREE);
        let covered = cost.min(self.left);
        self.left -= covered;
        self.debt += cost - covered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sweeps of ten seconds in which one is wanted every 100 us.
    fn done(sockets: usize) -> usize {
        let mut now = Instant::now();
        let mut sweeps = Sweeps::new(now);
        let mut done = 0;
        for _ in 0..100_000 {
            if sweeps.may(now) {
                sweeps.spend(sockets);
                done += 1;
            }
            now += Duration::from_micros(100);
        }
        done
    }

    #[test]
    fn short_listings_are_free_and_long_ones_rare() {
        assert_eq!(done(1024), 100_000);
        let long = done(32_768);
        assert!((80..=130).contains(&long), "{long}");
    }
}
