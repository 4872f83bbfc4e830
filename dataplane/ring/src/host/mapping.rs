//! The memory of a slab: a sealed memfd, mapped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{fcntl_add_seals, ftruncate, memfd_create, MemfdFlags, SealFlags};
use rustix::mm::{madvise, mmap, munmap, Advice, MapFlags, ProtFlags};

use super::error::SlabError;
use crate::abi::{SlabImage, SLAB_BYTES};

/// A mapped slab and its descriptor.
pub(super) struct Mapping {
    memfd: OwnedFd,
    base: NonNull<SlabImage>,
}

// SAFETY: the mapping lives until drop and is only used through `&SlabImage`, whose words are atomics and
// whose rings are opaque bytes; where it is used from makes no difference.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// A slab of zeroes, none of it touched yet.
    pub(super) fn create() -> Result<Self, SlabError> {
        let failed = |step| {
            move |errno: rustix::io::Errno| SlabError::Memory {
                step,
                source: errno.into(),
            }
        };
        let memfd = sealable_memfd().map_err(failed("memfd_create"))?;
        ftruncate(&memfd, SLAB_BYTES as u64).map_err(failed("ftruncate"))?;
        // Before mapping: a guest that could shrink it would end us with SIGBUS. SEAL: nor may it add
        // FUTURE_WRITE, with which no other process of the sandbox could map it for writing.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&memfd, seals).map_err(failed("F_ADD_SEALS"))?;
        // SAFETY: a fresh mapping at an address of the kernel's choice; nothing else is affected.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                SLAB_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                &memfd,
                0,
            )
        }
        .map_err(failed("mmap"))?;
        let base = NonNull::new(base.cast::<SlabImage>()).ok_or(SlabError::Memory {
            step: "mmap",
            source: io::ErrorKind::Other.into(),
        })?;
        // A slab is sparse; where shared memory comes in huge pages its first byte would cost 2 MiB.
        // A kernel without huge pages refuses, which is as good.
        // SAFETY: advice about the pages that were mapped just now; it changes none of them.
        let _ = unsafe { madvise(base.as_ptr().cast(), SLAB_BYTES, Advice::LinuxNoHugepage) };
        Ok(Self { memfd, base })
    }

    pub(super) fn image(&self) -> &SlabImage {
        // SAFETY: mapped for SLAB_BYTES, page-aligned, until drop. Zeroes or anything else are valid.
        unsafe { self.base.as_ref() }
    }

    pub(super) fn memfd(&self) -> BorrowedFd<'_> {
        self.memfd.as_fd()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `create` with this length; references to it are bound to `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), SLAB_BYTES) };
    }
}

fn sealable_memfd() -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"jd-ring", flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag.
        Err(rustix::io::Errno::INVAL) => memfd_create(c"jd-ring", flags),
        made => made,
    }
}
