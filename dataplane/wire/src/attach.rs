//! The message with which a keeper hands its sandbox to jnetd (`docs/protocols.md`, section 2).

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Version of this protocol; another one is refused.
pub const PROTOCOL: u32 = 1;

/// Longest packet of either side, in bytes.
pub const PACKET_BYTES_MAX: usize = 4096;

/// Descriptors that come with a [`Hello`]: notify, socket netns, pidfd of the guest's init, journal.
pub const DESCRIPTORS: usize = 4;

/// First and only packet of a keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Must equal [`PROTOCOL`].
    pub protocol: u32,
    /// Name of the sandbox.
    pub sandbox: String,
    /// Address of the function.
    pub address: Ipv4Addr,
    /// Address of the gateway.
    pub gateway: Ipv4Addr,
    /// Address of the resolver.
    pub nameserver: Ipv4Addr,
    /// Process id of the guest's init, in the host's pid namespace.
    pub init_pid: u32,
}

/// Answer of jnetd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether jnetd serves the sandbox now.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
