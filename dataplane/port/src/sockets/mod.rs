//! What each socket call of a guest does. One file per call or family of calls; all are methods of
//! the sandbox, run on its worker, and none of them blocks.

mod accept;
pub(crate) mod bind;
mod connect;
mod datagram;
mod hub;
pub(crate) mod ioctl;
mod listen;
mod messages;
mod names;
mod option_tables;
mod options;
mod outgoing;
pub(crate) mod parts;
mod rings;
mod set_options;
mod shutdown;
mod socket;
mod timeouts;
