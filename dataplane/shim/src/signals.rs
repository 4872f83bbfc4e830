//! Which of the program's signal handlers restart system calls: a call of ours that a signal interrupts has to do what
//! the kernel's would have done.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::{self, number as nr};
use crate::syscall;

/// What an interrupted call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on (`SA_RESTART`).
    Restart,
    /// Ends with `EINTR`.
    Interrupt,
}

/// Goes up whenever the program may have set a handler.
static CHANGES: AtomicU32 = AtomicU32::new(1);
/// The value of [`CHANGES`] that [`KNOWN`] is about.
static KNOWN_AT: AtomicU32 = AtomicU32::new(0);
/// Bits of [`survey`].
static KNOWN: AtomicU32 = AtomicU32::new(0);

const RESTARTING: u32 = 1;
const INTERRUPTING: u32 = 2;

/// The program has called sigaction(2) or a relative of it.
pub fn changed() {
    CHANGES.fetch_add(1, Ordering::Release);
}

/// Whether there are handlers of both kinds.
#[must_use]
pub fn are_mixed() -> bool {
    let now = CHANGES.load(Ordering::Acquire);
    if KNOWN_AT.load(Ordering::Acquire) != now {
        KNOWN.store(survey(), Ordering::Release);
        KNOWN_AT.store(now, Ordering::Release);
    }
    KNOWN.load(Ordering::Acquire) == RESTARTING | INTERRUPTING
}

/// What a call does that was just interrupted by some handler.
#[must_use]
pub fn verdict() -> Verdict {
    if survey() == RESTARTING {
        Verdict::Restart
    } else {
        Verdict::Interrupt
    }
}

/// Looks at every handler of the process.
fn survey() -> u32 {
    const SIGNALS: usize = 64;
    const SA_RESTART: u64 = 0x1000_0000;
    // Both libcs keep these for themselves, and handle them without anyone noticing.
    const OF_LIBC: core::ops::RangeInclusive<usize> = 32..=34;
    let mut kinds = 0;
    for signal in (1..=SIGNALS).filter(|signal| !OF_LIBC.contains(signal)) {
        // `struct sigaction` of the kernel: handler, flags, restorer, mask.
        let mut action = [0_u64; 4];
        // SAFETY: room for the kernel's structure; nothing is set.
        let answer = unsafe {
            syscall!(
                nr::RT_SIGACTION,
                signal,
                0,
                action.as_mut_ptr(),
                sys::SIGSET_BYTES
            )
        };
        let handled = answer == 0 && action[0] > 1;
        if handled {
            kinds |= if action[1] & SA_RESTART != 0 {
                RESTARTING
            } else {
                INTERRUPTING
            };
        }
    }
    kinds
}
