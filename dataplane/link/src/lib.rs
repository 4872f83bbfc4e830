//! What the socket objects of a sandbox and the front door share: its rings, and the change of one
//! connection from its socket to a ring (docs/protocols.md, section 7).
//!
//! `jd-port` hears the guest ask and hands out descriptors; `jd-frontdoor` holds the platform's end of the
//! connection and moves its bytes. Neither knows the other: both know this crate.

#![forbid(unsafe_code)]

mod rings;
mod tally;
mod upgrade;
mod waiters;

pub use jd_ring::host::Toll;
pub use rings::{Report, Rings};
pub use tally::{RingCounters, Tally};
pub use upgrade::{Granted, Owner, Refusal, Ticket, Upgrade};
