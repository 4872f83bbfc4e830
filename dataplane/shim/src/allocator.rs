//! One habit of glibc's allocator that connections on rings would spoil.
//!
//! A block above 128 KiB is mapped and unmapped each time, until one of that size was given back whole: then such blocks
//! come from the heap. A Python asyncio server allots 256 KiB for each read and gives a whole one back at the first end of
//! a connection. The platform keeps its connections, so that end may never come, and each request would cost a mapping, a
//! shrinking, a page fault and an unmapping (three calls and some 10 µs).

use core::sync::atomic::{AtomicBool, Ordering};

use crate::next::{get_errno, set_errno, Name};

/// More than the largest read of a usual event loop (asyncio: 256 KiB).
const BLOCK_BYTES: usize = 320 << 10;
/// Held at a time: the first may come from what the heap has left, and then says nothing.
const BLOCKS: usize = 3;

static SETTLED: AtomicBool = AtomicBool::new(false);

/// Gives large blocks back, once in the life of a process: what the end of a first connection does on a plain socket.
/// Called where a connection was accepted, which nobody does in a signal handler or with the allocator's lock held.
#[inline]
pub fn settle() {
    if !SETTLED.load(Ordering::Relaxed) {
        give_back();
    }
}

#[cold]
fn give_back() {
    type Malloc = unsafe extern "C" fn(usize) -> *mut u8;
    type Free = unsafe extern "C" fn(*mut u8);
    static MALLOC: Name = Name::literal("malloc\0");
    static FREE: Name = Name::literal("free\0");
    SETTLED.store(true, Ordering::Relaxed);
    let (malloc, free) = (MALLOC.address(), FREE.address());
    if malloc == 0 || free == 0 {
        return;
    }
    let errno = get_errno();
    // SAFETY: malloc(3) and free(3) of one and the same library, whose types these are.
    let (malloc, free) = unsafe {
        (
            core::mem::transmute::<usize, Malloc>(malloc),
            core::mem::transmute::<usize, Free>(free),
        )
    };
    // SAFETY: as above; free(3) takes null too.
    unsafe {
        let blocks = [(); BLOCKS].map(|()| malloc(BLOCK_BYTES));
        for block in blocks {
            free(block);
        }
    }
    set_errno(errno);
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    /// `struct mallinfo2`; the fourth word counts the blocks that are mapped now.
    #[repr(C)]
    struct Facts([usize; 10]);

    extern "C" {
        fn malloc(bytes: usize) -> *mut u8;
        fn free(block: *mut u8);
        fn mallinfo2() -> Facts;
    }

    #[test]
    fn large_reads_come_from_the_heap_afterwards() {
        settle();
        // SAFETY: glibc's own; the block is given back once.
        unsafe {
            let before = mallinfo2().0[3];
            let block = core::hint::black_box(malloc((256 << 10) + 33));
            let after = mallinfo2().0[3];
            free(block);
            assert_eq!(before, after);
        }
    }
}
