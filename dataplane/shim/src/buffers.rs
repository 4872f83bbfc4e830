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
