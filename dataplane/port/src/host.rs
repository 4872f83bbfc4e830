//! What the supervisor tells the rest of the data plane.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// The process around the supervisor. Called from its threads: must return at once.
pub trait Host: Send + Sync {
    /// A guest connected to the gateway: `connection` is the other end, a non-blocking AF_UNIX
    /// stream; `peer` is the address the guest came from.
    fn gateway_connection(&self, sandbox: &str, connection: OwnedFd, peer: SocketAddr);

    /// Something happened.
    fn event(&self, event: Event);
}

/// News about a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guest listens on a port: from now on it can be dialled.
    Listening {
        /// Which sandbox.
        sandbox: String,
        /// Which port.
        port: u16,
    },
    /// A sandbox is no longer served.
    Detached {
        /// Which sandbox.
        sandbox: String,
        /// Why, in a few words.
        reason: String,
    },
    /// A guest did what no honest program does. At most one per sandbox, kind and second.
    Violation {
        /// Which sandbox.
        sandbox: String,
        /// What it did.
        kind: String,
    },
}
