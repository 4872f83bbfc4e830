//! The clocks that a keeper reads.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{clock_gettime, ClockId};

/// When this process started (`proc_pid_stat(5)`, field 22).
pub fn start_ticks() -> Option<u64> {
    let line = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything, blanks and parentheses too.
    let (_, fields) = line.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Time since some moment of the past, that nobody sets.
pub fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// Unix time, in nanoseconds.
pub fn unix_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
