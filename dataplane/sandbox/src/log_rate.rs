//! How fast a guest may fill its log: a token bucket over the bytes that reach the disk.
//!
//! The keeper works outside the guest's limits, and a byte of output can become fifty on disk (an empty line has a
//! record too). Past this rate its pipes are left unread, so the guest waits for itself and nobody else pays.

use std::time::Duration;

/// Bytes of records per second in the long run.
const BYTES_PER_S: i64 = 4 << 20;

/// Bytes of records that may come at once: a stack trace or a large answer printed is no flood.
const BURST_BYTES: i64 = 16 << 20;

/// Bytes that must be there before reading goes on, so that a flood is read in few large pieces.
const RESUME_BYTES: i64 = 1 << 20;

/// What is left of the rate. Times are readings of one monotonic clock.
#[derive(Debug)]
pub struct LogRate {
    /// Below zero: the last piece was larger than what was left, and is paid back.
    bytes_left: i64,
    counted_at: Duration,
    resting: bool,
}

impl LogRate {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self {
            bytes_left: BURST_BYTES,
            counted_at: now,
            resting: false,
        }
    }

    /// Takes `bytes` out; with nothing left the guest rests.
    pub fn spend(&mut self, bytes: usize, now: Duration) {
        self.refill(now);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.resting = self.bytes_left <= 0;
    }

    /// When output may be read again; `None`: now.
    #[must_use]
    pub fn resume_at(&mut self, now: Duration) -> Option<Duration> {
        if !self.resting {
            return None;
        }
        self.refill(now);
        if self.bytes_left >= RESUME_BYTES {
            self.resting = false;
            return None;
        }
        let missing_ms = (RESUME_BYTES - self.bytes_left).saturating_mul(1000) / BYTES_PER_S + 1;
        Some(now + Duration::from_millis(missing_ms.unsigned_abs()))
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.counted_at);
        let earned = passed.as_nanos() * u128::from(BYTES_PER_S.unsigned_abs()) / 1_000_000_000;
        let earned = i64::try_from(earned).unwrap_or(BURST_BYTES);
        if earned > 0 {
            self.bytes_left = self.bytes_left.saturating_add(earned).min(BURST_BYTES);
            self.counted_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn a_burst_passes_at_once() {
        let mut rate = LogRate::new(START);
        rate.spend((16 << 20) - 1, START);
        assert_eq!(rate.resume_at(START), None);
    }

    #[test]
    fn a_flood_rests_until_a_good_piece_is_earned() {
        let mut rate = LogRate::new(START);
        rate.spend(16 << 20, START);
        let at = rate.resume_at(START).expect("resting");
        assert!(at > START + Duration::from_millis(200) && at < START + Duration::from_millis(300));
        assert_eq!(rate.resume_at(at), None);
    }

    #[test]
    fn a_flood_gets_the_rate_and_no_more() {
        let mut rate = LogRate::new(START);
        let (mut now, mut written) = (START, 0);
        while now < START + Duration::from_secs(60) {
            now = rate
                .resume_at(now)
                .unwrap_or(now + Duration::from_micros(10));
            if rate.resume_at(now).is_none() {
                rate.spend(400_000, now);
                written += 400_000_i64;
            }
        }
        assert!(
            written <= BURST_BYTES + 61 * BYTES_PER_S + 400_000,
            "{written}"
        );
        assert!(written >= 59 * BYTES_PER_S, "{written}");
    }

    #[test]
    fn the_bucket_never_holds_more_than_a_burst() {
        let mut rate = LogRate::new(START);
        let later = START + Duration::from_secs(1_000_000);
        rate.spend(16 << 20, later);
        assert!(rate.resume_at(later).is_some());
    }
}
