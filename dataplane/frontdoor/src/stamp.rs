//! What tells one invocation from all others: its call id and when it came. The function and the client get the
//! same two lines, so they are written once.

use jd_http::push_number;

const CALL_ID: &[u8] = b"X-Call-Id: ";
const START_TIME: &str = "X-Start-Time: ";

/// Memory kept between requests, in bytes; a client can send a much longer call id.
const KEPT_BYTES: usize = 256;

/// The header lines of `X-Call-Id` and `X-Start-Time`; empty before [`Self::write`].
#[derive(Debug, Default)]
pub struct Stamp {
    lines: Vec<u8>,
    /// Where the second line begins.
    start_time: usize,
}

impl Stamp {
    /// Writes both lines: `push_id` appends the call id, `started_unix_ns` are Unix nanoseconds.
    pub fn write(&mut self, push_id: impl FnOnce(&mut Vec<u8>), started_unix_ns: u64) {
        self.clear();
        self.lines.extend_from_slice(CALL_ID);
        push_id(&mut self.lines);
        self.lines.extend_from_slice(b"\r\n");
        self.start_time = self.lines.len();
        push_number(&mut self.lines, START_TIME, started_unix_ns);
    }

    /// Forgets both, and keeps a little memory.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(KEPT_BYTES);
        self.start_time = 0;
    }

    /// The lines that are wanted.
    pub fn lines(&self, call_id: bool, start_time: bool) -> &[u8] {
        let begin = if call_id { 0 } else { self.start_time };
        let end = if start_time {
            self.lines.len()
        } else {
            self.start_time
        };
        &self.lines[begin..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_can_be_left_out() {
        let mut stamp = Stamp::default();
        assert_eq!(stamp.lines(true, true), b"");
        stamp.write(|out| out.extend_from_slice(b"id"), 42);
        assert_eq!(
            stamp.lines(true, true),
            b"X-Call-Id: id\r\nX-Start-Time: 42\r\n"
        );
        assert_eq!(stamp.lines(true, false), b"X-Call-Id: id\r\n");
        assert_eq!(stamp.lines(false, true), b"X-Start-Time: 42\r\n");
        assert_eq!(stamp.lines(false, false), b"");
    }
}
