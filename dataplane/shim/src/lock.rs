//! A lock that knows its owner, because a signal handler may call into the shim on top of the very thread that holds
//! it: such a call is told so instead of waiting for itself for ever.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// Set beside the owner when someone sleeps for the lock. Control blocks are aligned, so the bit is free.
const CONTENDED: u64 = 1;

/// Mutual exclusion between threads. Held for the length of a copy, never while a thread sleeps for an event.
pub struct Lock {
    owner: AtomicU64,
}

/// The lock is held as long as this lives.
pub struct Guard<'a> {
    lock: &'a Lock,
}

impl Lock {
    /// A free lock.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            owner: AtomicU64::new(0),
        }
    }

    /// Waits for the lock; `None` if this thread holds it already (the caller is a signal handler).
    #[inline]
    pub fn enter(&self) -> Option<Guard<'_>> {
        let me = sys::thread();
        match self
            .owner
            .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Some(Guard { lock: self }),
            Err(owner) if owner & !CONTENDED == me => None,
            Err(_) => self.wait(me),
        }
    }

    /// Takes the lock if it is free.
    #[must_use]
    pub fn try_enter(&self) -> Option<Guard<'_>> {
        let free =
            self.owner
                .compare_exchange(0, sys::thread(), Ordering::Acquire, Ordering::Relaxed);
        free.is_ok().then_some(Guard { lock: self })
    }

    /// In the child of a fork, where whoever held the lock in the parent is not.
    pub fn reset(&self) {
        self.owner.store(0, Ordering::Relaxed);
    }

    #[cold]
    fn wait(&self, me: u64) -> Option<Guard<'_>> {
        loop {
            let owner = self.owner.load(Ordering::Relaxed);
            if owner == 0 {
                // Others may sleep too: whoever waited once leaves the mark on, at the price of one idle wake.
                let mine = me | CONTENDED;
                if self
                    .owner
                    .compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
                {
                    return Some(Guard { lock: self });
                }
                continue;
            }
            let marked = owner | CONTENDED;
            let same = owner == marked
                || self
                    .owner
                    .compare_exchange(owner, marked, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if same {
                sys::futex_wait(self.word(), marked as u32);
            }
        }
    }

    /// The half of the owner that a futex can look at (little endian: the lower one).
    fn word(&self) -> *const u32 {
        self.owner.as_ptr().cast_const().cast()
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.lock.owner.swap(0, Ordering::Release) & CONTENDED != 0 {
            sys::futex_wake(self.lock.word(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::UnsafeCell;

    use super::*;

    struct Counter(UnsafeCell<u64>);

    // SAFETY: only touched under the lock.
    unsafe impl Sync for Counter {}

    #[test]
    fn threads_take_turns() {
        static LOCK: Lock = Lock::new();
        static COUNTER: Counter = Counter(UnsafeCell::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let _held = LOCK.enter().expect("not held by this thread");
                        // SAFETY: under the lock.
                        unsafe { *COUNTER.0.get() += 1 };
                    }
                });
            }
        });
        // SAFETY: the threads are gone.
        assert_eq!(unsafe { *COUNTER.0.get() }, 80_000);
    }

    #[test]
    fn its_owner_is_not_made_to_wait_for_itself() {
        let lock = Lock::new();
        let held = lock.enter();
        assert!(held.is_some() && lock.enter().is_none() && lock.try_enter().is_none());
        drop(held);
        assert!(lock.try_enter().is_some());
    }
}
