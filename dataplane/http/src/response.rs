//! Heads of responses.

use crate::closely;
use crate::connection::ConnectionOptions;
use crate::emit::{push_decimal, CRLF};
use crate::error::HttpError;
use crate::field::Field;
use crate::first_line::StatusLine;
use crate::framing::{Framing, LengthFields};
use crate::lines::take_apart;
use crate::request::Version;
use crate::scan::{keeps, HeadScan, Limits};
use crate::space::{Header, HeaderSpace, Headers};

/// A response head as a view over the bytes it came in, with what a proxy must know.
#[derive(Debug)]
pub struct ResponseHead<'h, 'b> {
    /// Status code, 100 to 599 (others are refused).
    pub status: u16,
    /// Reason phrase, often empty.
    pub reason: &'b [u8],
    /// Version of the sender.
    pub version: Version,
    /// How long the body is, with the request's method and the status taken into account.
    pub framing: Framing,
    /// `Content-Length` as announced, also where there is no body (HEAD, 304).
    pub content_length: Option<u64>,
    /// Whether the sender will take another request on this connection.
    pub keep_alive: bool,
    /// Value of `Upgrade`.
    pub upgrade: Option<&'b [u8]>,
    /// Whether there is an `X-Call-Id`.
    pub call_id: bool,
    /// Whether there is an `X-Start-Time`.
    pub start_time: bool,
    /// Whether there is an `X-Duration-Seconds`.
    pub duration: bool,
    /// Whether there is an `X-Served-By`.
    pub served_by: bool,
    /// Length of the first line where it can go on as it is.
    plain_bytes: usize,
    headers: Headers<'h, 'b>,
    options: ConnectionOptions,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Reads a complete head; `to_head` says that the request was a HEAD.
    ///
    /// # Errors
    /// A head that must not be passed on: the caller answers 502.
    pub fn parse(
        bytes: &'b [u8],
        space: &'h mut HeaderSpace,
        to_head: bool,
    ) -> Result<Self, HttpError> {
        let line = closely::response(bytes, space.renew())?;
        let places = &space.0;
        Self::build(&line, 0, Headers { bytes, places }, to_head)
    }

    /// Reads the head at the front of `bytes` once it is complete. `scan` remembers from one call to the next what
    /// was looked at; `to_head` says that the request was a HEAD.
    ///
    /// # Errors
    /// A head that must not be passed on: the caller answers 502.
    pub fn read(
        bytes: &'b [u8],
        scan: &mut HeadScan,
        limits: &Limits,
        space: &'h mut HeaderSpace,
        to_head: bool,
    ) -> Result<Option<Self>, HttpError> {
        let usual = if scan.is_at_start() {
            take_apart(bytes, space.renew())
                .filter(|(line, length)| keeps(line, *length, limits))
                .and_then(|(text, length)| Some((StatusLine::of(text)?, text.len(), length)))
        } else {
            None
        };
        let (line, line_bytes, length) = if let Some(usual) = usual {
            usual
        } else {
            let Some(length) = scan.advance(bytes, limits)? else {
                return Ok(None);
            };
            let line = closely::response(&bytes[..length], space.renew())?;
            (line, 0, length)
        };
        let plain_bytes = if line.plain {
            line_bytes + CRLF.len()
        } else {
            0
        };
        let (bytes, places) = (&bytes[..length], &space.0);
        Self::build(&line, plain_bytes, Headers { bytes, places }, to_head).map(Some)
    }

    /// Length of the head, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.headers.bytes.len()
    }

    #[inline]
    fn build(
        line: &StatusLine<'b>,
        plain_bytes: usize,
        headers: Headers<'h, 'b>,
        to_head: bool,
    ) -> Result<Self, HttpError> {
        if !(100..600).contains(&line.status) {
            return Err(HttpError::Head("the status"));
        }
        let mut head = Self {
            status: line.status,
            reason: line.reason,
            version: line.version,
            framing: Framing::None,
            content_length: None,
            keep_alive: false,
            upgrade: None,
            call_id: false,
            start_time: false,
            duration: false,
            served_by: false,
            plain_bytes,
            headers,
            options: ConnectionOptions::default(),
        };
        head.read_fields(to_head)?;
        Ok(head)
    }

    fn read_fields(&mut self, to_head: bool) -> Result<(), HttpError> {
        let mut length = LengthFields::default();
        let headers = self.headers;
        for place in headers.places {
            let value = headers.value(place);
            match place.field {
                Field::ContentLength => length.content_length(value)?,
                Field::TransferEncoding => length.transfer_encoding(value)?,
                Field::Connection => self.options.add(value)?,
                Field::Upgrade => self.upgrade = Some(value),
                Field::CallId => self.call_id = true,
                Field::StartTime => self.start_time = true,
                Field::Duration => self.duration = true,
                Field::ServedBy => self.served_by = true,
                _ => {}
            }
        }
        let announced = length.framing()?;
        if let Some(Framing::Length(length)) = announced {
            self.content_length = Some(length);
        }
        let bodiless = to_head || self.status < 200 || self.status == 204 || self.status == 304;
        self.framing = if bodiless {
            Framing::None
        } else {
            announced.unwrap_or(Framing::UntilClose)
        };
        self.keep_alive = self.options.keeps(self.version) && self.framing != Framing::UntilClose;
        Ok(())
    }

    /// Headers that go on to the client.
    pub fn forwarded(&self) -> impl Iterator<Item = (Field, Header<'b>)> + 'h
    where
        'b: 'h,
    {
        self.headers.forwarded(self.options)
    }

    /// Appends the status line, as HTTP/1.1, and the headers that go on to the client.
    pub fn copy_onward(&self, out: &mut Vec<u8>) {
        if self.plain_bytes == 0 {
            out.extend_from_slice(b"HTTP/1.1 ");
            push_decimal(out, u64::from(self.status));
            out.push(b' ');
            out.extend_from_slice(self.reason);
            out.extend_from_slice(CRLF);
        }
        self.headers
            .copy(out, self.options, self.plain_bytes, |_| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header_space;

    fn framing(text: &str, to_head: bool) -> Result<(Framing, bool), HttpError> {
        let bytes = text.as_bytes();
        let mut scan = HeadScan::response();
        let bytewise = (1..=bytes.len())
            .find_map(|n| scan.advance(&bytes[..n], &Limits::default()).transpose());
        assert_eq!(
            HeadScan::response()
                .advance(bytes, &Limits::default())
                .transpose(),
            bytewise
        );
        let length = bytewise.expect("complete")?;
        let mut space = header_space();
        let head = ResponseHead::parse(&bytes[..length], &mut space, to_head)?;
        Ok((head.framing, head.keep_alive))
    }

    #[test]
    fn the_body_follows_method_status_and_headers() {
        for (text, to_head, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                false,
                (Framing::Length(5), true),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                true,
                (Framing::None, true),
            ),
            (
                "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
                (Framing::Chunked, true),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n",
                false,
                (Framing::UntilClose, false),
            ),
            (
                "HTTP/1.0 200 OK\nContent-Length: 5\n\n",
                false,
                (Framing::Length(5), false),
            ),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
                false,
                (Framing::Length(5), true),
            ),
            (
                "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                false,
                (Framing::None, true),
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
                false,
                (Framing::None, false),
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\n",
                false,
                (Framing::None, true),
            ),
        ] {
            assert_eq!(framing(text, to_head), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn ambiguous_responses_are_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 099 No\r\n\r\n",
            "HTTP/1.1 900 No\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
        ] {
            assert!(framing(text, false).is_err(), "{text:?}");
        }
    }
}
