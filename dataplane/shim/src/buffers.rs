//! The caller's pieces of memory, walked once.

use crate::sys::{errno, IoVec};

/// Most pieces that the kernel takes (`UIO_MAXIOV`).
const PIECES_MAX: usize = 1_024;
/// Most bytes that one call moves (`MAX_RW_COUNT`): what is longer is cut, as the kernel does.
const BYTES_MAX: usize = 0x7fff_f000;

/// A walk over pieces of memory.
pub struct Buffers<'a> {
    pieces: &'a [IoVec],
    offset: usize,
    left: usize,
}

impl<'a> Buffers<'a> {
    /// Over `pieces`.
    ///
    /// # Errors
    /// `EINVAL` as readv(2) has it: a sum above `SSIZE_MAX`.
    pub fn new(pieces: &'a [IoVec]) -> Result<Self, i32> {
        let mut left = 0_usize;
        for piece in pieces {
            left = left
                .checked_add(piece.len)
                .filter(|sum| *sum <= isize::MAX as usize)
                .ok_or(errno::EINVAL)?;
        }
        Ok(Self {
            pieces,
            offset: 0,
            left: left.min(BYTES_MAX),
        })
    }

    /// The pieces behind a pointer and a count that came from the program.
    ///
    /// # Errors
    /// `EINVAL`: too many of them.
    ///
    /// # Safety
    /// `pieces` points at `count` of them where `count` is not 0.
    pub unsafe fn pieces(pieces: *const IoVec, count: usize) -> Result<&'a [IoVec], i32> {
        if count == 0 {
            return Ok(&[]);
        }
        if count > PIECES_MAX {
            return Err(errno::EINVAL);
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { core::slice::from_raw_parts(pieces, count) })
    }

    /// Bytes that are still to be moved.
    #[inline]
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next stretch of memory; `None` at the end.
    #[inline]
    pub fn stretch(&mut self) -> Option<(*mut u8, usize)> {
        if self.left == 0 {
            return None;
        }
        loop {
            let piece = self.pieces.first()?;
            let len = piece.len - self.offset;
            if len > 0 {
                // Within the piece: `offset` never passes its length.
                return Some((piece.base.wrapping_add(self.offset), len.min(self.left)));
            }
            self.pieces = &self.pieces[1..];
            self.offset = 0;
        }
    }

    /// So much of the stretch that [`Self::stretch`] gave was moved.
    #[inline]
    pub fn advance(&mut self, len: usize) {
        self.offset += len;
        self.left -= len;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the pieces lie and however little is moved at a time, every byte is visited once, in order.
        #[test]
        fn visits_every_byte_once(
            lens in proptest::collection::vec(0_usize..50, 0..20),
            steps in proptest::collection::vec(1_usize..40, 1..20),
        ) {
            let mut memory = vec![0_u8; lens.iter().sum()];
            let mut pieces = Vec::new();
            let mut base = memory.as_mut_ptr();
            for len in &lens {
                pieces.push(IoVec { base, len: *len });
                base = base.wrapping_add(*len);
            }
            let mut buffers = Buffers::new(&pieces).expect("a small sum");
            prop_assert_eq!(buffers.left(), memory.len());
            let (mut expected, mut steps) = (memory.as_mut_ptr(), steps.into_iter().cycle());
            while let Some((at, len)) = buffers.stretch() {
                prop_assert!(len > 0);
                prop_assert_eq!(at, expected);
                let step = steps.next().unwrap_or(1).min(len);
                buffers.advance(step);
                expected = expected.wrapping_add(step);
            }
            prop_assert_eq!(buffers.left(), 0);
            prop_assert_eq!(expected, memory.as_mut_ptr().wrapping_add(memory.len()));
        }
    }

    #[test]
    fn refuses_sums_that_no_answer_could_name() {
        let piece = IoVec {
            base: core::ptr::null_mut(),
            len: usize::MAX / 2,
        };
        assert_eq!(Buffers::new(&[piece, piece]).err(), Some(errno::EINVAL));
        // SAFETY: nothing is read of more pieces than the kernel takes.
        let many = unsafe { Buffers::pieces(core::ptr::null(), PIECES_MAX + 1) };
        assert_eq!(many.err(), Some(errno::EINVAL));
    }
}
