//! First lines of heads of the usual form.

use crate::field::is_token_byte;
use crate::request::Version;

/// A request line, all its bytes allowed where they are.
pub(crate) struct RequestLine<'b> {
    pub method: &'b str,
    pub target: &'b str,
    pub version: Version,
}

impl<'b> RequestLine<'b> {
    /// Reads a line of printable ASCII; `None`: look more closely.
    pub fn of(line: &'b [u8]) -> Option<Self> {
        let (line, version) = match line.split_last_chunk()? {
            (line, b" HTTP/1.1") => (line, Version::Http11),
            (line, b" HTTP/1.0") => (line, Version::Http10),
            _ => return None,
        };
        let text = std::str::from_utf8(line).ok()?;
        let space = memchr::memrchr(b' ', line)?;
        let (method, target) = (&text[..space], &text[space + 1..]);
        let is_method = !method.is_empty() && method.bytes().all(is_token_byte);
        (is_method && !target.is_empty()).then_some(Self {
            method,
            target,
            version,
        })
    }
}

/// A status line.
pub(crate) struct StatusLine<'b> {
    pub version: Version,
    pub status: u16,
    pub reason: &'b [u8],
    /// Whether it can go on with its line's end as it is.
    pub plain: bool,
}

impl<'b> StatusLine<'b> {
    /// Reads a line of printable ASCII; `None`: look more closely.
    pub fn of(line: &'b [u8]) -> Option<Self> {
        let (head, rest) = line.split_first_chunk()?;
        let &[b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', a, b, c] =
            head
        else {
            return None;
        };
        let mut status = 0;
        for digit in [a, b, c] {
            if !digit.is_ascii_digit() {
                return None;
            }
            status = status * 10 + u16::from(digit - b'0');
        }
        let reason = match rest {
            [] => rest,
            [b' ', reason @ ..] => reason,
            _ => return None,
        };
        Some(Self {
            version: if minor == b'0' {
                Version::Http10
            } else {
                Version::Http11
            },
            status,
            reason,
            plain: minor == b'1' && !rest.is_empty(),
        })
    }
}
