//! What a head says about its connection, and which of its headers go on to the next hop.

use httparse::Header;

use crate::error::HttpError;
use crate::field::{has_token, Field};
use crate::request::Version;

/// Headers on the caller's stack, or on the heap when there are many.
#[derive(Debug)]
pub(crate) enum Headers<'h, 'b> {
    Inline(&'h [Header<'b>]),
    Heap(Vec<Header<'b>>),
}

impl<'b> Headers<'_, 'b> {
    pub fn as_slice(&self) -> &[Header<'b>] {
        match self {
            Self::Inline(headers) => headers,
            Self::Heap(headers) => headers,
        }
    }
}

/// Most names that `Connection` may list: each one is looked for in every header.
pub(crate) const LISTED_MAX: usize = 32;

/// What the `Connection` headers of one head say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionOptions {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// Further names, which are headers for this hop only.
    pub listed: usize,
}

impl ConnectionOptions {
    pub fn add(&mut self, value: &[u8]) -> Result<(), HttpError> {
        for option in crate::field::elements(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.listed += 1;
            }
        }
        if self.listed > LISTED_MAX {
            return Err(HttpError::Head("Connection lists too many names"));
        }
        Ok(())
    }

    pub fn keeps(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// Headers that go on to the next hop: those about this connection and its framing are left out.
pub(crate) fn forwarded<'s, 'b>(
    headers: &'s [Header<'b>],
    options: ConnectionOptions,
) -> impl Iterator<Item = (Field, &'s Header<'b>)> {
    headers.iter().filter_map(move |header| {
        let field = Field::of(header.name);
        match field {
            Field::Connection
            | Field::ContentLength
            | Field::HopByHop
            | Field::TransferEncoding
            | Field::Expect
            | Field::Upgrade => None,
            // Routing depends on Host, and functions on the others: a client may not have them taken away.
            Field::Host | Field::ForwardedFor | Field::ForwardedHost | Field::CallId => {
                Some((field, header))
            }
            _ if options.listed > 0 && is_listed(headers, header.name) => None,
            _ => Some((field, header)),
        }
    })
}

fn is_listed(headers: &[Header<'_>], name: &str) -> bool {
    headers
        .iter()
        .filter(|header| Field::of(header.name) == Field::Connection)
        .any(|header| has_token(header.value, name.as_bytes()))
}
