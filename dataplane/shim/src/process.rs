//! What one process has of its sandbox's slab: the mapping, the bells that it rings, the waiters behind which it sleeps.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

use jd_ring::abi::{SlabImage, BELLS, SLAB_BYTES, WAITERS};
use jd_ring::guest::{SlabView, Waiter, Wake};

use crate::sys::{self, number as nr};
use crate::{ask, syscall, table};

static IMAGE: AtomicPtr<SlabImage> = AtomicPtr::new(core::ptr::null_mut());
/// No slab is to be had: rings are off, or nobody answers.
static REFUSED: AtomicBool = AtomicBool::new(false);
/// The process that the tables describe. A child of vfork shares the memory but is another.
static OWNER: AtomicI32 = AtomicI32::new(0);
/// Whether a child that shares our memory may be about.
static SHARES_MEMORY: AtomicBool = AtomicBool::new(false);
/// Descriptor + 1 of each bell; 0: not asked for yet.
static BELL_FDS: [AtomicI32; BELLS] = [const { AtomicI32::new(0) }; BELLS];
/// Descriptor + 1 of each waiter of this process; 0: not ours.
static WAITER_FDS: [AtomicI32; WAITERS] = [const { AtomicI32::new(0) }; WAITERS];
/// 1: some connection or set uses the waiter.
static WAITER_USED: [AtomicU32; WAITERS] = [const { AtomicU32::new(0) }; WAITERS];
/// Where hidden descriptors begin; 0: not decided yet.
static HIDDEN_FROM: AtomicI32 = AtomicI32::new(0);

/// Whether connections are worth watching.
#[inline]
#[must_use]
pub fn rings_wanted() -> bool {
    !REFUSED.load(Ordering::Relaxed)
}

/// The slab, if one is mapped.
#[must_use]
pub fn image() -> Option<&'static SlabImage> {
    // SAFETY: null, or a mapping of a whole slab that is never undone.
    unsafe { IMAGE.load(Ordering::Acquire).as_ref() }
}

/// The view of a slab's image.
#[must_use]
pub fn view(image: &'static SlabImage) -> Option<SlabView<'static>> {
    // SAFETY: `image` is a mapping of `SLAB_BYTES` that is never undone.
    unsafe { SlabView::new(core::ptr::from_ref(image).cast(), SLAB_BYTES) }.ok()
}

/// The slab, asked for over connection `fd` where none is mapped (or where `anew` says that jnetd has a new one).
pub fn image_by(fd: i32, anew: bool) -> Option<&'static SlabImage> {
    if let (Some(image), false) = (image(), anew) {
        return Some(image);
    }
    let descriptor = ask::slab(fd);
    if sys::failed(descriptor) {
        REFUSED.store(true, Ordering::Relaxed);
        return None;
    }
    let descriptor = descriptor as i32;
    let mapped = map(descriptor);
    sys::close(descriptor);
    if mapped.is_none() {
        REFUSED.store(true, Ordering::Relaxed);
    }
    let image = mapped?;
    forget_descriptors();
    OWNER.store(sys::process(), Ordering::Relaxed);
    IMAGE.store(core::ptr::from_ref(image).cast_mut(), Ordering::Release);
    Some(image)
}

fn map(descriptor: i32) -> Option<&'static SlabImage> {
    const READ_WRITE: usize = 3;
    const SHARED: usize = 1;
    const DONTFORK: usize = 10;
    // SAFETY: a new mapping where the kernel likes.
    let base = unsafe { syscall!(nr::MMAP, 0, SLAB_BYTES, READ_WRITE, SHARED, descriptor, 0) };
    if sys::failed(base) {
        return None;
    }
    let pointer = base as *const u8;
    // SAFETY: mapped just now, for good unless it is no slab of ours.
    let known = unsafe { SlabView::new(pointer, SLAB_BYTES) };
    // SAFETY: a range of our own; nobody has seen it yet. A child must not find its parent's rings in its memory.
    unsafe {
        if known.is_err() {
            let _ = syscall!(nr::MUNMAP, base, SLAB_BYTES);
            return None;
        }
        let _ = syscall!(nr::MADVISE, base, SLAB_BYTES, DONTFORK);
        pointer.cast::<SlabImage>().as_ref()
    }
}

/// Moves a descriptor out of the way of the program's own numbers and hides it. The old number is closed.
#[must_use]
pub fn hide(fd: i32) -> Option<i32> {
    let mut from = HIDDEN_FROM.load(Ordering::Relaxed);
    if from == 0 {
        from = hidden_from();
        HIDDEN_FROM.store(from, Ordering::Relaxed);
    }
    let mut fd = fd;
    if fd < from {
        let moved = sys::fcntl(fd, sys::F_DUPFD_CLOEXEC, from as usize);
        if !sys::failed(moved) {
            sys::close(fd);
            fd = moved as i32;
        }
    }
    if table::set(fd, table::Word::new(table::Kind::Hidden, 0)) {
        return Some(fd);
    }
    sys::close(fd);
    None
}

