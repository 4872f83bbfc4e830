//! One direction of bytes: free-running cursors over a ring with one producer and one consumer.

use crate::sync::Bytes;

/// Bytes between a tail and a head, or `None` when they are further apart than the ring is long: then one
/// of the two was written by someone who does not keep to the protocol, and nothing may be copied.
#[inline]
#[must_use]
pub fn distance<const RING: usize>(head: u32, tail: u32) -> Option<usize> {
    let distance = head.wrapping_sub(tail) as usize;
    (distance <= RING).then_some(distance)
}

/// A cursor moved on by `len` bytes of a ring.
#[inline]
#[must_use]
pub fn advance(cursor: u32, len: usize) -> u32 {
    // Rings are at most 2^31 bytes (asserted in `layout`), so a length within one fits.
    #[allow(clippy::cast_possible_truncation)]
    cursor.wrapping_add(len as u32)
}

/// Copies `len` bytes into the ring at cursor `head`, in at most two pieces.
///
/// # Safety
/// `len <= RING`, and `source` is readable for `len` bytes that no one writes meanwhile.
#[inline]
pub unsafe fn put<const RING: usize>(ring: &Bytes<RING>, head: u32, source: *const u8, len: usize) {
    let (at, first) = first_piece::<RING>(head, len);
    // SAFETY: `at + first <= RING` and `len - first <= RING`; both parts of `source` are in its `len` bytes.
    unsafe {
        ring.write(at, source, first);
        if first < len {
            ring.write(0, source.add(first), len - first);
        }
    }
}

/// Copies `len` bytes out of the ring from cursor `tail`, in at most two pieces.
///
/// # Safety
/// `len <= RING`, and `target` is writable for `len` bytes that no one else uses meanwhile.
#[inline]
pub unsafe fn get<const RING: usize>(ring: &Bytes<RING>, tail: u32, target: *mut u8, len: usize) {
    let (at, first) = first_piece::<RING>(tail, len);
    // SAFETY: `at + first <= RING` and `len - first <= RING`; both parts of `target` are in its `len` bytes.
    unsafe {
        ring.read(at, target, first);
        if first < len {
            ring.read(0, target.add(first), len - first);
        }
    }
}

/// Offset of a cursor in the ring, and how many of `len` bytes fit before the ring's end.
#[inline]
fn first_piece<const RING: usize>(cursor: u32, len: usize) -> (usize, usize) {
    const { assert!(RING.is_power_of_two()) };
    let at = cursor as usize & (RING - 1);
    (at, len.min(RING - at))
}
