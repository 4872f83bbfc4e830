//! Heads of requests.

use crate::closely;
use crate::connection::ConnectionOptions;
use crate::error::HttpError;
use crate::field::{byte_set, has_token, Field};
use crate::first_line::RequestLine;
use crate::framing::{Framing, LengthFields};
use crate::lines::take_apart;
use crate::scan::{keeps, HeadScan, Limits};
use crate::space::{Header, HeaderSpace, Headers};

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
    /// Reads a complete head, whose end [`HeadScan`] found.
    ///
    /// # Errors
    /// What must be answered instead; see [`HttpError::status`].
    pub fn parse(bytes: &'b [u8], space: &'h mut HeaderSpace) -> Result<Self, HttpError> {
        let line = closely::request(bytes, space.renew())?;
        let places = &space.0;
        Self::build(&line, Headers { bytes, places })
    }

    /// Reads the head at the front of `bytes` once it is complete. `scan` remembers from one call to the next what
    /// was looked at.
    ///
    /// # Errors
    /// What must be answered instead; see [`HttpError::status`].
    pub fn read(
        bytes: &'b [u8],
        scan: &mut HeadScan,
        limits: &Limits,
        space: &'h mut HeaderSpace,
    ) -> Result<Option<Self>, HttpError> {
        let usual = if scan.is_at_start() {
            take_apart(bytes, space.renew())
                .filter(|(line, length)| keeps(line, *length, limits))
                .and_then(|(line, length)| Some((RequestLine::of(line)?, length)))
        } else {
            None
        };
        let (line, length) = if let Some(usual) = usual {
            usual
        } else {
            let Some(length) = scan.advance(bytes, limits)? else {
                return Ok(None);
            };
            let line = closely::request(&bytes[..length], space.renew())?;
            (line, length)
        };
        let (bytes, places) = (&bytes[..length], &space.0);
        Self::build(&line, Headers { bytes, places }).map(Some)
    }

    /// Length of the head, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.headers.bytes.len()
    }

    #[inline]
    fn build(line: &RequestLine<'b>, headers: Headers<'h, 'b>) -> Result<Self, HttpError> {
        let (method_text, version) = (line.method, line.version);
        let method = Method::of(method_text);
        let (authority, target) = split_target(method, line.target)?;
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
            headers,
            options: ConnectionOptions::default(),
        };
        head.read_fields()?;
        if let Some(authority) = authority {
            head.host = Some(authority.as_bytes());
        }
        Ok(head)
    }

    fn read_fields(&mut self) -> Result<(), HttpError> {
        let mut length = LengthFields::default();
        let mut upgrade = None;
        let headers = self.headers;
        for place in headers.places {
            let value = headers.value(place);
            match place.field {
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
    pub fn forwarded(&self) -> impl Iterator<Item = (Field, Header<'b>)> + 'h
    where
        'b: 'h,
    {
        self.headers.forwarded(self.options)
    }

    /// Appends the headers that go on to the next hop and that `keep` wants.
    pub fn copy_fields(&self, out: &mut Vec<u8>, keep: impl Fn(Field) -> bool) {
        self.headers.copy(out, self.options, 0, keep);
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
    const HOST_BYTES: [bool; 256] = byte_set(b"-._~%!$&'()*+,;=:[]");
    value.iter().all(|&byte| HOST_BYTES[usize::from(byte)])
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
