//! What crosses a border: messages between the platform's processes and names of socket addresses.
//!
//! Everything here is pure: bytes in, values out. No descriptor, clock or thread.

pub mod attach;
pub mod control;
pub mod dns;
mod fuzz;
pub mod names;
pub mod sockaddr;

pub use fuzz::fuzz_one;

/// Lowest descriptor number at which the supervisor injects datagram sockets into a guest. The sandbox's
/// filter sends `sendmsg` and its relatives on such numbers to the supervisor, because it cannot see `msg_name`.
pub const UDP_FD_BASE: u32 = 512;
