//! Heads of responses.

use httparse::{Header, Status};

use crate::connection::{forwarded, ConnectionOptions, Headers};
use crate::error::HttpError;
use crate::field::Field;
use crate::framing::{Framing, LengthFields};
use crate::request::{refusal, Version};
use crate::{HeaderSpace, HEADERS_MAX};

/// A response head as a view over the bytes it came in, with what a proxy must know.
#[derive(Debug)]
pub struct ResponseHead<'h, 'b> {
    /// Status code, 100 to 599 (others are refused).
    pub status: u16,
    /// Reason phrase, often empty.
    pub reason: &'b str,
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
        space: &'h mut HeaderSpace<'b>,
        to_head: bool,
    ) -> Result<Self, HttpError> {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, bytes, space) {
            Ok(Status::Complete(_)) => {
                Self::build(&response, Headers::Inline(response.headers), to_head)
            }
            Ok(Status::Partial) => Err(HttpError::Head("the head is not complete")),
            Err(httparse::Error::TooManyHeaders) => Self::parse_many(bytes, to_head),
            Err(error) => Err(refusal(error)),
        }
    }

    fn parse_many(bytes: &'b [u8], to_head: bool) -> Result<Self, HttpError> {
        let mut headers = vec![httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(bytes).map_err(refusal)?;
        let count = response.headers.len();
        let line = httparse::Response {
            headers: &mut [],
            ..response
        };
        headers.truncate(count);
        Self::build(&line, Headers::Heap(headers), to_head)
    }

    fn build(
        line: &httparse::Response<'_, 'b>,
        headers: Headers<'h, 'b>,
        to_head: bool,
    ) -> Result<Self, HttpError> {
        let status = line
            .code
            .filter(|code| (100..600).contains(code))
            .ok_or(HttpError::Head("the status"))?;
        let mut head = Self {
            status,
            reason: line.reason.unwrap_or(""),
            version: if line.version == Some(0) {
                Version::Http10
            } else {
                Version::Http11
            },
            framing: Framing::None,
            content_length: None,
            keep_alive: false,
            upgrade: None,
            call_id: false,
            start_time: false,
            duration: false,
            served_by: false,
            headers: Headers::Inline(&[]),
            options: ConnectionOptions::default(),
        };
        head.read_fields(headers.as_slice(), to_head)?;
        head.headers = headers;
        Ok(head)
    }

    fn read_fields(&mut self, headers: &[Header<'b>], to_head: bool) -> Result<(), HttpError> {
        let mut length = LengthFields::default();
        for header in headers {
            match Field::of(header.name) {
                Field::ContentLength => length.content_length(header.value)?,
                Field::TransferEncoding => length.transfer_encoding(header.value)?,
                Field::Connection => self.options.add(header.value)?,
                Field::Upgrade => self.upgrade = Some(header.value),
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
    pub fn forwarded(&self) -> impl Iterator<Item = (Field, &Header<'b>)> {
        forwarded(self.headers.as_slice(), self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{header_space, HeadScan, Limits};

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
