//! What a head says about its connection, and which names it lists.

use crate::error::HttpError;
use crate::request::Version;

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
