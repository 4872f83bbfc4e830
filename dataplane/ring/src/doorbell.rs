//! Who sleeps where, and who wakes whom: the protocol of docs/protocols.md section 7, "Waking".
//!
//! The publisher marks before it looks at `need_wake`; the sleeper sets `need_wake` before it looks at
//! the marks. So at least one of the two sees the other, whatever the timing.

use crate::abi::Doorbell;
use crate::sync::{fence_for_model, Ordering::SeqCst};

/// Marks slots as having news. True: whoever sleeps here asked to be woken, and this caller is the one
/// who must write the eventfd (at most one of any number of publishers is told so).
#[inline]
#[must_use]
pub fn mark(bell: &Doorbell, slots: u64) -> bool {
    bell.dirty.fetch_or(slots, SeqCst);
    fence_for_model();
    // Looking before swapping leaves the line shared while the other side is awake.
    bell.need_wake.load(SeqCst) != 0 && bell.need_wake.swap(0, SeqCst) != 0
}

/// Takes the marks, leaving none.
#[inline]
pub fn take(bell: &Doorbell) -> u64 {
    bell.dirty.swap(0, SeqCst)
}

/// Asks to be woken. True: nothing is marked, sleep now. False: there is news already; it is still
/// marked, and `need_wake` stays set until [`disarm`] or until a publisher swaps it away.
#[inline]
#[must_use]
pub fn arm(bell: &Doorbell) -> bool {
    bell.need_wake.store(1, SeqCst);
    fence_for_model();
    bell.dirty.load(SeqCst) == 0
}

/// Asks to be woken and takes what is marked by now. 0: sleep. Otherwise the caller is awake: it no
/// longer asks, and must come here again before it sleeps.
#[inline]
pub fn rearm_and_take(bell: &Doorbell) -> u64 {
    if arm(bell) {
        return 0;
    }
    disarm(bell);
    take(bell)
}

/// No longer asks to be woken: while polling, or after waking by something else.
#[inline]
pub fn disarm(bell: &Doorbell) {
    bell.need_wake.store(0, SeqCst);
}
