//! The head of a request, and what is kept of it.

use std::io;
use std::time::Instant;

use jd_http::{header_space, Framing, HeadScan, HttpError, Limits, Method, RequestHead, Version};

use crate::client::Client;
use crate::fork_env::{variables, Variable};
use crate::marshal::{self, Headers};
use crate::settings::{Mode, Settings};

/// What is kept of a request once its head has been used.
#[derive(Debug)]
pub struct Request {
    /// Method as sent.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the client wants the connection again.
    pub keep_alive: bool,
    /// Whether it speaks HTTP/1.0.
    pub http10: bool,
    /// Whether it is HEAD.
    pub head_only: bool,
    /// Whether it waits for `100 Continue`.
    pub expect_continue: bool,
    /// `X-Call-Id`, or empty.
    pub call_id: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `User-Agent`, or empty.
    pub user_agent: String,
    /// Headers for `marshal_request`, where it is set.
    pub headers: Option<Headers>,
    /// Environment of the process.
    pub variables: Vec<Variable>,
    /// When the head was complete.
    pub started: Instant,
}

/// Reads the next head. The outer error is the connection's, the inner one the client's fault, to be answered.
///
/// # Errors
/// `TimedOut` after `deadline`, `UnexpectedEof` at the end of the connection.
pub fn read_head(
    settings: &Settings,
    client: &mut Client,
    deadline: Instant,
) -> io::Result<Result<Request, HttpError>> {
    let mut scan = HeadScan::request();
    let limits = Limits::default();
    let length = loop {
        match scan.advance(&client.input, &limits) {
            Ok(Some(length)) => break length,
            Ok(None) => client.read_until(Some(deadline))?,
            Err(error) => return Ok(Err(error)),
        }
    };
    let bytes: Vec<u8> = client.input.drain(..length).collect();
    let mut space = header_space();
    Ok(RequestHead::parse(&bytes, &mut space).map(|head| keep(settings, &head)))
}

fn keep(settings: &Settings, head: &RequestHead<'_, '_>) -> Request {
    let header = |name: &str| {
        let found = head
            .forwarded()
            .find(|(_, header)| header.name.eq_ignore_ascii_case(name));
        found.map(|(_, header)| String::from_utf8_lossy(header.value).into_owned())
    };
    let length = match head.framing {
        Framing::Length(bytes) => Some(bytes),
        _ => None,
    };
    let cgi = settings.mode != Mode::Classic || settings.cgi_headers;
    Request {
        method: head.method_text.to_owned(),
        target: head.target.to_owned(),
        framing: head.framing,
        keep_alive: head.keep_alive,
        http10: head.version == Version::Http10,
        head_only: head.method == Method::Head,
        expect_continue: head.expect_continue,
        call_id: head
            .call_id
            .map(|id| String::from_utf8_lossy(id).into_owned())
            .unwrap_or_default(),
        content_type: header("content-type"),
        user_agent: header("user-agent").unwrap_or_default(),
        headers: settings.marshal_request.then(|| marshal::headers(head)),
        variables: if cgi {
            variables(head, settings.mode, length)
        } else {
            Vec::new()
        },
        started: Instant::now(),
    }
}