/// Above what most programs use; not higher, because the kernel's table of descriptors is as long as the highest.
fn hidden_from() -> i32 {
    const NOFILE: usize = 7;
    const USUAL: u64 = 1_000;
    let mut limits = [0_u64; 2];
    // SAFETY: room for one `struct rlimit64`.
    let answer = unsafe { syscall!(nr::PRLIMIT64, 0, NOFILE, 0, limits.as_mut_ptr()) };
    let most = if answer == 0 { limits[0] } else { USUAL };
    (most - most / 4).clamp(1, USUAL) as i32
}

/// Closes a hidden descriptor.
pub fn close_hidden(fd: i32) {
    table::set(fd, table::Word::UNKNOWN);
    sys::close(fd);
}

/// Makes sure that a bell can be rung; false where its descriptor is not to be had.
pub fn know_bell(fd: i32, index: u32) -> bool {
    let Some(cell) = BELL_FDS.get(index as usize) else {
        return false;
    };
    if cell.load(Ordering::Acquire) != 0 {
        return true;
    }
    let answer = ask::bell(fd, index);
    if sys::failed(answer) {
        return false;
    }
    let Some(bell) = hide(answer as i32) else {
        return false;
    };
    cell.store(bell + 1, Ordering::Release);
    true
}

/// Rings the bell that a ring operation asks for.
#[inline]
pub fn ring(wake: Wake) {
    if let Wake::Bell(index) = wake {
        let bell = BELL_FDS
            .get(index as usize)
            .map_or(0, |cell| cell.load(Ordering::Acquire));
        if bell != 0 {
            sys::wake(bell - 1);
        }
    }
}

/// A waiter that nobody uses, of this process's pool or a fresh one asked for over connection `fd`.
pub fn take_waiter(fd: i32) -> Option<u32> {
    for (index, used) in WAITER_USED.iter().enumerate() {
        let ours = WAITER_FDS[index].load(Ordering::Acquire) != 0;
        if ours
            && used
                .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            return Some(index as u32);
        }
    }
    let (answer, index) = ask::waiter(fd);
    if sys::failed(answer) {
        return None;
    }
    let known = WAITER_FDS
        .get(index as usize)
        .zip(WAITER_USED.get(index as usize));
    let Some((cell, used)) = known else {
        sys::close(answer as i32);
        return None;
    };
    let eventfd = hide(answer as i32)?;
    used.store(1, Ordering::Relaxed);
    cell.store(eventfd + 1, Ordering::Release);
    Some(index)
}

/// Puts a waiter back into the pool.
pub fn drop_waiter(index: u32) {
    if let Some(used) = WAITER_USED.get(index as usize) {
        used.store(0, Ordering::Release);
    }
}

/// The eventfd of a waiter of ours.
#[must_use]
pub fn waiter_fd(index: u32) -> Option<i32> {
    let one_more = WAITER_FDS.get(index as usize)?.load(Ordering::Acquire);
    (one_more != 0).then(|| one_more - 1)
}

/// A waiter's words in the slab.
#[must_use]
pub fn waiter(image: &'static SlabImage, index: u32) -> Option<Waiter<'static>> {
    image
        .waiters
        .get(index as usize)
        .map(|bell| Waiter::new(bell, index))
}

/// Whether the caller is a child that shares this process's memory (vfork): the tables are its parent's.
#[must_use]
pub fn is_foreign() -> bool {
    SHARES_MEMORY.load(Ordering::Relaxed) && OWNER.load(Ordering::Relaxed) != sys::process()
}

/// A connection was accepted, which no child of vfork does: the tables are this process's. (A program that was captured
/// and brought back elsewhere has another number than it had.)
pub fn claim() {
    if SHARES_MEMORY.load(Ordering::Relaxed) {
        OWNER.store(sys::process(), Ordering::Relaxed);
    }
}

/// A child that shares our memory is about to be made: from now on calls look whose they are.
pub fn will_share_memory() {
    if OWNER.load(Ordering::Relaxed) == 0 {
        OWNER.store(sys::process(), Ordering::Relaxed);
    }
    SHARES_MEMORY.store(true, Ordering::Relaxed);
}

/// No slab is known any more, and its descriptors are closed.
pub fn forget_slab() {
    IMAGE.store(core::ptr::null_mut(), Ordering::Release);
    forget_descriptors();
}

/// In the child of a fork: its parent's slab is not mapped here, its hidden descriptors are copies that nobody needs.
pub fn after_fork_in_child() {
    REFUSED.store(false, Ordering::Relaxed);
    SHARES_MEMORY.store(false, Ordering::Relaxed);
    OWNER.store(sys::process(), Ordering::Relaxed);
    forget_slab();
}

/// Closes the hidden descriptors of bells and waiters. Those of an earlier slab wake nobody any more.
fn forget_descriptors() {
    for cell in BELL_FDS.iter().chain(&WAITER_FDS) {
        let one_more = cell.swap(0, Ordering::AcqRel);
        if one_more != 0 {
            close_hidden(one_more - 1);
        }
    }
    for used in &WAITER_USED {
        used.store(0, Ordering::Relaxed);
    }
}
