//! Finds the end of a message head without reading any byte twice.

use memchr::memchr;

use crate::error::HttpError;
use crate::field::is_token_byte;

/// Bounds of a message head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest head with its closing empty line, in bytes; longer: 431.
    pub head_bytes_max: usize,
    /// Longest request target, in bytes; longer: 414.
    pub target_bytes_max: usize,
}

impl Default for Limits {
    /// 1 MiB of head, as OpenFaaS accepts, and 64 KiB of target.
    fn default() -> Self {
        Self {
            head_bytes_max: 1 << 20,
            target_bytes_max: 64 << 10,
        }
    }
}

/// Room for the longest method and version beside the target.
const LINE_EXTRA_BYTES: usize = 64;

/// Empty lines tolerated before a request line (RFC 9112, section 2.2, asks for at least one).
const LEADING_BYTES_MAX: usize = 4;

/// Position in a head that is still arriving.
#[derive(Clone, Debug)]
pub struct HeadScan {
    /// First byte not looked at.
    next: usize,
    /// First byte of the current line.
    line: usize,
    /// Whether the first line is complete.
    started: bool,
    strict: bool,
}

impl HeadScan {
    /// For requests: lines end in CR LF, and what cannot begin a request is refused at once.
    #[must_use]
    pub const fn request() -> Self {
        Self {
            next: 0,
            line: 0,
            started: false,
            strict: true,
        }
    }

    /// For responses: a bare LF is accepted as well. It is never passed on, for heads are written anew.
    #[must_use]
    pub const fn response() -> Self {
        Self {
            next: 0,
            line: 0,
            started: false,
            strict: false,
        }
    }

    /// Whether no byte was looked at yet.
    #[must_use]
    pub const fn is_at_start(&self) -> bool {
        self.next == 0
    }

    /// Looks at the bytes that came since the last call; `bytes` begins where the head begins.
    /// Returns the length of the head once it is complete.
    ///
    /// # Errors
    /// Too long, or not a head at all.
    pub fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, HttpError> {
        while let Some(offset) = memchr(b'\n', &bytes[self.next..]) {
            let end = self.next + offset;
            if end >= limits.head_bytes_max {
                return Err(HttpError::HeadTooLarge);
            }
            if let Some(length) = self.line_ends(bytes, end, limits)? {
                return Ok(Some(length));
            }
        }
        self.next = bytes.len();
        self.check_unfinished(bytes, limits)?;
        Ok(None)
    }

    fn line_ends(
        &mut self,
        bytes: &[u8],
        end: usize,
        limits: &Limits,
    ) -> Result<Option<usize>, HttpError> {
        let with_cr = end > self.line && bytes[end - 1] == b'\r';
        if self.strict && !with_cr {
            return Err(HttpError::Head("a line must end in CR LF"));
        }
        let length = end - self.line - usize::from(with_cr);
        let empty = length == 0;
        self.check_line(&bytes[self.line..self.line + length], end, limits)?;
        (self.next, self.line) = (end + 1, end + 1);
        if empty && self.started {
            return Ok(Some(end + 1));
        }
        self.started |= !empty;
        Ok(None)
    }

    fn check_line(&self, line: &[u8], end: usize, limits: &Limits) -> Result<(), HttpError> {
        if self.started {
            return Ok(());
        }
        if line.is_empty() {
            let enough = end >= LEADING_BYTES_MAX;
            return if enough {
                Err(HttpError::Head("empty lines instead of a request"))
            } else {
                Ok(())
            };
        }
        if self.strict {
            check_beginning(line, limits)?;
        }
        Ok(())
    }

    fn check_unfinished(&self, bytes: &[u8], limits: &Limits) -> Result<(), HttpError> {
        if bytes.len() >= limits.head_bytes_max {
            return Err(HttpError::HeadTooLarge);
        }
        if !self.strict || self.started {
            return Ok(());
        }
        let line = &bytes[self.line..];
        // Perhaps the line's end has begun, which does not count.
        check_beginning(line.strip_suffix(b"\r").unwrap_or(line), limits)
    }
}

/// Whether a head that was read at once keeps the limits; `line` is its first.
pub(crate) fn keeps(line: &[u8], length: usize, limits: &Limits) -> bool {
    length <= limits.head_bytes_max && check_beginning(line, limits).is_ok()
}

/// Judges a request line by what is there of it.
fn check_beginning(line: &[u8], limits: &Limits) -> Result<(), HttpError> {
    if line.len() > limits.target_bytes_max + LINE_EXTRA_BYTES {
        return Err(HttpError::TargetTooLong);
    }
    // A TLS hello sent to the plain port is answered now, not when the head's time is over.
    match line.first() {
        Some(&byte) if !is_token_byte(byte) && byte != b'\r' => {
            Err(HttpError::Head("this is not an HTTP request"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Result<Option<usize>, HttpError> {
        HeadScan::request().advance(bytes, &Limits::default())
    }

    fn bytewise(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, HttpError> {
        let mut scan = HeadScan::request();
        for length in 1..=bytes.len() {
            if let Some(found) = scan.advance(&bytes[..length], limits)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        for (bytes, length) in [
            (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n"[..], 27),
            (b"\r\nGET / HTTP/1.1\r\n\r\n", 20),
            (b"GET / HTTP/1.0\r\n\r\n", 18),
        ] {
            assert_eq!(whole(bytes), Ok(Some(length)));
            assert_eq!(bytewise(bytes, &Limits::default()), Ok(Some(length)));
        }
        assert_eq!(whole(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
    }

    #[test]
    fn a_bare_lf_is_refused_in_requests_only() {
        let bytes = b"GET / HTTP/1.1\nHost: a\n\n";
        assert!(matches!(whole(bytes), Err(HttpError::Head(_))));
        assert!(matches!(
            bytewise(bytes, &Limits::default()),
            Err(HttpError::Head(_))
        ));
        let mut scan = HeadScan::response();
        assert_eq!(
            scan.advance(b"HTTP/1.1 200 OK\nA: b\n\n", &Limits::default()),
            Ok(Some(22))
        );
    }

    #[test]
    fn limits_hold_before_the_head_is_complete() {
        let limits = Limits {
            head_bytes_max: 1000,
            target_bytes_max: 100,
        };
        let mut long = b"GET /".to_vec();
        long.resize(200, b'a');
        assert_eq!(bytewise(&long, &limits), Err(HttpError::TargetTooLong));
        long.truncate(limits.target_bytes_max + LINE_EXTRA_BYTES);
        long.extend_from_slice(b"\r\n\r\n");
        assert_eq!(bytewise(&long, &limits), Ok(Some(long.len())));
        let mut many = b"GET / HTTP/1.1\r\nA: ".to_vec();
        many.resize(1001, b'a');
        assert_eq!(bytewise(&many, &limits), Err(HttpError::HeadTooLarge));
        many.extend_from_slice(b"\r\n\r\n");
        assert_eq!(
            HeadScan::request().advance(&many, &limits),
            Err(HttpError::HeadTooLarge)
        );
    }

    #[test]
    fn garbage_is_refused_at_its_first_byte() {
        assert!(matches!(
            whole(b"\x16\x03\x01\x02"),
            Err(HttpError::Head(_))
        ));
        assert!(matches!(whole(b"\r\n\r\n\r\n"), Err(HttpError::Head(_))));
    }
}
