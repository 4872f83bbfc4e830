//! The two clocks: one that never jumps, for deadlines, and the one of the calendar, for headers.

use rustix::time::{clock_gettime, ClockId, Timespec};

fn nanoseconds(time: Timespec) -> u64 {
    // Neither clock is before its beginning, nor will be after the year 2554.
    let seconds = time.tv_sec.unsigned_abs();
    seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(time.tv_nsec.unsigned_abs())
}

/// Nanoseconds on a clock that only goes forward.
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// How long the distance of the two clocks is believed.
const BELIEVED_NS: u64 = 100_000_000;

/// The calendar's time told by the other clock: reading both for every request would cost as much as routing it.
#[derive(Default)]
pub struct Calendar {
    distance_ns: u64,
    believed_until_ns: u64,
}

impl Calendar {
    /// Nanoseconds since 1970 at the monotonic time `now_ns`.
    pub fn unix_ns(&mut self, now_ns: u64) -> u64 {
        if now_ns >= self.believed_until_ns {
            self.distance_ns = unix_ns().wrapping_sub(monotonic_ns());
            self.believed_until_ns = now_ns.saturating_add(BELIEVED_NS);
        }
        now_ns.wrapping_add(self.distance_ns)
    }
}

/// Nanoseconds since 1970.
pub fn unix_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}
