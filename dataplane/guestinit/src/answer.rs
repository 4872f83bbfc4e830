//! Heads of answers.

use jd_http::push_field;

use crate::calendar::http_date_now;

/// What an answer carries besides its body.
#[derive(Clone, Debug, Default)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// `Content-Length`; `None` is chunked, or until close for HTTP/1.0.
    pub length: Option<usize>,
    /// `X-Duration-Seconds`.
    pub duration_s: Option<f64>,
    /// Whether the connection ends after it.
    pub close: bool,
    /// Whether the platform and not the function answers.
    pub internal: Option<&'a str>,
}

/// Text of a status code.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

impl Answer<'_> {
    /// Appends the head; `chunked` only where there is no length and the client speaks HTTP/1.1.
    pub fn push_head(&self, output: &mut Vec<u8>, chunked: bool) {
        let line = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        output.extend_from_slice(line.as_bytes());
        push_field(output, "Content-Type", self.content_type.as_bytes());
        push_field(output, "Date", http_date_now().as_bytes());
        if let Some(seconds) = self.duration_s {
            push_field(
                output,
                "X-Duration-Seconds",
                format!("{seconds:.6}").as_bytes(),
            );
        }
        if let Some(who) = self.internal {
            push_field(output, "X-OpenFaaS-Internal", who.as_bytes());
        }
        match self.length {
            Some(bytes) => push_field(output, "Content-Length", bytes.to_string().as_bytes()),
            None if chunked => push_field(output, "Transfer-Encoding", b"chunked"),
            None => {}
        }
        if self.close {
            push_field(output, "Connection", b"close");
        }
        output.extend_from_slice(b"\r\n");
    }
}

/// What Go's server would guess for a body without a type: text or not (RFC 9110 leaves it to the origin).
#[must_use]
pub fn guess_type(body: &[u8]) -> &'static str {
    let start = &body[..body.len().min(512)];
    let text = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let binary = |byte: &u8| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31);
    if text && !start.iter().any(binary) {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_bytes() {
        assert_eq!(guess_type(b""), "text/plain; charset=utf-8");
        assert_eq!(
            guess_type("h\u{e4}llo\n".as_bytes()),
            "text/plain; charset=utf-8"
        );
        assert_eq!(
            guess_type(b"\x89PNG\r\n\x1a\n\0"),
            "application/octet-stream"
        );
        let mut cut = vec![b'a'; 511];
        cut.extend_from_slice("ä".as_bytes());
        assert_eq!(
            guess_type(&cut),
            "text/plain; charset=utf-8",
            "a character cut at the limit is still text"
        );
    }

    #[test]
    fn a_head_is_complete() {
        let mut output = Vec::new();
        let answer = Answer {
            status: 429,
            content_type: "text/plain",
            length: Some(3),
            close: true,
            ..Answer::default()
        };
        answer.push_head(&mut output, true);
        let text = String::from_utf8(output).expect("ASCII");
        assert!(
            text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Content-Length: 3\r\nConnection: close\r\n\r\n"),
            "{text}"
        );
    }
}
