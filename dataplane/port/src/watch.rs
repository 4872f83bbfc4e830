//! Signals that wait for the caller of a parked call.
//!
//! With `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` a received call is deaf to all signals but fatal
//! ones; without the flag a signal corrupts connects. So parked calls are watched and released. There
//! is no event for another process's signals: `/proc` is looked at, ever more rarely.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// First and longest distance between two looks.
const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(128);
/// `/proc/TID/status` is shorter; the signals come before what may be long.
const STATUS_BYTES_MAX: usize = 8192;

/// How a call is released because a signal waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// `ERESTARTSYS`: the kernel decides by `SA_RESTART`. Right only if this very thread will take
    /// the signal; otherwise the number would leak to the program.
    Restart,
    /// `EINTR`.
    Interrupt,
}

/// Looks after one parked call.
pub(crate) struct Watch {
    tid: u32,
    /// Kept open between looks, which makes them cheap.
    status: Option<File>,
    distance: Duration,
}

fn open(tid: u32) -> Option<File> {
    File::open(format!("/proc/{tid}/status")).ok()
}

impl Watch {
    /// Looks after a call of the thread `tid`; `keep`: with a descriptor of its own.
    pub fn new(tid: u32, keep: bool) -> Self {
        Self {
            tid,
            status: keep.then(|| open(tid)).flatten(),
            distance: FIRST,
        }
    }

    /// When to look next.
    pub fn next(&mut self, longest: Duration) -> Instant {
        let distance = self.distance.min(longest);
        self.distance = (self.distance * 2).min(LONGEST);
        Instant::now() + distance
    }

    /// Whether the call must be released.
    pub fn look(&self) -> Option<Release> {
        let mut bytes = [0; STATUS_BYTES_MAX];
        let opened;
        let status = match &self.status {
            Some(status) => status,
            None => {
                opened = open(self.tid)?;
                &opened
            }
        };
        let got = status.read_at(&mut bytes, 0).ok()?;
        decide(&String::from_utf8_lossy(&bytes[..got]))
    }
}

/// Decides by a `/proc/TID/status` (proc_pid_status(5)).
pub(crate) fn decide(status: &str) -> Option<Release> {
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let mask = |name: &str| {
        field(name)
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .unwrap_or(0)
    };
    let blocked = mask("SigBlk:");
    let own = mask("SigPnd:") & !blocked != 0;
    let shared = mask("ShdPnd:") & !blocked != 0;
    let alone = field("Threads:") == Some("1");
    match (own, shared, alone) {
        (true, ..) | (_, true, true) => Some(Release::Restart),
        (_, true, false) => Some(Release::Interrupt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(threads: u32, own: u64, shared: u64, blocked: u64) -> String {
        format!("Name:\tx\nThreads:\t{threads}\nSigQ:\t0/1\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\n")
    }

    #[test]
    fn who_takes_the_signal_decides() {
        assert_eq!(decide(&status(1, 0, 0, 0)), None);
        assert_eq!(decide(&status(4, 2, 0, 0)), Some(Release::Restart));
        assert_eq!(decide(&status(1, 0, 2, 0)), Some(Release::Restart));
        assert_eq!(decide(&status(4, 0, 2, 0)), Some(Release::Interrupt));
        assert_eq!(decide(&status(4, 2, 2, 2)), None);
        assert_eq!(decide("garbage"), None);
    }
}
