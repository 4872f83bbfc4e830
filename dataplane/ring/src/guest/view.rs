//! The view of a mapped slab.

use super::{GuestEnd, Waiter};
use crate::abi::{self, SlabImage, Upgrade, BELLS, RING_BYTES, SLOTS, WAITERS};
use crate::sync::Ordering::Relaxed;

/// Why a mapping is not a slab that this build can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Not aligned to a page, or shorter than a slab.
    Mapping,
    /// The first word is not [`crate::abi::MAGIC`].
    Magic,
    /// Made by a host of this other version.
    Version(u32),
    /// Right version, other sizes: it was damaged.
    Sizes,
}

/// A mapped slab.
#[derive(Clone, Copy)]
pub struct SlabView<'a> {
    image: &'a SlabImage,
}

impl<'a> SlabView<'a> {
    /// Looks at the header of a mapping of `len` bytes.
    ///
    /// # Errors
    /// When it is not a slab of this version: leave rings alone and use the descriptor.
    ///
    /// # Safety
    /// `base` is mapped readable and writable, shared, for `len` bytes that stay mapped for `'a`.
    pub unsafe fn new(base: *const u8, len: usize) -> Result<Self, Mismatch> {
        if base.is_null() || base.align_offset(4_096) != 0 || len < abi::SLAB_BYTES {
            return Err(Mismatch::Mapping);
        }
        // SAFETY: aligned, long enough, mapped for 'a; every word of it is an atomic or opaque bytes.
        let image = unsafe { &*base.cast::<SlabImage>() };
        let header = &image.header;
        if header.magic.load(Relaxed) != abi::MAGIC {
            return Err(Mismatch::Magic);
        }
        let version = header.version.load(Relaxed);
        if version != abi::VERSION {
            return Err(Mismatch::Version(version));
        }
        let sizes = [
            &header.slots,
            &header.ring_bytes,
            &header.waiters,
            &header.bells,
        ];
        let expected = [SLOTS, RING_BYTES, WAITERS, BELLS];
        let same = sizes
            .iter()
            .zip(expected)
            .all(|(word, size)| word.load(Relaxed) as usize == size);
        if !same || header.slab_bytes.load(Relaxed) != abi::SLAB_BYTES as u64 {
            return Err(Mismatch::Sizes);
        }
        Ok(Self { image })
    }

    /// The end of an upgraded connection; `None` if the answer names a slot or bell that cannot be, or a
    /// slot of another generation.
    #[must_use]
    pub fn end(&self, upgrade: &Upgrade) -> Option<GuestEnd<'a>> {
        let slot = self.image.slots.get(upgrade.slot as usize)?;
        let end = GuestEnd::new(slot, &self.image.bells, upgrade.slot)?;
        (end.generation() == upgrade.generation && (upgrade.bell as usize) < BELLS).then_some(end)
    }

    /// The waiter of this index.
    #[must_use]
    pub fn waiter(&self, index: u32) -> Option<Waiter<'a>> {
        let bell = self.image.waiters.get(index as usize)?;
        Some(Waiter::new(bell, index))
    }

    /// How long a thread may poll before it parks, in nanoseconds; the host changes it at any time.
    #[must_use]
    pub fn spin_ns(&self) -> u32 {
        self.image.header.spin_ns.load(Relaxed)
    }
}
