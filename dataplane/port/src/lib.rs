//! The socket objects of all sandboxes.
//!
//! A guest's socket calls reach the [`Supervisor`] as seccomp user notifications; it answers them by
//! injecting AF_UNIX sockets made in a network namespace that is private to that sandbox. Reading
//! and writing then run natively. Nothing a guest says is trusted: its memory is read once, its
//! descriptors are identified by a copy, and names are hints for display.

mod budget;
mod call;
mod census;
mod datagram;
mod dial;
mod dials;
mod egress;
mod fuzz;
mod host;
mod inbox;
mod journal;
mod listing;
mod mark;
mod netns;
mod pending;
mod platform;
mod ports;
mod registry;
mod resolver;
mod rooms;
mod route;
mod sandbox;
mod shared;
mod sockets;
mod stack;
mod stall;
mod stash;
mod stats;
mod supervisor;
mod sweeps;
mod sys;
mod watch;
mod worker;

pub use fuzz::fuzz_one;
pub use host::{Event, Host};
pub use platform::{BadPlatform, Egress, Network, Platform};
pub use stack::{KernelStack, Stack};
pub use stats::{Counters, SandboxStats};
pub use supervisor::{Attachment, Supervisor};
