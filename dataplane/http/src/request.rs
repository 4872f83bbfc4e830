//! Heads of requests.

use httparse::{Header, Status};

use crate::connection::{forwarded, ConnectionOptions, Headers};
use crate::error::HttpError;
use crate::field::{has_token, Field};
use crate::framing::{Framing, LengthFields};
use crate::{HeaderSpace, HEADERS_MAX};

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A request method, as far as a proxy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`, `OPTIONS`, `PUT`, `DELETE`: may be sent twice (RFC 9110, section 9.2.2).
    Idempotent,
    /// `HEAD`: idempotent, and its response has no body.
    Head,
    /// `CONNECT`
    Connect,
    /// `TRACE`
    Trace,
    /// `POST`, `PATCH` and every other one: may not be sent twice.
    Other,
}

impl Method {
    fn of(name: &str) -> Self {
        match name {
            "GET" | "PUT" | "DELETE" | "OPTIONS" => Self::Idempotent,
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Whether the request may be sent a second time when its first fate is unknown.
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Idempotent | Self::Head)
    }
}

/// A request head as a view over the bytes it came in, with what a proxy must know.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// Method, as far as a proxy cares.
    pub method: Method,
    /// Method as sent.
    pub method_text: &'b str,
    /// Path and query, raw; of an absolute target only what follows the authority.
    pub target: &'b str,
    /// Version of the sender.
    pub version: Version,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the sender wants to use the connection again.
    pub keep_alive: bool,
    /// Whether the sender waits for `100 Continue`.
    pub expect_continue: bool,
    /// Value of `Upgrade` where the sender asks to change the protocol.
    pub upgrade: Option<&'b [u8]>,
    /// Host asked for: of an absolute target, else the `Host` header.
    pub host: Option<&'b [u8]>,
    /// First `X-Call-Id`.
    pub call_id: Option<&'b [u8]>,
    /// First `X-Timeout`.
    pub timeout: Option<&'b [u8]>,
    /// Whether there is an `X-Forwarded-For`.
    pub forwarded_for: bool,
    /// Whether there is an `X-Forwarded-Host`.
    pub forwarded_host: bool,
    /// Whether `Accept` asks for a stream of events or of JSON lines.
    pub accepts_stream: bool,
    headers: Headers<'h, 'b>,
    options: ConnectionOptions,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Reads a complete head, whose end [`crate::HeadScan`] found.
    ///
    /// # Errors
    /// What must be answered instead; see [`HttpError::status`].
    pub fn parse(bytes: &'b [u8], space: &'h mut HeaderSpace<'b>) -> Result<Self, HttpError> {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, space) {
            Ok(Status::Complete(_)) => Self::build(&request, Headers::Inline(request.headers)),
            Ok(Status::Partial) => Err(HttpError::Head("the head is not complete")),
            Err(httparse::Error::TooManyHeaders) => Self::parse_many(bytes),
            Err(error) => Err(refusal(error)),
        }
    }

    fn parse_many(bytes: &'b [u8]) -> Result<Self, HttpError> {
        let mut headers = vec![httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(bytes).map_err(refusal)?;
        let count = request.headers.len();
        let line = httparse::Request {
            headers: &mut [],
            ..request
        };
        headers.truncate(count);
        Self::build(&line, Headers::Heap(headers))
    }

    fn build(
        line: &httparse::Request<'_, 'b>,
        headers: Headers<'h, 'b>,
    ) -> Result<Self, HttpError> {
        let (Some(method_text), Some(target)) = (line.method, line.path) else {
            return Err(HttpError::Head("the request line is not complete"));
        };
        let version = if line.version == Some(0) {
            Version::Http10
        } else {
            Version::Http11
        };
        let method = Method::of(method_text);
        let (authority, target) = split_target(method, target)?;
        let mut head = Self {
            method,
            method_text,
            target,
            version,
            framing: Framing::None,
            keep_alive: false,
            expect_continue: false,
            upgrade: None,
            host: None,
            call_id: None,
            timeout: None,
            forwarded_for: false,
            forwarded_host: false,
            accepts_stream: false,
            headers: Headers::Inline(&[]),
            options: ConnectionOptions::default(),
        };
        head.read_fields(headers.as_slice())?;
        if let Some(authority) = authority {
            head.host = Some(authority.as_bytes());
        }
        head.headers = headers;
        Ok(head)
    }

    fn read_fields(&mut self, headers: &[Header<'b>]) -> Result<(), HttpError> {
        let mut length = LengthFields::default();
        let mut upgrade = None;
        for header in headers {
            let value = header.value;
            match Field::of(header.name) {
                Field::ContentLength => length.content_length(value)?,
                Field::TransferEncoding => length.transfer_encoding(value)?,
                Field::Connection => self.options.add(value)?,
                Field::Host if self.host.is_some() || !valid_host(value) => {
                    return Err(HttpError::Host)
                }
                Field::Host => self.host = Some(value),
                Field::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                    self.expect_continue = true
                }
                Field::Expect => return Err(HttpError::Expectation),
                Field::Upgrade => upgrade = Some(value),
                Field::CallId => self.call_id = self.call_id.or(Some(value)),
                Field::Timeout => self.timeout = self.timeout.or(Some(value)),
                Field::ForwardedFor => self.forwarded_for = true,
                Field::ForwardedHost => self.forwarded_host = true,
                Field::Accept => self.accepts_stream |= accepts_stream(value),
                _ => {}
            }
        }
        self.finish(length, upgrade)
    }

    fn finish(&mut self, length: LengthFields, upgrade: Option<&'b [u8]>) -> Result<(), HttpError> {
        self.framing = length.framing()?.unwrap_or(Framing::None);
        self.keep_alive = self.options.keeps(self.version);
        if self.version == Version::Http10 {
            self.expect_continue = false;
            // RFC 9112, section 6.1: such a message is faulty.
            return if self.framing == Framing::Chunked {
                Err(HttpError::Length)
            } else {
                Ok(())
            };
        }
        if self.host.is_none() {
            return Err(HttpError::Host);
        }
        // h2c would carry requests past every check made here.
        self.upgrade = upgrade.filter(|value| self.options.upgrade && !has_token(value, b"h2c"));
        self.expect_continue &= !matches!(self.framing, Framing::None | Framing::Length(0));
        Ok(())
    }

    /// Headers that go on to the next hop; `Host` is among them.
    pub fn forwarded(&self) -> impl Iterator<Item = (Field, &Header<'b>)> {
        forwarded(self.headers.as_slice(), self.options)
    }
}

pub(crate) fn refusal(error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::HeadTooLarge,
        httparse::Error::Version => HttpError::Version,
        httparse::Error::HeaderName => HttpError::Head("a header name"),
        httparse::Error::HeaderValue => HttpError::Head("a header value"),
        httparse::Error::NewLine => HttpError::Head("a line end"),
        httparse::Error::Status => HttpError::Head("the status"),
        httparse::Error::Token => HttpError::Head("the first line"),
    }
}

/// Splits `http://host/path` (RFC 9112, section 3.2.2) into authority and path.
fn split_target(method: Method, target: &str) -> Result<(Option<&str>, &str), HttpError> {
    const BAD: HttpError = HttpError::Head("the request target");
    if target.starts_with('/') || target == "*" || method == Method::Connect {
        return Ok((None, target));
    }
    let scheme_ends = target.find("://").ok_or(BAD)?;
    if !target[..scheme_ends].eq_ignore_ascii_case("http")
        && !target[..scheme_ends].eq_ignore_ascii_case("https")
    {
        return Err(BAD);
    }
    let rest = &target[scheme_ends + 3..];
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) if rest.as_bytes()[at] == b'/' => rest.split_at(at),
        Some(_) => return Err(BAD),
        None => (rest, "/"),
    };
    if authority.is_empty() || !valid_host(authority.as_bytes()) {
        return Err(HttpError::Host);
    }
    Ok((Some(authority), path))
}

/// Only what can be part of `uri-host [":" port]` (RFC 9110, section 7.2).
fn valid_host(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte))
}

fn accepts_stream(value: &[u8]) -> bool {
    crate::field::elements(value).any(|element| {
        let kind = element
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        kind.eq_ignore_ascii_case(b"text/event-stream")
            || kind.eq_ignore_ascii_case(b"application/x-ndjson")
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
