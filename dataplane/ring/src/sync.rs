//! Atomics and shared bytes. The model checker compiles [`crate::lane`], [`crate::doorbell`],
//! [`crate::guest`] and the host's side against another module of this name and shape
//! (`tests/loom`), which is why they name nothing of `core::sync` themselves.

use core::cell::UnsafeCell;

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use core::sync::atomic::fence;
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes that another process writes while we look: only ever copied in or out through raw pointers.
#[repr(C, align(4096))]
pub struct Bytes<const LEN: usize>(UnsafeCell<[u8; LEN]>);

// SAFETY: no reference to the bytes is ever made; what a copy yields is data, whatever was there.
unsafe impl<const LEN: usize> Sync for Bytes<LEN> {}

impl<const LEN: usize> Bytes<LEN> {
    /// Zeroes outside of any slab: for tests.
    #[must_use]
    pub const fn zeroed() -> Self {
        Self(UnsafeCell::new([0; LEN]))
    }

    /// Copies `len` bytes from `source` to offset `at`.
    ///
    /// # Safety
    /// `at + len <= LEN`, and `source` is readable for `len` bytes that no one writes meanwhile.
    #[inline]
    pub unsafe fn write(&self, at: usize, source: *const u8, len: usize) {
        debug_assert!(at + len <= LEN);
        // SAFETY: in bounds by the caller's promise; the two areas belong to different allocations.
        unsafe { core::ptr::copy_nonoverlapping(source, self.0.get().cast::<u8>().add(at), len) };
    }

    /// Copies `len` bytes from offset `at` to `target`.
    ///
    /// # Safety
    /// `at + len <= LEN`, and `target` is writable for `len` bytes that no one else uses meanwhile.
    #[inline]
    pub unsafe fn read(&self, at: usize, target: *mut u8, len: usize) {
        debug_assert!(at + len <= LEN);
        // SAFETY: in bounds by the caller's promise; the two areas belong to different allocations.
        unsafe { core::ptr::copy_nonoverlapping(self.0.get().cast::<u8>().add(at), target, len) };
        // The peer may write here while we copy. What was copied is then arbitrary but must stay what it
        // is: after this the compiler may not fetch it from the shared page a second time.
        // SAFETY: no instruction; it only makes the compiler take `target` as written by someone else.
        unsafe { core::arch::asm!("/* {0} */", in(reg) target, options(nostack, preserves_flags)) };
    }
}

/// A full barrier: what this thread wrote before is visible before anything that it reads afterwards.
///
/// On x86-64 it is an idle locked instruction, as in the kernel's `smp_mb`: `mfence`, which
/// `fence(SeqCst)` becomes, also drains non-temporal stores and takes about six times as long.
#[inline]
pub fn full_fence() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let mut word = 0_u32;
        // SAFETY: changes nothing but flags; it is told to touch memory, so the compiler moves no
        // access across it, and the processor's manual orders all accesses around a locked instruction.
        unsafe { core::arch::asm!("lock or dword ptr [{0}], 0", in(reg) &raw mut word) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    fence(Ordering::SeqCst);
}

/// Between a sequentially consistent read-modify-write or store and a sequentially consistent load of
/// another word nothing is missing: the total order of such accesses is enough (C++20, [atomics.order]).
/// The model checker takes them as acquire and release only, so its module puts a fence here.
#[inline]
pub fn fence_for_model() {}
