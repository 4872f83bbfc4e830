//! Checks the trailers of a chunked body byte by byte.

use crate::error::HttpError;
use crate::field::{is_token_byte, is_value_byte};

/// Longest trailer section, in bytes.
const TRAILER_BYTES_MAX: usize = 16 << 10;

/// Longest name that is compared with the forbidden ones.
const NAME_BYTES_MAX: usize = 17;

/// Fields that change framing or routing and are no trailers (RFC 9110, section 6.5.1).
const FORBIDDEN: [&[u8]; 5] = [
    b"transfer-encoding",
    b"content-length",
    b"host",
    b"connection",
    b"trailer",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Name,
    Value,
    /// After the CR of a field's line.
    LineEnd,
    /// After the CR of the closing empty line.
    LastEnd,
}

/// Position in a trailer section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trailer {
    at: At,
    seen: usize,
    name: [u8; NAME_BYTES_MAX],
    name_bytes: usize,
}

impl Trailer {
    pub const fn new() -> Self {
        Self {
            at: At::LineStart,
            seen: 0,
            name: [0; NAME_BYTES_MAX],
            name_bytes: 0,
        }
    }

    /// Takes one byte; true: the section and with it the body is over.
    pub fn take(&mut self, byte: u8) -> Result<bool, HttpError> {
        self.seen += 1;
        if self.seen > TRAILER_BYTES_MAX {
            return Err(HttpError::Trailer);
        }
        self.at = match (self.at, byte) {
            (At::LineStart, b'\r') => At::LastEnd,
            (At::LastEnd, b'\n') => return Ok(true),
            (At::LineStart, _) if is_token_byte(byte) => {
                self.name_bytes = 0;
                self.name_byte(byte)
            }
            (At::Name, b':') => self.name_ends()?,
            (At::Name, _) if is_token_byte(byte) => self.name_byte(byte),
            (At::Value, b'\r') => At::LineEnd,
            (At::Value, _) if is_value_byte(byte) => At::Value,
            (At::LineEnd, b'\n') => At::LineStart,
            _ => return Err(HttpError::Trailer),
        };
        Ok(false)
    }

    fn name_byte(&mut self, byte: u8) -> At {
        if let Some(place) = self.name.get_mut(self.name_bytes) {
            *place = byte.to_ascii_lowercase();
        }
        self.name_bytes += 1;
        At::Name
    }

    fn name_ends(&self) -> Result<At, HttpError> {
        match self.name.get(..self.name_bytes) {
            Some(name) if FORBIDDEN.contains(&name) => Err(HttpError::Trailer),
            _ => Ok(At::Value),
        }
    }
}
