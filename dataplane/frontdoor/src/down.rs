//! A client's connection and the exchange on it.

use std::net::IpAddr;
use std::sync::Arc;

use jd_http::{BodyDecoder, Framing, HeadScan, Method, Version};

use crate::buf::Buf;
use crate::conn::Conn;
use crate::deadlines::{Deadline, Deadlines};
use crate::shed::Pace;
use crate::slab::Key;
use crate::stamp::Stamp;
use crate::table::{Function, Replica};
use crate::timers::Slot;

/// What a client's connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests or inside a request head.
    Head,
    /// The request waits for a replica.
    Waiting,
    /// The request has a connection to its function or the provider.
    Active,
    /// The protocol was changed: bytes only.
    Tunnel,
    /// The response is complete, but not the request: the rest of its body is read and dropped.
    Discard,
    /// The connection ends when everything is sent.
    Closing,
    /// Everything is sent; what the client still sends is dropped, for closing now could destroy the response
    /// before it is read (RFC 9112, section 9.6).
    Linger,
}

/// Where a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Head,
    Body,
}

/// What happens to the framing of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recode {
    /// It is passed through.
    Raw,
    /// The function closes to end it; the client gets chunks.
    ToChunks,
    /// The function sends chunks; an HTTP/1.0 client gets the plain body.
    FromChunks,
}

/// One request and its response.
pub struct Exchange {
    /// Whether it goes to a function; else to the provider, or the front door answers itself.
    pub for_function: bool,
    pub function: Option<Arc<Function>>,
    /// Holds a place on it.
    pub replica: Option<Arc<Replica>>,
    pub up: Option<Key>,
    /// Address of the sandbox that holds one of its places at the provider.
    pub provider_guest: Option<IpAddr>,
    /// Head for the next hop, until a connection takes it.
    pub request: Buf,
    /// Of an invocation: what tells it from all others.
    pub stamp: Stamp,
    pub started_ns: u64,
    pub method: Method,
    pub version: Version,
    /// Whether the client's connection outlives this exchange.
    pub keep_alive: bool,
    /// The client waits for `100 Continue`.
    pub expects_continue: bool,
    pub wants_upgrade: bool,
    /// Nanoseconds; 0: no limit.
    pub exec_timeout_ns: u64,
    /// Whether the replica's limit holds; not for readiness checks.
    pub limited: bool,
    pub request_body: BodyDecoder,
    pub body_bytes_max: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub answer: Answer,
    pub response_scan: HeadScan,
    pub response_body: BodyDecoder,
    pub recode: Recode,
    /// Final status, once the client has got a byte of the final head.
    pub status: Option<u16>,
    /// Was already sent a second time.
    pub retried: bool,
    /// Place in the queue.
    pub ticket: Option<u64>,
}

impl Exchange {
    pub fn new() -> Self {
        Self {
            for_function: false,
            function: None,
            replica: None,
            up: None,
            provider_guest: None,
            request: Buf::default(),
            stamp: Stamp::default(),
            started_ns: 0,
            method: Method::Other,
            version: Version::Http11,
            keep_alive: false,
            expects_continue: false,
            wants_upgrade: false,
            exec_timeout_ns: 0,
            limited: true,
            request_body: BodyDecoder::new(Framing::None),
            body_bytes_max: 0,
            bytes_in: 0,
            bytes_out: 0,
            answer: Answer::Head,
            response_scan: HeadScan::response(),
            response_body: BodyDecoder::new(Framing::None),
            recode: Recode::Raw,
            status: None,
            retried: false,
            ticket: None,
        }
    }

    /// Makes it ready for the next request, with the memory it has.
    pub fn reset(&mut self) {
        let mut stamp = std::mem::take(&mut self.stamp);
        stamp.clear();
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        *self = Self {
            stamp,
            request,
            ..Self::new()
        };
    }

    pub fn method_is_head(&self) -> bool {
        self.method == Method::Head
    }
}

/// A client's connection.
pub struct Down {
    pub conn: Conn,
    /// `ip:port`
    pub peer: String,
    /// Address of the sandbox, where the client is a guest.
    pub guest: Option<IpAddr>,
    pub phase: Phase,
    pub scan: HeadScan,
    pub exchange: Exchange,
    pub deadlines: Deadlines,
    pub timer: Slot,
    pub pace: Pace,
    /// Bytes dropped while discarding or lingering.
    pub dropped: usize,
    /// Is in the list of those that go on in the next round.
    pub goes_on: bool,
}

impl Down {
    /// Lets the time run in which the client must take something of what waits for it; `moved` begins it anew.
    pub fn watch_write(&mut self, now_ns: u64, moved: bool, limit_ns: u64) {
        let at_ns = now_ns.saturating_add(limit_ns);
        if self.conn.unsent.is_empty() {
            self.deadlines.clear(Deadline::Write);
        } else if moved {
            self.deadlines.set(Deadline::Write, at_ns);
        } else {
            self.deadlines.begin(Deadline::Write, at_ns);
        }
    }
}
