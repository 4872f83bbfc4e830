//! A mapping of the journal's memfd, shared with the keeper that holds it.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// Slots of a journal.
pub const SLOTS: usize = 512;
const BYTES: usize = SLOTS * size_of::<u64>();

/// The slots of a journal, mapped.
pub struct Map {
    slots: NonNull<AtomicU64>,
}

// SAFETY: the mapping is owned by this value and only touched through atomics.
unsafe impl Send for Map {}

impl Map {
    /// Maps the journal behind `memfd`, which is at least 4,096 bytes long.
    ///
    /// # Errors
    /// `EINVAL`: too short, which would fault later; those of mmap(2).
    pub fn new(memfd: BorrowedFd<'_>) -> Result<Self, Errno> {
        let length = rustix::fs::fstat(memfd)?.st_size;
        if usize::try_from(length).unwrap_or(0) < BYTES {
            return Err(Errno::INVAL);
        }
        let (access, sharing) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice; nothing existing changes.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                BYTES,
                access,
                sharing,
                memfd.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(Errno::NOMEM);
        }
        NonNull::new(address.cast())
            .map(|slots| Self { slots })
            .ok_or(Errno::NOMEM)
    }

    /// The slots.
    #[must_use]
    pub fn slots(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, SLOTS words long (checked against the file, which
        // only the trusted keeper could shrink) and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr(), SLOTS) }
    }

    /// The id in a slot; 0 is free.
    #[must_use]
    pub fn get(&self, slot: usize) -> u64 {
        self.slots()[slot].load(Ordering::Relaxed)
    }

    /// Writes a slot.
    pub fn set(&self, slot: usize, id: u64) {
        self.slots()[slot].store(id, Ordering::Relaxed);
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, and no reference to it outlives `self`.
        unsafe { libc::munmap(self.slots.as_ptr().cast(), BYTES) };
    }
}
