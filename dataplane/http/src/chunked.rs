//! The chunked coding (RFC 9112, section 7.1), as strict as its grammar.

use crate::error::HttpError;
use crate::trailer::Trailer;

/// Longest line of a chunk: size and extensions, in bytes. Extensions are not used by anybody; without
/// a bound a sender could make a proxy read gigabytes for one byte of body.
const LINE_BYTES_MAX: usize = 256;

/// Most digits of a chunk's size: 15 of them fit a u64 with room to spare.
const DIGITS_MAX: usize = 15;

#[derive(Clone, Debug)]
enum At {
    /// Inside the hexadecimal size.
    Size {
        size: u64,
        digits: usize,
    },
    /// Inside the extensions of a chunk.
    Extension {
        size: u64,
        seen: usize,
    },
    /// After the CR of the size's line.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// After the data.
    DataEnd,
    /// After the CR that follows the data.
    DataLf,
    Trailers(Trailer),
    Done,
}

/// A part of the coding that lies at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes of the body.
    Data(usize),
    /// Bytes of the coding.
    Coding(usize),
}

/// Position in a chunked body.
#[derive(Clone, Debug)]
pub(crate) struct Chunked(At);

impl Chunked {
    pub const fn new() -> Self {
        Self(At::Size { size: 0, digits: 0 })
    }

    pub const fn is_done(&self) -> bool {
        matches!(self.0, At::Done)
    }

    /// Takes the next part; `input` is not empty and the body is not over.
    pub fn take(&mut self, input: &[u8]) -> Result<Part, HttpError> {
        if let At::Data { left } = &mut self.0 {
            let length = usize::try_from(*left)
                .unwrap_or(usize::MAX)
                .min(input.len());
            *left -= length as u64;
            if *left == 0 {
                self.0 = At::DataEnd;
            }
            return Ok(Part::Data(length));
        }
        let mut taken = 0;
        for &byte in input {
            if matches!(self.0, At::Data { .. } | At::Done) {
                break;
            }
            self.coding_byte(byte)?;
            taken += 1;
        }
        Ok(Part::Coding(taken))
    }

    fn coding_byte(&mut self, byte: u8) -> Result<(), HttpError> {
        self.0 = match (&mut self.0, byte) {
            (At::Size { size, digits }, b'\r') if *digits > 0 => At::SizeEnd { size: *size },
            (At::Size { size, digits }, b';') if *digits > 0 => At::Extension {
                size: *size,
                seen: 0,
            },
            (At::Size { size, digits }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(HttpError::Chunk)?;
                if *digits == DIGITS_MAX {
                    return Err(HttpError::Chunk);
                }
                At::Size {
                    size: *size << 4 | u64::from(digit),
                    digits: *digits + 1,
                }
            }
            (At::Extension { size, .. }, b'\r') => At::SizeEnd { size: *size },
            (At::Extension { size, seen }, _)
                if *seen < LINE_BYTES_MAX && crate::field::is_value_byte(byte) =>
            {
                At::Extension {
                    size: *size,
                    seen: *seen + 1,
                }
            }
            (At::SizeEnd { size: 0 }, b'\n') => At::Trailers(Trailer::new()),
            (At::SizeEnd { size }, b'\n') => At::Data { left: *size },
            (At::DataEnd, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { size: 0, digits: 0 },
            (At::Trailers(trailer), _) => {
                if trailer.take(byte)? {
                    At::Done
                } else {
                    return Ok(());
                }
            }
            _ => return Err(HttpError::Chunk),
        };
        Ok(())
    }
}
