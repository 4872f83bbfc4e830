//! Stands for `src/sync.rs`: loom's atomics, and ring bytes that loom watches.

use loom::cell::UnsafeCell;

pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use loom::sync::atomic::fence;

/// Ring bytes, one watched cell each.
pub struct Bytes<const LEN: usize>(Vec<UnsafeCell<u8>>);

// SAFETY: loom runs one thread at a time and fails the test when two may touch a cell together.
unsafe impl<const LEN: usize> Sync for Bytes<LEN> {}

impl<const LEN: usize> Bytes<LEN> {
    pub fn new() -> Self {
        Self((0..LEN).map(|_| UnsafeCell::new(0)).collect())
    }

    /// # Safety
    /// As the one it stands for.
    pub unsafe fn write(&self, at: usize, source: *const u8, len: usize) {
        for (i, cell) in self.0[at..at + len].iter().enumerate() {
            // SAFETY: loom watches the cell; the source is readable for `len` bytes.
            cell.with_mut(|byte| unsafe { *byte = *source.add(i) });
        }
    }

    /// # Safety
    /// As the one it stands for.
    pub unsafe fn read(&self, at: usize, target: *mut u8, len: usize) {
        for (i, cell) in self.0[at..at + len].iter().enumerate() {
            // SAFETY: loom watches the cell; the target is writable for `len` bytes.
            cell.with(|byte| unsafe { *target.add(i) = *byte });
        }
    }
}

/// The same as the locked instruction of the real one.
pub fn full_fence() {
    fence(Ordering::SeqCst);
}

/// Loom takes sequentially consistent accesses as acquire and release; fences it models fully.
pub fn fence_for_model() {
    fence(Ordering::SeqCst);
}
